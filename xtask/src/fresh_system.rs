//! A fresh Debian, into which packages are installed: a copy that is removed afterwards.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::container::{self, Release};
use crate::prerequisites::Options;

/// Where a machine's certificates are, for archives that are reached by https.
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Where the system sees them: not where its packages write theirs.
const CERTIFICATES_WITHIN: &str = "/run/ca-certificates.crt";

/// A system in a directory.
pub struct FreshSystem {
    root: PathBuf,
}

impl FreshSystem {
    /// Copies the smallest system of a release of Debian. It is created first, if it does not exist.
    ///
    /// # Errors
    ///
    /// If it cannot be created or copied.
    pub fn new(options: &Options, release: Release) -> Result<Self> {
        let original = container::ensure_plain(options, release)?;
        remove_left_over(&original)?;
        let copy = original.with_extension(format!("copy-{}", std::process::id()));
        let status = container::as_root("cp")?.arg("--archive").arg(&original).arg(&copy).status();
        let system = Self { root: copy };
        ensure!(status.context("could not run cp")?.success(), "could not copy {}", original.display());
        Ok(system)
    }

    /// The system that the layers of an image give, one after the other.
    ///
    /// # Errors
    ///
    /// If a layer cannot be unpacked.
    pub fn of_layers(options: &Options, release: Release, layers: &[PathBuf]) -> Result<Self> {
        let original = container::ensure_plain(options, release)?;
        let root = original.with_extension(format!("copy-{}", std::process::id()));
        std::fs::create_dir(&root).with_context(|| format!("could not make {}", root.display()))?;
        let system = Self { root };
        for layer in layers {
            let mut command = container::as_root("tar")?;
            command.args(["--extract", "--numeric-owner", "--preserve-permissions", "--file"]).arg(layer);
            let status =
                command.arg("--directory").arg(&system.root).status().context("could not run tar")?;
            ensure!(status.success(), "could not unpack {}", layer.display());
        }
        Ok(system)
    }

    /// Writes an archive with all files of the system.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn archive(&self, to: &Path) -> Result<()> {
        let mut command = container::as_root("tar")?;
        command.args(["--create", "--numeric-owner", "--one-file-system", "--file"]).arg(to);
        let status =
            command.arg("--directory").arg(&self.root).arg(".").status().context("could not run tar")?;
        ensure!(status.success(), "could not write {}", to.display());
        Ok(())
    }

    /// A shell that runs `script` in the system, as root and with network access. `mounts` are
    /// directories of this machine that it sees at other paths, read-only. Its processes end with
    /// the script.
    ///
    /// # Errors
    ///
    /// If the programs for that are missing.
    pub fn shell(&self, script: &str, arguments: &[&OsStr], mounts: &[(&Path, &str)]) -> Result<Command> {
        let mut command = shell(&self.root, "--bind", mounts)?;
        command.args(["sh", "-c", script, "sh"]).args(arguments);
        Ok(command)
    }
}

impl Drop for FreshSystem {
    fn drop(&mut self) {
        // If it stays, the next run removes it.
        let _ = remove(&self.root);
    }
}

fn remove(root: &Path) -> Result<()> {
    let status =
        container::as_root("rm")?.args(["--recursive", "--force", "--one-file-system"]).arg(root).status();
    ensure!(status.context("could not run rm")?.success(), "could not remove {}", root.display());
    Ok(())
}

/// Removes copies whose process was killed.
fn remove_left_over(original: &Path) -> Result<()> {
    let directory = original.parent().context("a system is in a directory")?;
    for entry in std::fs::read_dir(directory).context("could not read the cache directory")?.flatten() {
        let path = entry.path();
        let process = path.extension().and_then(OsStr::to_str).and_then(|name| name.strip_prefix("copy-"));
        let is_ours = path.file_stem() == original.file_name();
        if is_ours && process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            remove(&path)?;
        }
    }
    Ok(())
}

/// A shell in a container that is not changed: its files are read-only.
///
/// # Errors
///
/// If the programs for that are missing.
pub fn shell_in_container(
    release: Release,
    script: &str,
    arguments: &[&OsStr],
    mounts: &[(&Path, &str)],
) -> Result<Command> {
    let mut command = shell(&release.root()?, "--ro-bind", mounts)?;
    command.args(["sh", "-c", script, "sh"]).args(arguments);
    Ok(command)
}

fn shell(root: &Path, bind: &str, mounts: &[(&Path, &str)]) -> Result<Command> {
    let mut command = container::as_root("bwrap")?;
    command.arg(bind).arg(root).arg("/");
    command
        .args(["--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", "--tmpfs", "/run", "--tmpfs", "/mnt"]);
    // All processes of the system, servers too, end with its shell.
    command.args(["--unshare-pid", "--unshare-ipc", "--die-with-parent"]);
    for (from, to) in mounts {
        command.arg("--ro-bind").arg(from).arg(to);
    }
    for file in ["/etc/hosts", "/etc/resolv.conf"] {
        command.args(["--ro-bind-try", file, file]);
    }
    command.args(["--ro-bind-try", CERTIFICATES, CERTIFICATES_WITHIN]);
    command.args(["--clearenv", "--setenv", "PATH", "/usr/sbin:/usr/bin:/sbin:/bin"]);
    command.args(["--setenv", "DEBIAN_FRONTEND", "noninteractive", "--setenv", "LC_ALL", "C.UTF-8"]);
    Ok(command)
}
