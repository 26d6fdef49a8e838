//! What a guard costs a row.

use std::io::Write;

use anyhow::{Context, Result, ensure};
use pg_test::Server;
use postgres::Client;

use super::super::figures::{Figures, Unit};
use super::super::measure::{WarmUp, interleave, time};
use super::super::server;
use super::super::suite::Plan;
use super::super::suite::{Chapter, Check, Need, Quantity, Table, Target};

/// The chapter.
pub const CHAPTER: Chapter = Chapter {
    name: "guard",
    title: "Guarded tables",
    about: "CPU time of the backend for each row, in tables `(id bigserial PRIMARY KEY, v int)` that are empty before: \
            `INSERT INTO t (v) SELECT generate_series(1, n)`, and `COPY t (v) FROM STDIN`, each a transaction. \
            One table has no trigger, one is guarded, and one has the same guard written in PL/pgSQL, BEFORE INSERT, \
            as is usual; that makes PostgreSQL copy row by row instead of a page of rows at once. What the guard \
            adds is its time less that without a trigger, in the same round.",
    needs: &[Need::Routine("guard_interleaved_sequences")],
    tables: &[Table {
        corner: "table",
        columns: &["INSERT ... SELECT, a row", "COPY, a row"],
        rows: &[
            ("no trigger", &["plain.insert", "plain.copy"]),
            ("guarded", &["guarded.insert", "guarded.copy"]),
            ("guard in PL/pgSQL", &["by_hand.insert", "by_hand.copy"]),
            ("what the guard adds", &["added.insert", "added.copy"]),
        ],
    }],
    charts: &[],
    checks: &[
        Check {
            what: "guarded to no trigger, INSERT ... SELECT",
            quantity: Quantity::Ratio { of: "guarded.insert", to: "plain.insert", less: None },
            target: Some(Target::AtMost(1.2)),
        },
        Check {
            what: "guarded to no trigger, COPY",
            quantity: Quantity::Ratio { of: "guarded.copy", to: "plain.copy", less: None },
            target: None,
        },
        Check {
            what: "guard in PL/pgSQL to guarded, INSERT ... SELECT, without what no trigger takes",
            quantity: Quantity::Ratio {
                of: "by_hand.insert",
                to: "guarded.insert",
                less: Some("plain.insert"),
            },
            target: Some(Target::AtLeast(2.0)),
        },
    ],
};

/// What people write by hand.
const BY_HAND: &str = "
CREATE FUNCTION guard_by_hand() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.id % 2 <> 1 THEN
        RAISE EXCEPTION 'id % is of another node', NEW.id;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard_by_hand BEFORE INSERT OR UPDATE OF id ON by_hand
    FOR EACH ROW EXECUTE FUNCTION guard_by_hand()";

const TABLES: [&str; 3] = ["plain", "guarded", "by_hand"];

#[derive(Clone, Copy)]
enum Way {
    Insert,
    Copy,
}

impl Way {
    const ALL: [Self; 2] = [Self::Insert, Self::Copy];

    const fn name(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Copy => "copy",
        }
    }
}

/// Comes by the figures.
///
/// # Errors
///
/// When a statement fails, or rows are missing.
pub fn measure(server: &Server, plan: &Plan) -> Result<Figures> {
    let mut client = prepare(server)?;
    let rows = plan.count(500_000, 100_000);
    let lines: Vec<u8> = (1..=rows).flat_map(|number| format!("{number}\n").into_bytes()).collect();
    let mut figures = Figures::default();
    figures.count("rows a round", rows);
    let compared: Vec<_> = Way::ALL.into_iter().flat_map(|way| TABLES.map(|table| (way, table))).collect();
    interleave(plan.rounds, WarmUp::Round, &compared, &mut figures, |(way, table), figures| {
        server::tidy(&mut client, &[])?;
        let (added, took) = time(&mut client, |client| add(client, *way, table, rows, &lines))?;
        ensure!(added == u64::from(rows), "{added} rows came into {table}");
        let name = format!("{table}.{}", way.name());
        figures.add(&name, Unit::Seconds, took.cpu.as_secs_f64() / f64::from(rows));
        client.batch_execute(&format!("TRUNCATE {table}")).context("could not truncate")
    })?;
    for way in Way::ALL.map(Way::name) {
        let values = |table: &str| Ok(figures.series(&format!("{table}.{way}"))?.values.clone());
        let (plain, guarded): (Result<Vec<f64>>, Result<Vec<f64>>) = (values("plain"), values("guarded"));
        for (plain, guarded) in plain?.into_iter().zip(guarded?) {
            figures.add(&format!("added.{way}"), Unit::Seconds, guarded - plain);
        }
    }
    Ok(figures)
}

fn add(client: &mut Client, way: Way, table: &str, rows: u32, lines: &[u8]) -> Result<u64> {
    match way {
        Way::Insert => client
            .execute(&format!("INSERT INTO {table} (v) SELECT generate_series(1, {rows})"), &[])
            .context("could not insert"),
        Way::Copy => {
            let mut writer =
                client.copy_in(&format!("COPY {table} (v) FROM STDIN")).context("could not copy")?;
            writer.write_all(lines).context("could not send rows")?;
            writer.finish().context("could not copy")
        }
    }
}

fn prepare(server: &Server) -> Result<Client> {
    let mut client = server::create_database(server, "guard")?;
    for table in TABLES {
        let create = format!("CREATE TABLE {table} (id bigserial PRIMARY KEY, v int)");
        client.batch_execute(&create).context("could not create a table")?;
    }
    client.batch_execute(BY_HAND).context("could not create the trigger")?;
    server::number(&mut client, "SELECT count(*) FROM setup_interleaved_sequences(1, 2)")?;
    let guarded =
        "SELECT count(*) FROM guard_interleaved_sequences(tables => '{guarded}') WHERE action = 'guarded'";
    ensure!(server::number(&mut client, guarded)? == 1, "the table is not guarded");
    Ok(client)
}
