//! For sqlx. Arrays are `Vec<Ulid>`; for `ulid[]` as a parameter, too.

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgConnection, PgHasArrayType, PgTypeInfo, PgValueFormat, PgValueRef};
use sqlx::{Decode, Encode, Postgres, Type};

use crate::Ulid;

/// Makes sure that `ulid` is the type of the extension on a connection. sqlx finds types by their
/// names in `search_path`, where another one can come first. Call it in
/// `PgPoolOptions::after_connect`.
///
/// # Errors
///
/// If it is another type, or none, or if the query fails.
pub async fn check(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let is_ours: Option<bool> = sqlx::query_scalar(
        "SELECT t.oid = pg_catalog.to_regtype('ulid')
        FROM pg_catalog.pg_extension e
            JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
                AND d.refobjid = e.oid AND d.deptype = 'e'
                AND d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass
            JOIN pg_catalog.pg_type t ON t.oid = d.objid AND t.typname = 'ulid'
        WHERE e.extname = 'pg_keyspace'",
    )
    .fetch_optional(connection)
    .await?
    .flatten();
    if is_ours == Some(true) {
        return Ok(());
    }
    Err(sqlx::Error::Configuration("ulid is not the type of pg_keyspace; set search_path to find its schema first".into()))
}

impl Type<Postgres> for Ulid {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("ulid")
    }
}

impl PgHasArrayType for Ulid {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("_ulid")
    }
}

impl Encode<'_, Postgres> for Ulid {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend_from_slice(&self.0.to_be_bytes());
        Ok(IsNull::No)
    }
}

impl Decode<'_, Postgres> for Ulid {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        match value.format() {
            PgValueFormat::Binary => Ok(Self(u128::from_be_bytes(value.as_bytes()?.try_into()?))),
            PgValueFormat::Text => Ok(value.as_str()?.parse()?),
        }
    }
}
