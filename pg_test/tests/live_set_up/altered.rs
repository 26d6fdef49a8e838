//! Sequences that other sessions alter while they are read.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pg_test::Server;
use postgres::Client;

use crate::{DATABASE, make_tables, start};

const TABLES: usize = 20;

/// Ends the other sessions when it is dropped, even after a failure.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Does something while other sessions run queries repeatedly, none of which may fail.
fn beside_readers(server: &Server, queries: &[&str], work: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    let ask = |query: &str| {
        let mut client = server.connect(DATABASE).unwrap();
        let mut asked = 0_u64;
        while !stop.load(Ordering::Relaxed) {
            client.query(query, &[]).unwrap_or_else(|error| panic!("{query}: {error:?}"));
            asked += 1;
        }
        asked
    };
    thread::scope(|scope| {
        let readers: Vec<_> = queries.iter().map(|query| scope.spawn(|| ask(query))).collect();
        let others = Stop(&stop);
        work();
        drop(others);
        for reader in readers {
            assert!(reader.join().unwrap() > 0);
        }
    });
}

/// Alters sequences for a while. Each command creates a new file.
fn alter(client: &mut Client) {
    client.batch_execute("SET synchronous_commit = off").unwrap();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(5) {
        for table in 1..=TABLES {
            client.batch_execute(&format!("ALTER SEQUENCE t{table}_id_seq RESTART")).unwrap();
        }
    }
}

fn set_up(settings: &[&str]) -> (Server, Client) {
    let server = start(settings);
    let mut client = server.connect(DATABASE).unwrap();
    make_tables(&mut client, TABLES);
    client.query("SELECT * FROM setup_interleaved_sequences(1, 4)", &[]).unwrap();
    (server, client)
}

const READERS: [&str; 3] = [
    "SELECT * FROM interleaved_sequences",
    "SELECT * FROM check_interleaved_sequences()",
    "SELECT interleaved_node_state()",
];

#[test]
fn sequences_are_read_while_others_replace_their_files() {
    let (server, mut client) = set_up(&[]);
    beside_readers(&server, &READERS, || alter(&mut client));
}

#[test]
fn sequences_are_read_on_a_standby_that_replays_alters() {
    let (primary, mut client) = set_up(&["wal_level = replica"]);
    let standby = Server::start_standby(&primary, "standby").unwrap();
    beside_readers(&standby, &READERS, || alter(&mut client));
}

#[test]
fn readers_do_not_keep_a_set_up_from_its_locks() {
    let (server, mut client) = set_up(&[]);
    let out_of_class = format!(
        "DO $$ BEGIN FOR i IN 1..{TABLES} LOOP EXECUTE format('ALTER SEQUENCE t%s_id_seq INCREMENT 1', i); END LOOP; END $$"
    );
    let set_up =
        "SELECT * FROM setup_interleaved_sequences(1, 4, lock_timeout => '1 s') WHERE action = 'altered'";
    beside_readers(&server, &[READERS[0]; 4], || {
        for _ in 0..20 {
            client.batch_execute(&out_of_class).unwrap();
            assert_eq!(client.query(set_up, &[]).unwrap().len(), TABLES);
        }
    });
}
