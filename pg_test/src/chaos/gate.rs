//! Pauses writers, and ends them.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Grants permits for transactions. It can pause, and it ends with the run.
#[derive(Default)]
pub struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_paused: bool,
    is_over: bool,
    /// The number of writers in a transaction.
    permits: usize,
}

/// Allows a writer one transaction.
pub struct Permit<'a>(&'a Gate);

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.state().permits -= 1;
        self.0.changed.notify_all();
    }
}

/// No session writes until this is dropped.
pub struct Paused<'a>(&'a Gate);

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        self.0.state().is_paused = false;
        self.0.changed.notify_all();
    }
}

/// Writers end when this is dropped.
pub struct EndOnDrop<'a>(pub &'a Gate);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.state().is_over = true;
        self.0.changed.notify_all();
    }
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a permit; `None` when the run is over.
    pub fn permit(&self) -> Option<Permit<'_>> {
        let waits = |state: &mut State| state.is_paused && !state.is_over;
        let mut state = self.changed.wait_while(self.state(), waits).unwrap_or_else(PoisonError::into_inner);
        if state.is_over {
            return None;
        }
        state.permits += 1;
        Some(Permit(self))
    }

    /// Grants no more permits, and waits until all of them have been returned.
    pub fn pause(&self, patience: Duration) -> Result<Paused<'_>> {
        self.state().is_paused = true;
        let paused = Paused(self);
        let waited = self.changed.wait_timeout_while(self.state(), patience, |state| state.permits > 0);
        let (state, result) = waited.unwrap_or_else(PoisonError::into_inner);
        drop(state);
        if result.timed_out() {
            bail!("writers did not end their transactions within {} s", patience.as_secs());
        }
        Ok(paused)
    }

    /// Waits until a time, or until the run is over.
    pub fn wait_until(&self, time: Instant) {
        let left = time.saturating_duration_since(Instant::now());
        drop(self.changed.wait_timeout_while(self.state(), left, |state| !state.is_over));
    }
}
