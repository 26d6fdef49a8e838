//! The extension in a directory outside of PostgreSQL's own (`extension_control_path`, from
//! PostgreSQL 18 on): that of the unpacked archive, and an image volume.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use flate2::read::GzDecoder;

use xtask::container::{self, Release};
use xtask::fresh_system::shell_in_container;
use xtask::prerequisites::Options;

use super::oci_layout::{layers, open};
use super::script::{run_script, with_shared};
use crate::package::{FIRST_WITH_IMAGE, Kind, Packages};
use crate::test::tally::Tally;

const SCRIPT: &str = include_str!("directory.sh");

/// Where an image volume is, as CloudNativePG mounts it.
const MOUNTED: &str = "/mnt/extensions/pg_keyspace";

/// Uses the extension from there, on two servers for each form.
pub fn run(options: &Options, this: &Packages, tally: &mut Tally) -> Result<()> {
    let title = "the extension in a directory outside of PostgreSQL's";
    let major = this.major()?;
    let Some(release) = Release::with(major).filter(|_| major >= FIRST_WITH_IMAGE) else {
        tally.skip(title, &format!("PostgreSQL {major} has no extension_control_path"));
        return Ok(());
    };
    container::ensure_made(options, release)?;
    let unpacked = tempfile::tempdir().context("could not create a temporary directory")?;
    // The servers' user has to get in.
    set_readable(unpacked.path())?;
    let archive = unpacked.path().join("archive");
    let forms = [
        ("the archive", unpacked_archive(this.file(Kind::Tar)?, &archive)?),
        ("the image", unpacked_image(this.file(Kind::Oci)?, &unpacked.path().join("image"))?),
    ];
    for (form, directory) in forms {
        let (major, version) = (major.to_string(), &this.version);
        let arguments = [major.as_str(), MOUNTED, version.as_str(), form].map(OsStr::new);
        let mounts = [(directory.as_path(), MOUNTED)];
        let command = shell_in_container(release, &with_shared(SCRIPT), &arguments, &mounts)?;
        run_script(&format!("Loading the extension from {form}"), command, tally)?;
    }
    Ok(())
}

fn set_readable(directory: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let permissions = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(directory, permissions).context("could not open the directory to others")
}

/// Unpacks the image, and returns the directory with its files.
fn unpacked_image(image: &Path, to: &Path) -> Result<PathBuf> {
    let files = to.join("files");
    for layer in layers(image, &to.join("layout"))? {
        tar::Archive::new(GzDecoder::new(open(&layer)?))
            .unpack(&files)
            .context("could not unpack a layer")?;
    }
    Ok(files)
}

/// Unpacks the archive, and returns the directory in it.
fn unpacked_archive(archive: &Path, to: &Path) -> Result<PathBuf> {
    tar::Archive::new(GzDecoder::new(open(archive)?)).unpack(to).context("could not unpack the archive")?;
    let mut entries = std::fs::read_dir(to).context("could not read the unpacked archive")?;
    let top = entries.next().context("the archive is empty")??.path();
    ensure!(entries.next().is_none(), "the archive has more than one directory at its top");
    Ok(top)
}
