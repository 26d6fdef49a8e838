//! The trigger of guarded tables: refuses, or warns about, an id that is not in this node's class.
//!
//! It runs for every row, so it is called like a trigger in C, and the code for every row runs
//! without a guard, as in [`super::super::nextval`]: no value that has to be dropped, and no
//! `catch_unwind`, is alive while core is called. Everything else happens behind `#[pg_guard]`.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};

use keyspace::sequences::guard::{self, Guard, Mode, Place};
use keyspace::sequences::{Class, NumberType};
use keyspace::{Error, SqlState};
use pgrx::{PgLogLevel, direct_function_call_as_datum, pg_guard, pg_sys};

use crate::encoding::{for_message, from_server};
use crate::error::{code, or_raise, raise, report};
use crate::fmgr;
use crate::sequences::own::identity;
use crate::server::extension::Extension;
use crate::server::relation::{number_type, partition_ancestors};

// Functions that the bindings do not export, or wrap into a guard: from utils/elog.h and
// executor/tuptable.h.
unsafe extern "C-unwind" {
    fn errstart(level: c_int, domain: *const c_char) -> bool;
    fn errcode(code: c_int) -> c_int;
    fn errmsg(format: *const c_char, ...) -> c_int;
    fn errdetail(format: *const c_char, ...) -> c_int;
    fn errhint(format: *const c_char, ...) -> c_int;
    fn errtablecol(relation: pg_sys::Relation, attribute: c_int) -> c_int;
    fn errfinish(file: *const c_char, line: c_int, function: *const c_char);
    fn slot_getsomeattrs_int(slot: *mut pg_sys::TupleTableSlot, attribute: c_int);
}

/// What a trigger does, kept from one row of a statement to the next in `fn_extra`.
#[derive(Clone, Copy)]
struct Prepared {
    /// The type of the guarded column.
    kind: NumberType,
    guard: Guard,
}

/// A deleted row of another node. If an update moves a row between partitions, PostgreSQL deletes
/// it from one and inserts it into the other, and does not say that this is a move.
#[derive(Clone, Copy)]
struct Deleted {
    relation: pg_sys::Oid,
    value: i64,
    /// When the statement of the client began.
    statement: i64,
}

thread_local! {
    static DELETED: Cell<Option<Deleted>> = const { Cell::new(None) };
}

/// The report about a row, in the memory context of the row.
struct RowReport {
    level: c_int,
    code: c_int,
    message: *const c_char,
    detail: *const c_char,
    hint: *const c_char,
}

/// The trigger, `AFTER INSERT OR UPDATE OF column FOR EACH ROW`, on partitioned tables `OR DELETE`.
/// The trigger depends on the column, and so follows it through renames, dumps and partitions. The
/// arguments are those of [`Guard::arguments`].
///
/// It is an AFTER trigger, so that it sees the stored row whatever other triggers do, and not a row
/// that `ON CONFLICT` turns into an update or discards. COPY also keeps its multi-row insert.
///
/// # Errors
/// 23514 for an id of another class, and 55000 if the database has no node, unless the mode is
/// "warn".
///
/// # Safety
/// Only the function manager may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn interleaved_guard(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: see the top of this file. A TriggerData node has the fields for its event, which
    // `prepare` has checked.
    unsafe {
        let Some(context) = fmgr::trigger_data(fcinfo) else { return refuse_call() };
        let mut prepared = (*(*fcinfo).flinfo).fn_extra.cast::<Prepared>().cast_const();
        if prepared.is_null() {
            prepared = prepare(fcinfo);
        }
        let Prepared { kind, guard } = *prepared;
        let (row, slot) = match operation(context) {
            pg_sys::TRIGGER_EVENT_UPDATE => ((*context).tg_newtuple, (*context).tg_newslot),
            _ => ((*context).tg_trigtuple, (*context).tg_trigslot),
        };
        let attribute = *(*(*context).tg_trigger).tgattr;
        let result = pg_sys::Datum::from(row);
        let Some(value) = value_in(slot, attribute) else { return result };
        if let (Some(value), Some(class)) = (integer(value, kind), identity::cached())
            && guard.accepts(class, value)
        {
            return result;
        }
        if operation(context) == pg_sys::TRIGGER_EVENT_DELETE {
            remember((*(*context).tg_relation).rd_id, value, prepared);
            return result;
        }
        let row_report = check_value(fcinfo, value, prepared);
        if !row_report.is_null() {
            raise_or_warn(row_report, (*context).tg_relation, attribute);
        }
        result
    }
}

fmgr::version_1!(interleaved_guard);

/// The operation on the row.
///
/// # Safety
/// `context` must be that of a trigger.
#[inline]
unsafe fn operation(context: *const pg_sys::TriggerData) -> u32 {
    // SAFETY: see above.
    unsafe { (*context).tg_event & pg_sys::TRIGGER_EVENT_OPMASK }
}

/// The value of a column; `None` if it is NULL.
///
/// # Safety
/// The slot must hold a row, and have the column.
#[inline]
unsafe fn value_in(slot: *mut pg_sys::TupleTableSlot, attribute: i16) -> Option<pg_sys::Datum> {
    // SAFETY: columns up to `tts_nvalid` are deformed, and others are deformed first.
    unsafe {
        if (*slot).tts_nvalid < attribute {
            slot_getsomeattrs_int(slot, c_int::from(attribute));
        }
        let at = usize::from(attribute.unsigned_abs()) - 1;
        (!*(*slot).tts_isnull.add(at)).then(|| *(*slot).tts_values.add(at))
    }
}

/// The value, if it is an integer.
#[inline]
fn integer(value: pg_sys::Datum, kind: NumberType) -> Option<i64> {
    match kind {
        NumberType::Smallint => Some(i64::from(value.value() as i16)),
        NumberType::Integer => Some(i64::from(value.value() as i32)),
        NumberType::Bigint => Some(value.value() as i64),
        NumberType::Numeric => None,
    }
}

#[cold]
#[pg_guard]
extern "C-unwind" fn refuse_call() -> pg_sys::Datum {
    raise(report(fmgr::no_trigger()))
}

/// Checks the definition of the trigger, looks up the type of its column, and keeps both for the
/// rows that follow.
#[cold]
#[pg_guard]
extern "C-unwind" fn prepare(fcinfo: pg_sys::FunctionCallInfo) -> *const Prepared {
    // SAFETY: the caller has checked that this is a trigger call.
    unsafe {
        let context = (*fcinfo).context.cast::<pg_sys::TriggerData>();
        let trigger = (*context).tg_trigger;
        let is_for_rows = (*context).tg_event & pg_sys::TRIGGER_EVENT_ROW != 0;
        if !is_for_rows || (*trigger).tgnattr != 1 {
            let detail = "It is not AFTER INSERT OR UPDATE OF one column FOR EACH ROW.";
            raise(report(invalid_trigger(trigger, detail)));
        }
        let attribute = *(*trigger).tgattr;
        let declared = pg_sys::SPI_gettypeid((*(*context).tg_relation).rd_att, c_int::from(attribute));
        let Some(kind) = number_type(Some(declared)) else {
            raise(report(invalid_trigger(
                trigger,
                "The type of its column is not smallint, integer, bigint or numeric.",
            )));
        };
        let flinfo = (*fcinfo).flinfo;
        let place = pg_sys::MemoryContextAlloc((*flinfo).fn_mcxt, size_of::<Prepared>()).cast::<Prepared>();
        place.write(Prepared { kind, guard: definition(trigger) });
        (*flinfo).fn_extra = place.cast::<c_void>();
        place
    }
}

/// # Safety
/// `trigger` must be valid.
unsafe fn invalid_trigger(trigger: *const pg_sys::Trigger, detail: &str) -> Error {
    // SAFETY: every trigger has a name.
    let name = unsafe { from_server(CStr::from_ptr((*trigger).tgname)) };
    Error::new(SqlState::ObjectNotInPrerequisiteState, format!("trigger \"{name}\" is not a valid guard"))
        .detail(detail)
        .hint("Drop it, and call guard_interleaved_sequences().")
}

/// Examines a value; returns the report about it, or null.
#[cold]
#[pg_guard]
extern "C-unwind" fn check_value(
    fcinfo: pg_sys::FunctionCallInfo,
    value: pg_sys::Datum,
    prepared: *const Prepared,
) -> *const RowReport {
    // SAFETY: the caller has checked that this is a trigger call, and `prepared` is what `prepare`
    // has returned. On UPDATE there is an old row.
    unsafe {
        let Prepared { kind, guard } = *prepared;
        let context = (*fcinfo).context.cast::<pg_sys::TriggerData>();
        let attribute = *(*(*context).tg_trigger).tgattr;
        let class = or_raise(Extension::of_call(fcinfo).and_then(identity::known));
        let text = text(value, kind);
        if class.is_some_and(|class| is_own(&text, guard, class)) {
            return std::ptr::null();
        }
        let is_kept = match operation(context) {
            pg_sys::TRIGGER_EVENT_UPDATE => value_in((*context).tg_trigslot, attribute)
                .is_some_and(|old| is_same(&self::text(old, kind), &text)),
            _ => is_moved((*(*context).tg_relation).rd_id, &text),
        };
        if is_kept {
            return std::ptr::null();
        }
        let table = table_name((*context).tg_relation);
        let column = column_name((*context).tg_relation, attribute);
        let place = Place { table: &table, column: &column };
        let error = match class {
            Some(class) => guard::violation(place, &text, guard, class),
            None => guard::no_node(place),
        };
        row_report(error, guard.mode)
    }
}

/// Whether this node may insert a number, which can be greater than any id of a sequence.
fn is_own(number: &str, guard: Guard, class: Class) -> bool {
    match guard.blocks {
        None => class.node_of_decimal(number) == Some(i64::from(class.node())),
        Some(_) => whole(number).is_some_and(|id| guard.accepts(class, id)),
    }
}

/// Remembers a deleted row of another node.
#[cold]
#[pg_guard]
extern "C-unwind" fn remember(relation: pg_sys::Oid, value: pg_sys::Datum, prepared: *const Prepared) {
    // SAFETY: `prepared` is what `prepare` has returned, and the value is from a column of its type.
    let value = whole(&unsafe { text(value, (*prepared).kind) });
    DELETED.set(value.map(|value| Deleted { relation, value, statement: statement() }));
}

/// Whether the statement moves the row here from another partition.
fn is_moved(relation: pg_sys::Oid, value: &str) -> bool {
    DELETED.get().is_some_and(|deleted| {
        whole(value) == Some(deleted.value)
            && deleted.statement == statement()
            && deleted.relation != relation
            && top(relation).is_some_and(|top| self::top(deleted.relation) == Some(top))
    })
}

/// The time when the client's statement began.
fn statement() -> i64 {
    // SAFETY: reads a variable of this backend.
    unsafe { pg_sys::GetCurrentStatementStartTimestamp() }
}

/// The topmost partitioned table, if the table is a partition.
fn top(relation: pg_sys::Oid) -> Option<pg_sys::Oid> {
    partition_ancestors(relation).last().copied()
}

/// A number as an integer, if a sequence could generate it.
fn whole(number: &str) -> Option<i64> {
    plain(number).parse().ok()
}

/// What a trigger does, by its arguments. A guard of single ids that refuses is the strictest.
///
/// # Safety
/// `trigger` must be valid.
unsafe fn definition(trigger: *const pg_sys::Trigger) -> Guard {
    // SAFETY: the trigger has `tgnargs` arguments, each a string.
    let arguments: Vec<&str> = unsafe {
        let count = usize::try_from((*trigger).tgnargs).unwrap_or(0);
        let argument = |at| CStr::from_ptr(*(*trigger).tgargs.add(at));
        (0..count).map(|at| argument(at).to_str().unwrap_or_default()).collect()
    };
    Guard::of_arguments(&arguments).unwrap_or(Guard { mode: Mode::Refuse, blocks: None })
}

/// The decimal text of a number.
///
/// # Safety
/// The value must be of the kind.
unsafe fn text(value: pg_sys::Datum, kind: NumberType) -> String {
    if let Some(value) = integer(value, kind) {
        return value.to_string();
    }
    // SAFETY: the value is a numeric; the result is a C string, which is plain ASCII.
    unsafe {
        let text = direct_function_call_as_datum(pg_sys::numeric_out, &[Some(value)]);
        text.map(|text| CStr::from_ptr(text.cast_mut_ptr()).to_string_lossy().into_owned())
            .unwrap_or_default()
    }
}

/// Whether two numbers are equal, whatever their number of decimal places.
fn is_same(a: &str, b: &str) -> bool {
    plain(a) == plain(b)
}

/// A number without insignificant decimal places.
fn plain(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

/// # Safety
/// `relation` must be open.
unsafe fn table_name(relation: pg_sys::Relation) -> String {
    // SAFETY: names are NUL-terminated. The name of the schema is a copy, or null.
    unsafe {
        let form = (*relation).rd_rel;
        let name = from_server(CStr::from_ptr((*form).relname.data.as_ptr()));
        let schema = pg_sys::get_namespace_name((*form).relnamespace);
        if schema.is_null() {
            return name;
        }
        format!("{}.{name}", from_server(CStr::from_ptr(schema)))
    }
}

/// # Safety
/// `relation` must be open.
unsafe fn column_name(relation: pg_sys::Relation, attribute: i16) -> String {
    // SAFETY: the name is a copy, or null.
    unsafe {
        let name = pg_sys::get_attname((*relation).rd_id, attribute, true);
        if name.is_null() { attribute.to_string() } else { from_server(CStr::from_ptr(name)) }
    }
}

/// The report for [`raise_or_warn`], in the memory context of the row.
fn row_report(error: Error, mode: Mode) -> *const RowReport {
    let copy = |text: Option<String>| {
        let text = for_message(&text.unwrap_or_default());
        // SAFETY: copies a string that ends in a zero byte.
        unsafe { pg_sys::pstrdup(text.as_ptr()).cast_const() }
    };
    let row_report = RowReport {
        level: if mode == Mode::Warn { PgLogLevel::WARNING } else { PgLogLevel::ERROR } as c_int,
        code: code(error.sqlstate) as c_int,
        message: copy(Some(error.message)),
        detail: copy(error.detail),
        hint: copy(error.hint),
    };
    // SAFETY: the memory has the size of the value, and is aligned for any type.
    unsafe {
        let place = pg_sys::palloc(size_of::<RowReport>()).cast::<RowReport>();
        place.write(row_report);
        place
    }
}

/// Reports an error or a warning with the names of schema, table and column as separate fields, for
/// drivers that read them. An error does not return.
///
/// # Safety
/// The report must come from [`row_report`], and the relation must be open. See also the top of
/// this file.
#[cold]
unsafe fn raise_or_warn(row_report: *const RowReport, relation: pg_sys::Relation, attribute: i16) {
    const TEXT: *const c_char = c"%s".as_ptr();
    // SAFETY: see above. An error jumps over this frame, in which nothing has to be dropped.
    unsafe {
        if errstart((*row_report).level, std::ptr::null()) {
            errcode((*row_report).code);
            errmsg(TEXT, (*row_report).message);
            errdetail(TEXT, (*row_report).detail);
            errhint(TEXT, (*row_report).hint);
            errtablecol(relation, c_int::from(attribute));
            errfinish(c"guard/trigger.rs".as_ptr(), line!() as c_int, c"interleaved_guard".as_ptr());
        }
    }
}
