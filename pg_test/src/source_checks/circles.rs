//! No two files import each other, directly or through others.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};

use super::{ROOTS, each_file, workspace_root};

/// The path of a module below its crate.
type Module = Vec<String>;

/// The modules of a crate, with the text of each file.
type Crate = BTreeMap<Module, String>;

/// The crate and the module of a file; `None` if it is not in a `src` directory.
fn module_of(file: &str) -> Option<(String, Module)> {
    let (root, rest) =
        file.strip_prefix("src/").map(|rest| ("src", rest)).or_else(|| file.split_once("/src/"))?;
    let mut module: Module = rest.strip_suffix(".rs")?.split('/').map(str::to_owned).collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        module.pop();
    }
    Some((root.to_owned(), module))
}

/// A file without its comments and its tests, which may import any module.
fn code_of(text: &str) -> String {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let code = code.split("#[cfg(any(test").next().unwrap_or_default();
    code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The paths in a tree of imports: `a::{b::c, d}` gives `a::b::c` and `a::d`.
fn leaves(tree: &str, before: &[&str], found: &mut Vec<Module>) {
    let (mut depth, mut begin) = (0_i32, 0);
    let mut ends = Vec::new();
    for (at, c) in tree.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => ends.push(at),
            _ => {}
        }
    }
    for end in ends.into_iter().chain([tree.len()]) {
        let part = tree[begin..end].trim();
        begin = (end + 1).min(tree.len());
        let (path, inner) = match part.split_once('{') {
            Some((path, inner)) => (path, inner.trim_end().strip_suffix('}')),
            None => (part, None),
        };
        let path = path.split(" as ").next().unwrap_or_default();
        let path = path.split("::").map(str::trim).filter(|name| !name.is_empty() && *name != "self");
        let whole: Vec<&str> = before.iter().copied().chain(path).collect();
        match inner {
            Some(inner) => leaves(inner, &whole, found),
            None if !whole.is_empty() => found.push(whole.into_iter().map(str::to_owned).collect()),
            None => {}
        }
    }
}

/// The paths that a file names with `use`, or elsewhere in its code.
fn paths(code: &str) -> Vec<Module> {
    let mut found = Vec::new();
    let statements = code.split(';').filter_map(|statement| {
        let begin = statement.rfind("use ")?;
        let line = statement[..begin].rsplit('\n').next().unwrap_or_default();
        (line.trim().is_empty() || line.trim().starts_with("pub"))
            .then_some(&statement[begin + "use ".len()..])
    });
    for tree in statements {
        leaves(tree, &[], &mut found);
    }
    let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    for word in code.split(|c: char| !is_name(c)) {
        if word.starts_with("crate::") || word.starts_with("super::") {
            found.push(word.split("::").map(str::to_owned).collect());
        }
    }
    found
}

/// The modules with a file that a module imports. A module that only contains others counts as
/// none, but its files count.
fn imports<'a>(of: &Module, code: &str, files: &'a Crate) -> BTreeSet<&'a Module> {
    let mut found = BTreeSet::new();
    for path in paths(code) {
        let mut at = of.clone();
        let mut rest = path.iter().map(String::as_str).peekable();
        match rest.peek().copied() {
            Some("crate") => {
                at.clear();
                rest.next();
            }
            Some("super") => {
                while rest.peek() == Some(&"super") {
                    at.pop();
                    rest.next();
                }
            }
            _ => continue,
        }
        at.extend(rest.map(str::to_owned));
        while !at.is_empty() && !files.contains_key(&at) {
            at.pop();
        }
        let is_directory = |module: &Module| {
            files.keys().any(|other| other.len() > module.len() && other.starts_with(module))
        };
        found.extend(
            files.get_key_value(&at).map(|(module, _)| module).filter(|to| *to != of && !is_directory(to)),
        );
    }
    found
}

/// Files that import each other, in the order of the imports: one circle for each file that is part
/// of one.
fn circles(files: &Crate) -> Vec<String> {
    let edges: BTreeMap<&Module, BTreeSet<&Module>> =
        files.iter().map(|(module, text)| (module, imports(module, &code_of(text), files))).collect();
    let mut found = Vec::new();
    for start in files.keys() {
        // The shortest way back.
        let mut came_from: BTreeMap<&Module, &Module> = BTreeMap::new();
        let mut queue = vec![start];
        while !queue.is_empty() && !came_from.contains_key(start) {
            let mut next = Vec::new();
            for from in queue {
                for to in &edges[from] {
                    if !came_from.contains_key(to) {
                        came_from.insert(to, from);
                        next.push(*to);
                    }
                }
            }
            queue = next;
        }
        if came_from.contains_key(start) {
            let mut circle = vec![start.join("::")];
            let mut at = came_from[start];
            while at != start {
                circle.push(at.join("::"));
                at = came_from[at];
            }
            circle.push(start.join("::"));
            circle.reverse();
            found.push(circle.join(" -> "));
        }
    }
    found
}

fn crates() -> BTreeMap<String, Crate> {
    let mut crates: BTreeMap<String, Crate> = BTreeMap::new();
    for root in ROOTS {
        each_file(&workspace_root().join(root), &mut |name, path| {
            if let Some((root, module)) = module_of(name).filter(|_| !name.ends_with("/tests.rs")) {
                crates.entry(root).or_default().insert(module, std::fs::read_to_string(path).unwrap());
            }
        });
    }
    crates
}

#[test]
fn no_files_import_each_other() {
    let crates = crates();
    assert!(crates.values().map(BTreeMap::len).sum::<usize>() > 200, "the files are found");
    let found: Vec<String> = crates
        .iter()
        .flat_map(|(root, files)| circles(files).into_iter().map(move |circle| format!("{root}: {circle}")))
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn files_that_import_each_other_are_found() {
    let file = |path: &str, text: &str| (path.split("::").map(str::to_owned).collect(), text.to_owned());
    let files = Crate::from([
        file("a::one", "use super::two::{self, Two};\nfn f() {}"),
        file("a::two", "use std::fmt;\nfn f(_: crate::a::three::Three) {} // crate::b\n"),
        file("a::three", "use crate::{b, a::{one::One as Uno}};\n#[cfg(test)]\nuse crate::b;"),
        file("a", "mod one;\npub use one::One;"),
        file("b", "pub(crate) use crate::a::one::One;"),
    ]);
    assert_eq!(circles(&files).len(), 4, "{:?}", circles(&files));
    assert!(circles(&files)[0].starts_with("a::one -> a::t"), "{:?}", circles(&files));
    let mut without = files.clone();
    without.insert(vec!["a".to_owned(), "three".to_owned()], "use crate::a;".to_owned());
    assert_eq!(circles(&without), Vec::<String>::new());
}
