//! Values of rows as triggers see them: numbers, times and keys.

use keyspace::sequences::NumberType;
use pgrx::pg_sys;

use crate::server::relation::number_type;

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Smallint,
    Integer,
    Bigint,
    /// `timestamptz`, as microseconds.
    Time,
    /// `uuid` or `ulid`.
    Key,
}

/// A value of a column.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Value {
    Number(i64),
    Key([u8; 16]),
}

impl Value {
    pub(super) const fn number(self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(number),
            Self::Key(_) => None,
        }
    }
}

impl Kind {
    /// What a column of a type holds; `key` is the OID of the type of the new keys.
    pub(super) fn of(type_oid: pg_sys::Oid, key: pg_sys::Oid) -> Option<Self> {
        // SAFETY: looks up what a domain is made of.
        let base = unsafe { pg_sys::getBaseType(type_oid) };
        if base == key {
            return Some(Self::Key);
        }
        if base == pg_sys::TIMESTAMPTZOID {
            return Some(Self::Time);
        }
        match number_type(Some(base))? {
            NumberType::Smallint => Some(Self::Smallint),
            NumberType::Integer => Some(Self::Integer),
            NumberType::Bigint => Some(Self::Bigint),
            NumberType::Numeric => None,
        }
    }

    /// The function that says whether two values are equal; `ulid` is compared as `uuid` is.
    pub(super) fn equality(self) -> pg_sys::Oid {
        match self {
            Self::Smallint => pg_sys::F_INT2EQ.into(),
            Self::Integer => pg_sys::F_INT4EQ.into(),
            Self::Bigint | Self::Time => pg_sys::F_INT8EQ.into(),
            Self::Key => pg_sys::F_UUID_EQ.into(),
        }
    }

    /// A value as PostgreSQL has it, in the current memory context; `None` where it does not fit into the column.
    pub(super) fn datum(self, value: Value) -> Option<pg_sys::Datum> {
        match (self, value) {
            (Self::Smallint, Value::Number(number)) => i16::try_from(number).ok().map(Into::into),
            (Self::Integer, Value::Number(number)) => i32::try_from(number).ok().map(Into::into),
            (Self::Bigint | Self::Time, Value::Number(number)) => Some(number.into()),
            (Self::Key, Value::Key(bytes)) => {
                // SAFETY: the memory has room for the bytes, which need no alignment.
                unsafe {
                    let place = pg_sys::palloc(16).cast::<[u8; 16]>();
                    place.write(bytes);
                    Some(place.into())
                }
            }
            _ => None,
        }
    }

    /// # Safety
    /// The datum must be one of a column of this kind.
    unsafe fn value(self, datum: pg_sys::Datum) -> Value {
        match self {
            Self::Smallint => Value::Number(i64::from(datum.value() as i16)),
            Self::Integer => Value::Number(i64::from(datum.value() as i32)),
            Self::Bigint | Self::Time => Value::Number(datum.value() as i64),
            // SAFETY: a pointer to 16 bytes of any alignment.
            Self::Key => Value::Key(unsafe { datum.cast_mut_ptr::<[u8; 16]>().read_unaligned() }),
        }
    }
}

/// A column, and what it holds.
#[derive(Clone, Copy)]
pub(super) struct Column {
    pub(super) number: i16,
    pub(super) kind: Kind,
}

impl Column {
    /// A column of a relation, where it exists and is of a kind that we know; `key` is the OID of the type of the new
    /// keys.
    ///
    /// # Safety
    /// The description must be that of an open relation.
    pub(super) unsafe fn of(of: pg_sys::TupleDesc, number: i16, key: pg_sys::Oid) -> Option<Self> {
        // SAFETY: the number is checked before it is used.
        unsafe {
            if number < 1 || i32::from(number) > (*of).natts {
                return None;
            }
            let type_oid = pg_sys::SPI_gettypeid(of, i32::from(number));
            // A dropped column has no type.
            let kind = (type_oid != pg_sys::InvalidOid).then(|| Kind::of(type_oid, key))??;
            Some(Self { number, kind })
        }
    }

    /// Its value in a row that a scan has found.
    ///
    /// # Safety
    /// The slot must be filled with a row of a relation that has the column.
    #[inline]
    pub(super) unsafe fn value_in(self, slot: *mut pg_sys::TupleTableSlot) -> Option<Value> {
        // SAFETY: see above; columns are taken apart up to this one before it is read.
        unsafe {
            if (*slot).tts_nvalid < self.number {
                pg_sys::slot_getsomeattrs_int(slot, i32::from(self.number));
            }
            let at = usize::from(self.number.unsigned_abs()) - 1;
            (!*(*slot).tts_isnull.add(at)).then(|| self.kind.value(*(*slot).tts_values.add(at)))
        }
    }

    /// Its value in a row; `None` where it is NULL.
    ///
    /// # Safety
    /// The row must be one of a relation of this description, which must have the column.
    #[inline]
    pub(super) unsafe fn value(self, row: pg_sys::HeapTuple, of: pg_sys::TupleDesc) -> Option<Value> {
        let mut is_null = false;
        // SAFETY: see above.
        unsafe {
            let datum = pg_sys::SPI_getbinval(row, of, i32::from(self.number), &mut is_null);
            (!is_null).then(|| self.kind.value(datum))
        }
    }

    /// A copy of a row with another value in this column; NULL where it does not fit.
    ///
    /// # Safety
    /// As for [`Self::value`].
    #[inline]
    pub(super) unsafe fn set(
        self,
        row: pg_sys::HeapTuple,
        of: pg_sys::TupleDesc,
        value: Option<Value>,
    ) -> pg_sys::HeapTuple {
        let datum = value.and_then(|value| self.kind.datum(value));
        let mut attribute = i32::from(self.number);
        let mut is_null = datum.is_none();
        let mut datum = datum.unwrap_or(pg_sys::Datum::null());
        // SAFETY: see above; one column, one value, one flag.
        // Before PostgreSQL 17 they are not declared const.
        unsafe {
            let (attribute, datum, is_null) = (&raw mut attribute, &raw mut datum, &raw mut is_null);
            pg_sys::heap_modify_tuple_by_cols(row, of, 1, attribute, datum, is_null)
        }
    }
}
