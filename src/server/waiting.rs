//! Waiting for other sessions.

use std::time::{Duration, Instant};

use pgrx::{PgSqlErrorCode, pg_sys};
use rand::TryRng;
use rand::rngs::SysRng;

use crate::server::caught::Caught;

/// The first pause after a lock could not be acquired.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long low-priority work may use a CPU before it yields. Otherwise a kernel may let it run for
/// some milliseconds while other processes, which have just woken up, wait. That is as long as
/// their transactions take.
const TURN: Duration = Duration::from_micros(250);
/// How many bytes low-priority work logs at most before it flushes them. Every commit flushes
/// everything that was logged before, including the log of other sessions. After a checkpoint a
/// batch logs whole pages, which may be more than a megabyte.
const UNFLUSHED: u64 = 256 * 1024;

/// Whether the error says that the object is in use, so that another attempt may succeed.
pub(crate) fn is_in_use(error: &Caught) -> bool {
    use PgSqlErrorCode::{ERRCODE_INTERNAL_ERROR, ERRCODE_LOCK_NOT_AVAILABLE, ERRCODE_T_R_DEADLOCK_DETECTED};
    match error.sqlstate() {
        ERRCODE_LOCK_NOT_AVAILABLE | ERRCODE_T_R_DEADLOCK_DETECTED => true,
        // Commands that lock no object, such as ALTER FUNCTION, end so if another session has altered
        // it meanwhile. PostgreSQL has no SQLSTATE for that, and does not translate the message.
        ERRCODE_INTERNAL_ERROR => error.message() == "tuple concurrently updated",
        _ => false,
    }
}

/// Sleeps; can be cancelled.
pub(crate) fn pause(time: Duration) {
    let until = Instant::now() + time;
    loop {
        pgrx::check_for_interrupts!();
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        let milliseconds = i64::try_from(left.as_millis()).unwrap_or(i64::MAX).max(1);
        // SAFETY: waits on this backend's own latch, as pg_sleep does.
        unsafe {
            pg_sys::WaitLatch(
                pg_sys::MyLatch,
                (pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH) as i32,
                milliseconds,
                pg_sys::PG_WAIT_EXTENSION,
            );
            pg_sys::ResetLatch(pg_sys::MyLatch);
        }
    }
}

/// The pause before the next attempt. It doubles each time, and is shortened at random by up to
/// half, so that two sessions that wait for the same lock do not collide again.
pub(crate) fn backoff(tries: u32) -> Duration {
    let longest = FIRST_PAUSE.saturating_mul(1 << tries.saturating_sub(1).min(10)).min(LONGEST_PAUSE);
    // Without random bits the pause has its full length, which is fine, too.
    let chance = SysRng.try_next_u32().unwrap_or(u32::MAX) >> 16;
    longest / 2 + longest / 2 * chance / u32::from(u16::MAX)
}

/// Flushes what this session has committed without waiting for the disk.
pub(crate) fn flush_commits() {
    // SAFETY: the end of this session's last commit, or 0, up to which the log is already flushed.
    unsafe { pg_sys::XLogFlush(pg_sys::XactLastCommitEnd) }
}

/// The turns that work which can wait takes on a CPU and at the log.
pub(crate) struct TimeSlice {
    began: Instant,
    /// The log up to this position is flushed, or is not from this work.
    flushed: pg_sys::XLogRecPtr,
}

impl TimeSlice {
    /// Begins the first one.
    pub(crate) fn begin() -> Self {
        // SAFETY: reads a position under its own lock.
        Self { began: Instant::now(), flushed: unsafe { pg_sys::GetXLogInsertRecPtr() } }
    }

    /// Yields the CPU if this turn has lasted long enough, and flushes this work's share of the
    /// log. Rows stay locked meanwhile; the caller must not hold a lock on a page.
    pub(crate) fn give_way(&mut self) {
        // SAFETY: the end of the last log record of this transaction, or 0. The server is not in
        // recovery, since this work writes.
        unsafe {
            let logged = pg_sys::XactLastRecEnd;
            if logged.saturating_sub(self.flushed) >= UNFLUSHED {
                pg_sys::XLogFlush(logged);
                self.flushed = logged;
            }
        }
        if self.began.elapsed() >= TURN {
            std::thread::yield_now();
            self.began = Instant::now();
        }
    }
}
