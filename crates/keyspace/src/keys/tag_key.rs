//! The hash key of derived keys, chosen by a salt.

use sha2::{Digest, Sha256};

/// Separates hashes of this version of the layout from any other use of SHA-256.
const DOMAIN: &[u8] = b"pg_keyspace derived key v1\0";

/// The 16-byte SipHash key `k`: the first 16 bytes of SHA-256 over `"pg_keyspace derived key v1\0"`
/// and the salt in UTF-8. SipHash reads it as two little-endian 64-bit words, `k0` from the first 8
/// bytes and `k1` from the last 8.
///
/// A salt separates tables: with different salts, equal instants and ids give different keys. It is
/// not a secret, and a derived key is not a capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TagKey {
    pub(super) k0: u64,
    pub(super) k1: u64,
}

impl TagKey {
    /// The key without a salt, which is that of the empty salt.
    pub const UNSALTED: Self = Self { k0: 0x75b1_0b9b_a055_9906, k1: 0x6a94_0fdf_7119_63f1 };

    /// The key of a salt.
    pub fn of_salt(salt: &str) -> Self {
        let digest = Sha256::new().chain_update(DOMAIN).chain_update(salt).finalize();
        let word = |at: usize| {
            let bytes = digest.iter().skip(at).take(8);
            bytes.rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
        };
        Self { k0: word(0), k1: word(8) }
    }
}

#[cfg(test)]
mod tests {
    use super::TagKey;

    #[test]
    fn no_salt_is_the_empty_salt() {
        assert_eq!(TagKey::UNSALTED, TagKey::of_salt(""));
    }
}
