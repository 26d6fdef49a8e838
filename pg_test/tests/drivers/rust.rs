//! Rust: postgres and tokio-postgres in this program, sqlx in one of its own.

use std::process::Command;

use pg_test::{skip, tested};
use postgres::binary_copy::{BinaryCopyInWriter, BinaryCopyOutIter};
use postgres::fallible_iterator::FallibleIterator;
use postgres::types::Type;
use uuid::Uuid;

use crate::Ulid;
use crate::database::{Database, programs, project};
use crate::install::{cache, succeed};
use crate::postgres_ulid::FIND_SCHEMA;
use crate::program::run;

/// A ULID with random bits and no time.
fn some_ulid(number: u128) -> Ulid {
    Ulid(Uuid::from_u128(number << 70 | 1).as_u128())
}

#[test]
fn tokio_postgres() {
    let database = Database::new("tokio_postgres");
    let mut client = database.connect();

    // A uuid needs the feature with-uuid-1, and nothing else.
    let row = client.query_one("INSERT INTO page_view (url) VALUES ($1) RETURNING id", &[&"/"]).unwrap();
    let view: Uuid = row.get("id");
    let rows = client.query("SELECT id FROM page_view WHERE id = ANY($1)", &[&vec![view]]).unwrap();
    assert_eq!(rows[0].get::<_, Uuid>(0), view);

    // Without the type: a key is neither read nor written, but in the form of text.
    let row = client.query_one("INSERT INTO payment (amount) VALUES (1) RETURNING id", &[]).unwrap();
    assert!(row.try_get::<_, String>(0).is_err() && row.try_get::<_, Uuid>(0).is_err());
    let row = client.query_one("SELECT id::text FROM payment", &[]).unwrap();
    let text: String = row.get(0);
    assert!(client.query("SELECT FROM payment WHERE id = $1", &[&text]).is_err());
    assert_eq!(client.query("SELECT FROM payment WHERE id = $1::text::ulid", &[&text]).unwrap().len(), 1);

    // With it.
    let row = client.query_one("SELECT id, ARRAY[id, NULL] FROM payment", &[]).unwrap();
    let key: Ulid = row.get(0);
    assert_eq!(key.to_string(), text);
    assert_eq!(text.to_lowercase().parse(), Ok(key));
    assert_eq!(row.get::<_, Vec<Option<Ulid>>>(1), [Some(key), None]);
    assert_eq!(client.query("SELECT FROM payment WHERE id = $1", &[&key]).unwrap().len(), 1);
    assert_eq!(
        client.query("SELECT FROM payment WHERE id = ANY($1)", &[&[key].as_slice()]).unwrap().len(),
        1
    );
    let update = "UPDATE payment SET refunds = $1 RETURNING refunds";
    let row = client.query_one(update, &[&vec![key, some_ulid(1)]]).unwrap();
    assert_eq!(row.get::<_, Vec<Ulid>>(0), [key, some_ulid(1)]);
    assert_eq!(client.query_one("SELECT NULL::ulid", &[]).unwrap().get::<_, Option<Ulid>>(0), None);
    let row = client.query_one("SELECT $1::ulid = $2::uuid::ulid", &[&key, &Uuid::from_u128(key.0)]).unwrap();
    assert!(row.get::<_, bool>(0));

    // Another type of this name is not ours.
    let schema: String = client.query_one(FIND_SCHEMA, &[]).unwrap().get(0);
    assert_eq!(Ulid::set_schema(schema), Ok(()));
    assert_eq!(Ulid::set_schema("decoy".to_owned()), Err("public"));
    let row = client.query_one("SELECT gen_random_uuid()::text::decoy.ulid", &[]).unwrap();
    assert!(row.try_get::<_, Ulid>(0).is_err());
    assert!(client.query("SELECT $1::decoy.ulid", &[&key]).is_err());

    // The server's default makes keys in the order of the rows.
    let names: Vec<String> = (0..1000).map(|number| format!("{number:04}")).collect();
    client.batch_execute("CREATE TABLE letter (id ulid DEFAULT ulid(), name text)").unwrap();
    let many = "INSERT INTO letter (name) SELECT * FROM unnest($1::text[]) RETURNING id, name";
    let rows = client.query(many, &[&names]).unwrap();
    assert!(rows.iter().map(|row| row.get::<_, String>(1)).eq(names));
    assert!(rows.iter().map(|row| row.get::<_, Ulid>(0)).is_sorted_by(|one, other| one < other));

    // COPY has the binary form, for which the type has to be looked up.
    let ulid: Type = client.prepare("SELECT NULL::ulid").unwrap().columns()[0].type_().clone();
    let writer = client.copy_in("COPY letter (id, name) FROM STDIN (FORMAT binary)").unwrap();
    let mut writer = BinaryCopyInWriter::new(writer, &[ulid.clone(), Type::TEXT]);
    (0..1000).for_each(|number| writer.write(&[&some_ulid(number), &"copied"]).unwrap());
    assert_eq!(writer.finish().unwrap(), 1000);
    let copy = "COPY (SELECT id FROM letter WHERE name = 'copied' ORDER BY id) TO STDOUT (FORMAT binary)";
    let reader = BinaryCopyOutIter::new(client.copy_out(copy).unwrap(), &[ulid]);
    let read: Vec<Ulid> = reader.map(|row| Ok(row.get(0))).collect().unwrap();
    assert_eq!(read, (0..1000).map(some_ulid).collect::<Vec<_>>());

    let insert = "INSERT INTO invoice (total) VALUES (1) RETURNING id, id::ulid";
    let row = client.query_one(insert, &[]).unwrap();
    assert_eq!(row.get::<_, Uuid>(0).as_u128(), row.get::<_, Ulid>(1).0);

    for insert in [
        "INSERT INTO ticket (subject) VALUES ('a'), ('b') RETURNING no",
        "INSERT INTO item (name) VALUES ('a'), ('b') RETURNING id",
    ] {
        let rows = client.query(insert, &[]).unwrap();
        assert!(rows.len() == 2 && rows.iter().all(|row| row.get::<_, i64>(0) % 2 == 0));
    }
    tested(&format!("tokio-postgres {}", locked("tokio-postgres")));
}

#[test]
fn ulids_are_read_as_the_server_reads_them() {
    let database = Database::empty("ulid_text");
    database.run("CREATE EXTENSION pg_keyspace");
    let mut client = database.connect();
    let last = "7ZZZZZZZZZZZZZZZZZZZZZZZZZ";
    let mut texts: Vec<String> = vec![String::new(), last.to_owned(), format!("{last}Z"), format!("0{last}")];
    for at in [0, 12, 25] {
        for byte in b' '..=b'~' {
            let mut text = last.as_bytes().to_vec();
            text[at] = byte;
            texts.push(String::from_utf8(text).unwrap());
        }
    }
    for text in texts {
        let row = client.query_one("SELECT $1::text::ulid", &[&text]);
        let expected: Option<Ulid> = row.ok().map(|row| row.get(0));
        assert_eq!(text.parse().ok(), expected, "{text}");
        if let Some(ulid) = expected {
            let row = client.query_one("SELECT $1::ulid::text", &[&ulid]).unwrap();
            assert_eq!(ulid.to_string(), row.get::<_, String>(0));
        }
    }
}

/// The version in Cargo.lock.
fn locked(package: &str) -> String {
    let lock = std::fs::read_to_string(project("Cargo.lock")).unwrap();
    let entry = lock.split(&format!("name = \"{package}\"\nversion = \"")).nth(1).unwrap();
    entry.split('"').next().unwrap().to_owned()
}

#[test]
fn sqlx() {
    // A package of its own, so that what sqlx depends on does not become a part of this project.
    let package = cache().join("sqlx");
    std::fs::create_dir_all(package.join("src")).unwrap();
    let manifest = std::fs::read_to_string(programs().join("sqlx/Cargo.toml.in")).unwrap();
    let client = project("clients/rust").display().to_string();
    std::fs::write(package.join("Cargo.toml"), manifest.replace("@CLIENT@", &client)).unwrap();
    std::fs::copy(programs().join("sqlx/main.rs"), package.join("src/main.rs")).unwrap();
    let cargo = || {
        let mut cargo = Command::new("cargo");
        cargo.current_dir(&package).env("CARGO_TARGET_DIR", package.join("target"));
        // Those of the cargo that runs this test.
        for name in ["CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS", "CARGO_MANIFEST_DIR"] {
            cargo.env_remove(name);
        }
        cargo
    };
    if let Err(reason) = succeed(cargo().args(["fetch", "--quiet"])) {
        return skip("sqlx", &reason);
    }
    let built = succeed(cargo().args(["build", "--quiet"]));
    assert_eq!(built, Ok(()), "it is compiled");
    let database = Database::new("sqlx");
    run(&mut database.command(package.join("target/debug/keyspace_sqlx")));
}
