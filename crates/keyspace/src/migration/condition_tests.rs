//! References of which only some rows refer to a key: with a type column, and with values that mean none.

#![allow(clippy::unwrap_used)]

use super::condition::{Condition, TriggerCondition};
use super::facts::{Check, Column, Facts, IndexKey, Reference};
use super::tests::{ORDERS, column, foreign_key, index, options, shop, statements, table};
use super::{
    Options, Phase, Scope, Severity, cutover, cutover_view, plan, replacement_index, settle, verify,
    verify_references,
};
use crate::SqlState;

const LOG: u32 = 40;

/// A log whose records can be orders, which also has a reference that means nothing where it is 0.
fn log() -> (Facts, Options) {
    let mut facts = shop();
    let columns = vec![
        column(1, "no", "bigint", true),
        column(2, "record_type", "text", true),
        column(3, "record_id", "bigint", true),
        column(4, "order_id", "integer", true),
    ];
    let unique = |index| super::facts::Index { is_unique: true, ..index };
    let indexes = vec![
        index(41, "log_pkey", &[1], true),
        unique(index(42, "log_record", &[2, 3], false)),
        index(43, "log_both", &[4, 3], false),
    ];
    facts.tables.push(table(LOG, "log", columns, indexes));
    let mut options = options();
    for number in [3, 4] {
        facts.references.push(Reference { key: ORDERS, table: LOG, column: number, declared: false });
    }
    options.conditions = vec![
        Condition {
            table: LOG,
            column: 3,
            type_column: Some(2),
            type_values: vec!["Order".to_owned(), "it's".to_owned()],
            null_values: Vec::new(),
        },
        Condition { table: LOG, column: 4, null_values: vec!["0".to_owned()], ..Condition::default() },
    ];
    (facts, options)
}

/// The same before the cut-over.
fn prepared() -> (Facts, Options) {
    let (mut facts, mut options) = log();
    options.shadows = vec![(ORDERS, 1, 4), (ORDERS, 3, 5), (20, 1, 3), (LOG, 3, 5), (LOG, 4, 6)];
    options.keys[0].column = Some(1);
    let shadow = |number, name, not_null| Column {
        has_statistics: true,
        comment: Some("reference of a key migration; filled by triggers".to_owned()),
        ..column(number, name, "uuid", not_null)
    };
    facts.tables[0].columns.extend([shadow(4, "id_new", true), shadow(5, "replaces_new", false)]);
    facts.tables[1].columns.push(shadow(3, "order_id_new", true));
    let log = facts.tables.last_mut().unwrap();
    log.columns.extend([shadow(5, "record_id_new", false), shadow(6, "order_id_new", false)]);
    let replaced = |index: super::facts::Index| super::facts::Index { is_unique: index.oid == 52, ..index };
    log.indexes.push(replaced(index(52, "log_record_new", &[2, 5], false)));
    log.indexes.push(replaced(index(53, "log_both_new", &[6, 3], false)));
    (facts, options)
}

/// The same after it.
fn cut_over() -> (Facts, Options) {
    let (mut facts, mut options) = prepared();
    options.cut_over = true;
    let log = facts.tables.last_mut().unwrap();
    for (number, name) in [(4, "order_id_old"), (6, "order_id")] {
        let column = log.columns.iter_mut().find(|column| column.number == number).unwrap();
        column.name = name.to_owned();
        column.not_null = false;
    }
    log.columns[2].not_null = false;
    for (oid, name) in [(43, "log_both_old"), (53, "log_both")] {
        log.indexes.iter_mut().find(|index| index.oid == oid).unwrap().name = name.to_owned();
    }
    for (name, columns) in [("log_record_id_new_given", vec![3, 5]), ("log_order_id_new_given", vec![4, 6])] {
        log.checks.push(Check { name: name.to_owned(), columns, ..Check::default() });
    }
    (facts, options)
}

fn of_log(statements: Vec<super::step::Statement>) -> Vec<String> {
    let texts = statements.into_iter().map(|statement| statement.text);
    texts.filter(|text| text.contains("log") && !text.contains("TRIGGER")).collect()
}

const REFERS: &str = "t.record_type::pg_catalog.text COLLATE pg_catalog.\"C\" OPERATOR(pg_catalog.=) ANY (ARRAY['Order', 'it''s']::pg_catalog.text[])";
const IS_ONE: &str = "t.order_id::pg_catalog.text COLLATE pg_catalog.\"C\" OPERATOR(pg_catalog.<>) ALL (ARRAY['0']::pg_catalog.text[])";

#[test]
fn fault_c10_only_rows_of_one_kind_get_keys() {
    let (facts, options) = log();
    let found = plan::plan(&facts, &options).unwrap();
    assert!(found.refusal().is_none(), "{:?}", found.refusal());
    let triggers: Vec<String> = statements(&facts, &options, Phase::Prepared)
        .into_iter()
        .filter(|one| one.contains(" ON shop.log ") && one.contains("_3\""))
        .collect();
    let condition = r#"'{"type_column":2,"type_values":["Order","it''s"]}'"#;
    assert!(triggers[0].contains(condition), "{}", triggers[0]);
    // The one for rows that come early fires for no others.
    let late = triggers.iter().find(|one| one.contains("_late_")).unwrap();
    let when = REFERS.replacen("t.", "NEW.", 1);
    assert!(
        late.contains(&format!("WHEN (NEW.record_id_new IS NULL AND NEW.record_id IS NOT NULL AND {when})"))
    );
    let filled = statements(&facts, &options, Phase::Backfilled);
    let filled = filled.iter().find(|one| one.contains("UPDATE ONLY shop.log")).unwrap();
    assert!(
        filled
            .contains(&format!("record_id_new = COALESCE(t.record_id_new, CASE WHEN {REFERS} THEN (SELECT"))
    );
    assert!(filled.ends_with(&format!(
        "((t.record_id_new IS NULL AND t.record_id IS NOT NULL AND {REFERS}) OR \
         (t.order_id_new IS NULL AND t.order_id IS NOT NULL AND {IS_ONE}))"
    )));
    // Nor for rows that mean none, until keys lead.
    let late = statements(&facts, &options, Phase::Prepared)
        .into_iter()
        .find(|one| one.contains("_late_4"))
        .unwrap();
    let when = IS_ONE.replacen("t.", "NEW.", 1);
    assert!(
        late.contains(&format!("WHEN (NEW.order_id_new IS NULL AND NEW.order_id IS NOT NULL AND {when})")),
        "{late}"
    );
    // The index on it alone gets another one next to it; in others, the column is as it was.
    let built = statements(&facts, &options, Phase::Indexed);
    assert!(built.contains(
        &"CREATE UNIQUE INDEX CONCURRENTLY log_record_new ON shop.log USING btree (record_type, record_id_new)"
            .to_owned()
    ));
    assert!(
        built.contains(
            &"CREATE INDEX CONCURRENTLY log_both_new ON shop.log USING btree (order_id_new, record_id)"
                .to_owned()
        )
    );
}

#[test]
fn fault_c10_the_column_keeps_its_name_and_is_not_dropped() {
    let (facts, options) = prepared();
    let scope = Scope::new(&facts, &options).unwrap();
    let (log, record) = (facts.table(LOG).unwrap(), &facts.tables.last().unwrap().indexes[1]);
    assert_eq!(replacement_index::existing(&scope, log, record).map(|index| index.oid), Some(52));
    assert_eq!(
        of_log(cutover::cut_over(&scope)),
        [
            "ALTER TABLE shop.log RENAME COLUMN order_id TO order_id_old",
            "ALTER TABLE shop.log RENAME COLUMN order_id_new TO order_id",
            "ALTER INDEX shop.log_both RENAME TO log_both_old",
            "ALTER INDEX shop.log_both_new RENAME TO log_both",
            "ALTER TABLE shop.log ADD CONSTRAINT log_record_id_new_given CHECK (record_id_new IS NOT NULL OR record_id IS NOT NULL) NOT VALID",
            "ALTER TABLE shop.log ALTER COLUMN record_id DROP NOT NULL",
            "ALTER TABLE shop.log ADD CONSTRAINT log_order_id_new_given CHECK (order_id IS NOT NULL OR order_id_old IS NOT NULL) NOT VALID",
            "ALTER TABLE shop.log ALTER COLUMN order_id_old DROP NOT NULL",
        ]
    );
    let view = cutover_view::cut_over(&scope).into_iter().find(|one| one.starts_with("CREATE VIEW shop.log"));
    assert_eq!(
        view.unwrap(),
        "CREATE VIEW shop.log AS SELECT no, record_type, record_id, order_id_new AS order_id, record_id_new, \
         order_id AS order_id_old FROM shop.log_old"
            .replacen("shop.log AS", "shop.log WITH (security_invoker = true) AS", 1)
    );
    let (facts, options) = cut_over();
    let scope = Scope::new(&facts, &options).unwrap();
    assert_eq!(
        of_log(cutover::roll_back(&scope).unwrap()),
        [
            "ALTER TABLE shop.log RENAME COLUMN order_id TO order_id_new",
            "ALTER TABLE shop.log RENAME COLUMN order_id_old TO order_id",
            "ALTER INDEX shop.log_both RENAME TO log_both_new",
            "ALTER INDEX shop.log_both_old RENAME TO log_both",
            "ALTER TABLE shop.log ADD CONSTRAINT log_record_id_old_filled CHECK (record_id IS NOT NULL) NOT VALID",
            "ALTER TABLE shop.log DROP CONSTRAINT log_record_id_new_given",
            "ALTER TABLE shop.log ADD CONSTRAINT log_order_id_old_filled CHECK (order_id IS NOT NULL) NOT VALID",
            "ALTER TABLE shop.log DROP CONSTRAINT log_order_id_new_given",
        ]
    );
    // Neither new column becomes NOT NULL.
    let before_end = settle::before_end(&scope, false);
    assert!(before_end.iter().all(|step| step.table != LOG), "{before_end:?}");
    assert_eq!(
        of_log(cutover::finalize(&scope, false)),
        [
            "ALTER TABLE shop.log DROP COLUMN order_id_old",
            "COMMENT ON COLUMN shop.log.record_id_new IS NULL",
            "COMMENT ON COLUMN shop.log.order_id IS NULL",
        ]
    );
    // Where the old column is kept, rows that mean none have nothing that says so any more.
    let kept = of_log(cutover::finalize(&scope, true));
    let given = |one: &&String| one.contains("_given");
    assert_eq!(
        kept.iter().filter(given).collect::<Vec<_>>(),
        ["ALTER TABLE shop.log DROP CONSTRAINT log_order_id_new_given"]
    );
    let mut used = facts.clone();
    used.tables.last_mut().unwrap().dependents = [("view", 3), ("view", 4)]
        .map(|(kind, column)| super::facts::Dependent {
            kind: kind.to_owned(),
            name: format!("v{column}"),
            column,
        })
        .to_vec();
    let scope = Scope::new(&used, &options).unwrap();
    let left = cutover::left_behind(&scope, false);
    assert!(
        left.contains(&"view \"v4\"".to_owned()) && !left.contains(&"view \"v3\"".to_owned()),
        "{left:?}"
    );
}

#[test]
fn fault_c10_rows_of_other_kinds_are_compared_with_nothing() {
    let (facts, options) = prepared();
    let scope = Scope::new(&facts, &options).unwrap();
    let checks = verify::checks(&scope);
    let query = |name: &str, old_id: i16| {
        let check =
            checks.iter().find(|one| one.table == LOG && one.old_id == old_id && one.kind.name() == name);
        check.unwrap().query.clone().unwrap()
    };
    for (old_id, condition) in [(3, REFERS), (4, IS_ONE)] {
        let compared = verify_references::compared(&scope, scope.member(LOG, old_id).unwrap(), None);
        assert!(compared.ends_with(&format!(" AND {condition} GROUP BY 1")), "{compared}");
    }
    assert!(query("keys without old id", 3).ends_with(&format!(
        "WHERE (t.record_id IS NULL OR ({REFERS}) IS NOT TRUE) AND t.record_id_new IS NOT NULL"
    )));
    // Its old ids are not lost, and 0 is none.
    let losses: Vec<String> = verify::losses(&scope)
        .into_iter()
        .filter(|one| one.table == LOG)
        .map(|one| one.query.unwrap())
        .collect();
    assert_eq!(losses.len(), 1);
    assert!(
        losses[0].ends_with(&format!("WHERE t.order_id IS NOT NULL AND t.order_id_new IS NULL AND {IS_ONE}"))
    );
}

#[test]
fn what_is_refused_and_what_is_said() {
    let said = |change: &dyn Fn(&mut Facts, &mut Options)| {
        let (mut facts, mut options) = log();
        change(&mut facts, &mut options);
        let plan = plan::plan(&facts, &options).unwrap();
        plan.findings.into_iter().filter(|one| one.table == LOG).collect::<Vec<_>>()
    };
    let refused = |change: &dyn Fn(&mut Facts, &mut Options)| {
        let first = said(change).into_iter().find(|one| one.severity == Severity::Error);
        first.map(|one| (one.error.sqlstate, one.error.message))
    };
    let found = said(&|_, _| {});
    let messages: Vec<&str> = found.iter().map(|one| one.error.message.as_str()).collect();
    assert!(
        messages.contains(&"column \"record_id\" of table \"shop.log\" stays, next to a new one"),
        "{messages:?}"
    );
    assert!(
        messages.contains(
            &"column \"order_id\" of table \"shop.log\" is NOT NULL, and the new column will not be"
        ),
        "{messages:?}"
    );
    let of_log = |facts: &mut Facts, change: &dyn Fn(&mut super::facts::Table)| {
        change(facts.tables.iter_mut().find(|table| table.oid == LOG).unwrap());
    };
    for (state, part, change) in [
        (
            SqlState::DatatypeMismatch,
            "is of type uuid",
            &(|facts: &mut Facts, _: &mut Options| {
                of_log(facts, &|log| {
                    log.columns[1] = column(2, "record_type", "uuid", true);
                })
            }) as &dyn Fn(&mut Facts, &mut Options),
        ),
        (SqlState::FeatureNotSupported, "is a generated column", &|facts, _| {
            of_log(facts, &|log| log.columns[1].generated = "s".to_owned())
        }),
        (SqlState::UndefinedColumn, "no longer exists", &|facts, _| {
            of_log(facts, &|log| drop(log.columns.remove(1)))
        }),
        (SqlState::FeatureNotSupported, "is itself part of the migration", &|_, options| {
            options.conditions[0].type_column = Some(4)
        }),
        (SqlState::FeatureNotSupported, "has foreign key \"log_fkey\"", &|facts, _| {
            facts.foreign_keys.push(foreign_key("log_fkey", (LOG, &[4]), (ORDERS, &[1])))
        }),
        (SqlState::FeatureNotSupported, "foreign key \"pins_fkey\" of table \"\" refers to", &|facts, _| {
            facts.foreign_keys.push(foreign_key("pins_fkey", (90, &[1, 2]), (LOG, &[2, 3])))
        }),
        (SqlState::FeatureNotSupported, "is part of the primary key", &|facts, _| {
            of_log(facts, &|log| {
                log.indexes[0].keys.push(IndexKey { column: 3, ..IndexKey::default() });
            })
        }),
    ] {
        let (found, message) = refused(change).unwrap();
        assert_eq!(found, state, "{message}");
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn what_uses_the_column_is_named() {
    let (mut facts, options) = log();
    let log = facts.tables.last_mut().unwrap();
    log.dependents = [("view", "positive", 3), ("policy", "some", 3), ("extended statistics", "s", 3)]
        .map(|(kind, name, column)| super::facts::Dependent {
            kind: kind.to_owned(),
            name: name.to_owned(),
            column,
        })
        .to_vec();
    let plan = plan::plan(&facts, &options).unwrap();
    let messages: Vec<&str> = plan
        .findings
        .iter()
        .filter(|one| one.table == LOG && one.severity == Severity::Warning)
        .map(|one| one.error.message.as_str())
        .collect();
    for wanted in [
        "column \"record_id\" of table \"shop.log\", which stays, is used by view \"positive\", policy \"some\"",
        "unique index \"log_record\" is about column \"record_id\" of table \"shop.log\", which not all rows will have a value in",
    ] {
        assert!(messages.contains(&wanted), "{messages:?}");
    }
}

#[test]
fn who_may_write_the_column_may_write_the_new_one_under_a_view() {
    let (mut facts, options) = prepared();
    let grant = |privilege: &str| super::facts::Grant {
        grantee: Some("writer".to_owned()),
        privilege: privilege.to_owned(),
        grantable: false,
    };
    facts.tables.last_mut().unwrap().columns[2].grants = vec![grant("INSERT")];
    let scope = Scope::new(&facts, &options).unwrap();
    let granted: Vec<String> =
        cutover_view::cut_over(&scope).into_iter().filter(|one| one.contains("TO writer")).collect();
    for column in ["record_id", "record_id_new"] {
        assert!(granted.contains(&format!("GRANT INSERT ({column}) ON shop.log TO writer")), "{granted:?}");
    }
}

#[test]
fn a_short_text_of_numbers_is_announced() {
    let (mut facts, mut options) = log();
    options.conditions.clear();
    let said = |facts: &Facts, options: &Options| {
        let plan = plan::plan(facts, options).unwrap();
        plan.findings.iter().any(|one| one.table == LOG && one.error.message.contains("ids of table"))
    };
    let text = Column { length: Some(3), ..column(4, "order_id", "character varying", true) };
    facts.tables.last_mut().unwrap().columns[3] = text;
    facts.key_ranges = vec![(ORDERS, 1, 899)];
    assert!(!said(&facts, &options));
    facts.key_ranges = vec![(ORDERS, 1, 950)];
    assert!(said(&facts, &options));
    facts.tables.last_mut().unwrap().columns[3].length = None;
    assert!(!said(&facts, &options));
}

#[test]
fn an_argument_of_a_trigger_has_no_zero_byte() {
    for text in [r#"{"type_column":1,"type_values":["a\u0000b"]}"#, r#"{"null_values":["\u0000"]}"#] {
        assert_eq!(TriggerCondition::parse(text), None, "{text}");
    }
    for text in ["", "{", r#"{"type_column":"1"}"#, r#"{"type_column":40000}"#] {
        assert_eq!(TriggerCondition::parse(text), None, "{text}");
    }
    assert_eq!(TriggerCondition::parse("{}"), Some(TriggerCondition::default()));
}

#[test]
fn a_row_that_must_have_an_old_id_gets_one() {
    let (facts, options) = cut_over();
    let scope = Scope::new(&facts, &options).unwrap();
    let argument =
        |number| super::triggers::condition_argument(&scope, scope.member(LOG, number).unwrap()).unwrap();
    let expected =
        TriggerCondition { null_values: vec!["0".to_owned()], fills: true, ..TriggerCondition::default() };
    assert_eq!(TriggerCondition::parse(&argument(4)), Some(expected));
    assert!(!TriggerCondition::parse(&argument(3)).unwrap().fills);
    // As before the cut-over.
    let (facts, options) = prepared();
    let scope = Scope::new(&facts, &options).unwrap();
    assert_eq!(
        super::triggers::condition_argument(&scope, scope.member(LOG, 4).unwrap()).unwrap(),
        argument(4)
    );
}
