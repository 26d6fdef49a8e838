//! Kills a backend and a server in every phase, at a point that is certainly reached.

use std::time::{Duration, Instant};

use nix::sys::signal::kill;
use nix::unistd::Pid;
use pg_test::Server;
use postgres::Client;

use crate::{DATABASE, connect_when_up, make_shop, number, phase, run_statements, start, wrong};

const ADVANCE: &str = "CALL key_migration_advance('orders', through => ";
const CUT_OVER: &str = "CALL key_migration_cutover('orders')";
const ROLL_BACK: &str = "CALL key_migration_rollback('orders')";
/// Keys have been in use before, so `confirm` is needed.
const REMOVE: &str = "CALL key_migration_rollback('orders', confirm => 'orders')";
const FINALIZE: &str = "CALL key_migration_finalize('orders', confirm => 'orders')";

/// The points at which a session is stopped, with the statement that it runs.
const POINTS: [(&str, &str); 22] = [
    ("planned: stored", "SELECT key_migration_create('orders')"),
    ("prepared: locked", "prepared"),
    ("prepared: done", "prepared"),
    ("prepared: logged", "prepared"),
    ("backfilled: written", "backfilled"),
    ("backfilled: saved", "backfilled"),
    ("validated: locked", "validated"),
    ("validated: done", "validated"),
    ("validated: logged", "validated"),
    ("verified: stored", "verified"),
    ("cut over: locked", CUT_OVER),
    ("cut over: done", CUT_OVER),
    ("cut over: stored", CUT_OVER),
    ("roll back the cut-over: locked", ROLL_BACK),
    ("roll back the cut-over: done", ROLL_BACK),
    ("roll back the cut-over: stored", ROLL_BACK),
    ("roll back: locked", REMOVE),
    ("roll back: done", REMOVE),
    ("roll back: stored", REMOVE),
    ("finalize: locked", FINALIZE),
    ("finalize: done", FINALIZE),
    ("finalize: stored", FINALIZE),
];
/// Those at which primary keys move, or move back. Foreign keys that are added again are validated in
/// transactions of their own.
const MOVES: [(&str, &str); 10] = [
    ("cut over: locked", CUT_OVER),
    ("cut over: done", CUT_OVER),
    ("cut over: stored", CUT_OVER),
    ("roll back the cut-over: locked", ROLL_BACK),
    ("roll back the cut-over: done", ROLL_BACK),
    ("roll back the cut-over: stored", ROLL_BACK),
    ("settle: logged", ROLL_BACK),
    ("finalize: locked", FINALIZE),
    ("finalize: done", FINALIZE),
    ("finalize: stored", FINALIZE),
];

/// The victim of the kill.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Victim {
    Backend,
    Server,
}

fn call(statement: &str) -> String {
    match statement {
        "prepared" | "backfilled" | "validated" | "verified" => format!("{ADVANCE}'{statement}')"),
        other => other.to_owned(),
    }
}

/// Runs a statement in a session that stops at a point, kills it there, and waits until the server
/// is up again.
fn kill_at(server: &mut Server, victim: Victim, point: &str, statement: &str) {
    std::thread::scope(|scope| {
        let conninfo = server.conninfo(DATABASE);
        let runner = scope.spawn(move || {
            let mut client = Client::connect(&conninfo, postgres::NoTls).unwrap();
            client.batch_execute(&format!("SET pg_keyspace.stop_at = '{point}'")).unwrap();
            client.batch_execute(statement)
        });
        let mut observer = server.connect(DATABASE).unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        let pid = loop {
            let query = "SELECT pid FROM pg_stat_activity WHERE application_name = $1";
            if let Some(row) = observer.query_opt(query, &[&point]).unwrap() {
                break row.get::<_, i32>(0);
            }
            // The point was not reached.
            assert!(!runner.is_finished(), "{statement} did not come to \"{point}\"");
            assert!(Instant::now() < deadline, "{statement} does not come to \"{point}\"");
            std::thread::sleep(Duration::from_millis(5));
        };
        // Other sessions write meanwhile if they can.
        let _ = observer.batch_execute(
            "SET lock_timeout = '20ms';
             INSERT INTO orders (total) VALUES (-1);
             INSERT INTO audit (order_id, what) SELECT id, 'meanwhile' FROM orders WHERE total = -1",
        );
        match victim {
            Victim::Backend => {
                server.kill9_backend(pid).unwrap();
            }
            Victim::Server => {
                server.kill9().unwrap();
                // Backends end when they notice. All must have ended before the server is started
                // again.
                drop(observer);
                let deadline = Instant::now() + Duration::from_secs(60);
                while kill(Pid::from_raw(pid), None).is_ok() {
                    assert!(Instant::now() < deadline, "a backend outlives its server");
                    std::thread::sleep(Duration::from_millis(5));
                }
                server.launch().unwrap();
            }
        }
        assert!(runner.join().unwrap().is_err(), "{statement} was not killed");
    });
    let mut client = connect_when_up(server);
    client
        .batch_execute(
            "INSERT INTO orders (total) VALUES (-2);
             INSERT INTO audit (order_id, what) SELECT id, 'after' FROM orders WHERE total = -2;
             UPDATE orders SET created_at = created_at - interval '1 day' WHERE total = 17",
        )
        .unwrap();
}

/// Advances the migration to the phase in which a statement can run.
fn take_to(client: &mut Client, statement: &str, back: bool) {
    let through = match statement {
        "prepared" | "backfilled" => return,
        "validated" => "indexed",
        "verified" => "validated",
        _ => "verified",
    };
    let is_cut_over = phase(client) == "cut over";
    if is_cut_over {
        if back || statement == CUT_OVER {
            client.batch_execute(ROLL_BACK).unwrap();
        }
        return;
    }
    run_statements(client, through).unwrap();
    if !back && [ROLL_BACK, FINALIZE].contains(&statement) {
        client.batch_execute(CUT_OVER).unwrap();
    }
}

fn exists(client: &mut Client) -> bool {
    number(client, "SELECT count(*) FROM keyspace_internal.key_migration WHERE finalized_at IS NULL") > 0
}

/// The same tables, both partitioned. The primary key of orders has the column by which they are.
fn make_partitioned_shop(client: &mut Client) {
    client
        .batch_execute(
            "CREATE EXTENSION pg_keyspace;
             CREATE TABLE orders (id bigserial, day integer NOT NULL DEFAULT 1, created_at timestamptz NOT NULL DEFAULT now(), total integer,
                                  PRIMARY KEY (id, day)) PARTITION BY LIST (day);
             CREATE TABLE orders_1 PARTITION OF orders FOR VALUES IN (1);
             CREATE TABLE orders_2 PARTITION OF orders FOR VALUES IN (2);
             CREATE TABLE audit (no bigserial PRIMARY KEY, order_id bigint NOT NULL, order_day integer NOT NULL DEFAULT 1, what text,
                                 CONSTRAINT of_order FOREIGN KEY (order_id, order_day) REFERENCES orders) PARTITION BY HASH (no);
             CREATE TABLE audit_0 PARTITION OF audit FOR VALUES WITH (MODULUS 2, REMAINDER 0);
             CREATE TABLE audit_1 PARTITION OF audit FOR VALUES WITH (MODULUS 2, REMAINDER 1);
             INSERT INTO orders (day, total) SELECT i % 2 + 1, i FROM generate_series(1, 2000) AS i;
             INSERT INTO audit (order_id, order_day, what) SELECT id, day, 'x' FROM orders, generate_series(1, 2);
             ANALYZE",
        )
        .unwrap();
}

fn whole_path(victim: Victim, points: &[(&str, &str)], create: &str) {
    whole_path_of(victim, points, create, |client| make_shop(client, 5_000));
}

fn whole_path_of(victim: Victim, points: &[(&str, &str)], create: &str, make_tables: fn(&mut Client)) {
    let mut server = start(&["synchronous_commit = on", "wal_writer_delay = 10ms"]);
    let mut client = server.connect(DATABASE).unwrap();
    make_tables(&mut client);
    for (point, statement) in points.iter().copied() {
        client = connect_when_up(&server);
        let is_back = point.starts_with("roll back:");
        if statement.starts_with("SELECT") {
            assert!(!exists(&mut client));
        } else {
            if !exists(&mut client) {
                client.batch_execute(create).unwrap();
                client.batch_execute("SELECT key_migration_set('orders', batch_pages => 8)").unwrap();
            }
            take_to(&mut client, statement, is_back);
        }
        drop(client);
        kill_at(&mut server, victim, point, &call(statement));
        client = connect_when_up(&server);
        if exists(&mut client) && phase(&mut client) != "planned" && !point.starts_with("prepared") {
            // Rows may still be without a key; none has a wrong one.
            let objections = wrong(&mut client);
            let is_filled = !point.starts_with("backfilled");
            assert!(objections.is_empty() || !is_filled, "after {point}: {objections:?}");
        }
    }
    client = connect_when_up(&server);
    assert_eq!(phase(&mut client), "cut over");
    assert_eq!(wrong(&mut client), Vec::<String>::new());
    let rows = number(&mut client, "SELECT count(*) FROM audit");
    client.batch_execute(FINALIZE).unwrap();
    assert_eq!(number(&mut client, "SELECT count(*) FROM audit JOIN orders ON id = order_id"), rows);
    let types = "SELECT count(*) FROM pg_attribute WHERE attrelid IN ('orders'::regclass, 'audit'::regclass) \
                 AND attname IN ('id', 'order_id') AND atttypid = 'uuid'::regtype AND attnotnull";
    assert_eq!(number(&mut client, types), 2);
    let keys = "SELECT count(*) FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype IN ('p', 'f') \
                AND conparentid = 0 AND convalidated AND obj_description(oid, 'pg_constraint') IS NULL";
    assert_eq!(number(&mut client, keys), 3);
}

const CREATE: &str = "SELECT key_migration_create('orders')";

#[test]
fn trap_m02_a_backend_is_killed_at_every_phase() {
    whole_path(Victim::Backend, &POINTS, CREATE);
}

#[test]
fn trap_m02_the_server_is_killed_at_every_phase() {
    whole_path(Victim::Server, &POINTS, CREATE);
}

#[test]
fn fault_c21_a_backend_is_killed_while_primary_keys_move() {
    let create = "SELECT key_migration_create('orders', move_primary_key => true)";
    whole_path(Victim::Backend, &MOVES, create);
}

#[test]
fn fault_c21_a_backend_is_killed_while_primary_keys_of_partitioned_tables_move() {
    let create = "SELECT key_migration_create('orders', move_primary_key => true)";
    whole_path_of(Victim::Backend, &MOVES, create, make_partitioned_shop);
}

/// PostgreSQL builds indexes itself. Here the build is killed while it waits for another
/// transaction.
#[test]
fn trap_m12_a_build_that_is_killed_leaves_an_index_that_is_built_again() {
    let server = start(&["synchronous_commit = on"]);
    let mut client = server.connect(DATABASE).unwrap();
    make_shop(&mut client, 1_000);
    client.batch_execute("SELECT key_migration_create('orders')").unwrap();
    run_statements(&mut client, "backfilled").unwrap();
    std::thread::scope(|scope| {
        let mut old = server.connect(DATABASE).unwrap();
        old.batch_execute("BEGIN; UPDATE orders SET total = 0 WHERE total = 1").unwrap();
        let runner = scope.spawn(|| run_statements(&mut server.connect(DATABASE).unwrap(), "indexed"));
        let waits = "SELECT pid FROM pg_stat_activity WHERE query ~ '^CREATE (UNIQUE )?INDEX CONCURRENTLY' \
                     AND wait_event_type = 'Lock'";
        let deadline = Instant::now() + Duration::from_secs(60);
        let pid: i32 = loop {
            if let Some(row) = client.query_opt(waits, &[]).unwrap() {
                break row.get(0);
            }
            assert!(Instant::now() < deadline, "no index is built");
        };
        server.kill9_backend(pid).unwrap();
        assert!(runner.join().unwrap().is_err());
    });
    client = connect_when_up(&server);
    assert_eq!(number(&mut client, "SELECT count(*) FROM pg_index WHERE NOT indisvalid"), 1);
    run_statements(&mut client, "verified").unwrap();
    assert_eq!(number(&mut client, "SELECT count(*) FROM pg_index WHERE NOT indisvalid"), 0);
    assert_eq!(phase(&mut client), "verified");
}

/// Partition 0 has been compared again, and partition 1 has not: what was found about it before counts no more,
/// because rows of the first one were written without triggers meanwhile.
#[test]
fn a_repeated_comparison_that_is_interrupted_is_not_complete() {
    // What has been backfilled must outlast the kill.
    let mut server = start(&["synchronous_commit = on"]);
    let mut client = server.connect(DATABASE).unwrap();
    client
        .batch_execute(
            "CREATE EXTENSION pg_keyspace;
             CREATE TABLE orders (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now(), total integer);
             CREATE TABLE audit (no bigserial, order_id bigint NOT NULL REFERENCES orders, what text) PARTITION BY HASH (no);
             CREATE TABLE audit_0 PARTITION OF audit FOR VALUES WITH (MODULUS 2, REMAINDER 0);
             CREATE TABLE audit_1 PARTITION OF audit FOR VALUES WITH (MODULUS 2, REMAINDER 1);
             INSERT INTO orders (total) SELECT i FROM generate_series(1, 100) AS i;
             INSERT INTO audit (order_id, what) SELECT i % 100 + 1, 'x' FROM generate_series(1, 300) AS i;
             ANALYZE;
             SELECT key_migration_create('orders')",
        )
        .unwrap();
    run_statements(&mut client, "verified").unwrap();
    assert_eq!(phase(&mut client), "verified");
    client
        .batch_execute(
            "ALTER TABLE audit DETACH PARTITION audit_0;
             ALTER TABLE audit ATTACH PARTITION audit_0 FOR VALUES WITH (MODULUS 2, REMAINDER 0)",
        )
        .unwrap();
    assert_ne!(phase(&mut client), "verified");
    run_statements(&mut client, "validated").unwrap();
    kill_at(&mut server, Victim::Backend, "compares: \"audit_1\"", &call("verified"));
    let mut client = connect_when_up(&server);
    assert_eq!(phase(&mut client), "validated");
    let refused = client.batch_execute(CUT_OVER).unwrap_err();
    assert_eq!(refused.code().map(postgres::error::SqlState::code), Some("55000"), "{refused}");
    run_statements(&mut client, "verified").unwrap();
    client.batch_execute(CUT_OVER).unwrap();
    assert_eq!(wrong(&mut client), [""; 0]);
}
