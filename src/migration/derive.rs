//! The key that a migration derives from a row, and its SQL functions.

use keyspace::keys::{Layout, TagKey, UlidLayout, UuidV7Layout, hashed};
use keyspace::migration::{Target, derive};
use pgrx::prelude::*;
use uuid::Uuid;

use super::old_id::Text;
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
        match self.target {
            Target::Uuid => Value::Key(self.derived::<UuidV7Layout>(micros, old_id).into_bytes()),
            Target::Ulid => Value::Key(self.derived::<UlidLayout>(micros, old_id).0.to_be_bytes()),
            Target::Bigint => old_id,
        }
    }

    #[inline]
    fn derived<L: Layout>(&self, micros: Option<i64>, old_id: Value) -> L::Key {
        let hashed = |value: hashed::Value<'_>| derive::hashed_key::<L>(micros, value, &self.tag);
        match old_id {
            Value::Number(number) => derive::key::<L>(micros, number, &self.tag),
            Value::Uuid(bytes) | Value::Key(bytes) => hashed(hashed::Value::Uuid(Uuid::from_bytes(bytes))),
            Value::Text(text) => text.with_utf8(|bytes| hashed(hashed::Value::Text(bytes))),
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

/// Declared in sql/migration/key_migration_derived.sql.
#[pg_extern(sql = false)]
fn key_migration_uuid_of_uuid(
    ts: Option<TimestampWithTimeZone>,
    id: Option<pgrx::Uuid>,
    salt: Option<RawText<'_>>,
) -> Option<UuidResult> {
    let tag = salt.map_or(TagKey::UNSALTED, tag_key);
    let id = hashed::Value::Uuid(Uuid::from_bytes(*id?.as_bytes()));
    Some(derive::hashed_key::<UuidV7Layout>(ts.map(Into::into), id, &tag).into())
}

/// Declared in sql/migration/key_migration_derived.sql.
#[pg_extern(sql = false)]
fn key_migration_uuid_of_text(
    ts: Option<TimestampWithTimeZone>,
    id: Option<RawText<'_>>,
    salt: Option<RawText<'_>>,
) -> Option<UuidResult> {
    let tag = salt.map_or(TagKey::UNSALTED, tag_key);
    let key = |id: &[u8]| {
        derive::hashed_key::<UuidV7Layout>(ts.map(Into::into), hashed::Value::Text(id), &tag).into()
    };
    Some(Text::copied(id?.bytes()).with_utf8(key))
}

/// Declared in sql/migration/key_migration_derived.sql.
#[pg_extern(sql = false)]
fn key_migration_ulid_of_uuid(
    ts: Option<TimestampWithTimeZone>,
    id: Option<pgrx::Uuid>,
    salt: Option<RawText<'_>>,
) -> Option<Ulid> {
    let tag = salt.map_or(TagKey::UNSALTED, tag_key);
    let id = hashed::Value::Uuid(Uuid::from_bytes(*id?.as_bytes()));
    Some(derive::hashed_key::<UlidLayout>(ts.map(Into::into), id, &tag).into())
}

/// Declared in sql/migration/key_migration_derived.sql.
#[pg_extern(sql = false)]
fn key_migration_ulid_of_text(
    ts: Option<TimestampWithTimeZone>,
    id: Option<RawText<'_>>,
    salt: Option<RawText<'_>>,
) -> Option<Ulid> {
    let tag = salt.map_or(TagKey::UNSALTED, tag_key);
    let key = |id: &[u8]| {
        derive::hashed_key::<UlidLayout>(ts.map(Into::into), hashed::Value::Text(id), &tag).into()
    };
    Some(Text::copied(id?.bytes()).with_utf8(key))
}
