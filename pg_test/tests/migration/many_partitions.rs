//! A table of many partitions that refers to a key, or whose key is migrated: how long its plan takes, and
//! how many partitions are locked at once.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pg_test::Server;
use postgres::Client;

use crate::{DATABASE, number, start};

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
fn watched(server: &Server, shape: Shape, pid: i32, work: impl FnOnce()) -> (i64, u32) {
    let (is_over, seen) = (AtomicBool::new(false), Mutex::new((0_i64, 0_u32)));
    let locks = format!(
        "SELECT count(DISTINCT l.relation) FROM pg_locks AS l JOIN pg_inherits AS i ON i.inhrelid = l.relation \
         WHERE i.inhparent = '{}'::regclass AND l.locktype = 'relation' AND l.pid = $1",
        shape.partitioned
    );
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = server.connect(DATABASE).unwrap();
            let query = client.prepare(&locks).unwrap();
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

/// A migration with a table of many partitions.
#[derive(Clone, Copy)]
struct Shape {
    /// The table of the key.
    key: &'static str,
    /// The arguments of the migration after the table.
    arguments: &'static str,
    partitioned: &'static str,
    /// Creates the tables. `{partitions}` stands for their number, and `{each}` for the partitions.
    tables: &'static str,
    /// The number of references to no row at the end.
    lost: &'static str,
}

const REFERENCE: Shape = Shape {
    key: "orders",
    arguments: "",
    partitioned: "visit",
    tables: "CREATE TABLE orders (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now());
             INSERT INTO orders SELECT FROM generate_series(1, 10);
             CREATE TABLE visit (day integer NOT NULL, order_id bigint NOT NULL REFERENCES orders, a text, b text, c text)
                 PARTITION BY LIST (day);
             {each}
             CREATE INDEX ON visit (order_id);
             INSERT INTO visit (day, order_id) SELECT i, o FROM generate_series(1, {partitions}) AS i, generate_series(1, 10) AS o",
    lost: "SELECT count(*) FROM visit AS v WHERE NOT EXISTS (SELECT FROM orders AS o WHERE o.id = v.order_id)",
};

/// The rows of the table that refers to it refer to all partitions.
const KEY: Shape = Shape {
    key: "event",
    arguments: "",
    partitioned: "event",
    tables: "CREATE TABLE event (id bigserial, day integer, created_at timestamptz NOT NULL DEFAULT now(), a text, b text, PRIMARY KEY (id, day))
                 PARTITION BY LIST (day);
             {each}
             CREATE INDEX ON event (day);
             INSERT INTO event (day) SELECT i FROM generate_series(1, {partitions}) AS i, generate_series(1, 10);
             CREATE TABLE note (event_day integer, event_id bigint, FOREIGN KEY (event_id, event_day) REFERENCES event);
             INSERT INTO note SELECT day, id FROM event",
    lost: "SELECT count(*) FROM note WHERE NOT EXISTS (SELECT FROM event WHERE (id, day) = (event_id, event_day))",
};

/// The same with integers, which become bigint. Its primary key moves at the cut-over.
const KEY_TO_BIGINT: Shape = Shape {
    arguments: ", target => 'bigint'",
    tables: "CREATE TABLE event (id serial, day integer, created_at timestamptz NOT NULL DEFAULT now(), a text, b text, PRIMARY KEY (id, day))
                 PARTITION BY LIST (day);
             {each}
             CREATE INDEX ON event (day);
             INSERT INTO event (day) SELECT i FROM generate_series(1, {partitions}) AS i, generate_series(1, 10);
             CREATE TABLE note (event_day integer, event_id integer, FOREIGN KEY (event_id, event_day) REFERENCES event);
             INSERT INTO note SELECT day, id FROM event",
    ..KEY
};

impl Shape {
    fn make_tables(self, client: &mut Client, partitions: u32) {
        let each = format!(
            "DO $$BEGIN
                 FOR day IN 1..{partitions} LOOP
                     EXECUTE format('CREATE TABLE {0}_%s PARTITION OF {0} FOR VALUES IN (%1$s)', day);
                 END LOOP;
             END$$;",
            self.partitioned
        );
        let tables = self.tables.replace("{each}", &each).replace("{partitions}", &partitions.to_string());
        client.batch_execute(&format!("CREATE EXTENSION pg_keyspace; {tables}; ANALYZE")).unwrap();
    }

    fn run_statements(self, client: &mut Client, through: &str) {
        let query = "SELECT statement FROM key_migration_statements($1::text::regclass, $2)";
        for row in client.query(query, &[&self.key, &through]).unwrap() {
            let statement: String = row.get(0);
            client.batch_execute(&statement).unwrap_or_else(|error| panic!("{statement}: {error:?}"));
        }
    }
}

/// The least time that a plan takes, and how many locks it holds.
fn planned(shape: Shape, partitions: u32) -> (Duration, i64) {
    let server = start(&["max_locks_per_transaction = 256", "synchronous_commit = off"]);
    let mut client = server.connect(DATABASE).unwrap();
    shape.make_tables(&mut client, partitions);
    let plan = format!("SELECT * FROM key_migration_plan('{}'{})", shape.key, shape.arguments);
    let time = |client: &mut Client| {
        let began = Instant::now();
        client.query(&plan, &[]).unwrap();
        began.elapsed()
    };
    let least = (0..5).map(|_| time(&mut client)).min().unwrap();
    println!("{partitions} partitions of {} are planned in {least:?}", shape.partitioned);
    (least, locks_of(&mut client, &plan))
}

fn takes_time_in_proportion_and_few_locks(shape: Shape) {
    let (few, locks) = planned(shape, FEW);
    // A plan holds no locks on partitions.
    assert!(locks < 40, "{locks}");
    let (many, locks) = planned(shape, MANY);
    assert!(locks < 40, "{locks}");
    // To look at each partition for every other one would take the square of this ratio.
    assert!(many < few * (MANY / FEW * 2), "{few:?} {many:?}");
}

#[test]
fn the_plan_of_many_partitions_takes_time_in_proportion_and_few_locks() {
    takes_time_in_proportion_and_few_locks(REFERENCE);
}

#[test]
fn the_plan_of_a_key_with_many_partitions_takes_time_in_proportion_and_few_locks() {
    takes_time_in_proportion_and_few_locks(KEY);
    takes_time_in_proportion_and_few_locks(KEY_TO_BIGINT);
}

/// Migrates, and looks how many partitions are locked at once in each phase; all of them can be locked in
/// the phases of `together`.
fn are_locked_one_at_a_time(shape: Shape, together: &[&str]) {
    let partitions = std::env::var("PG_KEYSPACE_TEST_PARTITIONS").ok().and_then(|count| count.parse().ok());
    let partitions: u32 = partitions.unwrap_or(MIGRATED);
    let server = start(&["max_locks_per_transaction = 256", "synchronous_commit = off"]);
    let mut client = server.connect(DATABASE).unwrap();
    shape.make_tables(&mut client, partitions);
    let key = shape.key;
    client.batch_execute(&format!("SELECT key_migration_create('{key}'{})", shape.arguments)).unwrap();
    let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[]).unwrap().get(0);
    for through in ["prepared", "backfilled", "indexed", "validated", "verified"] {
        let began = Instant::now();
        let (locked, looked) = watched(&server, shape, pid, || shape.run_statements(&mut client, through));
        println!(
            "{partitions} partitions to {through}: {:?}, {locked} of them locked at once, seen {looked} times",
            began.elapsed()
        );
        let phase = format!("SELECT key_migration_phase('{key}')");
        assert_eq!(client.query_one(&phase, &[]).unwrap().get::<_, &str>(0), through);
        if !together.contains(&through) {
            assert!((1..=AT_ONCE).contains(&locked), "{locked} partitions are locked at once");
        }
    }
    // A row for each table with rows.
    let progress = "SELECT count(*) FROM key_migration_progress WHERE percent = 100";
    assert_eq!(number(&mut client, progress), i64::from(partitions) + 1);
    for (call, action) in
        [("cutover", "cut over"), ("rollback", "roll back the cut-over"), ("cutover", "cut over")]
    {
        shape.run_statements(&mut client, "verified");
        let began = Instant::now();
        client.batch_execute(&format!("CALL key_migration_{call}('{key}')")).unwrap();
        println!("{partitions} partitions, {call}: {:?}", began.elapsed());
        let held = format!(
            "SELECT (extract(epoch FROM lock_held) * 1000)::bigint FROM key_migration_log WHERE action = '{action}' ORDER BY step DESC LIMIT 1"
        );
        println!("{partitions} partitions were locked for {} ms", number(&mut client, &held));
    }
    let wrong = format!("SELECT count(*) FROM key_migration_verify('{key}') WHERE NOT ok");
    assert_eq!(number(&mut client, &wrong), 0);
    client.batch_execute(&format!("CALL key_migration_finalize('{key}', confirm => '{key}')")).unwrap();
    assert_eq!(number(&mut client, shape.lost), 0);
}

#[test]
fn partitions_are_locked_one_at_a_time() {
    // Columns and constraints of the partitioned table lock all of its partitions, as PostgreSQL needs it.
    are_locked_one_at_a_time(REFERENCE, &["prepared", "validated"]);
}

#[test]
fn partitions_of_a_key_are_locked_one_at_a_time() {
    // So does a query that joins a table with all of them.
    are_locked_one_at_a_time(KEY, &["prepared", "validated", "verified"]);
}

#[test]
fn partitions_of_a_key_that_becomes_bigint_are_locked_one_at_a_time() {
    are_locked_one_at_a_time(KEY_TO_BIGINT, &["prepared", "validated"]);
}
