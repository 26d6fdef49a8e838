//! The input that is read as a ULID: a corpus with its results, and inputs generated from it at
//! random, compared with another reader.
//!
//! `PG_KEYSPACE_FUZZ_INPUTS=10000000 cargo test --release -p keyspace --test ulid_text` generates
//! that many.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use keyspace::keys::{Layout, TagKey, UlidLayout, UuidV7Layout, derived, ulid_text};
use keyspace::{Error, SqlState};
use rand::rngs::ChaCha8Rng;
use rand::{Rng, RngExt, SeedableRng};

const INPUTS_VARIABLE: &str = "PG_KEYSPACE_FUZZ_INPUTS";
const INPUTS: u32 = 200_000;

fn inputs() -> u32 {
    std::env::var(INPUTS_VARIABLE).map_or(INPUTS, |inputs| inputs.parse().expect("a number"))
}

/// Every line of the corpus: the canonical form as which the input is read, or `None`, and the
/// input between brackets, in which `\xNN` is a byte.
fn corpus() -> Vec<(Option<&'static str>, Vec<u8>)> {
    let lines = include_str!("../vectors/ulid_text.txt").lines();
    let read = |line: &'static str| {
        let (verdict, input) = line.split_once(' ').expect(line);
        let input = input.strip_prefix('[').and_then(|input| input.strip_suffix(']')).expect(line);
        let mut bytes = Vec::new();
        let mut parts = input.split("\\x");
        bytes.extend(parts.next().expect("a first part").bytes());
        for part in parts {
            let (byte, rest) = part.split_at(2);
            bytes.push(u8::from_str_radix(byte, 16).expect(line));
            bytes.extend(rest.bytes());
        }
        ((verdict != "no").then_some(verdict), bytes)
    };
    lines.map(read).collect()
}

/// Crockford's base 32 as in the ULID specification, one character at a time and without a table:
/// written to be obviously right, not fast.
fn plain_reader(text: &[u8]) -> Option<u128> {
    if text.len() != 26 {
        return None;
    }
    let mut value: u128 = 0;
    for (place, byte) in text.iter().enumerate() {
        let digit = match byte.to_ascii_uppercase() {
            digit @ b'0'..=b'9' => digit - b'0',
            letter @ b'A'..=b'H' => letter - b'A' + 10,
            b'I' | b'L' => 1,
            letter @ (b'J' | b'K') => letter - b'J' + 18,
            letter @ (b'M' | b'N') => letter - b'M' + 20,
            b'O' => 0,
            letter @ b'P'..=b'T' => letter - b'P' + 22,
            letter @ b'V'..=b'Z' => letter - b'V' + 27,
            _ => return None,
        };
        if place == 0 && digit > 7 {
            return None;
        }
        value = value << 5 | u128::from(digit);
    }
    Some(value)
}

fn check(text: &[u8]) {
    let expected = plain_reader(text);
    let found: Result<ulid::Ulid, Error> = ulid_text::decode(text);
    match (&found, expected) {
        (Ok(found), Some(expected)) => {
            assert_eq!(found.0, expected);
            let canonical = ulid_text::encode(*found);
            assert!(canonical.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'Z')));
            assert_eq!(ulid_text::decode(&canonical).as_ref(), Ok(found));
        }
        (Err(error), None) => {
            assert_eq!(error.sqlstate, SqlState::InvalidTextRepresentation);
            assert!(error.message.starts_with("invalid input syntax for type ulid: \""));
            assert_eq!(error.detail, None);
        }
        _ => panic!("{:?} was read as {found:?}, not as {expected:?}", text.escape_ascii().to_string()),
    }
}

#[test]
fn trap_k07_the_corpus_is_read_as_it_says() {
    let corpus = corpus();
    assert!(corpus.len() > 60, "the corpus was read");
    for (verdict, text) in corpus {
        let found = ulid_text::decode(&text).ok().map(ulid_text::encode);
        let found = found.as_ref().map(|text| std::str::from_utf8(text).expect("ASCII"));
        assert_eq!(found, verdict, "{:?}", text.escape_ascii().to_string());
        check(&text);
    }
}

#[test]
fn trap_k07_inputs_by_chance_are_read_as_the_plain_reader_reads_them() {
    let corpus: Vec<Vec<u8>> = corpus().into_iter().map(|(_, text)| text).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut accepted = 0;
    for _ in 0..inputs() {
        let text = changed(&corpus[rng.random_range(0..corpus.len())], &mut rng);
        accepted += u32::from(plain_reader(&text).is_some());
        check(&text);
    }
    let share = f64::from(accepted) / f64::from(inputs());
    assert!((0.05..0.95).contains(&share), "{share} of the inputs are ULIDs, which is no good mixture");
}

/// A text with some bytes replaced, removed, inserted or swapped, mostly by possible digits.
fn changed(text: &[u8], rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut text = text.to_vec();
    // Half of them start as whole ULIDs.
    if rng.random_bool(0.5) {
        let value = u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64());
        text = ulid_text::encode(ulid::Ulid(value)).to_vec();
    }
    for _ in 0..rng.random_range(0..4) {
        let byte = if rng.random_bool(0.8) {
            b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"[rng.random_range(0..62)]
        } else {
            rng.next_u32() as u8
        };
        let place = rng.random_range(0..=text.len());
        match rng.random_range(0..8) {
            0 => text.insert(place, byte),
            1 if place < text.len() => {
                text.remove(place);
            }
            2 if place < text.len() => {
                let other = rng.random_range(0..text.len());
                text.swap(place, other);
            }
            _ if place < text.len() => text[place] = byte,
            _ => {}
        }
    }
    text
}

/// Bytes of any origin are read as the time and id of a key, or as nothing, and are written back
/// unchanged.
#[test]
fn trap_k06_any_16_bytes_are_read_without_panic_and_written_back() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    for _ in 0..inputs() {
        let mut bytes = [0; 16];
        rng.fill_bytes(&mut bytes);
        if rng.random_bool(0.5) {
            // Nearly, or completely, a version 7 UUID.
            bytes[6] = bytes[6] & 0x0f | 0x70;
            bytes[8] = bytes[8] & 0x3f | if rng.random_bool(0.9) { 0x80 } else { 0xc0 };
        }
        let uuid = UuidV7Layout::from_bytes(bytes);
        let is_version_7 = bytes[6] >> 4 == 7 && bytes[8] >> 6 == 2;
        match UuidV7Layout::unpack(uuid) {
            Some((tick, tail)) => {
                assert!(is_version_7);
                assert_eq!(UuidV7Layout::to_bytes(UuidV7Layout::pack(tick, tail)), bytes);
            }
            None => assert!(!is_version_7),
        }
        let ulid = UlidLayout::from_bytes(bytes);
        let (tick, tail) = UlidLayout::unpack(ulid).expect("every 16 bytes are a ULID");
        assert_eq!(UlidLayout::to_bytes(UlidLayout::pack(tick, tail)), bytes);
        let salt = TagKey::UNSALTED;
        if let Some(id) = derived::decode::<UuidV7Layout>(uuid, &salt) {
            let instant = UuidV7Layout::unpack(uuid).expect("a key").0.exact_instant().expect("an instant");
            assert_eq!(derived::encode::<UuidV7Layout>(instant, id, &salt), Ok(uuid));
        }
        assert!(
            derived::decode::<UlidLayout>(ulid, &salt).is_none_or(|id| (0..=derived::MAX_ID).contains(&id))
        );
    }
}
