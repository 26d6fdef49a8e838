//! docs/guides/key-migration-nodes.md: its own commands, in psql and in a shell, next to writers on both
//! nodes.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pg_test::load;

use crate::DATABASE;
use crate::nodes::Pair;
use crate::nodes_cut_over::{assert_same, writer};

const GUIDE: &str = include_str!("../../../docs/guides/key-migration-nodes.md");
/// The orders that exist before the migration.
const ORDERS: u32 = 600;

/// The blocks of code below a heading.
fn blocks(heading: &str) -> Vec<&'static str> {
    let (_, rest) = GUIDE.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = rest.split("\n## ").next().unwrap();
    let code = section.split("```").skip(1).step_by(2);
    code.map(|block| block.split_once('\n').unwrap().1).collect()
}

/// Runs statements in psql on a node, and returns what it prints.
fn psql(pair: &Pair, node: usize, statements: &str) -> Result<String, String> {
    let mut psql = pair.servers[node].tree().command("psql");
    psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"])
        .arg(pair.servers[node].conninfo(DATABASE))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut running = psql.spawn().unwrap();
    running.stdin.take().unwrap().write_all(statements.as_bytes()).unwrap();
    let output = running.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

/// The exchange of the guide, in a shell.
fn exchange(pair: &Pair) {
    let bin = pair.servers[0].tree().command("pg_config").arg("--bindir").output().unwrap();
    let bin = PathBuf::from(String::from_utf8(bin.stdout).unwrap().trim());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths([bin].into_iter().chain(std::env::split_paths(&path))).unwrap();
    let function = blocks("Exchange states")[1];
    let status = Command::new("sh")
        .args(["-euc", &format!("{function}\nexchange")])
        .env("PATH", path)
        .env("NODE1", pair.servers[0].conninfo(DATABASE))
        .env("NODE2", pair.servers[1].conninfo(DATABASE))
        .status();
    assert!(status.unwrap().success());
}

/// Runs a block on both nodes. "If a node must not take a step yet, exchange the states again, and try
/// again." If `restarts`, workers that have failed are started again meanwhile.
fn on_both(pair: &Pair, block: &str, restarts: bool) {
    for node in [0, 1] {
        let deadline = Instant::now() + Duration::from_secs(60);
        while let Err(error) = psql(pair, node, block) {
            assert!(error.contains("cannot") && error.contains("now"), "{block}: {error}");
            assert!(Instant::now() < deadline, "{block}: {error}");
            if restarts {
                pair.method.reconnect(&pair.both(), DATABASE).unwrap();
            }
            exchange(pair);
        }
    }
}

/// Runs a block that connects to one node after the other.
fn in_one_session(pair: &Pair, block: &str) -> String {
    let connect = |node: usize| format!("\\connect '{}'", pair.servers[node].conninfo(DATABASE));
    let block = block
        .replace("\\connect 'host=one dbname=shop'", &connect(0))
        .replace("\\connect 'host=two dbname=shop'", &connect(1));
    psql(pair, 0, &block).unwrap_or_else(|error| panic!("{block}: {error}"))
}

/// Closes all nodes, and changes the form of rows.
fn change(pair: &Pair, block: &str) {
    pair.catch_up();
    for node in [0, 1] {
        psql(pair, node, blocks("5. Cut over")[0]).unwrap();
    }
    exchange(pair);
    on_both(pair, block, false);
    pair.catch_up();
    exchange(pair);
}

#[test]
fn the_guide_is_followed() {
    let pair = Pair::start(ORDERS);
    let work = || {
        let create = blocks("1. Create and prepare");
        for node in [0, 1] {
            psql(&pair, node, create[0]).unwrap();
        }
        exchange(&pair);
        on_both(&pair, create[1], true);
        exchange(&pair);
        exchange(&pair);
        on_both(&pair, blocks("2. Fill")[0], true);
        pair.catch_up();
        exchange(&pair);
        let compare = blocks("3. Compare");
        in_one_session(&pair, compare[0]);
        // All parts, instead of the two of the guide.
        let parts = (0..16_384).map(|part| part.to_string()).collect::<Vec<_>>().join(",");
        let of_parts = compare[1].replace("17, 4711", &parts);
        let found = in_one_session(&pair, &of_parts);
        assert!(!found.contains("keys differ"), "{found}");
        in_one_session(&pair, &format!("{of_parts}\n{}", compare[2]));
        // "Compare again from the beginning."
        pair.catch_up();
        exchange(&pair);
        in_one_session(&pair, compare[0]);
        in_one_session(&pair, &of_parts);
        let verify = blocks("4. Indexes, and the comparison on each node")[0];
        on_both(&pair, verify, true);
        let cut_over = blocks("5. Cut over")[1];
        change(&pair, cut_over);
        change(&pair, blocks("6. Go back")[0]);
        on_both(&pair, verify, true);
        change(&pair, cut_over);
        let finalize = blocks("7. Finalize, weeks later")[0];
        on_both(&pair, finalize, true);
        change(&pair, finalize);
        Ok(())
    };
    let (written, ()) = load::alongside(vec![writer(&pair, 0), writer(&pair, 1)], work).unwrap();
    assert!(written.iter().all(|(inserted, _)| *inserted > 20), "{written:?}");
    assert_same(&pair, &mut pair.clients(), &written, "at the end");
}
