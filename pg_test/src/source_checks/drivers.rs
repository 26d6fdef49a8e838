//! Checks that the guide on drivers shows what the tests run.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::{each_file, workspace_root};

/// The pages whose examples are parts of files that the tests run.
const PAGES: [&str; 3] = ["clients/README.md", "docs/guides/coming-from.md", "docs/guides/drivers.md"];

/// The directories of these files.
const SOURCES: [&str; 2] = ["clients", "pg_test/tests/drivers"];

fn file(path: &str) -> String {
    std::fs::read_to_string(workspace_root().join(path)).unwrap()
}

/// The lines of a text without the indentation that all of them have.
fn dedented<'a>(lines: &[&'a str]) -> Vec<&'a str> {
    let indentation = |line: &&str| line.len() - line.trim_start().len();
    let common = lines.iter().filter(|line| !line.trim().is_empty()).map(indentation).min().unwrap_or(0);
    lines.iter().map(|line| line.get(common..).unwrap_or_default().trim_end()).collect()
}

/// Whether consecutive lines of a text are these, possibly indented.
fn contains(text: &str, block: &[&str]) -> bool {
    let lines: Vec<&str> = text.lines().collect();
    lines.windows(block.len()).any(|window| dedented(window) == block)
}

/// The blocks of code of a page, each with the paragraph before it.
fn blocks(page: &str) -> Vec<(&str, Vec<&str>)> {
    let parts: Vec<&str> = page.split("```").collect();
    let with_paragraph = parts.chunks_exact(2).map(|pair| {
        let paragraph = pair[0].trim_end().rsplit("\n\n").next().unwrap_or_default();
        (paragraph, dedented(&pair[1].lines().skip(1).collect::<Vec<_>>()))
    });
    with_paragraph.filter(|(_, block)| !block.first().is_some_and(|line| line.starts_with("psql "))).collect()
}

#[test]
fn the_examples_are_parts_of_what_is_tested() {
    let mut sources = Vec::new();
    for directory in SOURCES {
        each_file(&workspace_root().join(directory), &mut |name, path| {
            if !name.ends_with(".md") {
                sources.extend(std::fs::read_to_string(path));
            }
        });
    }
    let (mut tested, mut not_run) = (0, 0);
    for page in PAGES {
        let page = file(page);
        for (paragraph, block) in blocks(&page) {
            if paragraph.starts_with("Not run") {
                not_run += 1;
                continue;
            }
            let is_tested = sources.iter().any(|source| contains(source, &block));
            assert!(is_tested, "no test has these lines:\n{}", block.join("\n"));
            tested += 1;
        }
    }
    assert!(tested > 30 && not_run == 1, "{tested} examples are tested, {not_run} are not run");
}

#[test]
fn the_table_has_the_versions_that_are_installed() {
    let page = file("docs/guides/drivers.md");
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| [")).collect();
    assert!(rows.len() > 20, "{rows:?}");
    let pins = file("pg_test/tests/drivers/programs/python/requirements.txt");
    let python = pins.lines().filter_map(|line| line.split_once("=="));
    let package = file("pg_test/tests/drivers/programs/node/package.json");
    let node = package.lines().filter_map(|line| line.trim().strip_prefix('"')?.split_once("\": \""));
    let lock = file("Cargo.lock");
    let (_, entry) = lock.split_once("name = \"tokio-postgres\"\nversion = \"").unwrap();
    let manifest = file("pg_test/tests/drivers/programs/sqlx/Cargo.toml.in");
    let (_, sqlx) = manifest.split_once("sqlx = { version = \"=").unwrap();
    let rust = [("tokio-postgres", entry), ("sqlx", sqlx)];
    let installed: Vec<(&str, &str)> = python.chain(node).chain(rust).collect();
    // Names of packages, and of rows.
    for (package, row) in [
        ("psycopg", "psycopg 3"),
        ("psycopg2-binary", "psycopg 2"),
        ("asyncpg", "asyncpg"),
        ("sqlalchemy", "SQLAlchemy"),
        ("alembic", "Alembic"),
        ("django", "Django"),
        ("pg", "node-postgres"),
        ("postgres", "postgres.js"),
        ("knex", "Knex"),
        ("drizzle-orm", "Drizzle"),
        ("typeorm", "TypeORM"),
        ("sequelize", "Sequelize"),
        ("prisma", "Prisma's client"),
        ("tokio-postgres", "tokio-postgres"),
        ("sqlx", "sqlx"),
    ] {
        let (_, version) = installed.iter().find(|(name, _)| *name == package).expect(package);
        let version = version.split('"').next().unwrap();
        let row = rows.iter().find(|line| line.starts_with(&format!("| [{row}]("))).expect(row);
        assert!(row.contains(&format!("| {version} |")), "{package} {version}: {row}");
    }
}
