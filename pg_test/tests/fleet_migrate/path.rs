//! From the plan to the end.

use crate::program::{Program, run, value};
use crate::{ORDERS, key_type, phase, shop};

#[test]
fn a_key_is_migrated_from_the_plan_to_the_end() {
    let server = shop("one");
    let program = Program::of(&[&server]);
    let plan = program.json(0, &["migrate", "plan", ORDERS]);
    assert_eq!(plan["table"], ORDERS);
    assert_eq!(plan["steps"][0]["action"], "add columns and triggers");
    let text = program.expect(0, &["migrate", "plan", ORDERS]).stdout;
    assert!(text.contains("backfill existing rows") && text.contains("not created"), "{text}");

    // A plan with a reference has the steps of its table, and creates nothing.
    let reference = "\"My Shop\".log (\"Order\")";
    let is_of_log = |plan: &serde_json::Value| {
        let steps = plan["steps"].as_array().unwrap();
        steps.iter().any(|step| step["table_name"] == "\"My Shop\".log")
    };
    assert!(!is_of_log(&plan), "{plan:#}");
    let with_log = program.json(0, &["migrate", "plan", ORDERS, "--reference", reference]);
    assert!(is_of_log(&with_log) && with_log["phase"].is_null(), "{with_log:#}");
    assert_eq!(phase(&server), "");

    // A dry run shows every statement, and changes nothing.
    let arguments =
        ["migrate", "run", ORDERS, "--include", "total", "--reference", reference, "--set", "pause=1 ms"];
    let shown = program.json(0, &[&arguments[..], &["--dry-run"]].concat());
    let statements: Vec<&str> =
        shown["statements"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
    assert!(statements[0].contains("key_migration_create('\"My Shop\".\"Order\"'"), "{statements:?}");
    assert!(statements[1].contains("key_migration_add_reference"), "{statements:?}");
    assert!(statements[2].contains("pause => '1 ms'"), "{statements:?}");
    assert!(
        statements.iter().any(|one| one.starts_with("CREATE UNIQUE INDEX CONCURRENTLY")),
        "{statements:?}"
    );
    assert!(statements.iter().any(|one| one.starts_with("VACUUM \"My Shop\".log")), "{statements:?}");
    assert_eq!(phase(&server), "");

    let ran = program.json(0, &arguments);
    assert_eq!(ran["phase"], "verified");
    assert!(ran["next"][0].as_str().unwrap().contains("cut-over"));
    assert_eq!(phase(&server), "verified");
    let missing: i64 = value(&server, "SELECT count(*) FROM \"My Shop\".log WHERE \"Order_new\" IS NULL");
    assert_eq!(missing, 0);
    // Again: nothing is left, and what was asked for once is not asked for again.
    let again = program.json(0, &arguments);
    assert_eq!(again["phase"], "verified");
    assert_eq!(again["statements"].as_array().unwrap().len(), 2, "{again:#}");

    run(&server, &format!("CREATE VIEW \"My Shop\".totals AS SELECT id, total FROM {ORDERS}"));
    let shown = program.json(0, &["migrate", "cut-over", ORDERS, "--dry-run"]);
    let uses = shown["uses"].as_array().unwrap();
    assert!(uses.iter().any(|one| one["kind"] == "view" && one["table_name"] == ORDERS), "{shown:#}");
    assert_eq!(phase(&server), "verified");
    let cut = program.expect(0, &["migrate", "cut-over", ORDERS]);
    assert!(cut.stdout.contains("3 tables were locked for"), "{}", cut.stdout);
    assert_eq!((phase(&server).as_str(), key_type(&server).as_str()), ("cut over", "uuid"));

    // What comes too late is not ignored without a word.
    let late = program.expect(0, &["migrate", "plan", ORDERS, "--target", "ulid"]);
    assert!(late.stderr.contains("it keeps the arguments with which it was created"), "{}", late.stderr);
    let late = program.expect(0, &["migrate", "run", ORDERS, "--reference", reference]);
    assert!(late.stderr.contains("no reference is added to it"), "{}", late.stderr);

    let back = program.json(0, &["migrate", "rollback", ORDERS]);
    assert_eq!(back["phase"], "verified");
    assert_eq!(key_type(&server), "bigint");
    // To remove all of it now would lose keys that clients may know.
    let refused = program.expect(2, &["migrate", "rollback", ORDERS]);
    assert!(refused.stderr.contains("has already been rolled back"), "{}", refused.stderr);
    program.expect(0, &["migrate", "cut-over", ORDERS]);

    let unconfirmed = program.expect(2, &["migrate", "finalize", ORDERS]);
    unconfirmed.assert_error("the name of the table is not confirmed");
    program
        .expect(2, &["migrate", "finalize", ORDERS, "--confirm", "order"])
        .assert_error("confirm must be \"Order\"");
    let shown = program.json(0, &["migrate", "finalize", ORDERS, "--dry-run"]);
    assert!(shown["statements"][0].as_str().unwrap().contains("confirm => 'Order'"), "{shown:#}");
    let used = program.expect(2, &["migrate", "finalize", ORDERS, "--confirm", "Order"]);
    assert!(used.stderr.contains("totals"), "{}", used.stderr);
    run(&server, "DROP VIEW \"My Shop\".totals");
    program.expect(0, &["migrate", "finalize", ORDERS, "--confirm", "Order"]);
    let old: i64 = value(
        &server,
        &format!(
            "SELECT count(*) FROM pg_attribute WHERE attrelid = '{ORDERS}'::regclass AND attname = 'id_old' AND NOT attisdropped"
        ),
    );
    assert_eq!((old, key_type(&server).as_str()), (0, "uuid"));
    let joined: i64 = value(
        &server,
        &format!("SELECT count(*) FROM \"My Shop\".audit a JOIN {ORDERS} o ON o.id = a.order_id"),
    );
    assert_eq!(joined, 15_000);
}

/// Before the cut-over a rollback removes everything. The name is found by the search path of the
/// role.
#[test]
fn a_migration_to_bigint_is_removed() {
    let server = shop("one");
    run(
        &server,
        "CREATE TABLE small (id serial PRIMARY KEY); INSERT INTO small DEFAULT VALUES;
         CREATE SCHEMA other; CREATE TABLE other.small (id serial PRIMARY KEY)",
    );
    let program = Program::of(&[&server]);
    let ran = program.json(0, &["migrate", "run", "small", "--target", "bigint"]);
    assert_eq!((ran["table"].as_str(), ran["phase"].as_str()), (Some("public.small"), Some("verified")));
    let shown = program.json(0, &["migrate", "rollback", "small", "--dry-run"]);
    assert!(shown["next"][0].as_str().unwrap().contains("removes everything"), "{shown:#}");
    let removed = program.json(0, &["migrate", "rollback", "small"]);
    assert_eq!(removed["phase"], serde_json::Value::Null);
    let columns: i64 = value(
        &server,
        "SELECT count(*) FROM pg_attribute WHERE attrelid = 'small'::regclass AND attnum > 0 AND NOT attisdropped",
    );
    assert_eq!(columns, 1);
}
