//! amcheck on indexes of `ulid` columns after crashes of the server.

use std::time::Duration;

use pg_test::load::{self, Count, Session};

use crate::{DATABASE, start};

const SCHEMA: &str = "
    CREATE EXTENSION amcheck;
    CREATE EXTENSION pg_keyspace;
    CREATE TABLE parcel (id ulid PRIMARY KEY DEFAULT ulid(), sender ulid, note text);
    CREATE INDEX parcel_sender ON parcel (sender, id);
    CREATE INDEX parcel_time ON parcel USING brin (id ulid_minmax_multi_ops) WITH (pages_per_range = 2);
    CREATE INDEX parcel_hash ON parcel USING hash (sender);";

/// Every row must be found by each index that covers it.
const LOST: &str = "
    SELECT count(*) FROM parcel AS p
    WHERE NOT EXISTS (SELECT FROM parcel AS q WHERE q.id = p.id)
       OR p.sender IS NOT NULL AND NOT EXISTS (SELECT FROM parcel AS q WHERE q.sender = p.sender AND q.id = p.id)";

/// The statements of the writers.
const STATEMENTS: [&str; 4] = [
    "INSERT INTO parcel (sender, note) SELECT CASE n % 3 WHEN 0 THEN ulid() END, repeat('x', n) FROM generate_series(1, 40) n",
    "INSERT INTO parcel (id, sender) VALUES (ulid_from_timestamp(now() - random() * interval '9 years'), ulid())",
    "DELETE FROM parcel WHERE id IN (SELECT id FROM parcel ORDER BY sender LIMIT 9)",
    "UPDATE parcel SET sender = ulid() WHERE id = (SELECT max(id) FROM parcel)",
];

#[test]
fn indexes_on_ulid_are_intact_after_crashes() {
    // The server crashes, not the machine: what was given to the operating system is not lost.
    let mut server = start(&["full_page_writes = on", "synchronous_commit = on", "max_wal_size = 64MB"]);
    server.connect(DATABASE).unwrap().batch_execute(SCHEMA).unwrap();
    for round in 0..4 {
        let written = Count::default();
        let mut writers: Vec<Session<'_, ()>> = Vec::new();
        for writer in 0..3 {
            let written = &written;
            let mut client = server.connect(DATABASE).unwrap();
            writers.push(Box::new(move |stop| {
                for statement in STATEMENTS.iter().cycle().skip(writer) {
                    // Writers that wait for each other may deadlock. The crash ends the connection.
                    let is_over = client.batch_execute(statement).is_err() && client.is_closed();
                    if is_over || stop.wait(Duration::ZERO) {
                        break;
                    }
                    written.add();
                }
                Ok(Vec::new())
            }));
        }
        load::alongside(writers, || {
            written.wait_for(300)?;
            if round % 2 == 0 { server.crash() } else { server.kill9() }
        })
        .unwrap();
        server.launch().unwrap();
        let mut client = server.connect(DATABASE).unwrap();
        let check = "
            SELECT count(bt_index_parent_check(c.oid, heapallindexed => true, rootdescend => true)::text)
            FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid JOIN pg_am a ON a.oid = c.relam
            WHERE i.indrelid = 'parcel'::regclass AND a.amname = 'btree'";
        assert_eq!(client.query_one(check, &[]).unwrap().get::<_, i64>(0), 2);
        let corrupt = "SELECT count(*) FROM verify_heapam('parcel')";
        assert_eq!(client.query_one(corrupt, &[]).unwrap().get::<_, i64>(0), 0);
        // amcheck supports neither hash nor BRIN: compare them with a scan.
        for settings in [
            "SET enable_seqscan = off; SET enable_bitmapscan = off",
            "SET enable_seqscan = off; SET enable_indexscan = off",
        ] {
            client.batch_execute(settings).unwrap();
            assert_eq!(client.query_one(LOST, &[]).unwrap().get::<_, i64>(0), 0, "round {round}: {settings}");
            client.batch_execute("RESET ALL").unwrap();
        }
        let twice = "SELECT count(*) - count(DISTINCT id) FROM parcel";
        assert_eq!(client.query_one(twice, &[]).unwrap().get::<_, i64>(0), 0);
    }
}
