//! Many keys in concurrent sessions: none twice, in order within a session, and within the server
//! if that is guaranteed.

use std::io::Read;
use std::sync::Mutex;

use pg_test::{Server, load};
use postgres::Client;

use crate::preload::{DATABASE, PRELOADED, start};

const SESSIONS: usize = 8;
/// The number of keys that one statement returns.
const BATCH: usize = 25_000;
/// The number of keys of each kind; 100,000,000 is the full test, which needs 2 GB of memory.
const KEYS_VARIABLE: &str = "PG_KEYSPACE_TEST_KEYS";
const KEYS: usize = 1_600_000;

fn keys_per_session() -> usize {
    let keys = std::env::var(KEYS_VARIABLE).map_or(KEYS, |keys| keys.parse().unwrap());
    keys.div_ceil(SESSIONS)
}

/// The keys of a statement, by COPY in binary format: 16 bytes each, after the number of columns
/// and the length.
fn take(client: &mut Client, function: &str, count: usize, keys: &mut Vec<u128>) {
    let copy =
        format!("COPY (SELECT {function}() FROM generate_series(1, {count})) TO STDOUT (FORMAT binary)");
    let mut bytes = Vec::with_capacity(count * 22 + 64);
    client.copy_out(&copy).unwrap().read_to_end(&mut bytes).unwrap();
    assert!(bytes.starts_with(b"PGCOPY\n\xff\r\n\0"));
    let rows = &bytes[19..bytes.len() - 2];
    assert_eq!(rows.len(), count * 22);
    for row in rows.chunks_exact(22) {
        assert_eq!(row[..6], [0, 1, 0, 0, 0, 16]);
        keys.push(u128::from_be_bytes(row[6..].try_into().unwrap()));
    }
}

/// The keys of each session, in order. If the order is server-wide, every key of a statement is
/// greater than every key that a session had before the statement began.
fn take_in_all_sessions(server: &Server, function: &str, server_wide: bool) -> Vec<Vec<u128>> {
    let count = keys_per_session();
    let latest = Mutex::new(0_u128);
    let session = |mut client: Client| {
        let mut keys = Vec::with_capacity(count);
        while keys.len() < count {
            let first = keys.len();
            let before = *latest.lock().unwrap();
            take(&mut client, function, BATCH.min(count - first), &mut keys);
            if server_wide {
                assert!(keys[first] > before, "{:x} came after {before:x}", keys[first]);
            }
            let mut latest = latest.lock().unwrap();
            *latest = (*latest).max(keys[keys.len() - 1]);
        }
        Ok(keys)
    };
    load::at_once((0..SESSIONS).collect(), |_| server.connect(DATABASE), session).unwrap().results
}

/// The keys of each session increase, and no key is in two sessions. A merge finds duplicates,
/// because the keys are in order.
fn assert_distinct(sessions: &[Vec<u128>]) {
    for keys in sessions {
        let mut last = None;
        for key in keys {
            assert!(last < Some(key), "{key:x} after {last:x?} in one session");
            last = Some(key);
        }
    }
    let mut left: Vec<&[u128]> = sessions.iter().map(Vec::as_slice).collect();
    let (mut last, mut seen) = (None, 0);
    while let Some(least) = left.iter_mut().filter(|keys| !keys.is_empty()).min_by_key(|keys| keys[0]) {
        let (key, rest) = least.split_first().unwrap();
        assert!(last < Some(key), "{key:x} was given out twice");
        last = Some(key);
        *least = rest;
        seen += 1;
    }
    assert_eq!(seen, sessions.iter().map(Vec::len).sum::<usize>());
}

/// The sessions must overlap; otherwise they ran one after the other.
fn assert_interleaved(sessions: &[Vec<u128>]) {
    let mut bounds: Vec<(u128, bool)> =
        sessions.iter().flat_map(|keys| [(keys[0], true), (keys[keys.len() - 1], false)]).collect();
    bounds.sort_unstable();
    let mut open = 0;
    let most = bounds.iter().map(|(_, starts)| {
        open += if *starts { 1 } else { -1 };
        open
    });
    assert!(most.max() >= Some(2), "the sessions did not overlap");
}

fn check(function: &str, server_wide: bool) {
    let server = start(&[PRELOADED]);
    let sessions = take_in_all_sessions(&server, function, server_wide);
    assert_interleaved(&sessions);
    assert_distinct(&sessions);
}

#[test]
fn trap_k01_uuidv7_of_eight_sessions_of_a_preloaded_server() {
    check("public.uuidv7", false);
}

#[test]
fn trap_k01_ulid_of_eight_sessions_of_a_preloaded_server() {
    check("ulid", false);
}

#[test]
fn trap_k02_uuidv7_monotonic_is_in_one_order_over_eight_sessions() {
    check("uuidv7_monotonic", true);
}

#[test]
fn trap_k02_ulid_monotonic_is_in_one_order_over_eight_sessions() {
    check("ulid_monotonic", true);
}
