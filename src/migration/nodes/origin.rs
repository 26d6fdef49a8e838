//! The replication origin of the backfill: what it writes does not travel.

use std::ffi::CString;

use keyspace::migration::nodes::LocalWrite;
use pgrx::pg_sys;

use crate::sequences::own::peers_seen::UNIX_EPOCH;
use crate::server::failure::Failure;
use crate::server::replication_origin::{self, SessionOrigin};

/// The origin of a migration, taken for a call.
pub(in crate::migration) struct FillOrigin(SessionOrigin);

impl FillOrigin {
    /// Takes it.
    ///
    /// # Errors
    /// 42501, 55000 without what it needs; 55006 if this session has an origin, or another one uses it.
    pub(in crate::migration) fn take(migration: pg_sys::Oid) -> Result<Self, Failure> {
        replication_origin::check()?;
        Ok(Self(SessionOrigin::take(&name(migration))?))
    }

    /// Makes this transaction one that stays on this node, with the commit time of the write. Over that
    /// of a backfill, every change of another node wins.
    pub(in crate::migration) fn use_in_transaction(&self, write: LocalWrite) {
        self.0.use_in_transaction(write.commit_time() - UNIX_EPOCH);
    }
}

/// Drops the origin of a migration that ends.
pub(in crate::migration) fn drop_of(migration: pg_sys::Oid) {
    replication_origin::drop_by_name(&name(migration));
}

/// Its name is that of one database: origins belong to the whole server.
fn name(migration: pg_sys::Oid) -> CString {
    // SAFETY: set before a backend runs its first statement.
    let database = unsafe { pg_sys::MyDatabaseId };
    CString::new(format!("keyspace_migration_{}_{}", database.to_u32(), migration.to_u32()))
        .unwrap_or_default()
}
