//! Primary keys of partitioned tables that move at the cut-over.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::facts::{Dependent, Index, OperatorClass, Sequence, Table};
use super::partitioned_key_tests::{EVENT, EVENT_1, EVENT_2, EVENT_2_1, MARK, NOTE, events, of, of_events};
use super::tests::{apply_rename, column, cut_over, foreign_key, index, roll_back, statements};
use super::{Facts, Options, Phase, Plan, Scope, Target, cutover, foreign_keys, plan, settle};

fn planned(facts: &Facts, options: &Options) -> Plan {
    plan::plan(facts, options).unwrap()
}

/// Events with integers as ids, which become `bigint`.
fn of_integers() -> (Facts, Options) {
    let mut facts = events();
    for column in facts.tables.iter_mut().flat_map(|table| &mut table.columns) {
        if column.type_name == "bigint" {
            column.type_name = "integer".to_owned();
            column.declared_type = "integer".to_owned();
        }
    }
    facts.operator_classes.push(OperatorClass {
        method: "btree".to_owned(),
        type_name: Target::Bigint.catalog_name().to_owned(),
        is_default: true,
        ..OperatorClass::default()
    });
    // As a column of a primary key is.
    of(&mut facts, NOTE).columns[3].not_null = true;
    let mut options = Options { keys: of_events().keys, ..Options::new(Target::Bigint) };
    options.keys[0].column = Some(1);
    (facts, options)
}

/// A key column and its new one, as columns of a table or partition, and the others of the primary key.
const COLUMNS: [(u32, i16, i16, [i16; 2]); 4] =
    [(EVENT, 1, 5, [2, 3]), (EVENT_1, 4, 6, [1, 2]), (EVENT_2, 1, 5, [2, 3]), (EVENT_2_1, 1, 5, [2, 3])];

/// The same when everything but the cut-over is done.
fn ready() -> (Facts, Options) {
    let (mut facts, mut options) = of_integers();
    options.shadows = vec![(EVENT, 1, 5), (MARK, 3, 4), (NOTE, 2, 5)];
    for (oid, old_id, shadow, others) in COLUMNS {
        let table = of(&mut facts, oid);
        let (name, above) = (table.name.clone(), table.indexes[0].parent);
        table.columns.push(column(shadow, "id_new", "bigint", true));
        let one = |oid: u32, name: String, column: i16, parent: Option<u32>| Index {
            is_unique: true,
            parent,
            ..index(oid, &name, &[column, others[0], others[1]], false)
        };
        let (new, kept) = (above.map(|oid| oid + 4_000), above.map(|oid| oid + 5_000));
        // PostgreSQL has chosen the name of one.
        let kept_name = if oid == EVENT_2_1 { "chosen".to_owned() } else { format!("{name}_pkey_old") };
        table.indexes.push(one(oid + 5_000, format!("{name}_pkey_new"), shadow, new));
        table.indexes.push(one(oid + 6_000, kept_name, old_id, kept));
    }
    of(&mut facts, MARK).columns.push(column(4, "note_new", "bigint", true));
    let note = of(&mut facts, NOTE);
    note.columns.push(column(5, "event_new", "bigint", true));
    for (oid, name, first) in [(8_000, "note_pkey_new", 5), (8_001, "note_pkey_old", 2)] {
        note.indexes.push(Index { is_unique: true, ..index(oid, name, &[first, 3, 4], false) });
    }
    facts.foreign_keys.extend([
        foreign_key("mark_note_fkey_new", (MARK, &[1, 4, 2]), (NOTE, &[4, 5, 3])),
        foreign_key("note_event_fkey_new", (NOTE, &[5, 3, 4]), (EVENT, &[5, 2, 3])),
    ]);
    (facts, options)
}

/// The catalogs after the cut-over.
fn moved() -> (Facts, Options) {
    let (mut facts, mut options) = ready();
    let old_foreign_keys = ["mark_note_fkey", "note_event_fkey"];
    facts.foreign_keys.retain(|key| !old_foreign_keys.contains(&key.name.as_str()));
    let all = cut_over(&ready().0, &options);
    let mut primary = Vec::new();
    for table in facts.tables.iter_mut() {
        primary.extend(table.indexes.iter().filter(|index| index.is_primary).map(|index| index.name.clone()));
        table.indexes.retain(|index| !index.is_primary);
    }
    all.iter().for_each(|statement| apply_rename(&mut facts, statement));
    // PostgreSQL renames the columns of partitions with those of their table.
    for column in facts.tables.iter_mut().filter(|one| one.parent.is_some()).flat_map(|one| &mut one.columns)
    {
        match column.name.as_str() {
            "id" => column.name = "id_old".to_owned(),
            "id_new" => column.name = "id".to_owned(),
            _ => (),
        }
    }
    for index in facts.tables.iter_mut().flat_map(|table| &mut table.indexes) {
        // That of a table without partitions gets its name with the constraint.
        let known = index.name.strip_suffix("_new").unwrap_or(&index.name).to_owned();
        if primary.contains(&known) {
            *index = Index {
                parent: index.parent,
                ..super::tests::index(index.oid, &known, &columns(index), true)
            };
        }
    }
    options.cut_over = true;
    for reference in &mut facts.references {
        reference.declared = false;
    }
    foreign_keys::declare(&mut facts, &options);
    (facts, options)
}

fn columns(index: &Index) -> Vec<i16> {
    index.keys.iter().map(|key| key.column).collect()
}

fn names(table: &Table) -> Vec<&str> {
    table.indexes.iter().map(|index| index.name.as_str()).collect()
}

fn places(statements: &[String], wanted: &[&str]) -> Vec<usize> {
    let place = |wanted: &&str| {
        let place = statements.iter().position(|statement| statement == wanted);
        place.unwrap_or_else(|| panic!("no {wanted} in {statements:#?}"))
    };
    wanted.iter().map(place).collect()
}

#[test]
fn the_index_that_keeps_old_ids_unique_is_built_on_each_partition_and_attached() {
    let (facts, options) = of_integers();
    let plan = planned(&facts, &options);
    assert_eq!(plan.refusal(), None);
    let kept: Vec<String> = statements(&facts, &options, Phase::Indexed)
        .into_iter()
        .filter(|text| text.contains("shop.event") && text.contains("_old"))
        .collect();
    let wanted = [
        "CREATE UNIQUE INDEX event_pkey_old ON ONLY shop.event USING btree (id, day, region)",
        "CREATE UNIQUE INDEX event_2_pkey_old ON ONLY shop.event_2 USING btree (id, day, region)",
        "CREATE UNIQUE INDEX CONCURRENTLY event_1_pkey_old ON shop.event_1 USING btree (id, day, region)",
        "CREATE UNIQUE INDEX CONCURRENTLY event_2_1_pkey_old ON shop.event_2_1 USING btree (id, day, region)",
        "ALTER INDEX shop.event_2_pkey_old ATTACH PARTITION shop.event_2_1_pkey_old",
        "ALTER INDEX shop.event_pkey_old ATTACH PARTITION shop.event_2_pkey_old",
        "ALTER INDEX shop.event_pkey_old ATTACH PARTITION shop.event_1_pkey_old",
    ];
    assert_eq!(kept, wanted);
    // After those on keys, so that these find a duplicate first (fault C21).
    let all = statements(&facts, &options, Phase::Indexed);
    let first = ["ALTER INDEX shop.event_pkey_new ATTACH PARTITION shop.event_1_pkey_new", wanted[0]];
    assert!(places(&all, &first).is_sorted(), "{all:#?}");
    let (mut facts, mut options) = ready();
    assert_eq!(statements(&facts, &options, Phase::Indexed), Vec::<String>::new());
    // A build that was interrupted, and one that is not attached yet.
    of(&mut facts, EVENT_1).indexes[2].is_valid = false;
    of(&mut facts, EVENT_1).indexes[2].parent = None;
    of(&mut facts, EVENT).indexes[2].is_valid = false;
    let again = statements(&facts, &options, Phase::Indexed);
    assert_eq!(again, ["DROP INDEX CONCURRENTLY shop.event_1_pkey_old", wanted[2], wanted[6]]);
    // It is dropped with what is attached, if it is not needed, and with the migration.
    let removed = cutover::remove(&facts, &options);
    places(&removed, &["DROP INDEX shop.event_pkey_old", "DROP INDEX shop.event_1_pkey_old"]);
    assert!(!removed.iter().any(|text| text.contains("shop.event_2_pkey_old") || text.contains("chosen")));
    options = Options {
        move_primary_key: false,
        keys: options.keys,
        shadows: options.shadows,
        ..Options::new(Target::Uuid)
    };
    for table in &mut facts.tables {
        table
            .columns
            .iter_mut()
            .filter(|one| one.name.ends_with("_new"))
            .for_each(|one| one.type_name = "uuid".to_owned());
    }
    let dropped = statements(&facts, &options, Phase::Indexed);
    let event: Vec<&String> = dropped.iter().filter(|text| text.contains("event")).collect();
    assert_eq!(event, ["DROP INDEX shop.event_pkey_old", "DROP INDEX CONCURRENTLY shop.event_1_pkey_old"]);
}

#[test]
fn the_primary_keys_of_all_partitions_move_at_once() {
    let (mut facts, options) = ready();
    let table = of(&mut facts, EVENT_1);
    table.indexes[0].is_replica_identity = true;
    table.indexes[0].comment = Some("of one".to_owned());
    of(&mut facts, EVENT).indexes[1].column_names = vec!["id_new".to_owned()];
    of(&mut facts, EVENT).indexes[2].column_names = vec!["id".to_owned()];
    let all = cut_over(&facts, &options);
    let order = [
        "ALTER TABLE shop.note DROP CONSTRAINT note_event_fkey",
        "ALTER TABLE shop.event_pkey_new RENAME COLUMN id_new TO id",
        "ALTER TABLE shop.event_pkey_old RENAME COLUMN id TO id_old",
        "ALTER TABLE shop.event DROP CONSTRAINT event_pkey",
        "ALTER INDEX shop.event_pkey_new RENAME TO event_pkey",
        "ALTER INDEX shop.event_2_1_pkey_new RENAME TO event_2_1_pkey",
        "SELECT keyspace_internal.key_migration_add_primary_key('shop.event_pkey'::pg_catalog.regclass)",
        "ALTER TABLE shop.event_1 REPLICA IDENTITY USING INDEX event_1_pkey",
        "COMMENT ON INDEX shop.event_1_pkey IS 'of one'",
        "ALTER TABLE shop.event RENAME COLUMN id TO id_old",
        "ALTER TABLE shop.event RENAME COLUMN id_new TO id",
    ];
    assert!(places(&all, &order).is_sorted(), "{all:#?}");
    let count = |text: &str| all.iter().filter(|one| one.contains(text)).count();
    assert_eq!((count("add_primary_key("), count("DROP CONSTRAINT event")), (1, 1), "{all:#?}");
    assert!(
        !all.iter().any(|text| text.contains("RENAME TO event") && text.contains("_pkey_old")),
        "{all:#?}"
    );
    // The old column can be NULL, and the default has moved with its sequence.
    places(&all, &["ALTER TABLE shop.event ALTER COLUMN id_old DROP NOT NULL"]);
    places(&all, &["ALTER TABLE ONLY shop.event ALTER COLUMN id SET DEFAULT nextval('s'::regclass)"]);
}

#[test]
fn a_rollback_moves_them_back() {
    let (facts, options) = moved();
    let scope = Scope::new(&facts, &options).unwrap();
    assert_eq!(names(facts.table(EVENT_2_1).unwrap()), ["event_2_1_pkey", "chosen"]);
    assert!(facts.references.iter().all(|reference| reference.declared), "by the foreign keys on keys");
    // Rows are found by the same columns as before.
    let companions = |table: u32| {
        let member = scope.members_of(table).next().unwrap();
        member.companions.iter().map(|one| (one.own, one.of_key)).collect::<Vec<_>>()
    };
    assert_eq!(companions(EVENT), [(2, 2), (3, 3)]);
    assert_eq!(companions(NOTE), [(3, 2), (4, 3)]);
    assert_eq!(companions(MARK), [(2, 2), (1, 3)]);
    assert_eq!(planned(&facts, &options).refusal(), None);
    let back = roll_back(&facts, &options);
    let order = [
        "ALTER TABLE shop.note DROP CONSTRAINT note_event_fkey",
        "ALTER TABLE shop.event DROP CONSTRAINT event_pkey",
        "ALTER TABLE shop.event RENAME COLUMN id_old TO id",
        "ALTER INDEX shop.event_pkey_old RENAME TO event_pkey",
        "ALTER INDEX shop.chosen RENAME TO event_2_1_pkey",
        "SELECT keyspace_internal.key_migration_add_primary_key('shop.event_pkey'::pg_catalog.regclass)",
        "ALTER TABLE shop.note ADD CONSTRAINT note_event_fkey FOREIGN KEY (event, of_day, of_region) REFERENCES shop.event (id, day, region) NOT VALID",
    ];
    assert!(places(&back, &order).is_sorted(), "{back:#?}");
    let ended: Vec<String> = cutover::finalize(&scope, true).into_iter().map(|one| one.text).collect();
    let dropped: Vec<&String> = ended.iter().filter(|text| text.starts_with("DROP INDEX")).collect();
    assert_eq!(dropped, ["DROP INDEX shop.event_pkey_old", "DROP INDEX shop.note_pkey_old"], "{ended:#?}");
    assert!(
        !ended.iter().any(|text| text.contains("_pkey RENAME") || text.contains("add_primary_key")),
        "{ended:#?}"
    );
}

#[test]
fn a_rollback_is_refused_if_a_partition_needs_the_primary_key_on_keys() {
    let (mut facts, options) = moved();
    let refused = |facts: &Facts| cutover::roll_back(&Scope::new(facts, &options).unwrap()).unwrap_err();
    let primary = of(&mut facts, EVENT_2_1).indexes.iter_mut().find(|index| index.is_primary).unwrap();
    primary.constraint.as_mut().unwrap().dependents = vec!["view v".to_owned()];
    assert_eq!(refused(&facts).detail.unwrap(), "It is needed by view v.");
    of(&mut facts, EVENT).indexes.retain(|index| index.is_primary);
    let hint = refused(&facts).hint.unwrap();
    assert!(hint.starts_with("CREATE UNIQUE INDEX on the same columns"), "{hint}");
}

#[test]
fn a_partition_that_cannot_follow_prevents_the_cut_over() {
    let message = |edit: &dyn Fn(&mut Facts)| {
        let (mut facts, options) = ready();
        edit(&mut facts);
        planned(&facts, &options).refusal().cloned().expect("a refusal")
    };
    let used = message(&|facts| {
        of(facts, EVENT_1).indexes[0].constraint.as_mut().unwrap().dependents = vec!["view v".to_owned()];
    });
    assert_eq!(
        used.message,
        "primary key \"event_1_pkey\" of partition \"shop.event_1\" cannot move at the cut-over"
    );
    let listed = message(&|facts| {
        let (kind, name) = ("publication".to_owned(), "some".to_owned());
        of(facts, EVENT_1).dependents.push(Dependent { kind, name, column: 4 });
    });
    assert!(listed.detail.unwrap().contains("publication \"some\" lists the old ids"));
    let of_table = message(&|facts| {
        of(facts, EVENT).indexes[0].constraint.as_mut().unwrap().dependents = vec!["view v".to_owned()];
    });
    assert_eq!(
        of_table.message,
        "primary key \"event_pkey\" of table \"shop.event\" cannot move at the cut-over"
    );
}

#[test]
fn keys_that_keep_their_values_are_not_looked_up() {
    // A reference without a foreign key, and one of another owner and with a default.
    let (mut facts, options) = of_integers();
    facts.foreign_keys.clear();
    facts.references.iter_mut().for_each(|reference| reference.declared = false);
    of(&mut facts, NOTE).owner = "other".to_owned();
    of(&mut facts, NOTE).columns[1].default = Some("5".to_owned());
    assert_eq!(planned(&facts, &options).refusal(), None);
}

#[test]
fn a_partition_keeps_a_sequence_of_its_own() {
    let (mut facts, options) = ready();
    let sequence = |name: &str, kind: &str| Sequence {
        name: format!("shop.{name}"),
        kind: kind.to_owned(),
        type_name: "integer".to_owned(),
        max: i64::from(i32::MAX),
        is_owner: true,
    };
    of(&mut facts, EVENT).columns[0].sequences = vec![sequence("s", "owned")];
    // One uses that of the table, another one has its own.
    of(&mut facts, EVENT_2_1).columns[0].default = Some("nextval('s'::regclass)".to_owned());
    of(&mut facts, EVENT_2_1).columns[0].sequences = vec![sequence("s", "used")];
    of(&mut facts, EVENT_1).columns[2].default = Some("nextval('own'::regclass)".to_owned());
    of(&mut facts, EVENT_1).columns[2].sequences = vec![sequence("own", "owned")];
    let all = cut_over(&facts, &options);
    let of_sequences: Vec<&String> = all.iter().filter(|text| text.starts_with("ALTER SEQUENCE")).collect();
    assert_eq!(
        of_sequences,
        [
            "ALTER SEQUENCE shop.s AS bigint",
            "ALTER SEQUENCE shop.s OWNED BY shop.event.id",
            "ALTER SEQUENCE shop.own AS bigint",
            "ALTER SEQUENCE shop.own OWNED BY shop.event_1.id",
        ]
    );
    places(&all, &["ALTER TABLE shop.event_2_1 ALTER COLUMN id SET DEFAULT nextval('s'::regclass)"]);
    of(&mut facts, EVENT_1).columns[2].sequences[0].is_owner = false;
    let refused = planned(&facts, &options).refusal().cloned().unwrap();
    assert_eq!(refused.message, "must be owner of sequence shop.own");
}

/// The foreign key of a partitioned table that refers to the key is that of its partitions for a while.
#[test]
fn rows_are_found_by_the_foreign_keys_that_a_rollback_adds_to_partitions() {
    let (mut facts, options) = moved();
    let note = of(&mut facts, NOTE);
    (note.kind, note.partition_columns) = ("p".to_owned(), vec![1]);
    let mut partition = note.clone();
    (partition.oid, partition.kind, partition.parent) = (NOTE + 1, "r".to_owned(), Some(NOTE));
    partition.name = "note_1".to_owned();
    partition.partition_columns.clear();
    for (at, index) in partition.indexes.iter_mut().enumerate() {
        index.parent = Some(note.indexes[at].oid);
        index.oid += 50;
        index.name = format!("note_1_{at}");
    }
    facts.tables.push(partition);
    let back = roll_back(&facts, &options);
    let note = back.iter().find(|text| text.starts_with("COMMENT ON COLUMN shop.note.")).unwrap();
    let comment = note.split_once(" IS '").unwrap().1.trim_end_matches('\'').to_owned();
    // As after it, before the partition has been looked at.
    let (mut facts, options) = ready();
    facts.foreign_keys.retain(|key| key.name == "mark_note_fkey");
    of(&mut facts, NOTE).kind = "p".to_owned();
    of(&mut facts, NOTE)
        .columns
        .iter_mut()
        .filter(|one| one.name == "event_new")
        .for_each(|one| one.comment = Some(comment.clone()));
    let scope = Scope::new(&facts, &options).unwrap();
    let member = scope.members_of(NOTE).next().unwrap();
    assert_eq!(
        member.companions.iter().map(|one| (one.own, one.of_key)).collect::<Vec<_>>(),
        [(3, 2), (4, 3)]
    );
    let left = settle::steps(&scope);
    assert!(left.iter().any(|step| step.action == "add foreign key \"note_event_fkey\""), "{left:#?}");
}
