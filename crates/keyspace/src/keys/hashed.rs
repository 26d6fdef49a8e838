//! Hashed derived keys, for rows whose key is not a small integer: the tail is a hash of the value.
//!
//! The tail is the top bits (62 in a UUIDv7, 68 in a ULID) of SipHash-2-4-128 under the [`TagKey`],
//! over one byte for the value's type (1 `bigint`, 2 `uuid`, 3 `text`), the Unix microseconds as 8
//! big-endian bytes, and the value: a `bigint` as 8 big-endian bytes, a `uuid` as its 16 bytes,
//! `text` as UTF-8. The hash is read as the number `h1 * 2^64 + h2`, where `h1` is the first of its
//! two output words. Equal input gives equal keys; different values collide only at random. Such a
//! key cannot be turned back into its value, and the values of one instant are in no order.

use siphasher::sip128::{Hasher128, SipHasher24};
use std::hash::Hasher;
use uuid::Uuid;

use super::instant::{Instant, Tick};
use super::layout::Layout;
use super::tag_key::TagKey;

/// A value that a hashed key is derived from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Any 64-bit integer.
    BigInt(i64),
    /// Any UUID.
    Uuid(Uuid),
    /// Any text, in UTF-8.
    Text(&'a [u8]),
}

/// The key derived from an instant and a value.
pub fn encode<L: Layout>(instant: Instant, value: Value<'_>, key: &TagKey) -> L::Key {
    let mut hasher = SipHasher24::new_with_keys(key.k0, key.k1);
    hasher.write(&[match value {
        Value::BigInt(_) => 1,
        Value::Uuid(_) => 2,
        Value::Text(_) => 3,
    }]);
    hasher.write(&instant.unix_micros().to_be_bytes());
    match value {
        Value::BigInt(number) => hasher.write(&number.to_be_bytes()),
        Value::Uuid(uuid) => hasher.write(uuid.as_bytes()),
        Value::Text(text) => hasher.write(text),
    }
    let hash = hasher.finish128();
    let tail = (u128::from(hash.h1) << 64 | u128::from(hash.h2)) >> (u128::BITS - L::TAIL_BITS);
    L::pack(Tick::from_instant(instant), tail)
}
