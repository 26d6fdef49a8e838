//! A writer's record of what it was told about each row, kept outside of the servers.

use super::schema::TABLES;

/// Whether a row must exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It was acknowledged.
    Must,
    /// The connection broke at the commit.
    May,
    /// It was refused, rolled back or deleted.
    MustNot,
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
    /// Whether it must exist.
    pub presence: Presence,
    /// Whether its key was ever acknowledged.
    pub is_given: bool,
}

/// A change of rows of one table.
#[derive(Clone, Copy, Debug)]
pub enum Deed {
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
    /// The server refused, or was never asked to commit.
    Undone,
    /// The connection broke at the commit.
    Unknown,
}

/// The rows of one transaction of unknown outcome: table, first row and count of each INSERT.
pub type Together = Vec<(usize, usize, usize)>;

/// All rows of one writer, by table and in the order of their numbers.
#[derive(Clone, Debug, Default)]
pub struct Record {
    tables: Vec<Vec<Row>>,
    /// Rows that must exist together or not at all.
    pub together: Vec<Together>,
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
    pub fn settled(&self, table: usize, no: usize) -> Option<&Row> {
        self.rows(table)
            .get(no)
            .filter(|row| row.presence == Presence::Must && !row.may_be_newer && row.key.is_some())
    }

    /// Adds a transaction. Each deed has the keys that its INSERT returned, if it got that far.
    pub fn add(&mut self, deeds: &[Deed], keys: &[Vec<u128>], outcome: Outcome) {
        self.outcomes[outcome as usize] += 1;
        let mut together = Together::new();
        for (at, deed) in deeds.iter().enumerate() {
            let (Deed::Insert { table, .. } | Deed::Update { table, .. } | Deed::Delete { table, .. }) =
                *deed;
            let Some(rows) = self.tables.get_mut(table) else { continue };
            match *deed {
                Deed::Insert { count, .. } => {
                    let presence = match outcome {
                        Outcome::Acknowledged => Presence::Must,
                        Outcome::Undone => Presence::MustNot,
                        Outcome::Unknown => Presence::May,
                    };
                    together.push((table, rows.len(), count));
                    let keys = keys.get(at);
                    rows.extend((0..count).map(|row| Row {
                        key: keys.and_then(|keys| keys.get(row)).copied(),
                        version: 0,
                        may_be_newer: false,
                        presence,
                        is_given: outcome == Outcome::Acknowledged,
                    }));
                    self.acknowledged[0] += if outcome == Outcome::Acknowledged { count as u64 } else { 0 };
                }
                Deed::Update { no, .. } => {
                    let Some(row) = rows.get_mut(no) else { continue };
                    match outcome {
                        Outcome::Acknowledged => {
                            row.version += 1;
                            self.acknowledged[1] += 1;
                        }
                        Outcome::Undone => {}
                        Outcome::Unknown => row.may_be_newer = true,
                    }
                }
                Deed::Delete { no, .. } => {
                    let Some(row) = rows.get_mut(no) else { continue };
                    match outcome {
                        Outcome::Acknowledged => {
                            row.presence = Presence::MustNot;
                            self.acknowledged[2] += 1;
                        }
                        Outcome::Undone => {}
                        Outcome::Unknown => row.presence = Presence::May,
                    }
                }
            }
        }
        if outcome == Outcome::Unknown && !together.is_empty() {
            self.together.push(together);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_follow_what_the_server_said() {
        let mut record = Record::new();
        let insert = [Deed::Insert { table: 2, count: 2 }];
        record.add(&insert, &[vec![5, 7]], Outcome::Acknowledged);
        record.add(&insert, &[vec![9, 11]], Outcome::Unknown);
        record.add(&insert, &[], Outcome::Undone);
        let presences: Vec<Presence> = record.rows(2).iter().map(|row| row.presence).collect();
        let [must, may, must_not] = [Presence::Must, Presence::May, Presence::MustNot];
        assert_eq!(presences, [must, must, may, may, must_not, must_not]);
        assert_eq!(record.together, [vec![(2, 2, 2)]]);
        record.add(&[Deed::Update { table: 2, no: 0 }], &[vec![]], Outcome::Acknowledged);
        record.add(&[Deed::Update { table: 2, no: 1 }], &[vec![]], Outcome::Unknown);
        assert_eq!(record.settled(2, 0).map(|row| row.version), Some(1));
        assert!(record.settled(2, 1).is_none() && record.settled(2, 2).is_none());
        record.add(&[Deed::Delete { table: 2, no: 0 }], &[vec![]], Outcome::Acknowledged);
        assert!(record.settled(2, 0).is_none());
        assert_eq!((record.acknowledged, record.outcomes), ([2, 1, 1], [3, 1, 2]));
    }
}
