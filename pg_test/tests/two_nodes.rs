//! Two servers that both write, with real replication between them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use pg_test::replication::Method;
use pg_test::{InstallTree, Server, contents};
use postgres::Client;

const SCHEMA: &str = "
    CREATE EXTENSION pg_keyspace;
    CREATE TABLE item (item_id serial PRIMARY KEY, maker text);
    CREATE TABLE receipt (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, maker text);
    CREATE SEQUENCE shared_no;
    CREATE TABLE letter (no bigint PRIMARY KEY DEFAULT nextval('shared_no'), maker text);
    CREATE TABLE contract (no bigint PRIMARY KEY DEFAULT nextval('shared_no'), maker text);
    CREATE SEQUENCE ticket_no;
    CREATE TABLE ticket (id bigint PRIMARY KEY DEFAULT partitioned_nextval('ticket_no'), maker text);
    CREATE TABLE visit (id uuid PRIMARY KEY DEFAULT public.uuidv7(), maker text);
    CREATE TABLE payment (id ulid PRIMARY KEY DEFAULT ulid(), maker text);
    INSERT INTO item (maker) SELECT 'both' FROM generate_series(1, 10);
";
const TABLES: [&str; 7] = ["item", "receipt", "letter", "contract", "ticket", "visit", "payment"];
const DATABASE: &str = "postgres";

struct Pair {
    method: Method,
    servers: [Server; 2],
}

impl Pair {
    fn start() -> Self {
        let tree = InstallTree::from_environment().unwrap();
        let method = Method::of(&tree).unwrap();
        let settings = method.settings(&tree).unwrap();
        let servers = ["node1", "node2"].map(|name| Server::start(&tree, name, &settings).unwrap());
        for server in &servers {
            server.connect(DATABASE).unwrap().batch_execute(SCHEMA).unwrap();
        }
        Self { method, servers }
    }

    fn replicate(&self) {
        self.method.connect_all(&self.both(), DATABASE).unwrap();
    }

    fn both(&self) -> [&Server; 2] {
        [&self.servers[0], &self.servers[1]]
    }

    fn clients(&self) -> [Client; 2] {
        [0, 1].map(|at| self.servers[at].connect(DATABASE).unwrap())
    }

    fn set_up(&self) {
        for (client, node) in self.clients().iter_mut().zip([1, 2]) {
            client.query("SELECT * FROM setup_interleaved_sequences($1, 2)", &[&node]).unwrap();
        }
    }

    fn conflicts(&self) -> u64 {
        let of = |server| self.method.conflicts(server, DATABASE).unwrap();
        self.both().iter().map(|server| of(server)).map(|found| found.logged + found.counted).sum()
    }

    /// Both nodes insert into every table in transactions that overlap.
    fn write_at_once(&self, rounds: usize) {
        let mut clients = self.clients();
        for _ in 0..rounds {
            for (client, maker) in clients.iter_mut().zip(["node1", "node2"]) {
                client.batch_execute("BEGIN").unwrap();
                for table in TABLES {
                    client.execute(&format!("INSERT INTO {table} (maker) VALUES ($1)"), &[&maker]).unwrap();
                }
            }
            for client in &mut clients {
                client.batch_execute("COMMIT").unwrap();
            }
        }
    }

    fn is_equal(&self) -> bool {
        contents(&self.servers[0], DATABASE).unwrap() == contents(&self.servers[1], DATABASE).unwrap()
    }
}

#[test]
fn trap_s36_without_interleaving_the_collision_happens_and_is_found() {
    let pair = Pair::start();
    pair.replicate();
    // The tickets would not collide if there were a node; each side draws for itself here.
    for client in &mut pair.clients() {
        client.batch_execute("ALTER TABLE ticket ALTER id SET DEFAULT nextval('ticket_no')").unwrap();
    }
    pair.write_at_once(5);
    pair.method.wait_until_applied_or_stopped(&pair.both(), DATABASE).unwrap();
    assert!(pair.conflicts() > 0);
    assert!(!pair.is_equal());
}

#[test]
fn two_nodes_that_are_set_up_never_collide() {
    let pair = Pair::start();
    pair.set_up();
    pair.replicate();
    pair.write_at_once(50);
    pair.method.wait_until_applied(&pair.both(), DATABASE).unwrap();
    assert_eq!(pair.conflicts(), 0);
    assert!(pair.is_equal());
    for client in &mut pair.clients() {
        for table in TABLES {
            let query = format!("SELECT count(*) FROM {table} WHERE maker LIKE 'node_'");
            assert_eq!(client.query_one(&query, &[]).unwrap().get::<_, i64>(0), 100, "{table}");
        }
        // Every number is of the class of the node that drew it, and above the rows that both held.
        for (table, key) in
            [("item", "item_id"), ("receipt", "id"), ("letter", "no"), ("contract", "no"), ("ticket", "id")]
        {
            let query = format!(
                "SELECT count(*) FROM {table} WHERE maker LIKE 'node_' AND {key} % 2 <> right(maker, 1)::int % 2"
            );
            assert_eq!(client.query_one(&query, &[]).unwrap().get::<_, i64>(0), 0, "{table}");
        }
        let lowest = "SELECT min(item_id) FROM item WHERE maker <> 'both'";
        assert_eq!(client.query_one(lowest, &[]).unwrap().get::<_, i32>(0), 11);
    }
}

/// Replication replays TRUNCATE ... RESTART IDENTITY on the other side, and with it the restart.
#[test]
fn trap_s09_a_replicated_restart_keeps_both_classes() {
    let pair = Pair::start();
    pair.set_up();
    pair.replicate();
    let [mut one, mut two] = pair.clients();
    one.batch_execute("TRUNCATE item RESTART IDENTITY").unwrap();
    pair.method.wait_until_applied(&pair.both(), DATABASE).unwrap();
    let insert = |client: &mut Client| -> i32 {
        client.query_one("INSERT INTO item (maker) VALUES ('again') RETURNING item_id", &[]).unwrap().get(0)
    };
    let (odd, even) = (insert(&mut one), insert(&mut two));
    assert_eq!((odd % 2, even % 2), (1, 0), "{odd} and {even}");
    pair.method.wait_until_applied(&pair.both(), DATABASE).unwrap();
    assert_eq!(pair.conflicts(), 0);
    assert!(pair.is_equal());
}

/// The table of nodes is part of FOR ALL TABLES publications, so each side gets the other's row.
#[test]
fn trap_s46_the_other_nodes_row_does_no_harm() {
    let pair = Pair::start();
    pair.replicate();
    pair.set_up();
    pair.method.wait_until_applied(&pair.both(), DATABASE).unwrap();
    for (client, node) in pair.clients().iter_mut().zip([1_i64, 2]) {
        let value: i64 = client.query_one("SELECT partitioned_nextval('ticket_no')", &[]).unwrap().get(0);
        assert_eq!(value % 2, node % 2);
        let rows: i64 = client.query_one("SELECT count(*) FROM interleaved_node", &[]).unwrap().get(0);
        assert_eq!(rows, if pair.method == Method::Native { 2 } else { 1 });
    }
    pair.write_at_once(5);
    pair.method.wait_until_applied(&pair.both(), DATABASE).unwrap();
    assert_eq!(pair.conflicts(), 0);
    assert!(pair.is_equal());
}
