//! However a test ends, nothing is left of its servers: no process, no directory, no shared memory.
//!
//! The test runs itself as another process, which starts a server, pauses it and waits to be ended.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pg_test::{InstallTree, Run, Server};

/// The task of the other process.
const VARIABLE: &str = "PG_KEYSPACE_TEST_LEFT_TO_DIE";

/// The number of the server's System V segment, from the file that locks its directory.
fn segment(directory: &Path) -> String {
    let lines = std::fs::read_to_string(directory.join("data/postmaster.pid")).unwrap();
    lines.lines().nth(6).unwrap().split_whitespace().nth(1).unwrap().to_owned()
}

fn segment_exists(id: &str) -> bool {
    let segments = std::fs::read_to_string("/proc/sysvipc/shm").unwrap();
    segments.lines().any(|line| line.split_whitespace().nth(1) == Some(id))
}

/// Counts the processes whose programs are in a directory.
fn processes_of(directory: &Path) -> usize {
    let program = |entry: std::fs::DirEntry| std::fs::read_link(entry.path().join("exe")).ok();
    let programs = std::fs::read_dir("/proc").unwrap().flatten().filter_map(program);
    programs.filter(|program| program.starts_with(directory)).count()
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Not a test of its own: the task of the other process.
#[test]
fn left_to_die() {
    let Ok(way) = std::env::var(VARIABLE) else { return };
    let server = Server::start(&InstallTree::from_environment().unwrap(), "server", &[]).unwrap();
    println!("\n{VARIABLE} {}", server.socket_dir().display());
    if way == "panic" {
        server.pause().unwrap();
        panic!("as a test does that fails");
    }
    if way == "paused" {
        server.pause().unwrap();
    }
    std::thread::sleep(Duration::from_secs(120));
}

/// Starts the other process; returns it, its server's directory, and the number of the segment.
fn start(way: &str) -> (Child, PathBuf, String) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "left_to_die", "--nocapture"])
        .env(VARIABLE, way)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut output =
        lines.filter_map(|line| line.strip_prefix(VARIABLE).map(|rest| PathBuf::from(rest.trim())));
    let directory = output.next().expect("the directory of the server");
    let id = segment(&directory);
    (child, directory, id)
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
}

#[test]
fn nothing_is_left_after_an_interrupt_running_or_paused() {
    for way in ["running", "paused"] {
        let (mut child, directory, id) = start(way);
        let run = directory.parent().unwrap();
        assert!(processes_of(run) > 1 && segment_exists(&id));
        signal(&child, Signal::SIGINT);
        assert_eq!(child.wait().unwrap().code(), Some(130), "{way}");
        wait_for("processes are left", || processes_of(run) == 0);
        assert!(!run.exists() && !segment_exists(&id), "{way}");
    }
}

#[test]
fn nothing_is_left_after_a_panic() {
    let (mut child, directory, id) = start("panic");
    assert!(!child.wait().unwrap().success());
    let run = directory.parent().unwrap();
    wait_for("processes are left", || processes_of(run) == 0);
    assert!(!run.exists() && !segment_exists(&id));
}

#[test]
fn nothing_is_left_of_a_run_that_was_killed_once_the_next_begins() {
    for way in ["running", "paused"] {
        let (mut child, directory, id) = start(way);
        signal(&child, Signal::SIGKILL);
        child.wait().unwrap();
        let run = directory.parent().unwrap();
        // The kernel signals the servers, but paused ones may not react.
        if way == "running" {
            wait_for("processes are left", || processes_of(run) == 0);
        }
        // A concurrent test may have begun the removal before us.
        drop(Run::new(false).unwrap());
        wait_for("something is left", || processes_of(run) == 0 && !run.exists() && !segment_exists(&id));
    }
}

#[test]
fn nothing_is_left_of_a_server_all_of_whose_processes_were_killed() {
    let tree = InstallTree::from_environment().unwrap();
    let mut server = Server::start(&tree, "server", &["synchronous_commit = on"]).unwrap();
    let mut client = server.connect("postgres").unwrap();
    client.batch_execute("CREATE TABLE t AS SELECT 1 AS one").unwrap();
    server.pause().unwrap();
    server.resume().unwrap();
    client.batch_execute("INSERT INTO t VALUES (2)").unwrap();
    server.kill9_all().unwrap();
    assert!(client.batch_execute("SELECT 1").is_err());
    assert_eq!(processes_of(tree.run().directory()), 0);
    server.launch().unwrap();
    let mut client = server.connect("postgres").unwrap();
    assert_eq!(client.query_one("SELECT count(*) FROM t", &[]).unwrap().get::<_, i64>(0), 2);
    let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[]).unwrap().get(0);
    server.kill9_backend(pid).unwrap();
    wait_for("the server does not recover", || server.connect("postgres").is_ok());
    assert!(server.kill9_backend(1).is_err(), "none of its processes");
    let id = segment(server.socket_dir());
    // Parallel queries share a file in the data directory.
    let mut client = server.connect("postgres").unwrap();
    let kind: String = client.query_one("SHOW dynamic_shared_memory_type", &[]).unwrap().get(0);
    assert_eq!(kind, "mmap");
    server.kill9_all().unwrap();
    assert!(segment_exists(&id), "the kernel keeps it for the next start");
    drop(server);
    assert!(!segment_exists(&id));
}
