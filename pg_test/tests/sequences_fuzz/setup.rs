//! Runs the set-up in both forms, and holds it to what it promises: the dry run is the run, a
//! second run changes nothing, and what it leaves in order is in order.

use anyhow::{Result, bail, ensure};

use crate::definitions::literal;
use crate::node::{Class, Row, code, reason};
use crate::world::World;

/// The two forms of the set-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    OneTransaction,
    InBatches,
}

/// The arguments of a set-up.
#[derive(Clone, Debug)]
pub struct Arguments {
    pub class: Class,
    pub states: Vec<String>,
    /// None if the set-up is to compute it.
    pub gap: Option<i64>,
    pub form: Form,
}

/// The outcome of a set-up.
pub enum Outcome {
    /// For each sequence, whether it is in order now.
    Done(Vec<bool>),
    /// The SQLSTATE and the message.
    Refused(String, String),
}

/// The rows of a dry run, and the sequences that fail in it, which are left out.
type Plan = (Vec<Row>, Vec<usize>);

/// Every column of the result that a dry run and a run must have in common.
const COLUMNS: &str =
    "array_position({names}::regclass[], sequence) - 1, action, in_use, restart, values_left, detail,
    percent_used, fed_columns::text, last_value, old_increment, new_increment, ddl";
const ACTION: usize = 1;
const DETAIL: usize = 5;
/// restart, values_left, percent_used and ddl.
const OF_THE_GAP: [usize; 4] = [3, 4, 6, 11];

/// The reason to move a sequence further with a computed gap.
const USED_SINCE: &str = "has used since";

/// The reason not to set a sequence up whose increment is a number of nodes, and whose values may
/// stand for blocks.
const UNCLEAR: &str = "blocks or nodes";

/// The errors that a user may get from a set-up that is not as the documentation says.
const REFUSALS: [&str; 4] = ["2200H", "55000", "22023", "22003"];

impl World<'_> {
    /// An array of the names of all sequences, in their order.
    pub fn names(&self) -> String {
        array(self.definitions.sequences.iter().map(|sequence| literal(&sequence.name)), "text")
    }

    fn arguments(&self, arguments: &Arguments, exclude: &[usize]) -> String {
        let Class { node, nodes } = arguments.class;
        let peers = array(arguments.states.iter().map(|state| format!("{}::jsonb", literal(state))), "jsonb");
        let blocks = self.definitions.has_blocks();
        let gap = arguments.gap.map_or("NULL".to_owned(), |gap| gap.to_string());
        let mut text = format!("{node}, {nodes}, peers => {peers}, gap => {gap}, blocks => {blocks}");
        let feeds = self.feeds_argument();
        if !feeds.is_empty() {
            text.push_str(&format!(", {feeds}"));
        }
        if !exclude.is_empty() {
            let names = exclude.iter().map(|at| literal(&self.definitions.sequences[*at].name));
            text.push_str(&format!(", exclude => {}::regclass[]", array(names, "text")));
        }
        text
    }

    /// Sets a node up. Sequences that fail in the dry run are excluded, unless the class changes,
    /// which must be done for all.
    pub fn set_up(&mut self, node: usize, arguments: &Arguments) -> Result<Outcome> {
        let (planned, exclude) = match self.plan(node, arguments)? {
            Ok(plan) => plan,
            Err(refused) => return Ok(refused),
        };
        let text = self.arguments(arguments, &exclude);
        let columns = COLUMNS.replace("{names}", &self.names());
        let statement = match arguments.form {
            Form::OneTransaction => format!("SELECT {columns} FROM setup_interleaved_sequences({text})"),
            Form::InBatches => format!("CALL setup_interleaved_sequences_in_batches({text})"),
        };
        let (of, server) = self.node(node);
        let done = match of.rows(server, &statement) {
            Ok(rows) => rows,
            // A class is not changed in batches. But otherwise the node is stored first, and
            // stays so.
            Err(error) if REFUSALS.contains(&code(&error)) => {
                self.remember_class(node)?;
                return Ok(refused(&error));
            }
            Err(error) => bail!("set-up of node {node}: {}", reason(&error)),
        };
        if arguments.form == Form::OneTransaction {
            expect_same(&planned, &done, arguments.gap.is_none())?;
        }
        // While nodes are renumbered, the states may be of one that has the new class still, and a
        // second run refuses them.
        let is_changed = self.class(node).is_some_and(|class| class != arguments.class);
        if !(is_changed && self.is_class_shared(node, &text)?) {
            self.expect_nothing_to_do(node, &columns, &text)?;
        }
        self.nodes[node].as_mut().expect("it exists").class = Some(arguments.class);
        self.guard(node)?;
        let mut in_order = self.in_order(node)?;
        for row in planned.iter().filter(|row| is(row, "planned") || is(row, "unchanged")) {
            let at = index(row);
            let is_used_up = row[DETAIL].as_deref().unwrap_or_default().starts_with("used up");
            ensure!(in_order[at] || is_used_up, "not in order after a set-up of node {node}: {row:?}");
        }
        for row in planned.iter().filter(|row| is(row, "skipped") || is(row, "failed")) {
            in_order[index(row)] = false;
        }
        for at in exclude {
            in_order[at] = false;
        }
        Ok(Outcome::Done(in_order))
    }

    /// Guards the tables of a node whose sequences are to be guarded and can be.
    pub fn guard(&mut self, node: usize) -> Result<()> {
        self.of_guards(node, "guard", ", blocks => 'up', mode => 'warn'")
    }

    pub fn unguard(&mut self, node: usize) -> Result<()> {
        self.of_guards(node, "unguard", "")
    }

    fn of_guards(&mut self, node: usize, function: &str, arguments: &str) -> Result<()> {
        let definitions = self.definitions;
        for sequence in definitions.sequences.iter().filter(|sequence| sequence.is_guarded) {
            let tables = sequence.tables.iter().map(|table| literal(&definitions.tables[*table].name));
            let tables = array(tables, "text");
            let statement =
                format!("SELECT {function}_interleaved_sequences(tables => {tables}::regclass[]{arguments})");
            let (of, server) = self.node(node);
            match of.rows(server, &statement) {
                Ok(_) => {}
                // The sequence was left out of the set-up.
                Err(error) if code(&error) == "55000" => {}
                Err(error) => bail!("{function} of node {node}: {}", reason(&error)),
            }
        }
        Ok(())
    }

    /// The dry run, and the sequences that fail in it.
    fn plan(&mut self, node: usize, arguments: &Arguments) -> Result<Result<Plan, Outcome>> {
        let columns = COLUMNS.replace("{names}", &self.names());
        let mut exclude = Vec::new();
        loop {
            let text = self.arguments(arguments, &exclude);
            let (of, server) = self.node(node);
            let dry = format!("SELECT {columns} FROM setup_interleaved_sequences({text}, dry_run => true)");
            let rows = match of.rows(server, &dry) {
                Ok(rows) => rows,
                Err(error) if REFUSALS.contains(&code(&error)) => return Ok(Err(refused(&error))),
                Err(error) => bail!("dry run on node {node}: {}", reason(&error)),
            };
            let failed: Vec<usize> = rows.iter().filter(|row| is(row, "failed")).map(index).collect();
            for row in &rows {
                let detail = row[DETAIL].as_deref().unwrap_or_default();
                if detail.starts_with(UNCLEAR) {
                    self.is_unclear[index(row)] = true;
                    self.is_safe[index(row)] = false;
                }
            }
            if failed.is_empty() {
                return Ok(Ok((rows, exclude)));
            }
            // A node that was restored may be in a former class.
            let is_class_kept = self.stored_class(node)?.is_none_or(|class| class == arguments.class);
            if !is_class_kept || !exclude.is_empty() {
                return Ok(Err(Outcome::Refused("failed".to_owned(), format!("{failed:?} in the dry run"))));
            }
            exclude = failed;
        }
    }

    /// Whether a set-up is refused because a peer has values of the class.
    fn is_class_shared(&mut self, node: usize, text: &str) -> Result<bool> {
        let (of, server) = self.node(node);
        let dry = format!("SELECT action FROM setup_interleaved_sequences({text}, dry_run => true)");
        match of.rows(server, &dry) {
            Ok(_) => Ok(false),
            Err(error) if reason(&error).contains("would share values") => Ok(true),
            Err(error) => bail!("second dry run on node {node}: {}", reason(&error)),
        }
    }

    /// A second run changes nothing and takes no transaction id, except that a computed gap grows with
    /// time if a peer may still use values of the class.
    fn expect_nothing_to_do(&mut self, node: usize, columns: &str, text: &str) -> Result<()> {
        let again = format!("SELECT {columns} FROM setup_interleaved_sequences({text})");
        self.run(node, "BEGIN")?;
        let rows = self.rows(node, &again)?;
        let changed: Vec<&Row> =
            rows.iter().filter(|row| !is(row, "unchanged") && !is(row, "skipped")).collect();
        let xid = self.rows(node, "SELECT pg_current_xact_id_if_assigned()::text; COMMIT")?;
        let is_later = |row: &&Row| row[DETAIL].as_deref().is_some_and(|detail| detail.contains(USED_SINCE));
        if !changed.is_empty() && text.contains("gap => NULL") && changed.iter().all(is_later) {
            return Ok(());
        }
        ensure!(changed.is_empty(), "a second run on node {node} does something: {changed:?}");
        ensure!(xid == [[None]], "a second run on node {node} takes a transaction id");
        Ok(())
    }

    /// Takes the class of a node from its database.
    pub fn remember_class(&mut self, node: usize) -> Result<()> {
        if let Some(class) = self.stored_class(node)? {
            self.nodes[node].as_mut().expect("it exists").class = Some(class);
        }
        Ok(())
    }

    /// The class that a database has by its own records.
    fn stored_class(&mut self, node: usize) -> Result<Option<Class>> {
        let stored = self.rows(node, "SELECT node, nodes FROM interleaved_node")?;
        Ok(match stored.as_slice() {
            [row] => match row.as_slice() {
                [Some(node), Some(nodes)] => Some(Class { node: node.parse()?, nodes: nodes.parse()? }),
                _ => None,
            },
            _ => None,
        })
    }

    /// For each sequence, whether the view shows it as in order.
    pub fn in_order(&mut self, node: usize) -> Result<Vec<bool>> {
        let sql = format!(
            "SELECT coalesce(v.in_order, false)::text FROM unnest({}::regclass[]) WITH ORDINALITY AS s (sequence, at)
             LEFT JOIN interleaved_sequences v USING (sequence) ORDER BY s.at",
            self.names()
        );
        Ok(self.rows(node, &sql)?.iter().map(|row| row[0].as_deref() == Some("true")).collect())
    }
}

/// The run does what the dry run has shown. A computed gap grows with time, and so does what depends
/// on it.
fn expect_same(planned: &[Row], done: &[Row], is_gap_computed: bool) -> Result<()> {
    let (mut expected, mut done) = (planned.to_vec(), done.to_vec());
    for row in expected.iter_mut().chain(&mut done).filter(|_| is_gap_computed) {
        OF_THE_GAP.iter().for_each(|column| row[*column] = None);
    }
    for row in &mut expected {
        if is(row, "planned") {
            row[ACTION] = Some("altered".to_owned());
        }
    }
    for (expected, done) in expected.iter().zip(&done) {
        ensure!(expected == done, "the dry run differs from the run: {expected:?}, and {done:?}");
    }
    ensure!(expected.len() == done.len(), "the dry run has {} rows, the run {}", expected.len(), done.len());
    Ok(())
}

fn refused(error: &postgres::Error) -> Outcome {
    Outcome::Refused(code(error).to_owned(), reason(error))
}

fn is(row: &Row, action: &str) -> bool {
    row[ACTION].as_deref() == Some(action)
}

fn index(row: &Row) -> usize {
    row[0].as_ref().and_then(|at| at.parse().ok()).expect("every sequence of a node is one of ours")
}

/// An array of SQL expressions.
pub fn array(items: impl Iterator<Item = String>, of: &str) -> String {
    format!("ARRAY[{}]::{of}[]", items.collect::<Vec<_>>().join(", "))
}
