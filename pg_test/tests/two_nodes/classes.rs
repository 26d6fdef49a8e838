//! The effects of replication on sequences and on the table of nodes.

use pg_test::replication::Method;
use pg_test::skip;

use crate::pair::{Pair, insert_item};

/// Applied rows do not advance the sequences of the subscriber.
#[test]
fn trap_s36_a_set_up_starts_above_rows_that_were_applied() {
    let pair = Pair::start();
    pair.replicate();
    let [mut one, mut two] = pair.clients();
    one.batch_execute("INSERT INTO item (made_by) SELECT 'node1' FROM generate_series(1, 5)").unwrap();
    pair.wait_until_applied();
    let error = two.batch_execute("INSERT INTO item (made_by) VALUES ('node2')").unwrap_err();
    assert_eq!(error.code().unwrap().code(), "23505", "{error}");
    let refused = pair.conflicts();
    pair.set_up();
    assert_eq!((insert_item(&mut one), insert_item(&mut two)), (17, 16));
    pair.wait_until_applied();
    assert_eq!(pair.conflicts(), refused, "only the INSERT above");
    assert!(pair.is_equal());
}

/// Native replication also replays the restart of TRUNCATE ... RESTART IDENTITY on the other side.
/// pglogical only replays the truncation.
#[test]
fn trap_s09_a_replicated_restart_keeps_both_classes() {
    let pair = Pair::start();
    pair.set_up();
    pair.replicate();
    let [mut one, mut two] = pair.clients();
    assert_eq!((insert_item(&mut one), insert_item(&mut two)), (11, 12));
    pair.wait_until_applied();
    one.batch_execute("TRUNCATE item RESTART IDENTITY").unwrap();
    pair.wait_until_applied();
    // Each start is the first value of the node's class.
    let on_the_other = if pair.method == Method::Native { 2 } else { 14 };
    assert_eq!((insert_item(&mut one), insert_item(&mut two)), (1, on_the_other));
    pair.assert_converged(&[]);
}

/// Publications FOR ALL TABLES include the table of nodes, so each side receives the other's row,
/// and skips it.
#[test]
fn trap_s46_the_other_nodes_row_does_no_harm() {
    let pair = Pair::start();
    pair.replicate();
    pair.set_up();
    pair.wait_until_applied();
    for (client, node) in pair.clients().iter_mut().zip([1_i64, 2]) {
        let value: i64 = client.query_one("SELECT partitioned_nextval('ticket_no')", &[]).unwrap().get(0);
        assert_eq!(value % 2, node % 2);
        let rows: i64 =
            client.query_one("SELECT count(*) FROM keyspace_internal.interleaved_node", &[]).unwrap().get(0);
        assert_eq!(rows, 1);
        // A second set-up as the same node still finds its own row, and changes nothing.
        let query =
            "SELECT count(*) FILTER (WHERE action <> 'unchanged') FROM setup_interleaved_sequences($1, 2)";
        let node = i32::try_from(node).unwrap();
        assert_eq!(client.query_one(query, &[&node]).unwrap().get::<_, i64>(0), 0);
    }
    let acked = pair.write_at_once(5);
    pair.assert_converged(&acked);
}

/// pglogical sets a replicated sequence to the provider's position, which is in the provider's
/// class. Native replication does not replicate sequences before PostgreSQL 19.
#[test]
fn trap_s14_a_sequence_whose_position_is_replicated_is_named() {
    let pair = Pair::start();
    if pair.method != Method::Pglogical {
        return skip(
            "trap_s14_a_sequence_whose_position_is_replicated_is_named",
            &format!("{} replicates no sequences", pair.method.name()),
        );
    }
    pair.replicate();
    let [mut one, _] = pair.clients();
    one.batch_execute("SELECT pglogical.replication_set_add_sequence('default', 'item_item_id_seq')")
        .unwrap();
    let planned = "SELECT detail FROM setup_interleaved_sequences(1, 2, dry_run => true) WHERE sequence = 'item_item_id_seq'::regclass";
    let detail: String = one.query_one(planned, &[]).unwrap().get(0);
    assert!(detail.contains("position is replicated"), "{detail}");
    pair.set_up();
    let seen =
        "SELECT in_order, findings FROM interleaved_sequences WHERE sequence = 'item_item_id_seq'::regclass";
    let row = one.query_one(seen, &[]).unwrap();
    assert_eq!(
        (row.get(0), row.get::<_, Vec<String>>(1)),
        (Some(false), vec!["position replicated".to_owned()])
    );
}
