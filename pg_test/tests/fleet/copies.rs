//! A base backup that was promoted runs next to its origin: two servers with one identity.

use std::collections::HashSet;

use pg_test::Server;

use crate::program::{DATABASE, Program, class, findings, insert_of, run, start, start_with, value};

fn state(server: &Server) -> String {
    value(server, "SELECT interleaved_node_state()::text")
}

#[test]
fn trap_s13_a_copy_next_to_its_origin_is_another_server_with_the_same_class() {
    let origin = start_with("origin", &["wal_level = replica"]);
    let two = start("two");
    Program::of(&[&origin, &two]).expect(0, &["setup"]);
    let mut seen = HashSet::new();
    insert_of(&origin, (1, 2), &mut seen);
    let copy = Server::start_standby(&origin, "copy").unwrap();
    copy.promote().unwrap();

    // They are compared, and what is found is said.
    let all = Program::of(&[&origin, &copy, &two]);
    let found = findings(&all.json(1, &["check"]));
    for finding in ["error: classes overlap", "error: same server twice"] {
        assert!(found.contains(&finding.to_owned()), "{finding}: {found:?}");
    }
    let status = all.json(1, &["status"]);
    assert_eq!(status["nodes"][1]["class"], serde_json::json!([1, 2]));
    assert_eq!(status["nodes"][1]["in_recovery"], false);
    // Nothing is changed as long as both are one node.
    for command in [&["setup"][..], &["split", "two"], &["fail-over", "copy", "--gap", "0"]] {
        let refused = all.expect(2, command);
        refused
            .assert_error("nodes \"origin\" and \"copy\" are copies of one server, and both are node 1 of 2");
        assert!(refused.stderr.contains("the runbook, \"Clone\""), "{}", refused.stderr);
    }
    // The same server by two names is still found, in whatever time zone its sessions are.
    let again = format!("{} options='-c TimeZone=Asia/Tokyo'", copy.conninfo(DATABASE));
    let twice = Program::of(&[&origin, &copy]).with("again", &again);
    twice.expect(2, &["check"]).assert_error("nodes \"copy\" and \"again\" are one server and database");

    // By the runbook, the copy becomes another node, and is one for the program.
    Program::of(&[&origin, &two]).expect(0, &["split", "origin"]);
    run(
        &copy,
        &format!(
            "SELECT count(*) FROM setup_interleaved_sequences(3, 4, gap => 1000, peers => ARRAY['{}', '{}']::jsonb[])",
            state(&origin),
            state(&two)
        ),
    );
    assert_eq!([&origin, &copy, &two].map(class), ["1 of 4", "3 of 4", "2 of 2"]);
    let found = findings(&all.json(0, &["check"]));
    assert!(found.contains(&"warning: same server twice".to_owned()), "{found:?}");
    all.expect(0, &["setup"]);
    for (server, of) in [(&origin, (1, 4)), (&copy, (3, 4)), (&two, (2, 2))] {
        insert_of(server, of, &mut seen);
    }
    // Its class is not given away, although a node with the same identity is named.
    let four = start("four");
    let refused = Program::of(&[&origin, &two, &four]).expect(2, &["add-node", "four", "--class", "3"]);
    refused.assert_error("class 3 of 4 may belong to a node that is not named");
}
