//! What an audit log by pgaudit contains of a migration: each call and each change of a definition, and
//! nothing of the backfill.

use pg_test::{InstallTree, Server, skip, tested};
use postgres::Client;

use crate::{count, make_shop, run_statements};

const DATABASE: &str = "postgres";
const NAME: &str = "fault_d06_pgaudit_sees_calls_and_definitions_but_no_backfill";

/// A record: its type (SESSION, or OBJECT for what the auditor could do), its class, its command and the
/// object.
type Record = (String, String, String, String);

/// The records that a server has logged since the last look.
struct Log<'a> {
    server: &'a Server,
    seen: usize,
}

impl Log<'_> {
    fn records(&mut self) -> Vec<Record> {
        let log = self.server.log().unwrap();
        let lines = log[self.seen..].lines().filter_map(|line| line.split_once("AUDIT: "));
        let records = lines.map(|(_, record)| {
            let fields: Vec<&str> = record.split(',').collect();
            let field = |at: usize| fields.get(at).copied().unwrap_or_default().to_owned();
            (field(0), field(3), field(4), field(6))
        });
        let records = records.collect();
        self.seen = log.len();
        records
    }
}

fn has(records: &[Record], class: &str, command: &str, object: &str) -> bool {
    records
        .iter()
        .any(|record| (record.1.as_str(), record.2.as_str(), record.3.as_str()) == (class, command, object))
}

/// The records about the tables of the shop.
fn of_shop(records: &[Record]) -> Vec<&Record> {
    let is_of_shop = |object: &str| object.contains("public.orders") || object.contains("public.item");
    records.iter().filter(|record| is_of_shop(&record.3)).collect()
}

/// Begins a migration, and returns what is logged of its backfill.
fn backfill(client: &mut Client, log: &mut Log<'_>, fires: bool) -> Vec<Record> {
    client
        .batch_execute(&format!("SELECT key_migration_create('orders', fire_triggers => {fires})"))
        .unwrap();
    run_statements(client, "prepared");
    let prepared = log.records();
    for (object, column) in [("public.orders", "id_new"), ("public.item", "order_id_new")] {
        assert!(has(&prepared, "DDL", "ALTER TABLE", object), "{prepared:#?}");
        assert!(has(&prepared, "DDL", "COMMENT", &format!("{object}.{column}")), "{prepared:#?}");
    }
    client.batch_execute("CALL key_migration_advance('orders', through => 'backfilled')").unwrap();
    let filled = "SELECT (SELECT count(id_new) FROM orders) + (SELECT count(order_id_new) FROM item)";
    let records = log.records();
    assert_eq!(count(client, filled), 3_000);
    log.records();
    records
}

#[test]
fn fault_d06_pgaudit_sees_calls_and_definitions_but_no_backfill() {
    let tree = InstallTree::from_environment().unwrap();
    if !tree.has_extension("pgaudit") {
        return skip(NAME, "no pgaudit (Debian's package postgresql-NN-pgaudit)");
    }
    let settings = [
        "shared_preload_libraries = 'pgaudit'",
        "pgaudit.log = 'all'",
        "pgaudit.log_catalog = off",
        "pgaudit.log_relation = on",
        "pgaudit.role = 'auditor'",
    ];
    let server = Server::start(&tree, "audited", &settings).unwrap();
    let mut client = server.connect(DATABASE).unwrap();
    make_shop(&mut client, 1_000);
    client
        .batch_execute(
            "CREATE EXTENSION pgaudit; CREATE ROLE auditor;
             GRANT SELECT, INSERT, UPDATE, DELETE ON orders, item TO auditor",
        )
        .unwrap();
    let mut log = Log { server: &server, seen: server.log().unwrap().len() };
    // Both kinds of records are there if somebody else updates a row.
    client.batch_execute("UPDATE orders SET total = 0 WHERE id = 3").unwrap();
    let update = log.records();
    for kind in ["SESSION", "OBJECT"] {
        let record = [kind, "WRITE", "UPDATE", "public.orders"].map(str::to_owned);
        assert!(update.contains(&record.into()), "{update:?}");
    }

    let records = backfill(&mut client, &mut log, false);
    assert!(has(&records, "FUNCTION", "EXECUTE", "public.key_migration_advance"), "{records:#?}");
    assert!(has(&records, "WRITE", "UPDATE", "keyspace_internal.key_migration_table"), "{records:#?}");
    assert_eq!(of_shop(&records), Vec::<&Record>::new());

    run_statements(&mut client, "verified");
    log.records();
    client.batch_execute("CALL key_migration_cutover('orders')").unwrap();
    let cut_over = log.records();
    for column in
        ["public.orders.id", "public.orders.id_old", "public.item.order_id", "public.item.order_id_old"]
    {
        assert!(has(&cut_over, "DDL", "ALTER TABLE", column), "{column} in {cut_over:#?}");
    }
    client.batch_execute("CALL key_migration_rollback('orders')").unwrap();
    client.batch_execute("CALL key_migration_rollback('orders', confirm => 'orders')").unwrap();

    // With fire_triggers the backfill runs statements, and these are logged.
    log.records();
    let records = backfill(&mut client, &mut log, true);
    assert!(has(&records, "WRITE", "UPDATE", "public.orders"), "{records:#?}");
    assert!(has(&records, "WRITE", "UPDATE", "public.item"), "{records:#?}");
    let version: String = client
        .query_one("SELECT extversion FROM pg_extension WHERE extname = 'pgaudit'", &[])
        .unwrap()
        .get(0);
    tested(&format!("pgaudit {version}"));
}
