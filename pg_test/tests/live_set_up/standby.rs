//! Functions that work on a standby.

use pg_test::Server;

use crate::{DATABASE, code, in_order, make_tables, number, start, wait_until};

#[test]
fn trap_s32_plan_view_and_check_work_on_a_standby() {
    let primary = start(&["wal_level = replica"]);
    let mut client = primary.connect(DATABASE).unwrap();
    make_tables(&mut client, 5);
    client.batch_execute("CREATE UNLOGGED TABLE passing (id serial PRIMARY KEY)").unwrap();
    client.query("SELECT * FROM setup_interleaved_sequences(2, 2, exclude => '{t1_id_seq}')", &[]).unwrap();
    let standby = Server::start_standby(&primary, "standby").unwrap();
    let mut reader = standby.connect(DATABASE).unwrap();
    client.batch_execute("INSERT INTO t2 (v) VALUES (4)").unwrap();
    wait_until(&mut reader, "SELECT count(*) = 4 FROM t2");
    let planned =
        "SELECT count(*) FROM setup_interleaved_sequences(2, 2, dry_run => true) WHERE action = 'planned'";
    assert_eq!(number(&mut reader, planned), 1);
    // An unlogged sequence cannot be read there.
    let unlogged = if primary.tree().major() >= 15 { 1 } else { 0 };
    assert_eq!(in_order(&mut reader), (5 - unlogged, 1 + unlogged));
    let found = "SELECT count(*) FROM check_interleaved_sequences() WHERE severity <> 'info'";
    assert_eq!(number(&mut reader, found), 1);
    assert_eq!(number(&mut reader, "SELECT count(*) FROM reset_interleaved_sequences(dry_run => true)"), 6);
    // A standby may be ahead of the position of its primary: WAL records a position 32 values
    // further on.
    let next = "SELECT (interleaved_node_state()->'sequences'->'public'->'t2_id_seq'->>'next_value')::bigint";
    assert!(number(&mut reader, next) >= number(&mut client, next));
    let others = "SELECT count(*) FROM check_interleaved_sequences(ARRAY[interleaved_node_state() \
                  || '{\"system_identifier\": 7, \"node\": 1, \"sequences\": {}}']) WHERE finding = 'no sequence known'";
    assert_eq!(number(&mut reader, others), 1);
    for statement in [
        "SELECT * FROM setup_interleaved_sequences(2, 2)",
        "SELECT * FROM reset_interleaved_sequences()",
        "CALL setup_interleaved_sequences_in_batches(2, 2)",
        "SELECT partitioned_nextval('t2_id_seq')",
    ] {
        let error = reader.batch_execute(statement).unwrap_err();
        assert_eq!(code(&error), "25006", "{statement}: {error}");
    }
}
