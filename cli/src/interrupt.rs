//! Ctrl-C: statements that run are cancelled, and the program ends with what is left to do.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use postgres::{CancelToken, NoTls};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::nodes::Tls;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// How many things go on that must not be interrupted.
static SHIELDS: AtomicUsize = AtomicUsize::new(0);
static NEXT: AtomicU64 = AtomicU64::new(0);
static RUNNING: Mutex<Vec<(u64, CancelToken, Option<Tls>)>> = Mutex::new(Vec::new());

/// Begins to listen. The first signal cancels what runs, and the second one ends the program.
///
/// # Errors
/// If signals cannot be received.
pub fn listen() -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])
        .map_err(|error| Failure::new(format!("could not listen to signals: {error}")))?;
    std::thread::spawn(move || {
        for _ in signals.forever() {
            if INTERRUPTED.swap(true, Ordering::SeqCst) {
                if is_shielded() {
                    continue;
                }
                std::process::exit(Exit::Interrupted.code());
            }
            std::thread::spawn(|| {
                loop {
                    cancel_all();
                    std::thread::sleep(Duration::from_millis(500));
                }
            });
        }
    });
    Ok(())
}

/// Cancels everything that runs. A request that arrives before its statement does nothing, so this
/// is repeated until nothing runs any more.
fn cancel_all() {
    if is_shielded() {
        return;
    }
    let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for (_, token, tls) in running {
        // A server that is gone has nothing to cancel.
        std::thread::spawn(move || match tls {
            Some(tls) => token.cancel_query(tls),
            None => token.cancel_query(NoTls),
        });
    }
}

/// The error of an interrupted program.
fn interrupted() -> Failure {
    Failure { is_interrupt: true, ..Failure::new("interrupted") }
}

/// Fails if the program was interrupted.
///
/// # Errors
/// In that case.
pub fn check() -> Result<()> {
    if is_interrupted() && !is_shielded() { Err(interrupted()) } else { Ok(()) }
}

/// Whether a signal has come, also one that has no effect yet.
pub fn is_interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

fn is_shielded() -> bool {
    SHIELDS.load(Ordering::SeqCst) > 0
}

/// Does something that must be done in spite of an interrupt, such as letting writers go on. It needs a
/// time limit of its own. A request to cancel that was under way can still cancel a statement.
pub fn shielded<T>(work: impl FnOnce() -> T) -> T {
    SHIELDS.fetch_add(1, Ordering::SeqCst);
    let done = work();
    SHIELDS.fetch_sub(1, Ordering::SeqCst);
    done
}

/// Waits, unless the program is interrupted.
///
/// # Errors
/// In that case.
pub fn sleep(time: Duration) -> Result<()> {
    let end = Instant::now() + time;
    loop {
        check()?;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(Duration::from_millis(50)));
    }
}

/// A statement that an interrupt cancels, as long as this exists.
pub struct Cancellable(u64);

impl Cancellable {
    /// # Errors
    /// If the program was interrupted before.
    pub fn new(token: CancelToken, tls: Option<Tls>) -> Result<Self> {
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner).push((id, token, tls));
        let cancellable = Self(id);
        // After it is in the list: a signal either finds it there, or is found here.
        check()?;
        Ok(cancellable)
    }
}

impl Drop for Cancellable {
    fn drop(&mut self) {
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner).retain(|(id, _, _)| *id != self.0);
    }
}
