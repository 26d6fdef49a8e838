//! The rows without a key that the check at the end of a backfill finds.
//!
//! A pass over a table in batches can miss rows: sessions without our triggers (replication, and
//! others with `session_replication_role = replica`) may move rows without a key to pages that the
//! pass has left behind. So a backfill ends only with a check of the whole table in one snapshot,
//! which sees each row exactly once.

use super::backfill::Range;

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
    use super::{MOST, Missed, Next, first_of, multirange};
    use crate::migration::backfill::Range;

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
    fn a_long_range_is_done_in_batches() {
        assert_eq!(first_of(Range { from: 5, to: 300 }, 64), Range { from: 5, to: 69 });
        assert_eq!(first_of(Range { from: 5, to: 9 }, 64), Range { from: 5, to: 9 });
        assert_eq!(first_of(Range { from: 5, to: 9 }, 0), Range { from: 5, to: 6 });
    }
}
