//! The program, called as a user calls it, and servers with a small schema.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use pg_test::{CLIENT_VARIABLE, InstallTree, Server};
use postgres::Client;
use serde_json::Value;

pub const DATABASE: &str = "postgres";

const SCHEMA: &str = "
    CREATE EXTENSION pg_keyspace;
    CREATE TABLE item (id bigserial PRIMARY KEY, made_by text);
    CREATE TABLE note (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, made_by text);
";

/// Starts a server with the schema.
pub fn start(name: &str) -> Server {
    start_with(name, &[])
}

/// The same with settings.
pub fn start_with(name: &str, settings: &[&str]) -> Server {
    let server = Server::start(&InstallTree::from_environment().unwrap(), name, settings).unwrap();
    run(&server, SCHEMA);
    server
}

/// Runs statements on a server.
pub fn run(server: &Server, statements: &str) {
    server.connect(DATABASE).unwrap().batch_execute(statements).unwrap();
}

/// The only value of a query.
pub fn value<T: postgres::types::FromSqlOwned>(server: &Server, query: &str) -> T {
    server.connect(DATABASE).unwrap().query_one(query, &[]).unwrap().get(0)
}

/// The class of a server, as `1 of 2`; empty if it is not set up.
pub fn class(server: &Server) -> String {
    value(server, "SELECT coalesce((SELECT node || ' of ' || nodes FROM interleaved_node), '')")
}

/// The program with its nodes.
pub struct Program {
    directory: tempfile::TempDir,
    nodes: Vec<String>,
}

/// What a call has ended with.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Program {
    /// A directory for its log, and no node yet.
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), nodes: Vec::new() }
    }

    /// The nodes are servers under their names.
    pub fn of(servers: &[&Server]) -> Self {
        servers
            .iter()
            .fold(Self::new(), |program, server| program.with(server.name(), &server.conninfo(DATABASE)))
    }

    /// One more node.
    pub fn with(mut self, name: &str, conninfo: &str) -> Self {
        self.nodes.push(format!("{name}={conninfo}"));
        self
    }

    /// The home directory of its user.
    pub fn home(&self) -> &Path {
        self.directory.path()
    }

    /// The log.
    pub fn log(&self) -> PathBuf {
        self.directory.path().join(".local/state/pg_keyspace/log")
    }

    /// A call that has not begun.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let program = std::env::var_os(CLIENT_VARIABLE)
            .expect("the client is not built; run \"cargo xtask test --only cluster\"");
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("PG") || name.starts_with("XDG_")) {
                command.env_remove(name);
            }
        }
        for node in &self.nodes {
            command.arg("--node").arg(node);
        }
        command.args(arguments).env("HOME", self.home()).current_dir(self.home());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Calls the program.
    pub fn call(&self, arguments: &[&str]) -> Ended {
        Ended::of(self.command(arguments).output().unwrap())
    }

    /// Calls the program, which has to end with this code. Returns what it prints.
    pub fn expect(&self, code: i32, arguments: &[&str]) -> Ended {
        let ended = self.call(arguments);
        assert_eq!(ended.code, Some(code), "{arguments:?}\n{}\n{}", ended.stdout, ended.stderr);
        ended
    }

    /// The same, with its result as JSON.
    pub fn json(&self, code: i32, arguments: &[&str]) -> Value {
        let ended = self.expect(code, &[arguments, &["--json"]].concat());
        serde_json::from_str(&ended.stdout).unwrap()
    }

    /// Begins a call.
    pub fn begin(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().unwrap()
    }
}

impl Ended {
    /// The end of a process.
    pub fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// The error has to be one clear line, with details and hints in lines of their own.
    pub fn assert_error(&self, message: &str) {
        let errors: Vec<&str> = self.stderr.lines().filter(|line| line.contains("error: ")).collect();
        assert_eq!(errors.len(), 1, "{}", self.stderr);
        assert!(errors[0].contains(message), "{}", self.stderr);
        assert!(!self.stderr.contains("panicked") && self.stdout.is_empty(), "{self:?}");
    }
}

/// The findings of a check, as severity and finding.
pub fn findings(result: &Value) -> Vec<String> {
    let findings = result["findings"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let of = |one: &Value| format!("{}: {}", text(&one["severity"]), text(&one["finding"]));
    findings.iter().map(of).filter(|finding| !finding.starts_with("info")).collect()
}

/// Inserts rows into every table. Returns their keys, by table.
pub fn insert(client: &mut Client, rows: usize) -> Vec<(&'static str, i64)> {
    let mut keys = Vec::new();
    for _ in 0..rows {
        for table in ["item", "note"] {
            let insert = format!("INSERT INTO {table} (made_by) VALUES ('node') RETURNING id::bigint");
            keys.push((table, client.query_one(&insert, &[]).unwrap().get(0)));
        }
    }
    keys
}

/// Inserts on a server, whose keys must be new and of its class.
pub fn insert_of(server: &Server, (node, nodes): (i64, i64), seen: &mut HashSet<(&'static str, i64)>) {
    for key in insert(&mut server.connect(DATABASE).unwrap(), 10) {
        assert_eq!(key.1.rem_euclid(nodes), node % nodes, "{key:?} is not of node {node} of {nodes}");
        assert!(seen.insert(key), "{key:?} was generated twice");
    }
}

/// Waits for a condition.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what} did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}
