//! What is refused on several nodes: in one clear line, with nothing half done.

use pg_test::Server;

use crate::pair::Pair;
use crate::program::{DATABASE, Program, run};
use crate::{ORDERS, shop};

#[test]
fn nodes_need_classes_and_have_to_replicate_to_each_other() {
    let [one, two] = ["one", "two"].map(shop);
    let program = Program::of(&[&one, &two]);
    program.expect(2, &["migrate", "run", ORDERS]).assert_error("the node has no class");
    for (server, node) in [(&one, 2), (&two, 2)] {
        run(server, &format!("SELECT * FROM setup_interleaved_sequences({node}, 4)"));
    }
    program.expect(2, &["migrate", "run", ORDERS]).assert_error("have the same number 2 in their classes");
    // Without commit times nothing is created.
    run(&two, "SELECT * FROM reset_interleaved_sequences(); SELECT * FROM setup_interleaved_sequences(1, 4)");
    let shown = program.json(1, &["migrate", "run", ORDERS]);
    let findings = shown["nodes"][0]["findings"].to_string();
    assert!(findings.contains("track_commit_timestamp"), "{shown:#}");
    for node in [&one, &two] {
        assert_eq!(crate::phase(node), "");
    }
    let gone = Program::of(&[&one]).with("three", "host=/nonexistent dbname=postgres");
    gone.expect(2, &["migrate", "run", ORDERS]).assert_error("node \"three\": could not connect");
    for arguments in [vec!["--way", "view"], vec!["--rehearse"]] {
        let ended = program.expect(2, &[&["migrate", "cut-over", ORDERS][..], &arguments].concat());
        ended.assert_error(if arguments.len() == 2 {
            "cannot be cut over by views"
        } else {
            "--rehearse is for one node"
        });
    }
    for command in ["cut-over", "rollback", "finalize", "open"] {
        program.expect(2, &["migrate", command, ORDERS]).assert_error("is not being migrated");
    }
    let alone = ["migrate", "cut-over", ORDERS, "--on", "one", "--max-wait", "5"];
    program.expect(2, &alone).assert_error("--max-wait is for several nodes");
    program
        .expect(2, &["migrate", "open", ORDERS, "--on", "one"])
        .assert_error("\"open\" is for several nodes");
    let standby = Server::start_standby(&one, "copy").unwrap();
    let program = Program::of(&[&two, &standby]);
    program.expect(2, &["migrate", "run", ORDERS]).assert_error("server is in recovery");
}

#[test]
fn a_migration_has_the_nodes_with_which_it_was_created() {
    let pair = Pair::start_apart();
    let program = pair.program();
    let [berlin, lisbon] = pair.both();
    let apart = program.expect(2, &["migrate", "run", "orders"]);
    assert!(apart.stderr.contains("no subscription receives the changes of node"), "{}", apart.stderr);
    // It can be removed again without replication, because no node is prepared.
    program.expect(0, &["migrate", "rollback", "orders"]);
    let absent = "SELECT count(*) FROM key_migration_progress WHERE state IS NOT NULL";
    assert_eq!(pair.each::<i64>(absent), [0, 0]);

    run(berlin, "SELECT key_migration_create('orders')");
    let alone = program.expect(2, &["migrate", "run", "orders"]);
    assert!(
        alone.stderr.contains("is one of this node alone") && alone.stderr.contains("--on"),
        "{}",
        alone.stderr
    );
    program.expect(0, &["migrate", "rollback", "orders", "--on", "berlin"]);
    run(lisbon, "SELECT key_migration_create('orders', nodes => '{1, 2, 3}')");
    program.expect(2, &["migrate", "run", "orders"]).assert_error("has other nodes");
    // Not yet ready to be cut over: writers do not wait.
    run(lisbon, "CALL key_migration_rollback('orders')");
    for server in [berlin, lisbon] {
        run(server, "SELECT key_migration_create('orders', nodes => '{1, 2}')");
    }
    let early = program.expect(2, &["migrate", "cut-over", "orders"]);
    early.assert_error("the migration cannot be cut over yet");
    let finalize = program.expect(2, &["migrate", "finalize", "orders", "--confirm", "orders"]);
    assert!(!finalize.stderr.contains("key_migration_close"), "{}", finalize.stderr);
    // A role that does not own the database.
    run(berlin, "CREATE ROLE app LOGIN");
    let stranger = Program::of(&[lisbon]).with("berlin", &berlin.conninfo_of("app", DATABASE));
    stranger.expect(2, &["migrate", "run", "orders"]).assert_error("must be owner of database");
}
