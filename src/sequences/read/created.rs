//! The sequences created by the command at whose end an event trigger runs.

use pgrx::pg_sys;
use pgrx::prelude::*;

/// Column numbers of `pg_event_trigger_ddl_commands()`, counted from 1.
const OBJECT: i32 = 2;
const COMMAND_TAG: i32 = 4;
const IN_EXTENSION: i32 = 8;

/// The OIDs of the sequences that were created, by a column definition or on their own, in order of
/// creation. Sequences of an extension's script and temporary ones are left out.
///
/// It calls the function as the executor would, without a query, which would cost more than
/// everything else here.
///
/// # Safety
/// Must be called within an event trigger at the end of a command.
pub(crate) unsafe fn sequences() -> Vec<pg_sys::Oid> {
    let mut created = Vec::new();
    // SAFETY: the function gets the arguments that the executor passes to a set-returning function
    // in materialize mode, and itself checks that an event trigger runs. Its memory is freed here
    // or with the transaction.
    unsafe {
        let mut function = pg_sys::FmgrInfo::default();
        pg_sys::fmgr_info(pg_sys::F_PG_EVENT_TRIGGER_DDL_COMMANDS.into(), &mut function);
        let context = pg_sys::CreateStandaloneExprContext();
        let mut result = pg_sys::ReturnSetInfo {
            type_: pg_sys::NodeTag::T_ReturnSetInfo,
            econtext: context,
            allowedModes: pg_sys::SetFunctionReturnMode::SFRM_Materialize as i32,
            ..Default::default()
        };
        let mut call = pg_sys::FunctionCallInfoBaseData {
            flinfo: &mut function,
            resultinfo: (&raw mut result).cast(),
            ..Default::default()
        };
        pg_sys::pg_event_trigger_ddl_commands(&mut call);
        if !result.setResult.is_null() {
            let slot =
                pg_sys::MakeSingleTupleTableSlot(result.setDesc, &raw const pg_sys::TTSOpsMinimalTuple);
            while pg_sys::tuplestore_gettupleslot(result.setResult, true, false, slot) {
                created.extend(created_sequence(slot));
            }
            pg_sys::ExecDropSingleTupleTableSlot(slot);
            pg_sys::tuplestore_end(result.setResult);
        }
        pg_sys::FreeExprContext(context, true);
    }
    created
}

/// # Safety
/// `slot` must hold a row of `pg_event_trigger_ddl_commands()`.
unsafe fn created_sequence(slot: *mut pg_sys::TupleTableSlot) -> Option<pg_sys::Oid> {
    // SAFETY: the columns have the types that pg_proc gives them.
    unsafe {
        let value = |column: i32| {
            let mut is_null = false;
            let datum = pg_sys::slot_getattr(slot, column, &mut is_null);
            (!is_null).then_some(datum)
        };
        let tag = <&str>::from_datum(value(COMMAND_TAG)?, false)?;
        if tag != "CREATE SEQUENCE" || value(IN_EXTENSION)?.value() as u8 != 0 {
            return None;
        }
        let sequence = pg_sys::Oid::from(value(OBJECT)?.value() as u32);
        let persistence = pg_sys::get_rel_persistence(sequence) as u8;
        (persistence != pg_sys::RELPERSISTENCE_TEMP).then_some(sequence)
    }
}
