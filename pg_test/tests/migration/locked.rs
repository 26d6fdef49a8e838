//! Locks of other sessions: the migration waits for them briefly, and holds nothing meanwhile.

use std::time::Duration;

use crate::{DATABASE, make_shop, number, phase, run_statements, start, wait_until, wrong};

#[test]
fn trap_m04_rows_that_are_locked_are_filled_in_the_end() {
    let server = start(&[]);
    let mut client = server.connect(DATABASE).unwrap();
    make_shop(&mut client, 5_000);
    client
        .batch_execute(
            "SELECT key_migration_create('orders'); SELECT key_migration_set('orders', lock_timeout => '5 ms', batch_pages => 8)",
        )
        .unwrap();
    client.batch_execute("CALL key_migration_advance('orders', through => 'prepared')").unwrap();
    let mut other = server.connect(DATABASE).unwrap();
    let mut open = other.transaction().unwrap();
    open.batch_execute("SELECT FROM orders WHERE id IN (7, 4000) FOR UPDATE").unwrap();
    std::thread::scope(|scope| {
        let runner = scope.spawn(|| {
            let call = "CALL key_migration_advance('orders', through => 'backfilled')";
            server.connect(DATABASE).unwrap().batch_execute(call).unwrap();
        });
        // All other rows are filled, and it waits for these.
        wait_until(&mut client, "SELECT count(*) = 2 FROM orders WHERE id_new IS NULL");
        wait_until(&mut client, "SELECT bool_or(state = 'waiting') FROM key_migration_progress");
        open.commit().unwrap();
        runner.join().unwrap();
    });
    assert_eq!(number(&mut client, "SELECT count(*) FROM orders WHERE id_new IS NULL"), 0);
    assert_eq!(phase(&mut client), "backfilled");
}

#[test]
fn trap_m05_a_table_that_is_rewritten_is_filled_from_the_beginning() {
    let server = start(&[]);
    let mut client = server.connect(DATABASE).unwrap();
    make_shop(&mut client, 5_000);
    client
        .batch_execute(
            "SELECT key_migration_create('orders'); SELECT key_migration_set('orders', batch_pages => 1)",
        )
        .unwrap();
    client
        .batch_execute("CALL key_migration_advance('orders', through => 'backfilled', max_pages => 10)")
        .unwrap();
    let left = number(&mut client, "SELECT count(*) FROM orders WHERE id_new IS NULL");
    assert!(left > 0 && left < 5_000, "{left}");
    client.batch_execute("CLUSTER orders USING orders_pkey").unwrap();
    run_statements(&mut client, "verified").unwrap();
    assert_eq!(wrong(&mut client), Vec::<String>::new());
    assert_eq!(phase(&mut client), "verified");
}

#[test]
fn trap_m14_a_long_reader_does_not_make_others_wait_for_the_cut_over() {
    let server = start(&[]);
    let mut client = server.connect(DATABASE).unwrap();
    make_shop(&mut client, 1_000);
    client.batch_execute("SELECT key_migration_create('orders')").unwrap();
    run_statements(&mut client, "verified").unwrap();
    let mut reader = server.connect(DATABASE).unwrap();
    let mut open = reader.transaction().unwrap();
    open.batch_execute("SELECT count(*) FROM audit").unwrap();
    std::thread::scope(|scope| {
        let runner = scope.spawn(|| {
            let call = "CALL key_migration_cutover('orders')";
            server.connect(DATABASE).unwrap().batch_execute(call).unwrap();
        });
        wait_until(&mut client, "SELECT bool_or(tries > 2) FROM key_migration_progress");
        client
            .batch_execute("SET statement_timeout = '5 s'; INSERT INTO orders (total) VALUES (1); RESET statement_timeout")
            .unwrap();
        open.commit().unwrap();
        runner.join().unwrap();
    });
    assert_eq!(phase(&mut client), "cut over");
    let tries = number(&mut client, "SELECT tries::bigint FROM key_migration_log WHERE action = 'cut over'");
    assert!(tries > 2);
}

#[test]
fn a_migration_is_paused_and_resumed_and_two_calls_exclude_each_other() {
    let server = start(&[]);
    let mut client = server.connect(DATABASE).unwrap();
    make_shop(&mut client, 5_000);
    client
        .batch_execute(
            "SELECT key_migration_create('orders'); SELECT key_migration_set('orders', paused => true)",
        )
        .unwrap();
    std::thread::scope(|scope| {
        let runner = scope.spawn(|| {
            let call = "CALL key_migration_advance('orders', through => 'backfilled')";
            server.connect(DATABASE).unwrap().batch_execute(call).unwrap();
        });
        wait_until(
            &mut client,
            "SELECT count(*) = 1 FROM pg_locks WHERE classid = 'keyspace_internal.key_migration'::regclass",
        );
        let error = client.batch_execute("CALL key_migration_advance('orders')").unwrap_err();
        assert_eq!(error.code().map(|code| code.code().to_owned()).as_deref(), Some("55006"), "{error}");
        assert_eq!(phase(&mut client), "planned");
        // While it is paused, it holds neither a snapshot nor a transaction id, so VACUUM and index
        // builds do not wait for it. It only reads its settings now and then.
        let holds = "SELECT bool_or(a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL)
                     FROM pg_stat_activity a JOIN pg_locks l USING (pid)
                     WHERE l.classid = 'keyspace_internal.key_migration'::regclass";
        let held = (0..50).filter(|_| {
            std::thread::sleep(Duration::from_millis(10));
            client.query_one(holds, &[]).unwrap().get(0)
        });
        assert!(held.count() < 25, "a paused procedure holds a snapshot");
        client.batch_execute("SELECT key_migration_set('orders', paused => false)").unwrap();
        runner.join().unwrap();
    });
    assert_eq!(phase(&mut client), "backfilled");
}

#[test]
fn trap_m10_an_old_snapshot_costs_only_space() {
    let server = start(&[]);
    let mut client = server.connect(DATABASE).unwrap();
    make_shop(&mut client, 20_000);
    client
        .batch_execute(
            "SELECT key_migration_create('orders'); SELECT key_migration_set('orders', batch_pages => 4)",
        )
        .unwrap();
    client.batch_execute("CALL key_migration_advance('orders', through => 'prepared')").unwrap();
    // From now on no dead row can be removed.
    let mut reader = server.connect(DATABASE).unwrap();
    let mut open =
        reader.build_transaction().isolation_level(postgres::IsolationLevel::RepeatableRead).start().unwrap();
    let sum = "SELECT count(*)::bigint FROM orders WHERE id_new IS NULL";
    assert_eq!(open.query_one(sum, &[]).unwrap().get::<_, i64>(0), 20_000);
    run_statements(&mut client, "backfilled").unwrap();
    assert_eq!(number(&mut client, sum), 0);
    // The reader's snapshot is unchanged.
    assert_eq!(open.query_one(sum, &[]).unwrap().get::<_, i64>(0), 20_000);
    open.commit().unwrap();
    assert_eq!(wrong(&mut client), Vec::<String>::new());
}

#[test]
fn trap_m15_every_attempt_has_a_timeout_and_the_last_one_leaves_no_locks() {
    let server = start(&[]);
    let mut client = server.connect(DATABASE).unwrap();
    make_shop(&mut client, 1_000);
    client.batch_execute("SELECT key_migration_create('orders')").unwrap();
    run_statements(&mut client, "verified").unwrap();
    client
        .batch_execute("SELECT key_migration_set('orders', retries => 3, lock_timeout => '20 ms')")
        .unwrap();
    // Like an autovacuum that prevents wraparound, this lock does not give way.
    let mut other = server.connect(DATABASE).unwrap();
    let mut open = other.transaction().unwrap();
    open.batch_execute("LOCK TABLE audit IN SHARE UPDATE EXCLUSIVE MODE").unwrap();
    let pid = number(&mut client, "SELECT pg_backend_pid()::bigint");
    let error = client.batch_execute("CALL key_migration_cutover('orders')").unwrap_err();
    assert_eq!(error.code().map(|code| code.code().to_owned()).as_deref(), Some("55P03"), "{error}");
    assert_eq!(
        number(
            &mut client,
            &format!("SELECT count(*) FROM pg_locks WHERE pid = {pid} AND relation = 'orders'::regclass")
        ),
        0
    );
    assert_eq!(number(&mut client, "SELECT max(tries)::bigint FROM key_migration_progress"), 3);
    assert_eq!(phase(&mut client), "verified");
    // No session was terminated for it.
    open.commit().unwrap();
    client.batch_execute("CALL key_migration_cutover('orders')").unwrap();
    assert_eq!(phase(&mut client), "cut over");
    assert_eq!(wrong(&mut client), Vec::<String>::new());
}

#[test]
fn fault_c18_the_last_attempt_names_the_table_and_the_process() {
    let server = start(&[]);
    let mut client = server.connect(DATABASE).unwrap();
    make_shop(&mut client, 10);
    client
        .batch_execute(
            "SELECT key_migration_create('orders');
             SELECT key_migration_set('orders', lock_timeout => '10 ms', retries => 1)",
        )
        .unwrap();
    let mut holder = server.connect(DATABASE).unwrap();
    let pid = number(&mut holder, "SELECT pg_backend_pid()::bigint");
    holder.batch_execute("BEGIN; LOCK TABLE audit IN SHARE MODE").unwrap();
    let error =
        client.batch_execute("CALL key_migration_advance('orders', through => 'prepared')").unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!(error.code().code(), "55P03");
    assert_eq!(error.message(), "could not acquire a lock on table \"audit\" in 2 attempts");
    let detail = error.detail().unwrap();
    assert!(detail.starts_with(&format!("Process {pid} holds ShareLock on it.")), "{detail}");
    assert!(error.hint().unwrap().contains(&format!("pg_terminate_backend({pid})")));
    holder.batch_execute("COMMIT").unwrap();
    client.batch_execute("CALL key_migration_advance('orders', through => 'prepared')").unwrap();
}
