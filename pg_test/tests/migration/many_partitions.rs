//! A table of many partitions that refers to a key: how long its plan takes, and how many partitions are
//! locked at once.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pg_test::Server;
use postgres::Client;

use crate::{DATABASE, number, phase, run_statements, start, wrong};

/// How many partitions are planned.
const FEW: u32 = 100;
const MANY: u32 = 500;
/// How many are migrated unless `PG_KEYSPACE_TEST_PARTITIONS` says otherwise.
const MIGRATED: u32 = 60;
/// How many are locked at once where one is worked on: reading the catalogs locks another one for a
/// moment, and so does the middle of a step that is over.
const AT_ONCE: i64 = 3;

/// The number of locks that a session holds at the end of a query within its transaction.
fn locks_of(client: &mut Client, query: &str) -> i64 {
    let mut transaction = client.transaction().unwrap();
    transaction.batch_execute(query).unwrap();
    let locks = "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation' AND relation > 16384";
    transaction.query_one(locks, &[]).unwrap().get(0)
}

/// Ends the looking, also if the work panics.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Does some work, and looks all the while how many partitions the session has locked. Returns the most,
/// and how often it has looked.
fn watched(server: &Server, pid: i32, work: impl FnOnce()) -> (i64, u32) {
    let (is_over, seen) = (AtomicBool::new(false), Mutex::new((0_i64, 0_u32)));
    let locks = "SELECT count(DISTINCT l.relation) FROM pg_locks AS l JOIN pg_inherits AS i ON i.inhrelid = l.relation \
                 WHERE i.inhparent = 'visit'::regclass AND l.locktype = 'relation' AND l.pid = $1";
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = server.connect(DATABASE).unwrap();
            let query = client.prepare(locks).unwrap();
            while !is_over.load(Ordering::Relaxed) {
                let locked: i64 = client.query_one(&query, &[&pid]).unwrap().get(0);
                let mut seen = seen.lock().unwrap();
                *seen = (seen.0.max(locked), seen.1 + 1);
            }
        });
        let _over = Over(&is_over);
        work();
    });
    seen.into_inner().unwrap()
}

fn make_tables(client: &mut Client, partitions: u32) {
    client
        .batch_execute(&format!(
            "CREATE EXTENSION pg_keyspace;
             CREATE TABLE orders (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now());
             INSERT INTO orders SELECT FROM generate_series(1, 10);
             CREATE TABLE visit (day integer NOT NULL, order_id bigint NOT NULL REFERENCES orders, a text, b text, c text)
                 PARTITION BY LIST (day);
             DO $$BEGIN
                 FOR day IN 1..{partitions} LOOP
                     EXECUTE format('CREATE TABLE visit_%s PARTITION OF visit FOR VALUES IN (%1$s)', day);
                 END LOOP;
             END$$;
             CREATE INDEX ON visit (order_id);
             INSERT INTO visit (day, order_id) SELECT i, o FROM generate_series(1, {partitions}) AS i, generate_series(1, 10) AS o;
             ANALYZE"
        ))
        .unwrap();
}

/// The least time that a plan takes, and how many locks it holds.
fn planned(partitions: u32) -> (Duration, i64) {
    let server = start(&["max_locks_per_transaction = 256", "synchronous_commit = off"]);
    let mut client = server.connect(DATABASE).unwrap();
    make_tables(&mut client, partitions);
    let plan = "SELECT * FROM key_migration_plan('orders')";
    let time = |client: &mut Client| {
        let began = Instant::now();
        client.query(plan, &[]).unwrap();
        began.elapsed()
    };
    let least = (0..5).map(|_| time(&mut client)).min().unwrap();
    println!("{partitions} partitions are planned in {least:?}");
    (least, locks_of(&mut client, plan))
}

#[test]
fn the_plan_of_many_partitions_takes_time_in_proportion_and_few_locks() {
    let (few, locks) = planned(FEW);
    // A plan holds no locks on partitions.
    assert!(locks < 40, "{locks}");
    let (many, locks) = planned(MANY);
    assert!(locks < 40, "{locks}");
    // To look at each partition for every other one would take the square of this ratio.
    assert!(many < few * (MANY / FEW * 2), "{few:?} {many:?}");
}

#[test]
fn partitions_are_locked_one_at_a_time() {
    let partitions = std::env::var("PG_KEYSPACE_TEST_PARTITIONS").ok().and_then(|count| count.parse().ok());
    let partitions: u32 = partitions.unwrap_or(MIGRATED);
    let server = start(&["max_locks_per_transaction = 256", "synchronous_commit = off"]);
    let mut client = server.connect(DATABASE).unwrap();
    make_tables(&mut client, partitions);
    client.batch_execute("SELECT key_migration_create('orders')").unwrap();
    let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[]).unwrap().get(0);
    for through in ["prepared", "backfilled", "indexed", "validated", "verified"] {
        let began = Instant::now();
        let (locked, looked) = watched(&server, pid, || run_statements(&mut client, through).unwrap());
        println!(
            "{partitions} partitions to {through}: {:?}, {locked} of them locked at once, seen {looked} times",
            began.elapsed()
        );
        assert_eq!(phase(&mut client), through);
        // Columns and constraints of the partitioned table lock all of its partitions, as PostgreSQL needs it.
        if !["prepared", "validated"].contains(&through) {
            assert!((1..=AT_ONCE).contains(&locked), "{locked} partitions are locked at once");
        }
    }
    // A row for each table with rows.
    let progress = "SELECT count(*) FROM key_migration_progress WHERE percent = 100";
    assert_eq!(number(&mut client, progress), i64::from(partitions) + 1);
    let began = Instant::now();
    client.batch_execute("CALL key_migration_cutover('orders')").unwrap();
    println!("{partitions} partitions, cut-over: {:?}", began.elapsed());
    let held = "SELECT (extract(epoch FROM lock_held) * 1000)::bigint FROM key_migration_log WHERE action = 'cut over'";
    println!("{partitions} partitions were locked for {} ms", number(&mut client, held));
    assert_eq!(wrong(&mut client), Vec::<String>::new());
    client.batch_execute("CALL key_migration_finalize('orders', confirm => 'orders')").unwrap();
    let lost =
        "SELECT count(*) FROM visit AS v WHERE NOT EXISTS (SELECT FROM orders AS o WHERE o.id = v.order_id)";
    assert_eq!(number(&mut client, lost), 0);
}
