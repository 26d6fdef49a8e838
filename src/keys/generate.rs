//! The generators of one server process.

use keyspace::keys::{Generator, Instant, Layout, Reading, Shifted, Tick, UlidLayout, UuidV7Layout};
use pgrx::pg_sys;

use super::clock;
use super::entropy::Entropy;
use super::per_backend::PerBackend;
use super::timestamp::Shift;

/// The state from which a process generates random keys.
struct State {
    /// The process that owns this state; 0 if none does yet.
    pid: i32,
    entropy: Entropy,
    uuidv7: Generator<UuidV7Layout>,
    ulid: Generator<UlidLayout>,
    shifted: Shifted<Shift, UuidV7Layout>,
}

impl State {
    const fn new(pid: i32) -> Self {
        Self {
            pid,
            entropy: Entropy::new(),
            uuidv7: Generator::new(),
            ulid: Generator::new(),
            shifted: Shifted::new(),
        }
    }
}

static STATE: PerBackend<State> = PerBackend::new(State::new(0));

/// Lends this process's state, and resets it if it was inherited from a parent process.
#[inline]
fn with_state<R>(f: impl FnOnce(&mut State) -> R) -> R {
    // SAFETY: a plain read of a variable that PostgreSQL sets when the process starts.
    let pid = unsafe { pg_sys::MyProcPid };
    // SAFETY: the callers in this module run no SQL and do not call this function recursively.
    unsafe {
        STATE.with(|state| {
            if state.pid != pid {
                renew(state, pid);
            }
            f(state)
        })
    }
}

#[cold]
#[inline(never)]
fn renew(state: &mut State, pid: i32) {
    *state = State::new(pid);
}

/// The next key of `uuidv7()`.
#[inline]
pub(super) fn uuidv7() -> uuid::Uuid {
    let now = clock::now();
    with_state(|state| state.uuidv7.next(now, &mut state.entropy))
}

/// The next key of `ulid()`.
#[inline]
pub(super) fn ulid() -> ulid::Ulid {
    let now = clock::now();
    with_state(|state| state.ulid.next(now, &mut state.entropy))
}

/// The next key with a shifted timestamp; `now` is the shifted clock.
pub(super) fn uuidv7_shifted(shift: Shift, now: Tick) -> uuid::Uuid {
    with_state(|state| state.shifted.next(shift, now, &mut state.entropy))
}

/// A key with the given instant and a random tail.
#[inline]
pub(super) fn random_at<L: Layout>(instant: Instant) -> L::Key {
    with_state(|state| L::pack(Tick::from_instant(instant), L::random_tail(&mut state.entropy)))
}

/// A key for a nanosecond that belongs to no other session of this server.
#[inline]
pub(super) fn server_wide<L: Layout>(nanosecond: Reading) -> L::Key {
    with_state(|state| nanosecond.key::<L>(&mut state.entropy))
}
