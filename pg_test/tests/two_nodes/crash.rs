//! A node crashes while the other continues.

use crate::pair::Pair;

/// After a crash a sequence continues up to 33 steps further on, which is within its class.
#[test]
fn trap_s22_a_node_that_crashed_keeps_its_class_and_catches_up() {
    let mut pair = Pair::start();
    // Acknowledged rows must survive the crash.
    for server in &mut pair.servers {
        server.append_settings(&["synchronous_commit = on"]).unwrap();
        server.restart().unwrap();
    }
    pair.set_up();
    pair.replicate();
    let before = pair.write_at_once(10);
    pair.servers[1].kill9().unwrap();
    let mut one = pair.servers[0].connect("postgres").unwrap();
    one.batch_execute("INSERT INTO item (made_by) SELECT 'node1' FROM generate_series(1, 100)").unwrap();
    pair.servers[1].launch().unwrap();
    pair.method.reconnect(&pair.both(), "postgres").unwrap();
    let after = pair.write_at_once(10);
    let last = |acked: &pg_test::Acknowledged| acked.keys("item").last().unwrap().parse::<i64>().unwrap();
    let first: i64 = after[1].keys("item").first().unwrap().parse().unwrap();
    assert!(first % 2 == 0 && first > last(&before[1]), "{first}");
    let acked: Vec<_> = before.into_iter().chain(after).collect();
    pair.assert_complete(&acked);
    // The statistics count the lost connection as an error.
    for server in pair.both() {
        assert_eq!(pair.method.conflicts(server, "postgres").unwrap().logged, 0);
    }
}
