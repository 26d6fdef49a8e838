//! Key migration on nodes that replicate to each other.
//!
//! Each node runs its own migration, and no node can lock another. A node therefore takes a step
//! only if the [states](NodeState) of all other nodes allow it. A state may be arbitrarily old when
//! it is used: each rule stays true if the other nodes have gone on since.
//!
//! `docs/protocols.md` says why no change is lost, and `tests/migration_nodes` searches every order
//! of events for one that is.
//!
//! | module | subject |
//! | --- | --- |
//! | [`agreement`] | what must be the same on all nodes |
//! | [`position`] | a position in the WAL of a node |
//! | [`form`] | the forms of rows on the wire, and which of them a node can apply |
//! | [`step`], [`progress`] | the steps of a node, and what it has done so far |
//! | [`rules`], [`refusal`] | which step a node may take, and why not |
//! | [`state`] | the document that tells other nodes |
//! | [`fence`] | the trigger that makes writers wait |
//! | [`digests`], [`differences`] | the rows of tables, in a form that nodes can compare, and how they differ |
//! | [`correction`] | the rows that take the key of another node |
//! | [`local_write`] | the writes of a migration that other nodes must not receive |

pub mod agreement;
pub mod correction;
pub mod differences;
pub mod digests;
pub mod fence;
pub mod form;
pub mod local_write;
pub mod position;
pub mod progress;
pub mod refusal;
pub mod rules;
pub mod state;
pub mod step;
#[cfg(test)]
mod tests;

pub use form::Form;
pub use local_write::LocalWrite;
pub use position::Position;
pub use progress::Progress;
pub use refusal::Refusal;
pub use rules::{Own, Peer, check, check_confirmed, refusals};
pub use state::NodeState;
pub use step::NodeStep;
