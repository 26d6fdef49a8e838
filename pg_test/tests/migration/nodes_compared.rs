//! Two nodes that compare their rows before the cut-over, and correct keys that differ.

use postgres::Client;

use crate::nodes::{Pair, advance, assert_equal, detail, exchange, prepare, sent, watch};
use crate::{DATABASE, number, wrong};

const KEYS_DIFFER: &str = "keys differ";

/// The digests of the first node: of all tables, or the rows of some parts of one.
fn digests(client: &mut Client, arguments: &str) -> String {
    let query = format!("SELECT key_migration_digests('orders'{arguments})::text");
    client.query_one(&query, &[]).unwrap().get(0)
}

/// What the second node finds: table, part, row and finding.
fn compare(client: &mut Client, digests: &str) -> Vec<(String, i32, Option<String>, String)> {
    let query = "SELECT table_name::text, part, row_id, finding FROM key_migration_compare('orders', $1::text::jsonb)";
    let rows = client.query(query, &[&digests]).unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3))).collect()
}

/// Both nodes have filled their rows, and have told each other.
fn filled() -> (Pair, [Client; 2]) {
    let pair = Pair::start(600);
    let mut clients = pair.clients();
    prepare(&pair, &mut clients);
    for client in &mut clients {
        advance(client, "backfilled").unwrap();
    }
    exchange(&mut clients);
    pair.wait_until_applied();
    exchange(&mut clients);
    (pair, clients)
}

/// Gives a row another key on one node, as if changes had crossed while nodes were prepared.
fn differ(client: &mut Client, order: i64) {
    client
        .batch_execute(&format!(
            "BEGIN;
             ALTER TABLE orders DISABLE TRIGGER USER;
             ALTER TABLE audit DISABLE TRIGGER USER;
             SELECT pg_replication_origin_create('by hand') WHERE NOT EXISTS
                 (SELECT FROM pg_replication_origin WHERE roname = 'by hand');
             SELECT pg_replication_origin_session_setup('by hand');
             UPDATE orders SET id_new = uuidv7_from_timestamp('2001-01-01', {order}) WHERE id = {order};
             UPDATE audit SET order_id_new = uuidv7_from_timestamp('2001-01-01', {order}) WHERE order_id = {order};
             ALTER TABLE audit ENABLE TRIGGER USER;
             ALTER TABLE orders ENABLE TRIGGER USER;
             COMMIT;
             SELECT pg_replication_origin_session_reset()"
        ))
        .unwrap();
    // ENABLE TRIGGER sets all to the usual state; the next call corrects that.
    advance(client, "prepared").unwrap();
}

fn key(client: &mut Client, order: i64) -> String {
    let query = format!("SELECT id_new::text FROM orders WHERE id = {order}");
    client.query_one(&query, &[]).unwrap().get(0)
}

#[test]
fn trap_m22_a_row_keeps_its_key_until_it_is_corrected() {
    let (pair, mut clients) = filled();
    differ(&mut clients[1], 5);
    let [first, second] = &mut clients;
    let (there, here) = (key(first, 5), key(second, 5));
    assert_ne!(there, here);
    // A change arrives with another key than the row has.
    first.execute("UPDATE orders SET total = 55 WHERE id = 5", &[]).unwrap();
    pair.wait_until_applied();
    assert_eq!(number(second, "SELECT total::bigint FROM orders WHERE id = 5"), 55);
    assert_eq!(key(second, 5), here);
    // The comparison finds it, by its part and then by its row.
    let found = compare(second, &digests(first, ""));
    let kinds: Vec<_> = found.iter().map(|one| (one.0.as_str(), one.2.as_deref(), one.3.as_str())).collect();
    assert_eq!(kinds, [("orders", None, KEYS_DIFFER), ("audit", None, "rows differ")]);
    let rows = digests(first, &format!(", table_name => 'orders', parts => '{{{}}}'", found[0].1));
    let differing: Vec<_> =
        compare(second, &rows).into_iter().map(|one| (one.0, one.2.unwrap(), one.3)).collect();
    assert_eq!(differing, [("orders".to_owned(), "5".to_owned(), KEYS_DIFFER.to_owned())]);
    let mut watcher = pair.servers[1].connect(DATABASE).unwrap();
    watch(&mut watcher);
    let changed = "SELECT pg_xact_commit_timestamp(xmin)::text FROM orders WHERE id = 5";
    let before: String = second.query_one(changed, &[]).unwrap().get(0);
    second.execute("CALL key_migration_correct('orders', $1::text::jsonb)", &[&rows]).unwrap();
    assert_eq!(key(second, 5), there);
    assert_eq!(before, second.query_one(changed, &[]).unwrap().get::<_, String>(0));
    assert_eq!(sent(&mut watcher), 0);
    // The session is as it was before.
    second.execute("UPDATE orders SET total = 6 WHERE id = 6", &[]).unwrap();
    assert_eq!(sent(&mut watcher), 1);
    pair.wait_until_applied();
    exchange(&mut clients);
    let [first, second] = &mut clients;
    assert_eq!(compare(second, &digests(first, "")), []);
    assert_eq!(wrong(second), Vec::<String>::new());
    assert_equal(&mut clients);
    watcher.execute("SELECT pg_drop_replication_slot('watch')", &[]).unwrap();
}

#[test]
fn trap_m22_rows_on_their_way_are_no_differences_of_keys() {
    let (pair, mut clients) = filled();
    let mut stop = pair.servers[1].connect(DATABASE).unwrap();
    pair.stop_receiving(&mut stop, &pair.servers[1]);
    // They are on the first node only.
    clients[0]
        .batch_execute("INSERT INTO orders (total) VALUES (1); DELETE FROM audit WHERE order_id = 3")
        .unwrap();
    clients[0].batch_execute("DELETE FROM orders WHERE id = 3").unwrap();
    let [first, second] = &mut clients;
    let found = compare(second, &digests(first, ""));
    let parts: Vec<String> =
        found.iter().filter(|one| one.0 == "orders").map(|one| one.1.to_string()).collect();
    assert!((1..=2).contains(&parts.len()), "{found:?}");
    let compared = "SELECT (key_migration_node_state('orders') #>> '{progress,compared}')::boolean";
    let is_compared = |client: &mut Client| {
        client.query_one(compared, &[]).unwrap().get::<_, Option<bool>>(0).unwrap_or(false)
    };
    assert!(!is_compared(second));
    let rows = digests(first, &format!(", table_name => 'orders', parts => '{{{}}}'", parts.join(", ")));
    let mut kinds: Vec<_> = compare(second, &rows).into_iter().map(|one| one.3).collect();
    kinds.sort();
    assert_eq!(kinds, ["only here", "only there"]);
    assert!(is_compared(second));
    // The first node knows it from the others.
    assert!(!is_compared(first));
    pair.receive_again(&mut stop, &pair.servers[1]);
    pair.catch_up();
    exchange(&mut clients);
    assert!(is_compared(&mut clients[0]));
    assert_equal(&mut clients);
}

#[test]
fn digests_of_other_nodes_and_migrations_are_refused() {
    let (_pair, mut clients) = filled();
    let [first, second] = &mut clients;
    let own = digests(second, "");
    let good = digests(first, "");
    let refusal = |client: &mut Client, digests: &str| {
        let query = "SELECT * FROM key_migration_compare('orders', $1::text::jsonb)";
        let error = client.query(query, &[&digests]).unwrap_err();
        let error = error.as_db_error().unwrap();
        format!("{}: {}", error.code().code(), error.message())
    };
    assert_eq!(refusal(second, &own), "22023: the digests are of node 2, not of node 1");
    assert_eq!(refusal(first, &own), "22023: node 1 is the one that others are compared with");
    assert_eq!(refusal(second, "{}"), "22023: the digests of a node are malformed");
    let rows = digests(first, ", table_name => 'orders', parts => '{1}'");
    assert_eq!(refusal(second, &rows), "55000: no digests have been compared before these rows");
    let without = good.replace("\"name\": \"audit\"", "\"name\": \"other\"");
    assert_eq!(refusal(second, &without), "22023: the digests of node 1 lack table \"public.audit\"");
    let of_all =
        second.execute("CALL key_migration_correct('orders', $1::text::jsonb)", &[&good]).unwrap_err();
    assert_eq!(of_all.as_db_error().unwrap().message(), "the digests have no rows with keys");
    let parts = first.query("SELECT key_migration_digests('orders', 'orders', '{16384}')", &[]).unwrap_err();
    assert_eq!(parts.as_db_error().unwrap().message(), "a part must be between 0 and 16383, not 16384");
    // Nothing of this has opened the gate.
    let detail = detail(second.batch_execute("CALL key_migration_cutover('orders')"));
    assert_eq!(detail, "The rows of node 2 have not been compared.");
}
