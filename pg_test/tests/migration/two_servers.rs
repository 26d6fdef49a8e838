//! A migration on two servers, of which one receives the rows of the other by native replication. The
//! subscription is created when both have filled their keys: before that, the migration of the receiver
//! would be refused (fault D01).

use pg_test::Server;
use postgres::Client;

use crate::{DATABASE, make_shop, number, run_statements, start, wait_until, wrong};

const SETTINGS: [&str; 2] = ["wal_level = logical", "wal_retrieve_retry_interval = 100ms"];
const APPLY_HAS_FAILED: &str = "SELECT apply_error_count > 0 FROM pg_stat_subscription_stats";

struct Pair {
    sender: Client,
    receiver: Client,
    // Dropped after the connections.
    _servers: [Server; 2],
}

impl Pair {
    /// Two servers whose migrations are verified. Keys are derived, so they are the same on both.
    fn start() -> Self {
        let servers = [start(&SETTINGS), start(&SETTINGS)];
        let [mut sender, mut receiver] = [0, 1].map(|at: usize| servers[at].connect(DATABASE).unwrap());
        for client in [&mut sender, &mut receiver] {
            make_shop(client, 100);
        }
        sender.batch_execute("CREATE PUBLICATION shop FOR TABLE orders, audit").unwrap();
        let warned = "SELECT count(*) FROM key_migration_plan('orders')
                      WHERE action = 'warning' AND detail LIKE '%A cut-over on only one side stops replication.%'";
        assert_eq!(number(&mut sender, warned), 2, "one for each table");
        for client in [&mut sender, &mut receiver] {
            client.batch_execute("SELECT key_migration_create('orders')").unwrap();
            run_statements(client, "verified").unwrap();
        }
        let subscribe = format!(
            "CREATE SUBSCRIPTION shop CONNECTION '{}' PUBLICATION shop WITH (copy_data = false)",
            servers[0].conninfo(DATABASE).replace('\'', "''")
        );
        receiver.batch_execute(&subscribe).unwrap();
        Self { sender, receiver, _servers: servers }
    }

    /// Inserts an order that is recognised by its total.
    fn insert(&mut self, total: i32) {
        self.sender.execute("INSERT INTO orders (total) VALUES ($1)", &[&total]).unwrap();
    }

    fn has_arrived(&mut self, total: i32) -> bool {
        self.receiver.query_one("SELECT count(*) = 1 FROM orders WHERE total = $1", &[&total]).unwrap().get(0)
    }

    fn wait_for(&mut self, total: i32) {
        wait_until(&mut self.receiver, &format!("SELECT count(*) = 1 FROM orders WHERE total = {total}"));
    }

    fn wait_until_apply_fails(&mut self) {
        self.receiver.batch_execute("SELECT pg_stat_reset_subscription_stats(NULL)").unwrap();
        wait_until(&mut self.receiver, APPLY_HAS_FAILED);
    }

    /// Both servers have the same orders, with old ids and keys, and nothing is wrong with them.
    fn assert_same(&mut self, columns: &str) {
        let all =
            format!("SELECT string_agg(concat_ws(' ', {columns}), ', ' ORDER BY total, id) FROM orders");
        let [there, here] = [&mut self.sender, &mut self.receiver]
            .map(|client| client.query_one(&all, &[]).unwrap().get::<_, String>(0));
        assert_eq!(there, here);
    }

    fn end(mut self) {
        self.receiver
            .batch_execute("ALTER SUBSCRIPTION shop DISABLE; ALTER SUBSCRIPTION shop SET (slot_name = NONE); DROP SUBSCRIPTION shop")
            .unwrap();
    }
}

fn cut_over(client: &mut Client) {
    client.batch_execute("CALL key_migration_cutover('orders')").unwrap();
}

#[test]
fn trap_m25_a_cut_over_on_one_server_stops_apply_until_the_other_is_cut_over() {
    let mut pair = Pair::start();
    pair.insert(1_001);
    pair.wait_for(1_001);
    cut_over(&mut pair.sender);
    pair.insert(1_002);
    pair.wait_until_apply_fails();
    assert!(!pair.has_arrived(1_002));
    cut_over(&mut pair.receiver);
    pair.wait_for(1_002);
    pair.assert_same("id, id_old, total");
    assert_eq!(wrong(&mut pair.sender), Vec::<String>::new());
    assert_eq!(wrong(&mut pair.receiver), Vec::<String>::new());
    pair.end();
}

/// Rows on their way under the old names can never be applied under the new ones. The receiver goes
/// back for them, and follows the sender afterwards.
#[test]
fn fault_d05_rows_on_their_way_under_old_names_arrive_after_a_rollback() {
    let mut pair = Pair::start();
    pair.receiver.batch_execute("ALTER SUBSCRIPTION shop DISABLE").unwrap();
    pair.insert(1_001);
    cut_over(&mut pair.sender);
    pair.insert(1_002);
    cut_over(&mut pair.receiver);
    pair.receiver.batch_execute("ALTER SUBSCRIPTION shop ENABLE").unwrap();
    pair.wait_until_apply_fails();
    assert!(!pair.has_arrived(1_001));
    pair.receiver.batch_execute("CALL key_migration_rollback('orders')").unwrap();
    pair.wait_for(1_001);
    assert!(!pair.has_arrived(1_002));
    cut_over(&mut pair.receiver);
    pair.wait_for(1_002);
    pair.assert_same("id, id_old, total");
    assert_eq!(wrong(&mut pair.receiver), Vec::<String>::new());
    pair.end();
}

/// The receiver still identifies rows by their old ids, which the sender does not send any more.
/// Native replication stops; the updates are not lost.
#[test]
fn fault_d04_after_finalize_on_one_server_updates_wait_for_the_other() {
    let mut pair = Pair::start();
    cut_over(&mut pair.sender);
    cut_over(&mut pair.receiver);
    pair.insert(1_001);
    pair.wait_for(1_001);
    let finalize = "CALL key_migration_finalize('orders', confirm => 'orders')";
    pair.sender.batch_execute(finalize).unwrap();
    pair.sender.batch_execute("UPDATE orders SET total = 1002 WHERE total = 1001").unwrap();
    pair.wait_until_apply_fails();
    assert!(pair.has_arrived(1_001) && !pair.has_arrived(1_002));
    pair.receiver.batch_execute(finalize).unwrap();
    pair.wait_for(1_002);
    assert!(!pair.has_arrived(1_001));
    pair.assert_same("id, total");
    pair.end();
}
