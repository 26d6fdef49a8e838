//! Migrations on servers that replicate to each other: with pglogical before PostgreSQL 16, natively from
//! 16 on.

use std::time::{Duration, Instant};

use pg_test::replication::Method;
use pg_test::{InstallTree, Server, load};
use postgres::Client;

use crate::{DATABASE, number, run_statements};

pub(crate) const NAMES: [&str; 3] = ["node1", "node2", "node3"];
/// The orders that exist on both before the migration.
const ORDERS: u32 = 12_000;

/// Two nodes, or another number of them.
pub(crate) struct Pair<const N: usize = 2> {
    pub(crate) method: Method,
    pub(crate) servers: [Server; N],
}

impl Pair {
    /// Two nodes with the same orders, which replicate both ways.
    pub(crate) fn start(orders: u32) -> Self {
        Self::start_all(orders)
    }
}

impl<const N: usize> Pair<N> {
    /// Nodes with the same orders, each of which replicates to all others.
    pub(crate) fn start_all(orders: u32) -> Self {
        let tree = InstallTree::from_environment().unwrap();
        let method = Method::of(&tree).unwrap();
        let mut settings = method.settings(&tree).unwrap();
        settings.push("track_commit_timestamp = on");
        if method == Method::Pglogical {
            settings.push("pglogical.conflict_resolution = 'last_update_wins'");
        }
        let servers = std::array::from_fn(|at| Server::start(&tree, NAMES[at], &settings).unwrap());
        for (server, node) in servers.iter().zip(1..) {
            let mut client = server.connect(DATABASE).unwrap();
            client
                .batch_execute(&format!(
                    "CREATE EXTENSION pg_keyspace;
                     CREATE TABLE orders (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now(), total integer);
                     CREATE TABLE audit (no bigserial PRIMARY KEY, order_id bigint NOT NULL REFERENCES orders, what text);
                     CREATE INDEX audit_order_id_idx ON audit (order_id);
                     INSERT INTO orders (created_at, total)
                         SELECT '2024-01-01'::timestamptz + i / 3 * interval '1 second', 0 FROM generate_series(1, {orders}) AS i;
                     INSERT INTO audit (order_id, what) SELECT i, 'x' FROM generate_series(1, {orders}) AS i;
                     ANALYZE"
                ))
                .unwrap();
            let nodes = i32::try_from(N).unwrap();
            client.query("SELECT * FROM setup_interleaved_sequences($1, $2)", &[&node, &nodes]).unwrap();
        }
        let pair = Self { method, servers };
        pair.method.connect_all(&pair.both(), DATABASE).unwrap();
        pair
    }

    pub(crate) fn both(&self) -> [&Server; N] {
        self.servers.each_ref()
    }

    pub(crate) fn clients(&self) -> [Client; N] {
        self.both().map(|server| server.connect(DATABASE).unwrap())
    }

    /// Stops what this server receives from the other.
    pub(crate) fn stop_receiving(&self, client: &mut Client, server: &Server) {
        self.receive(client, server, "disable", "DISABLE");
    }

    pub(crate) fn receive_again(&self, client: &mut Client, server: &Server) {
        self.receive(client, server, "enable", "ENABLE");
    }

    fn receive(&self, client: &mut Client, server: &Server, with_pglogical: &str, natively: &str) {
        let other = NAMES.into_iter().find(|name| *name != server.name()).unwrap();
        let statement = match self.method {
            Method::Pglogical => format!(
                "SELECT pglogical.alter_subscription_{with_pglogical}('{}_from_{other}', true)",
                server.name()
            ),
            Method::Native => format!("ALTER SUBSCRIPTION from_{other} {natively}"),
        };
        client.batch_execute(&statement).unwrap();
    }

    /// Starts apply workers that have failed again, and waits until everything is applied.
    pub(crate) fn catch_up(&self) {
        self.method.reconnect(&self.both(), DATABASE).unwrap();
        self.wait_until_applied();
    }

    pub(crate) fn wait_until_applied(&self) {
        self.method.wait_until_applied(&self.both(), DATABASE).unwrap();
    }
}

pub(crate) fn create(client: &mut Client) {
    create_on(client, 2);
}

/// Creates a migration on this number of nodes.
pub(crate) fn create_on(client: &mut Client, nodes: usize) {
    let nodes = (1..=nodes).map(|node| node.to_string()).collect::<Vec<_>>().join(", ");
    client.batch_execute(&format!("SELECT key_migration_create('orders', nodes => '{{{nodes}}}')")).unwrap();
}

pub(crate) fn advance(client: &mut Client, through: &str) -> Result<(), postgres::Error> {
    client.batch_execute(&format!("CALL key_migration_advance('orders', through => '{through}')"))
}

/// Passes the state of each node to the others.
pub(crate) fn exchange(clients: &mut [Client]) {
    let states: Vec<String> = clients
        .iter_mut()
        .map(|client| {
            client.query_one("SELECT key_migration_node_state('orders')::text", &[]).unwrap().get(0)
        })
        .collect();
    for (at, client) in clients.iter_mut().enumerate() {
        let others = states.iter().enumerate().filter(|(of, _)| *of != at);
        let others: Vec<&String> = others.map(|(_, state)| state).collect();
        let add = "SELECT key_migration_add_peers('orders', $1::text[]::jsonb[])";
        client.execute(add, &[&others]).unwrap();
    }
}

/// Exchanges states until a step is allowed, on one node after the other.
pub(crate) fn when_ready<const N: usize>(pair: &Pair<N>, clients: &mut [Client; N], through: &str) {
    on_each(pair, clients, |client| run_statements(client, through));
}

/// The same for any step.
fn on_each<const N: usize>(
    pair: &Pair<N>,
    clients: &mut [Client; N],
    step: impl Fn(&mut Client) -> Result<(), postgres::Error>,
) {
    for at in 0..N {
        let deadline = Instant::now() + Duration::from_secs(60);
        while let Err(error) = step(&mut clients[at]) {
            let refusal = error.as_db_error().unwrap_or_else(|| panic!("{}: {error}", NAMES[at]));
            assert!(Instant::now() < deadline, "{}: {refusal:?}", NAMES[at]);
            if is_of_read_build(pair.method, &error) {
                // As the guide says.
                let index = refusal.message().split('"').nth(1).unwrap();
                clients[at].batch_execute(&format!("DROP INDEX CONCURRENTLY {index}")).unwrap();
            } else {
                assert_eq!(refusal.code().code(), "55000", "{}: {refusal:?}", NAMES[at]);
            }
            // An apply worker that has failed is started again.
            pair.method.reconnect(&pair.both(), DATABASE).unwrap();
            exchange(clients);
        }
    }
}

/// Whether a worker of pglogical has read an index while it was built.
pub(crate) fn is_of_read_build(method: Method, error: &postgres::Error) -> bool {
    method == Method::Pglogical && error.code().is_some_and(|code| code.code() == "XX002")
}

pub(crate) fn detail(result: Result<(), postgres::Error>) -> String {
    let error = result.unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!(error.code().code(), "55000", "{error:?}");
    error.detail().unwrap().to_owned()
}

/// Rows of both, without the numbers of columns that differ.
pub(crate) fn rows(client: &mut Client, table: &str, order: &str) -> Vec<String> {
    let query = format!("SELECT t::text FROM {table} AS t ORDER BY {order}");
    client.query(&query, &[]).unwrap().iter().map(|row| row.get(0)).collect()
}

/// A slot that shows what a server would send, without what has an origin.
pub(crate) fn watch(client: &mut Client) {
    client.query("SELECT pg_create_logical_replication_slot('watch', 'test_decoding')", &[]).unwrap();
}

/// The changes of our tables that it would send since the last call.
pub(crate) fn sent(client: &mut Client) -> i64 {
    // What is not flushed is not decoded.
    client
        .batch_execute("SET synchronous_commit = on; SELECT pg_logical_emit_message(true, 'test', '')")
        .unwrap();
    number(
        client,
        "SELECT count(*) FROM pg_logical_slot_get_changes('watch', NULL, NULL, 'only-local', 'on')
         WHERE data LIKE 'table public.%'",
    )
}

pub(crate) fn assert_equal(clients: &mut [Client; 2]) {
    for client in clients.iter_mut() {
        assert_eq!(number(client, "SELECT count(*) FROM orders WHERE id_new IS NULL"), 0);
        assert_eq!(number(client, "SELECT count(*) FROM audit WHERE order_id_new IS NULL"), 0);
    }
    let [first, second] = clients;
    assert!(rows(first, "orders", "id") == rows(second, "orders", "id"), "orders differ");
    assert!(rows(first, "audit", "no") == rows(second, "audit", "no"), "audit rows differ");
}

/// Both nodes are prepared, and have noted their positions, which have arrived.
pub(crate) fn prepare(pair: &Pair, clients: &mut [Client; 2]) {
    clients.iter_mut().for_each(create);
    exchange(clients);
    for client in clients.iter_mut() {
        advance(client, "prepared").unwrap();
    }
    // Each learns that the other is prepared, and then that it has noted its position.
    exchange(clients);
    exchange(clients);
    pair.wait_until_applied();
    exchange(clients);
}

#[test]
fn trap_m20_a_node_is_refused_what_the_other_is_not_ready_for() {
    let pair = Pair::start(10);
    let mut clients = pair.clients();
    clients.iter_mut().for_each(create);
    assert_eq!(detail(advance(&mut clients[0], "prepared")), "The state of node 2 is not known.");
    exchange(&mut clients);
    advance(&mut clients[0], "prepared").unwrap();
    let not_marked = "Node 1 has not taken in the states of all nodes since they are prepared.";
    assert_eq!(detail(advance(&mut clients[0], "backfilled")), not_marked);
    // What it sends now waits at the other node until that is prepared, too.
    clients[0].execute("UPDATE orders SET total = 7 WHERE id = 1", &[]).unwrap();
    exchange(&mut clients);
    assert_eq!(detail(advance(&mut clients[0], "backfilled")), not_marked);
    advance(&mut clients[1], "prepared").unwrap();
    pair.method.reconnect(&pair.both(), DATABASE).unwrap();
    when_ready(&pair, &mut clients, "verified");
    pair.wait_until_applied();
    assert_equal(&mut clients);
    // Nobody has compared the nodes with each other.
    for client in &mut clients {
        let detail = detail(client.batch_execute("CALL key_migration_cutover('orders')"));
        assert!(detail.ends_with("have not been compared."), "{detail}");
    }
}

#[test]
fn fault_d01_a_backfill_on_both_nodes_sends_nothing() {
    let pair = Pair::start(ORDERS);
    let mut clients = pair.clients();
    prepare(&pair, &mut clients);
    let mut watchers = pair.clients();
    watchers.iter_mut().for_each(watch);
    for client in &mut clients {
        advance(client, "backfilled").unwrap();
    }
    for watcher in &mut watchers {
        assert_eq!(sent(watcher), 0);
    }
    assert_equal(&mut clients);
    // The sessions are as they were before.
    let [first, second] = &mut clients;
    first.execute("UPDATE orders SET total = 5 WHERE id = 5", &[]).unwrap();
    second.execute("UPDATE orders SET total = 6 WHERE id = 6", &[]).unwrap();
    for (watcher, id) in watchers.iter_mut().zip([5, 6]) {
        assert_eq!(sent(watcher), 1);
        let is_new = format!(
            "SELECT pg_xact_commit_timestamp(xmin) > now() - interval '1 minute' FROM orders WHERE id = {id}"
        );
        assert!(watcher.query_one(&is_new, &[]).unwrap().get::<_, bool>(0));
    }
    pair.wait_until_applied();
    assert_equal(&mut clients);
}

#[test]
fn fault_d01_updates_on_their_way_win_over_the_backfill() {
    let pair = Pair::start(ORDERS);
    let mut clients = pair.clients();
    prepare(&pair, &mut clients);
    // What each node sends now arrives after the backfill of the other.
    let [mut first, mut second] = pair.clients();
    for (client, of) in [(&mut first, &pair.servers[0]), (&mut second, &pair.servers[1])] {
        pair.stop_receiving(client, of);
    }
    clients[1].execute("UPDATE orders SET total = 999 WHERE id IN (2, 4, 6)", &[]).unwrap();
    clients[0].execute("UPDATE orders SET total = 111 WHERE id IN (4, 8)", &[]).unwrap();
    for client in &mut clients {
        advance(client, "backfilled").unwrap();
    }
    for (client, of) in [(&mut first, &pair.servers[0]), (&mut second, &pair.servers[1])] {
        pair.receive_again(client, of);
    }
    pair.catch_up();
    for client in &mut clients {
        assert_eq!(number(client, "SELECT count(*) FROM orders WHERE id IN (2, 6) AND total = 999"), 2);
        assert_eq!(number(client, "SELECT count(*) FROM orders WHERE id = 8 AND total = 111"), 1);
        if pair.method == Method::Pglogical {
            // Written on both; the later one wins.
            assert_eq!(number(client, "SELECT total::bigint FROM orders WHERE id = 4"), 111);
        }
    }
    if pair.method == Method::Pglogical {
        assert_equal(&mut clients);
    }
}

/// A call that fails leaves nothing in its session.
#[test]
fn fault_d01_after_an_error_the_session_sends_its_changes() {
    let pair = Pair::start(ORDERS);
    let mut clients = pair.clients();
    prepare(&pair, &mut clients);
    let client = &mut clients[0];
    let mut watcher = pair.servers[0].connect(DATABASE).unwrap();
    watch(&mut watcher);
    // The backfill finds a row locked until it gives up.
    let mut holder = pair.servers[0].connect(DATABASE).unwrap();
    holder.batch_execute(&format!("BEGIN; SELECT FROM orders WHERE id = {ORDERS} FOR UPDATE")).unwrap();
    client
        .batch_execute("SELECT key_migration_set('orders', retries => 0, lock_timeout => '10 ms')")
        .unwrap();
    let error = advance(client, "backfilled").unwrap_err();
    assert_eq!(error.code().unwrap().code(), "55P03", "{error:?}");
    holder.batch_execute("ROLLBACK").unwrap();
    client.execute("UPDATE orders SET total = 5 WHERE id = 5", &[]).unwrap();
    assert_eq!(sent(&mut watcher), 1);
    let origin = "SELECT count(*) FROM pg_replication_origin WHERE roname LIKE 'keyspace%'";
    assert_eq!(number(client, origin), 1);
    // Another session can use the origin.
    advance(&mut watcher, "backfilled").unwrap();
    assert_eq!(sent(&mut watcher), 0);
}

#[test]
fn fault_d01_writers_on_both_nodes_and_the_same_rows() {
    let pair = Pair::start(ORDERS);
    let writer = |at: usize| -> load::Session<'_, i64> {
        let server = &pair.servers[at];
        Box::new(move |stop| {
            let mut client = server.connect(DATABASE)?;
            let mut count = 0_i64;
            while !stop.wait(Duration::from_millis(3)) {
                let id = 1 + count * 37 % 500;
                client.execute(
                    "UPDATE orders SET total = $2 WHERE id = $1",
                    &[&id, &(at as i32 * 1_000_000 + count as i32)],
                )?;
                client.execute("INSERT INTO orders (total) VALUES (1)", &[])?;
                count += 1;
            }
            Ok(vec![count])
        })
    };
    let mut clients = pair.clients();
    let work = || {
        clients.iter_mut().for_each(create);
        exchange(&mut clients);
        for client in &mut clients {
            advance(client, "prepared").unwrap();
        }
        pair.method.reconnect(&pair.both(), DATABASE)?;
        when_ready(&pair, &mut clients, "backfilled");
        Ok(())
    };
    let (written, ()) = load::alongside(vec![writer(0), writer(1)], work).unwrap();
    assert!(written.iter().all(|count| *count > 50), "{written:?}");
    pair.wait_until_applied();
    if pair.method == Method::Pglogical {
        assert_equal(&mut clients);
    } else {
        let [first, second] = &mut clients;
        let keys = "(SELECT id, id_new FROM orders)";
        assert!(rows(first, keys, "id") == rows(second, keys, "id"), "keys differ");
    }
}
