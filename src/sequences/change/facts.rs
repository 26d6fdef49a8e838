//! The state of sequences before they are planned.

use keyspace::sequences::Sequence;

use super::records::Records;
use crate::sequences::read::catalog::{self, Entry};
use crate::sequences::read::form;
use crate::sequences::read::furthest::Furthest;
use crate::sequences::read::selection::Selection;
use crate::server::extension::Extension;
use crate::server::failure::Failure;
use crate::server::settings::with_own_settings;
use crate::server::subtransaction::read_and_release;

/// The data of a selection's sequences from the catalogs and our own table, read once per call.
pub(crate) struct Facts {
    pub(crate) entries: Vec<Entry>,
    pub(crate) records: Records,
}

impl Facts {
    /// Reads them, and releases the locks on the catalogs: our queries need dozens of them, which would
    /// take the place of sequences in the lock table (trap S20).
    pub(crate) fn read(extension: Extension, selection: &Selection) -> Result<Self, Failure> {
        // For one sequence, nothing else needs the place. If it is new, the transaction may have created
        // many tables, which the end of a subtransaction would walk through.
        if selection.only_one().is_some() {
            return Self::read_here(extension, selection);
        }
        match read_and_release(|| Self::read_here(extension, selection)) {
            Ok(facts) => facts,
            Err(error) => error.rethrow(),
        }
    }

    fn read_here(extension: Extension, selection: &Selection) -> Result<Self, Failure> {
        // A new sequence has no record.
        let records = if selection.is_new() {
            Records::default()
        } else {
            let trusted = selection.trusted(extension)?;
            Records::read(extension, selection.only_one())?.trusting(&trusted)
        };
        let entries = with_own_settings(|| catalog::entries(selection, extension))?;
        Ok(Self { entries, records })
    }
}

/// The data of a sequence from the catalogs and its page, without the values of its columns; `None`
/// if it was dropped.
pub(crate) fn sequence(entry: &Entry, records: &Records) -> Option<Sequence> {
    let form = form::definition(entry.oid)?;
    // The pages of another session's temporary sequence, and of an unlogged one on a standby,
    // cannot be read. If the caller may not see a sequence, its page is not read, so that nothing
    // of it can be reported.
    let state = if entry.exempt.is_some() || !entry.is_visible {
        form::State { last_value: form.start, is_called: false }
    } else {
        form::state(entry.oid)?
    };
    Some(of(entry, records, form, state))
}

/// As [`sequence`], for one that is locked: its position is not read.
pub(crate) fn unread(entry: &Entry, records: &Records) -> Option<Sequence> {
    let form = form::definition(entry.oid)?;
    Some(of(entry, records, form, form::State { last_value: form.start, is_called: false }))
}

/// Combines the data of a sequence.
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
        former: records.former(entry.oid, &form),
        history: records.history(entry.oid),
        promoted: records.promoted(entry.oid),
        gap_left: records.gap_left(entry.oid),
        trusted: records.rows_from(entry.oid),
        elsewhere: Vec::new(),
        columns: entry.columns.iter().map(|column| column.facts(Furthest::default())).collect(),
        used_by: entry.used_by.clone(),
    }
}
