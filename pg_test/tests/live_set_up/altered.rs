//! Sequences that other sessions alter while they are read.

use std::time::{Duration, Instant};

use pg_test::Server;
use pg_test::load::{self, Session};
use postgres::Client;

use crate::{DATABASE, make_tables, start};

const TABLES: usize = 20;

/// Does something while other sessions run queries repeatedly, none of which may fail.
fn next_to_readers(server: &Server, queries: &[&'static str], work: impl FnOnce()) {
    let mut readers: Vec<Session<'_, usize>> = Vec::new();
    for query in queries {
        let mut client = server.connect(DATABASE).unwrap();
        readers.push(Box::new(move |stop| {
            let turns = load::paced(stop, Duration::ZERO, (0, 1), || Ok(client.query(*query, &[])?.len()))?;
            Ok(vec![turns.len()])
        }));
    }
    let (counts, ()) = load::alongside(readers, || {
        work();
        Ok(())
    })
    .unwrap();
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
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
    next_to_readers(&server, &READERS, || alter(&mut client));
}

#[test]
fn sequences_are_read_on_a_standby_that_replays_alters() {
    let (primary, mut client) = set_up(&["wal_level = replica"]);
    let standby = Server::start_standby(&primary, "standby").unwrap();
    next_to_readers(&standby, &READERS, || alter(&mut client));
}

#[test]
fn readers_do_not_keep_a_set_up_from_its_locks() {
    let (server, mut client) = set_up(&[]);
    let out_of_class = format!(
        "DO $$ BEGIN FOR i IN 1..{TABLES} LOOP EXECUTE format('ALTER SEQUENCE t%s_id_seq INCREMENT 1', i); END LOOP; END $$"
    );
    let set_up =
        "SELECT * FROM setup_interleaved_sequences(1, 4, lock_timeout => '1 s') WHERE action = 'altered'";
    next_to_readers(&server, &[READERS[0]; 4], || {
        for _ in 0..20 {
            client.batch_execute(&out_of_class).unwrap();
            assert_eq!(client.query(set_up, &[]).unwrap().len(), TABLES);
        }
    });
}
