//! Old ids that are texts, and old ids that outlive the row they come from.

use keyspace::migration::old_id::{IdKind, OldId};
use pgrx::pg_sys;
use pgrx::spi::{SpiHeapTupleData, SpiResult};
use pgrx::varlena::varlena_to_byte_slice;

use crate::encoding::{decoded, from_server_bytes};
use crate::server::memory::allocate;

/// A text in the encoding of the database, in memory of PostgreSQL.
///
/// It is plain data, and valid as long as the memory context in which it was created.
#[derive(Clone, Copy)]
pub(super) struct Text {
    bytes: *const u8,
    length: usize,
}

impl Text {
    /// The text of a datum, copied to the current memory context.
    ///
    /// # Safety
    /// The datum must be a `text` or `varchar`.
    pub(super) unsafe fn of(datum: pg_sys::Datum) -> Self {
        // SAFETY: see above; the text is detoasted before it is read.
        unsafe { Self::copied(varlena_to_byte_slice(pg_sys::pg_detoast_datum_packed(datum.cast_mut_ptr()))) }
    }

    /// A copy in the current memory context.
    pub(super) fn copied(bytes: &[u8]) -> Self {
        let copy = allocate(bytes.len().max(1));
        // SAFETY: the copy has room for the bytes.
        unsafe { copy.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        Self { bytes: copy, length: bytes.len() }
    }

    pub(super) const fn bytes(&self) -> &[u8] {
        // SAFETY: the memory is not freed before the value is.
        unsafe { std::slice::from_raw_parts(self.bytes, self.length) }
    }

    /// The same without the spaces at its end.
    pub(super) fn without_spaces(self) -> Self {
        Self { length: without_spaces(self.bytes()).len(), ..self }
    }

    /// A datum in the current memory context.
    pub(super) fn datum(&self) -> pg_sys::Datum {
        let length = i32::try_from(self.length).unwrap_or(i32::MAX);
        // SAFETY: the bytes are copied, and shorter than 1 GB.
        unsafe { pg_sys::cstring_to_text_with_len(self.bytes.cast(), length) }.into()
    }

    /// The number of characters.
    pub(super) fn characters(&self) -> i32 {
        let length = i32::try_from(self.length).unwrap_or(i32::MAX);
        // SAFETY: reads as many bytes.
        unsafe { pg_sys::pg_mbstrlen_with_len(self.bytes.cast(), length) }
    }

    /// Calls `read` with the bytes from which a key is derived: UTF-8, so that databases with different
    /// encodings derive the same key. A text that cannot be converted counts as it is stored, because a
    /// row must not be refused for it.
    pub(super) fn with_utf8<T>(&self, read: impl FnOnce(&[u8]) -> T) -> T {
        let bytes = self.bytes();
        if bytes.is_ascii() {
            return read(bytes);
        }
        match decoded(bytes) {
            Ok(text) => read(text.as_bytes()),
            Err(_) => read(bytes),
        }
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Text {}

/// An old id for a message.
pub(super) fn shown(old_id: &OldId) -> String {
    match old_id {
        OldId::Text(bytes) => from_server_bytes(bytes.to_vec()),
        OldId::Number(_) | OldId::Uuid(_) => old_id.to_string(),
    }
}

/// An old id from the column of a query that has the form of `keyspace::migration::old_id::result`.
///
/// # Errors
/// Those of reading the column.
pub(super) fn from_query(row: &SpiHeapTupleData<'_>, at: usize, kind: IdKind) -> SpiResult<Option<OldId>> {
    Ok(match kind {
        IdKind::Integer => row.get::<i64>(at)?.map(OldId::Number),
        IdKind::Uuid => row.get::<Vec<u8>>(at)?.and_then(|bytes| bytes.try_into().ok()).map(OldId::Uuid),
        IdKind::Text => row.get::<Vec<u8>>(at)?.map(|bytes| OldId::Text(bytes.into())),
    })
}

/// A text without the spaces at its end.
pub(super) fn without_spaces(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
    bytes.get(..end).unwrap_or_default()
}
