//! The reference code for derived keys, with the frozen vectors, of which each program checks all.

use std::process::Command;

use pg_test::skip;
use postgres::Client;

use crate::database::{Database, programs, project};
use crate::debian::{has_program, in_go, in_java};
use crate::install::node;
use crate::program::output;

/// The files of vectors, with the columns of each.
const VECTORS: [(&str, &str); 4] = [
    ("derived_keys", "kind text, unix_micros bigint, timestamp timestamptz, id bigint, salt text, key text"),
    (
        "hashed_keys",
        "kind text, unix_micros bigint, timestamp timestamptz, type text, value text, salt text, key text",
    ),
    ("undated_keys", "kind text, id bigint, salt text, key text"),
    ("undated_values", "kind text, type text, value text, salt text, key text"),
];

fn lines(file: &str) -> Vec<String> {
    let text =
        std::fs::read_to_string(project("crates/keyspace/vectors").join(format!("{file}.csv"))).unwrap();
    text.lines().skip(1).map(str::to_owned).collect()
}

/// Runs a program that prints how many keys it has checked.
fn check(command: &mut Command) {
    let text = output(command.current_dir(std::env::temp_dir()));
    all_are_checked(&text);
}

fn all_are_checked(text: &str) {
    let count: usize = VECTORS.iter().map(|(file, _)| lines(file).len()).sum();
    assert!(count > 2_900 && text.contains(&format!("checked {count} keys")), "{text}");
}

#[test]
fn derived_in_python() {
    if !has_program("python3") {
        return skip("derived_in_python", "python3 is not installed");
    }
    let mut python = Command::new("python3");
    python.arg(programs().join("python/derived.py")).arg(project("crates/keyspace/vectors"));
    check(python.env("PYTHONPATH", project("clients/python")).env("PYTHONDONTWRITEBYTECODE", "1"));
}

#[test]
fn derived_in_typescript() {
    match node(&["tsx"]) {
        Ok(directory) => {
            let mut command = Command::new(directory.join("../node_modules/.bin/tsx"));
            check(command.arg(directory.join("derived.ts")).arg(project("crates/keyspace/vectors")));
        }
        Err(reason) => skip("derived_in_typescript", &reason),
    }
}

#[test]
fn derived_in_go() {
    match in_go("derived", &[]) {
        Ok(mut command) => check(command.arg(project("crates/keyspace/vectors"))),
        Err(reason) => skip("derived_in_go", &reason),
    }
}

#[test]
fn derived_in_java() {
    match in_java("Derived", &["DerivedKeys"], None) {
        Ok(mut command) => check(command.arg(project("crates/keyspace/vectors"))),
        Err(reason) => skip("derived_in_java", &reason),
    }
}

/// Copies the vectors into tables.
fn load(client: &mut Client) {
    for (file, columns) in VECTORS {
        client
            .batch_execute(&format!(
                "CREATE TABLE {file} ({})",
                columns.replace("timestamp t", "\"timestamp\" t")
            ))
            .unwrap();
        for line in lines(file) {
            let values: Vec<String> = line.split(',').map(postgres_literal).collect();
            client.batch_execute(&format!("INSERT INTO {file} VALUES ({})", values.join(", "))).unwrap();
        }
    }
}

fn postgres_literal(value: &str) -> String {
    format!("E'{}'", value.replace('\\', "\\\\").replace('\'', "''"))
}

#[test]
fn derived_in_plpgsql() {
    let database = Database::empty("derived_in_plpgsql");
    database.run("CREATE SCHEMA keys");
    let definitions = std::fs::read_to_string(project("clients/sql/derived_keys.sql")).unwrap();
    database.run(&format!("SET search_path = keys; {definitions}"));
    // The functions work in every time zone, and whatever the caller's search_path is.
    let time_zone = "ALTER DATABASE derived_in_plpgsql SET timezone = 'America/New_York'";
    database.run(time_zone);
    load(&mut database.connect());
    let mut psql = database.client_program("psql");
    psql.args(["-X", "-A", "-t", "-q", "-f"]).arg(programs().join("sql/derived.sql"));
    all_are_checked(&output(psql.env("PGOPTIONS", "-c search_path=public,keys")));
    let mut client = database.connect();
    let key = "SET search_path = ''; SELECT keys.uuidv7_from_timestamp('2023-11-14 22:13:20.123456+00', 42)";
    let messages = client.simple_query(key).unwrap();
    assert!(messages.iter().any(|message| matches!(message, postgres::SimpleQueryMessage::Row(row)
        if row.get(0) == Some("018bcfe5-687b-774b-8000-000002ac73c9"))));
}
