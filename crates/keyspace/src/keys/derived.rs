//! Derived keys: the same `(timestamp, id)` gives the same key on every node, in every run.
//!
//! The tail is the id, 42 bits big-endian, then a tag that fills the remaining bits: 20 in a
//! UUIDv7, 26 in a ULID. The tag is the top bits of SipHash-2-4 under the [`TagKey`], over the Unix
//! microseconds and the id, both as 8 big-endian bytes. So two ids of one instant never collide,
//! and keys order as `(timestamp, id)`. This layout is frozen by the test vectors in
//! `vectors/derived_keys.csv`.

use siphasher::sip::SipHasher24;

use super::instant::{Instant, Tick};
use super::layout::Layout;
use super::tag_key::TagKey;
use crate::{Error, SqlState};

/// Bits of the id.
const ID_BITS: u32 = 42;
/// The largest id that a derived key holds, 2^42 - 1.
pub const MAX_ID: i64 = (1 << ID_BITS) - 1;

/// The key derived from an instant and an id; `None` for an id below 0 or above [`MAX_ID`].
#[inline]
pub fn key_of<L: Layout>(instant: Instant, id: i64, key: &TagKey) -> Option<L::Key> {
    if !(0..=MAX_ID).contains(&id) {
        return None;
    }
    let id = id.unsigned_abs();
    let tag_bits = L::TAIL_BITS - ID_BITS;
    let tail = u128::from(id) << tag_bits | u128::from(tag(instant, id, tag_bits, key));
    Some(L::pack(Tick::from_instant(instant), tail))
}

/// The same, with an error for an id that no derived key holds.
///
/// # Errors
/// 22003 for an id below 0 or above [`MAX_ID`].
#[inline]
pub fn encode<L: Layout>(instant: Instant, id: i64, key: &TagKey) -> Result<L::Key, Error> {
    key_of::<L>(instant, id, key).ok_or_else(|| id_out_of_range::<L>(id))
}

/// The id that a key was derived from; `None` if the key's tag does not match, because the key was
/// not derived, or with another salt. A random key passes with a probability of about
/// 1 in 4 million (UUIDv7) or 270 million (ULID): decoding does not prove the origin.
#[inline]
pub fn decode<L: Layout>(key: L::Key, tag_key: &TagKey) -> Option<i64> {
    let (tick, tail) = L::unpack(key)?;
    let instant = tick.exact_instant()?;
    let tag_bits = L::TAIL_BITS - ID_BITS;
    let id = (tail >> tag_bits) as u64;
    let found = tail & ((1 << tag_bits) - 1);
    (found == u128::from(tag(instant, id, tag_bits, tag_key))).then_some(id.cast_signed())
}

#[inline]
fn tag(instant: Instant, id: u64, bits: u32, key: &TagKey) -> u64 {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&instant.unix_micros().to_be_bytes());
    bytes[8..].copy_from_slice(&id.to_be_bytes());
    SipHasher24::new_with_keys(key.k0, key.k1).hash(&bytes) >> (u64::BITS - bits)
}

#[cold]
fn id_out_of_range<L: Layout>(id: i64) -> Error {
    Error::new(SqlState::NumericValueOutOfRange, format!("id {id} is out of range for a derived key"))
        .detail(format!("A derived key can hold ids from 0 to {MAX_ID}."))
        .hint(format!("Use {}() for other values.", L::HASHED_FUNCTION))
}
