//! What the event trigger for new sequences costs sessions that create and alter tables.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pg_test::Server;
use postgres::Client;

use super::CATALOGS;
use crate::figures::{Figures, Unit};
use crate::measure::{WarmUp, interleave, time};
use crate::server;
use crate::suite::Plan;

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
            ensure!(pg_test::number(client, interleaved)? == expected, "wrong increments: {state}");
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
    // The first call of a session is not measured.
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
            pg_test::number(&mut client, set_up)?;
            client.batch_execute("SELECT interleave_new_sequences(true)").context("could not switch it on")
        }
        _ => Ok(()),
    }
}
