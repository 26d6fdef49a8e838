//! Every order of events in small worlds: the protocols of docs/protocols.md on the shipped
//! arithmetic. Each protocol is searched exhaustively and has no fault. With any one step left out,
//! or done in the wrong order, the search finds a value that is handed out twice.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod action;
mod change;
mod copy;
mod fail_over;
mod filled;
mod fingerprint;
mod fresh;
mod glue;
mod leave;
mod live;
mod moved_back;
mod moves;
mod one_column;
mod reduction;
mod scenario;
mod search;
mod split;
mod trace;
mod world;

use scenario::{Definition, Form, SetUp};
use world::Identity;

/// `DEFAULT nextval(...)`.
const NEXTVAL: Definition = Definition { partitioned: false, cache: 1 };
/// The same, with values cached by sessions.
const CACHED: Definition = Definition { partitioned: false, cache: 2 };
/// `DEFAULT partitioned_nextval(...)`.
const PARTITIONED: Definition = Definition { partitioned: true, cache: 1 };

/// A set-up without optional arguments.
fn as_node(identity: Identity) -> SetUp {
    SetUp { identity, from: None, gap: 0, peers: false, form: Form::Whole }
}

/// Whether to search larger worlds, which takes minutes.
fn is_large() -> bool {
    std::env::var_os("PG_KEYSPACE_LARGE_WORLDS").is_some()
}

/// How many values the clients of each node draw, in a small world or in a large one.
fn draws(small: [u8; 3], large: [u8; 3]) -> [u8; 3] {
    if is_large() { large } else { small }
}
