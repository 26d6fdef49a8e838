//! Keys of partitioned tables, and references to them.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::facts::{Column, Index, Reference, Table};
use super::plan::plan;
use super::scope::Scope;
use super::tests::{column, foreign_key, index, options, shop, statements, table};
use super::verify::{self, Kind};
use super::{
    Facts, KeyOptions, Options, Phase, Severity, backfill, cutover, partitioned_key, verify_references,
};
use crate::error::{Error, SqlState};

pub(super) const EVENT: u32 = 300;
pub(super) const EVENT_1: u32 = 301;
pub(super) const EVENT_2: u32 = 302;
pub(super) const EVENT_2_1: u32 = 303;
pub(super) const NOTE: u32 = 310;
pub(super) const MARK: u32 = 320;

/// A table with the primary key (id, day, region), partitioned by day and, in one partition, by region. The
/// columns of another partition are in another order. Notes refer to events, and marks to notes.
pub(super) fn events() -> Facts {
    let mut facts = shop();
    facts.tables.clear();
    facts.references.clear();
    facts.foreign_keys.clear();
    facts.key_ranges.clear();
    let columns = || {
        vec![
            Column { default: Some("nextval('s'::regclass)".to_owned()), ..column(1, "id", "bigint", true) },
            column(2, "day", "date", true),
            column(3, "region", "text", true),
            column(4, "created_at", "timestamp with time zone", true),
        ]
    };
    let of = |oid: u32, name: &str, parent: Option<u32>, of_index: Option<u32>, keys: &[i16]| {
        let own = Index { parent: of_index, ..index(oid + 1_000, &format!("{name}_pkey"), keys, true) };
        Table {
            parent,
            is_partition: parent.is_some(),
            is_inherited: true,
            ..table(oid, name, columns(), vec![own])
        }
    };
    let by = |table: Table, columns: &[i16]| Table {
        kind: "p".to_owned(),
        partition_columns: columns.to_vec(),
        ..table
    };
    let mut first = of(EVENT_1, "event_1", Some(EVENT), Some(1_300), &[4, 1, 2]);
    first.columns = vec![
        column(1, "day", "date", true),
        column(2, "region", "text", true),
        column(4, "id", "bigint", true),
        column(5, "created_at", "timestamp with time zone", true),
    ];
    first.column_count = 5;
    facts.tables.extend([
        by(of(EVENT, "event", None, None, &[1, 2, 3]), &[2]),
        first,
        by(of(EVENT_2, "event_2", Some(EVENT), Some(1_300), &[1, 2, 3]), &[3]),
        of(EVENT_2_1, "event_2_1", Some(EVENT_2), Some(1_302), &[1, 2, 3]),
        table(
            MARK,
            "mark",
            vec![
                column(1, "r", "text", true),
                column(2, "d", "date", true),
                column(3, "note", "bigint", true),
            ],
            Vec::new(),
        ),
        table(
            NOTE,
            "note",
            vec![
                column(1, "no", "bigint", true),
                column(2, "event", "bigint", true),
                column(3, "of_day", "date", true),
                column(4, "of_region", "text", false),
            ],
            vec![index(3_100, "note_pkey", &[2, 3, 4], true)],
        ),
    ]);
    let reference = |table, column| Reference { key: EVENT, table, column, declared: true };
    facts.references.extend([reference(NOTE, 2), reference(MARK, 3)]);
    facts.foreign_keys.extend([
        foreign_key("mark_note_fkey", (MARK, &[1, 3, 2]), (NOTE, &[4, 2, 3])),
        foreign_key("note_event_fkey", (NOTE, &[2, 3, 4]), (EVENT, &[1, 2, 3])),
    ]);
    facts
}

pub(super) fn of_events() -> Options {
    let key = KeyOptions { table: EVENT, salt: "shop.event".to_owned(), ..KeyOptions::default() };
    Options { keys: vec![key], ..options() }
}

fn refused(facts: &Facts) -> Error {
    plan(facts, &of_events()).unwrap().refusal().cloned().expect("a refusal")
}

fn edited(edit: impl Fn(&mut Facts)) -> Facts {
    let mut facts = events();
    edit(&mut facts);
    facts
}

pub(super) fn of(facts: &mut Facts, oid: u32) -> &mut Table {
    facts.tables.iter_mut().find(|table| table.oid == oid).unwrap()
}

#[test]
fn the_key_is_the_column_by_which_nothing_is_partitioned() {
    let facts = events();
    let plan = plan(&facts, &of_events()).unwrap();
    assert_eq!(plan.refusal(), None);
    let note = plan.findings.iter().find(|one| one.error.message.contains("is column \"id\"")).unwrap();
    assert_eq!(note.severity, Severity::Note);
    assert!(note.error.detail.as_ref().unwrap().contains("\"day\", \"region\""), "{note:?}");
    // Without a default, it is what is left; of two, the one that is generated.
    let without = edited(|facts| of(facts, EVENT).columns[0].default = None);
    let id_of = |facts: &Facts| partitioned_key::id_of(facts, facts.table(EVENT).unwrap());
    assert_eq!(id_of(&without), Some(1));
    let with_tenant = |default: Option<&str>| {
        edited(|facts| {
            let table = of(facts, EVENT);
            let tenant =
                Column { default: default.map(str::to_owned), ..column(5, "tenant", "integer", true) };
            table.columns.push(tenant);
            table.indexes = vec![index(1_300, "event_pkey", &[5, 1, 2, 3], true)];
        })
    };
    assert_eq!(id_of(&with_tenant(None)), Some(1));
    assert_eq!(id_of(&with_tenant(Some("1"))), Some(1));
    assert_eq!(id_of(&with_tenant(Some("public.current_tenant()"))), None);
    let error = super::plan::plan(&with_tenant(Some("public.current_tenant()")), &of_events()).unwrap_err();
    assert!(error.message.starts_with("it is not clear by which column"), "{error:?}");
}

#[test]
fn a_table_that_is_partitioned_by_its_key_is_refused() {
    let error = |facts: &Facts| plan(facts, &of_events()).unwrap_err();
    // Also a level below, and although another column could be an id.
    for table in [EVENT, EVENT_2] {
        let facts = edited(|facts| of(facts, table).partition_columns = vec![1]);
        let error = error(&facts);
        assert_eq!(error.sqlstate, SqlState::FeatureNotSupported);
        assert_eq!(error.message, "table \"shop.event\" is partitioned by its key, column \"id\"");
    }
    let only = edited(|facts| {
        let table = of(facts, EVENT);
        table.columns[0].default = None;
        table.indexes = vec![index(1_300, "event_pkey", &[1], true)];
        table.partition_columns = vec![1];
    });
    assert!(error(&only).message.contains("is partitioned by its key"));
}

#[test]
fn references_are_found_with_their_companions() {
    let facts = events();
    let options = of_events();
    let scope = Scope::new(&facts, &options).unwrap();
    let companions = |table: u32| {
        let member = scope.members_of(table).next().unwrap();
        member.companions.iter().map(|one| (one.own, one.of_key)).collect::<Vec<_>>()
    };
    assert_eq!(companions(NOTE), [(3, 2), (4, 3)]);
    // Through the table in between.
    assert_eq!(companions(MARK), [(2, 2), (1, 3)]);
    assert_eq!(companions(EVENT), [(2, 2), (3, 3)]);
    assert_eq!(companions(EVENT_1), [(1, 2), (2, 3)]);
    let filled = statements(&facts, &options, Phase::Backfilled).join("\n");
    assert!(
        filled.contains("FROM shop.event AS p WHERE p.id OPERATOR(pg_catalog.=) t.event AND p.day OPERATOR(pg_catalog.=) t.of_day AND p.region OPERATOR(pg_catalog.=) t.of_region)"),
        "{filled}"
    );
    assert!(!filled.contains("UPDATE ONLY shop.event AS t"), "{filled}");
    let compared = verify::checks(&scope);
    let query = |table: u32, kind: Kind| {
        compared
            .iter()
            .find(|check| (check.table, check.kind) == (table, kind))
            .unwrap()
            .query
            .clone()
            .unwrap()
    };
    let notes = verify_references::compared(&scope, scope.members_of(NOTE).next().unwrap(), None);
    assert!(notes.contains("LEFT JOIN shop.event AS p ON p.id"));
    assert!(query(EVENT_1, Kind::EqualKeys).contains("GROUP BY t.id_new, t.day, t.region HAVING"));
    assert!(!compared.iter().any(|check| check.table == EVENT));
    // The triggers get them, too.
    let prepared = statements(&facts, &options, Phase::Prepared).join("\n");
    assert!(prepared.contains("'with 3:2 4:3')") && prepared.contains("'with 2:2 3:3')"), "{prepared}");
    let range = backfill::Range { from: 0, to: 1 }.condition();
    let of_partition = backfill::statement(&scope, facts.table(EVENT_1).unwrap(), &range, &[]);
    assert!(of_partition.contains("key_migration_uuid(t.created_at::"), "{of_partition}");
}

#[test]
fn the_primary_key_becomes_one_at_the_end() {
    let mut facts = events();
    let indexed: Vec<String> = statements(&facts, &of_events(), Phase::Indexed)
        .into_iter()
        .filter(|text| !text.contains("note") && !text.contains("mark"))
        .collect();
    assert_eq!(
        indexed,
        [
            "CREATE UNIQUE INDEX event_pkey_new ON ONLY shop.event USING btree (id_new, day, region)",
            "CREATE UNIQUE INDEX event_2_pkey_new ON ONLY shop.event_2 USING btree (id_new, day, region)",
            "CREATE UNIQUE INDEX CONCURRENTLY event_1_pkey_new ON shop.event_1 USING btree (id_new, day, region)",
            "CREATE UNIQUE INDEX CONCURRENTLY event_2_1_pkey_new ON shop.event_2_1 USING btree (id_new, day, region)",
            "ALTER INDEX shop.event_2_pkey_new ATTACH PARTITION shop.event_2_1_pkey_new",
            "ALTER INDEX shop.event_pkey_new ATTACH PARTITION shop.event_2_pkey_new",
            "ALTER INDEX shop.event_pkey_new ATTACH PARTITION shop.event_1_pkey_new",
        ]
    );
    // As after a cut-over, with a partition that was created since.
    facts.tables.retain(|table| [EVENT, EVENT_1].contains(&table.oid));
    facts.references.clear();
    facts.foreign_keys.clear();
    let mut options = Options { cut_over: true, ..of_events() };
    options.shadows = vec![(EVENT, 1, 5)];
    options.keys[0].column = Some(1);
    for (oid, old_id, shadow, others) in [(EVENT, 1, 5, [2, 3]), (EVENT_1, 4, 6, [1, 2])] {
        let table = of(&mut facts, oid);
        let name = table.name.clone();
        table
            .columns
            .iter_mut()
            .filter(|one| one.number == old_id)
            .for_each(|one| one.name = "id_old".to_owned());
        table.columns.push(column(shadow, "id", "uuid", true));
        let columns = [shadow, others[0], others[1]];
        let parent = (oid == EVENT_1).then_some(5_300);
        table.indexes.push(Index {
            parent,
            constraint: None,
            is_primary: false,
            ..index(oid + 5_000, &format!("{name}_key"), &columns, true)
        });
    }
    of(&mut facts, EVENT).indexes[0].name = "event_pkey_old".to_owned();
    let scope = Scope::new(&facts, &options).unwrap();
    let ended: Vec<String> = cutover::finalize(&scope, false).into_iter().map(|one| one.text).collect();
    let at =
        |text: &str| ended.iter().position(|one| one == text).unwrap_or_else(|| panic!("{text}: {ended:#?}"));
    let dropped = at("ALTER TABLE shop.event DROP CONSTRAINT event_pkey");
    let added =
        at("SELECT keyspace_internal.key_migration_add_primary_key('shop.event_key'::pg_catalog.regclass)");
    // PostgreSQL has named the one of the new partition as applications know it.
    let renamed = at("ALTER INDEX shop.event_1_key RENAME TO event_1_pkey");
    assert!(dropped < added && added < renamed, "{ended:#?}");
    assert!(!ended.iter().any(|one| one.contains("shop.event_1 DROP CONSTRAINT")), "{ended:#?}");
    let back: Vec<String> = cutover::roll_back(&scope).unwrap().into_iter().map(|one| one.text).collect();
    assert!(
        back.contains(&"ALTER INDEX shop.event_1_key RENAME TO event_1_pkey_new".to_owned()),
        "{back:#?}"
    );
    assert!(back.contains(&"ALTER INDEX shop.event_pkey_old RENAME TO event_key".to_owned()), "{back:#?}");
}

#[test]
fn what_cannot_be_looked_up_is_refused() {
    let message = |edit: &dyn Fn(&mut Facts)| {
        let mut facts = events();
        edit(&mut facts);
        refused(&facts).message
    };
    let without_key = message(&|facts| facts.foreign_keys.clear());
    assert!(without_key.contains("without a foreign key on all columns of its primary key"), "{without_key}");
    // A foreign key to another unique constraint, which lacks a column.
    let too_short = message(&|facts| {
        facts.foreign_keys.retain(|key| key.child == NOTE);
        facts.references.retain(|reference| reference.table == NOTE);
        facts.foreign_keys[0].child_columns.pop();
        facts.foreign_keys[0].parent_columns.pop();
    });
    assert!(too_short.contains("without a foreign key on all columns"), "{too_short}");
    let other_type =
        message(&|facts| of(facts, NOTE).columns[2].type_name = "timestamp with time zone".to_owned());
    assert!(other_type.starts_with("column \"of_day\" of table \"shop.note\" is of type"), "{other_type}");
    let owners = message(&|facts| of(facts, NOTE).owner = "other".to_owned());
    assert!(owners.contains("have different owners"), "{owners}");
    let default = message(&|facts| of(facts, NOTE).columns[1].default = Some("5".to_owned()));
    assert!(default.ends_with("has a default"), "{default}");
    let deferrable = message(&|facts| {
        of(facts, EVENT).indexes[0].constraint.as_mut().unwrap().deferrable = true;
    });
    assert!(
        deferrable
            .starts_with("primary key \"event_pkey\" of partitioned table \"shop.event\" contains the key"),
        "{deferrable}"
    );
    let invalid = message(&|facts| of(facts, EVENT).indexes[0].is_valid = false);
    assert!(invalid.ends_with("is not valid"), "{invalid}");
    let to_partition = message(&|facts| {
        let constraint = of(facts, EVENT_1).indexes[0].constraint.as_mut().unwrap();
        constraint.dependents = vec!["foreign key \"x\" of table y".to_owned()];
    });
    assert_eq!(to_partition, "foreign key \"x\" of table y refers to partition \"shop.event_1\"");
}
