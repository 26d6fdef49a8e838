//! Sources in languages other than SQL: names are those between quotation marks.

use super::tokens::continues_identifier;

/// The runs of characters of a name between quotation marks, and where they begin.
pub(super) fn quoted_names(body: &[u8]) -> Vec<(usize, &[u8])> {
    let is_mark = |byte: Option<&u8>| matches!(byte, Some(b'\'' | b'"'));
    let mut found = Vec::new();
    let mut at = 0;
    while at < body.len() {
        let rest = body.get(at..).unwrap_or_default();
        let is_part = |byte: &&u8| continues_identifier(**byte) || **byte == b'.';
        let end = at + rest.iter().take_while(is_part).count();
        let before = at.checked_sub(1).and_then(|before| body.get(before));
        let is_escaped = body.get(end) == Some(&b'\\') && is_mark(body.get(end + 1));
        if end > at && is_mark(before) && (is_mark(body.get(end)) || is_escaped) {
            found.extend(body.get(at..end).map(|name| (at, name)));
        }
        at = end + 1;
    }
    found
}

/// Where a word stands in a text.
pub(super) fn words<'a>(text: &'a [u8], word: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    let is_edge = |byte: Option<&u8>| !byte.is_some_and(|byte| continues_identifier(*byte));
    text.windows(word.len().max(1)).enumerate().filter_map(move |(at, window)| {
        let is_whole = is_edge(at.checked_sub(1).and_then(|before| text.get(before)))
            && is_edge(text.get(at + word.len()));
        (window == word && is_whole).then_some(at)
    })
}

/// Whether this, between the name of a function and a string, makes the string its first argument.
pub(super) fn opens_argument(between: &[u8]) -> bool {
    let mut rest = between.iter().filter(|byte| !byte.is_ascii_whitespace());
    rest.next() == Some(&b'(') && rest.all(|byte| matches!(byte, b'\'' | b'"' | b'\\'))
}
