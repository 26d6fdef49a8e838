//! Fail-over to an asynchronous standby that has not received everything.

use std::collections::HashSet;

use pg_test::Server;

use crate::nodes::{DATABASE, assert_of, check, insert, set_up, start, state};

#[test]
fn trap_s23_a_promoted_standby_leaves_a_gap_above_what_it_lost() {
    let primary = start("primary", &["wal_level = replica"]);
    let other = start("other", &[]);
    set_up(&primary, (1, 2), &[], 0).unwrap();
    set_up(&other, (2, 2), &[state(&primary)], 0).unwrap();
    let mut seen = HashSet::new();
    let mut client = primary.connect(DATABASE).unwrap();
    assert_of(&insert(&mut client, 10), (1, 2), &mut seen);
    let mut standby = Server::start_standby(&primary, "standby").unwrap();
    // It receives nothing more, as if the line were down.
    standby.stop().unwrap();
    assert_of(&insert(&mut client, 200), (1, 2), &mut seen);
    drop(primary);
    standby.launch().unwrap();
    standby.promote().unwrap();

    // It is still the node, and as far as it knows, everything is in order.
    assert_eq!(check(&standby, &[]), Vec::<String>::new());
    let done = set_up(&standby, (1, 2), &[], 1_000).unwrap();
    assert!(done["item_id_seq"].starts_with("altered: gap after a promotion"), "{done:?}");
    // Only once for each promotion.
    let done = set_up(&standby, (1, 2), &[], 1_000).unwrap();
    assert!(done.values().all(|done| done.starts_with("unchanged")), "{done:?}");
    assert_of(&insert(&mut standby.connect(DATABASE).unwrap(), 10), (1, 2), &mut seen);
}

/// The lost rows that the others have received determine where the sequences continue, without a
/// guess.
#[test]
fn trap_s23_the_states_of_the_others_show_the_lost_values() {
    let primary = start("primary", &["wal_level = replica"]);
    let other = start("other", &[]);
    set_up(&primary, (1, 2), &[], 0).unwrap();
    set_up(&other, (2, 2), &[state(&primary)], 0).unwrap();
    let mut standby = Server::start_standby(&primary, "standby").unwrap();
    standby.stop().unwrap();
    let mut seen = HashSet::new();
    let given = insert(&mut primary.connect(DATABASE).unwrap(), 50);
    assert_of(&given, (1, 2), &mut seen);
    // Replication brings them to the other node, which continues.
    let mut client = other.connect(DATABASE).unwrap();
    for (table, key) in &given {
        let insert = format!("INSERT INTO {table} OVERRIDING SYSTEM VALUE VALUES ({key}, 'primary')");
        client.batch_execute(&insert).unwrap();
    }
    assert_of(&insert(&mut client, 100), (2, 2), &mut seen);
    drop(primary);
    standby.launch().unwrap();
    standby.promote().unwrap();
    assert_eq!(check(&standby, &[state(&other)]), ["values of this class"]);
    let done = set_up(&standby, (1, 2), &[state(&other)], 0).unwrap();
    assert!(done["item_id_seq"].starts_with("altered: above the values of node 2 of 2"), "{done:?}");
    assert_eq!(check(&standby, &[state(&other)]), Vec::<String>::new());
    assert_of(&insert(&mut standby.connect(DATABASE).unwrap(), 60), (1, 2), &mut seen);
}
