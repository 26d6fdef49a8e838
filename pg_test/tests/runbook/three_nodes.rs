//! Three nodes that replicate to each other: filled nodes are set up while clients write, a node is
//! added, one leaves, and the number of nodes is changed.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pg_test::load::{self, Count, Session, Turn};
use pg_test::replication::Method;
use pg_test::{InstallTree, Server, contents};

use crate::nodes::{
    DATABASE, assert_of, check, code, dump_schema, insert, restore_schema, set_up, start, state,
};

#[test]
fn trap_s34_a_node_is_added_and_one_leaves_while_all_replicate() {
    let tree = InstallTree::from_environment().unwrap();
    let method = Method::of(&tree).unwrap();
    let settings = method.settings(&tree).unwrap();
    let servers = ["one", "two", "three"].map(|name| start(name, &settings));
    let all: Vec<&Server> = servers.iter().collect();
    method.connect_all(&all, DATABASE).unwrap();
    let [one, two, three] = [all[0], all[1], all[2]];
    set_up(one, (1, 2), &[], 0).unwrap();
    set_up(two, (2, 2), &[state(one)], 0).unwrap();
    let mut seen = HashSet::new();
    let mut clients = [one, two, three].map(|server| server.connect(DATABASE).unwrap());
    for round in 0..3 {
        assert_of(&insert(&mut clients[0], 4), (1, 2), &mut seen);
        assert_of(&insert(&mut clients[1], 3 + round), (2, 2), &mut seen);
    }
    method.wait_until_applied(&all, DATABASE).unwrap();

    // Add: node 1 gives up half of its class, and the new node takes it. Node 2 does nothing.
    clients[0].batch_execute("SELECT split_interleaved_sequences(2)").unwrap();
    set_up(three, (3, 4), &[state(one), state(two)], 0).unwrap();
    for (server, others) in [(one, [two, three]), (two, [one, three]), (three, [one, two])] {
        assert_eq!(check(server, &others.map(state)), Vec::<String>::new());
    }
    for _ in 0..3 {
        for (at, class) in [(0, (1, 4)), (1, (2, 2)), (2, (3, 4))] {
            assert_of(&insert(&mut clients[at], 3), class, &mut seen);
        }
    }
    method.wait_until_applied(&all, DATABASE).unwrap();

    // Another class needs the states of the others. With them, the number of nodes is changed above
    // a common floor.
    assert_eq!(code(&set_up(one, (1, 3), &[], 0).unwrap_err()), "55000");
    for (server, others, class) in
        [(one, [two, three], (1, 3)), (two, [one, three], (2, 3)), (three, [one, two], (3, 3))]
    {
        set_up(server, class, &others.map(state), 1_000).unwrap();
    }
    for (server, others) in [(one, [two, three]), (two, [one, three]), (three, [one, two])] {
        assert_eq!(check(server, &others.map(state)), Vec::<String>::new());
    }
    for (at, class) in [(0, (1, 3)), (1, (2, 3)), (2, (3, 3))] {
        assert_of(&insert(&mut clients[at], 5), class, &mut seen);
    }

    // Leave: once its rows have arrived, a node stops writing. Its class stays unused.
    method.wait_until_applied(&all, DATABASE).unwrap();
    let equal = |a: &Server, b: &Server| contents(a, DATABASE).unwrap() == contents(b, DATABASE).unwrap();
    assert!(equal(one, two) && equal(one, three));
    clients[2].batch_execute("ALTER DATABASE postgres SET default_transaction_read_only = on").unwrap();
    for (at, class) in [(0, (1, 3)), (1, (2, 3))] {
        assert_of(&insert(&mut clients[at], 5), class, &mut seen);
    }
    method.wait_until_applied(&all, DATABASE).unwrap();
    assert!(equal(one, two) && equal(one, three));
    for server in &all {
        let found = method.conflicts(server, DATABASE).unwrap();
        assert!(found.is_clean(), "{}: {found:?}", server.name());
    }
}

/// The schema of server 3 was dumped from server 1 when there were two nodes. When it is set up, no
/// node has that increment any more, but their states tell that set-ups gave it.
#[test]
fn trap_s13_a_schema_from_before_a_change_of_the_number_of_nodes_is_recognised() {
    let tree = InstallTree::from_environment().unwrap();
    let servers = ["one", "two"].map(|name| start(name, &[]));
    let [one, two] = [&servers[0], &servers[1]];
    set_up(one, (1, 2), &[], 0).unwrap();
    set_up(two, (2, 2), &[state(one)], 0).unwrap();
    let mut seen = HashSet::new();
    let mut clients = [one, two].map(|server| server.connect(DATABASE).unwrap());
    for (client, class) in clients.iter_mut().zip([(1, 2), (2, 2)]) {
        // Nothing has drawn from this one, neither before a set-up nor after it.
        client.batch_execute("CREATE TABLE later (id bigserial PRIMARY KEY)").unwrap();
        assert_of(&insert(client, 5), class, &mut seen);
    }
    set_up(one, (1, 2), &[state(two)], 0).unwrap();
    set_up(two, (2, 2), &[state(one)], 0).unwrap();
    let schema = dump_schema(one);
    for (server, other, class) in [(one, two, (1, 3)), (two, one, (2, 3))] {
        set_up(server, class, &[state(other)], 1_000).unwrap();
    }

    let three = Server::start(&tree, "three", &[]).unwrap();
    restore_schema(&three, &schema);
    let mut client = three.connect(DATABASE).unwrap();
    let increments = "SELECT DISTINCT seqincrement FROM pg_sequence";
    let increments: Vec<i64> = client.query(increments, &[]).unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(increments, [2]);
    // Without states nothing tells, and the sequences are left alone.
    let alone = set_up(&three, (3, 3), &[], 0).unwrap();
    assert_eq!(alone.len(), 4);
    assert!(alone.values().all(|action| action.starts_with("skipped: increment 2 kept")), "{alone:?}");
    let done = set_up(&three, (3, 3), &[state(one), state(two)], 0).unwrap();
    assert_eq!(done.len(), 4);
    assert!(done.values().all(|action| action.starts_with("altered: increment 2 to 3")), "{done:?}");
    clients[0].batch_execute("INSERT INTO later DEFAULT VALUES").unwrap();
    for (client, class) in clients.iter_mut().chain([&mut client]).zip([(1, 3), (2, 3), (3, 3)]) {
        assert_of(&insert(client, 5), class, &mut seen);
    }
    for (server, others) in [(one, [two, &three]), (two, [one, &three]), (&three, [one, two])] {
        assert_eq!(check(server, &others.map(state)), Vec::<String>::new());
    }
}

/// Two filled nodes in use: states are exchanged, each is set up while clients write, and the check
/// proves the result.
#[test]
fn trap_s43_filled_nodes_are_set_up_while_clients_write() {
    let servers = ["one", "two"].map(|name| start(name, &[]));
    let rows = "INSERT INTO item SELECT i FROM generate_series(1, 500) i; SELECT setval('item_id_seq', 500)";
    for (server, more) in servers.iter().zip([0, 70]) {
        let mut client = server.connect(DATABASE).unwrap();
        client.batch_execute(rows).unwrap();
        client.query("SELECT nextval('item_id_seq') FROM generate_series(1, $1)", &[&more]).unwrap();
    }
    let states = [state(&servers[0]), state(&servers[1])];
    let is_set_up = [AtomicBool::new(false), AtomicBool::new(false)];
    let after_set_up = [Count::default(), Count::default()];
    let mut writers: Vec<Session<'_, Turn<(usize, bool, i64)>>> = Vec::new();
    for (at, server) in servers.iter().enumerate() {
        let (is_set_up, after_set_up) = (&is_set_up[at], &after_set_up[at]);
        let mut client = server.connect(DATABASE).unwrap();
        writers.push(Box::new(move |stop| {
            load::paced(stop, Duration::ZERO, (0, 1), || {
                let after = is_set_up.load(Ordering::SeqCst);
                let row = client.query_one("INSERT INTO item DEFAULT VALUES RETURNING id", &[])?;
                if after {
                    after_set_up.add();
                }
                Ok((at, after, row.get(0)))
            })
        }));
    }
    let (written, ()) = load::alongside(writers, || {
        for (at, node) in [(1, 2), (0, 1)] {
            let call = format!(
                "CALL setup_interleaved_sequences_in_batches({node}, 2, peers => ARRAY[$${}$$::jsonb], gap => 1000000)",
                states[1 - at]
            );
            servers[at].connect(DATABASE)?.batch_execute(&call)?;
            is_set_up[at].store(true, Ordering::SeqCst);
        }
        after_set_up.iter().try_for_each(|count| count.wait_for(50))
    })
    .unwrap();
    for (at, other) in [(0, 1), (1, 0)] {
        // Tables were filled without replication, so each contains only the rows of its own node.
        assert_eq!(check(&servers[at], &[state(&servers[other])]), Vec::<String>::new());
    }
    let keys = |of: usize, only_after: bool| -> HashSet<i64> {
        let turns = written.iter().map(|turn| turn.result);
        let wanted = turns.filter(|(at, after, _)| *at == of && (*after || !only_after));
        wanted.map(|(_, _, key)| key).collect()
    };
    for (at, other) in [(0, 1), (1, 0)] {
        let is_disjoint = keys(at, true).is_disjoint(&keys(other, false));
        assert!(is_disjoint, "a value of a node that was set up was generated by the other, too");
    }
}
