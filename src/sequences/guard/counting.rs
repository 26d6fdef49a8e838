//! How applications count the ids of blocks, as far as guards say it.

use std::collections::HashMap;

use keyspace::sequences::Counting;
use keyspace::sequences::guard::Guard;
use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use crate::server::extension::Extension;
use crate::server::failure::Failure;
use crate::server::settings::with_own_settings;

/// Every guard, with its column.
const GUARDS: &str = "SELECT t.tgrelid, t.tgattr[0], encode(t.tgargs, 'escape') \
     FROM pg_proc p JOIN pg_trigger t ON t.tgfoid = p.oid \
     WHERE p.pronamespace = $1 AND p.proname = 'interleaved_guard' AND p.pronargs = 0 \
     ORDER BY t.tgrelid, t.tgname";

/// What the arguments of a trigger say that is a guard. Each of them ends in a zero byte.
pub(super) fn guard(arguments: &str) -> Option<Guard> {
    let arguments: Vec<&str> = arguments.strip_suffix("\\000")?.split("\\000").collect();
    Guard::of_arguments(&arguments)
}

/// How ids are counted in guarded columns, by the OID of the table and the number of the column. A
/// guard that accepts both ways says nothing.
pub(crate) fn countings(extension: Extension) -> Result<HashMap<(u32, i16), Counting>, Failure> {
    let schema = extension.internal_schema()?;
    let read = || {
        Spi::connect(|client| -> SpiResult<_> {
            let mut found = HashMap::new();
            for row in client.select(GUARDS, None, &[schema.into()])? {
                let column = row.get::<pg_sys::Oid>(1)?.zip(row.get::<i16>(2)?);
                let blocks = row.get::<String>(3)?.and_then(|arguments| guard(&arguments)?.blocks);
                let counting = blocks.map(|blocks| blocks.counting());
                if let Some(((relation, attribute), counting)) =
                    column.zip(counting.filter(|counting| *counting != Counting::Either))
                {
                    found.entry((relation.to_u32(), attribute)).or_insert(counting);
                }
            }
            Ok(found)
        })
    };
    Ok(with_own_settings(read)?)
}
