//! `add-node`, `split`, `leave` and `fail-over`: the procedures of the runbook.

use std::collections::HashSet;
use std::io::Write;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pg_test::Server;

use crate::program::{DATABASE, Program, class, findings, insert_of, start, start_with, value, wait_until};

#[test]
fn a_node_is_added_in_a_free_class() {
    let servers = ["one", "two", "three"].map(start);
    let [one, two, three] = &servers;
    Program::of(&[one, two]).expect(0, &["setup", "--classes", "8"]);
    let mut seen = HashSet::new();
    insert_of(one, (1, 8), &mut seen);
    // Node 2 is not named here. Its class is not given away, because node 1 remembers it.
    let refused = Program::of(&[one, three]).expect(2, &["add-node", "three", "--class", "2"]);
    refused.assert_error("class 2 of 8 may belong to a node that is not named");
    assert_eq!(class(three), "");
    let program = Program::of(&[one, two, three]);
    let refused = program.expect(2, &["add-node", "three", "--class", "2"]);
    refused.assert_error(
        "class 2 of 8 of node \"three\" and class 2 of 8 of node \"two\" have values in common",
    );
    let shown = program.json(0, &["add-node", "three", "--class", "3", "--dry-run"]);
    assert_eq!(shown["nodes"][0]["changes"][0]["action"], "planned");
    assert_eq!(class(three), "");
    let result = program.json(0, &["add-node", "three", "--class", "3"]);
    assert_eq!(findings(&result["check"]), Vec::<String>::new());
    assert_eq!(class(three), "3 of 8");
    insert_of(two, (2, 8), &mut seen);
    insert_of(three, (3, 8), &mut seen);
}

#[test]
fn a_node_is_added_by_splitting_another_one() {
    let servers = ["one", "two", "three", "four"].map(start);
    let [one, two, three, four] = &servers;
    Program::of(&[one, two]).expect(0, &["setup"]);
    let mut seen = HashSet::new();
    insert_of(one, (1, 2), &mut seen);
    insert_of(two, (2, 2), &mut seen);
    let program = Program::of(&[one, two, three]);
    let shown = program.json(0, &["add-node", "three", "--split", "one", "--dry-run"]);
    assert_eq!(shown["nodes"][0]["class"], "1 of 4");
    assert_eq!(shown["nodes"][1]["class"], "3 of 4");
    assert_eq!(class(one), "1 of 2");
    let result = program.json(0, &["add-node", "three", "--split", "one"]);
    assert_eq!(findings(&result["check"]), Vec::<String>::new());
    assert_eq!([one, two, three].map(class), ["1 of 4", "2 of 2", "3 of 4"]);
    // The same in two steps.
    let split = Program::of(&[one, two, three]).expect(0, &["split", "two"]);
    assert!(split.stdout.contains("free for a new node: 4 of 4"), "{}", split.stdout);
    let all = Program::of(&[one, two, three, four]);
    all.expect(0, &["add-node", "four", "--class", "4"]);
    for (server, number) in [(one, 1), (two, 2), (three, 3), (four, 4)] {
        insert_of(server, (number, 4), &mut seen);
    }
    assert_eq!(findings(&all.json(0, &["check"])), Vec::<String>::new());
}

/// The last state is taken only after the writers have stopped, and when the rows have arrived.
#[test]
fn a_node_leaves_and_its_class_is_given_to_another_one() {
    let [one, two] = ["one", "two"].map(start);
    let three = start_with("three", &["wal_level = logical"]);
    let four = start("four");
    let program = Program::of(&[&one, &two, &three]);
    program.expect(0, &["setup"]);
    let mut seen = HashSet::new();
    insert_of(&three, (3, 3), &mut seen);

    let mut writer = three.connect(DATABASE).unwrap();
    let leave = ["leave", "three"];
    program.expect(2, &leave).assert_error("sessions are connected that may write");
    let shown = program.expect(1, &["leave", "three", "--dry-run"]);
    assert!(shown.stdout.contains("Sessions that would have to end"), "{}", shown.stdout);
    // What has written and is not over is no matter of trust.
    writer.batch_execute("BEGIN; INSERT INTO item DEFAULT VALUES").unwrap();
    let trusted = ["leave", "three", "--writers-stopped"];
    program.expect(2, &trusted).assert_error("the node is being written to");
    writer.batch_execute("COMMIT").unwrap();
    // A connection for replication is no session of a client, and can write as one.
    let mut replication = three
        .tree()
        .command("psql")
        .args(["--no-psqlrc", "--quiet", &format!("{} replication=database", three.conninfo(DATABASE))])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut statements = replication.stdin.take().unwrap();
    statements.write_all(b"BEGIN; INSERT INTO item DEFAULT VALUES;\n").unwrap();
    let writes = "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'walsender' AND backend_xid IS NOT NULL";
    wait_until("the insert", || value(&three, writes));
    let refused = program.expect(2, &trusted);
    refused.assert_error("the node is being written to");
    assert!(refused.stderr.contains("(walsender"), "{}", refused.stderr);
    statements.write_all(b"COMMIT;\n").unwrap();
    drop(statements);
    assert!(replication.wait().unwrap().success());
    program.expect(2, &trusted).assert_error("it is not known whether the rows of the node have arrived");
    // One slot for two other nodes tells nothing of one of them.
    let slot =
        |name: &str| format!("SELECT pg_create_logical_replication_slot('{name}', 'test_decoding')::text");
    let _: String = value(&three, &slot("to_one"));
    program.expect(2, &trusted).assert_error("it is not known whether the rows of the node have arrived");
    let _: String = value(&three, &slot("to_two"));
    drop(writer);
    let late = program.expect(2, &["leave", "three", "--timeout", "1"]);
    late.assert_error("rows of the node have not arrived in time");
    assert!(late.stderr.contains("Slot \"to_one\" is") && late.stderr.contains("nobody is connected"));
    let file = program.log().with_file_name("three.left.json");
    assert!(!file.exists());

    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let advance = "SELECT count(pg_replication_slot_advance(slot_name, pg_current_wal_lsn())) FROM pg_replication_slots";
            let mut client = three.connect(DATABASE).unwrap();
            while !stop.load(Ordering::SeqCst) {
                client.query_one(advance, &[]).unwrap();
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        program.expect(0, &trusted);
        stop.store(true, Ordering::SeqCst);
    });
    assert!(file.exists());
    program.expect(2, &trusted).assert_error("three.left.json\" exists");
    let last: i64 = value(&three, "SELECT last_value FROM item_id_seq");

    // Its class is given away with this state, and not without it.
    let program = Program::of(&[&one, &two, &four]);
    let refused = program.expect(2, &["add-node", "four", "--class", "3"]);
    refused.assert_error("class 3 of 3 may belong to a node that is not named");
    let left = ["add-node", "four", "--class", "3", "--left", file.to_str().unwrap()];
    let result = program.json(0, &left);
    assert_eq!(findings(&result["check"]), Vec::<String>::new());
    assert_eq!(class(&four), "3 of 3");
    insert_of(&four, (3, 3), &mut seen);
    let next: i64 = value(&four, "SELECT last_value FROM item_id_seq");
    assert!(next > last, "{next} {last}");
}

#[test]
fn a_promoted_standby_continues_as_its_node() {
    let primary = start_with("primary", &["wal_level = replica"]);
    let other = start("other");
    Program::of(&[&primary, &other]).expect(0, &["setup"]);
    let mut seen = HashSet::new();
    insert_of(&primary, (1, 2), &mut seen);
    let mut standby = Server::start_standby(&primary, "standby").unwrap();
    // A standby is shown, and is no node of its own.
    let all = Program::of(&[&primary, &standby, &other]);
    let status = all.json(0, &["status"]);
    assert_eq!(status["nodes"][1]["in_recovery"], true);
    all.expect(2, &["check"]).assert_error("nodes \"primary\" and \"standby\" are one server and database");
    let program = Program::of(&[&standby, &other]);
    program.expect(2, &["fail-over", "standby", "--gap", "0"]).assert_error("server is in recovery");

    standby.stop().unwrap();
    insert_of(&primary, (1, 2), &mut seen);
    drop(primary);
    standby.launch().unwrap();
    standby.promote().unwrap();
    program.expect(2, &["fail-over", "standby"]).assert_error("--gap is needed");
    let shown = program.json(0, &["fail-over", "standby", "--gap", "1000", "--dry-run"]);
    assert_eq!(shown["nodes"][0]["changes"][0]["action"], "planned");
    let result = program.json(0, &["fail-over", "standby", "--gap", "1000"]);
    assert_eq!(result["nodes"][0]["changes"][0]["detail"], "gap after a promotion");
    assert_eq!(findings(&result["check"]), Vec::<String>::new());
    insert_of(&standby, (1, 2), &mut seen);
    // Once for each promotion.
    let again = program.json(0, &["fail-over", "standby", "--gap", "1000"]);
    assert_eq!(again["nodes"][0]["changes"][0]["action"], "unchanged");
}
