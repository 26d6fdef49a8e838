//! Reads sequences, and the columns that they feed, from the catalogs.

use std::cell::{Cell, OnceCell};
use std::collections::btree_map::Entry::{Occupied, Vacant};
use std::collections::{BTreeMap, HashMap, HashSet};

use keyspace::sequences::discovery::ByName;
use keyspace::sequences::{Carrier, ColumnName, Draw, Limits, NumberType};
use keyspace::sql::in_message;
use keyspace::{Error, SqlState};
use pgrx::prelude::*;
use pgrx::spi::{SpiHeapTupleData, SpiResult};

use crate::encoding::{ServerText, decoded, from_server_bytes};
use crate::sequences::read::defaults::{Defaults, Role, function_label};
use crate::sequences::read::feeds::Feed;
use crate::sequences::read::limits;
use crate::sequences::read::mentions::{Connected, Mentions};
use crate::sequences::read::position_replication;
use crate::sequences::read::prepared::Prepared;
use crate::sequences::read::selection::Selection;
use crate::server::extension::Extension;
use crate::server::relation::number_type;
use crate::server::settings::with_own_settings;

/// The sequences of a selection, and the columns that they feed.
const FED_COLUMNS: &str = include_str!("fed_columns.sql");

/// The indexes that lead to the furthest values of columns.
const LEADING_INDEXES: &str = include_str!("leading_indexes.sql");

/// Why a sequence is skipped whose name, or that of its schema, cannot be written in a statement.
pub(crate) const NAME_NOT_UTF8: &str = "name not in UTF-8";
pub(crate) const NOT_UTF8_DETAIL: &str =
    "Its name, or that of its schema, cannot be converted to UTF-8. The bytes that cannot are shown as \\x.";
pub(crate) const NOT_UTF8_HINT: &str = "Rename it, and run the set-up.";

/// Prepares the query for single sequences, for callers that run it for many in turn and pass an array
/// of one.
pub(crate) fn prepare(extension: Extension) -> SpiResult<Prepared> {
    // A plan for arbitrary parameters would also have to cover the query for all sequences.
    let query = FED_COLUMNS.replace("$2 IS NULL", "false").replace("$2 IS NOT NULL", "true");
    // Without statistics, as after a restore, the planner would not look up an array by an index.
    let query = query.replace("= ANY ($2::oid[])", "= ($2::oid[])[1]");
    let arguments = [
        pg_sys::NAMEARRAYOID,
        pg_sys::REGCLASSARRAYOID,
        pg_sys::REGCLASSARRAYOID,
        pg_sys::OIDARRAYOID,
        pg_sys::OIDARRAYOID,
        pg_sys::INT2ARRAYOID,
        pg_sys::BOOLARRAYOID,
    ];
    let arguments = arguments.map(PgOid::from);
    with_own_settings(|| {
        let query =
            Spi::connect(|client| client.prepare(query.as_str(), &arguments).map(|query| query.keep()))?;
        Ok(Prepared { query, mentions: Mentions::read(extension)? })
    })
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
    /// Whether only a text connects it with the sequence.
    found: bool,
    /// The trigger that sets it, if one does.
    pub(crate) set_by: Option<String>,
    /// What draws in its default, if the column does not get the value itself.
    used_by: Option<String>,
    /// The columns of tables that its view is made of, if it is that of a view.
    made_of: Option<HashSet<String>>,
    /// Whether the owner of its table may set the sequence, so that the sequence moves above any
    /// value that the owner writes.
    pub(crate) is_followed: bool,
    /// The index that leads to its furthest value, if that has been looked up.
    pub(crate) index: Cell<Option<pg_sys::Oid>>,
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
    /// Why it is skipped in any state: temporary, a member of an extension, unlogged on a standby, or
    /// [`NAME_NOT_UTF8`].
    pub(crate) exempt: Option<&'static str>,
    pub(crate) unlogged: bool,
    /// What replicates its position, if anything does.
    pub(crate) replicated: Option<Carrier>,
    pub(crate) columns: Vec<Column>,
    /// What else draws from it, if it is not known which columns get the values.
    pub(crate) used_by: Vec<String>,
}

impl Entry {
    /// The names of the columns that count as fed.
    pub(crate) fn fed_columns(self) -> Vec<ServerText> {
        let fed = self.columns.into_iter().filter(|column| column.draw != Draw::NotAllowed);
        fed.map(|column| ServerText(column.name)).collect()
    }

    /// What draws from it that its columns do not explain. The caller explains all by naming some.
    fn unexplained(&self, mentions: &Mentions) -> Vec<String> {
        if self.columns.iter().any(|column| column.given) {
            return Vec::new();
        }
        let plain = || self.columns.iter().filter(|column| column.is_plain() && column.made_of.is_none());
        let names: Vec<ColumnName> =
            plain().filter_map(|column| ColumnName::of_quoted(&column.name)).collect();
        let places: Vec<String> = plain().map(Column::place).collect();
        let is_of_view = |column: &&Column| {
            let made_of = column.made_of.as_ref().filter(|_| column.is_plain());
            made_of.is_some_and(|made_of| !places.iter().any(|place| made_of.contains(place)))
        };
        let views = self.columns.iter().filter(is_of_view);
        let mut used_by: Vec<String> =
            views.map(|column| format!("the default of {}", column.name)).collect();
        used_by.extend(self.columns.iter().filter_map(|column| column.used_by.clone()));
        used_by.extend(mentions.unexplained(self.oid, &names));
        let mut known = HashSet::new();
        used_by.retain(|by| known.insert(by.clone()));
        used_by
    }
}

impl Column {
    /// Why its greatest value cannot be known, if so, and if the column would be read.
    pub(crate) fn refusal(&self) -> Option<Error> {
        let hint = "Run the set-up as a role that may read it, or exclude the sequence.";
        let message = match (self.number_type, self.hidden) {
            (None, _) | (_, None) => return None,
            (_, Some(Hidden::Permission)) => {
                format!("permission denied for column {}", in_message(&self.name))
            }
            (_, Some(Hidden::Rows)) => {
                format!("row-level security hides rows of column {}", in_message(&self.name))
            }
        };
        let error = Error::new(SqlState::InsufficientPrivilege, message);
        Some(error.detail("A sequence restarts above every value of the columns that it feeds.").hint(hint))
    }

    /// Its default does not name the sequence, which it owns. If a function makes the value, such as
    /// Mastodon's `timestamp_id`, or the default computes with it, the column says nothing about the
    /// sequence's position.
    fn see_other_default(
        &mut self,
        default: &[u8],
        sequence: pg_sys::Oid,
        mentions: &Mentions,
        defaults: Defaults,
    ) {
        let place = |feed: Feed| (feed.relation.to_u32(), feed.attribute);
        let own = (self.relation_oid.to_u32(), self.attribute);
        if mentions.columns.iter().any(|known| known.feed.sequence == sequence && place(known.feed) == own) {
            return;
        }
        let text = format!("the default of {}", self.name);
        let made_by = match defaults.function_of_users(default) {
            Some(function) => function_label(function),
            None if default.is_empty() || mentions.says(sequence, &text) => text,
            None => return,
        };
        self.draw = Draw::Other;
        self.number_type = None;
        self.limits = None;
        self.used_by = Some(made_by);
    }

    /// Whether it gets the sequence's values as they are.
    const fn is_plain(&self) -> bool {
        !matches!(self.draw, Draw::Other | Draw::NotAllowed)
    }

    /// Its table and its number, as the query writes them.
    fn place(&self) -> String {
        format!("{}.{}", self.relation_oid, self.attribute)
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
/// identity columns, any default that names the sequence, whatever the names are, columns that
/// triggers set, and columns that the caller has named (traps S27, S28, S29, faults B02, B03).
pub(crate) fn entries(selection: &Selection, extension: Extension) -> SpiResult<Vec<Entry>> {
    let carriers = position_replication::carriers()?;
    let defaults = Defaults::new(extension);
    let read;
    let mentions = match selection.prepared() {
        Some(prepared) => &prepared.mentions,
        None => {
            // Nothing can have drawn from a new sequence.
            read = if selection.is_new() { Mentions::default() } else { Mentions::read(extension)? };
            &read
        }
    };
    let connected: HashMap<(u32, u32, i16), &Connected> =
        mentions.columns.iter().map(|column| (key(column.feed), column)).collect();
    let mut entries: BTreeMap<u32, Entry> = BTreeMap::new();
    Spi::connect(|client| -> SpiResult<()> {
        let arguments = selection.arguments(extension, &mentions.columns)?;
        let rows = match selection.prepared() {
            Some(prepared) => client.select(&prepared.query, None, &arguments)?,
            None => client.select(FED_COLUMNS, None, &arguments)?,
        };
        for row in rows {
            let oid = row.get::<pg_sys::Oid>(1)?.unwrap_or(pg_sys::InvalidOid);
            let entry = match entries.entry(oid.to_u32()) {
                Occupied(known) => known.into_mut(),
                Vacant(new) => new.insert(entry(&row, oid, &carriers)?),
            };
            if let Some(relation_oid) = row.get(7)? {
                let mut column = column(&row, relation_oid, oid, &connected, defaults)?;
                if let Some(default) = row.get::<Vec<u8>>(21)?.filter(|_| !column.given) {
                    column.see_other_default(&default, oid, mentions, defaults);
                }
                entry.columns.push(column);
            }
        }
        Ok(())
    })?;
    let mut entries: Vec<Entry> = entries.into_values().collect();
    for entry in &mut entries {
        let precedence = |column: &Column| (!column.given, column.found);
        entry.columns.sort_by(|a, b| a.name.cmp(&b.name).then(precedence(a).cmp(&precedence(b))));
        // A column that the caller has named takes precedence over its default, and that over a
        // text.
        entry.columns.dedup_by(|other, kept| {
            let is_same = (kept.relation_oid, kept.attribute) == (other.relation_oid, other.attribute);
            if is_same {
                kept.set_by = kept.set_by.take().or_else(|| other.set_by.take());
            }
            is_same
        });
        entry.used_by = entry.unexplained(mentions);
        leave_out_descendants(entry);
    }
    Ok(entries)
}

/// The indexes that lead to the furthest values of columns, so that a table need not be opened to find out
/// whether it has one. They are looked up for all columns when the first one is asked for.
pub(crate) struct LeadingIndexes {
    tables: Vec<pg_sys::Oid>,
    found: OnceCell<HashMap<(u32, i16), pg_sys::Oid>>,
}

impl LeadingIndexes {
    pub(crate) fn of(entries: &[Entry]) -> Self {
        let columns = entries.iter().flat_map(|entry| &entry.columns);
        let is_read = |column: &&Column| column.number_type.is_some() && !column.is_hidden();
        let tables = columns.filter(is_read).map(|column| column.relation_oid).collect();
        Self { tables, found: OnceCell::new() }
    }

    /// Tells the columns of a sequence which of them have one.
    pub(crate) fn look_up(&self, entry: &Entry) -> SpiResult<()> {
        let found = match self.found.get() {
            Some(found) => found,
            None => {
                let found = self.read()?;
                self.found.get_or_init(|| found)
            }
        };
        for column in &entry.columns {
            column.index.set(found.get(&(column.relation_oid.to_u32(), column.attribute)).copied());
        }
        Ok(())
    }

    fn read(&self) -> SpiResult<HashMap<(u32, i16), pg_sys::Oid>> {
        Spi::connect(|client| {
            let mut found = HashMap::new();
            for row in client.select(LEADING_INDEXES, None, &[self.tables.clone().into()])? {
                if let (Some(table), Some(attribute), Some(index)) =
                    (row.get::<pg_sys::Oid>(1)?, row.get(2)?, row.get(3)?)
                {
                    found.insert((table.to_u32(), attribute), index);
                }
            }
            Ok(found)
        })
    }
}

fn entry(row: &SpiHeapTupleData<'_>, oid: pg_sys::Oid, carriers: &HashMap<u32, Carrier>) -> SpiResult<Entry> {
    let exempt = match row.get::<String>(6)?.as_deref() {
        Some("temporary") => Some("temporary"),
        Some("extension") => Some("belongs to an extension"),
        Some("unlogged") => Some("unlogged, not available on a standby"),
        _ => None,
    };
    let name = decoded(&row.get::<Vec<u8>>(2)?.unwrap_or_default());
    let exempt = exempt.or_else(|| name.is_err().then_some(NAME_NOT_UTF8));
    Ok(Entry {
        oid,
        name: name.unwrap_or_else(|escaped| escaped),
        is_owner: row.get(3)?.unwrap_or(false),
        is_visible: row.get(4)?.unwrap_or(false),
        unlogged: row.get(5)?.unwrap_or(false),
        exempt,
        replicated: carriers.get(&oid.to_u32()).cloned(),
        columns: Vec::new(),
        used_by: Vec::new(),
    })
}

fn key(feed: Feed) -> (u32, u32, i16) {
    (feed.sequence.to_u32(), feed.relation.to_u32(), feed.attribute)
}

fn column(
    row: &SpiHeapTupleData<'_>,
    relation_oid: pg_sys::Oid,
    sequence: pg_sys::Oid,
    connected: &HashMap<(u32, u32, i16), &Connected>,
    defaults: Defaults,
) -> SpiResult<Column> {
    let (relation, column) = (text(row, 9)?, text(row, 10)?);
    let name = format!("{relation}.{column}");
    let default: Option<Vec<u8>> = row.get(13)?;
    let given = row.get(15)?.unwrap_or(false);
    let found = row.get(18)?.unwrap_or(false);
    let attribute = row.get(8)?.unwrap_or(0);
    let feed = Feed { sequence, relation: relation_oid, attribute };
    let connected = connected.get(&key(feed)).filter(|_| found);
    let draw = match &default {
        _ if row.get(16)? != Some(true) => Draw::NotAllowed,
        Some(default) if !given => defaults.draw(default, ByName::Oid(sequence.to_u32())),
        // Identity columns, and columns that own a sequence but have no default.
        _ => connected.map_or(Draw::Nextval, |connected| connected.draw),
    };
    let type_oid = row.get(11)?;
    // The query returns no type for columns that cannot be read.
    let role = |default: &[u8]| {
        // One that is too long is not read.
        if default.is_empty() { Role::Draws } else { defaults.role_of(default, sequence) }
    };
    let computes = |default: &Vec<u8>| match role(default) {
        Role::Passes(function) => Some(function_label(function)),
        Role::Draws if number_type(type_oid).is_some() => Some(format!("the default of {name}")),
        Role::Draws | Role::Looks => None,
    };
    let used_by = default.as_ref().filter(|_| draw == Draw::Other).and_then(computes);
    // A default that computes with the value says nothing about the sequence's position.
    let is_read = !matches!(draw, Draw::Other | Draw::NotAllowed);
    let number_type = if is_read { number_type(type_oid) } else { None };
    // To look for them costs more than to read the row.
    let has_limits = type_oid.is_none_or(|of_column: pg_sys::Oid| !is_plain_integer(of_column))
        || row.get(20)?.unwrap_or(true);
    let ancestors: Option<Vec<pg_sys::Oid>> = row.get(14)?;
    let made_of: Option<Vec<String>> = row.get(19)?;
    Ok(Column {
        name,
        relation_oid,
        attribute,
        relation,
        number_type,
        limits: number_type
            .filter(|_| has_limits)
            .and_then(|number_type| limits::of(relation_oid, attribute, number_type)),
        draw,
        hidden: match row.get::<String>(12)?.as_deref() {
            Some("permission") => Some(Hidden::Permission),
            Some("rows") => Some(Hidden::Rows),
            _ => None,
        },
        ancestors: ancestors.unwrap_or_default(),
        given,
        found,
        set_by: connected.and_then(|connected| connected.set_by.clone()),
        used_by,
        made_of: made_of.map(|made_of| made_of.into_iter().collect()),
        is_followed: row.get(17)?.unwrap_or(false),
        index: Cell::new(None),
        is_read: Cell::new(false),
    })
}

/// Whether a type accepts every value of its range.
const fn is_plain_integer(type_oid: pg_sys::Oid) -> bool {
    matches!(type_oid, pg_sys::INT2OID | pg_sys::INT4OID | pg_sys::INT8OID)
}

/// A name that the query returns in the encoding of the database.
fn text(row: &SpiHeapTupleData<'_>, at: usize) -> SpiResult<String> {
    Ok(from_server_bytes(row.get::<Vec<u8>>(at)?.unwrap_or_default()))
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
