//! Reads from the catalogs which tables can be guarded, and their guards.

use std::collections::HashMap;

use keyspace::sequences::guard::{Guard, Mode, Unguardable};
use keyspace::sequences::{Blocks, Class, Counting, Draw, NumberType};
use keyspace::sql::in_message;
use keyspace::{Error, SqlState};
use pgrx::prelude::*;
use pgrx::spi::{SpiHeapTupleData, SpiResult};

use crate::encoding::{decoded, from_server_bytes};
use crate::sequences::change::facts::{self, Facts};
use crate::sequences::guard::counting;
use crate::sequences::read::form;
use crate::sequences::read::selection::{Selection, first};
use crate::server::extension::Extension;
use crate::server::failure::Failure;
use crate::server::relation::number_type;

/// The columns that sequences feed or guards protect.
const TABLES: &str = include_str!("tables.sql");

/// The triggers of a table, except PostgreSQL's internal ones.
const TRIGGERS: &str = "SELECT t.tgrelid, convert_to(t.tgname::text, 'SQL_ASCII'), t.tgfoid = $2, t.tgparentid <> 0, \
                               t.tgenabled::text, t.tgtype, cardinality(t.tgattr::smallint[]), t.tgattr[0], \
                               encode(t.tgargs, 'escape') \
     FROM pg_trigger t WHERE t.tgrelid = ANY ($1) AND (NOT t.tgisinternal OR t.tgfoid = $2) \
     ORDER BY t.tgrelid, t.tgname";

/// The function of the guards, in our schema, in which nobody else can create one.
const FUNCTION: &str = "SELECT p.oid, convert_to(format('%I.%I', n.nspname, p.proname), 'SQL_ASCII') \
     FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace \
     WHERE p.pronamespace = $1 AND p.proname = 'interleaved_guard' AND p.pronargs = 0";

/// A guarded table.
const ANY_GUARDED: &str = "SELECT convert_to(format('%I.%I', n.nspname, c.relname), 'SQL_ASCII') \
     FROM pg_proc p JOIN pg_trigger t ON t.tgfoid = p.oid JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
     WHERE p.pronamespace = $1 AND p.proname = 'interleaved_guard' AND p.pronargs = 0 ORDER BY n.nspname, c.relname";

/// `TRIGGER_TYPE_ROW` with `_INSERT`, which is AFTER without `_BEFORE`; `_UPDATE`, `_DELETE` of
/// catalog/pg_trigger.h.
const AFTER_INSERT: i16 = 1 | 4;
const UPDATE: i16 = 16;
const DELETE: i16 = 8;

/// A column of a table, with its properties.
pub(super) struct Column {
    pub(super) oid: pg_sys::Oid,
    pub(super) attribute: i16,
    pub(super) schema: String,
    /// `schema.table`, quoted if necessary.
    pub(super) table: String,
    /// Its name, not quoted.
    pub(super) name: String,
    kind: String,
    is_temporary: bool,
    pub(super) is_owner: bool,
    number_type: Option<NumberType>,
    type_name: String,
    /// Whether a statement can name it.
    is_named: bool,
    /// The partitioned table of which this is a partition.
    partition_of: Option<pg_sys::Oid>,
    /// The tables of which it is a partition or child, near and far.
    pub(super) ancestors: Vec<pg_sys::Oid>,
    /// The fed columns that it is or inherits.
    roots: Vec<(u32, i16)>,
}

impl Column {
    pub(super) fn is_partitioned(&self) -> bool {
        self.kind == "p"
    }

    /// Why a column cannot be guarded, whatever feeds it.
    fn unfit(&self) -> Option<String> {
        if self.kind == "f" {
            Some("foreign table".to_owned())
        } else if self.kind != "r" && self.kind != "p" {
            // A view can have defaults, and own a sequence. The ids of its rows are those of its
            // tables.
            Some("view".to_owned())
        } else if self.is_temporary {
            Some("temporary table".to_owned())
        } else if !self.is_named {
            Some("column whose name, or that of its table, is not in UTF-8".to_owned())
        } else if self.number_type.is_none() {
            Some(format!("column of type {}", self.type_name))
        } else {
            None
        }
    }
}

/// A trigger of a table.
pub(super) struct Trigger {
    pub(super) name: String,
    pub(super) is_guard: bool,
    /// Whether it was cloned from a trigger of a partitioned table.
    pub(super) is_clone: bool,
    enabled: String,
    kind: i16,
    columns: i32,
    attribute: Option<i16>,
    arguments: String,
}

impl Trigger {
    /// Whether it guards this column, in any mode.
    pub(super) fn guards(&self, column: &Column) -> bool {
        self.is_guard && self.attribute == Some(column.attribute)
    }

    /// Whether it works like this guard: for rows inserted here, but not for replicated ones.
    pub(super) fn is_in_force(&self, column: &Column, guard: Guard) -> bool {
        // Rows move between partitions by DELETE and INSERT.
        let moves = if self.is_clone || column.is_partitioned() { DELETE } else { 0 };
        let kind = AFTER_INSERT | UPDATE | moves;
        self.guard() == Some(guard) && self.enabled == "O" && self.kind == kind && self.columns == 1
    }

    /// What it does, by its arguments.
    pub(super) fn guard(&self) -> Option<Guard> {
        counting::guard(&self.arguments)
    }
}

/// A sequence that feeds a column.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) sequence: pg_sys::Oid,
    name: String,
    why_not: Option<Unguardable>,
    /// The blocks that its values stand for.
    blocks: Option<Blocks>,
}

/// Why a column is not guarded.
pub(super) struct Refusal {
    pub(super) sequence: Option<pg_sys::Oid>,
    /// A short description.
    pub(super) detail: String,
    /// The error if the caller has named this table.
    pub(super) error: Error,
}

/// All columns that are fed or guarded.
pub(super) struct Tables {
    pub(super) columns: Vec<Column>,
    /// The position of a column, by its table and its name.
    places: HashMap<(u32, String), usize>,
    /// The partitions that have a column, by the partitioned table and the column's name.
    partitions: HashMap<(u32, String), Vec<usize>>,
    triggers: HashMap<u32, Vec<Trigger>>,
    sources: HashMap<(u32, i16), Vec<Source>>,
    /// The function of the guards, quoted if necessary.
    pub(super) function: String,
}

impl Tables {
    /// Reads them. Without a class, no sequence counts as an obstacle to a guard.
    pub(super) fn read(extension: Extension, class: Option<Class>) -> Result<Self, Failure> {
        let sources = sources(extension, class)?;
        let schema = extension.internal_schema()?;
        let (guard, name) = Spi::connect(|client| -> SpiResult<_> {
            let row = client.select(FUNCTION, Some(1), &[schema.into()])?.first();
            Ok((row.get::<pg_sys::Oid>(1)?, from_server_bytes(row.get::<Vec<u8>>(2)?.unwrap_or_default())))
        })
        .map_err(|_| {
            let message = "function \"interleaved_guard\" is missing";
            Error::new(SqlState::ObjectNotInPrerequisiteState, message)
                .hint("If it was renamed or moved, restore its name and schema.")
        })?;
        let columns = columns(&sources, guard)?;
        let triggers = triggers(&columns, guard)?;
        let place = |column: &Column| (column.oid.to_u32(), column.name.clone());
        let places = columns.iter().enumerate().map(|(at, column)| (place(column), at)).collect();
        let mut partitions: HashMap<_, Vec<usize>> = HashMap::new();
        for (at, column) in columns.iter().enumerate() {
            if let Some(parent) = column.partition_of {
                partitions.entry((parent.to_u32(), column.name.clone())).or_default().push(at);
            }
        }
        Ok(Self { columns, places, partitions, triggers, sources, function: name })
    }

    /// The triggers of a column's table, ordered by name.
    pub(super) fn triggers(&self, column: &Column) -> &[Trigger] {
        self.triggers.get(&column.oid.to_u32()).map_or(&[], Vec::as_slice)
    }

    /// The guards of a column that are not clones.
    pub(super) fn guards<'a>(&'a self, column: &'a Column) -> impl Iterator<Item = &'a Trigger> {
        self.triggers(column).iter().filter(|trigger| trigger.guards(column) && !trigger.is_clone)
    }

    /// The same column of the partitioned table.
    pub(super) fn parent(&self, column: &Column) -> Option<&Column> {
        let place = (column.partition_of?.to_u32(), column.name.clone());
        self.places.get(&place).and_then(|at| self.columns.get(*at))
    }

    /// The same column of all partitions, near and far.
    pub(super) fn partitions(&self, column: &Column) -> Vec<&Column> {
        let mut found: Vec<&Column> = Vec::new();
        let mut open = vec![column];
        while let Some(column) = open.pop() {
            let below = self.partitions.get(&(column.oid.to_u32(), column.name.clone()));
            let below = below.into_iter().flatten().filter_map(|at| self.columns.get(*at));
            for partition in below {
                found.push(partition);
                open.push(partition);
            }
        }
        found.sort_by_key(|column| column.oid.to_u32());
        found
    }

    /// Whether a sequence feeds the column itself, not only a table that it inherits from.
    pub(super) fn is_fed_itself(&self, column: &Column) -> bool {
        self.sources.contains_key(&(column.oid.to_u32(), column.attribute))
    }

    /// The sources of a column: its own sequences or, if it has none, those of the tables it
    /// inherits from.
    pub(super) fn sources(&self, column: &Column) -> Vec<&Source> {
        if let Some(own) = self.sources.get(&(column.oid.to_u32(), column.attribute)) {
            return own.iter().collect();
        }
        column.roots.iter().filter_map(|root| self.sources.get(root)).flatten().collect()
    }

    /// A column, and its partitions that sequences feed themselves.
    fn with_fed_partitions<'a>(&'a self, column: &'a Column) -> impl Iterator<Item = &'a Column> {
        let mut below = self.partitions(column);
        below.retain(|partition| self.is_fed_itself(partition));
        [column].into_iter().chain(below)
    }

    /// The blocks that the ids of a column come from. All of its sequences must give the same.
    fn blocks(&self, column: &Column) -> Option<Blocks> {
        self.with_fed_partitions(column).find_map(|column| self.sources(column).first()?.blocks)
    }

    /// The guard that a column is to have. Without `counting`, ids of blocks are counted as by the
    /// guard that it has.
    pub(super) fn wanted(&self, column: &Column, mode: Mode, counting: Option<Counting>) -> Guard {
        let counting = counting
            .or_else(|| {
                let guards = self.triggers(column).iter().filter(|trigger| trigger.guards(column));
                guards.filter_map(|trigger| Some(trigger.guard()?.blocks?.counting())).next()
            })
            .unwrap_or(Counting::Either);
        Guard { mode, blocks: self.blocks(column).map(|blocks| blocks.counted(counting)) }
    }

    /// Why a column cannot be guarded, if so. A partitioned table is guarded together with its
    /// partitions, so their sequences count, too.
    pub(super) fn refusal(&self, column: &Column) -> Option<Refusal> {
        if let Some(detail) = column.unfit() {
            let message = format!(
                "column \"{}\" of table {} cannot be guarded",
                column.name,
                in_message(&column.table)
            );
            let error = Error::new(SqlState::WrongObjectType, message)
                .detail(format!("It is a {detail}."))
                .hint("Only smallint, integer, bigint and numeric columns of permanent tables of this database can be guarded.");
            let sequence = self.sources(column).first().map(|source| source.sequence);
            return Some(Refusal { sequence, detail, error });
        }
        let blocks = self.blocks(column);
        self.with_fed_partitions(column).find_map(|column| {
            self.sources(column).into_iter().find_map(|source| {
                let why = source.why_not.or((source.blocks != blocks).then_some(Unguardable::OtherBlocks))?;
                let message = format!(
                    "sequence {} prevents column \"{}\" of table {} from being guarded",
                    in_message(&source.name),
                    column.name,
                    in_message(&column.table)
                );
                let error = Error::new(SqlState::ObjectNotInPrerequisiteState, message)
                    .detail(why.detail(&source.name))
                    .hint(why.hint());
                Some(Refusal { sequence: Some(source.sequence), detail: why.name(), error })
            })
        })
    }
}

/// The name of a guarded table, if there is one.
pub(super) fn any_guarded(extension: Extension) -> Result<Option<String>, Failure> {
    Ok(first(ANY_GUARDED, &[extension.internal_schema()?.into()])?)
}

/// The sequences that feed each column, by the table's OID and the column number.
fn sources(extension: Extension, class: Option<Class>) -> Result<HashMap<(u32, i16), Vec<Source>>, Failure> {
    let Facts { entries, records } = Facts::read(extension, &Selection::all())?;
    let mut sources: HashMap<_, Vec<Source>> = HashMap::new();
    for entry in entries {
        let Some(form) = form::definition(entry.oid) else { continue };
        // The increment matters here, not the position.
        let state = form::State { last_value: form.start, is_called: false };
        let sequence = facts::of(&entry, &records, form, state);
        for column in &entry.columns {
            let why_not = class.and_then(|class| Unguardable::of(&sequence, column.draw, class));
            let key = (column.relation_oid.to_u32(), column.attribute);
            let name = entry.name.clone();
            // The other ways to draw from it give single ids.
            let blocks =
                class.filter(|_| column.draw == Draw::Nextval).and_then(|class| Blocks::of(&sequence, class));
            sources.entry(key).or_default().push(Source { sequence: entry.oid, name, why_not, blocks });
        }
    }
    Ok(sources)
}

fn columns(sources: &HashMap<(u32, i16), Vec<Source>>, guard: Option<pg_sys::Oid>) -> SpiResult<Vec<Column>> {
    let relations: Vec<pg_sys::Oid> =
        sources.keys().map(|(relation, _)| pg_sys::Oid::from(*relation)).collect();
    let attributes: Vec<i16> = sources.keys().map(|(_, attribute)| *attribute).collect();
    Spi::connect(|client| {
        let arguments = [relations.into(), attributes.into(), guard.into()];
        client.select(TABLES, None, &arguments)?.map(|row| column(&row)).collect()
    })
}

fn column(row: &SpiHeapTupleData<'_>) -> SpiResult<Column> {
    let text = |at: usize| -> SpiResult<String> {
        Ok(from_server_bytes(row.get::<Vec<u8>>(at)?.unwrap_or_default()))
    };
    let is_named =
        |at: usize| -> SpiResult<bool> { Ok(decoded(&row.get::<Vec<u8>>(at)?.unwrap_or_default()).is_ok()) };
    let roots: Vec<pg_sys::Oid> = row.get(13)?.unwrap_or_default();
    let attributes: Vec<i16> = row.get(14)?.unwrap_or_default();
    Ok(Column {
        oid: row.get(1)?.unwrap_or(pg_sys::InvalidOid),
        attribute: row.get(2)?.unwrap_or(0),
        schema: text(3)?,
        table: text(4)?,
        name: text(5)?,
        kind: row.get(6)?.unwrap_or_default(),
        is_temporary: row.get(7)?.unwrap_or(false),
        is_owner: row.get(8)?.unwrap_or(false),
        number_type: number_type(row.get(9)?),
        type_name: text(10)?,
        is_named: is_named(4)? && is_named(5)?,
        partition_of: row.get(11)?,
        ancestors: row.get(12)?.unwrap_or_default(),
        roots: roots.into_iter().map(pg_sys::Oid::to_u32).zip(attributes).collect(),
    })
}

fn triggers(columns: &[Column], guard: Option<pg_sys::Oid>) -> SpiResult<HashMap<u32, Vec<Trigger>>> {
    let relations: Vec<pg_sys::Oid> = columns.iter().map(|column| column.oid).collect();
    let mut triggers: HashMap<u32, Vec<Trigger>> = HashMap::new();
    Spi::connect(|client| {
        for row in client.select(TRIGGERS, None, &[relations.into(), guard.into()])? {
            let relation: pg_sys::Oid = row.get(1)?.unwrap_or(pg_sys::InvalidOid);
            triggers.entry(relation.to_u32()).or_default().push(Trigger {
                name: from_server_bytes(row.get::<Vec<u8>>(2)?.unwrap_or_default()),
                is_guard: row.get(3)?.unwrap_or(false),
                is_clone: row.get(4)?.unwrap_or(false),
                enabled: row.get(5)?.unwrap_or_default(),
                kind: row.get(6)?.unwrap_or(0),
                columns: row.get(7)?.unwrap_or(0),
                attribute: row.get(8)?,
                arguments: row.get(9)?.unwrap_or_default(),
            });
        }
        Ok(triggers)
    })
}
