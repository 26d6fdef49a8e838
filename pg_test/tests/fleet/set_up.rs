//! `setup`, `status` and `check`.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pg_test::Server;
use pg_test::load::{self, Count, Session, Turn};

use crate::program::{DATABASE, Program, class, findings, insert, insert_of, run, start, value};

#[test]
fn fresh_nodes_are_numbered_in_order_and_proven() {
    let servers = ["one", "two", "three"].map(start);
    let all: Vec<&Server> = servers.iter().collect();
    let program = Program::of(&all);
    // Before: no node, which is an error of the check.
    assert!(findings(&program.json(1, &["check"])).contains(&"error: no node".to_owned()));
    let shown = program.json(0, &["setup", "--classes", "4", "--dry-run"]);
    assert_eq!(shown["nodes"][2]["class"], "3 of 4");
    assert_eq!(shown["nodes"][2]["changes"][0]["action"], "planned");
    assert!(all.iter().all(|server| class(server).is_empty()), "a dry run changes nothing");
    assert!(!program.log().exists(), "a dry run writes no log");

    let result = program.json(0, &["setup", "--classes", "4"]);
    assert_eq!(result["check"]["nodes"], 3);
    assert_eq!(result["check"]["pairs"].as_array().unwrap().len(), 3);
    assert_eq!(findings(&result["check"]), Vec::<String>::new());
    let mut seen = HashSet::new();
    for (at, server) in all.iter().enumerate() {
        let number = i64::try_from(at + 1).unwrap();
        assert_eq!(class(server), format!("{number} of 4"));
        insert_of(server, (number, 4), &mut seen);
    }
    // Again: there is nothing to do, and nothing to observe, although all are in use.
    let again = program.expect(0, &["setup", "--classes", "4"]);
    assert!(!again.stderr.contains("observing"), "{}", again.stderr);
    assert!(!again.stdout.contains("Repaired"), "{}", again.stdout);
    assert!(again.stdout.contains("no two of them will generate the same value"), "{}", again.stdout);
    let status = program.json(0, &["status"]);
    assert_eq!(status["nodes"][1]["class"], serde_json::json!([2, 4]));
    assert_eq!(status["nodes"][1]["sequences"]["in_order"], 2);
    // A class that nobody has is not taken for free.
    let four = start("four");
    let with_four = Program::of(&[&servers[0], &servers[1], &servers[2], &four]);
    with_four
        .expect(2, &["setup", "--classes", "4"])
        .assert_error("the class of node \"four\" is not specified");
    assert_eq!(class(&four), "");
    with_four.expect(0, &["setup", "--classes", "4", "--class", "four=4"]);
    assert_eq!(class(&four), "4 of 4");
    insert_of(&four, (4, 4), &mut seen);
}

/// A sequence that was moved, and one that is new, are repaired, and both are named.
#[test]
fn what_is_repaired_is_shown() {
    let servers = ["one", "two"].map(start);
    let program = Program::of(&[&servers[0], &servers[1]]);
    program.expect(0, &["setup"]);
    run(&servers[0], "SELECT setval('item_id_seq', 1000)");
    servers.iter().for_each(|server| run(server, "CREATE TABLE later (id bigserial)"));
    assert!(findings(&program.json(1, &["check"])).contains(&"error: wrong class".to_owned()));
    let status = program.json(1, &["status"]);
    assert_eq!(status["nodes"][0]["sequences"]["findings"]["wrong class"], 1);
    let result = program.expect(0, &["setup", "--observe", "2"]);
    for shown in ["Repaired", "public.item_id_seq", "back into the class", "public.later_id_seq"] {
        assert!(result.stdout.contains(shown), "{shown}: {}", result.stdout);
    }
    assert_eq!(findings(&program.json(0, &["check"])), Vec::<String>::new());
}

/// One database has been in use, and the other one has only its rows.
#[test]
fn a_node_in_use_comes_before_one_that_only_has_rows() {
    let servers = ["one", "two"].map(start);
    let keys = insert(&mut servers[0].connect(DATABASE).unwrap(), 50);
    for (table, key) in &keys {
        run(&servers[1], &format!("INSERT INTO {table} OVERRIDING SYSTEM VALUE VALUES ({key}, 'copy')"));
    }
    // Drawn, and in no row: only the state of the first node knows it.
    run(&servers[0], "SELECT nextval('item_id_seq') FROM generate_series(1, 30)");
    let program = Program::of(&[&servers[0], &servers[1]]);
    let result = program.json(0, &["setup", "--observe", "2"]);
    assert_eq!(findings(&result["check"]), Vec::<String>::new());
    let next: i64 = value(&servers[1], "SELECT nextval('item_id_seq')");
    assert!(next > 80 && next % 2 == 0, "{next}");
    let mut seen: HashSet<_> = keys.into_iter().collect();
    insert_of(&servers[0], (1, 2), &mut seen);
    insert_of(&servers[1], (2, 2), &mut seen);
}

/// Clients write to both nodes all the time. The gap is computed, and the check proves it.
#[test]
fn filled_nodes_are_set_up_while_clients_write() {
    let servers = ["one", "two"].map(start);
    for server in &servers {
        run(
            server,
            "INSERT INTO item SELECT i FROM generate_series(1, 500) i; SELECT setval('item_id_seq', 500)",
        );
    }
    let is_set_up = AtomicBool::new(false);
    let after_set_up = [Count::default(), Count::default()];
    let mut writers: Vec<Session<'_, Turn<(usize, bool, i64)>>> = Vec::new();
    for (at, server) in servers.iter().enumerate() {
        let (is_set_up, after_set_up) = (&is_set_up, &after_set_up[at]);
        let mut client = server.connect(DATABASE).unwrap();
        writers.push(Box::new(move |stop| {
            load::paced(stop, Duration::from_millis(2), (0, 1), || {
                let after = is_set_up.load(Ordering::SeqCst);
                let row = client.query_one("INSERT INTO item DEFAULT VALUES RETURNING id", &[])?;
                if after {
                    after_set_up.add();
                }
                Ok((at, after, row.get(0)))
            })
        }));
    }
    let program = Program::of(&[&servers[0], &servers[1]]);
    let (written, result) = load::alongside(writers, || {
        let ended = program.expect(0, &["setup", "--observe", "5"]);
        is_set_up.store(true, Ordering::SeqCst);
        after_set_up.iter().try_for_each(|count| count.wait_for(50))?;
        Ok(ended)
    })
    .unwrap();
    assert!(result.stderr.contains("the same time passes again"), "{}", result.stderr);
    let keys = |of: usize, only_after: bool| -> HashSet<i64> {
        let turns = written.iter().map(|turn| turn.result);
        let wanted = turns.filter(|(at, after, _)| *at == of && (*after || !only_after));
        wanted.map(|(_, _, key)| key).collect()
    };
    for (at, other) in [(0, 1), (1, 0)] {
        assert!(keys(at, true).is_disjoint(&keys(other, false)), "a value was generated twice");
    }
    assert_eq!(findings(&program.json(0, &["check"])), Vec::<String>::new());
}

/// A file describes the nodes, and the log is beside it.
#[test]
fn a_file_describes_the_fleet() {
    let servers = ["one", "two"].map(start);
    let program = Program::new();
    let path = program.home().join("shop.toml");
    let node = |server: &Server, class: i32| {
        let connection = server.conninfo(DATABASE);
        format!("[[node]]\nname = \"{}\"\nconnection = \"{connection}\"\nclass = {class}\n", server.name())
    };
    let text = format!("classes = 8\n{}{}", node(&servers[0], 3), node(&servers[1], 5));
    std::fs::write(&path, text).unwrap();
    program.expect(0, &["setup", "--fleet", "shop.toml"]);
    assert_eq!(servers.each_ref().map(class), ["3 of 8", "5 of 8"]);
    let log = std::fs::read_to_string(program.home().join("shop.log")).unwrap();
    assert!(log.contains("\"command\":\"setup\"") && !log.contains("host="), "{log}");
    // One that is set up as another is refused, and stays what it is.
    let refused = program.expect(2, &["setup", "--fleet", "shop.toml", "--class", "one=4"]);
    refused.assert_error("node \"one\" is set up as 3 of 8, not 4 of 8");
    assert_eq!(class(&servers[0]), "3 of 8");
}

/// Three nodes from nothing to proven: 2,000 sequences take less than a minute, and a check of them
/// two seconds.
#[test]
fn many_sequences_on_three_nodes_are_set_up_and_checked() {
    let sequences: i64 =
        std::env::var("PG_KEYSPACE_TEST_SEQUENCES").map_or(200, |number| number.parse().unwrap());
    let servers = ["one", "two", "three"].map(start);
    for server in &servers {
        let tables = format!(
            "DO $$ BEGIN FOR i IN 1..{sequences} LOOP
                 EXECUTE format('CREATE TABLE t%s (id bigserial PRIMARY KEY)', i);
                 EXECUTE format('INSERT INTO t%s SELECT FROM generate_series(1, 3)', i);
                 IF i % 100 = 0 THEN COMMIT; END IF;
             END LOOP; END $$"
        );
        run(server, &tables);
    }
    let program = Program::of(&[&servers[0], &servers[1], &servers[2]]);
    let began = Instant::now();
    let result = program.json(0, &["setup"]);
    let set_up = began.elapsed();
    assert_eq!(findings(&result["check"]), Vec::<String>::new());
    let began = Instant::now();
    program.expect(0, &["check"]);
    let check = began.elapsed();
    println!("{sequences} sequences on each of 3 nodes: set-up {set_up:.1?}, check {check:.1?}");
    if sequences <= 2_000 {
        assert!(set_up < Duration::from_secs(60) && check < Duration::from_secs(10), "{set_up:?} {check:?}");
    }
    let status = program.json(0, &["status"]);
    assert_eq!(status["nodes"][2]["sequences"]["in_order"], sequences + 2);
}

/// Once for each second until it is interrupted.
#[test]
fn status_is_watched_until_it_is_interrupted() {
    let server = start("one");
    let program = Program::of(&[&server]);
    let mut child = program.begin(&["status", "--json", "--watch", "1"]);
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    for _ in 0..2 {
        let line: serde_json::Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(line["nodes"][0]["node"], "one");
    }
    crate::interrupted::interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(1), "it ends with what was last found");
}
