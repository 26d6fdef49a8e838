//! Plans of the article's case, of half-finished migrations, and of tables that cannot be migrated.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::backfill::{self, Range};
use super::facts::{
    Check, Code, Column, Dependent, Facts, ForeignKey, Index, IndexConstraint, IndexKey, OperatorClass,
    Reference, Stranger, Table, Trigger,
};
use super::step::{Lock, Statement, Step};
use super::{
    Doubt, KeyOptions, Options, Phase, Runs, Scope, Severity, Target, TimeSource, cutover, names, plan,
};
use crate::SqlState;

pub(super) const ORDERS: u32 = 10;
pub(super) const AUDIT: u32 = 20;

pub(super) fn column(number: i16, name: &str, type_name: &str, not_null: bool) -> Column {
    Column {
        number,
        name: name.to_owned(),
        type_name: type_name.to_owned(),
        declared_type: type_name.to_owned(),
        not_null,
        ..Column::default()
    }
}

pub(super) fn index(oid: u32, name: &str, columns: &[i16], is_primary: bool) -> Index {
    Index {
        oid,
        name: name.to_owned(),
        method: "btree".to_owned(),
        is_unique: is_primary,
        is_primary,
        is_valid: true,
        keys: columns.iter().map(|column| IndexKey { column: *column, ..IndexKey::default() }).collect(),
        constraint: is_primary.then(|| IndexConstraint {
            name: name.to_owned(),
            kind: "p".to_owned(),
            ..IndexConstraint::default()
        }),
        ..Index::default()
    }
}

pub(super) fn table(oid: u32, name: &str, columns: Vec<Column>, indexes: Vec<Index>) -> Table {
    Table {
        oid,
        schema: "shop".to_owned(),
        name: name.to_owned(),
        kind: "r".to_owned(),
        access_method: "heap".to_owned(),
        persistence: "p".to_owned(),
        rows: 1_000,
        heap_bytes: 100_000,
        is_owner: true,
        replica_identity: "d".to_owned(),
        column_count: i16::try_from(columns.len()).unwrap(),
        columns,
        indexes,
        ..Table::default()
    }
}

pub(super) fn foreign_key(name: &str, child: (u32, &[i16]), parent: (u32, &[i16])) -> ForeignKey {
    ForeignKey {
        name: name.to_owned(),
        child: child.0,
        child_columns: child.1.to_vec(),
        parent: parent.0,
        parent_columns: parent.1.to_vec(),
        matching: "s".to_owned(),
        on_update: "a".to_owned(),
        on_delete: "a".to_owned(),
        validated: true,
        ..ForeignKey::default()
    }
}

/// The operator classes for `uuid` of PostgreSQL, and of btree_gist.
fn classes() -> Vec<OperatorClass> {
    let class = |method: &str, name: &str, is_default| OperatorClass {
        method: method.to_owned(),
        type_name: "uuid".to_owned(),
        name: name.to_owned(),
        sql: format!("pg_catalog.{name}"),
        is_default,
    };
    vec![
        class("brin", "uuid_bloom_ops", false),
        class("brin", "uuid_minmax_multi_ops", false),
        class("brin", "uuid_minmax_ops", true),
        class("btree", "uuid_ops", true),
        class("gist", "gist_uuid_ops", true),
        class("hash", "uuid_ops", true),
    ]
}

/// Orders that refer to orders, and an audit table whose primary key has the reference in it.
pub(super) fn shop() -> Facts {
    Facts {
        extension_schema: "keyspace".to_owned(),
        internal_schema: "keyspace_internal".to_owned(),
        major: 15,
        key_ranges: vec![(ORDERS, 1, 1_000)],
        unfit_ids: Vec::new(),
        strays: Vec::new(),
        other_owners: Vec::new(),
        strangers: Vec::new(),
        surroundings: None,
        operator_classes: classes(),
        lock_slots: 6_400,
        defaults: Vec::new(),
        time_parents: Vec::new(),
        failed_times: Vec::new(),
        undeclared: Vec::new(),
        tables: vec![
            table(
                ORDERS,
                "orders",
                vec![
                    column(1, "id", "bigint", true),
                    column(2, "created_at", "timestamp with time zone", true),
                    column(3, "replaces", "bigint", false),
                ],
                vec![index(11, "orders_pkey", &[1], true), index(12, "orders_replaces_idx", &[3], false)],
            ),
            table(
                AUDIT,
                "Audit",
                vec![column(1, "order_id", "integer", true), column(2, "no", "integer", true)],
                vec![index(21, "Audit_pkey", &[1, 2], true)],
            ),
        ],
        references: vec![
            Reference { key: ORDERS, table: AUDIT, column: 1, declared: true },
            Reference { key: ORDERS, table: ORDERS, column: 3, declared: true },
        ],
        foreign_keys: vec![
            foreign_key("orders_replaces_fkey", (ORDERS, &[3]), (ORDERS, &[1])),
            foreign_key("Audit_order_id_fkey", (AUDIT, &[1]), (ORDERS, &[1])),
        ],
    }
}

pub(super) fn options() -> Options {
    let key = KeyOptions { table: ORDERS, salt: "shop.orders".to_owned(), ..KeyOptions::default() };
    Options { keys: vec![key], ..Options::new(Target::Uuid) }
}

pub(super) fn statements(facts: &Facts, options: &Options, phase: Phase) -> Vec<String> {
    let plan = plan::plan(facts, options).unwrap();
    let steps = plan.steps.iter().filter(|step| step.phase == phase && !step.done);
    steps.flat_map(|step| step.statements.clone()).collect()
}

fn texts(statements: Vec<Statement>) -> Vec<String> {
    statements.into_iter().map(|statement| statement.text).collect()
}

/// The statements of a cut-over.
pub(super) fn cut_over(facts: &Facts, options: &Options) -> Vec<String> {
    texts(cutover::cut_over(&Scope::new(facts, options).unwrap()))
}

/// The statements of its rollback.
pub(super) fn roll_back(facts: &Facts, options: &Options) -> Vec<String> {
    texts(cutover::roll_back(&Scope::new(facts, options).unwrap()).unwrap())
}

#[test]
fn the_articles_case() {
    let (facts, options) = (shop(), options());
    let plan = plan::plan(&facts, &options).unwrap();
    assert!(plan.refusal().is_none(), "{:?}", plan.refusal());
    let prepared = statements(&facts, &options, Phase::Prepared);
    assert_eq!(prepared[0], "ALTER TABLE shop.orders ADD COLUMN id_new uuid, ADD COLUMN replaces_new uuid");
    assert!(prepared.contains(
        &"CREATE TRIGGER \"~key_migration_insert_3\" BEFORE INSERT ON shop.orders FOR EACH ROW EXECUTE FUNCTION \
          keyspace_internal.key_migration_reference('10', 'old_id', 'uuid', 'shop.orders', '3', '5', '10', '1', '4', '2')"
            .to_owned()
    ));
    assert_eq!(
        statements(&facts, &options, Phase::Backfilled)[2],
        "UPDATE ONLY shop.\"Audit\" AS t SET order_id_new = (SELECT COALESCE(p.id_new, \
         keyspace.key_migration_uuid(p.created_at::pg_catalog.timestamptz, p.id::pg_catalog.int8, 'shop.orders'::pg_catalog.text)) FROM ONLY shop.orders AS p \
         WHERE p.id OPERATOR(pg_catalog.=) t.order_id) \
         WHERE t.ctid OPERATOR(pg_catalog.>=) '(0,0)'::pg_catalog.tid \
         AND t.ctid OPERATOR(pg_catalog.<) '(128,0)'::pg_catalog.tid AND t.order_id_new IS NULL"
    );
    assert_eq!(
        statements(&facts, &options, Phase::Indexed),
        [
            "CREATE UNIQUE INDEX CONCURRENTLY orders_pkey_new ON shop.orders USING btree (id_new)",
            "CREATE INDEX CONCURRENTLY orders_replaces_idx_new ON shop.orders USING btree (replaces_new)",
            "CREATE UNIQUE INDEX CONCURRENTLY \"Audit_pkey_new\" ON shop.\"Audit\" USING btree (order_id_new, no)",
        ]
    );
    let validated = statements(&facts, &options, Phase::Validated);
    assert!(validated.contains(
        &"ALTER TABLE shop.\"Audit\" ADD CONSTRAINT \"Audit_order_id_fkey_new\" FOREIGN KEY (order_id_new) \
          REFERENCES shop.orders (id_new) NOT VALID"
            .to_owned()
    ));
    // A nullable reference stays nullable.
    assert!(!validated.iter().any(|statement| statement.contains("replaces_new SET NOT NULL")));
}

#[test]
fn phases_come_in_order() {
    let plan = plan::plan(&shop(), &options()).unwrap();
    let phases: Vec<Phase> = plan.steps.iter().map(|step| step.phase).collect();
    assert!(phases.is_sorted(), "{phases:?}");
    assert_eq!(phases.last(), Some(&Phase::Finalized));
}

#[test]
fn trap_m12_what_runs_nowhere_else_is_the_clients() {
    let plan = plan::plan(&shop(), &options()).unwrap();
    for step in &plan.steps {
        let alone =
            step.statements.iter().any(|one| one.contains("CONCURRENTLY") || one.starts_with("VACUUM"));
        assert_eq!(alone, step.runs == Runs::Client, "{step:?}");
    }
}

/// The shop when everything but the cut-over is done.
pub(super) fn verified() -> (Facts, Options) {
    let mut facts = shop();
    let mut options = Options {
        shadows: vec![(ORDERS, 1, 4), (ORDERS, 3, 5), (AUDIT, 1, 3)],
        filled: vec![ORDERS, AUDIT],
        verified: true,
        ..options()
    };
    options.keys[0].column = Some(1);
    options.keys[0].time = Some(TimeSource::Column { number: 2, zone: None });
    facts.tables[0].columns.push(Column { has_statistics: true, ..column(4, "id_new", "uuid", true) });
    facts.tables[0].columns.push(Column { has_statistics: true, ..column(5, "replaces_new", "uuid", false) });
    facts.tables[1].columns.push(Column { has_statistics: true, ..column(3, "order_id_new", "uuid", true) });
    facts.tables[0].indexes.push(Index { is_unique: true, ..index(13, "orders_pkey_new", &[4], false) });
    facts.tables[0].indexes.push(index(14, "orders_replaces_idx_new", &[5], false));
    facts.tables[1].indexes.push(Index { is_unique: true, ..index(22, "Audit_pkey_new", &[3, 2], false) });
    facts.foreign_keys.push(foreign_key("orders_replaces_fkey_new", (ORDERS, &[5]), (ORDERS, &[4])));
    facts.foreign_keys.push(foreign_key("Audit_order_id_fkey_new", (AUDIT, &[3]), (ORDERS, &[4])));
    options.filled.sort_unstable();
    (facts, options)
}

#[test]
fn completed_steps_are_not_planned_again() {
    let (facts, options) = verified();
    let plan = plan::plan(&facts, &options).unwrap();
    let left = plan.left(Phase::Validated).filter(|step| step.phase > Phase::Backfilled);
    assert_eq!(left.count(), 0);
}

#[test]
fn trap_m12_an_invalid_index_is_dropped_and_built_again() {
    let (mut facts, options) = verified();
    facts.tables[0].indexes[2].is_valid = false;
    assert_eq!(
        statements(&facts, &options, Phase::Indexed),
        [
            "DROP INDEX CONCURRENTLY shop.orders_pkey_new",
            "CREATE UNIQUE INDEX CONCURRENTLY orders_pkey_new ON shop.orders USING btree (id_new)",
        ]
    );
}

#[test]
fn an_invalid_index_has_no_replacement_and_is_none() {
    let (mut facts, mut options) = verified();
    let once = |oid, name, column, is_valid| Index { is_valid, ..index(oid, name, &[column], false) };
    facts.tables[0].indexes.push(once(15, "orders_replaces_ccnew", 3, false));
    let plan = plan::plan(&facts, &options).unwrap();
    assert_eq!(plan.left(Phase::Indexed).filter(|step| step.phase == Phase::Indexed).count(), 0);
    assert!(plan.findings.iter().any(|finding| finding.error.message.contains("orders_replaces_ccnew")));
    let renamed = cut_over(&facts, &options);
    assert!(!renamed.iter().any(|statement| statement.contains("ccnew")), "{renamed:#?}");
    options.cut_over = true;
    // Its name is not that of a replacement, and is first in the alphabet.
    facts.tables[0].indexes.insert(0, once(16, "a_replaces_new_ccnew", 5, false));
    let back = roll_back(&facts, &options);
    assert!(!back.iter().any(|statement| statement.contains("ccnew")), "{back:#?}");
    assert!(cutover::left_behind(&Scope::new(&facts, &options).unwrap(), false).is_empty());
}

#[test]
fn cut_over_and_back_leave_the_names_as_they_were() {
    let (before, mut options) = verified();
    let mut facts = before.clone();
    for statement in cut_over(&facts, &options) {
        apply_rename(&mut facts, &statement);
    }
    let orders: Vec<&str> = facts.tables[0].columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(orders, ["id_old", "created_at", "replaces_old", "id", "replaces"]);
    let indexes: Vec<&str> = facts.tables[1].indexes.iter().map(|index| index.name.as_str()).collect();
    // No key of its own is in it, so the old index finds duplicates first, under the known name.
    assert_eq!(indexes, ["Audit_pkey", "Audit_pkey_new"]);
    let indexes: Vec<&str> = facts.tables[0].indexes.iter().map(|index| index.name.as_str()).collect();
    assert_eq!(indexes, ["orders_pkey_old", "orders_replaces_idx_old", "orders_pkey", "orders_replaces_idx"]);
    let keys: Vec<&str> = facts.foreign_keys.iter().map(|key| key.name.as_str()).collect();
    assert_eq!(
        keys,
        [
            "orders_replaces_fkey_old",
            "Audit_order_id_fkey_old",
            "orders_replaces_fkey",
            "Audit_order_id_fkey"
        ]
    );
    options.cut_over = true;
    for statement in roll_back(&facts, &options) {
        apply_rename(&mut facts, &statement);
    }
    assert_eq!(facts, before);
}

#[test]
fn finalize_runs_what_a_person_would_have_written() {
    let (mut facts, mut options) = verified();
    for statement in cut_over(&facts, &options) {
        apply_rename(&mut facts, &statement);
    }
    options.cut_over = true;
    assert_eq!(
        texts(cutover::finalize(&Scope::new(&facts, &options).unwrap(), false)),
        [
            "ALTER TABLE shop.orders DROP CONSTRAINT orders_replaces_fkey_old",
            "ALTER TABLE shop.\"Audit\" DROP CONSTRAINT \"Audit_order_id_fkey_old\"",
            "ALTER TABLE shop.orders DROP CONSTRAINT orders_pkey_old",
            "ALTER TABLE shop.\"Audit\" DROP CONSTRAINT \"Audit_pkey\"",
            "ALTER TABLE shop.orders DROP COLUMN id_old",
            "ALTER TABLE shop.orders DROP COLUMN replaces_old",
            "ALTER TABLE shop.\"Audit\" DROP COLUMN order_id_old",
            "ALTER TABLE shop.orders ADD CONSTRAINT orders_pkey PRIMARY KEY USING INDEX orders_pkey",
            "ALTER TABLE shop.\"Audit\" ADD CONSTRAINT \"Audit_pkey\" PRIMARY KEY USING INDEX \"Audit_pkey_new\"",
            "COMMENT ON COLUMN shop.orders.id IS NULL",
            "COMMENT ON COLUMN shop.orders.replaces IS NULL",
            "COMMENT ON COLUMN shop.\"Audit\".order_id IS NULL",
        ]
    );
    let kept = texts(cutover::finalize(&Scope::new(&facts, &options).unwrap(), true));
    assert!(!kept.iter().any(|statement| statement.contains("DROP COLUMN")));
    assert!(
        kept.contains(&"ALTER TABLE shop.orders ALTER COLUMN id_old DROP NOT NULL".to_owned()),
        "{kept:#?}"
    );
}

#[test]
fn trap_m17_a_named_not_null_gets_the_name_of_the_old_one() {
    let (mut facts, mut options) = verified();
    options.cut_over = true;
    facts.tables[0].columns[0].not_null_constraint = Some("orders_id_not_null".to_owned());
    facts.tables[0].columns[3].not_null_constraint = Some("orders_id_new_not_null".to_owned());
    let renamed = "ALTER TABLE shop.orders RENAME CONSTRAINT orders_id_new_not_null TO orders_id_not_null";
    for keep_old_ids in [false, true] {
        let end = texts(cutover::finalize(&Scope::new(&facts, &options).unwrap(), keep_old_ids));
        let at = |what: &str| end.iter().position(|statement| statement == what);
        let gone = if keep_old_ids { "ALTER COLUMN id DROP NOT NULL" } else { "DROP COLUMN id" };
        let gone = at(&format!("ALTER TABLE shop.orders {gone}")).unwrap();
        assert!(gone < at(renamed).unwrap(), "{end:#?}");
    }
}

/// Applies a RENAME; other statements change nothing that these tests look at.
pub(super) fn apply_rename(facts: &mut Facts, statement: &str) {
    let unquoted = |name: &str| name.trim_matches('"').to_owned();
    let words: Vec<&str> = statement.split(' ').collect();
    match words.as_slice() {
        ["ALTER", "TABLE", table, "RENAME", "COLUMN", from, "TO", to] => {
            let table = unquoted(table.split_once('.').unwrap().1);
            let table = facts.tables.iter_mut().find(|other| other.name == table).unwrap();
            assert!(table.column_named(&unquoted(to)).is_none(), "{statement}: the name is taken");
            let column = table.columns.iter_mut().find(|column| column.name == unquoted(from));
            column.unwrap_or_else(|| panic!("{statement}")).name = unquoted(to);
        }
        ["ALTER", "TABLE", _, "RENAME", "CONSTRAINT", from, "TO", to] => {
            assert!(!facts.foreign_keys.iter().any(|key| key.name == unquoted(to)), "{statement}");
            let key = facts.foreign_keys.iter_mut().find(|key| key.name == unquoted(from));
            key.unwrap_or_else(|| panic!("{statement}")).name = unquoted(to);
        }
        ["ALTER", "INDEX", from, "RENAME", "TO", to] => {
            let from = unquoted(from.split_once('.').unwrap().1);
            let indexes = || facts.tables.iter().flat_map(|table| &table.indexes);
            assert!(!indexes().any(|index| index.name == unquoted(to)), "{statement}: the name is taken");
            let index =
                facts.tables.iter_mut().flat_map(|table| &mut table.indexes).find(|one| one.name == from);
            let index = index.unwrap_or_else(|| panic!("{statement}"));
            index.name = unquoted(to);
            if let Some(constraint) = &mut index.constraint {
                constraint.name = unquoted(to);
            }
        }
        _ => assert!(!statement.contains("RENAME"), "{statement}"),
    }
}

pub(super) fn refusal(change: impl FnOnce(&mut Facts, &mut Options)) -> crate::Error {
    let (mut facts, mut options) = (shop(), options());
    change(&mut facts, &mut options);
    match plan::plan(&facts, &options) {
        Err(error) => error,
        Ok(plan) => plan.refusal().cloned().expect("it must be refused"),
    }
}

#[test]
fn bad_input_is_refused() {
    let error = refusal(|facts, _| facts.tables[0].indexes.clear());
    assert_eq!(
        (error.sqlstate, error.message.as_str()),
        (SqlState::UndefinedObject, "table \"shop.orders\" has no primary key")
    );
    let error = refusal(|facts, _| facts.tables[0].columns[0].type_name = "text".to_owned());
    assert_eq!(error.sqlstate, SqlState::DatatypeMismatch);
    let error =
        refusal(|facts, _| facts.tables[0].columns[1].type_name = "timestamp without time zone".to_owned());
    assert_eq!(error.sqlstate, SqlState::InvalidParameterValue);
    let error = refusal(|_, options| options.keys[0].request.column = Some("id".to_owned()));
    assert_eq!(error.sqlstate, SqlState::DatatypeMismatch);
    let error = refusal(|facts, _| facts.tables[1].columns.push(column(3, "order_id_new", "text", false)));
    assert_eq!(
        (error.sqlstate, error.message.as_str()),
        (SqlState::DuplicateColumn, "column \"order_id_new\" of table shop.\"Audit\" already exists")
    );
    let error = refusal(|facts, _| facts.tables[1].columns.push(column(3, "order_id_old", "text", false)));
    assert_eq!(error.sqlstate, SqlState::DuplicateColumn);
    let error = refusal(|facts, _| {
        facts.tables[1].kind = "p".to_owned();
        facts.tables[1].indexes[0].constraint.as_mut().unwrap().deferrable = true;
    });
    assert_eq!(error.sqlstate, SqlState::FeatureNotSupported);
    // The key can be migrated without the table.
    let hint = error.hint.unwrap_or_default();
    assert!(hint.contains("ALTER TABLE shop.\"Audit\" DROP CONSTRAINT "), "{hint}");
    let error = refusal(|facts, _| facts.foreign_keys[1].has_period = true);
    assert_eq!(error.sqlstate, SqlState::FeatureNotSupported);
    let error = refusal(|facts, _| facts.tables[1].is_owner = false);
    assert_eq!(error.sqlstate, SqlState::InsufficientPrivilege);
    assert!(Options { new_suffix: String::new(), ..options() }.check().is_err());
    assert!(Options { old_suffix: "_new".to_owned(), ..options() }.check().is_err());
}

#[test]
fn trap_m13_actions_of_foreign_keys_are_kept() {
    let mut facts = shop();
    facts.foreign_keys[1] = ForeignKey {
        matching: "f".to_owned(),
        on_delete: "n".to_owned(),
        on_update: "c".to_owned(),
        set_columns: vec![1],
        validated: false,
        ..facts.foreign_keys[1].clone()
    };
    let validated = statements(&facts, &options(), Phase::Validated);
    let expected = "ALTER TABLE shop.\"Audit\" ADD CONSTRAINT \"Audit_order_id_fkey_new\" FOREIGN KEY (order_id_new) \
         REFERENCES shop.orders (id_new) MATCH FULL ON UPDATE CASCADE ON DELETE SET NULL (order_id_new) NOT VALID";
    assert!(validated.iter().any(|statement| statement == expected), "{validated:#?}");
    // The replacement of a foreign key that is not valid is not valid either.
    let validate = "VALIDATE CONSTRAINT \"Audit_order_id_fkey_new\"";
    assert!(!validated.iter().any(|statement| statement.contains(validate)));
}

#[test]
fn trap_m23_old_ids_of_other_nodes_are_reported() {
    let mut facts = shop();
    let findings = |facts: &Facts| -> Vec<String> {
        let findings = plan::plan(facts, &options()).unwrap().findings;
        assert!(!findings.iter().any(|finding| finding.is_error()));
        let warnings = findings.into_iter().filter(|finding| finding.severity == Severity::Warning);
        warnings.map(|finding| finding.error.message).collect()
    };
    let replacements = "table shop.\"Audit\" has unique indexes that exist twice until the migration is finalized: \"Audit_pkey\"".to_owned();
    assert_eq!(findings(&facts), std::slice::from_ref(&replacements));
    facts.strays.push((ORDERS, "shop.orders_id_seq".to_owned()));
    assert_eq!(
        findings(&facts),
        [
            replacements,
            "sequence \"shop.orders_id_seq\" is not restricted to the class of this node".to_owned()
        ]
    );
}

#[test]
fn tables_that_get_triggers_again_are_filled_and_compared_again() {
    let (facts, options) = verified();
    let plan = plan::plan(&facts, &options).unwrap();
    // The facts have no triggers.
    let left: Vec<(Phase, u32)> = plan.left(Phase::Verified).map(|step| (step.phase, step.table)).collect();
    assert_eq!(
        left,
        [
            (Phase::Prepared, ORDERS),
            (Phase::Prepared, AUDIT),
            (Phase::Backfilled, ORDERS),
            (Phase::Backfilled, ORDERS),
            (Phase::Backfilled, AUDIT),
            (Phase::Backfilled, AUDIT),
            (Phase::Verified, ORDERS),
        ]
    );
}

#[test]
fn trap_m13_a_replacement_is_dropped_with_its_foreign_key() {
    let (mut facts, options) = verified();
    facts.foreign_keys.retain(|key| key.name != "Audit_order_id_fkey");
    facts.references[0].declared = false;
    let drop = "ALTER TABLE shop.\"Audit\" DROP CONSTRAINT \"Audit_order_id_fkey_new\"";
    // Rows that refer to nothing are permitted now.
    let nullable = "ALTER TABLE shop.\"Audit\" ALTER COLUMN order_id_new DROP NOT NULL";
    assert_eq!(statements(&facts, &options, Phase::Validated), [nullable, drop]);
    let removed = cutover::remove(&facts, &options);
    assert!(removed.iter().any(|statement| statement == drop), "{removed:#?}");
}

#[test]
fn objects_that_are_dropped_with_the_old_ids_are_listed() {
    let (mut facts, mut options) = verified();
    options.cut_over = true;
    let left = |facts: &Facts, keep| cutover::left_behind(&Scope::new(facts, &options).unwrap(), keep);
    assert!(left(&facts, false).is_empty());
    facts.tables[1].indexes.push(Index { used_columns: vec![1], ..index(23, "by_old_id", &[0], false) });
    facts.tables[1].dependents = vec![
        Dependent { kind: "check constraint".to_owned(), name: "positive".to_owned(), column: 1 },
        Dependent { kind: "view".to_owned(), name: "of_times".to_owned(), column: 2 },
    ];
    facts.tables[1].column_count = 3;
    facts.foreign_keys.push(foreign_key("late_fkey", (AUDIT, &[2]), (ORDERS, &[1])));
    facts.references.push(Reference { key: ORDERS, table: AUDIT, column: 2, declared: true });
    let late = "foreign key \"late_fkey\" of table shop.\"Audit\"";
    assert_eq!(
        left(&facts, false),
        [
            late,
            "index \"Audit_pkey\"",
            "index \"by_old_id\"",
            "check constraint \"positive\"",
            "view \"of_times\""
        ]
    );
    assert_eq!(left(&facts, true), [late]);
}

#[test]
fn a_leftover_check_is_dropped() {
    let (mut facts, options) = verified();
    let name = "orders_id_new_filled".to_owned();
    facts.tables[0].checks.push(Check { name, columns: vec![4], validated: true, ..Check::default() });
    assert_eq!(
        statements(&facts, &options, Phase::Validated),
        ["ALTER TABLE shop.orders DROP CONSTRAINT orders_id_new_filled"]
    );
}

/// The shop with customers: orders refer to them, and audit rows refer to both.
fn shop_with_customers() -> (Facts, Options) {
    const CUSTOMERS: u32 = 30;
    let (mut facts, mut options) = (shop(), options());
    facts.tables.push(table(
        CUSTOMERS,
        "customers",
        vec![column(1, "id", "integer", true), column(2, "since", "timestamp with time zone", true)],
        vec![index(31, "customers_pkey", &[1], true)],
    ));
    for (table, number) in [(0, 4), (1, 3)] {
        facts.tables[table].columns.push(column(number, "customer_id", "integer", true));
        facts.tables[table].column_count += 1;
        let oid = facts.tables[table].oid;
        facts.references.push(Reference { key: CUSTOMERS, table: oid, column: number, declared: true });
    }
    facts.foreign_keys.push(foreign_key("orders_customer_id_fkey", (ORDERS, &[4]), (CUSTOMERS, &[1])));
    facts.foreign_keys.push(foreign_key("Audit_both_fkey", (AUDIT, &[1, 3]), (ORDERS, &[1, 4])));
    let salt = "shop.customers".to_owned();
    options.keys.push(KeyOptions { table: CUSTOMERS, salt, ..KeyOptions::default() });
    (facts, options)
}

#[test]
fn several_keys_are_migrated_together() {
    let (facts, options) = shop_with_customers();
    let plan = plan::plan(&facts, &options).unwrap();
    assert!(plan.refusal().is_none(), "{:?}", plan.refusal());
    let prepared = statements(&facts, &options, Phase::Prepared);
    let added: Vec<&String> = prepared.iter().filter(|one| one.contains("ADD COLUMN")).collect();
    assert_eq!(
        added,
        [
            "ALTER TABLE shop.orders ADD COLUMN id_new uuid, ADD COLUMN replaces_new uuid, ADD COLUMN customer_id_new uuid",
            "ALTER TABLE shop.customers ADD COLUMN id_new uuid",
            "ALTER TABLE shop.\"Audit\" ADD COLUMN order_id_new uuid, ADD COLUMN customer_id_new uuid",
        ]
    );
    // Triggers that look up a key come after its column. Those of a key come with it, before any
    // trigger that looks it up.
    let position = |text: &str| prepared.iter().position(|one| one.contains(text)).unwrap();
    let key_of_customers = position("ALTER TABLE shop.customers ADD COLUMN id_new");
    let created: Vec<(usize, &String)> =
        prepared.iter().enumerate().filter(|(_, one)| one.starts_with("CREATE TRIGGER")).collect();
    let of_orders = created
        .iter()
        .filter(|(_, one)| one.contains("ON shop.orders") && one.contains("key_migration_reference"));
    let first = of_orders.map(|(at, _)| *at).min().unwrap();
    assert!(first > key_of_customers, "{prepared:#?}");
    let key_of_orders =
        position("ON shop.orders FOR EACH ROW EXECUTE FUNCTION keyspace_internal.key_migration_key(");
    assert!(key_of_orders < key_of_customers, "{prepared:#?}");
    assert!(key_of_orders < position("key_migration_reference("), "{prepared:#?}");
    // Each is created once.
    let names: std::collections::BTreeSet<&str> =
        created.iter().filter_map(|(_, one)| one.split(" FOR EACH ROW ").next()).collect();
    assert_eq!(names.len(), created.len(), "{prepared:#?}");
    // Each column is bound to the key that it refers to.
    assert!(prepared.contains(
        &"CREATE TRIGGER \"~key_migration_insert_4\" BEFORE INSERT ON shop.orders FOR EACH ROW EXECUTE FUNCTION \
          keyspace_internal.key_migration_reference('10', 'old_id', 'uuid', 'shop.customers', '4', '7', '30', '1', '3', '2')"
            .to_owned()
    ));
    // A table is updated once for all of its columns.
    let filled = statements(&facts, &options, Phase::Backfilled);
    let updates: Vec<&String> = filled.iter().filter(|one| one.starts_with("UPDATE")).collect();
    assert_eq!(updates.len(), 3, "{updates:#?}");
    assert!(
        updates[0].contains("keyspace.key_migration_uuid(p.since::pg_catalog.timestamptz, p.id::pg_catalog.int8, 'shop.customers'::pg_catalog.text)"),
        "{}",
        updates[0]
    );
    let validated = statements(&facts, &options, Phase::Validated);
    let both = "ALTER TABLE shop.\"Audit\" ADD CONSTRAINT \"Audit_both_fkey_new\" FOREIGN KEY (order_id_new, \
                customer_id_new) REFERENCES shop.orders (id_new, customer_id_new) NOT VALID";
    assert!(validated.iter().any(|statement| statement == both), "{validated:#?}");
    // Tables that come first are locked first, whichever statement locks them.
    assert_eq!(cutover::lock_order(&Scope::new(&facts, &options).unwrap()), [ORDERS, 30, AUDIT]);
}

#[test]
fn a_column_belongs_to_one_key() {
    let (mut facts, options) = shop_with_customers();
    facts.references.push(Reference { key: 30, table: AUDIT, column: 1, declared: true });
    let error = plan::plan(&facts, &options).unwrap_err();
    assert_eq!(
        (error.sqlstate, error.message.as_str()),
        (SqlState::FeatureNotSupported, "column \"order_id\" of table shop.\"Audit\" refers to two keys")
    );
    let (mut facts, options) = shop_with_customers();
    facts.references.push(Reference { key: ORDERS, table: 30, column: 1, declared: true });
    let error = plan::plan(&facts, &options).unwrap_err();
    assert_eq!(
        error.message,
        "the key of table \"shop.customers\" refers to the key of table \"shop.orders\""
    );
    // A key that refers to itself through others is still one key.
    let mut facts = shop();
    facts.references.push(Reference { key: ORDERS, table: ORDERS, column: 1, declared: true });
    assert_eq!(Scope::new(&facts, &self::options()).unwrap().members.len(), 3);
}

#[test]
fn fault_a07_no_foreign_key_is_validated_by_code_of_others() {
    let stranger = |code: Vec<Code>| {
        let mut facts = shop();
        facts.strangers.push(Stranger { table: AUDIT, other: ORDERS, code });
        facts
    };
    let code = |name: &str| Code {
        kind: "index".to_owned(),
        name: name.to_owned(),
        function: "f(integer)".to_owned(),
    };
    let refusal = |facts: &Facts| {
        let plan = plan::plan(facts, &options()).unwrap();
        plan.refusal().cloned()
    };
    let error = refusal(&stranger(vec![code("a"), code("b")])).unwrap();
    assert_eq!(error.sqlstate, SqlState::InsufficientPrivilege);
    assert!(error.detail.unwrap().ends_with("index \"a\" calls f(integer), index \"b\" calls f(integer)."));
    // Without such code, the lock keeps such an index from being added in the meantime.
    let facts = stranger(Vec::new());
    assert_eq!(refusal(&facts), None);
    let lock = |facts: &Facts| {
        let plan = plan::plan(facts, &options()).unwrap();
        let is_it = |step: &&Step| step.table == AUDIT && step.action.starts_with("validate foreign key");
        plan.steps.iter().find(is_it).and_then(|step| step.other)
    };
    assert_eq!(lock(&facts), Some((ORDERS, Lock::ShareUpdateExclusive)));
    assert_eq!(lock(&shop()), Some((ORDERS, Lock::AccessShare)));
    // A foreign key that is not valid is not validated, so no code runs.
    let mut facts = stranger(vec![code("a")]);
    facts.foreign_keys.iter_mut().for_each(|key| key.validated = false);
    assert_eq!(refusal(&facts), None);
}

#[test]
fn keys_that_are_looked_up_come_as_parameters() {
    let (facts, options) = (shop(), options());
    let scope = Scope::new(&facts, &options).unwrap();
    let member = scope.members.iter().find(|member| member.table.oid == AUDIT).unwrap();
    let given = backfill::statement(&scope, member.table, "true", &[member.old_id.number]);
    assert!(
        given.contains(
            "($1::pg_catalog.jsonb OPERATOR(pg_catalog.->>) t.order_id::pg_catalog.int8::pg_catalog.text)\
             ::pg_catalog.uuid::uuid"
        ),
        "{given}"
    );
    assert!(!given.contains("orders"), "{given}");
    let old_ids = backfill::old_ids(member, "true");
    assert!(old_ids.starts_with("SELECT DISTINCT t.order_id::pg_catalog.int8 FROM ONLY shop."), "{old_ids}");
}

proptest! {
    #[test]
    fn batches_cover_every_page_once(pages in 0_i64..5_000, batch in 1_i64..700) {
        let mut position = 0;
        while let Some(Range { from, to }) = backfill::next(position, pages, batch) {
            prop_assert_eq!(from, position);
            prop_assert!(to > from && to - from <= batch);
            position = to;
        }
        prop_assert_eq!(position, pages);
    }

    #[test]
    fn suffixed_names_are_short_enough(name in "\\PC{0,80}", suffix in "[_a-z]{1,16}") {
        let long = names::suffixed(&name, &suffix);
        prop_assert!(long.len() <= 63 && long.ends_with(&suffix));
        let quoted = crate::sql::quoted(&name);
        let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        prop_assert_eq!(inner.map_or(quoted.clone(), |inner| inner.replace("\"\"", "\"")), name);
    }
}

/// What is removed depends on nothing but the columns that the migration has added.
#[test]
fn fault_c07_a_migration_without_its_old_columns_can_be_removed() {
    let (mut facts, options) = verified();
    let complete = cutover::remove(&facts, &options);
    let ours = |name: &str| Trigger { name: name.to_owned(), is_ours: true, ..Trigger::default() };
    facts.tables[0].columns.retain(|column| column.number != 1 && column.number != 2);
    facts.tables[1].columns.retain(|column| column.number != 1);
    facts.tables[0].triggers = vec![ours("~key_migration_insert_1"), Trigger::default()];
    facts.tables[1].triggers = vec![ours("~key_migration_late_1")];
    facts.foreign_keys.retain(|key| key.name.ends_with("_new"));
    assert!(Scope::new(&facts, &options).is_err());
    let removed = cutover::remove(&facts, &options);
    let is_drop = |statement: &&String| statement.contains("DROP TRIGGER");
    assert_eq!(
        removed.iter().filter(is_drop).collect::<Vec<_>>(),
        [
            "DROP TRIGGER \"~key_migration_insert_1\" ON shop.orders",
            "DROP TRIGGER \"~key_migration_late_1\" ON shop.\"Audit\""
        ]
    );
    let rest: Vec<&String> = removed.iter().filter(|statement| !is_drop(statement)).collect();
    assert_eq!(rest, complete.iter().collect::<Vec<_>>());
    for column in ["DROP COLUMN id_new", "DROP COLUMN replaces_new", "DROP COLUMN order_id_new"] {
        assert!(rest.iter().any(|statement| statement.ends_with(column)), "{rest:#?}");
    }
    assert_eq!(cutover::lock_order_of(&facts, &options), [ORDERS, AUDIT]);
}

#[test]
fn fault_c19_a_trigger_that_always_fires_is_an_error_while_there_is_something_to_fill() {
    let (mut facts, mut options) = verified();
    let trigger = Trigger {
        name: "repack_trigger".to_owned(),
        kind: 16,
        enabled: "A".to_owned(),
        ..Trigger::default()
    };
    facts.tables[1].triggers.push(trigger.clone());
    let refused = |facts: &Facts, options: &Options| {
        let plan = plan::plan(facts, options).unwrap();
        plan.refusal().is_some_and(|error| error.message.contains("\"repack_trigger\""))
    };
    assert!(!refused(&facts, &options));
    options.filled = vec![ORDERS];
    assert!(refused(&facts, &options));
    options.fire_triggers = true;
    assert!(!refused(&facts, &options));
    options.fire_triggers = false;
    // For another column, for the new one, and in other roles only.
    facts.tables[1].triggers[0].columns = vec![2];
    assert!(!refused(&facts, &options));
    facts.tables[1].triggers[0].columns = vec![2, 3];
    assert!(refused(&facts, &options));
    facts.tables[1].triggers[0] = Trigger { enabled: "R".to_owned(), ..trigger };
    assert!(!refused(&facts, &options));
}

#[test]
fn fault_c23_rows_that_are_too_wide_are_announced() {
    let (mut facts, options) = (shop(), options());
    let warns = |facts: &Facts| {
        let plan = plan::plan(facts, &options).unwrap();
        plan.findings.iter().any(|finding| finding.error.message.contains("\"shop.orders\" can be too wide"))
    };
    // Two keys are added.
    facts.tables[0].widest_row = 8_160 - 32;
    assert!(!warns(&facts));
    facts.tables[0].widest_row += 1;
    assert!(warns(&facts));
}

#[test]
fn fault_c09_what_is_in_doubt_is_said() {
    let (facts, mut options) = verified();
    options.verified = false;
    options.doubts = vec![(AUDIT, Doubt::Rewritten), (ORDERS, Doubt::Applied)];
    let plan = plan::plan(&facts, &options).unwrap();
    let step = plan.steps.iter().find(|step| step.phase == Phase::Verified).unwrap();
    assert!(!step.done);
    assert!(
        step.detail.starts_with("table shop.\"Audit\" has been written to another file since; table"),
        "{}",
        step.detail
    );
}

/// One fires where replication applies rows, and in no ordinary session.
#[test]
fn fault_c09_trap_m24_each_column_has_a_trigger_for_rows_that_are_applied() {
    let created = statements(&shop(), &options(), Phase::Prepared);
    let of = |text: &str| created.iter().filter(|statement| statement.contains(text)).count();
    assert_eq!(of("_applied_1\" AFTER UPDATE ON shop.orders FOR EACH ROW"), 1);
    assert_eq!(of("_applied_3\" AFTER UPDATE ON shop.orders FOR EACH ROW"), 1);
    assert_eq!(of("_applied_1\" AFTER UPDATE ON shop.\"Audit\" FOR EACH ROW"), 1);
    assert_eq!(of("ENABLE REPLICA TRIGGER \"~key_migration_applied_"), 3);
    // For a row that refers to a later one, whoever inserts both.
    assert_eq!(of("ENABLE ALWAYS TRIGGER \"~key_migration_late_"), 2);
    assert_eq!(of("BEFORE UPDATE"), 3);
    assert_eq!(of("ENABLE ALWAYS TRIGGER \"~key_migration_update_"), 0);
}
