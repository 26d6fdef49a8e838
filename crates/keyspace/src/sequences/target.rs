//! What a set-up moves sequences to.

use super::class::Class;

/// The target of a set-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The node's class.
    pub class: Class,
    /// The node's class up to now, if it is another.
    pub from: Option<Class>,
    /// The class of the node that this database was copied from, if that is stored.
    pub origin: Option<Class>,
    /// The number of ids, not of steps, to leave free above everything in use. `None` leaves as
    /// many as the peers may use until their own set-ups, as far as their states show it.
    pub gap: Option<i64>,
    /// Whether a step other than 1 counts as the size of a block of ids, of which each node gets
    /// its share.
    pub blocks: bool,
}
