//! Every id that was handed out, recorded outside of the servers.

use std::collections::{BTreeMap, BTreeSet, HashSet};

/// A period in which a node handed out ids of a sequence and remembered them: it ends if the node is
/// restored from an older copy, or if its position is set by hand. From then on only rows tell
/// about these ids.
pub type Period = u32;

/// The period of ids that applications bring: only rows tell about them.
pub const APPLICATION: Period = 0;

/// Who handed out an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    pub node: usize,
    pub period: Period,
}

/// The ids of each sequence.
#[derive(Debug, Default)]
pub struct Ledger {
    ids: Vec<BTreeMap<i64, Owner>>,
    ended: HashSet<Period>,
    last_period: Period,
}

impl Ledger {
    pub fn new(sequences: usize) -> Self {
        Self { ids: vec![BTreeMap::new(); sequences], ended: HashSet::from([APPLICATION]), last_period: 0 }
    }

    pub fn begin_period(&mut self) -> Period {
        self.last_period += 1;
        self.last_period
    }

    pub fn end_period(&mut self, period: Period) {
        self.ended.insert(period);
    }

    /// Records an id, which stands for `block` ids from it in either direction. Returns an id that
    /// was handed out before and is one of these.
    pub fn hand_out(&mut self, sequence: usize, id: i64, block: i64, owner: Owner) -> Option<(i64, Owner)> {
        let ids = &mut self.ids[sequence];
        let near = id.saturating_sub(block - 1)..=id.saturating_add(block - 1);
        let before = ids.range(near).next().map(|(id, owner)| (*id, *owner));
        ids.insert(id, owner);
        before
    }

    pub fn knows(&self, sequence: usize, id: i64) -> bool {
        self.ids[sequence].contains_key(&id)
    }

    /// Whether a sequence has ids of which only rows tell.
    pub fn has_ended(&self, sequence: usize) -> bool {
        self.ids[sequence].values().any(|owner| self.ended.contains(&owner.period))
    }

    /// Forgets the ids of periods that have ended, except those that rows tell about.
    pub fn forget_ended(&mut self, sequence: usize, block: i64, rows: &BTreeSet<i64>) {
        let ended = &self.ended;
        self.ids[sequence].retain(|id, owner| {
            !ended.contains(&owner.period) || rows.range(*id..=id.saturating_add(block - 1)).next().is_some()
        });
    }

    /// Forgets everything about a sequence.
    pub fn forget(&mut self, sequence: usize) {
        self.ids[sequence].clear();
    }

    pub fn total(&self) -> usize {
        self.ids.iter().map(BTreeMap::len).sum()
    }
}
