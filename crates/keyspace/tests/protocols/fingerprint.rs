//! Worlds are distinguished by a part of their hash. Other searches use it, too.

use std::hash::{Hash, Hasher};

/// 128 bits of a world: two lanes of multiplying and folding. The probability that two of ten
/// million worlds have the same ones is 1 in 10^24.
pub struct Fingerprint(u64, u64);

impl Fingerprint {
    pub fn of(world: &impl Hash) -> u128 {
        let mut fingerprint = Self(0x243F_6A88_85A3_08D3, 0x1319_8A2E_0370_7344);
        world.hash(&mut fingerprint);
        u128::from(fingerprint.0) << 64 | u128::from(fingerprint.1)
    }
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}

impl Hasher for Fingerprint {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = fold(self.0 ^ word, 0x9E37_79B9_7F4A_7C15 | 1).rotate_left(23) ^ word;
        self.1 = fold(self.1.wrapping_add(word) ^ 0xA409_3822_299F_31D0, 0xD6E8_FEB8_6659_FD93)
            .wrapping_add(self.0);
    }

    fn write_u8(&mut self, word: u8) {
        self.write_u64(u64::from(word));
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn write_i64(&mut self, word: i64) {
        self.write_u64(word as u64);
    }

    fn write_u128(&mut self, word: u128) {
        self.write_u64(word as u64);
        self.write_u64((word >> 64) as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
