//! A plain image with PostgreSQL and the extension: the layers of a base image, and one with what the
//! Debian package installs. It is written without a daemon, as the image of [`super::oci`].

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::checksums::sha256;
use super::deb;
use super::oci::{CONFIG, INDEX, LAYER, MANIFEST, annotations, tag};
use super::product::{Product, architecture};
use super::tree::{Tree, append_file, gzip};

/// What stands for PostgreSQL's major version in the path of the base.
const MAJOR: &str = "NN";

/// Writes the image, and returns its path. `base` is the layout of an image for this architecture with
/// Debian's or the PostgreSQL project's packages, as a directory or an archive.
///
/// # Errors
///
/// If the base is no such image, or a file cannot be read or written.
pub fn build(product: &Product, base: &Path, output: &Path) -> Result<PathBuf> {
    let base = path_of_base(base, product.major)?;
    let unpacked = tempfile::tempdir().context("could not create a temporary directory")?;
    let base = if base.is_dir() { base } else { unpack(&base, unpacked.path())? };
    let cannot = || format!("could not add a layer to the image in {}", base.display());
    let image = Image::read(&base).and_then(|image| image.with_extension(product)).with_context(cannot)?;
    let path = output.join(format!("{}.image.tar", product.file_name()?));
    image.write(&base, &path, product.origin.date.0)?;
    Ok(path)
}

/// The base for a version of PostgreSQL.
fn path_of_base(base: &Path, major: u32) -> Result<PathBuf> {
    let path = base.to_str().context("the path of the base is not in UTF-8")?;
    Ok(PathBuf::from(path.replace(MAJOR, &major.to_string())))
}

fn unpack(archive: &Path, to: &Path) -> Result<PathBuf> {
    let file = File::open(archive).with_context(|| format!("could not open {}", archive.display()))?;
    tar::Archive::new(file).unpack(to).with_context(|| format!("could not unpack {}", archive.display()))?;
    Ok(to.to_owned())
}

/// An image: what is in its layout besides the layers of the base.
struct Image {
    manifest: Value,
    config: Value,
    /// Files that the base does not have.
    added: Tree,
    index: Value,
}

impl Image {
    /// The base.
    fn read(layout: &Path) -> Result<Self> {
        let index: Value = parse(&read(&layout.join("index.json"))?)?;
        let manifests = index.pointer("/manifests").and_then(Value::as_array).context("no manifests")?;
        let [manifest] = &manifests[..] else {
            bail!("{} images instead of one; copy that of one platform", manifests.len())
        };
        let manifest: Value = parse(&blob(layout, manifest)?)?;
        let kind = manifest.get("mediaType").and_then(Value::as_str).unwrap_or(MANIFEST);
        ensure!(kind == MANIFEST, "the manifest is of type {kind}; skopeo copies it to one of OCI");
        let config = parse(&blob(layout, manifest.get("config").context("no configuration")?)?)?;
        Ok(Self { manifest, config, added: Tree::default(), index: Value::Null })
    }

    /// With one more layer.
    fn with_extension(mut self, product: &Product) -> Result<Self> {
        self.check(product)?;
        let mut files = product.extension(&deb::places(product.major))?;
        files.add_tree("usr/share/doc/pg_keyspace", product.origin.licences()?);
        let layer = files.tar("", product.origin.date.0)?;
        let difference = format!("sha256:{}", sha256(&layer));
        let created = product.origin.date.format("%Y-%m-%dT%H:%M:%SZ")?;
        push(&mut self.config, "/rootfs/diff_ids", json!(difference))?;
        // The base need not have a history.
        if self.config.get("history").is_some() {
            let step = json!({"created": created, "created_by": "cargo xtask package --kind image"});
            push(&mut self.config, "/history", step)?;
        }
        set(&mut self.config, "created", json!(created))?;
        let layer = self.add(LAYER, gzip(&layer)?);
        push(&mut self.manifest, "/layers", layer)?;
        let config = self.add(CONFIG, self.config.to_string().into_bytes());
        set(&mut self.manifest, "config", config)?;
        set(&mut self.manifest, "mediaType", json!(MANIFEST))?;
        set(&mut self.manifest, "annotations", annotations(product)?)?;
        let mut manifest = self.add(MANIFEST, self.manifest.to_string().into_bytes());
        set(&mut manifest, "platform", json!({"architecture": architecture()?, "os": "linux"}))?;
        set(&mut manifest, "annotations", json!({"org.opencontainers.image.ref.name": tag(product)}))?;
        self.index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [manifest]});
        Ok(self)
    }

    /// Whether the library runs in the base, as far as its configuration says.
    fn check(&self, product: &Product) -> Result<()> {
        let found = self.config.get("architecture").and_then(Value::as_str).unwrap_or_default();
        let wanted = architecture()?;
        ensure!(found == wanted, "the image is for {found:?}, and the library for {wanted}");
        // Set by the official images; others need not have them.
        if let Some(major) = self.variable("PG_MAJOR") {
            let wanted = product.major.to_string();
            ensure!(major == wanted, "the image has PostgreSQL {major}, and the library is for {wanted}");
        }
        if let (Some(version), Some(least)) = (self.variable("PG_VERSION"), product.library.minor) {
            // Such as 17.6-1.pgdg13+1. A beta has no minor release, and lacks none that the library needs.
            let (release, _) = version.split_once('-').unwrap_or((version, ""));
            let minor = release.split_once('.').and_then(|(_, minor)| minor.parse::<u32>().ok());
            ensure!(
                minor.is_none_or(|minor| minor >= least),
                "the image has PostgreSQL {release}, and the library needs {}.{least}",
                product.major
            );
        }
        Ok(())
    }

    /// A variable of the environment.
    fn variable(&self, name: &str) -> Option<&str> {
        let variables = self.config.pointer("/config/Env").and_then(Value::as_array)?;
        let mut variables = variables.iter().filter_map(|it| it.as_str()?.split_once('='));
        variables.find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// Adds a file, and returns the descriptor that leads to it.
    fn add(&mut self, kind: &str, contents: Vec<u8>) -> Value {
        let (digest, size) = (sha256(&contents), contents.len());
        self.added.add(format!("blobs/sha256/{digest}"), contents);
        json!({"mediaType": kind, "digest": format!("sha256:{digest}"), "size": size})
    }

    /// Writes the layout: the layers that the manifest names, and what was added.
    fn write(&self, base: &Path, path: &Path, date: u64) -> Result<()> {
        let cannot = || format!("could not write {}", path.display());
        let mut archive = tar::Builder::new(File::create(path).with_context(cannot)?);
        let mut files = self.added.clone();
        files.add("index.json", self.index.to_string());
        files.add("oci-layout", json!({"imageLayoutVersion": "1.0.0"}).to_string());
        files.append_to(&mut archive, date).with_context(cannot)?;
        let layers = self.manifest.pointer("/layers").and_then(Value::as_array).context("no layers")?;
        for layer in layers {
            let name = name(layer)?;
            if self.added.paths().any(|added| added == name) {
                continue;
            }
            // Layers are large, and copied as they are.
            let contents = blob(base, layer)?;
            append_file(&mut archive, &name, &contents, date).with_context(cannot)?;
        }
        archive.finish().with_context(cannot)
    }
}

/// The path of the file that a descriptor names, below the layout.
fn name(descriptor: &Value) -> Result<String> {
    let digest = descriptor.get("digest").and_then(Value::as_str).context("no digest")?;
    let digest = digest.strip_prefix("sha256:").context("not a digest of SHA-256")?;
    let is_digest = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    ensure!(is_digest, "not a digest: {digest:?}");
    Ok(format!("blobs/sha256/{digest}"))
}

/// The file that a descriptor names, if its digest is right.
fn blob(layout: &Path, descriptor: &Value) -> Result<Vec<u8>> {
    let name = name(descriptor)?;
    let contents = read(&layout.join(&name))?;
    ensure!(name.ends_with(&sha256(&contents)), "{name} has another digest");
    Ok(contents)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let name = || path.file_name().unwrap_or(OsStr::new("")).to_string_lossy().into_owned();
    std::fs::read(path).with_context(|| format!("could not read {}", name()))
}

fn parse(contents: &[u8]) -> Result<Value> {
    serde_json::from_slice(contents).context("not JSON")
}

fn push(value: &mut Value, place: &str, item: Value) -> Result<()> {
    let list = value.pointer_mut(place).and_then(Value::as_array_mut);
    list.with_context(|| format!("{place} is no list"))?.push(item);
    Ok(())
}

fn set(value: &mut Value, name: &str, item: Value) -> Result<()> {
    value.as_object_mut().context("not an object")?.insert(name.to_owned(), item);
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    /// The layout of a base with one layer, whose configuration is changed.
    fn base(directory: &Path, change: impl Fn(&mut Value)) {
        let blobs = directory.join("blobs/sha256");
        std::fs::create_dir_all(&blobs).expect("a directory");
        let write = |kind: &str, contents: Vec<u8>| {
            let digest = sha256(&contents);
            std::fs::write(blobs.join(&digest), &contents).expect("a file");
            json!({"mediaType": kind, "digest": format!("sha256:{digest}"), "size": contents.len()})
        };
        let mut config = json!({
            "architecture": architecture().expect("an architecture"), "os": "linux",
            "config": {"Env": ["PG_MAJOR=17", "PG_VERSION=17.12-1.pgdg13+1"], "Cmd": ["postgres"]},
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", sha256(b"layer"))]},
            "history": [{"created_by": "others"}],
        });
        change(&mut config);
        let layer = write(LAYER, b"layer".to_vec());
        let config = write(CONFIG, config.to_string().into_bytes());
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": [layer]});
        let manifest = write(MANIFEST, manifest.to_string().into_bytes());
        let index = json!({"schemaVersion": 2, "manifests": [manifest]});
        std::fs::write(directory.join("index.json"), index.to_string()).expect("a file");
    }

    #[test]
    fn the_image_is_the_base_with_one_more_layer() {
        let directory = tempfile::tempdir().expect("a directory");
        let layout = directory.path().join("postgres-17");
        base(&layout, |_| {});
        let path = build(&Product::made_up(17), &directory.path().join("postgres-NN"), directory.path());
        let unpacked = directory.path().join("unpacked");
        unpack(&path.expect("an image"), &unpacked).expect("unpacked");
        let image = Image::read(&unpacked).expect("an image");
        let layers = image.manifest["layers"].as_array().expect("layers");
        assert_eq!(layers.len(), 2);
        assert_eq!(blob(&unpacked, &layers[0]).expect("a layer"), b"layer");
        assert_eq!(image.config["config"]["Cmd"][0], "postgres", "it starts as the base does");
        assert_eq!(image.config["history"].as_array().map(Vec::len), Some(2));
        let mut layer = Vec::new();
        let packed = blob(&unpacked, &layers[1]).expect("a layer");
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&packed[..]), &mut layer).expect("gzip");
        assert_eq!(image.config["rootfs"]["diff_ids"][1], format!("sha256:{}", sha256(&layer)));
        let mut archive = tar::Archive::new(&layer[..]);
        let paths: Vec<String> = archive
            .entries()
            .expect("entries")
            .map(|entry| entry.expect("an entry").path().expect("a path").display().to_string())
            .collect();
        for path in ["usr/lib/postgresql/17/lib/pg_keyspace.so", "usr/share/doc/pg_keyspace/LICENSE"] {
            assert!(paths.iter().any(|found| found == path), "{path} is not among {paths:?}");
        }
    }

    #[test]
    fn a_base_that_does_not_fit_is_refused() {
        let error = |change: &dyn Fn(&mut Value)| {
            let directory = tempfile::tempdir().expect("a directory");
            base(directory.path(), change);
            let built = build(&Product::made_up(17), directory.path(), directory.path());
            format!("{:#}", built.expect_err("refused"))
        };
        let other = error(&|config| config["config"]["Env"] = json!(["PG_MAJOR=16"]));
        assert!(other.ends_with("the image has PostgreSQL 16, and the library is for 17"), "{other}");
        let other = error(&|config| config["config"]["Env"] = json!(["PG_VERSION=17.6-1.pgdg13+1"]));
        assert!(other.ends_with("the image has PostgreSQL 17.6, and the library needs 17.12"), "{other}");
        let other = error(&|config| config["architecture"] = json!("s390x"));
        assert!(other.contains("the image is for \"s390x\""), "{other}");
        let other = error(&|config| config["rootfs"] = json!({}));
        assert!(other.ends_with("/rootfs/diff_ids is no list"), "{other}");
    }

    #[test]
    fn a_piece_of_the_base_that_was_changed_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        base(directory.path(), |_| {});
        let layer = directory.path().join("blobs/sha256").join(sha256(b"layer"));
        std::fs::write(layer, "other").expect("a file");
        let built = build(&Product::made_up(17), directory.path(), directory.path());
        assert!(format!("{:#}", built.expect_err("refused")).ends_with("has another digest"));
        let outside = json!({"digest": format!("sha256:{}", "../".repeat(21) + "x")});
        assert!(name(&outside).is_err(), "no path out of the layout");
    }
}
