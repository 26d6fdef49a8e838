//! Properties of time-ordered keys, over the whole range of their input.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use keyspace::SqlState;
use keyspace::keys::{
    Generator, Instant, Layout, TagKey, Tick, UlidLayout, UuidV7Layout, derived, hashed, ulid_text,
};
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use std::collections::HashSet;
use ulid::Ulid;

/// Unix microseconds of 2000-01-01 00:00:00 UTC.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;

/// A clock that reads this many nanoseconds since 1970.
fn clock(nanos: u64) -> Tick {
    Tick::from_unix_time(nanos / 1_000_000_000, (nanos % 1_000_000_000) as u32)
}

fn any_instant() -> impl Strategy<Value = Instant> {
    (0..=Instant::MAX.unix_micros()).prop_map(|micros| Instant::from_unix_micros(micros as i64).unwrap())
}

#[test]
fn trap_k03_instants_out_of_range_are_refused_with_the_instant_quoted() {
    for (micros, text) in [
        (-POSTGRES_EPOCH - 1, "1969-12-31 23:59:59.999999+00"),
        (Instant::MAX.postgres_micros() + 1, "10889-08-02 05:31:50.656+00"),
        (i64::MIN, "-infinity"),
        (i64::MAX, "infinity"),
        (i64::MAX - 1, "294277-01-09 04:00:54.775806+00"),
    ] {
        let error = Instant::from_postgres_micros(micros).unwrap_err();
        assert_eq!(error.sqlstate, SqlState::DatetimeFieldOverflow);
        assert_eq!(error.message, format!("timestamp out of range: \"{text}\""));
        assert_eq!(
            error.detail.unwrap(),
            "A key can hold timestamps from \"1970-01-01 00:00:00+00\" to \"10889-08-02 05:31:50.655999+00\"."
        );
    }
    for instant in [Instant::MIN, Instant::MAX] {
        assert_eq!(Instant::from_postgres_micros(instant.postgres_micros()), Ok(instant));
    }
}

#[test]
fn trap_k04_the_fraction_tells_all_microseconds_apart_and_can_be_inverted() {
    let mut last = None;
    for micros in 0..1_000 {
        let instant = Instant::from_unix_micros(1_700_000_000_000_000 + micros).unwrap();
        let tick = Tick::from_instant(instant);
        assert_eq!(tick.bits() & 0xfff, micros as u64 * 4096 / 1000);
        assert!(last < Some(tick));
        assert_eq!(tick.instant(), instant);
        assert_eq!(tick.exact_instant(), Some(instant));
        last = Some(tick);
    }
}

#[test]
fn trap_k04_every_fraction_reads_as_the_microsecond_it_lies_in() {
    let mut tick = Tick::MIN;
    let mut exact = 0;
    for fraction in 0..4_096_u64 {
        let nanos_at_start = fraction * 1_000_000 / 4_096;
        let micros = tick.instant().unix_micros();
        // A fraction that belongs to a microsecond reads as that microsecond, which may start
        // within the tick.
        let within = nanos_at_start / 1_000..=(fraction + 1) * 1_000_000 / 4_096 / 1_000;
        assert!(within.contains(&micros), "{fraction} is {micros}");
        exact += u32::from(tick.exact_instant().is_some());
        tick = tick.next().unwrap();
    }
    assert_eq!(exact, 1_000);
}

#[test]
fn the_head_is_that_of_postgresql_18() {
    for nanos in (0..1_000_000).step_by(7).chain([999_999]) {
        let tick = clock(1_700_000_000_000_000_000 + nanos);
        assert_eq!(tick.bits(), (1_700_000_000_000 << 12) | (nanos * 4_096 / 1_000_000));
    }
    assert_eq!(clock(u64::MAX).unix_ms(), u64::MAX / 1_000_000);
}

#[test]
fn trap_k05_rows_of_one_instant_keep_the_order_of_their_ids() {
    let instant = Instant::from_unix_micros(1_700_000_000_123_456).unwrap();
    let tag_key = TagKey::of_salt("public.orders");
    let keys: Vec<_> =
        (0..100_000).map(|id| derived::encode::<UuidV7Layout>(instant, id, &tag_key).unwrap()).collect();
    assert!(keys.windows(2).all(|pair| pair[0] < pair[1]));
}

/// Others get this wrong: one gives 49,647 inversions, another 98,999 duplicates.
#[test]
fn trap_k12_instants_10_microseconds_apart_give_keys_in_their_order() {
    let mut rng = ChaCha8Rng::seed_from_u64(12);
    let mut last = None;
    for n in 0..100_000 {
        let instant = Instant::from_unix_micros(1_700_000_000_000_000 + n * 10).unwrap();
        let tail = UuidV7Layout::random_tail(&mut rng);
        let key = UuidV7Layout::pack(Tick::from_instant(instant), tail);
        assert!(last < Some(key));
        assert_eq!(UuidV7Layout::unpack(key).unwrap().0.instant(), instant);
        last = Some(key);
    }
}

#[test]
fn ids_out_of_range_are_refused_with_the_limit() {
    for id in [-1, i64::MIN, derived::MAX_ID + 1, i64::MAX] {
        let error = derived::encode::<UlidLayout>(Instant::MIN, id, &TagKey::UNSALTED).unwrap_err();
        assert_eq!(error.sqlstate, SqlState::NumericValueOutOfRange);
        assert_eq!(error.message, format!("id {id} is out of range for a derived key"));
        assert_eq!(error.detail.unwrap(), "A derived key can hold ids from 0 to 4398046511103.");
        assert_eq!(error.hint.unwrap(), "Use ulid_from_timestamp_hashed() for other values.");
    }
}

#[test]
fn trap_k15_a_salt_separates_tables() {
    let mut keys = HashSet::new();
    for salt in ["", "public.orders", "public.customers", "public.orders "] {
        keys.insert(derived::encode::<UuidV7Layout>(Instant::MIN, 1, &TagKey::of_salt(salt)).unwrap());
    }
    assert_eq!(keys.len(), 4);
}

#[test]
fn trap_k17_a_random_key_seldom_passes_for_a_derived_one() {
    let mut rng = ChaCha8Rng::seed_from_u64(17);
    let mut keys = Generator::<UuidV7Layout>::new();
    let passed = (0..1_000_000)
        .filter(|n| {
            let key = keys.next(clock(1_700_000_000_000_000_000 + n * 977), &mut rng);
            derived::decode::<UuidV7Layout>(key, &TagKey::UNSALTED).is_some()
        })
        .count();
    assert!(passed <= 5, "{passed} of a million");
}

#[test]
fn hashed_keys_of_equal_bytes_but_other_types_differ() {
    let instant = Instant::MIN;
    let keys: HashSet<_> = [
        hashed::Value::BigInt(0),
        hashed::Value::Text(b"\0\0\0\0\0\0\0\0"),
        hashed::Value::Uuid(uuid::Uuid::nil()),
        hashed::Value::Text(b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        hashed::Value::Text(b""),
    ]
    .into_iter()
    .map(|value| hashed::encode::<UuidV7Layout>(instant, value, &TagKey::UNSALTED))
    .collect();
    assert_eq!(keys.len(), 5);
}

#[test]
fn trap_k07_ulid_text_is_read_strictly() {
    let canonical = b"01ARZ3NDEKTSV4RRFFQ69G5FAV";
    let value = ulid_text::decode(canonical).unwrap();
    assert_eq!(ulid_text::decode(&canonical.to_ascii_lowercase()), Ok(value));
    let aliases = ulid_text::decode(b"O1i1l1I1L1o0OO00000000000o").unwrap();
    assert_eq!(&ulid_text::encode(aliases), b"01111111110000000000000000");
    for text in [
        "",
        "01ARZ3NDEKTSV4RRFFQ69G5FA",
        "01ARZ3NDEKTSV4RRFFQ69G5FAVX",
        "01ARZ3NDEKTSV4RRFFQ69G5FAU",
        "u1ARZ3NDEKTSV4RRFFQ69G5FAV",
        "01ARZ3NDEK-SV4RRFFQ69G5FAV",
        "01ARZ3NDEKTSV4RRFFQ69G5FA ",
        "8ZZZZZZZZZZZZZZZZZZZZZZZZZ",
        "ZZZZZZZZZZZZZZZZZZZZZZZZZZ",
        "01ARZ3NDEKTSV4RRFFQ69G5FÄ",
    ] {
        let error = ulid_text::decode(text.as_bytes()).unwrap_err();
        assert_eq!(error.sqlstate, SqlState::InvalidTextRepresentation);
        assert_eq!(error.message, format!("invalid input syntax for type ulid: \"{text}\""));
    }
    let latin1 = b"01ARZ3NDEKTSV4RRFFQ69G5FA\xc4";
    assert_eq!(
        ulid_text::decode(latin1).unwrap_err().message,
        "invalid input syntax for type ulid: \"01ARZ3NDEKTSV4RRFFQ69G5FA\\xc4\""
    );
}

#[test]
fn trap_k07_every_byte_but_a_digit_is_refused_in_every_place() {
    for place in 0..26 {
        for byte in 0..=u8::MAX {
            let mut text = *b"00000000000000000000000000";
            text[place] = byte;
            let digit = byte.is_ascii_alphanumeric() && !matches!(byte, b'u' | b'U');
            let fits = place > 0 || matches!(byte, b'0'..=b'7' | b'o' | b'O' | b'i' | b'I' | b'l' | b'L');
            assert_eq!(ulid_text::decode(&text).is_ok(), digit && fits, "{byte:#x} in place {place}");
        }
    }
}

/// The changes of a clock from one key to the next, in nanoseconds.
fn clock_steps() -> impl Strategy<Value = Vec<i64>> {
    let step = prop_oneof![
        4 => Just(0),
        4 => 1..1_000_i64,
        2 => -1_000_000_000..1_000_000_000_i64,
        1 => -86_400_000_000_000..86_400_000_000_000_i64,
    ];
    proptest::collection::vec(step, 1..200)
}

/// Keys strictly increase, keep pace with the clock, and are never more than a tick ahead of the
/// latest reading.
fn strictly_increasing<L: Layout<Key: Ord>>(steps: &[i64], seed: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut generator = Generator::<L>::new();
    let mut now = 1_700_000_000_000_000_000_i64;
    let (mut latest, mut last) = (Tick::MIN, None);
    for step in steps {
        now += step;
        let reading = clock(now as u64);
        latest = latest.max(reading);
        let key = generator.next(reading, &mut rng);
        let (tick, _) = L::unpack(key).unwrap();
        assert!(last < Some(key));
        assert!(tick == latest || Some(tick) == latest.next());
        last = Some(key);
    }
}

proptest! {
    #[test]
    fn trap_k02_keys_strictly_increase_whatever_the_clock_does(steps in clock_steps(), seed: u64) {
        strictly_increasing::<UuidV7Layout>(&steps, seed);
        strictly_increasing::<UlidLayout>(&steps, seed);
    }

    #[test]
    fn trap_k12_an_instant_comes_back_to_the_microsecond(instant in any_instant(), tail: u128) {
        let uuid = UuidV7Layout::pack(Tick::from_instant(instant), tail);
        let ulid = UlidLayout::pack(Tick::from_instant(instant), tail);
        prop_assert_eq!(UuidV7Layout::unpack(uuid).unwrap().0.exact_instant(), Some(instant));
        prop_assert_eq!(UlidLayout::unpack(ulid).unwrap().0.exact_instant(), Some(instant));
        prop_assert_eq!(uuid.get_version_num(), 7);
        prop_assert_eq!(Instant::from_postgres_micros(instant.postgres_micros()), Ok(instant));
    }

    #[test]
    fn derived_keys_order_as_instant_and_id(
        a in (any_instant(), 0..=derived::MAX_ID),
        b in (any_instant(), 0..=derived::MAX_ID),
        salt in ".{0,12}",
    ) {
        let tag_key = TagKey::of_salt(&salt);
        let uuid = |(instant, id)| derived::encode::<UuidV7Layout>(instant, id, &tag_key).unwrap();
        let ulid = |(instant, id)| derived::encode::<UlidLayout>(instant, id, &tag_key).unwrap();
        prop_assert_eq!(uuid(a).cmp(&uuid(b)), a.cmp(&b));
        prop_assert_eq!(ulid(a).cmp(&ulid(b)), a.cmp(&b));
        prop_assert_eq!(derived::decode::<UuidV7Layout>(uuid(a), &tag_key), Some(a.1));
        prop_assert_eq!(derived::decode::<UlidLayout>(ulid(a), &tag_key), Some(a.1));
    }

    #[test]
    fn a_boundary_separates_the_keys_before_an_instant_from_those_of_it(
        at in any_instant(), other in any_instant(), tail: u128,
    ) {
        let boundary = UuidV7Layout::boundary(Tick::from_instant(at));
        let key = UuidV7Layout::pack(Tick::from_instant(other), tail);
        prop_assert_eq!(key >= boundary, other >= at);
        let boundary = UlidLayout::boundary(Tick::from_instant(at));
        let key = UlidLayout::pack(Tick::from_instant(other), tail);
        prop_assert_eq!(key >= boundary, other >= at);
    }

    #[test]
    fn ulid_text_is_that_of_the_ulid_crate(bits: u128) {
        let text = ulid_text::encode(Ulid(bits));
        let mut expected = [0; 26];
        Ulid(bits).array_to_str(&mut expected);
        prop_assert_eq!(text, expected);
        prop_assert_eq!(ulid_text::decode(&text), Ok(Ulid(bits)));
    }

    #[test]
    fn trap_k07_no_text_panics_and_what_is_read_is_written_back(text in proptest::collection::vec(any::<u8>(), 0..40)) {
        if let Ok(ulid) = ulid_text::decode(&text) {
            let again = ulid_text::encode(ulid);
            prop_assert_eq!(ulid_text::decode(&again), Ok(ulid));
        }
    }

    #[test]
    fn foreign_uuids_never_panic(bits: u128) {
        let uuid = uuid::Uuid::from_u128(bits);
        derived::decode::<UuidV7Layout>(uuid, &TagKey::UNSALTED);
        if let Some((tick, _)) = UuidV7Layout::unpack(uuid) {
            prop_assert!(tick.instant() <= Instant::MAX);
        }
    }
}
