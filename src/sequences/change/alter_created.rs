//! Alters a sequence that this transaction has created, without the new file that `ALTER SEQUENCE`
//! would write.

use std::ffi::CStr;

use pgrx::pg_sys;

use crate::sequences::read::form::SequenceForm;
use crate::server::by_version;
use crate::server::open::OpenRelation;

/// `SequenceRelationId` of catalog/pg_sequence.h, which the bindings lack.
const PG_SEQUENCE: pg_sys::Oid = pg_sys::Oid::from_u32(2224);

/// Whether [`alter`] can be used for a sequence that this command has created.
///
/// An unlogged sequence has a second copy for the time after a crash, which only `ALTER SEQUENCE`
/// writes. Also, `setval` requires a privilege that owners may have revoked from themselves.
pub(crate) fn is_possible(sequence: pg_sys::Oid) -> bool {
    // SAFETY: looks up catalogs by OID.
    unsafe {
        pg_sys::get_rel_persistence(sequence) as u8 == pg_sys::RELPERSISTENCE_PERMANENT
            && pg_sys::pg_class_aclcheck(sequence, pg_sys::GetUserId(), pg_sys::ACL_UPDATE as pg_sys::AclMode)
                == pg_sys::AclResult::ACLCHECK_OK
    }
}

/// Does what an `ALTER SEQUENCE` with these options, including RESTART, would do.
///
/// `ALTER SEQUENCE` writes the sequence to a new file, so that it can be rolled back and other
/// sessions discard their cached values. PostgreSQL removes the old file at the end of the
/// transaction, and scans all of its shared buffers for that. No other session knows this sequence
/// yet, and a rollback drops it, so `setval` is sufficient.
///
/// # Safety
/// The current command must have created `sequence`. `options` must be those of a parsed `ALTER
/// SEQUENCE`, all of them numbers.
pub(crate) unsafe fn alter(sequence: pg_sys::Oid, options: *mut pg_sys::List) {
    // SAFETY: the tuple is a copy whose fixed part is a `SequenceForm`. The relation is closed
    // again.
    unsafe {
        let catalog = OpenRelation::table(PG_SEQUENCE, pg_sys::RowExclusiveLock);
        let tuple = pg_sys::SearchSysCacheCopy(
            by_version::cache::SEQRELID,
            sequence.into(),
            pg_sys::Datum::null(),
            pg_sys::Datum::null(),
            pg_sys::Datum::null(),
        );
        if tuple.is_null() {
            return;
        }
        let data = (*tuple).t_data;
        let form = data.cast::<u8>().add((*data).t_hoff as usize).cast::<SequenceForm>();
        let mut restart = None;
        for at in 0..if options.is_null() { 0 } else { (*options).length } {
            let option = pg_sys::list_nth(options, at).cast::<pg_sys::DefElem>();
            let value = pg_sys::defGetInt64(option);
            match CStr::from_ptr((*option).defname).to_bytes() {
                b"increment" => (*form).seqincrement = value,
                b"start" => (*form).seqstart = value,
                b"minvalue" => (*form).seqmin = value,
                b"maxvalue" => (*form).seqmax = value,
                b"restart" => restart = Some(value),
                _ => {}
            }
        }
        pg_sys::CatalogTupleUpdate(catalog.raw(), &raw mut (*tuple).t_self, tuple);
        pg_sys::heap_freetuple(tuple);
        drop(catalog);
        // Makes the new bounds visible.
        pg_sys::CommandCounterIncrement();
        if let Some(restart) = restart {
            pg_sys::OidFunctionCall3Coll(
                pg_sys::F_SETVAL_REGCLASS_INT8_BOOL.into(),
                pg_sys::InvalidOid,
                sequence.into(),
                restart.into(),
                false.into(),
            );
        }
    }
}
