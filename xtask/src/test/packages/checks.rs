//! Checks of packages by the tools of their distributions, if these are installed.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use xtask::prerequisites::is_there;

use crate::package::{Kind, Packages};
use crate::test::tally::Tally;

/// What lintian reports on a package from outside of Debian's archive, each with the reason.
const LINTIAN_SUPPRESSED: [&str; 1] = [
    // The first upload to Debian closes the bug in which the package was proposed.
    "initial-upload-closes-no-bugs",
];

/// Runs them.
pub fn run(what: &str, packages: &Packages, tally: &mut Tally) {
    for (kind, program, check) in [
        (Kind::Deb, "lintian", lintian as fn(&Path) -> Result<()>),
        (Kind::Rpm, "rpmlint", rpmlint as fn(&Path) -> Result<()>),
    ] {
        let title = format!("{program} has nothing to say on {what}");
        if is_there(program) {
            tally.check(&title, packages.file(kind).and_then(check));
        } else {
            tally.skip(&title, &format!("{program} is not installed"));
        }
    }
}

fn lintian(package: &Path) -> Result<()> {
    let suppressed = LINTIAN_SUPPRESSED.join(",");
    let mut command = Command::new("lintian");
    command.args(["--fail-on", "error,warning", "--suppress-tags", &suppressed, "--allow-root"]).arg(package);
    succeed(command)
}

fn rpmlint(package: &Path) -> Result<()> {
    let configuration = tempfile::Builder::new().suffix(".toml").tempfile();
    let configuration = configuration.context("could not make a file")?;
    std::fs::write(configuration.path(), RPMLINT).context("could not write the configuration of rpmlint")?;
    let mut command = Command::new("rpmlint");
    command.arg("--strict").arg("--config").arg(configuration.path()).arg(package);
    succeed(command)
}

/// What rpmlint must not report, each with the reason.
const RPMLINT: &str = r#"
# Fedora and its descendants compress man pages by gzip; the default is Mandriva's.
CompressExtension = "gz"
Filters = [
    # The PostgreSQL project's own directory.
    "non-standard-dir-in-usr pgsql-",
    # The project has no home page yet, and whoever publishes the package signs it.
    "no-url-tag",
    "no-signature",
    # Groups are no longer used.
    "no-group-tag",
    # PostgreSQL loads the library by its file name.
    "no-soname",
    # Every glibc since 2.5 reads the other kind of hash table.
    "missing-hash-section",
    # It is the identifier in SPDX.
    "invalid-license PostgreSQL",
    # rpmlint 2.4 collects the sections of man pages in place of their names, so it misses the page of every
    # program. The test of the RPM looks for ours.
    "no-manual-page-for-binary pg_keyspace$",
]
"#;

fn succeed(mut command: Command) -> Result<()> {
    let output = command.env("LC_ALL", "C.UTF-8").output().context("could not run the program")?;
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{text}");
    Ok(())
}
