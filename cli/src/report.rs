//! What a command has changed, or would change.

use std::path::PathBuf;

use serde::Serialize;

use crate::change::Change;
use crate::check::Checked;
use crate::exit::Exit;
use crate::output::{Output, count, section};
use crate::printable::printable;
use crate::session::Notice;
use crate::table::Table;

/// The result of a command that changes nodes.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The command.
    pub command: &'static str,
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// Whether it has gone on with an interrupted run.
    pub goes_on: bool,
    /// What was found before anything was changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Checked>,
    /// The nodes that are changed.
    pub nodes: Vec<NodeReport>,
    /// The check at the end.
    pub check: Option<Checked>,
    /// What is left to do for the user.
    pub next: Vec<String>,
    /// The log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<PathBuf>,
}

/// What happens to a node.
#[derive(Debug, Default, Serialize)]
pub struct NodeReport {
    /// Its name.
    pub node: String,
    /// Its class before, as `1 of 2`.
    pub class_before: Option<String>,
    /// Its class afterwards.
    pub class: String,
    /// Its sequences.
    pub changes: Vec<Change>,
    /// What the server has said.
    pub notices: Vec<Notice>,
}

impl NodeReport {
    fn number(&self, actions: &[&str]) -> usize {
        self.changes.iter().filter(|change| actions.contains(&change.action.as_str())).count()
    }

    /// Whether its sequences were in the class already, so that each change repairs something.
    fn was_set_up(&self) -> bool {
        self.class_before.as_ref() == Some(&self.class)
    }
}

impl Report {
    /// Prints the report. The exit code is that of the check, or in a dry run whether it would work.
    ///
    /// # Errors
    /// If stdout cannot be written to.
    pub fn print(&self, output: Output) -> crate::failure::Result<Exit> {
        output.result(self, |width| self.text(width))?;
        let would_fail = self.nodes.iter().any(|node| node.number(&["failed"]) > 0);
        Ok(match &self.check {
            Some(checked) => checked.exit(),
            None if would_fail => Exit::Findings,
            None => Exit::Fine,
        })
    }

    /// The report for people.
    pub fn text(&self, width: Option<u16>) -> String {
        let mut text = String::new();
        if let Some(before) = &self.before {
            text += &section("Found before", before.table(false), width);
        }
        let altered = if self.dry_run { "#would alter" } else { "#altered" };
        let mut nodes =
            Table::new(["node", "class before", "class", altered, "#unchanged", "#left alone", "#failed"]);
        // A repair is never hidden in a number.
        let mut repaired = Table::new(["node", "sequence", "detail", "#restart"]);
        let mut left_alone = Table::new(["node", "sequence", "action", "detail"]);
        let mut notices: Vec<String> = Vec::new();
        for node in &self.nodes {
            let number = |actions: &[&str]| node.number(actions).to_string();
            nodes.row([
                &node.node,
                node.class_before.as_deref().unwrap_or("none"),
                &node.class,
                &number(&["altered", "planned"]),
                &number(&["unchanged"]),
                &number(&["skipped"]),
                &number(&["failed"]),
            ]);
            for change in &node.changes {
                let detail = change.detail.as_deref().unwrap_or_default();
                let restart = change.restart.map(|restart| restart.to_string()).unwrap_or_default();
                match change.action.as_str() {
                    "altered" | "planned" if node.was_set_up() => {
                        repaired.row([&node.node, &change.sequence, detail, &restart]);
                    }
                    "skipped" | "failed" => {
                        left_alone.row([&node.node, &change.sequence, &change.action, detail]);
                    }
                    _ => {}
                }
            }
            for notice in &node.notices {
                let line = format!(
                    " node \"{}\": {}: {}",
                    node.node,
                    printable(&notice.severity),
                    printable(&notice.message)
                );
                if !notices.contains(&line) {
                    notices.push(line);
                }
            }
        }
        text += &section(if self.dry_run { "Would change" } else { "Changed" }, nodes, width);
        let title = if self.dry_run { "Would repair" } else { "Repaired" };
        text +=
            &section(&format!("{title}: sequences that had left their class, or were new"), repaired, width);
        text += &section("Left alone", left_alone, width);
        if !notices.is_empty() {
            const SHOWN: usize = 20;
            let more = notices.len().saturating_sub(SHOWN);
            notices.truncate(SHOWN);
            text += &format!("Messages of the servers\n{}\n", notices.join("\n"));
            if more > 0 {
                text += &format!(" and {} (--json shows all)\n", count(more, "further message"));
            }
            text.push('\n');
        }
        if let Some(checked) = &self.check {
            text += &checked.text(false, width);
        }
        for next in &self.next {
            text += &format!("Next: {}\n", printable(next));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(sequence: &str, action: &str, detail: &str) -> Change {
        Change {
            sequence: sequence.to_owned(),
            action: action.to_owned(),
            restart: Some(7),
            values_left: None,
            detail: Some(detail.to_owned()),
            ddl: None,
        }
    }

    /// What was repaired is shown, one sequence in each line.
    #[test]
    fn a_repair_is_shown() {
        let node = |before: Option<&str>| NodeReport {
            node: "one".to_owned(),
            class_before: before.map(str::to_owned),
            class: "1 of 2".to_owned(),
            changes: vec![
                change("public.a", "altered", "back into the class"),
                change("public.b", "unchanged", "in order"),
                change("public.c\u{1b}", "skipped", "increment 50 kept"),
            ],
            notices: vec![
                Notice {
                    severity: "WARNING".to_owned(),
                    message: "look".to_owned(),
                    detail: None,
                    hint: None
                };
                2
            ],
        };
        let report = |before| Report {
            command: "setup",
            nodes: vec![node(before)],
            next: vec!["go on".to_owned()],
            ..Report::default()
        };
        let text = report(Some("1 of 2")).text(None);
        assert!(text.contains("Repaired: ") && text.contains("back into the class"), "{text}");
        assert!(text.contains("public.c\\u{1b}") && text.contains("increment 50 kept"), "{text}");
        assert_eq!(text.matches("node \"one\": WARNING: look").count(), 1);
        assert!(text.ends_with("Next: go on\n"));
        let first = report(None).text(None);
        assert!(!first.contains("Repaired") && first.contains("none"), "{first}");
    }
}
