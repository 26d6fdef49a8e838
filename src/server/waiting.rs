//! Waiting for others.

use std::time::{Duration, Instant};

use pgrx::pg_sys::panic::CaughtError;
use pgrx::{PgSqlErrorCode, pg_sys};
use rand::TryRng;
use rand::rngs::SysRng;

use crate::server::subtransaction::sqlstate;

/// How long the first pause lasts after a lock was not to be had.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// How long a pause lasts at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long work that can wait keeps a CPU before others may have it. A kernel may let it go on for some milliseconds
/// while those wait who have just woken up, which is as long as their transactions take.
const TURN: Duration = Duration::from_micros(250);
/// How many bytes work that can wait logs at most before it flushes them. Whoever commits flushes all that was logged
/// before, others' included: after a checkpoint a batch logs whole pages, so that this may be more than a megabyte.
const UNFLUSHED: u64 = 256 * 1024;

/// Whether an error says that others are at it, and that trying again will do.
pub(crate) fn is_in_use(error: &CaughtError) -> bool {
    use PgSqlErrorCode::{ERRCODE_LOCK_NOT_AVAILABLE, ERRCODE_T_R_DEADLOCK_DETECTED};
    matches!(sqlstate(error), ERRCODE_LOCK_NOT_AVAILABLE | ERRCODE_T_R_DEADLOCK_DETECTED)
}

/// Sleeps, and can be cancelled.
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

/// The pause before another try: twice as long each time, and by chance up to half of it shorter, so that two who
/// are after the same lock do not meet again.
pub(crate) fn backoff(tries: u32) -> Duration {
    let longest = FIRST_PAUSE.saturating_mul(1 << tries.saturating_sub(1).min(10)).min(LONGEST_PAUSE);
    // Without chance it is longer, and right as well.
    let chance = SysRng.try_next_u32().unwrap_or(u32::MAX) >> 16;
    longest / 2 + longest / 2 * chance / u32::from(u16::MAX)
}

/// Flushes what this session has committed without waiting for the disk.
pub(crate) fn flush_commits() {
    // SAFETY: the end of this session's last commit, or 0, up to which the log is flushed already.
    unsafe { pg_sys::XLogFlush(pg_sys::XactLastCommitEnd) }
}

/// The turns that work which can wait takes on a CPU and at the log.
pub(crate) struct TimeSlice {
    began: Instant,
    /// Behind this the log is this work's to flush.
    flushed: pg_sys::XLogRecPtr,
}

impl TimeSlice {
    /// Begins the first one.
    pub(crate) fn begin() -> Self {
        // SAFETY: reads a position under a lock of its own.
        Self { began: Instant::now(), flushed: unsafe { pg_sys::GetXLogInsertRecPtr() } }
    }

    /// Lets those go first who wait for the CPU, when this turn has lasted long enough, and takes its share of the
    /// log's flushing. Rows stay locked meanwhile; no page may be.
    pub(crate) fn give_way(&mut self) {
        // SAFETY: the end of what this transaction has logged last, or 0; the server is not in recovery, since something
        // is written.
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
