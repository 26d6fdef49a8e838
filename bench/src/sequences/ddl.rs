//! What the event trigger for new sequences costs those who create and alter tables.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pg_test::Server;
use postgres::Client;

use super::super::figures::{Figures, Unit};
use super::super::measure::{WarmUp, interleave, time};
use super::super::server;
use super::super::suite::Plan;
use super::super::suite::{Chapter, Check, Need, Quantity, Table, Target};
use super::filled::CATALOGS;

/// The chapter.
pub const CHAPTER: Chapter = Chapter {
    name: "ddl",
    title: "Creating and altering tables",
    about: "Three databases: one without the extension, one where `interleave_new_sequences` is off, and one where it \
            is on. In each a session runs every statement so many times, with other tables, each in a transaction of \
            its own; the three take turns every 20 statements: `CREATE TABLE t (id int, v int)`, `ALTER TABLE t ADD COLUMN w int`, \
            `CREATE INDEX ON t (v)`, `DROP TABLE t`, and `CREATE TABLE s (id bigserial PRIMARY KEY, v int)`. The \
            figures are for one statement. In between, untimed, the tables are dropped, catalogs vacuumed and a \
            checkpoint made.",
    needs: &[Need::Routine("interleave_new_sequences")],
    tables: &[
        Table {
            corner: "time with its commit",
            columns: &["without the extension", "off", "on"],
            rows: &[
                ("`CREATE TABLE`", &["create.wall.without", "create.wall.off", "create.wall.on"]),
                (
                    "`ALTER TABLE ... ADD COLUMN`",
                    &["column.wall.without", "column.wall.off", "column.wall.on"],
                ),
                ("`CREATE INDEX`", &["index.wall.without", "index.wall.off", "index.wall.on"]),
                ("`DROP TABLE`", &["drop.wall.without", "drop.wall.off", "drop.wall.on"]),
                (
                    "`CREATE TABLE` with a serial",
                    &["serial.wall.without", "serial.wall.off", "serial.wall.on"],
                ),
            ],
        },
        Table {
            corner: "CPU time of the backend",
            columns: &["without the extension", "off", "on"],
            rows: &[
                ("`CREATE TABLE`", &["create.cpu.without", "create.cpu.off", "create.cpu.on"]),
                ("`ALTER TABLE ... ADD COLUMN`", &["column.cpu.without", "column.cpu.off", "column.cpu.on"]),
                ("`CREATE INDEX`", &["index.cpu.without", "index.cpu.off", "index.cpu.on"]),
                ("`DROP TABLE`", &["drop.cpu.without", "drop.cpu.off", "drop.cpu.on"]),
                ("`CREATE TABLE` with a serial", &["serial.cpu.without", "serial.cpu.off", "serial.cpu.on"]),
            ],
        },
    ],
    charts: &[],
    checks: &[
        ratio("`CREATE TABLE`, off, time", "create.wall.off", "create.wall.without", 1.05),
        ratio("`CREATE TABLE`, on, time", "create.wall.on", "create.wall.without", 1.05),
        ratio("`ALTER TABLE ... ADD COLUMN`, off, time", "column.wall.off", "column.wall.without", 1.05),
        ratio("`ALTER TABLE ... ADD COLUMN`, on, time", "column.wall.on", "column.wall.without", 1.05),
        ratio("`CREATE INDEX`, on, time", "index.wall.on", "index.wall.without", 1.05),
        ratio("`DROP TABLE`, on, time", "drop.wall.on", "drop.wall.without", 1.05),
        ratio("`CREATE TABLE` with a serial, off, time", "serial.wall.off", "serial.wall.without", 1.05),
        ratio("`CREATE TABLE` with a serial, on, time", "serial.wall.on", "serial.wall.without", 1.3),
        cpu("`CREATE TABLE`, on, CPU time", "create.cpu.on", "create.cpu.without"),
        cpu("`DROP TABLE`, on, CPU time", "drop.cpu.on", "drop.cpu.without"),
        cpu("`CREATE TABLE` with a serial, on, CPU time", "serial.cpu.on", "serial.cpu.without"),
    ],
};

/// A ratio of times with a target.
const fn ratio(what: &'static str, of: &'static str, to: &'static str, at_most: f64) -> Check {
    Check { what, quantity: Quantity::Ratio { of, to, less: None }, target: Some(Target::AtMost(at_most)) }
}

/// A ratio of CPU times, which leave out what the disk takes.
const fn cpu(what: &'static str, of: &'static str, to: &'static str) -> Check {
    Check { what, quantity: Quantity::Ratio { of, to, less: None }, target: None }
}

/// The databases.
const STATES: [&str; 3] = ["without", "off", "on"];

/// What is run, in this order; `{}` is the number of a table.
const STATEMENTS: [(&str, &str); 5] = [
    ("create", "CREATE TABLE t{} (id int, v int)"),
    ("column", "ALTER TABLE t{} ADD COLUMN w int"),
    ("index", "CREATE INDEX ON t{} (v)"),
    ("drop", "DROP TABLE t{}"),
    ("serial", "CREATE TABLE s{} (id bigserial PRIMARY KEY, v int)"),
];

/// Comes by the figures.
///
/// # Errors
///
/// When a statement fails, or sequences are not in the state that they should be in.
pub fn measure(server: &Server, plan: &Plan) -> Result<Figures> {
    for state in STATES {
        prepare(server, state)?;
    }
    let turns = plan.count(25, 10);
    let mut figures = Figures::default();
    figures.count("times each statement in a round", turns * AT_ONCE);
    interleave(plan.rounds, WarmUp::Round, &[()], &mut figures, |(), figures| {
        let mut sessions = STATES
            .iter()
            .map(|state| {
                let mut client = server.connect(&database(state))?;
                server::tidy(&mut client, &CATALOGS)?;
                Ok((*state, client))
            })
            .collect::<Result<Vec<_>>>()?;
        for statement in STATEMENTS {
            in_turn(&mut sessions, statement, turns, figures)?;
        }
        for (state, client) in &mut sessions {
            let tables = turns * AT_ONCE;
            let expected = if *state == "on" { i64::from(tables) + 1 } else { 0 };
            let interleaved = "SELECT count(*) FROM pg_sequence WHERE seqincrement = 2";
            ensure!(server::number(client, interleaved)? == expected, "wrong increments: {state}");
            (0..=tables).try_for_each(|number| run(client, "DROP TABLE s{}", number))?;
        }
        Ok(())
    })?;
    Ok(figures)
}

/// How often a session runs a statement before it is the next one's turn.
const AT_ONCE: u32 = 20;

/// Runs a statement in every session, a few times at once.
fn in_turn(
    sessions: &mut [(&str, Client)],
    (name, statement): (&str, &str),
    turns: u32,
    figures: &mut Figures,
) -> Result<()> {
    // What a session does once is not what is asked for.
    sessions.iter_mut().try_for_each(|(_, client)| run(client, statement, 0))?;
    let mut totals = vec![(Duration::ZERO, Duration::ZERO); sessions.len()];
    for turn in 0..turns {
        for at in 0..sessions.len() {
            let at = (at + turn as usize) % sessions.len();
            let (Some((_, client)), Some((wall, cpu))) = (sessions.get_mut(at), totals.get_mut(at)) else {
                continue;
            };
            let first = turn * AT_ONCE + 1;
            let (_, took) = time(client, |client| {
                (first..first + AT_ONCE).try_for_each(|number| run(client, statement, number))
            })?;
            *wall += took.wall;
            *cpu += took.cpu;
        }
    }
    let each = |time: Duration| time.as_secs_f64() / f64::from(turns * AT_ONCE);
    for ((state, _), (wall, cpu)) in sessions.iter().zip(totals) {
        figures.add(&format!("{name}.wall.{state}"), Unit::Seconds, each(wall));
        figures.add(&format!("{name}.cpu.{state}"), Unit::Seconds, each(cpu));
    }
    Ok(())
}

fn run(client: &mut Client, statement: &str, number: u32) -> Result<()> {
    let statement = statement.replace("{}", &number.to_string());
    client.batch_execute(&statement).with_context(|| format!("failed: {statement}"))
}

fn database(state: &str) -> String {
    format!("ddl_{state}")
}

fn prepare(server: &Server, state: &str) -> Result<()> {
    let mut client = server::create_database(server, &database(state))?;
    match state {
        "without" => {
            client.batch_execute("DROP EXTENSION pg_keyspace").context("could not drop the extension")
        }
        "on" => {
            let set_up = "SELECT count(*) FROM setup_interleaved_sequences(1, 2)";
            server::number(&mut client, set_up)?;
            client.batch_execute("SELECT interleave_new_sequences(true)").context("could not switch it on")
        }
        _ => Ok(()),
    }
}
