//! The table whose key is migrated, as the server knows it.

use keyspace::sql::literal;

use crate::failure::{Failure, Result};
use crate::session::Session;

/// A table.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its name with its schema, quoted where that is needed.
    pub name: String,
    /// Its name alone, as `confirm` expects it.
    pub plain: String,
    /// Its OID.
    pub oid: u32,
}

impl Table {
    /// Looks a table up, with the search path that the role has on the server.
    ///
    /// # Errors
    /// If it does not exist, or the text is no name.
    pub fn find(session: &mut Session, text: &str) -> Result<Self> {
        let oid = look_up(session, text)?.ok_or_else(|| {
            Failure::new(format!("relation \"{text}\" does not exist"))
                .of_node(session.name())
                .hint("Write the name as in SQL, with its schema if it is not in the search_path of the role: 'shop.\"Order\"'.")
        })?;
        let row = session.query_one(
            "SELECT format('%I.%I', n.nspname, c.relname), c.relname::text
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1",
            &[&oid],
        )?;
        Ok(Self { name: row.try_get(0)?, plain: row.try_get(1)?, oid })
    }

    /// The table as an argument of type `regclass`.
    pub fn argument(&self) -> String {
        format!("{}::pg_catalog.regclass", literal(&self.name))
    }

    /// The phase of its migration; `None` if it is in no migration.
    ///
    /// # Errors
    /// Those of the server.
    pub fn phase(&self, session: &mut Session) -> Result<Option<String>> {
        let function = session.object("key_migration_phase")?;
        match session.query_one(&format!("SELECT {function}({})", self.argument()), &[]) {
            Ok(row) => Ok(row.try_get(0)?),
            // The table is in no migration.
            Err(failure) if failure.is("42704") => Ok(None),
            Err(failure) => Err(failure),
        }
    }
}

/// The session finds nothing by the path of the role, except here. Names that begin with `pg_catalog`
/// are written out, because the path may have others before it.
fn look_up(session: &mut Session, text: &str) -> Result<Option<u32>> {
    session.batch_execute("BEGIN READ ONLY")?;
    let found: Result<Option<u32>> = (|| {
        session.execute(
            "SELECT pg_catalog.set_config('search_path', s.reset_val, true) FROM pg_catalog.pg_settings s
             WHERE s.name OPERATOR(pg_catalog.=) 'search_path'",
            &[],
        )?;
        let row = session
            .query_one("SELECT pg_catalog.to_regclass($1::pg_catalog.text)::pg_catalog.oid", &[&text])?;
        Ok(row.try_get(0)?)
    })();
    // The path is that of before again.
    session.batch_execute("ROLLBACK")?;
    found
}
