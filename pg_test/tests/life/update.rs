//! `ALTER EXTENSION UPDATE` gives what a fresh installation gives.

use std::path::Path;

use pg_test::{Server, skip};

use crate::objects::{differences, of_extension};
use crate::start;

const CURRENT: &str = env!("CARGO_PKG_VERSION");

/// Versions that have an install script of their own, except the current one.
fn earlier_versions(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let versions = names.filter_map(|name| {
        let version = name.strip_prefix("pg_keyspace--")?.strip_suffix(".sql")?;
        (!version.contains("--") && version != CURRENT).then(|| version.to_owned())
    });
    let mut versions: Vec<String> = versions.collect();
    versions.sort();
    versions
}

fn created(server: &Server, database: &str, statements: &str) -> Vec<String> {
    server.connect("postgres").unwrap().batch_execute(&format!("CREATE DATABASE {database}")).unwrap();
    server.connect(database).unwrap().batch_execute(statements).unwrap();
    of_extension(server, database)
}

#[test]
fn an_update_from_every_release_gives_a_fresh_installation() {
    let server = start(&[]);
    let versions = earlier_versions(server.tree().extension_dir());
    if versions.is_empty() {
        return skip(
            "an_update_from_every_release_gives_a_fresh_installation",
            "there is no earlier release",
        );
    }
    let fresh = created(&server, "fresh", "CREATE EXTENSION pg_keyspace");
    for (at, version) in versions.iter().enumerate() {
        let update =
            format!("CREATE EXTENSION pg_keyspace VERSION '{version}'; ALTER EXTENSION pg_keyspace UPDATE");
        let updated = created(&server, &format!("updated_{at}"), &update);
        assert_eq!(differences(&updated, &fresh), Vec::<String>::new(), "from {version}");
    }
}

/// With made-up releases: one complete update, and some that forget one thing each.
#[test]
fn an_update_that_forgets_something_is_found() {
    let server = start(&[]);
    let directory = server.tree().extension_dir().to_owned();
    let script = std::fs::read_to_string(directory.join(format!("pg_keyspace--{CURRENT}.sql"))).unwrap();
    let fresh = created(&server, "fresh", "CREATE EXTENSION pg_keyspace");
    assert!(fresh.len() > 500, "{} lines", fresh.len());
    let mut release = 0;
    let mut updated = |old: &str, update: &str| {
        release += 1;
        let version = format!("0.0.{release}");
        std::fs::write(directory.join(format!("pg_keyspace--{version}.sql")), old).unwrap();
        std::fs::write(directory.join(format!("pg_keyspace--{version}--{CURRENT}.sql")), update).unwrap();
        let statements =
            format!("CREATE EXTENSION pg_keyspace VERSION '{version}'; ALTER EXTENSION pg_keyspace UPDATE");
        differences(&created(&server, &format!("updated_{release}"), &statements), &fresh)
    };
    assert_eq!(updated(&script, ""), Vec::<String>::new(), "nothing has changed since");
    let changes = [
        // A privilege, a comment, a label, a default, a trigger's mode.
        ("GRANT SELECT ON @extschema@.interleaved_node TO PUBLIC;", ""),
        ("IS 'maximum of all ulid input values'", "IS 'maximum'"),
        (
            "LANGUAGE c VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'keyspace_ulid';",
            "LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'keyspace_ulid';",
        ),
        ("gap bigint NOT NULL DEFAULT 0,\n    timeline", "gap bigint NOT NULL,\n    timeline"),
        ("ALTER EVENT TRIGGER pg_keyspace_new_sequences ENABLE ALWAYS;", ""),
    ];
    for (current, earlier) in changes {
        assert!(script.contains(current), "the script has changed: {current}");
        let found = updated(&script.replacen(current, earlier, 1), "");
        assert!(!found.is_empty(), "not found: {current}");
    }
    // An update that adds what was missing is complete again.
    let (grant, none) = changes[0];
    assert_eq!(updated(&script.replacen(grant, none, 1), grant), Vec::<String>::new());
}
