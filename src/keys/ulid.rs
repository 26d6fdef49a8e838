//! `ulid()` and the functions that convert instants, ids and values to ULIDs and back.

use keyspace::keys::{TagKey, UlidLayout, derived, hashed};
use pgrx::Uuid;
use pgrx::prelude::*;

use super::call::as_in_c;
use super::raw_text::RawText;
use super::salt::tag_key;
use super::ulid_type::Ulid;
use super::{generate, no_error_guard, timestamp};

as_in_c! {
    /// `ulid()`
    fn keyspace_ulid(_call) {
        no_error_guard::result::<UlidLayout>(generate::ulid())
    }

    /// `ulid_monotonic()`
    fn keyspace_ulid_monotonic(_call) {
        no_error_guard::monotonic::<UlidLayout>()
    }

    /// `ulid_from_timestamp(timestamptz)`
    fn keyspace_ulid_from_timestamp(call) {
        no_error_guard::random::<UlidLayout>(call)
    }

    /// `ulid_from_timestamp(timestamptz, bigint)`
    fn keyspace_ulid_from_timestamp_id(call) {
        no_error_guard::derived::<UlidLayout>(call, &TagKey::UNSALTED)
    }

    /// `ulid_from_timestamp(timestamptz, bigint, text)`
    fn keyspace_ulid_from_timestamp_id_salt(call) {
        no_error_guard::salted::<UlidLayout>(call)
    }

    /// `ulid_to_timestamp(ulid)`
    fn keyspace_ulid_to_timestamp(call) {
        no_error_guard::instant::<UlidLayout>(call)
    }

    /// `ulid_boundary(timestamptz)`
    fn keyspace_ulid_boundary(call) {
        no_error_guard::boundary::<UlidLayout>(call)
    }
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
    hash(ts, hashed::Value::Text(value.to_utf8().as_bytes()), &TagKey::UNSALTED)
}

#[pg_extern(immutable, parallel_safe, strict, name = "ulid_from_timestamp_hashed")]
fn ulid_hashed_text_salt(ts: TimestampWithTimeZone, value: RawText<'_>, salt: RawText<'_>) -> Ulid {
    hash(ts, hashed::Value::Text(value.to_utf8().as_bytes()), &tag_key(salt))
}

fn hash(ts: TimestampWithTimeZone, value: hashed::Value<'_>, key: &TagKey) -> Ulid {
    hashed::encode::<UlidLayout>(timestamp::instant(ts), value, key).into()
}

#[pg_extern(immutable, parallel_safe, strict)]
fn ulid_to_id(key: Ulid) -> Option<i64> {
    derived::decode::<UlidLayout>(key.into(), &TagKey::UNSALTED)
}

#[pg_extern(immutable, parallel_safe, strict, name = "ulid_to_id")]
fn ulid_to_id_salt(key: Ulid, salt: RawText<'_>) -> Option<i64> {
    derived::decode::<UlidLayout>(key.into(), &tag_key(salt))
}
