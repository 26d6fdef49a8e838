//! Checks that keys come in the guaranteed order.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::findings::{Fault, Findings};
use super::schema::{Order, SOURCES, Table, moment};

/// The scope of a server-wide order: a node, and the start of the shared memory that keeps the
/// order.
pub type Incarnation = (usize, String);

/// The last key that a session got from each source.
#[derive(Clone, Debug, Default)]
pub struct OfSession([Option<u128>; SOURCES]);

impl OfSession {
    /// Each key is greater than the one before it.
    pub fn look(&mut self, table: &Table, given: &[u128], findings: &Findings) {
        for key in given {
            let last = self.0[table.source].replace(*key);
            if last >= Some(*key) {
                findings.add(Fault::OutOfOrder, || {
                    format!("{key:x} of {} came after {:x} in one session", table.name, last.unwrap_or(0))
                });
            }
        }
    }
}

/// The greatest moment of any key that a server has generated.
#[derive(Debug, Default)]
pub struct OfServers(Mutex<HashMap<Incarnation, u128>>);

impl OfServers {
    /// The lower bound of keys that are requested from now on.
    pub fn before(&self, incarnation: &Incarnation, table: &Table) -> Option<u128> {
        let latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (table.order == Order::Server).then(|| latest.get(incarnation).copied()).flatten()
    }

    /// Checks that they are greater than every key that a session had before they were requested.
    pub fn look(
        &self,
        incarnation: &Incarnation,
        table: &Table,
        before: Option<u128>,
        given: &[u128],
        findings: &Findings,
    ) {
        let moments = given.iter().map(|key| moment(*key, table));
        let (Order::Server, Some(first), Some(greatest)) =
            (table.order, moments.clone().min(), moments.max())
        else {
            return;
        };
        if before >= Some(first) {
            findings.add(Fault::OutOfOrder, || {
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
        findings.of_each_kind().get(&Fault::OutOfOrder).map_or(0, |(count, _)| *count)
    }

    #[test]
    fn keys_of_a_session_increase_from_each_source() {
        let [letter, contract, visit] = [&TABLES[4], &TABLES[5], &TABLES[9]];
        let (mut session, findings) = (OfSession::default(), Findings::default());
        session.look(letter, &[1, 3], &findings);
        session.look(visit, &[2, 9], &findings);
        session.look(contract, &[5], &findings);
        assert_eq!(count(&findings), 0);
        session.look(letter, &[5], &findings);
        assert_eq!(count(&findings), 1, "contract had it, from the same sequence");
        session.look(visit, &[8, 10], &findings);
        assert_eq!(count(&findings), 2);
    }

    #[test]
    fn trap_k02_keys_of_a_server_are_greater_than_those_before_them() {
        let [event, entry, visit] = [&TABLES[10], &TABLES[12], &TABLES[9]];
        let (servers, findings) = (OfServers::default(), Findings::default());
        let [first, after_crash] = ["1", "2"].map(|start| (0, start.to_owned()));
        // The same moment, as a UUID and as a ULID.
        let (uuid, ulid) = (|time: u128| time << 80, |time: u128| time << 80);
        let asked = servers.before(&first, event);
        assert_eq!(asked, None);
        servers.look(&first, event, asked, &[uuid(5)], &findings);
        let asked = servers.before(&first, entry);
        servers.look(&first, entry, asked, &[ulid(6), ulid(7)], &findings);
        assert_eq!(servers.before(&first, visit), None, "no order is promised");
        // Requested before the others arrived.
        servers.look(&first, event, asked, &[uuid(6)], &findings);
        assert_eq!(count(&findings), 0);
        let asked = servers.before(&first, event);
        servers.look(&first, event, asked, &[uuid(7)], &findings);
        assert_eq!(count(&findings), 1);
        assert_eq!(servers.before(&after_crash, event), None, "the memory is another one");
    }
}
