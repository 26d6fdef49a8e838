//! The machine and the code of a measurement.

use std::fmt;
use std::io::{Seek, Write};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use xshell::{Shell, cmd};

use crate::backend::{Backend, bytes_of};
use crate::cargo::workspace_root;
use crate::statistics::{Spread, rounded};

/// How often a flush to disk is tried.
const FLUSHES: usize = 100;

/// The properties of the machine that affect figures. They do not identify it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The model of the CPU.
    pub cpu: String,
    /// The number of available cores.
    pub cores: usize,
    /// Main memory.
    pub memory_bytes: Option<u64>,
    /// Operating system and kernel.
    pub system: String,
    /// The type of the file system that holds the data.
    pub file_system: Option<String>,
    /// The median time of a flush of 8 KiB to disk, for which commits wait.
    pub flush_seconds: f64,
    /// Whether CPU times of backends are known; otherwise wall-clock times replace them.
    pub cpu_clock: bool,
}

impl Machine {
    /// Reads the properties of this machine; the data are in `directory`.
    ///
    /// # Errors
    ///
    /// If the directory is not writable.
    pub fn probe(directory: &Path) -> Result<Self> {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        // Without the suffix of the distribution.
        let release = read("/proc/sys/kernel/osrelease");
        let release = release.split('-').next().unwrap_or_default();
        Ok(Self {
            cpu: cpu_model(&read("/proc/cpuinfo")).unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: std::thread::available_parallelism().context("the number of cores is unknown")?.get(),
            memory_bytes: bytes_of("MemTotal", &read("/proc/meminfo")),
            system: format!("{} {}", std::env::consts::OS, release.trim()).trim().to_owned(),
            file_system: directory
                .canonicalize()
                .ok()
                .and_then(|directory| file_system(&read("/proc/mounts"), &directory)),
            flush_seconds: flush_seconds(directory)?,
            cpu_clock: Backend::of_this_process().cpu().is_some(),
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let memory = self.memory_bytes.map_or_else(
            || "memory unknown".to_owned(),
            |bytes| format!("{:.0} GiB of memory", bytes as f64 / f64::from(1 << 30)),
        );
        write!(f, "{}, {} cores, {memory}; {}", self.cpu, self.cores, self.system)
    }
}

fn cpu_model(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The type of the innermost mount that holds `directory`.
fn file_system(mounts: &str, directory: &Path) -> Option<String> {
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let holding = fields.filter_map(|fields| match fields.as_slice() {
        [_, point, kind, ..] if directory.starts_with(point) => Some((point.len(), (*kind).to_owned())),
        _ => None,
    });
    // Of several mounts on one directory the last one counts, which max_by_key returns.
    holding.max_by_key(|(length, _)| *length).map(|(_, kind)| kind)
}

fn flush_seconds(directory: &Path) -> Result<f64> {
    let mut file = tempfile::tempfile_in(directory).context("could not make a file next to the data")?;
    let page = [0_u8; 8192];
    let mut seconds = Vec::with_capacity(FLUSHES);
    for _ in 0..FLUSHES {
        let started = Instant::now();
        file.rewind().and_then(|()| file.write_all(&page)).context("could not write next to the data")?;
        file.sync_data().context("could not flush a file next to the data")?;
        seconds.push(started.elapsed().as_secs_f64());
    }
    Ok(Spread::of(&seconds).map_or(0.0, |spread| rounded(spread.median)))
}

/// The measured code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
    /// The current commit.
    pub commit: String,
    /// Whether there are uncommitted changes, except those of the documentation.
    pub dirty: bool,
}

impl Code {
    /// That of this checkout.
    ///
    /// # Errors
    ///
    /// If git is not installed or fails.
    pub fn of_checkout() -> Result<Self> {
        let sh = Shell::new().context("there is no working directory")?;
        sh.change_dir(workspace_root());
        let documentation = ":(exclude)docs";
        let commit = cmd!(sh, "git rev-parse HEAD").read();
        let changes = cmd!(sh, "git status --porcelain -- . {documentation}").read();
        let error = "could not read the commit with git";
        Ok(Self { commit: commit.context(error)?, dirty: !changes.context(error)?.is_empty() })
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.commit.get(..12).unwrap_or(&self.commit))?;
        f.write_str(if self.dirty { ", with uncommitted changes" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_read_as_linux_writes_it() {
        assert_eq!(
            cpu_model("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n").as_deref(),
            Some("Some CPU @ 2 GHz")
        );
        assert_eq!(cpu_model(""), None);
    }

    #[test]
    fn the_innermost_mount_counts() {
        let mounts =
            "/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/b /tmp xfs rw 0 0\nproc /proc proc rw 0 0\n";
        let found = |path: &str| file_system(mounts, Path::new(path));
        assert_eq!(found("/tmp/x").as_deref(), Some("xfs"));
        assert_eq!(found("/tmpfile").as_deref(), Some("ext4"));
    }
}
