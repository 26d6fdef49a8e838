//! The key of a row that has none. It is derived, and never refused: a row that can be inserted
//! without a migration must not fail because of it.

use crate::keys::derived::{self, MAX_ID};
use crate::keys::{Instant, Layout, TagKey, hashed};

/// The key of a row with this time, in PostgreSQL's microseconds, and this old id.
///
/// A time that no key can hold (none, infinite, before 1970) counts as 1970-01-01. An old id that
/// does not fit is hashed (trap M1). The same time and old id always give the same key.
#[inline]
pub fn key<L: Layout>(micros: Option<i64>, old_id: i64, tag: &TagKey) -> L::Key {
    let instant = instant_or_first(micros);
    if !(0..=MAX_ID).contains(&old_id) {
        return hashed::encode::<L>(instant, hashed::Value::BigInt(old_id), tag);
    }
    match derived::encode::<L>(instant, old_id, tag) {
        Ok(key) => key,
        Err(_) => hashed::encode::<L>(instant, hashed::Value::BigInt(old_id), tag),
    }
}

/// The same for an old id of another type, which is hashed.
#[inline]
pub fn hashed_key<L: Layout>(micros: Option<i64>, old_id: hashed::Value<'_>, tag: &TagKey) -> L::Key {
    hashed::encode::<L>(instant_or_first(micros), old_id, tag)
}

fn instant_or_first(micros: Option<i64>) -> Instant {
    micros.and_then(instant).unwrap_or(Instant::MIN)
}

/// The instant of PostgreSQL's microseconds, if a key can hold it.
fn instant(micros: i64) -> Option<Instant> {
    Instant::from_unix_micros(micros.checked_sub(Instant::MIN.postgres_micros())?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::keys::{UlidLayout, UuidV7Layout};

    #[test]
    fn it_is_the_derived_key_if_there_is_one() {
        let tag = TagKey::of_salt("public.orders");
        for micros in [0, 1, -1, 700_000_000_000_000, Instant::MIN.postgres_micros()] {
            for old_id in [0, 1, 42, MAX_ID] {
                let instant = Instant::from_postgres_micros(micros).unwrap();
                let expected = derived::encode::<UuidV7Layout>(instant, old_id, &tag).unwrap();
                assert_eq!(key::<UuidV7Layout>(Some(micros), old_id, &tag), expected);
            }
        }
    }

    #[test]
    fn trap_m01_odd_times_and_old_ids_have_keys_too() {
        let tag = TagKey::UNSALTED;
        let first = key::<UlidLayout>(None, 1, &tag);
        for micros in [i64::MIN, i64::MAX, Instant::MIN.postgres_micros() - 1, Instant::MIN.postgres_micros()]
        {
            assert_eq!(key::<UlidLayout>(Some(micros), 1, &tag), first);
        }
        assert!(first < key::<UlidLayout>(None, 2, &tag));
        let odd =
            [i64::MIN, -1, MAX_ID + 1, i64::MAX].map(|old_id| key::<UuidV7Layout>(Some(0), old_id, &tag));
        for (at, one) in odd.iter().enumerate() {
            assert!(!odd[at + 1..].contains(one));
        }
    }
}
