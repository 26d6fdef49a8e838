//! What is left after a cut-over or its rollback, once the locks of all tables are released: the
//! columns that lead now become NOT NULL, and checks that have moved are validated.

use super::checks;
use super::phase::Phase;
use super::required;
use super::scope::Scope;
use super::step::Step;

/// The steps, each of which is one transaction.
pub fn steps(scope: &Scope<'_>) -> Vec<Step> {
    let phase = if scope.options.cut_over { Phase::CutOver } else { Phase::Validated };
    let mut steps = Vec::new();
    for table in scope.tables() {
        for member in scope.members_of(table.oid) {
            steps.extend(required::unsettled(scope, phase, member));
        }
        steps.extend(checks::unsettled(phase, table));
    }
    steps
}

/// The steps before the end of a migration, each of which is one transaction.
pub fn before_end(scope: &Scope<'_>, keep_old_ids: bool) -> Vec<Step> {
    let mut steps = steps(scope);
    // A row that keeps its old id may refer to nothing.
    if !keep_old_ids {
        steps.extend(scope.members.iter().filter_map(|member| required::before_end(scope, member)));
    }
    steps
}
