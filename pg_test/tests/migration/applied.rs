//! Rows as replication writes them: as a replica, and without a search_path.

use crate::{DATABASE, make_shop, number, start, wrong};

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
