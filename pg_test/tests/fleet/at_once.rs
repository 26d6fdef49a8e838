//! Two administrators with logs of their own, and what each of them cannot know of the other.

use nix::sys::signal::Signal;

use crate::interrupted::{running, signal};
use crate::program::{DATABASE, Ended, Program, class, run, start, value, wait_until};

/// Both name nodes one and two, and want to give class 3 to a node that the other does not name.
#[test]
fn two_runs_cannot_give_one_class_away() {
    let servers = ["one", "two", "three", "four"].map(start);
    let [one, two, three, four] = &servers;
    Program::of(&[one, two]).expect(0, &["setup", "--classes", "8"]);
    let first = Program::of(&[one, two, three]);
    let second = Program::of(&[four, two, one]);
    let add_four = ["add-node", "four", "--class", "3"];

    // A session holds a sequence of the new node of the first one, and draws nothing.
    let mut writer = three.connect(DATABASE).unwrap();
    writer.batch_execute("BEGIN; SELECT setval('item_id_seq', 1, false)").unwrap();
    let child = first.begin(&["add-node", "three", "--class", "3"]);
    wait_until("the set-up", || running(three) > 0);
    let refused = second.expect(2, &add_four);
    refused.assert_error("another run of pg_keyspace changes this node");
    let holder: i32 =
        value(one, "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'pg_keyspace add-node%'");
    for named in [
        format!("Process {holder} of role"),
        "(pg_keyspace add-node, ".to_owned(),
        format!("pg_terminate_backend({holder})"),
    ] {
        assert!(refused.stderr.contains(&named), "{named}: {}", refused.stderr);
    }
    assert_eq!(class(four), "");
    assert!(!second.log().exists(), "nothing has begun");
    // To look at the nodes, nobody waits.
    second.expect(0, &["add-node", "four", "--class", "4", "--dry-run"]);
    writer.batch_execute("COMMIT").unwrap();
    let ended = Ended::of(child.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);

    // Afterwards, the nodes that both name remember the one that only the first has named.
    second.expect(2, &add_four).assert_error("class 3 of 8 may belong to a node that is not named");
    second.expect(0, &["add-node", "four", "--class", "4"]);
    assert_eq!(servers.each_ref().map(class), ["1 of 8", "2 of 8", "3 of 8", "4 of 8"]);
}

/// The locks end with the program, however it ends.
#[test]
fn a_run_that_was_killed_locks_nobody_out() {
    let servers = ["one", "two"].map(start);
    let mut writer = servers[1].connect(DATABASE).unwrap();
    writer.batch_execute("BEGIN; INSERT INTO item DEFAULT VALUES").unwrap();
    let program = Program::of(&[&servers[0], &servers[1]]);
    let mut child = program.begin(&["setup", "--observe", "2"]);
    wait_until("the set-up", || running(&servers[1]) > 0);
    signal(&child, Signal::SIGKILL);
    child.wait().unwrap();
    writer.batch_execute("COMMIT").unwrap();
    // Another user, with another log.
    let other = Program::of(&[&servers[1], &servers[0]]);
    assert_eq!(other.json(0, &["setup", "--class", "one=1", "--observe", "2"])["goes_on"], false);
}

/// The lock is the owner's: nobody else can take it, and so nobody else can keep the owner away.
#[test]
fn an_ordinary_role_cannot_keep_the_owner_away() {
    let servers = ["one", "two"].map(start);
    run(&servers[0], "CREATE ROLE guest LOGIN");
    let mut guest = servers[0].connect_as("guest", DATABASE).unwrap();
    let refused = guest.batch_execute("SELECT keyspace_internal.lock_node()").unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "42501");
    // Advisory locks, which everybody can take, do not matter.
    let table: u32 = value(&servers[0], "SELECT 'keyspace_internal.interleaved_node'::regclass::oid");
    let table = table.cast_signed();
    guest.execute("SELECT pg_advisory_lock($1, $1)", &[&table]).unwrap();
    Program::of(&[&servers[0], &servers[1]]).expect(0, &["setup"]);
}

/// The owner of the databases, who has not installed the extension, and a role that owns nothing.
#[test]
fn an_owner_who_has_not_installed_the_extension_learns_of_other_nodes() {
    let servers = ["one", "two", "three"].map(start);
    for server in &servers {
        run(
            server,
            "CREATE ROLE owner LOGIN; ALTER DATABASE postgres OWNER TO owner; ALTER TABLE item OWNER TO owner; ALTER TABLE note OWNER TO owner;
             CREATE ROLE guest LOGIN",
        );
    }
    let [one, two, three] =
        servers.each_ref().map(|server| (server.name(), server.conninfo_of("owner", DATABASE)));
    let of = |nodes: &[&(&str, String)]| {
        nodes.iter().fold(Program::new(), |program, (name, conninfo)| program.with(name, conninfo))
    };
    of(&[&one, &two]).expect(0, &["setup"]);
    let refused = of(&[&one, &three]).expect(2, &["add-node", "three", "--class", "2"]);
    refused.assert_error("class 2 of 2 may belong to a node that is not named");
    let seen = |user: &str| -> i64 {
        let mut client = servers[0].connect_as(user, DATABASE).unwrap();
        client
            .query_one("SELECT count(*) FROM interleaved_peers WHERE (node, nodes) = (2, 2)", &[])
            .unwrap()
            .get(0)
    };
    assert_eq!((seen("owner"), seen("guest")), (1, 0));
}
