//! Nodes that cut over, go back, and finalize, while clients write to all of them.

use std::time::{Duration, Instant};

use pg_test::load;
use pg_test::replication::Method;
use postgres::Client;

use crate::nodes::{NAMES, Pair, create, create_on, exchange, is_of_read_build, rows, when_ready};
use crate::{DATABASE, connect_when_up, number, wrong};

/// The orders that exist before the migration.
const ORDERS: u32 = 600;

fn compare(clients: &mut [Client]) {
    let (first, others) = clients.split_first_mut().unwrap();
    for other in others {
        compare_with(first, other);
    }
    exchange(clients);
}

fn compare_with(first: &mut Client, second: &mut Client) {
    let digests = "SELECT key_migration_digests('orders')::text";
    let digests: String = first.query_one(digests, &[]).unwrap().get(0);
    let compare = "SELECT part FROM key_migration_compare('orders', $1::text::jsonb) \
                   WHERE finding = 'keys differ' AND table_name = 'orders'::regclass";
    let parts: Vec<i32> = second.query(compare, &[&digests]).unwrap().iter().map(|row| row.get(0)).collect();
    if !parts.is_empty() {
        let rows = "SELECT key_migration_digests('orders', 'orders', $1)::text";
        let rows: String = first.query_one(rows, &[&parts]).unwrap().get(0);
        assert_eq!(second.query(compare, &[&rows]).unwrap().len(), 0, "keys differ");
    }
}

/// From nodes with equal rows to nodes that can cut over.
pub(crate) fn verify<const N: usize>(pair: &Pair<N>, clients: &mut [Client; N]) {
    clients.iter_mut().for_each(|client| create_on(client, N));
    exchange(clients);
    when_ready(pair, clients, "prepared");
    when_ready(pair, clients, "backfilled");
    when_ready(pair, clients, "verified");
    pair.catch_up();
    exchange(clients);
    exchange(clients);
    compare(clients);
}

pub(crate) fn call(client: &mut Client, what: &str) -> Result<(), postgres::Error> {
    client.batch_execute(&format!("CALL key_migration_{what}"))
}

/// Takes a step on nodes, one after the other, once the states allow it. Apply workers that fail in
/// between cannot be started again before all nodes have taken it.
pub(crate) fn until_allowed(clients: &mut [Client], what: &str, nodes: &[usize]) {
    for &at in nodes {
        let deadline = Instant::now() + Duration::from_secs(60);
        while let Err(error) = call(&mut clients[at], what) {
            let refusal = error.as_db_error().unwrap_or_else(|| panic!("{}: {error}", NAMES[at]));
            assert_eq!(refusal.code().code(), "55000", "{}: {refusal:?}", NAMES[at]);
            assert!(Instant::now() < deadline, "{}: {refusal:?}", NAMES[at]);
            std::thread::sleep(Duration::from_millis(10));
            exchange(clients);
        }
    }
}

/// Changes the form of rows on all nodes. Returns for how long writers waited.
fn change<const N: usize>(pair: &Pair<N>, clients: &mut [Client; N], what: &str) -> Duration {
    // pglogical reads indexes that are being built, and its worker stops at that.
    pair.catch_up();
    let began = Instant::now();
    for client in clients.iter_mut() {
        call(client, "close('orders')").unwrap();
    }
    until_allowed(clients, what, &Vec::from_iter(0..N));
    let took = began.elapsed();
    pair.method.reconnect(&pair.both(), DATABASE).unwrap();
    exchange(clients);
    took
}

/// Writes until it has to stop. Its statements mean the same before and after the cut-over. Returns how
/// many orders it has inserted, and how many transactions it had to run again.
pub(crate) fn writer<const N: usize>(pair: &Pair<N>, at: usize) -> load::Session<'_, (i64, i64)> {
    let server = &pair.servers[at];
    let same_rows = pair.method == Method::Pglogical;
    Box::new(move |stop| {
        let mut client = server.connect(DATABASE)?;
        client.batch_execute("SET lock_timeout = '60s'")?;
        let (mut inserted, mut again, mut count) = (0, 0, 0);
        while !stop.wait(Duration::from_millis(3)) {
            count += 1;
            let row =
                if same_rows { count * 7 % 100 + 1 } else { count * 7 % 100 * N as i64 + at as i64 + 1 };
            let number = 1_000_000 * (at as i64 + 1) + inserted;
            let statement = match count % 3 {
                0 => format!(
                    "WITH o AS (INSERT INTO orders (total) VALUES ({number}) RETURNING id)
                     INSERT INTO audit (order_id, what) SELECT id, 'new' FROM o"
                ),
                1 => format!(
                    "UPDATE orders SET total = {count} WHERE id = (SELECT order_id FROM audit WHERE no = {row})"
                ),
                _ => format!("UPDATE audit SET what = 'w{at}-{count}' WHERE no = {row}"),
            };
            loop {
                match client.batch_execute(&statement) {
                    Ok(()) => break,
                    Err(error) if error.code().is_some_and(|code| code.code() == "40001") => again += 1,
                    Err(error) if is_of_read_build(pair.method, &error) => {
                        std::thread::sleep(Duration::from_millis(10));
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            inserted += i64::from(count % 3 == 0);
        }
        Ok(vec![(inserted, again)])
    })
}

/// Rows are the same on both, and no insert that was acknowledged is missing.
pub(crate) fn assert_same<const N: usize>(
    pair: &Pair<N>,
    clients: &mut [Client; N],
    written: &[(i64, i64)],
    what: &str,
) {
    pair.catch_up();
    let (first, others) = clients.split_first_mut().unwrap();
    for (table, order) in [("orders", "o.id"), ("audit", "o.no")] {
        // The numbers of columns may differ.
        let columns = "SELECT string_agg(format('o.%I', attname), ', ' ORDER BY attname) FROM pg_attribute \
                       WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped";
        let columns: String = first.query_one(columns, &[&table]).unwrap().get(0);
        let query = format!("(SELECT {columns} FROM {table} AS o ORDER BY {order})");
        let here = rows(first, &query, "1");
        for (other, name) in others.iter_mut().zip(&NAMES[1..]) {
            let there = rows(other, &query, "1");
            let differ = here.iter().zip(&there).find(|(here, there)| here != there);
            let (of_first, of_other) = (here.len(), there.len());
            assert!(
                here == there,
                "{what}: {table} of {name} differs: {of_first} and {of_other} rows, {differ:?}"
            );
        }
    }
    for client in clients {
        for (at, (inserted, _)) in written.iter().enumerate() {
            let from = 1_000_000 * (at as i64 + 1);
            let count =
                format!("SELECT count(*) FROM orders WHERE total BETWEEN {from} AND {}", from + 999_999);
            assert_eq!(number(client, &count), *inserted, "{what}: orders of {}", NAMES[at]);
        }
    }
}

#[test]
fn fault_d05_cut_over_rollback_and_finalize_next_to_writers_on_both() {
    let pair = Pair::start(ORDERS);
    let mut clients = pair.clients();
    let work = || {
        verify(&pair, &mut clients);
        let cut_over = "cutover('orders')";
        let waited = change(&pair, &mut clients, cut_over);
        println!("cut-over: writers waited for at most {waited:?}");
        change(&pair, &mut clients, "rollback('orders')");
        when_ready(&pair, &mut clients, "verified");
        change(&pair, &mut clients, cut_over);
        // What takes long comes before writers wait.
        for client in &mut clients {
            call(client, "finalize('orders', confirm => 'orders')").unwrap();
            assert_eq!(number(client, "SELECT count(*) FROM orders WHERE id_old IS NULL"), 0);
            let checked =
                "SELECT (key_migration_node_state('orders') #>> '{progress,checked}')::boolean::int::bigint";
            assert_eq!(number(client, checked), 1);
        }
        change(&pair, &mut clients, "finalize('orders', confirm => 'orders')");
        Ok(())
    };
    let (written, ()) = load::alongside(vec![writer(&pair, 0), writer(&pair, 1)], work).unwrap();
    println!("inserted, and run again: {written:?}");
    assert!(written.iter().all(|(inserted, _)| *inserted > 20), "{written:?}");
    assert_same(&pair, &mut clients, &written, "at the end");
    for client in &mut clients {
        let left = "SELECT count(*) FROM pg_trigger WHERE tgname LIKE '%key\\_migration%'";
        assert_eq!(number(client, left), 0);
        let old = "SELECT count(*) FROM pg_attribute WHERE attrelid IN ('orders'::regclass, 'audit'::regclass) \
                   AND attname LIKE '%\\_old'";
        assert_eq!(number(client, old), 0);
        let origins = "SELECT count(*) FROM pg_replication_origin WHERE roname LIKE 'keyspace%'";
        assert_eq!(number(client, origins), 0);
    }
}

#[test]
fn fault_d05_three_nodes_cut_over_and_go_back_next_to_writers_on_all() {
    let group = Pair::<3>::start_all(ORDERS);
    let mut clients = group.clients();
    let work = || {
        verify(&group, &mut clients);
        change(&group, &mut clients, "cutover('orders')");
        change(&group, &mut clients, "rollback('orders')");
        when_ready(&group, &mut clients, "verified");
        change(&group, &mut clients, "cutover('orders')");
        change(&group, &mut clients, "finalize('orders', confirm => 'orders')");
        Ok(())
    };
    let writers = [0, 1, 2].map(|at| writer(&group, at)).into();
    let (written, ()) = load::alongside(writers, work).unwrap();
    assert!(written.iter().all(|(inserted, _)| *inserted > 20), "{written:?}");
    assert_same(&group, &mut clients, &written, "at the end");
}

#[test]
fn fault_d05_writers_still_wait_after_a_crash() {
    let mut pair = Pair::start(ORDERS);
    let mut clients = pair.clients();
    verify(&pair, &mut clients);
    for client in &mut clients {
        call(client, "close('orders')").unwrap();
    }
    pair.servers[0].kill9_all().unwrap();
    pair.servers[0].launch().unwrap();
    clients[0] = connect_when_up(&pair.servers[0]);
    clients[1] = pair.servers[1].connect(DATABASE).unwrap();
    pair.method.reconnect(&pair.both(), DATABASE).unwrap();
    let insert = "INSERT INTO orders (total) VALUES (77)";
    for client in &mut clients {
        for (setting, code) in [("lock_timeout", "55P03"), ("statement_timeout", "57014")] {
            client.batch_execute(&format!("SET {setting} = '100 ms'")).unwrap();
            for statement in [insert, "DELETE FROM orders", "UPDATE audit SET what = ''"] {
                let error = client.batch_execute(statement).unwrap_err();
                assert_eq!(error.code().unwrap().code(), code, "{statement}: {error:?}");
            }
            client.batch_execute(&format!("RESET {setting}")).unwrap();
        }
        // Apply would wait for its lock.
        let error = client.batch_execute("TRUNCATE audit").unwrap_err();
        assert_eq!(error.code().unwrap().code(), "40001", "{error:?}");
        // Readers do not wait.
        assert_eq!(number(client, "SELECT count(*) FROM orders"), i64::from(ORDERS));
    }
    // A statement that waits is run again, and is analyzed with the new names.
    let server = &pair.servers[0];
    let waiting: load::Session<'_, String> = Box::new(move |_| {
        let mut client = server.connect(DATABASE)?;
        client.batch_execute("SET lock_timeout = '60s'")?;
        client.batch_execute("PREPARE add AS INSERT INTO orders (total) VALUES (78)")?;
        let mut codes = Vec::new();
        while let Err(error) = client.batch_execute("EXECUTE add") {
            let code = error.code().map(|code| code.code().to_owned()).unwrap_or_default();
            if code != "40001" {
                return Err(error.into());
            }
            codes.push(code);
        }
        codes.dedup();
        Ok(codes)
    });
    let work = || {
        std::thread::sleep(Duration::from_millis(300));
        until_allowed(&mut clients, "cutover('orders')", &[0, 1]);
        Ok(())
    };
    let (codes, ()) = load::alongside(vec![waiting], work).unwrap();
    assert_eq!(codes, ["40001"]);
    clients[1].batch_execute(insert).unwrap();
    assert_same(&pair, &mut clients, &[], "after the cut-over");
    for client in &mut clients {
        let new = "SELECT count(*) FROM orders WHERE total IN (77, 78) AND id_old IS NOT NULL AND pg_typeof(id) = 'uuid'::regtype";
        assert_eq!(number(client, new), 2);
        assert_eq!(wrong(client), Vec::<String>::new());
        // Old ids stay interleaved.
        let classes = "SELECT count(DISTINCT id_old % 2) FROM orders WHERE total IN (77, 78)";
        assert_eq!(number(client, classes), 2);
    }
}

#[test]
fn fault_d05_writers_go_on_without_a_cut_over_once_all_nodes_know() {
    let pair = Pair::start(30);
    let mut clients = pair.clients();
    verify(&pair, &mut clients);
    let detail = |result: Result<(), postgres::Error>| {
        let error = result.unwrap_err();
        let error = error.as_db_error().unwrap();
        assert_eq!(error.code().code(), "55000", "{error:?}");
        error.detail().unwrap_or_default().to_owned()
    };
    assert_eq!(detail(call(&mut clients[0], "cutover('orders')")), "Writers on node 2 go on.");
    assert_eq!(detail(call(&mut clients[0], "open('orders')")), "Its writers do not wait.");
    call(&mut clients[0], "close('orders')").unwrap();
    assert_eq!(detail(call(&mut clients[0], "close('orders')")), "Its writers wait already.");
    pair.wait_until_applied();
    exchange(&mut clients);
    // The second node would have to be closed, too.
    assert_eq!(detail(call(&mut clients[1], "cutover('orders')")), "Its writers go on.");
    call(&mut clients[0], "open('orders')").unwrap();
    assert_eq!(
        detail(call(&mut clients[0], "open('orders')")),
        "Node 2 does not know the present state of this node."
    );
    let insert = "INSERT INTO orders (total) VALUES (77)";
    clients[0].batch_execute("SET lock_timeout = '100 ms'").unwrap();
    assert!(clients[0].batch_execute(insert).is_err());
    exchange(&mut clients);
    exchange(&mut clients);
    assert_eq!(detail(call(&mut clients[1], "cutover('orders')")), "Writers on node 1 go on.");
    call(&mut clients[0], "open('orders')").unwrap();
    clients[0].batch_execute(insert).unwrap();
    let left = "SELECT count(*) FROM pg_trigger WHERE tgname = '~key_migration_closed'";
    assert_eq!(number(&mut clients[0], left), 0);
    // The migration can be removed on both, under the same rules.
    assert_eq!(detail(call(&mut clients[1], "rollback('orders')")), "Writers on node 1 go on.");
    exchange(&mut clients);
    change(&pair, &mut clients, "rollback('orders')");
    for client in &mut clients {
        let new = "SELECT count(*) FROM pg_attribute WHERE attrelid IN ('orders'::regclass, 'audit'::regclass) \
                   AND attname LIKE '%\\_new' AND NOT attisdropped";
        assert_eq!(number(client, new), 0);
    }
    assert_same(&pair, &mut clients, &[], "after the removal");
    // Now that each knows that the other has removed it, it is forgotten, and can be created again.
    for client in &mut clients {
        call(client, "rollback('orders')").unwrap();
        create(client);
    }
}

#[test]
fn fault_d05_a_node_that_wants_to_open_follows_one_that_has_cut_over() {
    let pair = Pair::start(30);
    let mut clients = pair.clients();
    verify(&pair, &mut clients);
    pair.catch_up();
    for client in &mut clients {
        call(client, "close('orders')").unwrap();
    }
    pair.wait_until_applied();
    exchange(&mut clients);
    exchange(&mut clients);
    // The first node does not know of it yet, and relies on the writers of the second one.
    call(&mut clients[1], "open('orders')").unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while let Err(error) = call(&mut clients[0], "cutover('orders')") {
        let refusal = error.as_db_error().unwrap();
        assert!(refusal.detail().unwrap_or_default().contains("must have arrived"), "{refusal:?}");
        assert!(Instant::now() < deadline, "{refusal:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
    clients[0].batch_execute("INSERT INTO orders (total) VALUES (77)").unwrap();
    exchange(&mut clients);
    let error = call(&mut clients[1], "open('orders')").unwrap_err();
    let refusal = error.as_db_error().unwrap();
    assert_eq!(refusal.code().code(), "55000");
    assert_eq!(
        refusal.hint(),
        Some("Node 1 relied on the writers of this node. Take the step of node 1 here, too.")
    );
    clients[1].batch_execute("SET lock_timeout = '100 ms'").unwrap();
    assert!(clients[1].batch_execute("INSERT INTO orders (total) VALUES (78)").is_err());
    clients[1].batch_execute("RESET lock_timeout").unwrap();
    until_allowed(&mut clients, "cutover('orders')", &[1]);
    clients[1].batch_execute("INSERT INTO orders (total) VALUES (78)").unwrap();
    pair.method.reconnect(&pair.both(), DATABASE).unwrap();
    assert_same(&pair, &mut clients, &[], "after the cut-over");
    for client in &mut clients {
        assert_eq!(number(client, "SELECT count(*) FROM orders WHERE total IN (77, 78)"), 2);
        assert_eq!(wrong(client), Vec::<String>::new());
    }
}
