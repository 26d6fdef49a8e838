//! Tests in Rust that run within a server: `#[pg_test]`, without cargo-pgrx.

use anyhow::{Context, Result, bail};
use pg_test::{Extension, InstallTree, PgConfig, Run, Server};
use postgres::Client;

use super::tally::Tally;
use crate::schema;
use xtask::cargo::{self, Build};
use xtask::step::Step;

/// Builds the library with the tests, and calls each in a transaction that is rolled back.
pub fn run(pg: &PgConfig, filter: Option<&str>, tally: &mut Tally) -> Result<()> {
    let library = cargo::build_extension(pg, Build::WithTests)?;
    let run = Run::new(false)?;
    let tree = InstallTree::new(&run, pg)?;
    let mut extension = Extension::of_checkout(library.clone())?;
    let script = run.directory().join(format!("pg_keyspace--{}.sql", extension.version));
    schema::generate(&library, &script)?;
    extension.scripts = vec![script];
    tree.install(&extension)?;

    // Preloaded, because shared memory needs it on some versions.
    let server = Server::start(&tree, "in-server", &["shared_preload_libraries = 'pg_keyspace'"])?;
    let mut client = server.connect("postgres")?;
    client
        .batch_execute("CREATE EXTENSION pg_keyspace")
        .context("could not create the extension with its tests")?;
    let tests = tests(&mut client)?;
    if tests.is_empty() {
        bail!("the library holds no in-server tests");
    }
    let step = Step::quiet(format!("Running {} tests within the server", tests.len()));
    let mut found = Tally::default();
    let mut failures = Vec::new();
    for name in tests.iter().filter(|name| filter.is_none_or(|filter| name.contains(filter))) {
        if client.is_closed() {
            client = server.connect("postgres")?;
        }
        // The transaction is rolled back, with or without an error.
        match client
            .transaction()
            .and_then(|mut transaction| transaction.batch_execute(&format!("SELECT {name}")))
        {
            Ok(()) => found.passed += 1,
            Err(error) => {
                found.failed += 1;
                failures.push(format!("{name}: {}", describe(&error)));
            }
        }
    }
    step.done_with(&found.to_string());
    for failure in failures {
        println!("    FAILED: {failure}");
    }
    tally.add(found);
    Ok(())
}

fn tests(client: &mut Client) -> Result<Vec<String>> {
    let rows = client
        .query(
            "SELECT format('%I.%I()', n.nspname, p.proname) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace \
             WHERE n.nspname = 'tests' AND p.pronargs = 0 AND p.prorettype = 'void'::regtype ORDER BY p.proname",
            &[],
        )
        .context("could not list the tests")?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

fn describe(error: &postgres::Error) -> String {
    match error.as_db_error() {
        Some(error) => {
            let detail = error.detail().map(|detail| format!("\n{detail}")).unwrap_or_default();
            format!("{} ({}){detail}", error.message(), error.code().code())
        }
        None => error.to_string(),
    }
}
