//! The keys of referenced rows, looked up ahead of the batches that write them.
//!
//! If rows refer to a large table in no order, the look-up of each row reads other pages of that table
//! and of its index, which are in no cache. So the old ids of many rows are looked up at once, in
//! ascending order: rows that are next to each other there share their pages, and an old id that
//! several rows have is looked up only once. Batches then write the keys in the order of the rows'
//! own pages.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, TryReserveError};

/// The maximum number of rows whose keys are kept, however much memory there is.
pub const MOST_ROWS: usize = 1 << 24;
/// The maximum number of rows that one call sorts. The caller is interrupted only between calls.
const MOST_IN_RUN: usize = 1 << 16;

/// Keys by the versions of the rows that refer to them.
#[derive(Debug, Default)]
pub struct KnownKeys {
    /// The number of rows, and of pages, for which there is memory.
    most: usize,
    /// The first page.
    first: u32,
    /// For each page, its first row in `rows`.
    starts: Vec<u32>,
    /// In the order of their places.
    rows: Vec<Row>,
    /// The rows whose keys are still to be looked up.
    open: Vec<Open>,
    /// Sorted parts of `open`: the next row and the end of each.
    runs: Vec<(usize, usize)>,
    /// The next old id of each run.
    next: BinaryHeap<Reverse<(i64, usize)>>,
}

#[derive(Debug)]
struct Row {
    old_id: i64,
    key: [u8; 16],
    /// The transaction that has written this version.
    written_by: u32,
    /// The line pointer.
    offset: u16,
    has_key: bool,
}

#[derive(Debug)]
struct Open {
    old_id: i64,
    /// Its place in `rows`.
    row: u32,
}

impl KnownKeys {
    /// The memory that a row needs until its key is found; later it is less. A row may be the only one
    /// of its page.
    pub const BYTES_PER_ROW: usize = size_of::<Row>() + size_of::<Open>() + size_of::<u32>();

    /// Forgets the rows before a page, and allocates memory for more rows, up to `most` in total.
    /// Returns the page to continue with.
    ///
    /// # Errors
    /// If there is not as much memory. What was known is still known.
    pub fn begin(&mut self, page: u32, most: usize) -> Result<u32, TryReserveError> {
        match page.checked_sub(self.first) {
            Some(pages) if pages < self.pages() => {
                let rows = self.start(pages);
                self.rows.drain(..rows);
                self.starts.drain(..pages as usize);
                let rows = u32::try_from(rows).unwrap_or(u32::MAX);
                self.starts.iter_mut().for_each(|start| *start -= rows);
            }
            _ => {
                self.rows.clear();
                self.starts.clear();
            }
        }
        self.first = page;
        self.end();
        // Nothing is added unless all of it was allocated.
        self.most = 0;
        let most = most.min(MOST_ROWS);
        self.rows.try_reserve_exact(most.saturating_sub(self.rows.len()))?;
        self.open.try_reserve_exact(most.saturating_sub(self.rows.len()))?;
        self.starts.try_reserve_exact(most.saturating_sub(self.starts.len()))?;
        self.most = most;
        Ok(page.saturating_add(self.pages()))
    }

    /// The number of pages.
    fn pages(&self) -> u32 {
        u32::try_from(self.starts.len()).unwrap_or(u32::MAX)
    }

    /// The first row of a page, counted from the first page; the end for the page after the last.
    fn start(&self, page: u32) -> usize {
        self.starts.get(page as usize).map_or(self.rows.len(), |start| *start as usize)
    }

    /// Whether another page with this number of rows fits into the allocated memory.
    pub fn has_room(&self, rows: usize) -> bool {
        self.starts.len() < self.most && self.rows.len().saturating_add(rows) <= self.most
    }

    /// Begins the next page.
    pub fn add_page(&mut self) {
        if self.open.len().saturating_sub(self.sorted()) >= MOST_IN_RUN {
            self.end_run();
        }
        self.starts.push(u32::try_from(self.rows.len()).unwrap_or(u32::MAX));
    }

    /// Adds a row of the page that was begun last. Rows are added in the order of their line pointers.
    pub fn add(&mut self, offset: u16, written_by: u32, old_id: i64) {
        let row = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        self.rows.push(Row { old_id, key: [0; 16], written_by, offset, has_key: false });
        self.open.push(Open { old_id, row });
    }

    /// The number of rows in sorted runs.
    fn sorted(&self) -> usize {
        self.runs.last().map_or(0, |(_, end)| *end)
    }

    fn end_run(&mut self) {
        let (from, to) = (self.sorted(), self.open.len());
        let Some(run) = self.open.get_mut(from..) else { return };
        run.sort_unstable_by_key(|open| open.old_id);
        if let Some(first) = run.first() {
            self.next.push(Reverse((first.old_id, self.runs.len())));
            self.runs.push((from, to));
        }
    }

    /// The least old id that is still to be looked up, once all pages are added.
    pub fn next_old_id(&mut self) -> Option<i64> {
        if self.sorted() < self.open.len() {
            self.end_run();
        }
        self.next.peek().map(|Reverse((old_id, _))| *old_id)
    }

    /// Records the key for that old id. If there is none, batches look it up themselves.
    pub fn found(&mut self, key: Option<[u8; 16]>) {
        let Some(Reverse((old_id, _))) = self.next.peek().copied() else { return };
        while let Some(Reverse((least, run))) = self.next.peek().copied()
            && least == old_id
        {
            self.next.pop();
            let Some((from, to)) = self.runs.get_mut(run) else { continue };
            while let Some(open) = self.open.get(*from).filter(|_| *from < *to) {
                if open.old_id != old_id {
                    self.next.push(Reverse((open.old_id, run)));
                    break;
                }
                if let (Some(key), Some(row)) = (key, self.rows.get_mut(open.row as usize)) {
                    (row.key, row.has_key) = (key, true);
                }
                *from += 1;
            }
        }
    }

    /// Ends the look-ups, and frees the memory for them.
    pub fn end(&mut self) {
        self.open = Vec::new();
        self.runs = Vec::new();
        self.next = BinaryHeap::new();
    }

    /// The key for the version of a row at this place, if it was found: the same transaction must have
    /// written it, with the same old id.
    #[inline]
    pub fn key(&self, page: u32, offset: u16, written_by: u32, old_id: i64) -> Option<[u8; 16]> {
        let page = page.checked_sub(self.first).filter(|page| *page < self.pages())?;
        let rows = self.rows.get(self.start(page)..self.start(page + 1))?;
        let at = rows.binary_search_by_key(&offset, |row| row.offset).ok()?;
        let row = rows.get(at)?;
        (row.has_key && row.written_by == written_by && row.old_id == old_id).then_some(row.key)
    }
}

#[cfg(test)]
mod tests {
    use super::{KnownKeys, MOST_IN_RUN};

    const fn key(old_id: i64) -> [u8; 16] {
        (old_id as u128).to_be_bytes()
    }

    /// Looks up all old ids. Returns the old ids in the order in which they were looked up.
    fn look_up(known: &mut KnownKeys, exists: impl Fn(i64) -> bool) -> Vec<i64> {
        let mut asked = Vec::new();
        while let Some(old_id) = known.next_old_id() {
            asked.push(old_id);
            known.found(exists(old_id).then(|| key(old_id)));
        }
        known.end();
        asked
    }

    fn add(known: &mut KnownKeys, rows: &[(u16, i64)]) {
        known.add_page();
        rows.iter().for_each(|(offset, old_id)| known.add(*offset, 700, *old_id));
    }

    #[test]
    fn each_old_id_is_looked_up_once_in_ascending_order() {
        let mut known = KnownKeys::default();
        assert_eq!(known.begin(7, 100), Ok(7));
        add(&mut known, &[(1, 30), (3, 10), (4, 30)]);
        add(&mut known, &[]);
        add(&mut known, &[(1, 10), (2, -5), (9, 20)]);
        assert_eq!(look_up(&mut known, |old_id| old_id != 20), [-5, 10, 20, 30]);
        let found = [(7, 1, 30), (7, 3, 10), (7, 4, 30), (9, 1, 10), (9, 2, -5)];
        for (page, offset, old_id) in found {
            assert_eq!(known.key(page, offset, 700, old_id), Some(key(old_id)));
        }
        // There is no such row.
        assert_eq!(known.key(9, 9, 700, 20), None);
    }

    #[test]
    fn a_key_counts_only_for_the_same_version_of_a_row() {
        let mut known = KnownKeys::default();
        assert!(known.begin(0, 100).is_ok());
        add(&mut known, &[(2, 30)]);
        assert_eq!(known.key(0, 2, 700, 30), None, "nothing was looked up yet");
        look_up(&mut known, |_| true);
        assert_eq!(known.key(0, 2, 700, 30), Some(key(30)));
        assert_eq!(known.key(0, 2, 700, 31), None, "it refers to another row");
        assert_eq!(known.key(0, 2, 701, 30), None, "the row was changed");
        for (page, offset) in [(0, 1), (0, 3), (1, 2), (u32::MAX, 2)] {
            assert_eq!(known.key(page, offset, 700, 30), None);
        }
    }

    #[test]
    fn rows_of_pages_that_are_done_are_forgotten_and_others_kept() {
        let mut known = KnownKeys::default();
        assert!(known.begin(0, 4).is_ok());
        add(&mut known, &[(1, 1), (2, 2)]);
        add(&mut known, &[(1, 3)]);
        assert!(known.has_room(1) && !known.has_room(2));
        look_up(&mut known, |_| true);
        assert_eq!(known.begin(1, 4), Ok(2));
        assert!(known.has_room(3) && !known.has_room(4));
        add(&mut known, &[(1, 4), (5, 5)]);
        assert_eq!(look_up(&mut known, |_| true), [4, 5]);
        assert_eq!(known.key(0, 1, 700, 1), None);
        for (page, offset, old_id) in [(1, 1, 3), (2, 1, 4), (2, 5, 5)] {
            assert_eq!(known.key(page, offset, 700, old_id), Some(key(old_id)));
        }
        // A pass that begins again, before or behind.
        assert_eq!(known.begin(0, 4), Ok(0));
        assert_eq!(known.key(1, 1, 700, 3), None);
        add(&mut known, &[(1, 1)]);
        assert_eq!(known.begin(50, 4), Ok(50));
        assert_eq!(known.next_old_id(), None);
    }

    #[test]
    fn without_memory_nothing_is_known() {
        let mut known = KnownKeys::default();
        assert!(known.begin(0, 0).is_ok());
        assert!(!known.has_room(0));
        assert!(known.begin(0, 1).is_ok());
        assert!(known.has_room(1) && !known.has_room(2));
        // As the documentation says.
        assert_eq!(KnownKeys::BYTES_PER_ROW, 52);
    }

    #[test]
    fn rows_are_sorted_in_runs_and_merged() {
        let rows = 3 * MOST_IN_RUN as i64 + 17;
        let mut known = KnownKeys::default();
        assert!(known.begin(0, rows as usize).is_ok());
        // Each old id twice, in no order, on pages of 100 rows.
        let old_id = |at: i64| (at * 7_919) % (rows / 2 + 1);
        for at in 0..rows {
            if at % 100 == 0 {
                known.add_page();
            }
            known.add((at % 100) as u16 + 1, 700, old_id(at));
        }
        let asked = look_up(&mut known, |_| true);
        assert!(asked.is_sorted_by(|one, next| one < next));
        for at in 0..rows {
            let place = ((at / 100) as u32, (at % 100) as u16 + 1);
            assert_eq!(known.key(place.0, place.1, 700, old_id(at)), Some(key(old_id(at))));
        }
    }
}
