//! The role under which a step runs, and the rights of the caller.

use std::ffi::c_int;

use pgrx::pg_sys;

/// The role and the security context from before a step. Dropping it restores both, also after an
/// error of ours.
///
/// After an error of PostgreSQL, the end of the (sub)transaction restores the values from its
/// beginning. They are the same, unless the subtransaction began within the step: then they are the
/// step's.
struct Before {
    role: pg_sys::Oid,
    context: c_int,
}

impl Drop for Before {
    fn drop(&mut self) {
        // SAFETY: restores two variables of this backend.
        unsafe { pg_sys::SetUserIdAndSecContext(self.role, self.context) };
    }
}

/// Runs `step` as a role, in a security context that is added to the current one.
///
/// `step` must not end the transaction, since neither lasts beyond it.
pub(crate) fn run_as<T>(role: pg_sys::Oid, context: u32, step: impl FnOnce() -> T) -> T {
    let mut before = Before { role: pg_sys::InvalidOid, context: 0 };
    // SAFETY: reads two variables of this backend, then sets them. The role exists, since it owns
    // an object.
    unsafe {
        pg_sys::GetUserIdAndSecContext(&mut before.role, &mut before.context);
        pg_sys::SetUserIdAndSecContext(role, before.context | context as c_int);
    }
    let _before = before;
    step()
}

/// Whether the caller has the rights of a relation's owner, as a superuser has.
pub(crate) fn owns_relation(relation: pg_sys::Oid) -> bool {
    // SAFETY: looks up a catalog by OID.
    unsafe {
        let role = pg_sys::GetUserId();
        #[cfg(feature = "pg15")]
        let owns = pg_sys::pg_class_ownercheck(relation, role);
        #[cfg(not(feature = "pg15"))]
        let owns = pg_sys::object_ownercheck(pg_sys::RelationRelationId, relation, role);
        owns
    }
}

/// Whether the caller has the rights of this database's owner, as a superuser has.
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
