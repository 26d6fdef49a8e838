//! The order of the bits in a UUIDv7 and in a ULID, big-endian, most significant first:
//!
//! | | ms | version / variant | fraction | tail |
//! | --- | --- | --- | --- | --- |
//! | UUIDv7 | 48 | 4 before the fraction, 2 after it | 12 | 62 |
//! | ULID | 48 | - | 12 | 68 |
//!
//! Big-endian storage makes the order of the bytes the order of the instants.

use rand::Rng;
use ulid::Ulid;
use uuid::Uuid;

use super::instant::Tick;

const VERSION_7: u128 = 0x7 << 76;
const VERSION_MASK: u128 = 0xf << 76;
const VARIANT_10: u128 = 0b10 << 62;
const VARIANT_MASK: u128 = 0b11 << 62;

/// The places of the tick and the tail in a type of key.
pub trait Layout {
    /// The type of the key.
    type Key: Copy;
    /// The function that derives keys of this type from any value; errors refer to it.
    const HASHED_FUNCTION: &'static str;
    /// Bits of the tail, from 43 to 128.
    const TAIL_BITS: u32;
    /// The largest tail.
    const TAIL_MAX: u128 = (1 << Self::TAIL_BITS) - 1;

    /// The key of a tick and the lower [`Layout::TAIL_BITS`] bits of a tail.
    fn pack(tick: Tick, tail: u128) -> Self::Key;

    /// The tick and the tail of a key; `None` if the key is of another kind, such as a UUID of
    /// another version.
    fn unpack(key: Self::Key) -> Option<(Tick, u128)>;

    /// The tail of these random bits: a word, and from `more` the bits of the tail beyond 64.
    fn tail_of(word: u64, more: u64) -> u128;

    /// A tail of random bits.
    #[inline]
    fn random_tail(rng: &mut impl Rng) -> u128 {
        let word = rng.next_u64();
        Self::tail_of(word, if Self::TAIL_BITS > u64::BITS { rng.next_u64() } else { 0 })
    }

    /// The key as it is stored: 16 bytes, the most significant first.
    fn to_bytes(key: Self::Key) -> [u8; 16];

    /// The key with these bytes.
    fn from_bytes(bytes: [u8; 16]) -> Self::Key;

    /// The smallest key of a tick.
    fn boundary(tick: Tick) -> Self::Key {
        Self::pack(tick, 0)
    }
}

/// UUID version 7 of RFC 9562, with the fraction in `rand_a` (the RFC's section 6.2, method 3).
#[derive(Clone, Copy, Debug)]
pub enum UuidV7Layout {}

impl Layout for UuidV7Layout {
    type Key = Uuid;
    const HASHED_FUNCTION: &'static str = "uuidv7_from_timestamp_hashed";
    const TAIL_BITS: u32 = 62;

    #[inline]
    fn pack(tick: Tick, tail: u128) -> Uuid {
        let bits = u128::from(tick.bits());
        let ms = bits >> 12 << 80;
        let fraction = (bits & 0xfff) << 64;
        Uuid::from_u128(ms | VERSION_7 | fraction | VARIANT_10 | tail & Self::TAIL_MAX)
    }

    #[inline]
    fn unpack(key: Uuid) -> Option<(Tick, u128)> {
        let bits = key.as_u128();
        if bits & (VERSION_MASK | VARIANT_MASK) != VERSION_7 | VARIANT_10 {
            return None;
        }
        let tick = (bits >> 80) << 12 | bits >> 64 & 0xfff;
        Some((Tick::from_bits(tick as u64), bits & Self::TAIL_MAX))
    }

    #[inline]
    fn tail_of(word: u64, _: u64) -> u128 {
        u128::from(word >> 2)
    }

    #[inline]
    fn to_bytes(key: Uuid) -> [u8; 16] {
        key.into_bytes()
    }

    #[inline]
    fn from_bytes(bytes: [u8; 16]) -> Uuid {
        Uuid::from_bytes(bytes)
    }
}

/// ULID: the specification's 48 bits of time and 80 bits of randomness. The first 12 random bits
/// hold the fraction, so that ULIDs order like UUIDv7s.
#[derive(Clone, Copy, Debug)]
pub enum UlidLayout {}

impl Layout for UlidLayout {
    type Key = Ulid;
    const HASHED_FUNCTION: &'static str = "ulid_from_timestamp_hashed";
    const TAIL_BITS: u32 = 68;

    #[inline]
    fn pack(tick: Tick, tail: u128) -> Ulid {
        Ulid(u128::from(tick.bits()) << Self::TAIL_BITS | tail & Self::TAIL_MAX)
    }

    #[inline]
    fn unpack(key: Ulid) -> Option<(Tick, u128)> {
        Some((Tick::from_bits((key.0 >> Self::TAIL_BITS) as u64), key.0 & Self::TAIL_MAX))
    }

    #[inline]
    fn tail_of(word: u64, more: u64) -> u128 {
        u128::from(word) << 4 | u128::from(more & 0xf)
    }

    #[inline]
    fn to_bytes(key: Ulid) -> [u8; 16] {
        key.0.to_be_bytes()
    }

    #[inline]
    fn from_bytes(bytes: [u8; 16]) -> Ulid {
        Ulid(u128::from_be_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// RFC 9562, appendix A.6: 0x017F22E279B0 ms, rand_a 0xCC3, rand_b 0x18C4DC0C0C07398F.
    #[test]
    fn the_test_vector_of_rfc_9562() {
        let tick = Tick::from_bits(0x017f_22e2_79b0 << 12 | 0xcc3);
        let uuid = UuidV7Layout::pack(tick, 0x18c4_dc0c_0c07_398f);
        assert_eq!(uuid.to_string(), "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
        assert_eq!(UuidV7Layout::unpack(uuid).unwrap(), (tick, 0x18c4_dc0c_0c07_398f));
        assert_eq!(tick.unix_ms(), 1_645_557_742_000);
    }

    #[test]
    fn a_tail_that_is_too_long_does_not_touch_the_head() {
        assert_eq!(UuidV7Layout::pack(Tick::MIN, u128::MAX).get_version_num(), 7);
        assert_eq!(UlidLayout::pack(Tick::MIN, u128::MAX).0, UlidLayout::TAIL_MAX);
    }

    #[test]
    fn trap_k06_only_version_7_of_the_rfc_variant_is_read() {
        for text in [
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
            "c232ab00-9414-11ec-b3c8-9f6bdeced846", // version 1
            "919108f7-52d1-4320-9bac-f847db4148a8", // version 4
            "1ec9414c-232a-6b00-b3c8-9f6bdeced846", // version 6
            "017f22e2-79b0-7cc3-18c4-dc0c0c07398f", // version 7 in another variant
            "017f22e2-79b0-7cc3-d8c4-dc0c0c07398f",
        ] {
            assert_eq!(UuidV7Layout::unpack(text.parse().unwrap()), None, "{text}");
        }
    }
}
