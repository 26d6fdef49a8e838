//! `ulid()` and what turns instants, ids and values into ULIDs and back.

use keyspace::keys::{Layout, TagKey, Tick, UlidLayout, derived, hashed};
use pgrx::Uuid;
use pgrx::prelude::*;

use super::raw_text::RawText;
use super::salt::tag_key;
use super::ulid_type::Ulid;
use super::{generate, timestamp};
use crate::error::or_raise;

#[pg_extern(volatile, parallel_safe, strict)]
fn ulid() -> Ulid {
    generate::ulid().into()
}

#[pg_extern(volatile, parallel_safe, strict)]
fn ulid_from_timestamp(ts: TimestampWithTimeZone) -> Ulid {
    generate::random_at::<UlidLayout>(timestamp::instant(ts)).into()
}

#[pg_extern(immutable, parallel_safe, strict, name = "ulid_from_timestamp")]
fn ulid_from_timestamp_id(ts: TimestampWithTimeZone, id: i64) -> Ulid {
    derive(ts, id, &TagKey::UNSALTED)
}

#[pg_extern(immutable, parallel_safe, strict, name = "ulid_from_timestamp")]
fn ulid_from_timestamp_id_salt(ts: TimestampWithTimeZone, id: i64, salt: RawText<'_>) -> Ulid {
    derive(ts, id, &tag_key(salt))
}

#[inline]
fn derive(ts: TimestampWithTimeZone, id: i64, key: &TagKey) -> Ulid {
    or_raise(derived::encode::<UlidLayout>(timestamp::instant(ts), id, key)).into()
}

#[pg_extern(immutable, parallel_safe, strict, name = "ulid_from_timestamp_hashed")]
fn ulid_hashed_bigint(ts: TimestampWithTimeZone, value: i64) -> Ulid {
    hash(ts, hashed::Value::BigInt(value), &TagKey::UNSALTED)
}

#[pg_extern(immutable, parallel_safe, strict, name = "ulid_from_timestamp_hashed")]
fn ulid_hashed_bigint_salt(ts: TimestampWithTimeZone, value: i64, salt: RawText<'_>) -> Ulid {
    hash(ts, hashed::Value::BigInt(value), &tag_key(salt))
}

#[pg_extern(immutable, parallel_safe, strict, name = "ulid_from_timestamp_hashed")]
fn ulid_hashed_uuid(ts: TimestampWithTimeZone, value: Uuid) -> Ulid {
    hash(ts, hashed::Value::Uuid(uuid::Uuid::from_bytes(*value.as_bytes())), &TagKey::UNSALTED)
}

#[pg_extern(immutable, parallel_safe, strict, name = "ulid_from_timestamp_hashed")]
fn ulid_hashed_uuid_salt(ts: TimestampWithTimeZone, value: Uuid, salt: RawText<'_>) -> Ulid {
    hash(ts, hashed::Value::Uuid(uuid::Uuid::from_bytes(*value.as_bytes())), &tag_key(salt))
}

#[pg_extern(immutable, parallel_safe, strict, name = "ulid_from_timestamp_hashed")]
fn ulid_hashed_text(ts: TimestampWithTimeZone, value: RawText<'_>) -> Ulid {
    hash(ts, hashed::Value::Text(value.to_utf8()), &TagKey::UNSALTED)
}

#[pg_extern(immutable, parallel_safe, strict, name = "ulid_from_timestamp_hashed")]
fn ulid_hashed_text_salt(ts: TimestampWithTimeZone, value: RawText<'_>, salt: RawText<'_>) -> Ulid {
    hash(ts, hashed::Value::Text(value.to_utf8()), &tag_key(salt))
}

fn hash(ts: TimestampWithTimeZone, value: hashed::Value<'_>, key: &TagKey) -> Ulid {
    hashed::encode::<UlidLayout>(timestamp::instant(ts), value, key).into()
}

#[pg_extern(immutable, parallel_safe, strict)]
fn ulid_to_timestamp(key: Ulid) -> Option<TimestampWithTimeZone> {
    let (tick, _) = UlidLayout::unpack(key.into())?;
    timestamp::timestamptz(tick)
}

#[pg_extern(immutable, parallel_safe, strict)]
fn ulid_to_id(key: Ulid) -> Option<i64> {
    derived::decode::<UlidLayout>(key.into(), &TagKey::UNSALTED)
}

#[pg_extern(immutable, parallel_safe, strict, name = "ulid_to_id")]
fn ulid_to_id_salt(key: Ulid, salt: RawText<'_>) -> Option<i64> {
    derived::decode::<UlidLayout>(key.into(), &tag_key(salt))
}

#[pg_extern(immutable, parallel_safe, strict)]
fn ulid_boundary(ts: TimestampWithTimeZone) -> Ulid {
    UlidLayout::boundary(Tick::from_instant(timestamp::instant(ts))).into()
}
