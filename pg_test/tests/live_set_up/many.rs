//! Many sequences: the time and the memory that they take, however many there are.

use std::time::Instant;

use postgres::Client;

use super::{DATABASE, in_order, make_tables, number, start};

/// How many sequences; 100,000 takes some minutes.
const VARIABLE: &str = "PG_KEYSPACE_TEST_SEQUENCES";

/// What a session may have of its own at the end of a statement, in bytes: the caches of some thousand
/// tables, and what is known of each sequence.
fn allowance(sequences: u64) -> u64 {
    300 * 1024 * 1024 + 4 * 1024 * sequences
}

/// The private memory of the session's process, in bytes, if the system reports it.
fn own_memory(client: &mut Client) -> Option<u64> {
    let process: i32 = client.query_one("SELECT pg_backend_pid()", &[]).unwrap().get(0);
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    Some(kilobytes.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024)
}

#[test]
fn many_sequences_take_memory_for_some_of_their_tables() {
    let sequences: u32 = std::env::var(VARIABLE).map_or(300, |number| number.parse().expect(VARIABLE));
    let server = start(&["max_locks_per_transaction = 2048", "fsync = off", "autovacuum = off"]);
    let mut observer = server.connect(DATABASE).unwrap();
    make_tables(&mut observer, usize::try_from(sequences).unwrap());
    let all = i64::from(sequences);
    for (what, statement, are_set_up) in [
        ("set-up in batches", "CALL setup_interleaved_sequences_in_batches(1, 2)", true),
        ("reset", "SELECT count(*) FROM reset_interleaved_sequences()", false),
        ("set-up", "SELECT count(*) FROM setup_interleaved_sequences(1, 2)", true),
        ("second run", "SELECT count(*) FROM setup_interleaved_sequences(1, 2)", true),
        ("view", "SELECT count(*) FROM (SELECT * FROM interleaved_sequences OFFSET 0) AS v", true),
        ("state", "SELECT length(interleaved_node_state()::text)", true),
        ("check", "SELECT count(*) FROM check_interleaved_sequences()", true),
    ] {
        let mut client = server.connect(DATABASE).unwrap();
        let began = Instant::now();
        client.batch_execute(statement).unwrap();
        let took = began.elapsed();
        let memory = own_memory(&mut client);
        let megabytes = memory.map_or(0, |bytes| bytes / 1024 / 1024);
        println!("{what} of {sequences} sequences: {took:.1?}, {megabytes} MB");
        assert!(memory.is_none_or(|bytes| bytes < allowance(u64::from(sequences))), "{what}: {megabytes} MB");
        let set_up = "SELECT count(*) FROM pg_sequences WHERE increment_by = 2";
        assert_eq!(number(&mut observer, set_up), if are_set_up { all } else { 0 }, "{what}");
    }
    assert_eq!(in_order(&mut observer), (all, 0));
}
