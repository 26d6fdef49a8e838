//! Triggers of others that capture the changes of a table.
//!
//! Tools that copy a table in use (pg_repack, for example) record by a trigger what changes
//! meanwhile. The backfill fires no triggers of others, so such a copy would lack its keys.

use super::finding::list_of_objects;
use crate::error::{Error, SqlState};
use crate::sql::{in_message, literal};

/// A trigger of others that an UPDATE of a new column fires in an ordinary session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// Its name, not quoted.
    pub name: String,
    /// Whether it is ENABLE ALWAYS.
    pub is_always: bool,
    /// Whether it existed when the migration was created, or was accepted since.
    pub is_known: bool,
}

impl Capture {
    /// Whether the backfill must not go on without firing it.
    const fn must_fire(&self) -> bool {
        self.is_always || !self.is_known
    }
}

/// The error for triggers that a batch would have to fire and does not; `None` if there are none.
/// `table` is the name of the table, and `migration` that of the migration, both as SQL writes them.
pub fn refusal(table: &str, migration: &str, triggers: &[Capture]) -> Option<Error> {
    let refused: Vec<&Capture> = triggers.iter().filter(|trigger| trigger.must_fire()).collect();
    let first = refused.first()?;
    let names: Vec<String> = refused.iter().map(|trigger| format!("\"{}\"", trigger.name)).collect();
    let message = if names.len() == 1 {
        format!("the backfill of table {} does not fire trigger {}", in_message(table), names.concat())
    } else {
        format!(
            "the backfill of table {} does not fire triggers {}",
            in_message(table),
            list_of_objects(&names)
        )
    };
    let why =
        if first.is_always { "is ENABLE ALWAYS" } else { "did not exist when the key migration was created" };
    let detail = format!(
        "Trigger \"{}\" {why}. If it captures changes for a copy of the table, as that of pg_repack does, the copy would lack the keys.",
        first.name
    );
    let migration = literal(migration);
    let fire = format!("SELECT key_migration_set({migration}, fire_triggers => true)");
    let otherwise = if first.is_always {
        String::new()
    } else {
        format!(
            " If it does not have to fire, run SELECT key_migration_set({migration}, fire_triggers => false)."
        )
    };
    let hint = format!(
        "If a tool is copying the table, wait until it has ended, and call again. To let the backfill fire all triggers, run {fire}.{otherwise}"
    );
    Some(Error::new(SqlState::ObjectNotInPrerequisiteState, message).detail(detail).hint(hint))
}

#[cfg(test)]
mod tests {
    use super::{Capture, refusal};

    fn capture(name: &str, is_always: bool, is_known: bool) -> Capture {
        Capture { name: name.to_owned(), is_always, is_known }
    }

    #[test]
    fn fault_c19_triggers_that_capture_changes_are_named() {
        assert_eq!(refusal("s.o", "s.o", &[capture("known", false, true)]), None);
        let triggers = [
            capture("known", false, true),
            capture("repack_trigger", true, true),
            capture("new", false, false),
        ];
        let error = refusal("s.o", "s.o", &triggers).unwrap_or_else(|| unreachable!());
        assert!(error.message.contains("triggers \"repack_trigger\", \"new\""), "{}", error.message);
        assert!(error.detail.is_some_and(|detail| detail.contains("ENABLE ALWAYS")));
        let hint = error.hint.unwrap_or_default();
        assert!(!hint.contains("fire_triggers => false"), "{hint}");
        let error = refusal("s.o", "s.\"It's\"", &[capture("new", false, false)]);
        let hint = error.and_then(|error| error.hint).unwrap_or_default();
        assert!(hint.contains("key_migration_set('s.\"It''s\"', fire_triggers => false)"), "{hint}");
    }
}
