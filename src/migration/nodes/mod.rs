//! A migration on nodes that replicate to each other: what this node has done, what it knows of the
//! others, and whether it may take a step. The rules are those of `keyspace::migration::nodes`.
//!
//! | module | subject |
//! | --- | --- |
//! | [`settings`] | the argument `nodes` |
//! | [`stored`] | what is stored of this node and of the others |
//! | [`own_state`], [`node_state`] | the state of this node, and the function that returns it |
//! | [`add_peers`] | the function that takes in the states of other nodes |
//! | [`steps`] | which step this node may take, and what is stored after one |
//! | [`origin`] | the replication origin of the backfill |

mod add_peers;
mod node_state;
pub(super) mod origin;
mod own_state;
pub(super) mod settings;
pub(super) mod steps;
pub(super) mod stored;
