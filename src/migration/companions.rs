//! The values of a row with which it finds a row of a partitioned table, next to the old id or the key.

use keyspace::migration::companions::MOST_COMPANIONS;
use keyspace::migration::member::Companion;
use pgrx::pg_sys;

use super::tuple::RowOf;
use crate::server::by_version;

/// The companions of a column. Plain data, because it is stored in PostgreSQL's memory.
#[derive(Clone, Copy)]
pub(super) struct Companions {
    list: [Companion; MOST_COMPANIONS],
    count: usize,
}

/// Their values in a row; `None` is NULL. They live as long as the row.
#[derive(Clone, Copy)]
pub(super) struct CompanionValues {
    list: [Option<pg_sys::Datum>; MOST_COMPANIONS],
}

impl CompanionValues {
    /// Those of a column that refers to a table without partitions.
    pub(super) const NONE: Self = Self { list: [None; MOST_COMPANIONS] };

    /// One of them, in the order of the companions.
    pub(super) fn get(&self, at: usize) -> Option<pg_sys::Datum> {
        self.list.get(at).copied().flatten()
    }
}

impl Companions {
    /// None, for a table without partitions.
    pub(super) const NONE: Self = Self { list: [Companion { own: 0, of_key: 0 }; MOST_COMPANIONS], count: 0 };

    /// Some columns; `None` if they are too many.
    pub(super) fn of(columns: &[Companion]) -> Option<Self> {
        let mut all = Self { count: columns.len(), ..Self::NONE };
        all.list.get_mut(..columns.len())?.copy_from_slice(columns);
        Some(all)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Companion> {
        self.list.into_iter().take(self.count)
    }

    /// The same for a row of the table with the key, whose own columns they are.
    pub(super) fn of_key_itself(&self, number: impl Fn(i16) -> i16) -> Self {
        let mut all = *self;
        all.list.iter_mut().take(self.count).for_each(|one| one.own = number(one.of_key));
        all
    }

    /// Their values.
    ///
    /// # Safety
    /// The row must belong to the relation whose columns they are.
    pub(super) unsafe fn values(&self, row: RowOf) -> CompanionValues {
        let mut values = CompanionValues::NONE;
        for (value, column) in values.list.iter_mut().zip(self.iter()) {
            // SAFETY: see above.
            *value = unsafe { row.datum(column.own) };
        }
        values
    }

    /// Whether these values are the same as those of other columns, or of another row of the relation, whose
    /// types are the same.
    ///
    /// # Safety
    /// The values must be those of columns with the types of these.
    pub(super) unsafe fn are_equal(
        &self,
        of: pg_sys::TupleDesc,
        one: &CompanionValues,
        other: &CompanionValues,
    ) -> bool {
        self.iter().enumerate().all(|(at, column)| match (one.get(at), other.get(at)) {
            (Some(one), Some(other)) => {
                // SAFETY: see above; columns are counted from 1.
                unsafe {
                    let attribute = &*by_version::attribute(of, i32::from(column.own) - 1);
                    pg_sys::datum_image_eq(one, other, attribute.attbyval, i32::from(attribute.attlen))
                }
            }
            (None, None) => true,
            _ => false,
        })
    }
}
