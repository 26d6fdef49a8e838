//! Checks that docs/traps.md names each trap and fault with the tests that have its number.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};

use super::{ROOTS, each_file, workspace_root};

/// The entry for a number without a test.
const NONE: &str = "none";

/// The test files of a number, each with the names of its tests. A SQL file can be a test as a
/// whole.
type Tests = BTreeMap<String, BTreeSet<String>>;

/// The numbers in a name, as on the page: traps as "S9", faults as "A03". Empty if there are none.
fn numbers(name: &str) -> Vec<String> {
    let Some((kind @ ("trap" | "fault"), rest)) = name.split_once('_') else { return Vec::new() };
    let of = |part: &str| {
        let (letter, number) = (part.chars().next()?, part.get(1..)?);
        let number = Some(number).filter(|number| number.len() == 2)?.parse::<u32>().ok()?;
        let letter = Some(letter).filter(char::is_ascii_lowercase)?.to_ascii_uppercase();
        Some(if kind == "trap" { format!("{letter}{number}") } else { format!("{letter}{number:02}") })
    };
    rest.split('_').map_while(of).collect()
}

/// Whether a name contains more than numbers.
fn is_title(name: &str) -> bool {
    name.split('_').filter(|part| !part.is_empty()).count() > 1 + numbers(name).len()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
}

/// Adds the tests of a file, by the names of its functions and by its comments.
fn read(path: &str, text: &str, found: &mut BTreeMap<String, Tests>) {
    let mut add = |number: String, name: Option<&str>| {
        let names = found.entry(number).or_default().entry(path.to_owned()).or_default();
        names.extend(name.map(str::to_owned));
    };
    let is_rust = path.ends_with(".rs");
    let comment = if is_rust {
        "//"
    } else if path.ends_with(".sql") {
        "--"
    } else {
        "#"
    };
    let mut function = None;
    for line in text.lines() {
        let (code, remark) = line.split_once(comment).unwrap_or((line, ""));
        if let Some((_, name)) = code.split_once("fn ").filter(|_| is_rust) {
            function = words(name).next();
            for (number, name) in
                function.iter().flat_map(|name| numbers(name).into_iter().map(|n| (n, *name)))
            {
                add(number, Some(name));
            }
        }
        for word in words(remark) {
            for number in numbers(word) {
                add(number, if is_rust { function } else { Some(word).filter(|word| is_title(word)) });
            }
        }
    }
}

/// The cell of the page with the tests of a number.
fn cell(tests: Option<&Tests>) -> String {
    let Some(tests) = tests else { return NONE.to_owned() };
    let of_file = |(path, names): (&String, &BTreeSet<String>)| {
        let names = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        if names.is_empty() { format!("`{path}`") } else { format!("`{path}`: {names}") }
    };
    tests.iter().map(of_file).collect::<Vec<_>>().join("; ")
}

/// Lists the errors of a page; each line contains the correct row.
fn compare(page: &str, found: &BTreeMap<String, Tests>) -> Vec<String> {
    let mut missing = found.clone();
    let mut wrong = Vec::new();
    for line in page.lines().filter(|line| line.starts_with("| ")) {
        let [number, sentence, tests] = line.trim_matches('|').split(" | ").collect::<Vec<_>>()[..] else {
            wrong.push(format!("not of three cells: {line}"));
            continue;
        };
        let (number, expected) = (number.trim(), cell(found.get(number.trim())));
        if ["trap", "fault", "---"].contains(&number) {
            continue;
        }
        let is_new = missing.remove(number).is_some() || !found.contains_key(number);
        if tests.trim() != expected || !is_new {
            wrong.push(format!("| {number} | {} | {expected} |", sentence.trim()));
        }
    }
    wrong.extend(missing.iter().map(|(number, tests)| format!("| {number} | ... | {} |", cell(Some(tests)))));
    wrong
}

#[test]
fn every_number_is_on_the_page_with_its_tests() {
    let mut found = BTreeMap::new();
    for root in ROOTS {
        each_file(&workspace_root().join(root), &mut |name, path| {
            let is_test = [".rs", ".sql", ".spec"].iter().any(|end| name.ends_with(end));
            if is_test && !name.ends_with("source_checks/traps.rs") {
                read(name, &std::fs::read_to_string(path).unwrap(), &mut found);
            }
        });
    }
    assert!(found.len() > 100, "{} numbers found", found.len());
    let page = std::fs::read_to_string(workspace_root().join("docs/traps.md")).unwrap();
    let wrong = compare(&page, &found);
    assert!(wrong.is_empty(), "rows of docs/traps.md should be:\n{}", wrong.join("\n"));
}

#[test]
fn a_row_that_lacks_or_invents_a_test_is_found() {
    let mut found = BTreeMap::new();
    read("a.rs", "fn trap_s09_s10_both() {\n    // trap_k01: here, too\n}\nfn default_s01() {}", &mut found);
    read("b.sql", "-- trap_s09\n-- fault_a03_exact: a section\nSELECT 'trap_s11';", &mut found);
    let page = "| trap | what | tests |\n| --- | --- | --- |\n| S9 | x | `a.rs`: `trap_s09_s10_both`; `b.sql` |\n\
                | S10 | x | `a.rs`: `trap_s09_s10_both` |\n| K1 | x | `a.rs`: `trap_s09_s10_both` |\n\
                | A03 | x | `b.sql`: `fault_a03_exact` |\n| P1 | x | none |\n";
    assert_eq!(compare(page, &found), Vec::<String>::new());
    assert_eq!(compare(&page.replace("; `b.sql`", ""), &found).len(), 1, "a test that is missing");
    assert_eq!(compare(&page.replace("| none", "| `c.sql`"), &found), ["| P1 | x | none |"], "one made up");
    let lacking = page.replace("| A03 | x | `b.sql`: `fault_a03_exact` |\n", "");
    assert_eq!(
        compare(&lacking, &found),
        ["| A03 | ... | `b.sql`: `fault_a03_exact` |"],
        "a row that is missing"
    );
    assert_eq!(
        compare(&format!("{page}| S10 | y | `a.rs`: `trap_s09_s10_both` |\n"), &found).len(),
        1,
        "twice"
    );
}
