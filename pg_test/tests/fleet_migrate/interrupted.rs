//! Ctrl-C and worse, at any moment: another call goes on where it was.

use std::process::Child;

use nix::sys::signal::Signal;
use pg_test::Server;

use crate::program::{DATABASE, Ended, Program, value, wait_until};
use crate::{ORDERS, phase, shop};

pub fn signal(child: &Child, signal: Signal) {
    let process = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(process, signal).unwrap();
}

/// Rows that have their keys.
fn filled(server: &Server) -> i64 {
    value(server, "SELECT coalesce(sum(filled_rows), 0)::int8 FROM key_migration_progress")
}

#[test]
fn an_interrupted_backfill_goes_on() {
    for (end, code) in [(Signal::SIGINT, Some(130)), (Signal::SIGKILL, None)] {
        let server = shop("one");
        let program = Program::of(&[&server]);
        let child =
            program.begin(&["migrate", "run", ORDERS, "--set", "pause=300 ms", "--set", "batch_pages=2"]);
        wait_until("the backfill", || filled(&server) > 0);
        signal(&child, end);
        let ended = Ended::of(child.wait_with_output().unwrap());
        assert_eq!(ended.code, code, "{}", ended.stderr);
        if code.is_some() {
            assert!(ended.stderr.contains("Call it again, and it goes on"), "{}", ended.stderr);
            // What the server does ends at once.
            wait_until("the cancellation", || {
                value(
                    &server,
                    "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'CALL%' AND state = 'active')",
                )
            });
        }
        assert!(["prepared", "backfilled"].contains(&phase(&server).as_str()), "{}", phase(&server));
        let before = filled(&server);
        assert!(before > 0);
        // Without the pause. What is filled is not filled again.
        let ran = program.json(0, &["migrate", "run", ORDERS, "--set", "pause=0"]);
        assert_eq!(ran["phase"], "verified");
        assert_eq!(filled(&server), 20_000);
        program.expect(0, &["migrate", "cut-over", ORDERS]);
    }
}

/// The build of an index is interrupted: what is left of it is dropped, and it is built again.
#[test]
fn an_interrupted_build_of_an_index_goes_on() {
    for (end, code) in [(Signal::SIGTERM, Some(130)), (Signal::SIGKILL, None)] {
        let server = shop("one");
        let program = Program::of(&[&server]);
        let mut other = server.connect(DATABASE).unwrap();
        other.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1").unwrap();
        let child = program.begin(&["migrate", "run", ORDERS]);
        wait_until("the build of an index", || {
            value(
                &server,
                "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'CREATE%INDEX CONCURRENTLY%' AND wait_event_type = 'Lock')",
            )
        });
        signal(&child, end);
        assert_eq!(Ended::of(child.wait_with_output().unwrap()).code, code);
        // Also if the program was killed: the server notices.
        wait_until("the end of the build", || {
            value(
                &server,
                "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'CREATE%INDEX CONCURRENTLY%' AND state = 'active')",
            )
        });
        let invalid: i64 = value(&server, "SELECT count(*) FROM pg_index WHERE NOT indisvalid");
        assert_eq!(invalid, 1);
        other.batch_execute("COMMIT").unwrap();
        assert_eq!(program.json(0, &["migrate", "run", ORDERS])["phase"], "verified");
        assert_eq!(value::<i64>(&server, "SELECT count(*) FROM pg_index WHERE NOT indisvalid"), 0);
    }
}

/// Two runs of one table: the second one waits for the first, and finds its work done.
#[test]
fn two_runs_do_not_meet() {
    let server = shop("one");
    let program = Program::of(&[&server]);
    let first = program.begin(&["migrate", "run", ORDERS, "--set", "pause=20 ms", "--set", "batch_pages=8"]);
    wait_until("the first run", || !phase(&server).is_empty());
    let second = program.begin(&["migrate", "run", ORDERS, "--json"]);
    let [first, second] = [first, second].map(|child| Ended::of(child.wait_with_output().unwrap()));
    assert_eq!((first.code, second.code), (Some(0), Some(0)), "{}\n{}", first.stderr, second.stderr);
    let second: serde_json::Value = serde_json::from_str(&second.stdout).unwrap();
    assert_eq!(second["statements"].as_array().unwrap().len(), 0, "{second:#}");
    assert_eq!(phase(&server), "verified");
}
