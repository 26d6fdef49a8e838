//! Applications behind pgbouncer while a key moves. The migration itself runs through it, too.

use pg_test::load::{self, Count, Session};
use pg_test::{InstallTree, Server, skip, tested};
use postgres::Client;

use crate::pooled::{Told, keeper, settle, wait_for_more, writer};
use crate::pooler::{CONNECTIONS, DATABASE, Pooler};
use crate::{code, count, make_shop, run_statements};

const MISSING: &str = "pgbouncer cannot be unpacked (Debian's package pgbouncer)";

/// A server with a shop.
fn start() -> Server {
    let tree = InstallTree::from_environment().unwrap();
    let server = Server::start(&tree, "pooled", &[]).unwrap();
    make_shop(&mut server.connect(DATABASE).unwrap(), 3_000);
    server
}

/// Runs the whole migration, with writers before, between and after each change of names.
fn migrate(client: &mut Client, done: &Count) -> anyhow::Result<()> {
    wait_for_more(done, 50)?;
    client.batch_execute("SELECT key_migration_create('orders')")?;
    client.batch_execute("SELECT key_migration_set('orders', batch_pages => 2)")?;
    run_statements(client, "verified");
    client.batch_execute("CALL key_migration_cutover('orders')")?;
    wait_for_more(done, 100)?;
    client.batch_execute("CALL key_migration_rollback('orders')")?;
    wait_for_more(done, 100)?;
    run_statements(client, "verified");
    client.batch_execute("CALL key_migration_cutover('orders')")?;
    wait_for_more(done, 100)?;
    client.batch_execute("CALL key_migration_finalize('orders', confirm => 'orders')")?;
    wait_for_more(done, 100)
}

/// Clients share a few connections, one transaction each.
#[test]
fn no_write_is_lost_in_transaction_mode() {
    let server = start();
    let Some(pooler) = Pooler::start(&server, "transaction", &[]) else {
        return skip("no_write_is_lost_in_transaction_mode", MISSING);
    };
    let mut direct = server.connect(DATABASE).unwrap();
    let done = Count::default();
    let mut sessions: Vec<Session<'_, Told>> = Vec::new();
    for number in 1..=5 {
        sessions.push(writer(pooler.connect(), number, &done));
    }
    for number in 1..=2 {
        sessions.push(keeper(pooler.connect(), number, &done));
    }
    let (told, ()) = load::alongside(sessions, || {
        let mut client = pooler.connect();
        migrate(&mut client, &done)?;
        let backends = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
        let backends = count(&mut direct, backends);
        assert!((2..=CONNECTIONS).contains(&backends), "{backends} connections for eight clients");
        Ok(())
    })
    .unwrap();
    let codes = settle(&mut direct, told);
    // A key that is kept from one transaction to the next is refused once after each change: as a text
    // that is no uuid, and as one that is no number.
    assert!(codes.iter().all(|code| code == "22P02"), "{codes:?}");
    assert!((2..=6).contains(&codes.len()), "{codes:?}");
    tested(&pooler.version());
}

/// A statement that an application has prepared; its result has all columns.
const PREPARED: &str = "SELECT * FROM orders WHERE made_by = 'before-7'";

/// Takes the key up to the cut-over while `client` has a prepared statement. Returns the SQLSTATE with
/// which that fails afterwards.
fn prepared_over_a_cut_over(server: &Server, client: &mut Client) -> String {
    let mut direct = server.connect(DATABASE).unwrap();
    direct.batch_execute("SELECT key_migration_create('orders', move_primary_key => true)").unwrap();
    run_statements(&mut direct, "verified");
    let statement = client.prepare(PREPARED).unwrap();
    assert_eq!(client.query(&statement, &[]).unwrap().len(), 1);
    direct.batch_execute("CALL key_migration_cutover('orders')").unwrap();
    code(&client.query(&statement, &[]).expect_err("the result has other types"))
}

fn is_found(client: &mut Client) -> bool {
    let statement = client.prepare(PREPARED).unwrap();
    client.query(&statement, &[]).is_ok_and(|rows| rows.len() == 1)
}

/// Each client has a connection of its own until it disconnects; the next one gets it without what was
/// prepared on it.
#[test]
fn prepared_statements_work_after_reconnecting_in_session_mode() {
    let server = start();
    let Some(pooler) = Pooler::start(&server, "session", &["default_pool_size = 1"]) else {
        return skip("prepared_statements_work_after_reconnecting_in_session_mode", MISSING);
    };
    let mut client = pooler.connect();
    let backend: i32 = client.query_one("SELECT pg_backend_pid()", &[]).unwrap().get(0);
    assert_eq!(prepared_over_a_cut_over(&server, &mut client), "0A000");
    drop(client);
    let mut client = pooler.connect();
    assert_eq!(client.query_one("SELECT pg_backend_pid()", &[]).unwrap().get::<_, i32>(0), backend);
    assert!(is_found(&mut client));
    tested(&format!("{}, prepared statements in session mode", pooler.version()));
}

/// The pooler prepares each text once on each of its connections, whoever sends it. So a client that
/// reconnects meets the old plan again, until the pooler itself reconnects.
#[test]
fn prepared_statements_work_after_reconnect_of_the_pooler_in_transaction_mode() {
    let name = "prepared_statements_work_after_reconnect_of_the_pooler_in_transaction_mode";
    let server = start();
    let settings = ["default_pool_size = 1", "max_prepared_statements = 100"];
    // Earlier versions do not know the setting.
    let Some(old) = Pooler::start(&server, "transaction", &[]) else { return skip(name, MISSING) };
    if !old.can_prepare() {
        return skip(
            name,
            &format!("{} has no max_prepared_statements, which is in 1.21 and later", old.version()),
        );
    }
    drop(old);
    let pooler = Pooler::start(&server, "transaction", &settings).unwrap();
    let mut client = pooler.connect();
    assert_eq!(prepared_over_a_cut_over(&server, &mut client), "0A000");
    drop(client);
    assert!(!is_found(&mut pooler.connect()), "reconnecting the client has sufficed");
    pooler.command("RECONNECT");
    assert!(is_found(&mut pooler.connect()));
    let mut direct = server.connect(DATABASE).unwrap();
    direct.batch_execute("CALL key_migration_rollback('orders')").unwrap();
    assert!(!is_found(&mut pooler.connect()), "the types are others again");
    pooler.command("RECONNECT");
    assert!(is_found(&mut pooler.connect()));
    tested(&format!("{}, prepared statements in transaction mode", pooler.version()));
}
