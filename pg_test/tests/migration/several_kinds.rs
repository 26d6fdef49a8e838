//! References of several kinds of rows, and references in which a value means none, that are migrated
//! while others write.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use pg_test::Server;
use pg_test::load::{self, Count, Session, Stop, Turn};
use rand::RngExt;

use crate::{DATABASE, number, run_statements, start, wrong};

const ORDERS: u32 = 1_000;

/// What the server has acknowledged of an order: whether its note is one of an order, and whether its log
/// refers to it.
type Ledger = (i64, bool, bool);

/// The old id of an order, under either name.
const OLD_ID: &str = "coalesce(to_jsonb(o) ->> 'id_old', to_jsonb(o) ->> 'id')::bigint";

/// Writes until it has to stop. The statements mean the same before and after a cut-over, and none of them
/// may fail.
fn write(server: &Server, stop: &Stop, written: &Count, writer: i64) -> Result<Vec<Turn<Ledger>>> {
    let mut client = server.connect(DATABASE)?;
    let mut random = rand::rng();
    let mut next = writer * 1_000_000;
    let mut own: Vec<Ledger> = Vec::new();
    let insert = format!(
        "WITH o AS (INSERT INTO orders (tag) VALUES ($1) RETURNING *), \
         n AS (INSERT INTO notes (record_type, record_id, tag) SELECT 'Order', {OLD_ID}, tag FROM o) \
         INSERT INTO log (order_id, tag) SELECT id, tag FROM o"
    );
    load::paced(stop, Duration::from_millis(1), (0, 1), || {
        let place = random.random_range(0..own.len().max(1));
        let (statement, after) = match (random.random_range(0..5), own.get(place).copied()) {
            (0, Some((tag, is_order, refers))) => {
                let kind = if is_order { "Customer" } else { "Order" };
                let statement = format!("UPDATE notes SET record_type = '{kind}' WHERE tag = $1");
                (statement, (tag, !is_order, refers))
            }
            // The default means none.
            (1, Some((tag, is_order, _))) => {
                ("UPDATE log SET order_id = DEFAULT WHERE tag = $1".to_owned(), (tag, is_order, false))
            }
            (2, Some((tag, is_order, _))) => (
                "UPDATE log SET order_id = o.id FROM orders AS o WHERE o.tag = $1 AND log.tag = $1".to_owned(),
                (tag, is_order, true),
            ),
            (3, Some((tag, is_order, refers))) => (
                "WITH n AS (UPDATE notes SET text = 'again' WHERE tag = $1) UPDATE log SET text = 'again' WHERE tag = $1"
                    .to_owned(),
                (tag, is_order, refers),
            ),
            _ => {
                next += 1;
                own.push((next, true, true));
                (insert.clone(), (next, true, true))
            }
        };
        if let Err(error) = client.execute(&statement, &[&after.0]) {
            panic!("{statement}: {:?}", error.as_db_error());
        }
        own.iter_mut().filter(|one| one.0 == after.0).for_each(|one| *one = after);
        written.add();
        Ok(after)
    })
}

/// The differences between what was acknowledged and what is there, while both columns are.
const DIFFERENCES: &str = "
    SELECT count(*) FROM acknowledged AS a
    JOIN orders AS o ON o.tag = a.tag
    LEFT JOIN notes AS n ON n.tag = a.tag
    LEFT JOIN log AS l ON l.tag = a.tag
    WHERE n.record_id IS DISTINCT FROM o.id_old
       OR (n.record_type = 'Order') IS DISTINCT FROM a.is_order
       OR n.record_id_new IS DISTINCT FROM CASE WHEN a.is_order THEN o.id END
       OR l.order_id IS DISTINCT FROM CASE WHEN a.refers THEN o.id END
       OR l.order_id_old IS DISTINCT FROM CASE WHEN a.refers THEN o.id_old ELSE 0 END";

#[test]
fn fault_c10_references_of_several_kinds_while_others_write() {
    let server = start(&["synchronous_commit = off", "max_connections = 30"]);
    let mut client = server.connect(DATABASE).unwrap();
    client
        .batch_execute(&format!(
            "CREATE EXTENSION pg_keyspace;
             CREATE TABLE orders (id bigserial PRIMARY KEY, tag bigint, created_at timestamptz NOT NULL DEFAULT clock_timestamp());
             CREATE TABLE notes (no bigserial PRIMARY KEY, record_type text NOT NULL, record_id bigint NOT NULL, tag bigint, text text);
             CREATE TABLE log (no bigserial PRIMARY KEY, order_id bigint NOT NULL DEFAULT 0, tag bigint, text text);
             CREATE INDEX ON notes (record_type, record_id);
             CREATE INDEX ON log (order_id);
             CREATE INDEX ON orders (tag);
             CREATE INDEX ON notes (tag);
             CREATE INDEX ON log (tag);
             INSERT INTO orders (created_at) SELECT '2024-01-01'::timestamptz + i * interval '1 minute' FROM generate_series(1, {ORDERS}) AS i;
             INSERT INTO notes (record_type, record_id)
                 SELECT (ARRAY['Order', 'Customer'])[n], id FROM orders CROSS JOIN generate_series(1, 2) AS n;
             INSERT INTO log (order_id) SELECT CASE n WHEN 1 THEN id ELSE 0 END FROM orders CROSS JOIN generate_series(1, 2) AS n;
             ANALYZE;
             SELECT key_migration_create('orders');
             SELECT key_migration_add_reference('orders', 'notes', '{{record_id}}', type_column => 'record_type', type_values => '{{Order}}');
             SELECT key_migration_add_reference('orders', 'log', '{{order_id}}', null_values => '{{0}}')"
        ))
        .unwrap();
    let written = Count::default();
    let writer = |number: i64| -> Session<'_, Turn<Ledger>> {
        let (server, written) = (&server, &written);
        Box::new(move |stop| write(server, stop, written, number))
    };
    let (ledgers, ()) = load::alongside(vec![writer(1), writer(2), writer(3)], || {
        written.wait_for(100)?;
        for round in 0..2 {
            run_statements(&mut client, "verified")?;
            client.batch_execute("CALL key_migration_cutover('orders')")?;
            written.wait_for(written.get() + 200)?;
            assert_eq!(wrong(&mut client), Vec::<String>::new(), "round {round}");
            client.batch_execute("CALL key_migration_rollback('orders')")?;
            written.wait_for(written.get() + 200)?;
            assert_eq!(wrong(&mut client), Vec::<String>::new(), "round {round}");
        }
        run_statements(&mut client, "verified")?;
        client.batch_execute("CALL key_migration_cutover('orders')")?;
        written.wait_for(written.get() + 500)
    })
    .unwrap();
    assert_eq!(wrong(&mut client), Vec::<String>::new());
    let mut expected: BTreeMap<i64, Ledger> = BTreeMap::new();
    for turn in ledgers {
        expected.insert(turn.result.0, turn.result);
    }
    client
        .batch_execute("CREATE TEMP TABLE acknowledged (tag bigint, is_order boolean, refers boolean)")
        .unwrap();
    for (tag, is_order, refers) in expected.values() {
        client.execute("INSERT INTO acknowledged VALUES ($1, $2, $3)", &[tag, is_order, refers]).unwrap();
    }
    assert_eq!(number(&mut client, DIFFERENCES), 0);
    let all = i64::try_from(expected.len()).unwrap();
    assert!(all > 50, "{all} orders");
    assert_eq!(number(&mut client, "SELECT count(*) FROM orders WHERE tag IS NOT NULL"), all);
    // Rows from before: as many of either kind, and each with the right columns.
    let before = "SELECT count(*) FROM notes AS n LEFT JOIN orders AS o ON o.id = n.record_id_new \
                  WHERE n.tag IS NULL AND o.id_old IS NOT DISTINCT FROM CASE n.record_type WHEN 'Order' THEN n.record_id END";
    assert_eq!(number(&mut client, before), 2 * i64::from(ORDERS));
    client.batch_execute("CALL key_migration_finalize('orders', confirm => 'orders')").unwrap();
    let after = "SELECT count(*) FROM notes WHERE (record_type = 'Order') = (record_id_new IS NULL)";
    assert_eq!(number(&mut client, after), 0);
    assert_eq!(
        number(&mut client, "SELECT count(*) FROM log WHERE tag IS NULL AND order_id IS NULL"),
        i64::from(ORDERS)
    );
}
