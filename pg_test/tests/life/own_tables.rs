//! The extension's own tables with contents that only a superuser can create, with the triggers
//! disabled. Whatever they contain, functions and triggers raise a clear error or continue, and the
//! server stays up.

use postgres::error::SqlState;
use rand::rngs::{ChaCha12Rng, SysRng};
use rand::seq::IndexedRandom;
use rand::{SeedableRng, TryRng};

use crate::{DATABASE, start};

/// The state in which each round begins, with rows in every table.
const GROUND: [&str; 15] = [
    "CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step; DELETE FROM keyspace_internal.key_migration;
         DELETE FROM keyspace_internal.interleaved_node; DELETE FROM keyspace_internal.interleaved_sequence;
         DELETE FROM keyspace_internal.interleaved_feed; DELETE FROM keyspace_internal.interleaved_trusted; DELETE FROM keyspace_internal.interleaved_peer;
         DELETE FROM keyspace_internal.interleaved_setup;
         DELETE FROM keyspace_internal.interleaved_acknowledgement')",
    "DROP TABLE IF EXISTS orders, audit, other CASCADE",
    "CREATE TABLE orders (id serial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now(), what text)",
    "CREATE TABLE audit (no serial PRIMARY KEY, order_id int REFERENCES orders)",
    "CREATE TABLE other (name text, since date)",
    "INSERT INTO orders (what) SELECT 'x' FROM generate_series(1, 50)",
    "INSERT INTO audit (order_id) SELECT id FROM orders",
    "CALL setup_interleaved_sequences_in_batches(1, 2, feeds => '{\"orders_id_seq\": [\"audit.order_id\"]}', trust_position => '{orders_id_seq}')",
    "SELECT interleave_new_sequences(true)",
    "SELECT acknowledge_interleaved_finding('orders_id_seq', 'unlogged', 'x')",
    "SELECT guard_interleaved_sequences(tables => '{audit}')",
    "SELECT key_migration_create('orders', target => 'ulid')",
    "CALL key_migration_advance('orders', through => 'prepared')",
    "CALL key_migration_advance('orders', through => 'backfilled', max_pages => 1)",
    "CREATE TABLE IF NOT EXISTS kept (id serial)",
];

/// The calls after each change. Those that end a transaction or change much come last.
const CALLS: [&str; 22] = [
    "SELECT * FROM interleaved_node",
    "SELECT * FROM interleaved_peers",
    "SELECT * FROM interleaved_sequences",
    "SELECT * FROM interleaved_setup_progress",
    "SELECT * FROM interleaved_acknowledgements",
    "SELECT * FROM check_interleaved_sequences()",
    "SELECT interleaved_node_state()",
    "SELECT partitioned_nextval('orders_id_seq')",
    "INSERT INTO audit (order_id) VALUES (1)",
    "CREATE TABLE fresh (id serial); DROP TABLE fresh",
    "SELECT * FROM setup_interleaved_sequences(1, 2)",
    "SELECT * FROM reset_interleaved_sequences(dry_run => true)",
    "SELECT * FROM split_interleaved_sequences(dry_run => true)",
    "SELECT * FROM key_migration_progress",
    "SELECT * FROM key_migration_log",
    "SELECT * FROM key_migration_plan('orders')",
    "SELECT * FROM key_migration_statements('orders')",
    "SELECT * FROM key_migration_usage('orders')",
    "SELECT * FROM key_migration_verify('orders')",
    "CALL key_migration_advance('orders', through => 'prepared')",
    "CALL key_migration_advance('orders', through => 'backfilled')",
    "CALL key_migration_rollback('orders')",
];

/// Values of every kind, as SQL.
const VALUES: [&str; 18] = [
    "NULL",
    "0",
    "-1",
    "1",
    "2",
    "3",
    "32767",
    "2147483647",
    "9223372036854775807",
    "-9223372036854775808",
    "'other'::regclass::oid::bigint",
    "'audit'::regclass::oid::bigint",
    "'orders_id_seq'::regclass::oid::bigint",
    "'[]'",
    "'{\"a\": 1}'",
    "'{[1,5),[9,9000000000)}'",
    "'uuid'",
    "'infinity'",
];

/// Damages that come first, since they once led to a backfill or a test without an end, or to an internal
/// error.
const KNOWN: [(&str, &str, &str); 6] = [
    ("keyspace_internal.interleaved_sequence", "former_increment", "0"),
    ("keyspace_internal.interleaved_sequence", "increment", "0"),
    ("keyspace_internal.key_migration_table", "pages", "9223372036854775807"),
    ("keyspace_internal.key_migration_table", "page", "-9223372036854775808"),
    ("keyspace_internal.key_migration_table", "behind", "'{[1,5),[9,9000000000)}'"),
    ("keyspace_internal.key_migration", "min_free_disk", "9223372036854775807"),
];

/// Columns of which a value can let a backfill wait until somebody changes it.
const WAITS: [&str; 8] = [
    "paused",
    "pause",
    "max_standby_lag",
    "max_slot_wal",
    "max_archive_files",
    "max_wal_rate",
    "min_free_disk",
    "max_overdue_tables",
];

#[test]
fn fuzz_of_our_own_tables_leaves_the_server_up() {
    let seed = match std::env::var("PG_KEYSPACE_TEST_SEED") {
        Ok(seed) => seed.parse().expect("PG_KEYSPACE_TEST_SEED is a number"),
        Err(_) => SysRng.try_next_u64().unwrap(),
    };
    println!("our own tables: PG_KEYSPACE_TEST_SEED={seed}");
    let mut chance = ChaCha12Rng::seed_from_u64(seed);
    let server = start(&[]);
    let mut client = server.connect(DATABASE).unwrap();
    client.batch_execute("CREATE EXTENSION pg_keyspace; CREATE EXTENSION pg_keyspace_test").unwrap();
    let started = |client: &mut postgres::Client| -> String {
        client.query_one("SELECT pg_postmaster_start_time()::text || pg_backend_pid()", &[]).unwrap().get(0)
    };
    let before = started(&mut client);
    client.batch_execute("SET statement_timeout = '15s'").unwrap();
    let columns = "SELECT format('%s', c.oid::regclass), quote_ident(a.attname) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
                   WHERE c.relnamespace = 'keyspace_internal'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
                     AND a.attname NOT IN ('system_identifier', 'database') ORDER BY 1, 2";
    let columns: Vec<(String, String)> =
        client.query(columns, &[]).unwrap().iter().map(|row| (row.get(0), row.get(1))).collect();
    assert!(columns.len() > 40, "{columns:?}");
    let mut damages = 0;
    for round in 0..60 {
        for statement in GROUND {
            if let Err(error) = client.batch_execute(statement) {
                panic!("round {round}: {statement}: {error:?}");
            }
        }
        let (table, column) = columns.choose(&mut chance).unwrap();
        let value = VALUES.choose(&mut chance).unwrap();
        let (table, column, value) =
            KNOWN.get(round).copied().unwrap_or((table.as_str(), column.as_str(), value));
        let damage = format!("UPDATE {table} SET {column} = {value}");
        // If the type or a constraint refuses the value, nothing is damaged.
        let damaged = client.execute("CALL keyspace_test.by_hand($1)", &[&damage]).is_ok();
        damages += usize::from(damaged);
        for call in CALLS.iter().take(if damaged { CALLS.len() } else { 0 }) {
            if let Err(error) = client.batch_execute(call) {
                let Some(error) = error.as_db_error() else {
                    panic!("round {round}: {damage}: {call}: {error}")
                };
                assert_ne!(error.code().code(), "XX000", "round {round}: {damage}: {call}: {error:?}");
                let is_endless = *error.code() == SqlState::QUERY_CANCELED && !WAITS.contains(&column);
                assert!(!is_endless, "round {round}: {damage}: {call}: {error:?}");
            }
        }
    }
    assert!(damages > 10, "{damages} damages");
    assert_eq!(started(&mut client), before, "neither the server nor the session has gone");
}
