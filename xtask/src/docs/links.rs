//! Links between pages.

use std::path::{Component, Path};

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::pages::{CONTENTS, Pages};

/// What is wrong with the links of the pages, one line each.
pub fn broken(pages: &Pages) -> Vec<String> {
    let mut faults = Vec::new();
    for (page, text) in pages.texts() {
        for target in targets(text) {
            if let Some(fault) = fault(pages, page, &target) {
                faults.push(format!("{page}: the link to {target} {fault}"));
            }
        }
    }
    faults
}

/// The pages that the table of contents lacks.
pub fn not_listed(pages: &Pages) -> Vec<&str> {
    let contents = pages.text(CONTENTS).unwrap_or_default();
    let listed: Vec<String> = targets(contents).filter_map(|target| resolved(CONTENTS, &target)).collect();
    let paths = pages.texts().map(|(path, _)| path);
    paths.filter(|path| *path != CONTENTS && !listed.iter().any(|listed| listed == path)).collect()
}

/// The links and pictures of a page that lead to files of the project.
pub fn targets(text: &str) -> impl Iterator<Item = String> {
    parser(text).filter_map(|event| match event {
        Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. })
            if is_of_project(&dest_url) =>
        {
            Some(dest_url.into_string())
        }
        _ => None,
    })
}

/// Whether a link leads to a file of the project.
pub fn is_of_project(target: &str) -> bool {
    !target.contains("://") && !target.starts_with("mailto:")
}

/// The path in the checkout that a link on a page leads to; `None` if it leads out of the checkout.
pub fn resolved(page: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for component in Path::new(target).components() {
        match component {
            Component::Normal(name) => parts.push(name.to_str()?),
            Component::ParentDir => {
                parts.pop()?;
            }
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts.join("/"))
}

/// Reads a page as GitHub does.
pub fn parser(text: &str) -> Parser<'_> {
    Parser::new_ext(text, Options::ENABLE_TABLES | Options::ENABLE_GFM)
}

fn fault(pages: &Pages, page: &str, target: &str) -> Option<&'static str> {
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let Some(path) = (if path.is_empty() { Some(page.to_owned()) } else { resolved(page, path) }) else {
        return Some("leaves the project");
    };
    match pages.text(&path) {
        None if pages.has_picture(&path) && anchor.is_empty() => None,
        None => Some("leads to no page"),
        Some(text) if !anchor.is_empty() && !anchors(text).iter().any(|it| it == anchor) => {
            Some("names no heading of that page")
        }
        Some(_) => None,
    }
}

/// The anchors of a page's headings, as GitHub and mdBook make them.
fn anchors(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut heading: Option<String> = None;
    for event in parser(text) {
        match (event, &mut heading) {
            (Event::Start(Tag::Heading { .. }), _) => heading = Some(String::new()),
            (Event::Text(text) | Event::Code(text), Some(heading)) => heading.push_str(&text),
            (Event::End(TagEnd::Heading(_)), _) => {
                let anchor = anchor(&heading.take().unwrap_or_default());
                let before = found.iter().filter(|it| is_repeated(it, &anchor)).count();
                found.push(if before == 0 { anchor } else { format!("{anchor}-{before}") });
            }
            _ => {}
        }
    }
    found
}

/// Whether `found` is the anchor, or that of an earlier heading of the same name with its number.
fn is_repeated(found: &str, anchor: &str) -> bool {
    let rest = found.strip_prefix(anchor);
    rest.is_some_and(|rest| {
        rest.is_empty() || rest.strip_prefix('-').is_some_and(|number| number.parse::<u32>().is_ok())
    })
}

/// The anchor of a heading that no other heading shares.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|it| it.is_alphanumeric() || matches!(it, ' ' | '-' | '_'));
    kept.map(|it| if it == ' ' { '-' } else { it }).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_relative_to_its_page() {
        let resolved = |page, target| resolved(page, target);
        assert_eq!(resolved("README.md", "docs/demo.md").as_deref(), Some("docs/demo.md"));
        assert_eq!(resolved("docs/guides/a.md", "../../README.md").as_deref(), Some("README.md"));
        assert_eq!(resolved("docs/guides/a.md", "./b.md").as_deref(), Some("docs/guides/b.md"));
        assert_eq!(resolved("README.md", "../elsewhere.md"), None);
        assert_eq!(resolved("README.md", "/etc/passwd"), None);
    }

    #[test]
    fn an_anchor_is_the_heading_without_punctuation() {
        let text = "# What `setup()` does\n\n## A: b, c_d\n\n## Same\n\n## Same\n";
        assert_eq!(anchors(text), ["what-setup-does", "a-b-c_d", "same", "same-1"]);
    }

    #[test]
    fn links_in_code_are_none_and_others_outside_are_left_alone() {
        let text = "[a](b.md#c) `[d](e.md)` [f](https://example.com) ![g](h.svg)\n\n```\n[i](j.md)\n```\n";
        assert_eq!(targets(text).collect::<Vec<_>>(), ["b.md#c", "h.svg"]);
    }
}
