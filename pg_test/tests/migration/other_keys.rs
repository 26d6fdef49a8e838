//! Keys of type `uuid` and `varchar` that are migrated while others write.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use pg_test::Server;
use pg_test::load::{self, Count, Session, Stop, Turn};
use postgres::Client;
use rand::RngExt;

use crate::{DATABASE, number, phase, run_statements, start, wrong};

/// The tag of each acknowledged order, and how many items it has; none if it was deleted.
type Ledger = (i64, Option<i64>);

const ORDERS: u32 = 2_000;

/// Writes until it has to stop, and records what the server has acknowledged. The statements mean the
/// same before and after a cut-over, and none of them may fail.
fn write(server: &Server, stop: &Stop, written: &Count, writer: i64) -> Result<Vec<Turn<Ledger>>> {
    let mut client = server.connect(DATABASE)?;
    let mut random = rand::rng();
    let mut next = writer * 1_000_000;
    let mut own: Vec<(i64, i64)> = Vec::new();
    load::paced(stop, Duration::from_millis(1), (0, 1), || {
        let place = random.random_range(0..own.len().max(1));
        let (statement, tag, items) = match (random.random_range(0..6), own.get(place).copied()) {
            (0, Some((tag, items))) => (
                "INSERT INTO items (order_id, tag) SELECT id, tag FROM orders WHERE tag = $1",
                tag,
                Some(items + 1),
            ),
            (1, Some((tag, _))) => ("DELETE FROM orders WHERE tag = $1", tag, None),
            (2, Some((tag, items))) => (
                "UPDATE items SET order_id = o.id FROM orders AS o WHERE o.tag = $1 AND items.tag = $1",
                tag,
                Some(items),
            ),
            _ => {
                next += 1;
                own.push((next, 1));
                (
                    "WITH o AS (INSERT INTO orders (tag) VALUES ($1) RETURNING id, tag) \
                     INSERT INTO items (order_id, tag) SELECT id, tag FROM o",
                    next,
                    Some(1),
                )
            }
        };
        if let Err(error) = client.execute(statement, &[&tag]) {
            panic!("{statement}: {:?}", error.as_db_error());
        }
        match items {
            Some(items) => own.iter_mut().filter(|order| order.0 == tag).for_each(|order| order.1 = items),
            None => own.retain(|order| order.0 != tag),
        }
        written.add();
        Ok((tag, items))
    })
}

fn make_tables(client: &mut Client, key: &str, value: &str) {
    client
        .batch_execute(&format!(
            "CREATE EXTENSION pg_keyspace;
             CREATE TABLE orders (id {key} DEFAULT {value} PRIMARY KEY, tag bigint,
                                  created_at timestamptz NOT NULL DEFAULT clock_timestamp());
             CREATE TABLE items (no bigserial PRIMARY KEY, tag bigint,
                                 order_id {key} NOT NULL REFERENCES orders ON UPDATE CASCADE ON DELETE CASCADE);
             CREATE INDEX ON items (order_id);
             CREATE INDEX ON orders (tag);
             CREATE INDEX ON items (tag);
             INSERT INTO orders (created_at) SELECT '2024-01-01'::timestamptz + i * interval '1 minute' FROM generate_series(1, {ORDERS}) AS i;
             INSERT INTO items (order_id) SELECT id FROM orders CROSS JOIN generate_series(1, 3);
             ANALYZE"
        ))
        .unwrap();
}

/// Migrates keys there and back again, and to the end, while three sessions write.
fn migrate(key: &str, value: &str, target: &str, derived: &str) {
    let server = start(&["synchronous_commit = off", "max_connections = 30"]);
    let mut client = server.connect(DATABASE).unwrap();
    make_tables(&mut client, key, value);
    client.batch_execute("CREATE TABLE before AS SELECT id, created_at FROM orders").unwrap();
    client.batch_execute(&format!("SELECT key_migration_create('orders', target => '{target}')")).unwrap();
    let written = Count::default();
    let writer = |number: i64| -> Session<'_, Turn<Ledger>> {
        let (server, written) = (&server, &written);
        Box::new(move |stop| write(server, stop, written, number))
    };
    let (ledgers, ()) = load::alongside(vec![writer(1), writer(2), writer(3)], || {
        written.wait_for(100)?;
        for round in 0..3 {
            run_statements(&mut client, "verified")?;
            client.batch_execute("CALL key_migration_cutover('orders')")?;
            written.wait_for(written.get() + 100)?;
            assert_eq!(wrong(&mut client), Vec::<String>::new(), "round {round}");
            client.batch_execute("CALL key_migration_rollback('orders')")?;
            assert_eq!(phase(&mut client), "verified", "round {round}");
            written.wait_for(written.get() + 100)?;
        }
        run_statements(&mut client, "verified")?;
        client.batch_execute("CALL key_migration_cutover('orders')")?;
        written.wait_for(written.get() + 500)?;
        assert_eq!(wrong(&mut client), Vec::<String>::new());
        client.batch_execute("CALL key_migration_finalize('orders', confirm => 'orders')")?;
        written.wait_for(written.get() + 100)
    })
    .unwrap();
    // Every order that was acknowledged is there with its items, and each item is with its order.
    let mut expected: BTreeMap<i64, Option<i64>> = BTreeMap::new();
    for turn in ledgers {
        expected.insert(turn.result.0, turn.result.1);
    }
    let expected: Vec<(i64, i64)> =
        expected.into_iter().filter_map(|(tag, items)| Some((tag, items?))).collect();
    let query = "SELECT o.tag, count(i.no) FROM orders AS o LEFT JOIN items AS i ON i.order_id = o.id AND i.tag = o.tag \
                 WHERE o.tag IS NOT NULL GROUP BY o.tag ORDER BY o.tag";
    let found: Vec<(i64, i64)> =
        client.query(query, &[]).unwrap().iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(found, expected);
    let all = expected.iter().map(|(_, items)| items).sum::<i64>();
    assert_eq!(number(&mut client, "SELECT count(*) FROM items WHERE tag IS NOT NULL"), all);
    // The rows from before have the keys that are derived from their old ids, and their items.
    let before = format!(
        "SELECT count(*) FROM before AS b JOIN orders AS o ON o.id = {derived} \
         WHERE (SELECT count(*) FROM items AS i WHERE i.order_id = o.id AND i.tag IS NULL) = 3"
    );
    assert_eq!(number(&mut client, &before), i64::from(ORDERS));
    assert!(written.get() > 1_000, "{written:?}");
}

#[test]
fn keys_of_type_uuid_become_uuids_of_version_7() {
    migrate(
        "uuid",
        "gen_random_uuid()",
        "uuid",
        "uuidv7_from_timestamp_hashed(b.created_at, b.id, 'public.orders')",
    );
}

#[test]
fn keys_of_type_varchar_become_ulids() {
    migrate(
        "varchar(40)",
        "'Öl-' || gen_random_uuid()::text",
        "ulid",
        "ulid_from_timestamp_hashed(b.created_at, b.id, 'public.orders')",
    );
}
