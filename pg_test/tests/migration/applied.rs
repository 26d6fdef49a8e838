//! Rows as replication writes them: as a replica, and without a search_path.

use crate::{DATABASE, make_shop, number, phase, run_statements, start, wait_until, wrong};

/// On one node. What subscribers need before a publisher is tested elsewhere.
#[test]
fn trap_m20_rows_that_are_applied_get_keys_where_plain_triggers_do_not_fire() {
    let server = start(&[]);
    let mut client = server.connect(DATABASE).unwrap();
    make_shop(&mut client, 100);
    client
        .batch_execute(
            "CREATE TABLE fired (by text);
             CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql
                 AS $$ BEGIN INSERT INTO public.fired VALUES (TG_NAME); RETURN NEW; END $$;
             CREATE TRIGGER plain BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION fire();
             CREATE TRIGGER always BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION fire();
             ALTER TABLE orders ENABLE ALWAYS TRIGGER always;
             SELECT key_migration_create('orders')",
        )
        .unwrap();
    client.batch_execute("CALL key_migration_advance('orders', through => 'backfilled')").unwrap();
    client
        .batch_execute(
            "SET session_replication_role = replica;
             SET search_path = '';
             INSERT INTO public.orders (id, created_at, total) VALUES (1000, '2025-01-01', 1), (1001, '2025-01-01', 2);
             INSERT INTO public.audit (no, order_id, what) VALUES (1000, 1000, 'applied'), (1001, 7, 'applied');
             RESET search_path;
             RESET session_replication_role",
        )
        .unwrap();
    let mut fired =
        |name: &str| number(&mut client, &format!("SELECT count(*) FROM fired WHERE by = '{name}'"));
    assert_eq!((fired("plain"), fired("always")), (0, 2), "it was no apply, or there is nothing to see");
    let keys = "SELECT count(o.id_new) FROM audit a JOIN orders o ON o.id = a.order_id AND o.id_new = a.order_id_new \
                WHERE a.what = 'applied'";
    assert_eq!(number(&mut client, keys), 2);
    assert_eq!(number(&mut client, "SELECT count(*) FROM orders WHERE id_new IS NULL"), 0);
    assert_eq!(wrong(&mut client), Vec::<String>::new());
}

/// The rows come from a server that knows nothing of keys, so its updates name old ids only.
#[test]
fn fault_c09_updates_that_an_apply_worker_brings_are_corrected() {
    let publisher = start(&["wal_level = logical"]);
    let server = start(&["wal_level = logical"]);
    let mut there = publisher.connect(DATABASE).unwrap();
    let mut client = server.connect(DATABASE).unwrap();
    make_shop(&mut there, 100);
    make_shop(&mut client, 100);
    there.batch_execute("CREATE PUBLICATION shop FOR TABLE orders, audit").unwrap();
    let subscribe = format!(
        "CREATE SUBSCRIPTION shop CONNECTION '{}' PUBLICATION shop WITH (copy_data = false)",
        publisher.conninfo(DATABASE).replace('\'', "''")
    );
    // With the subscription, the migration would be refused (fault D01).
    client.batch_execute("SELECT key_migration_create('orders')").unwrap();
    client.batch_execute(&subscribe).unwrap();
    run_statements(&mut client, "verified").unwrap();
    assert_eq!(phase(&mut client), "verified");
    there
        .batch_execute(
            "UPDATE audit SET order_id = 50 WHERE no = 1;
             UPDATE audit SET what = 'changed' WHERE no = 3;
             INSERT INTO orders (id, total) VALUES (1000, 1);
             INSERT INTO audit (no, order_id) VALUES (1000, 1000);
             UPDATE audit SET order_id = 1000 WHERE no = 5;
             UPDATE orders SET total = -1 WHERE id = 9",
        )
        .unwrap();
    wait_until(&mut client, "SELECT total = -1 FROM orders WHERE id = 9");
    let moved = "SELECT count(*) FROM audit AS a JOIN orders AS o ON (o.id, o.id_new) = (a.order_id, a.order_id_new) \
                 WHERE a.no IN (1, 3, 5, 1000) AND a.order_id IN (50, 4, 1000)";
    assert_eq!(number(&mut client, moved), 4);
    assert_eq!(wrong(&mut client), Vec::<String>::new());
    assert_eq!(phase(&mut client), "verified", "nothing is in doubt");
    client.batch_execute("ALTER SUBSCRIPTION shop DISABLE").unwrap();
    client.batch_execute("ALTER SUBSCRIPTION shop SET (slot_name = NONE)").unwrap();
    client.batch_execute("DROP SUBSCRIPTION shop").unwrap();
    client.batch_execute("CALL key_migration_cutover('orders')").unwrap();
    assert_eq!(wrong(&mut client), Vec::<String>::new());
}
