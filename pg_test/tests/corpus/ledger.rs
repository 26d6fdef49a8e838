//! The rows that writers were told of, outside of the server: which there are, and which parent each
//! of them belongs to. Rows are known by their marks, because their keys change.

use std::collections::{BTreeMap, BTreeSet};

use postgres::Client;

use crate::cases::{Child, Family};
use crate::texts;

/// The rows of all writers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    /// By family: the marks of the parents.
    parents: BTreeMap<usize, BTreeSet<String>>,
    /// By family: the mark of a child, and that of its parent.
    children: BTreeMap<usize, BTreeMap<String, String>>,
}

impl Ledger {
    pub(crate) fn merge(&mut self, other: Self) {
        for (family, marks) in other.parents {
            self.parents.entry(family).or_default().extend(marks);
        }
        for (family, marks) in other.children {
            self.children.entry(family).or_default().extend(marks);
        }
    }

    pub(crate) fn rows(&self) -> usize {
        let parents: usize = self.parents.values().map(BTreeSet::len).sum();
        parents + self.children.values().map(BTreeMap::len).sum::<usize>()
    }

    pub(crate) fn add_parent(&mut self, family: usize, mark: &str) {
        self.parents.entry(family).or_default().insert(mark.to_owned());
    }

    /// Also if the child belonged to another parent before.
    pub(crate) fn add_child(&mut self, family: usize, mark: &str, parent: &str) {
        self.children.entry(family).or_default().insert(mark.to_owned(), parent.to_owned());
    }

    pub(crate) fn remove_child(&mut self, family: usize, mark: &str) {
        self.children.entry(family).or_default().remove(mark);
    }

    /// Removes a parent with its children.
    pub(crate) fn remove_parent(&mut self, family: usize, mark: &str) {
        self.parents.entry(family).or_default().remove(mark);
        self.children.entry(family).or_default().retain(|_, parent| parent != mark);
    }

    /// One of the parents, by a random number.
    pub(crate) fn parent(&self, family: usize, random: usize) -> Option<String> {
        let marks = self.parents.get(&family)?;
        marks.iter().nth(random.checked_rem(marks.len())?).cloned()
    }

    /// One of the children with its parent, by a random number.
    pub(crate) fn child(&self, family: usize, random: usize) -> Option<(String, String)> {
        let marks = self.children.get(&family)?;
        let (child, parent) = marks.iter().nth(random.checked_rem(marks.len())?)?;
        Some((child.clone(), parent.clone()))
    }

    pub(crate) fn has_parent(&self, family: usize, mark: &str) -> bool {
        self.parents.get(&family).is_some_and(|marks| marks.contains(mark))
    }

    pub(crate) fn parent_of(&self, family: usize, child: &str) -> Option<&str> {
        Some(self.children.get(&family)?.get(child)?)
    }

    /// What the server has of these families.
    pub(crate) fn of_server(client: &mut Client, families: &[Family]) -> Self {
        let mut ledger = Self::default();
        for (at, family) in families.iter().enumerate() {
            for mark in texts(client, &family.parents_query(at)) {
                assert!(ledger.parents.entry(at).or_default().insert(mark.clone()), "{mark} is there twice");
            }
            if let Some(child) = &family.child {
                let rows = client.query(&family.children_query(at, child), &[]).unwrap();
                for row in rows {
                    let (mark, parent): (String, Option<String>) = (row.get(0), row.get(1));
                    let parent = parent.unwrap_or_else(|| "none".to_owned());
                    let before = ledger.children.entry(at).or_default().insert(mark.clone(), parent);
                    assert_eq!(before, None, "{mark} is there twice");
                }
            }
        }
        // Families without rows are not there.
        ledger.parents.retain(|_, marks| !marks.is_empty());
        ledger.children.retain(|_, marks| !marks.is_empty());
        ledger
    }

    /// Without families that have no rows any more.
    pub(crate) fn without_empty(mut self) -> Self {
        self.parents.retain(|_, marks| !marks.is_empty());
        self.children.retain(|_, marks| !marks.is_empty());
        self
    }
}

/// The mark of a row. Numbers of writers have ten digits, so that no other row has such a mark.
pub(crate) fn mark(family: usize, kind: char, number: u32) -> String {
    format!("f{family}{kind}-{number}")
}

impl Family {
    /// The marks of the parents.
    fn parents_query(&self, at: usize) -> String {
        let pattern = pattern(at, 'p');
        format!(
            "SELECT {}::text FROM {} AS p WHERE {0}::text LIKE '{pattern}'",
            self.mark_of(at),
            self.parent
        )
    }

    /// The marks of the children, and those of their parents: NULL if there is none.
    fn children_query(&self, at: usize, child: &Child) -> String {
        let pattern = pattern(at, 'c');
        format!(
            "SELECT {}::text, {}::text FROM {} AS c LEFT JOIN {} AS p ON p.{} = c.{} WHERE {0}::text LIKE '{pattern}'",
            child.mark_of(at),
            self.mark_of(at),
            child.table,
            self.parent,
            self.key,
            child.reference
        )
    }

    /// The expression for the mark of a parent.
    pub(crate) fn mark_of(&self, at: usize) -> String {
        format!("({})", self.mark.replace("{f}", &at.to_string()))
    }
}

impl Child {
    /// The expression for the mark of a child.
    pub(crate) fn mark_of(&self, at: usize) -> String {
        format!("({})", self.mark.replace("{f}", &at.to_string()))
    }
}

fn pattern(family: usize, kind: char) -> String {
    format!("f{family}{kind}-1_________")
}
