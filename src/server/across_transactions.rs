//! A value that a procedure keeps from one of its transactions to the next.

use std::cell::Cell;
use std::ffi::{c_int, c_void};

use pgrx::pg_sys;

/// No subtransaction.
const NOWHERE: pg_sys::SubTransactionId = 0;

/// The place of the value, one for each session and procedure. It is a plain pointer: a
/// thread-local value would be dropped after the process has detached from shared memory, and could
/// no longer release its locks there.
///
/// The value is dropped when the procedure ends:
///
/// - when the transaction or the savepoint in which the value was kept is rolled back, since a
///   procedure does not continue after that,
/// - at the end of a transaction in which `keep` was not called, since a procedure starts its next
///   step at once,
/// - when the session ends.
pub(crate) struct AcrossTransactions<T: 'static> {
    kept: Cell<*mut T>,
    /// Whether the current transaction has kept it.
    is_fresh: Cell<bool>,
    /// The subtransaction that has kept it, or its innermost open parent.
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

    /// Takes the value out. If the caller then fails, the value is dropped.
    pub(crate) fn take(&self) -> Option<Box<T>> {
        let kept = self.kept.replace(std::ptr::null_mut());
        // SAFETY: not null, so `keep` stored it, and it is taken only once.
        (!kept.is_null()).then(|| unsafe { Box::from_raw(kept) })
    }

    /// Keeps a value for the next transaction.
    pub(crate) fn keep(&'static self, what: Box<T>) {
        if !self.is_registered.replace(true) {
            let place = std::ptr::from_ref(self).cast_mut().cast::<c_void>();
            // SAFETY: the callbacks are never unregistered, and they and their argument are never
            // freed. PostgreSQL releases the locks of a session on rollback; a session that ends
            // outside a transaction has nothing to roll back.
            unsafe {
                pg_sys::RegisterXactCallback(Some(at_end_of_transaction::<T>), place);
                pg_sys::RegisterSubXactCallback(Some(at_end_of_subtransaction::<T>), place);
                pg_sys::before_shmem_exit(Some(at_end_of_session::<T>), pg_sys::Datum::from(place));
            }
        }
        drop(self.take());
        self.kept.set(Box::into_raw(what));
        self.is_fresh.set(true);
        // SAFETY: reads an id of this backend.
        self.kept_in.set(unsafe { pg_sys::GetCurrentSubTransactionId() });
    }
}

// SAFETY: a backend runs in one thread.
unsafe impl<T: 'static> Sync for AcrossTransactions<T> {}

/// Called at the end of each transaction. Dropping the value releases a lock and memory, which
/// raises no error.
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

/// Called at the end of each subtransaction, such as a savepoint. A value from an earlier
/// transaction belongs to no current subtransaction: the first one is the transaction itself, for
/// which this function is not called.
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

/// Called when the process ends, while it still has its locks.
unsafe extern "C-unwind" fn at_end_of_session<T: 'static>(_code: c_int, place: pg_sys::Datum) {
    // SAFETY: registered with the address of a static.
    if let Some(place) = unsafe { place.cast_mut_ptr::<AcrossTransactions<T>>().as_ref() } {
        drop(place.take());
    }
}
