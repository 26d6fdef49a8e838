//! `uuidv7()` and what turns instants, ids and values into version-7 UUIDs and back.

use keyspace::keys::{Layout, TagKey, Tick, UuidV7Layout, derived, hashed};
use pgrx::Uuid;
use pgrx::prelude::*;

use super::raw_text::RawText;
use super::salt::tag_key;
use super::{generate, timestamp};
use crate::error::{SqlResult, report};

fn to_datum(uuid: uuid::Uuid) -> Uuid {
    Uuid::from_bytes(uuid.into_bytes())
}

fn from_datum(uuid: Uuid) -> uuid::Uuid {
    uuid::Uuid::from_bytes(*uuid.as_bytes())
}

#[pg_extern(volatile, parallel_safe, strict)]
fn uuidv7() -> Uuid {
    to_datum(generate::uuidv7())
}

#[pg_extern(volatile, parallel_safe, strict, name = "uuidv7")]
fn uuidv7_shifted(shift: Interval) -> SqlResult<Uuid> {
    let (instant, micros) = timestamp::shifted_now(shift)?;
    Ok(to_datum(generate::uuidv7_shifted(instant, micros)))
}

#[pg_extern(volatile, parallel_safe, strict)]
fn uuidv7_from_timestamp(ts: TimestampWithTimeZone) -> SqlResult<Uuid> {
    Ok(to_datum(generate::random_at::<UuidV7Layout>(timestamp::instant(ts)?)))
}

#[pg_extern(immutable, parallel_safe, strict, name = "uuidv7_from_timestamp")]
fn uuidv7_from_timestamp_id(ts: TimestampWithTimeZone, id: i64) -> SqlResult<Uuid> {
    derive(ts, id, &TagKey::UNSALTED)
}

#[pg_extern(immutable, parallel_safe, strict, name = "uuidv7_from_timestamp")]
fn uuidv7_from_timestamp_id_salt(ts: TimestampWithTimeZone, id: i64, salt: RawText<'_>) -> SqlResult<Uuid> {
    derive(ts, id, &tag_key(salt)?)
}

#[inline]
fn derive(ts: TimestampWithTimeZone, id: i64, key: &TagKey) -> SqlResult<Uuid> {
    derived::encode::<UuidV7Layout>(timestamp::instant(ts)?, id, key).map(to_datum).map_err(report)
}

#[pg_extern(immutable, parallel_safe, strict, name = "uuidv7_from_timestamp_hashed")]
fn uuidv7_hashed_bigint(ts: TimestampWithTimeZone, value: i64) -> SqlResult<Uuid> {
    hash(ts, hashed::Value::BigInt(value), &TagKey::UNSALTED)
}

#[pg_extern(immutable, parallel_safe, strict, name = "uuidv7_from_timestamp_hashed")]
fn uuidv7_hashed_bigint_salt(ts: TimestampWithTimeZone, value: i64, salt: RawText<'_>) -> SqlResult<Uuid> {
    hash(ts, hashed::Value::BigInt(value), &tag_key(salt)?)
}

#[pg_extern(immutable, parallel_safe, strict, name = "uuidv7_from_timestamp_hashed")]
fn uuidv7_hashed_uuid(ts: TimestampWithTimeZone, value: Uuid) -> SqlResult<Uuid> {
    hash(ts, hashed::Value::Uuid(from_datum(value)), &TagKey::UNSALTED)
}

#[pg_extern(immutable, parallel_safe, strict, name = "uuidv7_from_timestamp_hashed")]
fn uuidv7_hashed_uuid_salt(ts: TimestampWithTimeZone, value: Uuid, salt: RawText<'_>) -> SqlResult<Uuid> {
    hash(ts, hashed::Value::Uuid(from_datum(value)), &tag_key(salt)?)
}

#[pg_extern(immutable, parallel_safe, strict, name = "uuidv7_from_timestamp_hashed")]
fn uuidv7_hashed_text(ts: TimestampWithTimeZone, value: RawText<'_>) -> SqlResult<Uuid> {
    hash(ts, hashed::Value::Text(value.to_utf8()?), &TagKey::UNSALTED)
}

#[pg_extern(immutable, parallel_safe, strict, name = "uuidv7_from_timestamp_hashed")]
fn uuidv7_hashed_text_salt(
    ts: TimestampWithTimeZone,
    value: RawText<'_>,
    salt: RawText<'_>,
) -> SqlResult<Uuid> {
    hash(ts, hashed::Value::Text(value.to_utf8()?), &tag_key(salt)?)
}

fn hash(ts: TimestampWithTimeZone, value: hashed::Value<'_>, key: &TagKey) -> SqlResult<Uuid> {
    Ok(to_datum(hashed::encode::<UuidV7Layout>(timestamp::instant(ts)?, value, key)))
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
fn uuidv7_to_id_salt(key: Uuid, salt: RawText<'_>) -> SqlResult<Option<i64>> {
    Ok(derived::decode::<UuidV7Layout>(from_datum(key), &tag_key(salt)?))
}

#[pg_extern(immutable, parallel_safe, strict)]
fn uuidv7_boundary(ts: TimestampWithTimeZone) -> SqlResult<Uuid> {
    Ok(to_datum(UuidV7Layout::boundary(Tick::from_instant(timestamp::instant(ts)?))))
}
