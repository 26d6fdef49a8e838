//! Programs of Debian's packages that are only unpacked, because installing them would start a service
//! of the machine.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use xshell::{Shell, cmd};
use xtask::prerequisites::{Options, agrees, apt_has, succeeds};
use xtask::step::Step;

/// A program that tests use.
pub struct Program {
    /// Its path below the root of a system.
    pub path: &'static str,
    /// Its package, and then those of its libraries that a server does not need. A library may have
    /// different names in different releases; those that apt does not have are left out.
    pub packages: &'static [&'static str],
}

impl Program {
    fn name(&self) -> &'static str {
        self.path.rsplit('/').next().unwrap_or(self.path)
    }

    fn is_installed(&self) -> bool {
        succeeds(Command::new(self.name()).arg("--version"))
    }
}

/// Unpacks programs below a directory, where the tests look for them.
pub fn unpack(options: &Options, directory: &Path, programs: &[Program]) {
    for program in programs {
        let packages: Vec<&str> = program.packages.iter().copied().filter(|name| apt_has(name)).collect();
        let is_offered = packages.first() == program.packages.first();
        if directory.join(program.path).exists() || program.is_installed() || !is_offered {
            continue;
        }
        let names = packages.join(" ");
        match agrees(options, &format!("Unpack {names} below {}?", directory.display())) {
            Ok(true) => {}
            Ok(false) => {
                println!("Not unpacked ({names}): the tests that use {} are skipped", program.name());
                continue;
            }
            Err(error) => return println!("Not unpacked ({names}): {error:#}"),
        }
        let step = Step::verbose(format!("Unpacking {names}"));
        match unpack_packages(&packages, directory) {
            Ok(()) => step.done(),
            Err(error) => println!("Not unpacked ({names}): {error:#}"),
        }
    }
}

fn unpack_packages(packages: &[&str], directory: &Path) -> Result<()> {
    let downloads = directory.join("downloads");
    std::fs::create_dir_all(&downloads).context("could not create a directory")?;
    let sh = Shell::new().context("there is no working directory")?;
    sh.change_dir(&downloads);
    cmd!(sh, "apt-get download --quiet --quiet {packages...}").quiet().ignore_stderr().run()?;
    for file in sh.read_dir(&downloads)? {
        cmd!(sh, "dpkg-deb --extract {file} {directory}").quiet().run()?;
    }
    sh.remove_path(&downloads)?;
    Ok(())
}
