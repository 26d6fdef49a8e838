//! The values of a row with which it finds a row of a partitioned table, next to the old id or the key.

use keyspace::migration::companions::MOST_COMPANIONS;
use keyspace::migration::member::Companion;
use keyspace::{Error, SqlState};
use pgrx::pg_sys;

use super::tuple::{RowOf, Unfit, base_type_of, wrong_type};
use crate::server::by_version;
use crate::server::relation::{relation_name, type_name};

/// The companions of a column. Plain data, because it is stored in PostgreSQL's memory.
#[derive(Clone, Copy)]
pub(super) struct Companions {
    list: [Companion; MOST_COMPANIONS],
    /// Their types, without domains. Values are compared by the functions of these types.
    types: [pg_sys::Oid; MOST_COMPANIONS],
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
    pub(super) const NONE: Self = Self {
        list: [Companion { own: 0, of_key: 0 }; MOST_COMPANIONS],
        types: [pg_sys::InvalidOid; MOST_COMPANIONS],
        count: 0,
    };

    /// Those of a column of a relation that refers to a root. Both columns of each must have the same type:
    /// the value of one is looked up in an index on the other.
    ///
    /// # Errors
    /// 42804 if they do not, 0A000 if they are too many.
    ///
    /// # Safety
    /// Both relations must be open.
    pub(super) unsafe fn open(
        relation: pg_sys::Relation,
        root: pg_sys::Relation,
        columns: &[Companion],
    ) -> Result<Self, Unfit> {
        let mut all = Self { count: columns.len(), ..Self::NONE };
        let Some(list) = all.list.get_mut(..columns.len()) else {
            // SAFETY: see above.
            let root = relation_name(unsafe { (*root).rd_id });
            let message = format!("rows of table {root} are looked up by too many columns");
            return Err(Unfit::Type(Error::new(SqlState::FeatureNotSupported, message)));
        };
        list.copy_from_slice(columns);
        for (one, of) in columns.iter().zip(&mut all.types) {
            // SAFETY: see above.
            unsafe {
                let wanted = base_type_of(root, one.of_key).ok_or(Unfit::Gone)?;
                let own = base_type_of(relation, one.own).ok_or(Unfit::Gone)?;
                if own != wanted {
                    return Err(Unfit::Type(wrong_type(relation, one.own, own, &type_name(wanted))));
                }
                *of = own;
            }
        }
        Ok(all)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Companion> {
        self.list.into_iter().take(self.count)
    }

    /// The type of one of them, without domains.
    pub(super) fn type_of(&self, at: usize) -> Option<pg_sys::Oid> {
        self.types.get(at).copied().filter(|_| at < self.count)
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
