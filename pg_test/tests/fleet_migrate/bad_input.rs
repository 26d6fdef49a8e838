//! What is refused: in one clear line, with nothing half done.

use pg_test::Server;

use crate::program::{DATABASE, Program, run, start, value};
use crate::{ORDERS, phase, shop};

#[test]
fn a_table_has_to_exist_and_so_has_the_node() {
    let [one, two] = ["one", "two"].map(shop);
    let program = Program::of(&[&one, &two]);
    // Of several nodes, all are meant. These have no classes.
    program.expect(2, &["migrate", "plan", ORDERS]).assert_error("the node has no class");
    program.expect(0, &["migrate", "plan", ORDERS, "--on", "two"]);
    program
        .expect(2, &["migrate", "plan", ORDERS, "--on", "three"])
        .assert_error("there is no node \"three\"");
    let program = Program::of(&[&one]);
    for table in ["nothing", "My Shop.Order", "'; DROP TABLE item; --", "x\u{1b}[2J"] {
        for command in ["plan", "run", "cut-over", "rollback", "finalize"] {
            let ended = program.expect(2, &["migrate", command, table]);
            // From PostgreSQL 16 on, what is no name is the name of nothing.
            let is_said =
                ["does not exist", "invalid name syntax"].iter().any(|text| ended.stderr.contains(text));
            assert!(is_said && !ended.stderr.contains('\u{1b}'), "{}", ended.stderr);
        }
    }
    for command in ["cut-over", "rollback", "finalize"] {
        program.expect(2, &["migrate", command, ORDERS]).assert_error("is not being migrated");
    }
    assert!(value::<bool>(&one, "SELECT to_regclass('item') IS NOT NULL"));
}

#[test]
fn a_plan_with_errors_creates_nothing() {
    let server = start("one");
    run(&server, "CREATE TABLE colour (id serial PRIMARY KEY, name text); CREATE TABLE bare (a integer)");
    let program = Program::of(&[&server]);
    // No time to take keys from.
    for arguments in [
        vec!["migrate", "plan", "colour"],
        vec!["migrate", "run", "colour"],
        vec!["migrate", "run", "colour", "--dry-run"],
    ] {
        let shown = program.json(1, &arguments);
        assert_eq!(shown["findings"][0]["severity"], "error", "{shown:#}");
        assert!(shown["findings"][0]["detail"].as_str().unwrap().contains("without_timestamp"), "{shown:#}");
    }
    assert_eq!(phase(&server), "");
    program.expect(2, &["migrate", "run", "bare"]).assert_error("");
    program
        .expect(2, &["migrate", "run", "colour", "--set", "pauses=1 s"])
        .assert_error("invalid value for \"--set\"");
    program
        .expect(2, &["migrate", "run", "colour", "--without-timestamp", "--reference", "nothing (a)"])
        .assert_error("relation \"nothing\" does not exist");
    // The reference fails on the server: the migration is not created without it.
    run(&server, "CREATE TABLE picture (colour text COLLATE \"C\")");
    program
        .expect(
            2,
            &["migrate", "run", "colour", "--without-timestamp", "--reference", "picture (no_such_column)"],
        )
        .assert_error("no_such_column");
    assert_eq!(phase(&server), "");
    program.expect(0, &["migrate", "run", "colour", "--without-timestamp"]);
}

#[test]
fn the_extension_and_its_owner_are_needed() {
    let server = shop("one");
    run(&server, "CREATE ROLE app LOGIN");
    run(&server, "CREATE DATABASE other");
    let program = Program::new().with("one", &server.conninfo_of("app", DATABASE));
    program.expect(2, &["migrate", "run", ORDERS]).assert_error("must be owner of database");
    let program = Program::new().with("one", &server.conninfo("other"));
    program.expect(2, &["migrate", "run", "t"]).assert_error("does not have the extension");
    let standby = Server::start_standby(&server, "copy").unwrap();
    let program = Program::of(&[&standby]);
    program.expect(2, &["migrate", "run", ORDERS]).assert_error("server is in recovery");
    program.expect(0, &["migrate", "plan", ORDERS]);
}
