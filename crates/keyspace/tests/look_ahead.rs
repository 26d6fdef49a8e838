//! References that are looked up ahead (docs/protocols.md): every order of up to four events before,
//! between and after the look-up and the write.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use keyspace::migration::known_keys::KnownKeys;

type Key = [u8; 16];

/// A row that has an old id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Root {
    time: u8,
    key: Option<Key>,
}

/// The rows of two old ids, and a row that refers to one of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct World {
    roots: [Option<Root>; 2],
    old_id: Option<usize>,
    key: Option<Key>,
    /// Each change of the referring row writes another version of it.
    version: u32,
}

/// What others do.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// The backfill of the root.
    Fill(usize),
    /// The time of a row is changed, by a session with our triggers and by one without.
    Time(usize),
    TimeWithout(usize),
    Delete(usize),
    /// A row is deleted and inserted again, with another time.
    Replace(usize),
    /// The referring row is changed by a session with our triggers.
    Touch,
    /// The referring row gets another old id, or none, with our triggers and without.
    Refer(Option<usize>),
    ReferWithout(Option<usize>),
}

const EVENTS: [Event; 16] = [
    Event::Fill(0),
    Event::Fill(1),
    Event::Time(0),
    Event::Time(1),
    Event::TimeWithout(0),
    Event::Delete(0),
    Event::Delete(1),
    Event::Replace(0),
    Event::Replace(1),
    Event::Touch,
    Event::Refer(Some(0)),
    Event::Refer(Some(1)),
    Event::Refer(None),
    Event::ReferWithout(Some(0)),
    Event::ReferWithout(Some(1)),
    Event::ReferWithout(None),
];

fn derived(old_id: usize, time: u8) -> Key {
    let mut key = [time; 16];
    key[0] = u8::try_from(old_id).unwrap_or(u8::MAX);
    key
}

impl World {
    const START: Self = Self {
        roots: [Some(Root { time: 1, key: None }), Some(Root { time: 1, key: None })],
        old_id: Some(0),
        key: None,
        version: 1,
    };

    fn look_up(&self, old_id: usize) -> Option<Key> {
        self.roots[old_id].map(|root| root.key.unwrap_or_else(|| derived(old_id, root.time)))
    }

    /// What the trigger gives a row that it looks up.
    fn follow(&mut self) {
        self.key = self.old_id.and_then(|old_id| self.look_up(old_id));
    }

    /// The next time that no row has had yet.
    fn later(&self) -> u8 {
        self.roots.iter().flatten().map(|root| root.time).max().unwrap_or(1) + 1
    }

    fn after(mut self, event: Event) -> Self {
        let later = self.later();
        if let Event::Touch | Event::Refer(_) | Event::ReferWithout(_) = event {
            self.version += 1;
        }
        match event {
            Event::Fill(id) => {
                let key = self.look_up(id);
                if let Some(root) = &mut self.roots[id] {
                    root.key = key;
                }
            }
            Event::Time(id) => {
                // The key that the row would have had before the change.
                let key = self.look_up(id);
                if let Some(root) = &mut self.roots[id] {
                    (root.key, root.time) = (key, later);
                }
            }
            Event::TimeWithout(id) => {
                if let Some(root) = &mut self.roots[id] {
                    root.time = later;
                }
            }
            Event::Delete(id) => self.roots[id] = None,
            Event::Replace(id) => {
                self.roots[id] = Some(Root { time: later, key: Some(derived(id, later)) });
            }
            Event::Touch if self.key.is_none() => self.follow(),
            Event::Touch => {}
            Event::Refer(old_id) if old_id == self.old_id && self.key.is_some() => {}
            Event::Refer(old_id) => {
                self.old_id = old_id;
                self.follow();
            }
            Event::ReferWithout(old_id) => self.old_id = old_id,
        }
        self
    }

    /// A batch fills the row with the key that it knows, or looks it up.
    fn written(mut self, known: Option<Key>) -> Self {
        if let (None, Some(old_id)) = (self.key, self.old_id) {
            self.key = known.or_else(|| self.look_up(old_id));
        }
        self
    }
}

/// The keys that are known after a look-up in this world. The row is on page 3.
fn looked_up(world: &World) -> KnownKeys {
    let mut known = KnownKeys::default();
    known.begin(3, 10).expect("memory");
    known.add_page();
    if let (None, Some(old_id)) = (world.key, world.old_id) {
        known.add(1, world.version, old_id as i64);
    }
    while let Some(old_id) = known.next_old_id() {
        known.found(world.look_up(usize::try_from(old_id).unwrap_or_default()));
    }
    known.end();
    known
}

/// Calls `visit` with every sequence of events of this length, and the worlds before and after each.
fn sequences(
    length: usize,
    events: &mut Vec<Event>,
    worlds: &mut Vec<World>,
    visit: &mut dyn FnMut(&[Event], &[World]),
) {
    visit(events, worlds);
    let Some(last) = worlds.last().copied() else { return };
    if length == 0 {
        return;
    }
    for event in EVENTS {
        events.push(event);
        worlds.push(last.after(event));
        sequences(length - 1, events, worlds, visit);
        worlds.pop();
        events.pop();
    }
}

/// The number of cases in which a row that was filled by what was looked up ends up otherwise than one
/// filled in one step, at the look-up or at the write. `known` is given the keys, the world of the look-up
/// and that of the write.
fn differences(length: usize, known: impl Fn(&KnownKeys, &World, &World) -> Option<Key>) -> usize {
    let mut differences = 0;
    sequences(length, &mut Vec::new(), &mut vec![World::START], &mut |events, worlds| {
        let end =
            |from: usize, world: World| events[from..].iter().fold(world, |world, event| world.after(*event));
        for (at, before) in worlds.iter().enumerate() {
            let keys = looked_up(before);
            let at_once = end(at, before.written(None));
            for (later, now) in worlds.iter().enumerate().skip(at) {
                let then = end(later, now.written(known(&keys, before, now)));
                if then != at_once && then != end(later, now.written(None)) {
                    differences += 1;
                }
            }
        }
    });
    differences
}

fn known(keys: &KnownKeys, version: u32, old_id: Option<usize>) -> Option<Key> {
    keys.key(3, 1, version, old_id? as i64)
}

#[test]
fn a_row_filled_by_a_window_is_as_if_it_had_been_filled_when_its_key_was_looked_up() {
    assert_eq!(differences(4, |keys, _, now| known(keys, now.version, now.old_id)), 0);
}

#[test]
fn if_another_version_with_the_same_old_id_counted_it_would_not_be() {
    assert!(differences(3, |keys, before, now| known(keys, before.version, now.old_id)) > 0);
}

#[test]
fn if_another_old_id_counted_it_would_not_be() {
    assert!(differences(2, |keys, before, _| known(keys, before.version, before.old_id)) > 0);
}
