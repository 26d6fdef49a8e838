//! A table with everything that an index, a constraint or a column can have: after finalize,
//! `pg_dump -s` is the same as that of the table that somebody has written with keys.

use pg_test::{lines_without, schema_dump};
use postgres::Client;

use crate::{connect_when_up, start};

/// What stands for the types and names that differ: in the table before, and in the one by hand.
const DIFFERENT: [(&str, &str, &str); 6] = [
    ("@id@", "bigint", "uuid"),
    ("@small@", "integer", "uuid"),
    ("@key@", "bigserial", "uuid DEFAULT public.uuidv7()"),
    ("@bloom@", "int8_bloom_ops", "uuid_bloom_ops"),
    ("@multi@", "int4_minmax_multi_ops", "uuid_minmax_multi_ops"),
    ("@fill@", "INSERT", "--"),
];

const SCHEMA: &str = "
CREATE EXTENSION pg_keyspace;
CREATE EXTENSION btree_gist;
CREATE EXTENSION btree_gin;
CREATE SCHEMA shop;
SET search_path = shop, public;
CREATE TABLE orders (
    id @key@ CONSTRAINT orders_pkey PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT '2024-01-01 00:00:00+00',
    tenant integer NOT NULL DEFAULT 1,
    parent_id @id@ REFERENCES orders ON DELETE SET NULL,
    name text,
    CONSTRAINT not_itself CHECK (parent_id <> id),
    CONSTRAINT orders_tenant UNIQUE (tenant, id)
);
CREATE TABLE item (
    no integer NOT NULL PRIMARY KEY,
    order_id @id@ NOT NULL DEFAULT @one@ CONSTRAINT item_of REFERENCES orders ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED,
    other_id @small@ CONSTRAINT item_other REFERENCES orders DEFERRABLE,
    late_id @id@ NOT NULL,
    loose_id @id@ NOT NULL,
    tenant integer,
    pos integer,
    note text,
    during tstzrange,
    CONSTRAINT item_pos UNIQUE (order_id, pos) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT item_full FOREIGN KEY (tenant, order_id) REFERENCES orders (tenant, id) MATCH FULL DEFERRABLE,
    CONSTRAINT one_of CHECK ((other_id IS NULL) OR (order_id IS DISTINCT FROM other_id)),
    CONSTRAINT known CHECK (num_nulls(order_id, other_id) < 2)
);
CREATE TABLE line (
    order_id @id@ REFERENCES orders ON DELETE RESTRICT,
    pos integer,
    CONSTRAINT line_key PRIMARY KEY (order_id, pos) DEFERRABLE
);
CREATE UNIQUE INDEX one_root ON orders (name) WHERE parent_id IS NULL;
CREATE UNIQUE INDEX one_each ON item (order_id, pos) INCLUDE (other_id, note) WHERE order_id IS NOT NULL AND note IS NOT NULL;
CREATE UNIQUE INDEX replica ON item (no, order_id);
CREATE INDEX ordered ON item (order_id DESC, other_id NULLS FIRST, note COLLATE \"C\" text_pattern_ops) WITH (fillfactor = 70);
CREATE INDEX expressions ON item (lower(note), (order_id IS NULL), order_id);
CREATE INDEX hashed ON item USING hash (order_id);
CREATE INDEX gisted ON item USING gist (order_id, during);
CREATE INDEX ginned ON item USING gin (other_id, note) WITH (fastupdate = off);
CREATE INDEX brin_plain ON item USING brin (order_id, pos) WITH (pages_per_range = 16);
CREATE INDEX brin_bloom ON item USING brin (order_id @bloom@ (n_distinct_per_range = 50, false_positive_rate = 0.02));
CREATE INDEX brin_multi ON item USING brin (other_id @multi@ (values_per_range = 16));
@fill@ INTO orders (name) SELECT 'n' || i FROM generate_series(1, 50) AS i;
@fill@ INTO item (no, order_id, other_id, late_id, loose_id, tenant, pos) SELECT i, i, 51 - i, i, i, 1, i FROM generate_series(1, 50) AS i;
@fill@ INTO line SELECT i, i FROM generate_series(1, 50) AS i;
SET CONSTRAINTS ALL IMMEDIATE;
ALTER TABLE item ADD CONSTRAINT item_late FOREIGN KEY (late_id) REFERENCES orders NOT VALID;
COMMENT ON COLUMN item.order_id IS 'the order';
COMMENT ON COLUMN orders.id IS 'the number';
COMMENT ON INDEX ordered IS 'in order';
COMMENT ON INDEX orders_pkey IS 'index of the key';
COMMENT ON CONSTRAINT orders_pkey ON orders IS 'the key';
COMMENT ON CONSTRAINT item_pos ON item IS 'places';
COMMENT ON CONSTRAINT item_of ON item IS 'of an order';
COMMENT ON CONSTRAINT one_of ON item IS 'one of two';
ALTER TABLE item CLUSTER ON ordered;
ALTER TABLE item REPLICA IDENTITY USING INDEX replica;
ALTER TABLE item ALTER order_id SET STATISTICS 700, ALTER order_id SET (n_distinct = -0.2), ALTER other_id SET (n_distinct = 7);
ALTER INDEX expressions ALTER COLUMN 2 SET STATISTICS 90;
GRANT SELECT (order_id, note), INSERT (order_id), REFERENCES (order_id) ON item TO by_hand_clerk;
GRANT UPDATE (other_id) ON item TO by_hand_clerk WITH GRANT OPTION;
GRANT SELECT (id) ON orders TO PUBLIC;
";

/// The schema with numbers, or with keys if that of the first row is given.
fn schema(first_key: Option<&str>) -> String {
    let text = SCHEMA.replace("@one@", &first_key.map_or("1".to_owned(), |key| format!("'{key}'")));
    DIFFERENT.iter().fold(text, |text, (mark, before, by_hand)| {
        text.replace(mark, if first_key.is_some() { by_hand } else { before })
    })
}

fn run(client: &mut Client, statement: &str) {
    client.batch_execute(statement).unwrap_or_else(|error| panic!("{statement}: {:?}", error.as_db_error()));
}

fn migrate(client: &mut Client) {
    run(client, "SELECT key_migration_create('shop.orders')");
    run(client, "SELECT key_migration_add_reference('shop.orders', 'shop.item', '{loose_id}')");
    let statements = |client: &mut Client| {
        for row in client.query("SELECT statement FROM key_migration_statements('shop.orders')", &[]).unwrap()
        {
            run(client, row.get(0));
        }
    };
    statements(client);
    // There and back, in both ways.
    run(client, "CALL key_migration_cutover('shop.orders')");
    run(client, "CALL key_migration_rollback('shop.orders')");
    statements(client);
    run(client, "CALL key_migration_cutover('shop.orders', way => 'view')");
    run(client, "CALL key_migration_rollback('shop.orders')");
    statements(client);
    run(client, "CALL key_migration_cutover('shop.orders')");
    run(client, "CALL key_migration_finalize('shop.orders', confirm => 'orders')");
}

#[test]
fn fault_c16_a_table_with_everything_is_as_if_written_by_hand() {
    let server = start(&[]);
    let mut client = connect_when_up(&server);
    run(&mut client, "CREATE ROLE by_hand_clerk");
    run(&mut client, "CREATE DATABASE migrated");
    run(&mut client, "CREATE DATABASE by_hand");
    let mut migrated = server.connect("migrated").unwrap();
    run(&mut migrated, &schema(None));
    let dump = |database: &str| schema_dump(&server, database, "shop").unwrap();
    let before = dump("migrated");
    migrate(&mut migrated);
    let first = "SELECT key_migration_uuid('2024-01-01 00:00:00+00', 1, 'shop.orders')::text";
    let first: String = migrated.query_one(first, &[]).unwrap().get(0);
    let mut by_hand = server.connect("by_hand").unwrap();
    run(&mut by_hand, &schema(Some(&first)));
    // Columns of keys are the last ones.
    let (expected, found) = (dump("by_hand"), dump("migrated"));
    let (lost, new) = (lines_without(expected.clone(), &found), lines_without(found.clone(), &expected));
    assert!(lost.is_empty() && new.is_empty(), "lost: {lost:#?}\nnew: {new:#?}");
    // The comparison can fail: this is what it was.
    assert!(!lines_without(before, &found).is_empty());
}
