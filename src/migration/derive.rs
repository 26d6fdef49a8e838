//! The key that a migration derives from a row, as SQL calls it.

use keyspace::keys::{TagKey, UlidLayout, UuidV7Layout};
use keyspace::migration::derive;
use pgrx::prelude::*;

use crate::keys::{RawText, Ulid, UuidResult, tag_key};

/// Declared in sql/migration/key_migration_derived.sql.
#[pg_extern(sql = false)]
fn key_migration_uuid(
    ts: Option<TimestampWithTimeZone>,
    id: Option<i64>,
    salt: Option<RawText<'_>>,
) -> Option<UuidResult> {
    let tag = salt.map_or(TagKey::UNSALTED, tag_key);
    Some(derive::key::<UuidV7Layout>(ts.map(Into::into), id?, &tag).into())
}

/// Declared in sql/migration/key_migration_derived.sql.
#[pg_extern(sql = false)]
fn key_migration_ulid(
    ts: Option<TimestampWithTimeZone>,
    id: Option<i64>,
    salt: Option<RawText<'_>>,
) -> Option<Ulid> {
    let tag = salt.map_or(TagKey::UNSALTED, tag_key);
    Some(derive::key::<UlidLayout>(ts.map(Into::into), id?, &tag).into())
}
