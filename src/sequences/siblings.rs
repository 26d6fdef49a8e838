//! Sequences of this database that feed the same column (fault B22).
//!
//! A set-up restarts each of them above all of them. Otherwise one could hand out values that
//! another one has handed out, here or where the database was copied from, and that are in no table
//! yet.

use std::cell::RefCell;
use std::collections::HashMap;

use keyspace::sequences::{Elsewhere, Progression, Sequence};
use pgrx::prelude::*;

use crate::sequences::change::step::Step;
use crate::sequences::read::catalog::{Column, Entry};
use crate::sequences::read::form;

/// A column: its table and its number.
type Key = (u32, i16);

fn key(column: &Column) -> Key {
    (column.relation_oid.to_u32(), column.attribute)
}

/// For each sequence, by its OID, the others that feed one of its columns.
#[derive(Debug, Default)]
pub(crate) struct Siblings(RefCell<HashMap<u32, Vec<(pg_sys::Oid, String)>>>);

impl Siblings {
    /// Notes which of these sequences feed the same columns. A set-up in batches reads all at its
    /// beginning, and then one at a time.
    pub(crate) fn note(&self, entries: &[Entry]) {
        if entries.len() < 2 {
            return;
        }
        let entries: Vec<&Entry> =
            entries.iter().filter(|entry| entry.is_visible && entry.exempt.is_none()).collect();
        let mut by_column: HashMap<Key, Vec<&Entry>> = HashMap::new();
        for entry in &entries {
            for column in &entry.columns {
                by_column.entry(key(column)).or_default().push(entry);
            }
        }
        let mut siblings = self.0.borrow_mut();
        siblings.clear();
        for shared in by_column.values().filter(|shared| shared.len() > 1) {
            for entry in shared {
                let others = shared.iter().filter(|other| other.oid != entry.oid);
                let of_entry = siblings.entry(entry.oid.to_u32()).or_default();
                of_entry.extend(others.map(|other| (other.oid, other.name.clone())));
            }
        }
    }

    /// Adds to a sequence the values that the others have reached.
    pub(crate) fn with_sibling_values(&self, entry: &Entry, mut sequence: Sequence) -> Sequence {
        let siblings = self.0.borrow();
        for (oid, name) in siblings.get(&entry.oid.to_u32()).into_iter().flatten() {
            let reached = reached(*oid, sequence.increment.signum());
            let sibling = |(other, reached)| Elsewhere::sibling(&sequence, name.clone(), &other, reached);
            let sibling = reached.and_then(sibling);
            sequence.elsewhere.extend(sibling);
        }
        sequence
    }
}

/// How a sequence of the same direction advances, and the value that it has reached: that before its
/// next one, if it was restarted above others.
fn reached(oid: pg_sys::Oid, sign: i64) -> Option<(Progression, i64)> {
    let form = form::definition(oid)?;
    let state = form::state(oid)?;
    let before = || state.last_value.checked_sub(sign).filter(|_| state.last_value != form.start);
    let reached = if state.is_called { Some(state.last_value) } else { before() };
    let reached = reached.filter(|_| form.progression.increment.signum() == sign)?;
    Some((form.progression, reached))
}

/// Takes rows ahead of a sequence that another one has handed out here for what they are, and not
/// for another node's. Returns the sequences, with a sentence about each.
pub(crate) fn explain(steps: &mut [Step]) -> Vec<(pg_sys::Oid, String)> {
    let mut by_column: HashMap<Key, Vec<usize>> = HashMap::new();
    for (at, step) in steps.iter().enumerate() {
        if step.entry.is_visible && step.entry.exempt.is_none() {
            for column in &step.entry.columns {
                by_column.entry(key(column)).or_default().push(at);
            }
        }
    }
    by_column.retain(|_, shared| shared.len() > 1);
    let mut explained = Vec::new();
    for at in 0..steps.len() {
        for column in 0..steps[at].before.columns.len() {
            let Some(value) = steps[at].before.columns[column].ahead else { continue };
            let Some(shared) =
                steps[at].entry.columns.get(column).and_then(|column| by_column.get(&key(column)))
            else {
                continue;
            };
            let giver =
                shared.iter().find(|other| **other != at && has_handed_out(&steps[**other].before, value));
            if let Some(giver) = giver {
                let detail = format!(
                    "Its next value is {}. {} holds {value}, which {} has handed out.",
                    steps[at].before.next_value(),
                    steps[at].before.columns[column].name,
                    steps[*giver].before.name
                );
                explained.push((steps[at].entry.oid, detail));
                let column = &mut steps[at].before.columns[column];
                (column.ahead, column.maybe_ahead) = (None, None);
            }
        }
    }
    explained
}

/// Whether a value is one that a sequence has handed out with its current definition: of its range
/// (fault B32), not beyond its position, and of its values.
fn has_handed_out(sequence: &Sequence, value: i64) -> bool {
    let Sequence { min_value, max_value, last_value, .. } = *sequence;
    let passed = if sequence.increment > 0 { min_value..=last_value } else { last_value..=max_value };
    sequence.is_called && passed.contains(&value) && sequence.own_values(None).contains(i128::from(value))
}
