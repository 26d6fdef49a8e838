//! The findings on where keys take their time from.

use super::facts::Column;
use super::finding::Finding;
use super::key_reference;
use super::key_time::{self, TimeState};
use super::old_id::IdKind;
use super::scope::{Key, Scope};
use super::time_source::{TimeReference, TimeSource, TimeType};
use crate::error::{Error, SqlState};
use crate::sql::{in_message, qualified, quoted};

/// All of them.
pub(super) fn find(scope: &Scope<'_>) -> Vec<Finding> {
    // A key that refers to another one cannot be migrated by itself, whatever its time is.
    let own = |key: &&Key<'_>| key_reference::parent(scope.facts, key).is_none();
    scope.keys.iter().filter(own).flat_map(|key| of_key(scope, key)).collect()
}

fn of_key(scope: &Scope<'_>, key: &Key<'_>) -> Vec<Finding> {
    let table = key.column.table;
    match &key.time.state {
        TimeState::Undetermined(error) => return vec![Finding::error(table, error.clone())],
        TimeState::Lost(what) => {
            return vec![Finding::warning(
                table,
                what.clone(),
                format!("Rows that have no key yet {} Keys that exist stay as they are.", without_time(key)),
            )];
        }
        TimeState::Known => {}
    }
    let mut found = match &key.time.source {
        TimeSource::Column { number, .. } => {
            table.column(*number).map(|column| of_column(key, column)).unwrap_or_default()
        }
        TimeSource::Reference(of) => of_reference(scope, key, of),
        TimeSource::Expression { .. } | TimeSource::Constant => Vec::new(),
    };
    found.extend(of_ids_given_away(scope, key));
    found
}

/// Texts are often names, which another row can get later. Its key is that of the row that had the name
/// before, unless their times differ.
fn of_ids_given_away(scope: &Scope<'_>, key: &Key<'_>) -> Option<Finding> {
    let table = key.column.table;
    let is_date = |type_name: &str| TimeType::of(type_name) == Some(TimeType::Date);
    let (what, when) = match &key.time.source {
        TimeSource::Constant => ("no time", ""),
        TimeSource::Column { number, .. } if is_date(&table.column(*number)?.type_name) => {
            ("only a date as time", ", with the same date,")
        }
        TimeSource::Reference(of) => {
            let parent = key_time::parent(scope.facts, table, of)?;
            let time = parent.columns.iter().find(|column| column.number == of.time)?;
            if !is_date(&time.type_name) {
                return None;
            }
            ("only a date as time", ", with the same date,")
        }
        TimeSource::Column { .. } | TimeSource::Expression { .. } => return None,
    };
    let is_text = key.column.old_id.id_kind() == Some(IdKind::Text);
    is_text.then(|| {
        Finding::warning(
            table,
            format!("keys of table {} have {what}", in_message(&qualified(&table.schema, &table.name))),
            format!(
                "If the id of a row is changed, and another row{when} gets the former id before the phase \"indexed\", both have \
                 the same key, and the index on keys cannot be built. Give no ids to other rows until then. Afterwards the \
                 later row gets another key."
            ),
        )
    })
}

/// The keys of rows without a time.
fn without_time(key: &Key<'_>) -> String {
    format!("get keys with the time 1970-01-01, in {}.", order(key))
}

/// The order of keys that have the same time.
fn order(key: &Key<'_>) -> &'static str {
    if key.column.old_id.id_kind() == Some(IdKind::Integer) {
        "the order of their old ids"
    } else {
        "no particular order"
    }
}

fn of_column(key: &Key<'_>, column: &Column) -> Vec<Finding> {
    let table = key.column.table;
    let name = qualified(&table.schema, &table.name);
    let of = format!("column \"{}\" of table {}", column.name, in_message(&name));
    let mut found = Vec::new();
    if !column.not_null {
        let part = match column.null_thousandths {
            Some(0) | None => String::new(),
            Some(part) => format!(" (in about {part} of 1000 rows)"),
        };
        found.push(Finding::warning(
            table,
            format!("{of} can be null{part}"),
            format!("Rows whose time is null, infinite, or before 1970 {}", without_time(key)),
        ));
    }
    if let Some(rows) = rows_for_each_time(column) {
        found.push(Finding::warning(
            table,
            format!("{of} has about {rows} rows per distinct time"),
            format!("The keys of such rows are distinct, and in {}.", order(key)),
        ));
    }
    found
}

/// How many rows share a time, if more than one.
fn rows_for_each_time(timestamp: &Column) -> Option<i64> {
    let distinct = timestamp.distinct_thousandths?;
    let rows = distinct.checked_add(2_000)?.checked_div(distinct.checked_mul(2)?)?;
    (rows > 1).then_some(rows)
}

fn of_reference(scope: &Scope<'_>, key: &Key<'_>, of: &TimeReference) -> Vec<Finding> {
    let table = key.column.table;
    let name = qualified(&table.schema, &table.name);
    let mut found = Vec::new();
    if let Some(column) = table.column(of.column).filter(|column| !column.not_null) {
        found.push(Finding::warning(
            table,
            format!("column \"{}\" of table {} can be null", column.name, in_message(&name)),
            format!("Rows that refer to no row with a time {}", without_time(key)),
        ));
    }
    let Some(parent) = key_time::parent(scope.facts, table, of) else { return found };
    if parent.may_read(Some(of.time)) {
        return found;
    }
    let role = quoted(&parent.owner);
    let other = parent.name_sql();
    let message =
        format!("owner {role} of table {} cannot read table {}", in_message(&name), in_message(&other));
    let error = Error::new(SqlState::InsufficientPrivilege, message);
    found.push(Finding::error(
        table,
        if parent.hides_rows {
            error
                .detail("Keys take their time from that table, but its row-level security policies apply to the owner.")
                .hint(format!("ALTER ROLE {role} BYPASSRLS, or give both tables the same owner."))
        } else {
            let mut grants = Vec::new();
            if !parent.may_use_schema {
                grants.push(format!("GRANT USAGE ON SCHEMA {} TO {role}", quoted(&parent.schema)));
            }
            grants.push(format!("GRANT SELECT ON {other} TO {role}"));
            error.detail("Keys take their time from that table.").hint(format!("{}.", grants.join("; ")))
        },
    ));
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::facts::{Facts, TimeColumn, TimeParent};
    use super::super::tests::{ORDERS, column, options, shop};
    use super::super::{Scope, TimeRequest};

    /// The warnings that the keys of orders have a certain time, or none.
    fn warnings(facts: &Facts, request: &TimeRequest) -> Vec<String> {
        let mut options = options();
        options.keys[0].request = request.clone();
        let found = super::find(&Scope::new(facts, &options).unwrap());
        let messages = found.into_iter().map(|finding| finding.error.message);
        messages.filter(|message| message.starts_with("keys of table")).collect()
    }

    /// Orders whose id, references to it and time have these types.
    fn orders(id: &str, time: &str) -> Facts {
        let mut facts = shop();
        let orders = &mut facts.tables[0];
        orders.columns.retain(|column| column.name != "created_at");
        orders.columns.push(column(10, "at", time, true));
        orders.column_count = 10;
        orders.columns[0].type_name = id.to_owned();
        facts
    }

    #[test]
    fn texts_that_another_row_can_have_later_need_a_time_that_differs() {
        let none = TimeRequest { constant: true, ..TimeRequest::default() };
        let at = TimeRequest {
            column: Some("at".to_owned()),
            zone: Some("UTC".to_owned()),
            ..TimeRequest::default()
        };
        assert_eq!(warnings(&orders("text", "date"), &none), ["keys of table \"shop.orders\" have no time"]);
        assert_eq!(
            warnings(&orders("character varying", "date"), &at),
            ["keys of table \"shop.orders\" have only a date as time"]
        );
        assert_eq!(warnings(&orders("text", "timestamp without time zone"), &at), [""; 0]);
        for id in ["bigint", "uuid"] {
            assert_eq!(warnings(&orders(id, "date"), &none), [""; 0]);
            assert_eq!(warnings(&orders(id, "date"), &at), [""; 0]);
        }
    }

    #[test]
    fn so_do_those_that_take_it_from_another_row() {
        let mut facts = orders("text", "date");
        let time = |number, name: &str, type_name: &str| TimeColumn {
            number,
            name: name.to_owned(),
            type_name: type_name.to_owned(),
            declared_type: type_name.to_owned(),
            not_null: true,
            is_unique: name == "id",
            ..TimeColumn::default()
        };
        facts.time_parents = vec![TimeParent {
            child: ORDERS,
            column: 3,
            parent: 77,
            parent_column: 1,
            has_rights: true,
            columns: vec![
                time(1, "id", "integer"),
                time(2, "day", "date"),
                time(3, "at", "timestamp with time zone"),
            ],
            ..TimeParent::default()
        }];
        let request = |column: &str, zone: Option<&str>| TimeRequest {
            reference: Some("replaces".to_owned()),
            column: Some(column.to_owned()),
            zone: zone.map(ToOwned::to_owned),
            ..TimeRequest::default()
        };
        let found = warnings(&facts, &request("day", Some("UTC")));
        assert_eq!(found, ["keys of table \"shop.orders\" have only a date as time"]);
        assert_eq!(warnings(&facts, &request("at", None)), [""; 0]);
    }
}
