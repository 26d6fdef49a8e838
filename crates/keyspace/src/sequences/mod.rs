//! Interleaved sequences: which values belong to which node, and how a sequence is moved into its class.

pub mod class;
pub mod plan;

pub use class::{Class, Progression};
pub use plan::{FedColumn, Outcome, Plan, Sequence, plan};
