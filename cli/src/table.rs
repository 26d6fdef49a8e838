//! Tables for people, in the manner of psql.

use comfy_table::{CellAlignment, ContentArrangement, Table as Drawn};

use crate::printable::printable;

/// psql's borders: a line under the header, and `|` between columns.
const BORDERS: &str = "     -+ |          ";

/// A table. What cells contain may come from anywhere: it is made printable.
pub struct Table {
    drawn: Drawn,
    rows: usize,
}

impl Table {
    /// A table with these columns. Those with a `#` before the name are numbers, aligned to the right.
    pub fn new<const N: usize>(columns: [&str; N]) -> Self {
        let mut drawn = Drawn::new();
        drawn.load_preset(BORDERS).set_header(columns.map(|name| name.trim_start_matches('#')));
        for (at, name) in columns.iter().enumerate() {
            if let (true, Some(column)) = (name.starts_with('#'), drawn.column_mut(at)) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        Self { drawn, rows: 0 }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [&str; N]) {
        self.drawn.add_row(cells.map(printable));
        self.rows += 1;
    }

    /// Whether there is no row.
    pub const fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The text, with long cells wrapped if a width is given.
    pub fn text(mut self, width: Option<u16>) -> String {
        if let Some(width) = width {
            self.drawn.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        }
        self.drawn.lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Table {
        let mut table = Table::new(["node", "#sequences", "detail"]);
        table.row(["one", "2", "in order"]);
        table.row(["two", "120", "a name with \u{1b}[2J in it, and a tab\t"]);
        table
    }

    #[test]
    fn a_table_looks_as_in_psql() {
        let expected = [
            " node | sequences | detail",
            "------+-----------+------------------------------------------",
            " one  |         2 | in order",
            " two  |       120 | a name with \\u{1b}[2J in it, and a tab\\t",
        ];
        assert_eq!(example().text(None).lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn long_cells_are_wrapped_to_the_terminal() {
        let text = example().text(Some(40));
        assert!(text.lines().all(|line| line.chars().count() <= 40), "{text}");
        assert!(text.lines().count() > 4);
    }
}
