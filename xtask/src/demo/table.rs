//! Tables in the terminal, as psql draws them.

/// Prints rows below their headings; columns that hold numbers only are aligned to the right.
pub fn print(headings: &[&str], rows: &[Vec<String>]) {
    for line in lines(headings, rows) {
        println!("    {line}");
    }
}

fn lines(headings: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain(headings.get(column).map(|heading| heading.chars().count())).max().unwrap_or(0)
    };
    let is_number =
        |cell: &String| cell.chars().all(|c| c.is_ascii_digit() || c == '-' || c == '.' || c == ',');
    let right: Vec<bool> = (0..headings.len())
        .map(|column| rows.iter().filter_map(|row| row.get(column)).all(is_number))
        .collect();
    let draw = |cells: &[String], align: bool| {
        let cells = cells.iter().enumerate().map(|(column, cell)| {
            let fill = " ".repeat(width(column).saturating_sub(cell.chars().count()));
            if align && right.get(column) == Some(&true) {
                format!(" {fill}{cell} ")
            } else {
                format!(" {cell}{fill} ")
            }
        });
        cells.collect::<Vec<_>>().join("|").trim_end().to_owned()
    };
    let headings: Vec<String> = headings.iter().map(|heading| (*heading).to_owned()).collect();
    let rule = (0..headings.len()).map(|column| "-".repeat(width(column) + 2)).collect::<Vec<_>>().join("+");
    let mut lines = vec![draw(&headings, false), rule];
    lines.extend(rows.iter().map(|row| draw(row, true)));
    lines
}

/// A number with its thousands set apart, as in 100,000.
pub fn number(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if value < 0 { format!("-{grouped}") } else { grouped }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [vec!["orders".to_owned(), "100,000".to_owned()], vec!["a".to_owned(), "7".to_owned()]];
        assert_eq!(
            lines(&["table", "rows"], &rows),
            [" table  | rows", "--------+---------", " orders | 100,000", " a      |       7"]
        );
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(
            [0, 999, 1_000, 1_234_567, -4_321].map(number),
            ["0", "999", "1,000", "1,234,567", "-4,321"]
        );
    }
}
