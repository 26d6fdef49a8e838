//! `pg_keyspace status`: all nodes in one table.

use serde::{Deserialize, Serialize};

use keyspace::sequences::Class;

use crate::arguments::StatusArguments;
use crate::classes::are_disjoint;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::nodes::Fleet;
use crate::output::{self, Output, section};
use crate::printable::printable;
use crate::session::{Session, at_once};
use crate::sessions;
use crate::table::Table;
use crate::watch;

/// What is shown of a node.
#[derive(Debug, Default, Serialize)]
pub struct NodeStatus {
    node: String,
    /// Why nothing else is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
    database: Option<String>,
    server_version: Option<String>,
    extension_version: Option<String>,
    in_recovery: Option<bool>,
    /// The number of the class, and the number of classes.
    class: Option<(i32, i32)>,
    sequences: Option<Sequences>,
    lag: Option<Lag>,
}

/// All sequences of a node together.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Sequences {
    total: usize,
    in_order: usize,
    /// Those of which it is not known.
    unknown: usize,
    worst_sequence: Option<String>,
    worst_percent_used: Option<f64>,
    /// How many sequences have each finding.
    findings: std::collections::BTreeMap<String, usize>,
}

/// How far the slowest subscriber is behind.
#[derive(Debug, Deserialize, Serialize)]
struct Lag {
    /// The replication slot.
    slot: String,
    bytes: i64,
    active: bool,
}

const SEQUENCES: &str = "
    SELECT count(*) AS total, count(*) FILTER (WHERE s.in_order) AS in_order,
           count(*) FILTER (WHERE s.in_order IS NULL) AS unknown,
           (array_agg(s.sequence::text ORDER BY s.percent_used DESC) FILTER (WHERE s.percent_used IS NOT NULL))[1] AS worst_sequence,
           max(s.percent_used) AS worst_percent_used,
           (SELECT coalesce(jsonb_object_agg(f.finding, f.number), '{}')
            FROM (SELECT finding, count(*) AS number FROM (SELECT unnest(all_of.findings) AS finding FROM shown AS all_of) AS one
                  GROUP BY finding) AS f) AS findings
    FROM shown AS s";

const LAG: &str = "
    SELECT s.slot_name::text AS slot, s.active,
           greatest(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END,
                                    coalesce(s.confirmed_flush_lsn, s.restart_lsn)), 0)::int8 AS bytes
    FROM pg_replication_slots s
    WHERE (s.slot_type = 'physical' OR s.database = current_database())
      AND coalesce(s.confirmed_flush_lsn, s.restart_lsn) IS NOT NULL AND NOT s.temporary
    ORDER BY bytes DESC LIMIT 1";

fn read(session: &mut Session) -> Result<NodeStatus> {
    let facts = session.facts.clone();
    let mut status = NodeStatus {
        node: facts.name,
        database: Some(facts.database),
        server_version: Some(facts.server_version.1),
        extension_version: facts.extension.as_ref().map(|extension| extension.version.clone()),
        in_recovery: Some(facts.in_recovery),
        class: facts.class.map(|class| (class.node(), class.nodes())),
        ..NodeStatus::default()
    };
    status.lag = session.rows(LAG, &[])?.pop();
    if facts.extension.is_some() {
        let view = session.object("interleaved_sequences")?;
        let query = format!("WITH shown AS MATERIALIZED (SELECT * FROM {view}) {SEQUENCES}");
        status.sequences = session.rows(&query, &[])?.pop();
    } else {
        status.failure = Some("does not have the extension pg_keyspace".to_owned());
    }
    Ok(status)
}

/// Shows all nodes. A node that cannot be reached is shown as such.
///
/// # Errors
/// If two nodes are one server.
pub fn run(fleet: &Fleet, output: Output, arguments: &StatusArguments) -> Result<Exit> {
    watch::repeat(arguments.watch, output, || {
        let sessions = sessions::open_each(fleet);
        let facts: Vec<_> = sessions
            .iter()
            .filter_map(|session| session.as_ref().ok())
            .map(|session| &session.facts)
            .collect();
        let primaries: Vec<_> = facts.iter().copied().filter(|facts| !facts.in_recovery).collect();
        sessions::are_different_servers(&primaries)?;
        let read = at_once(sessions, |session| session.and_then(|mut session| read(&mut session)));
        let mut failures = Vec::new();
        let mut nodes = Vec::new();
        for (node, status) in fleet.nodes.iter().zip(read) {
            nodes.push(match status {
                Ok(status) => status,
                Err(failure) if failure.is_interrupt => return Err(failure),
                Err(failure) => {
                    let status = NodeStatus {
                        node: node.name.clone(),
                        failure: Some(failure.message.clone()),
                        ..NodeStatus::default()
                    };
                    failures.push(failure);
                    status
                }
            });
        }
        output.result(&serde_json::json!({ "nodes": nodes }), |width| text(&nodes, &failures, width))?;
        Ok(exit(&nodes))
    })
}

fn exit(nodes: &[NodeStatus]) -> Exit {
    if nodes.iter().any(|node| node.failure.is_some()) {
        return Exit::Failed;
    }
    let is_in_order = |node: &NodeStatus| {
        let sequences = node.sequences.as_ref();
        node.class.is_some() && sequences.is_some_and(|sequences| sequences.in_order == sequences.total)
    };
    let classes: Vec<(&str, Class)> = nodes
        .iter()
        .filter(|node| node.in_recovery != Some(true))
        .filter_map(|node| {
            let (number, count) = node.class?;
            Some((node.node.as_str(), Class::new(number, count).ok()?))
        })
        .collect();
    if nodes.iter().all(is_in_order) && are_disjoint(&classes).is_ok() { Exit::Fine } else { Exit::Findings }
}

fn text(nodes: &[NodeStatus], failures: &[Failure], width: Option<u16>) -> String {
    let mut table = Table::new([
        "node",
        "database",
        "class",
        "#in order",
        "fullest sequence",
        "findings",
        "lag",
        "PostgreSQL",
        "extension",
    ]);
    for node in nodes {
        let or_none = |text: &Option<String>| text.clone().unwrap_or_default();
        let class = match node.class {
            Some((node, nodes)) => format!("{node} of {nodes}"),
            None if node.failure.is_none() => "none".to_owned(),
            None => String::new(),
        };
        let sequences = node.sequences.as_ref();
        let in_order = sequences.map(|all| format!("{} of {}", all.in_order, all.total)).unwrap_or_default();
        let worst = sequences.and_then(|all| {
            Some(format!("{:.1} % {}", all.worst_percent_used?, all.worst_sequence.as_deref()?))
        });
        let findings = sequences.map(|all| {
            let each = all.findings.iter().map(|(finding, number)| format!("{finding}: {number}"));
            each.collect::<Vec<_>>().join(", ")
        });
        let findings = node.failure.clone().or(findings).unwrap_or_default();
        let lag = node.lag.as_ref().map(|lag| {
            let inactive = if lag.active { "" } else { ", not connected" };
            format!("{} ({}{inactive})", output::bytes(lag.bytes), lag.slot)
        });
        let version = node.server_version.as_ref().map(|version| {
            // A package adds its own version in parentheses.
            let version = version.split(' ').next().unwrap_or(version);
            let standby = if node.in_recovery == Some(true) { ", standby" } else { "" };
            format!("{version}{standby}")
        });
        table.row([
            &node.node,
            &or_none(&node.database),
            &class,
            &in_order,
            &worst.unwrap_or_default(),
            &findings,
            &lag.unwrap_or_default(),
            &version.unwrap_or_default(),
            &or_none(&node.extension_version),
        ]);
    }
    let mut text = section("Nodes", table, width);
    for failure in failures {
        if let Some(hint) = &failure.hint {
            let node = failure.node.as_deref().unwrap_or_default();
            text += &format!("hint for node \"{node}\": {}\n", printable(hint));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, in_order: usize) -> NodeStatus {
        NodeStatus {
            node: name.to_owned(),
            database: Some("shop".to_owned()),
            server_version: Some("15.17 (Debian 15.17-1)".to_owned()),
            extension_version: Some("0.1.0".to_owned()),
            in_recovery: Some(false),
            class: Some((1, 2)),
            sequences: Some(Sequences {
                total: 3,
                in_order,
                unknown: 0,
                worst_sequence: Some("public.\"a\u{1b}\"".to_owned()),
                worst_percent_used: Some(12.34),
                findings: [("wrong increment".to_owned(), 2), ("unlogged".to_owned(), 1)].into(),
            }),
            lag: Some(Lag { slot: "to_two".to_owned(), bytes: 20_480, active: false }),
            ..NodeStatus::default()
        }
    }

    #[test]
    fn all_nodes_are_one_table() {
        let gone = NodeStatus {
            node: "two".to_owned(),
            failure: Some("could not connect: no".to_owned()),
            ..NodeStatus::default()
        };
        let failures = [Failure::new("could not connect: no").of_node("two").hint("Start it.")];
        let text = text(&[node("one", 1), gone], &failures, None);
        let lines: Vec<String> =
            text.lines().map(|line| line.split('|').map(str::trim).collect::<Vec<_>>().join("|")).collect();
        assert_eq!(lines[0], "Nodes");
        assert_eq!(
            lines[1],
            "node|database|class|in order|fullest sequence|findings|lag|PostgreSQL|extension"
        );
        assert_eq!(
            lines[3],
            "one|shop|1 of 2|1 of 3|12.3 % public.\"a\\u{1b}\"|unlogged: 1, wrong increment: 2|20 kB (to_two, not connected)|15.17|0.1.0"
        );
        assert_eq!(lines[4], "two|||||could not connect: no|||");
        assert_eq!(text.lines().last(), Some("hint for node \"two\": Start it."));
    }

    #[test]
    fn the_exit_code_tells_whether_all_is_in_order() {
        let second = || NodeStatus { class: Some((2, 2)), ..node("two", 3) };
        assert_eq!(exit(&[node("one", 3), second()]), Exit::Fine);
        assert_eq!(exit(&[node("one", 3), node("two", 3)]), Exit::Findings, "one class twice");
        assert_eq!(exit(&[node("one", 3), node("two", 2)]), Exit::Findings);
        assert_eq!(exit(&[NodeStatus { class: None, ..node("one", 3) }]), Exit::Findings);
        assert_eq!(exit(&[NodeStatus { failure: Some(String::new()), ..node("one", 3) }]), Exit::Failed);
    }
}
