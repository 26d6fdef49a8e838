//! Keys from local times: triggers, backfill and SQL derive the same ones, whatever the time zone of a
//! session is.

use postgres::Client;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::{DATABASE, number, start};

/// How many times are tried in how many zones.
const CASES: u32 = 16;
const ROWS: usize = 60;

/// Local times as microseconds since 2000: around changes of the offset in many zones, and any other
/// from 1960 on.
fn local_time() -> impl Strategy<Value = i64> {
    const HOUR: i64 = 3_600_000_000;
    // 2024-03-10, 2024-03-31, 2024-10-27, 2024-11-03, 2011-12-30 and 1972-06-30.
    let days = prop::sample::select(vec![8_835_i64, 8_856, 9_066, 9_073, 4_381, -10_046]);
    prop_oneof![
        (days, -6 * HOUR..30 * HOUR).prop_map(|(day, offset)| day * 24 * HOUR + offset),
        -40 * 8_766 * HOUR..200 * 8_766 * HOUR,
    ]
}

fn insert(client: &mut Client, zone: &str, times: &[i64]) {
    let zone = format!("SET TimeZone = '{zone}'");
    client.batch_execute(&zone).unwrap();
    client
        .execute(
            "INSERT INTO event (at) SELECT '2000-01-01'::timestamp + make_interval(secs => t / 1000000) \
                                           + (t % 1000000) * interval '1 microsecond' FROM unnest($1::bigint[]) AS t",
            &[&times],
        )
        .unwrap();
}

#[test]
fn local_times_give_the_same_keys_in_every_time_zone() {
    let server = start(&[]);
    let mut client = server.connect(DATABASE).unwrap();
    client.batch_execute("CREATE EXTENSION pg_keyspace").unwrap();
    let zones: Vec<String> = client
        .query("SELECT name FROM pg_timezone_names WHERE name ~ '^[A-Z][A-Za-z]+/' AND name !~ '^(posix|right)' ORDER BY 1", &[])
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert!(zones.len() > 300, "{} zones", zones.len());
    let zone = || prop::sample::select(zones.clone());
    let times = || prop::collection::vec(local_time(), ROWS);
    let input = (zone(), [zone(), zone(), zone()], times(), times());
    let client = std::cell::RefCell::new(client);
    let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
    runner
        .run(&input, |(zone, sessions, old, new)| {
            let client = &mut *client.borrow_mut();
            client
                .batch_execute(
                    "CREATE TABLE event (id bigserial PRIMARY KEY, at timestamp NOT NULL);
                     CREATE TABLE part (id bigserial PRIMARY KEY, event_id bigint NOT NULL REFERENCES event)",
                )
                .unwrap();
            insert(client, &sessions[0], &old);
            client
                .execute("SELECT key_migration_create('event', 'at', time_zone => $1)", &[&zone])
                .unwrap();
            client.batch_execute("CALL key_migration_advance('event', through => 'prepared')").unwrap();
            insert(client, &sessions[1], &new);
            // These derive the keys of rows that have none yet.
            client.batch_execute("INSERT INTO part (event_id) SELECT id FROM event ORDER BY id").unwrap();
            client.batch_execute(&format!("SET TimeZone = '{}'", sessions[2])).unwrap();
            client.batch_execute("CALL key_migration_advance('event', through => 'backfilled')").unwrap();
            let expected = format!("key_migration_uuid(e.at AT TIME ZONE '{zone}', e.id, 'public.event')");
            let wrong = number(
                client,
                &format!(
                    "SELECT count(*) FROM event e WHERE e.id_new IS DISTINCT FROM {expected}"
                ),
            );
            let parts = number(
                client,
                &format!(
                    "SELECT count(*) FROM event e JOIN part p ON p.event_id = e.id WHERE p.event_id_new = {expected}"
                ),
            );
            let changed = number(
                client,
                "SELECT coalesce(sum(row_count), 0)::bigint FROM key_migration_verify('event') \
                 WHERE check_name IN ('rows changed since', 'other than referenced')",
            );
            client.batch_execute("CALL key_migration_rollback('event')").unwrap();
            client.batch_execute("DROP TABLE part, event").unwrap();
            prop_assert_eq!((wrong, parts, changed), (0, 2 * ROWS as i64, 0), "{} {:?}", zone, sessions);
            Ok(())
        })
        .unwrap();
}
