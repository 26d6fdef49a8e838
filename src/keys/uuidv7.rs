//! `uuidv7()` and what turns instants, ids and values into version-7 UUIDs and back.

use keyspace::keys::{Layout, TagKey, Tick, UuidV7Layout, derived, hashed};
use pgrx::Uuid;
use pgrx::prelude::*;

use super::raw_text::RawText;
use super::salt::tag_key;
use super::uuid_result::UuidResult;
use super::{generate, timestamp};
use crate::error::or_raise;

fn from_datum(uuid: Uuid) -> uuid::Uuid {
    uuid::Uuid::from_bytes(*uuid.as_bytes())
}

#[pg_extern(volatile, parallel_safe, strict)]
fn uuidv7() -> UuidResult {
    generate::uuidv7().into()
}

#[pg_extern(volatile, parallel_safe, strict, name = "uuidv7")]
fn uuidv7_shifted(shift: Interval) -> UuidResult {
    let (instant, micros) = timestamp::shifted_now(shift);
    generate::uuidv7_shifted(instant, micros).into()
}

#[pg_extern(volatile, parallel_safe, strict)]
fn uuidv7_from_timestamp(ts: TimestampWithTimeZone) -> UuidResult {
    generate::random_at::<UuidV7Layout>(timestamp::instant(ts)).into()
}

#[pg_extern(immutable, parallel_safe, strict, name = "uuidv7_from_timestamp")]
fn uuidv7_from_timestamp_id(ts: TimestampWithTimeZone, id: i64) -> UuidResult {
    derive(ts, id, &TagKey::UNSALTED)
}

#[pg_extern(immutable, parallel_safe, strict, name = "uuidv7_from_timestamp")]
fn uuidv7_from_timestamp_id_salt(ts: TimestampWithTimeZone, id: i64, salt: RawText<'_>) -> UuidResult {
    derive(ts, id, &tag_key(salt))
}

#[inline]
fn derive(ts: TimestampWithTimeZone, id: i64, key: &TagKey) -> UuidResult {
    or_raise(derived::encode::<UuidV7Layout>(timestamp::instant(ts), id, key)).into()
}

#[pg_extern(immutable, parallel_safe, strict, name = "uuidv7_from_timestamp_hashed")]
fn uuidv7_hashed_bigint(ts: TimestampWithTimeZone, value: i64) -> UuidResult {
    hash(ts, hashed::Value::BigInt(value), &TagKey::UNSALTED)
}

#[pg_extern(immutable, parallel_safe, strict, name = "uuidv7_from_timestamp_hashed")]
fn uuidv7_hashed_bigint_salt(ts: TimestampWithTimeZone, value: i64, salt: RawText<'_>) -> UuidResult {
    hash(ts, hashed::Value::BigInt(value), &tag_key(salt))
}

#[pg_extern(immutable, parallel_safe, strict, name = "uuidv7_from_timestamp_hashed")]
fn uuidv7_hashed_uuid(ts: TimestampWithTimeZone, value: Uuid) -> UuidResult {
    hash(ts, hashed::Value::Uuid(from_datum(value)), &TagKey::UNSALTED)
}

#[pg_extern(immutable, parallel_safe, strict, name = "uuidv7_from_timestamp_hashed")]
fn uuidv7_hashed_uuid_salt(ts: TimestampWithTimeZone, value: Uuid, salt: RawText<'_>) -> UuidResult {
    hash(ts, hashed::Value::Uuid(from_datum(value)), &tag_key(salt))
}

#[pg_extern(immutable, parallel_safe, strict, name = "uuidv7_from_timestamp_hashed")]
fn uuidv7_hashed_text(ts: TimestampWithTimeZone, value: RawText<'_>) -> UuidResult {
    hash(ts, hashed::Value::Text(value.to_utf8()), &TagKey::UNSALTED)
}

#[pg_extern(immutable, parallel_safe, strict, name = "uuidv7_from_timestamp_hashed")]
fn uuidv7_hashed_text_salt(ts: TimestampWithTimeZone, value: RawText<'_>, salt: RawText<'_>) -> UuidResult {
    hash(ts, hashed::Value::Text(value.to_utf8()), &tag_key(salt))
}

fn hash(ts: TimestampWithTimeZone, value: hashed::Value<'_>, key: &TagKey) -> UuidResult {
    hashed::encode::<UuidV7Layout>(timestamp::instant(ts), value, key).into()
}

#[pg_extern(immutable, parallel_safe, strict)]
fn uuidv7_to_timestamp(key: Uuid) -> Option<TimestampWithTimeZone> {
    let (tick, _) = UuidV7Layout::unpack(from_datum(key))?;
    timestamp::timestamptz(tick)
}

#[pg_extern(immutable, parallel_safe, strict)]
fn uuidv7_to_id(key: Uuid) -> Option<i64> {
    derived::decode::<UuidV7Layout>(from_datum(key), &TagKey::UNSALTED)
}

#[pg_extern(immutable, parallel_safe, strict, name = "uuidv7_to_id")]
fn uuidv7_to_id_salt(key: Uuid, salt: RawText<'_>) -> Option<i64> {
    derived::decode::<UuidV7Layout>(from_datum(key), &tag_key(salt))
}

#[pg_extern(immutable, parallel_safe, strict)]
fn uuidv7_boundary(ts: TimestampWithTimeZone) -> UuidResult {
    UuidV7Layout::boundary(Tick::from_instant(timestamp::instant(ts))).into()
}
