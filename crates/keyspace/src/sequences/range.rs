//! The ranges of two sequences that feed the same column.

/// A value of another sequence, whose range begins at `beginning`, as far as it matters to one that
/// ends at `end`. Beyond that it stands for the values up to `end`, all of which may have been
/// passed, unless the range of the other begins beyond `end`: then the two have no value in common.
pub(super) fn up_to(ascending: bool, value: i64, beginning: Option<i64>, end: i64) -> Option<i64> {
    let is_past_end = |value: i64| if ascending { value > end } else { value < end };
    if !is_past_end(value) {
        Some(value)
    } else if beginning.is_some_and(is_past_end) {
        None
    } else {
        Some(end)
    }
}
