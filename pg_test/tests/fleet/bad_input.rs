//! What is refused: in one clear line, with nothing half done.

use pg_test::{InstallTree, Server};

use crate::program::{DATABASE, Program, class, run, start};

#[test]
fn a_node_that_cannot_be_reached_stops_everything_but_status() {
    let servers = ["one", "two"].map(start);
    let program =
        Program::of(&[&servers[0], &servers[1]]).with("gone", "host=/nowhere user=postgres dbname=postgres");
    for command in ["check", "setup"] {
        let ended = program.expect(2, &[command]);
        ended.assert_error("node \"gone\": could not connect: ");
    }
    assert_eq!(class(&servers[0]), "");
    let status = program.json(2, &["status"]);
    assert!(status["nodes"][2]["failure"].as_str().unwrap().starts_with("could not connect"));
    assert_eq!(status["nodes"][0]["database"], "postgres", "the others are shown");
}

#[test]
fn two_names_for_one_server_are_found() {
    let server = start("one");
    let program = Program::of(&[&server]).with("again", &server.conninfo(DATABASE));
    for command in ["status", "check", "setup"] {
        let ended = program.expect(2, &[command]);
        ended.assert_error("nodes \"one\" and \"again\" are one server and database");
    }
    // Another database of the server is another node.
    run(&server, "CREATE DATABASE other");
    server.connect("other").unwrap().batch_execute("CREATE EXTENSION pg_keyspace").unwrap();
    Program::of(&[&server]).with("other", &server.conninfo("other")).expect(1, &["status"]);
}

#[test]
fn databases_that_have_nothing_in_common_are_refused() {
    let one = start("one");
    let two = Server::start(&InstallTree::from_environment().unwrap(), "two", &[]).unwrap();
    let program = Program::of(&[&one, &two]);
    program.expect(2, &["setup"]).assert_error("does not have the extension pg_keyspace");
    run(&two, "CREATE EXTENSION pg_keyspace; CREATE SEQUENCE of_another_application");
    program.expect(2, &["setup"]).assert_error("contains none of these sequences");
    assert_eq!([class(&one), class(&two)], ["", ""]);
}

#[test]
fn a_sequence_that_cannot_be_set_up_is_named_before_anything_changes() {
    let servers = ["one", "two"].map(start);
    run(&servers[1], "ALTER SEQUENCE note_id_seq MAXVALUE 2");
    run(&servers[1], "SELECT nextval('note_id_seq') FROM generate_series(1, 2)");
    let program = Program::of(&[&servers[0], &servers[1]]);
    let ended = program.expect(2, &["setup"]);
    ended.assert_error("node \"two\": 1 of 2 sequences cannot be set up");
    assert!(ended.stderr.contains("public.note_id_seq"), "{}", ended.stderr);
    assert_eq!(servers.each_ref().map(class), ["", ""]);
    program.expect(1, &["setup", "--dry-run"]);
}

/// Everything that a name contains reaches neither the terminal nor a script as a command.
#[test]
fn control_characters_in_names_are_not_printed() {
    let servers = ["one", "two"].map(start);
    for server in &servers {
        run(
            server,
            "CREATE SEQUENCE \"a\u{1b}]0;title\u{7}\u{202e}\" INCREMENT 50; CREATE SEQUENCE \"b\u{9b}2J\u{61c}\u{2066}\u{7f}\" INCREMENT 50",
        );
    }
    let program = Program::of(&[&servers[0], &servers[1]]);
    for arguments in [
        vec!["setup", "--dry-run"],
        vec!["setup"],
        vec!["check", "--all"],
        vec!["status"],
        vec!["lint", "--all"],
    ] {
        for json in [&[][..], &["--json"]] {
            let ended = program.call(&[&arguments, json].concat());
            for text in [&ended.stdout, &ended.stderr] {
                let is_bad = |c: char| {
                    (c.is_control() && c != '\n') || matches!(c, '\u{202e}' | '\u{61c}' | '\u{2066}')
                };
                assert!(!text.contains(is_bad), "{text:?}");
            }
        }
    }
    // A script reads the name as it is.
    let checked = program.json(1, &["check"]).to_string();
    assert!(checked.contains("b\u{9b}2J\u{61c}\u{2066}\u{7f}"), "{checked}");
    let shown = program.call(&["check"]).stdout;
    assert!(shown.contains("a\\u{1b}]0;title\\u{7}\\u{202e}"), "{shown}");
}

#[test]
fn wrong_usage_ends_with_2() {
    let program = Program::new();
    for (arguments, message) in [
        (vec!["status"], "no nodes specified"),
        (vec!["--node", "a", "status"], "\"=\" is missing"),
        (vec!["--fleet", "/none", "status"], "could not read \"/none\""),
        (vec!["--node", "a=host=x password=secret", "status"], "must not contain a password"),
        (vec!["--node", "a=host=/nowhere", "split", "b"], "there is no node \"b\""),
    ] {
        let ended = program.expect(2, &arguments);
        ended.assert_error(message);
        assert!(!ended.stderr.contains("secret"), "{}", ended.stderr);
    }
    for arguments in [
        &["man", ".", "--json"][..],
        &["--json", "completions", "bash"],
        &["man", ".", "--fleet", "shop.toml"],
        &["--node", "a=host=/nowhere", "completions", "bash"],
    ] {
        program.expect(2, arguments).assert_error(" cannot be used with \"");
    }
    program.expect(2, &["no-such-command"]);
    program.expect(2, &["add-node", "three"]);
    let completions = program.expect(0, &["completions", "bash"]).stdout;
    assert!(completions.contains("fail-over"), "{completions}");
    program.expect(0, &["man", "."]);
    let page = std::fs::read_to_string(program.home().join("pg_keyspace-setup.1")).unwrap();
    assert!(page.contains("observed"), "{page}");
}
