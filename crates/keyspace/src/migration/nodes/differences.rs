//! How the rows of a table differ on two nodes.
//!
//! Rows change while they are compared, so a difference of digests proves nothing. The rows of a part
//! that differs are compared one by one: if a row is on both nodes, its keys must be the same, because
//! a row keeps its key. A row that is on one node only may be on its way, and brings its key along.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::digests::{Row, TableDigests};

/// A difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The part.
    pub part: u32,
    /// The old id or primary key of the row; `None` if only digests have been compared.
    pub id: Option<String>,
    /// What differs.
    pub kind: Kind,
}

/// What differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The keys of a row or, if only digests have been compared, the keys or the set of rows.
    Keys,
    /// Other columns.
    Rows,
    /// This node has a row that the other one does not have.
    OnlyHere,
    /// The other node has a row that this one does not have.
    OnlyThere,
}

impl Kind {
    /// Its name in SQL.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Keys => "keys differ",
            Self::Rows => "rows differ",
            Self::OnlyHere => "only here",
            Self::OnlyThere => "only there",
        }
    }
}

/// The parts of tables whose keys may differ, by the schema and the name of each table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unequal(Vec<(String, String, Vec<u32>)>);

impl Unequal {
    /// Whether no key differs.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds the parts of a table whose digests of keys differ.
    pub fn add(&mut self, table: &TableDigests, found: &[Difference]) {
        let differs = found.iter().filter(|one| one.kind == Kind::Keys);
        let parts: Vec<u32> = differs.map(|one| one.part).collect();
        if !parts.is_empty() {
            self.0.push((table.schema.clone(), table.name.clone(), parts));
        }
    }

    /// Removes the parts of a table whose rows have been compared, unless the key of one differs.
    pub fn compared(&mut self, table: &TableDigests, found: &[Difference]) {
        let differs = |part: &u32| found.iter().any(|one| one.part == *part && one.kind == Kind::Keys);
        for (schema, name, left) in &mut self.0 {
            if (&*schema, &*name) == (&table.schema, &table.name) {
                left.retain(|part| !table.rows.contains_key(part) || differs(part));
            }
        }
        self.0.retain(|(_, _, left)| !left.is_empty());
    }

    /// As it is stored.
    pub fn to_json(&self) -> String {
        // There are only numbers and strings, so this cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads what is stored; `None` if another version of the library has stored it.
    pub fn from_json(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }
}

/// The parts whose digests differ.
pub fn of_parts(here: &TableDigests, there: &TableDigests) -> Vec<Difference> {
    let mut parts: Vec<u32> = here.parts.keys().chain(there.parts.keys()).copied().collect();
    parts.sort_unstable();
    parts.dedup();
    let difference = |part: u32| {
        let of = |table: &TableDigests| table.parts.get(&part).copied().unwrap_or_default();
        let (here, there) = (of(here), of(there));
        let kind = if (here.rows, here.keys) != (there.rows, there.keys) {
            Kind::Keys
        } else if here.whole != there.whole {
            Kind::Rows
        } else {
            return None;
        };
        Some(Difference { part, id: None, kind })
    };
    parts.into_iter().filter_map(difference).collect()
}

/// The rows that differ, in the parts that are listed on both nodes.
pub fn of_rows(here: &TableDigests, there: &TableDigests) -> Vec<Difference> {
    let mut found = Vec::new();
    for (part, there) in &there.rows {
        let Some(here) = here.rows.get(part) else { continue };
        let by_id = |rows: &[Row]| {
            let mut by_id: BTreeMap<String, Vec<Row>> = BTreeMap::new();
            for row in rows {
                by_id.entry(row.id.clone()).or_default().push(row.clone());
            }
            // Rows of a table without a primary key can be equal.
            by_id.values_mut().for_each(|rows| rows.sort());
            by_id
        };
        let (here, mut there) = (by_id(here), by_id(there));
        let mut add = |id: &str, kind| found.push(Difference { part: *part, id: Some(id.to_owned()), kind });
        for (id, rows) in &here {
            let keys = |rows: &[Row]| rows.iter().map(|row| row.key.clone()).collect::<Vec<_>>();
            match there.remove(id) {
                None => add(id, Kind::OnlyHere),
                Some(others) if keys(rows) != keys(&others) => add(id, Kind::Keys),
                Some(others) if *rows != others => add(id, Kind::Rows),
                Some(_) => {}
            }
        }
        there.keys().for_each(|id| add(id, Kind::OnlyThere));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, key: &str, all: &str) -> Row {
        Row::new(id.to_owned(), Some(key.to_owned()), all)
    }

    fn table(rows: &[Row], parts: &[u32]) -> TableDigests {
        let mut table = TableDigests::new("s", "t");
        table.list(parts);
        for row in rows {
            table.add(row);
            table.add_row(row.clone());
        }
        table
    }

    fn kinds(found: &[Difference]) -> Vec<(Option<&str>, Kind)> {
        found.iter().map(|one| (one.id.as_deref(), one.kind)).collect()
    }

    #[test]
    fn equal_rows_do_not_differ() {
        let rows = [row("1", "a", "x"), row("2", "b", "y")];
        let parts: Vec<u32> = rows.iter().map(Row::part).collect();
        let one = table(&rows, &parts);
        assert!(of_parts(&one, &one).is_empty() && of_rows(&one, &one).is_empty());
    }

    #[test]
    fn what_differs_is_told_by_part_and_by_row() {
        let here = [row("1", "a", "x"), row("2", "b", "y"), row("3", "c", "z"), row("4", "d", "w")];
        let there = [row("1", "a", "x"), row("2", "B", "y"), row("3", "c", "Z"), row("5", "e", "v")];
        let parts: Vec<u32> = here.iter().chain(&there).map(Row::part).collect();
        let (here, there) = (table(&here, &parts), table(&there, &parts));
        let mut found = of_rows(&here, &there);
        found.sort_by(|one, other| one.id.cmp(&other.id));
        let expected = [
            (Some("2"), Kind::Keys),
            (Some("3"), Kind::Rows),
            (Some("4"), Kind::OnlyHere),
            (Some("5"), Kind::OnlyThere),
        ];
        assert_eq!(kinds(&found), expected);
        let mut found: Vec<(u32, Kind)> =
            of_parts(&here, &there).iter().map(|one| (one.part, one.kind)).collect();
        found.sort_by_key(|one| one.0);
        let mut expected: Vec<(u32, Kind)> =
            [("2", Kind::Keys), ("3", Kind::Rows), ("4", Kind::Keys), ("5", Kind::Keys)]
                .map(|(id, kind)| (row(id, "", "").part(), kind))
                .into();
        expected.sort_by_key(|one| one.0);
        assert_eq!(found, expected);
    }

    #[test]
    fn a_part_stays_unequal_until_its_rows_have_been_compared() {
        let (one, other) = (row("1", "a", "x"), row("2", "b", "y"));
        let parts = [one.part(), other.part()];
        let here = table(&[one.clone(), other.clone()], &parts);
        let there = table(&[row("1", "A", "x")], &parts);
        let mut unequal = Unequal::default();
        unequal.add(&there, &of_parts(&here, &there));
        let stored = Unequal::from_json(&unequal.to_json());
        assert_eq!(stored, Some(unequal.clone()));
        unequal.compared(&there, &of_rows(&here, &there));
        // The row that only one has may be on its way. The other one has another key.
        assert_eq!(unequal, Unequal(vec![("s".to_owned(), "t".to_owned(), vec![one.part()])]));
        let corrected = table(&[one], &parts[..1]);
        unequal.compared(&corrected, &of_rows(&here, &corrected));
        assert!(unequal.is_empty());
        assert_eq!(Unequal::from_json("{}"), None);
    }

    #[test]
    fn a_part_that_one_node_does_not_list_is_not_compared() {
        let one = row("1", "a", "x");
        let (here, there) = (table(&[], &[]), table(std::slice::from_ref(&one), &[one.part()]));
        assert!(of_rows(&here, &there).is_empty());
        assert_eq!(kinds(&of_rows(&there, &table(&[], &[one.part()]))), [(Some("1"), Kind::OnlyHere)]);
    }
}
