//! The time of a key: which source the caller asks for, and what has become of it since.

use super::facts::{Facts, Table, TimeColumn, TimeParent};
use super::old_id::compared_in;
use super::options::{KeyOptions, TimeRequest};
use super::time_proposal::{self, Proposal};
use super::time_source::{TimeReference, TimeSource, TimeType, used_columns, with_columns};
use crate::error::{Error, SqlState};
use crate::sql::{in_message, literal, qualified, quoted};

/// The zone of a date, unless the caller names another one.
const ZONE_OF_DATES: &str = "UTC";

/// The least and the greatest local time in SQL that can belong to an instant that a key can hold,
/// whatever the zone is.
const LOCAL_TIMES: [&str; 2] = ["1969-12-01", "10889-10-01"];

/// The time of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyTime {
    /// Where it comes from.
    pub source: TimeSource,
    /// Whether it can be read.
    pub state: TimeState,
}

/// Whether the time of a key can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeState {
    /// It can.
    Known,
    /// The caller has to choose a source first. The error proposes the best one.
    Undetermined(Error),
    /// It no longer exists, so rows count as rows without a time. The text says what is missing.
    Lost(String),
}

impl KeyTime {
    /// No time.
    pub(super) const NONE: Self = Self { source: TimeSource::Constant, state: TimeState::Known };

    /// The time of a key. `first` is the table that the migration is named after, unless it is this
    /// one.
    ///
    /// # Errors
    /// 22023 for arguments that contradict each other or have no meaning, 42703 for a column that
    /// does not exist, 42704 for one without a foreign key, 42804 if the time is of a wrong type,
    /// 0A000 if it is generated.
    pub(super) fn of(
        facts: &Facts,
        table: &Table,
        key: &KeyOptions,
        first: Option<&Table>,
    ) -> Result<Self, Error> {
        if let Some(source) = &key.time {
            let state = lost(facts, table, source).map_or(TimeState::Known, TimeState::Lost);
            return Ok(Self { source: source.clone(), state });
        }
        key.request.check()?;
        match requested(facts, table, &key.request)? {
            Some(source) => Ok(Self { source, state: TimeState::Known }),
            None => {
                let error = undetermined(facts, table, &key.request, first);
                Ok(Self { source: TimeSource::Constant, state: TimeState::Undetermined(error) })
            }
        }
    }

    /// Whether the library has to compute it: an error in an expression must not fail a statement,
    /// and another table can belong to another owner.
    pub fn needs_library(&self) -> bool {
        self.state == TimeState::Known && self.source.reaches_beyond()
    }

    /// Whether the time of a row may be another one than when a referring row derived its key,
    /// although the row itself has not changed: time zones, functions and other tables change.
    pub fn can_differ(&self) -> bool {
        match &self.source {
            TimeSource::Column { zone: None, .. } | TimeSource::Constant => self.state != TimeState::Known,
            TimeSource::Column { .. } | TimeSource::Expression { .. } | TimeSource::Reference(_) => true,
        }
    }

    /// The expression for the time of a row of the table, which has this alias: a `timestamptz`.
    pub(super) fn sql(&self, facts: &Facts, table: &Table, alias: &str) -> String {
        self.known_sql(facts, table, alias).unwrap_or_else(|| "NULL::pg_catalog.timestamptz".to_owned())
    }

    fn known_sql(&self, facts: &Facts, table: &Table, alias: &str) -> Option<String> {
        if self.state != TimeState::Known {
            return None;
        }
        let column = |number: i16| Some(format!("{alias}.{}", quoted(&table.column(number)?.name)));
        match &self.source {
            TimeSource::Constant => None,
            TimeSource::Column { number, zone } => {
                instant_sql(&column(*number)?, &table.column(*number)?.type_name, zone.as_deref())
            }
            TimeSource::Expression { text, zone } => {
                let written = with_columns(text, column)?;
                Some(match zone {
                    Some(zone) => format!(
                        "pg_catalog.timezone({}::pg_catalog.text, ({written})::pg_catalog.timestamp)",
                        literal(zone)
                    ),
                    None => format!("({written})::pg_catalog.timestamptz"),
                })
            }
            TimeSource::Reference(of) => {
                let parent = parent(facts, table, of)?;
                let (time, by) = (parent.column(of.time)?, parent.column(of.parent_column)?);
                let own = table.column(of.column)?;
                let collation = compared_in(by.collation.as_deref(), own.collation.as_deref());
                let value =
                    instant_sql(&format!("r.{}", quoted(&time.name)), &time.type_name, of.zone.as_deref())?;
                Some(format!(
                    "(SELECT {value} FROM ONLY {} AS r WHERE r.{} OPERATOR(pg_catalog.=) {}{collation})",
                    parent.name_sql(),
                    quoted(&by.name),
                    column(own.number)?,
                ))
            }
        }
    }
}

/// The instant of a column as SQL. Local times for which there is no instant that a key can hold are
/// NULL: the conversion of some of them would raise an error.
fn instant_sql(column: &str, type_name: &str, zone: Option<&str>) -> Option<String> {
    let time_type = TimeType::of(type_name)?;
    let of_type = time_type.sql();
    if time_type == TimeType::Instant {
        return Some(format!("{column}::{of_type}"));
    }
    let [least, end] = LOCAL_TIMES;
    Some(format!(
        "CASE WHEN {column}::{of_type} OPERATOR(pg_catalog.>=) '{least}'::{of_type} \
         AND {column}::{of_type} OPERATOR(pg_catalog.<) '{end}'::{of_type} \
         THEN pg_catalog.timezone({}::pg_catalog.text, {column}::pg_catalog.timestamp) END",
        literal(zone?)
    ))
}

/// The foreign key of a source, if its table still exists.
pub(super) fn parent<'a>(facts: &'a Facts, table: &Table, of: &TimeReference) -> Option<&'a TimeParent> {
    facts.time_parents.iter().find(|parent| {
        (parent.child, parent.column, parent.parent, parent.parent_column)
            == (table.oid, of.column, of.parent, of.parent_column)
    })
}

/// What is missing of a source that was there once.
fn lost(facts: &Facts, table: &Table, source: &TimeSource) -> Option<String> {
    let failed = || {
        let failed = facts.failed_times.iter().find(|failed| failed.0 == table.oid)?;
        Some(format!(
            "times of table {} cannot be computed: {}",
            in_message(&qualified(&table.schema, &table.name)),
            failed.1
        ))
    };
    lost_object(facts, table, source).or_else(failed)
}

/// The column, table or index that is missing.
fn lost_object(facts: &Facts, table: &Table, source: &TimeSource) -> Option<String> {
    let name = qualified(&table.schema, &table.name);
    match source {
        TimeSource::Constant => None,
        TimeSource::Column { number, zone } => {
            lost_column(&name, table.column(*number).map(TimeColumn::from), zone.as_deref())
        }
        TimeSource::Expression { text, .. } => {
            let is_missing = used_columns(text).iter().any(|number| table.column(*number).is_none());
            let what = || {
                format!(
                    "a column of the timestamp expression of table {} no longer exists",
                    in_message(&name)
                )
            };
            is_missing.then(what)
        }
        TimeSource::Reference(of) => {
            if table.column(of.column).is_none() {
                return Some(format!(
                    "the column of table {} that refers to the row with the time no longer exists",
                    in_message(&name)
                ));
            }
            match parent(facts, table, of) {
                None => Some(format!(
                    "the table from which keys of table {} take their time no longer exists",
                    in_message(&name)
                )),
                Some(parent) if parent.column(of.parent_column).is_none_or(|column| !column.is_unique) => {
                    Some(format!(
                        "table {} no longer has the unique index by which rows of table {} find their time",
                        in_message(&parent.name_sql()),
                        in_message(&name)
                    ))
                }
                Some(parent) => {
                    lost_column(&parent.name_sql(), parent.column(of.time).cloned(), of.zone.as_deref())
                }
            }
        }
    }
}

fn lost_column(table: &str, column: Option<TimeColumn>, zone: Option<&str>) -> Option<String> {
    let Some(column) = column else {
        return Some(format!("the timestamp column of table {} no longer exists", in_message(table)));
    };
    let is_readable = match TimeType::of(&column.type_name) {
        Some(TimeType::Instant) => true,
        Some(TimeType::Local) => zone.is_some(),
        Some(TimeType::Date) => true,
        None => false,
    };
    let of = format!("column \"{}\" of table {}", column.name, in_message(table));
    (!is_readable).then(|| {
        format!("{of} is now of type {}, so keys cannot take their time from it", column.declared_type)
    })
}

/// The source that the caller asks for, or the obvious one; `None` if there is none.
fn requested(facts: &Facts, table: &Table, request: &TimeRequest) -> Result<Option<TimeSource>, Error> {
    if request.constant {
        return Ok(Some(TimeSource::Constant));
    }
    let name = qualified(&table.schema, &table.name);
    let zone = request.zone.as_deref();
    let Some(reference) = &request.reference else {
        let columns: Vec<TimeColumn> = table.columns.iter().map(TimeColumn::from).collect();
        let found = column(&name, &columns, request.column.as_deref(), zone)?;
        return Ok(found.map(|(number, zone)| TimeSource::Column { number, zone }));
    };
    let own = table.column_named(reference).ok_or_else(|| no_such_column(&name, reference))?;
    let parent =
        facts.time_parents.iter().find(|parent| (parent.child, parent.column) == (table.oid, own.number));
    let Some(parent) = parent else {
        let message =
            format!("column \"{reference}\" of table {} has no foreign key of its own", in_message(&name));
        return Err(Error::new(SqlState::UndefinedObject, message)
            .detail("Keys can take their time from a row that a foreign key of one column refers to.")
            .hint("Specify such a column with timestamp_reference."));
    };
    if !parent.can_be_looked_up(own) {
        let message =
            format!("column \"{reference}\" of table {} is of type {}", in_message(&name), own.declared_type);
        return Err(Error::new(SqlState::DatatypeMismatch, message)
            .detail("The row with the time can be looked up only by a column of type smallint, integer, bigint, numeric, uuid, text, or character varying. The collation of a text must be deterministic.")
            .hint("Specify another column with timestamp_reference."));
    }
    if !own.generated.is_empty() {
        return Err(generated(&name, reference).hint("Specify another column with timestamp_reference."));
    }
    let found = column(&parent.name_sql(), &parent.columns, request.column.as_deref(), zone)?;
    Ok(found.map(|(time, zone)| {
        TimeSource::Reference(TimeReference {
            column: own.number,
            parent: parent.parent,
            parent_column: parent.parent_column,
            time,
            zone,
        })
    }))
}

/// The column with the time and its zone: the one with this name, or `created_at`, or the only one of
/// the type, unless its name says that it changes, or a column of another type seems to be better.
/// Without a zone, the type is `timestamptz`; with one, `timestamp`.
fn column(
    table: &str,
    columns: &[TimeColumn],
    given: Option<&str>,
    zone: Option<&str>,
) -> Result<Option<(i16, Option<String>)>, Error> {
    let column = match given {
        Some(given) => {
            let found = columns.iter().find(|column| column.name == given);
            found.ok_or_else(|| no_such_column(table, given))?
        }
        None => {
            let wanted = if zone.is_some() { TimeType::Local } else { TimeType::Instant };
            let fits = |column: &&TimeColumn| {
                TimeType::of(&column.type_name) == Some(wanted) && column.generated.is_empty()
            };
            let usual = columns.iter().filter(fits).find(|column| column.name == "created_at");
            let mut all = columns.iter().filter(fits);
            match (usual, all.next(), all.next()) {
                (Some(usual), ..) => usual,
                // With a zone, the caller has chosen the type.
                (None, Some(only), None)
                    if !time_proposal::changes(&only.name)
                        && (zone.is_some() || time_proposal::is_best(columns, only)) =>
                {
                    only
                }
                _ => return Ok(None),
            }
        }
    };
    let Some(time_type) = TimeType::of(&column.type_name) else {
        let message = format!(
            "column \"{}\" of table {} is of type {}",
            column.name,
            in_message(table),
            column.declared_type
        );
        return Err(Error::new(SqlState::DatatypeMismatch, message)
            .detail("Keys can take their time only from a column of type timestamp with time zone, timestamp without time zone, or date.")
            .hint("Specify such a column with timestamp_column, or compute the time with timestamp_expression."));
    };
    if !column.generated.is_empty() {
        return Err(generated(table, &column.name).hint(
            "Specify another column with timestamp_column, or its expression with timestamp_expression.",
        ));
    }
    let zone = zone.map(ToOwned::to_owned);
    match (time_type, zone) {
        (TimeType::Instant, Some(_)) => {
            Err(no_zone_needed(&format!("column \"{}\" of table {}", column.name, in_message(table))))
        }
        (TimeType::Instant, None) => Ok(Some((column.number, None))),
        (TimeType::Local, None) => Ok(None),
        (TimeType::Date, None) => Ok(Some((column.number, Some(ZONE_OF_DATES.to_owned())))),
        (TimeType::Local | TimeType::Date, zone) => Ok(Some((column.number, zone))),
    }
}

/// The zone of an expression of this type.
///
/// # Errors
/// 42804 for any other type than those of a time, 22023 for a zone that is missing or has no meaning.
pub fn zone_of_expression(type_name: &str, zone: Option<&str>) -> Result<Option<String>, Error> {
    match (TimeType::of(type_name), zone) {
        (None, _) => {
            let message = format!("timestamp_expression is of type {type_name}");
            Err(Error::new(SqlState::DatatypeMismatch, message)
                .hint("It must be of type timestamp with time zone, timestamp without time zone, or date."))
        }
        (Some(TimeType::Instant), None) => Ok(None),
        (Some(TimeType::Instant), Some(_)) => Err(no_zone_needed("timestamp_expression")),
        (Some(TimeType::Local), None) => {
            let message = "timestamp_expression is of type timestamp without time zone";
            Err(Error::new(SqlState::InvalidParameterValue, message)
                .detail(LOCAL_TIME)
                .hint("Specify the time zone with time_zone, for example time_zone => 'UTC'."))
        }
        (Some(TimeType::Date), None) => Ok(Some(ZONE_OF_DATES.to_owned())),
        (Some(TimeType::Local | TimeType::Date), Some(zone)) => Ok(Some(zone.to_owned())),
    }
}

const LOCAL_TIME: &str =
    "Such a value is an instant only together with the time zone in which it was written.";

fn no_zone_needed(of: &str) -> Error {
    let message = format!("{of} is of type timestamp with time zone");
    Error::new(SqlState::InvalidParameterValue, message)
        .detail("Its values are instants, whatever the time zone is.")
        .hint("Leave out time_zone.")
}

fn no_such_column(table: &str, column: &str) -> Error {
    let message = format!("column \"{column}\" of table {} does not exist", in_message(table));
    Error::new(SqlState::UndefinedColumn, message)
}

fn generated(table: &str, column: &str) -> Error {
    let message = format!("column \"{column}\" of table {} is a generated column", in_message(table));
    Error::new(SqlState::FeatureNotSupported, message)
        .detail("The triggers that fill keys fire before generated columns are computed.")
}

/// The error for a table whose time the caller has to choose.
fn undetermined(facts: &Facts, table: &Table, request: &TimeRequest, first: Option<&Table>) -> Error {
    let name = qualified(&table.schema, &table.name);
    // The column is known, and only its zone is missing.
    if let (Some(given), None) = (&request.column, &request.zone) {
        let in_parent = request.reference.as_ref().and_then(|reference| {
            let own = table.column_named(reference)?.number;
            facts.time_parents.iter().find(|parent| (parent.child, parent.column) == (table.oid, own))
        });
        let of = in_parent.map_or(name, TimeParent::name_sql);
        let mut proposal = Proposal::column(given).with_zone();
        proposal.reference.clone_from(&request.reference);
        let message =
            format!("column \"{given}\" of table {} is of type timestamp without time zone", in_message(&of));
        return Error::new(SqlState::InvalidParameterValue, message)
            .detail(LOCAL_TIME)
            .hint(proposal.hint(table, first));
    }
    let message = format!("could not determine the timestamp column of table {}", in_message(&name));
    let wanted = if request.zone.is_some() { TimeType::Local } else { TimeType::Instant };
    let of_type =
        if wanted == TimeType::Local { "timestamp without time zone" } else { "timestamp with time zone" };
    let (of, columns) = match &request.reference {
        Some(reference) => {
            let own = table.column_named(reference).map(|own| own.number);
            let parent = facts
                .time_parents
                .iter()
                .find(|parent| parent.child == table.oid && Some(parent.column) == own);
            (
                parent.map_or_else(String::new, |parent| format!("Table {}", in_message(&parent.name_sql()))),
                parent.map_or_else(Vec::new, |parent| parent.columns.clone()),
            )
        }
        None => ("The table".to_owned(), table.columns.iter().map(TimeColumn::from).collect()),
    };
    let mut fit = columns.iter().filter(|column| TimeType::of(&column.type_name) == Some(wanted));
    let detail = match (fit.next(), fit.next()) {
        (None, _) => format!("{of} has no column of type {of_type}."),
        (Some(only), None) if time_proposal::changes(&only.name) => format!(
            "{of} has one column of type {of_type}, but the name of \"{}\" says that it changes with the row.",
            only.name
        ),
        (Some(_), None) => format!(
            "{of} has one column of type {of_type}, but another one seems to be the time at which rows are inserted."
        ),
        (Some(_), Some(_)) => format!("{of} has more than one column of type {of_type}."),
    };
    Error::new(SqlState::InvalidParameterValue, message)
        .detail(detail)
        .hint(time_proposal::best(facts, table, request).hint(table, first))
}
