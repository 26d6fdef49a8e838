//! Time partitions that pg_partman creates, if it is installed.

use pg_test::skip;

use crate::preload::{DATABASE, start};

const REFERENCE: &str = include_str!("../../../docs/reference/keys.md");

/// The example in the reference.
fn example() -> &'static str {
    let mut blocks = REFERENCE.split("```sql\n").skip(1).filter_map(|block| block.split("```").next());
    blocks.find(|block| block.contains("partman.create_parent")).unwrap()
}

#[test]
fn pg_partman_makes_partitions_and_moves_rows_into_them() {
    let server = start(&[]);
    let mut client = server.connect(DATABASE).unwrap();
    let mut is_at_least = |version: &str| -> bool {
        let offered = "SELECT count(*) FROM pg_available_extension_versions
                       WHERE name = 'pg_partman' AND string_to_array(version, '.')::int[] >= $1::text::int[]";
        client.query_one(offered, &[&version]).unwrap().get::<_, i64>(0) > 0
    };
    if !is_at_least("{5,2}") {
        return skip(
            "pg_partman_makes_partitions_and_moves_rows_into_them",
            "pg_partman 5.2 or later is not installed (Debian: postgresql-NN-partman)",
        );
    }
    let moves_rows = is_at_least("{5,5}");
    client.batch_execute("CREATE SCHEMA partman; CREATE EXTENSION pg_partman SCHEMA partman").unwrap();
    client.batch_execute(example()).unwrap();
    // PostgreSQL 18 has its own uuidv7, whose keys belong to the same partitions.
    client.batch_execute("INSERT INTO click (page) SELECT 'now' FROM generate_series(1, 100)").unwrap();
    let mut count = |query: &str| -> i64 { client.query_one(query, &[]).unwrap().get(0) };
    let today = "SELECT count(*) FROM click AS v JOIN pg_class AS c ON c.oid = v.tableoid
                 WHERE c.relname = 'click_p' || to_char(uuidv7_to_timestamp(v.id), 'YYYYMMDD')";
    assert_eq!(count(today), 100);
    // Rows outside of the partitions are in the default partition until pg_partman moves them.
    let moved = "INSERT INTO click SELECT public.uuidv7_from_timestamp(now() + n * interval '6 hours' - interval '30 days', n), 'old'
                 FROM generate_series(1, 40) AS n";
    client.batch_execute(moved).unwrap();
    let mut count = |query: &str| -> i64 { client.query_one(query, &[]).unwrap().get(0) };
    assert_eq!(count("SELECT count(*) FROM click_default"), 40);
    if moves_rows {
        assert_eq!(count("SELECT partman.partition_data_time('public.click', p_batch_count => 50)"), 40);
        assert_eq!(count("SELECT count(*) FROM click_default"), 0);
        assert_eq!(count(today), 140);
    }
    // Maintenance adds partitions, and drops those that are too old.
    client
        .batch_execute(
            "UPDATE partman.part_config SET retention = '10 days', retention_keep_table = false
             WHERE parent_table = 'public.click'",
        )
        .unwrap();
    client.batch_execute("CALL partman.run_maintenance_proc()").unwrap();
    let mut count = |query: &str| -> i64 { client.query_one(query, &[]).unwrap().get(0) };
    assert_eq!(count(today), 100);
    let plan = "EXPLAIN (COSTS OFF) SELECT count(*) FROM click
                WHERE id >= uuidv7_boundary(date_trunc('day', now())) AND id < uuidv7_boundary(date_trunc('day', now()) + interval '1 day')";
    let plan: Vec<String> = client.query(plan, &[]).unwrap().iter().map(|row| row.get(0)).collect();
    let plan = plan.join("\n");
    assert!(plan.contains("Subplans Removed"), "{plan}");
}
