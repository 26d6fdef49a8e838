//! `setup_interleaved_sequences_in_batches` next to writers, other set-ups and faults.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use pg_test::Server;
use pg_test::load::{self, Session, Turn};
use postgres::Client;

use crate::{DATABASE, code, connect_listening, in_order, make_tables, start, wait_until};

const CALL: &str = "CALL setup_interleaved_sequences_in_batches(2, 3)";

/// Part of the work is done, but not all.
const UNDER_WAY: &str =
    "SELECT EXISTS (SELECT FROM interleaved_setup_progress WHERE altered BETWEEN 20 AND 1900)";

#[test]
fn trap_s18_writers_continue_while_it_runs_and_no_key_is_duplicated() {
    let server = start(&[]);
    let mut client = server.connect(DATABASE).unwrap();
    make_tables(&mut client, 60);
    let mut writers: Vec<Session<'_, Turn<(usize, i32)>>> = Vec::new();
    for writer in 0..4 {
        let mut client = server.connect(DATABASE).unwrap();
        let mut table = writer;
        writers.push(Box::new(move |stop| {
            load::paced(stop, Duration::ZERO, (0, 1), || {
                table = (table * 7 + 3) % 60;
                let insert = format!("INSERT INTO t{} (v) VALUES (4) RETURNING id", table + 1);
                Ok((table, client.query_one(&insert, &[])?.get(0)))
            })
        }));
    }
    let (drawn, ()) = load::alongside(writers, || Ok(client.batch_execute(CALL)?)).unwrap();
    assert_eq!(in_order(&mut client), (60, 0));
    let keys: HashSet<_> = drawn.iter().map(|turn| turn.result).collect();
    assert_eq!(keys.len(), drawn.len());
    for table in 1..=60 {
        let insert = format!("INSERT INTO t{table} (v) VALUES (5) RETURNING id");
        assert_eq!(client.query_one(&insert, &[]).unwrap().get::<_, i32>(0) % 3, 2);
    }
}

#[test]
fn trap_s18_a_long_writer_is_reported_and_the_others_are_set_up() {
    let server = start(&[]);
    let (mut client, notices) = connect_listening(&server);
    make_tables(&mut client, 10);
    let mut writer = server.connect(DATABASE).unwrap();
    let mut open = writer.transaction().unwrap();
    open.batch_execute("INSERT INTO t5 (v) VALUES (4)").unwrap();
    let call = "CALL setup_interleaved_sequences_in_batches(2, 3, lock_timeout => '5 ms', retries => 3)";
    let error = client.batch_execute(call).unwrap_err();
    assert_eq!(code(&error), "55P03");
    let heard = std::mem::take(&mut *notices.lock().unwrap());
    assert_eq!(
        heard,
        [
            "WARNING: could not set up sequence \"public.t5_id_seq\": could not lock sequence \"public.t5_id_seq\" within 5ms in 4 attempts",
            "NOTICE: sequences altered: 9, unchanged: 0, failed: 1",
        ]
    );
    assert_eq!(in_order(&mut client), (9, 1));
    open.commit().unwrap();
    client.batch_execute(call).unwrap();
    assert_eq!(in_order(&mut client), (10, 0));
}

#[test]
fn trap_s18_it_waits_for_a_writer_without_holding_a_lock() {
    let server = start(&[]);
    let mut client = server.connect(DATABASE).unwrap();
    make_tables(&mut client, 3);
    let mut writer = server.connect(DATABASE).unwrap();
    let mut open = writer.transaction().unwrap();
    open.batch_execute("INSERT INTO t2 (v) VALUES (4)").unwrap();
    std::thread::scope(|scope| {
        let call = scope.spawn(|| {
            let call =
                "CALL setup_interleaved_sequences_in_batches(2, 3, lock_timeout => '1 ms', retries => 10000)";
            server.connect(DATABASE).unwrap().batch_execute(call).unwrap();
        });
        wait_until(
            &mut client,
            "SELECT EXISTS (SELECT FROM interleaved_setup_progress
                            WHERE state = 'waiting' AND current_sequence = 't2_id_seq'::regclass AND tries > 3)",
        );
        // Other sessions use the sequence that the procedure waits for.
        client
            .batch_execute(
                "SET statement_timeout = '10 s'; INSERT INTO t2 (v) VALUES (5); RESET statement_timeout",
            )
            .unwrap();
        open.commit().unwrap();
        call.join().unwrap();
    });
    assert_eq!(in_order(&mut client), (3, 0));
}

#[test]
fn trap_s35_two_set_ups_at_once_exclude_each_other() {
    let server = start(&[]);
    let mut client = server.connect(DATABASE).unwrap();
    make_tables(&mut client, 2000);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| server.connect(DATABASE).unwrap().batch_execute(CALL).unwrap());
        wait_until(&mut client, UNDER_WAY);
        for second in [
            CALL,
            "SELECT * FROM setup_interleaved_sequences(2, 3)",
            "SELECT * FROM reset_interleaved_sequences()",
        ] {
            let error = client.batch_execute(second).unwrap_err();
            assert_eq!(code(&error), "55006", "{error}");
        }
        first.join().unwrap();
    });
    assert_eq!(in_order(&mut client), (2000, 0));
}

/// However it ends, its work so far stays, and the next call does the rest.
#[test]
fn it_continues_after_a_cancellation_a_lost_session_and_a_crash() {
    let server = start(&["synchronous_commit = on"]);
    let mut client = server.connect(DATABASE).unwrap();
    make_tables(&mut client, 2000);
    let mut done = 0;
    for end in [End::Cancelled, End::Terminated, End::Killed] {
        let call = {
            let mut runner = server.connect(DATABASE).unwrap();
            std::thread::spawn(move || runner.batch_execute(CALL).map_err(|error| error.to_string()))
        };
        let running =
            "SELECT EXISTS (SELECT FROM interleaved_setup_progress WHERE state = 'running' AND altered > 20)";
        wait_until(&mut client, running);
        let pid: i32 = client.query_one("SELECT pid FROM interleaved_setup_progress", &[]).unwrap().get(0);
        match end {
            End::Cancelled => client.execute("SELECT pg_cancel_backend($1)", &[&pid]).map(|_| ()).unwrap(),
            End::Terminated => {
                client.execute("SELECT pg_terminate_backend($1)", &[&pid]).map(|_| ()).unwrap()
            }
            End::Killed => server.kill9_backend(pid).unwrap(),
        }
        assert!(call.join().unwrap().is_err(), "{end:?} came too late");
        // After the crash of a backend the server restarts by itself.
        client = connect_when_up(&server);
        wait_until(&mut client, "SELECT state = 'interrupted' FROM interleaved_setup_progress");
        let (altered, left) = in_order(&mut client);
        assert!(altered > done && left > 0, "{end:?}: {altered} after {done}, {left} left");
        done = altered;
        // The lock has been released.
        let held = "SELECT count(*) FROM pg_locks WHERE locktype = 'object' AND classid = 'keyspace_internal.interleaved_setup'::regclass";
        assert_eq!(crate::number(&mut client, held), 0, "after {end:?}");
    }
    client.batch_execute(CALL).unwrap();
    assert_eq!(in_order(&mut client), (2000, 0));
    assert_eq!(server.log().unwrap().matches("was terminated by signal").count(), 1, "ours alone");
}

#[derive(Clone, Copy, Debug)]
enum End {
    Cancelled,
    Terminated,
    Killed,
}

fn connect_when_up(server: &Server) -> Client {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match server
            .connect(DATABASE)
            .and_then(|mut client| Ok(client.simple_query("SELECT").map(|_| client)?))
        {
            Ok(client) => return client,
            Err(error) => assert!(Instant::now() < deadline, "{error:#}"),
        }
        std::thread::yield_now();
    }
}

/// A set-up is cancelled on a pooled connection, which another client then uses.
#[test]
fn a_set_up_that_is_cancelled_between_two_transactions_keeps_nothing() {
    let server = start(&[]);
    let mut client = server.connect(DATABASE).unwrap();
    make_tables(&mut client, 3);
    let mut writer = server.connect(DATABASE).unwrap();
    let mut open = writer.transaction().unwrap();
    open.batch_execute("SELECT nextval('t1_id_seq')").unwrap();
    let mut pooled = server.connect(DATABASE).unwrap();
    pooled.batch_execute("SET statement_timeout = '500 ms'").unwrap();
    let error = pooled.batch_execute(CALL).unwrap_err();
    assert_eq!(code(&error), "57014", "{error}");
    open.rollback().unwrap();
    let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'object' \
                 AND classid = 'keyspace_internal.interleaved_setup'::regclass";
    assert_eq!(client.query_one(locks, &[]).unwrap().get::<_, i64>(0), 0);
    client.batch_execute(CALL).unwrap();
    assert_eq!(in_order(&mut client), (3, 0));
    pooled.batch_execute("RESET statement_timeout").unwrap();
    pooled.batch_execute(CALL).unwrap();
    assert!(!server.log().unwrap().contains("terminated by signal"), "no backend crashed");
}

/// Errors that the set-up does not handle are raised unchanged, wherever it waits.
#[test]
fn a_set_up_that_is_cancelled_reports_it() {
    let server = start(&[]);
    let mut client = server.connect("postgres").unwrap();
    make_tables(&mut client, 3);
    let mut other = server.connect("postgres").unwrap();
    let mut open = other.transaction().unwrap();
    open.batch_execute("SELECT nextval('t1_id_seq')").unwrap();
    client.batch_execute("SET statement_timeout = '200 ms'").unwrap();
    for waiting in [
        "SELECT * FROM setup_interleaved_sequences(1, 2, lock_timeout => '1 min')",
        "DO $$ BEGIN PERFORM * FROM setup_interleaved_sequences(1, 2, lock_timeout => '1 min'); END $$",
        "CALL setup_interleaved_sequences_in_batches(1, 2, lock_timeout => '1 min')",
    ] {
        let error = client.batch_execute(waiting).unwrap_err();
        assert_eq!((code(&error), error.to_string().contains("errstart")), ("57014", false), "{error:?}");
    }
    open.batch_execute("LOCK TABLE t2").unwrap();
    let error = client
        .batch_execute("SELECT * FROM check_interleaved_sequences(lock_timeout => '1 min')")
        .unwrap_err();
    assert_eq!(code(&error), "57014", "{error:?}");
}
