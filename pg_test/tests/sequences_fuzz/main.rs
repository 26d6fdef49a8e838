//! A fuzzer of interleaved sequences: random definitions, random events on several nodes, and a
//! ledger outside of the servers of every id that was handed out.
//!
//! A *case* is a random schema and a random list of events. Nodes are databases of one server, so a
//! case takes about a second. Accidents (`setval`, restores, nodes that are lost, ...) may lead to
//! ids that are handed out twice, and then the check has to report it. After a procedure of the
//! documentation, and after a check without errors, no id may be handed out twice.
//!
//! All choices depend on a seed, which is printed. `PG_KEYSPACE_TEST_SEED` repeats it, and
//! `PG_KEYSPACE_FUZZ_SECONDS` takes a random one and runs for that long.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod accidents;
mod definitions;
mod draws;
mod event;
mod expectations;
mod ledger;
mod node;
mod procedures;
mod run;
mod setup;
mod world;

use std::time::Duration;

use rand::TryRng;
use rand::rngs::SysRng;

use run::Fuzzer;
use world::LeftOut;

/// For how long to fuzz, from a random seed.
const SECONDS_VARIABLE: &str = "PG_KEYSPACE_FUZZ_SECONDS";

/// What runs if nothing else is asked for: the same cases for every change.
const USUAL_SEED: u64 = 31_000_002;
const USUAL_CASES: u64 = 12;

/// The number of cases in which a fault that was planted must be found.
const CASES_TO_A_FAULT: u64 = 40;

fn given_seed() -> Option<u64> {
    let seed = std::env::var("PG_KEYSPACE_TEST_SEED").ok()?;
    Some(seed.parse().expect("PG_KEYSPACE_TEST_SEED is a number"))
}

#[test]
fn fuzz_no_id_is_handed_out_twice() {
    let mut fuzzer = Fuzzer::start(LeftOut::Nothing);
    let result = match std::env::var(SECONDS_VARIABLE) {
        Ok(seconds) => {
            let seed = given_seed().unwrap_or_else(|| u64::from(SysRng.try_next_u32().unwrap()));
            fuzzer.run_for(seed, Duration::from_secs(seconds.parse().unwrap()))
        }
        Err(_) => fuzzer.run_cases(given_seed().unwrap_or(USUAL_SEED), USUAL_CASES),
    };
    match result {
        Ok(done) => println!("{done}"),
        Err(report) => panic!("{report}"),
    }
}

/// The fuzzer can fail: it finds ids that were handed out twice if a part of a procedure is left
/// out.
fn is_found(left_out: LeftOut) {
    let mut fuzzer = Fuzzer::start(left_out);
    let report = fuzzer
        .run_cases(given_seed().unwrap_or(USUAL_SEED), CASES_TO_A_FAULT)
        .expect_err("no id was handed out twice");
    println!("{report}");
    assert!(report.fault.contains("handed out twice"), "{report}");
}

#[test]
fn fuzz_finds_duplicates_if_the_set_up_is_left_out() {
    is_found(LeftOut::SetUp);
}

#[test]
fn fuzz_finds_duplicates_if_peers_are_left_out() {
    is_found(LeftOut::Peers);
}

#[test]
fn fuzz_finds_duplicates_if_the_gap_is_left_out() {
    is_found(LeftOut::Gap);
}

#[test]
fn fuzz_finds_duplicates_if_errors_of_the_check_are_ignored() {
    is_found(LeftOut::Check);
}
