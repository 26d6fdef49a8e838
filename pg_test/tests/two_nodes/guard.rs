//! Guarded tables, and the replicated rows that they receive.

use crate::pair::{Pair, insert_item};

/// Applied rows pass the guards of the other side. Rows that a guard refuses are not replicated.
#[test]
fn trap_s12_guards_refuse_local_ids_and_let_replicated_rows_pass() {
    let pair = Pair::start();
    pair.set_up();
    for client in &mut pair.clients() {
        let query =
            "SELECT count(*) FILTER (WHERE action <> 'guarded'), count(*) FROM guard_interleaved_sequences()";
        let row = client.query_one(query, &[]).unwrap();
        assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (0, 8));
    }
    pair.replicate();
    let acked = pair.write_at_once(5);
    pair.assert_converged(&acked);
    let [mut one, mut two] = pair.clients();
    // Rows of the other side can still be updated and deleted.
    two.batch_execute("UPDATE item SET item_id = item_id, made_by = 'changed' WHERE item_id = 1").unwrap();
    one.batch_execute("INSERT INTO item (item_id, made_by) VALUES (901, 'gone soon')").unwrap();
    pair.wait_until_applied();
    two.execute("DELETE FROM item WHERE item_id = 901", &[]).unwrap();
    // An idiom of restores and ORMs, and an application that supplies its own ids.
    two.batch_execute("SELECT setval('item_item_id_seq', 1001)").unwrap();
    for statement in [
        "INSERT INTO item (made_by) VALUES ('after setval')",
        "INSERT INTO item VALUES (2001, 'brought along')",
        "INSERT INTO shipment VALUES (2001, 'north', 'brought along')",
        "UPDATE item SET item_id = 2001 WHERE item_id = 2",
    ] {
        let error = two.batch_execute(statement).unwrap_err();
        assert_eq!(error.code().unwrap().code(), "23514", "{statement}: {error}");
    }
    two.query("SELECT * FROM setup_interleaved_sequences(2, 2)", &[]).unwrap();
    assert_eq!((insert_item(&mut one) % 2, insert_item(&mut two) % 2), (1, 0));
    pair.assert_complete(&acked);
}
