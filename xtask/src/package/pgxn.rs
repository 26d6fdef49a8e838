//! The distribution for PGXN: the sources with `META.json`, in a zip archive.
//!
//! <https://pgxn.org/spec/>

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use xshell::{Shell, cmd};

use super::product::{DESCRIPTION, SUMMARY};
use super::version::git;

use xtask::cargo;
use xtask::prerequisites::SUPPORTED;

/// What `pgxn install` runs.
const MAKEFILE: &str = include_str!("../../../packaging/pgxn/Makefile");

/// Writes the archive and `META.json`, and returns their paths. PGXN accepts releases only, so the version is always
/// that of the extension.
///
/// # Errors
///
/// If this is no git checkout, or the archive cannot be written.
pub fn build(maintainer: &str, output: &Path) -> Result<Vec<PathBuf>> {
    git(&["rev-parse", "HEAD"])?.context("the archive for PGXN is made from a git checkout")?;
    let top = format!("pg_keyspace-{}", cargo::VERSION);
    let path = std::path::absolute(output.join(format!("{top}.zip"))).context("no working directory")?;
    let meta = serde_json::to_string_pretty(&meta(maintainer)).context("could not write JSON")?;
    let meta_path = output.join("META.json");
    std::fs::write(&meta_path, format!("{meta}\n")).context("could not write META.json")?;
    let directory = tempfile::tempdir().context("could not create a temporary directory")?;
    let added = [("META.json", format!("{meta}\n")), ("Makefile", makefile())];
    let mut options = vec![format!("--prefix={top}/")];
    for (name, text) in added {
        let file = directory.path().join(name);
        std::fs::write(&file, text).with_context(|| format!("could not write {name}"))?;
        options.push(format!("--add-file={}", file.display()));
    }
    let sh = Shell::new().context("there is no working directory")?;
    sh.change_dir(cargo::workspace_root());
    // Times in a zip are local ones.
    cmd!(sh, "git archive --format=zip {options...} --output={path} HEAD")
        .env("TZ", "UTC")
        .quiet()
        .run()
        .context("could not write the archive")?;
    Ok(vec![path, meta_path])
}

/// The Makefile for this version.
fn makefile() -> String {
    MAKEFILE.replace("@VERSION@", cargo::VERSION)
}

/// What PGXN has to know.
pub fn meta(maintainer: &str) -> Value {
    let version = cargo::VERSION;
    let first = SUPPORTED.start();
    json!({
        "name": "pg_keyspace",
        "abstract": format!("{SUMMARY} for several servers that write to the same tables"),
        "description": DESCRIPTION.replace('\n', " "),
        "version": version,
        "maintainer": [maintainer],
        "license": "postgresql",
        "release_status": "stable",
        "provides": {
            "pg_keyspace": {
                "abstract": SUMMARY,
                "file": format!("sql/pg_keyspace--{version}.sql"),
                "docfile": "README.md",
                "version": version,
            },
        },
        "prereqs": {"runtime": {"requires": {"PostgreSQL": format!("{first}.0.0")}}},
        "meta-spec": {"version": "1.0.0", "url": "https://pgxn.org/meta/spec.txt"},
        "generated_by": "cargo xtask package",
        "tags": ["sequence", "replication", "multi-master", "primary key", "uuid", "uuidv7", "ulid", "migration"],
    })
}

/// The rules of the PGXN Meta Spec 1.0.0 that a file like ours can break.
#[cfg(test)]
mod specification {
    use std::collections::BTreeMap;

    use serde_json::Value;

    /// Licences that may be named without an address.
    const LICENCES: [&str; 28] = [
        "agpl_3",
        "apache_1_1",
        "apache_2_0",
        "artistic_1",
        "artistic_2",
        "bsd",
        "freebsd",
        "gfdl_1_2",
        "gfdl_1_3",
        "gpl_1",
        "gpl_2",
        "gpl_3",
        "lgpl_2_1",
        "lgpl_3_0",
        "mit",
        "mozilla_1_0",
        "mozilla_1_1",
        "openssl",
        "perl_5",
        "postgresql",
        "qpl_1_0",
        "ssleay",
        "sun",
        "zlib",
        "open_source",
        "restricted",
        "unrestricted",
        "unknown",
    ];
    const REQUIRED: [&str; 7] =
        ["name", "version", "abstract", "maintainer", "license", "provides", "meta-spec"];
    const OPTIONAL: [&str; 7] =
        ["description", "generated_by", "tags", "no_index", "prereqs", "release_status", "resources"];
    const PHASES: [&str; 5] = ["configure", "build", "test", "runtime", "develop"];
    const RELATIONS: [&str; 4] = ["requires", "recommends", "suggests", "conflicts"];

    type Object = serde_json::Map<String, Value>;

    /// What is wrong, each with the place.
    pub fn errors(meta: &Value) -> Vec<String> {
        let Some(meta) = meta.as_object() else { return vec!["not an object".to_owned()] };
        let mut errors = Vec::new();
        for name in REQUIRED.iter().filter(|name| !meta.contains_key(**name)) {
            errors.push(format!("{name} is missing"));
        }
        for (name, value) in meta {
            let is_right = match name.as_str() {
                "name" => is_term(value),
                "version" => is_version(value),
                "abstract" | "description" | "generated_by" => is_text(value),
                "maintainer" => is_text(value) || is_list(value, is_text),
                "license" => {
                    is_licence(value) || is_list(value, is_licence) || has(value, |_, url| is_url(url))
                }
                "release_status" => ["stable", "testing", "unstable"].iter().any(|status| value == status),
                "tags" => is_list(value, is_tag),
                "meta-spec" => is_specification(value),
                "provides" => has(value, |name, extension| is_name(name) && is_extension(extension)),
                "prereqs" => has(value, |phase, relations| {
                    PHASES.contains(&phase)
                        && has(relations, |relation, ranges| {
                            RELATIONS.contains(&relation)
                                && has(ranges, |name, range| is_name(name) && is_range(range))
                        })
                }),
                other => OPTIONAL.contains(&other) || other.to_ascii_lowercase().starts_with("x_"),
            };
            if !is_right {
                errors.push(format!("{name}: {value}"));
            }
        }
        errors
    }

    fn has(value: &Value, is_right: impl Fn(&str, &Value) -> bool) -> bool {
        let object = value.as_object().filter(|object| !object.is_empty());
        object.is_some_and(|object| object.iter().all(|(name, value)| is_right(name, value)))
    }

    fn is_list(value: &Value, is_right: impl Fn(&Value) -> bool) -> bool {
        value.as_array().is_some_and(|list| !list.is_empty() && list.iter().all(is_right))
    }

    fn is_text(value: &Value) -> bool {
        value.as_str().is_some_and(|text| !text.trim().is_empty())
    }

    fn is_name(text: &str) -> bool {
        let is_bad =
            |letter: char| letter.is_whitespace() || letter.is_control() || ['/', '\\'].contains(&letter);
        text.chars().count() >= 2 && !text.contains(is_bad)
    }

    fn is_term(value: &Value) -> bool {
        value.as_str().is_some_and(is_name)
    }

    fn is_tag(value: &Value) -> bool {
        let is_bad = |letter: char| letter.is_control() || ['/', '\\'].contains(&letter);
        value.as_str().is_some_and(|tag| (1..=255).contains(&tag.chars().count()) && !tag.contains(is_bad))
    }

    fn is_licence(value: &Value) -> bool {
        value.as_str().is_some_and(|name| LICENCES.contains(&name))
    }

    fn is_url(value: &Value) -> bool {
        value.as_str().is_some_and(|url| url.starts_with("https://") || url.starts_with("http://"))
    }

    /// A semantic version: three numbers without leading zeros, and perhaps a pre-release.
    fn is_version(value: &Value) -> bool {
        value.as_str().is_some_and(is_version_text)
    }

    fn is_version_text(text: &str) -> bool {
        let (numbers, rest) =
            text.split_once(['-', '+']).map_or((text, None), |(numbers, rest)| (numbers, Some(rest)));
        let is_number = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_digit())
                && (part == "0" || !part.starts_with('0'))
        };
        let is_identifier = |part: &str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        numbers.split('.').count() == 3
            && numbers.split('.').all(is_number)
            && rest.is_none_or(|rest| rest.split(['.', '+']).all(is_identifier))
    }

    /// At least a version, or several comparisons with one.
    fn is_range(value: &Value) -> bool {
        let is_part = |part: &str| {
            let part = part.trim();
            let operators = ["==", "!=", "<=", ">=", "<", ">"];
            let operator = operators.iter().find(|operator| part.starts_with(**operator));
            let version = operator.map_or(part, |operator| part.trim_start_matches(operator).trim());
            version == "0" || is_version_text(version)
        };
        value == 0 || value.as_str().is_some_and(|text| text.split(',').all(is_part))
    }

    /// The version of the rules, and where they are.
    fn is_specification(value: &Value) -> bool {
        let is_right = |object: &Object| {
            let known = BTreeMap::from([("version", true), ("url", false)]);
            object.keys().all(|key| known.contains_key(key.as_str()))
                && object.get("version").is_some_and(|version| version == "1.0.0")
                && object.get("url").is_none_or(is_url)
        };
        value.as_object().is_some_and(is_right)
    }

    fn is_extension(value: &Value) -> bool {
        let Some(object) = value.as_object() else { return false };
        let is_path =
            |value: &Value| value.as_str().is_some_and(|path| !path.is_empty() && !path.starts_with('/'));
        object.contains_key("file")
            && object.contains_key("version")
            && object.iter().all(|(key, value)| match key.as_str() {
                "file" | "docfile" => is_path(value),
                "version" => is_version(value),
                "abstract" => is_text(value),
                _ => false,
            })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn meta_json_keeps_the_rules_and_names_files_that_exist() {
        let meta = meta("A Maintainer <a@example.org>");
        assert_eq!(specification::errors(&meta), Vec::<String>::new());
        let extension = &meta["provides"]["pg_keyspace"];
        for key in ["file", "docfile"] {
            let path = cargo::workspace_root().join(extension[key].as_str().expect("a path"));
            assert!(path.is_file(), "{} does not exist", path.display());
        }
    }

    #[test]
    fn the_archive_has_all_files_in_one_directory() {
        // A linked worktree in a container has no repository.
        if !matches!(git(&["rev-parse", "HEAD"]), Ok(Some(_))) {
            return;
        }
        let directory = tempfile::tempdir().expect("a directory");
        let paths = build("A Maintainer <a@example.org>", directory.path()).expect("an archive");
        let archive = std::fs::read(&paths[0]).expect("a file");
        let top = format!("pg_keyspace-{}/", cargo::VERSION);
        let names = names(&archive);
        assert!(names.iter().all(|name| name.starts_with(&top)), "{names:?}");
        for name in ["META.json", "Makefile", "Cargo.toml", "pg_keyspace.control"] {
            assert!(names.contains(&format!("{top}{name}")), "{name}");
        }
    }

    /// As root, who has no cargo and must not leave files in the sources.
    #[test]
    fn the_installation_copies_what_was_built() {
        use std::os::unix::fs::PermissionsExt;
        use std::process::Command;
        let directory = tempfile::tempdir().expect("a directory");
        let top = directory.path();
        let write = |path: &str, text: &str| {
            let path = top.join(path);
            std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
            std::fs::write(path, text).expect("a file");
        };
        write("Makefile", &makefile());
        write("pg_keyspace.control", "default_version = '@CARGO_VERSION@'\n");
        write("sql/pg_keyspace--1.sql", "script");
        write("sql/versions.sql", "a part of it");
        let programs = [
            ("cargo", "#!/bin/sh\necho \"$@\" > \"$PGRX_PG_CONFIG_PATH.cargo\"\n"),
            (
                "pg_config",
                "#!/bin/sh\ncase $1 in\n--version) echo PostgreSQL 19beta1 ;;\n--*) echo \"/pg/$1\" ;;\nesac\n",
            ),
        ];
        for (name, text) in programs {
            let path = format!("bin/{name}");
            write(&path, text);
            let mode = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(top.join(path), mode).expect("a program");
        }
        let make = |target: &str| {
            let path = format!("{}:{}", top.join("bin").display(), std::env::var("PATH").expect("a path"));
            let mut make = Command::new("make");
            make.args([target, "DESTDIR=root"]).current_dir(top).env("PATH", path).env("MAKEFLAGS", "");
            make.output().expect("make")
        };
        assert!(!make("install").status.success(), "nothing is built yet");
        assert!(!top.join("bin/pg_config.cargo").exists(), "an installation does not build");
        let built = make("all");
        assert!(built.status.success(), "{built:?}");
        let arguments = std::fs::read_to_string(top.join("bin/pg_config.cargo")).expect("cargo ran");
        assert!(arguments.contains("--features pg19\n"), "{arguments}");
        std::fs::remove_file(top.join("bin/pg_config.cargo")).expect("removed");
        write("target/release/libpg_keyspace.so", "library");
        let installed = make("install");
        assert!(installed.status.success(), "{installed:?}");
        assert!(!top.join("bin/pg_config.cargo").exists(), "an installation does not build");
        let read = |path: &str| std::fs::read_to_string(top.join("root/pg").join(path));
        assert_eq!(read("--pkglibdir/pg_keyspace.so").expect("a library"), "library");
        let control = format!("default_version = '{}'\n", cargo::VERSION);
        assert_eq!(read("--sharedir/extension/pg_keyspace.control").expect("a control file"), control);
        assert!(read("--sharedir/extension/pg_keyspace--1.sql").is_ok());
        assert!(read("--sharedir/extension/versions.sql").is_err());
    }

    /// The names in the directory of a zip archive, which is at its end.
    fn names(archive: &[u8]) -> Vec<String> {
        let number = |at: usize, bytes: usize| {
            archive[at..at + bytes]
                .iter()
                .rev()
                .fold(0_usize, |number, byte| number << 8 | usize::from(*byte))
        };
        let end = archive.windows(4).rposition(|bytes| bytes == b"PK\x05\x06").expect("a directory");
        let (count, mut at) = (number(end + 10, 2), number(end + 16, 4));
        let mut names = Vec::new();
        for _ in 0..count {
            let [name, extra, comment] = [28, 30, 32].map(|offset| number(at + offset, 2));
            names.push(String::from_utf8_lossy(&archive[at + 46..at + 46 + name]).into_owned());
            at += 46 + name + extra + comment;
        }
        names
    }

    #[test]
    fn every_rule_can_be_broken() {
        let valid = meta("A Maintainer <a@example.org>");
        let broken: [(&str, Value); 18] = [
            ("name", json!("pg keyspace")),
            ("name", json!("p")),
            ("version", json!("0.1")),
            ("version", json!("0.01.0")),
            ("abstract", json!(" ")),
            ("maintainer", json!([])),
            ("license", json!("PostgreSQL")),
            ("license", json!({"PostgreSQL": "LICENSE"})),
            ("release_status", json!("alpha")),
            ("tags", json!(["a/b"])),
            ("tags", json!([""])),
            ("meta-spec", json!({"version": "2.0.0"})),
            ("provides", json!({"pg_keyspace": {"version": "0.1.0"}})),
            ("provides", json!({"pg_keyspace": {"file": "/etc/x", "version": "0.1.0"}})),
            ("prereqs", json!({"install": {"requires": {"PostgreSQL": "15.0.0"}}})),
            ("prereqs", json!({"runtime": {"needs": {"PostgreSQL": "15.0.0"}}})),
            ("prereqs", json!({"runtime": {"requires": {"PostgreSQL": "15"}}})),
            ("unknown", json!("x")),
        ];
        for (name, value) in broken {
            let mut meta = valid.clone();
            meta[name] = value;
            let errors = specification::errors(&meta);
            assert_eq!(errors.len(), 1, "{name}: {errors:?}");
        }
        for range in [json!(0), json!(">= 15.0.0, < 20.0.0"), json!("15.0.0")] {
            let mut meta = valid.clone();
            meta["prereqs"]["runtime"]["requires"]["PostgreSQL"] = range;
            assert!(specification::errors(&meta).is_empty());
        }
        assert_eq!(specification::errors(&json!({})).len(), 7);
    }
}
