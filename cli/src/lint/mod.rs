//! `pg_keyspace lint`: what bites before the first sync.
//!
//! It reads the catalogs alone, by SQL that an ordinary role can run and that needs no extension.
//! No function of a user runs, no table of a user is read, and nothing is changed.

mod arguments;
mod clocks;
mod compare;
mod defaults;
mod finding;
mod integers;
mod keys;
mod not_checked;
mod query;
mod replication;
mod report;
mod schemas;
mod sequences;
mod settings;
mod storage;
mod tables;
mod triggers;
mod unique;
mod versions;

pub use self::arguments::LintArguments;

use self::finding::{Check, Finding};
use self::not_checked::not_checked;
use self::query::Query;
use self::report::Linted;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::nodes::Fleet;
use crate::output::Output;
use crate::session::{Session, at_once};
use crate::sessions::{self, all};

/// All checks, in the order in which the guide describes them.
const CHECKS: [&Check; 34] = [
    &keys::NO_KEY,
    &keys::FULL_IDENTITY,
    &keys::DEFERRABLE,
    &unique::FURTHER_UNIQUE,
    &unique::NATURAL_KEY,
    &unique::EXCLUSION,
    &integers::INTEGER_KEY,
    &integers::NARROW_REFERENCE,
    &sequences::REPLICATED,
    &sequences::MOVER,
    &sequences::CYCLING,
    &sequences::UNLOGGED,
    &sequences::INCREMENT,
    &triggers::TRIGGER,
    &triggers::RULE,
    &triggers::EVENT_TRIGGER,
    &defaults::DEFAULT,
    &defaults::FIXED_NODE,
    &storage::UNLOGGED,
    &storage::LARGE_OBJECTS,
    &storage::FOREIGN_TABLE,
    &replication::DDL,
    &replication::LOOP,
    &settings::SETTING,
    &clocks::CLOCKS,
    &schemas::TABLE,
    &schemas::COLUMN,
    &schemas::TYPE,
    &schemas::CONSTRAINT,
    &schemas::DEFINITION,
    &versions::EXTENSION,
    &versions::DATABASE,
    &versions::SERVER,
    &not_checked::NOT_CHECKED,
];

/// Checks that are one query each.
fn queries() -> impl Iterator<Item = &'static Query> {
    let all: [&'static [Query]; 7] = [
        &keys::QUERIES,
        &unique::QUERIES,
        &integers::QUERIES,
        &sequences::QUERIES,
        &triggers::QUERIES,
        &defaults::QUERIES,
        &storage::QUERIES,
    ];
    all.into_iter().flatten()
}

/// Nothing is written, even by mistake. A lock that somebody holds is not waited for: `pg_get_expr`
/// locks the table from PostgreSQL 18 on.
const CAREFUL: &str = "
    SET default_transaction_read_only TO on; SET lock_timeout TO '5s'; SET statement_timeout TO '5min';
    SET jit TO off; SET row_security TO off";

/// What a node is asked.
#[derive(Clone, Copy)]
struct Request<'a> {
    nodes: usize,
    classes: i32,
    observe: Option<u64>,
    ignored: &'a [String],
}

/// What is compared between nodes.
struct Compared {
    node: String,
    clock: Option<clocks::Offset>,
    items: Option<Vec<schemas::Item>>,
    properties: Option<Vec<versions::Property>>,
}

/// Looks at all nodes.
///
/// # Errors
/// If a node cannot be reached, two nodes are one server, or a check to be left out does not exist.
pub fn run(fleet: &Fleet, output: Output, arguments: &LintArguments) -> Result<Exit> {
    for name in &arguments.ignore {
        if !CHECKS.iter().any(|check| check.name == name) {
            let names: Vec<&str> = CHECKS.iter().map(|check| check.name).collect();
            return Err(Failure::new(format!("there is no check \"{name}\""))
                .detail(format!("The checks are: {}.", names.join(", "))));
        }
    }
    if arguments.ignore.iter().any(|name| name == integers::INTEGER_KEY.name) {
        let unused = [("--classes", arguments.classes.is_some()), ("--observe", arguments.observe.is_some())];
        if let Some((argument, _)) = unused.iter().find(|(_, is_given)| *is_given) {
            return Err(Failure::new(format!(
                "{argument} cannot be used with --ignore {}",
                integers::INTEGER_KEY.name
            ))
            .detail("It is for this check only."));
        }
    }
    let mut sessions = sessions::open(fleet)?;
    let of_nodes = sessions.iter().filter_map(|session| Some(session.facts.class?.nodes())).max();
    let by_number = i32::try_from(sessions.len()).unwrap_or(i32::MAX).max(2);
    let classes = arguments.classes.or(of_nodes).unwrap_or(by_number);
    let request =
        Request { nodes: sessions.len(), classes, observe: arguments.observe, ignored: &arguments.ignore };
    let results =
        all(at_once(sessions.iter_mut().collect(), |session: &mut Session| look(session, request)))?;
    let mut findings = Vec::new();
    let mut compared = Vec::new();
    for (of_node, to_compare) in results {
        findings.extend(of_node);
        compared.push(to_compare);
    }
    findings.extend(compare(&compared));
    findings.retain(|finding| !arguments.ignore.iter().any(|name| name == finding.check));
    findings.sort_by_key(|finding| finding.severity);
    let nodes = sessions.iter().map(|session| session.name().to_owned()).collect();
    let linted = Linted { nodes, classes, findings };
    output.result(&linted, |width| linted.text(arguments.all, width))?;
    Ok(linted.exit())
}

/// Looks at one node. A check that fails there is a finding, and the others go on.
fn look(session: &mut Session, request: Request<'_>) -> Result<(Vec<Finding>, Compared)> {
    type Find<'a> = Box<dyn FnOnce(&mut Session) -> Result<Vec<Finding>> + 'a>;
    session.batch_execute(CAREFUL)?;
    let of_queries = queries()
        .map(|query| -> (&Check, Find<'_>) { (query.check, Box::new(|session| query.find(session))) });
    let others: [(&Check, Find<'_>); 4] = [
        (&sequences::REPLICATED, Box::new(sequences::replicated)),
        (&replication::DDL, Box::new(replication::find)),
        (&settings::SETTING, Box::new(|session| settings::find(session, request.nodes))),
        (
            &integers::INTEGER_KEY,
            Box::new(|session| integers::find(session, request.classes, request.observe)),
        ),
    ];
    let mut findings = Vec::new();
    let mut missed = Vec::new();
    for (check, find) in of_queries.chain(others) {
        if !request.ignored.iter().any(|name| name == check.name) {
            findings.extend(attempt(session, check, &mut missed, find)?.unwrap_or_default());
        }
    }
    // A sequence of a class steps by the number of classes.
    if let Some(class) = session.facts.class {
        let detail = format!("increment {}", class.nodes());
        findings.retain(|finding| finding.check != sequences::INCREMENT.name || finding.detail != detail);
    }
    let compared = Compared {
        node: session.name().to_owned(),
        clock: attempt(session, &clocks::CLOCKS, &mut missed, clocks::read)?,
        items: attempt(session, &schemas::TABLE, &mut missed, schemas::read)?,
        properties: attempt(session, &versions::EXTENSION, &mut missed, versions::read)?,
    };
    findings.extend(missed);
    Ok((findings, compared))
}

/// A result, or a finding that there is none. An interrupt and a lost connection end everything.
fn attempt<T>(
    session: &mut Session,
    check: &Check,
    missed: &mut Vec<Finding>,
    work: impl FnOnce(&mut Session) -> Result<T>,
) -> Result<Option<T>> {
    match work(session) {
        Ok(value) => Ok(Some(value)),
        Err(failure) => {
            if failure.is_interrupt || session.query_one("SELECT 1", &[]).is_err() {
                return Err(failure);
            }
            missed.push(not_checked(session.name(), check.name, failure.message));
            Ok(None)
        }
    }
}

/// The nodes against each other.
fn compare(nodes: &[Compared]) -> Vec<Finding> {
    fn of<T: Clone>(nodes: &[Compared], get: impl Fn(&Compared) -> Option<&T>) -> Vec<(&str, T)> {
        nodes.iter().filter_map(|node| Some((node.node.as_str(), get(node)?.clone()))).collect()
    }
    let mut found = clocks::compare(&of(nodes, |node| node.clock.as_ref()));
    found.extend(schemas::compare(&of(nodes, |node| node.items.as_ref())));
    found.extend(versions::compare(&of(nodes, |node| node.properties.as_ref())));
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_guide_describes_every_check() {
        let guide = include_str!("../../../docs/guides/fleet.md");
        for check in CHECKS {
            assert!(guide.contains(&format!("`{}`", check.name)), "{}", check.name);
        }
    }

    #[test]
    fn checks_have_names_of_their_own_and_say_why_and_what_to_do() {
        let mut names: Vec<&str> = CHECKS.iter().map(|check| check.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CHECKS.len());
        for check in CHECKS {
            assert!(check.name.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{}", check.name);
            for text in [check.reason, check.hint] {
                assert!(text.ends_with('.') && !text.contains("  "), "{}: {text}", check.name);
            }
        }
        for query in queries() {
            assert!(CHECKS.iter().any(|check| check.name == query.check.name));
        }
    }
}
