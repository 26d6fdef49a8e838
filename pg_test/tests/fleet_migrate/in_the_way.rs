//! Who is in the way is named, in a rehearsal and while it is waited for.

use crate::program::{DATABASE, Ended, Program, value, wait_until};
use crate::{ORDERS, key_type, phase, shop};

#[test]
fn a_rehearsal_names_who_is_in_the_way_and_changes_nothing() {
    let server = shop("one");
    let program = Program::of(&[&server]);
    program.expect(0, &["migrate", "run", ORDERS]);
    let mut other = server.connect(DATABASE).unwrap();
    other.batch_execute("SET application_name = 'reports'").unwrap();
    other.batch_execute("BEGIN; SELECT count(*) FROM \"My Shop\".audit").unwrap();
    let pid: i32 = other.query_one("SELECT pg_backend_pid()", &[]).unwrap().get(0);
    let rehearse = ["migrate", "cut-over", ORDERS, "--rehearse"];
    let result = program.json(1, &[&rehearse[..], &["--tries", "2", "--lock-timeout", "300"]].concat());
    let rehearsal = &result["rehearsal"];
    assert_eq!(
        (rehearsal["acquired"].as_bool(), rehearsal["tries"].as_array().unwrap().len()),
        (Some(false), 2)
    );
    let blocker = &rehearsal["tries"][0]["blockers"][0];
    assert_eq!(blocker["pid"], pid);
    assert_eq!(
        (blocker["application"].as_str(), blocker["state"].as_str()),
        (Some("reports"), Some("idle in transaction"))
    );
    let shown = program.json(0, &["migrate", "cut-over", ORDERS, "--dry-run"]);
    assert_eq!(shown["blockers"][0]["pid"], pid);

    other.batch_execute("COMMIT").unwrap();
    let ended = program.expect(0, &rehearse);
    assert!(
        ended.stdout.contains("2 tables locked and released; the cut-over would hold the locks for about"),
        "{}",
        ended.stdout
    );
    assert_eq!((phase(&server).as_str(), key_type(&server).as_str()), ("verified", "bigint"));
    assert_eq!(value::<i64>(&server, "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock'"), 0);
}

/// A build of an index waits for a transaction: it is named, and the run goes on once it has ended.
#[test]
fn a_run_says_for_whom_it_waits() {
    let server = shop("one");
    let program = Program::of(&[&server]);
    let mut other = server.connect(DATABASE).unwrap();
    other
        .batch_execute("SET application_name = 'reports'; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
        .unwrap();
    let child = program.begin(&["migrate", "run", ORDERS, "--json"]);
    wait_until("the build of an index", || {
        value(
            &server,
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'CREATE%INDEX CONCURRENTLY%' AND wait_event_type = 'Lock')",
        )
    });
    // Longer than the interval in which the program looks.
    std::thread::sleep(std::time::Duration::from_millis(1500));
    other.batch_execute("COMMIT").unwrap();
    let ended = Ended::of(child.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("waits for process"), "{}", ended.stderr);
    assert!(ended.stderr.contains("reports, idle in transaction"), "{}", ended.stderr);
    assert_eq!(phase(&server), "verified");
}
