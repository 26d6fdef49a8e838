//! `--pg`: which versions of PostgreSQL a command is for, and where each is found.

use std::ffi::{OsStr, OsString};

use anyhow::{Result, bail};

use crate::container::{self, Release};
use crate::prerequisites::{self, Options, SUPPORTED, Wanted};

/// The versions that are tested wherever `--pg all` runs. No release of Debian has 16: it is tested as well where it is
/// on the machine or among its packages.
pub const TESTED: [u32; 4] = [15, 17, 18, 19];

/// Where a version of PostgreSQL is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On this machine, or available as a package.
    Here,
    /// In a container.
    Container(Release),
}

/// Where the version that the options name is or will be.
///
/// # Errors
///
/// When it is neither here nor in any release of Debian.
pub fn place(options: &Options) -> Result<Place> {
    match options.pg {
        None => Ok(Place::Here),
        Some(Wanted::All) => bail!("\"--pg all\" is for demo, test and package; name one version"),
        Some(Wanted::One(_)) if options.names_path() => Ok(Place::Here),
        Some(Wanted::One(major)) => place_of(major),
    }
}

fn place_of(major: u32) -> Result<Place> {
    if prerequisites::has_server(major) || container::is_offered_here(major) {
        return Ok(Place::Here);
    }
    match Release::with(major) {
        Some(release) => Ok(Place::Container(release)),
        None => bail!(
            "PostgreSQL {major} is not on this machine, and no release of Debian has it; install \
             postgresql-server-dev-{major} from the PostgreSQL project's own packages (https://apt.postgresql.org), or \
             name it by --pg-config PATH"
        ),
    }
}

/// The versions that `--pg all` runs, each where it is, and those that it has to leave out with the reason.
pub fn all(options: &Options) -> (Vec<u32>, Vec<(u32, String)>) {
    let (mut found, mut left_out) = (Vec::new(), Vec::new());
    for major in SUPPORTED {
        match place(&options.of_version(major)) {
            Err(error) if !TESTED.contains(&major) => left_out.push((major, format!("{error:#}"))),
            // Also where what is tested fails: then the run does.
            _ => found.push(major),
        }
    }
    (found, left_out)
}

/// The options for each version that they name, one after the other.
pub fn each(options: &Options) -> Vec<Options> {
    match options.pg {
        Some(Wanted::All) => all(options).0.into_iter().map(|major| options.of_version(major)).collect(),
        _ => vec![options.clone()],
    }
}

/// The arguments of this call for one version.
pub fn arguments_for(major: u32) -> Vec<OsString> {
    with_version(std::env::args_os().skip(1), major)
}

fn with_version(arguments: impl Iterator<Item = OsString>, major: u32) -> Vec<OsString> {
    let mut changed = Vec::new();
    let mut is_value = false;
    for argument in arguments {
        if is_value {
            changed.push(major.to_string().into());
        } else if argument.to_str().is_some_and(|text| text.starts_with("--pg=")) {
            changed.push(format!("--pg={major}").into());
        } else {
            changed.push(argument.clone());
        }
        is_value = !is_value && argument == OsStr::new("--pg");
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_version_changes_among_the_arguments() {
        let changed = |arguments: &[&str]| {
            let arguments = arguments.iter().map(OsString::from);
            with_version(arguments, 17).iter().map(|a| a.to_string_lossy().into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(
            changed(&["test", "--pg", "all", "--only", "unit"]),
            ["test", "--pg", "17", "--only", "unit"]
        );
        assert_eq!(changed(&["test", "--pg=all", "pg"]), ["test", "--pg=17", "pg"]);
        assert_eq!(changed(&["demo", "--pg-config", "x"]), ["demo", "--pg-config", "x"]);
    }
}
