//! Salts, each of which determines the hash key for the tags of derived keys.

use keyspace::keys::TagKey;
use pgrx::{pg_guard, pg_sys};

use super::per_backend::PerBackend;
use super::raw_text::RawText;

/// Longer salts are hashed on every call.
const LONGEST_CACHED: usize = 1_024;

/// The last salt, in the encoding of the database, and its key.
static LAST: PerBackend<Option<(Vec<u8>, TagKey)>> = PerBackend::new(None);

/// The key of a salt. The salt is hashed in UTF-8, so that nodes whose databases have different
/// encodings agree.
pub(crate) fn tag_key(salt: RawText<'_>) -> TagKey {
    if let Some(key) = cached(salt.bytes()) {
        return key;
    }
    let bytes = salt.bytes();
    let key = TagKey::of_salt(salt.to_utf8());
    if bytes.len() <= LONGEST_CACHED {
        let entry = Some((bytes.to_vec(), key));
        // SAFETY: an assignment runs no SQL.
        unsafe { LAST.with(|last| *last = entry) };
    }
    key
}

/// The key of a salt that is an argument of a function without a guard.
///
/// # Safety
/// The datum must be a `text` that is not NULL; see `call.rs`.
#[inline]
pub(super) unsafe fn tag_key_of_datum(salt: pg_sys::Datum) -> TagKey {
    // SAFETY: the caller's promise.
    if let Some(key) = unsafe { RawText::in_place(salt) }.and_then(|salt| cached(salt.bytes())) {
        return key;
    }
    let mut key = TagKey::UNSALTED;
    look_up(salt, &mut key);
    key
}

#[cold]
#[inline(never)]
#[pg_guard]
extern "C-unwind" fn look_up(salt: pg_sys::Datum, key: &mut TagKey) {
    // SAFETY: the caller of tag_key_of_datum guarantees that the datum is a text.
    *key = tag_key(unsafe { RawText::new(salt) });
}

#[inline]
fn cached(salt: &[u8]) -> Option<TagKey> {
    // SAFETY: comparing bytes runs no SQL.
    unsafe {
        LAST.with(|last| match last {
            Some((known, key)) if known == salt => Some(*key),
            _ => None,
        })
    }
}
