//! Text from servers and arguments, made safe for a terminal.
//!
//! A name in a database can contain any character, and a terminal obeys some of them: they move the
//! cursor, change its title, or reverse the direction of the text.

use std::borrow::Cow;
use std::fmt::Write;

/// Whether a terminal may do something else with a character than to show it where it is: control
/// characters (C0, DEL and C1), those that end lines or change the direction of text, and those that
/// Unicode calls default-ignorable, which nobody sees.
fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// A JSON document in which each of these characters is escaped. They can only be in its strings, so
/// that every reader finds the same value in it.
pub fn json(document: &str) -> Cow<'_, str> {
    if !document.chars().any(is_control) {
        return Cow::Borrowed(document);
    }
    let mut safe = String::with_capacity(document.len() + 8);
    for c in document.chars() {
        if is_control(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                // Writing to a string does not fail.
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

/// The text with every such character written as `\n`, `\t` or `\u{1b}`.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_control) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            c if is_control(c) => {
                // Writing to a string does not fail.
                let _ = write!(safe, "\\u{{{:x}}}", u32::from(c));
            }
            c => safe.push(c),
        }
    }
    Cow::Owned(safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_passes() {
        let safe = printable("\u{1b}]0;title\u{7}");
        assert_eq!(safe, "\\u{1b}]0;title\\u{7}");
        assert_eq!(printable("a\nb\tc\r"), "a\\nb\\tc\\r");
        assert_eq!(printable("\u{9b}2J\u{202e}gpj.exe\u{200b}"), "\\u{9b}2J\\u{202e}gpj.exe\\u{200b}");
        for c in (0..=u32::from(char::MAX)).filter_map(char::from_u32).filter(|c| c.is_control()) {
            assert!(!printable(&c.to_string()).contains(c), "{c:?}");
        }
        for c in
            ['\u{61c}', '\u{ad}', '\u{2066}', '\u{2069}', '\u{200e}', '\u{feff}', '\u{e0041}', '\u{e0100}']
        {
            assert!(!printable(&c.to_string()).contains(c), "{c:?}");
        }
        assert!(matches!(printable("café, 数, \"quoted\" \\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_document_means_the_same_and_contains_nothing_that_a_terminal_obeys() {
        let mut text: String =
            (0..=u32::from(char::MAX)).filter_map(char::from_u32).filter(|c| is_control(*c)).collect();
        text.push_str("\\u202e \"quoted\" é");
        let value = serde_json::json!({ text.clone(): [text] });
        let document = value.to_string();
        assert!(document.contains('\u{9b}') && document.contains('\u{202e}'));
        let safe = json(&document);
        assert!(!safe.chars().any(is_control));
        assert!(serde_json::from_str::<serde_json::Value>(&safe).is_ok_and(|read| read == value));
        assert!(matches!(json("{\"a\":\"é\"}"), Cow::Borrowed(_)));
    }
}
