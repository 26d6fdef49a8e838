//! The findings of `lint`, for people.

use serde::Serialize;

use super::finding::Finding;
use crate::check::Severity;
use crate::exit::Exit;
use crate::output::{count, section};
use crate::printable::printable;
use crate::table::Table;

/// How many findings of a check are shown on a node, unless all are wanted.
const SHOWN: usize = 10;

/// What was found.
#[derive(Debug, Serialize)]
pub struct Linted {
    /// The nodes.
    pub nodes: Vec<String>,
    /// For so many classes the time left is computed.
    pub classes: i32,
    /// All findings, errors first.
    pub findings: Vec<Finding>,
}

impl Linted {
    /// The exit code.
    pub fn exit(&self) -> Exit {
        if self.number(Severity::Error) > 0 { Exit::Findings } else { Exit::Fine }
    }

    fn number(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    /// The result for people; findings of severity info only if all are wanted.
    pub fn text(&self, all: bool, width: Option<u16>) -> String {
        let mut text = String::new();
        let mut table = Table::new(["severity", "node", "check", "object", "detail"]);
        // The checks in the order in which they are first shown.
        let mut shown: Vec<&Finding> = Vec::new();
        let mut hidden: Vec<(&str, usize)> = Vec::new();
        for finding in self.findings.iter().filter(|finding| all || finding.severity != Severity::Info) {
            let is_alike = |other: &&&Finding| other.check == finding.check && other.nodes == finding.nodes;
            if !all && shown.iter().filter(is_alike).count() >= SHOWN {
                match hidden.iter_mut().find(|(check, _)| *check == finding.check) {
                    Some((_, number)) => *number += 1,
                    None => hidden.push((finding.check, 1)),
                }
                continue;
            }
            shown.push(finding);
            let severity = match finding.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Info => "info",
            };
            let nodes = if finding.nodes.len() > 1 && finding.nodes.len() == self.nodes.len() {
                "all".to_owned()
            } else {
                finding.nodes.join(", ")
            };
            table.row([
                severity,
                &nodes,
                finding.check,
                finding.object.as_deref().unwrap_or_default(),
                &finding.detail,
            ]);
        }
        text += &section("Findings", table, width);
        if !hidden.is_empty() {
            let each = hidden.iter().map(|(check, number)| format!("{number} of {check}"));
            text += &format!("Not shown (--all shows them): {}\n\n", each.collect::<Vec<_>>().join(", "));
        }
        let mut explained: Vec<&str> = Vec::new();
        for finding in shown {
            if explained.contains(&finding.check) {
                continue;
            }
            if explained.is_empty() {
                text += "Why, and what to do\n";
            }
            explained.push(finding.check);
            text += &format!(
                " {}: {}\n   {}\n",
                finding.check,
                printable(finding.reason),
                printable(finding.hint)
            );
        }
        if !explained.is_empty() {
            text.push('\n');
        }
        text + &self.verdict(all) + "\n"
    }

    fn verdict(&self, all: bool) -> String {
        let mut parts = vec![format!(
            "{} looked at, {}",
            count(self.nodes.len(), "node"),
            count(self.number(Severity::Error), "error")
        )];
        let (warnings, infos) = (self.number(Severity::Warning), self.number(Severity::Info));
        if warnings > 0 {
            parts.push(count(warnings, "warning"));
        }
        if infos > 0 {
            let more = if all { "" } else { " (--all shows them)" };
            parts.push(format!("{} for information{more}", count(infos, "finding")));
        }
        parts.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Row;
    use super::super::{keys, triggers};
    use super::*;

    fn linted(number: usize) -> Linted {
        let row = |severity, object: String| Row { severity, object: Some(object), detail: "why".to_owned() };
        let mut findings: Vec<Finding> = (0..number)
            .map(|at| keys::NO_KEY.about(&["one"], row(Severity::Error, format!("public.t{at}"))))
            .collect();
        findings.push(triggers::TRIGGER.about(&["one", "two"], row(Severity::Info, "a\u{1b}".to_owned())));
        Linted { nodes: vec!["one".to_owned(), "two".to_owned()], classes: 2, findings }
    }

    #[test]
    fn each_check_is_explained_once() {
        let text = linted(2).text(false, None);
        assert_eq!(text.matches(keys::NO_KEY.reason).count(), 1);
        assert!(!text.contains(triggers::TRIGGER.reason), "{text}");
        assert!(
            text.ends_with("2 nodes looked at, 2 errors; 1 finding for information (--all shows them)\n")
        );
        let all = linted(2).text(true, None);
        assert!(all.contains(triggers::TRIGGER.reason) && all.contains("| all "), "{all}");
        assert!(all.contains("a\\u{1b}") && !all.contains('\u{1b}'));
    }

    #[test]
    fn many_findings_of_a_kind_are_counted() {
        let text = linted(25).text(false, None);
        assert_eq!(text.matches("public.t").count(), SHOWN);
        assert!(text.contains("Not shown (--all shows them): 15 of no-key"), "{text}");
        assert_eq!(linted(25).text(true, None).matches("public.t").count(), 25);
        assert_eq!(linted(1).exit(), Exit::Findings);
        assert_eq!(linted(0).exit(), Exit::Fine);
    }
}
