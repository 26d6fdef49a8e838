//! Columns that look like references to a key, without a foreign key that declares them. About half of
//! all references have none. The plan proposes to add them, with the share of a sample of their values
//! that are ids of the table.

use super::candidate_reference::{Candidate, Sample, Undeclared};
use super::facts::Table;
use super::finding::{Finding, MAX_LISTED, Severity};
use super::member::Member;
use super::name_words::{base, words};
use super::reference_name::has_name;
use super::scope::{Key, Scope};
use super::type_column::{can_be_type, is_type_of};
use crate::error::{Error, SqlState};
use crate::sql::{literal, qualified, quoted};

/// What follows or precedes the name of a table in the name of a reference to it.
const ENDS: [&str; 4] = ["id", "ref", "fk", "key"];
const BEGINS: [&str; 2] = ["id", "fk"];
/// The number of columns of which a sample is read.
pub const MOST_SAMPLED: usize = 20;
/// Values that applications write where they mean no row.
const MEANS_NONE: [i64; 2] = [0, -1];

impl Candidate {
    /// The column next to it that says to which table it refers, unless its own name says that it is
    /// this one. Its name, and whether it is a text.
    fn type_column(&self, key: &Table) -> Option<(&str, bool)> {
        let base = base(&self.column);
        let is_type =
            |other: &&(String, String)| can_be_type(&other.1) && is_type_of(&words(&other.0), &base, key);
        let (name, type_name) = self.others.iter().find(is_type)?;
        let is_text = ["text", "character varying", "character"].contains(&type_name.as_str());
        Some((name, is_text))
    }
}

/// The values of a reference among which a share is ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Share {
    all: usize,
    numbers: usize,
    matching: usize,
    /// A value that means no row, and how often it occurs.
    none: Option<(i64, usize)>,
}

impl Sample {
    /// The share of the values of these kinds; of all of them if `kind` is `None`.
    fn share(&self, kind: Option<&str>) -> Share {
        let values = self.values.iter().filter(|value| kind.is_none() || value.0.as_deref() == kind);
        let mut share = Share::default();
        for (_, number) in values {
            share.all += 1;
            let Some(number) = number else { continue };
            share.numbers += 1;
            if self.ids.contains(number) {
                share.matching += 1;
            } else if MEANS_NONE.contains(number) && share.none.is_none_or(|none| none.0 == *number) {
                share.none = Some((*number, share.none.map_or(0, |none| none.1) + 1));
            }
        }
        share
    }

    /// The kinds of rows that the type column calls by the name of a table.
    fn kinds_of(&self, table: &Table) -> Vec<String> {
        let mut kinds: Vec<&String> = self
            .values
            .iter()
            .filter_map(|(kind, _)| kind.as_ref())
            .filter(|kind| names(kind, table))
            .collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds.into_iter().take(MAX_LISTED).cloned().collect()
    }
}

impl Share {
    /// Whether most of the values that mean a row are ids of the table. Nothing is known without any.
    fn is_likely(self) -> bool {
        let none = self.none.map_or(0, |none| none.1);
        2 * self.matching >= self.all.saturating_sub(none)
    }

    fn text(self) -> String {
        let Self { all, numbers, matching, none } = self;
        let mut text = match (all, matching) {
            (0, _) => return "A sample of rows has no values.".to_owned(),
            (1, 1) => "The only value of a sample of rows is an id of that table".to_owned(),
            _ if all == matching => format!("All {all} values of a sample of rows are ids of that table"),
            _ => format!("{matching} of {all} values of a sample of rows are ids of that table"),
        };
        if let Some((value, count)) = none {
            text.push_str(&format!("; {count} are {value}, which seems to mean none"));
        }
        if numbers < all {
            text.push_str(&format!("; {} are no numbers", all - numbers));
        }
        text.push('.');
        text
    }
}

/// Whether a value of a type column is the name of a table: `Order`, `shop.orders`, `Shop::Order`.
fn names(kind: &str, table: &Table) -> bool {
    let last = kind.rsplit([':', '\\', '.', '/']).next().unwrap_or_default();
    has_name(&words(last), table)
}

/// The names that a reference to a table can have, in lower case and without anything between the
/// words: `orderid` for `orders`, `shop_orders` and `Order`.
pub fn names_of_references(table: &str) -> Vec<String> {
    let words = words(table);
    let mut found = Vec::new();
    for from in 0..words.len() {
        let name = words.get(from..).unwrap_or_default().concat();
        let mut singular = vec![name.clone()];
        singular.extend(["s", "es"].iter().filter_map(|end| Some(name.strip_suffix(end)?.to_owned())));
        singular.extend(name.strip_suffix("ies").map(|stem| format!("{stem}y")));
        for name in singular.into_iter().filter(|name| name.chars().count() > 1) {
            found.extend(ENDS.iter().map(|end| format!("{name}{end}")));
            found.extend(BEGINS.iter().map(|begin| format!("{begin}{name}")));
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// The keys that candidates may refer to, the most likely columns first: those that have the name of the
/// table, and those whose type column is read to find out.
pub fn select(scope: &Scope<'_>, candidates: Vec<Candidate>) -> Vec<(Candidate, u32)> {
    let mut found: Vec<(bool, Candidate, u32)> = Vec::new();
    for candidate in candidates {
        let is_member = |number: i16| {
            scope.members_of(candidate.table).any(|member| {
                member.old_id.number == number || member.shadow.is_some_and(|shadow| shadow.number == number)
            })
        };
        if is_member(candidate.number) {
            continue;
        }
        // Samples are of numbers.
        for key in scope.keys.iter().filter(|key| key.column.old_id.is_integer()) {
            let table = key.column.table;
            let has_name = has_name_of(&candidate, table);
            let says = candidate.type_column(table).is_some_and(|(_, is_text)| is_text);
            if has_name || says {
                found.push((!has_name, candidate.clone(), table.oid));
            }
        }
    }
    found.sort_by(|one, other| {
        let place = |of: &(bool, Candidate, u32)| (of.0, of.1.schema.clone(), of.1.name.clone(), of.1.number);
        place(one).cmp(&place(other))
    });
    found.into_iter().map(|(_, candidate, key)| (candidate, key)).collect()
}

/// The column that says to which table a candidate refers, if its values can be names of tables.
pub fn text_type_column<'a>(candidate: &'a Candidate, key: &Table) -> Option<&'a str> {
    candidate.type_column(key).filter(|(_, is_text)| *is_text).map(|(name, _)| name)
}

/// The findings on them.
pub(super) fn find(scope: &Scope<'_>, found: &mut Vec<Finding>) {
    for undeclared in &scope.facts.undeclared {
        let key = scope.keys.iter().find(|key| key.column.table.oid == undeclared.key);
        found.extend(key.and_then(|key| finding(scope, key, undeclared)));
    }
}

fn finding(scope: &Scope<'_>, key: &Key<'_>, undeclared: &Undeclared) -> Option<Finding> {
    let column = &undeclared.column;
    let root = key.column.table;
    let (table, other) = (qualified(&column.schema, &column.name), key.column.table_sql());
    let sample = undeclared.sample.as_ref();
    let unread = || {
        let why = undeclared.sample.as_ref().err().map(String::as_str).unwrap_or_default();
        format!("Its values were not read: {why}.")
    };
    let has_name = has_name_of(column, root);
    let type_column = column.type_column(root).map(|(name, _)| name);
    if let Some(type_column) = type_column {
        // The column that was added for these rows.
        let is_added = |member: &Member<'_>| !member.is_key && !member.declared && member.key == root.oid;
        if scope.members_of(column.table).any(is_added) {
            return None;
        }
        let kinds = sample.map(|sample| sample.kinds_of(root)).unwrap_or_default();
        if !kinds.is_empty() || (!has_name && sample.is_err()) {
            let detail = match sample {
                Ok(sample) => shares(sample, type_column, &kinds),
                Err(_) => unread(),
            };
            let message = format!(
                "column \"{}\" of table \"{table}\" seems to refer to table \"{other}\" where column \"{type_column}\" says so, without a foreign key",
                column.column
            );
            let hint = separate_column(scope, key, column, type_column, &kinds);
            let mut finding = warning(column, message, detail, hint);
            if sample.is_err() {
                finding.severity = Severity::Note;
            }
            return Some(finding);
        }
        // It says nothing of this table.
        if !has_name {
            return None;
        }
    }
    let share = sample.map(|sample| sample.share(None)).unwrap_or_default();
    let detail = if sample.is_ok() { share.text() } else { unread() };
    // A text with another meaning, such as a number on paper.
    if !column.is_number && sample.is_ok() && share.matching == 0 {
        return None;
    }
    let message = format!(
        "column \"{}\" of table \"{table}\" looks like a reference to table \"{other}\", without a foreign key",
        column.column
    );
    let hint = if let Some(type_column) = type_column.filter(|_| column.is_number) {
        format!(
            "Column \"{type_column}\" seems to say which table it refers to. If all rows refer to {other}, ALTER TABLE {table} ADD FOREIGN KEY ({}) REFERENCES {other} NOT VALID, which includes it. {}",
            quoted(&column.column),
            separate_column(scope, key, column, type_column, &[])
        )
    } else if column.is_number {
        format!("{}{}", before_it_is_added(column, &table, share), added(scope, key, column, &column.column))
    } else {
        of_text(key, column, &table, share)
    };
    let mut finding = warning(column, message, detail, hint);
    if !share.is_likely() {
        finding.severity = Severity::Note;
        let hint = finding.error.hint.take().unwrap_or_default();
        finding.error = finding.error.hint(format!("It probably means something else. {hint}"));
    }
    Some(finding)
}

/// The shares of the kinds of rows that are called by the name of the table.
fn shares(sample: &Sample, type_column: &str, kinds: &[String]) -> String {
    let of_kind = |kind: &String| {
        format!("Where \"{type_column}\" is {}: {}", literal(kind).trim(), sample.share(Some(kind)).text())
    };
    kinds.iter().map(of_kind).collect::<Vec<_>>().join(" ")
}

/// The condition for rows that refer to the table, if the sample has some.
fn condition(type_column: &str, kinds: &[String]) -> Option<String> {
    let literals: Vec<String> = kinds.iter().map(|kind| literal(kind).trim().to_owned()).collect();
    let name = quoted(type_column);
    match literals.as_slice() {
        [] => None,
        [one] => Some(format!("{name} = {one}")),
        several => Some(format!("{name} IN ({})", several.join(", "))),
    }
}

/// Whether a column has the name of a table.
fn has_name_of(column: &Candidate, table: &Table) -> bool {
    names_of_references(&table.name).contains(&words(&column.column).concat())
}

fn warning(column: &Candidate, message: String, detail: String, hint: String) -> Finding {
    let error = Error::new(SqlState::ObjectNotInPrerequisiteState, message).detail(detail).hint(hint);
    Finding { severity: Severity::Warning, table: column.table, error }
}

/// How to add a column.
fn added(scope: &Scope<'_>, key: &Key<'_>, column: &Candidate, name: &str) -> String {
    let table = |schema: &str, name: &str| literal(&qualified(schema, name)).trim().to_owned();
    let (root, own) = (scope.root(), key.column.table);
    let names = format!("{{{}}}", array_element(name));
    let refers_to = if own.oid == root.oid {
        String::new()
    } else {
        format!(", refers_to => {}", table(&own.schema, &own.name))
    };
    format!(
        "To include it, SELECT key_migration_add_reference({}, {}, {}{refers_to}) once the migration is created. Otherwise it keeps old ids.",
        table(&root.schema, &root.name),
        table(&column.schema, &column.name),
        literal(&names).trim()
    )
}

/// A name in the text of an array.
fn array_element(name: &str) -> String {
    let plain = !name.is_empty()
        && name.chars().all(|c| c.is_alphanumeric() || c == '_')
        && !name.eq_ignore_ascii_case("null");
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\"")) }
}

/// What to do before a column with a value that means none is added.
fn before_it_is_added(column: &Candidate, table: &str, share: Share) -> String {
    let Some((value, _)) = share.none else { return String::new() };
    let name = quoted(&column.column);
    let nullable = if column.not_null {
        format!("ALTER TABLE {table} ALTER COLUMN {name} DROP NOT NULL; ")
    } else {
        String::new()
    };
    format!(
        "There is no key for {value}, so let the application write NULL in its place, and change the rows: {nullable}UPDATE {table} SET {name} = NULL WHERE {name} = {value}. "
    )
}

/// What can be done with a text.
fn of_text(key: &Key<'_>, column: &Candidate, table: &str, share: Share) -> String {
    let (name, other) = (quoted(&column.column), key.column.table_sql());
    let update = format!(
        "UPDATE {table} AS t SET {name} = p.{key}::text FROM {other} AS p WHERE t.{name} = p.{old}::text",
        key = quoted(&key.column.old_id.name),
        old = quoted(&format!("{}_old", key.column.old_id.name)),
    );
    let keys = "A text is not part of a migration.";
    if share.numbers == share.all && share.all > 0 {
        return format!(
            "{keys} To include it, make it a number, as the application has to: ALTER TABLE {table} ALTER COLUMN {name} TYPE {} USING {name}::{}. Otherwise, after the cut-over: {update}.",
            key.column.old_id.type_name, key.column.old_id.type_name
        );
    }
    format!("{keys} After the cut-over, and before it is finalized: {update}.")
}

/// How to add references that a type column tells apart. `kinds` are its values for the table.
fn separate_column(
    scope: &Scope<'_>,
    key: &Key<'_>,
    column: &Candidate,
    type_column: &str,
    kinds: &[String],
) -> String {
    let table = qualified(&column.schema, &column.name);
    let own = format!("{}_id", words(&key.column.table.name).join("_"));
    let (own_sql, name, id_type) = (quoted(&own), quoted(&column.column), &key.column.old_id.type_name);
    let value = if column.is_number { name } else { format!("{name}::{id_type}") };
    let fill = condition(type_column, kinds).map_or_else(
        || format!(". Fill it where \"{type_column}\" says so."),
        |condition| format!("; UPDATE {table} SET {own_sql} = {value} WHERE {condition}."),
    );
    format!(
        "A column cannot have keys of one table and ids of others. Add one for these rows, and let the application write it, too: ALTER TABLE {table} ADD COLUMN {own_sql} {id_type}{fill} {}",
        added(scope, key, column, &own)
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::{options, shop};
    use super::super::{Severity, plan};
    use super::*;

    fn candidate(column: &str, type_name: &str, others: &[&str]) -> Candidate {
        Candidate {
            table: 900,
            schema: "shop".to_owned(),
            name: "Log".to_owned(),
            number: 3,
            column: column.to_owned(),
            type_name: type_name.to_owned(),
            is_number: type_name != "text",
            not_null: true,
            others: others.iter().map(|name| ((*name).to_owned(), "text".to_owned())).collect(),
        }
    }

    /// What the plan says of a column; its severity, detail and hint.
    fn said(column: Candidate, sample: Result<Sample, String>) -> Option<(Severity, String, String)> {
        let mut facts = shop();
        let key = facts.tables[0].oid;
        facts.undeclared = vec![Undeclared { column, key, sample }];
        let plan = plan::plan(&facts, &options()).unwrap();
        let found = plan.findings.into_iter().find(|finding| finding.table == 900)?;
        assert!(found.error.message.contains("without a foreign key"), "{}", found.error.message);
        Some((found.severity, found.error.detail.unwrap(), found.error.hint.unwrap()))
    }

    fn sample(values: &[(Option<&str>, Option<i64>)], ids: &[i64]) -> Result<Sample, String> {
        let values = values.iter().map(|(kind, number)| (kind.map(str::to_owned), *number));
        Ok(Sample { values: values.collect(), ids: ids.to_vec() })
    }

    #[test]
    fn names_that_references_have() {
        let names = names_of_references("shop_categories");
        for name in ["categoryid", "idcategory", "shopcategoryfk", "shopcategoriesid"] {
            assert!(names.contains(&name.to_owned()), "{name}: {names:?}");
        }
        // A number called `category` or `categories` may be a place in a list, or a count.
        for name in ["shopid", "id", "category", "categories"] {
            assert!(!names.contains(&name.to_owned()), "{name}");
        }
        assert!(names_of_references("Order").contains(&"orderid".to_owned()));
        assert!(names_of_references("addresses").contains(&"addressid".to_owned()));
    }

    #[test]
    fn a_share_of_the_values_is_ids() {
        let number = |number| (None, Some(number));
        let (severity, detail, hint) =
            said(candidate("order_id", "bigint", &[]), sample(&[number(1), number(2)], &[1, 2])).unwrap();
        assert_eq!(
            (severity, detail.as_str()),
            (Severity::Warning, "All 2 values of a sample of rows are ids of that table.")
        );
        assert_eq!(
            hint,
            "To include it, SELECT key_migration_add_reference('shop.orders', 'shop.\"Log\"', '{order_id}') once the migration is created. Otherwise it keeps old ids."
        );
        // 0 means none.
        let values = [number(1), number(0), number(0), number(9)];
        let (severity, detail, hint) =
            said(candidate("Order ID", "bigint", &[]), sample(&values, &[1])).unwrap();
        assert_eq!(severity, Severity::Warning);
        assert_eq!(
            detail,
            "1 of 4 values of a sample of rows are ids of that table; 2 are 0, which seems to mean none."
        );
        assert!(
            hint.starts_with(
                "There is no key for 0, so let the application write NULL in its place, and change the rows: \
                 ALTER TABLE shop.\"Log\" ALTER COLUMN \"Order ID\" DROP NOT NULL; UPDATE shop.\"Log\" SET \"Order ID\" = NULL WHERE \"Order ID\" = 0. To include it"
            ),
            "{hint}"
        );
        assert!(hint.contains("'{\"Order ID\"}'"), "{hint}");
        // Most are not ids, so it is probably something else.
        let (severity, ..) =
            said(candidate("order_id", "bigint", &[]), sample(&[number(1), number(8), number(9)], &[1]))
                .unwrap();
        assert_eq!(severity, Severity::Note);
        let (severity, detail, _) = said(candidate("order_id", "bigint", &[]), sample(&[], &[])).unwrap();
        assert_eq!((severity, detail.as_str()), (Severity::Warning, "A sample of rows has no values."));
        let unread = Err("must be owner of table shop.\"Log\"".to_owned());
        let (severity, detail, _) = said(candidate("order_id", "bigint", &[]), unread).unwrap();
        assert_eq!(
            (severity, detail.as_str()),
            (Severity::Warning, "Its values were not read: must be owner of table shop.\"Log\".")
        );
    }

    #[test]
    fn fault_c10_a_condition_is_proposed() {
        let values = [
            (Some("Order"), Some(1)),
            (Some("Shop::Order"), Some(2)),
            (Some("Customer"), Some(1)),
            (Some("Order"), Some(7)),
        ];
        let column = || candidate("record_id", "bigint", &["record_type"]);
        let (severity, detail, hint) = said(column(), sample(&values, &[1, 2])).unwrap();
        assert_eq!(severity, Severity::Warning);
        assert_eq!(
            detail,
            "Where \"record_type\" is 'Order': 1 of 2 values of a sample of rows are ids of that table. \
             Where \"record_type\" is 'Shop::Order': The only value of a sample of rows is an id of that table."
        );
        assert!(
            hint.contains(
                "ALTER TABLE shop.\"Log\" ADD COLUMN orders_id bigint; UPDATE shop.\"Log\" SET orders_id = record_id \
                 WHERE record_type IN ('Order', 'Shop::Order'). To include it, SELECT key_migration_add_reference('shop.orders', 'shop.\"Log\"', '{orders_id}')"
            ),
            "{hint}"
        );
        // One that never says this table.
        assert_eq!(said(column(), sample(&[(Some("Customer"), Some(1))], &[1])), None);
        // A column with the name of the table, next to one that says something else.
        let values = [(Some("retail"), Some(1))];
        let (_, _, hint) =
            said(candidate("order_id", "bigint", &["order_type"]), sample(&values, &[1])).unwrap();
        assert!(hint.contains("If all rows refer to shop.orders, ALTER TABLE shop.\"Log\" ADD FOREIGN KEY (order_id) REFERENCES shop.orders NOT VALID"), "{hint}");
    }

    #[test]
    fn texts_that_hold_numbers() {
        let text = || candidate("order_id", "text", &[]);
        let (_, detail, hint) = said(text(), sample(&[(None, Some(1)), (None, Some(2))], &[1, 2])).unwrap();
        assert_eq!(detail, "All 2 values of a sample of rows are ids of that table.");
        assert!(
            hint.contains(
                "ALTER TABLE shop.\"Log\" ALTER COLUMN order_id TYPE bigint USING order_id::bigint"
            ),
            "{hint}"
        );
        let (_, detail, hint) = said(text(), sample(&[(None, Some(1)), (None, None)], &[1])).unwrap();
        assert_eq!(detail, "1 of 2 values of a sample of rows are ids of that table; 1 are no numbers.");
        assert!(
            hint.contains("UPDATE shop.\"Log\" AS t SET order_id = p.id::text FROM shop.orders AS p WHERE t.order_id = p.id_old::text"),
            "{hint}"
        );
        assert_eq!(said(text(), sample(&[(None, Some(5))], &[])), None);
    }
}
