//! Several sessions that call `partitioned_nextval` on one unmodified sequence.

use std::collections::HashSet;

use crate::chance;
use crate::nodes::Nodes;
use crate::schema::by_chance;

#[test]
fn trap_s41_eight_sessions_draw_on_to_their_class() {
    let nodes = Nodes::start(by_chance(&mut chance("shared sequence")), 1);
    nodes.connect(1).batch_execute("CREATE SEQUENCE busy").unwrap();
    for (node, count) in [(2_i32, 2_i32), (1, 16)] {
        let draw = || {
            let mut client = nodes.connect(1);
            let draw = client.prepare("SELECT partitioned_nextval('busy', $1, $2)").unwrap();
            let values = (0..200).map(|_| client.query_one(&draw, &[&node, &count]).unwrap().get(0));
            values.collect::<Vec<i64>>()
        };
        let values: Vec<i64> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(draw)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert!(values.iter().all(|value| value.rem_euclid(i64::from(count)) == i64::from(node % count)));
        assert_eq!(values.iter().collect::<HashSet<_>>().len(), 1600);
    }
}
