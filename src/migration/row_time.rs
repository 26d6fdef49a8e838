//! The time of a row, from which its key is derived.
//!
//! If the time cannot be read any more (a column was dropped or altered, a privilege was revoked), the
//! row counts as a row without a time. Writes must not fail because of it (fault C06).

use keyspace::migration::{TimeReference, TimeSource};
use pgrx::pg_sys;

use super::expression::{Expression, midnight};
use super::lookup::Lookup;
use super::rights::may_read_time;
use super::tuple::{Column, Role, RowOf, Value};
use super::zone::Zone;

/// Who says that keys take their time from an expression or from another table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum SaidBy {
    /// The owner of the table, or a role with the owner's rights.
    Owner,
    /// Perhaps another role, which was allowed to create the trigger. It must not read or run
    /// anything with the rights of the owner.
    Anybody,
}

/// How to read the time of a row. Plain data, so that it can be stored in PostgreSQL's memory.
#[derive(Clone, Copy)]
pub(super) enum RowTime {
    /// A `timestamptz` of the row.
    Instant(Column),
    /// A `timestamp` or `date` of the row.
    Local(Column, Zone),
    Expression(Expression),
    Reference(Parent),
    /// No row has one.
    None,
}

/// The row of another table that has the time.
#[derive(Clone, Copy)]
pub(super) struct Parent {
    /// The column that refers to it.
    by: Column,
    table: Lookup,
    time: Column,
    zone: Option<Zone>,
    /// The last time found. Consecutive rows often refer to the same row.
    last: Option<(Value, Option<i64>)>,
}

impl RowTime {
    /// # Safety
    /// The relation must be open.
    pub(super) unsafe fn open(relation: pg_sys::Relation, source: &TimeSource, said_by: SaidBy) -> Self {
        // SAFETY: see above.
        unsafe {
            match source {
                TimeSource::Constant => Self::None,
                TimeSource::Column { number, zone } => match Column::of(relation, *number, Role::Time) {
                    Ok(column) => Self::of_column(column, zone.as_deref()),
                    Err(_) => Self::None,
                },
                TimeSource::Expression { text, zone } => {
                    let owner = (*(*relation).rd_rel).relowner;
                    let may =
                        said_by == SaidBy::Owner || pg_sys::has_privs_of_role(pg_sys::GetUserId(), owner);
                    let opened = may.then(|| Expression::open(relation, text, zone.as_deref())).flatten();
                    opened.map_or(Self::None, Self::Expression)
                }
                TimeSource::Reference(of) => {
                    Parent::open(relation, of, said_by).map_or(Self::None, Self::Reference)
                }
            }
        }
    }

    /// The time of rows of a relation, which is the table with the source or a partition of it.
    ///
    /// # Safety
    /// The relation must be open.
    pub(super) unsafe fn open_in(
        relation: pg_sys::Relation,
        table: pg_sys::Oid,
        source: &TimeSource,
        said_by: SaidBy,
    ) -> Self {
        // SAFETY: see above; the table is closed again, and the lock is kept, as a query keeps it.
        unsafe {
            if (*relation).rd_id == table {
                return Self::open(relation, source, said_by);
            }
            let opened = pg_sys::try_table_open(table, pg_sys::AccessShareLock as i32);
            if opened.is_null() {
                return Self::None;
            }
            let time = Self::open(opened, source, said_by).in_partition(table, relation);
            pg_sys::table_close(opened, pg_sys::NoLock as i32);
            time
        }
    }

    /// The same time in a relation, which is the table for which it was opened or a partition of it.
    ///
    /// # Safety
    /// The relation must be open.
    pub(super) unsafe fn in_partition(mut self, table: pg_sys::Oid, relation: pg_sys::Relation) -> Self {
        // SAFETY: see above.
        unsafe {
            if (*relation).rd_id == table {
                return self;
            }
            let column = match &mut self {
                Self::Instant(column) | Self::Local(column, _) => column,
                Self::Reference(parent) => &mut parent.by,
                Self::Expression(expression) => {
                    expression.is_of(relation);
                    return self;
                }
                Self::None => return self,
            };
            *column = column.in_partition(table, relation);
            // A partition has all columns of its table.
            if column.check(relation).is_ok() { self } else { Self::None }
        }
    }

    fn of_column(column: Column, zone: Option<&str>) -> Self {
        if column.is_instant() {
            return Self::Instant(column);
        }
        zone.and_then(Zone::named).map_or(Self::None, |zone| Self::Local(column, zone))
    }

    /// The column of the row itself that is read.
    pub(super) const fn own_column(&self) -> Option<i16> {
        match self {
            Self::Instant(column) | Self::Local(column, _) => Some(column.number),
            Self::Expression(_) | Self::Reference(_) | Self::None => None,
        }
    }

    /// The time of a row, in PostgreSQL's microseconds.
    ///
    /// # Safety
    /// The row must be one of the relation for which it was opened, whose columns have not changed.
    #[inline]
    pub(super) unsafe fn of(&mut self, row: RowOf) -> Option<i64> {
        // SAFETY: see above.
        unsafe {
            match self {
                Self::Instant(column) => row.value(*column)?.number(),
                Self::None => None,
                Self::Local(column, zone) => zone.instant(column.local(row)?),
                Self::Expression(expression) => expression.micros(row),
                Self::Reference(parent) => parent.time_of(row),
            }
        }
    }

    /// The same, for a relation whose columns may have been altered since, by a function that runs
    /// within the same statement.
    ///
    /// # Safety
    /// The relation must be open, and the row must be one of it.
    pub(super) unsafe fn checked(&mut self, relation: pg_sys::Relation, row: RowOf) -> Option<i64> {
        // SAFETY: see above.
        unsafe {
            let is_current = match self {
                Self::Instant(column) | Self::Local(column, _) => column.check(relation).is_ok(),
                Self::Expression(expression) => expression.is_current(relation),
                Self::Reference(parent) => parent.by.check(relation).is_ok(),
                Self::None => return None,
            };
            if is_current { self.of(row) } else { None }
        }
    }
}

impl Column {
    /// A local time in PostgreSQL's microseconds; `None` if it is NULL or an infinite date.
    ///
    /// # Safety
    /// The relation of the row must have the column.
    unsafe fn local(self, row: RowOf) -> Option<i64> {
        // SAFETY: see above.
        let value = unsafe { row.value(self) }?.number()?;
        if self.is_date() { midnight(value) } else { Some(value) }
    }
}

impl Parent {
    /// # Safety
    /// The relation must be open.
    unsafe fn open(relation: pg_sys::Relation, of: &TimeReference, said_by: SaidBy) -> Option<Self> {
        // SAFETY: see above; everything opened is closed, and locks are kept until the end of the
        // transaction, as a query keeps them.
        unsafe {
            let by = Column::of(relation, of.column, Role::OldId).ok()?;
            let table = pg_sys::try_table_open(pg_sys::Oid::from(of.parent), pg_sys::AccessShareLock as i32);
            if table.is_null() {
                return None;
            }
            let find = || {
                let parent_column = Column::of(table, of.parent_column, Role::OldId).ok()?;
                let time = Column::of(table, of.time, Role::Time).ok()?;
                let zone = match &of.zone {
                    Some(zone) => Some(Zone::named(zone)?),
                    None => None,
                };
                let columns = [parent_column.number, time.number];
                if !may_read_time(relation, table, columns, said_by == SaidBy::Owner) {
                    return None;
                }
                let lookup = Lookup::new((*table).rd_id, parent_column)?;
                Some(Self { by, table: lookup, time, zone, last: None })
            };
            let found = find();
            pg_sys::table_close(table, pg_sys::NoLock as i32);
            found
        }
    }

    /// # Safety
    /// As for [`RowTime::of`].
    unsafe fn time_of(&mut self, row: RowOf) -> Option<i64> {
        // SAFETY: see above.
        let by = unsafe { row.value(self.by) }?;
        if let Some((last, time)) = self.last
            && last == by
        {
            return time;
        }
        let found = self.table.row_if_unaltered(by, self.time, |row| {
            // SAFETY: the column was checked.
            unsafe {
                if self.time.is_instant() {
                    row.value(self.time)?.number()
                } else {
                    self.zone?.instant(self.time.local(row)?)
                }
            }
        });
        let time = found.flatten();
        self.last = by.lasting().map(|by| (by, time));
        time
    }
}
