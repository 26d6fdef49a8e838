//! What a procedure keeps from one of its transactions to the next.

use std::cell::Cell;
use std::ffi::{c_int, c_void};

use pgrx::pg_sys;

/// No subtransaction.
const NOWHERE: pg_sys::SubTransactionId = 0;

/// Room for it, one for each session and procedure. A plain pointer: what a thread-local value drops when a process ends,
/// it drops after the process has left shared memory, where the locks are that it would give back.
///
/// What is kept goes with the procedure, however that ends: when a transaction is rolled back, or the savepoint in which it
/// was kept, since a procedure does not go on after that; at the end of a transaction in which nothing was kept anew, since a procedure comes to its next
/// step at once; and when the session ends.
pub(crate) struct AcrossTransactions<T: 'static> {
    kept: Cell<*mut T>,
    /// Whether it was kept by the transaction that runs.
    is_fresh: Cell<bool>,
    /// In which subtransaction, or the innermost open one around that.
    kept_in: Cell<pg_sys::SubTransactionId>,
    is_registered: Cell<bool>,
}

impl<T: 'static> AcrossTransactions<T> {
    pub(crate) const fn new() -> Self {
        Self {
            kept: Cell::new(std::ptr::null_mut()),
            is_fresh: Cell::new(false),
            kept_in: Cell::new(NOWHERE),
            is_registered: Cell::new(false),
        }
    }

    /// Takes it out; an error of whoever has taken it drops it.
    pub(crate) fn take(&self) -> Option<Box<T>> {
        let kept = self.kept.replace(std::ptr::null_mut());
        // SAFETY: not null, so it is from `keep`, and taken only once.
        (!kept.is_null()).then(|| unsafe { Box::from_raw(kept) })
    }

    /// Keeps it for the next transaction.
    pub(crate) fn keep(&'static self, what: Box<T>) {
        if !self.is_registered.replace(true) {
            let place = std::ptr::from_ref(self).cast_mut().cast::<c_void>();
            // SAFETY: the callbacks are never taken back, and neither they nor their argument ever go. PostgreSQL gives back
            // a session's locks when it rolls back, and outside of a transaction it has nothing to roll back as it ends.
            unsafe {
                pg_sys::RegisterXactCallback(Some(at_end_of_transaction::<T>), place);
                pg_sys::RegisterSubXactCallback(Some(at_end_of_subtransaction::<T>), place);
                pg_sys::before_shmem_exit(Some(at_end_of_session::<T>), pg_sys::Datum::from(place));
            }
        }
        drop(self.take());
        self.kept.set(Box::into_raw(what));
        self.is_fresh.set(true);
        // SAFETY: a number of this backend.
        self.kept_in.set(unsafe { pg_sys::GetCurrentSubTransactionId() });
    }
}

// SAFETY: a backend has one thread.
unsafe impl<T: 'static> Sync for AcrossTransactions<T> {}

/// Called at each end of a transaction. Dropping gives back a lock and memory, which raises no error.
unsafe extern "C-unwind" fn at_end_of_transaction<T: 'static>(
    event: pg_sys::XactEvent::Type,
    place: *mut c_void,
) {
    // SAFETY: registered with the address of a static.
    let Some(place) = (unsafe { place.cast::<AcrossTransactions<T>>().as_ref() }) else { return };
    match event {
        pg_sys::XactEvent::XACT_EVENT_COMMIT if place.is_fresh.replace(false) => {}
        pg_sys::XactEvent::XACT_EVENT_COMMIT => drop(place.take()),
        pg_sys::XactEvent::XACT_EVENT_ABORT | pg_sys::XactEvent::XACT_EVENT_PREPARE => {
            place.is_fresh.set(false);
            drop(place.take());
        }
        _ => {}
    }
}

/// Called at each end of a subtransaction, which a savepoint begins. What an earlier transaction has kept was kept outside
/// of all that are there now: the first subtransaction is the transaction itself, of which this is not called.
unsafe extern "C-unwind" fn at_end_of_subtransaction<T: 'static>(
    event: pg_sys::SubXactEvent::Type,
    own: pg_sys::SubTransactionId,
    parent: pg_sys::SubTransactionId,
    place: *mut c_void,
) {
    // SAFETY: registered with the address of a static.
    let Some(place) = (unsafe { place.cast::<AcrossTransactions<T>>().as_ref() }) else { return };
    if place.kept_in.get() != own {
        return;
    }
    match event {
        pg_sys::SubXactEvent::SUBXACT_EVENT_COMMIT_SUB => place.kept_in.set(parent),
        pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB => {
            place.kept_in.set(NOWHERE);
            drop(place.take());
        }
        _ => {}
    }
}

/// Called as the process ends, while it still has its locks.
unsafe extern "C-unwind" fn at_end_of_session<T: 'static>(_code: c_int, place: pg_sys::Datum) {
    // SAFETY: registered with the address of a static.
    if let Some(place) = unsafe { place.cast_mut_ptr::<AcrossTransactions<T>>().as_ref() } {
        drop(place.take());
    }
}
