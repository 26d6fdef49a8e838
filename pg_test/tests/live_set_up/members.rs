//! Sequences that belong to an extension.

use std::path::Path;

use crate::{DATABASE, number, start};

#[test]
fn sequences_of_an_extension_are_left_alone_as_they_are_created() {
    let server = start(&[]);
    let mut client = server.connect(DATABASE).unwrap();
    client.batch_execute("SELECT setup_interleaved_sequences(2, 2)").unwrap();
    client.batch_execute("SELECT interleave_new_sequences(true)").unwrap();
    let output = server.tree().command("pg_config").arg("--sharedir").output().unwrap();
    let directory = Path::new(String::from_utf8(output.stdout).unwrap().trim()).join("extension");
    std::fs::write(directory.join("counting.control"), "default_version = '1'\n").unwrap();
    std::fs::write(directory.join("counting--1.sql"), "CREATE TABLE counting (id serial);\n").unwrap();
    std::fs::write(
        directory.join("counting--1--2.sql"),
        "ALTER TABLE counting ADD COLUMN no int GENERATED ALWAYS AS IDENTITY;\n",
    )
    .unwrap();
    client.batch_execute("CREATE EXTENSION counting; ALTER EXTENSION counting UPDATE TO '2'").unwrap();
    let untouched = "SELECT count(*) FROM pg_sequence WHERE seqincrement = 1";
    assert_eq!(number(&mut client, untouched), 2);
    client.batch_execute("CREATE TABLE own (id serial)").unwrap();
    assert_eq!(number(&mut client, untouched), 2);
}
