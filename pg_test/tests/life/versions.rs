//! The library and the objects of a database have different versions.

use crate::{DATABASE, start};

const CURRENT: &str = env!("CARGO_PKG_VERSION");

#[test]
fn an_older_library_than_the_script_is_refused_and_a_newer_one_is_reported() {
    let server = start(&[]);
    let directory = server.tree().extension_dir().to_owned();
    let script = std::fs::read(directory.join(format!("pg_keyspace--{CURRENT}.sql"))).unwrap();
    for version in ["0.0.1", "99.0.0"] {
        std::fs::write(directory.join(format!("pg_keyspace--{version}.sql")), &script).unwrap();
    }
    let update = "SELECT keyspace_internal.check_library_version();";
    std::fs::write(directory.join("pg_keyspace--0.0.1--99.0.0.sql"), update).unwrap();
    let mut client = server.connect(DATABASE).unwrap();
    let refused = client.batch_execute("CREATE EXTENSION pg_keyspace VERSION '99.0.0'").unwrap_err();
    let refused = refused.as_db_error().unwrap();
    assert_eq!(refused.code().code(), "55000");
    assert_eq!(
        refused.message(),
        format!(
            "version {CURRENT} of the pg_keyspace library is too old for version 99.0.0 of the extension"
        )
    );
    assert!(refused.hint().unwrap().contains("restart the server"));

    // Older objects still work, and the check reports the difference.
    client.batch_execute("CREATE EXTENSION pg_keyspace VERSION '0.0.1'").unwrap();
    let query =
        "SELECT severity, detail, hint FROM check_interleaved_sequences() WHERE finding = 'versions differ'";
    let row = client.query_one(query, &[]).unwrap();
    assert_eq!(row.get::<_, String>(0), "warning");
    assert_eq!(
        row.get::<_, String>(1),
        format!("The library has version {CURRENT}, but the extension in this database has version 0.0.1.")
    );
    assert!(row.get::<_, String>(2).contains("ALTER EXTENSION pg_keyspace UPDATE"));
    assert!(client.query_one("SELECT ulid()::text", &[]).is_ok());
    let refused = client.batch_execute("ALTER EXTENSION pg_keyspace UPDATE TO '99.0.0'").unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "55000");
    let version: String = client
        .query_one("SELECT extversion FROM pg_extension WHERE extname = 'pg_keyspace'", &[])
        .unwrap()
        .get(0);
    assert_eq!(version, "0.0.1", "nothing was done");
}
