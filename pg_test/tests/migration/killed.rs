//! However a step ends, the next call continues, and no row is wrong.

use std::time::{Duration, Instant};

use anyhow::Result;
use pg_test::Server;
use pg_test::load::{self, Count, Session, Stop, Turn};
use postgres::Client;
use rand::RngExt;

use crate::{DATABASE, connect_when_up, make_shop, number, run_statements, start, wrong};

const CUT_OVER: &str = "CALL key_migration_cutover('orders')";

/// Writes until it has to stop, through crashes. Its statements mean the same before and after
/// a cut-over.
fn write(server: &Server, stop: &Stop, written: &Count) -> Result<Vec<Turn<()>>> {
    let mut client = connect_when_up(server);
    let mut random = rand::rng();
    load::paced(stop, Duration::ZERO, (0, 1), || {
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
            Ok(()) => written.add(),
            // PostgreSQL plans a statement again if the type of a name has changed, so every error
            // is a fault.
            Err(error) if error.as_db_error().is_some() && !client.is_closed() => {
                panic!("{statement}: {error}: {:?}", error.as_db_error());
            }
            Err(_) => client = connect_when_up(server),
        }
        Ok(())
    })
}

/// Kills the backend that runs the migration from time to time, up to eight times.
pub(crate) fn kill_runner(server: &Server, stop: &Stop, kills: &Count) -> Result<Vec<()>> {
    let mut client = connect_when_up(server);
    let mut random = rand::rng();
    let mut next = Instant::now() + Duration::from_millis(100);
    while !stop.wait(Duration::from_millis(5)) && kills.get() < 8 {
        if Instant::now() < next {
            continue;
        }
        let runner = "SELECT pid FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid() \
                      AND (query ~ '^CALL' OR query ~ 'CONCURRENTLY')";
        match client.query_opt(runner, &[]) {
            Ok(Some(row)) => {
                server.kill9_backend(row.get(0))?;
                kills.add();
                client = connect_when_up(server);
                next = Instant::now() + Duration::from_millis(random.random_range(150..900));
            }
            Ok(None) => {}
            Err(_) => client = connect_when_up(server),
        }
    }
    Ok(Vec::new())
}

/// Runs the statements up to `verified`, again after each kill.
fn verify_despite_kills(server: &Server, client: &mut Client, kills: &Count) {
    let deadline = Instant::now() + Duration::from_secs(240);
    while !is_verified(client) {
        // After a kill, the statements are those that are left; an invalid index is built again.
        let ended = run_statements(client, "verified");
        if let Err(error) = ended
            && let Some(refused) = error.as_db_error().filter(|_| !client.is_closed())
        {
            // A row that is written between two queries of a comparison does not count as a
            // difference.
            assert!(refused.message().contains("index"), "{error}: {refused:?}");
        }
        if client.simple_query("SELECT").is_err() {
            *client = connect_when_up(server);
        }
        assert!(Instant::now() < deadline, "not verified after {kills:?} kills");
    }
}

#[test]
fn trap_m02_the_whole_path_next_to_writers_and_kills() {
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
    let (written, kills) = (Count::default(), Count::default());
    let writer = || -> Session<'_, Turn<()>> { Box::new(|stop| write(&server, stop, &written)) };
    load::alongside(vec![writer(), writer()], || {
        let killer: Session<'_, ()> = Box::new(|stop| kill_runner(&server, stop, &kills));
        load::alongside(vec![killer], || {
            verify_despite_kills(&server, &mut client, &kills);
            Ok(())
        })?;
        client = connect_when_up(&server);
        assert!(kills.get() >= 2, "{kills:?}");
        let before = written.get();
        for call in [CUT_OVER, "CALL key_migration_rollback('orders')", CUT_OVER] {
            execute(&mut client, call);
        }
        written.wait_for(before + 500)
    })
    .unwrap();
    assert_eq!(wrong(&mut client), Vec::<String>::new());
    let unfit =
        "SELECT count(*) FROM audit a JOIN orders o ON o.id = a.order_id WHERE o.id_old <> a.order_id_old";
    assert_eq!(number(&mut client, unfit), 0);
    let audits = number(&mut client, "SELECT count(*) FROM audit");
    execute(&mut client, "CALL key_migration_finalize('orders', confirm => 'orders')");
    assert_eq!(number(&mut client, "SELECT count(*) FROM audit JOIN orders ON id = order_id"), audits);
}

/// Whether the migration is known to be verified. If the connection was lost, it is not known.
fn is_verified(client: &mut Client) -> bool {
    let row = client.query_one("SELECT key_migration_phase('orders')", &[]);
    row.is_ok_and(|row| row.get::<_, &str>(0) == "verified")
}

fn execute(client: &mut Client, call: &str) {
    client.batch_execute(call).unwrap_or_else(|error| panic!("{call}: {:?}", error.as_db_error()));
}
