//! Sequences that another session, or a prepared transaction, keeps locked against everybody: no
//! function waits for them longer than its lock_timeout, and each says who is in the way.

use std::time::{Duration, Instant};

use pg_test::Server;
use postgres::Client;
use postgres::error::DbError;

use crate::{DATABASE, code, connect_listening, in_order, make_tables, number, start};

const TIMEOUT: Duration = Duration::from_millis(200);

/// What each function says of a lock.
const REFUSING: [&str; 4] = [
    "SELECT setup_interleaved_sequences(2, 4, lock_timeout => '200 ms')",
    "SELECT interleaved_node_state(lock_timeout => '200 ms')",
    "SELECT split_interleaved_sequences(lock_timeout => '200 ms')",
    "SELECT reset_interleaved_sequences(lock_timeout => '200 ms')",
];

/// The same of guards.
const GUARD: &str = "SELECT guard_interleaved_sequences(lock_timeout => '200 ms')";

/// Runs `step`, which may wait once for the timeout in each phase, and has to do something besides.
fn in_time<T>(what: &str, step: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let result = step();
    assert!(began.elapsed() < TIMEOUT * 10, "{what} took {:?}", began.elapsed());
    result
}

fn refused(client: &mut Client, statement: &str) -> DbError {
    let error = in_time(statement, || client.query(statement, &[]).unwrap_err());
    let error = error.as_db_error().unwrap().clone();
    assert_eq!(error.code().code(), "55P03", "{statement}: {error}");
    error
}

/// The number of rows with this action in a dry run.
fn planned(client: &mut Client, call: &str, action: &str) -> i64 {
    let query = format!("SELECT count(*) FROM {call} WHERE action = '{action}'");
    in_time(call, || number(client, &query))
}

/// Checks every function while three of five sequences are locked: those of `t1` to `t3`. `seen` must
/// be in each detail, and `advice` in each hint.
fn check_all(client: &mut Client, seen: &[&str], advice: &str) {
    let is_told = |detail: &str, hint: &str, what: &str| {
        assert!(seen.iter().all(|seen| detail.contains(seen)), "{what}: {detail}");
        assert!(hint.contains(advice), "{what}: {hint}");
    };
    for statement in REFUSING {
        let error = refused(client, statement);
        is_told(error.detail().unwrap(), error.hint().unwrap(), statement);
    }
    let dry = "dry_run => true, lock_timeout => '200 ms'";
    for call in ["split_interleaved_sequences", "reset_interleaved_sequences"] {
        assert_eq!(planned(client, &format!("{call}({dry})"), "failed"), 3, "{call}");
        assert_eq!(planned(client, &format!("{call}({dry})"), "planned"), 2, "{call}");
    }
    let call = format!("setup_interleaved_sequences(2, 4, {dry})");
    assert_eq!(planned(client, &call, "failed"), 3);
    let unknown =
        "SELECT count(*) FROM setup_interleaved_sequences(2, 4, dry_run => true, lock_timeout => '200 ms')
                   WHERE action = 'failed' AND in_use IS NULL AND restart IS NULL AND last_value IS NULL";
    assert_eq!(number(client, unknown), 3);
    let check = "SELECT sequence::text, severity, detail, hint FROM check_interleaved_sequences(lock_timeout => '200 ms')
                 WHERE finding = 'locked' ORDER BY 1";
    let rows = in_time(check, || client.query(check, &[]).unwrap());
    let locked: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(locked, ["t1_id_seq", "t2_id_seq", "t3_id_seq"]);
    for row in &rows {
        assert_eq!(row.get::<_, String>(1), "warning");
        is_told(row.get(2), row.get(3), check);
    }
    // What is locked is left out of the comparison with a peer.
    let peer = "SELECT count(*) FROM peer_state,
                     check_interleaved_sequences(ARRAY[state], lock_timeout => '200 ms') AS found
                WHERE found.finding = 'missing here'";
    assert_eq!(in_time(peer, || number(client, peer)), 0);
    let view = "SELECT count(*) FROM interleaved_sequences WHERE 'locked' = ANY (findings)";
    assert_eq!(in_time(view, || number(client, view)), 3);
    // The lock of the set-up is free again.
    let held =
        "SELECT count(*) FROM pg_locks WHERE classid = 'keyspace_internal.interleaved_setup'::regclass";
    assert_eq!(number(client, held), 0);
}

/// A server whose five tables are set up as node 2 of 4, with the state of a peer.
fn five_tables() -> Server {
    let server = start(&["max_prepared_transactions=5"]);
    let mut client = server.connect(DATABASE).unwrap();
    make_tables(&mut client, 5);
    client
        .batch_execute(
            "CREATE TABLE peer_state AS
                 SELECT jsonb_set(interleaved_node_state(), '{database_oid}', '1') AS state;
             SELECT setup_interleaved_sequences(2, 4, gap => 1);
             ALTER SEQUENCE t1_id_seq INCREMENT 1; ALTER SEQUENCE t2_id_seq INCREMENT 1;
             ALTER SEQUENCE t3_id_seq INCREMENT 1",
        )
        .unwrap();
    server
}

#[test]
fn fault_b13_a_session_that_locks_against_everybody_is_named() {
    let server = five_tables();
    let mut client = server.connect(DATABASE).unwrap();
    for lock in ["TRUNCATE t1, t2, t3 RESTART IDENTITY", "DROP TABLE t1, t2, t3"] {
        let mut locker = server.connect(DATABASE).unwrap();
        let pid = number(&mut locker, "SELECT pg_backend_pid()::bigint");
        let mut open = locker.transaction().unwrap();
        open.batch_execute(lock).unwrap();
        let process = format!("Process {pid} holds AccessExclusiveLock on it");
        let seen = [process.as_str(), "idle in transaction", lock];
        check_all(&mut client, &seen, &format!("pg_terminate_backend({pid})"));
        open.rollback().unwrap();
    }
}

#[test]
fn fault_b13_a_prepared_transaction_that_keeps_a_lock_is_named() {
    let server = five_tables();
    let mut client = server.connect(DATABASE).unwrap();
    let prepare = "BEGIN; TRUNCATE t1, t2, t3 RESTART IDENTITY; PREPARE TRANSACTION 'left ''behind'";
    client.batch_execute(prepare).unwrap();
    let seen = ["Prepared transaction 'left ''behind' of role \"", "AccessExclusiveLock"];
    check_all(&mut client, &seen, "ROLLBACK PREPARED 'left ''behind'");
    client.batch_execute("ROLLBACK PREPARED 'left ''behind'").unwrap();
    let rows = client.query("SELECT setup_interleaved_sequences(2, 4)", &[]).unwrap();
    assert_eq!(rows.len(), 5);
    // One that has only drawn from a sequence, too.
    let prepare = "BEGIN; INSERT INTO t4 (v) VALUES (1); PREPARE TRANSACTION 'drawn'";
    client.batch_execute(prepare).unwrap();
    let error = refused(&mut client, "SELECT split_interleaved_sequences(lock_timeout => '200 ms')");
    assert!(error.detail().unwrap().contains("Prepared transaction 'drawn' of role"), "{error:?}");
    let error = refused(&mut client, GUARD);
    assert_eq!(error.message(), "could not lock table \"public.t4\" within 200ms");
    assert!(error.detail().unwrap().contains("'drawn' of role"), "{error:?}");
    assert_eq!(
        error.hint().unwrap(),
        "Run COMMIT PREPARED 'drawn' or ROLLBACK PREPARED 'drawn', and try again."
    );
    client.batch_execute("COMMIT PREPARED 'drawn'").unwrap();
}

#[test]
fn fault_b13_the_query_of_another_role_is_not_shown() {
    let server = start(&[]);
    let mut client = server.connect(DATABASE).unwrap();
    make_tables(&mut client, 1);
    client
        .batch_execute(
            "CREATE ROLE keeper; ALTER TABLE t1 OWNER TO keeper; GRANT ALL ON SCHEMA public TO keeper",
        )
        .unwrap();
    let mut locker = server.connect(DATABASE).unwrap();
    let pid = number(&mut locker, "SELECT pg_backend_pid()::bigint");
    let mut open = locker.transaction().unwrap();
    open.batch_execute("TRUNCATE t1 RESTART IDENTITY").unwrap();
    client.batch_execute("SET ROLE keeper").unwrap();
    let statement = "SELECT interleaved_node_state(lock_timeout => '200 ms')";
    let detail = refused(&mut client, statement).detail().unwrap().to_owned();
    assert!(detail.ends_with(&format!("Process {pid} holds AccessExclusiveLock on it.")), "{detail}");
    client.batch_execute("RESET ROLE; GRANT pg_read_all_stats TO keeper; SET ROLE keeper").unwrap();
    let detail = refused(&mut client, statement).detail().unwrap().to_owned();
    assert!(detail.ends_with("its last query: TRUNCATE t1 RESTART IDENTITY"), "{detail}");
}

#[test]
fn fault_b23_batches_that_fail_for_some_end_in_an_error() {
    let server = start(&[]);
    let (mut client, notices) = connect_listening(&server);
    make_tables(&mut client, 15);
    let mut locker = server.connect(DATABASE).unwrap();
    let mut open = locker.transaction().unwrap();
    open.batch_execute("TRUNCATE t1, t2, t3, t4, t5, t6, t7, t8, t9, t10, t11, t12 RESTART IDENTITY")
        .unwrap();
    let call = "CALL setup_interleaved_sequences_in_batches(2, 3, lock_timeout => '20 ms', retries => 1)";
    let error = in_time(call, || client.batch_execute(call).unwrap_err());
    assert_eq!(code(&error), "55P03");
    let error = error.as_db_error().unwrap();
    assert_eq!(error.message(), "could not set up 12 of 15 sequences");
    let detail: Vec<&str> = error.detail().unwrap().lines().collect();
    assert_eq!(detail.len(), 12, "{detail:?}");
    assert_eq!(detail[0], "Could not read sequence \"public.t1_id_seq\" within 20ms in 2 attempts.");
    assert!(detail[10].contains("TRUNCATE t1, t2"), "who is in the way: {detail:?}");
    assert_eq!(detail[11], "And 2 more.");
    assert!(error.hint().unwrap().contains("again to set up the remaining"));
    let heard = std::mem::take(&mut *notices.lock().unwrap());
    assert_eq!(heard.last().unwrap(), "NOTICE: sequences altered: 3, unchanged: 0, failed: 12");
    assert_eq!(in_order(&mut client).0, 3, "what was done stays done");
    let progress = "SELECT state || ' ' || altered || ' ' || failed FROM interleaved_setup_progress";
    assert_eq!(client.query_one(progress, &[]).unwrap().get::<_, String>(0), "failed 3 12");
    open.rollback().unwrap();
    client.batch_execute(call).unwrap();
    assert_eq!(in_order(&mut client), (15, 0));
    assert_eq!(client.query_one(progress, &[]).unwrap().get::<_, String>(0), "finished 12 0");
}
