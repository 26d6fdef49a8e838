//! Several sessions that call `partitioned_nextval` on one unmodified sequence.

use std::collections::HashSet;

use anyhow::Result;
use pg_test::load;
use postgres::Client;

use crate::chance;
use crate::nodes::Nodes;
use crate::schema::by_chance;

#[test]
fn trap_s41_eight_sessions_skip_values_of_other_classes() {
    let nodes = Nodes::start(by_chance(&mut chance("shared sequence")), 1);
    nodes.connect(1).batch_execute("CREATE SEQUENCE busy").unwrap();
    for (node, count) in [(2_i32, 2_i32), (1, 16)] {
        let session = |mut client: Client| {
            let draw = client.prepare("SELECT partitioned_nextval('busy', $1, $2)")?;
            let values = (0..200).map(|_| Ok(client.query_one(&draw, &[&node, &count])?.get(0)));
            values.collect::<Result<Vec<i64>>>()
        };
        let all = load::at_once(vec![1; 8], |node| Ok(nodes.connect(node)), session).unwrap();
        let values = all.results.concat();
        assert!(values.iter().all(|value| value.rem_euclid(i64::from(count)) == i64::from(node % count)));
        assert_eq!(values.iter().collect::<HashSet<_>>().len(), 1600);
    }
}
