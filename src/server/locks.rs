//! Locks on many relations: how many fit, how long they are waited for, and how they are taken without a deadlock.

use std::cell::Cell;
use std::ffi::{CStr, CString};
use std::time::{Duration, Instant};

use keyspace::{Error, SqlState};
use pgrx::datum::Interval;
use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use super::by_version::LOCK_TABLE_IS_FIXED;
use super::failure::Failure;
use super::settings::{self, with_own_settings};
use super::subtransaction;
use super::waiting::{is_in_use, pause};

/// From which part of the lock table on a set-up in one transaction names the other form.
pub(crate) const MANY: usize = 8;

/// How many locks a transaction holds besides those of the relations that it alters: of catalogs, of tables of ours
/// and of itself. Once others are locked in such numbers, none of these is a fast-path lock any more.
const BESIDES: usize = 16;

/// How much room there is, as a sentence.
pub(crate) fn room_detail(room: usize) -> String {
    let more = if LOCK_TABLE_IS_FIXED { " more" } else { "" };
    format!("The server has room for {room}{more} locks.")
}

/// How many locks the settings promise.
pub(crate) fn promised() -> usize {
    // SAFETY: a plain integer, set before a backend starts.
    let backends = usize::try_from(unsafe { pg_sys::MaxBackends }).unwrap_or(0);
    number(c"max_locks_per_transaction") * (backends + number(c"max_prepared_transactions"))
}

/// How many of these relations can be locked. What fits beyond that, until PostgreSQL 18, belongs to everybody. From
/// 19 on nothing does: what others hold by now counts, and what the transaction needs besides.
pub(crate) fn room(wanted: impl Iterator<Item = pg_sys::Oid> + Clone) -> SpiResult<usize> {
    let promised = promised();
    // Few fit whatever others hold, unless those are about to fill the table themselves; looking holds them up.
    if !LOCK_TABLE_IS_FIXED || wanted.clone().count() <= promised / MANY {
        return Ok(promised);
    }
    let wanted: Vec<pg_sys::Oid> = wanted.collect();
    // Each place is that of an object, however many hold it.
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
    Ok(promised.saturating_sub(usize::try_from(held).unwrap_or(usize::MAX)).saturating_sub(BESIDES))
}

/// The value of an integer setting.
fn number(setting: &CStr) -> usize {
    // SAFETY: the name of a setting that every server has; the value is a string that is read at once.
    unsafe {
        let value = pg_sys::GetConfigOption(setting.as_ptr(), false, false);
        CStr::from_ptr(value).to_str().ok().and_then(|value| value.parse().ok()).unwrap_or(0)
    }
}

/// A relation to be locked.
pub(crate) struct Wanted<'a> {
    pub(crate) oid: pg_sys::Oid,
    /// For a message.
    pub(crate) name: &'a str,
    pub(crate) lock: u32,
}

/// Locks relations to the end of the transaction: all of them, or none.
///
/// While one is waited for, the others stay locked, and who wants to use them waits, too. That must
/// not end in a deadlock of which a writer is the victim (trap S19), so before PostgreSQL would look for one,
/// all are given back and taken anew, until `timeout` is used up.
///
/// # Errors
/// 55P03, as `refusal` words it, where the locks were not to be had in time.
pub(crate) fn lock_all<'a>(
    wanted: impl Iterator<Item = Wanted<'a>> + Clone,
    timeout: Timeout,
    refusal: impl Fn(&str) -> Error,
) -> Result<(), Error> {
    // SAFETY: a plain integer of this backend, in milliseconds.
    let unnoticed = u64::try_from(unsafe { pg_sys::DeadlockTimeout } / 2).unwrap_or(1).max(1);
    let deadline = Instant::now() + timeout.0;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let wait = Timeout(left.min(Duration::from_millis(unnoticed)).max(Duration::from_millis(1)));
        let waited_for = Cell::new("");
        let locked = subtransaction::attempt(|| {
            settings::with(&[(c"lock_timeout", wait.setting().as_c_str())], || {
                for relation in wanted.clone() {
                    waited_for.set(relation.name);
                    // SAFETY: takes a lock by OID; the lock manager raises its own errors.
                    unsafe { pg_sys::LockRelationOid(relation.oid, relation.lock as i32) };
                }
            });
        });
        match locked {
            Ok(()) => return Ok(()),
            Err(error) if !is_in_use(&error) => error.rethrow(),
            Err(_) if Instant::now() >= deadline => return Err(refusal(waited_for.get())),
            // Whoever has waited for us goes first.
            Err(_) => pause(Duration::from_millis(1)),
        }
    }
}

/// Runs `step`, which may wait for each of its locks as long as `timeout` says, in a subtransaction.
///
/// # Errors
/// `refusal` where it had to wait for longer, or others were in the way; those of `step`.
pub(crate) fn within<T>(
    timeout: Timeout,
    refusal: impl FnOnce() -> Error,
    step: impl FnOnce() -> Result<T, Failure>,
) -> Result<T, Failure> {
    let setting = timeout.setting();
    let done = subtransaction::attempt(|| settings::with(&[(c"lock_timeout", setting.as_c_str())], step));
    match done {
        Ok(done) => done,
        Err(error) if is_in_use(&error) => Err(refusal().into()),
        Err(error) => error.rethrow(),
    }
}

/// How long to wait for locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timeout(Duration);

impl Timeout {
    /// What `lock_timeout` is where it is not given.
    pub(crate) const USUAL: Self = Self(Duration::from_secs(2));

    /// The least that the setting lock_timeout takes; 0 is without a limit.
    pub(crate) const SHORTEST: Self = Self(Duration::from_millis(1));

    /// A timeout from an argument.
    ///
    /// # Errors
    /// 22023 where it is not between 1 ms and what the setting lock_timeout takes.
    pub(crate) fn new(interval: Interval) -> Result<Self, Error> {
        let milliseconds = interval.as_micros() / 1_000;
        match i32::try_from(milliseconds) {
            Ok(valid @ 1..) => Ok(Self(Duration::from_millis(u64::from(valid.unsigned_abs())))),
            _ => Err(Error::new(
                SqlState::InvalidParameterValue,
                format!("lock_timeout must be between 1 ms and {} ms, not {milliseconds} ms", i32::MAX),
            )
            .hint("A sequence that is waited for keeps every other session from drawing from it, so there is no unlimited wait.")),
        }
    }

    /// The same, or that of the session, where it is shorter.
    pub(crate) fn or_sooner(self) -> Self {
        // SAFETY: a plain integer of this backend, in milliseconds; 0 is without a limit.
        match u64::try_from(unsafe { pg_sys::LockTimeout }) {
            Ok(milliseconds @ 1..) => Self(self.0.min(Duration::from_millis(milliseconds))),
            _ => self,
        }
    }

    /// For the setting `lock_timeout`.
    pub(crate) fn setting(self) -> CString {
        CString::new(self.text()).unwrap_or_default()
    }

    pub(crate) fn text(self) -> String {
        format!("{}ms", self.0.as_millis())
    }
}

/// A timeout for several waits together: once one of them has used it up, the others hardly wait any more.
#[derive(Clone, Debug)]
pub(crate) struct Patience {
    timeout: Timeout,
    is_used_up: Cell<bool>,
}

impl Patience {
    pub(crate) const fn new(timeout: Timeout) -> Self {
        Self { timeout, is_used_up: Cell::new(false) }
    }

    /// How long the next wait may take.
    pub(crate) fn left(&self) -> Timeout {
        if self.is_used_up.get() { Timeout::SHORTEST } else { self.timeout }
    }

    /// The timeout as the caller gave it.
    pub(crate) const fn given(&self) -> Timeout {
        self.timeout
    }

    /// A wait was as long as it could be.
    pub(crate) fn use_up(&self) {
        self.is_used_up.set(true);
    }

    /// What is waited for from now on has nothing to do with what was waited for before.
    pub(crate) fn renew(&self) {
        self.is_used_up.set(false);
    }
}
