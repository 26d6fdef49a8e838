//! A migration on nodes that replicate to each other: what this node has done, what it knows of the
//! others, and whether it may take a step. The rules are those of `keyspace::migration::nodes`.
//!
//! | module | subject |
//! | --- | --- |
//! | [`settings`] | the argument `nodes` |
//! | [`stored`] | what is stored of this node and of the others |
//! | [`own_state`], [`node_state`] | the state of this node, and the function that returns it |
//! | [`add_peers`] | the function that takes in the states of other nodes |
//! | [`remove_node`] | the function that removes a node that is lost |
//! | [`steps`] | which step this node may take, and what is stored after one |
//! | [`fence`] | the trigger that makes writers wait |
//! | [`change`] | the changes of form: what they need besides their statements |
//! | [`read_rows`], [`digests`], [`compare`], [`correct`] | the comparison with the first node, and the rows that take its keys |
//! | [`origin`] | the replication origin of the backfill |

mod add_peers;
pub(super) mod change;
mod compare;
mod correct;
mod digests;
pub(super) mod fence;
mod node_state;
pub(super) mod origin;
mod own_state;
mod read_rows;
mod remove_node;
pub(super) mod settings;
pub(super) mod steps;
pub(super) mod stored;

use keyspace::{Error, SqlState};

/// The error for a cut-over by views, after which the tables have other names.
pub(super) fn views_refused() -> Error {
    let message = "a migration on several nodes cannot be cut over by views";
    Error::new(SqlState::FeatureNotSupported, message)
        .detail("Replication finds tables by their names.")
        .hint("Use way => 'rename'.")
}
