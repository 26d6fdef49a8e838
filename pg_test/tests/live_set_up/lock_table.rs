//! More sequences than fit the lock table.

use pg_test::{InstallTree, Server};
use postgres::Client;

use crate::{code, connect_listening, in_order, make_tables, number, start, start_from};

const SMALL: &[&str] = &[
    "max_connections = 8",
    "autovacuum_max_workers = 1",
    "max_worker_processes = 0",
    "max_wal_senders = 0",
    "wal_level = minimal",
];

/// A server with space for `locks` locks for each of ten backends. PostgreSQL 17 and later count one
/// backend more.
fn start_small(locks: usize) -> Server {
    let tree = InstallTree::from_environment().unwrap();
    let mut settings = SMALL.to_vec();
    // PostgreSQL 18 reserves space for as many autovacuum workers as could be allowed later, 16 by
    // default.
    if tree.major() >= 18 {
        settings.push("autovacuum_worker_slots = 1");
    }
    // Creating the extension needs more locks than that.
    let mut server = start_from(&tree, &settings);
    server.append_settings(&[&format!("max_locks_per_transaction = {locks}")]).unwrap();
    server.restart().unwrap();
    server
}

#[test]
fn trap_s20_a_set_up_that_does_not_fit_the_lock_table_is_refused_at_once() {
    let server = start_small(10);
    let (mut client, notices) = connect_listening(&server);
    make_tables(&mut client, 300);
    let error = client.query("SELECT * FROM setup_interleaved_sequences(1, 2)", &[]).unwrap_err();
    assert_eq!(code(&error), "53200", "{error}");
    let refusal = error.as_db_error().unwrap();
    assert!(refusal.hint().unwrap().contains("setup_interleaved_sequences_in_batches"), "{refusal:?}");
    assert_eq!(number(&mut client, "SELECT count(*) FROM interleaved_node"), 0, "nothing is half done");
    // Planning and reading need no space.
    let query = "SELECT count(*) FROM setup_interleaved_sequences(1, 2, dry_run => true)";
    assert_eq!(number(&mut client, query), 300);
    assert_eq!(number(&mut client, "SELECT count(*) FROM interleaved_sequences"), 300);
    assert_eq!(number(&mut client, "SELECT count(*) FROM check_interleaved_sequences()"), 1, "no node");
    // As many as fit are set up, with a notice about the locks.
    let some = "SELECT count(*) FROM setup_interleaved_sequences(1, 2, sequences => ARRAY(
                    SELECT format('t%s_id_seq', i)::regclass FROM generate_series(1, 20) AS i))";
    assert_eq!(number(&mut client, some), 20);
    let heard = std::mem::take(&mut *notices.lock().unwrap());
    assert_eq!(heard, ["NOTICE: 20 sequences stay locked until this transaction ends"]);
    client.batch_execute("CALL setup_interleaved_sequences_in_batches(1, 2)").unwrap();
    assert_eq!(in_order(&mut client), (300, 0));
    let heard = std::mem::take(&mut *notices.lock().unwrap());
    assert_eq!(heard.last().unwrap(), "NOTICE: sequences altered: 280, unchanged: 20, failed: 0");
}

/// The most sequences that one transaction can set up, and the error for one more.
fn most(client: &mut Client, from: usize) -> (usize, postgres::Error) {
    let mut refused = None;
    for count in (1..=from).rev() {
        let mut transaction = client.transaction().unwrap();
        let some = format!(
            "SELECT * FROM setup_interleaved_sequences(1, 2, sequences => ARRAY(
                SELECT format('t%s_id_seq', i)::regclass FROM generate_series(1, {count}) AS i))"
        );
        match transaction.query(&some, &[]) {
            Ok(rows) => {
                assert_eq!(rows.len(), count);
                return (count, refused.expect("the first is refused"));
            }
            Err(error) => {
                assert_eq!(code(&error), "53200", "{count}: {error:?}");
                refused = Some(error);
            }
        }
        transaction.rollback().unwrap();
    }
    panic!("none is set up");
}

/// The number of locks that a set-up acquires beside those on the sequences: on catalogs, our tables
/// and itself.
fn other_locks(client: &mut Client) -> usize {
    let mut transaction = client.transaction().unwrap();
    let some = "SELECT * FROM setup_interleaved_sequences(1, 2, sequences => ARRAY(
                    SELECT format('t%s_id_seq', i)::regclass FROM generate_series(1, 20) AS i))";
    transaction.query(some, &[]).unwrap();
    let others =
        "SELECT count(DISTINCT (locktype, l.relation, classid, objid, virtualxid, transactionid::text))
                  FROM pg_locks l LEFT JOIN pg_class c ON c.oid = l.relation
                  WHERE pid = pg_backend_pid() AND c.relname IS DISTINCT FROM 'pg_locks'
                    AND coalesce(c.relname, '') !~ '^t[0-9]+_id_seq$'";
    let count = transaction.query_one(others, &[]).unwrap().get::<_, i64>(0);
    transaction.rollback().unwrap();
    usize::try_from(count).unwrap()
}

/// If the set-up fits into the lock table, it succeeds; otherwise the extension refuses it with a hint
/// to the other form, and PostgreSQL never fails halfway. Locks of other sessions count.
#[test]
fn trap_s20_a_set_up_that_fits_succeeds_and_one_that_does_not_is_rejected_by_us() {
    let server = start_small(20);
    let mut client = server.connect("postgres").unwrap();
    make_tables(&mut client, 250);
    // The slot synchronization worker of 17 and later has a place among the backends, too.
    let promised = 20 * if server.tree().major() >= 17 { 11 } else { 10 };
    let is_ours = |error: &postgres::Error| {
        error.as_db_error().and_then(|error| error.hint()).is_some_and(|hint| hint.contains("in_batches"))
    };
    let others = other_locks(&mut client);
    let (alone, refused) = most(&mut client, promised + 20);
    assert!(is_ours(&refused), "{alone}: {refused:?}");
    let mut other = server.connect("postgres").unwrap();
    let mut open = other.transaction().unwrap();
    for table in 101..=140 {
        open.batch_execute(&format!("LOCK TABLE t{table} IN EXCLUSIVE MODE")).unwrap();
    }
    let (together, refused) = most(&mut client, promised + 20);
    assert!(is_ours(&refused), "{alone}: {refused:?}");
    // Not more is refused than what the locks on catalogs and our tables need, and a reserve.
    assert!(alone < promised && alone + others + 32 >= promised, "{alone} of {promised}, {others}");
    // Autovacuum may hold some locks, too, at one time or the other.
    assert!(together <= alone - 25 && together >= alone - 55, "{together} next to 40 of {alone}");
}

#[test]
fn trap_s48_reading_many_sequences_accumulates_no_locks() {
    let server = start_small(10);
    let mut client = server.connect("postgres").unwrap();
    make_tables(&mut client, 300);
    let mut transaction = client.transaction().unwrap();
    for query in [
        "SELECT count(*) FROM interleaved_sequences",
        "SELECT count(*) FROM setup_interleaved_sequences(1, 2, dry_run => true)",
        "SELECT count(*) FROM check_interleaved_sequences()",
    ] {
        transaction.query(query, &[]).unwrap();
        // Only our own tables stay locked, and what this query reads itself.
        let locks = "SELECT count(*) FROM pg_locks l WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation'
                         AND l.relation::regclass::text !~ '^(keyspace_internal[.])?interleaved_|^pg_(locks|class|namespace)'";
        let left: i64 = transaction.query_one(locks, &[]).unwrap().get(0);
        // Dozens, if the locks of our queries on catalogs stayed.
        assert!(left < 20, "{left} after {query}");
    }
}

/// The maximum of a table without an index is not computed again while its sequence is locked.
#[test]
fn trap_s06_a_table_is_scanned_once_and_not_under_the_lock() {
    let server = start(&[]);
    let mut client = server.connect("postgres").unwrap();
    client
        .batch_execute("CREATE TABLE plain (id serial, v int); INSERT INTO plain (v) VALUES (1), (2)")
        .unwrap();
    let row = client.query_one("SELECT in_use, restart FROM setup_interleaved_sequences(1, 2)", &[]).unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (2, 3));
    // A session sees its own statistics only after it has flushed them.
    client.batch_execute("SELECT pg_stat_force_next_flush()").unwrap();
    crate::wait_until(&mut client, "SELECT seq_scan > 0 FROM pg_stat_user_tables WHERE relname = 'plain'");
    assert_eq!(number(&mut client, "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'plain'"), 1);
}
