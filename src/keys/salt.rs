//! Salts: which hash key a derived key's tag is made with.

use keyspace::keys::TagKey;

use super::per_backend::PerBackend;
use super::raw_text::RawText;

/// Longer salts are hashed at every call.
const LONGEST_CACHED: usize = 1_024;

/// The last salt, in the encoding of the database, and its key.
static LAST: PerBackend<Option<(Vec<u8>, TagKey)>> = PerBackend::new(None);

/// The key of a salt. It is hashed in UTF-8, so that nodes whose databases are in different encodings agree.
pub(super) fn tag_key(salt: RawText<'_>) -> TagKey {
    let bytes = salt.bytes();
    // SAFETY: comparing bytes runs no SQL.
    let cached = unsafe {
        LAST.with(|last| match last {
            Some((known, key)) if known == bytes => Some(*key),
            _ => None,
        })
    };
    if let Some(key) = cached {
        return key;
    }
    let key = TagKey::of_salt(salt.to_utf8());
    if bytes.len() <= LONGEST_CACHED {
        let entry = Some((bytes.to_vec(), key));
        // SAFETY: an assignment runs no SQL.
        unsafe { LAST.with(|last| *last = entry) };
    }
    key
}
