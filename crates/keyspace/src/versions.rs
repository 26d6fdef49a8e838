//! The version of the library and that of the objects in a database, which are installed at
//! different times.

use std::cmp::Ordering;

use crate::{Error, SqlState};

/// The library compared with the objects in the database: older, the same or newer; `None` if a
/// version cannot be read.
///
/// ```
/// use std::cmp::Ordering;
/// assert_eq!(keyspace::versions::compare("0.10.0", "0.9.1"), Some(Ordering::Greater));
/// assert_eq!(keyspace::versions::compare("0.1.0", "0.1.0"), Some(Ordering::Equal));
/// ```
#[must_use]
pub fn compare(library: &str, objects: &str) -> Option<Ordering> {
    Some(numbers(library)?.cmp(&numbers(objects)?))
}

fn numbers(version: &str) -> Option<[u32; 3]> {
    let mut parts = version.split('.').map(str::parse);
    let numbers = [parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?];
    parts.next().is_none().then_some(numbers)
}

/// Refuses objects that are newer than the library, which may lack their functions. It serves older
/// objects, because no function is ever removed from it.
///
/// # Errors
///
/// 55000 if they are newer, or of a version that cannot be read.
pub fn check(library: &str, objects: &str) -> Result<(), Error> {
    if compare(library, objects).is_some_and(Ordering::is_ge) {
        return Ok(());
    }
    let message = format!(
        "version {library} of the pg_keyspace library is too old for version {objects} of the extension"
    );
    Err(Error::new(SqlState::ObjectNotInPrerequisiteState, message)
        .detail("The library and the scripts must be installed together.")
        .hint("Install the library of that version, or restart the server if it has loaded an old one with shared_preload_libraries."))
}

/// Detail and hint if library and objects differ.
#[must_use]
pub fn difference(library: &str, objects: &str) -> Option<(String, &'static str)> {
    let hint = match compare(library, objects) {
        Some(Ordering::Equal) => return None,
        Some(Ordering::Greater) => "Run ALTER EXTENSION pg_keyspace UPDATE in this database.",
        Some(Ordering::Less) | None => {
            "Install the library of the same version, or restart the server if it has loaded an old one with shared_preload_libraries."
        }
    };
    Some((
        format!(
            "The library has version {library}, but the extension in this database has version {objects}."
        ),
        hint,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        assert_eq!(compare("0.1.0", "0.1.0"), Some(Ordering::Equal));
        assert_eq!(compare("1.0.0", "0.99.99"), Some(Ordering::Greater));
        assert_eq!(compare("0.2.10", "0.2.9"), Some(Ordering::Greater));
        assert_eq!(compare("0.2.9", "0.2.10"), Some(Ordering::Less));
        for unread in ["", "1", "1.2", "1.2.3.4", "1.2.x", "1.2.-3", "v1.2.3"] {
            assert_eq!(compare("0.1.0", unread), None, "{unread}");
        }
    }

    #[test]
    fn a_library_serves_objects_as_old_as_itself_or_older() {
        assert!(check("0.2.0", "0.2.0").is_ok());
        assert!(check("0.2.0", "0.1.9").is_ok());
        for newer in ["0.2.1", "1.0.0", "next"] {
            assert!(check("0.2.0", newer).is_err(), "{newer}");
        }
    }

    #[test]
    fn only_a_difference_is_reported() {
        assert_eq!(difference("0.2.0", "0.2.0"), None);
        assert!(difference("0.2.0", "0.1.0").is_some_and(|(_, hint)| hint.contains("ALTER EXTENSION")));
        assert!(difference("0.1.0", "0.2.0").is_some_and(|(_, hint)| hint.contains("restart")));
    }
}
