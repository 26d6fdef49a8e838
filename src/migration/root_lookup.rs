//! Finds the root's row for a reference: through an index of the root or, if it is partitioned, in the
//! partition that the companions of the reference say.

use keyspace::Error;
use pgrx::pg_sys;

use super::companions::{CompanionValues, Companions};
use super::lookup::{Lookup, Scan, is_there_for_writers, present};
use super::partition_scan::PartitionScan;
use super::partitioned_lookup::{IsUsable, PartitionedLookup};
use super::tuple::{Column, RowOf, Value};
use crate::error::or_raise;

/// How to find a row of the root. Plain data, so that it can be stored in PostgreSQL's memory.
#[derive(Clone, Copy)]
// A box would not be plain data, and there are few of them.
#[allow(clippy::large_enum_variant)]
pub(super) enum RootLookup {
    Index(Lookup),
    Partitions(PartitionedLookup),
}

impl RootLookup {
    /// By a column and its companions, which only a partitioned root has. Raises an error if the root
    /// lacks the index by which references are found.
    pub(super) fn required(root: pg_sys::Oid, by: Column, companions: &Companions) -> Self {
        if companions.is_empty() {
            return Self::Index(Lookup::required(root, by));
        }
        let is_usable: IsUsable = |index| index.indisvalid;
        Self::Partitions(PartitionedLookup::new(root, by, *companions, is_usable, true))
    }

    /// As [`Lookup::that_refuses`].
    pub(super) fn that_refuses(root: pg_sys::Oid, by: Column, companions: &Companions) -> Option<Self> {
        if companions.is_empty() {
            return Lookup::that_refuses(root, by).map(Self::Index);
        }
        let is_usable: IsUsable = |index| index.indisready;
        Some(Self::Partitions(PartitionedLookup::new(root, by, *companions, is_usable, false)))
    }

    /// As [`Lookup::row`]. In a partitioned root, it is the row with these companions, and `read` gets its
    /// partition.
    pub(super) fn row<T>(
        &mut self,
        value: Value,
        companions: &CompanionValues,
        mut read: impl FnMut(pg_sys::Relation, RowOf) -> T,
    ) -> Option<T> {
        let lookup = match self {
            Self::Index(lookup) => return lookup.row(value, read),
            Self::Partitions(lookup) => lookup,
        };
        let value = lookup.kind().datum(value)?;
        let read: &mut dyn FnMut(pg_sys::Relation, RowOf) -> Result<T, Error> =
            &mut |table, row| Ok(read(table, row));
        // SAFETY: the snapshot lives as long as the scan; the value is of the kind of the column, and the
        // companions were read from the columns that refer to those of the root.
        or_raise(present(|snapshot| unsafe { lookup.scan(value, companions, snapshot, read) }))
    }

    /// As [`Lookup::is_taken`]. In a partitioned root, only a row with the same companions would prevent it.
    pub(super) fn is_taken(&mut self, value: Value, companions: &CompanionValues) -> bool {
        let lookup = match self {
            Self::Index(lookup) => return lookup.is_taken(value),
            Self::Partitions(lookup) => lookup,
        };
        let Some(value) = lookup.kind().datum(value) else { return false };
        // SAFETY: as above.
        is_there_for_writers(|snapshot| unsafe {
            lookup.scan(value, companions, snapshot, &mut |_, _| Ok(()))
        })
    }

    /// Opens it for many values, under a snapshot.
    ///
    /// # Safety
    /// The snapshot must be valid until the result is closed.
    pub(super) unsafe fn open(self, snapshot: pg_sys::Snapshot) -> RootScan {
        match self {
            // SAFETY: see above.
            Self::Index(lookup) => RootScan::Index(unsafe { lookup.open(snapshot) }),
            Self::Partitions(lookup) => {
                // SAFETY: see above.
                let scan = unsafe { PartitionScan::new(lookup, snapshot) };
                RootScan::Partitions(Box::new(scan))
            }
        }
    }
}

/// An open scan for many values.
pub(super) enum RootScan {
    Index(Scan),
    Partitions(Box<PartitionScan>),
}

impl RootScan {
    /// As [`RootLookup::row`].
    pub(super) fn row<T>(
        &mut self,
        value: Value,
        companions: &CompanionValues,
        read: impl FnOnce(pg_sys::Relation, RowOf) -> T,
    ) -> Option<T> {
        match self {
            Self::Index(scan) => {
                let table = scan.relation();
                scan.row(value, |row| read(table, row))
            }
            // SAFETY: the companions were read from columns of these types.
            Self::Partitions(scan) => or_raise(unsafe { scan.row(value, companions, read) }),
        }
    }

    /// # Safety
    /// Call it once, at the end.
    pub(super) unsafe fn close(self) {
        // SAFETY: see above.
        unsafe {
            match self {
                Self::Index(scan) => scan.close(),
                Self::Partitions(scan) => scan.close(),
            }
        }
    }
}
