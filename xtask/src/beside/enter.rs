//! Running a command in the system of its own.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;

/// What to run, and what it finds.
#[derive(Args)]
pub struct Arguments {
    /// The directory that is its root
    #[arg(long)]
    root: PathBuf,
    /// The user
    #[arg(long)]
    user: u32,
    /// The user's group
    #[arg(long)]
    group: u32,
    /// Where it starts
    #[arg(long)]
    directory: PathBuf,
    /// Directories that it finds in their usual places
    #[arg(long)]
    bind: Vec<PathBuf>,
    /// Directories that it finds in their usual places and cannot change
    #[arg(long)]
    bind_read_only: Vec<PathBuf>,
    /// The command
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

#[cfg(not(target_os = "linux"))]
pub fn run(_: &Arguments) -> Result<()> {
    bail!("this needs Linux")
}

/// Becomes the command.
///
/// All mounts are made in a mount namespace of this process: they are gone when the command and what it started
/// have ended, and nobody else ever sees them.
///
/// # Errors
///
/// When something cannot be mounted or the command cannot be run; otherwise it does not return.
#[cfg(target_os = "linux")]
pub fn run(arguments: &Arguments) -> Result<()> {
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use anyhow::Context;
    use nix::mount::{MsFlags, mount};
    use nix::sched::{CloneFlags, unshare};
    use nix::sys::prctl;
    use nix::sys::signal::Signal;
    use nix::unistd::{Gid, Uid, chroot, setgid, setgroups, setuid};

    let nothing: Option<&Path> = None;
    let root = arguments.root.as_path();
    unshare(CloneFlags::CLONE_NEWNS).context("could not make a mount namespace; are we root?")?;
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)
        .context("could not keep mounts to ourselves")?;
    let bind = |source: &Path, flags: MsFlags| {
        let target = below(root, source);
        make_place(source, &target)?;
        mount(Some(source), &target, nothing, MsFlags::MS_BIND | flags, nothing)
            .with_context(|| format!("could not mount {}", source.display()))?;
        anyhow::Ok(target)
    };
    for directory in ["/dev", "/proc", "/sys"] {
        bind(Path::new(directory), MsFlags::MS_REC)?;
    }
    // The names and certificates of the machine's network.
    for path in ["/etc/hosts", "/etc/resolv.conf", "/etc/ssl/certs"] {
        if Path::new(path).exists() {
            bind(Path::new(path), MsFlags::empty())?;
        }
    }
    for path in &arguments.bind {
        bind(path, MsFlags::empty())?;
    }
    for path in &arguments.bind_read_only {
        let target = bind(path, MsFlags::empty())?;
        let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        mount(nothing, &target, nothing, flags, nothing)
            .with_context(|| format!("could not keep {} from being changed", path.display()))?;
    }
    introduce(root, arguments.user, arguments.group)?;
    chroot(root).with_context(|| format!("could not enter {}", root.display()))?;
    std::env::set_current_dir(&arguments.directory)
        .with_context(|| format!("{} is not in there", arguments.directory.display()))?;
    let (user, group) = (Uid::from_raw(arguments.user), Gid::from_raw(arguments.group));
    setgroups(&[group])
        .and_then(|()| setgid(group))
        .and_then(|()| setuid(user))
        .context("could not change the user")?;
    // After the change of user, which would clear it: it ends when whoever called us dies.
    prctl::set_pdeathsig(Signal::SIGTERM).context("could not tie it to the caller")?;
    let Some((program, rest)) = arguments.command.split_first() else { bail!("no command") };
    let error = Command::new(program).args(rest).exec();
    Err(error).with_context(|| format!("could not run {}", program.to_string_lossy()))
}

/// Where a path of this machine comes to lie.
#[cfg(target_os = "linux")]
fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// Something to mount on: a directory, or a file for a file.
#[cfg(target_os = "linux")]
fn make_place(source: &Path, target: &Path) -> Result<()> {
    use anyhow::Context;

    let made = if source.is_dir() {
        std::fs::create_dir_all(target)
    } else {
        // A link would be followed out of the root.
        if target.is_symlink() {
            std::fs::remove_file(target).context("could not remove a link")?;
        }
        if target.exists() { Ok(()) } else { std::fs::write(target, "") }
    };
    made.with_context(|| format!("could not make {}", target.display()))
}

/// Gives a user that is unknown in there a name: programs of PostgreSQL want to know it.
#[cfg(target_os = "linux")]
fn introduce(root: &Path, user: u32, group: u32) -> Result<()> {
    use anyhow::Context;

    let path = root.join("etc/passwd");
    let mut users = std::fs::read_to_string(&path).context("there are no users in there")?;
    if !knows(&users, user) {
        users.push_str(&format!("developer{user}:x:{user}:{group}::/tmp:/bin/sh\n"));
        std::fs::write(&path, users).context("could not add a user in there")?;
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn knows(users: &str, user: u32) -> bool {
    users.lines().any(|line| line.split(':').nth(2) == Some(user.to_string().as_str()))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn places_are_below_the_root() {
        assert_eq!(below(Path::new("/c/r"), Path::new("/home/u/x")), Path::new("/c/r/home/u/x"));
    }

    #[test]
    fn users_are_known_by_their_number() {
        let users = "root:x:0:0:root:/root:/bin/bash\npostgres:x:1000:105::/:/bin/sh\n";
        assert!(knows(users, 0) && knows(users, 1000));
        assert!(!knows(users, 105) && !knows(users, 1));
    }
}
