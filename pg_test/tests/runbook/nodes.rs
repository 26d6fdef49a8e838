//! Servers with a small schema, and the actions of a DBA on each.

use std::collections::HashMap;
use std::io::Write;
use std::process::Stdio;

use pg_test::{InstallTree, Server};
use postgres::Client;

pub const DATABASE: &str = "postgres";

pub const SCHEMA: &str = "
    CREATE EXTENSION pg_keyspace;
    CREATE TABLE item (id bigserial PRIMARY KEY, made_by text);
    CREATE TABLE note (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, made_by text);
    CREATE SEQUENCE ticket_no;
    CREATE TABLE ticket (id bigint PRIMARY KEY DEFAULT partitioned_nextval('ticket_no'), made_by text);
";
pub const TABLES: [&str; 3] = ["item", "note", "ticket"];

pub fn start(name: &str, settings: &[&str]) -> Server {
    let server = Server::start(&InstallTree::from_environment().unwrap(), name, settings).unwrap();
    server.connect(DATABASE).unwrap().batch_execute(SCHEMA).unwrap();
    server
}

/// The schema of a server, without its rows, as pg_dump writes it.
pub fn dump_schema(server: &Server) -> Vec<u8> {
    let mut dump = server.tree().command("pg_dump");
    let dump =
        dump.arg("--schema-only").arg(server.conninfo(DATABASE)).stdin(Stdio::null()).output().unwrap();
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    dump.stdout
}

/// Restores what [`dump_schema`] returned.
pub fn restore_schema(server: &Server, schema: &[u8]) {
    let mut psql = server.tree().command("psql");
    let arguments = ["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--output=/dev/null"];
    psql.args(arguments).arg(server.conninfo(DATABASE)).stdin(Stdio::piped());
    let mut psql = psql.spawn().unwrap();
    psql.stdin.take().unwrap().write_all(schema).unwrap();
    assert!(psql.wait().unwrap().success());
}

/// The state that a node reports.
pub fn state(server: &Server) -> String {
    let mut client = server.connect(DATABASE).unwrap();
    client.query_one("SELECT interleaved_node_state()::text", &[]).unwrap().get(0)
}

/// Sets up a server with the states of others. Returns the action for each sequence.
pub fn set_up(
    server: &Server,
    (node, nodes): (i32, i32),
    peers: &[String],
    gap: i64,
) -> Result<HashMap<String, String>, postgres::Error> {
    let query = "SELECT sequence::text, action || ': ' || detail
                 FROM setup_interleaved_sequences($1, $2, peers => $3::text[]::jsonb[], gap => $4)";
    let rows = server.connect(DATABASE).unwrap().query(query, &[&node, &nodes, &peers, &gap])?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// The errors and warnings of the check with the states of others.
pub fn check(server: &Server, peers: &[String]) -> Vec<String> {
    let query = "SELECT DISTINCT finding FROM check_interleaved_sequences($1::text[]::jsonb[])
                 WHERE severity <> 'info' ORDER BY 1";
    let rows = server.connect(DATABASE).unwrap().query(query, &[&peers]).unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// Inserts rows into every table. Returns their keys, by table.
pub fn insert(client: &mut Client, rows: usize) -> Vec<(&'static str, i64)> {
    let mut keys = Vec::new();
    for _ in 0..rows {
        for table in TABLES {
            let insert = format!("INSERT INTO {table} (made_by) VALUES ('node') RETURNING id::bigint");
            keys.push((table, client.query_one(&insert, &[]).unwrap().get(0)));
        }
    }
    keys
}

/// Asserts that every key is new and in the class of a node.
pub fn assert_of(
    keys: &[(&'static str, i64)],
    (node, nodes): (i64, i64),
    seen: &mut std::collections::HashSet<(&'static str, i64)>,
) {
    for key in keys {
        assert_eq!(key.1.rem_euclid(nodes), node % nodes, "{key:?} is not of node {node} of {nodes}");
        assert!(seen.insert(*key), "{key:?} was given twice");
    }
}

pub fn code(error: &postgres::Error) -> &str {
    error.code().map_or("none", |code| code.code())
}
