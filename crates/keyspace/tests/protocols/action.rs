//! The events of a world, and their text: a trace is a list of events, one per line.

use std::fmt;
use std::str::FromStr;

/// An event. Nodes, sessions and sequences count from 0 here, and from 1 in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A client draws a value; its transaction stays open if the scenario has transactions.
    Draw { node: usize, session: usize, sequence: usize },
    /// A client's transaction ends and releases its locks.
    End { node: usize, session: usize },
    /// A drawn value is inserted into the table, and committed.
    Insert { node: usize, sequence: usize, value: i64 },
    /// Replication applies a row.
    Deliver { from: usize, to: usize, sequence: usize, value: i64 },
    /// A server crashes and comes back; its sequences may have run ahead by some values.
    Crash { node: usize, ahead: u8 },
    /// `setval(sequence, max(id))`, if that is further than the sequence has come.
    Setval { node: usize, sequence: usize },
    /// The standby of a node receives all changes.
    Ship { node: usize },
    /// The next step of a node's protocol, or the next transaction of that step.
    Step { node: usize },
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Draw { node, session, sequence } => {
                write!(f, "draw node {} session {} sequence {}", node + 1, session + 1, sequence + 1)
            }
            Self::End { node, session } => write!(f, "end node {} session {}", node + 1, session + 1),
            Self::Insert { node, sequence, value } => {
                write!(f, "insert node {} sequence {} value {value}", node + 1, sequence + 1)
            }
            Self::Deliver { from, to, sequence, value } => {
                write!(f, "deliver from {} to {} sequence {} value {value}", from + 1, to + 1, sequence + 1)
            }
            Self::Crash { node, ahead } => write!(f, "crash node {} ahead {ahead}", node + 1),
            Self::Setval { node, sequence } => {
                write!(f, "setval node {} sequence {}", node + 1, sequence + 1)
            }
            Self::Ship { node } => write!(f, "ship node {}", node + 1),
            Self::Step { node } => write!(f, "step node {}", node + 1),
        }
    }
}

impl FromStr for Action {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let text = line.split('#').next().unwrap_or_default();
        let words: Vec<&str> = text.split_whitespace().collect();
        let number = |name: &str| -> Result<i64, String> {
            let at = words.iter().position(|word| *word == name).ok_or(format!("no {name} in: {line}"))?;
            let word = words.get(at + 1).ok_or(format!("nothing after {name} in: {line}"))?;
            word.parse().map_err(|_| format!("no number after {name} in: {line}"))
        };
        let place = |name: &str| number(name).map(|number| number as usize - 1);
        Ok(match words.first().copied() {
            Some("draw") => {
                Self::Draw { node: place("node")?, session: place("session")?, sequence: place("sequence")? }
            }
            Some("end") => Self::End { node: place("node")?, session: place("session")? },
            Some("insert") => {
                Self::Insert { node: place("node")?, sequence: place("sequence")?, value: number("value")? }
            }
            Some("deliver") => Self::Deliver {
                from: place("from")?,
                to: place("to")?,
                sequence: place("sequence")?,
                value: number("value")?,
            },
            Some("crash") => Self::Crash { node: place("node")?, ahead: number("ahead")? as u8 },
            Some("setval") => Self::Setval { node: place("node")?, sequence: place("sequence")? },
            Some("ship") => Self::Ship { node: place("node")? },
            Some("step") => Self::Step { node: place("node")? },
            _ => return Err(format!("no action: {line}")),
        })
    }
}

/// The actions of a text, one per line; text after a `#` is a comment.
pub fn parse(text: &str) -> Result<Vec<Action>, String> {
    let lines = text.lines().filter(|line| !line.split('#').next().unwrap_or_default().trim().is_empty());
    lines.map(str::parse).collect()
}
