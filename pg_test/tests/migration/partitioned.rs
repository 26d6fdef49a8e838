//! Partitioned tables that refer to a key, while others write and partitions come and go.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use pg_test::Server;
use pg_test::load::{self, Count, Session, Stop, Turn};
use postgres::Client;
use postgres::error::SqlState;
use rand::RngExt;

use crate::{DATABASE, number, phase, run_statements, start, wrong};

/// The tag of each acknowledged row, with that of the order that it refers to; none if it was removed.
type Ledger = Vec<(i64, Option<i64>)>;

/// The days that writers write to; the last ones are those of the default partition.
const DAYS: i64 = 400;
/// The number of orders at the beginning. They have the tags -1, -2 and so on.
const ORDERS: i64 = 2_000;
/// The end of the names of the indexes of a partition.
const NAMES: [&str; 3] = ["order_id_day_tag_key", "other_idx", "tag_idx"];

fn make_tables(client: &mut Client) {
    client
        .batch_execute(&format!(
            "CREATE EXTENSION pg_keyspace;
             CREATE TABLE orders (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now(), tag bigint);
             CREATE INDEX ON orders (tag);
             CREATE TABLE visit (day integer NOT NULL, tag bigint, note text,
                                 order_id bigint NOT NULL REFERENCES orders, other bigint REFERENCES orders ON DELETE SET NULL,
                                 UNIQUE (order_id, day, tag)) PARTITION BY RANGE (day);
             CREATE TABLE visit_0 PARTITION OF visit FOR VALUES FROM (0) TO (100);
             CREATE TABLE visit_1 PARTITION OF visit FOR VALUES FROM (100) TO (200) PARTITION BY HASH (tag);
             CREATE TABLE visit_1_0 PARTITION OF visit_1 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
             CREATE TABLE visit_1_1 PARTITION OF visit_1 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
             CREATE TABLE odd (note text, gone text, other bigint, order_id bigint NOT NULL, tag bigint, day integer NOT NULL);
             ALTER TABLE odd DROP COLUMN gone;
             ALTER TABLE visit ATTACH PARTITION odd FOR VALUES FROM (200) TO (300);
             CREATE TABLE visit_rest PARTITION OF visit DEFAULT;
             CREATE INDEX ON visit (tag);
             CREATE INDEX visit_other ON visit (other) WHERE other IS NOT NULL;
             INSERT INTO orders (created_at, tag)
                 SELECT '2024-01-01'::timestamptz + i * interval '1 second', -i FROM generate_series(1, {ORDERS}) AS i;
             INSERT INTO visit (day, tag, order_id, other, note)
                 SELECT i % {DAYS}, -i, i % {ORDERS} + 1, i % 100 + 1, repeat('x', 50) FROM generate_series(1, 5 * {ORDERS}) AS i;
             ANALYZE"
        ))
        .unwrap();
}

/// The rows that exist before the writers begin.
fn rows_before() -> Ledger {
    (1..=5 * ORDERS).map(|i| (-i, Some(-(i % ORDERS + 1)))).collect()
}

/// Writes until it has to stop, and records what the server has acknowledged. The statements mean the
/// same before and after a cut-over, and none of them may fail.
fn write(server: &Server, stop: &Stop, written: &Count, writer: i64) -> Result<Vec<Turn<Ledger>>> {
    let mut client = server.connect(DATABASE)?;
    let mut random = rand::rng();
    let mut next = writer * 1_000_000;
    let mut own: BTreeMap<i64, i64> = BTreeMap::new();
    load::paced(stop, Duration::from_millis(1), (0, 1), || {
        next += 1;
        let (tag, day) = (next, random.random_range(0..DAYS + 50));
        let other = own.keys().nth(random.random_range(0..own.len().max(1))).copied();
        let (statement, row, order) = match (random.random_range(0..6), other) {
            // To another partition.
            (0, Some(other)) => {
                (format!("UPDATE visit SET day = {day} WHERE tag = {other}"), other, own.get(&other).copied())
            }
            (1, Some(other)) => {
                let order = -random.random_range(1..=ORDERS);
                let to = format!("(SELECT id FROM orders WHERE tag = {order})");
                // Both at once, or only one of the two.
                let day =
                    if random.random_range(0..2) == 0 { format!(", day = {day}") } else { String::new() };
                (format!("UPDATE visit SET order_id = {to}{day} WHERE tag = {other}"), other, Some(order))
            }
            (2, Some(other)) => (format!("DELETE FROM visit WHERE tag = {other}"), other, None),
            (3, _) => {
                let order = -random.random_range(1..=ORDERS);
                let from = format!("SELECT {day}, {tag}, id, id FROM orders WHERE tag = {order}");
                (format!("INSERT INTO visit (day, tag, order_id, other) {from}"), tag, Some(order))
            }
            _ => (
                format!(
                    "WITH o AS (INSERT INTO orders (tag) VALUES ({tag}) RETURNING id) \
                     INSERT INTO visit (day, tag, order_id) SELECT {day}, {tag}, id FROM o"
                ),
                tag,
                Some(tag),
            ),
        };
        client
            .batch_execute(&statement)
            .unwrap_or_else(|error| panic!("{statement}: {:?}", error.as_db_error()));
        match order {
            Some(order) => own.insert(row, order),
            None => own.remove(&row),
        };
        written.add();
        Ok(vec![(row, order)])
    })
}

/// Runs DDL that writers may be in the way of, as somebody does who does not want to block them.
pub(crate) fn patiently(client: &mut Client, statements: &str) {
    client.batch_execute("SET lock_timeout = '100ms'").unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while let Err(error) = client.batch_execute(statements) {
        assert_eq!(error.code(), Some(&SqlState::LOCK_NOT_AVAILABLE), "{statements}: {error:?}");
        assert!(Instant::now() < deadline, "{statements}: {error:?}");
    }
    client.batch_execute("RESET lock_timeout").unwrap();
}

/// Partitions that come and go, in days that the writers leave alone.
struct Comings {
    count: i64,
    tables: Vec<String>,
    rows: Ledger,
}

impl Comings {
    /// The first day of the next partition, and its rows as SQL.
    fn next(&mut self) -> (i64, String) {
        self.count += 1;
        let (day, tag) = (1_000 * self.count, 100_000_000 + self.count * 1_000);
        self.rows.extend((1..=50).map(|i| (tag + i, Some(-i))));
        (
            day,
            format!(
                "SELECT {day} + i, {tag} + i, o.id FROM generate_series(1, 50) AS i JOIN orders AS o ON o.tag = -i"
            ),
        )
    }

    /// Creates a partition.
    fn create(&mut self, client: &mut Client) {
        let (day, rows) = self.next();
        self.tables.push(format!("created_{day}"));
        patiently(
            client,
            &format!(
                "CREATE TABLE created_{day} PARTITION OF visit FOR VALUES FROM ({day}) TO ({day} + 1000)"
            ),
        );
        client.batch_execute(&format!("INSERT INTO visit (day, tag, order_id) {rows}")).unwrap();
    }

    /// Attaches a table with rows that have no keys.
    fn attach(&mut self, client: &mut Client) {
        let (day, rows) = self.next();
        self.tables.push(format!("attached_{day}"));
        client
            .batch_execute(&format!(
                "CREATE TABLE attached_{day} (gone text, LIKE visit INCLUDING DEFAULTS);
                 ALTER TABLE attached_{day} DROP COLUMN gone;
                 INSERT INTO attached_{day} (day, tag, order_id) {rows}"
            ))
            .unwrap();
        let bounds = format!("FOR VALUES FROM ({day}) TO ({day} + 1000)");
        patiently(client, &format!("ALTER TABLE visit ATTACH PARTITION attached_{day} {bounds}"));
        // And away and back.
        patiently(client, &format!("ALTER TABLE visit DETACH PARTITION attached_{day}"));
        patiently(client, &format!("ALTER TABLE visit ATTACH PARTITION attached_{day} {bounds}"));
    }

    /// Creates a partition, and drops it.
    fn drop(client: &mut Client) {
        patiently(client, "CREATE TABLE dropped PARTITION OF visit FOR VALUES FROM (900000) TO (900001)");
        patiently(client, "DROP TABLE dropped");
    }
}

/// What a dump would say about the partitioned table and its partitions, without names of columns.
fn objects(client: &mut Client) -> Vec<String> {
    let query = "SELECT format('%s %s %s', conrelid::regclass, conname, convalidated) FROM pg_constraint \
                 WHERE contype IN ('f', 'u', 'c') AND conrelid <> 'orders'::regclass AND conrelid <> 0 \
                   AND connamespace = 'public'::regnamespace \
                 UNION ALL SELECT format('%s %s', indexrelid::regclass, indisvalid) FROM pg_index \
                 WHERE indrelid IN (SELECT relid FROM pg_partition_tree('visit')) ORDER BY 1";
    client.query(query, &[]).unwrap().iter().map(|row| row.get(0)).collect()
}

#[test]
fn partitions_come_and_go_while_others_write() {
    let server =
        start(&["synchronous_commit = off", "max_connections = 30", "max_locks_per_transaction = 256"]);
    let mut client = server.connect(DATABASE).unwrap();
    make_tables(&mut client);
    let before = objects(&mut client);
    client.batch_execute("SELECT key_migration_create('orders')").unwrap();
    client.batch_execute("SELECT key_migration_set('orders', batch_pages => 8, retries => 1000)").unwrap();
    let written = Count::default();
    let writer = |number: i64| -> Session<'_, Turn<Ledger>> {
        let (server, written) = (&server, &written);
        Box::new(move |stop| write(server, stop, written, number))
    };
    let mut comings = Comings { count: 0, tables: Vec::new(), rows: rows_before() };
    let (ledgers, ()) = load::alongside(vec![writer(1), writer(2)], || {
        for through in ["prepared", "backfilled", "indexed", "validated", "verified"] {
            run_statements(&mut client, through).unwrap();
            written.wait_for(written.get() + 50)?;
            comings.create(&mut client);
            if ["prepared", "backfilled", "indexed"].contains(&through) {
                comings.attach(&mut client);
            }
            Comings::drop(&mut client);
        }
        for _ in 0..2 {
            run_statements(&mut client, "verified").unwrap();
            assert_eq!(phase(&mut client), "verified");
            client.batch_execute("CALL key_migration_cutover('orders')").unwrap();
            written.wait_for(written.get() + 100)?;
            comings.create(&mut client);
            Comings::drop(&mut client);
            client.batch_execute("CALL key_migration_rollback('orders')").unwrap();
            written.wait_for(written.get() + 100)?;
        }
        run_statements(&mut client, "verified").unwrap();
        client.batch_execute("CALL key_migration_cutover('orders')").unwrap();
        written.wait_for(written.get() + 100)?;
        comings.create(&mut client);
        assert_eq!(wrong(&mut client), Vec::<String>::new());
        client.batch_execute("CALL key_migration_finalize('orders', confirm => 'orders')").unwrap();
        written.wait_for(written.get() + 100)
    })
    .unwrap();
    // Every row that was acknowledged is there, and refers to the row that it referred to.
    let mut expected: BTreeMap<i64, Option<i64>> = comings.rows.into_iter().collect();
    expected.extend(ledgers.into_iter().flat_map(|turn| turn.result));
    expected.retain(|_, order| order.is_some());
    let rows =
        "SELECT v.tag, o.tag FROM visit AS v LEFT JOIN orders AS o ON o.id = v.order_id ORDER BY v.tag";
    let found: Vec<(i64, Option<i64>)> =
        client.query(rows, &[]).unwrap().iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
    let lost = "SELECT count(*) FROM visit AS v WHERE other IS NOT NULL AND NOT EXISTS (SELECT FROM orders AS o WHERE o.id = v.other)";
    assert_eq!(number(&mut client, lost), 0);
    // Constraints and indexes have the names that they had, on each partition.
    let after = objects(&mut client);
    let is_new = |line: &&String| line.contains("created_") || line.contains("attached_");
    let kept: Vec<&String> = after.iter().filter(|line| !is_new(line)).collect();
    assert_eq!(kept, before.iter().collect::<Vec<_>>());
    // So have those of partitions that came meanwhile, as PostgreSQL names them after the columns.
    let of_migration =
        |line: &&String| !line.ends_with(" t") || line.contains("_old") || line.contains("_new");
    assert_eq!(after.iter().filter(of_migration).collect::<Vec<_>>(), Vec::<&String>::new());
    for (table, name) in comings.tables.iter().flat_map(|table| NAMES.map(|name| (table, name))) {
        let line = format!("{table}_{name} t");
        assert!(after.contains(&line), "{line} is not in {after:#?}");
    }
    assert!(written.get() > 1_000, "{written:?}");
}

#[test]
fn trap_m19_statements_that_use_a_partition_by_its_name_are_found() {
    let server = start(&["shared_preload_libraries = 'pg_stat_statements'", "compute_query_id = on"]);
    let mut client = server.connect(DATABASE).unwrap();
    client.batch_execute("CREATE EXTENSION pg_stat_statements").unwrap();
    make_tables(&mut client);
    client.batch_execute("SELECT key_migration_create('orders')").unwrap();
    client.query("SELECT count(order_id) FROM visit_1_0", &[]).unwrap();
    client.query("SELECT count(other) FROM odd", &[]).unwrap();
    client.query("SELECT count(tag) FROM visit_1_1", &[]).unwrap();
    let uses = "SELECT format('%s %s: %s', table_name, column_name, used_by) FROM key_migration_usage('orders') \
                WHERE kind = 'statement' AND used_by LIKE 'SELECT count%' ORDER BY 1";
    let found: Vec<String> = client.query(uses, &[]).unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(
        found,
        [
            "odd other: SELECT count(other) FROM odd",
            "visit_1_0 order_id: SELECT count(order_id) FROM visit_1_0"
        ]
    );
}
