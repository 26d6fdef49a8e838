//! `uuidv7()` and the functions that convert instants, ids and values to version-7 UUIDs and back.

use keyspace::keys::{TagKey, UuidV7Layout, derived, hashed};
use pgrx::Uuid;
use pgrx::prelude::*;

use super::call::as_in_c;
use super::raw_text::RawText;
use super::salt::tag_key;
use super::uuid_result::UuidResult;
use super::{generate, no_error_guard, timestamp};

as_in_c! {
    /// `uuidv7()`
    fn keyspace_uuidv7(_call) {
        no_error_guard::result::<UuidV7Layout>(generate::uuidv7())
    }

    /// `uuidv7_monotonic()`
    fn keyspace_uuidv7_monotonic(_call) {
        no_error_guard::monotonic::<UuidV7Layout>()
    }

    /// `uuidv7_from_timestamp(timestamptz)`
    fn keyspace_uuidv7_from_timestamp(call) {
        no_error_guard::random::<UuidV7Layout>(call)
    }

    /// `uuidv7_from_timestamp(timestamptz, bigint)`
    fn keyspace_uuidv7_from_timestamp_id(call) {
        no_error_guard::derived::<UuidV7Layout>(call, &TagKey::UNSALTED)
    }

    /// `uuidv7_from_timestamp(timestamptz, bigint, text)`
    fn keyspace_uuidv7_from_timestamp_id_salt(call) {
        no_error_guard::salted::<UuidV7Layout>(call)
    }

    /// `uuidv7_to_timestamp(uuid)`
    fn keyspace_uuidv7_to_timestamp(call) {
        no_error_guard::instant::<UuidV7Layout>(call)
    }

    /// `uuidv7_boundary(timestamptz)`
    fn keyspace_uuidv7_boundary(call) {
        no_error_guard::boundary::<UuidV7Layout>(call)
    }
}

fn from_datum(uuid: Uuid) -> uuid::Uuid {
    uuid::Uuid::from_bytes(*uuid.as_bytes())
}

#[pg_extern(volatile, parallel_safe, strict, name = "uuidv7")]
fn uuidv7_shifted(shift: Interval) -> UuidResult {
    let (shift, now) = timestamp::shifted_now(shift);
    generate::uuidv7_shifted(shift, now).into()
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
    hash(ts, hashed::Value::Text(value.to_utf8().as_bytes()), &TagKey::UNSALTED)
}

#[pg_extern(immutable, parallel_safe, strict, name = "uuidv7_from_timestamp_hashed")]
fn uuidv7_hashed_text_salt(ts: TimestampWithTimeZone, value: RawText<'_>, salt: RawText<'_>) -> UuidResult {
    hash(ts, hashed::Value::Text(value.to_utf8().as_bytes()), &tag_key(salt))
}

fn hash(ts: TimestampWithTimeZone, value: hashed::Value<'_>, key: &TagKey) -> UuidResult {
    hashed::encode::<UuidV7Layout>(timestamp::instant(ts), value, key).into()
}

#[pg_extern(immutable, parallel_safe, strict)]
fn uuidv7_to_id(key: Uuid) -> Option<i64> {
    derived::decode::<UuidV7Layout>(from_datum(key), &TagKey::UNSALTED)
}

#[pg_extern(immutable, parallel_safe, strict, name = "uuidv7_to_id")]
fn uuidv7_to_id_salt(key: Uuid, salt: RawText<'_>) -> Option<i64> {
    derived::decode::<UuidV7Layout>(from_datum(key), &tag_key(salt))
}
