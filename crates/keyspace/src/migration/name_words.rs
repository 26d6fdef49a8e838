//! The words in names of tables and columns.

/// The words of a name, in lower case: `recordType` and `record_type` have the same.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut was_lower = false;
    let mut begins = true;
    for c in name.chars() {
        if !c.is_alphanumeric() {
            begins = true;
            continue;
        }
        if begins || (c.is_uppercase() && was_lower) {
            words.push(String::new());
        }
        begins = false;
        was_lower = c.is_lowercase() || c.is_numeric();
        if let Some(last) = words.last_mut() {
            last.extend(c.to_lowercase());
        }
    }
    words
}

/// The words of a reference that say what it refers to: `order` of `order_id`.
pub(super) fn base(reference: &str) -> Vec<String> {
    let mut base = words(reference);
    if base.last().is_some_and(|last| ["id", "key", "pk", "no", "ref"].contains(&last.as_str())) {
        base.pop();
    }
    base
}

/// Whether a name is that of a word, in the singular or in the plural.
pub(super) fn is_plural(word: &str, name: &str) -> bool {
    let is_of_y = word.strip_suffix('y').is_some_and(|stem| name.strip_prefix(stem) == Some("ies"));
    is_of_y || name.strip_prefix(word).is_some_and(|end| ["", "s", "es"].contains(&end))
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn words_of_names() {
        assert_eq!(words("recordType_ID"), ["record", "type", "id"]);
        assert_eq!(words("__a1B"), ["a1", "b"]);
        assert!(words("").is_empty());
    }
}
