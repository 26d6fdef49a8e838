//! Connection service files: sections of parameters under a name.

use super::conninfo::Parameters;
use crate::failure::{Failure, Result};

/// The parameters of a service; `None` if the file does not have it.
///
/// # Errors
/// If a line of the section cannot be read.
pub fn find(file: &str, service: &str) -> Result<Option<Parameters>> {
    let mut found: Option<Parameters> = None;
    for (at, line) in file.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[') {
            if found.is_some() {
                break;
            }
            if name.strip_suffix(']') == Some(service) {
                found = Some(Parameters::new());
            }
            continue;
        }
        let Some(parameters) = &mut found else { continue };
        let (keyword, value) = line.split_once('=').ok_or_else(|| {
            // The line itself is not shown: it may be a password.
            Failure::new(format!("syntax error in line {} of the service file", at + 1))
                .detail(format!("It belongs to service \"{service}\" and has no \"=\"."))
        })?;
        if matches!(keyword, "service" | "servicefile") {
            return Err(Failure::new(format!("service \"{service}\" refers to another service")));
        }
        parameters.entry(keyword.to_owned()).or_insert_with(|| value.to_owned());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const FILE: &str = "# services\n[one]\nhost=server1\ndbname=shop\n\n[two]\nhost=server2\nhost=other\n\
                        password=a=b\n[bad]\nno equals secret\n[nested]\nservice=one\n";

    #[test]
    fn a_section_ends_where_the_next_one_begins() {
        let one = find(FILE, "one").unwrap().unwrap();
        assert_eq!(one.get("host").map(String::as_str), Some("server1"));
        assert_eq!(one.len(), 2);
        let two = find(FILE, "two").unwrap().unwrap();
        assert_eq!(two.get("host").map(String::as_str), Some("server2"), "the first counts");
        assert_eq!(two.get("password").map(String::as_str), Some("a=b"));
        assert_eq!(find(FILE, "three").unwrap(), None);
        let failure = find(FILE, "bad").unwrap_err();
        assert!(failure.message.contains("line 11") && !failure.to_string().contains("secret"), "{failure}");
        assert!(find(FILE, "nested").is_err());
    }
}
