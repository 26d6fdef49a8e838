//! Commands on two nodes that are interrupted in each of their steps: no writer waits for ever, and a
//! second call goes on.

use std::process::Child;

use nix::sys::signal::Signal;
use postgres::Client;

use crate::interrupted::signal;
use crate::pair::Pair;
use crate::program::{DATABASE, Ended, Program, wait_until};
use crate::together::phases;

/// A transaction that has read: what needs an exclusive lock waits for its end.
fn reader(pair: &Pair, at: usize) -> Client {
    let mut reader = pair.servers[at].connect(DATABASE).unwrap();
    reader.batch_execute("BEGIN; SELECT count(*) FROM orders; SELECT count(*) FROM audit").unwrap();
    reader
}

fn end(mut reader: Client) {
    reader.batch_execute("ROLLBACK").unwrap();
}

/// Begins a command with a reader on a node, until a condition is true.
fn begin(
    pair: &Pair,
    program: &Program,
    arguments: &[&str],
    at: usize,
    is_so: impl Fn(&Pair) -> bool,
) -> (Child, Client) {
    let reader = reader(pair, at);
    let mut begun = program.begin(arguments);
    wait_until(&format!("{arguments:?}"), || {
        assert!(begun.try_wait().unwrap().is_none(), "{arguments:?} has ended");
        is_so(pair)
    });
    (begun, reader)
}

fn killed(begun: Child, reader: Client) {
    signal(&begun, Signal::SIGKILL);
    begun.wait_with_output().unwrap();
    end(reader);
}

const BOTH_CLOSED: fn(&Pair) -> bool = |pair| pair.forms().iter().all(|(_, closed)| *closed);

/// The first node has this form, and writers wait on the second one.
fn first_is(form: &'static str) -> impl Fn(&Pair) -> bool {
    move |pair| {
        let [(first, _), (second, closed)] = pair.forms();
        first == form && second != form && closed
    }
}

#[test]
fn fault_d05_killed_in_each_step_and_called_again() {
    let pair = Pair::start();
    let program = pair.program();
    pair.next_to_writers(|| {
        let run = ["migrate", "run", "orders"];
        // One node is prepared, and the other one waits for its locks.
        let is_prepared = |pair: &Pair| {
            let form = "SELECT coalesce((SELECT key_migration_node_state('orders') #>> '{progress,form}'
                                          WHERE EXISTS (SELECT FROM key_migration_progress WHERE state IS NOT NULL)), '')";
            pair.each::<String>(form) == ["old_ids", "unprepared"]
        };
        let (begun, reader) = begin(&pair, &program, &run, 1, is_prepared);
        killed(begun, reader);
        // In the backfill.
        let begun = program.begin(&[&run[..], &["--set", "pause=200 ms", "--set", "batch_pages=1"]].concat());
        wait_until("the backfill", || {
            let filled = "SELECT coalesce(sum(filled_rows), 0)::int8 FROM key_migration_progress";
            pair.each::<i64>(filled).iter().all(|filled| *filled > 0)
        });
        signal(&begun, Signal::SIGKILL);
        begun.wait_with_output().unwrap();
        let ran = program.json(0, &[&run[..], &["--set", "pause=0", "--set", "batch_pages=64"]].concat());
        assert_eq!(phases(&ran), ["verified", "verified"]);

        for (command, form, types) in [
            (vec!["migrate", "cut-over", "orders"], "keys", ["uuid", "uuid"]),
            (vec!["migrate", "rollback", "orders"], "old_ids", ["bigint", "bigint"]),
            (vec!["migrate", "finalize", "orders", "--confirm", "orders"], "finalized", ["uuid", "uuid"]),
        ] {
            if form == "finalized" {
                program.expect(0, &run);
                program.expect(0, &["migrate", "cut-over", "orders"]);
            }
            // All are closed, and none has changed.
            let (begun, reader) = begin(&pair, &program, &command, 0, BOTH_CLOSED);
            killed(begun, reader);
            if BOTH_CLOSED(&pair) {
                let refused = program.expect(2, &run);
                refused.assert_error("writers wait on nodes \"berlin\", \"lisbon\"");
                let opened = program.json(0, &["migrate", "open", "orders"]);
                assert_eq!(opened["nodes"][0]["closed"], false, "{opened:#}");
            }
            // One has changed, and the other one has to follow.
            if pair.forms().iter().all(|(now, _)| now != form) {
                let (begun, reader) = begin(&pair, &program, &command, 1, first_is(form));
                killed(begun, reader);
            }
            let went_on = program.expect(0, &command);
            if went_on.stderr.contains("key_migration") {
                assert!(went_on.stderr.contains("writers wait on node"), "{}", went_on.stderr);
            }
            assert_eq!(pair.key_types(), types);
            assert!(pair.forms().iter().all(|(now, closed)| now == form && !closed));
        }
    });
}

#[test]
fn fault_d05_writers_go_on_after_an_interrupt() {
    let pair = Pair::start();
    let program = pair.program();
    program.expect(0, &["migrate", "run", "orders"]);
    pair.next_to_writers(|| {
        let command = ["migrate", "cut-over", "orders"];
        for end_by in [Signal::SIGINT, Signal::SIGTERM] {
            let (begun, reader) = begin(&pair, &program, &command, 0, BOTH_CLOSED);
            signal(&begun, end_by);
            let ended = Ended::of(begun.wait_with_output().unwrap());
            assert_eq!(ended.code, Some(130), "{}", ended.stderr);
            assert!(ended.stderr.contains("No node has changed, and writers go on"), "{}", ended.stderr);
            assert!(pair.forms().iter().all(|(form, closed)| form == "old_ids" && !closed));
            end(reader);
        }
        // Writers wait no longer than is allowed.
        let reader = reader(&pair, 0);
        let ended = program.expect(2, &[&command[..], &["--max-wait", "1"]].concat());
        assert!(ended.stderr.contains("No node has changed, and writers go on"), "{}", ended.stderr);
        end(reader);

        // Once a node has changed, the others follow, whatever the user does.
        let (begun, reader) = begin(&pair, &program, &command, 1, first_is("keys"));
        signal(&begun, Signal::SIGINT);
        signal(&begun, Signal::SIGINT);
        // It does not end before the other node has changed.
        std::thread::sleep(std::time::Duration::from_millis(500));
        end(reader);
        let ended = Ended::of(begun.wait_with_output().unwrap());
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(ended.stderr.contains("a node has changed already: the others follow"), "{}", ended.stderr);
        assert_eq!(pair.key_types(), ["uuid", "uuid"]);
    });
}
