//! Primary keys that move at the cut-over, and back, again and again while others write.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use pg_test::Server;
use pg_test::load::{self, Count, Session, Stop, Turn};
use postgres::Client;
use rand::RngExt;

use crate::{DATABASE, make_shop, number, phase, run_statements, start, wrong};

/// The tag of each acknowledged row of the child, with that of its parent; none if it was removed.
type Ledger = Vec<(i64, Option<i64>)>;

/// Writes until it has to stop, and records what the server has acknowledged. The statements mean the
/// same before and after a cut-over, and none of them may fail.
fn write(server: &Server, stop: &Stop, written: &Count, writer: i64) -> Result<Vec<Turn<Ledger>>> {
    let mut client = server.connect(DATABASE)?;
    let mut random = rand::rng();
    let mut next = writer * 1_000_000;
    let mut own: Vec<i64> = Vec::new();
    load::paced(stop, Duration::from_millis(1), (0, 1), || {
        next += 1;
        let tag = next;
        let other = own.get(random.random_range(0..own.len().max(1))).copied();
        let (statement, entry) = match (random.random_range(0..6), other) {
            // The referring row comes first, and refers to a row of the same transaction.
            (0, _) => {
                let key = "SELECT CASE WHEN pg_typeof(id) = 'uuid'::regtype THEN gen_random_uuid()::text \
                                       ELSE nextval('orders_id_seq')::text END FROM orders LIMIT 1";
                let key: String = client.query_one(key, &[])?.get(0);
                let statement = format!(
                    "BEGIN; INSERT INTO late (order_id, tag) VALUES ('{key}', {tag}); \
                     INSERT INTO orders (id, tag) VALUES ('{key}', {tag}); COMMIT"
                );
                // The tables may have been cut over, or back, in between.
                if let Err(error) = client.batch_execute(&statement) {
                    let message = error.as_db_error().map(|error| error.message().to_owned());
                    assert!(
                        message.is_some_and(|message| message.contains("invalid input syntax")),
                        "{error}"
                    );
                    client.batch_execute("ROLLBACK")?;
                    return Ok(Ledger::new());
                }
                (String::new(), vec![(tag, Some(tag))])
            }
            (1, Some(other)) => (
                format!(
                    "UPDATE audit SET order_id = (SELECT id FROM orders WHERE tag = {tag} - 1 OR tag = {other} ORDER BY tag LIMIT 1) WHERE tag = {other}"
                ),
                Vec::new(),
            ),
            (2, Some(other)) => (format!("DELETE FROM audit WHERE tag = {other}"), vec![(other, None)]),
            (3, _) => (
                format!("INSERT INTO orders (tag) VALUES ({tag}); DELETE FROM orders WHERE tag = {tag}"),
                Vec::new(),
            ),
            _ => (
                format!(
                    "WITH o AS (INSERT INTO orders (tag) VALUES ({tag}) RETURNING id) INSERT INTO audit (order_id, tag) SELECT id, {tag} FROM o"
                ),
                vec![(tag, Some(tag))],
            ),
        };
        client
            .batch_execute(&statement)
            .unwrap_or_else(|error| panic!("{statement}: {:?}", error.as_db_error()));
        if statement.contains("INTO audit") {
            own.push(tag);
        }
        written.add();
        Ok(entry)
    })
}

/// The primary keys and foreign keys as tools read them, without those for the next cut-over.
fn keys(client: &mut Client) -> Vec<String> {
    let query = "SELECT format('%s %s', conname, pg_get_constraintdef(oid)) FROM pg_constraint \
                 WHERE connamespace = 'public'::regnamespace AND contype IN ('p', 'f') AND conname !~ '_new$' ORDER BY 1";
    client.query(query, &[]).unwrap().iter().map(|row| row.get(0)).collect()
}

/// Runs a procedure, and returns for how many milliseconds it has locked tables.
fn locked_for(client: &mut Client, call: &str) -> f64 {
    client.batch_execute(call).unwrap_or_else(|error| panic!("{call}: {:?}", error.as_db_error()));
    let query = "SELECT (extract(epoch FROM lock_held) * 1000)::float8 FROM key_migration_log \
                 WHERE action IN ('cut over', 'roll back the cut-over') ORDER BY step DESC LIMIT 1";
    client.query_one(query, &[]).unwrap().get(0)
}

/// Makes tables that refer to orders in further ways.
fn make_tables(client: &mut Client) {
    make_shop(client, 2_000);
    client
        .batch_execute(
            "ALTER TABLE orders ADD tag bigint;
             ALTER TABLE audit ADD tag bigint;
             CREATE INDEX ON orders (tag);
             CREATE INDEX ON audit (tag);
             CREATE TABLE late (no bigserial PRIMARY KEY, tag bigint,
                                order_id bigint NOT NULL REFERENCES orders DEFERRABLE INITIALLY DEFERRED);
             ANALYZE",
        )
        .unwrap();
}

#[test]
fn fault_c21_the_primary_key_moves_and_moves_back_a_dozen_times() {
    let server = start(&["synchronous_commit = off", "max_connections = 30"]);
    let mut client = server.connect(DATABASE).unwrap();
    make_tables(&mut client);
    client.batch_execute("SELECT key_migration_create('orders', move_primary_key => true)").unwrap();
    let before = keys(&mut client);
    let written = Count::default();
    let writer = |number: i64| -> Session<'_, Turn<Ledger>> {
        let (server, written) = (&server, &written);
        Box::new(move |stop| write(server, stop, written, number))
    };
    let began = Instant::now();
    let (ledgers, ()) = load::alongside(vec![writer(1), writer(2)], || {
        for round in 0..12 {
            run_statements(&mut client, "verified").unwrap();
            assert_eq!(keys(&mut client), before, "round {round}");
            let to = locked_for(&mut client, "CALL key_migration_cutover('orders')");
            // One primary key and one foreign key, under the same names and on columns of the same names.
            assert_eq!(keys(&mut client), before, "round {round}");
            let leads = "SELECT count(*) FROM pg_constraint AS c JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey) \
                         WHERE c.conname IN ('orders_pkey', 'audit_order_id_fkey', 'late_order_id_fkey') AND a.atttypid = 'uuid'::regtype";
            assert_eq!(number(&mut client, leads), 3);
            written.wait_for(written.get() + 100)?;
            let back = locked_for(&mut client, "CALL key_migration_rollback('orders')");
            // All foreign keys are valid again, so no row was wrong meanwhile.
            assert_eq!(keys(&mut client), before, "round {round}");
            assert_eq!(phase(&mut client), "backfilled");
            written.wait_for(written.get() + 100)?;
            println!("round {round}: locked for {to:.1} ms and {back:.1} ms, {:?}", began.elapsed());
        }
        run_statements(&mut client, "verified").unwrap();
        client.batch_execute("CALL key_migration_cutover('orders')").unwrap();
        written.wait_for(written.get() + 100)
    })
    .unwrap();
    assert_eq!(wrong(&mut client), Vec::<String>::new());
    client.batch_execute("CALL key_migration_finalize('orders', confirm => 'orders')").unwrap();
    assert_eq!(keys(&mut client), before);
    // Every row that was acknowledged is there, and refers to a row that is there.
    let mut expected: BTreeMap<i64, bool> = BTreeMap::new();
    for (tag, parent) in ledgers.into_iter().flat_map(|turn| turn.result) {
        expected.insert(tag, parent.is_some());
    }
    let rows = "SELECT tag FROM (SELECT tag, order_id FROM audit UNION ALL SELECT tag, order_id FROM late) AS c \
                WHERE tag IS NOT NULL AND EXISTS (SELECT FROM orders AS o WHERE o.id = c.order_id)";
    let found: Vec<i64> = client.query(rows, &[]).unwrap().iter().map(|row| row.get(0)).collect();
    let expected: Vec<i64> =
        expected.into_iter().filter_map(|(tag, is_there)| is_there.then_some(tag)).collect();
    let mut sorted = found;
    sorted.sort_unstable();
    assert_eq!(sorted, expected);
    assert!(written.get() > 2_000, "{written:?}");
}

/// The least value, which other processes disturb least.
fn least(values: Vec<f64>) -> f64 {
    values.into_iter().fold(f64::INFINITY, f64::min)
}

#[test]
fn fault_c21_tables_are_not_locked_longer_if_primary_keys_move() {
    let server = start(&[]);
    let mut client = server.connect(DATABASE).unwrap();
    make_tables(&mut client);
    for table in 0..5 {
        let create = format!(
            "CREATE TABLE t{table} (order_id bigint REFERENCES orders, no integer, PRIMARY KEY (order_id, no));
             INSERT INTO t{table} SELECT id, 1 FROM orders"
        );
        client.batch_execute(&create).unwrap();
    }
    client.batch_execute("ANALYZE; SELECT key_migration_create('orders')").unwrap();
    let mut times: [[Vec<f64>; 2]; 2] = Default::default();
    for _ in 0..3 {
        for (moves, [to, back]) in [false, true].into_iter().zip(&mut times) {
            client
                .batch_execute(&format!("SELECT key_migration_set('orders', move_primary_key => {moves})"))
                .unwrap();
            run_statements(&mut client, "verified").unwrap();
            to.push(locked_for(&mut client, "CALL key_migration_cutover('orders')"));
            back.push(locked_for(&mut client, "CALL key_migration_rollback('orders')"));
        }
    }
    let [[to, back], [moved_to, moved_back]] = times.map(|of| of.map(least));
    println!(
        "8 tables, 3 rounds, the least times: cut-over {to:.1} ms, {moved_to:.1} ms if primary keys move; rollback {back:.1} ms, {moved_back:.1} ms"
    );
    // A scan of the rows would take many times as long; a loaded machine alone may double a time.
    assert!(moved_to < 4.0 * to, "{moved_to} {to}");
    assert!(moved_back < 4.0 * back, "{moved_back} {back}");
}
