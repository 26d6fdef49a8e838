//! Migrations to `bigint`, in which keys keep their values.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::expression::{Operators, Replaced, is_same_in_bigint, rewritten};
use super::facts::{Check, Facts, Index, IndexConstraint, OperatorClass, Sequence};
use super::step::Statement;
use super::tests::{AUDIT, ORDERS, column, cut_over, index, roll_back, shop, statements};
use super::{Options, Phase, Scope, Target, cutover_view, kept_values, plan, settle, triggers};
use crate::SqlState;

fn sequence(name: &str, kind: &str, type_name: &str, max: i64) -> Sequence {
    Sequence {
        name: name.to_owned(),
        kind: kind.to_owned(),
        type_name: type_name.to_owned(),
        max,
        is_owner: true,
    }
}

/// The shop with ids of type `integer`, an identity column, and a reference that is drawn from a
/// sequence of its own.
fn integers() -> (Facts, Options) {
    let mut facts = shop();
    facts.operator_classes.push(OperatorClass {
        method: "btree".to_owned(),
        type_name: "int8".to_owned(),
        name: "int8_ops".to_owned(),
        sql: "pg_catalog.int8_ops".to_owned(),
        is_default: true,
    });
    let integer = |number, name, not_null| column(number, name, "integer", not_null);
    facts.tables[0].columns = vec![integer(1, "id", true), integer(3, "replaces", false)];
    facts.tables[0].columns[0].identity = "a".to_owned();
    facts.tables[0].columns[0].sequences =
        vec![sequence("shop.orders_id_seq", "identity", "integer", i64::from(i32::MAX))];
    facts.tables[1].columns[0].default = Some("nextval('shop.audit_seq'::regclass)".to_owned());
    facts.tables[1].columns[0].sequences = vec![sequence("shop.audit_seq", "owned", "integer", 1_000_000)];
    let options = Options { keys: super::tests::options().keys, ..Options::new(Target::Bigint) };
    (facts, options)
}

/// The same, with everything done before the cut-over.
fn ready() -> (Facts, Options) {
    let (mut facts, mut options) = integers();
    let [orders, audit] = &mut facts.tables[..] else { panic!() };
    orders.columns.extend([column(4, "id_new", "bigint", true), column(5, "replaces_new", "bigint", false)]);
    audit.columns.push(column(3, "order_id_new", "bigint", true));
    let unique = |oid, name, columns: &[i16]| Index { is_unique: true, ..index(oid, name, columns, false) };
    orders.indexes.extend([unique(13, "orders_pkey_new", &[4]), unique(15, "orders_pkey_old", &[1])]);
    orders.indexes.push(index(14, "orders_replaces_idx_new", &[5], false));
    audit.indexes.extend([unique(22, "Audit_pkey_new", &[3, 2]), unique(25, "Audit_pkey_old", &[1, 2])]);
    options.shadows = vec![(ORDERS, 1, 4), (ORDERS, 3, 5), (AUDIT, 1, 3)];
    options.keys[0].column = Some(1);
    (facts, options)
}

/// The catalogs after the cut-over.
fn moved() -> (Facts, Options) {
    let (mut facts, mut options) = ready();
    options.cut_over = true;
    let [orders, audit] = &mut facts.tables[..] else { panic!() };
    let names = ["id_old", "replaces_old", "id", "replaces"];
    for (column, name) in orders.columns.iter_mut().zip(names) {
        column.name = name.to_owned();
    }
    for (column, name) in audit.columns.iter_mut().zip(["order_id_old", "no", "order_id"]) {
        column.name = name.to_owned();
    }
    orders.columns[0].not_null = false;
    orders.columns[2].identity = std::mem::take(&mut orders.columns[0].identity);
    orders.columns[2].sequences = vec![sequence("shop.orders_id_seq", "identity", "bigint", i64::MAX)];
    orders.columns[0].sequences.clear();
    audit.columns[0].not_null = false;
    audit.columns[2].default = audit.columns[0].default.take();
    audit.columns[2].sequences = vec![sequence("shop.audit_seq", "owned", "bigint", 1_000_000)];
    audit.columns[0].sequences.clear();
    let unique = |oid, name, columns: &[i16]| Index { is_unique: true, ..index(oid, name, columns, false) };
    orders.indexes = vec![
        index(13, "orders_pkey", &[4], true),
        index(12, "orders_replaces_idx_old", &[3], false),
        index(14, "orders_replaces_idx", &[5], false),
        unique(15, "orders_pkey_old", &[1]),
    ];
    audit.indexes = vec![index(22, "Audit_pkey", &[3, 2], true), unique(25, "Audit_pkey_old", &[1, 2])];
    facts.foreign_keys.clear();
    (facts, options)
}

fn place(statements: &[String], wanted: &str) -> usize {
    let place = statements.iter().position(|statement| statement == wanted);
    place.unwrap_or_else(|| panic!("no {wanted} in {statements:#?}"))
}

fn errors(facts: &Facts, options: &Options) -> Vec<String> {
    let plan = plan::plan(facts, options).unwrap();
    let errors = plan.findings.iter().filter(|finding| finding.is_error());
    errors.map(|finding| finding.error.message.clone()).collect()
}

#[test]
fn nothing_is_derived_or_looked_up() {
    let (facts, options) = integers();
    assert_eq!(errors(&facts, &options), [""; 0]);
    let prepared = statements(&facts, &options, Phase::Prepared);
    assert_eq!(
        prepared[0],
        "ALTER TABLE shop.orders ADD COLUMN id_new bigint, ADD COLUMN replaces_new bigint"
    );
    assert!(prepared.contains(
        &"CREATE TRIGGER \"~key_migration_insert_3\" BEFORE INSERT ON shop.orders FOR EACH ROW EXECUTE FUNCTION \
          keyspace_internal.key_migration_copy('10', 'old_id', 'reference', '3', '5')"
            .to_owned()
    ));
    assert!(!prepared.iter().any(|statement| statement.contains("_late_")), "{prepared:#?}");
    assert_eq!(
        statements(&facts, &options, Phase::Backfilled)[2],
        "UPDATE ONLY shop.\"Audit\" AS t SET order_id_new = t.order_id::pg_catalog.int8 \
         WHERE t.ctid OPERATOR(pg_catalog.>=) '(0,0)'::pg_catalog.tid \
         AND t.ctid OPERATOR(pg_catalog.<) '(128,0)'::pg_catalog.tid AND t.order_id_new IS NULL"
    );
    // The primary keys move, so old ids have unique indexes of their own.
    let indexed = statements(&facts, &options, Phase::Indexed);
    place(&indexed, "CREATE UNIQUE INDEX CONCURRENTLY orders_pkey_new ON shop.orders USING btree (id_new)");
    place(&indexed, "CREATE UNIQUE INDEX CONCURRENTLY orders_pkey_old ON shop.orders USING btree (id)");
}

#[test]
fn what_gives_values_moves_at_the_cut_over() {
    let (facts, options) = ready();
    let statements = cut_over(&facts, &options);
    let of = |wanted: &str| place(&statements, wanted);
    let widened = of("ALTER SEQUENCE shop.orders_id_seq AS bigint");
    let moved = of(
        "SELECT keyspace_internal.key_migration_move_identity('shop.orders'::pg_catalog.regclass, 1::pg_catalog.int2, 4::pg_catalog.int2)",
    );
    let may_be_null = of("ALTER TABLE shop.orders ALTER COLUMN id_old DROP NOT NULL");
    let primary = of("ALTER TABLE shop.orders DROP CONSTRAINT orders_pkey");
    assert!(primary < widened && widened < moved && moved < may_be_null);
    let last = of("ALTER SEQUENCE shop.audit_seq OWNED BY shop.\"Audit\".order_id");
    let [widened, dropped, set] = [
        "ALTER SEQUENCE shop.audit_seq AS bigint",
        "ALTER TABLE shop.\"Audit\" ALTER COLUMN order_id_old DROP DEFAULT",
        "ALTER TABLE shop.\"Audit\" ALTER COLUMN order_id SET DEFAULT nextval('shop.audit_seq'::regclass)",
    ]
    .map(of);
    assert!(widened < dropped && dropped < set && set < last);
    of("ALTER TABLE shop.\"Audit\" ALTER COLUMN order_id_old DROP NOT NULL");
    // The sequence ends where its owner wants it to.
    let plan = plan::plan(&facts, &options).unwrap();
    assert!(plan.findings.iter().any(|finding| {
        finding.error.message
            == "sequence shop.audit_seq of column \"order_id\" of table shop.\"Audit\" ends at its MAXVALUE 1000000"
    }));
}

#[test]
fn a_rollback_checks_first_and_moves_everything_back() {
    let (mut facts, options) = moved();
    let scope = Scope::new(&facts, &options).unwrap();
    let steps = settle::before_roll_back(&scope);
    let texts: Vec<String> = steps.iter().flat_map(|step| step.statements.clone()).collect();
    assert_eq!(
        texts,
        [
            "ALTER TABLE shop.orders ADD CONSTRAINT orders_id_old_filled CHECK (id_old IS NOT NULL) NOT VALID",
            "ALTER TABLE shop.orders ADD CONSTRAINT orders_replaces_old_held CHECK (replaces_old IS NOT NULL OR replaces IS NULL) NOT VALID",
            "ALTER TABLE shop.\"Audit\" ADD CONSTRAINT \"Audit_order_id_old_filled\" CHECK (order_id_old IS NOT NULL) NOT VALID",
        ]
    );
    assert_eq!(kept_values::unfit_rows(&scope, ORDERS).len(), 2);
    let check = |name: &str, columns: &[i16]| Check {
        name: name.to_owned(),
        columns: columns.to_vec(),
        expression: "true".to_owned(),
        ..Check::default()
    };
    facts.tables[0].checks =
        vec![check("orders_id_old_filled", &[1]), check("orders_replaces_old_held", &[3, 5])];
    facts.tables[1].checks = vec![check("Audit_order_id_old_filled", &[1])];
    let scope = Scope::new(&facts, &options).unwrap();
    let steps = settle::before_roll_back(&scope);
    let texts: Vec<&str> = steps.iter().flat_map(|step| &step.statements).map(String::as_str).collect();
    assert_eq!(texts[1], "ALTER TABLE shop.orders VALIDATE CONSTRAINT orders_replaces_old_held");
    assert_eq!(texts.len(), 3);
    // If the rollback is not repeated, they are removed.
    assert_eq!(settle::without_roll_back(&scope).len(), 3);
    assert_eq!(settle::steps(&scope).len(), 3);
    for table in &mut facts.tables {
        for check in &mut table.checks {
            check.validated = true;
        }
    }
    let scope = Scope::new(&facts, &options).unwrap();
    assert!(settle::before_roll_back(&scope).is_empty());
    let statements = roll_back(&facts, &options);
    let of = |wanted: &str| place(&statements, wanted);
    let narrowed = of("ALTER SEQUENCE shop.orders_id_seq AS integer");
    let moved = of(
        "SELECT keyspace_internal.key_migration_move_identity('shop.orders'::pg_catalog.regclass, 4::pg_catalog.int2, 1::pg_catalog.int2)",
    );
    let required = of("ALTER TABLE shop.orders ALTER COLUMN id SET NOT NULL");
    let dropped = of("ALTER TABLE shop.orders DROP CONSTRAINT orders_id_old_filled");
    let primary =
        of("ALTER TABLE shop.orders ADD CONSTRAINT orders_pkey PRIMARY KEY USING INDEX orders_pkey_old");
    assert!(required < dropped && dropped < narrowed && narrowed < moved && moved < primary);
    of("ALTER TABLE shop.orders DROP CONSTRAINT orders_replaces_old_held");
    of("ALTER SEQUENCE shop.audit_seq OWNED BY shop.\"Audit\".order_id");
    assert!(!statements.iter().any(|statement| statement.contains("audit_seq AS")), "{statements:#?}");
}

#[test]
fn what_cannot_be_null_is_refused() {
    let refused = |change: &dyn Fn(&mut Facts)| {
        let (mut facts, options) = integers();
        change(&mut facts);
        errors(&facts, &options)
    };
    let unique = |name: &str, columns: &[i16]| Index { is_unique: true, ..index(30, name, columns, false) };
    let equal_nulls =
        |constraint| Index { nulls_not_distinct: true, constraint, ..unique("equal_nulls", &[3]) };
    let constraint =
        IndexConstraint { name: "equal_nulls".to_owned(), kind: "u".to_owned(), ..Default::default() };
    assert_eq!(
        refused(&|facts| facts.tables[0].indexes.push(equal_nulls(Some(constraint.clone())))),
        ["unique index \"shop.equal_nulls\" could be violated by rows without an old id"]
    );
    assert_eq!(refused(&|facts| facts.tables[0].indexes.push(equal_nulls(None))), [""; 0]);
    assert_eq!(refused(&|facts| facts.tables[0].indexes.push(unique("plain", &[3, 2]))), [""; 0]);
    assert_eq!(
        refused(&|facts| facts.tables[0]
            .indexes
            .push(Index { is_replica_identity: true, ..unique("identity", &[3]) })),
        ["index \"identity\" on old ids is the replica identity of table \"shop.orders\""]
    );
    assert_eq!(
        refused(&|facts| {
            let constraint = IndexConstraint { deferrable: true, kind: "p".to_owned(), ..Default::default() };
            facts.tables[0].indexes[0].constraint = Some(constraint);
        }),
        ["primary key \"orders_pkey\" of table \"shop.orders\" cannot move at the cut-over"]
    );
    let with_check = |expression: &str, validated| {
        refused(&|facts| {
            facts.tables[0].checks.push(Check {
                name: "about_id".to_owned(),
                columns: vec![1],
                validated,
                expression: expression.to_owned(),
                ..Check::default()
            });
        })
    };
    let message = "check constraint \"about_id\" of table \"shop.orders\" cannot move to the new column";
    assert_eq!(with_check("((id % 10) = 3)", true), [""; 0]);
    assert_eq!(with_check("((id % 10) = 3)", false), [message]);
    assert_eq!(with_check("is_fine(id)", true), [message]);
    assert_eq!(
        refused(&|facts| facts.tables[0].columns[0].sequences[0].is_owner = false),
        ["must be owner of sequence shop.orders_id_seq"]
    );
}

#[test]
fn arguments_that_have_no_meaning_are_refused() {
    let (mut facts, mut options) = integers();
    options.keys[0].request.constant = true;
    let error = plan::plan(&facts, &options).unwrap_err();
    assert_eq!(error.sqlstate, SqlState::InvalidParameterValue);
    assert_eq!(error.message, "without_timestamp cannot be used with target \"bigint\"");
    options.keys[0].request.constant = false;
    facts.tables[0].columns[0].type_name = "bigint".to_owned();
    let error = plan::plan(&facts, &options).unwrap_err();
    assert_eq!(error.sqlstate, SqlState::DatatypeMismatch);
    let (facts, options) = ready();
    let error = cutover_view::check(&Scope::new(&facts, &options).unwrap()).unwrap_err();
    assert_eq!(error.hint.as_deref(), Some("CALL key_migration_cutover('shop.orders', way => 'rename')."));
}

#[test]
fn triggers_follow_the_column_that_leads() {
    let (facts, options) = moved();
    let scope = Scope::new(&facts, &options).unwrap();
    let statements = triggers::create_trigger_statements(&scope, &scope.keys[0].column, true);
    assert_eq!(statements.len(), 5);
    assert_eq!(statements[4], "ALTER TABLE shop.orders ENABLE REPLICA TRIGGER \"~key_migration_applied_1\"");
    assert!(statements[3].ends_with(
        "AFTER UPDATE ON shop.orders FOR EACH ROW EXECUTE FUNCTION keyspace_internal.key_migration_copy_applied('10', 'key', 'own', '1', '4')"
    ));
}

#[test]
fn expressions_keep_their_meaning() {
    let column =
        |old: &str| Replaced { old: old.to_owned(), new: format!("{old}_new"), key: 1, may_lack_key: false };
    let columns = [column("id"), column("Parent")];
    let operators = Operators { from: "pg_catalog", to: "pg_catalog", keep_values: true };
    let of = |text: &str| rewritten(text, &columns, operators).map(|new| new.text);
    for (text, wanted) in [
        ("(id > 0)", "(id_new > 0)"),
        ("((id % 2) = 1)", "((id_new % 2) = 1)"),
        ("(id = ANY (ARRAY[1, 2]))", "(id_new = ANY (ARRAY[1, 2]))"),
        ("(COALESCE(\"Parent\", id) <> 5)", "(COALESCE(\"Parent_new\", id_new) <> 5)"),
        (
            "((\"Parent\" IS NULL) OR (id <> \"Parent\"))",
            "((\"Parent_new\" IS NULL) OR (id_new <> \"Parent_new\"))",
        ),
        ("((id)::text <> 'id'::text)", "((id_new)::text <> 'id'::text)"),
        ("(id <> '5'::smallint)", "(id_new <> '5'::smallint)"),
        ("(num_nonnulls(id, \"Parent\", number) = 1)", "(num_nonnulls(id_new, \"Parent_new\", number) = 1)"),
        ("(num_nulls(VARIADIC ARRAY[id, 1]) = 0)", "(num_nulls(VARIADIC ARRAY[id_new, 1]) = 0)"),
        ("(((id)::integer % 2) = 1)", "((id_new % 2) = 1)"),
        ("((id % (2)::bigint) = 1)", "((id_new % 2) = 1)"),
        // The cast of another column.
        ("(((number)::integer > 5) AND (id > 0))", "(((number)::integer > 5) AND (id_new > 0))"),
        ("((number)::integer)", "((number)::integer)"),
        ("(id > (number + 1)::smallint)", "(id_new > (number + 1)::smallint)"),
        (
            "CASE WHEN (id > 0) THEN true ELSE (lower(name) = 'x'::text) END",
            "CASE WHEN (id_new > 0) THEN true ELSE (lower(name) = 'x'::text) END",
        ),
    ] {
        assert_eq!(of(text).as_deref(), Some(wanted));
    }
    for text in [
        "is_fine(id)",
        "(abs((id + 1)) > 0)",
        "(mine.num_nulls(id) = 0)",
        "((id + 1)::smallint > 0)",
        "(((id + 1) * (number)::integer))::integer",
        "((CASE WHEN (number > 0) THEN id ELSE 0 END)::integer > 5)",
        "id(id)",
    ] {
        assert_eq!(of(text), None, "{text}");
    }
    // PostgreSQL casts constants to bigint.
    assert!(is_same_in_bigint("((id_new % 2))", "(id_new % (2)::bigint)"));
    assert!(!is_same_in_bigint("((id_new % 2))", "(id_new % (3)::bigint)"));
    assert!(!is_same_in_bigint("((id_new)::text)", "(id_new)"));
    // What is no column stays.
    assert_eq!(of("(lower(name) = id(1))").as_deref(), Some("(lower(name) = id(1))"));
}

#[test]
fn plain_statements_run_as_the_caller() {
    // Those that evaluate checks of a table's owner run as the owner.
    let (mut facts, options) = moved();
    facts.tables[0].checks = vec![Check {
        name: "orders_id_old_filled".to_owned(),
        columns: vec![1],
        validated: true,
        expression: "(id_old IS NOT NULL)".to_owned(),
        ..Check::default()
    }];
    let scope = Scope::new(&facts, &options).unwrap();
    let restored: Vec<Statement> = kept_values::restore(&scope);
    assert_eq!(restored[0].as_owner_of, Some(ORDERS));
    assert_eq!(restored[1].as_owner_of, None);
}

/// Unique indexes, each with its replacement: what they are on old ids, and on keys.
fn with_unique(facts: &mut Facts, indexes: &[(&str, Index, Index)]) {
    let table = &mut facts.tables[0];
    for ((name, old, new), oid) in indexes.iter().zip((40..).step_by(2)) {
        let named = |oid, name: String, of: &Index| Index { oid, name, is_unique: true, ..of.clone() };
        table.indexes.push(named(oid, (*name).to_owned(), old));
        table.indexes.push(named(oid + 1, format!("{name}_new"), new));
    }
}

fn on_condition(predicate: &str, column: i16) -> Index {
    Index {
        predicate: Some(predicate.to_owned()),
        used_columns: vec![column],
        ..index(0, "", &[column], false)
    }
}

#[test]
fn unique_indexes_that_would_refuse_rows_without_an_old_id_are_dropped_at_the_cut_over() {
    let expression = |text: &str, column: i16| {
        let mut one = Index { used_columns: vec![column], ..index(0, "", &[0, column], false) };
        one.keys[0].expression = Some(text.to_owned());
        one
    };
    let indexes = [
        ("a", on_condition("(replaces IS NULL)", 3), on_condition("(replaces_new IS NULL)", 5)),
        ("b", expression("COALESCE(replaces, 0)", 3), expression("COALESCE(replaces_new, (0)::bigint)", 5)),
        (
            "c",
            Index { nulls_not_distinct: true, ..index(0, "", &[3], false) },
            Index { nulls_not_distinct: true, ..index(0, "", &[5], false) },
        ),
        // A row without an old id takes no part.
        ("kept", on_condition("(replaces IS NOT NULL)", 3), on_condition("(replaces_new IS NOT NULL)", 5)),
    ];
    let (mut facts, options) = ready();
    with_unique(&mut facts, &indexes);
    assert_eq!(errors(&facts, &options), [""; 0]);
    let statements = cut_over(&facts, &options);
    for name in ["a", "b", "c"] {
        let dropped = place(&statements, &format!("DROP INDEX shop.{name}"));
        assert!(dropped < place(&statements, &format!("ALTER INDEX shop.{name}_new RENAME TO {name}")));
    }
    assert!(!statements.iter().any(|statement| statement.contains("kept")), "{statements:#?}");
}

#[test]
fn a_rollback_waits_for_the_unique_indexes_that_it_needs() {
    let (mut facts, options) = moved();
    let on_keys =
        Index { oid: 40, name: "a".to_owned(), is_unique: true, ..on_condition("(replaces IS NULL)", 5) };
    facts.tables[0].indexes.push(on_keys);
    let scope = Scope::new(&facts, &options).unwrap();
    let refused = super::cutover::roll_back(&scope).unwrap_err();
    assert_eq!(refused.message, "unique index \"shop.a\" has no counterpart on old ids");
    let statement = "CREATE UNIQUE INDEX CONCURRENTLY a_old ON shop.orders USING btree (replaces_old) WHERE (replaces_old IS NULL)";
    assert!(refused.hint.unwrap().contains(statement));
    facts.tables[0].indexes.push(Index {
        oid: 41,
        name: "a_old".to_owned(),
        is_unique: true,
        ..on_condition("(replaces_old IS NULL)", 3)
    });
    let statements = roll_back(&facts, &options);
    let (one, other) = (
        place(&statements, "ALTER INDEX shop.a RENAME TO a_new"),
        place(&statements, "ALTER INDEX shop.a_old RENAME TO a"),
    );
    assert!(one < other);
}
