//! Interleaved sequences: which values belong to which node, and how a sequence is moved into its class.

pub mod class;
mod course;
pub mod guard;
pub mod name;
pub mod peer;
pub mod peers;
pub mod plan;
pub mod rows;
pub mod sequence;
pub mod state;
pub mod status;

pub use class::{Class, Progression, Residue};
pub use course::Share;
pub use name::{ColumnName, SequenceName};
pub use peer::{Peer, beside};
pub use peers::{PeerFinding, compare};
pub use plan::{Outcome, Plan, Target, plan, plan_reset};
pub use rows::Rows;
pub use sequence::{Carrier, Draw, Elsewhere, FedColumn, Former, NumberType, Sequence};
pub use state::{NodeState, Phase, SequenceState};
pub use status::{Finding, Severity, Status, status};
