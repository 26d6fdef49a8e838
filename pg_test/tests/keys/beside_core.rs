//! Keys of ours among those of PostgreSQL's own `uuidv7()`, which there is from version 18 on.

use crate::preload::{DATABASE, start};

/// Pairs of keys that are made one right after the other.
const PAIRS: &str = "CREATE TEMP TABLE pair AS
    SELECT n, clock_timestamp() AS before, pg_catalog.uuidv7() AS core, public.uuidv7() AS ours,
           pg_catalog.uuidv7() AS core_after, clock_timestamp() AS after
    FROM generate_series(1, 200000) AS n";

/// The head of a key: milliseconds, version and fraction, in their text form.
const HEADS: &str = "SELECT n, left(core::text, 18) AS core, left(ours::text, 18) AS ours, left(core_after::text, 18) AS core_after FROM pair";

#[test]
fn keys_of_both_generators_are_in_the_order_in_which_they_were_made() {
    let server = start(&[]);
    let major = server.tree().major();
    if major < 18 {
        println!("skipped: PostgreSQL {major} has no uuidv7()");
        return;
    }
    let mut client = server.connect(DATABASE).unwrap();
    client.batch_execute("SET timezone = 'UTC'").unwrap();
    client.batch_execute(PAIRS).unwrap();
    let mut count = |query: &str| -> i64 { client.query_one(query, &[]).unwrap().get(0) };
    // Within the 244 ns of a head nothing orders them but chance.
    let inversions = format!("SELECT count(*) FROM ({HEADS}) AS h WHERE core > ours OR ours > core_after");
    assert_eq!(count(&inversions), 0);
    let from_row_to_row = format!(
        "SELECT count(*) FROM (SELECT core, lag(core_after) OVER (ORDER BY n) AS last FROM ({HEADS}) AS h) AS r WHERE last > core"
    );
    assert_eq!(count(&from_row_to_row), 0);
    // Most rows take longer than that, so it is an order, and not all one head.
    assert!(count(&format!("SELECT count(DISTINCT core) FROM ({HEADS}) AS h")) > 100_000);
    // The instant of either is that of the clock, to the microsecond.
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
