//! As whom a step runs, and what the caller may do.

use std::ffi::c_int;

use pgrx::pg_sys;

/// The role and the security context from before a step; both come back when it is dropped, by an error, too.
///
/// Where PostgreSQL raises an error, the end of the (sub)transaction puts back those that were there when it began,
/// which are the same, or those that a subtransaction within the step began with, which are the step's.
struct Before {
    role: pg_sys::Oid,
    context: c_int,
}

impl Drop for Before {
    fn drop(&mut self) {
        // SAFETY: sets two variables of this backend to what they were.
        unsafe { pg_sys::SetUserIdAndSecContext(self.role, self.context) };
    }
}

/// Runs `step` as a role, in a security context in addition to the one that holds.
///
/// Neither is kept over the end of a transaction: `step` must not end one.
pub(crate) fn run_as<T>(role: pg_sys::Oid, context: u32, step: impl FnOnce() -> T) -> T {
    let mut before = Before { role: pg_sys::InvalidOid, context: 0 };
    // SAFETY: reads two variables of this backend, then sets them; a role that owns something exists.
    unsafe {
        pg_sys::GetUserIdAndSecContext(&mut before.role, &mut before.context);
        pg_sys::SetUserIdAndSecContext(role, before.context | context as c_int);
    }
    let _before = before;
    step()
}

/// Whether the caller has the rights of the owner of this database, as a superuser has.
pub(crate) fn owns_database() -> bool {
    // SAFETY: looks up a catalog by OID.
    unsafe {
        let (database, role) = (pg_sys::MyDatabaseId, pg_sys::GetUserId());
        #[cfg(feature = "pg15")]
        let owns = pg_sys::pg_database_ownercheck(database, role);
        #[cfg(not(feature = "pg15"))]
        let owns = pg_sys::object_ownercheck(pg_sys::DatabaseRelationId, database, role);
        owns
    }
}
