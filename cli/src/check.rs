//! `pg_keyspace check`: every node by itself, and all of them against each other.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::arguments::CheckArguments;
use crate::exit::Exit;
use crate::failure::Result;
use crate::nodes::Fleet;
use crate::output::{Output, count, section};
use crate::pairs::{self, Pair};
use crate::printable::printable;
use crate::session::{Session, at_once};
use crate::sessions::{self, all};
use crate::states::{State, others, states};
use crate::table::Table;
use crate::watch;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Two nodes can generate the same key, or inserts fail.
    Error,
    /// Should be looked at.
    Warning,
    /// Should be known.
    Info,
}

/// A finding of the check of a node.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// The name of the node that was checked; filled in here.
    #[serde(default)]
    pub node: String,
    /// The name of the other node, or its number if that could be two; filled in here.
    #[serde(default)]
    pub peer: Option<String>,
    /// The sequence, with its schema.
    pub sequence: Option<String>,
    /// What is found.
    pub finding: String,
    /// What exactly.
    pub detail: Option<String>,
    /// What to do.
    pub hint: Option<String>,
    /// The number of the other node.
    #[serde(skip_serializing)]
    peer_number: Option<i32>,
}

/// What a check of all nodes has shown.
#[derive(Debug, Serialize)]
pub struct Checked {
    /// How many nodes were compared.
    pub nodes: usize,
    /// Every two nodes.
    pub pairs: Vec<Pair>,
    /// All findings, errors first.
    pub findings: Vec<Finding>,
}

/// Checks all nodes against the states of all others. `further` are states of nodes that have left.
///
/// # Errors
/// Those of the servers.
pub fn check_all(sessions: &mut [Session], further: &[String]) -> Result<Checked> {
    let states = states(sessions)?;
    let found = all(at_once(sessions.iter_mut().collect(), |session: &mut Session| {
        let function = session.object("check_interleaved_sequences")?;
        let query = format!(
            "SELECT severity, sequence::text, peer AS peer_number, finding, detail, hint FROM {function}($1::text[]::jsonb[])"
        );
        let mut peers = others(&states, session.name());
        peers.extend_from_slice(further);
        let mut findings: Vec<Finding> = session.rows(&query, &[&peers])?;
        for finding in &mut findings {
            session.name().clone_into(&mut finding.node);
            finding.peer = finding.peer_number.map(|number| name_of_peer(number, session.name(), &states));
        }
        Ok(findings)
    }))?;
    let mut findings: Vec<Finding> = found.into_iter().flatten().collect();
    findings.extend(versions(sessions));
    findings.sort_by_key(|finding| finding.severity);
    Ok(Checked { nodes: sessions.len(), pairs: pairs::all(&states), findings })
}

/// The name of a peer, or its number if several nodes have it.
fn name_of_peer(number: i32, own: &str, states: &[State]) -> String {
    let mut named = states.iter().filter(|state| state.node != own && state.state.node == Some(number));
    match (named.next(), named.next()) {
        (Some(state), None) => state.node.clone(),
        _ => number.to_string(),
    }
}

/// A finding if nodes have different versions of the extension.
fn versions(sessions: &[Session]) -> Option<Finding> {
    let of = |session: &Session| session.facts.extension.as_ref().map(|extension| extension.version.clone());
    let versions: BTreeSet<_> = sessions.iter().filter_map(of).collect();
    (versions.len() > 1).then(|| Finding {
        severity: Severity::Warning,
        node: String::new(),
        peer: None,
        sequence: None,
        finding: "versions differ".to_owned(),
        detail: Some(format!(
            "extension {} on different nodes",
            versions.into_iter().collect::<Vec<_>>().join(" and ")
        )),
        hint: Some("Run ALTER EXTENSION pg_keyspace UPDATE where the older one is.".to_owned()),
        peer_number: None,
    })
}

impl Checked {
    /// The exit code. What could not be looked at is no proof, and not in order.
    pub fn exit(&self) -> Exit {
        let is_error = |finding: &Finding| finding.severity == Severity::Error;
        let is_good = !self.findings.iter().any(is_error) && self.not_compared() == 0;
        if is_good { Exit::Fine } else { Exit::Findings }
    }

    /// How many findings say that a sequence was not compared. The server calls them warnings.
    fn not_compared(&self) -> usize {
        const FINDINGS: [&str; 4] =
            ["locked", "permission denied", "name not in UTF-8", "unlogged, not available on a standby"];
        self.findings.iter().filter(|finding| FINDINGS.contains(&finding.finding.as_str())).count()
    }

    /// The findings as a table; those of severity info only if they are wanted.
    pub fn table(&self, with_infos: bool) -> Table {
        let mut table = Table::new(["severity", "node", "peer", "sequence", "finding", "detail"]);
        for finding in self.shown(with_infos) {
            let severity = match finding.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Info => "info",
            };
            table.row([
                severity,
                &finding.node,
                finding.peer.as_deref().unwrap_or_default(),
                finding.sequence.as_deref().unwrap_or_default(),
                &finding.finding,
                finding.detail.as_deref().unwrap_or_default(),
            ]);
        }
        table
    }

    fn shown(&self, with_infos: bool) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| with_infos || finding.severity != Severity::Info)
    }

    /// The result for people.
    pub fn text(&self, with_infos: bool, width: Option<u16>) -> String {
        let mut hints = Vec::new();
        for finding in self.shown(with_infos) {
            if let Some(hint) = &finding.hint {
                let line = format!(" {}: {}\n", printable(&finding.finding), printable(hint));
                if !hints.contains(&line) {
                    hints.push(line);
                }
            }
        }
        let mut text = pairs::text(&self.pairs, width);
        text += &section("Findings", self.table(with_infos), width);
        if !hints.is_empty() {
            text += &format!("What to do\n{}\n", hints.concat());
        }
        text + &self.verdict(with_infos) + "\n"
    }

    fn verdict(&self, with_infos: bool) -> String {
        let number = |severity| self.findings.iter().filter(|finding| finding.severity == severity).count();
        let (errors, warnings, infos) =
            (number(Severity::Error), number(Severity::Warning), number(Severity::Info));
        let mut parts = Vec::new();
        let not_compared = self.not_compared();
        if errors == 0 && not_compared > 0 {
            parts.push(format!(
                "{} checked, no errors, but this is no proof: {} not compared",
                count(self.nodes, "node"),
                if not_compared == 1 {
                    "a sequence was".to_owned()
                } else {
                    format!("{not_compared} sequences were")
                }
            ));
        } else if errors == 0 && self.nodes > 1 {
            parts.push(format!(
                "{} checked, no errors: no two of them will generate the same value from now on",
                count(self.nodes, "node")
            ));
        } else {
            parts.push(format!("{} checked, {}", count(self.nodes, "node"), count(errors, "error")));
        }
        if warnings > 0 {
            parts.push(count(warnings, "warning"));
        }
        if infos > 0 {
            let more = if with_infos { "" } else { " (--all shows them)" };
            parts.push(format!("{} for information{more}", count(infos, "finding")));
        }
        parts.join("; ")
    }
}

/// Checks all nodes.
///
/// # Errors
/// If a node cannot be reached or checked, or two nodes are one server.
pub fn run(fleet: &Fleet, output: Output, arguments: &CheckArguments) -> Result<Exit> {
    watch::repeat(arguments.watch, output, || {
        let mut sessions = sessions::open(fleet)?;
        let checked = check_all(&mut sessions, &[])?;
        output.result(&checked, |width| checked.text(arguments.all, width))?;
        Ok(checked.exit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pairs::Relation;

    fn finding(severity: Severity, sequence: Option<&str>, finding: &str) -> Finding {
        Finding {
            severity,
            node: "one".to_owned(),
            peer: sequence.map(|_| "two".to_owned()),
            sequence: sequence.map(str::to_owned),
            finding: finding.to_owned(),
            detail: Some("what exactly".to_owned()),
            hint: Some("What to do.".to_owned()),
            peer_number: None,
        }
    }

    fn checked(findings: Vec<Finding>) -> Checked {
        let pair = Pair {
            nodes: ["one".to_owned(), "two".to_owned()],
            classes: [Some("1 of 2".to_owned()), Some("2 of 2".to_owned())],
            relation: Relation::Disjoint,
        };
        Checked { nodes: 2, pairs: vec![pair], findings }
    }

    #[test]
    fn the_result_of_a_check_is_for_people() {
        let checked = checked(vec![
            finding(Severity::Error, Some("public.a\u{7}"), "restart too low"),
            finding(Severity::Error, Some("public.b"), "restart too low"),
            finding(Severity::Warning, None, "DDL replication"),
            finding(Severity::Info, None, "no known column"),
        ]);
        let expected = [
            "Pairs of nodes",
            " node | class  | other node | other class | classes",
            "------+--------+------------+-------------+-------------------------",
            " one  | 1 of 2 | two        | 2 of 2      | have no value in common",
            "",
            "Findings",
            " severity | node | peer | sequence      | finding         | detail",
            "----------+------+------+---------------+-----------------+--------------",
            " error    | one  | two  | public.a\\u{7} | restart too low | what exactly",
            " error    | one  | two  | public.b      | restart too low | what exactly",
            " warning  | one  |      |               | DDL replication | what exactly",
            "",
            "What to do",
            " restart too low: What to do.",
            " DDL replication: What to do.",
            "",
            "2 nodes checked, 2 errors; 1 warning; 1 finding for information (--all shows them)",
        ];
        assert_eq!(checked.text(false, None).lines().collect::<Vec<_>>(), expected);
        assert_eq!(checked.exit(), Exit::Findings);
        assert!(checked.text(true, None).contains("no known column"));
    }

    #[test]
    fn no_error_is_the_proof() {
        let proven = checked(vec![finding(Severity::Warning, None, "DDL replication")]);
        assert_eq!(proven.exit(), Exit::Fine);
        let text = proven.text(false, None);
        let proof =
            "2 nodes checked, no errors: no two of them will generate the same value from now on; 1 warning";
        assert_eq!(text.lines().last(), Some(proof));
        // What nobody has looked at is no proof.
        let locked = checked(vec![finding(Severity::Warning, Some("public.a"), "locked")]);
        assert_eq!(locked.exit(), Exit::Findings);
        let text = locked.text(false, None);
        let verdict =
            "2 nodes checked, no errors, but this is no proof: a sequence was not compared; 1 warning";
        assert_eq!(text.lines().last(), Some(verdict));
        let alone = Checked { nodes: 1, pairs: Vec::new(), findings: Vec::new() };
        assert_eq!(alone.text(false, None), "1 node checked, 0 errors\n");
    }

    #[test]
    fn findings_are_read_as_the_server_writes_them() {
        let row = r#"{"severity":"error","sequence":null,"peer_number":2,"finding":"classes overlap","detail":null,"hint":null}"#;
        let read: std::result::Result<Finding, _> = serde_json::from_str(row);
        assert!(
            read.is_ok_and(|finding| finding.severity == Severity::Error && finding.peer_number == Some(2))
        );
        assert!(Severity::Error < Severity::Warning && Severity::Warning < Severity::Info);
    }
}
