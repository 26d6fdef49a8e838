//! Names of the objects that a migration adds, and the comments that identify them.

/// The longest name that PostgreSQL keeps, in bytes.
const MAX_NAME_LENGTH: usize = 63;

/// A name with a suffix. If both are too long together, the name is cut between two characters
/// (trap M12).
pub fn suffixed(name: &str, suffix: &str) -> String {
    let room = MAX_NAME_LENGTH.saturating_sub(suffix.len());
    let mut end = name.len().min(room);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{suffix}", name.get(..end).unwrap_or_default())
}

/// Whether a name with this suffix may have been cut.
pub(super) fn is_cut(name: &str, suffix: &str) -> bool {
    // A character has at most four bytes, so that up to three are left over.
    name.ends_with(suffix) && name.len() + 3 >= MAX_NAME_LENGTH
}

/// The end of the comment on a new column.
pub(super) const COMMENT: &str = " of a key migration; filled by triggers";

/// The end of the comment on a constraint that has to be validated.
const NOT_VALIDATED: &str = "(moved by a key migration, and not validated yet)";

/// The comment on a constraint that has to be validated, which is marked as such.
pub(super) fn marked(comment: Option<&str>) -> String {
    match comment {
        None => NOT_VALIDATED.to_owned(),
        // It is marked already if the last move was not completed.
        Some(comment) if comment.ends_with(NOT_VALIDATED) => comment.to_owned(),
        Some(comment) => format!("{comment} {NOT_VALIDATED}"),
    }
}

/// The comment without its mark, which is empty if there is none; `None` if it is not marked.
pub(super) fn without_mark(comment: Option<&str>) -> Option<&str> {
    Some(comment?.strip_suffix(NOT_VALIDATED)?.trim_end_matches(' '))
}

/// Whether a comment is that of a migration.
pub fn is_our_comment(comment: &str) -> bool {
    comment.ends_with(COMMENT)
}

#[cfg(test)]
mod tests {
    use super::suffixed;

    #[test]
    fn trap_m12_long_names_are_cut_at_a_character() {
        assert_eq!(suffixed("id", "_new"), "id_new");
        let long = "x".repeat(63);
        assert_eq!(suffixed(&long, "_new"), format!("{}_new", "x".repeat(59)));
        let wide = "é".repeat(31);
        let cut = suffixed(&wide, "_new");
        assert_eq!(cut, format!("{}_new", "é".repeat(29)));
        assert!(cut.len() <= 63);
    }
}
