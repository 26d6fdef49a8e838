//! Keys of the extension among those of PostgreSQL's own `uuidv7()`, which exists from version 18
//! on.

use pg_test::skip;

use crate::preload::{DATABASE, start};

/// Pairs of keys that are generated one right after the other.
const PAIRS: &str = "CREATE TEMP TABLE pair AS
    SELECT n, clock_timestamp() AS before, pg_catalog.uuidv7() AS core, public.uuidv7() AS ours,
           pg_catalog.uuidv7() AS core_after, clock_timestamp() AS after
    FROM generate_series(1, 200000) AS n";

/// The prefix of a key in text form: milliseconds, version and fraction.
const HEADS: &str = "SELECT n, left(core::text, 18) AS core, left(ours::text, 18) AS ours, left(core_after::text, 18) AS core_after FROM pair";

#[test]
fn keys_of_both_generators_are_in_the_order_in_which_they_were_made() {
    let server = start(&[]);
    let major = server.tree().major();
    if major < 18 {
        return skip(
            "keys_of_both_generators_are_in_the_order_in_which_they_were_made",
            "PostgreSQL has no uuidv7() before 18",
        );
    }
    let mut client = server.connect(DATABASE).unwrap();
    client.batch_execute("SET timezone = 'UTC'").unwrap();
    client.batch_execute(PAIRS).unwrap();
    let mut count = |query: &str| -> i64 { client.query_one(query, &[]).unwrap().get(0) };
    // Keys with the same prefix (244 ns) have a random order.
    let inversions = format!("SELECT count(*) FROM ({HEADS}) AS h WHERE core > ours OR ours > core_after");
    assert_eq!(count(&inversions), 0);
    let from_row_to_row = format!(
        "SELECT count(*) FROM (SELECT core, lag(core_after) OVER (ORDER BY n) AS last FROM ({HEADS}) AS h) AS r WHERE last > core"
    );
    assert_eq!(count(&from_row_to_row), 0);
    // Most rows take longer than that, so there are many prefixes, and the order is meaningful.
    assert!(count(&format!("SELECT count(DISTINCT core) FROM ({HEADS}) AS h")) > 100_000);
    // The timestamp of either key is that of the clock, to the microsecond.
    for key in ["core", "ours"] {
        let wrong = format!(
            "SELECT count(*) FROM pair WHERE uuidv7_to_timestamp({key}) NOT BETWEEN before - interval '1 us' AND after"
        );
        assert_eq!(count(&wrong), 0, "{key}");
    }
    assert_eq!(
        count(
            "SELECT count(*) FROM pair WHERE uuid_extract_timestamp(ours) <> date_trunc('milliseconds', uuidv7_to_timestamp(ours))"
        ),
        0
    );
    assert_eq!(count("SELECT count(*) FROM pair WHERE uuid_extract_version(ours) <> 7"), 0);
}

/// The casts between uuid and bytea and the encoding base32hex, from version 19 on, next to those
/// of the extension.
#[test]
fn casts_and_text_forms_of_core_next_to_ours() {
    let server = start(&[]);
    let major = server.tree().major();
    if major < 19 {
        return skip("casts_and_text_forms_of_core_next_to_ours", "uuid has no casts before PostgreSQL 19");
    }
    let mut client = server.connect(DATABASE).unwrap();
    client.batch_execute("CREATE TABLE key AS SELECT uuidv7() AS id FROM generate_series(1, 1000)").unwrap();
    let mut wrong = |what: &str| -> i64 {
        let query = format!("SELECT count(*) FROM key WHERE ({what}) IS NOT TRUE");
        client.query_one(&query, &[]).unwrap().get(0)
    };
    // All casts between the three types give the same 16 bytes.
    assert_eq!(
        wrong("id::bytea = id::ulid::bytea AND id::bytea::ulid = id::ulid AND id::bytea::uuid = id"),
        0
    );
    // Core's text form encodes digits of base 32 from the left, with padding. That of ULID encodes
    // them from the right. Without the padding, one form can be read as the other, but gives
    // another key.
    assert_eq!(wrong("encode(id::bytea, 'base32hex') LIKE repeat('_', 26) || '======'"), 0);
    assert_eq!(wrong("left(encode(id::bytea, 'base32hex'), 26) <> id::ulid::text"), 0);
    // Both text forms are in the order of the keys.
    let ordered = "SELECT count(*) FROM (SELECT row_number() OVER (ORDER BY id) AS a,
                       row_number() OVER (ORDER BY encode(id::bytea, 'base32hex') COLLATE \"C\") AS b,
                       row_number() OVER (ORDER BY id::ulid::text COLLATE \"C\") AS c FROM key) AS o WHERE a <> b OR a <> c";
    assert_eq!(client.query_one(ordered, &[]).unwrap().get::<_, i64>(0), 0);
}
