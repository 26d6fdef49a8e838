//! The rows without a key that the check at the end of a backfill finds.
//!
//! A pass over a table in batches can miss rows: sessions without our triggers (replication, and
//! others with `session_replication_role = replica`) may move rows without a key to pages that the
//! pass has left behind. So a backfill ends only with a check of the whole table in one snapshot,
//! which sees each row exactly once.

use super::backfill::Range;
use super::old_id::OldId;

/// The maximum number of pages that the backfill returns to one by one. If there are more, it passes
/// over the rest of the table again, because then a batch takes only a part of each page's rows.
const MOST: usize = 1_000;

/// The pages with such rows.
#[derive(Debug, Default)]
pub struct Missed {
    pages: Vec<i64>,
}

/// What the backfill does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing: every row has its key.
    Nothing,
    /// It returns to these pages.
    Ranges(Vec<Range>),
    /// It passes over all pages from this one on.
    From(i64),
}

impl Missed {
    /// Records a page. Pages are recorded in their order. Whether the check goes on.
    pub fn add(&mut self, page: i64) -> bool {
        self.pages.push(page);
        self.pages.len() < MOST
    }

    /// What the backfill does next.
    pub fn next(self) -> Next {
        let Some(first) = self.pages.first().copied() else { return Next::Nothing };
        if self.pages.len() >= MOST {
            return Next::From(first);
        }
        let mut ranges: Vec<Range> = Vec::new();
        for page in self.pages {
            match ranges.last_mut() {
                Some(last) if last.to == page => last.to = page + 1,
                _ => ranges.push(Range { from: page, to: page + 1 }),
            }
        }
        Next::Ranges(ranges)
    }
}

/// A row without a key: the column of keys, its old id, and its page and line pointer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lacking {
    /// The `attnum` of the column.
    pub column: i16,
    /// The old id.
    pub old_id: OldId,
    /// The page.
    pub page: u32,
    /// The line pointer.
    pub offset: u16,
}

/// How often a check finds the same row once more, after the backfill has returned to it each time,
/// until it gives up. Once is not enough: another session may have taken the key away.
const SAME_ROW: u32 = 2;
/// How often a check may find as many rows as one before, whichever they are. Sessions that move rows
/// meanwhile can be the reason, too.
const AS_MANY_ROWS: u32 = 10;

/// What the checks of a backfill have found, one after the other. If something takes keys away again, or
/// prevents them from being written, each check would find these rows, without an end.
#[derive(Debug, Default)]
pub struct Returns {
    /// The column and the old id of the least row, and how often it was found in a row.
    row: Option<((i16, OldId), u32)>,
    /// The least number of rows, and how often there were at least as many.
    count: Option<(usize, u32)>,
}

impl Returns {
    /// Records what a check has found: the least row and the number of rows. Whether the backfill makes
    /// no progress.
    pub fn is_vain(&mut self, least: &Lacking, count: usize) -> bool {
        let row = (least.column, least.old_id.clone());
        let same = match &self.row {
            Some((before, times)) if *before == row => times + 1,
            _ => 0,
        };
        self.row = Some((row, same));
        let (fewest, times) = match self.count {
            Some((before, times)) if count >= before => (before, times + 1),
            _ => (count, 0),
        };
        self.count = Some((fewest, times));
        same >= SAME_ROW || times >= AS_MANY_ROWS
    }
}

/// Ranges of pages as SQL writes a multirange.
pub fn multirange(ranges: &[Range]) -> String {
    let ranges: Vec<String> = ranges.iter().map(|range| format!("[{},{})", range.from, range.to)).collect();
    format!("{{{}}}", ranges.join(","))
}

/// The first pages of a range, at most as many as a batch takes.
pub fn first_of(range: Range, batch: i64) -> Range {
    Range { from: range.from, to: range.to.min(range.from.saturating_add(batch.max(1))) }
}

#[cfg(test)]
mod tests {
    use super::{AS_MANY_ROWS, Lacking, MOST, Missed, Next, Returns, first_of, multirange};
    use crate::migration::backfill::Range;
    use crate::migration::old_id::OldId;

    #[test]
    fn fault_c20_the_backfill_returns_to_the_pages_that_the_check_finds() {
        assert_eq!(Missed::default().next(), Next::Nothing);
        let mut missed = Missed::default();
        for page in [0, 3, 4, 5, 9] {
            assert!(missed.add(page));
        }
        let ranges = vec![Range { from: 0, to: 1 }, Range { from: 3, to: 6 }, Range { from: 9, to: 10 }];
        assert_eq!(multirange(&ranges), "{[0,1),[3,6),[9,10)}");
        assert_eq!(missed.next(), Next::Ranges(ranges));
        assert_eq!(multirange(&[]), "{}");
    }

    #[test]
    fn fault_c19_a_table_without_keys_is_passed_over_again() {
        let mut missed = Missed::default();
        let last = (7..).find(|page| !missed.add(*page));
        assert_eq!(last, Some(7 + i64::try_from(MOST).unwrap_or(0) - 1));
        assert_eq!(missed.next(), Next::From(7));
    }

    #[test]
    fn a_backfill_that_makes_no_progress_ends() {
        let row = |old_id| Lacking { column: 3, old_id: OldId::Number(old_id), page: 0, offset: 1 };
        // The same row again and again, while others get their keys.
        let mut returns = Returns::default();
        assert_eq!([9, 5, 2].map(|count| returns.is_vain(&row(7), count)), [false, false, true]);
        // Wherever it is by now; another column is another row.
        let mut returns = Returns::default();
        let moved = Lacking { page: 8, ..row(7) };
        let other = Lacking { column: 4, ..row(7) };
        assert_eq!([row(7), moved, other].map(|row| returns.is_vain(&row, 1)), [false; 3]);
        // Other rows each time, but not fewer.
        let mut returns = Returns::default();
        let vain = (0..).position(|at| returns.is_vain(&row(at), 50 + usize::from(at % 2 == 0)));
        assert_eq!(vain, usize::try_from(AS_MANY_ROWS + 1).ok());
        // Fewer each time, as long as it takes.
        let mut returns = Returns::default();
        assert!((0_u16..1_000).all(|at| !returns.is_vain(&row(i64::from(at)), 5_000 - usize::from(at))));
    }

    #[test]
    fn a_long_range_is_done_in_batches() {
        assert_eq!(first_of(Range { from: 5, to: 300 }, 64), Range { from: 5, to: 69 });
        assert_eq!(first_of(Range { from: 5, to: 9 }, 64), Range { from: 5, to: 9 });
        assert_eq!(first_of(Range { from: 5, to: 9 }, 0), Range { from: 5, to: 6 });
    }
}
