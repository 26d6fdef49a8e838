//! Random bits for one server process: a buffer filled by ChaCha12 with a key from the operating
//! system.
//!
//! A library in `shared_preload_libraries` is loaded before the server forks. Therefore no key is
//! read from the operating system until a process asks for bits, and [`super::generate`] makes a
//! new [`Entropy`] if the process has changed: no two processes share a stream.
//!
//! Each word is wiped from the buffer when it is handed out, and each refill first replaces the key
//! by bits of its own stream. Bits that were handed out cannot be reconstructed later from the
//! memory of the process.

use std::convert::Infallible;

use pgrx::pg_guard;
use pgrx::prelude::*;
use rand::rngs::{ChaCha12Rng, SysRng};
use rand::{Rng, SeedableRng, TryRng};

/// Words in the buffer. With the 32 bytes of the next key they make 1 KiB, a whole number of cipher
/// blocks.
const BUFFER_WORDS: usize = 124;
/// After this many refills (1 MiB), a new key comes from the operating system.
const REFILLS_PER_SEED: u32 = 1_024;

/// A cryptographically secure stream of random bits.
pub(super) struct Entropy {
    key: [u8; 32],
    buffer: [u64; BUFFER_WORDS],
    /// The first word that has not been handed out.
    next: usize,
    /// Refills until the next key comes from the operating system; 0 if there is none yet.
    refills_left: u32,
}

impl Entropy {
    /// A stream that asks the operating system for a key on first use.
    pub(super) const fn new() -> Self {
        Self { key: [0; 32], buffer: [0; BUFFER_WORDS], next: BUFFER_WORDS, refills_left: 0 }
    }

    fn refill(&mut self) -> u64 {
        if self.refills_left == 0 {
            self.seed();
            self.refills_left = REFILLS_PER_SEED;
        }
        self.refills_left -= 1;
        // The cipher wipes its state and its output when it is dropped.
        let mut cipher = ChaCha12Rng::from_seed(self.key);
        cipher.fill_bytes(&mut self.key);
        for word in &mut self.buffer {
            *word = cipher.next_u64();
        }
        self.next = 1;
        std::mem::take(&mut self.buffer[0])
    }

    #[cold]
    fn seed(&mut self) {
        if let Err(error) = SysRng.try_fill_bytes(&mut self.key) {
            ereport!(
                ERROR,
                PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
                "could not generate random values",
                error.to_string()
            );
        }
    }
}

/// Refills the buffer and takes the first word. Needs a guard, since keys are generated without one
/// and the operating system may fail to return random bits.
#[cold]
#[inline(never)]
#[pg_guard]
extern "C-unwind" fn refill(entropy: &mut Entropy) -> u64 {
    entropy.refill()
}

impl TryRng for Entropy {
    type Error = Infallible;

    #[inline]
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        match self.buffer.get_mut(self.next) {
            Some(word) => {
                self.next += 1;
                Ok(std::mem::take(word))
            }
            None => Ok(refill(self)),
        }
    }

    #[inline]
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|word| word as u32)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            let word = self.try_next_u64()?.to_ne_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
        Ok(())
    }
}
