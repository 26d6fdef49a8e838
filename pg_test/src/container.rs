//! Runs the PostgreSQL of a container outside of it: pg_upgrade needs two versions in one place.
//!
//! Programs and the libraries that they need are copied out of the container's directory. The
//! loader of that system starts each program, so that it finds the C library that it was built for.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Names containers and the libraries that were built in them: `MAJOR=ROOT=LIBRARY`, one per line.
pub const CONTAINERS_VARIABLE: &str = "PG_KEYSPACE_TEST_CONTAINERS";

/// A directory with a small Debian that has another version of PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// PostgreSQL's major version there.
    pub major: u32,
    /// The directory that is its root.
    pub root: PathBuf,
    /// The extension's library that was built there.
    pub library: PathBuf,
}

impl Container {
    /// The containers that `cargo xtask test` names.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let text = std::env::var(CONTAINERS_VARIABLE).unwrap_or_default();
        text.lines().filter_map(Self::parse).collect()
    }

    fn parse(line: &str) -> Option<Self> {
        let mut parts = line.splitn(3, '=');
        let (major, root, library) = (parts.next()?.parse().ok()?, parts.next()?, parts.next()?);
        Some(Self { major, root: root.into(), library: library.into() })
    }

    /// The form of a container in the variable.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{}={}={}", self.major, self.root.display(), self.library.display())
    }
}

/// The loader of the system below `root`.
fn loader(root: &Path) -> Result<PathBuf> {
    for directory in ["usr/lib64", "usr/lib"] {
        for entry in std::fs::read_dir(root.join(directory)).into_iter().flatten().flatten() {
            if entry
                .file_name()
                .to_str()
                .is_some_and(|name| name.starts_with("ld-linux") && name.contains(".so"))
            {
                return entry.path().canonicalize().context("the loader is a broken link");
            }
        }
    }
    bail!("there is no loader in {}", root.display())
}

/// The library directories of the system below `root`.
fn library_path(root: &Path) -> Result<String> {
    let lib = root.join("usr/lib");
    let entries = std::fs::read_dir(&lib).with_context(|| format!("could not read {}", lib.display()))?;
    let ours = entries
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.to_string_lossy().ends_with("-linux-gnu"));
    let ours = ours.with_context(|| format!("there are no libraries in {}", lib.display()))?;
    Ok(ours.display().to_string())
}

/// Copies `programs` of the directory `from`, below `root`, into `bindir`, so that they run on this
/// system. The libraries that they need are copied to `support`; `more` are libraries that they
/// load at run time.
///
/// # Errors
///
/// If a file is missing or cannot be copied.
pub fn adopt(
    root: &Path,
    from: &Path,
    programs: &[&str],
    more: &[PathBuf],
    bindir: &Path,
    support: &Path,
) -> Result<()> {
    let loader = loader(root)?;
    let path = library_path(root)?;
    let libraries = support.join("lib");
    let originals = support.join("programs");
    for directory in [bindir, &libraries, &originals] {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("could not make {}", directory.display()))?;
    }
    let copy = |from: &Path, to: &Path| {
        std::fs::copy(from, to).map(|_| ()).with_context(|| format!("could not copy {}", from.display()))
    };
    let own_loader = support.join("loader");
    copy(&loader, &own_loader)?;
    let mut needed = BTreeSet::new();
    let present: Vec<&str> =
        programs.iter().copied().filter(|program| from.join(program).is_file()).collect();
    for file in present.iter().map(|program| from.join(program)).chain(more.iter().cloned()) {
        let output = Command::new(&loader)
            .args(["--library-path", &path, "--list"])
            .arg(&file)
            .output()
            .context("could not run the loader of the container")?;
        needed.extend(listed(&String::from_utf8_lossy(&output.stdout)));
    }
    for library in &needed {
        let name = library.file_name().context("a library has a name")?;
        copy(library, &libraries.join(name))?;
    }
    for program in present {
        let original = originals.join(program);
        copy(&from.join(program), &original)?;
        let script = bindir.join(program);
        let text = format!(
            "#!/bin/sh\nexec '{}' --library-path '{}' --argv0 '{}' '{}' \"$@\"\n",
            own_loader.display(),
            libraries.display(),
            script.display(),
            original.display()
        );
        std::fs::write(&script, text).with_context(|| format!("could not write {}", script.display()))?;
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755))
            .with_context(|| format!("could not make {} executable", script.display()))?;
    }
    Ok(())
}

/// The files that a loader lists: `libz.so.1 => /usr/lib/libz.so.1 (0x...)`.
fn listed(text: &str) -> Vec<PathBuf> {
    let files = text.lines().filter_map(|line| line.split_once(" => ")?.1.split(" (").next());
    files.map(str::trim).filter(|file| file.starts_with('/')).map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_described_in_one_line() {
        let container = Container { major: 17, root: "/c/r".into(), library: "/t/a=b/lib.so".into() };
        assert_eq!(Container::parse(&container.line()), Some(container));
        assert_eq!(Container::parse(""), None);
    }

    #[test]
    fn needed_libraries_are_read_from_the_loaders_list() {
        let text =
            "\tlinux-vdso.so.1 (0x1)\n\tlibz.so.1 => /r/usr/lib/libz.so.1 (0x2)\n\tlibm.so.6 => not found\n";
        assert_eq!(listed(text), [PathBuf::from("/r/usr/lib/libz.so.1")]);
    }
}
