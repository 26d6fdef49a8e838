//! Whether the library and the objects in this database are of the same version.

use pgrx::pg_sys::panic::ErrorReportable;
use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use crate::error::{raise, report};

pgrx::extension_sql_file!("../sql/versions.sql", name = "versions", finalize);

const LIBRARY: &str = env!("CARGO_PKG_VERSION");

/// Called by the last line of each install and upgrade script.
///
/// # Errors
/// 55000 if the library is older than the script.
#[pg_extern(sql = false)]
fn check_library_version() {
    let objects = objects().unwrap_or_report();
    if let Some(objects) = objects
        && let Err(error) = keyspace::versions::check(LIBRARY, &objects)
    {
        raise(report(error));
    }
}

/// Detail and hint, if library and objects have different versions.
pub(crate) fn difference() -> SpiResult<Option<(String, &'static str)>> {
    Ok(objects()?.and_then(|objects| keyspace::versions::difference(LIBRARY, &objects)))
}

/// The version of the objects; `None` if the extension is not installed.
fn objects() -> SpiResult<Option<String>> {
    let query = "SELECT e.extversion FROM pg_catalog.pg_extension e \
                 WHERE e.extname OPERATOR(pg_catalog.=) 'pg_keyspace'::pg_catalog.name";
    Spi::connect(|client| {
        let table = client.select(query, Some(1), &[])?;
        if table.is_empty() { Ok(None) } else { table.first().get_one() }
    })
}
