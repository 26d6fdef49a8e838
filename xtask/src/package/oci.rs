//! An image for an image volume: only the extension's files, in an OCI layout within a tar archive.
//!
//! Kubernetes mounts such an image into the container of PostgreSQL, which finds the extension by
//! `extension_control_path` and `dynamic_library_path` (PostgreSQL 18). The layout is the one that
//! CloudNativePG expects. No daemon is needed: an image is an archive, and JSON with checksums
//! (<https://github.com/opencontainers/image-spec>).

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::checksums::sha256;
use super::product::{DESCRIPTION, Product, architecture};
use super::tarball;
use super::tree::{Tree, gzip};

/// The first version of PostgreSQL that finds extensions in other directories.
pub const FIRST: u32 = 18;

/// A user that exists nowhere, as in the images of CloudNativePG.
const USER: &str = "65532:65532";

/// The type of a layer.
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// The type of an image's configuration.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The type of the list of an image's parts.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The type of the list of images.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Writes the image, and returns its path.
///
/// # Errors
///
/// If a file cannot be read or written.
pub fn build(product: &Product, output: &Path) -> Result<PathBuf> {
    let path = output.join(format!("{}.oci.tar", product.file_name()?));
    let archive = layout(product)?.tar("", product.origin.date.0)?;
    std::fs::write(&path, archive).with_context(|| format!("could not write {}", path.display()))?;
    Ok(path)
}

/// The tag of the image.
pub fn tag(product: &Product) -> String {
    format!("{}-{}", product.origin.version.plain(), product.major)
}

/// The layout: checksummed pieces, and an index that names the first of them.
fn layout(product: &Product) -> Result<Tree> {
    let mut tree = Tree::default();
    let mut add = |kind: &str, contents: Vec<u8>| {
        let digest = sha256(&contents);
        let descriptor =
            json!({"mediaType": kind, "digest": format!("sha256:{digest}"), "size": contents.len()});
        tree.add(format!("blobs/sha256/{digest}"), contents);
        descriptor
    };
    let layer = files(product)?.tar("", product.origin.date.0)?;
    let difference = sha256(&layer);
    let layer = add(LAYER, gzip(&layer)?);
    let config = add(CONFIG, config(product, &difference)?.to_string().into_bytes());
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer],
        "annotations": annotations(product)?,
    });
    let mut manifest = add(MANIFEST, manifest.to_string().into_bytes());
    if let Some(fields) = manifest.as_object_mut() {
        fields.insert("platform".to_owned(), json!({"architecture": architecture()?, "os": "linux"}));
        fields.insert("annotations".to_owned(), json!({"org.opencontainers.image.ref.name": tag(product)}));
    }
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [manifest]});
    tree.add("index.json", index.to_string());
    tree.add("oci-layout", json!({"imageLayoutVersion": "1.0.0"}).to_string());
    Ok(tree)
}

fn files(product: &Product) -> Result<Tree> {
    let mut tree = product.extension(&tarball::places())?;
    tree.add_tree("licenses/pg_keyspace", product.origin.licences()?);
    Ok(tree)
}

fn config(product: &Product, difference: &str) -> Result<Value> {
    let created = product.origin.date.format("%Y-%m-%dT%H:%M:%SZ")?;
    Ok(json!({
        "created": created,
        "architecture": architecture()?,
        "os": "linux",
        "config": {"User": USER, "Labels": annotations(product)?},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{difference}")]},
        "history": [{"created": created, "created_by": "cargo xtask package --kind oci"}],
    }))
}

/// What the image says of itself.
pub fn annotations(product: &Product) -> Result<Value> {
    Ok(json!({
        "org.opencontainers.image.title": "pg_keyspace",
        "org.opencontainers.image.description": DESCRIPTION.replace('\n', " "),
        "org.opencontainers.image.version": product.origin.version.plain(),
        "org.opencontainers.image.licenses": "PostgreSQL",
        "org.opencontainers.image.created": product.origin.date.format("%Y-%m-%dT%H:%M:%SZ")?,
        "org.postgresql.version": product.least_server().unwrap_or(product.major.to_string()),
        "org.gnu.libc": product.library.binary.glibc.to_string(),
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::collections::BTreeMap;
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    fn unpacked(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut archive = tar::Archive::new(archive);
        let entries = archive.entries().expect("entries").map(|entry| {
            let mut entry = entry.expect("an entry");
            let mut contents = Vec::new();
            entry.read_to_end(&mut contents).expect("contents");
            (entry.path().expect("a path").display().to_string(), contents)
        });
        entries.collect()
    }

    /// What a client of a registry checks as it follows the index to the files.
    #[test]
    fn digests_lead_from_the_index_to_the_files() {
        let product = Product::made_up(18);
        let directory = tempfile::tempdir().expect("a directory");
        let image = std::fs::read(build(&product, directory.path()).expect("an image")).expect("a file");
        let layout = unpacked(&image);
        let json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).expect("JSON");
        let blob = |descriptor: &Value| {
            let digest =
                descriptor["digest"].as_str().expect("a digest").strip_prefix("sha256:").expect("SHA-256");
            let contents = layout.get(&format!("blobs/sha256/{digest}")).expect("a piece").clone();
            assert_eq!(sha256(&contents), digest);
            assert_eq!(descriptor["size"], contents.len());
            contents
        };
        assert_eq!(json(&layout["oci-layout"])["imageLayoutVersion"], "1.0.0");
        let index = json(&layout["index.json"]);
        assert_eq!(index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"], tag(&product));
        let manifest = json(&blob(&index["manifests"][0]));
        let config = json(&blob(&manifest["config"]));
        let mut layer = Vec::new();
        let packed = blob(&manifest["layers"][0]);
        GzDecoder::new(&packed[..]).read_to_end(&mut layer).expect("gzip");
        assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{}", sha256(&layer)));
        assert_eq!(config["architecture"], architecture().expect("an architecture"));
        let files = unpacked(&layer);
        assert_eq!(files["lib/pg_keyspace.so"], b"code");
        assert!(files.contains_key("share/extension/pg_keyspace.control"));
        assert!(files.contains_key("licenses/pg_keyspace/THIRD-PARTY.md"));
    }
}
