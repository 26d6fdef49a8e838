//! Interleaved sequences: the values of each node, and how a sequence is moved into its class.

pub mod acknowledged;
pub mod block;
pub mod class;
pub mod compare;
mod direction;
pub mod discovery;
pub mod guard;
pub mod history;
pub mod limits;
pub mod name;
pub mod node_state;
pub mod number_type;
pub mod pace;
pub mod peer;
pub mod plan;
pub mod rows;
pub mod rows_ahead;
pub mod sequence;
pub mod status;

pub use block::{Blocks, Counting};
pub use class::{Class, Progression, Residue};
pub use compare::{PeerFinding, compare};
pub use direction::Share;
pub use history::PastValues;
pub use limits::{Comparison, Limits};
pub use name::{ColumnName, SequenceName};
pub use node_state::{NodeState, SequenceState};
pub use number_type::NumberType;
pub use pace::{Observation, Pace};
pub use peer::{Peer, with_peer_values};
pub use plan::{Outcome, Plan, Target, plan, plan_reset, still_gives};
pub use rows::Rows;
pub use rows_ahead::{RowsAhead, Upcoming};
pub use sequence::{Bounds, Carrier, Draw, Elsewhere, FedColumn, Former, Sequence, StillDraws};
pub use status::{Finding, Severity, Status, status};
