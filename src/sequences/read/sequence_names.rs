//! The sequences of the database by what texts call them.

use std::collections::{BTreeMap, HashMap, HashSet};

use keyspace::sequences::discovery::{Composition, QualifiedName, Reference};
use pgrx::prelude::*;
use pgrx::spi::{SpiHeapTupleData, SpiResult};

/// The sequences, with their names in the encoding of the database, and the columns that own them.
const SEQUENCES: &str = "SELECT s.oid, convert_to(n.nspname::text, 'SQL_ASCII'), convert_to(s.relname::text, 'SQL_ASCII'), \
            c.oid, convert_to(cn.nspname::text, 'SQL_ASCII'), convert_to(c.relname::text, 'SQL_ASCII'), \
            convert_to(a.attname::text, 'SQL_ASCII') \
     FROM pg_class s JOIN pg_namespace n ON n.oid = s.relnamespace \
     LEFT JOIN (pg_depend d \
                JOIN pg_class c ON c.oid = d.refobjid JOIN pg_namespace cn ON cn.oid = c.relnamespace \
                JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid) \
         ON d.classid = 'pg_class'::regclass AND d.objid = s.oid AND d.objsubid = 0 \
            AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i') \
     WHERE s.relkind = 'S'";

/// A sequence that a column owns.
struct Owned {
    sequence: pg_sys::Oid,
    relation: pg_sys::Oid,
    schema: Vec<u8>,
    column: Vec<u8>,
}

/// The sequences, by their names and by those of the columns that own them.
pub(crate) struct SequenceNames {
    /// By name: the schema and the sequence.
    names: BTreeMap<Vec<u8>, Vec<(Vec<u8>, pg_sys::Oid)>>,
    /// By the name of the table.
    owned: HashMap<Vec<u8>, Vec<Owned>>,
}

impl SequenceNames {
    pub(crate) fn read() -> SpiResult<Self> {
        let mut names: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let mut owned: HashMap<_, Vec<_>> = HashMap::new();
        Spi::connect(|client| -> SpiResult<()> {
            for row in client.select(SEQUENCES, None, &[])? {
                let sequence = row.get(1)?.unwrap_or(pg_sys::InvalidOid);
                names.entry(bytes(&row, 3)?).or_default().push((bytes(&row, 2)?, sequence));
                if let Some(relation) = row.get(4)? {
                    let (schema, column) = (bytes(&row, 5)?, bytes(&row, 7)?);
                    let one = Owned { sequence, relation, schema, column };
                    owned.entry(bytes(&row, 6)?).or_default().push(one);
                }
            }
            Ok(())
        })?;
        Ok(Self { names, owned })
    }

    /// The sequences that a text can mean. A name without a schema is looked up by the
    /// `search_path` of whoever runs the text: the one in the schema `home` of the text is meant if
    /// it exists, and every other one may be meant if it does not. `tables` are those whose triggers
    /// run the text.
    pub(crate) fn find(
        &self,
        reference: &Reference,
        home: &[u8],
        tables: &[pg_sys::Oid],
    ) -> Vec<pg_sys::Oid> {
        match reference {
            Reference::Name(name) => {
                let all = self.names.get(&name.name).map(Vec::as_slice).unwrap_or_default();
                let all = all.iter().map(|(schema, sequence)| (schema.as_slice(), *sequence));
                in_schema(all, name, home)
            }
            Reference::OwnedBy { table, column } => {
                let all = self.owned.get(&table.name).map(Vec::as_slice).unwrap_or_default();
                let all = all.iter().filter(|one| one.column == *column);
                in_schema(all.map(|one| (one.schema.as_slice(), one.sequence)), table, home)
            }
            Reference::OwnedByTriggerTable { column } => {
                let is_meant = |one: &&Owned| {
                    tables.contains(&one.relation)
                        && column.as_ref().is_none_or(|column| one.column == *column)
                };
                self.owned.values().flatten().filter(is_meant).map(|one| one.sequence).collect()
            }
        }
    }

    /// The sequences whose names a function can make of these pieces and, if `is_serial`, those of
    /// columns that it can name with them.
    pub(crate) fn compose(&self, pieces: Composition<'_>, is_serial: bool, home: &[u8]) -> Vec<pg_sys::Oid> {
        let at_home_or_all = |all: &Vec<(Vec<u8>, pg_sys::Oid)>| -> Vec<pg_sys::Oid> {
            let all = all.iter().map(|(schema, sequence)| (schema.as_slice(), *sequence));
            of_home(all, home)
        };
        let mut found: Vec<pg_sys::Oid> =
            pieces.find(&self.names).into_iter().flat_map(at_home_or_all).collect();
        if is_serial {
            let arguments: HashSet<&[u8]> = pieces.arguments.iter().map(Vec::as_slice).collect();
            let strings: HashSet<&[u8]> = pieces.strings.iter().map(Vec::as_slice).collect();
            let is_named = |name: &[u8]| arguments.contains(name) || strings.contains(name);
            for table in arguments.union(&strings) {
                let owned = self.owned.get(*table).map(Vec::as_slice).unwrap_or_default();
                let is_meant = |one: &&Owned| {
                    is_named(&one.column)
                        && (arguments.contains(table) || arguments.contains(one.column.as_slice()))
                };
                let meant = owned.iter().filter(is_meant).map(|one| (one.schema.as_slice(), one.sequence));
                found.extend(of_home(meant, home));
            }
        }
        found
    }

    /// The sequences of columns whose names, with those of their tables, are among these strings.
    pub(crate) fn owned_by_named(&self, strings: &[Vec<u8>], home: &[u8]) -> Vec<pg_sys::Oid> {
        let known: HashSet<&[u8]> = strings.iter().map(Vec::as_slice).collect();
        let of_table = |table: &&[u8]| {
            let owned = self.owned.get(*table).map(Vec::as_slice).unwrap_or_default();
            let meant = owned.iter().filter(|one| known.contains(one.column.as_slice()));
            of_home(meant.map(|one| (one.schema.as_slice(), one.sequence)), home)
        };
        known.iter().flat_map(of_table).collect()
    }
}

/// Those in the schema of a name or, if it has none, those at home.
fn in_schema<'a>(
    all: impl Iterator<Item = (&'a [u8], pg_sys::Oid)> + Clone,
    name: &QualifiedName,
    home: &[u8],
) -> Vec<pg_sys::Oid> {
    match &name.schema {
        Some(schema) => all.filter(|(own, _)| own == schema).map(|(_, sequence)| sequence).collect(),
        None => of_home(all, home),
    }
}

/// Those in the schema `home` or, if there are none, all.
fn of_home<'a>(all: impl Iterator<Item = (&'a [u8], pg_sys::Oid)> + Clone, home: &[u8]) -> Vec<pg_sys::Oid> {
    let at_home: Vec<_> =
        all.clone().filter(|(schema, _)| *schema == home).map(|(_, sequence)| sequence).collect();
    if at_home.is_empty() { all.map(|(_, sequence)| sequence).collect() } else { at_home }
}

fn bytes(row: &SpiHeapTupleData<'_>, at: usize) -> SpiResult<Vec<u8>> {
    Ok(row.get(at)?.unwrap_or_default())
}
