//! Each schema of the corpus is migrated as a whole, next to writers whose ledger is exact, while the
//! server is killed and the cut-over is undone: afterwards it has the rows of the ledger, and is as
//! if somebody had written it with keys.

use std::time::{Duration, Instant};

use pg_test::load::{self, Count, Session};
use pg_test::{Server, lines_without, number, schema_dump};
use postgres::Client;
use rand::SeedableRng;
use rand::rngs::ChaCha12Rng;

use crate::cases::{self, Case};
use crate::ledger::Ledger;
use crate::schema::Schema;
use crate::writer::{connect_when_up, write};
use crate::{run, start, texts};

/// The number of writers.
const WRITERS: u32 = 2;
/// The number of cut-overs that are undone, over all schemas more than a dozen.
const UNDONE: usize = 2;
/// The transactions of writers for which each state is kept.
const TRANSACTIONS: u64 = 40;
/// The point at which the server is killed.
const POINT: &str = "backfilled: saved";

#[test]
fn rails() {
    migrate(&cases::RAILS);
}

#[test]
fn django() {
    migrate(&cases::DJANGO);
}

#[test]
fn hibernate() {
    migrate(&cases::HIBERNATE);
}

#[test]
fn prisma() {
    migrate(&cases::PRISMA);
}

#[test]
fn musicbrainz() {
    migrate(&cases::MUSICBRAINZ);
}

#[test]
fn openstreetmap() {
    migrate(&cases::OPENSTREETMAP);
}

#[test]
fn gitlab() {
    migrate(&cases::GITLAB);
}

fn migrate(case: &'static Case) {
    let mut server = start(&["synchronous_commit = on", "fsync = off", "max_locks_per_transaction = 256"]);
    let schema = Schema::named(case.schema);
    let mut client = schema.load(&server);
    let before = definitions(&server, schema.name, schema.namespace());
    run(&mut client, case.prepare);
    drop(client);
    let conninfo = server.conninfo(schema.name);
    let written = Count::default();
    let sessions = (0..WRITERS).map(|writer| -> Session<'_, Ledger> {
        let (conninfo, written) = (&conninfo, &written);
        Box::new(move |stop| {
            let random = ChaCha12Rng::seed_from_u64(writer.into());
            write(conninfo, case.families, random, 1_000_000_000 + writer * 100_000_000, stop, written)
        })
    });
    let (ledgers, ()) = load::alongside(sessions.collect(), || {
        written.wait_for(2 * TRANSACTIONS)?;
        for (at, (table, create)) in case.migrations.iter().enumerate() {
            whole_path(&mut server, schema.name, case, table, create, at == 0, &written)?;
        }
        written.wait_for(written.get() + TRANSACTIONS)
    })
    .unwrap();
    let mut ledger = Ledger::default();
    ledgers.into_iter().for_each(|other| ledger.merge(other));
    let ledger = ledger.without_empty();
    println!("{}: {} transactions, {} rows in the ledger", case.schema, written.get(), ledger.rows());
    let mut client = server.connect(schema.name).unwrap();
    assert!(ledger.rows() > 50, "{}", ledger.rows());
    assert_eq!(Ledger::of_server(&mut client, case.families), ledger);
    check_that_it_can_fail(&mut client, case, &ledger);
    for query in case.wrong {
        assert_eq!(number(&mut client, &format!("SELECT ({query})::bigint")).unwrap(), 0, "{query}");
    }
    run(&mut schema.load_by_hand(&server), case.prepare_by_hand);
    let by_hand = definitions(&server, &format!("{}_by_hand", schema.name), schema.namespace());
    let after = definitions(&server, schema.name, schema.namespace());
    let lost = lines_without(by_hand.clone(), &after);
    let new = lines_without(after.clone(), &by_hand);
    assert!(lost.is_empty() && new.is_empty(), "lost: {lost:#?}\nnew: {new:#?}");
    // The comparison can fail: this is what it was.
    assert!(lines_without(before, &after).len() > 2);
}

/// A row that is missing is found.
fn check_that_it_can_fail(client: &mut Client, case: &Case, ledger: &Ledger) {
    let (at, family) = (0, &case.families[0]);
    let (child, (mark, _)) = (family.child.as_ref().unwrap(), ledger.child(at, 0).unwrap());
    run(client, &format!("BEGIN; DELETE FROM {} AS c WHERE {} = '{mark}'", child.table, child.mark_of(at)));
    assert_ne!(Ledger::of_server(client, case.families), *ledger);
    run(client, "ROLLBACK");
}

/// A migration from the plan to the end.
fn whole_path(
    server: &mut Server,
    database: &str,
    case: &Case,
    table: &str,
    create: &[&str],
    is_killed: bool,
    written: &Count,
) -> anyhow::Result<()> {
    let mut client = server.connect(database)?;
    create.iter().for_each(|statement| run(&mut client, statement));
    let errors = format!("SELECT detail FROM key_migration_plan('{table}') WHERE action = 'error'");
    assert_eq!(texts(&mut client, &errors), Vec::<String>::new());
    run(&mut client, &format!("SELECT key_migration_set('{table}', batch_pages => 8)"));
    let views: Vec<(String, String)> = case
        .views
        .iter()
        .map(|view| {
            let definition =
                texts(&mut client, &format!("SELECT pg_get_viewdef('{view}'::regclass)")).remove(0);
            ((*view).to_owned(), definition)
        })
        .collect();
    if is_killed {
        drop(client);
        kill_in_backfill(server, database, table);
        client = connect_when_up(&server.conninfo(database));
    }
    let cut_over = format!("CALL key_migration_cutover('{table}')");
    for _ in 0..UNDONE {
        verify(&mut client, table);
        run(&mut client, &cut_over);
        written.wait_for(written.get() + TRANSACTIONS)?;
        run(&mut client, &format!("CALL key_migration_rollback('{table}')"));
        written.wait_for(written.get() + TRANSACTIONS)?;
    }
    verify(&mut client, table);
    run(&mut client, &cut_over);
    written.wait_for(written.get() + TRANSACTIONS)?;
    for (view, _) in views.iter().rev() {
        run(&mut client, &format!("DROP VIEW {view}"));
    }
    let name = table.rsplit('.').next().unwrap_or(table).trim_matches('"');
    run(&mut client, &format!("CALL key_migration_finalize('{table}', confirm => '{name}')"));
    for (view, definition) in &views {
        run(&mut client, &format!("CREATE VIEW {view} AS {definition}"));
    }
    Ok(())
}

/// Runs the statements that are left, and compares all values.
fn verify(client: &mut Client, table: &str) {
    for statement in texts(client, &format!("SELECT statement FROM key_migration_statements('{table}')")) {
        run(client, &statement);
    }
    let query = format!(
        "SELECT format('%s.%s: %s %s, as %s', table_name, column_name, row_count, check_name, example)
         FROM key_migration_verify('{table}') WHERE NOT ok"
    );
    assert_eq!(texts(client, &query), Vec::<String>::new());
}

/// Runs the statements up to the backfill, and kills the whole server in its midst.
fn kill_in_backfill(server: &mut Server, database: &str, table: &str) {
    std::thread::scope(|scope| {
        let conninfo = server.conninfo(database);
        let runner = scope.spawn(move || -> Result<(), postgres::Error> {
            let mut client = connect_when_up(&conninfo);
            client.batch_execute(&format!("SET pg_keyspace.stop_at = '{POINT}'"))?;
            let left = format!("SELECT statement FROM key_migration_statements('{table}', 'backfilled')");
            for row in client.query(&left, &[])? {
                client.batch_execute(row.get(0))?;
            }
            Ok(())
        });
        let mut observer = server.connect(database).unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        let stopped = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1";
        while observer.query_one(stopped, &[&POINT]).unwrap().get::<_, i64>(0) == 0 {
            assert!(!runner.is_finished(), "the backfill did not come to \"{POINT}\": {:?}", runner.join());
            assert!(Instant::now() < deadline, "the backfill does not come to \"{POINT}\"");
            std::thread::sleep(Duration::from_millis(5));
        }
        server.kill9_all().unwrap();
        assert!(runner.join().unwrap().is_err());
        server.launch().unwrap();
    });
}

/// The definitions of a schema, in an order that does not depend on that of columns. Lines of a table
/// begin with its name.
fn definitions(server: &Server, database: &str, namespace: &str) -> Vec<String> {
    let mut table = String::new();
    let mut lines: Vec<String> = schema_dump(server, database, namespace)
        .unwrap()
        .into_iter()
        .map(|line| {
            if let Some(rest) = line.strip_prefix("CREATE TABLE ") {
                table = format!("{}: ", rest.trim_end_matches(" ("));
            }
            let prefixed = format!("{table}{line}");
            if line.ends_with(';') {
                table.clear();
            }
            prefixed
        })
        .collect();
    lines.sort();
    lines
}
