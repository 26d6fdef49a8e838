//! What a plan says before anything starts.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::facts::{Check, Column, Facts, ForeignKey, Reference, Trigger, TriggerFunction};
use super::surroundings::{KeySource, Replication, SequenceLeft, Surroundings, TableUse, Taken, TriggerCall};
use super::tests::{AUDIT, ORDERS, column, options, shop, statements, verified};
use super::{Finding, Options, Phase, Severity, clashes, cutover, old_id_source, plan};
use crate::migration::Scope;

/// The shop, with nothing to announce.
fn quiet() -> Facts {
    let uses = |table| TableUse { table, may_create: true, ..TableUse::default() };
    let surroundings = Surroundings {
        role: "boss".to_owned(),
        owns_database: true,
        database_owner: "boss".to_owned(),
        tables: vec![uses(ORDERS), uses(AUDIT)],
        keys: vec![KeySource { table: ORDERS, has_default: true, sequences: Vec::new() }],
        taken: Vec::new(),
    };
    Facts { surroundings: Some(surroundings), ..shop() }
}

fn named<'f>(facts: &'f mut Facts, column: &str) -> &'f mut Column {
    let mut columns = facts.tables.iter_mut().flat_map(|table| &mut table.columns);
    columns.find(|found| found.name == column).unwrap()
}

fn uses(facts: &mut Facts, at: usize) -> &mut TableUse {
    &mut facts.surroundings.as_mut().unwrap().tables[at]
}

fn findings(facts: &Facts, options: &Options) -> Vec<Finding> {
    let found = plan::plan(facts, options).unwrap().findings;
    found.into_iter().filter(|finding| finding.severity != Severity::Note).collect()
}

/// The findings that a change of the facts adds.
fn added(change: impl FnOnce(&mut Facts)) -> Vec<(Severity, String)> {
    let before = findings(&quiet(), &options());
    let mut facts = quiet();
    change(&mut facts);
    let found = findings(&facts, &options());
    found
        .into_iter()
        .filter(|finding| !before.contains(finding))
        .map(|finding| (finding.severity, finding.error.message))
        .collect()
}

fn error(message: &str) -> Vec<(Severity, String)> {
    vec![(Severity::Error, message.to_owned())]
}

fn warning(message: &str) -> Vec<(Severity, String)> {
    vec![(Severity::Warning, message.to_owned())]
}

#[test]
fn the_most_severe_findings_come_first_and_costs_last() {
    let plan = plan::plan(&quiet(), &options()).unwrap();
    assert!(plan.findings.is_sorted_by_key(|finding| finding.severity));
    let last = plan.findings.last().unwrap();
    assert_eq!(last.severity, Severity::Note);
    assert!(last.error.message.starts_with("the migration needs about "), "{}", last.error.message);
}

#[test]
fn fault_c18_rights_that_are_missing_later() {
    assert_eq!(
        added(|facts| facts.surroundings.as_mut().unwrap().owns_database = false),
        error("permission denied to migrate keys in this database")
    );
    // Both tables are in one schema, which is reported once.
    let found = added(|facts| {
        uses(facts, 0).may_create = false;
        uses(facts, 1).may_create = false;
    });
    assert_eq!(found, error("permission denied to create objects in schema \"shop\""));
}

#[test]
fn a_reference_that_is_shorter_than_the_key() {
    let with = |key: Option<i32>, reference: Option<i32>| {
        added(|facts| {
            for (column, length) in [("id", key), ("replaces", None), ("order_id", reference)] {
                let old_id = named(facts, column);
                old_id.type_name = "character varying".to_owned();
                old_id.declared_type = old_id.type_name.clone();
                old_id.length = length;
            }
        })
        .into_iter()
        .filter(|finding| finding.0 == Severity::Error)
        .collect::<Vec<_>>()
    };
    for fits in [(None, None), (Some(20), None), (Some(20), Some(20)), (Some(20), Some(21))] {
        assert_eq!(with(fits.0, fits.1), []);
    }
    for short in [(None, Some(20)), (Some(20), Some(19))] {
        let message = r#"column "order_id" of table shop."Audit" is of type character varying"#;
        assert_eq!(with(short.0, short.1), error(message));
    }
}

#[test]
fn a_reference_that_ids_will_soon_be_beyond() {
    let with = |reference: &str, last| {
        added(|facts| {
            named(facts, "order_id").type_name = reference.to_owned();
            named(facts, "order_id").declared_type = reference.to_owned();
            facts.key_ranges = vec![(ORDERS, 1, last)];
        })
    };
    assert_eq!(with("bigint", i64::from(i32::MAX)), []);
    assert_eq!(with("integer", 1_900_000_000), []);
    assert_eq!(with("smallint", 29_000), []);
    let message = |reference: &str, last: i64| {
        format!(
            r#"column "order_id" of table shop."Audit" is of type {reference}, and ids of table "shop.orders" have come to {last}"#
        )
    };
    for (reference, last) in [("integer", 2_000_000_000), ("smallint", 30_000)] {
        assert_eq!(with(reference, last), warning(&message(reference, last)));
    }
}

#[test]
fn fault_c18_a_sequence_near_its_end() {
    let with = |left| {
        added(|facts| {
            let name = "shop.orders_id_seq".to_owned();
            facts.surroundings.as_mut().unwrap().keys[0].sequences =
                vec![SequenceLeft { name, left, all: 1_000 }];
        })
    };
    assert_eq!(with(101), []);
    assert_eq!(
        with(100),
        warning("sequence shop.orders_id_seq has 100 values left for column \"id\" of table \"shop.orders\"")
    );
    assert_eq!(
        with(-1),
        warning("sequence shop.orders_id_seq has 0 values left for column \"id\" of table \"shop.orders\"")
    );
}

#[test]
fn fault_c03_a_key_without_a_default() {
    let mut facts = quiet();
    facts.surroundings.as_mut().unwrap().keys[0].has_default = false;
    let found = added(|changed| *changed = facts.clone());
    assert_eq!(found, warning("column \"id\" of table \"shop.orders\" has no default"));
    let options = options();
    let scope = Scope::new(&facts, &options).unwrap();
    let hint = old_id_source::missing_defaults(&scope)[0].hint.clone().unwrap();
    assert!(
        hint.contains("CREATE SEQUENCE shop.orders_id_seq START WITH 2000000 OWNED BY shop.orders.id;"),
        "{hint}"
    );
    // Another object may have that name.
    facts.surroundings.as_mut().unwrap().taken =
        vec![Taken { schema: "shop".to_owned(), name: "orders_id_seq".to_owned(), kind: "table".to_owned() }];
    let scope = Scope::new(&facts, &options).unwrap();
    let hint = old_id_source::missing_defaults(&scope)[0].hint.clone().unwrap();
    assert!(hint.contains("CREATE SEQUENCE shop.orders_id_old_seq START"), "{hint}");
    let scope_facts = quiet();
    assert!(old_id_source::missing_defaults(&Scope::new(&scope_facts, &options).unwrap()).is_empty());
}

fn call(name: &str, body: Option<&str>) -> TriggerCall {
    TriggerCall {
        name: name.to_owned(),
        function: format!("shop.{name}()"),
        function_schema: "shop".to_owned(),
        function_name: name.to_owned(),
        body: body.map(str::to_owned),
        is_long: false,
    }
}

#[test]
fn fault_c04_a_trigger_function_that_names_the_key() {
    let with = |call: TriggerCall| added(|facts| uses(facts, 0).triggers.push(call));
    assert_eq!(with(call("f", Some("NEW.total := 1"))), []);
    assert_eq!(
        with(call("f", Some("PERFORM g(NEW.id)"))),
        warning(
            "trigger \"f\" of table \"shop.orders\" calls function shop.f(), which contains the name \"id\""
        )
    );
    assert_eq!(
        with(call("f", Some("INSERT INTO old SELECT OLD.*"))),
        warning(
            "trigger \"f\" of table \"shop.orders\" calls function shop.f(), which takes all columns of a row"
        )
    );
    assert_eq!(
        with(TriggerCall { is_long: true, ..call("f", None) }),
        warning(
            "trigger \"f\" of table \"shop.orders\" calls function shop.f(), whose body is too long to be searched"
        )
    );
    // A function of any language gets the name as an argument.
    let found = added(|facts| {
        uses(facts, 0).triggers.push(call("f", None));
        let (name, arguments) = ("f".to_owned(), vec!["replaces".to_owned()]);
        facts.tables[0].triggers.push(Trigger { name, arguments, ..Trigger::default() });
    });
    assert_eq!(
        found,
        warning("trigger \"f\" of table \"shop.orders\" passes the name \"replaces\" to function shop.f()")
    );
}

#[test]
fn fault_d01_tables_that_are_replicated() {
    let with = |replication: Vec<Replication>| added(|facts| uses(facts, 0).replication = replication);
    let arrives = error("table \"shop.orders\" receives rows from other servers");
    let set = || Replication::Set { extension: "pglogical" };
    let subscription = |is_certain| Replication::Subscription {
        extension: "pglogical",
        names: vec!["from_b".to_owned()],
        is_certain,
    };
    assert_eq!(added(|facts| uses(facts, 0).subscriptions = vec!["s".to_owned()]), arrives);
    assert_eq!(with(vec![set()]), warning("table \"shop.orders\" is in a replication set of pglogical"));
    assert_eq!(with(vec![subscription(true)]), arrives);
    assert_eq!(
        with(vec![subscription(false)]),
        warning("table \"shop.orders\" may receive rows from other servers")
    );
    assert_eq!(with(vec![set(), subscription(false)]), arrives);
    assert_eq!(with(vec![Replication::Database { extension: "pgactive" }]), arrives);
    let by_trigger = |name: &str, schema: &str, function: &str| {
        added(|facts| {
            uses(facts, 0).triggers.push(TriggerCall {
                function_schema: schema.to_owned(),
                function_name: function.to_owned(),
                ..call(name, None)
            });
        })
    };
    assert_eq!(by_trigger("bucardo_delta", "bucardo", "delta_shop_orders"), arrives);
    assert_eq!(by_trigger("bucardo_delta", "shop", "delta_shop_orders"), []);
    assert_eq!(by_trigger("sym_on_i_for_orders", "shop", "fsym_on_i"), arrives);
    assert_eq!(by_trigger("_c_denyaccess", "_c", "denyaccess"), arrives);
    assert_eq!(
        by_trigger("_c_logtrigger", "_c", "logtrigger"),
        warning("table \"shop.orders\" is replicated by Slony or Londiste")
    );
}

#[test]
fn fault_c04_sessions_compile_trigger_functions_again() {
    let trigger = |name: &str, may_alter: bool| {
        let (sql, cost) = (format!("app.{name}()"), "100".to_owned());
        let function = Some(TriggerFunction { sql, cost, may_alter });
        Trigger { name: name.to_owned(), function, ..Trigger::default() }
    };
    let (mut facts, options) = verified();
    facts.tables[0].triggers.extend([trigger("note", true), trigger("tell", false)]);
    facts.tables[1].triggers.push(Trigger { name: "again".to_owned(), ..trigger("note", true) });
    let scope = Scope::new(&facts, &options).unwrap();
    let altered = |statements: &[super::step::Statement]| {
        let texts = statements.iter().map(|statement| statement.text.as_str());
        texts.filter(|text| text.starts_with("ALTER FUNCTION")).map(str::to_owned).collect::<Vec<_>>()
    };
    let once = ["ALTER FUNCTION app.note() COST 100".to_owned()];
    assert_eq!(altered(&cutover::cut_over(&scope)), once);
    let rolled_back = Options { cut_over: true, ..options.clone() };
    let scope = Scope::new(&facts, &rolled_back).unwrap();
    assert_eq!(altered(&cutover::roll_back(&scope).unwrap()), once);

    let found = |may_alter: bool, body: &str| {
        added(|facts| {
            facts.tables[0].triggers.push(trigger("tell", may_alter));
            let (name, function) = ("tell".to_owned(), "app.tell()".to_owned());
            let call = TriggerCall { name, function, body: Some(body.to_owned()), ..TriggerCall::default() };
            uses(facts, 0).triggers.push(call);
        })
    };
    let message =
        "sessions that have called trigger function app.tell() before the cut-over can fail after it";
    let warned = |found: Vec<(Severity, String)>| found.iter().filter(|one| one.1 == message).count();
    assert_eq!(warned(found(false, "PERFORM f(NEW.replaces)")), 1);
    assert_eq!(warned(found(true, "PERFORM f(NEW.replaces)")), 0);
    assert_eq!(warned(found(false, "PERFORM f(NEW.other)")), 0);
}

#[test]
fn fault_c05_triggers_of_an_unknown_migration() {
    let trigger = |table: u32| Trigger {
        name: "~key_migration_insert_1".to_owned(),
        is_ours: true,
        arguments: [table.to_string(), "key".to_owned(), String::new(), String::new(), "1".to_owned()]
            .to_vec(),
        ..Trigger::default()
    };
    let message =
        error("table \"shop.orders\" has triggers of a key migration that this database does not know");
    let hint = |table: u32| {
        let mut facts = quiet();
        facts.tables[0].triggers.push(trigger(table));
        findings(&facts, &options())[0].error.hint.clone().unwrap()
    };
    assert_eq!(added(|facts| facts.tables[0].triggers.push(trigger(ORDERS))), message);
    assert_eq!(hint(ORDERS), "SELECT key_migration_adopt('shop.orders') to continue that migration here.");
    assert_eq!(added(|facts| facts.tables[0].triggers.push(trigger(99))), message);
    assert!(hint(99).contains("drop the triggers: SELECT format("), "{}", hint(99));
    // Those of this migration itself.
    let (mut facts, options) = verified();
    facts.tables[0].triggers.push(trigger(ORDERS));
    assert!(findings(&facts, &options).iter().all(|finding| !finding.is_error()));
}

#[test]
fn fault_c08_names_that_are_taken_at_any_step() {
    let taken = |name: &str, kind: &str| {
        added(|facts| {
            let (schema, name, kind) = ("shop".to_owned(), name.to_owned(), kind.to_owned());
            facts.surroundings.as_mut().unwrap().taken.push(Taken { schema, name, kind });
        })
    };
    assert_eq!(taken("unrelated", "table"), []);
    assert_eq!(taken("orders_pkey_new", "table"), error("table \"shop.orders_pkey_new\" already exists"));
    assert_eq!(
        taken("orders_replaces_idx_old", "index"),
        error("index \"shop.orders_replaces_idx_old\" already exists")
    );
    assert_eq!(taken("orders_pkey_new", "type"), []);
    let by_views = "already exists, so the migration cannot be cut over by views";
    assert_eq!(taken("orders_old", "view"), warning(&format!("view \"shop.orders_old\" {by_views}")));
    assert_eq!(taken("orders_old", "type"), warning(&format!("type \"shop.orders_old\" {by_views}")));
    let constraint = |name: &str| added(|facts| uses(facts, 1).constraints.push(name.to_owned()));
    for name in
        ["Audit_order_id_fkey_new", "Audit_order_id_fkey_old", "Audit_pkey_old", "Audit_order_id_new_filled"]
    {
        let message = format!("constraint \"{name}\" of table shop.\"Audit\" already exists");
        assert_eq!(constraint(name), error(&message));
    }
    assert_eq!(
        added(|facts| facts.tables[0].columns.push(column(9, "replaces_old", "text", false))),
        error("column \"replaces_old\" of table \"shop.orders\" already exists")
    );
    assert_eq!(
        added(|facts| {
            let name = "~key_migration_late_3".to_owned();
            facts.tables[0].triggers.push(Trigger { name, ..Trigger::default() });
        })[0]
            .1,
        "trigger \"~key_migration_late_3\" of table \"shop.orders\" already exists"
    );
    assert_eq!(
        added(|facts| facts.tables[0].checks.push(Check {
            name: "orders_id_new_filled".to_owned(),
            columns: vec![2],
            validated: true,
            ..Check::default()
        })),
        error("constraint \"orders_id_new_filled\" of table \"shop.orders\" already exists")
    );
}

#[test]
fn fault_c08_names_that_are_cut_to_the_same() {
    let long = "x".repeat(60);
    let mut facts = quiet();
    facts.tables[0].columns.push(column(4, &format!("{long}a"), "bigint", false));
    facts.tables[0].columns.push(column(5, &format!("{long}b"), "bigint", false));
    facts.tables[0].column_count = 5;
    for number in [4, 5] {
        facts.references.push(Reference { key: ORDERS, table: ORDERS, column: number, declared: true });
        let name = format!("fk{number}");
        facts.foreign_keys.push(ForeignKey {
            name,
            child: ORDERS,
            child_columns: vec![number],
            parent: ORDERS,
            parent_columns: vec![1],
            ..ForeignKey::default()
        });
    }
    let found = findings(&facts, &options());
    let twice: Vec<&Finding> =
        found.iter().filter(|finding| finding.error.message.ends_with("would be needed twice")).collect();
    // As a new column, and after the cut-over.
    assert_eq!(twice.len(), 2, "{found:?}");
    let detail = twice[0].error.detail.as_ref().unwrap();
    assert!(detail.ends_with("because names are cut at 63 bytes."), "{detail}");
}

#[test]
fn after_the_cut_over_no_name_is_needed() {
    let (facts, options) = verified();
    let scope = Scope::new(&facts, &options).unwrap();
    // The names of indexes until then, and those of tables under views.
    assert_eq!(clashes::relation_names(&scope).len(), 5);
    let options = Options { cut_over: true, ..options };
    assert!(clashes::relation_names(&Scope::new(&facts, &options).unwrap()).is_empty());
}

#[test]
fn fault_c17_more_columns_than_a_table_can_have() {
    let with = |count| added(|facts| facts.tables[0].column_count = count);
    assert_eq!(with(1_598), []);
    assert_eq!(with(1_599), error("table \"shop.orders\" has no room for 2 more columns"));
    let mut options = options();
    let mut facts = quiet();
    let names: Vec<String> = (0..32).map(|number| format!("c{number}")).collect();
    for (at, name) in names.iter().enumerate() {
        facts.tables[0].columns.push(column(i16::try_from(at).unwrap() + 10, name, "integer", false));
    }
    options.keys[0].include = names[..31].to_vec();
    assert!(findings(&facts, &options).iter().all(|finding| !finding.is_error()));
    options.keys[0].include = names;
    assert_eq!(
        findings(&facts, &options)[0].error.message,
        "the new index on the key of table \"shop.orders\" would have 33 columns"
    );
}

#[test]
fn fault_c10_a_reference_with_a_type_column() {
    let change = |facts: &mut Facts| {
        facts.tables[1].columns.push(column(3, "record_id", "bigint", false));
        facts.tables[1].columns.push(column(4, "record_type", "character varying", false));
        facts.references.push(Reference { key: ORDERS, table: AUDIT, column: 3, declared: false });
    };
    let found = added(change);
    assert_eq!(
        found[0],
        (
            Severity::Error,
            "column \"record_type\" of table shop.\"Audit\" seems to say which table \"record_id\" refers to"
                .to_owned()
        )
    );
    // A foreign key says that all of them are orders, also if it is not valid.
    let found = added(|facts| {
        change(facts);
        facts.foreign_keys.push(ForeignKey {
            name: "f".to_owned(),
            child: AUDIT,
            child_columns: vec![3],
            parent: ORDERS,
            parent_columns: vec![1],
            validated: false,
            ..ForeignKey::default()
        });
    });
    assert!(found.iter().all(|finding| finding.0 != Severity::Error), "{found:?}");
    // Flags and times are no types.
    let found = added(|facts| {
        change(facts);
        facts.tables[1].columns[3] =
            Column { type_name: "boolean".to_owned(), ..facts.tables[1].columns[3].clone() };
    });
    assert!(found.iter().all(|finding| finding.0 != Severity::Error), "{found:?}");
}

#[test]
fn fault_c18_statistics_are_collected_before_the_cut_over() {
    let (mut facts, options) = verified();
    let validated = |facts: &Facts| statements(facts, &options, Phase::Validated);
    facts.tables[1].columns[2].has_statistics = false;
    assert_eq!(validated(&facts), ["ANALYZE shop.\"Audit\""]);
    facts.tables[1].is_empty = true;
    assert!(validated(&facts).is_empty());
    facts.tables[1].is_empty = false;
    facts.tables[1].columns[2].statistics_off = true;
    assert!(validated(&facts).is_empty());
}
