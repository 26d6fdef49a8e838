//! Two nodes of which one is killed in the middle of each change of names, while clients write to both.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::Result;
use pg_test::load::{self, Stop};
use pg_test::replication::Method;
use postgres::error::SqlState;
use postgres::{Client, NoTls};

use crate::nodes::{NAMES, Pair, detail, exchange, when_ready};
use crate::nodes_cut_over::{assert_same, call, until_allowed, verify};
use crate::{DATABASE, connect_when_up, number, run_statements, wait_until};

/// The orders that exist before the migration.
const ORDERS: u32 = 600;

/// What a writer was told to be committed.
#[derive(Default)]
struct Acknowledged {
    /// The totals of its orders.
    orders: BTreeSet<i64>,
    /// The last value of each audit row, by its number. No other writer updates them.
    last: BTreeMap<i64, i64>,
}

/// Inserts orders, and updates audit rows of its own, whatever happens to its server.
fn writer(conninfo: String, at: i64) -> load::Session<'static, Acknowledged> {
    Box::new(move |stop: &Stop| {
        let (mut found, mut client, mut count) = (Acknowledged::default(), None, 0_i64);
        while !stop.wait(Duration::from_millis(3)) {
            count += 1;
            let row = count * 7 % 50 * 2 + at + 1;
            let number = 1_000_000 * (at + 1) + count;
            let is_order = count % 2 == 0;
            let statement = if is_order {
                format!(
                    "WITH o AS (INSERT INTO orders (total) VALUES ({number}) RETURNING id)
                     INSERT INTO audit (order_id, what) SELECT id, 'new' FROM o"
                )
            } else {
                format!("UPDATE audit SET what = '{count}' WHERE no = {row}")
            };
            if !write(&mut client, &conninfo, &statement, stop)? {
                continue;
            }
            if is_order {
                found.orders.insert(number);
            } else {
                found.last.insert(row, count);
            }
        }
        Ok(vec![found])
    })
}

/// Runs a statement, again as often as its transaction is to be run again. Returns whether it was
/// committed for certain; a server that is killed gives no answer.
fn write(client: &mut Option<Client>, conninfo: &str, statement: &str, stop: &Stop) -> Result<bool> {
    loop {
        if client.is_none() {
            *client = Client::connect(conninfo, NoTls).ok();
        }
        let Some(connected) = client else {
            if stop.wait(Duration::from_millis(20)) {
                return Ok(false);
            }
            continue;
        };
        // What is acknowledged must survive a kill.
        let result = connected
            .batch_execute("SET synchronous_commit = on; SET lock_timeout = '60s'")
            .and_then(|()| connected.batch_execute(statement));
        match result {
            Ok(()) => return Ok(true),
            Err(error) if error.code().is_some_and(|code| code.code() == "40001") => {}
            // Class 57: the server is shutting down or starting.
            Err(error) if error.code().is_none_or(|code| code.code().starts_with("57")) => {
                *client = None;
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Takes a step on a node as far as the point at which it is stored, but not committed, and kills the
/// server there.
fn kill_in(pair: &mut Pair, node: usize, what: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let point = format!("{}: stored", action(what));
    loop {
        let (conninfo, stop) =
            (pair.servers[node].conninfo(DATABASE), format!("SET pg_keyspace.stop_at = '{point}'"));
        let step = format!("CALL key_migration_{what}");
        let runner = std::thread::spawn(move || {
            let mut client = Client::connect(&conninfo, NoTls)?;
            client.batch_execute(&stop)?;
            client.batch_execute(&step)
        });
        let mut observer = pair.servers[node].connect(DATABASE).unwrap();
        let at_point = "SELECT FROM pg_stat_activity WHERE application_name = $1";
        while !runner.is_finished() && observer.query_opt(at_point, &[&point]).unwrap().is_none() {
            assert!(Instant::now() < deadline, "{what} does not come to \"{point}\"");
            std::thread::sleep(Duration::from_millis(5));
        }
        let is_there = !runner.is_finished();
        if is_there {
            restart(pair, node);
        }
        let error = runner.join().unwrap().unwrap_err();
        if is_there {
            return;
        }
        // The other node is not ready for it yet.
        assert_eq!(error.code().map(SqlState::code), Some("55000"), "{error:?}");
        assert!(Instant::now() < deadline, "{error:?}");
        exchange(&mut pair.clients());
    }
}

/// What a procedure calls its change.
fn action(what: &str) -> &'static str {
    match what.split('(').next() {
        Some("cutover") => "cut over",
        Some("rollback") => "roll back the cut-over",
        _ => "finalize",
    }
}

/// Kills all processes of a server, and starts it again.
fn restart(pair: &mut Pair, node: usize) {
    pair.servers[node].kill9_all().unwrap();
    pair.servers[node].launch().unwrap();
    drop(connect_when_up(&pair.servers[node]));
}

/// Changes the form of rows on both nodes. The first one that changes is killed before it commits, and
/// once more after that.
fn change(pair: &mut Pair, first: usize, what: &str) {
    pair.catch_up();
    for client in &mut pair.clients() {
        call(client, "close('orders')").unwrap();
    }
    kill_in(pair, first, what);
    pair.method.reconnect(&pair.both(), DATABASE).unwrap();
    let mut clients = pair.clients();
    // Its writers still wait.
    clients[first].batch_execute("SET lock_timeout = '100 ms'").unwrap();
    let error = clients[first].batch_execute("INSERT INTO orders (total) VALUES (0)").unwrap_err();
    assert_eq!(error.code().map(SqlState::code), Some("55P03"), "{what}: {error:?}");
    clients[first].batch_execute("RESET lock_timeout").unwrap();
    until_allowed(&mut clients, what, &[first]);
    // They go on, and the other node cannot apply what they write until it has changed, too.
    let before = number(&mut clients[first], "SELECT count(*) FROM orders");
    wait_until(&mut clients[first], &format!("SELECT count(*) > {before} FROM orders"));
    restart(pair, first);
    until_allowed(&mut pair.clients(), what, &[1 - first]);
    pair.catch_up();
    exchange(&mut pair.clients());
}

#[test]
fn fault_d05_a_node_that_is_killed_in_each_change_of_names_goes_on() {
    let mut pair = Pair::start(ORDERS);
    let writers = [0, 1].map(|at| writer(pair.servers[at].conninfo(DATABASE), at as i64)).into();
    let work = || {
        verify(&pair, &mut pair.clients());
        change(&mut pair, 0, "cutover('orders')");
        change(&mut pair, 1, "rollback('orders')");
        when_ready(&pair, &mut pair.clients(), "verified");
        change(&mut pair, 1, "cutover('orders')");
        change(&mut pair, 0, "finalize('orders', confirm => 'orders')");
        Ok(())
    };
    let (written, ()) = load::alongside(writers, work).unwrap();
    let mut clients = pair.clients();
    assert_same(&pair, &mut clients, &[], "at the end");
    for (acknowledged, of) in written.iter().zip(NAMES) {
        assert!(acknowledged.orders.len() > 20, "{} of {of}", acknowledged.orders.len());
        for client in &mut clients {
            let totals = client.query("SELECT total::bigint FROM orders", &[]).unwrap();
            let present: BTreeSet<i64> = totals.iter().map(|row| row.get(0)).collect();
            let lost: Vec<_> = acknowledged.orders.difference(&present).collect();
            assert!(lost.is_empty(), "lost orders of {of}: {lost:?}");
            for (row, value) in &acknowledged.last {
                let now = number(client, &format!("SELECT what::bigint FROM audit WHERE no = {row}"));
                assert!(now >= *value, "audit row {row} of {of} is {now}, and was {value}");
            }
        }
    }
}

/// Cuts a node off that does not come back.
fn forget(pair: &Pair, left: &mut Client) {
    let subscription = match pair.method {
        Method::Pglogical => "SELECT pglogical.drop_subscription('node1_from_node2')",
        Method::Native => {
            "ALTER SUBSCRIPTION from_node2 DISABLE; \
             ALTER SUBSCRIPTION from_node2 SET (slot_name = NONE); \
             DROP SUBSCRIPTION from_node2"
        }
    };
    for statement in subscription.split("; ") {
        left.batch_execute(statement).unwrap();
    }
    wait_until(left, "SELECT NOT bool_or(active) FROM pg_replication_slots");
    left.batch_execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots").unwrap();
}

#[test]
fn trap_m25_the_others_go_on_without_a_node_that_is_lost() {
    let mut pair = Pair::start(30);
    let mut clients = pair.clients();
    verify(&pair, &mut clients);
    for client in &mut clients {
        call(client, "close('orders')").unwrap();
    }
    until_allowed(&mut clients, "cutover('orders')", &[0]);
    exchange(&mut clients);
    let [mut left, _] = clients;
    pair.servers[1].discard().unwrap();
    let insert = "INSERT INTO orders (total) VALUES (77)";
    left.batch_execute(insert).unwrap();
    assert_eq!(detail(call(&mut left, "close('orders')")), "Node 2 is prepared, which does not fit.");
    let remove = "SELECT key_migration_remove_node('orders', 2)";
    let connected = detail(left.batch_execute(remove));
    assert!(connected.starts_with("It receives from replication slot "), "{connected}");
    forget(&pair, &mut left);
    left.batch_execute(remove).unwrap();
    let error = left.batch_execute(remove).unwrap_err();
    assert_eq!(error.code().map(SqlState::code), Some("22023"), "{error:?}");
    for what in ["rollback('orders')", "cutover('orders')", "finalize('orders', confirm => 'orders')"] {
        run_statements(&mut left, "verified").unwrap();
        call(&mut left, "close('orders')").unwrap();
        call(&mut left, what).unwrap();
        left.batch_execute(insert).unwrap();
    }
    assert_eq!(number(&mut left, "SELECT count(*) FROM orders WHERE total = 77"), 4);
}
