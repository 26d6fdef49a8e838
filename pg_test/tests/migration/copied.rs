//! A database that is copied, or restored from a dump, in the middle of a migration: its triggers are
//! there, and the migration belongs to another database (fault C05).

use std::io::Write;
use std::process::Stdio;

use pg_test::Server;
use postgres::Client;

use crate::{DATABASE, make_shop, number, phase, run_statements, start, wrong};

/// The SQLSTATE and the hint of a statement that fails.
fn failure(client: &mut Client, statement: &str) -> (String, String) {
    let error = client.batch_execute(statement).unwrap_err();
    let error = error.as_db_error().unwrap();
    (error.code().code().to_owned(), error.hint().unwrap_or_default().to_owned())
}

/// A copy of the database, to which nobody may be connected.
fn copy(server: &Server, name: &str) -> Client {
    let mut client = server.connect("template1").unwrap();
    client.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {DATABASE}")).unwrap();
    server.connect(name).unwrap()
}

/// A database restored from a dump.
fn restore(server: &Server, name: &str) -> Client {
    let mut client = server.connect("template1").unwrap();
    client.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE template0")).unwrap();
    let dump =
        server.tree().command("pg_dump").args(["--dbname", &server.conninfo(DATABASE)]).output().unwrap();
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    let mut psql = server
        .tree()
        .command("psql")
        .args(["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--dbname", &server.conninfo(name)])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    psql.stdin.take().unwrap().write_all(&dump.stdout).unwrap();
    assert!(psql.wait().unwrap().success());
    server.connect(name).unwrap()
}

/// Runs the statements that a query returns.
fn execute_rows(client: &mut Client, query: &str) {
    for row in client.query(query, &[]).unwrap() {
        client.batch_execute(row.get(0)).unwrap();
    }
}

/// The query in a hint that ends in `\gexec`.
fn query_in(hint: &str) -> &str {
    let (_, query) = hint.split_once("drop the triggers: ").unwrap();
    query.split_once(" \\gexec").unwrap().0
}

const INSERT: &str = "INSERT INTO orders (created_at, total) VALUES ('2026-01-01', 1)";

#[test]
fn fault_c05_a_copy_continues_the_migration_of_its_origin() {
    let server = start(&[]);
    let mut client = server.connect(DATABASE).unwrap();
    make_shop(&mut client, 100);
    client.batch_execute("SELECT key_migration_create('orders')").unwrap();
    run_statements(&mut client, "backfilled").unwrap();
    drop(client);

    // Before the cut-over.
    let mut early = copy(&server, "early");
    early.batch_execute(INSERT).unwrap();
    let adopt = (
        "42704".to_owned(),
        "SELECT key_migration_adopt('public.orders') to continue that migration here.".to_owned(),
    );
    assert_eq!(failure(&mut early, "CALL key_migration_advance('orders')"), adopt);
    let refused = ("55000".to_owned(), adopt.1.clone());
    assert_eq!(failure(&mut early, "SELECT key_migration_create('orders')"), refused);
    // The columns are still filled.
    early.batch_execute(INSERT).unwrap();
    early.batch_execute("SELECT key_migration_adopt('orders')").unwrap();
    assert_eq!(phase(&mut early), "backfilled");
    assert_eq!(failure(&mut early, "SELECT key_migration_adopt('orders')").0, "55000");
    run_statements(&mut early, "verified").unwrap();
    early.batch_execute("CALL key_migration_cutover('orders')").unwrap();
    early.batch_execute("CALL key_migration_finalize('orders', confirm => 'orders')").unwrap();
    assert_eq!(number(&mut early, "SELECT count(id) FROM orders"), 102);

    // After the cut-over, which the origin does meanwhile.
    let mut client = server.connect(DATABASE).unwrap();
    assert_eq!(phase(&mut client), "backfilled");
    run_statements(&mut client, "verified").unwrap();
    client.batch_execute("CALL key_migration_cutover('orders')").unwrap();
    drop(client);
    let mut late = copy(&server, "late");
    late.batch_execute(INSERT).unwrap();
    assert_eq!(failure(&mut late, "CALL key_migration_finalize('orders', confirm => 'orders')"), adopt);
    assert_eq!(failure(&mut late, "SELECT key_migration_create('orders')"), refused);
    late.batch_execute(INSERT).unwrap();
    late.batch_execute("SELECT key_migration_adopt('orders')").unwrap();
    assert_eq!(phase(&mut late), "cut over");
    late.batch_execute("CALL key_migration_rollback('orders')").unwrap();
    assert_eq!(wrong(&mut late), Vec::<String>::new());
    late.batch_execute("CALL key_migration_cutover('orders')").unwrap();
    drop(late);

    // A copy of the copy has what the copy has done, and not what is stored of the origin.
    let mut client = server.connect("template1").unwrap();
    client.batch_execute("CREATE DATABASE later TEMPLATE late").unwrap();
    let mut later = server.connect("later").unwrap();
    later.batch_execute("SELECT key_migration_adopt('orders')").unwrap();
    assert_eq!(phase(&mut later), "cut over");
    later.batch_execute("CALL key_migration_finalize('orders', confirm => 'orders')").unwrap();
    assert_eq!(number(&mut later, "SELECT count(*) FROM audit a JOIN orders o ON o.id = a.order_id"), 300);

    // Tables that are not those of the stored migration.
    let mut late = server.connect("late").unwrap();
    late.batch_execute("CALL key_migration_finalize('orders', confirm => 'orders')").unwrap();
    drop(late);
    client.batch_execute("CREATE DATABASE last TEMPLATE late").unwrap();
    let mut last = server.connect("last").unwrap();
    assert_eq!(failure(&mut last, "SELECT key_migration_adopt('orders')").0, "55000");
}

#[test]
fn fault_c05_a_restored_database_says_how_to_go_on() {
    let server = start(&[]);
    let mut client = server.connect(DATABASE).unwrap();
    make_shop(&mut client, 100);
    client.batch_execute("SELECT key_migration_create('orders')").unwrap();
    run_statements(&mut client, "verified").unwrap();
    let before: String =
        client.query_one("SELECT id_new::text FROM orders WHERE id = 7", &[]).unwrap().get(0);

    // Before the cut-over: everything can begin again.
    let mut early = restore(&server, "early");
    let (state, hint) = failure(&mut early, INSERT);
    assert_eq!(state, "55000");
    assert!(hint.contains("drop the columns of keys (id_new), and start a new migration"), "{hint}");
    let (state, hint) = failure(&mut early, "SELECT key_migration_create('orders')");
    assert_eq!(state, "55000");
    assert_eq!(failure(&mut early, "SELECT key_migration_adopt('orders')").0, "55000");
    execute_rows(&mut early, query_in(&hint));
    early
        .batch_execute("ALTER TABLE orders DROP COLUMN id_new CASCADE; ALTER TABLE audit DROP COLUMN order_id_new CASCADE")
        .unwrap();
    early.batch_execute(INSERT).unwrap();
    early.batch_execute("SELECT key_migration_create('orders')").unwrap();
    run_statements(&mut early, "verified").unwrap();
    let again: String = early.query_one("SELECT id_new::text FROM orders WHERE id = 7", &[]).unwrap().get(0);
    assert_eq!(again, before);

    // After it: the keys stay in use.
    client.batch_execute("CALL key_migration_cutover('orders')").unwrap();
    let mut late = restore(&server, "late");
    let (state, hint) = failure(&mut late, INSERT);
    assert_eq!(state, "55000");
    assert!(hint.contains("Its keys stay in use (id); drop the columns of old ids."), "{hint}");
    let (_, hint) = failure(&mut late, "SELECT key_migration_adopt('orders')");
    execute_rows(&mut late, query_in(&hint));
    late.batch_execute(
        "ALTER TABLE audit DROP COLUMN order_id_old CASCADE;
         ALTER TABLE orders DROP COLUMN id_old CASCADE;
         ALTER TABLE orders ADD PRIMARY KEY USING INDEX orders_pkey",
    )
    .unwrap();
    late.batch_execute(INSERT).unwrap();
    assert_eq!(number(&mut late, "SELECT count(*) FROM audit a JOIN orders o ON o.id = a.order_id"), 300);
}
