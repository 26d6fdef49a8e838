//! Values with three digits and a suitable unit.

use pg_test::thousands;

use crate::figures::Unit;

/// How values of about one size are written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    divisor: f64,
    suffix: &'static str,
    unit: Unit,
}

impl Scale {
    /// The scale for `value`, and for others next to it.
    pub fn of(unit: Unit, value: f64) -> Self {
        let steps: &[(f64, &str)] = match unit {
            Unit::Seconds => &[(1.0, " s"), (1e-3, " ms"), (1e-6, " µs"), (1e-9, " ns")],
            Unit::Bytes => &[(1_048_576.0, " MiB"), (1024.0, " KiB"), (1.0, " B")],
            Unit::Number => &[(1.0, "")],
        };
        let fitting = match steps.iter().find(|(divisor, _)| value.abs() >= *divisor) {
            // Zero is shown in seconds, but in bytes.
            None if value == 0.0 && unit == Unit::Seconds => steps.first(),
            fitting => fitting.or(steps.last()),
        };
        let (divisor, suffix) = fitting.copied().unwrap_or((1.0, ""));
        Self { divisor, suffix, unit }
    }

    /// A value with its unit.
    pub fn with_unit(&self, value: f64) -> String {
        format!("{}{}", self.bare(value), self.suffix)
    }

    /// A value without its unit, next to one that has it.
    pub fn bare(&self, value: f64) -> String {
        let scaled = value / self.divisor;
        let whole = self.unit == Unit::Number || (self.unit == Unit::Bytes && self.divisor == 1.0);
        if whole && scaled.fract() == 0.0 { grouped(scaled, 0) } else { three_digits(scaled) }
    }
}

/// A number with at least three significant digits, and separated thousands.
pub fn three_digits(value: f64) -> String {
    if value.is_infinite() {
        return "∞".to_owned();
    }
    let size = value.abs();
    // A number that is rounded up to one more digit before the point has one fewer after it.
    let decimals = [(99.95, 0), (9.995, 1)].iter().find(|(from, _)| size >= *from).map_or(2, |(_, n)| *n);
    grouped(value, decimals)
}

fn grouped(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    // A number that is rounded to zero has no sign.
    let text =
        if text.chars().any(|c| ('1'..='9').contains(&c)) { &text } else { text.trim_start_matches('-') };
    match text.split_once('.') {
        Some((whole, fraction)) => format!("{}.{fraction}", thousands(whole)),
        None => thousands(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alone(unit: Unit, value: f64) -> String {
        Scale::of(unit, value).with_unit(value)
    }

    #[test]
    fn times_get_the_unit_that_suits_them() {
        let values = [1.234e-7, 1.5e-5, 0.0123, 0.9996, 2.0, 1234.5, 0.0];
        let texts = values.map(|value| alone(Unit::Seconds, value));
        assert_eq!(texts, ["123 ns", "15.0 µs", "12.3 ms", "1,000 ms", "2.00 s", "1,234 s", "0.00 s"]);
    }

    #[test]
    fn bytes_and_numbers_are_whole_where_they_are() {
        assert_eq!(
            [0.0, 512.0, 1536.0, 5_242_880.0].map(|v| alone(Unit::Bytes, v)),
            ["0 B", "512 B", "1.50 KiB", "5.00 MiB"]
        );
        assert_eq!(
            [0.0, 2.0, 2.034, 10_000.0, -3.0].map(|v| alone(Unit::Number, v)),
            ["0", "2", "2.03", "10,000", "-3"]
        );
    }

    #[test]
    fn values_next_to_each_other_share_a_unit() {
        let scale = Scale::of(Unit::Seconds, 0.9);
        assert_eq!((scale.with_unit(0.9), scale.bare(1.2)), ("900 ms".to_owned(), "1,200".to_owned()));
    }

    #[test]
    fn rounding_does_not_add_a_digit_or_a_sign() {
        assert_eq!([9.996, 99.96, -0.001].map(three_digits), ["10.0", "100", "0.00"]);
    }
}
