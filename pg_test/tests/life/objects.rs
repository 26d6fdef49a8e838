//! All that an extension has created, as pg_dump tells it: definitions, owners, privileges, comments.

use std::process::Stdio;

use pg_test::Server;

/// What differs between two databases whatever they hold: OIDs, transaction ids, and pg_dump's word for this very run.
const OF_ONE_DATABASE: [&str; 6] = [
    "binary_upgrade_set_next_",
    "binary_upgrade_create_empty_extension",
    "SET relfrozenxid",
    "WHERE oid = '",
    "\\restrict",
    "\\unrestrict",
];

/// The DDL of every object, line by line, sorted: as pg_upgrade carries it over, so member by member.
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
        // The version is told by another test; a list of tables with their OIDs is none of ours.
        .map(|line| {
            if line.contains("binary_upgrade_create_empty_extension") {
                String::new()
            } else {
                line.to_owned()
            }
        })
        .collect();
    // Statements of many lines stay together well enough: what differs in one line differs in the whole.
    lines.sort();
    lines
}

/// The lines that are in one of two only.
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
