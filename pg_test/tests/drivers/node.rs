//! JavaScript: node-postgres, postgres.js, Prisma, Drizzle, TypeORM, Sequelize, Knex.

use std::process::Command;

use pg_test::skip;

use crate::database::Database;
use crate::install::{node, node_packages};
use crate::program::{output, run};

fn test(name: &str, packages: &[&str]) {
    match node(&[&["tsx"], packages].concat()) {
        Ok(directory) => {
            let database = Database::new(&format!("node_{name}"));
            let mut command = database.command(directory.join("../node_modules/.bin/tsx"));
            run(command.arg(format!("use_{name}.ts")).current_dir(&directory));
        }
        Err(reason) => skip(name, &reason),
    }
}

#[test]
fn node_postgres() {
    test("pg", &["pg", "pg-copy-streams"]);
}

#[test]
fn postgres_js() {
    test("postgres", &["postgres"]);
}

#[test]
fn knex() {
    test("knex", &["knex", "pg"]);
}

#[test]
fn drizzle() {
    test("drizzle", &["drizzle-orm", "drizzle-kit", "pg"]);
}

#[test]
fn typeorm() {
    test("typeorm", &["typeorm", "reflect-metadata", "pg"]);
}

#[test]
fn sequelize() {
    test("sequelize", &["sequelize", "pg"]);
}

#[test]
fn prisma() {
    test("prisma", &["prisma", "@prisma/client", "@prisma/adapter-pg", "pg"]);
}

#[test]
fn prisma_migrate() {
    test("prisma_migrate", &["@prisma/schema-engine-wasm", "@prisma/adapter-pg", "pg"]);
}

/// Everything in TypeScript has the types that the packages want.
#[test]
fn types_of_typescript() {
    let packages = node_packages();
    let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
    match node(&packages) {
        Ok(directory) => {
            let mut command = Command::new(directory.join("../node_modules/.bin/tsc"));
            output(command.args(["--project", "."]).current_dir(&directory));
        }
        Err(reason) => skip("types_of_typescript", &reason),
    }
}
