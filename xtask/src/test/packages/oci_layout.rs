//! Images as a container runtime reads them: from the index to the layers.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use xshell::{Shell, cmd};

/// Unpacks the layout of an image into a directory, and returns the files of its layers.
pub fn layers(image: &Path, to: &Path) -> Result<Vec<PathBuf>> {
    tar::Archive::new(open(image)?).unpack(to).context("could not unpack the image")?;
    let index = json(&to.join("index.json"))?;
    let manifest = json(&blob(to, index.pointer("/manifests/0").context("no manifest")?)?)?;
    let layers = manifest.get("layers").and_then(Value::as_array).context("no layers")?;
    layers.iter().map(|layer| blob(to, layer)).collect()
}

/// The file that a descriptor names, whose digest is compared.
fn blob(layout: &Path, descriptor: &Value) -> Result<PathBuf> {
    let digest = descriptor.get("digest").and_then(Value::as_str).context("no digest")?;
    let digest = digest.strip_prefix("sha256:").context("not a digest of SHA-256")?;
    let path = layout.join("blobs/sha256").join(digest);
    let sh = Shell::new().context("there is no working directory")?;
    let found = cmd!(sh, "sha256sum {path}").quiet().read()?;
    ensure!(found.starts_with(digest), "{} has another digest", path.display());
    Ok(path)
}

fn json(path: &Path) -> Result<Value> {
    serde_json::from_reader(open(path)?).with_context(|| format!("{} is not JSON", path.display()))
}

/// Opens a file.
pub fn open(path: &Path) -> Result<File> {
    File::open(path).with_context(|| format!("could not open {}", path.display()))
}
