//! Makes writers wait for their turn, and while no session may write.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Lets writers through, one transaction at a time, until it is closed for a while or for good.
#[derive(Default)]
pub struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_held: bool,
    has_ended: bool,
    /// Writers in a transaction.
    inside: usize,
}

/// A writer in a transaction.
pub struct Inside<'a>(&'a Gate);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.state().inside -= 1;
        self.0.changed.notify_all();
    }
}

/// No session writes until it is dropped.
pub struct Held<'a>(&'a Gate);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.state().is_held = false;
        self.0.changed.notify_all();
    }
}

/// Writers end when it is dropped.
pub struct Ends<'a>(pub &'a Gate);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.state().has_ended = true;
        self.0.changed.notify_all();
    }
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for admission; `None` when the run is over.
    pub fn enter(&self) -> Option<Inside<'_>> {
        let waits = |state: &mut State| state.is_held && !state.has_ended;
        let mut state = self.changed.wait_while(self.state(), waits).unwrap_or_else(PoisonError::into_inner);
        if state.has_ended {
            return None;
        }
        state.inside += 1;
        Some(Inside(self))
    }

    /// Keeps writers out, and waits until all of them have left.
    pub fn hold(&self, patience: Duration) -> Result<Held<'_>> {
        self.state().is_held = true;
        let held = Held(self);
        let waited = self.changed.wait_timeout_while(self.state(), patience, |state| state.inside > 0);
        let (state, result) = waited.unwrap_or_else(PoisonError::into_inner);
        drop(state);
        if result.timed_out() {
            bail!("writers did not come to the end of their transactions within {} s", patience.as_secs());
        }
        Ok(held)
    }

    /// Waits until a moment, or until the run is over.
    pub fn wait_until(&self, moment: Instant) {
        let left = moment.saturating_duration_since(Instant::now());
        drop(self.changed.wait_timeout_while(self.state(), left, |state| !state.has_ended));
    }
}
