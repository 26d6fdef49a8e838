//! The search: visits every reachable world once, and finds the way to a fault.

use std::collections::HashSet;
use std::time::Instant;

use super::event::Event;
use super::fingerprint::Fingerprint;
use super::is_large;
use super::moves::Fault;
use super::scenario::Scenario;

/// A scenario with more worlds than this is not small.
fn most_worlds() -> usize {
    if is_large() { 20_000_000 } else { 1_000_000 }
}

struct Found {
    worlds: usize,
    depth: usize,
    /// Worlds in which no event is possible any more.
    ends: usize,
    fault: Option<(Fault, Vec<Event>)>,
}

/// Visits every reachable world, breadth first, until a fault is found. That nobody can go on before
/// everything is done is a fault, too.
fn search(scenario: &Scenario) -> Found {
    let first = scenario.world.clone();
    let mut seen = HashSet::from([Fingerprint::of(&first)]);
    // For each world visited: the world before it, and the event in between.
    let mut ways: Vec<(u32, Event)> = vec![(0, Event::Tick)];
    let mut frontier = vec![(0_u32, first)];
    let mut found = Found { worlds: 0, depth: 0, ends: 0, fault: None };
    'search: while !frontier.is_empty() {
        let mut next = Vec::new();
        for (at, world) in frontier {
            let events = scenario.possible(&world);
            if events.is_empty() {
                found.ends += 1;
                if !scenario.is_finished(&world) {
                    let fault = Fault(format!("nobody can go on: {world:#?}"));
                    found.fault = Some((fault, way(&ways, at, None)));
                    break 'search;
                }
            }
            for event in events {
                match scenario.after(&world, event) {
                    Ok(after) => {
                        if seen.insert(Fingerprint::of(&after)) {
                            ways.push((at, event));
                            next.push((u32::try_from(ways.len() - 1).unwrap(), after));
                        }
                    }
                    Err(fault) => {
                        found.fault = Some((fault, way(&ways, at, Some(event))));
                        break 'search;
                    }
                }
            }
        }
        found.depth += usize::from(!next.is_empty());
        assert!(ways.len() < most_worlds(), "more than {} worlds at depth {}", ways.len(), found.depth);
        frontier = next;
    }
    found.worlds = ways.len();
    found
}

fn way(ways: &[(u32, Event)], mut at: u32, last: Option<Event>) -> Vec<Event> {
    let mut events: Vec<Event> = last.into_iter().collect();
    while at != 0 {
        let (from, event) = ways[at as usize];
        events.push(event);
        at = from;
    }
    events.reverse();
    events
}

fn listing(fault: &Fault, way: &[Event]) -> String {
    let events: String = way.iter().map(|event| format!("{event}\n")).collect();
    format!("{events}# {}\n", fault.0)
}

/// Asserts that nothing is lost.
#[track_caller]
pub fn holds(name: &str, scenario: &Scenario) {
    let started = Instant::now();
    let found = search(scenario);
    if let Some((fault, way)) = &found.fault {
        panic!("{name}, {} worlds:\n{}", found.worlds, listing(fault, way));
    }
    assert!(found.ends > 0, "{name} has no end");
    println!(
        "{name}: {} worlds, depth {}, {} ends, {} ms",
        found.worlds,
        found.depth,
        found.ends,
        started.elapsed().as_millis()
    );
}

/// Asserts that something is lost, in this way.
#[track_caller]
pub fn fails(name: &str, scenario: &Scenario, how: &str) {
    let found = search(scenario);
    let Some((fault, way)) = &found.fault else { panic!("{name}: no fault in {} worlds", found.worlds) };
    let listing = listing(fault, way);
    assert!(fault.0.contains(how), "{name}: not \"{how}\":\n{listing}");
    println!("{name}: {} worlds, depth {}\n{listing}", found.worlds, found.depth);
}
