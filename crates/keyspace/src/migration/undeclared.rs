//! Columns that look like references to a key, without a foreign key that declares them. About half of
//! all references have none. The plan proposes to add them, with the share of a sample of their values
//! that are ids of the table.

use super::candidate_reference::{Candidate, Sample, Undeclared};
use super::condition;
use super::facts::Table;
use super::finding::{Finding, MAX_LISTED, Severity};
use super::name_words::{base, words};
use super::old_id::IdKind;
use super::reference_name::has_name;
use super::scope::{Key, Scope};
use super::type_column::{can_be_type, is_type_of};
use crate::error::{Error, SqlState};
use crate::sql::{in_message, literal, qualified, quoted};

/// What follows or precedes the name of a table in the name of a reference to it.
const ENDS: [&str; 4] = ["id", "ref", "fk", "key"];
const BEGINS: [&str; 2] = ["id", "fk"];
/// The number of columns of which a sample is read.
pub const MOST_SAMPLED: usize = 20;
/// Values that applications write where they mean no row.
const MEANS_NONE: [&str; 3] = ["0", "-1", ""];

impl Candidate {
    /// Whether it is a `numeric`.
    pub fn is_numeric(&self) -> bool {
        self.type_name == "numeric" || self.type_name.starts_with("numeric(")
    }

    /// Whether it is a `character(n)`, whose spaces at the end do not count.
    fn is_padded(&self) -> bool {
        self.type_name == "character" || self.type_name.starts_with("character(")
    }

    /// The column next to it that says to which table it refers, unless its own name says that it is
    /// this one. Its name, and whether it is a text.
    fn type_column(&self, key: &Table) -> Option<(&str, bool)> {
        let base = base(&self.column);
        let is_type = |other: &&(String, String)| {
            can_be_type(&other.0, &other.1) && is_type_of(&words(&other.0), &base, key)
        };
        let (name, type_name) = self.others.iter().find(is_type)?;
        let is_text = ["text", "character varying", "character"].contains(&type_name.as_str());
        Some((name, is_text))
    }
}

impl Candidate {
    /// Whether its type column has its name, as `record_type` and `record_id`.
    fn is_named_by_type(&self, key: &Table) -> bool {
        let base = base(&self.column);
        let named =
            |(name, _): (&str, bool)| words(name).split_last().is_some_and(|(_, before)| before == base);
        !base.is_empty() && self.type_column(key).is_some_and(named)
    }
}

/// The values of a reference among which a share is ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Share {
    all: usize,
    numbers: usize,
    matching: usize,
    /// How often each of the values occurs that mean no row.
    none: [usize; MEANS_NONE.len()],
}

impl Sample {
    /// The share of the values of these kinds; of all of them if `kind` is `None`.
    fn share(&self, kind: Option<&str>) -> Share {
        let values = self.values.iter().filter(|value| kind.is_none() || value.kind.as_deref() == kind);
        let mut share = Share::default();
        for value in values {
            share.all += 1;
            share.numbers += usize::from(value.number.is_some());
            if value.number.is_some_and(|number| self.ids.contains(&number)) {
                share.matching += 1;
                continue;
            }
            let text = value.number.map(|number| number.to_string());
            let text = text.or_else(|| value.is_empty.then(String::new));
            for (none, count) in MEANS_NONE.iter().zip(&mut share.none) {
                *count += usize::from(text.as_deref() == Some(*none));
            }
        }
        share
    }

    /// The kinds of rows that the type column calls by the name of a table.
    fn kinds_of(&self, table: &Table) -> Vec<String> {
        let mut kinds: Vec<&String> = self
            .values
            .iter()
            .filter_map(|value| value.kind.as_ref())
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
        2 * self.matching >= self.all.saturating_sub(self.none.iter().sum())
    }

    /// The values that mean no row, as far as the sample has them.
    fn null_values(self) -> Vec<&'static str> {
        let found = MEANS_NONE.iter().zip(self.none).filter(|(_, count)| *count > 0);
        found.map(|(value, _)| *value).collect()
    }

    fn text(self) -> String {
        let Self { all, numbers, matching, none } = self;
        let mut text = match (all, matching) {
            (0, _) => return "A sample of rows has no values.".to_owned(),
            (1, 1) => "The only value of a sample of rows is an id of that table".to_owned(),
            _ if all == matching => format!("All {all} values of a sample of rows are ids of that table"),
            _ => format!("{matching} of {all} values of a sample of rows are ids of that table"),
        };
        for (value, count) in MEANS_NONE.iter().zip(none).filter(|(_, count)| *count > 0) {
            let (are, value) =
                (if count == 1 { "is" } else { "are" }, if value.is_empty() { "''" } else { value });
            text.push_str(&format!("; {count} {are} {value}, which seems to mean none"));
        }
        let empty =
            MEANS_NONE.iter().zip(none).find(|(value, _)| value.is_empty()).map_or(0, |(_, count)| count);
        match all.saturating_sub(numbers).saturating_sub(empty) {
            0 => {}
            1 => text.push_str("; 1 is no number"),
            others => text.push_str(&format!("; {others} are no numbers")),
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
/// table, and those whose type column is read to find out, of which one with the name of the other comes
/// first.
pub fn select(scope: &Scope<'_>, candidates: Vec<Candidate>) -> Vec<(Candidate, u32)> {
    let mut found: Vec<(u8, Candidate, u32)> = Vec::new();
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
        for key in scope.keys.iter().filter(|key| key.column.old_id.id_kind() == Some(IdKind::Integer)) {
            let table = key.column.table;
            // An id of it alone does not say which row is meant.
            if table.is_partitioned() {
                continue;
            }
            let has_name = has_name_of(&candidate, table);
            let says = candidate.type_column(table).is_some_and(|(_, is_text)| is_text);
            let rank = match (has_name, says) {
                (true, _) => 0,
                (false, true) if candidate.is_named_by_type(table) => 1,
                (false, true) => 2,
                (false, false) => continue,
            };
            found.push((rank, candidate.clone(), table.oid));
        }
    }
    found.sort_by(|one, other| {
        let place = |of: &(u8, Candidate, u32)| (of.0, of.1.schema.clone(), of.1.name.clone(), of.1.number);
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
    // A text or a numeric holds any number.
    if scope.keeps_values() && (!column.is_number || column.is_numeric()) {
        return None;
    }
    let (table, other) = (qualified(&column.schema, &column.name), key.column.table_sql());
    let sample = undeclared.sample.as_ref();
    let unread = || {
        let why = undeclared.sample.as_ref().err().map(String::as_str).unwrap_or_default();
        format!("Its values were not read: {why}.")
    };
    let has_name = has_name_of(column, root);
    let type_column = column.type_column(root).map(|(name, _)| name);
    if let Some(type_column) = type_column {
        let kinds = sample.map(|sample| sample.kinds_of(root)).unwrap_or_default();
        if !kinds.is_empty() || (!has_name && sample.is_err()) {
            let detail = match sample {
                Ok(sample) => shares(sample, type_column, &kinds),
                Err(_) => unread(),
            };
            let message = format!(
                "column \"{}\" of table {} seems to refer to table {} where column \"{type_column}\" says so, without a foreign key",
                column.column,
                in_message(&table),
                in_message(&other)
            );
            if column.is_padded() {
                return None;
            }
            let none = sample.map(|sample| none_of(sample, &kinds)).unwrap_or_default();
            let hint =
                added(scope, key, column, &Proposal { type_column: Some((type_column, &kinds)), none });
            let stays = if scope.keeps_values() { "" } else { " The column stays for the other rows." };
            let hint = format!("{hint}{stays}");
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
        "column \"{}\" of table {} looks like a reference to table {}, without a foreign key",
        column.column,
        in_message(&table),
        in_message(&other)
    );
    let proposal = |type_column| Proposal { type_column, none: share.null_values() };
    let unusual =
        column.type_column(root).and_then(|(name, _)| column.others.iter().find(|one| one.0 == name));
    let unusual = unusual.filter(|(_, of_type)| !condition::is_type(of_type) && !scope.keeps_values());
    let hint = if column.is_padded() {
        format!(
            "A column of type {} is not part of a migration. To include it, make it a text, as the application has to: ALTER TABLE {table} ALTER COLUMN {} TYPE text.",
            column.type_name,
            quoted(&column.column)
        )
    } else if let Some((name, of_type)) = unusual {
        format!(
            "Column \"{name}\" seems to say which table it refers to. If all rows refer to {other}, ALTER TABLE {table} ADD FOREIGN KEY ({}) REFERENCES {other} NOT VALID, which includes it. Otherwise the type column must be of type {}, and not {of_type}.",
            quoted(&column.column),
            condition::types()
        )
    } else if let Some(type_column) = type_column.filter(|_| !scope.keeps_values()) {
        format!(
            "Column \"{type_column}\" seems to say which table it refers to. If all rows refer to {other}, ALTER TABLE {table} ADD FOREIGN KEY ({}) REFERENCES {other} NOT VALID, which includes it. Otherwise name its values for this table. {}",
            quoted(&column.column),
            added(scope, key, column, &proposal(Some((type_column, &[]))))
        )
    } else {
        added(scope, key, column, &proposal(None))
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

/// The values that mean no row among those of some kinds of rows.
fn none_of(sample: &Sample, kinds: &[String]) -> Vec<&'static str> {
    let found: Vec<&str> = kinds.iter().flat_map(|kind| sample.share(Some(kind)).null_values()).collect();
    MEANS_NONE.into_iter().filter(|value| found.contains(value)).collect()
}

/// Whether a column has the name of a table.
fn has_name_of(column: &Candidate, table: &Table) -> bool {
    names_of_references(&table.name).contains(&words(&column.column).concat())
}

fn warning(column: &Candidate, message: String, detail: String, hint: String) -> Finding {
    let error = Error::new(SqlState::ObjectNotInPrerequisiteState, message).detail(detail).hint(hint);
    Finding { severity: Severity::Warning, table: column.table, error }
}

/// The arguments that add a column.
struct Proposal<'a> {
    /// The type column, and its values for the table.
    type_column: Option<(&'a str, &'a [String])>,
    /// Values that mean no row.
    none: Vec<&'static str>,
}

/// How to add a column.
fn added(scope: &Scope<'_>, key: &Key<'_>, column: &Candidate, proposal: &Proposal<'_>) -> String {
    let text = |text: &str| literal(text).trim().to_owned();
    let array = |elements: &mut dyn Iterator<Item = &str>| {
        let elements: Vec<String> = elements.map(array_element).collect();
        text(&format!("{{{}}}", elements.join(",")))
    };
    let (root, own) = (scope.root(), key.column.table);
    let mut call = format!(
        "SELECT key_migration_add_reference({}, {}, {}",
        text(&qualified(&root.schema, &root.name)),
        text(&qualified(&column.schema, &column.name)),
        array(&mut std::iter::once(column.column.as_str()))
    );
    if own.oid != root.oid {
        call.push_str(&format!(", refers_to => {}", text(&qualified(&own.schema, &own.name))));
    }
    // Where keys keep their values, all rows are migrated alike.
    let differs = !scope.keeps_values();
    if let Some((type_column, kinds)) = proposal.type_column.filter(|_| differs) {
        let values = if kinds.is_empty() {
            "'{...}'".to_owned()
        } else {
            array(&mut kinds.iter().map(String::as_str))
        };
        call.push_str(&format!(", type_column => {}, type_values => {values}", text(type_column)));
    }
    if differs && !proposal.none.is_empty() {
        call.push_str(&format!(", null_values => {}", array(&mut proposal.none.iter().copied())));
    }
    format!("To include it, {call}) once the migration is created. Otherwise it keeps old ids.")
}

/// A name in the text of an array.
fn array_element(name: &str) -> String {
    let plain = !name.is_empty()
        && name.chars().all(|c| c.is_alphanumeric() || "_-".contains(c))
        && !name.eq_ignore_ascii_case("null");
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\"")) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::candidate_reference::SampleValue;
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
        let values = values.iter().map(|(kind, number)| SampleValue {
            kind: kind.map(str::to_owned),
            number: *number,
            is_empty: false,
        });
        Ok(Sample { values: values.collect(), ids: ids.to_vec() })
    }

    #[test]
    fn the_most_likely_columns_are_looked_at_first() {
        let (facts, options) = (shop(), options());
        let scope = Scope::new(&facts, &options).unwrap();
        let of = |number: i16, column: &str, others: &[&str]| Candidate {
            number,
            ..candidate(column, "bigint", others)
        };
        let found = select(
            &scope,
            vec![
                of(1, "id", &["type"]),
                of(2, "object_id", &["content_type"]),
                of(3, "record_id", &["record_type"]),
                of(4, "order_id", &[]),
                of(5, "customer_id", &["name"]),
            ],
        );
        let numbers: Vec<i16> = found.iter().map(|(column, _)| column.number).collect();
        assert_eq!(numbers, [4, 3, 1, 2]);
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
        assert!(hint.contains("'{\"Order ID\"}', null_values => '{0}')"), "{hint}");
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
        assert_eq!(
            hint,
            "To include it, SELECT key_migration_add_reference('shop.orders', 'shop.\"Log\"', '{record_id}', \
             type_column => 'record_type', type_values => '{Order,\"Shop::Order\"}') once the migration is created. \
             Otherwise it keeps old ids. The column stays for the other rows."
        );
        // Values that mean none, in rows of this table.
        let none = [(Some("Order"), Some(1)), (Some("Order"), Some(-1)), (Some("Customer"), Some(0))];
        let (_, _, hint) = said(column(), sample(&none, &[1])).unwrap();
        assert!(hint.contains("type_values => '{Order}', null_values => '{-1}')"), "{hint}");
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
        assert!(hint.starts_with("To include it, SELECT key_migration_add_reference('shop.orders', 'shop.\"Log\"', '{order_id}')"), "{hint}");
        let (_, detail, _) = said(text(), sample(&[(None, Some(1)), (None, None)], &[1])).unwrap();
        assert_eq!(detail, "1 of 2 values of a sample of rows are ids of that table; 1 is no number.");
        let empty = SampleValue { is_empty: true, ..SampleValue::default() };
        let mut values = sample(&[(None, Some(1))], &[1]).unwrap();
        values.values.extend([empty.clone(), empty]);
        let (_, detail, hint) = said(text(), Ok(values)).unwrap();
        assert_eq!(
            detail,
            "1 of 3 values of a sample of rows are ids of that table; 2 are '', which seems to mean none."
        );
        assert!(hint.contains("null_values => '{\"\"}')"), "{hint}");
        assert_eq!(said(text(), sample(&[(None, Some(5))], &[])), None);
    }
}
