//! Values of rows as triggers and the backfill read them: old ids, times and keys.

use std::ffi::{CStr, c_int};

use keyspace::migration::condition::{canonical_number, types};
use keyspace::migration::member::Member;
use keyspace::migration::numeric;
use keyspace::migration::old_id::{IdKind, OldId};
use keyspace::sequences::NumberType;
use keyspace::{Error, SqlState};
use pgrx::pg_sys;
use pgrx::varlena::varlena_to_byte_slice;

use super::old_id::Text;
use crate::encoding::from_server;
use crate::server::by_version;
use crate::server::memory::{allocate, datum_of};
use crate::server::relation::{number_type, relation_name, type_name};

unsafe extern "C-unwind" {
    /// From access/htup_details.h: the value of a column that the row stores and that is not NULL.
    /// It raises an error only for a type passed by value whose length is not 1, 2, 4 or 8 bytes,
    /// and [`Column::of`] accepts no such type. So it needs no guard, which would cost more than
    /// the call itself.
    fn nocachegetattr(row: pg_sys::HeapTuple, number: c_int, of: pg_sys::TupleDesc) -> pg_sys::Datum;
    /// From utils/adt/numeric.c: converts a `bigint` to a `numeric`.
    fn int8_numeric(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum;
    /// From the same file: a `numeric` with the scale of a modifier.
    #[link_name = "numeric"]
    fn numeric_of_modifier(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum;
    /// From the same file: the text of a `numeric`.
    fn numeric_out(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum;
}

/// The bytes before the characters of a text, which the modifier of its type counts, too.
const VARHDRSZ: i32 = size_of::<i32>() as i32;

/// The kind of values in a column.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Smallint,
    Integer,
    Bigint,
    /// Old ids that are integers, of type `numeric`. Any other number is a value that no key has.
    Numeric,
    /// `timestamptz`, as microseconds.
    Time,
    /// `timestamp`, as microseconds.
    LocalTime,
    /// `date`, as days.
    Date,
    /// Old ids of type `uuid`.
    Uuid,
    /// Old ids of type `text` or `varchar`, and values of a type column.
    Text,
    /// Old ids that are integers, in a `text` or `varchar`. Any other text is a value that no key has.
    Digits,
    /// Values of a type column of type `character(n)`, without the spaces at their end.
    Character,
    /// Keys of 16 bytes: `uuid` or `ulid`.
    Key,
}

/// A value of a column.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Value {
    Number(i64),
    /// An old id of type `uuid`.
    Uuid([u8; 16]),
    /// An old id of type `text` or `varchar`.
    Text(Text),
    Key([u8; 16]),
}

impl Value {
    pub(super) const fn number(self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(number),
            Self::Uuid(_) | Self::Text(_) | Self::Key(_) => None,
        }
    }

    /// The bytes of a key of 16 bytes.
    pub(super) const fn key(self) -> Option<[u8; 16]> {
        match self {
            Self::Number(_) | Self::Uuid(_) | Self::Text(_) => None,
            Self::Key(key) => Some(key),
        }
    }

    /// An old id, for longer than the row that it comes from; `None` for a key.
    pub(super) fn to_old_id(self) -> Option<OldId> {
        match self {
            Self::Number(number) => Some(OldId::Number(number)),
            Self::Uuid(bytes) => Some(OldId::Uuid(bytes)),
            Self::Text(text) => Some(OldId::Text(text.bytes().into())),
            Self::Key(_) => None,
        }
    }

    /// The value of an old id. A text is copied to the current memory context.
    pub(super) fn of_old_id(old_id: &OldId) -> Self {
        match old_id {
            OldId::Number(number) => Self::Number(*number),
            OldId::Uuid(bytes) => Self::Uuid(*bytes),
            OldId::Text(bytes) => Self::Text(Text::copied(bytes)),
        }
    }

    /// The same value, if it may be kept for longer than the current memory context.
    pub(super) const fn lasting(self) -> Option<Self> {
        match self {
            Self::Text(_) => None,
            Self::Number(_) | Self::Uuid(_) | Self::Key(_) => Some(self),
        }
    }
}

impl Kind {
    /// The function that compares two values for equality; `ulid` is compared as `uuid`.
    pub(super) fn equality(self) -> pg_sys::Oid {
        match self {
            Self::Smallint => pg_sys::F_INT2EQ.into(),
            Self::Integer | Self::Date => pg_sys::F_INT4EQ.into(),
            Self::Bigint | Self::Time | Self::LocalTime => pg_sys::F_INT8EQ.into(),
            Self::Numeric => pg_sys::F_NUMERIC_EQ.into(),
            Self::Uuid | Self::Key => pg_sys::F_UUID_EQ.into(),
            Self::Text | Self::Digits | Self::Character => pg_sys::F_TEXTEQ.into(),
        }
    }

    /// The kind of old ids; `None` for times and keys.
    pub(super) const fn id_kind(self) -> Option<IdKind> {
        match self {
            Self::Smallint | Self::Integer | Self::Bigint | Self::Numeric | Self::Digits => {
                Some(IdKind::Integer)
            }
            Self::Uuid => Some(IdKind::Uuid),
            Self::Text => Some(IdKind::Text),
            Self::Time | Self::LocalTime | Self::Date | Self::Character | Self::Key => None,
        }
    }

    /// The value as a datum in the current memory context; `None` if it does not fit into the
    /// column.
    pub(super) fn datum(self, value: Value) -> Option<pg_sys::Datum> {
        match (self, value) {
            (Self::Smallint, Value::Number(number)) => i16::try_from(number).ok().map(Into::into),
            (Self::Integer | Self::Date, Value::Number(number)) => i32::try_from(number).ok().map(Into::into),
            (Self::Bigint | Self::Time | Self::LocalTime, Value::Number(number)) => Some(number.into()),
            (Self::Numeric, Value::Number(number)) => Some(numeric_datum(number)),
            (Self::Uuid, Value::Uuid(bytes)) | (Self::Key, Value::Key(bytes)) => Some(datum_of(bytes)),
            (Self::Text | Self::Digits, Value::Text(text)) => Some(text.datum()),
            (Self::Digits, Value::Number(number)) => {
                Some(Text::copied(number.to_string().as_bytes()).datum())
            }
            _ => None,
        }
    }

    /// # Safety
    /// The datum must come from a column of this kind.
    pub(super) unsafe fn value(self, datum: pg_sys::Datum) -> Value {
        match self {
            Self::Smallint => Value::Number(i64::from(datum.value() as i16)),
            Self::Integer | Self::Date => Value::Number(i64::from(datum.value() as i32)),
            Self::Bigint | Self::Time | Self::LocalTime => Value::Number(datum.value() as i64),
            // SAFETY: see above.
            Self::Numeric => unsafe { integer_or_text(datum) },
            // SAFETY: as below.
            Self::Uuid => Value::Uuid(unsafe { datum.cast_mut_ptr::<[u8; 16]>().read_unaligned() }),
            // SAFETY: see above.
            Self::Text => Value::Text(unsafe { Text::of(datum) }),
            // SAFETY: see above.
            Self::Digits => number_or_text(unsafe { Text::of(datum) }),
            // SAFETY: see above.
            Self::Character => Value::Text(unsafe { Text::of(datum) }.without_spaces()),
            // SAFETY: a pointer to 16 bytes of any alignment.
            Self::Key => Value::Key(unsafe { datum.cast_mut_ptr::<[u8; 16]>().read_unaligned() }),
        }
    }
}

/// The number that a text holds, or the text itself.
pub(super) fn number_or_text(text: Text) -> Value {
    let number = std::str::from_utf8(text.bytes()).ok().and_then(canonical_number);
    number.map_or(Value::Text(text), Value::Number)
}

/// The integer that a `numeric` is, or the text of any other number.
///
/// # Safety
/// The datum must be a `numeric`.
unsafe fn integer_or_text(datum: pg_sys::Datum) -> Value {
    // SAFETY: see above; the number is detoasted before it is read, and its text ends with a zero byte.
    unsafe {
        let bytes = varlena_to_byte_slice(pg_sys::pg_detoast_datum_packed(datum.cast_mut_ptr()));
        if let Some(number) = numeric::integer(bytes) {
            return Value::Number(number);
        }
        let text = pg_sys::DirectFunctionCall1Coll(Some(numeric_out), pg_sys::InvalidOid, datum);
        Value::Text(Text::copied(CStr::from_ptr(text.cast_mut_ptr()).to_bytes()))
    }
}

/// An integer as a `numeric` in the current memory context.
fn numeric_datum(number: i64) -> pg_sys::Datum {
    // SAFETY: the argument is a bigint.
    unsafe { pg_sys::DirectFunctionCall1Coll(Some(int8_numeric), pg_sys::InvalidOid, number.into()) }
}

/// A column and its kind.
#[derive(Clone, Copy)]
pub(super) struct Column {
    pub(super) number: i16,
    pub(super) kind: Kind,
    /// The declared type.
    declared: pg_sys::Oid,
    /// Whether the declared type is a domain, which may refuse values.
    pub(super) has_domain: bool,
    /// The number of characters that a text can have, if that is limited.
    length: Option<i32>,
    /// The modifier of a `numeric` with a precision and a scale.
    modifier: Option<i32>,
}

/// The purpose for which a migration uses a column. The purpose decides which types the column can
/// have; the column does not (fault A02).
#[derive(Clone, Copy)]
pub(super) enum Role {
    /// Old ids of any type: `smallint`, `integer`, `bigint`, `numeric`, `uuid`, `text` or `varchar`.
    OldId,
    /// Old ids of this kind: that of the key to which a column refers.
    OldIdOf(IdKind),
    /// The same in a column that refers to such a key, which can also hold integers in a text.
    Reference(IdKind),
    /// The time from which keys are derived: `timestamptz`, `timestamp` or `date`.
    Time,
    /// The kind of a row that refers to some table: a number or a text.
    TypeName,
    /// Keys, of the migration's target type; or any other column of type `uuid`.
    Key(pg_sys::Oid),
}

impl Role {
    /// That of the old ids of a key, and of columns of the same type that refer to it.
    pub(super) fn of_key(key: &Member<'_>) -> Self {
        key.old_id.id_kind().map_or(Self::OldId, Self::OldIdOf)
    }

    /// That of a column of old ids of a migration.
    pub(super) fn of_member(key: &Member<'_>, member: &Member<'_>) -> Self {
        match key.old_id.id_kind() {
            Some(kind) if member.holds_numbers => Self::Reference(kind),
            _ => Self::of_key(key),
        }
    }

    /// The kind of a column of this type, or of a domain over it.
    pub(super) fn kind(self, base: pg_sys::Oid) -> Option<Kind> {
        match self {
            Self::OldId => match base {
                pg_sys::UUIDOID => Some(Kind::Uuid),
                pg_sys::TEXTOID | pg_sys::VARCHAROID => Some(Kind::Text),
                _ => match number_type(Some(base))? {
                    NumberType::Smallint => Some(Kind::Smallint),
                    NumberType::Integer => Some(Kind::Integer),
                    NumberType::Bigint => Some(Kind::Bigint),
                    NumberType::Numeric => Some(Kind::Numeric),
                },
            },
            Self::OldIdOf(kind) => Self::OldId.kind(base).filter(|found| found.id_kind() == Some(kind)),
            Self::Reference(IdKind::Integer) if [pg_sys::TEXTOID, pg_sys::VARCHAROID].contains(&base) => {
                Some(Kind::Digits)
            }
            Self::Reference(kind) => Self::OldIdOf(kind).kind(base),
            Self::Time => match base {
                pg_sys::TIMESTAMPTZOID => Some(Kind::Time),
                pg_sys::TIMESTAMPOID => Some(Kind::LocalTime),
                pg_sys::DATEOID => Some(Kind::Date),
                _ => None,
            },
            Self::TypeName if base == pg_sys::BPCHAROID => Some(Kind::Character),
            Self::TypeName => {
                Self::OldId.kind(base).filter(|found| !matches!(found, Kind::Uuid | Kind::Numeric))
            }
            Self::Key(pg_sys::INT8OID) => (base == pg_sys::INT8OID).then_some(Kind::Bigint),
            Self::Key(key) => (base == key && key != pg_sys::InvalidOid).then_some(Kind::Key),
        }
    }

    /// The types that fit, for a message.
    pub(super) fn types(self) -> String {
        match self {
            Self::OldId => "smallint, integer, bigint, numeric, uuid, text, or character varying".to_owned(),
            Self::OldIdOf(kind) | Self::Reference(kind) => kind.types().to_owned(),
            Self::Time => {
                let types = [pg_sys::TIMESTAMPTZOID, pg_sys::TIMESTAMPOID, pg_sys::DATEOID];
                types.map(type_name).join(", ")
            }
            Self::TypeName => types(),
            Self::Key(key) => type_name(key),
        }
    }
}

/// Why a column cannot be used.
pub(super) enum Unfit {
    /// It does not exist, or was dropped.
    Gone,
    /// It is of another type.
    Type(Error),
}

impl Unfit {
    /// The error of the migration that needs the column.
    pub(super) fn error(self, relation: pg_sys::Oid) -> Error {
        match self {
            Self::Type(error) => error,
            Self::Gone => {
                let message = format!(
                    "a column of the key migration of table {} no longer exists",
                    relation_name(relation)
                );
                Error::new(SqlState::ObjectNotInPrerequisiteState, message)
                    .hint("CALL key_migration_rollback() to end the migration.")
            }
        }
    }
}

impl Column {
    /// A column of a relation, if it exists and has a type that fits the role.
    ///
    /// # Safety
    /// The relation must be open.
    pub(super) unsafe fn of(relation: pg_sys::Relation, number: i16, role: Role) -> Result<Self, Unfit> {
        // SAFETY: see above; looks up the base type of a domain.
        unsafe {
            let declared = type_of((*relation).rd_att, number).ok_or(Unfit::Gone)?;
            let mut modifier = (*by_version::attribute((*relation).rd_att, i32::from(number) - 1)).atttypmod;
            let base = pg_sys::getBaseTypeAndTypmod(declared, &mut modifier);
            // A varchar(20) has the modifier 24.
            let length = (base == pg_sys::VARCHAROID && modifier >= VARHDRSZ).then(|| modifier - VARHDRSZ);
            match role.kind(base) {
                Some(kind) => {
                    let modifier = (kind == Kind::Numeric && modifier >= VARHDRSZ).then_some(modifier);
                    Ok(Self { number, kind, declared, has_domain: base != declared, length, modifier })
                }
                None => Err(Unfit::Type(wrong_type(relation, number, declared, &role.types()))),
            }
        }
    }

    /// Refuses a relation in which the column no longer has the type that it had. A function that
    /// runs within the same statement may have altered it.
    ///
    /// # Errors
    /// 42804 if it has another type or no longer exists.
    ///
    /// # Safety
    /// The relation must be open.
    #[inline]
    pub(super) unsafe fn check(self, relation: pg_sys::Relation) -> Result<(), Error> {
        // SAFETY: see above.
        unsafe {
            match type_of((*relation).rd_att, self.number) {
                Some(now) if now == self.declared => Ok(()),
                now => {
                    let now = now.unwrap_or(pg_sys::InvalidOid);
                    Err(wrong_type(relation, self.number, now, &type_name(self.declared)))
                }
            }
        }
    }

    /// The same column of a relation, which is the table that it belongs to or a partition of it.
    ///
    /// # Safety
    /// The relation must be open.
    pub(super) unsafe fn in_partition(self, table: pg_sys::Oid, relation: pg_sys::Relation) -> Self {
        // SAFETY: see above.
        Self { number: unsafe { number_in(table, self.number, relation) }, ..self }
    }

    /// Its declared type.
    pub(super) const fn declared(self) -> pg_sys::Oid {
        self.declared
    }

    /// Whether a value of a key of this column is none from which a key can be derived.
    pub(super) fn is_unfit(self, value: Value) -> bool {
        self.kind == Kind::Numeric && matches!(value, Value::Text(_))
    }

    /// Whether its values are instants, without a time zone.
    pub(super) fn is_instant(self) -> bool {
        self.kind == Kind::Time
    }

    /// Whether its values are dates.
    pub(super) fn is_date(self) -> bool {
        self.kind == Kind::Date
    }

    /// A value, if the column can hold it.
    pub(super) fn fitting(self, value: Option<Value>) -> Option<Value> {
        value.filter(|value| match value {
            Value::Key(_) => self.kind == Kind::Key,
            Value::Text(text) => self.length.is_none_or(|length| text.characters() <= length),
            Value::Number(number) if self.kind == Kind::Digits => {
                let length = i32::try_from(number.to_string().len()).unwrap_or(i32::MAX);
                self.length.is_none_or(|most| length <= most)
            }
            Value::Number(number) if self.kind == Kind::Numeric => {
                let limits = self.modifier.and_then(numeric::of_modifier);
                limits.is_none_or(|(precision, scale)| numeric::holds(*number, precision, scale))
            }
            Value::Number(_) | Value::Uuid(_) => self.kind.datum(*value).is_some(),
        })
    }

    /// A value that fits, as a datum of the column in the current memory context.
    fn datum(self, value: Value) -> Option<pg_sys::Datum> {
        let datum = self.kind.datum(value)?;
        let Some(modifier) = self.modifier else { return Some(datum) };
        // SAFETY: a numeric that the column can hold, and a modifier of the type.
        Some(unsafe {
            pg_sys::DirectFunctionCall2Coll(
                Some(numeric_of_modifier),
                pg_sys::InvalidOid,
                datum,
                modifier.into(),
            )
        })
    }

    /// Its value in a row that a scan has found.
    ///
    /// # Safety
    /// The slot must be filled with a row of a relation that has the column.
    #[inline]
    pub(super) unsafe fn value_in(self, slot: *mut pg_sys::TupleTableSlot) -> Option<Value> {
        // SAFETY: see above; the slot is deformed up to this column before the value is read.
        unsafe {
            if (*slot).tts_nvalid < self.number {
                pg_sys::slot_getsomeattrs_int(slot, i32::from(self.number));
            }
            let at = usize::from(self.number.unsigned_abs()) - 1;
            (!*(*slot).tts_isnull.add(at)).then(|| self.kind.value(*(*slot).tts_values.add(at)))
        }
    }

    /// Its value in a row; `None` if it is NULL.
    ///
    /// # Safety
    /// The row must belong to a relation with this descriptor, which must have the column.
    #[inline]
    pub(super) unsafe fn value(self, row: pg_sys::HeapTuple, of: pg_sys::TupleDesc) -> Option<Value> {
        let number = c_int::from(self.number);
        // SAFETY: see above; the unguarded call is for a column that the row stores and that is not
        // NULL.
        unsafe {
            let nulls = Nulls::of(row);
            if self.place() < nulls.columns {
                return (!nulls.is_null(self.place()))
                    .then(|| self.kind.value(nocachegetattr(row, number, of)));
            }
            // The default of the column for rows that were written before it was added.
            let mut is_null = false;
            let datum = pg_sys::htup::heap_getattr(row, number, of, &mut is_null);
            (!is_null).then(|| self.kind.value(datum))
        }
    }

    /// Whether it is NULL in a row, for a column that has no default. Rows that were written before
    /// the column was added do not store it.
    ///
    /// # Safety
    /// The row must belong to a relation that has the column.
    #[inline]
    pub(super) unsafe fn is_null(self, row: pg_sys::HeapTuple) -> bool {
        // SAFETY: see above.
        unsafe {
            let nulls = Nulls::of(row);
            self.place() >= nulls.columns || nulls.is_null(self.place())
        }
    }

    /// How many columns are before it.
    const fn place(self) -> usize {
        self.number.unsigned_abs() as usize - 1
    }

    /// A copy of a row with another value in this column; NULL if the value does not fit.
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
        if !self.has_domain {
            // SAFETY: see above; the bytes are those of the type.
            let longer = unsafe {
                match (self.kind, value) {
                    (Kind::Key, Some(Value::Key(key))) => self.appended(row, &key, 1),
                    (Kind::Bigint, Some(Value::Number(number))) => {
                        self.appended(row, &number.to_ne_bytes(), pg_sys::ALIGNOF_DOUBLE as usize)
                    }
                    _ => None,
                }
            };
            if let Some(longer) = longer {
                return longer;
            }
        }
        let is_limited = self.length.is_some() || self.modifier.is_some();
        let value = if is_limited { self.fitting(value) } else { value };
        let datum = value.and_then(|value| self.datum(value));
        if self.has_domain {
            // SAFETY: the value has the base type of the domain; nothing is cached for the next
            // call.
            unsafe {
                let memory = pg_sys::CurrentMemoryContext;
                let value = datum.unwrap_or(pg_sys::Datum::null());
                pg_sys::domain_check(value, datum.is_none(), self.declared, std::ptr::null_mut(), memory);
            }
        }
        let mut attribute = i32::from(self.number);
        let mut is_null = datum.is_none();
        let mut datum = datum.unwrap_or(pg_sys::Datum::null());
        // SAFETY: see above; one column, one value, one flag. Before PostgreSQL 17 the parameters
        // are not declared const.
        unsafe {
            let (attribute, datum, is_null) = (&raw mut attribute, &raw mut datum, &raw mut is_null);
            pg_sys::heap_modify_tuple_by_cols(row, of, 1, attribute, datum, is_null)
        }
    }

    /// A copy of a row with the key appended, if the key comes after all other values. This saves
    /// deforming the row and forming it again.
    ///
    /// # Safety
    /// The row must belong to a relation that has the column. The bytes must be a value of its type,
    /// which has this alignment and a fixed length.
    #[inline]
    unsafe fn appended(
        self,
        row: pg_sys::HeapTuple,
        key: &[u8],
        alignment: usize,
    ) -> Option<pg_sys::HeapTuple> {
        let place = self.place();
        // SAFETY: the copy has space for the header, the row, its padding and the key. The data of a row
        // begin at an offset with the greatest alignment, and a row ends where its last value ends. In
        // a row with NULLs, the null bitmap has one bit per column and is padded to whole
        // bytes. The key's bit is within these bytes, so the data stay in place.
        unsafe {
            let nulls = Nulls::of(row);
            let is_last = if nulls.columns > place {
                (place..nulls.columns).all(|column| nulls.is_null(column))
            } else {
                nulls.columns == place && (nulls.bits.is_none() || !place.is_multiple_of(8))
            };
            if !is_last {
                return None;
            }
            let length = (*row).t_len as usize;
            let begin = length.next_multiple_of(alignment);
            let memory = allocate(HEADER + begin + key.len());
            let data = memory.add(HEADER);
            data.copy_from_nonoverlapping((*row).t_data.cast(), length);
            data.add(length).write_bytes(0, begin - length);
            data.add(begin).copy_from_nonoverlapping(key.as_ptr(), key.len());
            let header = data.cast::<pg_sys::HeapTupleHeaderData>();
            if nulls.columns == place {
                (*header).t_infomask2 += 1;
            }
            if nulls.bits.is_some() {
                let bits = (&raw mut (*header).t_bits).cast::<u8>();
                *bits.add(place / 8) |= 1 << (place % 8);
            }
            let new = memory.cast::<pg_sys::HeapTupleData>();
            new.write(pg_sys::HeapTupleData { t_len: (begin + key.len()) as u32, t_data: header, ..*row });
            Some(new)
        }
    }
}

/// A row of an open relation.
#[derive(Clone, Copy)]
pub(super) enum RowOf {
    /// A tuple, with the descriptor of its relation.
    Tuple(pg_sys::HeapTuple, pg_sys::TupleDesc),
    /// The content of a slot.
    Slot(*mut pg_sys::TupleTableSlot),
}

impl RowOf {
    /// The value of a column; `None` if it is NULL.
    ///
    /// # Safety
    /// The relation must have the column.
    #[inline]
    pub(super) unsafe fn value(self, column: Column) -> Option<Value> {
        // SAFETY: see above.
        unsafe {
            match self {
                Self::Tuple(row, of) => column.value(row, of),
                Self::Slot(slot) => column.value_in(slot),
            }
        }
    }

    /// The value of a column of any type; `None` if it is NULL. It lives as long as the row.
    ///
    /// # Safety
    /// The relation must have the column.
    pub(super) unsafe fn datum(self, number: i16) -> Option<pg_sys::Datum> {
        // SAFETY: see above; a slot is deformed up to the column before it is read.
        unsafe {
            match self {
                Self::Tuple(row, of) => {
                    let mut is_null = false;
                    let datum = pg_sys::htup::heap_getattr(row, c_int::from(number), of, &mut is_null);
                    (!is_null).then_some(datum)
                }
                Self::Slot(slot) => {
                    if (*slot).tts_nvalid < number {
                        pg_sys::slot_getsomeattrs_int(slot, i32::from(number));
                    }
                    let at = usize::from(number.unsigned_abs()) - 1;
                    (!*(*slot).tts_isnull.add(at)).then(|| *(*slot).tts_values.add(at))
                }
            }
        }
    }
}

/// The number of a column of a table in a relation, which is the table itself or a partition of it; 0 if it
/// has no such column.
///
/// # Safety
/// The relation must be open.
pub(super) unsafe fn number_in(table: pg_sys::Oid, number: i16, relation: pg_sys::Relation) -> i16 {
    // SAFETY: see above; looks up catalogs by OID and by a NUL-terminated name, which is a copy or null.
    unsafe {
        let own = (*relation).rd_id;
        if own == table {
            return number;
        }
        let name = pg_sys::get_attname(table, number, true);
        if name.is_null() { 0 } else { pg_sys::get_attnum(own, name) }
    }
}

/// The type of a column; `None` if there is no such column or it was dropped.
///
/// # Safety
/// The descriptor must be that of an open relation.
#[inline]
pub(super) unsafe fn type_of(of: pg_sys::TupleDesc, number: i16) -> Option<pg_sys::Oid> {
    // SAFETY: the number is checked before it is used.
    unsafe {
        if number < 1 || i32::from(number) > (*of).natts {
            return None;
        }
        let found = pg_sys::SPI_gettypeid(of, i32::from(number));
        // A dropped column has no type.
        (found != pg_sys::InvalidOid).then_some(found)
    }
}

/// The type of a column, or that which a domain is over.
///
/// # Safety
/// The relation must be open.
pub(super) unsafe fn base_type_of(relation: pg_sys::Relation, number: i16) -> Option<pg_sys::Oid> {
    // SAFETY: see above; looks up catalogs by OID.
    unsafe { type_of((*relation).rd_att, number).map(|declared| pg_sys::getBaseType(declared)) }
}

/// # Safety
/// The relation must be open and have the column.
#[cold]
pub(super) unsafe fn wrong_type(
    relation: pg_sys::Relation,
    number: i16,
    found: pg_sys::Oid,
    wanted: &str,
) -> Error {
    // SAFETY: see above; the name is a copy, or null.
    let (name, table) = unsafe {
        let name = pg_sys::get_attname((*relation).rd_id, number, true);
        let name = if name.is_null() { String::new() } else { from_server(CStr::from_ptr(name)) };
        (name, relation_name((*relation).rd_id))
    };
    let message = format!("column \"{name}\" of table {table} is of type {}", type_name(found));
    Error::new(SqlState::DatatypeMismatch, message)
        .detail(format!("The key migration needs a column of type {wanted}."))
        .hint("Change the column back to that type, or CALL key_migration_rollback().")
}

/// The bytes before a row's data in memory.
const HEADER: usize = size_of::<pg_sys::HeapTupleData>().next_multiple_of(pg_sys::MAXIMUM_ALIGNOF as usize);

/// The number of columns that a row stores, and which of them are NULL.
#[derive(Clone, Copy)]
struct Nulls {
    /// Columns that were added after the row was written do not count.
    columns: usize,
    /// One bit per column, set if it has a value; `None` if no column is NULL.
    bits: Option<*const u8>,
}

impl Nulls {
    /// # Safety
    /// The pointer must be a valid row, which must outlive the result.
    #[inline]
    unsafe fn of(row: pg_sys::HeapTuple) -> Self {
        // SAFETY: see above.
        unsafe {
            let header = (*row).t_data;
            let columns = usize::from(pg_sys::htup::HeapTupleHeaderGetNatts(header));
            let bits = (!pg_sys::htup::HeapTupleNoNulls(row)).then(|| (&raw const (*header).t_bits).cast());
            Self { columns, bits }
        }
    }

    /// Whether a column that the row stores is NULL.
    ///
    /// # Safety
    /// The row must store the column, which is counted from 0.
    #[inline]
    unsafe fn is_null(self, column: usize) -> bool {
        // SAFETY: there is a bit for each column of the row.
        self.bits.is_some_and(|bits| unsafe { *bits.add(column / 8) } & (1 << (column % 8)) == 0)
    }
}

#[cfg(any(test, feature = "pg_test"))]
#[allow(clippy::unwrap_used)]
#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use super::{Column, Role, Value};

    /// The columns of a row, deformed.
    unsafe fn deformed(
        row: pg_sys::HeapTuple,
        of: pg_sys::TupleDesc,
    ) -> Vec<Option<(usize, Option<String>)>> {
        // SAFETY: as the caller says; the arrays have space for all columns.
        unsafe {
            let count = usize::try_from((*of).natts).unwrap();
            let (mut values, mut nulls) = (vec![pg_sys::Datum::null(); count], vec![false; count]);
            pg_sys::heap_deform_tuple(row, of, values.as_mut_ptr(), nulls.as_mut_ptr());
            (0..count)
                .map(|at| {
                    let value = (!nulls[at]).then_some(values[at])?;
                    Some(match pg_sys::SPI_gettypeid(of, i32::try_from(at).unwrap() + 1) {
                        pg_sys::UUIDOID => (0, Some(pgrx::Uuid::from_datum(value, false)?.to_string())),
                        pg_sys::TEXTOID => (0, String::from_datum(value, false)),
                        _ => (value.value(), None),
                    })
                })
                .collect()
        }
    }

    /// A row with the first columns of a table. The bits of `nulls` say which of them are NULL.
    unsafe fn row(of: pg_sys::TupleDesc, columns: usize, nulls: usize, key: usize) -> pg_sys::HeapTuple {
        let values: Vec<pg_sys::Datum> = (0..columns)
            .map(|at| match at {
                _ if at == key => pg_sys::Datum::null(),
                _ if at % 2 == 0 => (at * 1_000_003).into(),
                _ => "text".repeat(at * at).into_datum().unwrap(),
            })
            .collect();
        let nulls: Vec<bool> = (0..columns).map(|at| at == key || nulls >> (at % 5) & 1 == 1).collect();
        // SAFETY: the shorter descriptor holds copies of the first columns.
        unsafe {
            let shorter = pg_sys::CreateTemplateTupleDesc(i32::try_from(columns).unwrap());
            for at in 1..=i16::try_from(columns).unwrap() {
                pg_sys::TupleDescCopyEntry(shorter, at, of, at);
            }
            #[cfg(not(any(feature = "pg15", feature = "pg16", feature = "pg17")))]
            let (values, nulls) = (values.as_ptr(), nulls.as_ptr());
            #[cfg(any(feature = "pg15", feature = "pg16", feature = "pg17"))]
            let (values, nulls) = (values.as_ptr().cast_mut(), nulls.as_ptr().cast_mut());
            pg_sys::heap_form_tuple(shorter, values, nulls)
        }
    }

    /// Old ids are read as PostgreSQL reads them, and appending a key gives the same row as
    /// heap_modify_tuple_by_cols. The test has keys at every position, NULLs before and after them,
    /// and rows from before the column was added.
    #[pg_test]
    fn an_appended_key_gives_the_same_row_as_heap_modify_tuple() {
        let mut appended = 0;
        let bigint = 7_i64 << 40 | 5;
        let types = [
            ("uuid", pg_sys::UUIDOID, Value::Key([7; 16]), pgrx::Uuid::from_bytes([7; 16]).into_datum()),
            ("bigint", pg_sys::INT8OID, Value::Number(bigint), bigint.into_datum()),
        ];
        let places = (1..=17).flat_map(|before| (0..3).map(move |after| (before, after)));
        for ((before, after), (type_name, type_oid, key, datum)) in
            places.flat_map(|place| types.map(move |of| (place, of)))
        {
            let columns: Vec<String> = (0..=before + after)
                .map(|at| {
                    let kind = ["bigint", "text"][at % 2];
                    format!("c{at} {}", if at == before { type_name } else { kind })
                })
                .collect();
            Spi::run(&format!("CREATE TABLE wide ({})", columns.join(", "))).unwrap();
            let oid = Spi::get_one::<pg_sys::Oid>("SELECT 'wide'::regclass::oid").unwrap().unwrap();
            // SAFETY: the table exists until it is dropped, and everything made of its rows is in
            // memory.
            unsafe {
                let relation = pg_sys::table_open(oid, pg_sys::AccessShareLock as i32);
                let of = (*relation).rd_att;
                let role = Role::Key(type_oid);
                let Ok(column) = Column::of(relation, i16::try_from(before).unwrap() + 1, role) else {
                    panic!("{columns:?}")
                };
                for (nulls, length) in (0..32).flat_map(|nulls| (1..=columns.len()).map(move |l| (nulls, l)))
                {
                    let row = row(of, length, nulls, before);
                    assert!(column.is_null(row));
                    for (number, taken) in (1..).zip(deformed(row, of)) {
                        if pg_sys::SPI_gettypeid(of, i32::from(number)) == pg_sys::INT8OID {
                            let Ok(column) = Column::of(relation, number, Role::OldId) else {
                                panic!("{number}")
                            };
                            let value = column.value(row, of);
                            let old_id_of = |(bits, _): (usize, _)| Value::Number(bits as i64);
                            assert!(value == taken.map(old_id_of), "{columns:?} {nulls:b} {length} {number}");
                        }
                    }
                    let new = column.set(row, of, Some(key));
                    let mut number = i32::from(column.number);
                    let mut value = datum.unwrap();
                    let mut is_null = false;
                    let (number, value, is_null) = (&raw mut number, &raw mut value, &raw mut is_null);
                    let modified = pg_sys::heap_modify_tuple_by_cols(row, of, 1, number, value, is_null);
                    assert!(!column.is_null(new));
                    assert_eq!(deformed(new, of), deformed(modified, of), "{columns:?} {nulls:b} {length}");
                    let is_appended = match key {
                        Value::Key(key) => column.appended(row, &key, 1),
                        Value::Number(key) => column.appended(row, &key.to_ne_bytes(), 8),
                        Value::Uuid(_) | Value::Text(_) => None,
                    };
                    appended += usize::from(is_appended.is_some());
                }
                pg_sys::table_close(relation, pg_sys::AccessShareLock as i32);
            }
            Spi::run("DROP TABLE wide").unwrap();
        }
        assert!(appended > 2_000, "{appended} rows went the short way");
    }
}
