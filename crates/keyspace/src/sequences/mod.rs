//! Interleaved sequences: which values belong to which node, and how a sequence is moved into its class.

pub mod class;
mod course;
pub mod plan;
pub mod sequence;
pub mod status;

pub use class::{Class, Progression, Residue};
pub use course::Share;
pub use plan::{Outcome, Plan, Target, plan, plan_reset};
pub use sequence::{Draw, FedColumn, Former, NumberType, Sequence};
pub use status::{Finding, Severity, Status, status};
