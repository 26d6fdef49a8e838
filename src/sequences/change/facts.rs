//! What is known of sequences before they are planned.

use keyspace::sequences::Sequence;

use super::records::Records;
use crate::sequences::read::catalog::{self, Entry};
use crate::sequences::read::form;
use crate::sequences::read::furthest::Furthest;
use crate::sequences::read::selection::Selection;
use crate::server::extension::Extension;
use crate::server::failure::Failure;
use crate::server::settings::with_own_settings;

/// What the catalogs and our own table tell of the sequences of a selection, read once a call.
pub(crate) struct Facts {
    pub(crate) entries: Vec<Entry>,
    pub(crate) records: Records,
}

impl Facts {
    /// Reads them.
    pub(crate) fn read(extension: Extension, selection: &Selection) -> Result<Self, Failure> {
        // Nothing is recorded of a sequence that was not there before.
        let records = if selection.is_new() {
            Records::default()
        } else {
            Records::read(extension, selection.only_one())?
        };
        let entries = with_own_settings(|| catalog::entries(selection, extension))?;
        Ok(Self { entries, records })
    }
}

/// What the catalogs and the sequence's page tell, without its columns' values; `None` where it was dropped.
pub(crate) fn sequence(entry: &Entry, records: &Records) -> Option<Sequence> {
    let form = form::definition(entry.oid)?;
    // The pages of another session's temporary sequence, and of an unlogged one on a standby, cannot be read; and of what
    // the caller may not see nothing can be told that was not read.
    let state = if entry.exempt.is_some() || !entry.is_visible {
        form::State { last_value: form.start, is_called: false }
    } else {
        // SAFETY: the OID was read from pg_sequence, so it is a sequence or, by now, nothing.
        unsafe { form::state(entry.oid) }?
    };
    Some(of(entry, records, form, state))
}

/// Puts together what is known of a sequence.
pub(crate) fn of(entry: &Entry, records: &Records, form: form::Definition, state: form::State) -> Sequence {
    Sequence {
        name: entry.name.clone(),
        number_type: form.number_type,
        start: form.start,
        increment: form.progression.increment,
        min_value: form.progression.min_value,
        max_value: form.progression.max_value,
        cycle: form.progression.cycle,
        unlogged: entry.unlogged,
        replicated: entry.replicated.clone(),
        last_value: state.last_value,
        is_called: state.is_called,
        former: records.former(entry.oid, form.progression.increment),
        history: records.history(entry.oid),
        promoted: records.promoted(entry.oid),
        gap_left: records.gap_left(entry.oid),
        elsewhere: Vec::new(),
        columns: entry.columns.iter().map(|column| column.facts(Furthest::default())).collect(),
    }
}
