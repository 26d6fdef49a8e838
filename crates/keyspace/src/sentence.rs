//! Texts as PostgreSQL's details and hints have them.

/// A text that begins with a capital letter.
pub fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// A primary message, which begins with a small letter and has no full stop, as a sentence.
pub fn sentence(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!("{}.", capitalized(message)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_becomes_a_sentence() {
        assert_eq!(sentence("über \"x\" is not known"), "Über \"x\" is not known.");
        assert_eq!(sentence(""), "");
    }
}
