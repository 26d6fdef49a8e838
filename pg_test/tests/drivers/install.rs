//! Packages of Python and JavaScript, in directories of their own below `target/drivers`. Their
//! versions are those of `requirements.txt` and `package.json` next to the programs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::database::{programs, project};

/// Why something cannot be installed here.
pub type Reason = String;

/// The directory of all that is installed and compiled.
pub fn cache() -> PathBuf {
    // Cargo's directory for tests is "tmp" in its target directory.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let cache = target.join("drivers");
    std::fs::create_dir_all(&cache).unwrap();
    cache
}

/// One at a time: the tests share the directories.
fn alone() -> MutexGuard<'static, ()> {
    static INSTALLING: Mutex<()> = Mutex::new(());
    INSTALLING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Python with packages.
pub fn python(packages: &[&str]) -> Result<PathBuf, Reason> {
    let _alone = alone();
    let environment = cache().join("python");
    let python = environment.join("bin/python3");
    if !python.exists() {
        succeed(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
    }
    let pins = std::fs::read_to_string(programs().join("python/requirements.txt")).unwrap();
    let pinned = |package: &&str| {
        let pin = pins.lines().find(|line| line.split("==").next() == Some(*package));
        pin.unwrap_or_else(|| panic!("{package} is not in requirements.txt")).to_owned()
    };
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    succeed(Command::new(&python).args(install).args(packages.iter().map(pinned)))?;
    Ok(python)
}

/// The directory of the programs in TypeScript, with packages installed above it, and with the
/// ready-made lines in its directory `keyspace`.
pub fn node(packages: &[&str]) -> Result<PathBuf, Reason> {
    let _alone = alone();
    let top = cache().join("node");
    let pins = std::fs::read_to_string(programs().join("node/package.json")).unwrap();
    let missing: Vec<String> = packages
        .iter()
        .filter_map(|package| {
            let version =
                pins.split(&format!("\"{package}\": \"")).nth(1).and_then(|rest| rest.split('"').next());
            let version = version.unwrap_or_else(|| panic!("{package} is not in package.json"));
            let installed = top.join("node_modules").join(package).join("package.json");
            let is_there = std::fs::read_to_string(installed)
                .is_ok_and(|text| text.contains(&format!("\"version\": \"{version}\"")));
            (!is_there).then(|| format!("{package}@{version}"))
        })
        .collect();
    std::fs::create_dir_all(&top).unwrap();
    if !missing.is_empty() {
        // Packages that are already there stay, because they are saved.
        let install = ["install", "--save-exact", "--no-audit", "--no-fund", "--ignore-scripts"];
        succeed(Command::new("npm").args(install).args(missing).current_dir(&top))?;
    }
    let directory = top.join("programs");
    copy_files(&programs().join("node"), &directory);
    copy_files(&project("clients/typescript"), &directory.join("keyspace"));
    Ok(directory)
}

/// All packages of `package.json`.
pub fn node_packages() -> Vec<String> {
    let pins = std::fs::read_to_string(programs().join("node/package.json")).unwrap();
    let names = pins
        .lines()
        .filter_map(|line| line.trim().strip_prefix('"')?.split_once("\": \""))
        .map(|(name, _)| name);
    names.map(str::to_owned).collect()
}

/// Copies the files of a directory that differ.
fn copy_files(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (contents, target) = (std::fs::read(entry.path()).unwrap(), to.join(entry.file_name()));
        if std::fs::read(&target).ok().as_ref() != Some(&contents) {
            std::fs::write(&target, contents).unwrap();
        }
    }
}

/// Runs a command, and returns the last line of what it complains about if it fails.
pub fn succeed(command: &mut Command) -> Result<(), Reason> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program}: {}", stderr.trim().lines().last().unwrap_or("failed")))
}
