//! The generators of one server process.

use keyspace::keys::{Generator, Instant, Layout, Tick, UlidLayout, UuidV7Layout};
use pgrx::pg_sys;

use super::clock;
use super::entropy::Entropy;
use super::per_backend::PerBackend;

/// What a process needs to make random keys.
struct State {
    /// The process this state belongs to; 0 before any.
    pid: i32,
    entropy: Entropy,
    uuidv7: Generator<UuidV7Layout>,
    ulid: Generator<UlidLayout>,
    /// The last shift, in microseconds, and the generator of keys so shifted.
    shifted: (i64, Generator<UuidV7Layout>),
}

impl State {
    const fn new(pid: i32) -> Self {
        Self {
            pid,
            entropy: Entropy::new(),
            uuidv7: Generator::new(),
            ulid: Generator::new(),
            shifted: (0, Generator::new()),
        }
    }
}

static STATE: PerBackend<State> = PerBackend::new(State::new(0));

/// Lends this process's state, made anew if it was inherited from the process that forked this one.
#[inline]
fn with_state<R>(f: impl FnOnce(&mut State) -> R) -> R {
    // SAFETY: a plain read of a variable that PostgreSQL sets when the process starts.
    let pid = unsafe { pg_sys::MyProcPid };
    // SAFETY: the callers in this module run no SQL and do not come back here.
    unsafe {
        STATE.with(|state| {
            if state.pid != pid {
                *state = State::new(pid);
            }
            f(state)
        })
    }
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

/// The next key at an instant that is the clock's, shifted by so many microseconds. Keys strictly increase
/// for as long as the shift stays the same.
pub(super) fn uuidv7_shifted(instant: Instant, shift: i64) -> uuid::Uuid {
    with_state(|state| {
        if state.shifted.0 != shift {
            state.shifted = (shift, Generator::new());
        }
        state.shifted.1.next(Tick::from_instant(instant), &mut state.entropy)
    })
}

/// A key of an instant with a random tail.
#[inline]
pub(super) fn random_at<L: Layout>(instant: Instant) -> L::Key {
    with_state(|state| L::pack(Tick::from_instant(instant), L::random_tail(&mut state.entropy)))
}
