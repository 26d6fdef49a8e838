//! Writers that keep a ledger, through crashes and the cut-over.

use std::time::{Duration, Instant};

use anyhow::Result;
use pg_test::first_value;
use pg_test::load::{self, Count, Stop};
use postgres::error::{Severity, SqlState};
use postgres::{Client, NoTls};
use rand::RngExt;
use rand::rngs::ChaCha12Rng;

use crate::cases::{Child, Family};
use crate::ledger::{Ledger, mark};

/// How long a writer rests between two transactions.
const REST: Duration = Duration::from_millis(4);

/// A connection, as soon as the server accepts one.
pub(crate) fn connect_when_up(conninfo: &str) -> Client {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        match Client::connect(conninfo, NoTls)
            .and_then(|mut client| client.simple_query("SELECT").map(|_| client))
        {
            Ok(client) => return client,
            Err(error) => assert!(Instant::now() < deadline, "{error:#}"),
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Writes until it has to stop. Returns the ledger.
pub(crate) fn write(
    conninfo: &str,
    families: &'static [Family],
    mut random: ChaCha12Rng,
    number: u32,
    stop: &Stop,
    written: &Count,
) -> Result<Vec<Ledger>> {
    let client = connect_when_up(conninfo);
    let mut writer = Writer { conninfo, client, families, number, keyed: false, ledger: Ledger::default() };
    load::paced(stop, REST, (0, 1), || {
        writer.turn(&mut random)?;
        written.add();
        Ok(())
    })?;
    Ok(vec![writer.ledger])
}

struct Writer<'a> {
    conninfo: &'a str,
    client: Client,
    families: &'static [Family],
    /// The last number that a row was marked with.
    number: u32,
    /// Whether the application assigns keys rather than ids. It finds out by an error, as a new
    /// version of it would be deployed.
    keyed: bool,
    ledger: Ledger,
}

/// What a transaction changes.
enum Change {
    /// A parent with children.
    Insert(String, Vec<String>),
    /// The same, rolled back.
    Undone(String, Vec<String>),
    /// The child belongs to another parent.
    Move(String, String),
    /// A child of a parent that is there.
    AddChild(String, String),
    DeleteChild(String),
    /// The parent with its children.
    DeleteParent(String),
    /// The time of the parent.
    Touch(String),
}

/// How a transaction ended.
enum Ended {
    Committed,
    /// The connection was lost, so it is not known.
    Lost,
}

impl Writer<'_> {
    fn turn(&mut self, random: &mut ChaCha12Rng) -> Result<()> {
        let family = random.random_range(0..self.families.len());
        let Some(change) = self.choose(family, random) else { return Ok(()) };
        let ended = self.execute(family, &change)?;
        let has_happened = match ended {
            Ended::Committed => true,
            Ended::Lost => {
                self.client = connect_when_up(self.conninfo);
                self.has_happened(family, &change)
            }
        };
        if has_happened {
            self.record(family, change);
        }
        Ok(())
    }

    fn choose(&self, at: usize, random: &mut ChaCha12Rng) -> Option<Change> {
        let family = &self.families[at];
        let pick = random.random_range(0..1_000_000);
        let insert = |number: u32| {
            let children = u32::try_from(pick % 3).unwrap_or_default() * u32::from(family.child.is_some());
            (
                mark(at, 'p', number + 1),
                (0..children).map(|child| mark(at, 'c', number + 2 + child)).collect(),
            )
        };
        Some(match random.random_range(0..12) {
            0 => {
                let (parent, children) = insert(self.number);
                Change::Undone(parent, children)
            }
            1 | 2 if family.child.is_some_and(|child| child.moves) => {
                Change::Move(self.ledger.child(at, pick)?.0, self.ledger.parent(at, pick / 7)?)
            }
            3 => Change::DeleteChild(self.ledger.child(at, pick)?.0),
            4 | 5 if family.child.is_some() => {
                Change::AddChild(mark(at, 'c', self.number + 1), self.ledger.parent(at, pick)?)
            }
            6 if family.delete.is_some() => Change::DeleteParent(self.ledger.parent(at, pick)?),
            7 if family.touch.is_some() => Change::Touch(self.ledger.parent(at, pick)?),
            _ => {
                let (parent, children) = insert(self.number);
                Change::Insert(parent, children)
            }
        })
    }

    /// Executes the transaction.
    fn execute(&mut self, at: usize, change: &Change) -> Result<Ended> {
        // Numbers of rows are not used again, also if the transaction is undone.
        self.number += 4;
        loop {
            let Err(error) = self.attempt(at, change) else { return Ok(Ended::Committed) };
            let cause = error.downcast_ref::<postgres::Error>();
            // A server that is killed may say so before the connection ends.
            let refused = cause.and_then(postgres::Error::as_db_error).filter(|refused| {
                !self.client.is_closed() && refused.parsed_severity() != Some(Severity::Fatal)
            });
            let Some(refused) = refused else { return Ok(Ended::Lost) };
            let wrong_type = refused.code() == &SqlState::DATATYPE_MISMATCH;
            assert!(wrong_type && self.families[at].has_keyed(), "{error:#}: {refused:?}");
            self.client.batch_execute("ROLLBACK")?;
            self.keyed = !self.keyed;
        }
    }

    fn attempt(&mut self, at: usize, change: &Change) -> Result<()> {
        let family = &self.families[at];
        let parents = family.mark_of(at);
        let parent = |mark: &str| {
            format!("(SELECT p.{} FROM {} AS p WHERE {parents} = '{mark}')", family.key, family.parent)
        };
        let with_child = |run: &dyn Fn(&Child) -> String| family.child.as_ref().map(run).unwrap_or_default();
        match change {
            Change::Insert(mark, children) | Change::Undone(mark, children) => {
                let insert = filled(family.insert_by(self.keyed), mark, "");
                let key = first_value(&mut self.client, &format!("BEGIN; {insert}"))?;
                let key = key.unwrap_or_else(|| panic!("a row has got no key: {insert}"));
                let mut rest: Vec<String> = children
                    .iter()
                    .map(|child| with_child(&|of| filled(of.insert_by(self.keyed), child, &key)))
                    .collect();
                let is_undone = matches!(change, Change::Undone(..));
                rest.push(if is_undone { "ROLLBACK" } else { "COMMIT" }.to_owned());
                self.run(&rest.join("; "))
            }
            Change::AddChild(child, mark) => {
                let key = first_value(&mut self.client, &format!("BEGIN; SELECT {}", parent(mark)))?;
                let key = key.unwrap_or_else(|| panic!("{mark} is not there"));
                let insert = with_child(&|of| filled(of.insert_by(self.keyed), child, &key));
                self.run(&format!("{insert}; COMMIT"))
            }
            Change::Move(child, mark) => {
                let statement = with_child(&|of| {
                    format!(
                        "UPDATE {} AS c SET {} = {} WHERE {} = '{child}'",
                        of.table,
                        of.reference,
                        parent(mark),
                        of.mark_of(at)
                    )
                });
                self.run(&statement)
            }
            Change::DeleteChild(child) => {
                let statement = with_child(&|of| {
                    format!("DELETE FROM {} AS c WHERE {} = '{child}'", of.table, of.mark_of(at))
                });
                self.run(&statement)
            }
            Change::DeleteParent(mark) => self.run(&filled(family.delete.unwrap_or_default(), mark, "")),
            Change::Touch(mark) => self.run(&filled(family.touch.unwrap_or_default(), mark, "")),
        }
    }

    fn run(&mut self, statement: &str) -> Result<()> {
        self.client
            .batch_execute(statement)
            .map_err(|error| anyhow::Error::new(error).context(statement.to_owned()))
    }

    /// Whether a transaction has been committed whose connection was lost.
    fn has_happened(&mut self, at: usize, change: &Change) -> bool {
        let families = self.families;
        let found = Ledger::of_server(&mut self.client, families);
        match change {
            Change::Insert(parent, _) | Change::Undone(parent, _) => found.has_parent(at, parent),
            Change::Move(child, parent) | Change::AddChild(child, parent) => {
                found.parent_of(at, child).is_some_and(|found| found == parent)
            }
            Change::DeleteChild(child) => found.parent_of(at, child).is_none(),
            Change::DeleteParent(parent) => !found.has_parent(at, parent),
            Change::Touch(_) => true,
        }
    }

    fn record(&mut self, at: usize, change: Change) {
        let ledger = &mut self.ledger;
        match change {
            Change::Insert(parent, children) => {
                ledger.add_parent(at, &parent);
                for child in children {
                    ledger.add_child(at, &child, &parent);
                }
            }
            Change::Move(child, parent) | Change::AddChild(child, parent) => {
                ledger.add_child(at, &child, &parent)
            }
            Change::DeleteChild(child) => ledger.remove_child(at, &child),
            Change::DeleteParent(parent) => ledger.remove_parent(at, &parent),
            Change::Undone(..) | Change::Touch(_) => {}
        }
    }
}

/// A statement for a row with this mark, and for the parent with this key.
fn filled(statement: &str, mark: &str, key: &str) -> String {
    let number = mark.split_once('-').map(|(_, number)| number).unwrap_or_default();
    statement.replace("{m}", mark).replace("{n}", number).replace("{k}", key)
}
