//! The locks of a set-up: how many fit, how they are taken, and the one that keeps set-ups apart.

use std::cell::Cell;
use std::ffi::{CStr, CString};
use std::time::{Duration, Instant};

use keyspace::{Error, SqlState};
use pgrx::datum::Interval;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use super::failure::Failure;
use super::steps::Step;
use super::{settings, subtransaction, tables};
use crate::server::by_version::LOCK_TABLE_IS_FIXED;
use crate::server::role::owns_database;
use crate::server::settings::with_own_settings;
pub(super) use crate::server::waiting::{is_in_use, pause};
use crate::server::work_lock::{SessionLock, WorkLock};

/// From which part of the lock table on a set-up in one transaction names the other form.
const MANY: usize = 8;

/// How many locks a transaction holds besides those of the relations that it alters: of catalogs, of tables of ours
/// and of itself. Once others are locked in such numbers, none of these is a fast-path lock any more.
const BESIDES: usize = 16;

/// The lock that keeps set-ups of a database apart.
fn setup_lock(function: pg_sys::Oid) -> Result<WorkLock, Error> {
    let table = tables::SETUP.oid(function)?;
    Ok(WorkLock::new(table, table))
}

thread_local! {
    static RUNNING: Cell<bool> = const { Cell::new(false) };
}

/// The right to set up, taken from every other session, and from this one where an event trigger of the user
/// would begin another set-up within it.
pub(super) struct SetupLock;

impl SetupLock {
    /// Takes the lock to the end of the transaction.
    ///
    /// # Errors
    /// 55006 where another session has it, or where a set-up runs in this session.
    pub(super) fn take(function: pg_sys::Oid) -> Result<Self, Error> {
        if RUNNING.get() {
            return Err(Error::new(SqlState::ObjectInUse, "a set-up is running in this session already")
                .hint("An event trigger on ALTER SEQUENCE must not run a set-up."));
        }
        if !owns_database() {
            // Owners of sequences are kept apart by the locks on these, and must not keep the owner of the database from
            // a set-up; but the class must not change while they work.
            let node = tables::NODE.oid(function)?;
            // SAFETY: takes a lock by OID; the lock manager raises its own errors.
            unsafe { pg_sys::LockRelationOid(node, pg_sys::RowExclusiveLock as i32) };
        } else if !setup_lock(function)?.take() {
            return Err(busy());
        }
        // What the last one has changed, the node among it.
        // SAFETY: within a transaction.
        unsafe { pg_sys::AcceptInvalidationMessages() };
        RUNNING.set(true);
        Ok(Self)
    }
}

impl Drop for SetupLock {
    fn drop(&mut self) {
        RUNNING.set(false);
    }
}

/// Takes the lock for the session, over several transactions, until it is dropped.
///
/// # Errors
/// 55006 where another session has it.
pub(super) fn take_for_session(function: pg_sys::Oid) -> Result<SessionLock, Error> {
    setup_lock(function)?.take_for_session().ok_or_else(busy)
}

fn busy() -> Error {
    Error::new(SqlState::ObjectInUse, "another set-up is running in this database")
        .hint("Wait until it has ended. In pg_locks its process has the lock with locktype \"object\" and classid \"keyspace_internal.interleaved_setup\"::regclass.")
}

/// Refuses to lock more sequences at once than the server has room for, and names the other form where they are
/// many (trap S20): `in_parts`.
pub(super) fn check_room(
    sequences: impl Iterator<Item = pg_sys::Oid> + Clone,
    in_parts: &str,
) -> Result<(), Failure> {
    let count = sequences.clone().count();
    let room = room(sequences)?;
    if count > room {
        return Err(Error::new(
            SqlState::OutOfMemory,
            format!("{count} sequences are too many to be locked in one transaction"),
        )
        .detail(room_detail(room))
        .hint(format!("{in_parts} Or raise \"max_locks_per_transaction\"."))
        .into());
    }
    if count > promised() / MANY {
        ErrorReport::new(
            PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION,
            format!("{count} sequences stay locked until this transaction ends"),
            "pg_keyspace",
        )
        .set_hint(in_parts)
        .report(PgLogLevel::NOTICE);
    }
    Ok(())
}

/// How much room there is, as a sentence.
pub(super) fn room_detail(room: usize) -> String {
    let more = if LOCK_TABLE_IS_FIXED { " more" } else { "" };
    format!("The server has room for {room}{more} locks.")
}

/// How many locks the settings promise.
fn promised() -> usize {
    // SAFETY: a plain integer, set before a backend starts.
    let backends = usize::try_from(unsafe { pg_sys::MaxBackends }).unwrap_or(0);
    number(c"max_locks_per_transaction") * (backends + number(c"max_prepared_transactions"))
}

/// How many of these relations can be locked. What fits beyond that, until PostgreSQL 18, belongs to everybody. From
/// 19 on nothing does: what others hold by now counts, and what the transaction needs besides.
pub(super) fn room(wanted: impl Iterator<Item = pg_sys::Oid> + Clone) -> SpiResult<usize> {
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
pub(super) struct Wanted<'a> {
    pub(super) oid: pg_sys::Oid,
    /// For a message.
    pub(super) name: &'a str,
    pub(super) lock: u32,
}

/// Locks sequences against drawing, to the end of the transaction: all of them, or none. With `node`, the table of
/// nodes, also against those who create sequences of the class that it names.
///
/// # Errors
/// As for [`lock_all`].
pub(super) fn lock<'a>(
    steps: impl Iterator<Item = &'a Step> + Clone,
    node: Option<pg_sys::Oid>,
    timeout: Timeout,
) -> Result<(), Error> {
    let lock = pg_sys::ShareRowExclusiveLock;
    let node = node.into_iter().map(|oid| Wanted { oid, name: tables::NODE.name(), lock });
    let sequences = steps.map(|step| Wanted { oid: step.entry.oid, name: step.entry.name.as_str(), lock });
    lock_all(node.chain(sequences), timeout, |name| {
        if name == tables::NODE.name() {
            let message = format!("could not lock the node within {}", timeout.text());
            return Error::new(SqlState::LockNotAvailable, message)
                .detail("A transaction that has created a sequence of its class is still open.")
                .hint(
                    "Try again when it has ended, or give a longer lock_timeout. Nothing has been changed.",
                );
        }
        Error::new(
            SqlState::LockNotAvailable,
            format!("could not lock sequence \"{name}\" within {}", timeout.text()),
        )
        .detail("A transaction that has drawn from it is still open; while it is waited for, nobody else can draw.")
        .hint("Try again when it has ended, or give a longer lock_timeout. Nothing has been changed.")
    })
}

/// Locks relations to the end of the transaction: all of them, or none.
///
/// While one is waited for, the others stay locked, and who wants to use them waits, too. That must
/// not end in a deadlock of which a writer is the victim (trap S19), so before PostgreSQL would look for one,
/// all are given back and taken anew, until `timeout` is used up.
///
/// # Errors
/// 55P03, as `refusal` words it, where the locks were not to be had in time.
pub(super) fn lock_all<'a>(
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

/// How long to wait for locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timeout(Duration);

impl Timeout {
    /// What `lock_timeout` is where it is not given.
    pub(super) const USUAL: Self = Self(Duration::from_secs(2));

    /// A timeout from an argument.
    ///
    /// # Errors
    /// 22023 where it is not between 1 ms and what the setting lock_timeout takes.
    pub(super) fn new(interval: Interval) -> Result<Self, Error> {
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

    /// For the setting `lock_timeout`.
    pub(super) fn setting(self) -> CString {
        CString::new(self.text()).unwrap_or_default()
    }

    pub(super) fn text(self) -> String {
        format!("{}ms", self.0.as_millis())
    }
}
