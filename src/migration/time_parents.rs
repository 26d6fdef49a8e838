//! The tables from whose rows keys take their time, or could take it.

use keyspace::migration::facts::TimeParent;
use keyspace::migration::{Facts, KeyOptions, TimeSource};
use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use crate::encoding::json_with_names;
use crate::server::failure::Failure;
use crate::server::settings::{self, with_own_settings};

const PARENTS: &str = include_str!("time_parents.sql");

/// The tables that keys take their time from, and those that keys without a source refer to.
pub(super) fn read(keys: &[KeyOptions]) -> Result<Vec<TimeParent>, Failure> {
    let of = |table: u32| pg_sys::Oid::from(table);
    let open: Vec<pg_sys::Oid> =
        keys.iter().filter(|key| key.time.is_none()).map(|key| of(key.table)).collect();
    let known: Vec<_> = keys
        .iter()
        .filter_map(|key| match &key.time {
            Some(TimeSource::Reference(reference)) => Some((of(key.table), reference)),
            _ => None,
        })
        .collect();
    if open.is_empty() && known.is_empty() {
        return Ok(Vec::new());
    }
    let arguments = [
        open.into(),
        known.iter().map(|known| known.0).collect::<Vec<_>>().into(),
        known.iter().map(|known| known.1.column).collect::<Vec<_>>().into(),
        known.iter().map(|known| of(known.1.parent)).collect::<Vec<_>>().into(),
        known.iter().map(|known| known.1.parent_column).collect::<Vec<_>>().into(),
    ];
    let read = || {
        Spi::connect(|client| -> SpiResult<Vec<u8>> {
            let row = client.select(PARENTS, Some(1), &arguments)?.first();
            Ok(row.get::<Vec<u8>>(1)?.unwrap_or_default())
        })
    };
    let document = with_own_settings(|| settings::with(&[(c"jit", c"off")], read))?;
    Ok(Facts::time_parents_from_json(&json_with_names(&document)?)?)
}
