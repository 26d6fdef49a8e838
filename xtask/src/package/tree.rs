//! The files of a package, before they have a format.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use flate2::{Compression, GzBuilder};

/// The permissions of directories and programs, and those of all other files.
const EXECUTABLE: u32 = 0o755;
const PLAIN: u32 = 0o644;

/// Files by their path below the root of the package, without a leading slash.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    files: BTreeMap<String, File>,
}

#[derive(Clone, Debug)]
struct File {
    contents: Vec<u8>,
    mode: u32,
}

impl Tree {
    /// Adds a file that everybody may read.
    pub fn add(&mut self, path: impl Into<String>, contents: impl Into<Vec<u8>>) {
        self.files.insert(path.into(), File { contents: contents.into(), mode: PLAIN });
    }

    /// Adds a file that everybody may read and run.
    pub fn add_program(&mut self, path: impl Into<String>, contents: impl Into<Vec<u8>>) {
        self.files.insert(path.into(), File { contents: contents.into(), mode: EXECUTABLE });
    }

    /// Lets everybody run a file, if it is in the tree.
    pub fn make_executable(&mut self, path: &str) {
        if let Some(file) = self.files.get_mut(path) {
            file.mode = EXECUTABLE;
        }
    }

    /// Adds the files of another tree below a directory.
    pub fn add_tree(&mut self, directory: &str, other: Self) {
        let files = other.files.into_iter();
        self.files.extend(files.map(|(path, file)| (format!("{directory}/{path}"), file)));
    }

    /// The paths of all files, in order.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// The directories that hold the files, each after the one that it is in.
    pub fn directories(&self) -> BTreeSet<&str> {
        let ancestors = self.paths().flat_map(|path| path.match_indices('/').map(|(at, _)| &path[..at]));
        ancestors.collect()
    }

    /// The space that an installation takes, in KiB, as dpkg counts it.
    pub fn installed_kib(&self) -> u64 {
        let files = self.files.values().map(|file| (file.contents.len() as u64).div_ceil(1024));
        files.sum::<u64>() + self.directories().len() as u64
    }

    /// Writes the files below a directory. All files and directories get the same time.
    pub fn write(&self, root: &Path, date: u64) -> Result<()> {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(date);
        std::fs::create_dir_all(root).with_context(|| cannot("make", root))?;
        // Whatever the umask is.
        set_mode(root, EXECUTABLE)?;
        for directory in self.directories() {
            let path = root.join(directory);
            std::fs::create_dir_all(&path).with_context(|| cannot("make", &path))?;
            set_mode(&path, EXECUTABLE)?;
        }
        for (path, file) in &self.files {
            let path = root.join(path);
            std::fs::write(&path, &file.contents).with_context(|| cannot("write", &path))?;
            set_mode(&path, file.mode)?;
            set_time(&path, time)?;
        }
        // Last, because writing a file changes the time of its directory.
        for directory in self.directories() {
            set_time(&root.join(directory), time)?;
        }
        set_time(root, time)?;
        Ok(())
    }

    /// A tar archive, the same for the same files on every machine. `top` is a directory for all of
    /// them, or empty.
    pub fn tar(&self, top: &str, date: u64) -> Result<Vec<u8>> {
        ensure!(!self.files.is_empty(), "an archive without files");
        let mut inside = self.clone();
        if !top.is_empty() {
            inside = Self::default();
            inside.add_tree(top, self.clone());
        }
        let mut archive = tar::Builder::new(Vec::new());
        inside.append_to(&mut archive, date)?;
        archive.into_inner().context("could not end the archive")
    }

    /// Adds directories and files to an archive.
    pub fn append_to<W: Write>(&self, archive: &mut tar::Builder<W>, date: u64) -> Result<()> {
        for directory in self.directories() {
            let mut header = header(tar::EntryType::Directory, 0, EXECUTABLE, date);
            archive.append_data(&mut header, format!("{directory}/"), std::io::empty())?;
        }
        for (path, file) in &self.files {
            append(archive, path, &file.contents, file.mode, date)?;
        }
        Ok(())
    }
}

/// Adds a file that everybody may read to an archive.
pub fn append_file<W: Write>(
    archive: &mut tar::Builder<W>,
    path: &str,
    contents: &[u8],
    date: u64,
) -> Result<()> {
    append(archive, path, contents, PLAIN, date)
}

fn append<W: Write>(
    archive: &mut tar::Builder<W>,
    path: &str,
    contents: &[u8],
    mode: u32,
    date: u64,
) -> Result<()> {
    let mut header = header(tar::EntryType::Regular, contents.len() as u64, mode, date);
    archive.append_data(&mut header, path, contents).with_context(|| format!("could not add {path}"))
}

fn header(kind: tar::EntryType, size: u64, mode: u32, date: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(mode);
    header.set_mtime(date);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// Compresses with gzip, without a time and a name, so that the result depends on the data alone.
pub fn gzip(data: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().write(Vec::new(), Compression::best());
    encoder.write_all(data).context("could not compress")?;
    encoder.finish().context("could not compress")
}

fn set_mode(path: &Path, mode: u32) -> Result<()> {
    let permissions = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(path, permissions).with_context(|| cannot("set the permissions of", path))
}

fn set_time(path: &Path, time: SystemTime) -> Result<()> {
    let file = std::fs::File::open(path).with_context(|| cannot("open", path))?;
    file.set_modified(time).with_context(|| cannot("set the time of", path))
}

fn cannot(what: &str, path: &Path) -> String {
    format!("could not {what} {}", path.display())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn tree() -> Tree {
        let mut tree = Tree::default();
        tree.add("usr/lib/a.so", vec![0; 1025]);
        tree.add("usr/share/doc/a/copyright", "text");
        tree
    }

    #[test]
    fn directories_are_those_that_hold_files() {
        let tree = tree();
        let found: Vec<&str> = tree.directories().into_iter().collect();
        assert_eq!(found, ["usr", "usr/lib", "usr/share", "usr/share/doc", "usr/share/doc/a"]);
        assert_eq!(tree.installed_kib(), 2 + 1 + 5);
    }

    #[test]
    fn an_archive_depends_on_names_contents_and_date_alone() {
        let archive = tree().tar("top", 1000).expect("an archive");
        assert_eq!(archive, tree().tar("top", 1000).expect("an archive"));
        assert_ne!(archive, tree().tar("top", 1001).expect("an archive"));
        let mut archive = tar::Archive::new(&archive[..]);
        let entries: Vec<(String, u32, u64, u64)> = archive
            .entries()
            .expect("entries")
            .map(|entry| {
                let entry = entry.expect("an entry");
                let header = entry.header();
                let path = entry.path().expect("a path").display().to_string();
                let numbers = (header.mode(), header.uid(), header.mtime());
                (path, numbers.0.expect("a mode"), numbers.1.expect("a user"), numbers.2.expect("a time"))
            })
            .collect();
        assert_eq!(entries.first(), Some(&("top/".to_owned(), 0o755, 0, 1000)));
        assert_eq!(entries.last(), Some(&("top/usr/share/doc/a/copyright".to_owned(), 0o644, 0, 1000)));
        assert_eq!(entries.len(), 6 + 2);
        assert_eq!(gzip(b"x").expect("gzip"), gzip(b"x").expect("gzip"));
    }

    #[test]
    fn files_on_disk_have_the_time_and_mode_of_the_package() {
        let directory = tempfile::tempdir().expect("a directory");
        tree().write(directory.path(), 1000).expect("written");
        for path in ["usr/lib/a.so", "usr/share/doc"] {
            let found = std::fs::metadata(directory.path().join(path)).expect("a file");
            assert_eq!(found.mtime(), 1000, "{path}");
            let mode = if found.is_dir() { 0o755 } else { 0o644 };
            assert_eq!(found.mode() & 0o777, mode, "{path}");
        }
    }
}
