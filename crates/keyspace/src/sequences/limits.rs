//! The values that a column accepts: its type, its precision, and simple CHECK constraints.

use super::number_type::NumberType;

/// The smallest and the largest value that a column accepts, within the range of `bigint`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The smallest.
    pub low: i64,
    /// The largest.
    pub high: i64,
}

/// How a column is compared with a constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `=`
    Equal,
    /// `>=`
    GreaterOrEqual,
    /// `>`
    Greater,
}

impl Comparison {
    /// The comparison of a btree strategy number.
    pub const fn of_strategy(strategy: i32) -> Option<Self> {
        Some(match strategy {
            1 => Self::Less,
            2 => Self::LessOrEqual,
            3 => Self::Equal,
            4 => Self::GreaterOrEqual,
            5 => Self::Greater,
            _ => return None,
        })
    }

    /// The same comparison with its operands exchanged.
    #[must_use]
    pub const fn commuted(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Equal => Self::Equal,
            Self::GreaterOrEqual => Self::LessOrEqual,
            Self::Greater => Self::Less,
        }
    }
}

impl Limits {
    /// Those of a type.
    pub const fn of(number_type: NumberType) -> Self {
        let (low, high) = number_type.range();
        Self { low, high }
    }

    /// The whole numbers of `numeric(precision, scale)`.
    pub const fn of_numeric(precision: i32, scale: i32) -> Self {
        // Numbers of a negative scale are rounded, and the last that fits ends in zeros.
        let (digits, zeros) = (precision - scale, if scale < 0 { -scale } else { 0 });
        let high = match (power_of_ten(digits), power_of_ten(zeros)) {
            (Some(end), Some(step)) => end - step,
            _ => i64::MAX,
        };
        Self { low: if high == i64::MAX { i64::MIN } else { -high }, high }
    }

    /// What is left of them if the column is also compared with a constant.
    #[must_use]
    pub fn narrowed(self, comparison: Comparison, constant: i128) -> Self {
        let (low, high) = match comparison {
            Comparison::Less => (i128::MIN, constant.saturating_sub(1)),
            Comparison::LessOrEqual => (i128::MIN, constant),
            Comparison::Equal => (constant, constant),
            Comparison::GreaterOrEqual => (constant, i128::MAX),
            Comparison::Greater => (constant.saturating_add(1), i128::MAX),
        };
        self.within(Self { low: clamped(low), high: clamped(high) })
    }

    /// The values that both accept. There may be none: `low` is above `high` then.
    #[must_use]
    pub fn within(self, other: Self) -> Self {
        Self { low: self.low.max(other.low), high: self.high.min(other.high) }
    }
}

/// The nearest `bigint`.
fn clamped(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value > 0 { i64::MAX } else { i64::MIN })
}

/// `None` beyond the range of `bigint`; 1 if the exponent is negative.
const fn power_of_ten(exponent: i32) -> Option<i64> {
    if exponent > 0 { 10_i64.checked_pow(exponent.unsigned_abs()) } else { Some(1) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fault_b22_the_digits_of_a_numeric_are_limits() {
        let high = |precision, scale| Limits::of_numeric(precision, scale).high;
        assert_eq!((high(3, 0), high(5, 2), high(3, -2)), (999, 999, 99_900));
        assert_eq!((high(3, 3), high(3, 5)), (0, 0), "only fractions");
        assert_eq!((high(18, 0), high(19, 0)), (999_999_999_999_999_999, i64::MAX));
        assert_eq!((high(1000, 0), high(1, -1000)), (i64::MAX, i64::MAX));
        assert_eq!(Limits::of_numeric(3, 0).low, -999);
        assert_eq!(Limits::of_numeric(30, 0), Limits::of(NumberType::Bigint));
    }

    #[test]
    fn constants_beyond_bigint_are_no_limits() {
        let all = Limits::of(NumberType::Bigint);
        assert_eq!(all.narrowed(Comparison::Less, i128::MAX), all);
        assert_eq!(all.narrowed(Comparison::Greater, i128::MIN), all);
        assert_eq!(all.narrowed(Comparison::Less, i128::from(i64::MAX) + 1), all);
    }

    proptest! {
        #[test]
        fn fault_b22_limits_hold_what_the_constraints_accept(
            value in -40..40_i64, constants in prop::collection::vec((1..=5_i32, -50..50_i128), 0..4),
        ) {
            let (mut limits, mut accepted) = (Limits::of(NumberType::Bigint), true);
            for (strategy, constant) in constants {
                let Some(comparison) = Comparison::of_strategy(strategy) else { continue };
                prop_assert_eq!(comparison.commuted().commuted(), comparison);
                limits = limits.narrowed(comparison, constant);
                let value = i128::from(value);
                accepted &= match comparison {
                    Comparison::Less => value < constant,
                    Comparison::LessOrEqual => value <= constant,
                    Comparison::Equal => value == constant,
                    Comparison::GreaterOrEqual => value >= constant,
                    Comparison::Greater => value > constant,
                };
            }
            prop_assert_eq!((limits.low..=limits.high).contains(&value), accepted);
        }
    }
}
