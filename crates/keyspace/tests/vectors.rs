//! The frozen test vectors, and the examples of RFC 9562 and of the ULID specification.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use keyspace::keys::{Instant, Layout, TagKey, Tick, UlidLayout, UuidV7Layout, derived, hashed, ulid_text};
use keyspace::migration::derive;
use uuid::Uuid;

/// The lines of a file of vectors, without the header.
fn lines<const N: usize>(file: &'static str) -> impl Iterator<Item = [&'static str; N]> {
    file.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>().try_into().expect(line))
}

fn instant(unix_micros: &str) -> Instant {
    Instant::from_unix_micros(unix_micros.parse().unwrap()).unwrap()
}

#[test]
fn derived_keys_are_those_of_the_vectors() {
    let mut seen = [0, 0];
    for [kind, micros, _, id, salt, key] in lines(include_str!("../vectors/derived_keys.csv")) {
        let (instant, id, tag_key) = (instant(micros), id.parse().unwrap(), TagKey::of_salt(salt));
        match kind {
            "uuid" => {
                let uuid = derived::encode::<UuidV7Layout>(instant, id, &tag_key).unwrap();
                assert_eq!(uuid.to_string(), key);
                assert_eq!(derived::decode::<UuidV7Layout>(uuid, &tag_key), Some(id));
                assert_eq!(UuidV7Layout::unpack(uuid).unwrap().0.exact_instant(), Some(instant));
                seen[0] += 1;
            }
            "ulid" => {
                let ulid = derived::encode::<UlidLayout>(instant, id, &tag_key).unwrap();
                assert_eq!(ulid_text::encode(ulid), key.as_bytes());
                assert_eq!(derived::decode::<UlidLayout>(ulid, &tag_key), Some(id));
                assert_eq!(UlidLayout::unpack(ulid).unwrap().0.exact_instant(), Some(instant));
                seen[1] += 1;
            }
            _ => panic!("kind {kind}"),
        }
    }
    assert_eq!(seen, [1094, 1094], "every line was read");
}

#[test]
fn hashed_keys_are_those_of_the_vectors() {
    let mut seen = 0;
    for [kind, micros, _, of, value, salt, key] in lines(include_str!("../vectors/hashed_keys.csv")) {
        let (instant, tag_key) = (instant(micros), TagKey::of_salt(salt));
        let value = match of {
            "bigint" => hashed::Value::BigInt(value.parse().unwrap()),
            "uuid" => hashed::Value::Uuid(value.parse().unwrap()),
            "text" => hashed::Value::Text(value.as_bytes()),
            _ => panic!("type {of}"),
        };
        match kind {
            "uuid" => {
                assert_eq!(hashed::encode::<UuidV7Layout>(instant, value, &tag_key).to_string(), key);
            }
            "ulid" => {
                let ulid = hashed::encode::<UlidLayout>(instant, value, &tag_key);
                assert_eq!(ulid_text::encode(ulid), key.as_bytes());
            }
            _ => panic!("kind {kind}"),
        }
        seen += 1;
    }
    assert_eq!(seen, 252, "every line was read");
}

/// The keys of rows without a time, which a key migration derives, in the order of the old ids.
#[test]
fn undated_keys_are_those_of_the_vectors() {
    let mut seen = 0;
    let mut last: Option<(&str, &str, i64, u128)> = None;
    for [kind, id, salt, key] in lines(include_str!("../vectors/undated_keys.csv")) {
        let (old_id, tag_key) = (id.parse().unwrap(), TagKey::of_salt(salt));
        let number = match kind {
            "uuid" => {
                let uuid = derive::key::<UuidV7Layout>(None, old_id, &tag_key);
                assert_eq!(uuid.to_string(), key);
                uuid.as_u128()
            }
            "ulid" => {
                let ulid = derive::key::<UlidLayout>(None, old_id, &tag_key);
                assert_eq!(ulid_text::encode(ulid), key.as_bytes());
                ulid.0
            }
            _ => panic!("kind {kind}"),
        };
        if let Some((of, with, before, least)) = last
            && (of, with) == (kind, salt)
            && before >= 0
            && old_id <= derived::MAX_ID
        {
            assert!(before < old_id && least < number, "{kind} {before} {old_id}");
        }
        last = Some((kind, salt, old_id, number));
        seen += 1;
    }
    assert_eq!(seen, 222, "every line was read");
}

/// The same for old ids that are no numbers.
#[test]
fn undated_values_are_those_of_the_vectors() {
    let mut seen = 0;
    for [kind, of, value, salt, key] in lines(include_str!("../vectors/undated_values.csv")) {
        let tag_key = TagKey::of_salt(salt);
        let value = match of {
            "uuid" => hashed::Value::Uuid(value.parse().unwrap()),
            "text" => hashed::Value::Text(value.as_bytes()),
            _ => panic!("type {of}"),
        };
        match kind {
            "uuid" => {
                assert_eq!(derive::hashed_key::<UuidV7Layout>(None, value, &tag_key).to_string(), key);
            }
            "ulid" => {
                let ulid = derive::hashed_key::<UlidLayout>(None, value, &tag_key);
                assert_eq!(ulid_text::encode(ulid), key.as_bytes());
            }
            _ => panic!("kind {kind}"),
        }
        seen += 1;
    }
    assert_eq!(seen, 282, "every line was read");
}

#[test]
fn the_instant_of_the_rfc_example_leads_its_key() {
    let instant = Instant::from_unix_micros(1_645_557_742_000_000).unwrap();
    let least = UuidV7Layout::boundary(Tick::from_instant(instant));
    assert_eq!(least.to_string(), "017f22e2-79b0-7000-8000-000000000000");
    let rfc: Uuid = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f".parse().unwrap();
    assert_eq!(UuidV7Layout::unpack(rfc).unwrap().0.unix_ms(), 1_645_557_742_000);
}

/// <https://github.com/ulid/spec>: the example, the binary layout and the largest valid ULID.
#[test]
fn the_examples_of_the_ulid_specification() {
    let example = ulid_text::decode(b"01ARZ3NDEKTSV4RRFFQ69G5FAV").unwrap();
    assert_eq!(UlidLayout::unpack(example).unwrap().0.unix_ms(), 1_469_922_850_259);
    assert_eq!(&ulid_text::encode(example), b"01ARZ3NDEKTSV4RRFFQ69G5FAV");
    assert_eq!(ulid_text::decode(b"7ZZZZZZZZZZZZZZZZZZZZZZZZZ").unwrap().0, u128::MAX);
    assert!(ulid_text::decode(b"80000000000000000000000000").is_err());
}
