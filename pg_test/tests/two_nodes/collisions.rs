//! Both nodes write at the same time: with collisions without the set-up, and with none after it.

use pg_test::replication::Method;

use crate::pair::{MAKERS, Pair, TABLES};

/// The checks of the other tests can fail: without the set-up they do.
#[test]
fn without_interleaving_the_collision_happens_and_is_found() {
    let pair = Pair::start();
    // Without a node there is no partitioned_nextval(), so the tickets use nextval() like the
    // others.
    pair.execute("ALTER TABLE ticket ALTER id SET DEFAULT nextval('ticket_no')");
    pair.replicate();
    let acked = pair.write_at_once(5);
    assert_eq!(acked[0].keys("item"), acked[1].keys("item"), "both hand out the same keys");
    let applied = pair.method.wait_until_applied_or_stopped(&pair.both(), "postgres").unwrap();
    assert_eq!(applied, pair.method == Method::Pglogical, "native replication stops, pglogical goes on");
    assert!(pair.conflicts() > 0);
    assert!(pair.missing(&acked) > 0);
    assert!(!pair.is_equal());
    let [mut one, mut two] = pair.clients();
    if applied {
        // The rows have changed places, and each node has lost the rows that it acknowledged
        // itself.
        assert_eq!(acked[0].missing(&mut one, "item").unwrap(), 5);
        assert_eq!(acked[0].missing(&mut two, "item").unwrap(), 0);
    } else {
        assert_eq!(acked[0].missing(&mut one, "item").unwrap(), 0);
        assert_eq!(acked[0].missing(&mut two, "item").unwrap(), 5);
    }
}

#[test]
fn two_nodes_that_are_set_up_never_collide() {
    let pair = Pair::start();
    pair.set_up();
    pair.replicate();
    let acked = pair.write_at_once(50);
    pair.assert_converged(&acked);
    for (node, acked) in (1..).zip(&acked) {
        assert_eq!(acked.total(), 50 * i64::try_from(TABLES.len()).unwrap(), "{}", MAKERS[0]);
        // Every number is in the class of the node that generated it.
        for table in acked.tables() {
            for number in acked.keys(table).iter().filter_map(|key| key.parse::<i64>().ok()) {
                assert_eq!(number % 2, node % 2, "{number} of {table}");
            }
        }
        // The rows that existed before are below both restarts.
        let lowest = acked.keys("item").iter().map(|key| key.parse::<i64>().unwrap()).min().unwrap();
        assert_eq!(lowest, 10 + node);
    }
}
