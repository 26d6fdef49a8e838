//! Ctrl-C: statements that run are cancelled, and the program ends with what is left to do.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use postgres::{CancelToken, NoTls};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::nodes::Tls;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
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
    if INTERRUPTED.load(Ordering::SeqCst) { Err(interrupted()) } else { Ok(()) }
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
