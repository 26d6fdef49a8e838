//! Locks on many relations: how many fit, and how to acquire them without a deadlock.

use std::cell::Cell;
use std::ffi::CStr;
use std::time::{Duration, Instant};

use keyspace::Error;
use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use super::failure::Failure;
use super::obstacle::{Missed, explained};
use super::patience::Patience;
use super::settings::with_own_settings;
use super::subtransaction;
use super::timeout::Timeout;
use super::waiting::{is_in_use, pause};

/// From this fraction of the lock table on, a change in one transaction names the form that needs
/// fewer locks.
pub(crate) const MANY: usize = 8;

/// More than the number of other locks that a transaction acquires after the room has been computed:
/// on catalogs, on our tables with their indexes, and on its own id. With so many locks on relations,
/// none of them is a fast-path lock any more.
const OTHER_LOCKS: usize = 32;

/// A sentence that says how many locks fit.
pub(crate) fn room_detail(room: usize) -> String {
    format!("The server guarantees room for {room} more locks.")
}

/// The number of locks that the settings guarantee.
pub(crate) fn promised() -> usize {
    // SAFETY: a plain integer, set before a backend starts.
    let backends = usize::try_from(unsafe { pg_sys::MaxBackends }).unwrap_or(0);
    number(c"max_locks_per_transaction") * (backends + number(c"max_prepared_transactions"))
}

/// How many of these relations can be locked: the guaranteed number less the locks that other
/// sessions hold and the other locks of this transaction. Up to PostgreSQL 18, locks may also use
/// spare shared memory, but nobody knows how much of that is left.
pub(crate) fn room(wanted: impl Iterator<Item = pg_sys::Oid> + Clone) -> SpiResult<usize> {
    let promised = promised();
    // A few locks always fit, unless other sessions are about to fill the table anyway. Counting
    // their locks would delay them.
    if wanted.clone().count() <= promised / MANY {
        return Ok(promised);
    }
    let wanted: Vec<pg_sys::Oid> = wanted.collect();
    // The lock table has one place for each object, however many sessions hold a lock on it.
    let query = "SELECT count(*) FROM \
         (SELECT DISTINCT l.locktype, l.database, l.relation, l.page, l.tuple, l.virtualxid, l.transactionid, l.classid, \
                 l.objid, l.objsubid \
          FROM pg_locks l \
          WHERE NOT l.fastpath AND l.mode <> 'SIReadLock' \
            AND NOT (l.locktype = 'relation' AND l.database = $1 AND l.relation = ANY ($2))) AS held";
    // SAFETY: set before a backend runs its first statement.
    let database = unsafe { pg_sys::MyDatabaseId };
    let held: i64 = with_own_settings(|| {
        Spi::connect(|client| {
            let found = client.select(query, Some(1), &[database.into(), wanted.into()])?;
            SpiResult::Ok(found.first().get_one()?.unwrap_or(0))
        })
    })?;
    Ok(promised.saturating_sub(usize::try_from(held).unwrap_or(usize::MAX)).saturating_sub(OTHER_LOCKS))
}

/// The value of an integer setting.
fn number(setting: &CStr) -> usize {
    // SAFETY: every server has a setting of this name. The value is a string that is read at once.
    unsafe {
        let value = pg_sys::GetConfigOption(setting.as_ptr(), false, false);
        CStr::from_ptr(value).to_str().ok().and_then(|value| value.parse().ok()).unwrap_or(0)
    }
}

/// A relation that is to be locked.
pub(crate) struct Wanted<'a> {
    pub(crate) oid: pg_sys::Oid,
    /// The name for messages.
    pub(crate) name: &'a str,
    pub(crate) lock: u32,
}

/// Locks relations until the end of the transaction: all of them, or none.
///
/// While it waits for one relation, the others stay locked, and sessions that need them wait, too.
/// That must not cause a deadlock whose victim is a writer (trap S19). Therefore all locks are
/// released and acquired again before PostgreSQL would check for a deadlock, until `patience` is used
/// up.
///
/// # Errors
/// 55P03, as worded by `refusal` and with who is in the way, if the locks could not be acquired in
/// time.
pub(crate) fn lock_all<'a>(
    wanted: impl Iterator<Item = Wanted<'a>> + Clone,
    patience: &Patience,
    refusal: impl Fn(&str) -> Error,
) -> Result<(), Error> {
    let began = Instant::now();
    let locked = lock_until(wanted, began + patience.left().duration(), refusal);
    patience.spend(began.elapsed());
    locked
}

fn lock_until<'a>(
    wanted: impl Iterator<Item = Wanted<'a>> + Clone,
    deadline: Instant,
    refusal: impl Fn(&str) -> Error,
) -> Result<(), Error> {
    // SAFETY: a plain integer of this backend, in milliseconds.
    let unnoticed = u64::try_from(unsafe { pg_sys::DeadlockTimeout } / 2).unwrap_or(1).max(1);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let wait = Timeout::of_at_least_one_millisecond(left.min(Duration::from_millis(unnoticed)));
        let waited_for = Cell::new(("", None));
        let locked = subtransaction::attempt(|| {
            wait.limiting(|| {
                for relation in wanted.clone() {
                    let missed = Missed { relation: relation.oid, lock: relation.lock };
                    waited_for.set((relation.name, Some(missed)));
                    // SAFETY: takes a lock by OID; the lock manager raises its own errors.
                    unsafe { pg_sys::LockRelationOid(relation.oid, relation.lock as i32) };
                }
            });
        });
        match locked {
            Ok(()) => return Ok(()),
            Err(error) if !is_in_use(&error) => error.rethrow(),
            Err(_) if Instant::now() >= deadline => {
                let (name, missed) = waited_for.get();
                let error = refusal(name);
                return Err(match missed {
                    Some(missed) => explained(error, missed),
                    None => error,
                });
            }
            // Sessions that have waited for our locks go first.
            Err(_) => pause(Duration::from_millis(1)),
        }
    }
}

/// Runs `step` in a subtransaction, in which it may wait up to `timeout` for each of its locks.
///
/// # Errors
/// `refusal` if a wait lasted longer or ended in a deadlock; otherwise those of `step`.
pub(crate) fn within<T>(
    timeout: Timeout,
    refusal: impl FnOnce() -> Error,
    step: impl FnOnce() -> Result<T, Failure>,
) -> Result<T, Failure> {
    match subtransaction::attempt(|| timeout.limiting(step)) {
        Ok(done) => done,
        Err(error) if is_in_use(&error) => Err(refusal().into()),
        Err(error) => error.rethrow(),
    }
}
