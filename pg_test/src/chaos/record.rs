//! A writer's record of the replies of its server, kept outside of the servers.

use super::schema::TABLES;

/// Whether a row is expected to exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// It was acknowledged.
    Present,
    /// The connection broke at the commit.
    Possible,
    /// It was rejected, rolled back or deleted.
    Absent,
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its key, if the server returned it; numbers are stored in two's complement.
    pub key: Option<u128>,
    /// Its version. If the connection broke at the commit of a change, the next version is
    /// possible, too.
    pub version: i32,
    /// Whether the next version is possible.
    pub may_be_newer: bool,
    /// Whether it is expected to exist.
    pub expected: Expected,
    /// Whether its key was ever acknowledged.
    pub is_key_committed: bool,
}

/// A change of rows of one table.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    /// New rows.
    Insert {
        /// The table.
        table: usize,
        /// The number of rows.
        count: usize,
    },
    /// A new version of a row.
    Update {
        /// The table.
        table: usize,
        /// The row.
        no: usize,
    },
    /// A deleted row.
    Delete {
        /// The table.
        table: usize,
        /// The row.
        no: usize,
    },
}

/// The outcome of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server reported the commit.
    Acknowledged,
    /// The server rejected it, or did not receive COMMIT.
    RolledBack,
    /// The connection broke at the commit.
    Unknown,
}

/// The rows of one transaction of unknown outcome: table, first row and count of each INSERT.
pub type UncertainInserts = Vec<(usize, usize, usize)>;

/// All rows of one writer, by table and in the order of their numbers.
#[derive(Clone, Debug, Default)]
pub struct Record {
    tables: Vec<Vec<Row>>,
    /// Rows that must exist together or not at all.
    pub uncertain: Vec<UncertainInserts>,
    /// Acknowledged rows, changes and deletions.
    pub acknowledged: [u64; 3],
    /// The number of transactions of each outcome.
    pub outcomes: [u64; 3],
}

impl Record {
    /// An empty record.
    pub fn new() -> Self {
        Self { tables: vec![Vec::new(); TABLES.len()], ..Self::default() }
    }

    /// The rows of a table.
    pub fn rows(&self, table: usize) -> &[Row] {
        self.tables.get(table).map_or(&[], Vec::as_slice)
    }

    /// A row, for changes.
    pub fn row_mut(&mut self, table: usize, no: usize) -> Option<&mut Row> {
        self.tables.get_mut(table)?.get_mut(no)
    }

    /// A row, if its state is known.
    pub fn known(&self, table: usize, no: usize) -> Option<&Row> {
        self.rows(table)
            .get(no)
            .filter(|row| row.expected == Expected::Present && !row.may_be_newer && row.key.is_some())
    }

    /// Adds a transaction. `keys` has the keys that each INSERT
    /// returned, up to the failure.
    pub fn add(&mut self, changes: &[Change], keys: &[Vec<u128>], outcome: Outcome) {
        self.outcomes[outcome as usize] += 1;
        let mut uncertain = UncertainInserts::new();
        for (at, change) in changes.iter().enumerate() {
            let (Change::Insert { table, .. } | Change::Update { table, .. } | Change::Delete { table, .. }) =
                *change;
            let Some(rows) = self.tables.get_mut(table) else { continue };
            match *change {
                Change::Insert { count, .. } => {
                    let expected = match outcome {
                        Outcome::Acknowledged => Expected::Present,
                        Outcome::RolledBack => Expected::Absent,
                        Outcome::Unknown => Expected::Possible,
                    };
                    uncertain.push((table, rows.len(), count));
                    let keys = keys.get(at);
                    rows.extend((0..count).map(|row| Row {
                        key: keys.and_then(|keys| keys.get(row)).copied(),
                        version: 0,
                        may_be_newer: false,
                        expected,
                        is_key_committed: outcome == Outcome::Acknowledged,
                    }));
                    self.acknowledged[0] += if outcome == Outcome::Acknowledged { count as u64 } else { 0 };
                }
                Change::Update { no, .. } => {
                    let Some(row) = rows.get_mut(no) else { continue };
                    match outcome {
                        Outcome::Acknowledged => {
                            row.version += 1;
                            self.acknowledged[1] += 1;
                        }
                        Outcome::RolledBack => {}
                        Outcome::Unknown => row.may_be_newer = true,
                    }
                }
                Change::Delete { no, .. } => {
                    let Some(row) = rows.get_mut(no) else { continue };
                    match outcome {
                        Outcome::Acknowledged => {
                            row.expected = Expected::Absent;
                            self.acknowledged[2] += 1;
                        }
                        Outcome::RolledBack => {}
                        Outcome::Unknown => row.expected = Expected::Possible,
                    }
                }
            }
        }
        if outcome == Outcome::Unknown && !uncertain.is_empty() {
            self.uncertain.push(uncertain);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_follow_the_replies_of_the_server() {
        let mut record = Record::new();
        let insert = [Change::Insert { table: 2, count: 2 }];
        record.add(&insert, &[vec![5, 7]], Outcome::Acknowledged);
        record.add(&insert, &[vec![9, 11]], Outcome::Unknown);
        record.add(&insert, &[], Outcome::RolledBack);
        let expected: Vec<Expected> = record.rows(2).iter().map(|row| row.expected).collect();
        let [present, possible, absent] = [Expected::Present, Expected::Possible, Expected::Absent];
        assert_eq!(expected, [present, present, possible, possible, absent, absent]);
        assert_eq!(record.uncertain, [vec![(2, 2, 2)]]);
        record.add(&[Change::Update { table: 2, no: 0 }], &[vec![]], Outcome::Acknowledged);
        record.add(&[Change::Update { table: 2, no: 1 }], &[vec![]], Outcome::Unknown);
        assert_eq!(record.known(2, 0).map(|row| row.version), Some(1));
        assert!(record.known(2, 1).is_none() && record.known(2, 2).is_none());
        record.add(&[Change::Delete { table: 2, no: 0 }], &[vec![]], Outcome::Acknowledged);
        assert!(record.known(2, 0).is_none());
        assert_eq!((record.acknowledged, record.outcomes), ([2, 1, 1], [3, 1, 2]));
    }
}
