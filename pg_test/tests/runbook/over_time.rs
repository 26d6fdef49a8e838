//! What the states of nodes show over time: a gap that is computed, and the last state of a node
//! that has left.

use std::collections::HashSet;

use pg_test::Server;
use postgres::Client;

use crate::nodes::{DATABASE, assert_of, check, code, insert, set_up, start, state};

/// The state of a node, as if it had been taken so many seconds ago.
fn state_of(server: &Server, seconds_ago: f64) -> String {
    let query = "SELECT (s || jsonb_build_object('time', to_char((clock_timestamp() - make_interval(secs => $1)) AT TIME ZONE 'UTC',
                                                              'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')))::text
                 FROM interleaved_node_state() AS s";
    server.connect(DATABASE).unwrap().query_one(query, &[&seconds_ago]).unwrap().get(0)
}

/// A set-up without a gap. Returns the action for each sequence.
fn set_up_without_gap(
    server: &Server,
    (node, nodes): (i32, i32),
    peers: &[String],
) -> Result<Vec<String>, postgres::Error> {
    let query = "SELECT action FROM setup_interleaved_sequences($1, $2, peers => $3::text[]::jsonb[])";
    let rows = server.connect(DATABASE).unwrap().query(query, &[&node, &nodes, &peers])?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Draws values that are never stored. Returns them.
fn draw(client: &mut Client, values: i64) -> Vec<(&'static str, i64)> {
    let query = "SELECT nextval('item_id_seq') FROM generate_series(1, $1::bigint)";
    client.query(query, &[&values]).unwrap().iter().map(|row| ("item", row.get(0))).collect()
}

/// The state of a node that has left.
fn left(state: &str) -> String {
    state.replacen('{', "{\"left\": true, ", 1)
}

/// Two databases in use, set up with two states of each other: nobody guesses how many ids they
/// use.
#[test]
fn fault_b16_two_filled_nodes_are_set_up_without_a_gap() {
    let servers = ["one", "two"].map(|name| start(name, &[]));
    let mut clients = [0, 1].map(|at| servers[at].connect(DATABASE).unwrap());
    let rows = "INSERT INTO item SELECT i FROM generate_series(1, 500) i; SELECT setval('item_id_seq', 500)";
    clients.iter_mut().for_each(|client| client.batch_execute(rows).unwrap());
    draw(&mut clients[0], 4_000);
    let before = [0, 1].map(|at| state_of(&servers[at], 100.0));
    // Ten ids in a second on one of them, sixty on the other.
    draw(&mut clients[0], 500);
    draw(&mut clients[1], 3_000);
    let states = [0, 1].map(|at| state_of(&servers[at], 50.0));
    // They go on at the same pace, up to their set-ups.
    let mut given = [draw(&mut clients[0], 500), draw(&mut clients[1], 3_000)];
    set_up_without_gap(&servers[1], (2, 2), &[before[0].clone(), states[0].clone()]).unwrap();
    given[0].extend(draw(&mut clients[0], 400));
    given[1].extend(draw(&mut clients[1], 200));
    set_up_without_gap(&servers[0], (1, 2), &[before[1].clone(), states[1].clone()]).unwrap();
    let mut seen = HashSet::new();
    let after = [0, 1].map(|at| draw(&mut clients[at], 500));
    assert_of(&after[0], (1, 2), &mut seen);
    assert_of(&after[1], (2, 2), &mut seen);
    for key in given.iter().flatten().filter(|key| key.1 > 0) {
        assert!(!after.iter().flatten().any(|other| other == key), "{key:?} was given twice");
    }
    for (at, other) in [(0, 1), (1, 0)] {
        assert_eq!(check(&servers[at], &[state(&servers[other])]), Vec::<String>::new());
    }
}

/// Nodes of two classes move to three, and each value of them is two ids.
#[test]
fn fault_b16_the_number_of_nodes_is_changed_without_a_gap() {
    let servers = ["one", "two"].map(|name| start(name, &[]));
    set_up(&servers[0], (1, 2), &[], 0).unwrap();
    set_up(&servers[1], (2, 2), &[state(&servers[0])], 0).unwrap();
    let mut clients = [0, 1].map(|at| servers[at].connect(DATABASE).unwrap());
    let (mut seen, class) = (HashSet::new(), [(1, 2), (2, 2)]);
    let mut work = |clients: &mut [Client; 2], values: i64| {
        for at in 0..2 {
            assert_of(&draw(&mut clients[at], values), class[at], &mut seen);
        }
    };
    work(&mut clients, 300);
    let before = [0, 1].map(|at| state_of(&servers[at], 100.0));
    work(&mut clients, 300);
    let states = [0, 1].map(|at| state_of(&servers[at], 50.0));
    work(&mut clients, 300);
    // What a node draws is half of the ids that it uses: a gap of the draws is refused.
    let states_of = |at: usize| [before[at].clone(), states[at].clone()];
    assert_eq!(code(&set_up(&servers[0], (1, 3), &states_of(1), 300).unwrap_err()), "55000");
    set_up_without_gap(&servers[0], (1, 3), &states_of(1)).unwrap();
    assert_of(&draw(&mut clients[1], 200), (2, 2), &mut seen);
    assert_of(&draw(&mut clients[0], 200), (1, 3), &mut seen);
    set_up_without_gap(&servers[1], (2, 3), &states_of(0)).unwrap();
    assert_of(&draw(&mut clients[0], 300), (1, 3), &mut seen);
    assert_of(&draw(&mut clients[1], 300), (2, 3), &mut seen);
    assert_eq!(check(&servers[0], &[state(&servers[1])]), Vec::<String>::new());
}

/// Node 3 of 3 leaves, and its class is given to another server.
#[test]
fn fault_b17_the_class_of_a_node_that_has_left_is_given_away() {
    let servers = ["one", "three", "four"].map(|name| start(name, &[]));
    let [one, three, four] = &servers;
    set_up(one, (1, 3), &[], 0).unwrap();
    set_up(three, (3, 3), &[state(one)], 0).unwrap();
    let mut seen = HashSet::new();
    let mut client = three.connect(DATABASE).unwrap();
    assert_of(&insert(&mut client, 20), (3, 3), &mut seen);
    // Values that are in no table.
    assert_of(&draw(&mut client, 100), (3, 3), &mut seen);
    let last = state(three);
    let with = |last: &str| [state(one), last.to_owned()];
    assert_eq!(code(&set_up(four, (3, 3), &with(&last), 0).unwrap_err()), "55000");
    set_up(four, (3, 3), &with(&left(&last)), 0).unwrap();
    assert_eq!(check(four, &with(&left(&last))), Vec::<String>::new());
    assert_of(&insert(&mut four.connect(DATABASE).unwrap(), 30), (3, 3), &mut seen);
    assert_eq!(check(one, &[state(four)]), Vec::<String>::new());
}

/// The same after a reset, which forgets what the sequences had handed out.
#[test]
fn fault_b17_the_class_of_a_node_that_was_reset_is_given_away() {
    let servers = ["one", "three", "four"].map(|name| start(name, &[]));
    let [one, three, four] = &servers;
    set_up(one, (1, 3), &[], 0).unwrap();
    set_up(three, (3, 3), &[state(one)], 0).unwrap();
    let mut seen = HashSet::new();
    let mut client = three.connect(DATABASE).unwrap();
    assert_of(&insert(&mut client, 20), (3, 3), &mut seen);
    assert_of(&draw(&mut client, 100), (3, 3), &mut seen);
    client.batch_execute("SELECT reset_interleaved_sequences()").unwrap();
    let peers = [state(one), left(&state(three))];
    set_up(four, (3, 3), &peers, 0).unwrap();
    assert_eq!(check(four, &peers), Vec::<String>::new());
    assert_of(&insert(&mut four.connect(DATABASE).unwrap(), 30), (3, 3), &mut seen);
}

/// A copy of a copy takes a class that its origin has freed.
#[test]
fn fault_b18_a_copy_of_a_copy_takes_a_class_that_a_split_has_freed() {
    let server = start("server", &[]);
    set_up(&server, (1, 2), &[], 0).unwrap();
    let mut seen = HashSet::new();
    let mut origin = server.connect(DATABASE).unwrap();
    assert_of(&insert(&mut origin, 5), (1, 2), &mut seen);
    let copy = |from: &str, name: &str| {
        let create = format!("CREATE DATABASE {name} TEMPLATE {from}");
        server.connect("template1").unwrap().batch_execute(&create).unwrap();
    };
    let state_in = |database: &str| -> String {
        let query = "SELECT interleaved_node_state()::text";
        server.connect(database).unwrap().query_one(query, &[]).unwrap().get(0)
    };
    let set_up_in = |database: &str, node: i32, nodes: i32, peers: &[String]| {
        let query = "SELECT FROM setup_interleaved_sequences($1, $2, peers => $3::text[]::jsonb[])";
        server.connect(database).unwrap().query(query, &[&node, &nodes, &peers])
    };
    // No session may use a template.
    drop(origin);
    copy(DATABASE, "copy");
    set_up_in("copy", 2, 2, &[state_in(DATABASE)]).unwrap();
    copy("copy", "second");
    let before = state_in(DATABASE);
    let mut origin = server.connect(DATABASE).unwrap();
    assert_of(&draw(&mut origin, 50), (1, 2), &mut seen);
    origin.batch_execute("SELECT split_interleaved_sequences(2)").unwrap();
    let peers = |state: &str| [state.to_owned(), state_in("copy")];
    assert_eq!(code(&set_up_in("second", 3, 4, &[]).unwrap_err()), "55000");
    assert_eq!(code(&set_up_in("second", 3, 4, &peers(&before)).unwrap_err()), "55000");
    let [after, of_copy] = peers(&state_in(DATABASE));
    // The state from before the split does no harm next to a later one.
    set_up_in("second", 3, 4, &[before, after, of_copy]).unwrap();
    assert_of(&insert(&mut origin, 30), (1, 4), &mut seen);
    assert_of(&insert(&mut server.connect("copy").unwrap(), 30), (2, 2), &mut seen);
    assert_of(&insert(&mut server.connect("second").unwrap(), 30), (3, 4), &mut seen);
}
