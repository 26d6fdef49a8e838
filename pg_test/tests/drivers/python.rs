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
    in_a_project("django", "use_django.py");
}

#[test]
fn django_moves_a_key() {
    in_a_project("django_moves_a_key", "move_django.py");
}

/// A program of Django, with a directory for its project.
fn in_a_project(name: &str, program: &str) {
    match python(&["psycopg", "psycopg-binary", "django"]) {
        Ok(python) => {
            let database = Database::new(name);
            let project = database.server().tree().run().make_directory(&format!("{name}-project")).unwrap();
            run(command(&database, &python, program).arg(project));
        }
        Err(reason) => skip(name, &reason),
    }
}
