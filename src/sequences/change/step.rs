//! One sequence of a change, and its row in the result.

use keyspace::sequences::{Outcome, Plan, Sequence};
use keyspace::{Error, SqlState};
use pgrx::AnyNumeric;
use pgrx::iter::TableIterator;
use pgrx::prelude::*;

use crate::encoding::ServerText;
use crate::sequences::read::catalog::Entry;

/// One sequence, and the plan for it.
pub(crate) struct Step {
    pub(crate) entry: Entry,
    /// The sequence before it is altered.
    pub(crate) before: Sequence,
    pub(crate) plan: Plan,
}

/// One row of the result.
pub(crate) type Row = (
    Option<pg_sys::Oid>,
    Option<&'static str>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<ServerText>,
    Option<AnyNumeric>,
    Option<Vec<ServerText>>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<ServerText>,
);

impl Step {
    /// Whether it is altered or will be.
    pub(crate) fn is_altered(&self) -> bool {
        matches!(self.plan.outcome, Outcome::Alter { .. })
    }

    /// Whether its table could not be read in time.
    pub(crate) fn is_locked(&self) -> bool {
        self.error().is_some_and(|error| error.sqlstate == SqlState::LockNotAvailable)
    }

    /// Why it cannot be altered.
    pub(crate) fn error(&self) -> Option<&Error> {
        match &self.plan.outcome {
            Outcome::Fail(error) => Some(error),
            _ => None,
        }
    }

    fn into_row(self, dry_run: bool) -> Row {
        let (action, ddl) = match self.plan.outcome {
            Outcome::Alter { ddl } => (if dry_run { "planned" } else { "altered" }, Some(ddl)),
            Outcome::Unchanged => ("unchanged", None),
            Outcome::Skip => ("skipped", None),
            Outcome::Fail(_) => ("failed", None),
        };
        // Only roles that may draw from a sequence or read it may see its position.
        let (oid, is_visible) = (self.entry.oid, self.entry.is_visible);
        let seen = |value: Option<i64>| value.filter(|_| is_visible);
        let fed_columns = self.entry.fed_columns();
        (
            Some(oid),
            Some(action),
            seen(self.plan.in_use),
            seen(self.plan.restart),
            seen(self.plan.values_left),
            Some(ServerText(self.plan.detail)),
            seen(self.plan.used_basis_points).and_then(percent),
            Some(fed_columns),
            seen(self.before.is_called.then_some(self.before.last_value)),
            Some(self.before.increment),
            Some(self.plan.increment),
            ddl.map(ServerText),
        )
    }
}

/// The rows of the result, ordered by the names of the sequences.
pub(crate) fn rows(mut steps: Vec<Step>, dry_run: bool) -> TableIterator<'static, Row> {
    steps.sort_by(|a, b| a.entry.name.cmp(&b.entry.name));
    TableIterator::new(steps.into_iter().map(move |step| step.into_row(dry_run)))
}

/// Converts hundredths of a percent to percent.
pub(crate) fn percent(basis_points: i64) -> Option<AnyNumeric> {
    AnyNumeric::try_from(format!("{}.{:02}", basis_points / 100, basis_points % 100).as_str()).ok()
}
