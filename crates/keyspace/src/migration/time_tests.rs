//! Sources of times: what is asked for, what is proposed, and what is left of them.

#![allow(clippy::unwrap_used)]

use super::facts::{Facts, TimeColumn, TimeParent};
use super::key_time::KeyTime;
use super::surroundings::{KeySource, Surroundings};
use super::tests::{AUDIT, ORDERS, column, options, roll_back, shop, statements, verified};
use super::time_source::{TimeReference, TimeSource};
use super::{KeyOptions, Options, Phase, Scope, Severity, TimeRequest, cutover, plan};
use crate::{Error, SqlState};

const LOCAL: &str = "timestamp without time zone";
const INSTANT: &str = "timestamp with time zone";

/// Orders with these columns in the place of their time.
fn orders_with(columns: &[(&str, &str, bool)]) -> Facts {
    let mut facts = shop();
    let orders = &mut facts.tables[0];
    orders.columns.retain(|column| column.name != "created_at");
    for (number, (name, type_name, not_null)) in (10..).zip(columns) {
        orders.columns.push(column(number, name, type_name, *not_null));
        orders.column_count = number;
    }
    facts
}

fn asked(request: TimeRequest) -> Options {
    let mut options = options();
    options.keys[0].request = request;
    options
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn source(facts: &Facts, options: &Options) -> TimeSource {
    let scope = Scope::new(facts, options).unwrap();
    let plan = plan::plan(facts, options).unwrap();
    assert_eq!(plan.refusal(), None);
    scope.keys[0].time.source.clone()
}

fn refusal(facts: &Facts, options: &Options) -> Error {
    match plan::plan(facts, options) {
        Err(error) => error,
        Ok(plan) => plan.refusal().cloned().unwrap(),
    }
}

/// A foreign key of the column "replaces" of orders to a table with these columns.
fn parent(columns: &[(i16, &str, &str)]) -> TimeParent {
    let columns = columns.iter().map(|(number, name, type_name)| TimeColumn {
        number: *number,
        name: (*name).to_owned(),
        type_name: (*type_name).to_owned(),
        declared_type: (*type_name).to_owned(),
        not_null: true,
        generated: String::new(),
        collation: None,
        is_unique: *name == "id",
    });
    TimeParent {
        child: ORDERS,
        column: 3,
        parent: 77,
        parent_column: 1,
        schema: "shop".to_owned(),
        name: "Baskets".to_owned(),
        owner: "shop owner".to_owned(),
        has_rights: true,
        columns: columns.collect(),
        ..TimeParent::default()
    }
}

#[test]
fn a_local_time_needs_a_zone_which_is_never_assumed() {
    let facts = orders_with(&[("created_at", LOCAL, true)]);
    let error = refusal(&facts, &options());
    assert_eq!(error.sqlstate, SqlState::InvalidParameterValue);
    assert_eq!(
        error.hint.unwrap(),
        "Use SELECT key_migration_create('shop.orders', timestamp_column => 'created_at', time_zone => 'UTC'), \
         with the time zone in which the application writes that column."
    );
    let named = TimeRequest { column: text("created_at"), ..TimeRequest::default() };
    let error = refusal(&facts, &asked(named.clone()));
    assert_eq!(
        error.message,
        "column \"created_at\" of table \"shop.orders\" is of type timestamp without time zone"
    );
    assert!(error.hint.unwrap().contains("timestamp_column => 'created_at', time_zone => 'UTC'"));
    let zone = TimeRequest { zone: text("Europe/Berlin"), ..named };
    let options = asked(zone);
    assert_eq!(source(&facts, &options), TimeSource::Column { number: 10, zone: text("Europe/Berlin") });
    // With a zone, the column need not be named.
    assert_eq!(
        source(&facts, &asked(TimeRequest { zone: text("UTC"), ..TimeRequest::default() })),
        TimeSource::Column { number: 10, zone: text("UTC") }
    );
    let prepared = statements(&facts, &options, Phase::Prepared);
    assert!(prepared.iter().any(|one| one.ends_with("'10 Europe/Berlin')")), "{prepared:#?}");
    // Times for which the conversion would fail are left out.
    let filled = statements(&facts, &options, Phase::Backfilled);
    assert!(
        filled[0].contains(
            "CASE WHEN t.created_at::pg_catalog.timestamp OPERATOR(pg_catalog.>=) '1969-12-01'::pg_catalog.timestamp \
             AND t.created_at::pg_catalog.timestamp OPERATOR(pg_catalog.<) '10889-10-01'::pg_catalog.timestamp \
             THEN pg_catalog.timezone('Europe/Berlin'::pg_catalog.text, t.created_at::pg_catalog.timestamp) END, "
        ),
        "{}",
        filled[0]
    );
}

#[test]
fn an_instant_needs_no_zone_and_a_date_has_one() {
    let facts = orders_with(&[("created_at", INSTANT, true), ("day", "date", true)]);
    let zone = TimeRequest { column: text("created_at"), zone: text("UTC"), ..TimeRequest::default() };
    let error = refusal(&facts, &asked(zone));
    assert_eq!(
        (error.sqlstate, error.hint.as_deref()),
        (SqlState::InvalidParameterValue, Some("Leave out time_zone."))
    );
    let day = TimeRequest { column: text("day"), ..TimeRequest::default() };
    assert_eq!(source(&facts, &asked(day.clone())), TimeSource::Column { number: 11, zone: text("UTC") });
    let day = TimeRequest { zone: text("Asia/Tokyo"), ..day };
    assert_eq!(source(&facts, &asked(day)), TimeSource::Column { number: 11, zone: text("Asia/Tokyo") });
}

#[test]
fn sources_cannot_be_mixed() {
    let facts = shop();
    let both = |request: TimeRequest| refusal(&facts, &asked(request)).message;
    assert_eq!(
        both(TimeRequest { constant: true, column: text("created_at"), ..TimeRequest::default() }),
        "without_timestamp and timestamp_column cannot be used together"
    );
    assert_eq!(
        both(TimeRequest {
            expression: text("now()"),
            reference: text("replaces"),
            ..TimeRequest::default()
        }),
        "timestamp_expression and timestamp_reference cannot be used together"
    );
    assert_eq!(
        both(TimeRequest { constant: true, zone: text("UTC"), ..TimeRequest::default() }),
        "without_timestamp and time_zone cannot be used together"
    );
    let with_zone = TimeRequest { expression: text("day"), zone: text("UTC"), ..TimeRequest::default() };
    assert_eq!(with_zone.check(), Ok(()));
}

#[test]
fn the_best_source_is_proposed() {
    let proposed = |columns: &[(&str, &str, bool)], parents: Vec<TimeParent>| {
        let mut facts = orders_with(columns);
        facts.time_parents = parents;
        facts.tables[0]
            .columns
            .iter_mut()
            .filter(|column| column.name == "replaces")
            .for_each(|column| column.not_null = true);
        let hint = refusal(&facts, &options()).hint.unwrap();
        let call = hint.split_once("'shop.orders'").unwrap().1;
        call.split_once(')').unwrap().0.trim_start_matches(", ").to_owned()
    };
    // A name that tells of the insertion, before others, and a type with a zone before others.
    assert_eq!(
        proposed(&[("made", INSTANT, true), ("inserted_on", INSTANT, true)], Vec::new()),
        "timestamp_column => 'inserted_on'"
    );
    assert_eq!(
        proposed(
            &[("updated_at", INSTANT, true), ("deleted_at", INSTANT, false), ("made", LOCAL, true)],
            Vec::new()
        ),
        "timestamp_column => 'made', time_zone => 'UTC'"
    );
    assert_eq!(proposed(&[("day", "date", true)], Vec::new()), "timestamp_column => 'day'");
    // The row that it belongs to, rather than a time that changes.
    let basket = parent(&[(1, "id", "bigint"), (2, "Created At", LOCAL)]);
    assert_eq!(
        proposed(&[("birthday", "date", false)], vec![basket.clone()]),
        "timestamp_reference => 'replaces', timestamp_column => 'Created At', time_zone => 'UTC'"
    );
    // But not one that its owner may not read, or whose time changes.
    let secret = TimeParent { has_rights: false, ..basket };
    assert_eq!(proposed(&[("birthday", "date", false)], vec![secret]), "timestamp_column => 'birthday'");
    let changing = parent(&[(1, "id", "bigint"), (2, "updated_at", INSTANT)]);
    assert_eq!(proposed(&[], vec![changing]), "without_timestamp => true");
    assert_eq!(proposed(&[], Vec::new()), "without_timestamp => true");
}

/// GitLab's issues have an old `created_at` without a zone, and a newer `closed_at` with one.
#[test]
fn the_only_time_with_a_zone_is_not_taken_if_another_column_is_better() {
    let facts = orders_with(&[("closed_at", INSTANT, false), ("inserted", LOCAL, false)]);
    let error = refusal(&facts, &options());
    assert_eq!(
        error.detail.unwrap(),
        "The table has one column of type timestamp with time zone, but another one seems to be the time at which rows are inserted."
    );
    assert_eq!(
        error.hint.unwrap(),
        "Use SELECT key_migration_create('shop.orders', timestamp_column => 'inserted', time_zone => 'UTC'), \
         with the time zone in which the application writes that column."
    );
    // The caller may want it nevertheless, and it is taken where there is nothing better.
    let named = TimeRequest { column: text("closed_at"), ..TimeRequest::default() };
    assert_eq!(source(&facts, &asked(named)), TimeSource::Column { number: 10, zone: None });
    let alone = orders_with(&[("closed_at", INSTANT, false), ("birthday", "date", true)]);
    assert_eq!(source(&alone, &options()), TimeSource::Column { number: 10, zone: None });
}

/// MusicBrainz' tables have a `last_updated` alone, which a trigger sets at each change.
#[test]
fn a_time_whose_name_says_that_it_changes_is_not_taken_without_being_asked_for() {
    for name in ["last_updated", "updated_at", "modifiedOn", "changed", "lastEdit", "date_modified"] {
        let facts = orders_with(&[(name, INSTANT, true)]);
        let error = refusal(&facts, &options());
        assert_eq!(error.sqlstate, SqlState::InvalidParameterValue, "{name}");
        assert_eq!(
            error.detail.unwrap(),
            format!(
                "The table has one column of type timestamp with time zone, but the name of \"{name}\" says that it changes with the row."
            )
        );
        assert_eq!(
            error.hint.unwrap(),
            format!(
                "Use SELECT key_migration_create('shop.orders', timestamp_column => '{name}'). Or use without_timestamp => true in its place, \
                 if \"{name}\" changes with the row: all keys then have the time 1970-01-01, and are in the order of the old ids."
            )
        );
        let named = TimeRequest { column: text(name), ..TimeRequest::default() };
        assert_eq!(source(&facts, &asked(named)), TimeSource::Column { number: 10, zone: None });
    }
    // With a zone, too; and the time of another row.
    let zone = TimeRequest { zone: text("UTC"), ..TimeRequest::default() };
    let error = refusal(&orders_with(&[("updated_at", LOCAL, true)]), &asked(zone));
    assert!(error.detail.unwrap().contains("\"updated_at\" says that it changes"));
    let mut facts = orders_with(&[]);
    facts.time_parents = vec![parent(&[(1, "id", "integer"), (2, "updated_at", INSTANT)])];
    let request = TimeRequest { reference: text("replaces"), ..TimeRequest::default() };
    let error = refusal(&facts, &asked(request));
    assert!(error.detail.unwrap().starts_with("Table shop.\"Baskets\" has one column"));
    assert!(
        error.hint.unwrap().contains("timestamp_reference => 'replaces', timestamp_column => 'updated_at'")
    );
    // Other names say nothing of this kind.
    for name in ["exchanged_at", "credited_at", "plastic_since", "made"] {
        let facts = orders_with(&[(name, INSTANT, true)]);
        assert_eq!(source(&facts, &options()), TimeSource::Column { number: 10, zone: None }, "{name}");
    }
}

#[test]
fn a_key_that_refers_to_another_one_has_no_key_of_its_own() {
    let mut facts = orders_with(&[]);
    facts.time_parents = vec![parent(&[(1, "id", "bigint"), (2, "created_at", INSTANT)])];
    facts.time_parents[0].column = 1;
    let error = refusal(&facts, &options());
    assert_eq!(error.message, "the key of table \"shop.orders\" refers to table shop.\"Baskets\"");
    assert_eq!(
        error.hint.unwrap(),
        "Migrate the key of the other table, which includes this one: \
         SELECT key_migration_create('shop.\"Baskets\"'). Or drop the foreign key before."
    );
    // Whatever its time is; and there is no other error.
    let constant = asked(TimeRequest { constant: true, ..TimeRequest::default() });
    assert_eq!(refusal(&facts, &constant).message, error.message);
    let plan = plan::plan(&facts, &options()).unwrap();
    let errors = plan.findings.iter().filter(|finding| finding.severity == Severity::Error);
    assert_eq!(errors.count(), 1);
    // Its values come with the rows that it refers to.
    let source = KeySource { table: facts.tables[0].oid, ..KeySource::default() };
    facts.surroundings = Some(Surroundings { keys: vec![source], ..Surroundings::default() });
    let plan = plan::plan(&facts, &options()).unwrap();
    assert!(plan.findings.iter().all(|finding| !finding.error.message.contains("has no default")));
    facts.surroundings = None;
    // A key of a migration that was created takes its time from there.
    let mut created = options();
    created.keys[0].time = Some(TimeSource::Reference(TimeReference {
        column: 1,
        parent: 77,
        parent_column: 1,
        time: 2,
        zone: None,
    }));
    assert_eq!(plan::plan(&facts, &created).unwrap().refusal(), None);
    // A reference to itself is another matter.
    facts.time_parents[0].parent = ORDERS;
    assert_eq!(plan::plan(&facts, &constant).unwrap().refusal(), None);
}

#[test]
fn the_proposal_for_another_key_is_a_call_that_adds_it() {
    let mut facts = orders_with(&[("created_at", INSTANT, true)]);
    facts.tables[1].columns.push(column(3, "at", LOCAL, true));
    facts.tables[1].indexes[0].keys.pop();
    facts.references.clear();
    facts.foreign_keys.clear();
    let mut options = options();
    options.keys.push(KeyOptions { table: AUDIT, salt: "a".to_owned(), ..KeyOptions::default() });
    let error = refusal(&facts, &options);
    assert_eq!(
        error.hint.unwrap(),
        "Use SELECT key_migration_add_key('shop.orders', 'shop.\"Audit\"', timestamp_column => 'at', time_zone => 'UTC'), \
         with the time zone in which the application writes that column."
    );
}

#[test]
fn without_a_time_keys_are_in_the_order_of_old_ids() {
    let facts = orders_with(&[]);
    let options = asked(TimeRequest { constant: true, ..TimeRequest::default() });
    assert_eq!(source(&facts, &options), TimeSource::Constant);
    let filled = statements(&facts, &options, Phase::Backfilled);
    assert!(
        filled[0]
            .contains("keyspace.key_migration_uuid(NULL::pg_catalog.timestamptz, t.id::pg_catalog.int8, ")
    );
    assert!(statements(&facts, &options, Phase::Prepared).iter().any(|one| one.ends_with("'none')")));
}

#[test]
fn the_time_of_a_referenced_row() {
    let mut facts = orders_with(&[]);
    facts.time_parents = vec![parent(&[(1, "id", "integer"), (2, "created_at", INSTANT), (3, "At", LOCAL)])];
    let request = TimeRequest { reference: text("replaces"), ..TimeRequest::default() };
    let of = |time, zone| {
        TimeSource::Reference(TimeReference { column: 3, parent: 77, parent_column: 1, time, zone })
    };
    assert_eq!(source(&facts, &asked(request.clone())), of(2, None));
    let local = TimeRequest { column: text("At"), ..request.clone() };
    let error = refusal(&facts, &asked(local.clone()));
    assert_eq!(
        error.message,
        "column \"At\" of table shop.\"Baskets\" is of type timestamp without time zone"
    );
    assert!(
        error
            .hint
            .unwrap()
            .contains("timestamp_reference => 'replaces', timestamp_column => 'At', time_zone => 'UTC'")
    );
    let zoned = asked(TimeRequest { zone: text("UTC"), ..local });
    assert_eq!(source(&facts, &zoned), of(3, text("UTC")));
    let filled = statements(&facts, &zoned, Phase::Backfilled);
    assert!(
        filled[0].contains("FROM ONLY shop.\"Baskets\" AS r WHERE r.id OPERATOR(pg_catalog.=) t.replaces)"),
        "{}",
        filled[0]
    );
    // A query with triggers leaves the work to the trigger, which fails no statement.
    let fired = Options { fire_triggers: true, ..zoned };
    let filled = statements(&facts, &fired, Phase::Backfilled);
    assert!(
        filled[0].contains("SET id_new = COALESCE(t.id_new, t.id_new), replaces_new = "),
        "{}",
        filled[0]
    );
    // What cannot be looked up.
    let error = refusal(&facts, &asked(TimeRequest { reference: text("id"), ..TimeRequest::default() }));
    assert_eq!(error.sqlstate, SqlState::UndefinedObject);
    let error = refusal(&facts, &asked(TimeRequest { reference: text("none"), ..TimeRequest::default() }));
    assert_eq!(error.sqlstate, SqlState::UndefinedColumn);
    facts.time_parents[0].columns[0].type_name = "text".to_owned();
    let error = refusal(&facts, &asked(request.clone()));
    assert_eq!(error.sqlstate, SqlState::DatatypeMismatch);
    // Its owner must be allowed to read it.
    facts.time_parents = vec![TimeParent {
        has_rights: false,
        may_use_schema: true,
        ..parent(&[(1, "id", "integer"), (2, "created_at", INSTANT)])
    }];
    let error = refusal(&facts, &asked(request.clone()));
    assert_eq!(error.hint.unwrap(), "GRANT SELECT ON shop.\"Baskets\" TO \"shop owner\".");
    facts.time_parents[0].may_select_columns = vec![1, 2];
    assert_eq!(source(&facts, &asked(request.clone())), of(2, None));
    facts.time_parents[0].hides_rows = true;
    assert_eq!(refusal(&facts, &asked(request)).sqlstate, SqlState::InsufficientPrivilege);
}

#[test]
fn the_time_of_a_row_that_a_text_refers_to() {
    let mut facts = orders_with(&[]);
    let mut baskets = parent(&[(1, "id", "text"), (2, "created_at", INSTANT)]);
    baskets.columns[0].collation = text("c.\"POSIX\"");
    facts.time_parents = vec![baskets];
    let found = |type_name: &str, collation: &str, is_nondeterministic: bool| {
        let mut table = facts.tables[0].clone();
        let by = table.columns.iter_mut().find(|column| column.number == 3).unwrap();
        by.type_name = type_name.to_owned();
        (by.collation, by.is_nondeterministic) = (text(collation), is_nondeterministic);
        let asked = asked(TimeRequest { reference: text("replaces"), ..TimeRequest::default() });
        KeyTime::of(&facts, &table, &asked.keys[0], None).map(|time| time.sql(&facts, &table, "t"))
    };
    // In the collation of the column with the index, which finds the row.
    let of = "(SELECT r.created_at::pg_catalog.timestamptz FROM ONLY shop.\"Baskets\" AS r WHERE r.id OPERATOR(pg_catalog.=) t.replaces";
    assert_eq!(found("text", "c.\"POSIX\"", false).unwrap(), format!("{of})"));
    let other = found("character varying", "c.\"de\"", false).unwrap();
    assert_eq!(other, format!("{of} COLLATE c.\"POSIX\")"));
    for (type_name, is_nondeterministic) in [("text", true), ("character", false), ("uuid", false)] {
        let error = found(type_name, "c.\"POSIX\"", is_nondeterministic).unwrap_err();
        assert_eq!(error.sqlstate, SqlState::DatatypeMismatch, "{type_name}");
    }
}

#[test]
fn the_columns_of_an_expression_follow_their_names() {
    let mut facts = orders_with(&[("Seconds", "bigint", true)]);
    let mut options = options();
    let text = "to_timestamp(($10)::double precision)".to_owned();
    options.keys[0].time = Some(TimeSource::Expression { text, zone: None });
    let filled = statements(&facts, &options, Phase::Backfilled);
    assert!(
        filled[0].contains("(to_timestamp((t.\"Seconds\")::double precision))::pg_catalog.timestamptz"),
        "{}",
        filled[0]
    );
    facts.tables[0].columns.last_mut().unwrap().name = "s".to_owned();
    let filled = statements(&facts, &options, Phase::Backfilled);
    assert!(filled[0].contains("(t.s)::double precision"), "{}", filled[0]);
}

#[test]
fn fault_c06_a_time_that_is_gone_hinders_nothing() {
    let lost = |change: &dyn Fn(&mut Facts, &mut Options)| {
        let (mut facts, mut options) = verified();
        change(&mut facts, &mut options);
        let plan = plan::plan(&facts, &options).unwrap();
        assert_eq!(plan.refusal(), None);
        // Everything is still done, and can be taken back.
        assert_eq!(plan.left(Phase::Validated).filter(|step| step.phase > Phase::Backfilled).count(), 0);
        assert!(!cutover::remove(&facts, &options).is_empty());
        options.cut_over = true;
        assert!(!roll_back(&facts, &options).is_empty());
        let warnings: Vec<_> =
            plan.findings.into_iter().filter(|one| one.severity == Severity::Warning).collect();
        let found = warnings.iter().find(|one| one.error.hint.as_ref().unwrap().contains("no key yet"));
        found.map(|found| found.error.message.clone())
    };
    assert_eq!(lost(&|_, _| {}), None);
    assert_eq!(
        lost(&|facts, _| facts.tables[0].columns.retain(|column| column.number != 2)).unwrap(),
        "the timestamp column of table \"shop.orders\" no longer exists"
    );
    let retyped = |type_name: &'static str| {
        lost(&move |facts, _| {
            let time = facts.tables[0].columns.iter_mut().find(|column| column.number == 2).unwrap();
            type_name.clone_into(&mut time.type_name);
            type_name.clone_into(&mut time.declared_type);
        })
    };
    assert_eq!(
        retyped("text").unwrap(),
        "column \"created_at\" of table \"shop.orders\" is now of type text, so keys cannot take their time from it"
    );
    // Without a zone, a local time is none.
    assert!(retyped(LOCAL).is_some());
    let reference =
        TimeSource::Reference(TimeReference { column: 3, parent: 77, parent_column: 1, time: 2, zone: None });
    let with_parent = |parents: Vec<TimeParent>| {
        lost(&|facts, options| {
            options.keys[0].time = Some(reference.clone());
            facts.time_parents.clone_from(&parents);
        })
    };
    assert_eq!(
        with_parent(Vec::new()).unwrap(),
        "the table from which keys of table \"shop.orders\" take their time no longer exists"
    );
    assert!(
        with_parent(vec![parent(&[(1, "id", "bigint")])])
            .unwrap()
            .contains("shop.\"Baskets\" no longer exists")
    );
    assert!(
        with_parent(vec![parent(&[(1, "no", "bigint"), (2, "at", INSTANT)])])
            .unwrap()
            .contains("unique index")
    );
    assert_eq!(with_parent(vec![parent(&[(1, "id", "bigint"), (2, "at", INSTANT)])]), None);
    let expression = |text: &'static str, failed: Option<&'static str>| {
        lost(&move |facts, options| {
            let text = text.to_owned();
            options.keys[0].time = Some(TimeSource::Expression { text, zone: None });
            facts.failed_times = failed.map(|why| (ORDERS, why.to_owned())).into_iter().collect();
        })
    };
    assert_eq!(expression("f($2)", None), None);
    assert!(expression("f($9)", None).unwrap().contains("a column of the timestamp expression"));
    assert!(
        expression("f($2)", Some("Function f does not exist."))
            .unwrap()
            .ends_with(": Function f does not exist.")
    );
}
