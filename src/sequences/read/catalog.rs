//! Reads sequences, and the columns that they feed, from the catalogs.

use std::cell::Cell;
use std::collections::btree_map::Entry::{Occupied, Vacant};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::CString;

use keyspace::sequences::{Carrier, Draw, Limits, NumberType};
use keyspace::{Error, SqlState};
use pgrx::prelude::*;
use pgrx::spi::{OwnedPreparedStatement, SpiHeapTupleData, SpiResult};

use crate::encoding::{ServerText, from_utf8};
use crate::sequences::read::defaults::Defaults;
use crate::sequences::read::limits;
use crate::sequences::read::position_replication;
use crate::sequences::read::selection::Selection;
use crate::server::extension::Extension;
use crate::server::relation::number_type;
use crate::server::settings::with_own_settings;

/// The sequences of a selection, and the columns that they feed.
const FED_COLUMNS: &str = include_str!("fed_columns.sql");

/// Prepares the query for single sequences, for callers that run it for many in turn.
pub(crate) fn prepare() -> SpiResult<OwnedPreparedStatement> {
    // A plan for arbitrary parameters would also have to cover the query for all sequences.
    let query = FED_COLUMNS.replace("$2 IS NULL", "false").replace("$2 IS NOT NULL", "true");
    let arguments = [
        pg_sys::NAMEARRAYOID,
        pg_sys::REGCLASSARRAYOID,
        pg_sys::REGCLASSARRAYOID,
        pg_sys::OIDARRAYOID,
        pg_sys::OIDARRAYOID,
        pg_sys::INT2ARRAYOID,
    ];
    let arguments = arguments.map(PgOid::from);
    with_own_settings(|| Spi::connect(|client| Ok(client.prepare(query.as_str(), &arguments)?.keep())))
}

/// A column that a sequence feeds, and how to read it.
pub(crate) struct Column {
    /// `schema.table.column`, quoted if necessary.
    pub(crate) name: String,
    pub(crate) relation_oid: pg_sys::Oid,
    /// The column number.
    pub(crate) attribute: i16,
    /// `schema.table`, quoted if necessary.
    pub(crate) relation: String,
    /// The base type, if its values can be compared with those of the sequence.
    pub(crate) number_type: Option<NumberType>,
    /// The values that it accepts, if they are fewer than those of the type.
    pub(crate) limits: Option<Limits>,
    /// How its default draws.
    pub(crate) draw: Draw,
    /// Why the caller cannot see every value.
    hidden: Option<Hidden>,
    /// The tables of which the table is a partition or child.
    ancestors: Vec<pg_sys::Oid>,
    /// Whether the caller has named it, rather than the catalog.
    given: bool,
    /// Whether the owner of its table may set the sequence, so that the sequence moves above any
    /// value that the owner writes.
    pub(crate) is_followed: bool,
    /// Whether its values have been read.
    pub(crate) is_read: Cell<bool>,
}

/// What prevents the caller from seeing every value of a column.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hidden {
    /// No privilege to read it.
    Permission,
    /// Row-level security.
    Rows,
}

/// A sequence, as the catalogs describe it.
pub(crate) struct Entry {
    pub(crate) oid: pg_sys::Oid,
    /// `schema.sequence`, quoted if necessary.
    pub(crate) name: String,
    /// Whether the caller may alter it.
    pub(crate) is_owner: bool,
    /// Whether the caller may see its position.
    pub(crate) is_visible: bool,
    /// Why it is skipped in any state: temporary, a member of an extension, or unlogged on a
    /// standby.
    pub(crate) exempt: Option<&'static str>,
    pub(crate) unlogged: bool,
    /// What replicates its position, if anything does.
    pub(crate) replicated: Option<Carrier>,
    pub(crate) columns: Vec<Column>,
}

impl Entry {
    /// The names of the columns that count as fed.
    pub(crate) fn fed_columns(self) -> Vec<ServerText> {
        let fed = self.columns.into_iter().filter(|column| column.draw != Draw::NotAllowed);
        fed.map(|column| ServerText(column.name)).collect()
    }
}

impl Column {
    /// Why its greatest value cannot be known, if so, and if the column would be read.
    pub(crate) fn refusal(&self) -> Option<Error> {
        let hint = "Run the set-up as a role that may read it, or exclude the sequence.";
        let message = match (self.number_type, self.hidden) {
            (None, _) | (_, None) => return None,
            (_, Some(Hidden::Permission)) => format!("permission denied for column \"{}\"", self.name),
            (_, Some(Hidden::Rows)) => format!("row-level security hides rows of column \"{}\"", self.name),
        };
        let error = Error::new(SqlState::InsufficientPrivilege, message);
        Some(error.detail("A sequence restarts above every value of the columns that it feeds.").hint(hint))
    }

    /// Whether the caller cannot see every value.
    pub(crate) fn is_hidden(&self) -> bool {
        self.hidden.is_some()
    }

    /// Whether its values can have a fraction.
    pub(crate) fn is_numeric(&self) -> bool {
        self.number_type == Some(NumberType::Numeric)
    }
}

/// The sequences of a selection with every column that they feed, ordered by OID: owned and
/// identity columns, any default that names the sequence, whatever the names are, and columns that
/// the caller has named (traps S27, S28, S29).
pub(crate) fn entries(selection: &Selection, extension: Extension) -> SpiResult<Vec<Entry>> {
    let carriers = position_replication::carriers()?;
    let mut defaults = Defaults::new(extension);
    let mut entries: BTreeMap<u32, Entry> = BTreeMap::new();
    Spi::connect(|client| -> SpiResult<()> {
        let arguments = selection.arguments(extension)?;
        let rows = match selection.prepared() {
            Some(query) => client.select(query, None, &arguments)?,
            None => client.select(FED_COLUMNS, None, &arguments)?,
        };
        for row in rows {
            let oid = row.get::<pg_sys::Oid>(1)?.unwrap_or(pg_sys::InvalidOid);
            let entry = match entries.entry(oid.to_u32()) {
                Occupied(known) => known.into_mut(),
                Vacant(new) => new.insert(entry(&row, oid, &carriers)?),
            };
            if let Some(relation_oid) = row.get(7)? {
                entry.columns.push(column(&row, relation_oid, oid, &mut defaults)?);
            }
        }
        Ok(())
    })?;
    let mut entries: Vec<Entry> = entries.into_values().collect();
    for entry in &mut entries {
        entry.columns.sort_by(|a, b| a.name.cmp(&b.name).then(b.given.cmp(&a.given)));
        // A column that the caller has named takes precedence over its default.
        entry.columns.dedup_by_key(|column| (column.relation_oid, column.attribute));
        leave_out_descendants(entry);
    }
    Ok(entries)
}

fn entry(row: &SpiHeapTupleData<'_>, oid: pg_sys::Oid, carriers: &HashMap<u32, Carrier>) -> SpiResult<Entry> {
    let exempt = match row.get::<String>(6)?.as_deref() {
        Some("temporary") => Some("temporary"),
        Some("extension") => Some("belongs to an extension"),
        Some("unlogged") => Some("unlogged, not available on a standby"),
        _ => None,
    };
    Ok(Entry {
        oid,
        name: text(row, 2)?,
        is_owner: row.get(3)?.unwrap_or(false),
        is_visible: row.get(4)?.unwrap_or(false),
        unlogged: row.get(5)?.unwrap_or(false),
        exempt,
        replicated: carriers.get(&oid.to_u32()).cloned(),
        columns: Vec::new(),
    })
}

fn column(
    row: &SpiHeapTupleData<'_>,
    relation_oid: pg_sys::Oid,
    sequence: pg_sys::Oid,
    defaults: &mut Defaults,
) -> SpiResult<Column> {
    let (relation, column) = (text(row, 9)?, text(row, 10)?);
    let expression: Option<Vec<u8>> = row.get(13)?;
    let given = row.get(15)?.unwrap_or(false);
    let draw = match expression.map(CString::new).filter(|_| !given) {
        _ if row.get(16)? != Some(true) => Draw::NotAllowed,
        // Identity columns, and columns that own a sequence but have no default.
        None => Draw::Nextval,
        Some(expression) => defaults.draw(&expression.unwrap_or_default(), sequence),
    };
    // A default that computes with the value says nothing about the sequence's position.
    let is_read = !matches!(draw, Draw::Other | Draw::NotAllowed);
    let number_type = if is_read { number_type(row.get(11)?) } else { None };
    let attribute = row.get(8)?.unwrap_or(0);
    let ancestors: Option<Vec<pg_sys::Oid>> = row.get(14)?;
    Ok(Column {
        name: format!("{relation}.{column}"),
        relation_oid,
        attribute,
        relation,
        number_type,
        limits: number_type.and_then(|number_type| limits::of(relation_oid, attribute, number_type)),
        draw,
        hidden: match row.get::<String>(12)?.as_deref() {
            Some("permission") => Some(Hidden::Permission),
            Some("rows") => Some(Hidden::Rows),
            _ => None,
        },
        ancestors: ancestors.unwrap_or_default(),
        given,
        is_followed: row.get(17)?.unwrap_or(false),
        is_read: Cell::new(false),
    })
}

/// A name that the query returns in UTF-8.
fn text(row: &SpiHeapTupleData<'_>, at: usize) -> SpiResult<String> {
    Ok(from_utf8(row.get::<Vec<u8>>(at)?.unwrap_or_default()))
}

/// Leaves out partitions and children, since the maximum over their parent includes them.
fn leave_out_descendants(entry: &mut Entry) {
    let plain = |column: &Column| !matches!(column.draw, Draw::Other | Draw::NotAllowed);
    let read: HashSet<u32> = entry
        .columns
        .iter()
        .filter(|column| plain(column))
        .map(|column| column.relation_oid.to_u32())
        .collect();
    entry.columns.retain(|column| {
        !plain(column) || !column.ancestors.iter().any(|ancestor| read.contains(&ancestor.to_u32()))
    });
}
