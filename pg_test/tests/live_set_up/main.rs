//! Set-ups on a server in use: many sequences, other sessions, crashes, standbys.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod altered;
mod batches;
mod lock_table;
mod locked;
mod many;
mod members;
mod replayed;
mod restore;
mod standby;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pg_test::{InstallTree, Server};
use postgres::{Client, NoTls};

const DATABASE: &str = "postgres";

/// A server with the extension.
fn start(settings: &[&str]) -> Server {
    start_from(&InstallTree::from_environment().unwrap(), settings)
}

/// A server with the extension, for settings that depend on the version.
fn start_from(tree: &InstallTree, settings: &[&str]) -> Server {
    let server = Server::start(tree, "server", settings).unwrap();
    server.connect(DATABASE).unwrap().batch_execute("CREATE EXTENSION pg_keyspace").unwrap();
    server
}

/// Creates tables `t1` to `tN` with serial keys and three rows each.
fn make_tables(client: &mut Client, tables: usize) {
    // A few at a time, because a transaction holds its locks until its end.
    for first in (1..=tables).step_by(10) {
        let last = tables.min(first + 9);
        let create = format!(
            "DO $$ BEGIN FOR i IN {first}..{last} LOOP
                EXECUTE format('CREATE TABLE t%s (id serial PRIMARY KEY, v int)', i);
                EXECUTE format('INSERT INTO t%s (v) SELECT generate_series(1, 3)', i);
             END LOOP; END $$"
        );
        client.batch_execute(&create).unwrap();
    }
}

/// The notices and warnings of a server.
type Notices = Arc<Mutex<Vec<String>>>;

/// Connects, and records notices and warnings.
fn connect_listening(server: &Server) -> (Client, Notices) {
    let notices = Notices::default();
    let mut config: postgres::Config = server.conninfo(DATABASE).parse().unwrap();
    let heard = Arc::clone(&notices);
    config.notice_callback(move |notice| {
        heard.lock().unwrap().push(format!("{}: {}", notice.severity(), notice.message()));
    });
    (config.connect(NoTls).unwrap(), notices)
}

/// The only column of the only row.
fn number(client: &mut Client, query: &str) -> i64 {
    client.query_one(query, &[]).unwrap().get(0)
}

/// How many sequences are in their class, and how many are not.
fn in_order(client: &mut Client) -> (i64, i64) {
    let query = "SELECT count(*) FILTER (WHERE in_order), count(*) FILTER (WHERE in_order IS NOT TRUE)
                 FROM interleaved_sequences";
    let row = client.query_one(query, &[]).unwrap();
    (row.get(0), row.get(1))
}

/// Waits until a query returns true.
fn wait_until(client: &mut Client, query: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !client.query_one(query, &[]).unwrap().get::<_, bool>(0) {
        assert!(Instant::now() < deadline, "never came true: {query}");
        std::thread::yield_now();
    }
}

/// The SQLSTATE of an error.
fn code(error: &postgres::Error) -> &str {
    error.code().map_or("none", |code| code.code())
}
