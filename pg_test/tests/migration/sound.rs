//! The backfill is sound next to other writers: the heap, its indexes and the decoded changes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use pg_test::Server;
use pg_test::load::{self, Session, Stop, Turn};
use postgres::Client;
use postgres::error::SqlState;

use crate::{DATABASE, number, run_statements, start, wrong};

/// The number of seconds with REPLICA IDENTITY DEFAULT; a third of it with FULL.
const SECONDS_VARIABLE: &str = "PG_KEYSPACE_SOUND_SECONDS";
const SECONDS: u64 = 8;
const ROWS: u64 = 6_000;
const SLOT: &str = "sound";

fn seconds() -> u64 {
    std::env::var(SECONDS_VARIABLE).map_or(SECONDS, |seconds| seconds.parse().unwrap())
}

#[test]
fn rows_indexes_and_decoded_changes_agree_next_to_other_writers() {
    run("DEFAULT", Duration::from_secs(seconds()));
}

#[test]
fn the_same_with_whole_rows_as_replica_identity() {
    run("FULL", Duration::from_secs(seconds().div_ceil(3)));
}

fn make_tables(client: &mut Client, identity: &str) {
    client
        .batch_execute(&format!(
            "CREATE EXTENSION pg_keyspace;
             CREATE EXTENSION amcheck;
             CREATE TABLE orders (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now(), code text UNIQUE,
                 total integer, twice bigint GENERATED ALWAYS AS (total::bigint * 2) STORED, note text);
             CREATE TABLE audit (no bigserial PRIMARY KEY, order_id bigint REFERENCES orders, what text);
             CREATE INDEX orders_total ON orders (total);
             CREATE INDEX orders_odd ON orders (total) WHERE total % 2 = 1;
             CREATE INDEX orders_next ON orders ((total + 1));
             CREATE INDEX orders_time ON orders USING brin (created_at);
             CREATE INDEX audit_order ON audit (order_id);
             ALTER TABLE orders REPLICA IDENTITY {identity};
             ALTER TABLE audit REPLICA IDENTITY {identity};
             INSERT INTO orders (created_at, code, total, note)
                 SELECT '2024-01-01'::timestamptz + i * interval '1 second', 'c' || i, i, CASE WHEN i % 50 = 0 THEN repeat(md5(i::text), 200) END
                 FROM generate_series(1, {ROWS}) AS i;
             INSERT INTO audit (order_id, what) SELECT i % {ROWS} + 1, repeat('x', 40) FROM generate_series(1, 2 * {ROWS}) AS i"
        ))
        .unwrap();
    client.batch_execute("VACUUM ANALYZE").unwrap();
    let slot = format!("SELECT pg_create_logical_replication_slot('{SLOT}', 'test_decoding')");
    client.batch_execute(&slot).unwrap();
}

/// The statements of the other sessions; `{n}` is a random number.
const OTHERS: [&str; 8] = [
    "UPDATE orders SET total = total + 1 WHERE id = {n}",
    "INSERT INTO orders (id, code, total) VALUES ({n}, 'c{n}', 1) ON CONFLICT (id) DO UPDATE SET note = 'again'",
    "BEGIN; SELECT FROM orders WHERE id = {n} FOR KEY SHARE; SELECT pg_sleep(0.002); COMMIT",
    "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT sum(total) FROM orders WHERE id BETWEEN {n} AND {n} + 20; \
     UPDATE orders SET total = total - 1 WHERE id = {n}; COMMIT",
    "INSERT INTO audit (order_id, what) SELECT id, 'new' FROM orders WHERE id = {n}",
    "UPDATE audit SET order_id = (SELECT id FROM orders WHERE id = {n}) WHERE no = {n}",
    "DELETE FROM audit WHERE no = {n} * 2",
    "BEGIN; UPDATE orders SET note = 'gone' WHERE id = {n}; SAVEPOINT a; UPDATE orders SET total = 0 WHERE id = {n}; ROLLBACK",
];

/// The concurrent maintenance.
const MAINTENANCE: [&str; 5] = [
    "VACUUM orders, audit",
    "REINDEX INDEX CONCURRENTLY orders_total",
    "DROP INDEX IF EXISTS orders_more",
    "CREATE INDEX CONCURRENTLY orders_more ON orders (total, code)",
    "REINDEX INDEX CONCURRENTLY orders_next",
];

fn run(identity: &str, time: Duration) {
    let server = start(&["wal_level = logical", "autovacuum = off", "max_locks_per_transaction = 256"]);
    let mut client = server.connect(DATABASE).unwrap();
    make_tables(&mut client, identity);
    let mut decoded = Decoded::default();
    decoded.start(&mut client);
    let mut sessions: Vec<Session<'_, Turn<bool>>> = vec![Box::new(|stop| maintain(&server, stop))];
    for seed in 1..=4 {
        let server = &server;
        sessions.push(Box::new(move |stop| write(server, seed, stop)));
    }
    let until = Instant::now() + time;
    let (written, rounds) = load::alongside(sessions, || {
        let mut rounds = 0;
        while Instant::now() < until || rounds == 0 {
            migrate(&mut client, rounds > 0);
            rounds += 1;
        }
        Ok(rounds)
    })
    .unwrap();
    let committed = written.iter().filter(|turn| turn.result).count();
    assert!(committed > 100, "{committed} transactions of others");
    assert_eq!(wrong(&mut client), Vec::<String>::new(), "after {rounds} rounds");
    check_storage(&mut client);
    decoded.read(&mut client);
    decoded.compare(&mut client);
}

/// Begins a migration and fills all rows, in small batches.
fn migrate(client: &mut Client, again: bool) {
    if again {
        client.batch_execute("CALL key_migration_rollback('orders')").unwrap();
    }
    for statement in [
        "SELECT key_migration_create('orders')",
        "SELECT key_migration_set('orders', batch_pages => 2, retries => 1000)",
        "CALL key_migration_advance('orders', through => 'prepared')",
    ] {
        client.batch_execute(statement).unwrap();
    }
    run_statements(client, "backfilled").unwrap();
}

/// Executes statements of `OTHERS` at random. The result of a turn is whether it was committed.
fn write(server: &Server, seed: u64, stop: &Stop) -> Result<Vec<Turn<bool>>> {
    let mut client = server.connect(DATABASE)?;
    let mut chance = seed;
    load::paced(stop, Duration::ZERO, (0, 1), || {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let statement = OTHERS[usize::try_from(chance >> 33).unwrap() % OTHERS.len()];
        let number = (chance >> 17) % (ROWS + ROWS / 10) + 1;
        let Err(error) = client.batch_execute(&statement.replace("{n}", &number.to_string())) else {
            return Ok(true);
        };
        let expected = [
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::T_R_DEADLOCK_DETECTED,
            // INSERT ... ON CONFLICT names the other index.
            SqlState::UNIQUE_VIOLATION,
        ];
        assert!(error.code().is_some_and(|code| expected.contains(code)), "{statement}: {error:?}");
        client.batch_execute("ROLLBACK")?;
        Ok(false)
    })
}

/// Executes the statements of `MAINTENANCE` in turn.
fn maintain(server: &Server, stop: &Stop) -> Result<Vec<Turn<bool>>> {
    let mut client = server.connect(DATABASE)?;
    for statement in MAINTENANCE.iter().cycle() {
        // Next to the DDL of the migration, one of the two may become the victim of a deadlock.
        if let Err(error) = client.batch_execute(statement) {
            assert!(error.code() == Some(&SqlState::T_R_DEADLOCK_DETECTED), "{statement}: {error:?}");
        }
        // The pause lets the migration acquire its locks.
        if stop.wait(Duration::from_millis(100)) {
            break;
        }
    }
    Ok(Vec::new())
}

/// The heap is intact, and each index agrees with a scan of the heap.
fn check_storage(client: &mut Client) {
    // Indexes that REINDEX left when it was the victim of a deadlock.
    let invalid = "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid AND indrelid::regclass::text IN ('orders', 'audit')";
    for row in client.query(invalid, &[]).unwrap() {
        client.batch_execute(&format!("DROP INDEX {}", row.get::<_, String>(0))).unwrap();
    }
    let corrupt = client
        .query("SELECT c.relname::text, v.blkno, v.msg FROM pg_class AS c CROSS JOIN LATERAL verify_heapam(c.oid) AS v \
                WHERE c.relname IN ('orders', 'audit') AND c.relkind = 'r'", &[])
        .unwrap();
    let corrupt: Vec<String> = corrupt
        .iter()
        .map(|row| {
            format!("{} {}: {}", row.get::<_, String>(0), row.get::<_, i64>(1), row.get::<_, String>(2))
        })
        .collect();
    assert_eq!(corrupt, Vec::<String>::new());
    let trees = "SELECT count(bt_index_check(i.indexrelid, true)::text) FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid \
                 JOIN pg_am AS m ON m.oid = c.relam WHERE m.amname = 'btree' AND i.indrelid IN ('orders'::regclass, 'audit'::regclass)";
    assert!(number(client, trees) >= 6);
    for (query, what) in [
        ("SELECT count(*) FROM orders WHERE total BETWEEN 100 AND 900", "total"),
        ("SELECT count(*) FROM orders WHERE total % 2 = 1 AND total BETWEEN 100 AND 900", "a condition"),
        ("SELECT count(*) FROM orders WHERE total + 1 BETWEEN 100 AND 900", "an expression"),
        ("SELECT count(*) FROM orders WHERE created_at < '2024-01-01 01:00'", "time"),
        ("SELECT count(*) FROM audit WHERE order_id BETWEEN 100 AND 900", "the reference"),
    ] {
        let by = |client: &mut Client, setting: &str| {
            client.batch_execute(&format!("SET {setting} = off")).unwrap();
            let found = number(client, query);
            client.batch_execute(&format!("RESET {setting}")).unwrap();
            found
        };
        let by_index = by(client, "enable_seqscan");
        client.batch_execute("SET enable_indexscan = off; SET enable_indexonlyscan = off").unwrap();
        let by_scan = by(client, "enable_bitmapscan");
        client.batch_execute("RESET enable_indexscan; RESET enable_indexonlyscan").unwrap();
        assert_eq!(by_index, by_scan, "by {what}");
    }
}

/// The rows of orders that a subscriber would have.
#[derive(Default)]
struct Decoded {
    rows: BTreeMap<i64, BTreeMap<String, String>>,
}

impl Decoded {
    /// The rows that existed before the first change was decoded.
    fn start(&mut self, client: &mut Client) {
        let query = "SELECT id, total::text, code FROM orders";
        for row in client.query(query, &[]).unwrap() {
            let (id, total, code): (i64, Option<String>, Option<String>) =
                (row.get(0), row.get(1), row.get(2));
            let columns = [("total", total), ("code", code)]
                .map(|(name, value)| (name.to_owned(), value.unwrap_or_else(|| "null".to_owned())));
            self.rows.insert(id, BTreeMap::from(columns));
        }
    }

    fn read(&mut self, client: &mut Client) {
        // Asynchronous commits are decoded after they are flushed.
        client.batch_execute("CHECKPOINT").unwrap();
        let query = "SELECT data FROM pg_logical_slot_get_changes($1, NULL, NULL, 'include-xids', 'off', 'skip-empty-xacts', 'on') \
                     WHERE data LIKE 'table public.orders:%'";
        for row in client.query(query, &[&SLOT]).unwrap() {
            self.apply(row.get(0));
        }
    }

    /// Applies a line of test_decoding, which ends with the new row.
    fn apply(&mut self, line: &str) {
        let (action, rest) = line.trim_start_matches("table public.orders: ").split_once(": ").unwrap();
        let new = rest.rsplit_once("new-tuple: ").map_or(rest, |(_, new)| new);
        let value = |name: &str| {
            let start = new.find(&format!("{name}[")).map(|at| at + name.len())?;
            let value = new[start..].split_once("]:")?.1;
            let value = match value.strip_prefix('\'') {
                Some(quoted) => quoted.split_once('\'')?.0,
                None => value.split(' ').next().unwrap_or(value),
            };
            Some(value.to_owned())
        };
        let id: i64 = value("id").unwrap().parse().unwrap();
        match action {
            "INSERT" | "UPDATE" => {
                let row = self.rows.entry(id).or_default();
                for name in ["total", "code", "id_new", "twice"] {
                    if let Some(value) = value(name) {
                        row.insert(name.to_owned(), value);
                    }
                }
            }
            "DELETE" => {
                self.rows.remove(&id);
            }
            other => panic!("{other}: {line}"),
        }
    }

    fn compare(&self, client: &mut Client) {
        let query = "SELECT id, total::text, code, id_new::text, twice::text FROM orders";
        let table = client.query(query, &[]).unwrap();
        assert_eq!(table.len(), self.rows.len());
        for row in table {
            let id: i64 = row.get(0);
            let decoded = &self.rows[&id];
            for (at, name) in ["total", "code", "id_new"].into_iter().enumerate() {
                let value = row.get::<_, Option<String>>(at + 1).unwrap_or_else(|| "null".to_owned());
                assert_eq!(decoded.get(name), Some(&value), "{name} of {id}");
            }
        }
    }
}
