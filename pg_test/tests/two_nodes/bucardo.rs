//! Bucardo, which replicates by ordinary sessions and copies the positions of sequences.

use std::path::PathBuf;
use std::process::Output;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pg_test::{InstallTree, Server, number, skip};
use postgres::Client;

const NODES: [&str; 2] = ["shop1", "shop2"];

/// The sequences of the schema.
const SEQUENCES: [&str; 2] = ["public.orders_id_seq", "public.item_id_seq"];

/// The files that Bucardo's installer and its daemon read.
const PROGRAM: &str = "/usr/bin/bucardo";

/// A Bucardo that replicates two databases of a server in both directions. It ends with this value.
struct Bucardo<'a> {
    server: &'a Server,
    directory: PathBuf,
}

impl<'a> Bucardo<'a> {
    /// Installs it on the server, with a sync of all tables and of all sequences.
    fn install(server: &'a Server) -> Self {
        let directory = server.tree().run().make_directory("bucardo").unwrap();
        let bucardo = Self { server, directory };
        let place = bucardo.directory.display().to_string();
        let pid_dir = format!("--pid-dir={place}");
        bucardo.run_as("postgres", "postgres", &["install", "--batch", &pid_dir]);
        // A trigger on its settings would change the case of the directory.
        let mut client = server.connect("bucardo").unwrap();
        client.batch_execute("ALTER TABLE bucardo.bucardo_config DISABLE TRIGGER USER").unwrap();
        for (setting, value) in [("piddir", ""), ("reason_file", "/reason"), ("warning_file", "/warning")] {
            let update = "UPDATE bucardo.bucardo_config SET setting = $1 WHERE name = $2";
            client.execute(update, &[&format!("{place}{value}"), &setting]).unwrap();
        }
        for database in NODES {
            let host = format!("dbhost={}", server.socket_dir().display());
            let name = format!("dbname={database}");
            bucardo.run(&["add", "db", database, &name, &host, "dbport=5432", "dbuser=bucardo"]);
        }
        for all in ["tables", "sequences"] {
            bucardo.run(&["add", "all", all, "db=shop1", "relgroup=shop"]);
        }
        bucardo.run(&["add", "sync", "shop", "relgroup=shop", "dbs=shop1:source,shop2:source"]);
        bucardo
    }

    fn start(&self) {
        let log = format!("--log-destination={}", self.directory.display());
        self.run(&["start", &log]);
    }

    /// Replicates what has changed, and waits until that is done.
    fn kick(&self) {
        // Bucardo may restart the sync shortly after its own start, which ends a kick.
        for _ in 0..5 {
            let output = self.command("bucardo", "bucardo", &["kick", "shop", "60"]);
            let text = String::from_utf8_lossy(&output.stdout);
            if text.contains("KILLED") {
                continue;
            }
            assert!(output.status.success() && text.contains("DONE"), "{text}\n{}", self.log());
            return;
        }
        panic!("each kick was ended\n{}", self.log());
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.run_as("bucardo", "bucardo", arguments)
    }

    fn run_as(&self, user: &str, database: &str, arguments: &[&str]) -> Output {
        let output = self.command(user, database, arguments);
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "bucardo {arguments:?}: {stdout}{stderr}{}", self.log());
        output
    }

    fn command(&self, user: &str, database: &str, arguments: &[&str]) -> Output {
        let mut command = self.server.tree().run().command(PROGRAM.as_ref());
        command
            .arg("--no-bucardorc")
            .arg(format!("--dbhost={}", self.server.socket_dir().display()))
            .args(["--dbport=5432".to_owned(), format!("--dbuser={user}"), format!("--dbname={database}")])
            .args(arguments);
        command.output().unwrap()
    }

    /// Its processes that are alive, by their files.
    fn processes(&self) -> Vec<Pid> {
        let entries = std::fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let files = entries.filter(|entry| entry.path().extension().is_some_and(|name| name == "pid"));
        files
            .filter_map(|file| std::fs::read_to_string(file.path()).ok()?.lines().next()?.trim().parse().ok())
            .map(Pid::from_raw)
            .filter(|process| kill(*process, None).is_ok())
            .collect()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log.bucardo")).unwrap_or_default()
    }
}

impl Drop for Bucardo<'_> {
    fn drop(&mut self) {
        // Its processes look for the file that this creates, and end.
        self.command("bucardo", "bucardo", &["stop"]);
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.processes().is_empty() && Instant::now() < deadline {
            sleep(Duration::from_millis(50));
        }
        for process in self.processes() {
            let _ = kill(process, Signal::SIGKILL);
        }
    }
}

fn is_installed(tree: &InstallTree) -> bool {
    std::path::Path::new(PROGRAM).is_file() && tree.has_extension("plperlu")
}

/// A database that is a node, with a guard on one of its two tables.
fn make_node(server: &Server, at: usize) -> Client {
    let database = NODES[at];
    let create = format!("CREATE DATABASE {database}");
    server.connect("postgres").unwrap().batch_execute(&create).unwrap();
    let mut client = server.connect(database).unwrap();
    client
        .batch_execute(
            "CREATE EXTENSION pg_keyspace;
             CREATE TABLE orders (id bigserial PRIMARY KEY, made_by text);
             CREATE TABLE item (id bigserial PRIMARY KEY, made_by text);",
        )
        .unwrap();
    set_up(&mut client, at);
    client.query("SELECT * FROM guard_interleaved_sequences(tables => '{orders}')", &[]).unwrap();
    client
}

fn set_up(client: &mut Client, at: usize) {
    let node = i32::try_from(at + 1).unwrap();
    client.query("SELECT * FROM setup_interleaved_sequences($1, 2)", &[&node]).unwrap();
}

fn insert(client: &mut Client, table: &str, by: &str) -> Result<i64, String> {
    let insert = format!("INSERT INTO {table} (made_by) VALUES ('{by}') RETURNING id");
    match client.query_one(&insert, &[]) {
        Ok(row) => Ok(row.get(0)),
        Err(error) => Err(error.code().unwrap().code().to_owned()),
    }
}

/// The errors that the check finds, and their hints.
fn errors(client: &mut Client) -> Vec<(String, String)> {
    let query =
        "SELECT finding, hint FROM check_interleaved_sequences() WHERE severity = 'error' ORDER BY 1, 2";
    client.query(query, &[]).unwrap().iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Bucardo sets every sequence to the furthest position of all databases, so all but one node leave
/// their class. The check finds that and says what to stop, and a guard refuses the ids.
#[test]
fn fault_d03_bucardo_copies_the_positions_of_sequences() {
    let tree = InstallTree::from_environment().unwrap();
    if !is_installed(&tree) {
        return skip(
            "fault_d03_bucardo_copies_the_positions_of_sequences",
            "needs Bucardo and PL/Perl (Debian's bucardo and postgresql-plperl-NN)",
        );
    }
    let server = Server::start(&tree, "both", &[]).unwrap();
    let mut nodes = [0, 1].map(|at| make_node(&server, at));
    let bucardo = Bucardo::install(&server);
    for _ in 0..5 {
        for table in ["orders", "item"] {
            assert_eq!(insert(&mut nodes[0], table, "one").unwrap() % 2, 1);
        }
    }
    assert_eq!(insert(&mut nodes[1], "item", "two").unwrap(), 2);
    for node in &mut nodes {
        assert_eq!(errors(node), []);
    }
    bucardo.start();
    bucardo.kick();
    for node in &mut nodes {
        assert_eq!(number(node, "SELECT count(*) FROM item").unwrap(), 6, "{}", bucardo.log());
        // Rows about another database are left out (fault D02).
        assert_eq!(number(node, "SELECT count(*) FROM keyspace_internal.interleaved_node").unwrap(), 1);
    }
    assert_eq!(errors(&mut nodes[0]), []);
    let found = errors(&mut nodes[1]);
    assert_eq!(found.len(), 2, "{found:?}");
    for (finding, hint) in &found {
        assert_eq!(finding, "wrong class");
        assert!(hint.contains("Bucardo"), "{hint}");
    }
    assert_eq!(insert(&mut nodes[1], "orders", "two"), Err("23514".to_owned()), "the guard");
    assert_eq!(insert(&mut nodes[1], "item", "two").unwrap() % 2, 1, "an id of the other node");
    // Without removing the sequences, the fault moves to the other node.
    set_up(&mut nodes[1], 1);
    assert_eq!(errors(&mut nodes[1]), []);
    assert_eq!(insert(&mut nodes[1], "orders", "two").unwrap() % 2, 0);
    bucardo.kick();
    assert_eq!(errors(&mut nodes[0]).first().map(|found| found.0.as_str()), Some("wrong class"));
    // What the guide says.
    for sequence in SEQUENCES {
        bucardo.run(&["remove", "sequence", sequence]);
    }
    bucardo.run(&["reload", "shop"]);
    for (at, node) in nodes.iter_mut().enumerate() {
        set_up(node, at);
    }
    for (at, node) in nodes.iter_mut().enumerate() {
        for table in ["orders", "item"] {
            assert_eq!(insert(node, table, "again").unwrap() % 2, 1 - at as i64);
        }
    }
    bucardo.kick();
    for node in &mut nodes {
        assert_eq!(errors(node), []);
        assert_eq!(number(node, "SELECT count(*) FROM orders").unwrap(), 8, "{}", bucardo.log());
    }
}
