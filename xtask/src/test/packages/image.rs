//! The image with PostgreSQL: its base is a fresh system with a server, and it runs from its unpacked
//! layers.

use std::ffi::OsStr;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use xtask::container::Release;
use xtask::fresh_system::FreshSystem;
use xtask::prerequisites::Options;

use super::oci_layout::layers;
use super::script::{run_script, with_shared};
use crate::package::{self, Packages, sha256};
use crate::test::tally::Tally;

/// Installs the server alone. Arguments: its major version.
const INSTALL: &str = include_str!("image_base.sh");

/// Uses the extension.
const SCRIPT: &str = include_str!("directory.sh");

/// Makes a base, builds the image on it, and uses the extension in it.
pub fn run(options: &Options, this: &Packages, tally: &mut Tally) -> Result<()> {
    let title = "the image with PostgreSQL";
    let major = this.major()?;
    let Some(release) = Release::with(major).filter(|release| release.is_released()) else {
        tally.skip(title, &format!("no release of Debian has PostgreSQL {major} yet"));
        return Ok(());
    };
    let directory = tempfile::tempdir().context("could not create a temporary directory")?;
    let base = directory.path().join("base");
    make_base(options, release, &base, tally)?;
    let image = package::build_image(options, &base, directory.path())?;
    let system = FreshSystem::of_layers(options, release, &layers(&image, &directory.path().join("image"))?)?;
    let major = major.to_string();
    let arguments = [major.as_str(), "", this.version.as_str(), title].map(OsStr::new);
    let command = system.shell(&with_shared(SCRIPT), &arguments, &[])?;
    run_script("Using the extension in an image with PostgreSQL", command, tally)
}

/// The layout of an image with the server, whose only layer is a fresh system.
fn make_base(options: &Options, release: Release, base: &Path, tally: &mut Tally) -> Result<()> {
    let blobs = base.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).context("could not make a directory")?;
    let system = FreshSystem::new(options, release)?;
    let major = release.major.to_string();
    let command = system.shell(&with_shared(INSTALL), &[OsStr::new(&major)], &[])?;
    run_script("Installing PostgreSQL into the base of an image", command, tally)?;
    let layer = base.join("layer.tar");
    system.archive(&layer)?;
    let add = |kind: &str, contents: Vec<u8>| -> Result<Value> {
        let (digest, size) = (sha256(&contents), contents.len());
        std::fs::write(blobs.join(&digest), contents).context("could not write a part of the base")?;
        Ok(json!({"mediaType": kind, "digest": format!("sha256:{digest}"), "size": size}))
    };
    let layer = add(
        "application/vnd.oci.image.layer.v1.tar",
        std::fs::read(&layer).context("could not read the layer of the base")?,
    )?;
    let config = json!({
        "architecture": package::architecture()?, "os": "linux",
        "config": {"Env": [format!("PG_MAJOR={major}")]},
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
    });
    let config = add("application/vnd.oci.image.config.v1+json", config.to_string().into_bytes())?;
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": [layer]}).to_string().into_bytes();
    let manifest = add("application/vnd.oci.image.manifest.v1+json", manifest)?;
    let index = json!({"schemaVersion": 2, "manifests": [manifest]});
    std::fs::write(base.join("index.json"), index.to_string()).context("could not write the base")
}
