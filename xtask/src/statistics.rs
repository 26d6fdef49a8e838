//! Medians, quantiles, spread.

/// Minimum, median and maximum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The minimum.
    pub min: f64,
    /// The middle value, or the mean of the two middle values.
    pub median: f64,
    /// The maximum.
    pub max: f64,
}

impl Spread {
    /// Of `values`; `None` if there are none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let sorted = sorted(values);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let upper = *sorted.get(middle)?;
        let median = if sorted.len().is_multiple_of(2) {
            (sorted.get(middle.checked_sub(1)?)? + upper) / 2.0
        } else {
            upper
        };
        Some(Self { min, median, max })
    }
}

/// The least of `values` that at least the fraction `of_all` of them do not exceed. It is a value
/// that occurred, never an interpolated one, so that a rare stall is not smoothed.
pub fn quantile(values: &[f64], of_all: f64) -> Option<f64> {
    let sorted = sorted(values);
    let rank = (of_all.clamp(0.0, 1.0) * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// Rounds to six digits, which is more than the precision of any clock here.
pub fn rounded(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_and_even_numbers_of_values() {
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]), Some(Spread { min: 1.0, median: 2.0, max: 3.0 }));
        assert_eq!(Spread::of(&[4.0, 1.0, 2.0, 3.0]), Some(Spread { min: 1.0, median: 2.5, max: 4.0 }));
        assert_eq!(Spread::of(&[7.0]), Some(Spread { min: 7.0, median: 7.0, max: 7.0 }));
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn quantiles_are_values_that_occurred() {
        let values: Vec<f64> = (1..=1000).rev().map(f64::from).collect();
        assert_eq!(quantile(&values, 0.5), Some(500.0));
        assert_eq!(quantile(&values, 0.99), Some(990.0));
        assert_eq!(quantile(&values, 0.999), Some(999.0));
        assert_eq!((quantile(&values, 0.0), quantile(&values, 1.0)), (Some(1.0), Some(1000.0)));
        assert_eq!(quantile(&[1.0, 2.0, 9.0], 0.999), Some(9.0), "the worst of few values");
        assert_eq!(quantile(&[], 0.5), None);
    }
}
