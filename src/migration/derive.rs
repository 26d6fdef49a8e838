//! The key that a migration derives from a row, and its SQL functions.

use keyspace::keys::{TagKey, UlidLayout, UuidV7Layout};
use keyspace::migration::{Target, derive};
use pgrx::prelude::*;

use super::tuple::Value;
use crate::keys::{RawText, Ulid, UuidResult, tag_key};

/// How the keys of a migration are derived. Plain data, so that it can be stored in PostgreSQL's
/// memory.
#[derive(Clone, Copy)]
pub(super) struct Derivation {
    target: Target,
    tag: TagKey,
}

impl Derivation {
    pub(super) fn new(target: Target, salt: &str) -> Self {
        Self { target, tag: TagKey::of_salt(salt) }
    }

    /// The key of a row with this time, in PostgreSQL's microseconds, and this old id.
    #[inline]
    pub(super) fn key(&self, micros: Option<i64>, old_id: Value) -> Value {
        let number = old_id.number().unwrap_or_default();
        match self.target {
            Target::Uuid => Value::Key(derive::key::<UuidV7Layout>(micros, number, &self.tag).into_bytes()),
            Target::Ulid => Value::Key(derive::key::<UlidLayout>(micros, number, &self.tag).0.to_be_bytes()),
            Target::Bigint => old_id,
        }
    }
}

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
