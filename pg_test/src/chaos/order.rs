//! Checks that keys are in the guaranteed order.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::findings::{Finding, Findings};
use super::schema::{Order, SOURCES, Table, ordered_part};

/// The scope of a server-wide order: a node, and the start of the shared memory that keeps the
/// order.
pub type Incarnation = (usize, String);

/// The last key that a session got from each source.
#[derive(Clone, Debug, Default)]
pub struct SessionOrder([Option<u128>; SOURCES]);

impl SessionOrder {
    /// Each key is greater than the one before it.
    pub fn check(&mut self, table: &Table, keys: &[u128], findings: &Findings) {
        for key in keys {
            let last = self.0[table.source].replace(*key);
            if last >= Some(*key) {
                findings.add(Finding::OutOfOrder, || {
                    format!("{key:x} of {} came after {:x} in one session", table.name, last.unwrap_or(0))
                });
            }
        }
    }
}

/// The greatest ordered part of all keys that a server has generated.
#[derive(Debug, Default)]
pub struct ServerOrder(Mutex<HashMap<Incarnation, u128>>);

impl ServerOrder {
    /// The lower bound of keys that are requested from now on.
    pub fn lower_bound(&self, incarnation: &Incarnation, table: &Table) -> Option<u128> {
        let latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (table.order == Order::Server).then(|| latest.get(incarnation).copied()).flatten()
    }

    /// Checks that they are greater than every key that a session had before they were requested.
    pub fn check(
        &self,
        incarnation: &Incarnation,
        table: &Table,
        before: Option<u128>,
        keys: &[u128],
        findings: &Findings,
    ) {
        let parts = keys.iter().map(|key| ordered_part(*key, table));
        let (Order::Server, Some(first), Some(greatest)) = (table.order, parts.clone().min(), parts.max())
        else {
            return;
        };
        if before >= Some(first) {
            findings.add(Finding::OutOfOrder, || {
                let before = before.unwrap_or(0);
                format!("{first:x} of {} came after another session's {before:x}", table.name)
            });
        }
        let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let so_far = latest.entry(incarnation.clone()).or_default();
        *so_far = greatest.max(*so_far);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::schema::TABLES;

    fn count(findings: &Findings) -> u64 {
        findings.by_kind().get(&Finding::OutOfOrder).map_or(0, |(count, _)| *count)
    }

    #[test]
    fn keys_of_a_session_increase_from_each_source() {
        let [letter, contract, visit] = [&TABLES[4], &TABLES[5], &TABLES[9]];
        let (mut session, findings) = (SessionOrder::default(), Findings::default());
        session.check(letter, &[1, 3], &findings);
        session.check(visit, &[2, 9], &findings);
        session.check(contract, &[5], &findings);
        assert_eq!(count(&findings), 0);
        session.check(letter, &[5], &findings);
        assert_eq!(count(&findings), 1, "contract got it from the same sequence");
        session.check(visit, &[8, 10], &findings);
        assert_eq!(count(&findings), 2);
    }

    #[test]
    fn trap_k02_keys_of_a_server_are_greater_than_those_before_them() {
        let [event, entry, visit] = [&TABLES[10], &TABLES[12], &TABLES[9]];
        let (servers, findings) = (ServerOrder::default(), Findings::default());
        let [first, after_crash] = ["1", "2"].map(|start| (0, start.to_owned()));
        // The same moment, as a UUID and as a ULID.
        let (uuid, ulid) = (|time: u128| time << 80, |time: u128| time << 80);
        let bound = servers.lower_bound(&first, event);
        assert_eq!(bound, None);
        servers.check(&first, event, bound, &[uuid(5)], &findings);
        let bound = servers.lower_bound(&first, entry);
        servers.check(&first, entry, bound, &[ulid(6), ulid(7)], &findings);
        assert_eq!(servers.lower_bound(&first, visit), None, "no order is guaranteed");
        // Requested before the others arrived.
        servers.check(&first, event, bound, &[uuid(6)], &findings);
        assert_eq!(count(&findings), 0);
        let bound = servers.lower_bound(&first, event);
        servers.check(&first, event, bound, &[uuid(7)], &findings);
        assert_eq!(count(&findings), 1);
        assert_eq!(servers.lower_bound(&after_crash, event), None, "the shared memory is a new one");
    }
}
