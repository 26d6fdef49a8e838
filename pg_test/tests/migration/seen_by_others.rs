//! What others see of a backfill: applications that compare `xmin`, publications, readers of the
//! change stream, and extensions that look at statements. The guide says it; these tests show it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::scope;

use pg_test::{InstallTree, skip};
use postgres::Client;

use crate::{DATABASE, make_shop, number, start};

fn code(client: &mut Client, statement: &str) -> String {
    let error = client.batch_execute(statement).expect_err(statement);
    error.code().map(|code| code.code().to_owned()).unwrap_or_default()
}

fn create_slot(client: &mut Client, name: &str, plugin: &str) {
    client
        .query("SELECT pg_create_logical_replication_slot($1::text::name, $2::text::name)", &[&name, &plugin])
        .unwrap();
}

/// Takes orders up to the end of their backfill.
fn fill(client: &mut Client, arguments: &str) {
    client.batch_execute(&format!("SELECT key_migration_create('orders'{arguments})")).unwrap();
    client.batch_execute("CALL key_migration_advance('orders', through => 'backfilled')").unwrap();
}

#[test]
fn fault_c25_a_version_by_xmin_conflicts_once() {
    let server = start(&[]);
    let mut client = server.connect(DATABASE).unwrap();
    make_shop(&mut client, 1_000);
    let version = "SELECT xmin::text FROM orders WHERE id = 7";
    let update = |client: &mut Client, version: &str| {
        let update = format!("UPDATE orders SET total = 0 WHERE id = 7 AND xmin = '{version}'");
        client.execute(&update, &[]).unwrap()
    };
    let before: String = client.query_one(version, &[]).unwrap().get(0);
    fill(&mut client, "");
    assert_eq!(update(&mut client, &before), 0, "the backfill has not written the row");
    let after: String = client.query_one(version, &[]).unwrap().get(0);
    assert_eq!(update(&mut client, &after), 1);
}

#[test]
fn fault_c25_row_filters_can_use_a_uuid_and_no_ulid() {
    let server = start(&["wal_level = logical"]);
    let mut client = server.connect(DATABASE).unwrap();
    make_shop(&mut client, 10);
    let publish = "CREATE PUBLICATION filtered FOR TABLE orders WHERE (id_new IS DISTINCT FROM";
    fill(&mut client, ", target => 'ulid'");
    let filter = format!("{publish} '00000000000000000000000000'::ulid)");
    assert_eq!(code(&mut client, &filter), "0A000");
    client.batch_execute("CALL key_migration_rollback('orders')").unwrap();
    fill(&mut client, "");
    client.batch_execute(&format!("{publish} '00000000-0000-0000-0000-000000000000'::uuid)")).unwrap();
}

#[test]
fn fault_c25_filled_rows_keeps_counting_if_the_backfill_begins_again() {
    let server = start(&["autovacuum = off"]);
    let mut client = server.connect(DATABASE).unwrap();
    make_shop(&mut client, 20_000);
    let part = "CALL key_migration_advance('orders', through => 'backfilled', max_pages => 40)";
    client.batch_execute("SELECT key_migration_create('orders')").unwrap();
    client.batch_execute("SELECT key_migration_set('orders', batch_pages => 2)").unwrap();
    client.batch_execute(part).unwrap();
    let of_orders = |what: &str| {
        format!("SELECT {what} FROM key_migration_progress WHERE table_name = 'orders'::regclass")
    };
    let filled = number(&mut client, &of_orders("filled_rows"));
    assert!((1..20_000).contains(&filled), "{filled}");
    let percent = of_orders("(percent * 100)::bigint");
    let before = number(&mut client, &percent);
    client.batch_execute("VACUUM FULL orders").unwrap();
    client
        .batch_execute("CALL key_migration_advance('orders', through => 'backfilled', max_pages => 1)")
        .unwrap();
    assert!(number(&mut client, &percent) < before, "it has not begun again");
    assert!(number(&mut client, &of_orders("filled_rows")) >= filled);
    client.batch_execute("CALL key_migration_advance('orders', through => 'backfilled')").unwrap();
    // Rows that have their key are skipped, so each one counts once.
    assert_eq!(number(&mut client, &of_orders("filled_rows")), 20_000);
}

#[test]
fn fault_c25_d06_change_streams_contain_the_backfill_and_its_position() {
    let server = start(&["wal_level = logical"]);
    let mut client = server.connect(DATABASE).unwrap();
    make_shop(&mut client, 1_000);
    client
        .batch_execute(
            "CREATE PUBLICATION everything FOR ALL TABLES;
             CREATE PUBLICATION without_ours FOR TABLES IN SCHEMA public",
        )
        .unwrap();
    create_slot(&mut client, "texts", "test_decoding");
    create_slot(&mut client, "messages", "pgoutput");
    client.batch_execute("SELECT key_migration_create('orders')").unwrap();
    client.batch_execute("SELECT key_migration_set('orders', batch_pages => 1)").unwrap();
    client.batch_execute("CALL key_migration_advance('orders', through => 'backfilled')").unwrap();
    // The backfill does not wait for the disk, and what is not on it is not decoded.
    client.batch_execute("CHECKPOINT").unwrap();
    let in_stream = |client: &mut Client, what: &str| {
        let changes = "pg_logical_slot_peek_changes('texts', NULL, NULL)";
        number(client, &format!("SELECT count(*) FROM {changes} WHERE data LIKE '{what}'"))
    };
    assert_eq!(in_stream(&mut client, "table public.orders: UPDATE:%"), 1_000);
    assert_eq!(in_stream(&mut client, "table public.audit: UPDATE:%"), 3_000);
    let positions = in_stream(&mut client, "table keyspace\\_internal.key\\_migration\\_table: UPDATE:%");
    assert!(positions > 10, "{positions} batches");
    // The name of the schema is in the messages that describe a relation.
    let messages = |client: &mut Client, publication: &str, schema: &str| {
        let changes = format!(
            "pg_logical_slot_peek_binary_changes('messages', NULL, NULL, 'proto_version', '1', 'publication_names', '{publication}')"
        );
        let of_schema = format!("get_byte(data, 0) = ascii('R') AND position('{schema}'::bytea IN data) > 0");
        number(client, &format!("SELECT count(*) FROM {changes} WHERE {of_schema}"))
    };
    assert!(messages(&mut client, "everything", "keyspace_internal") > 0);
    assert_eq!(messages(&mut client, "without_ours", "keyspace_internal"), 0);
    assert!(messages(&mut client, "without_ours", "public") > 0);
}

/// pgaudit sees what the executor runs, as pg_stat_statements does, which every server has.
#[test]
fn fault_d06_a_backfill_runs_no_statements_on_the_tables() {
    let server = start(&[
        "shared_preload_libraries = 'pg_stat_statements'",
        "pg_stat_statements.track = 'all'",
        "compute_query_id = on",
    ]);
    let mut client = server.connect(DATABASE).unwrap();
    client.batch_execute("CREATE EXTENSION pg_stat_statements").unwrap();
    make_shop(&mut client, 1_000);
    client.batch_execute("SELECT key_migration_create('orders')").unwrap();
    let seen = "SELECT count(*) FROM pg_stat_statements WHERE query ~ '\\m(orders|audit)\\M' AND query ~* '^(with|select|update)'";
    let mut statements = |fires: bool| {
        let set = format!("SELECT key_migration_set('orders', fire_triggers => {fires})");
        client.batch_execute(&set).unwrap();
        client.batch_execute("CALL key_migration_advance('orders', through => 'prepared')").unwrap();
        client.query("SELECT pg_stat_statements_reset()", &[]).unwrap();
        client.batch_execute("CALL key_migration_advance('orders', through => 'backfilled')").unwrap();
        let seen = number(&mut client, seen);
        assert_eq!(number(&mut client, "SELECT count(*) FROM orders WHERE id_new IS NULL"), 0);
        client.batch_execute("CALL key_migration_rollback('orders')").unwrap();
        client.batch_execute("SELECT key_migration_create('orders')").unwrap();
        seen
    };
    assert_eq!(statements(false), 0);
    assert!(statements(true) > 0, "nothing is seen of statements either");
}

#[test]
fn fault_d06_pglogical_waits_for_the_slot_that_is_named() {
    let name = "fault_d06_pglogical_waits_for_the_slot_that_is_named";
    let tree = InstallTree::from_environment().unwrap();
    if !tree.has_extension("pglogical") {
        return skip(name, "no pglogical");
    }
    let server = start(&["wal_level = logical", "shared_preload_libraries = 'pglogical'"]);
    let mut client = server.connect(DATABASE).unwrap();
    client.batch_execute("CREATE EXTENSION pglogical").unwrap();
    create_slot(&mut client, "slot", "test_decoding");
    create_slot(&mut client, "nobody_reads", "test_decoding");
    client.batch_execute("CREATE TABLE written AS SELECT 1").unwrap();
    let is_done = AtomicBool::new(false);
    scope(|scope| {
        let mut reader = server.connect(DATABASE).unwrap();
        let is_done = &is_done;
        scope.spawn(move || {
            while !is_done.load(Ordering::Relaxed) {
                let read = "SELECT pg_replication_slot_advance('slot', pg_current_wal_insert_lsn())";
                reader.batch_execute(read).unwrap();
            }
        });
        client.batch_execute("SET statement_timeout = '30 s'").unwrap();
        let named = client.batch_execute("SELECT pglogical.wait_slot_confirm_lsn('slot', NULL)");
        client.batch_execute("SET statement_timeout = '1 s'").unwrap();
        let all = client.batch_execute("SELECT pglogical.wait_slot_confirm_lsn(NULL, NULL)");
        is_done.store(true, Ordering::Relaxed);
        named.unwrap();
        assert_eq!(all.unwrap_err().code().unwrap().code(), "57014");
    });
}
