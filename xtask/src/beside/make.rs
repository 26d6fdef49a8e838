//! Making the system of its own: a small Debian by debootstrap, and packages in it.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::step::Step;

/// The keys that Debian signs its releases with.
pub const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Which packages the system was completed with.
const COMPLETED: &str = "etc/pg_keyspace-packages";

/// How the name of a package ends that is wanted from Debian's experimental, as apt writes it.
pub const FROM_EXPERIMENTAL: &str = "/experimental";

/// How much of a log is shown after a failure.
const SHOWN_LINES: usize = 30;

/// What to make.
#[derive(Args)]
pub struct Arguments {
    /// The directory
    #[arg(long)]
    root: PathBuf,
    /// Debian's name of the release
    #[arg(long)]
    release: String,
    /// The packages
    packages: Vec<String>,
}

/// Whether the system is there, with these packages.
pub fn is_complete(root: &Path, packages: &[String]) -> bool {
    fs::read_to_string(root.join(COMPLETED)).is_ok_and(|found| found == packages.join("\n"))
}

/// Makes the system, or adds to one that lacks packages.
///
/// # Errors
///
/// When Debian's archive cannot be reached or a package cannot be installed.
pub fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { root, release, packages } = arguments;
    if !root.join(COMPLETED).is_file() {
        // Under another name until it is whole, so that what an interruption leaves is never taken for it.
        let new = root.with_extension("new");
        for old in [&new, root] {
            if old.exists() {
                fs::remove_dir_all(old).with_context(|| format!("could not remove {}", old.display()))?;
            }
        }
        bootstrap(&new, release)?;
        configure(&new)?;
        if packages.iter().any(|package| package.ends_with(FROM_EXPERIMENTAL)) {
            add_experimental(&new)?;
        }
        fs::write(new.join(COMPLETED), "").context("could not write")?;
        fs::rename(&new, root).context("could not rename the new system")?;
    }
    let log = root.with_extension("log");
    apt(root, &log, "Reading the lists of packages in it", &["update".to_owned()])?;
    let mut install = vec!["install".to_owned(), "--yes".to_owned(), "--no-install-recommends".to_owned()];
    for package in packages {
        install.push(match package.strip_suffix(FROM_EXPERIMENTAL) {
            Some(name) => of_experimental(root, name)?,
            None => package.clone(),
        });
    }
    apt(root, &log, "Installing PostgreSQL and a compiler in it", &install)?;
    apt(root, &log, "Clearing what was fetched", &["clean".to_owned()])?;
    fs::write(root.join(COMPLETED), packages.join("\n")).context("could not write")?;
    Ok(())
}

fn bootstrap(directory: &Path, release: &str) -> Result<()> {
    // What it mounts on the way is gone with its mount namespace.
    let mut command = Command::new("unshare");
    command.args([
        "--mount",
        "--propagation",
        "private",
        "debootstrap",
        "--variant=minbase",
        "--force-check-gpg",
    ]);
    command.arg(format!("--keyring={KEYRING}")).arg(release).arg(directory);
    let scripts = Path::new("/usr/share/debootstrap/scripts");
    let mirror = this_machines_mirror();
    let is_known = scripts.join(release).is_file();
    match (mirror, is_known) {
        (Some(mirror), true) => command.arg(mirror),
        // A release that is younger than debootstrap is made as the newest that it knows.
        (Some(mirror), false) => command.arg(mirror).arg(scripts.join("sid")),
        (None, true) => &mut command,
        (None, false) => {
            bail!("this debootstrap does not know {release}, and apt names no mirror of Debian")
        }
    };
    if let Some(proxy) = apt_setting("Acquire::http::Proxy") {
        command.env("http_proxy", proxy);
    }
    logged(&mut command, &directory.with_extension("log"), &format!("Making a small Debian {release}"))
}

/// The mirror of Debian that this machine's apt uses.
fn this_machines_mirror() -> Option<String> {
    let codename = super::os_release("VERSION_CODENAME")
        .filter(|_| super::os_release("ID").as_deref() == Some("debian"))?;
    let output = Command::new("apt-get")
        .args(["indextargets", "--format", "$(RELEASE) $(REPO_URI)", "Created-By: Packages"])
        .output()
        .ok()?;
    mirror_in(&String::from_utf8_lossy(&output.stdout), &codename)
}

fn mirror_in(targets: &str, codename: &str) -> Option<String> {
    let names = [codename, "stable", "oldstable", "testing", "unstable", "sid"];
    let targets = targets.lines().filter_map(|line| line.split_once(' '));
    let found = targets.filter(|(release, uri)| names.contains(release) && uri.starts_with("http"));
    found.map(|(_, uri)| uri.to_owned()).next()
}

fn apt_setting(name: &str) -> Option<String> {
    let output = Command::new("apt-config").args(["dump", "--format=%v", name]).output().ok()?;
    let value = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (!value.is_empty()).then_some(value)
}

/// How this machine's apt reaches its archives holds in there, too; servers are not started as they are installed.
fn configure(directory: &Path) -> Result<()> {
    let output = Command::new("apt-config").arg("dump").output().context("could not run apt-config")?;
    let settings = String::from_utf8_lossy(&output.stdout).into_owned();
    let etc = directory.join("etc");
    let write = |path: PathBuf, text: &str| -> Result<()> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| format!("could not make {}", parent.display()))?;
        }
        fs::write(&path, text).with_context(|| format!("could not write {}", path.display()))
    };
    write(etc.join("apt/apt.conf.d/50beside"), &acquiring(&settings))?;
    write(etc.join("postgresql-common/createcluster.conf"), "create_main_cluster = false\n")?;
    let policy = directory.join("usr/sbin/policy-rc.d");
    write(policy.clone(), "#!/bin/sh\nexit 101\n")?;
    fs::set_permissions(&policy, fs::Permissions::from_mode(0o755))
        .context("could not make a file executable")
}

/// The settings about reaching archives, in the form in which they were dumped.
fn acquiring(settings: &str) -> String {
    let wanted =
        ["Acquire::http", "Acquire::https", "Acquire::Check-", "Acquire::Retries", "Acquire::ForceIPv"];
    let lines = settings.lines().filter(|line| wanted.iter().any(|prefix| line.starts_with(prefix)));
    lines.map(|line| format!("{line}\n")).collect()
}

/// Lets apt see experimental, from which it installs nothing unless it is told to.
fn add_experimental(root: &Path) -> Result<()> {
    let list = root.join("etc/apt/sources.list");
    let sources = fs::read_to_string(&list).context("debootstrap left no list of sources")?;
    let path = root.join("etc/apt/sources.list.d/experimental.list");
    let line = experimental_source(&sources).context("debootstrap's list of sources is not understood")?;
    fs::write(&path, line).with_context(|| format!("could not write {}", path.display()))
}

/// The same archive with the other suite: `deb MIRROR sid main`.
fn experimental_source(sources: &str) -> Option<String> {
    let fields: Vec<&str> =
        sources.lines().find(|line| line.starts_with("deb "))?.split_whitespace().collect();
    let uri = fields.iter().find(|field| field.contains("://") || field.starts_with("file:"))?;
    Some(format!("deb {uri} experimental main\n"))
}

/// A package in the version that experimental has; by its name alone once it has left experimental.
fn of_experimental(root: &Path, name: &str) -> Result<String> {
    let output = within(root, "apt-cache").args(["madison", name]).output().context("could not ask apt")?;
    let version = experimental_version(&String::from_utf8_lossy(&output.stdout));
    Ok(version.map_or(name.to_owned(), |version| format!("{name}={version}")))
}

fn experimental_version(madison: &str) -> Option<String> {
    let found = madison.lines().find(|line| line.contains("experimental/"))?;
    Some(found.split('|').nth(1)?.trim().to_owned())
}

/// A program of the system, run as root within it.
fn within(root: &Path, program: &str) -> Command {
    let this = std::env::current_exe().unwrap_or_else(|_| "xtask".into());
    let mut command = Command::new(this);
    command.args(["as-root", "enter", "--user", "0", "--group", "0", "--directory", "/", "--root"]).arg(root);
    command.args(["--", "env", "--ignore-environment", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8"]);
    command.args(["PATH=/usr/sbin:/usr/bin:/sbin:/bin", program]);
    command
}

fn apt(root: &Path, log: &Path, title: &str, arguments: &[String]) -> Result<()> {
    logged(within(root, "apt-get").arg("--quiet").args(arguments), log, title)
}

/// Runs a program with its output in a file, the end of which is shown when it fails.
fn logged(command: &mut Command, log: &Path, title: &str) -> Result<()> {
    let step = Step::quiet(title);
    let file = File::create(log).with_context(|| format!("could not write {}", log.display()))?;
    let errors = file.try_clone().context("could not write the log")?;
    let status = command.stdin(Stdio::null()).stdout(file).stderr(errors).status();
    let status =
        status.with_context(|| format!("could not run {}", command.get_program().to_string_lossy()))?;
    if !status.success() {
        step.done_with("FAILED");
        let text = fs::read(log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        bail!(
            "{}\n(all of it is in {})",
            lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n"),
            log.display()
        );
    }
    step.done();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_that_of_the_release_itself() {
        let targets = "bookworm-security http://a.example/debian-security/\n\
                       nodistro https://b.example/node/\n\
                       bookworm-updates http://c.example/debian/\n\
                       bookworm http://d.example/debian/\n";
        assert_eq!(mirror_in(targets, "bookworm").as_deref(), Some("http://d.example/debian/"));
        assert_eq!(mirror_in(targets, "trixie"), None);
        assert_eq!(mirror_in("stable file:/media/cdrom/\n", "trixie"), None, "not to be seen from in there");
    }

    #[test]
    fn a_package_of_experimental_is_asked_for_by_its_version() {
        let madison = " libpq5 |  19~rc1-1 | http://d.example/debian experimental/main amd64 Packages\n \
                        libpq5 |     18.6-3 | http://d.example/debian sid/main amd64 Packages\n";
        assert_eq!(experimental_version(madison).as_deref(), Some("19~rc1-1"));
        assert_eq!(
            experimental_version(" libpq5 | 19.0-1 | http://d.example/debian sid/main amd64 Packages"),
            None
        );
        assert_eq!(
            experimental_source("deb http://d.example/debian sid main\n").as_deref(),
            Some("deb http://d.example/debian experimental main\n")
        );
        assert_eq!(experimental_source(""), None);
    }

    #[test]
    fn only_how_archives_are_reached_is_taken_over() {
        let settings = "APT::Get::Show-Versions \"1\";\nAcquire::http::Proxy \"http://p:1/\";\nAcquire::Check-Date \"false\";\n\
                        Acquire::GzipIndexes \"true\";\nDpkg::Post-Invoke:: \"x\";\n";
        assert_eq!(
            acquiring(settings),
            "Acquire::http::Proxy \"http://p:1/\";\nAcquire::Check-Date \"false\";\n"
        );
    }
}
