//! What writes, apply workers and our triggers do to the rows of a node.

use keyspace::migration::nodes::Form;

use super::scenario::{LeftOut, Scenario, Write};
use super::world::{Change, Node, Operation, Row, Stamp};

/// The key that is derived from the time of a row.
pub fn derived(row: &Row) -> Option<u8> {
    Some(row.created)
}

/// The rows of a node after a client's write, and the change that is sent; `None` if the row does
/// not exist.
pub fn write(
    scenario: &Scenario,
    node: &mut Node,
    write: Write,
    number: u8,
    stamp: Stamp,
) -> Option<(Operation, usize, Row)> {
    let form = node.progress.form;
    let (operation, slot) = match write {
        Write::Insert(slot) => (Operation::Insert, slot),
        Write::Update(slot) | Write::Move(slot) => (Operation::Update, slot),
        Write::Delete(slot) => (Operation::Delete, slot),
    };
    match operation {
        Operation::Insert => node.control[slot] = Some((number, stamp)),
        Operation::Update => {
            if let Some(control) = &mut node.control[slot] {
                *control = (number, stamp);
            }
        }
        Operation::Delete => node.control[slot] = None,
    }
    let row = if operation == Operation::Insert {
        let mut row = Row { write: number, created: 1, key: None, old_id: number, stamp };
        row.key = match form {
            Form::Unprepared => None,
            Form::OldIds => derived(&row),
            Form::Keys | Form::Finalized => Some(100 + number),
        };
        if form == Form::Keys && scenario.leaves_out(LeftOut::Interleaved) {
            row.old_id = 1 + node.rows.iter().flatten().map(|row| row.old_id).max().unwrap_or(0);
        }
        if form == Form::Finalized {
            row.old_id = 0;
        }
        row
    } else {
        let old = node.rows[slot]?;
        let mut row = Row { write: number, stamp, ..old };
        // The key that the row would have had before the change (trap M22).
        if form == Form::OldIds && row.key.is_none() {
            row.key = derived(&old);
        }
        if let Write::Move(_) = write {
            row.created = 10 + number;
        }
        row
    };
    node.rows[slot] = Some(row).filter(|_| operation != Operation::Delete);
    Some((operation, slot, row))
}

/// Whether rows are identified by their keys.
fn by_key(scenario: &Scenario, form: Form) -> bool {
    match form {
        Form::Unprepared | Form::OldIds => false,
        Form::Keys => !scenario.leaves_out(LeftOut::IdentityMoves),
        Form::Finalized => true,
    }
}

/// Applies a change of another node, whose form this node accepts.
pub fn apply(scenario: &Scenario, node: &mut Node, change: &Change) {
    let wins = |local: Stamp| scenario.native || change.row.stamp > local;
    let sent = change.row;
    let (slot, form) = (change.slot, node.progress.form);
    if change.of_client {
        match (change.operation, node.control[slot]) {
            (Operation::Insert, None) => node.control[slot] = Some((sent.write, sent.stamp)),
            (Operation::Update, Some((_, local))) if wins(local) => {
                node.control[slot] = Some((sent.write, sent.stamp));
            }
            (Operation::Delete, Some((_, local))) if wins(local) => node.control[slot] = None,
            _ => {}
        }
    }
    // A deleted row comes with what identifies it on its node; an updated one with all columns.
    let is_found = match (by_key(scenario, form), change.operation) {
        (true, Operation::Delete) => by_key(scenario, change.form),
        (false, Operation::Delete) => !by_key(scenario, change.form),
        (false, _) => change.form != Form::Finalized,
        (true, _) => true,
    };
    let old_id = |local: u8| if change.form == Form::Finalized { local } else { sent.old_id };
    match (change.operation, node.rows[slot]) {
        (Operation::Insert, None) => {
            let mut row = Row { old_id: old_id(0), ..sent };
            // The trigger on INSERT fires for rows that are applied, too (trap M20).
            if form == Form::OldIds && row.key.is_none() {
                row.key = derived(&row);
            }
            node.rows[slot] = Some(row);
        }
        (Operation::Update, Some(local)) if is_found && wins(local.stamp) => {
            let mut row = Row { old_id: old_id(local.old_id), ..sent };
            // Until the cut-over a row keeps the key that it has. A node that is not prepared sends none:
            // then the row gets the one that it would have had before the change.
            if form == Form::OldIds {
                let kept = local.key.filter(|_| !scenario.leaves_out(LeftOut::KeysStay));
                row.key = kept.or(sent.key).or(local.key).or(derived(&local));
            }
            node.rows[slot] = Some(row);
        }
        (Operation::Delete, Some(local)) if is_found && wins(local.stamp) => node.rows[slot] = None,
        _ => {}
    }
}
