//! Writers on all nodes under random faults, and tests that the checker finds errors.
//!
//! All choices depend on a seed, which is printed. `PG_KEYSPACE_TEST_SEED` repeats it. Long runs,
//! with every figure: `cargo xtask chaos`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod chaos_checker;
mod chaos_runs;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pg_test::InstallTree;
use pg_test::chaos::{Chaos, Classes, FaultKind, Options};
use rand::TryRng;
use rand::rngs::SysRng;

/// Every run needs the machine alone.
fn alone() -> MutexGuard<'static, ()> {
    static RUNS: Mutex<()> = Mutex::new(());
    RUNS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn options(what: &str, nodes: usize, kinds: &[FaultKind]) -> Options {
    let seed = match std::env::var("PG_KEYSPACE_TEST_SEED") {
        Ok(seed) => seed.parse().expect("PG_KEYSPACE_TEST_SEED is a number"),
        Err(_) => u64::from(SysRng.try_next_u32().unwrap()),
    };
    println!("{what}: PG_KEYSPACE_TEST_SEED={seed}");
    Options {
        seed,
        nodes,
        duration: Duration::from_secs(4),
        max_faults: u64::MAX,
        kinds: kinds.to_vec(),
        quiet: Duration::from_secs(1),
        writers: 2,
        rate: 1_000.0,
        classes: Classes::Own,
        logs: Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("chaos-{seed}")),
    }
}

fn start(options: Options) -> Chaos {
    Chaos::start(&InstallTree::from_environment().unwrap(), options).unwrap()
}

fn show(line: &str) {
    println!("{line}");
}
