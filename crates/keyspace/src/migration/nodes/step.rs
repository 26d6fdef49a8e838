//! The steps of a node.

use super::form::Form;

/// A step of one node, done in one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NodeStep {
    /// Changes the form of its rows: prepares the tables, cuts over, rolls back, finalizes, or
    /// removes what was prepared. Its writers, if they wait, go on.
    Change(Form),
    /// Notes a position after which everything that it sends is later than any change of a row that
    /// is still without a key. All transactions that were running when the step was allowed must
    /// have ended before the position is read: a commit time is older than the place of its commit
    /// in the WAL.
    Mark,
    /// Fills the keys of existing rows. It ends with a position, when no row is left.
    Fill,
    /// Compares its rows with those of the other nodes.
    Compare,
    /// Makes its writers wait; apply goes on. This must outlast a crash.
    Close,
    /// Announces that it will let its writers go on without a change of form. They still wait.
    Withdraw,
    /// Lets its writers go on without a change of form.
    Open,
}

impl NodeStep {
    /// Whether it is a change to a form in which rows of this form cannot be applied.
    pub fn leaves(self, form: Form) -> bool {
        matches!(self, Self::Change(to) if !to.accepts(form) && form.can_become(to))
    }

    /// What the node does, for messages: "cannot ...".
    pub const fn name(self) -> &'static str {
        match self {
            Self::Change(Form::Unprepared) => "remove the key migration",
            Self::Change(Form::OldIds) => "prepare the tables, or roll back the cut-over",
            Self::Change(Form::Keys) => "cut over",
            Self::Change(Form::Finalized) => "finalize the key migration",
            Self::Mark => "note its position",
            Self::Fill => "fill the keys of existing rows",
            Self::Compare => "compare rows",
            Self::Close => "make writers wait",
            Self::Withdraw => "announce that writers go on",
            Self::Open => "let writers go on",
        }
    }
}
