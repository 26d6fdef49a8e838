//! The partition that a row belongs to, by the columns by which its table is partitioned.
//!
//! PostgreSQL finds it while it plans or executes a query. Here it is found without one: no code of the
//! table's owner runs, because tables with expressions in their partition keys are not asked about.

use std::ffi::c_int;

use pgrx::pg_sys;

// The bindings have no fields of it: the first ones from utils/partcache.h, which differs in the first one
// only, since version 16.
#[repr(C)]
struct PartitionKey {
    #[cfg(feature = "pg15")]
    strategy: std::ffi::c_char,
    #[cfg(not(feature = "pg15"))]
    strategy: pg_sys::PartitionStrategy::Type,
    columns: i16,
    attributes: *const i16,
    _expressions: *mut pg_sys::List,
    _families: *const pg_sys::Oid,
    _input_types: *const pg_sys::Oid,
    functions: *mut pg_sys::FmgrInfo,
    collations: *mut pg_sys::Oid,
}

// As in a compiler for C: the pointers follow two values that fill 8 bytes at most.
const _: () = assert!(std::mem::offset_of!(PartitionKey, attributes) == 8);
const _: () = assert!(std::mem::offset_of!(PartitionKey, functions) == 8 + 4 * size_of::<usize>());

// The bindings do not export it: from utils/partcache.h.
unsafe extern "C-unwind" {
    fn RelationGetPartitionKey(relation: pg_sys::Relation) -> *const PartitionKey;
}

/// The most columns by which a table can be partitioned.
const MOST_COLUMNS: usize = pg_sys::PARTITION_MAX_KEYS as usize;

/// How a table is partitioned.
const LIST: u8 = b'l';
const RANGE: u8 = b'r';
const HASH: u8 = b'h';

/// A partition.
pub(crate) struct Partition {
    pub(crate) relation: pg_sys::Oid,
    /// Whether it is not itself partitioned.
    pub(crate) is_leaf: bool,
}

/// The partition of a partitioned table for a row; `None` if there is none. `value` gives the values of
/// columns by their numbers; `None` is NULL.
///
/// # Safety
/// The relation must be open, and partitioned by columns only. The values must be of the types of the
/// columns.
pub(crate) unsafe fn partition_for(
    relation: pg_sys::Relation,
    value: impl Fn(i16) -> Option<pg_sys::Datum>,
) -> Option<Partition> {
    // SAFETY: see above. The key and the partitions are cached with the open relation. The declared
    // function can raise an error, which must not jump over this frame.
    unsafe {
        let key = &*pg_sys::ffi::pg_guard_ffi_boundary(|| RelationGetPartitionKey(relation));
        let partitions = &*pg_sys::RelationGetPartitionDesc(relation, true);
        if partitions.nparts == 0 {
            return None;
        }
        let count = usize::try_from(key.columns).unwrap_or(0).min(MOST_COLUMNS);
        let mut values = [pg_sys::Datum::null(); MOST_COLUMNS];
        let mut nulls = [true; MOST_COLUMNS];
        for (at, (of, is_null)) in values.iter_mut().zip(&mut nulls).take(count).enumerate() {
            if let Some(found) = value(*key.attributes.add(at)) {
                (*of, *is_null) = (found, false);
            }
        }
        let bounds = &*partitions.boundinfo;
        let (values, nulls) = (values.get_mut(..count)?, nulls.get(..count)?);
        let at = place(key, partitions.boundinfo, values, nulls);
        let at = at.filter(|at| *at >= 0).unwrap_or(bounds.default_index);
        let partition = |at: usize| Partition {
            relation: *partitions.oids.add(at),
            is_leaf: *partitions.is_leaf.add(at),
        };
        usize::try_from(at).ok().map(partition)
    }
}

/// The place of the partition in the list of partitions; `None` or a negative number if it is the default
/// partition, if there is one. As `get_partition_for_tuple` of PostgreSQL.
///
/// # Safety
/// The key and the bounds must be those of one open relation, and there must be as many values as columns.
unsafe fn place(
    key: &PartitionKey,
    bounds: pg_sys::PartitionBoundInfo,
    values: &mut [pg_sys::Datum],
    nulls: &[bool],
) -> Option<c_int> {
    // SAFETY: see above; each place is checked by the function that gives it.
    unsafe {
        let indexes = |at: c_int| usize::try_from(at).ok().map(|at| *(*bounds).indexes.add(at));
        let mut is_equal = false;
        match key.strategy as u8 {
            HASH => {
                let hash = pg_sys::compute_partition_hash_value(
                    c_int::from(key.columns),
                    key.functions,
                    key.collations,
                    values.as_mut_ptr(),
                    nulls.as_ptr().cast_mut(),
                );
                let count = u64::try_from((*bounds).nindexes).ok().filter(|count| *count > 0)?;
                indexes(c_int::try_from(hash % count).ok()?)
            }
            LIST if nulls.first() == Some(&true) => Some((*bounds).null_index),
            LIST => {
                let value = *values.first()?;
                let at = pg_sys::partition_list_bsearch(
                    key.functions,
                    key.collations,
                    bounds,
                    value,
                    &mut is_equal,
                );
                if is_equal { indexes(at) } else { None }
            }
            RANGE if nulls.contains(&true) => None,
            RANGE => {
                let at = pg_sys::partition_range_datum_bsearch(
                    key.functions,
                    key.collations,
                    bounds,
                    c_int::from(key.columns),
                    values.as_mut_ptr(),
                    &mut is_equal,
                );
                // The bound before the value; the partition lies between it and the next one.
                indexes(at.checked_add(1)?)
            }
            _ => None,
        }
    }
}
