//! Which rows of a column refer to a key, as the triggers, the backfill and the comparison see it. The
//! values of rows are compared with those of the condition without a query, so no code of others runs.

use keyspace::Error;
use keyspace::migration::condition::{TriggerCondition, canonical_number};
use keyspace::migration::member::Member;
use pgrx::pg_sys;
use pgrx::varlena::{varatt_is_1b_e, varatt_is_4b_c, varlena_to_byte_slice};

use super::old_id::{Text, without_spaces};
use super::tuple::{Column, Kind, Role, RowOf, Unfit, Value, number_or_text};
use crate::encoding::to_server;
use crate::server::memory::allocate;

/// Some values, in memory of PostgreSQL.
#[derive(Clone, Copy)]
struct Values {
    first: *const Value,
    count: usize,
}

impl Values {
    /// The values that a column of this kind can have, copied to the current memory context.
    fn copied(texts: &[String], kind: Kind) -> Self {
        let values: Vec<Value> = texts.iter().filter_map(|text| value(text, kind)).collect();
        let first = allocate(size_of::<Value>() * values.len().max(1)).cast::<Value>();
        for (at, value) in values.iter().enumerate() {
            // SAFETY: there is room for all of them, aligned as all memory of PostgreSQL.
            unsafe { first.add(at).write(*value) };
        }
        Self { first, count: values.len() }
    }

    const fn none() -> Self {
        Self { first: std::ptr::null(), count: 0 }
    }

    const fn list(&self) -> &[Value] {
        if self.count == 0 {
            return &[];
        }
        // SAFETY: they were written there, and the memory is not freed before this value is.
        unsafe { std::slice::from_raw_parts(self.first, self.count) }
    }
}

/// A value of a condition, as a column of this kind has it; `None` if it cannot have it.
fn value(text: &str, kind: Kind) -> Option<Value> {
    match kind {
        Kind::Smallint | Kind::Integer | Kind::Bigint | Kind::Numeric => {
            canonical_number(text).map(Value::Number)
        }
        Kind::Uuid => {
            let number = u128::from_str_radix(&text.replace('-', ""), 16).ok()?;
            Some(Value::Uuid(number.to_be_bytes()))
        }
        Kind::Digits => Some(number_or_text(Text::copied(to_server(text).as_bytes()))),
        Kind::Text | Kind::Character => Some(Value::Text(Text::copied(to_server(text).as_bytes()))),
        Kind::Time | Kind::LocalTime | Kind::Date | Kind::Key => None,
    }
}

/// Which rows of a column refer to a key. Plain data; it is valid as long as the memory context in which
/// it was created.
#[derive(Clone, Copy)]
pub(super) struct Refers {
    type_column: Option<Column>,
    type_values: Values,
    null_values: Values,
    /// Whether a row that refers to nothing must have an old id.
    fills: bool,
}

impl Refers {
    /// All rows.
    pub(super) const fn all() -> Self {
        Self { type_column: None, type_values: Values::none(), null_values: Values::none(), fills: false }
    }

    /// A condition for the rows of a relation.
    ///
    /// # Safety
    /// The relation must be open, and the column of old ids must be its.
    pub(super) unsafe fn open(
        relation: pg_sys::Relation,
        condition: &TriggerCondition,
        old_id: Column,
    ) -> Result<Self, Unfit> {
        // A domain may refuse NULL, too.
        let mut refers = Self { fills: condition.fills || old_id.has_domain, ..Self::all() };
        if !condition.type_values.is_empty() {
            // SAFETY: see above.
            let column = unsafe { Column::of(relation, condition.type_column, Role::TypeName)? };
            refers.type_column = Some(column);
            refers.type_values = Values::copied(&condition.type_values, column.kind);
        }
        refers.null_values = Values::copied(&condition.null_values, old_id.kind);
        Ok(refers)
    }

    /// The condition of a column of the migration.
    ///
    /// # Errors
    /// 42804 if the type column has another type, 55000 if it is gone.
    ///
    /// # Safety
    /// As for [`Self::open`].
    pub(super) unsafe fn of(
        relation: pg_sys::Relation,
        member: &Member<'_>,
        old_id: Column,
    ) -> Result<Self, Error> {
        let Some(refers) = member.refers else { return Ok(Self::all()) };
        // SAFETY: see above.
        unsafe {
            Self::open(relation, &refers.for_table(), old_id).map_err(|unfit| unfit.error((*relation).rd_id))
        }
    }

    /// Whether a row is of one of the kinds that refer to the key's table.
    ///
    /// # Safety
    /// The row must be of the relation.
    pub(super) unsafe fn is_of_type(&self, row: RowOf) -> bool {
        let Some(column) = self.type_column else { return true };
        // SAFETY: see above.
        let value = unsafe { row.value(column) };
        value.is_some_and(|value| self.type_values.list().contains(&value))
    }

    /// The same for a row on a page that is locked: true if a text would have to be read from elsewhere.
    ///
    /// # Safety
    /// As for [`Self::is_of_type`].
    #[inline]
    pub(super) unsafe fn may_be_of_type(&self, row: RowOf) -> bool {
        let Some(column) = self.type_column else { return true };
        // SAFETY: see above; a text that is neither compressed nor stored elsewhere is read in place.
        unsafe {
            let Some(datum) = row.datum(column.number) else { return false };
            if !matches!(column.kind, Kind::Text | Kind::Character) {
                return self.type_values.list().contains(&column.kind.value(datum));
            }
            let text = datum.cast_mut_ptr::<pg_sys::varlena>();
            if varatt_is_1b_e(text) || varatt_is_4b_c(text) {
                return true;
            }
            let bytes = trimmed(column.kind, varlena_to_byte_slice(text));
            self.type_values.list().iter().any(|one| matches!(one, Value::Text(one) if one.bytes() == bytes))
        }
    }

    /// An old id, if it does not mean none.
    pub(super) fn old_id(&self, value: Option<Value>) -> Option<Value> {
        value.filter(|value| self.null_values.count == 0 || !self.null_values.list().contains(value))
    }

    /// The old id of a row that refers to nothing.
    pub(super) fn none(&self) -> Option<Value> {
        if self.fills { self.null_values.list().first().copied() } else { None }
    }
}

/// The bytes of a text that count: in a `character(n)`, spaces at the end do not.
fn trimmed(kind: Kind, bytes: &[u8]) -> &[u8] {
    if kind == Kind::Character { without_spaces(bytes) } else { bytes }
}
