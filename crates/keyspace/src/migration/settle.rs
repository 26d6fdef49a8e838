//! What is left after a cut-over or its rollback, once the locks of all tables are released: the
//! columns that lead now become NOT NULL, and constraints that have moved are validated.

use super::checks;
use super::foreign_key_notes::marked_keys;
use super::foreign_keys;
use super::foreign_keys_of_partitions;
use super::kept_values;
use super::phase::Phase;
use super::required;
use super::scope::Scope;
use super::step::Step;
use super::stranger::stranger;
use crate::error::Error;

/// The steps, each of which is one transaction.
pub fn steps(scope: &Scope<'_>) -> Vec<Step> {
    let phase = if scope.options.cut_over { Phase::CutOver } else { Phase::Validated };
    let mut steps = Vec::new();
    for table in scope.tables_and_partitions() {
        for member in scope.members.iter().filter(|member| member.table.oid == table.oid) {
            steps.extend(required::unsettled(scope, phase, member));
        }
        steps.extend(checks::unsettled(scope, phase, table));
    }
    steps.extend(kept_values::without_roll_back(scope, phase));
    if !scope.options.cut_over {
        steps.extend(foreign_keys::unsettled(scope, phase));
    }
    steps
}

/// The error if one of these steps must not be done.
pub fn refusal(scope: &Scope<'_>, step: &Step) -> Option<Error> {
    step.other?;
    // What a rollback adds to partitions is not among those of the tables.
    let of_partitions = marked_keys(scope.facts).map(|key| (key, None));
    scope.foreign_keys().into_iter().chain(of_partitions).find_map(|(key, replacement)| {
        let (_, error) = stranger(scope, key, replacement)?;
        [key.child, scope.facts.top_of(key.child)].contains(&step.table).then_some(error)
    })
}

/// The steps before the rollback of a cut-over, each of which is one transaction.
pub fn before_roll_back(scope: &Scope<'_>) -> Vec<Step> {
    kept_values::before_roll_back(scope)
}

/// The steps that remove what those have added.
pub fn without_roll_back(scope: &Scope<'_>) -> Vec<Step> {
    kept_values::without_roll_back(scope, Phase::CutOver)
}

/// The steps before a migration is removed: foreign keys that only partitions have since the rollback of a
/// cut-over. Their table gets them, so that new partitions have them, too.
pub fn before_removal(scope: &Scope<'_>) -> Vec<Step> {
    if scope.options.cut_over {
        return Vec::new();
    }
    foreign_keys_of_partitions::unsettled(scope, Phase::Validated)
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
