//! Looks up referenced rows without a query if the tables have different owners.
//!
//! A query over both tables is planned and run as the owner of one of them. The planner evaluates
//! constant expressions in indexes and statistics of the other table: code of that table's owner
//! (fault A07). Here nothing is planned, and no code of either owner runs.

use keyspace::migration::Scope;
use keyspace::migration::member::Member;
use keyspace::migration::old_id::OldId;
use keyspace::{Error, SqlState};
use pgrx::pg_sys;

use super::derive::Derivation;
use super::lookup::{Lookup, Scan};
use super::refers::Refers;
use super::rights::{LookupColumns, check_may_look_up};
use super::row_time::{RowTime, SaidBy};
use super::tuple::{Column, Role, RowOf, Value};
use crate::server::by_version::begin_table_scan;
use crate::server::memory::OwnMemory;
use crate::server::relation::{relation_name, relation_owner};

/// Whether a query over the table of a column and the table that it refers to may be planned as the
/// owner of the former. Each owner must have the rights of the other: then each may run the other's
/// code, and read the other's rows.
pub(super) fn may_be_joined(scope: &Scope<'_>, member: &Member<'_>) -> bool {
    let owner = |table: u32| {
        let table = pg_sys::Oid::from(table);
        // A query would take the same lock; it keeps the owner of the table from changing before
        // the query.
        // SAFETY: takes a lock by OID; the lock manager raises its own errors.
        unsafe { pg_sys::LockRelationOid(table, pg_sys::AccessShareLock as i32) };
        relation_owner(table)
    };
    let (one, other) = (owner(member.table.oid), owner(scope.key_of(member).column.table.oid));
    // SAFETY: looks up catalogs by OID.
    one == other || unsafe { pg_sys::has_privs_of_role(one, other) && pg_sys::has_privs_of_role(other, one) }
}

/// The number of rows of a kind, and the least old id in them.
#[derive(Clone, Default)]
pub(super) struct Rows {
    pub(super) count: i64,
    pub(super) least: Option<OldId>,
}

impl Rows {
    fn add(&mut self, old_id: &OldId) {
        self.count += 1;
        if self.least.as_ref().is_none_or(|least| old_id < least) {
            self.least = Some(old_id.clone());
        }
    }
}

/// The result of comparing all rows with those that they refer to.
#[derive(Clone, Default)]
pub(super) struct Compared {
    /// Rows that refer to nothing.
    pub(super) orphans: Rows,
    /// Rows with another key than the row that they refer to.
    pub(super) other_keys: Rows,
}

/// The table that a column refers to, and its columns that are read.
struct Root {
    scan: Scan,
    key: Column,
    time: RowTime,
}

/// The open table of a column.
struct Opened {
    relation: pg_sys::Relation,
    old_id: Column,
    key: Column,
    refers: Refers,
}

impl Opened {
    /// # Safety
    /// It must be closed again.
    unsafe fn new(member: &Member<'_>, old_id: Role, key_type: pg_sys::Oid) -> Result<Self, Error> {
        // SAFETY: opened under a reader's lock; columns are checked before they are used.
        unsafe {
            let oid = pg_sys::Oid::from(member.table.oid);
            let relation = pg_sys::try_table_open(oid, pg_sys::AccessShareLock as i32);
            if relation.is_null() {
                return Err(gone(member));
            }
            let old_id = column(relation, member.old_id.number, old_id)?;
            let key = column(relation, member.shadow_number, Role::Key(key_type))?;
            let refers = Refers::of(relation, member, old_id)?;
            Ok(Self { relation, old_id, key, refers })
        }
    }

    /// # Safety
    /// Call it once, at the end.
    unsafe fn close(self) {
        // SAFETY: closes what `new` has opened; the lock is kept until the end of the transaction.
        unsafe { pg_sys::table_close(self.relation, pg_sys::NoLock as i32) };
    }
}

impl Root {
    /// Opens the root. `to_look_up` is the table whose owner must be allowed to read it; `None` if
    /// the caller may read both.
    ///
    /// # Safety
    /// The snapshot must be valid until it is closed.
    unsafe fn open(
        scope: &Scope<'_>,
        member: &Member<'_>,
        key_type: pg_sys::Oid,
        to_look_up: Option<&Opened>,
        snapshot: pg_sys::Snapshot,
    ) -> Result<Self, Error> {
        let of = scope.key_of(member);
        let oid = pg_sys::Oid::from(of.column.table.oid);
        // SAFETY: see above; columns are checked before they are used.
        unsafe {
            let root = pg_sys::try_table_open(oid, pg_sys::AccessShareLock as i32);
            if root.is_null() {
                return Err(gone(&of.column));
            }
            let by = column(root, of.column.old_id.number, Role::of_key(&of.column))?;
            let key = column(root, of.column.shadow_number, Role::Key(key_type))?;
            let time = RowTime::open(root, &of.time.source, SaidBy::Owner);
            if let Some(opened) = to_look_up {
                let lookup_columns = LookupColumns {
                    old_id: opened.old_id.number,
                    key: opened.key.number,
                    root_old_id: by.number,
                    root_key: key.number,
                    root_time: time.own_column(),
                };
                check_may_look_up(opened.relation, root, lookup_columns)?;
            }
            pg_sys::table_close(root, pg_sys::NoLock as i32);
            Ok(Self { scan: Lookup::required(oid, by).open(snapshot), key, time })
        }
    }
}

/// References that are looked up together, in ascending order of their old ids. So each page of the
/// root and of its index is read once for many rows, in whatever order these refer to it.
struct Window {
    rows: Vec<(OldId, Option<Value>)>,
    most: usize,
    /// The bytes of its texts.
    text: usize,
    memory: usize,
}

impl Window {
    /// No larger than this number of rows, whatever the setting.
    const MOST: usize = 1 << 24;
    /// While it grows, there is a second copy of it.
    const BYTES_PER_ROW: usize = 2 * size_of::<(OldId, Option<Value>)>();

    fn new() -> Self {
        // SAFETY: the value of a setting, in kB.
        let memory =
            usize::try_from(unsafe { pg_sys::maintenance_work_mem }).unwrap_or(0).saturating_mul(1024);
        let most = (memory / Self::BYTES_PER_ROW).clamp(1, Self::MOST);
        Self { rows: Vec::new(), most, text: 0, memory }
    }

    /// Whether it has to be compared before a row is added. It is full, too, if there is no more memory.
    fn is_full(&mut self) -> bool {
        let count = self.rows.len();
        count >= self.most || (count > 0 && (self.text >= self.memory || self.rows.try_reserve(1).is_err()))
    }

    fn add(&mut self, old_id: OldId, key: Option<Value>) {
        if let OldId::Text(bytes) = &old_id {
            self.text += bytes.len();
        }
        self.rows.push((old_id, key));
    }

    /// Compares its rows with those that they refer to, and empties it.
    fn compare(&mut self, root: &mut Root, found: &mut Compared) {
        self.text = 0;
        self.rows.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let mut last: Option<(OldId, Option<Option<Value>>)> = None;
        let memory = OwnMemory::new(c"key migration look-up");
        for (old_id, key) in self.rows.drain(..) {
            pgrx::check_for_interrupts!();
            let referenced = match &last {
                Some((last, key)) if *last == old_id => *key,
                _ => memory.run(|| {
                    // SAFETY: the columns are those of the root.
                    root.scan.row(Value::of_old_id(&old_id), |row| unsafe { row.value(root.key) })
                }),
            };
            match referenced {
                None => found.orphans.add(&old_id),
                Some(referenced) if referenced != key => found.other_keys.add(&old_id),
                Some(_) => {}
            }
            last = Some((old_id, referenced));
        }
    }
}

/// # Safety
/// The relation must be open.
unsafe fn column(relation: pg_sys::Relation, number: i16, role: Role) -> Result<Column, Error> {
    // SAFETY: see above.
    unsafe { Column::of(relation, number, role).map_err(|unfit| unfit.error((*relation).rd_id)) }
}

fn gone(member: &Member<'_>) -> Error {
    let message = format!("table {} no longer exists", relation_name(pg_sys::Oid::from(member.table.oid)));
    Error::new(SqlState::UndefinedTable, message).hint("CALL key_migration_rollback() to end the migration.")
}

/// Compares the keys of a column with those of the rows that it refers to. The caller must be
/// allowed to read both tables.
///
/// # Errors
/// 42804 if a column has another type than the migration's, 55000 if it no longer exists.
pub(super) fn compare(
    scope: &Scope<'_>,
    member: &Member<'_>,
    key_type: pg_sys::Oid,
) -> Result<Compared, Error> {
    let mut found = Compared::default();
    // SAFETY: both tables are read under one snapshot, which stays registered. Everything opened is
    // closed; an error releases everything held. A slot that holds a row has the columns of its
    // table.
    unsafe {
        let table = Opened::new(member, Role::of_member(&scope.key_of(member).column, member), key_type)?;
        let memory = OwnMemory::new(c"key migration comparison");
        let snapshot = pg_sys::RegisterSnapshot(pg_sys::GetTransactionSnapshot());
        let mut root = Root::open(scope, member, key_type, None, snapshot)?;
        let slot = pg_sys::table_slot_create(table.relation, std::ptr::null_mut());
        let scan = begin_table_scan(table.relation, snapshot);
        let mut window = Window::new();
        while pg_sys::table_scan_getnextslot(scan, pg_sys::ScanDirection::ForwardScanDirection, slot) {
            pgrx::check_for_interrupts!();
            let old_id = memory.run(|| {
                let old_id = table.refers.old_id(table.old_id.value_in(slot))?;
                table.refers.is_of_type(RowOf::Slot(slot)).then(|| old_id.to_old_id()).flatten()
            });
            let Some(old_id) = old_id else { continue };
            if window.is_full() {
                window.compare(&mut root, &mut found);
            }
            window.add(old_id, table.key.value_in(slot));
        }
        window.compare(&mut root, &mut found);
        pg_sys::table_endscan(scan);
        pg_sys::ExecDropSingleTupleTableSlot(slot);
        root.scan.close();
        pg_sys::UnregisterSnapshot(snapshot);
        table.close();
    }
    Ok(found)
}

/// The keys of rows with these old ids, as a JSON object; rows that do not exist are left out. The
/// owner of the column's table must be allowed to look them up.
///
/// # Errors
/// As [`compare`]; 42501.
pub(super) fn keys(
    scope: &Scope<'_>,
    member: &Member<'_>,
    key_type: pg_sys::Oid,
    old_ids: &[OldId],
) -> Result<String, Error> {
    let derivation = Derivation::new(scope.options.target, &scope.key_of(member).options.salt);
    let mut found: Vec<String> = Vec::with_capacity(old_ids.len());
    // SAFETY: as for `compare`.
    unsafe {
        let table = Opened::new(member, Role::of_member(&scope.key_of(member).column, member), key_type)?;
        let memory = OwnMemory::new(c"key migration look-up");
        let snapshot = pg_sys::RegisterSnapshot(pg_sys::GetLatestSnapshot());
        let mut root = Root::open(scope, member, key_type, Some(&table), snapshot)?;
        for old_id in old_ids {
            pgrx::check_for_interrupts!();
            let (scan, time) = (&mut root.scan, &mut root.time);
            let key = memory.run(|| {
                let value = Value::of_old_id(old_id);
                scan.row(value, |row| match row.value(root.key) {
                    // A key stored in the root takes precedence over a derived one (trap M22).
                    Some(key) => key,
                    None => derivation.key(time.of(row), value),
                })
            });
            found.extend(
                key.and_then(Value::key)
                    .map(|key| format!("\"{}\":\"{:032x}\"", old_id.in_json(), u128::from_be_bytes(key))),
            );
        }
        root.scan.close();
        pg_sys::UnregisterSnapshot(snapshot);
        table.close();
    }
    Ok(format!("{{{}}}", found.join(",")))
}
