//! Tables in the formats of psql and Markdown, and numbers with separated thousands.

use pg_test::thousands;

/// Prints rows below their headings; columns of numbers are aligned to the right.
pub fn print(headings: &[&str], rows: &[Vec<String>]) {
    for line in drawn(headings, rows) {
        println!("    {line}");
    }
}

fn drawn(headings: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let widths = widths(headings, rows);
    let is_number =
        |cell: &String| cell.chars().all(|c| c.is_ascii_digit() || c == '-' || c == '.' || c == ',');
    let is_right: Vec<bool> = (0..headings.len())
        .map(|column| rows.iter().filter_map(|row| row.get(column)).all(is_number))
        .collect();
    let heading =
        headings.iter().zip(&widths).map(|(cell, width)| format!(" {cell:<width$} ")).collect::<Vec<_>>();
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
    let mut lines = vec![heading.join("|").trim_end().to_owned(), rule.join("+")];
    lines.extend(rows.iter().map(|row| {
        let cells = row.iter().zip(&widths).zip(&is_right).map(|((cell, width), is_right)| {
            if *is_right { format!(" {cell:>width$} ") } else { format!(" {cell:<width$} ") }
        });
        cells.collect::<Vec<_>>().join("|").trim_end().to_owned()
    }));
    lines
}

/// A table in Markdown, with aligned columns.
pub fn markdown(headings: &[&str], rows: &[Vec<String>]) -> String {
    let widths = widths(headings, rows);
    let line = |cells: &[String]| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!(" {cell:<width$} "));
        format!("|{}|", padded.collect::<Vec<_>>().join("|"))
    };
    let headings: Vec<String> = headings.iter().map(|heading| (*heading).to_owned()).collect();
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    let lines = [headings, rule].into_iter().chain(rows.iter().cloned()).map(|cells| line(&cells));
    lines.collect::<Vec<_>>().join("\n")
}

fn widths(headings: &[&str], rows: &[Vec<String>]) -> Vec<usize> {
    let width = |(column, heading): (usize, &&str)| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([heading.chars().count()]).max().unwrap_or(0)
    };
    headings.iter().enumerate().map(width).collect()
}

/// A number with separated thousands, as in 100,000.
pub fn number(value: impl TryInto<i64>) -> String {
    thousands(&value.try_into().unwrap_or(i64::MAX).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [vec!["orders".to_owned(), "100,000".to_owned()], vec!["a".to_owned(), "7".to_owned()]];
        assert_eq!(
            drawn(&["table", "rows"], &rows),
            [" table  | rows", "--------+---------", " orders | 100,000", " a      |       7"]
        );
        assert_eq!(
            markdown(&["table", "rows"], &rows),
            "| table  | rows    |\n| ------ | ------- |\n| orders | 100,000 |\n| a      | 7       |"
        );
    }

    #[test]
    fn thousands_are_separated() {
        assert_eq!(
            [0, 999, 1_000, 1_234_567, -4_321].map(number),
            ["0", "999", "1,000", "1,234,567", "-4,321"]
        );
        assert_eq!(number(u64::MAX), "9,223,372,036,854,775,807", "the greatest number");
    }
}
