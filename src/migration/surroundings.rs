//! Reads the facts that only the findings of a plan need: who calls, what else uses the tables, and
//! which names are taken.

use std::collections::HashSet;
use std::ffi::CStr;

use keyspace::migration::surroundings::{Replication, Surroundings};
use keyspace::migration::{Facts, Options, Scope, clashes, old_id_source};
use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use super::catalog::in_time;
use super::state;
use crate::encoding::{ServerText, json_from_server};
use crate::server::extension::Extension;
use crate::server::failure::Failure;
use crate::server::names::qualified_name;
use crate::server::other_extensions::{self as others, member_table};
use crate::server::settings::{self, with_own_settings};

const SURROUNDINGS: &str = include_str!("surroundings.sql");

/// Extensions that replicate tables in sets, and have these tables of the same names and columns.
const IN_SETS: [(&CStr, &str); 2] = [(c"pglogical", "pglogical"), (c"spock", "spock")];
/// Extensions that replicate a whole database, each with the table of its nodes.
const WHOLE: [(&CStr, &str, &CStr); 2] =
    [(c"pgactive", "pgactive", c"pgactive_nodes"), (c"bdr", "bdr", c"bdr_nodes")];

/// Adds what surrounds the tables of a migration to its facts.
pub(super) fn add(extension: Extension, facts: &mut Facts, options: &Options) -> Result<(), Failure> {
    let Ok(scope) = Scope::new(facts, options) else { return Ok(()) };
    let tables: Vec<pg_sys::Oid> =
        scope.tables_and_partitions().iter().map(|table| pg_sys::Oid::from(table.oid)).collect();
    let (keys, columns): (Vec<pg_sys::Oid>, Vec<i16>) = scope
        .keys
        .iter()
        .map(|key| (pg_sys::Oid::from(key.column.table.oid), key.column.old_id.number))
        .unzip();
    let mut names = clashes::relation_names(&scope);
    names.extend(old_id_source::relation_names(&scope));
    let (schemas, names): (Vec<ServerText>, Vec<ServerText>) =
        names.into_iter().map(|(schema, name)| (ServerText(schema), ServerText(name))).unzip();
    let internal_schema = extension.internal_schema()?;
    let read = || {
        Spi::connect(|client| -> SpiResult<String> {
            let arguments = [
                tables.into(),
                keys.into(),
                columns.into(),
                schemas.into(),
                names.into(),
                internal_schema.into(),
            ];
            let row = client.select(SURROUNDINGS, Some(1), &arguments)?.first();
            Ok(json_from_server(&row.get::<Vec<u8>>(1)?.unwrap_or_default()))
        })
    };
    let json = in_time(|| Ok(with_own_settings(|| settings::with(&[(c"jit", c"off")], read))?))?;
    let mut found = Surroundings::from_json(&json)?;
    in_time(|| Ok(with_own_settings(|| replication(facts, &mut found))?))?;
    let root = pg_sys::Oid::from(options.keys.first().map_or(0, |key| key.table));
    for uses in &mut found.tables {
        uses.other_migration = state::other_migration(extension, root, pg_sys::Oid::from(uses.table))?
            .map(|other| with_own_settings(|| qualified_name(other)).unwrap_or_default());
    }
    facts.surroundings = Some(found);
    Ok(())
}

/// Reads how extensions replicate the tables. Tables of other owners are left out, because the
/// catalogs of the extensions are read whatever the caller's privileges on them are.
fn replication(facts: &Facts, found: &mut Surroundings) -> SpiResult<()> {
    let mut add = |table: u32, replication: Replication| {
        let is_own = facts.table(table).is_some_and(|table| table.is_owner);
        if let Some(uses) = found.tables.iter_mut().find(|uses| is_own && uses.table == table) {
            uses.replication.push(replication);
        }
    };
    for (name, extension) in IN_SETS {
        if let Some(sets) = member_table(name, c"replication_set_table")? {
            let sent: HashSet<pg_sys::Oid> = others::all_oids_in(sets, c"set_reloid").into_iter().collect();
            for table in sent {
                add(table.to_u32(), Replication::Set { extension });
            }
        }
        let Some(subscriptions) = member_table(name, c"subscription")? else { continue };
        let names: Vec<String> =
            others::all_names_in(subscriptions, [c"sub_name"]).into_iter().map(|[name]| name).collect();
        if names.is_empty() {
            continue;
        }
        let synchronized: HashSet<[String; 2]> = match member_table(name, c"local_sync_status")? {
            Some(status) => {
                others::all_names_in(status, [c"sync_nspname", c"sync_relname"]).into_iter().collect()
            }
            None => HashSet::new(),
        };
        for table in &facts.tables {
            let is_certain = synchronized.contains(&[table.schema.clone(), table.name.clone()]);
            add(table.oid, Replication::Subscription { extension, names: names.clone(), is_certain });
        }
    }
    for (name, extension, nodes) in WHOLE {
        if let Some(nodes) = member_table(name, nodes)?
            && others::row_count(nodes) > 1
        {
            for table in &facts.tables {
                add(table.oid, Replication::Database { extension });
            }
        }
    }
    Ok(())
}
