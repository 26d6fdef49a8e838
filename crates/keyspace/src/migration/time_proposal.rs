//! The best time for the keys of a table, if the caller has to choose one.

use super::facts::{Facts, Table, TimeColumn};
use super::name_words::words;
use super::options::TimeRequest;
use super::time_source::TimeType;
use crate::sql::{literal, qualified};

/// A source for the times of keys, as arguments of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Proposal {
    /// `timestamp_column`.
    pub(super) column: Option<String>,
    /// Whether `time_zone` is needed, too.
    needs_zone: bool,
    /// `timestamp_reference`.
    pub(super) reference: Option<String>,
    /// Whether the name of the column says that it changes with the row.
    changes: bool,
}

impl Proposal {
    pub(super) fn column(name: &str) -> Self {
        Self { column: Some(name.to_owned()), changes: changes(name), ..Self::default() }
    }

    pub(super) fn with_zone(self) -> Self {
        Self { needs_zone: true, ..self }
    }

    /// The call with which the caller chooses this source, and what it means. `first` is the table
    /// that the migration is named after, unless it is this one.
    pub(super) fn hint(&self, table: &Table, first: Option<&Table>) -> String {
        let name = |table: &Table| literal(&qualified(&table.schema, &table.name));
        let mut call = match first {
            Some(first) => format!("key_migration_add_key({}, {}", name(first), name(table)),
            None => format!("key_migration_create({}", name(table)),
        };
        let argument = |name: &str, value: &Option<String>| {
            value.as_ref().map(|value| format!(", {name} => {}", literal(value))).unwrap_or_default()
        };
        call.push_str(&argument("timestamp_reference", &self.reference));
        call.push_str(&argument("timestamp_column", &self.column));
        if self.needs_zone {
            call.push_str(", time_zone => 'UTC'");
        }
        let is_constant = self.reference.is_none() && self.column.is_none();
        if is_constant {
            call.push_str(", without_timestamp => true");
        }
        let mut hint = format!("Use SELECT {call})");
        hint.push_str(if self.needs_zone {
            ", with the time zone in which the application writes that column."
        } else {
            "."
        });
        if let Some(reference) = &self.reference {
            hint.push_str(&format!(" Keys then take the time of the row that \"{reference}\" refers to."));
        }
        if is_constant {
            hint.push_str(" All keys then have the time 1970-01-01, and are in the order of the old ids.");
        }
        if let Some(column) = self.column.as_ref().filter(|_| self.changes) {
            hint.push_str(&format!(
                " Or use without_timestamp => true in its place, if \"{column}\" changes with the row: all keys then have the time 1970-01-01, and are in the order of the old ids."
            ));
        }
        hint
    }
}

/// Words in the names of columns that are written once, when the row is inserted.
const INSERTED: &[&str] = &[
    "creat", "insert", "added", "joined", "register", "placed", "posted", "publish", "receiv", "sent",
    "logged", "recorded", "occurred", "happened", "issued",
];
/// Words in the names of columns that change later, or that say something else about the row.
const OTHER: &[&str] = &[
    "updat", "modif", "chang", "delet", "expir", "last", "seen", "until", "valid", "end", "due", "birth",
    "cancel", "archiv", "clos", "finish", "complet", "next", "sync", "remov", "revok", "login", "edit",
    "death", "start", "begin", "schedul", "lock", "read", "touch", "visit", "activ", "verif", "confirm",
];

/// Whether the name of a column says that it changes with its row: the time of its last change tells
/// nothing about the order in which rows were inserted.
pub(super) fn changes(column: &str) -> bool {
    let within = ["updat", "modif"];
    let first = ["chang", "last", "edit", "touch", "refresh"];
    words(column).iter().any(|word| {
        within.iter().any(|part| word.contains(part)) || first.iter().any(|part| word.starts_with(part))
    })
}

/// How good a column is, the best first: whether it is probably another time than that of the
/// insertion; its type; whether its name tells nothing; whether it can be null; its place.
type Rank = (bool, u8, bool, bool, i16);

fn rank(column: &TimeColumn) -> Option<Rank> {
    let of_type = match TimeType::of(&column.type_name).filter(|_| column.generated.is_empty())? {
        TimeType::Instant => 0,
        TimeType::Local => 1,
        TimeType::Date => 2,
    };
    let name = column.name.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
    let is_inserted = has(INSERTED);
    Some((!is_inserted && has(OTHER), of_type, !is_inserted, !column.not_null, column.number))
}

/// The best column of a table.
fn best_column(columns: &[TimeColumn]) -> Option<(Rank, Proposal)> {
    let ranked = columns.iter().filter_map(|column| Some((rank(column)?, column)));
    let (rank, column) = ranked.min_by_key(|(rank, _)| *rank)?;
    let proposal = Proposal::column(&column.name);
    let is_local = TimeType::of(&column.type_name) == Some(TimeType::Local);
    Some((rank, if is_local { proposal.with_zone() } else { proposal }))
}

/// Whether no other column of a table seems to be a better time. A table can have an older
/// `created_at` without a time zone next to a `closed_at` with one.
pub(super) fn is_best(columns: &[TimeColumn], column: &TimeColumn) -> bool {
    best_column(columns).is_none_or(|(_, best)| best.column.as_deref() == Some(&column.name))
}

/// The best source of a table: a time of the row itself; that of the row that it belongs to; a time
/// of the row that may change; none.
pub(super) fn best(facts: &Facts, table: &Table, request: &TimeRequest) -> Proposal {
    let columns: Vec<TimeColumn> = table.columns.iter().map(TimeColumn::from).collect();
    let own = best_column(&columns).filter(|_| request.reference.is_none());
    if let Some((_, proposal)) = own.as_ref().filter(|(rank, _)| !rank.0) {
        return proposal.clone();
    }
    let of_parents = facts.time_parents.iter().filter_map(|parent| {
        let by = table.column(parent.column).filter(|_| parent.child == table.oid)?;
        let is_wanted = match &request.reference {
            Some(reference) => by.name == *reference,
            None => by.not_null && parent.parent != table.oid && parent.may_read(None),
        };
        let (rank, proposal) = best_column(&parent.columns)?;
        let fits = is_wanted && parent.can_be_looked_up(by) && (!rank.0 || request.reference.is_some());
        fits.then(|| (rank, Proposal { reference: Some(by.name.clone()), ..proposal }))
    });
    let of_parents: Option<(Rank, Proposal)> = of_parents.min_by_key(|(rank, _)| *rank);
    of_parents.or(own).map(|(_, proposal)| proposal).unwrap_or_default()
}
