//! Reads the rows of the tables of a migration in the form that nodes compare.
//!
//! It reads tables without a query, so that no code of their owners is planned. The text of a value
//! depends on settings, which are the same for every node here. Columns count by name, because nodes
//! number them by themselves; generated columns say nothing that the others do not say.

use std::ffi::CStr;

use keyspace::migration::Scope;
use keyspace::migration::facts::Table;
use keyspace::migration::nodes::digests::{Row, TableDigests};
use pgrx::pg_sys;

use crate::encoding::from_server_bytes;
use crate::error::or_raise;
use crate::migration::rights::check_may_read;
use crate::migration::runner::altered;
use crate::migration::tuple::{RowOf, type_of};
use crate::server::as_owner::as_owner;
use crate::server::by_version::begin_table_scan;
use crate::server::failure::Failure;
use crate::server::memory::OwnMemory;
use crate::server::open::OpenRelation;
use crate::server::relation::relation_owner;
use crate::server::settings::{self, with_own_settings};

/// The settings on which the text of a value depends, besides those of our own queries.
const TEXTS: &[(&CStr, &CStr)] = &[
    (c"TimeZone", c"UTC"),
    (c"extra_float_digits", c"1"),
    (c"lc_monetary", c"C"),
    (c"xmlbinary", c"base64"),
];

/// The digests of a table.
///
/// # Errors
/// 42501 if the caller may not read it; 55006 if it is altered meanwhile.
pub(super) fn digests(scope: &Scope<'_>, table: &Table) -> Result<TableDigests, Failure> {
    let mut found = TableDigests::new(&table.schema, &table.name);
    each_row(scope, table, &mut |row| found.add(&row))?;
    Ok(found)
}

/// The rows of some parts of a table.
///
/// # Errors
/// As for [`digests`].
pub(super) fn rows(scope: &Scope<'_>, table: &Table, parts: &[u32]) -> Result<TableDigests, Failure> {
    let mut found = TableDigests::new(&table.schema, &table.name);
    found.list(parts);
    each_row(scope, table, &mut |row| found.add_row(row))?;
    Ok(found)
}

/// Whether a table has keys of its own.
pub(super) fn has_key(scope: &Scope<'_>, table: &Table) -> bool {
    scope.members_of(table.oid).any(|member| member.is_key)
}

fn each_row(scope: &Scope<'_>, table: &Table, add: &mut dyn FnMut(Row)) -> Result<(), Failure> {
    for part in scope.with_rows(table) {
        let relation = pg_sys::Oid::from(part.oid);
        check_may_read(relation)?;
        let columns = Columns::of(scope, table, part);
        as_owner(relation_owner(relation), || {
            with_own_settings(|| settings::with(TEXTS, || scan(relation, &columns, add)))
        });
    }
    Ok(())
}

/// The columns of a table, by number.
struct Columns {
    /// By what a row is identified on all nodes; all columns of a table without a primary key.
    id: Vec<i16>,
    key: Option<i16>,
    /// All, by name.
    all: Vec<i16>,
}

impl Columns {
    /// `part` is the table, or one of its partitions.
    fn of(scope: &Scope<'_>, table: &Table, part: &Table) -> Self {
        let mut all: Vec<_> = part.columns.iter().filter(|column| column.generated.is_empty()).collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        let all: Vec<i16> = all.into_iter().map(|column| column.number).collect();
        if let Some(member) = scope.members_of(part.oid).find(|member| member.is_key) {
            return Self { id: vec![member.old_id.number], key: Some(member.shadow_number), all };
        }
        let number = |column: i16| Some(part.column_named(&table.column(column)?.name)?.number);
        let primary = table.primary_key().map(|index| index.keys.iter().filter_map(|key| number(key.column)));
        let id = primary.map_or_else(|| all.clone(), Iterator::collect);
        Self { id, key: None, all }
    }
}

/// A function that writes values of a column as text.
struct Output {
    column: i16,
    function: pg_sys::FmgrInfo,
}

/// Calls `add` for each row of a table.
fn scan(relation: pg_sys::Oid, columns: &Columns, add: &mut dyn FnMut(Row)) {
    let table = OpenRelation::table(relation, pg_sys::AccessShareLock);
    let memory = OwnMemory::new(c"key migration digests");
    // SAFETY: the table is open, and the columns are checked before they are used. The snapshot is
    // registered while the scan runs. Everything opened is closed; an error releases everything.
    unsafe {
        let output = |column: i16| {
            let of = type_of(table.rd_att, column);
            let of = or_raise(of.ok_or_else(|| altered(relation)));
            let (mut function, mut is_varlena) = (pg_sys::InvalidOid, false);
            pg_sys::getTypeOutputInfo(of, &mut function, &mut is_varlena);
            let mut found = pg_sys::FmgrInfo::default();
            pg_sys::fmgr_info(function, &mut found);
            Output { column, function: found }
        };
        let mut outputs: Vec<Output> = columns.all.iter().copied().map(output).collect();
        let snapshot = pg_sys::RegisterSnapshot(pg_sys::GetLatestSnapshot());
        let slot = pg_sys::table_slot_create(table.raw(), std::ptr::null_mut());
        let scan = begin_table_scan(table.raw(), snapshot);
        while pg_sys::table_scan_getnextslot(scan, pg_sys::ScanDirection::ForwardScanDirection, slot) {
            pgrx::check_for_interrupts!();
            let row = memory.run(|| {
                let texts: Vec<(i16, Option<String>)> =
                    outputs.iter_mut().map(|output| (output.column, text(output, slot))).collect();
                row_of(columns, &texts)
            });
            add(row);
        }
        pg_sys::table_endscan(scan);
        pg_sys::ExecDropSingleTupleTableSlot(slot);
        pg_sys::UnregisterSnapshot(snapshot);
    }
}

/// The text of a value; `None` if it is NULL.
///
/// # Safety
/// The slot must hold a row of the table.
unsafe fn text(output: &mut Output, slot: *mut pg_sys::TupleTableSlot) -> Option<String> {
    // SAFETY: see above; the function returns a string that ends in a zero byte.
    unsafe {
        let datum = RowOf::Slot(slot).datum(output.column)?;
        let text = pg_sys::OutputFunctionCall(&mut output.function, datum);
        Some(from_server_bytes(CStr::from_ptr(text).to_bytes().to_vec()))
    }
}

fn row_of(columns: &Columns, texts: &[(i16, Option<String>)]) -> Row {
    let text = |column: i16| texts.iter().find(|one| one.0 == column).and_then(|one| one.1.as_deref());
    let id: Vec<Option<&str>> = columns.id.iter().map(|column| text(*column)).collect();
    let all: Vec<Option<&str>> = texts.iter().map(|one| one.1.as_deref()).collect();
    Row::of_columns(&id, columns.key.and_then(|key| text(key).map(str::to_owned)), &all)
}
