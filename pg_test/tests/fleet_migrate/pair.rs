//! Two nodes that replicate to each other, with writers on both.

use std::time::Duration;

use pg_test::replication::Method;
use pg_test::{InstallTree, Server, load};

use crate::program::{DATABASE, Program, run, value};

/// The rows that exist on both before the migration.
const ROWS: u32 = 3_000;

/// The nodes, and how they replicate.
pub struct Pair {
    pub method: Method,
    pub servers: [Server; 2],
}

impl Pair {
    /// Two nodes with the same orders.
    pub fn start() -> Self {
        let pair = Self::start_apart();
        pair.method.connect_all(&pair.both(), DATABASE).unwrap();
        pair
    }

    /// The same, which do not replicate to each other yet.
    pub fn start_apart() -> Self {
        let tree = InstallTree::from_environment().unwrap();
        let method = Method::of(&tree).unwrap();
        let mut settings = method.settings(&tree).unwrap();
        settings.push("track_commit_timestamp = on");
        if method == Method::Pglogical {
            settings.push("pglogical.conflict_resolution = 'last_update_wins'");
        }
        let servers = ["berlin", "lisbon"].map(|name| Server::start(&tree, name, &settings).unwrap());
        for (server, node) in servers.iter().zip(1..) {
            run(
                server,
                &format!(
                    "CREATE EXTENSION pg_keyspace;
                     CREATE TABLE orders (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now(), total integer);
                     CREATE TABLE audit (no bigserial PRIMARY KEY, order_id bigint NOT NULL REFERENCES orders, what text);
                     CREATE INDEX audit_order_id_idx ON audit (order_id);
                     INSERT INTO orders (created_at, total)
                         SELECT '2024-01-01'::timestamptz + i / 3 * interval '1 second', 0 FROM generate_series(1, {ROWS}) AS i;
                     INSERT INTO audit (order_id, what) SELECT i, 'x' FROM generate_series(1, {ROWS}) AS i;
                     ANALYZE;
                     SELECT * FROM setup_interleaved_sequences({node}, 2)"
                ),
            );
        }
        Self { method, servers }
    }

    pub fn both(&self) -> [&Server; 2] {
        self.servers.each_ref()
    }

    /// The program with both nodes.
    pub fn program(&self) -> Program {
        Program::of(&self.both())
    }

    /// A value of each node.
    pub fn each<T: postgres::types::FromSqlOwned>(&self, query: &str) -> [T; 2] {
        self.both().map(|server| value(server, query))
    }

    /// The type of the key on each node.
    pub fn key_types(&self) -> [String; 2] {
        self.each("SELECT format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = 'id'")
    }

    /// The form of the rows of each node, and whether its writers wait.
    pub fn forms(&self) -> [(String, bool); 2] {
        let state = "SELECT key_migration_node_state('orders') -> 'progress'";
        let forms: [String; 2] = self.each(&format!("{state} ->> 'form'"));
        let closed: [bool; 2] = self.each(&format!("SELECT ({state}) ? 'closed'"));
        let mut closed = closed.into_iter();
        forms.map(|form| (form, closed.next().unwrap()))
    }

    /// Rows are the same on both, and no insert that was acknowledged is missing.
    pub fn assert_same(&self, inserted: &[i64]) {
        self.method.reconnect(&self.both(), DATABASE).unwrap();
        self.method.wait_until_applied(&self.both(), DATABASE).unwrap();
        for table in ["orders", "audit"] {
            // The numbers of columns may differ.
            let columns = format!(
                "SELECT string_agg(format('t.%I', attname), ', ' ORDER BY attname) FROM pg_attribute
                 WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped"
            );
            let [columns, of_other]: [String; 2] = self.each(&columns);
            assert_eq!(columns, of_other);
            let rows = format!(
                "SELECT array_agg(r::text ORDER BY r::text) FROM (SELECT {columns} FROM {table} t) r"
            );
            let [here, there]: [Vec<String>; 2] = self.each(&rows);
            let differ = here.iter().zip(&there).find(|(here, there)| here != there);
            assert!(here == there, "{table}: {} and {} rows, {differ:?}", here.len(), there.len());
        }
        for (at, inserted) in inserted.iter().enumerate() {
            let from = 1_000_000 * (at + 1);
            let count =
                format!("SELECT count(*) FROM orders WHERE total BETWEEN {from} AND {}", from + 999_999);
            assert_eq!(self.each::<i64>(&count), [*inserted; 2], "orders of {at}");
        }
        let orphans =
            "SELECT count(*) FROM audit a LEFT JOIN orders o ON o.id = a.order_id WHERE o.id IS NULL";
        assert_eq!(self.each::<i64>(orphans), [0, 0]);
    }

    /// Writes until it has to stop. Its statements mean the same before and after the cut-over. Returns
    /// how many orders it has inserted.
    pub fn writer(&self, at: usize) -> load::Session<'_, i64> {
        let server = &self.servers[at];
        Box::new(move |stop| {
            let mut client = server.connect(DATABASE)?;
            client.batch_execute("SET lock_timeout = '60s'")?;
            let (mut inserted, mut count) = (0_i64, 0_i64);
            while !stop.wait(Duration::from_millis(5)) {
                count += 1;
                // Natively, the last change that arrives wins: no two nodes write one row.
                let row = count * 7 % 100 * 2 + i64::try_from(at)? + 1;
                let number = 1_000_000 * (i64::try_from(at)? + 1) + inserted;
                let statement = match count % 3 {
                    0 => format!(
                        "WITH o AS (INSERT INTO orders (total) VALUES ({number}) RETURNING id)
                         INSERT INTO audit (order_id, what) SELECT id, 'new' FROM o"
                    ),
                    1 => format!(
                        "UPDATE orders SET total = {count} WHERE id = (SELECT order_id FROM audit WHERE no = {row})"
                    ),
                    _ => format!("UPDATE audit SET what = 'w{at}-{count}' WHERE no = {row}"),
                };
                loop {
                    match client.batch_execute(&statement) {
                        Ok(()) => break,
                        // The names of columns have changed.
                        Err(error) if error.code().is_some_and(|code| code.code() == "40001") => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                inserted += i64::from(count % 3 == 0);
            }
            Ok(vec![inserted])
        })
    }

    /// Does something next to writers on both nodes, and compares the nodes.
    pub fn next_to_writers(&self, work: impl FnOnce()) {
        let work = || {
            work();
            Ok(())
        };
        let (inserted, ()) = load::alongside(vec![self.writer(0), self.writer(1)], work).unwrap();
        assert!(inserted.iter().all(|inserted| *inserted > 10), "{inserted:?}");
        self.assert_same(&inserted);
    }
}
