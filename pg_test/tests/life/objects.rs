//! All objects of an extension, as pg_dump writes them: definitions, owners, privileges, comments.

use std::process::Stdio;

use pg_test::Server;

/// Parts that always differ between two databases: OIDs, transaction ids, the version, which another
/// test checks, and the random token of a run of pg_dump.
const OF_ONE_DATABASE: [&str; 6] = [
    "binary_upgrade_set_next_",
    "binary_upgrade_create_empty_extension",
    "SET relfrozenxid",
    "WHERE oid = '",
    "\\restrict",
    "\\unrestrict",
];

/// The DDL of every object, sorted by lines, in the mode of pg_upgrade, which includes every
/// member.
pub fn of_extension(server: &Server, database: &str) -> Vec<String> {
    let output = server
        .tree()
        .command("pg_dump")
        .args(["--schema-only", "--binary-upgrade", "--dbname"])
        .arg(server.conninfo(database))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with("--"));
    let mut lines: Vec<String> = lines
        .filter(|line| !OF_ONE_DATABASE.iter().any(|unwanted| line.contains(unwanted)))
        .map(str::to_owned)
        .collect();
    // Sorting by lines is enough: a difference in one line is a difference of its statement.
    lines.sort();
    lines
}

/// The lines that are in only one of the two.
pub fn differences(old: &[String], new: &[String]) -> Vec<String> {
    let mut left = new.to_vec();
    let mut found = Vec::new();
    for line in old {
        match left.iter().position(|other| other == line) {
            Some(at) => {
                left.swap_remove(at);
            }
            None => found.push(format!("- {line}")),
        }
    }
    found.extend(left.into_iter().map(|line| format!("+ {line}")));
    found
}
