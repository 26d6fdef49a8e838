//! Plans of indexes, constraints and properties that keys take over.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::facts::{Check, Facts, Index, IndexConstraint, IndexKey};
use super::replacement_index::{self, Replacement};
use super::step::Lock;
use super::tests::{
    AUDIT, apply_rename, cut_over, index, options, refusal, roll_back, shop, statements, verified,
};
use super::{Phase, Runs, Scope, plan, settle};
use crate::SqlState;

/// The definition of the replacement of an index, or why it is refused.
fn replaced(facts: &Facts, index: Index) -> Result<String, crate::Error> {
    let mut facts = facts.clone();
    facts.tables[1].indexes = vec![index];
    let options = options();
    let scope = Scope::new(&facts, &options).unwrap();
    let table = &facts.tables[1];
    match replacement_index::replacement(&scope, table, &table.indexes[0]) {
        Replacement::Create { statement, .. } => Ok(statement),
        Replacement::Leave(why) => panic!("{why}"),
        Replacement::Refuse(error) => Err(*error),
    }
}

/// Why an index of the same table gets no replacement.
fn left(facts: &Facts, index: Index) -> String {
    let mut facts = facts.clone();
    facts.tables[1].indexes = vec![index];
    let options = options();
    let scope = Scope::new(&facts, &options).unwrap();
    let table = &facts.tables[1];
    match replacement_index::replacement(&scope, table, &table.indexes[0]) {
        Replacement::Leave(why) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_constant_for_a_missing_reference_is_below_all_ids() {
    let constant = |text: &str, is_unique| {
        let key = IndexKey {
            expression: Some(text.to_owned()),
            opclass: None,
            collation: None,
            ..IndexKey::default()
        };
        Index { is_unique, keys: vec![key], used_columns: vec![1], ..index(24, "or_none", &[], false) }
    };
    let facts = shop();
    assert_eq!(
        replaced(&facts, constant("COALESCE(order_id, (0)::bigint)", true)).unwrap(),
        "CREATE UNIQUE INDEX CONCURRENTLY or_none_new ON shop.\"Audit\" USING btree \
         ((COALESCE(order_id_new, '00000000-0000-0000-0000-000000000000'::pg_catalog.uuid)))"
    );
    // The shop has ids from 1 to 1000.
    for text in ["COALESCE(order_id, (1)::bigint)", "COALESCE(order_id, (2000)::bigint)"] {
        let error = refusal(|facts, _| facts.tables[1].indexes.push(constant(text, true)));
        assert!(error.message.contains("treats a missing reference as id"), "{}", error.message);
    }
    let mut ready = shop();
    // In an index that is not unique it does not matter.
    let other = Index { oid: 26, name: "or_seven".to_owned(), ..constant("COALESCE(order_id, 7)", false) };
    ready.tables[1].indexes.extend([constant("COALESCE(order_id, 0)", true), other]);
    assert!(plan::plan(&ready, &options()).unwrap().refusal().is_none());
    let mut loose = shop();
    loose.references[0].declared = false;
    assert!(replaced(&loose, constant("COALESCE(order_id, 0)", true)).is_err());
}

#[test]
fn fault_c01_conditions_of_indexes_are_rewritten_or_refused() {
    let facts = shop();
    let partial = |predicate: &str, is_unique| Index {
        is_unique,
        predicate: Some(predicate.to_owned()),
        used_columns: vec![1],
        ..index(24, "once", &[1], false)
    };
    assert_eq!(
        replaced(&facts, partial("(order_id IS NOT NULL)", true)).unwrap(),
        "CREATE UNIQUE INDEX CONCURRENTLY once_new ON shop.\"Audit\" USING btree (order_id_new) WHERE (order_id_new IS NOT NULL)"
    );
    let error = replaced(&facts, partial("(order_id > 5)", true)).unwrap_err();
    assert_eq!(error.message, "index \"shop.once\" of table shop.\"Audit\" cannot be built on keys");
    assert!(error.hint.unwrap().contains("DROP INDEX CONCURRENTLY shop.once"));
    let expression = IndexKey { expression: Some("(order_id % 10)".to_owned()), ..IndexKey::default() };
    let by_rest = Index { keys: vec![expression], used_columns: vec![1], ..index(24, "by_rest", &[], false) };
    let unique = Index { is_unique: true, ..by_rest.clone() };
    assert!(replaced(&facts, unique).unwrap_err().detail.unwrap().contains("(order_id % 10)"));
    // Nothing but the speed of queries depends on others.
    let why = left(&facts, by_rest);
    assert!(
        why.starts_with("It stays on the old ids. It has an expression on \"order_id\": (order_id % 10)."),
        "{why}"
    );
    assert!(why.contains("DROP INDEX CONCURRENTLY shop.by_rest before the migration is finalized"), "{why}");
    left(&facts, partial("(order_id > 5)", false));
    // A whole row has other columns now.
    let whole = IndexKey { expression: Some("(t.* IS NULL)".to_owned()), ..IndexKey::default() };
    let whole = Index { keys: vec![whole], used_columns: vec![0], ..index(24, "whole", &[], false) };
    assert!(replaced(&facts, whole).is_err());
    // Rows that lack a key must not count as equal.
    let root = || partial("(order_id IS NULL)", true);
    assert!(replaced(&facts, root()).is_ok());
    let mut waiting = shop();
    waiting.foreign_keys[1].deferrable = true;
    assert!(replaced(&waiting, root()).unwrap_err().hint.unwrap().contains("NOT DEFERRABLE"));
    assert!(replaced(&waiting, partial("(order_id IS NOT NULL)", true)).is_ok());
    let mut loose = shop();
    loose.references[0].declared = false;
    assert!(replaced(&loose, root()).unwrap_err().hint.unwrap().contains("foreign key"));
    assert!(replaced(&loose, Index { is_unique: false, ..root() }).is_ok());
    let equal = Index { is_unique: true, nulls_not_distinct: true, ..index(24, "equal", &[1], false) };
    assert!(replaced(&facts, equal.clone()).is_ok());
    assert!(replaced(&loose, equal).is_err());
    // The plan refuses before anything starts.
    let error = refusal(|facts, _| facts.tables[1].indexes.push(partial("(order_id > 5)", true)));
    assert_eq!(error.sqlstate, SqlState::FeatureNotSupported);
}

#[test]
fn fault_c24_operator_classes_become_their_counterparts() {
    let facts = shop();
    let of = |method: &str, opclass: Option<&str>, options: &[&str]| {
        let key = IndexKey {
            column: 1,
            opclass: opclass.map(str::to_owned),
            opclass_options: options.iter().map(|&option| option.to_owned()).collect(),
            ..IndexKey::default()
        };
        let index = Index { method: method.to_owned(), keys: vec![key], ..index(24, "x", &[], false) };
        replaced(&facts, index).unwrap().split_once(" USING ").unwrap().1.to_owned()
    };
    assert_eq!(of("gist", None, &[]), "gist (order_id_new)");
    assert_eq!(of("brin", None, &[]), "brin (order_id_new)");
    assert_eq!(
        of("brin", Some("pg_catalog.int4_bloom_ops"), &["n_distinct_per_range=100"]),
        "brin (order_id_new pg_catalog.uuid_bloom_ops (n_distinct_per_range=100))"
    );
    assert_eq!(
        of("brin", Some("pg_catalog.int8_minmax_multi_ops"), &[]),
        "brin (order_id_new pg_catalog.uuid_minmax_multi_ops)"
    );
    // None is taken instead of one that there is not.
    let unknown = |method: &str, opclass: Option<&str>| {
        let key = IndexKey { column: 1, opclass: opclass.map(str::to_owned), ..IndexKey::default() };
        let mut facts = shop();
        facts.tables[1].indexes =
            vec![Index { method: method.to_owned(), keys: vec![key], ..index(24, "x", &[], false) }];
        let plan = plan::plan(&facts, &options()).unwrap();
        assert!(plan.refusal().is_none());
        plan.findings
            .iter()
            .any(|finding| finding.error.message == "no replacement will be built for index \"shop.x\"")
    };
    assert!(unknown("gin", None));
    assert!(unknown("brin", Some("public.int8_curve_ops")));
}

#[test]
fn fault_c02_a_deferrable_unique_index_is_checked_when_it_was() {
    let mut facts = shop();
    facts.tables[1].indexes[0].is_primary = false;
    facts.tables[1].indexes[0].is_unique = true;
    facts.tables[1].indexes[0].constraint = Some(IndexConstraint {
        name: "Audit_pkey".to_owned(),
        kind: "u".to_owned(),
        deferrable: true,
        deferred: true,
        ..IndexConstraint::default()
    });
    let constraint = "ALTER TABLE shop.\"Audit\" ADD CONSTRAINT \"Audit_pkey_new\" UNIQUE USING INDEX \"Audit_pkey_new\" \
                      DEFERRABLE INITIALLY DEFERRED";
    let indexed = statements(&facts, &options(), Phase::Indexed);
    assert_eq!(indexed.last().map(String::as_str), Some(constraint), "{indexed:#?}");
    let plan = plan::plan(&facts, &options()).unwrap();
    let step = plan.steps.iter().find(|step| step.statements == [constraint]).unwrap();
    assert_eq!((step.runs, step.lock), (Runs::Advance, Some(Lock::AccessExclusive)));
}

#[test]
fn a_reference_that_waits_is_required_from_the_cut_over_on() {
    let (mut facts, options) = verified();
    facts.foreign_keys.iter_mut().filter(|key| key.child == AUDIT).for_each(|key| key.deferrable = true);
    facts.tables[1].columns[2].not_null = false;
    let validated = statements(&facts, &options, Phase::Validated);
    assert!(validated.is_empty(), "{validated:#?}");
    let end = cut_over(&facts, &options);
    for statement in [
        "ALTER TABLE shop.\"Audit\" ADD CONSTRAINT \"Audit_order_id_new_filled\" CHECK (order_id IS NOT NULL) NOT VALID",
        "ALTER TABLE shop.\"Audit\" ALTER CONSTRAINT \"Audit_order_id_fkey_old\" DEFERRABLE INITIALLY DEFERRED",
    ] {
        assert!(end.iter().any(|one| one == statement), "{statement}\n{end:#?}");
    }
    // The old column is part of the primary key, which permits no NULL.
    assert!(!end.iter().any(|one| one.contains("DROP NOT NULL")), "{end:#?}");
    facts.tables[1].indexes[0].is_primary = false;
    let end = cut_over(&facts, &options);
    assert!(end.contains(&"ALTER TABLE shop.\"Audit\" ALTER COLUMN order_id_old DROP NOT NULL".to_owned()));
    // Without a valid foreign key, rows may have an old id that means nothing.
    facts.references[0].declared = false;
    let end = cut_over(&facts, &options);
    let check = "ALTER TABLE shop.\"Audit\" ADD CONSTRAINT \"Audit_order_id_new_given\" CHECK (order_id IS NOT NULL OR \
                 order_id_old IS NOT NULL) NOT VALID";
    assert!(end.iter().any(|one| one == check), "{end:#?}");
}

#[test]
fn fault_c14_checks_move_with_the_columns_and_back() {
    let (mut facts, mut options) = verified();
    let check = |name: &str, expression: &str, columns: &[i16]| Check {
        name: name.to_owned(),
        columns: columns.to_vec(),
        validated: true,
        expression: expression.to_owned(),
        ..Check::default()
    };
    facts.tables[0].checks =
        vec![check("not_itself", "(id <> replaces)", &[1, 3]), check("positive", "(id > 0)", &[1])];
    facts.tables[0].checks[0].comment = Some("no loop".to_owned());
    let moved = |statements: Vec<String>| -> Vec<String> {
        statements.into_iter().filter(|one| one.contains("not_itself") || one.contains("positive")).collect()
    };
    assert_eq!(
        moved(cut_over(&facts, &options)),
        [
            "ALTER TABLE shop.orders DROP CONSTRAINT not_itself",
            "ALTER TABLE shop.orders ADD CONSTRAINT not_itself CHECK ((id OPERATOR(pg_catalog.<>) replaces)) NOT VALID",
            "COMMENT ON CONSTRAINT not_itself ON shop.orders IS 'no loop (moved by a key migration, and not validated yet)'",
        ]
    );
    for statement in cut_over(&facts, &options) {
        apply_rename(&mut facts, &statement);
    }
    options.cut_over = true;
    facts.tables[0].checks[0] = Check {
        validated: false,
        comment: Some("no loop (moved by a key migration, and not validated yet)".to_owned()),
        ..check("not_itself", "(id <> replaces)", &[4, 5])
    };
    let left = |facts: &Facts| -> Vec<String> {
        let steps = settle::steps(&Scope::new(facts, &options).unwrap());
        steps.into_iter().flat_map(|step| step.statements).collect()
    };
    assert_eq!(
        left(&facts),
        [
            "ALTER TABLE shop.orders VALIDATE CONSTRAINT not_itself",
            "COMMENT ON CONSTRAINT not_itself ON shop.orders IS 'no loop'",
        ]
    );
    facts.tables[0].checks[0].validated = true;
    facts.tables[0].checks[0].comment = None;
    assert!(left(&facts).is_empty());
    assert_eq!(
        moved(roll_back(&facts, &options))[1],
        "ALTER TABLE shop.orders ADD CONSTRAINT not_itself CHECK ((id OPERATOR(pg_catalog.<>) replaces)) NOT VALID"
    );
}
