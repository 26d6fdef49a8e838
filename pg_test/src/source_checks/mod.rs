//! Checks of the project's files: their imports, that the page of traps names every test of one, and
//! that examples are tested as they are printed, and that workflows run pinned actions.

use std::path::Path;

mod circles;
mod documented;
mod drivers;
mod traps;
mod workflows;

/// The directories of the project's Rust files.
const ROOTS: [&str; 6] = ["bench", "cli", "crates", "pg_test", "src", "xtask"];

fn workspace_root() -> &'static Path {
    let pg_test = Path::new(env!("CARGO_MANIFEST_DIR"));
    pg_test.parent().unwrap_or(pg_test)
}

/// Calls `see` with each file below a directory, by its path from the top of the project.
fn each_file(directory: &Path, see: &mut impl FnMut(&str, &Path)) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            each_file(&path, see);
        } else if let Some(name) = path.strip_prefix(workspace_root()).ok().and_then(Path::to_str) {
            see(name, &path);
        }
    }
}
