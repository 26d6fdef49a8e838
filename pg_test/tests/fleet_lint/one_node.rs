//! What is found on each node by itself.

use crate::program::{DATABASE, Program, run, start, value, wait_until};
use crate::{GOOD, bare, of_check};

const SCHEMA: &str = r#"
    CREATE SCHEMA "My Shop";
    CREATE TABLE "My Shop"."Order" (id serial PRIMARY KEY, code text UNIQUE, at timestamptz DEFAULT now());
    CREATE TABLE "My Shop".line (id bigserial PRIMARY KEY, "order" integer NOT NULL);
    CREATE TABLE "My Shop".note (id bigserial PRIMARY KEY, line integer REFERENCES "My Shop".line);
    CREATE TABLE no_key (a integer);
    CREATE TABLE no_key_partitioned (a integer) PARTITION BY RANGE (a);
    CREATE TABLE no_key_1 PARTITION OF no_key_partitioned FOR VALUES FROM (1) TO (10);
    CREATE TABLE no_key_2 PARTITION OF no_key_partitioned FOR VALUES FROM (10) TO (20);
    CREATE TABLE identity_nothing (id bigserial PRIMARY KEY);
    ALTER TABLE identity_nothing REPLICA IDENTITY NOTHING;
    CREATE TABLE identity_full (id bigserial PRIMARY KEY);
    ALTER TABLE identity_full REPLICA IDENTITY FULL;
    CREATE TABLE identity_index (code text NOT NULL);
    CREATE UNIQUE INDEX identity_index_code ON identity_index (code);
    ALTER TABLE identity_index REPLICA IDENTITY USING INDEX identity_index_code;
    CREATE TABLE deferrable_key (id bigint DEFAULT nextval('identity_full_id_seq') PRIMARY KEY DEFERRABLE);
    CREATE TABLE country (code text PRIMARY KEY);
    CREATE TABLE random_key (id integer PRIMARY KEY DEFAULT (random() * 1000000)::integer);
    CREATE TABLE good (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), n bigint GENERATED ALWAYS AS IDENTITY UNIQUE);
    CREATE TABLE tenant_code (id bigserial PRIMARY KEY, code text);
    CREATE UNIQUE INDEX tenant_code_id_code ON tenant_code (code, id);
    CREATE UNIQUE INDEX tenant_code_lower ON tenant_code (lower(code)) INCLUDE (id);
    CREATE TABLE booking (id bigserial PRIMARY KEY, during int4range, EXCLUDE USING gist (during WITH &&));
    CREATE UNLOGGED TABLE cache (id bigserial PRIMARY KEY);
    CREATE SEQUENCE round MAXVALUE 9 CYCLE;
    CREATE UNLOGGED SEQUENCE forgetful;
    CREATE SEQUENCE pooled INCREMENT 50;
    CREATE FUNCTION count_up() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER twice BEFORE INSERT ON country FOR EACH ROW EXECUTE FUNCTION count_up();
    ALTER TABLE country ENABLE ALWAYS TRIGGER twice;
    CREATE TRIGGER only_there BEFORE INSERT ON good FOR EACH ROW EXECUTE FUNCTION count_up();
    ALTER TABLE good ENABLE REPLICA TRIGGER only_there;
    CREATE TRIGGER once BEFORE INSERT ON good FOR EACH ROW EXECUTE FUNCTION count_up();
    CREATE RULE copied AS ON INSERT TO country DO ALSO NOTHING;
    ALTER TABLE country ENABLE ALWAYS RULE copied;
    CREATE FUNCTION on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
    CREATE EVENT TRIGGER everywhere ON ddl_command_end EXECUTE FUNCTION on_ddl();
    ALTER EVENT TRIGGER everywhere ENABLE ALWAYS;
    SELECT lo_create(0);
    CREATE SCHEMA bucardo;
    CREATE FUNCTION bucardo.bucardo_delta() RETURNS integer LANGUAGE sql AS 'SELECT 1';
    CREATE ROLE reader LOGIN;
"#;

/// An ordinary role, which may read nothing, on a server without the extension.
#[test]
fn everything_is_found_as_an_ordinary_role_without_the_extension() {
    let server = bare("one", &["wal_level = minimal", "max_wal_senders = 0"]);
    run(&server, SCHEMA);
    let program = Program::new().with("one", &server.conninfo_of("reader", DATABASE));
    let linted = program.json(1, &["lint"]);
    let objects = |check: &str| -> Vec<String> {
        of_check(&linted, check).iter().map(|(severity, object, _)| format!("{severity}: {object}")).collect()
    };
    for (check, expected) in [
        (
            "no-key",
            vec![
                "error: public.deferrable_key",
                "error: public.identity_nothing",
                "error: public.no_key",
                "error: public.no_key_partitioned",
            ],
        ),
        ("full-identity", vec!["warning: public.identity_full"]),
        ("deferrable-key", vec!["warning: public.deferrable_key"]),
        (
            "further-unique-key",
            vec![
                "warning: \"My Shop\".\"Order\"",
                "warning: public.identity_index",
                "warning: public.tenant_code",
            ],
        ),
        ("natural-key", vec!["warning: public.country", "warning: public.random_key"]),
        ("exclusion-constraint", vec!["warning: public.booking"]),
        ("narrow-reference", vec!["warning: \"My Shop\".note.line"]),
        ("sequence-mover", vec!["warning: bucardo"]),
        ("cycling-sequence", vec!["warning: public.round"]),
        ("unlogged-sequence", vec!["warning: public.cache_id_seq", "warning: public.forgetful"]),
        ("increment", vec!["info: public.pooled"]),
        ("trigger-under-apply", vec!["warning: public.country", "warning: public.good"]),
        ("rule-under-apply", vec!["warning: public.country"]),
        ("event-trigger-under-apply", vec!["warning: everywhere"]),
        ("default-differs", vec!["warning: public.random_key.id", "info: \"My Shop\".\"Order\".at"]),
        ("unlogged-table", vec!["warning: public.cache"]),
        ("large-objects", vec!["warning: "]),
        ("integer-key", vec!["info: \"My Shop\".\"Order\".id"]),
        ("not-checked", vec![]),
    ] {
        assert_eq!(objects(check), expected, "{check}: {linted:#}");
    }
    assert_eq!(of_check(&linted, "no-key")[3].2, "2 partitions: no primary key");
    assert!(objects("setting").contains(&"error: wal_level".to_owned()), "{:?}", objects("setting"));
    let key = of_check(&linted, "integer-key")[0].2;
    assert!(key.ends_with("the position of its sequence cannot be read"), "{key}");

    // For people: reasons once, and what is for information only on request.
    let text = program.expect(1, &["lint"]).stdout;
    assert_eq!(text.matches("Without a replica identity, UPDATE and DELETE fail").count(), 1, "{text}");
    assert!(text.contains("\"My Shop\".\"Order\"") && !text.contains("public.pooled"), "{text}");
    assert!(program.expect(1, &["lint", "--all"]).stdout.contains("public.pooled"));
    let left_out = program.json(0, &["lint", "--ignore", "no-key", "--ignore", "setting"]);
    assert!(of_check(&left_out, "no-key").is_empty() && of_check(&left_out, "setting").is_empty());
    program.expect(2, &["lint", "--ignore", "nothing"]).assert_error("there is no check \"nothing\"");
}

/// The time left depends on the number of classes, and on how fast rows come.
#[test]
fn integer_keys_are_judged_by_the_time_left() {
    let server = start("one");
    run(
        &server,
        "CREATE TABLE old (id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY);
         SELECT setval('old_id_seq', 2000000000);
         CREATE TABLE full_up (id smallserial PRIMARY KEY);
         SELECT setval('full_up_id_seq', 32767);
         INSERT INTO note (made_by) SELECT '' FROM generate_series(1, 10000)",
    );
    wait_until("the statistics", || {
        value::<i64>(&server, "SELECT pg_stat_get_tuples_inserted('note'::regclass)") >= 10_000
    });
    let program = Program::of(&[&server]);
    let linted = program.json(1, &["lint"]);
    let found = of_check(&linted, "integer-key");
    let of = |object: &str| found.iter().find(|finding| finding.1 == object).copied().unwrap();
    assert_eq!(of("public.full_up.id").0, "error");
    assert_eq!(of("public.full_up.id").2, "smallint: no id is left for 2 classes");
    // Nothing was inserted: what counts is how much is used.
    assert_eq!(of("public.old.id").0, "warning");
    assert!(of("public.old.id").2.starts_with("integer: 93.1 % used; no rows inserted"), "{found:?}");
    // The server is young, so that the rate is high.
    let note = of("public.note.id");
    assert!(note.2.contains(" rows a second, 2 classes last "), "{note:?}");
    let linted = program.json(1, &["lint", "--classes", "60000"]);
    let note = *of_check(&linted, "integer-key").iter().find(|one| one.1 == "public.note.id").unwrap();
    assert_eq!(note.0, "error", "{note:?}");
    assert!(note.2.contains("60000 classes last"), "{note:?}");
    // What is measured counts, too.
    let mut writer = server.connect(DATABASE).unwrap();
    let child = program.begin(&["lint", "--json", "--observe", "10"]);
    wait_until("the first look", || {
        value::<bool>(
            &server,
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'pg_keyspace' AND query LIKE '%pg_sequence_last_value%' AND state = 'idle')",
        )
    });
    writer.batch_execute("SELECT nextval('old_id_seq') FROM generate_series(1, 100000)").unwrap();
    let ended = crate::program::Ended::of(child.wait_with_output().unwrap());
    let linted: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    let old = *of_check(&linted, "integer-key").iter().find(|one| one.1 == "public.old.id").unwrap();
    assert!(old.0 == "error" && old.2.contains("2 classes last"), "{old:?}");
}

/// Defaults that name the node, DDL replication, and sequences in replication sets of a tool (stand-in
/// extensions have its tables and settings).
#[test]
fn trap_s14_s15_s45_what_reaches_other_nodes_is_found() {
    let server = start("one");
    let stand_ins = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("regress/extensions");
    for file in ["spock.control", "spock--0.sql"] {
        let to = server.tree().extension_dir().join(file);
        std::fs::copy(stand_ins.join(file), &to).unwrap();
        server.tree().run().give_to_server(&to).unwrap();
    }
    run(
        &server,
        "CREATE SCHEMA spock; CREATE EXTENSION spock SCHEMA spock;
         CREATE SEQUENCE fixed; CREATE TABLE f (id bigint PRIMARY KEY DEFAULT partitioned_nextval('fixed', 1, 2));
         CREATE TABLE g (id bigint PRIMARY KEY DEFAULT partitioned_nextval('fixed'));
         INSERT INTO spock.replication_set_seq VALUES (1, 'item_id_seq');
         CREATE ROLE reader LOGIN; ALTER DATABASE postgres SET spock.enable_ddl_replication = on",
    );
    let program = Program::of(&[&server]);
    let linted = program.json(1, &["lint"]);
    let fixed = of_check(&linted, "fixed-node");
    assert_eq!(fixed.len(), 1, "{fixed:?}");
    assert_eq!((fixed[0].0, fixed[0].1), ("warning", "public.f.id"));
    assert_eq!(
        of_check(&linted, "ddl-replication"),
        [("error", "spock.enable_ddl_replication", "is on (extension spock)")]
    );
    assert_eq!(
        of_check(&linted, "replicated-sequence"),
        [("error", "public.item_id_seq", "is in a replication set of spock")]
    );
    // A role that cannot read the sets is told so.
    let as_reader = Program::new().with("one", &server.conninfo_of("reader", DATABASE)).json(1, &["lint"]);
    let not_checked = of_check(&as_reader, "not-checked");
    assert_eq!(not_checked.len(), 1, "{not_checked:?}");
    assert_eq!(not_checked[0].1, "replicated-sequence");
}

/// A server that is ready, with a table as it should be.
#[test]
fn nothing_is_found_where_all_is_well() {
    let server = bare("one", GOOD);
    run(&server, "CREATE TABLE t (id bigserial PRIMARY KEY, made_by text)");
    let text = Program::of(&[&server]).expect(0, &["lint"]).stdout;
    assert!(text.starts_with("1 node looked at, 0 errors"), "{text}");
}

/// A subscription in a database that publishes sends on what it has received.
#[test]
fn rows_that_would_go_in_circles_are_found() {
    let server = bare("one", GOOD);
    run(
        &server,
        "CREATE PUBLICATION p FOR ALL TABLES; CREATE ROLE reader LOGIN;
         CREATE SUBSCRIPTION \"From Two\" CONNECTION 'host=/nowhere' PUBLICATION p WITH (connect = false)",
    );
    let program = Program::new().with("one", &server.conninfo_of("reader", DATABASE));
    let linted = program.json(0, &["lint"]);
    assert_eq!(
        of_check(&linted, "replication-loop"),
        [(
            "warning",
            "\"From Two\"",
            "subscribes in a database that has publications, without origin = none"
        )]
    );
    assert!(of_check(&linted, "not-checked").is_empty(), "{linted:#}");
    if server.tree().major() >= 16 {
        run(&server, "ALTER SUBSCRIPTION \"From Two\" SET (origin = none)");
        assert!(of_check(&program.json(0, &["lint"]), "replication-loop").is_empty());
    }
}
