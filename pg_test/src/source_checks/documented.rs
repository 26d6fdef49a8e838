//! Checks that examples of the documentation are tested as they are printed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::Write;
use std::process::{Command, Stdio};

use super::workspace_root;
use crate::skip;

fn file(path: &str) -> String {
    std::fs::read_to_string(workspace_root().join(path)).unwrap()
}

/// The first block of code of a page that contains a text.
fn example(page: &str, contains: &str) -> String {
    let text = file(page);
    let blocks = text.split("```").skip(1).step_by(2);
    let block = blocks.map(|block| block.split_once('\n').unwrap_or_default().1);
    block.into_iter().find(|block| block.contains(contains)).expect("the example").to_owned()
}

#[test]
fn fault_b11_the_example_of_partitioned_nextval_is_tested() {
    let example = example("docs/reference/sequences.md", "CREATE SEQUENCE ticket_no;");
    assert!(example.contains("OWNED BY"), "{example}");
    let tested = file("pg_test/regress/sql/sequences_loaders.sql");
    assert!(tested.contains(&example), "not tested as it is printed:\n{example}");
}

/// How Alembic calls the function of the guide: for a column of the database and one of the model.
const CALLS: &str = "
for inspected, rendered, expected in [
    (\"partitioned_nextval('ticket_no'::regclass)\", \"partitioned_nextval('ticket_no')\", False),
    (\"partitioned_nextval('ticket_no'::regclass)\", None, False),
    (None, \"nextval('ticket_no')\", False),
    (\"'new'::text\", \"'new'\", None),
    (None, None, None),
]:
    compared = compare_server_default(None, None, None, inspected, None, rendered)
    assert compared is expected, (inspected, rendered, compared)
";

#[test]
fn fault_b09_the_function_for_alembic_runs_no_default() {
    let name = "fault_b09_the_function_for_alembic_runs_no_default";
    let example = example("docs/guides/odd-and-even-ids.md", "def compare_server_default");
    let python = Command::new("python3").arg("-").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut python = match python {
        Ok(python) => python,
        Err(error) => return skip(name, &format!("python3: {error}")),
    };
    python.stdin.take().unwrap().write_all(format!("{example}{CALLS}").as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
