//! What is found by comparing nodes.

use pg_test::Server;

use crate::program::{DATABASE, Program, run, start_with, value};
use crate::{GOOD, bare, of_check};

#[test]
fn schemas_that_differ_are_found() {
    let [one, two] = ["one", "two"].map(|name| bare(name, GOOD));
    let common = "CREATE TABLE same (id bigserial PRIMARY KEY, a integer, b text COLLATE \"C\" DEFAULT 'x');
                  CREATE INDEX same_a ON same (a)";
    for server in [&one, &two] {
        run(server, common);
    }
    run(
        &one,
        "CREATE TABLE only_here (id bigserial PRIMARY KEY, a integer NOT NULL);
         CREATE TABLE t (id bigint PRIMARY KEY, a integer, b varchar(10), c text DEFAULT 'one', d text NOT NULL, CHECK (a > 0));
         CREATE INDEX t_a ON t (a); CREATE UNIQUE INDEX t_b ON t (b);
         CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE DOMAIN positive AS integer CHECK (VALUE > 0)",
    );
    run(
        &two,
        "CREATE TABLE t (id bigint PRIMARY KEY, a bigint, b varchar(20), c text DEFAULT 'two', d text, e text);
         CREATE TYPE mood AS ENUM ('sad'); CREATE DOMAIN positive AS integer CHECK (VALUE > 1)",
    );
    let program = Program::of(&[&one, &two]);
    let linted = program.json(1, &["lint"]);
    assert_eq!(
        of_check(&linted, "table-differs"),
        [("error", "public.only_here", "table on one, missing on two")]
    );
    assert_eq!(
        of_check(&linted, "column-differs"),
        [
            ("error", "public.t.a", "integer on one, bigint on two"),
            ("error", "public.t.b", "character varying(10) on one, character varying(20) on two"),
            ("error", "public.t.e", "missing on one, text on two"),
        ]
    );
    assert_eq!(
        of_check(&linted, "type-differs"),
        [
            ("error", "public.mood", "'sad', 'happy' on one, 'sad' on two"),
            (
                "error",
                "public.positive",
                "integer CHECK ((VALUE > 0)) on one, integer CHECK ((VALUE > 1)) on two"
            ),
        ]
    );
    assert_eq!(
        of_check(&linted, "constraint-differs"),
        [
            ("warning", "public.t", "CHECK ((a > 0)): exists on one, missing on two"),
            (
                "warning",
                "public.t",
                "CREATE UNIQUE INDEX ON public.t USING btree (b): exists on one, missing on two"
            ),
            ("warning", "public.t.d", "NOT NULL: exists on one, missing on two"),
        ]
    );
    assert_eq!(
        of_check(&linted, "definition-differs"),
        [
            ("info", "public.t", "CREATE INDEX ON public.t USING btree (a): exists on one, missing on two"),
            ("info", "public.t.c", "default: 'one'::text on one, 'two'::text on two"),
        ]
    );
    assert!(of_check(&linted, "clocks").is_empty(), "one machine has one clock");
    let text = program.expect(1, &["lint"]).stdout;
    assert!(text.contains(" all  | table-differs"), "{text}");
}

#[test]
fn versions_and_databases_that_differ_are_found() {
    let [one, two] = ["one", "two"].map(|name| bare(name, GOOD));
    run(&one, "CREATE EXTENSION pg_keyspace");
    run(&two, "CREATE DATABASE other TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'");
    let program = Program::of(&[&one]).with("two", &two.conninfo("other"));
    let linted = program.json(0, &["lint"]);
    let extension = of_check(&linted, "extension-differs");
    assert_eq!((extension.len(), extension[0].1), (1, "pg_keyspace"), "{extension:?}");
    assert!(extension[0].2.ends_with(" on one, missing on two"), "{extension:?}");
    let of_database = of_check(&linted, "database-differs");
    let encoding = of_database.iter().find(|one| one.1 == "encoding").unwrap();
    assert!(encoding.2.ends_with("SQL_ASCII on two"), "{of_database:?}");
    // Several databases of one server are several nodes.
    let with_third = program.with("three", &two.conninfo(DATABASE));
    assert_eq!(with_third.json(0, &["lint"])["nodes"].as_array().unwrap().len(), 3);
}

/// A standby can be looked at, too. Unlogged sequences have no position there.
#[test]
fn a_standby_is_looked_at() {
    let primary = start_with("one", GOOD);
    run(
        &primary,
        "CREATE UNLOGGED SEQUENCE forgetful; CREATE TABLE s (id integer PRIMARY KEY DEFAULT nextval('forgetful'));
         SELECT nextval('forgetful')",
    );
    let standby = Server::start_standby(&primary, "copy").unwrap();
    crate::program::wait_until("the standby", || {
        value::<bool>(&standby, "SELECT to_regclass('public.s') IS NOT NULL")
    });
    let linted = Program::new().with("copy", &standby.conninfo(DATABASE)).json(0, &["lint"]);
    assert!(of_check(&linted, "not-checked").is_empty(), "{linted:#}");
    let keys = of_check(&linted, "integer-key");
    let of_unlogged = keys.iter().find(|one| one.1 == "public.s.id").unwrap();
    assert!(of_unlogged.2.ends_with("cannot be read"), "{keys:?}");
}

/// A session that holds the strongest lock on every table keeps nobody waiting.
#[test]
fn locked_tables_do_not_stop_it() {
    let server = start_with("one", GOOD);
    let mut other = server.connect(DATABASE).unwrap();
    other
        .batch_execute(
            "BEGIN; LOCK TABLE item, note IN ACCESS EXCLUSIVE MODE; ALTER SEQUENCE note_id_seq CACHE 2",
        )
        .unwrap();
    let began = std::time::Instant::now();
    let linted = Program::of(&[&server]).call(&["lint", "--json"]);
    let linted: serde_json::Value = serde_json::from_str(&linted.stdout).unwrap();
    assert!(began.elapsed() < std::time::Duration::from_secs(40));
    // What could not be read in time is named.
    let missed: Vec<&str> = of_check(&linted, "not-checked").iter().map(|one| one.1).collect();
    assert!(missed.contains(&"integer-key"), "{linted:#}");
    other.batch_execute("ROLLBACK").unwrap();
    assert!(of_check(&Program::of(&[&server]).json(0, &["lint"]), "not-checked").is_empty());
}
