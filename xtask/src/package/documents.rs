//! Documents in a package: a link to a file that is not packaged becomes its text, and a picture goes.

use std::ops::Range;

use pulldown_cmark::{Event, Tag, TagEnd};

use super::tree::Tree;
use crate::docs::links::{is_of_project, parser, resolved};

/// The documents, with their paths and texts, whose links lead to each other or out of the project.
pub fn linked(texts: &[(String, String)]) -> Tree {
    let mut tree = Tree::default();
    for (path, text) in texts {
        let leads_somewhere = |target: &str| {
            let file = target.split('#').next().unwrap_or_default();
            file.is_empty()
                || resolved(path, file).is_some_and(|found| texts.iter().any(|(path, _)| *path == found))
        };
        tree.add(path.clone(), without_dead_links(text, &leads_somewhere));
    }
    tree
}

/// The text with each dead link replaced by its words, and without pictures that are not there.
fn without_dead_links(text: &str, leads_somewhere: &dyn Fn(&str) -> bool) -> String {
    let mut kept = String::new();
    let mut at = 0;
    let mut dead: Option<Dead> = None;
    for (event, range) in parser(text).into_offset_iter() {
        match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. })
                if dead.is_none() && is_of_project(&dest_url) && !leads_somewhere(&dest_url) =>
            {
                let is_picture = text.get(range.clone()).is_some_and(|link| link.starts_with('!'));
                dead = Some(Dead { whole: range, words: None, is_picture });
            }
            Event::End(TagEnd::Link | TagEnd::Image) if dead.as_ref().is_some_and(|it| it.whole == range) => {
                let Some(link) = dead.take() else { continue };
                kept.push_str(text.get(at..link.whole.start).unwrap_or_default());
                if !link.is_picture {
                    kept.push_str(link.words.and_then(|words| text.get(words)).unwrap_or_default());
                }
                at = link.whole.end;
            }
            _ => {
                if let Some(link) = &mut dead {
                    let start = link.words.as_ref().map_or(range.start, |words| words.start);
                    link.words = Some(start..range.end);
                }
            }
        }
    }
    kept.push_str(text.get(at..).unwrap_or_default());
    kept
}

/// A dead link, and the part of it between the brackets.
struct Dead {
    whole: Range<usize>,
    words: Option<Range<usize>>,
    is_picture: bool,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;
    use crate::docs::links::targets;
    use crate::package::product::Origin;

    #[test]
    fn dead_links_become_their_words() {
        let text = "| [a `b` *c*](x.md#y) | [d](there.md#e), [f](#g) |\n\n![h](i.svg)\n[j](https://k.example) `[l](m.md)`\n";
        let kept =
            without_dead_links(text, &|target| target.starts_with("there.md") || target.starts_with('#'));
        assert_eq!(
            kept,
            "| a `b` *c* | [d](there.md#e), [f](#g) |\n\n\n[j](https://k.example) `[l](m.md)`\n"
        );
    }

    #[test]
    fn each_link_of_a_packaged_document_leads_to_one() {
        let directory = tempfile::tempdir().expect("a directory");
        let tree = Origin::made_up().documents().expect("documents");
        tree.write(directory.path(), 0).expect("written");
        let mut count = 0;
        for path in tree.paths() {
            let text = std::fs::read_to_string(directory.path().join(path)).expect("a text");
            for target in targets(&text) {
                let file = target.split('#').next().expect("a path");
                let found = if file.is_empty() { Some(path.to_owned()) } else { resolved(path, file) };
                assert!(found.is_some_and(|found| tree.paths().any(|it| it == found)), "{path}: {target}");
                count += 1;
            }
        }
        assert!(count > 50, "{count} links");
    }
}
