//! A standby can be queried, but changes nothing. Once promoted, it continues where the primary
//! was. And the memory of a long run.

use pg_test::Server;
use postgres::Client;

use crate::{DATABASE, make_shop, number, phase, run_statements, start, wait_until, wrong};

fn code(client: &mut Client, statement: &str) -> String {
    let error = client.batch_execute(statement).expect_err(statement);
    error.code().map(|code| code.code().to_owned()).unwrap_or_default()
}

#[test]
fn trap_m03_a_standby_changes_nothing_and_continues_once_it_is_promoted() {
    let server = start(&["synchronous_commit = on"]);
    let mut client = server.connect(DATABASE).unwrap();
    make_shop(&mut client, 5_000);
    client.batch_execute("SELECT key_migration_create('orders')").unwrap();
    client.batch_execute("SELECT key_migration_set('orders', batch_pages => 1)").unwrap();
    let standby = Server::start_standby(&server, "standby").unwrap();
    let mut reader = standby.connect(DATABASE).unwrap();
    assert!(number(&mut reader, "SELECT count(*) FROM key_migration_plan('orders')") > 10);
    assert_eq!(phase(&mut reader), "planned");
    for statement in [
        "SELECT key_migration_create('audit')",
        "SELECT key_migration_set('orders', paused => true)",
        "SELECT key_migration_add_key('orders', 'audit')",
        "SELECT key_migration_add_reference('orders', 'audit', '{no}')",
        "CALL key_migration_advance('orders')",
        "CALL key_migration_cutover('orders')",
        "CALL key_migration_rollback('orders')",
    ] {
        assert_eq!(code(&mut reader, statement), "25006", "{statement}");
    }
    client
        .batch_execute("CALL key_migration_advance('orders', through => 'backfilled', max_pages => 12)")
        .unwrap();
    let left = number(&mut client, "SELECT count(*) FROM orders WHERE id_new IS NULL");
    assert!(left > 0 && left < 5_000, "{left}");
    // The backfill's commits do not wait for the disk, and so not for the standby.
    client.batch_execute("CREATE TABLE after_that ()").unwrap();
    wait_until(&mut reader, "SELECT to_regclass('after_that') IS NOT NULL");
    drop(client);
    standby.promote().unwrap();
    assert_eq!(number(&mut reader, "SELECT count(*) FROM orders WHERE id_new IS NULL"), left);
    run_statements(&mut reader, "verified").unwrap();
    reader.batch_execute("CALL key_migration_cutover('orders')").unwrap();
    assert_eq!(wrong(&mut reader), Vec::<String>::new());
}

/// The most memory that a session has ever mapped, in kB.
fn peak(client: &mut Client) -> u64 {
    let pid = number(client, "SELECT pg_backend_pid()::bigint");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmPeak")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn memory_does_not_grow_with_the_rows() {
    let server = start(&["jit = off"]);
    let mut client = server.connect(DATABASE).unwrap();
    make_shop(&mut client, 2_000);
    let run = |client: &mut Client| {
        client.batch_execute("SELECT key_migration_create('orders')").unwrap();
        client.batch_execute("CALL key_migration_advance('orders', through => 'backfilled')").unwrap();
        let filled = number(client, "SELECT sum(filled_rows)::bigint FROM key_migration_progress");
        (filled, peak(client))
    };
    let (few, before) = run(&mut client);
    client.batch_execute("CALL key_migration_rollback('orders')").unwrap();
    client
        .batch_execute(
            "INSERT INTO orders (total) SELECT i FROM generate_series(1, 60000) AS i;
             INSERT INTO audit (order_id) SELECT id FROM orders, generate_series(1, 3)",
        )
        .unwrap();
    // The memory that an INSERT of many rows needs must not count.
    let mut client = server.connect(DATABASE).unwrap();
    let (many, after) = run(&mut client);
    assert!(many > 20 * few, "{many} rows, {few} rows");
    assert!(after < before + 8_192, "{before} kB for {few} rows, {after} kB for {many}");
}
