//! Partitioned tables that refer to a key.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::facts::{Check, Code, ForeignKey, ForeignKeyPart, Index, ReferenceDefault, Stranger, Table};
use super::names::marked;
use super::plan::plan;
use super::properties::other_of_default;
use super::scope::Scope;
use super::step::{Lock, Step};
use super::tests::{ORDERS, column, foreign_key, index, options, shop, table};
use super::verify::{self, Kind};
use super::{
    Facts, Options, Phase, cutover, foreign_keys, foreign_keys_of_partitions, settle, verify_references,
};
use crate::error::SqlState;

const VISIT: u32 = 200;
const VISIT_1: u32 = 201;
const VISIT_2: u32 = 202;
const VISIT_2_1: u32 = 203;

/// A table with two partitions, one of which is partitioned itself. The columns of the first one are in
/// another order.
fn visits() -> Facts {
    let mut facts = shop();
    let columns = || vec![column(1, "day", "integer", true), column(2, "order_id", "bigint", true)];
    let of = |oid, name: &str, parent: Option<u32>, of_index: Option<u32>| -> Table {
        let own = Index { parent: of_index, ..index(oid + 1_000, &format!("{name}_idx"), &[2], false) };
        Table {
            parent,
            is_partition: parent.is_some(),
            is_inherited: true,
            ..table(oid, name, columns(), vec![own])
        }
    };
    let partitioned = |table: Table| Table { kind: "p".to_owned(), partition_columns: vec![1], ..table };
    let mut first = of(VISIT_1, "visit_1", Some(VISIT), Some(1_200));
    first.columns = vec![column(2, "order_id", "bigint", true), column(3, "day", "integer", true)];
    first.column_count = 3;
    facts.tables.extend([
        partitioned(of(VISIT, "visit", None, None)),
        first,
        partitioned(of(VISIT_2, "visit_2", Some(VISIT), Some(1_200))),
        of(VISIT_2_1, "visit_2_1", Some(VISIT_2), Some(1_202)),
    ]);
    facts.references.push(super::facts::Reference { key: ORDERS, table: VISIT, column: 2, declared: true });
    let mut key = foreign_key("visit_order_id_fkey", (VISIT, &[2]), (ORDERS, &[1]));
    let part = |table| ForeignKeyPart { table, name: "visit_order_id_fkey".to_owned() };
    key.parts = [VISIT_1, VISIT_2, VISIT_2_1].into_iter().map(part).collect();
    facts.foreign_keys.push(key);
    facts
}

/// The steps of the partitioned table and its partitions: table, action and statements.
fn steps(facts: &Facts, options: &Options, phase: Phase) -> Vec<(u32, String, String)> {
    let plan = plan(facts, options).unwrap();
    assert_eq!(plan.refusal(), None);
    let of_visits = plan.steps.into_iter().filter(|step| step.phase == phase && step.table >= VISIT);
    of_visits.map(|step| (step.table, step.action, step.statements.join("; "))).collect()
}

#[test]
fn columns_are_added_to_the_partitioned_table_and_rows_are_filled_by_partition() {
    let prepared = steps(&visits(), &options(), Phase::Prepared);
    assert_eq!(prepared.len(), 1);
    assert!(prepared[0].2.starts_with("ALTER TABLE shop.visit ADD COLUMN order_id_new uuid"), "{prepared:?}");
    let filled = steps(&visits(), &options(), Phase::Backfilled);
    let tables: Vec<u32> = filled.iter().filter(|step| step.1 != "vacuum").map(|step| step.0).collect();
    assert_eq!(tables, [VISIT_1, VISIT_2_1]);
    assert!(filled[0].2.contains("UPDATE ONLY shop.visit_1 AS t"), "{filled:?}");
}

#[test]
fn indexes_are_built_on_partitions_and_attached() {
    let statements: Vec<String> =
        steps(&visits(), &options(), Phase::Indexed).into_iter().map(|step| step.2).collect();
    assert_eq!(
        statements,
        [
            "CREATE INDEX visit_idx_new ON ONLY shop.visit USING btree (order_id_new)",
            "CREATE INDEX visit_2_idx_new ON ONLY shop.visit_2 USING btree (order_id_new)",
            "CREATE INDEX CONCURRENTLY visit_1_idx_new ON shop.visit_1 USING btree (order_id_new)",
            "CREATE INDEX CONCURRENTLY visit_2_1_idx_new ON shop.visit_2_1 USING btree (order_id_new)",
            "ALTER INDEX shop.visit_2_idx_new ATTACH PARTITION shop.visit_2_1_idx_new",
            "ALTER INDEX shop.visit_idx_new ATTACH PARTITION shop.visit_2_idx_new",
            "ALTER INDEX shop.visit_idx_new ATTACH PARTITION shop.visit_1_idx_new",
        ]
    );
}

#[test]
fn constraints_are_validated_on_partitions_before_the_partitioned_table_has_them() {
    let statements: Vec<String> = steps(&visits(), &options(), Phase::Validated)
        .into_iter()
        .map(|step| step.2)
        .filter(|text| !text.starts_with("ANALYZE"))
        .collect();
    let key = "visit_order_id_fkey_new";
    let definition = "FOREIGN KEY (order_id_new) REFERENCES shop.orders (id_new)";
    let check = "visit_order_id_new_filled";
    assert_eq!(
        statements,
        [
            format!(
                "ALTER TABLE shop.visit ADD CONSTRAINT {check} CHECK (order_id_new IS NOT NULL) NOT VALID"
            ),
            format!("ALTER TABLE shop.visit_1 VALIDATE CONSTRAINT {check}"),
            format!("ALTER TABLE shop.visit_2_1 VALIDATE CONSTRAINT {check}"),
            format!("ALTER TABLE shop.visit VALIDATE CONSTRAINT {check}"),
            format!(
                "ALTER TABLE shop.visit ALTER COLUMN order_id_new SET NOT NULL; ALTER TABLE shop.visit DROP CONSTRAINT {check}"
            ),
            format!("ALTER TABLE shop.visit_1 ADD CONSTRAINT {key} {definition} NOT VALID"),
            format!("ALTER TABLE shop.visit_1 VALIDATE CONSTRAINT {key}"),
            format!("ALTER TABLE shop.visit_2_1 ADD CONSTRAINT {key} {definition} NOT VALID"),
            format!("ALTER TABLE shop.visit_2_1 VALIDATE CONSTRAINT {key}"),
            format!("ALTER TABLE shop.visit ADD CONSTRAINT {key} {definition}"),
        ]
    );
}

/// A step on a partition is planned again with the tables above it alone.
#[test]
fn the_plan_of_a_partition_is_a_part_of_the_whole_plan() {
    let whole = plan(&visits(), &options()).unwrap();
    for (partition, above) in [(VISIT_1, vec![VISIT]), (VISIT_2_1, vec![VISIT, VISIT_2])] {
        let mut facts = visits();
        let is_read = |oid: u32| oid < VISIT || oid == partition || above.contains(&oid);
        facts.tables.retain(|table| is_read(table.oid));
        let part = plan(&facts, &options()).unwrap();
        let mut rest = whole.steps.iter();
        for step in &part.steps {
            assert!(rest.any(|other| other.is_same(step)), "{step:?}");
        }
    }
}

/// As after the phases up to `validated`.
fn prepared() -> (Facts, Options) {
    let mut facts = visits();
    let mut options = options();
    for table in facts.tables.iter_mut().filter(|table| table.oid >= VISIT) {
        let number = table.column_count + 1;
        table.columns.push(column(number, "order_id_new", "uuid", true));
        table.column_count = number;
        let parent = table.parent.and(table.indexes[0].parent).map(|parent| parent + 1_000);
        let mut new = Index { parent, ..index(table.oid + 2_000, "", &[number], false) };
        // PostgreSQL has chosen the name of one of them.
        new.name = match table.oid {
            VISIT_1 => "chosen".to_owned(),
            _ => format!("{}_idx_new", table.name),
        };
        table.indexes.push(new);
        if table.oid == VISIT {
            options.shadows.push((VISIT, 2, number));
        }
    }
    let orders = facts.tables.iter_mut().find(|table| table.oid == ORDERS).unwrap();
    orders.columns.push(column(4, "id_new", "uuid", true));
    orders.columns.push(column(5, "replaces_new", "uuid", false));
    orders.column_count = 5;
    options.shadows.extend([(ORDERS, 1, 4), (ORDERS, 3, 5)]);
    let mut key = foreign_key("visit_order_id_fkey_new", (VISIT, &[3]), (ORDERS, &[4]));
    let part = |table| ForeignKeyPart { table, name: "visit_order_id_fkey_new".to_owned() };
    key.parts = [VISIT_1, VISIT_2, VISIT_2_1].into_iter().map(part).collect();
    facts.foreign_keys.push(key);
    (facts, options)
}

#[test]
fn attached_indexes_are_known_by_what_they_are_attached_to() {
    let (facts, options) = prepared();
    let plan = plan(&facts, &options).unwrap();
    let left = plan.steps.iter().filter(|step| step.phase == Phase::Indexed && step.table >= VISIT);
    assert_eq!(left.filter(|step| !step.done).collect::<Vec<_>>(), Vec::<&Step>::new());
}

#[test]
fn the_cut_over_renames_columns_once_and_indexes_of_each_partition() {
    let (facts, options) = prepared();
    let scope = Scope::new(&facts, &options).unwrap();
    let statements: Vec<String> = cutover::swap_names(&scope);
    let of_visits: Vec<&String> = statements.iter().filter(|text| text.contains("visit")).collect();
    assert_eq!(of_visits.iter().filter(|text| text.contains("RENAME COLUMN")).count(), 2);
    assert_eq!(of_visits.iter().filter(|text| text.contains("RENAME CONSTRAINT")).count(), 2 * 4);
    assert!(
        statements.contains(&"ALTER INDEX shop.chosen RENAME TO visit_1_idx".to_owned()),
        "{statements:#?}"
    );
    assert!(statements.contains(&"ALTER INDEX shop.visit_1_idx RENAME TO visit_1_idx_old".to_owned()));
    let order = cutover::lock_order(&scope);
    assert_eq!(
        order.iter().filter(|oid| **oid >= VISIT).copied().collect::<Vec<_>>(),
        [VISIT, VISIT_1, VISIT_2, VISIT_2_1]
    );
    assert_eq!(order, cutover::lock_order_of(&facts, &options));
}

/// PostgreSQL names the index of a new partition after the columns of that of its table.
#[test]
fn the_columns_of_partitioned_indexes_are_renamed_with_those_of_the_table() {
    let (mut facts, options) = prepared();
    for table in facts.tables.iter_mut().filter(|table| table.oid >= VISIT) {
        table.indexes[0].column_names = vec!["order_id".to_owned()];
        table.indexes[1].column_names = vec!["order_id_new".to_owned()];
    }
    let renames = |facts: &Facts| -> Vec<String> {
        let statements = cutover::swap_names(&Scope::new(facts, &options).unwrap());
        let is_index = |text: &&String| text.contains("RENAME COLUMN") && !text.contains("shop.visit RENAME");
        statements.iter().filter(is_index).filter(|text| text.contains("visit")).cloned().collect()
    };
    let of_table = [
        "ALTER TABLE shop.visit_idx RENAME COLUMN order_id TO order_id_old",
        "ALTER TABLE shop.visit_idx_new RENAME COLUMN order_id_new TO order_id",
    ];
    assert_eq!(renames(&facts), of_table);
    // One that was built when the column had another name must have the same one first, from the lowest
    // level on.
    let rename = |facts: &mut Facts, oid: u32, name: &str| {
        let table = facts.tables.iter_mut().find(|table| table.oid == oid).unwrap();
        table.indexes[1].column_names = vec![name.to_owned()];
    };
    rename(&mut facts, VISIT_2, "order");
    let aligned = [
        of_table[0],
        "ALTER TABLE shop.visit_2_1_idx_new RENAME COLUMN order_id_new TO \"order\"",
        "ALTER TABLE shop.visit_2_idx_new RENAME COLUMN \"order\" TO order_id_new",
        of_table[1],
    ];
    assert_eq!(renames(&facts), aligned);
    // A name of its own stays.
    rename(&mut facts, VISIT, "own");
    assert_eq!(renames(&facts), [of_table[0]]);
}

/// Up to PostgreSQL 17, a partitioned table cannot be analyzed without its partitions.
#[test]
fn statistics_are_collected_partition_by_partition_where_the_version_can() {
    let analyzed = |major: i32| -> Vec<String> {
        let mut facts = visits();
        facts.major = major;
        let validated = steps(&facts, &options(), Phase::Validated).into_iter();
        validated.map(|step| step.2).filter(|text| text.starts_with("ANALYZE")).collect()
    };
    assert_eq!(analyzed(17), ["ANALYZE shop.visit"]);
    assert_eq!(analyzed(18), ["ANALYZE shop.visit_1", "ANALYZE shop.visit_2_1", "ANALYZE ONLY shop.visit"]);
}

#[test]
fn a_partition_keeps_a_default_of_its_own() {
    let (mut facts, options) = prepared();
    let of = |facts: &mut Facts, oid: u32, default: Option<&str>| {
        let table = facts.tables.iter_mut().find(|table| table.oid == oid).unwrap();
        let column = table.columns.iter_mut().find(|column| column.name == "order_id").unwrap();
        column.default = default.map(str::to_owned);
    };
    of(&mut facts, VISIT, Some("1"));
    of(&mut facts, VISIT_1, Some("2"));
    of(&mut facts, VISIT_2, None);
    of(&mut facts, VISIT_2_1, Some("1"));
    let scope = Scope::new(&facts, &options).unwrap();
    let with_default: Vec<(u32, i16)> = scope
        .members
        .iter()
        .chain(&scope.parts)
        .filter(|member| member.table.oid >= VISIT && other_of_default(&scope, member).is_some())
        .map(|member| (member.table.oid, member.old_id.number))
        .collect();
    assert_eq!(with_default, [(VISIT, 2), (VISIT_1, 2), (VISIT_2_1, 2)]);
    facts.defaults = with_default
        .iter()
        .map(|(table, column)| ReferenceDefault {
            table: *table,
            column: *column,
            value: format!("of {table}"),
        })
        .collect();
    let scope = Scope::new(&facts, &options).unwrap();
    let statements: Vec<String> = cutover::cut_over(&scope).into_iter().map(|one| one.text).collect();
    let set: Vec<&str> =
        statements.iter().map(String::as_str).filter(|text| text.contains("SET DEFAULT 'of")).collect();
    assert_eq!(
        set,
        [
            "ALTER TABLE ONLY shop.visit ALTER COLUMN order_id SET DEFAULT 'of 200'::uuid",
            "ALTER TABLE shop.visit_1 ALTER COLUMN order_id SET DEFAULT 'of 201'::uuid",
            "ALTER TABLE shop.visit_2_1 ALTER COLUMN order_id SET DEFAULT 'of 203'::uuid",
        ]
    );
}

#[test]
fn values_are_compared_in_each_partition() {
    let (facts, options) = prepared();
    let scope = Scope::new(&facts, &options).unwrap();
    for checks in [verify::checks(&scope), verify::losses(&scope)] {
        let kind = checks[checks.len() - 1].kind;
        assert!(matches!(kind, Kind::Digest | Kind::OldIdsWithoutKey));
        let tables: Vec<u32> = checks
            .iter()
            .filter(|check| check.kind == kind && check.table >= VISIT)
            .map(|check| check.table)
            .collect();
        assert_eq!(tables, [VISIT_1, VISIT_2_1]);
    }
    // Those of one partition refer to few rows, if it is one by time.
    let member = scope.members_of(VISIT_1).next().unwrap();
    let range = verify_references::range(&scope, member).unwrap();
    assert!(range.ends_with("max(t.order_id)::pg_catalog.int8 FROM ONLY shop.visit_1 AS t"), "{range}");
    let compared = verify_references::compared(&scope, member, Some((-2, 5)));
    for column in ["p.id", "t.order_id"] {
        let in_range = format!(
            " AND {column} OPERATOR(pg_catalog.>=) '-2'::pg_catalog.int8 \
             AND {column} OPERATOR(pg_catalog.<=) '5'::pg_catalog.int8"
        );
        assert!(compared.contains(&in_range), "{compared}");
    }
}

#[test]
fn what_is_refused_names_what_lifts_it() {
    let refusal = |change: &dyn Fn(&mut Facts)| {
        let mut facts = visits();
        change(&mut facts);
        plan(&facts, &options()).unwrap().refusal().map(|error| error.message.clone()).unwrap_or_default()
    };
    fn of(facts: &mut Facts, oid: u32) -> &mut Table {
        facts.tables.iter_mut().find(|table| table.oid == oid).unwrap()
    }
    assert_eq!(refusal(&|_| ()), "");
    let message = refusal(&|facts| of(facts, VISIT_2).partition_columns = vec![2]);
    assert_eq!(
        message,
        "table \"shop.visit_2\" is partitioned by column \"order_id\", which refers to a key"
    );
    let message = refusal(&|facts| of(facts, VISIT_1).kind = "f".to_owned());
    assert_eq!(message, "partition \"shop.visit_1\" is a foreign table");
    let message = refusal(&|facts| of(facts, VISIT_1).owner = "other".to_owned());
    assert_eq!(message, "partition \"shop.visit_1\" does not have the owner of its table");
    // With a primary key on the reference, but for one that cannot be built.
    let with_primary_key = |facts: &mut Facts, deferrable| {
        let mut primary = index(1_300, "visit_pkey", &[2, 1], true);
        primary.constraint.as_mut().unwrap().deferrable = deferrable;
        of(facts, VISIT).indexes.push(primary);
    };
    assert_eq!(refusal(&|facts| with_primary_key(facts, false)), "");
    let refused =
        "primary key \"visit_pkey\" of partitioned table \"shop.visit\" contains a reference to the key";
    assert_eq!(refusal(&|facts| with_primary_key(facts, true)), refused);
    let lacking = |facts: &mut Facts| {
        with_primary_key(facts, false);
        facts.references.iter_mut().for_each(|reference| reference.declared = false);
    };
    assert_eq!(refusal(&lacking), refused);
    let message = refusal(&|facts| {
        facts.foreign_keys.push(foreign_key("own", (VISIT_1, &[2]), (ORDERS, &[1])));
    });
    assert_eq!(message, "partition \"shop.visit_1\" has foreign key \"own\" of its own");
    let message = refusal(&|facts| {
        facts.references.retain(|reference| reference.table != VISIT);
        for oid in [VISIT_1, VISIT_2, VISIT_2_1] {
            of(facts, oid).parent = None;
        }
        facts.references.push(super::facts::Reference {
            key: ORDERS,
            table: VISIT_1,
            column: 2,
            declared: true,
        });
    });
    assert_eq!(message, "table \"shop.visit_1\" is a partition of a table that is not part of the migration");
}

/// As after a cut-over at which the primary key of orders has moved.
fn moved() -> (Facts, Options) {
    let (mut facts, mut options) = prepared();
    (options.cut_over, options.move_primary_key) = (true, true);
    for column in facts.tables.iter_mut().flat_map(|table| &mut table.columns) {
        if let Some(name) = column.name.strip_suffix("_new") {
            column.name = name.to_owned();
        } else if matches!(column.name.as_str(), "id" | "order_id" | "replaces") {
            column.name.push_str("_old");
        }
    }
    facts.foreign_keys.retain(|key| key.child == VISIT && key.child_columns == [3]);
    let key = &mut facts.foreign_keys[0];
    "visit_order_id_fkey".clone_into(&mut key.name);
    key.on_delete = "c".to_owned();
    key.comment = Some("of \"visits\": a) [b]".to_owned());
    key.parts.iter_mut().for_each(|part| "visit_order_id_fkey".clone_into(&mut part.name));
    (facts, options)
}

/// The statements of its rollback about the foreign key of the partitioned table.
fn added_again(facts: &Facts, options: &Options) -> Vec<String> {
    let scope = Scope::new(facts, options).unwrap();
    let top = facts.table(VISIT).unwrap();
    let key = facts.foreign_keys.iter().find(|key| key.child == VISIT).unwrap();
    foreign_keys_of_partitions::add_again(&scope, top, key, "FOREIGN KEY (x)")
}

/// As after that rollback: no foreign key is on a partition yet.
fn rolled_back(comment: Option<&str>) -> (Facts, Options) {
    let (mut before, options) = moved();
    let top = before.tables.iter_mut().find(|table| table.oid == VISIT).unwrap();
    top.columns[2].comment = comment.map(str::to_owned);
    let statements = added_again(&before, &options);
    // The comment of the foreign key has quotation marks, so JSON has backslashes.
    let start = "COMMENT ON COLUMN shop.visit.order_id_new IS  E'";
    let noted = statements.last().unwrap().strip_prefix(start).unwrap().strip_suffix('\'').unwrap();
    let noted = noted.replace("\\\\", "\\");
    let (mut facts, options) = prepared();
    facts.foreign_keys.retain(|key| key.child != VISIT);
    let top = facts.tables.iter_mut().find(|table| table.oid == VISIT).unwrap();
    top.columns[2].comment = Some(noted.replace("''", "'"));
    (facts, options)
}

/// The foreign key of a partition that a rollback has added.
fn part(partition: u32, name: &str, validated: bool) -> ForeignKey {
    let mut key = foreign_key(name, (partition, &[2]), (ORDERS, &[1]));
    key.validated = validated;
    key.on_delete = "c".to_owned();
    key.comment = Some(marked(Some("of \"visits\": a) [b]")));
    key
}

fn left(facts: &Facts, options: &Options) -> Vec<Step> {
    let scope = Scope::new(facts, options).unwrap();
    foreign_keys_of_partitions::unsettled(&scope, Phase::Validated)
}

/// The table, whether it is done, and the first words of each statement.
fn words(steps: &[Step]) -> Vec<(u32, bool, Vec<String>)> {
    let statement = |text: &String| text.split_whitespace().take(6).collect::<Vec<_>>().join(" ");
    steps
        .iter()
        .map(|step| (step.table, step.done, step.statements.iter().map(statement).collect()))
        .collect()
}

const DEFINITION: &str = "FOREIGN KEY (order_id) REFERENCES shop.orders (id) ON DELETE CASCADE";

/// Up to PostgreSQL 17, a partitioned table has no foreign key that is not valid.
#[test]
fn a_rollback_adds_foreign_keys_to_partitions_and_the_table_takes_them_over() {
    let (facts, options) = moved();
    let added = added_again(&facts, &options);
    let of: Vec<&String> = added.iter().filter(|text| !text.starts_with("COMMENT")).collect();
    assert_eq!(
        of,
        [
            "ALTER TABLE shop.visit_1 ADD CONSTRAINT visit_order_id_fkey FOREIGN KEY (x) NOT VALID",
            "ALTER TABLE shop.visit_2_1 ADD CONSTRAINT visit_order_id_fkey FOREIGN KEY (x) NOT VALID",
        ]
    );
    assert!(
        added.last().unwrap().starts_with(
            "COMMENT ON COLUMN shop.visit.order_id_new IS  E'(foreign keys that a key migration has yet to add again: [{\"name\":\"visit_order_id_fkey\",\"columns\":[2],"
        ),
        "{added:#?}"
    );
    // One has another name, and is valid already.
    let (mut facts, options) = rolled_back(Some("it's known"));
    facts.foreign_keys.push(part(VISIT_1, "other", true));
    facts.foreign_keys.push(part(VISIT_2_1, "visit_order_id_fkey", false));
    let steps = left(&facts, &options);
    let statements: Vec<(u32, bool, String)> =
        steps.iter().map(|step| (step.table, step.done, step.statements.join("; "))).collect();
    let taken_over = [
        format!("ALTER TABLE shop.visit ADD CONSTRAINT visit_order_id_fkey {DEFINITION}"),
        "COMMENT ON CONSTRAINT visit_order_id_fkey ON shop.visit IS 'of \"visits\": a) [b]'".to_owned(),
        "COMMENT ON CONSTRAINT other ON shop.visit_1 IS NULL".to_owned(),
        "COMMENT ON CONSTRAINT visit_order_id_fkey ON shop.visit_2_1 IS NULL".to_owned(),
        "COMMENT ON COLUMN shop.visit.order_id_new IS 'it''s known'".to_owned(),
    ];
    assert_eq!(
        statements,
        [
            (VISIT_1, true, "ALTER TABLE shop.visit_1 VALIDATE CONSTRAINT other".to_owned()),
            (
                VISIT_2_1,
                false,
                "ALTER TABLE shop.visit_2_1 VALIDATE CONSTRAINT visit_order_id_fkey".to_owned()
            ),
            (VISIT, false, taken_over.join("; ")),
        ]
    );
    // Whatever PostgreSQL evaluates runs as the owner of the partitioned table.
    assert!(steps.iter().all(|step| step.evaluates), "{steps:#?}");
    assert_eq!(plan(&facts, &options).unwrap().refusal(), None);
    // The same without the note, if somebody has replaced the comment.
    let top = facts.tables.iter_mut().find(|table| table.oid == VISIT).unwrap();
    top.columns[2].comment = Some("it's known".to_owned());
    let mut without: Vec<Step> = left(&facts, &options);
    assert_eq!(without.pop().unwrap().statements.len(), 4);
    assert_eq!(words(&without), words(&steps[..2]));
}

/// PostgreSQL gives no foreign key to a partition that comes before the table has one.
#[test]
fn partitions_that_come_before_the_table_has_its_foreign_key_get_it_first() {
    let (mut facts, options) = rolled_back(None);
    facts.foreign_keys.push(part(VISIT_1, "visit_order_id_fkey", false));
    // The name is taken there.
    let new = facts.tables.iter_mut().find(|table| table.oid == VISIT_2_1).unwrap();
    new.checks.push(Check { name: "visit_order_id_fkey".to_owned(), ..Check::default() });
    let steps = left(&facts, &options);
    let statements: Vec<String> = steps.iter().take(3).map(|step| step.statements.join("; ")).collect();
    let comment = "of \"visits\": a) [b] (moved by a key migration, and not validated yet)";
    assert_eq!(
        statements,
        [
            format!(
                "ALTER TABLE shop.visit_2_1 ADD CONSTRAINT visit_order_id_fkey_1 {DEFINITION} NOT VALID; COMMENT ON CONSTRAINT visit_order_id_fkey_1 ON shop.visit_2_1 IS '{comment}'"
            ),
            "ALTER TABLE shop.visit_1 VALIDATE CONSTRAINT visit_order_id_fkey".to_owned(),
            "ALTER TABLE shop.visit_2_1 VALIDATE CONSTRAINT visit_order_id_fkey_1".to_owned(),
        ]
    );
    assert_eq!(steps.len(), 4);
    assert!(steps.iter().all(|step| step.evaluates && !step.done), "{steps:#?}");
    // No index comes to the other table while PostgreSQL reads both.
    assert_eq!(steps[2].other, Some((ORDERS, Lock::ShareUpdateExclusive)));
    assert_eq!(steps[3].other, Some((ORDERS, Lock::ShareRowExclusive)));
    // One whose properties differ would not become that of the table: PostgreSQL would add one and read
    // all rows.
    facts.foreign_keys.push(ForeignKey { deferrable: true, ..part(VISIT_2_1, "own", true) });
    assert_eq!(words(&left(&facts, &options))[..3], words(&steps)[..3]);
    facts.foreign_keys.pop();
    facts.foreign_keys.push(part(VISIT_2_1, "own", true));
    let added = left(&facts, &options);
    assert_eq!(
        words(&added)[..2],
        [
            (
                VISIT_1,
                false,
                vec!["ALTER TABLE shop.visit_1 VALIDATE CONSTRAINT visit_order_id_fkey".to_owned()]
            ),
            (VISIT_2_1, true, vec!["ALTER TABLE shop.visit_2_1 VALIDATE CONSTRAINT own".to_owned()]),
        ]
    );
}

#[test]
fn the_foreign_key_comes_back_when_no_partition_has_it_any_more() {
    let (mut facts, options) = rolled_back(None);
    for reference in &mut facts.references {
        reference.declared = false;
    }
    foreign_keys::declare(&mut facts, &options);
    assert!(facts.references.iter().any(|one| one.table == VISIT && one.declared));
    let tables = |facts: &Facts| left(facts, &options).iter().map(|step| step.table).collect::<Vec<_>>();
    assert_eq!(tables(&facts), [VISIT_1, VISIT_2_1, VISIT_1, VISIT_2_1, VISIT]);
    facts.tables.retain(|table| table.parent.is_none());
    let steps = left(&facts, &options);
    let [step] = &steps[..] else { panic!("{steps:?}") };
    assert_eq!(
        step.statements,
        [
            format!("ALTER TABLE shop.visit ADD CONSTRAINT visit_order_id_fkey {DEFINITION}"),
            "COMMENT ON CONSTRAINT visit_order_id_fkey ON shop.visit IS 'of \"visits\": a) [b]'".to_owned(),
            "COMMENT ON COLUMN shop.visit.order_id_new IS NULL".to_owned(),
        ]
    );
    assert!(step.evaluates);
    // It is there already.
    facts.foreign_keys.push(ForeignKey { child: VISIT, ..part(VISIT, "by_hand", true) });
    let steps = left(&facts, &options);
    assert_eq!(
        words(&steps),
        [(VISIT, false, vec!["COMMENT ON COLUMN shop.visit.order_id_new IS NULL".to_owned()])]
    );
}

/// A note that the owner has written is about columns of the migration, or it is none.
#[test]
fn notes_about_other_columns_are_ignored() {
    let (facts, options) = rolled_back(None);
    let noted = facts.table(VISIT).unwrap().columns[2].comment.clone().unwrap();
    for (from, to) in [
        ("\"columns\":[2]", "\"columns\":[1]"),
        ("\"parent_columns\":[1]", "\"parent_columns\":[2]"),
        ("\"parent\":", "\"parent\":9"),
        ("\"columns\":[2]", "\"columns\":[2"),
        ("\"set_columns\":[]", "\"set_columns\":[99]"),
    ] {
        let mut facts = facts.clone();
        let top = facts.tables.iter_mut().find(|table| table.oid == VISIT).unwrap();
        let other = noted.replacen(from, to, 1);
        assert_ne!(other, noted);
        top.columns[2].comment = Some(other);
        assert_eq!(left(&facts, &options), Vec::<Step>::new(), "{to}");
    }
}

#[test]
fn fault_a07_no_foreign_key_of_a_partition_is_validated_by_code_of_others() {
    let (mut facts, options) = rolled_back(None);
    facts.foreign_keys.push(part(VISIT_1, "visit_order_id_fkey", true));
    facts.foreign_keys.push(part(VISIT_2_1, "visit_order_id_fkey", false));
    for table in [VISIT_1, VISIT_2_1] {
        facts.strangers.push(Stranger { table, other: ORDERS, code: Vec::new() });
    }
    // Without such code, the lock keeps such an index from being added in the meantime.
    let steps = left(&facts, &options);
    assert_eq!(steps[1].other, Some((ORDERS, Lock::ShareUpdateExclusive)));
    let refused = |facts: &Facts| -> Vec<bool> {
        let scope = Scope::new(facts, &options).unwrap();
        steps.iter().map(|step| settle::refusal(&scope, step).is_some()).collect()
    };
    assert_eq!(refused(&facts), [false, false, false]);
    assert_eq!(plan(&facts, &options).unwrap().refusal(), None);
    facts.strangers[1].code.push(Code {
        kind: "index".to_owned(),
        name: "shop.evil_idx".to_owned(),
        function: "evil(integer)".to_owned(),
    });
    // That of the table, too: PostgreSQL would read a partition that has just come.
    assert_eq!(refused(&facts), [false, true, true]);
    let plan = plan(&facts, &options).unwrap();
    let error = plan.refusal().unwrap();
    assert_eq!(error.sqlstate, SqlState::InsufficientPrivilege);
    assert!(
        error.message.starts_with(
            "validating foreign key \"visit_order_id_fkey\" of table \"shop.visit_2_1\" would run functions"
        ),
        "{}",
        error.message
    );
}
