//! Many nodes whose values are merged. Every database is a node of its own, so one server holds all
//! of them.
//!
//! All choices depend on a seed, which is printed. `PG_KEYSPACE_TEST_SEED` repeats it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod copies;
mod crash;
mod drawn;
mod losing_the_class;
mod merged;
mod nodes;
mod schema;
mod shared_sequence;

use rand::rngs::ChaCha12Rng;
use rand::rngs::SysRng;
use rand::{SeedableRng, TryRng};

/// A random generator from a seed that is printed.
fn chance(what: &str) -> ChaCha12Rng {
    let seed = match std::env::var("PG_KEYSPACE_TEST_SEED") {
        Ok(seed) => seed.parse().expect("PG_KEYSPACE_TEST_SEED is a number"),
        Err(_) => SysRng.try_next_u64().unwrap(),
    };
    println!("{what}: PG_KEYSPACE_TEST_SEED={seed}");
    ChaCha12Rng::seed_from_u64(seed)
}
