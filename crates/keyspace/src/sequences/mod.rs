//! Interleaved sequences: which values belong to which node, and how a sequence is moved into its class.

pub mod class;
mod course;
pub mod guard;
pub mod peer;
pub mod peers;
pub mod plan;
pub mod sequence;
pub mod state;
pub mod status;

pub use class::{Class, Progression, Residue};
pub use course::Share;
pub use peer::{Peer, beside};
pub use peers::{PeerFinding, compare};
pub use plan::{Outcome, Plan, Target, plan, plan_reset};
pub use sequence::{Carrier, Draw, Elsewhere, FedColumn, Former, NumberType, Sequence};
pub use state::{NodeState, Phase, SequenceState};
pub use status::{Finding, Severity, Status, status};
