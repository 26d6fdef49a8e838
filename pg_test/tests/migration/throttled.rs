//! The limits at which a backfill waits for others, while it runs.

use std::thread::scope;

use pg_test::Server;
use postgres::Client;

use crate::{DATABASE, make_shop, number, phase, start, wait_until, wrong};

const BACKFILL: &str = "CALL key_migration_advance('orders', through => 'backfilled')";
const IS_THROTTLED: &str = "SELECT bool_or(state = 'throttled') FROM key_migration_progress";

/// A shop whose backfill is prepared.
fn prepare(client: &mut Client, orders: u32) {
    make_shop(client, orders);
    client.batch_execute("SELECT key_migration_create('orders')").unwrap();
    client.batch_execute("CALL key_migration_advance('orders', through => 'prepared')").unwrap();
    client.batch_execute("SELECT key_migration_set('orders', batch_pages => 1)").unwrap();
}

fn reason(client: &mut Client) -> String {
    let query = "SELECT DISTINCT coalesce(throttled_by, '') FROM key_migration_progress";
    client.query_one(query, &[]).unwrap().get(0)
}

/// Sets a limit that is exceeded, waits until the backfill waits for it, lifts it, and returns the
/// reason that was shown.
fn is_throttled_by(server: &Server, client: &mut Client, limit: &str, lift: &str) -> String {
    client.batch_execute(&format!("SELECT key_migration_set('orders', {limit})")).unwrap();
    scope(|scope| {
        let mut filling = server.connect(DATABASE).unwrap();
        let runner = scope.spawn(move || {
            filling.batch_execute(
                "CALL key_migration_advance('orders', through => 'backfilled', max_pages => 2)",
            )
        });
        wait_until(client, IS_THROTTLED);
        let reason = reason(client);
        let pid = "SELECT count(*) FROM pg_locks AS l JOIN key_migration_progress AS p ON p.pid = l.pid \
                   WHERE l.relation IN ('orders'::regclass, 'audit'::regclass)";
        assert_eq!(number(client, pid), 0, "it waits while it holds locks on tables");
        client.batch_execute(&format!("SELECT key_migration_set('orders', {lift})")).unwrap();
        runner.join().unwrap().unwrap();
        reason
    })
}

#[test]
fn trap_m10_each_limit_makes_the_backfill_wait_and_names_itself() {
    let server = start(&[
        "wal_level = replica",
        "max_replication_slots = 4",
        "archive_mode = on",
        "archive_command = '/bin/false'",
        "autovacuum = off",
    ]);
    let mut client = server.connect(DATABASE).unwrap();
    prepare(&mut client, 20_000);
    for statement in [
        "SELECT pg_create_physical_replication_slot('standby1', true)",
        "CREATE TABLE lazy AS SELECT generate_series(1, 5000) AS a",
        "CREATE TABLE lazier AS TABLE lazy",
        "ANALYZE lazy, lazier",
        "DELETE FROM lazy",
        "DELETE FROM lazier",
        "SELECT pg_switch_wal()",
        "CREATE TABLE more ()",
        "SELECT pg_switch_wal()",
    ] {
        client.batch_execute(statement).unwrap();
    }
    wait_until(&mut client, "SELECT count(*) > 1 FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'");
    wait_until(
        &mut client,
        "SELECT count(*) = 2 FROM pg_stat_all_tables WHERE relname IN ('lazy', 'lazier') AND n_dead_tup > 4000",
    );
    for (limit, lift, text) in [
        ("max_slot_wal => 1", "max_slot_wal => 0", "max_slot_wal: slot \"standby1\" retains "),
        ("max_archive_files => 1", "max_archive_files => 100000", "max_archive_files: "),
        ("min_free_disk => 9000000000000000000", "min_free_disk => 0", "min_free_disk: the d"),
        ("max_overdue_tables => 1", "max_overdue_tables => 1000000", "max_overdue_tables: "),
        (
            "throttle_query => 'SELECT 1 < 2'",
            "throttle_query => 'SELECT 1 > 2'",
            "throttle_query: the query returns true",
        ),
        (
            "throttle_query => 'SELECT 1'",
            "throttle_query => ''",
            "throttle_query: the query does not return a boolean",
        ),
        (
            "throttle_query => 'SELECT count(*) > 0 FROM nothing'",
            "throttle_query => ''",
            "throttle_query: cannot be checked: relation \"nothing\" does not exist",
        ),
        (
            "throttle_query => 'DELETE FROM public.lazy RETURNING true'",
            "throttle_query => ''",
            "throttle_query: cannot be checked: DELETE is not allowed in a non-volatile function",
        ),
    ] {
        let found = is_throttled_by(&server, &mut client, limit, lift);
        assert!(found.starts_with(text), "{limit}: {found}");
    }
    assert_eq!(number(&mut client, "SELECT count(*) FROM lazy"), 0);
    client.batch_execute(BACKFILL).unwrap();
    assert_eq!(phase(&mut client), "backfilled");
    assert_eq!(
        number(&mut client, "SELECT count(*) FROM key_migration_progress WHERE throttled_by <> ''"),
        0
    );
}

#[test]
fn trap_m10_a_standby_that_stops_replaying_stops_the_backfill() {
    let server = start(&["synchronous_commit = on"]);
    let mut client = server.connect(DATABASE).unwrap();
    prepare(&mut client, 20_000);
    let standby = Server::start_standby(&server, "standby").unwrap();
    let mut reader = standby.connect(DATABASE).unwrap();
    wait_until(&mut reader, "SELECT to_regclass('audit') IS NOT NULL");
    client
        .batch_execute("SELECT key_migration_set('orders', max_standby_lag => '1 s', pause => '10 ms')")
        .unwrap();
    reader.batch_execute("SELECT pg_wal_replay_pause()").unwrap();
    scope(|scope| {
        let mut filling = server.connect(DATABASE).unwrap();
        let runner = scope.spawn(move || filling.batch_execute(BACKFILL));
        wait_until(&mut client, IS_THROTTLED);
        let found = reason(&mut client);
        assert!(
            found.starts_with("max_standby_lag: ") && found.contains(" behind, more than 1.0 s"),
            "{found}"
        );
        assert!(!runner.is_finished());
        assert!(number(&mut client, "SELECT count(*) FROM audit WHERE order_id_new IS NULL") > 0);
        reader.batch_execute("SELECT pg_wal_replay_resume()").unwrap();
        runner.join().unwrap().unwrap();
    });
    assert_eq!(phase(&mut client), "backfilled");
    assert_eq!(wrong(&mut client), Vec::<String>::new());
}

#[test]
fn trap_m10_the_rate_of_wal_is_kept() {
    let server = start(&["autovacuum = off", "full_page_writes = off"]);
    let mut client = server.connect(DATABASE).unwrap();
    prepare(&mut client, 20_000);
    // Some 10 MB in all.
    client.batch_execute("SELECT key_migration_set('orders', max_wal_rate => 3000000)").unwrap();
    let written = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint";
    let (before, began) = (number(&mut client, written), std::time::Instant::now());
    client.batch_execute(BACKFILL).unwrap();
    let bytes = u128::from((number(&mut client, written) - before).unsigned_abs());
    let rate = bytes * 1_000 / began.elapsed().as_millis().max(1);
    assert!(bytes > 6_000_000, "{bytes}");
    assert!(rate < 6_000_000, "{rate} bytes in a second");
}

/// The query runs as the role that has set it, with nothing that the role which runs the migration
/// could be made to do.
#[test]
fn the_query_of_a_role_runs_with_its_rights_only() {
    let server = start(&[]);
    let mut client = server.connect(DATABASE).unwrap();
    client.batch_execute("CREATE ROLE keeper LOGIN").unwrap();
    client.batch_execute("CREATE DATABASE shop OWNER keeper").unwrap();
    let mut super_client = server.connect("shop").unwrap();
    super_client
        .batch_execute(
            "CREATE EXTENSION pg_keyspace; GRANT CREATE ON SCHEMA public TO keeper;
             CREATE TABLE secret (a integer); INSERT INTO secret VALUES (1)",
        )
        .unwrap();
    let mut keeper = server.connect_as("keeper", "shop").unwrap();
    keeper
        .batch_execute(
            "CREATE TABLE orders (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now());
             INSERT INTO orders SELECT FROM generate_series(1, 2000);
             CREATE TABLE saw (who text);
             CREATE FUNCTION look() RETURNS boolean LANGUAGE plpgsql AS $$
             BEGIN INSERT INTO public.saw VALUES (current_user || ' ' || current_setting('search_path')); RETURN false; END $$;
             SELECT key_migration_create('orders')",
        )
        .unwrap();
    keeper.batch_execute("CALL key_migration_advance('orders', through => 'prepared')").unwrap();
    keeper
        .batch_execute("SELECT key_migration_set('orders', throttle_query => 'SELECT public.look()')")
        .unwrap();
    // A superuser runs the migration.
    super_client
        .batch_execute("CALL key_migration_advance('orders', through => 'backfilled', max_pages => 1)")
        .unwrap();
    let saw: Vec<String> = super_client
        .query("SELECT DISTINCT who FROM saw", &[])
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert_eq!(saw, ["keeper pg_catalog, pg_temp"]);
    let is_throttled_with = |super_client: &mut Client, query: &str, lift: &str| -> String {
        let mut keeper = server.connect_as("keeper", "shop").unwrap();
        keeper.execute("SELECT key_migration_set('orders', throttle_query => $1)", &[&query]).unwrap();
        scope(|scope| {
            let mut filling = server.connect("shop").unwrap();
            let runner = scope.spawn(move || filling.batch_execute(BACKFILL));
            wait_until(super_client, IS_THROTTLED);
            let reason = reason(super_client);
            super_client.batch_execute(lift).unwrap();
            runner.join().unwrap().unwrap();
            reason
        })
    };
    let lift = "SELECT key_migration_set('orders', throttle_query => '')";
    let found = is_throttled_with(&mut super_client, "SELECT a = 1 FROM public.secret", lift);
    assert_eq!(found, "throttle_query: cannot be checked: permission denied for table secret");
}
