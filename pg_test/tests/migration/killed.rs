//! However a step ends, the next call continues, and no row is wrong.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pg_test::Server;
use postgres::Client;
use rand::RngExt;

use crate::{DATABASE, connect_when_up, make_shop, number, run_statements, start, wrong};

/// Writes until it is told to stop, through crashes. Its statements mean the same before and after
/// a cut-over.
fn write(server: &Server, stop: &AtomicBool, done: &AtomicU64) {
    let mut client = connect_when_up(server);
    let mut random = rand::rng();
    while !stop.load(Ordering::Relaxed) {
        let (one, other) = (random.random_range(1..20_000), random.random_range(1..20_000));
        let statement = match random.random_range(0..6) {
            0 => "INSERT INTO orders (total) VALUES (0)".to_owned(),
            1 => format!("INSERT INTO audit (order_id, what) SELECT id, 'w' FROM orders WHERE total = {one} LIMIT 1"),
            2 => "WITH o AS (INSERT INTO orders (total) VALUES (1) RETURNING id) INSERT INTO audit (order_id) SELECT id FROM o".to_owned(),
            3 => format!("UPDATE orders SET created_at = created_at + interval '1 day' WHERE total = {one}"),
            4 => format!("UPDATE audit SET order_id = (SELECT id FROM orders WHERE total = {other} LIMIT 1) WHERE no = {one}"),
            _ => format!("DELETE FROM audit WHERE no = {one}"),
        };
        match client.batch_execute(&statement) {
            Ok(()) => {
                done.fetch_add(1, Ordering::Relaxed);
            }
            // PostgreSQL plans a statement again if the type of a name has changed, so every error
            // is a fault.
            Err(error) if error.as_db_error().is_some() && !client.is_closed() => {
                panic!("{statement}: {error}: {:?}", error.as_db_error());
            }
            Err(_) => client = connect_when_up(server),
        }
    }
}

/// Kills the backend that runs the migration from time to time, until it is told to stop.
fn kill_now_and_then(server: &Server, stop: &AtomicBool, kills: &AtomicU64) {
    let mut client = connect_when_up(server);
    let mut random = rand::rng();
    let mut next = Instant::now() + Duration::from_millis(100);
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(5));
        if Instant::now() < next {
            continue;
        }
        let runner = "SELECT pid FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid() \
                      AND (query ~ '^CALL' OR query ~ 'CONCURRENTLY')";
        match client.query_opt(runner, &[]) {
            Ok(Some(row)) => {
                kill(Pid::from_raw(row.get(0)), Signal::SIGKILL).unwrap();
                kills.fetch_add(1, Ordering::Relaxed);
                client = connect_when_up(server);
                next = Instant::now() + Duration::from_millis(random.random_range(150..900));
            }
            Ok(None) => {}
            Err(_) => client = connect_when_up(server),
        }
    }
}

#[test]
fn trap_m02_the_whole_path_beside_writers_and_kills() {
    let server = start(&["synchronous_commit = on", "max_connections = 30"]);
    let mut client = server.connect(DATABASE).unwrap();
    make_shop(&mut client, 20_000);
    client
        .batch_execute(
            "CREATE INDEX ON orders (total);
             SELECT key_migration_create('orders');
             SELECT key_migration_set('orders', batch_pages => 8, pause => '2 ms')",
        )
        .unwrap();
    let (stop, stop_kills) = (AtomicBool::new(false), AtomicBool::new(false));
    let (written, kills) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        // A failure also ends the other threads.
        let _ends = (StopOnDrop(&stop), StopOnDrop(&stop_kills));
        for _ in 0..2 {
            scope.spawn(|| write(&server, &stop, &written));
        }
        let killer = scope.spawn(|| kill_now_and_then(&server, &stop_kills, &kills));
        let deadline = Instant::now() + Duration::from_secs(240);
        while !is_verified(&mut client) {
            // After a kill, the statements are those that are left; an invalid index is built
            // again.
            let ended = run_statements(&mut client, "verified");
            if let Err(error) = ended
                && let Some(refused) = error.as_db_error().filter(|_| !client.is_closed())
            {
                // A row that is written between two queries of a comparison does not count as a
                // difference.
                assert!(refused.message().contains("index"), "{error}: {refused:?}");
            }
            if client.simple_query("SELECT").is_err() {
                client = connect_when_up(&server);
            }
            if kills.load(Ordering::Relaxed) >= 8 {
                stop_kills.store(true, Ordering::Relaxed);
            }
            assert!(Instant::now() < deadline, "not verified after {kills:?} kills");
        }
        stop_kills.store(true, Ordering::Relaxed);
        killer.join().unwrap();
        client = connect_when_up(&server);
        assert!(kills.load(Ordering::Relaxed) >= 2, "{kills:?}");
        let before = written.load(Ordering::Relaxed);
        switch(&mut client, "CALL key_migration_cutover('orders')");
        switch(&mut client, "CALL key_migration_rollback('orders')");
        switch(&mut client, "CALL key_migration_cutover('orders')");
        let deadline = Instant::now() + Duration::from_secs(30);
        while written.load(Ordering::Relaxed) < before + 500 {
            assert!(Instant::now() < deadline, "nobody can write after the cut-over");
            std::thread::yield_now();
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(wrong(&mut client), Vec::<String>::new());
    let unfit =
        "SELECT count(*) FROM audit a JOIN orders o ON o.id = a.order_id WHERE o.id_old <> a.order_id_old";
    assert_eq!(number(&mut client, unfit), 0);
    let audits = number(&mut client, "SELECT count(*) FROM audit");
    switch(&mut client, "CALL key_migration_finalize('orders', confirm => 'orders')");
    assert_eq!(number(&mut client, "SELECT count(*) FROM audit JOIN orders ON id = order_id"), audits);
}

/// Whether the migration is known to be verified. If the connection was lost, it is not known.
fn is_verified(client: &mut Client) -> bool {
    let row = client.query_one("SELECT key_migration_phase('orders')", &[]);
    row.is_ok_and(|row| row.get::<_, &str>(0) == "verified")
}

/// Tells threads to stop, however the scope ends.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn switch(client: &mut Client, call: &str) {
    client.batch_execute(call).unwrap_or_else(|error| panic!("{call}: {:?}", error.as_db_error()));
}
