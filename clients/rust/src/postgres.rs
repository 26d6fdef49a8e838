//! For postgres-types, that is tokio-postgres and postgres. Arrays work through it, too.

use std::error::Error;
use std::sync::OnceLock;

use postgres_types::private::BytesMut;
use postgres_types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::Ulid;

/// Finds the schema of the type as a member of the extension: another type can have its name. The
/// result is for [`Ulid::set_schema`].
pub const FIND_SCHEMA: &str = "
    SELECT n.nspname::text
    FROM pg_catalog.pg_extension e
        JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
            AND d.refobjid = e.oid AND d.deptype = 'e'
            AND d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass
        JOIN pg_catalog.pg_type t ON t.oid = d.objid AND t.typname = 'ulid'
        JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
    WHERE e.extname = 'pg_keyspace'";

static SCHEMA: OnceLock<String> = OnceLock::new();

impl Ulid {
    /// Names the schema of the type, which is the same in all databases of this process. Without it,
    /// this is `public`.
    ///
    /// # Errors
    ///
    /// If another schema has been named before, which is returned.
    pub fn set_schema(schema: String) -> Result<(), &'static str> {
        let known = SCHEMA.get_or_init(|| schema.clone());
        if *known == schema { Ok(()) } else { Err(known.as_str()) }
    }
}

/// The driver tells the name of a type and its schema, which are unique together.
fn is_ulid(of: &Type) -> bool {
    of.name() == "ulid" && of.schema() == SCHEMA.get().map_or("public", String::as_str)
}

impl<'a> FromSql<'a> for Ulid {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(u128::from_be_bytes(raw.try_into()?)))
    }

    fn accepts(of: &Type) -> bool {
        is_ulid(of)
    }
}

impl ToSql for Ulid {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.0.to_be_bytes());
        Ok(IsNull::No)
    }

    fn accepts(of: &Type) -> bool {
        is_ulid(of)
    }

    to_sql_checked!();
}
