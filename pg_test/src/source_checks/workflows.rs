//! Checks that workflows run the actions that were reviewed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::{each_file, workspace_root};

/// Whether an action is named by the commit, with the tag as a comment.
fn is_pinned(action: &str) -> bool {
    let Some((_, version)) = action.split_once('@') else { return false };
    let Some((commit, tag)) = version.split_once(" # v") else { return false };
    commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()) && !tag.is_empty()
}

#[test]
fn actions_are_pinned_to_commits() {
    let mut count = 0;
    each_file(&workspace_root().join(".github/workflows"), &mut |name, path| {
        let text = std::fs::read_to_string(path).unwrap();
        let uses =
            text.lines().filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix("uses: "));
        // Workflows of this repository are those of the same commit.
        for action in uses.filter(|action| !action.starts_with("./.github/workflows/")) {
            assert!(is_pinned(action), "{name}: {action}");
            count += 1;
        }
    });
    assert!(count > 10, "{count} actions");
    assert!(!is_pinned("actions/checkout@v4") && !is_pinned("actions/checkout@11d5960a # v4"));
}
