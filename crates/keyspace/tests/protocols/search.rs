//! The search: visits every reachable world once, and finds the way to a fault.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::action::{Action, parse};
use super::fingerprint::Fingerprint;
use super::is_large;
use super::moves::Fault;
use super::scenario::Scenario;
use super::world::Handed;

/// A scenario with more worlds than this is not small.
fn most_worlds() -> usize {
    if is_large() { 20_000_000 } else { 400_000 }
}

/// The result of a search.
#[derive(Debug)]
pub struct Found {
    /// How many worlds were visited.
    pub worlds: usize,
    /// The number of actions in the longest of the shortest ways to them.
    pub depth: usize,
    pub time: Duration,
    /// Worlds in which a check found something, and the search ended.
    pub reported: usize,
    /// Worlds in which no event is possible any more.
    pub ends: usize,
    /// The values handed out in every possible outcome, whether one was handed out twice, and
    /// whether a check found anything.
    pub outcomes: HashSet<(Vec<Handed>, bool, bool)>,
    /// The first fault, with the shortest way to it.
    pub fault: Option<(Fault, Vec<Action>)>,
}

/// Visits every reachable world, breadth first, until a fault is found.
pub fn search(scenario: &Scenario) -> Found {
    let (started, most) = (Instant::now(), most_worlds());
    let mut found = Found {
        worlds: 1,
        depth: 0,
        time: Duration::ZERO,
        reported: 0,
        ends: 0,
        outcomes: HashSet::new(),
        fault: None,
    };
    let mut first = scenario.world.clone();
    scenario.normalise(&mut first);
    let mut seen = HashSet::from([Fingerprint::of(&first)]);
    // For each world visited: the world before it, and the action in between.
    let mut ways: Vec<(u32, Action)> = vec![(0, Action::Step { node: 0 })];
    let mut frontier = vec![(0_u32, first)];
    'search: while !frontier.is_empty() {
        let mut next = Vec::new();
        for (at, world) in frontier {
            let mut goes_on = false;
            for action in scenario.possible(&world) {
                match scenario.after(&world, action, None) {
                    Ok(None) => {}
                    Ok(Some(after)) => {
                        goes_on = true;
                        if seen.insert(Fingerprint::of(&after)) {
                            found.reported += usize::from(after.reported);
                            ways.push((at, action));
                            next.push((u32::try_from(ways.len() - 1).unwrap(), after));
                        }
                    }
                    Err(fault) => {
                        found.fault = Some((fault, way(&ways, at, action)));
                        break 'search;
                    }
                }
            }
            found.ends += usize::from(!goes_on);
            if scenario.keeps_outcomes {
                found.outcomes.insert((world.handed.clone(), world.duplicate, world.reported));
            }
        }
        found.depth += usize::from(!next.is_empty());
        assert!(ways.len() < most, "more than {most} worlds at depth {}", found.depth);
        frontier = next;
    }
    found.worlds = ways.len();
    found.time = started.elapsed();
    found
}

fn way(ways: &[(u32, Action)], mut at: u32, last: Action) -> Vec<Action> {
    let mut actions = vec![last];
    while at != 0 {
        let (from, action) = ways[at as usize];
        actions.push(action);
        at = from;
    }
    actions.reverse();
    actions
}

/// Replays a trace. Returns the fault at its end, if any, and the trace with notes.
///
/// # Errors
/// If the text is not a trace of this scenario.
pub fn replay(scenario: &Scenario, trace: &str) -> Result<(Option<Fault>, String), String> {
    let mut world = scenario.world.clone();
    scenario.normalise(&mut world);
    let mut listing = String::new();
    for action in parse(trace)? {
        if !scenario.possible(&world).contains(&action) {
            return Err(format!("{listing}{action} cannot happen here"));
        }
        let mut note = String::new();
        let after = scenario.after(&world, action, Some(&mut note));
        let note = note.trim_start_matches("; ");
        let remark = if note.is_empty() { String::new() } else { format!("  # {note}") };
        listing.push_str(&format!("{action}{remark}\n"));
        match after {
            Ok(Some(after)) => world = after,
            Ok(None) => return Err(format!("{listing}raises an error")),
            Err(fault) => {
                listing.push_str(&format!("# {}\n", fault.0));
                return Ok((Some(fault), listing));
            }
        }
    }
    Ok((None, listing))
}

/// Asserts that the protocol has no fault.
#[track_caller]
pub fn holds(name: &str, scenario: &Scenario) -> Found {
    let found = search(scenario);
    if let Some((_, way)) = &found.fault {
        let (_, listing) = replay(scenario, &text(way)).unwrap();
        panic!("{name}:\n{listing}");
    }
    println!("{}", line(name, &found));
    found
}

/// Asserts that the protocol, with a step left out or changed, has a fault, and that its trace
/// leads to it again.
#[track_caller]
pub fn fails(name: &str, scenario: &Scenario) -> String {
    let found = search(scenario);
    let Some((fault, way)) = &found.fault else { panic!("{name}: no fault in {} worlds", found.worlds) };
    let (again, listing) = replay(scenario, &text(way)).unwrap();
    assert_eq!(again.as_ref(), Some(fault), "{name}:\n{listing}");
    println!("{}\n{listing}", line(name, &found));
    listing
}

fn text(way: &[Action]) -> String {
    way.iter().map(|action| format!("{action}\n")).collect()
}

fn line(name: &str, found: &Found) -> String {
    format!(
        "{name}: {} worlds, depth {}, {} reported, {} ends, {} ms{}",
        found.worlds,
        found.depth,
        found.reported,
        found.ends,
        found.time.as_millis(),
        if found.fault.is_some() { ", fault" } else { "" }
    )
}
