//! Python: psycopg, asyncpg, SQLAlchemy with Alembic, Django.

use std::path::Path;
use std::process::Command;

use pg_test::skip;

use crate::database::{Database, programs, project};
use crate::install::python;
use crate::program::run;

/// A program with the module of `clients/python`.
pub fn command(database: &Database, python: &Path, program: &str) -> Command {
    let mut command = database.command(python);
    command
        .arg(programs().join("python").join(program))
        .env("PYTHONPATH", project("clients/python"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

fn test(name: &str, packages: &[&str]) {
    match python(packages) {
        Ok(python) => {
            run(&mut command(&Database::new(name), &python, &format!("use_{name}.py")));
        }
        Err(reason) => skip(name, &reason),
    }
}

#[test]
fn psycopg() {
    test("psycopg", &["psycopg", "psycopg-binary"]);
}

#[test]
fn psycopg2() {
    test("psycopg2", &["psycopg2-binary"]);
}

#[test]
fn asyncpg() {
    test("asyncpg", &["asyncpg"]);
}

#[test]
fn sqlalchemy() {
    let drivers = ["psycopg", "psycopg-binary", "psycopg2-binary", "asyncpg"];
    test("sqlalchemy", &[&drivers[..], &["sqlalchemy", "greenlet", "alembic"]].concat());
}

#[test]
fn django() {
    match python(&["psycopg", "psycopg-binary", "django"]) {
        Ok(python) => {
            let database = Database::new("django");
            let project = database.server().tree().run().make_directory("django-project").unwrap();
            run(command(&database, &python, "use_django.py").arg(project));
        }
        Err(reason) => skip("django", &reason),
    }
}
