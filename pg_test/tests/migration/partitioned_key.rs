//! The key of a partitioned table is migrated while others write, move rows between partitions, and add and
//! remove partitions.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use pg_test::Server;
use pg_test::load::{self, Count, Session, Stop, Turn};
use postgres::Client;
use postgres::error::SqlState;
use rand::RngExt;

use crate::killed::kill_runner;
use crate::partitioned::patiently;
use crate::{DATABASE, connect_when_up, number, start};

/// What the server has acknowledged: the tag of a comment, with that of its event; none if it was removed.
type Ledger = Vec<(i64, Option<i64>)>;

/// The days that writers write to; the last ones are those of the default partition.
const DAYS: i64 = 400;
/// The number of events at the beginning. They have the tags -1, -2 and so on.
const EVENTS: i64 = 2_000;

/// What ids are before a migration: `bigint`, or `integer`.
fn make_tables(client: &mut Client, id: &str) {
    client
        .batch_execute(&format!(
            "CREATE EXTENSION pg_keyspace;
             CREATE SEQUENCE event_id_seq AS {id};
             CREATE TABLE event (id {id} DEFAULT nextval('event_id_seq'), day integer NOT NULL, tag bigint, created_at timestamptz NOT NULL DEFAULT now(),
                                 previous {id}, previous_day integer, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
             ALTER SEQUENCE event_id_seq OWNED BY event.id;
             CREATE TABLE event_0 PARTITION OF event FOR VALUES FROM (0) TO (100);
             CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM (100) TO (200) PARTITION BY HASH (day);
             CREATE TABLE event_1_0 PARTITION OF event_1 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
             CREATE TABLE event_1_1 PARTITION OF event_1 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
             CREATE TABLE odd (previous_day integer, gone text, previous {id}, created_at timestamptz NOT NULL DEFAULT now(),
                               tag bigint, day integer NOT NULL, id {id} NOT NULL DEFAULT nextval('event_id_seq'));
             ALTER TABLE odd DROP COLUMN gone;
             ALTER TABLE event ATTACH PARTITION odd FOR VALUES FROM (200) TO (300);
             CREATE TABLE event_rest PARTITION OF event DEFAULT;
             CREATE INDEX ON event (tag);
             INSERT INTO event (day, created_at, tag)
                 SELECT i % {DAYS}, '2024-01-01'::timestamptz + i * interval '1 second', -i FROM generate_series(1, {EVENTS}) AS i;
             ALTER TABLE event ADD FOREIGN KEY (previous, previous_day) REFERENCES event ON UPDATE CASCADE ON DELETE SET NULL;
             CREATE TABLE comment (tag bigint, event_day integer NOT NULL, event_id {id} NOT NULL,
                                   FOREIGN KEY (event_id, event_day) REFERENCES event ON UPDATE CASCADE ON DELETE CASCADE);
             CREATE INDEX ON comment (event_id, event_day);
             CREATE INDEX ON comment (tag);
             INSERT INTO comment SELECT -i, e.day, e.id FROM generate_series(1, 3 * {EVENTS}) AS i JOIN event AS e ON e.tag = -(i % {EVENTS} + 1);
             ANALYZE"
        ))
        .unwrap();
}

/// The comments that exist before the writers begin.
fn rows_before() -> Ledger {
    (1..=3 * EVENTS).map(|i| (-i, Some(-(i % EVENTS + 1)))).collect()
}

/// Writes until it has to stop, and records what the server has acknowledged. The statements mean the
/// same before and after a cut-over, and none of them may fail.
fn write(server: &Server, stop: &Stop, written: &Count, writer: i64) -> Result<Vec<Turn<Ledger>>> {
    let mut client = server.connect(DATABASE)?;
    let mut random = rand::rng();
    let mut next = writer * 1_000_000;
    // Comments by their tags, with the tags of their events, of which the positive ones are its own.
    let mut own: BTreeMap<i64, i64> = BTreeMap::new();
    load::paced(stop, Duration::from_millis(1), (0, 1), || {
        next += 1;
        let (tag, day) = (next, random.random_range(0..DAYS + 50));
        let comment = own.keys().nth(random.random_range(0..own.len().max(1))).copied();
        let events: Vec<i64> = own.values().copied().filter(|event| *event > 0).collect();
        let event = events.get(random.random_range(0..events.len().max(1))).copied();
        let base = -random.random_range(1..=EVENTS);
        let (statement, ledger): (String, Ledger) = match (random.random_range(0..7), comment, event) {
            // To another partition, with its comments.
            (0 | 1, _, Some(event)) => {
                (format!("UPDATE event SET day = {day} WHERE tag = {event}"), Vec::new())
            }
            (2, Some(comment), _) => (
                format!(
                    "UPDATE comment SET (event_id, event_day) = (SELECT id, day FROM event WHERE tag = {base}) WHERE tag = {comment}"
                ),
                vec![(comment, Some(base))],
            ),
            (3, _, Some(event)) => {
                let lost = own.iter().filter(|(_, of)| **of == event).map(|(comment, _)| (*comment, None));
                (format!("DELETE FROM event WHERE tag = {event}"), lost.collect())
            }
            (4, _, _) => (
                format!(
                    "INSERT INTO comment (tag, event_id, event_day) SELECT {tag}, id, day FROM event WHERE tag = {base}"
                ),
                vec![(tag, Some(base))],
            ),
            // A row that refers to another one of the same table, and that others refer to.
            _ => (
                format!(
                    "WITH e AS (INSERT INTO event (day, tag, previous, previous_day) SELECT {day}, {tag}, id, day FROM event WHERE tag = {base} RETURNING id, day) \
                     INSERT INTO comment (tag, event_id, event_day) SELECT {tag}, id, day FROM e"
                ),
                vec![(tag, Some(tag))],
            ),
        };
        let before = own.clone();
        for (comment, event) in &ledger {
            match event {
                Some(event) => own.insert(*comment, *event),
                None => own.remove(comment),
            };
        }
        match client.batch_execute(&statement) {
            Ok(()) => written.add(),
            Err(error) if error.as_db_error().is_some() && !client.is_closed() => {
                panic!("{statement}: {:?}", error.as_db_error());
            }
            // The server was killed before it could say whether the statement has taken effect.
            Err(_) => {
                let found = comments_of(server, &mut client, writer);
                if found == before {
                    own = before;
                    return Ok(Vec::new());
                }
                assert_eq!(found, own, "{statement}");
            }
        }
        Ok(ledger)
    })
}

/// The comments of a writer, with the tags of their events, as soon as the server is up again.
fn comments_of(server: &Server, client: &mut Client, writer: i64) -> BTreeMap<i64, i64> {
    let query = "SELECT c.tag, e.tag FROM comment AS c LEFT JOIN event AS e ON (e.id, e.day) = (c.event_id, c.event_day) \
                 WHERE c.tag BETWEEN $1 AND $1 + 999999";
    loop {
        *client = connect_when_up(server);
        if let Ok(rows) = client.query(query, &[&(writer * 1_000_000)]) {
            return rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        }
    }
}

/// Checks that every comment that was acknowledged is there, and belongs to the event that it belonged to.
fn check_comments(client: &mut Client, before: Ledger, turns: Vec<Turn<Ledger>>) {
    let mut expected: BTreeMap<i64, Option<i64>> = before.into_iter().collect();
    expected.extend(turns.into_iter().flat_map(|turn| turn.result));
    expected.retain(|_, event| event.is_some());
    let rows = "SELECT c.tag, e.tag FROM comment AS c LEFT JOIN event AS e ON (e.id, e.day) = (c.event_id, c.event_day) ORDER BY c.tag";
    let found: Vec<(i64, Option<i64>)> =
        client.query(rows, &[]).unwrap().iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
    let lost = "SELECT count(*) FROM event AS m LEFT JOIN event AS e ON (e.id, e.day) = (m.previous, m.previous_day) \
                WHERE m.previous IS NOT NULL AND (e.tag IS NULL OR e.tag > 0)";
    assert_eq!(number(client, lost), 0);
    assert_eq!(number(client, "SELECT count(*) - count(DISTINCT id) FROM event"), 0);
}

/// Runs the remaining statements in order, up to a phase.
fn run_statements(client: &mut Client, through: &str) {
    let query = "SELECT statement FROM key_migration_statements('event', $1)";
    for row in client.query(query, &[&through]).unwrap() {
        let statement: String = row.get(0);
        client.batch_execute(&statement).unwrap_or_else(|error| panic!("{statement}: {error:?}"));
    }
}

/// Runs DDL on partitions. It would lock events and then, after it has built indexes and read the default
/// partition, comments: most writers lock them the other way round, and would be in the way again and again.
fn of_partitions(client: &mut Client, statements: &str) {
    patiently(client, &format!("LOCK TABLE comment, event IN ACCESS EXCLUSIVE MODE; {statements}"));
}

/// Partitions that come and go, in days that the writers leave alone.
#[derive(Default)]
struct Comings {
    count: i64,
    tables: Vec<String>,
    rows: Ledger,
}

impl Comings {
    /// The bounds of the next partition.
    fn next(&mut self) -> (i64, String) {
        self.count += 1;
        let day = 1_000 * self.count;
        (day, format!("FOR VALUES FROM ({day}) TO ({day} + 1000)"))
    }

    /// Creates a partition with rows, to which comments refer.
    fn create(&mut self, client: &mut Client) {
        let (day, bounds) = self.next();
        self.tables.push(format!("created_{day}"));
        of_partitions(client, &format!("CREATE TABLE created_{day} PARTITION OF event {bounds}"));
        let tag = 100_000_000 + day;
        client
            .batch_execute(&format!(
                "WITH e AS (INSERT INTO event (day, tag) SELECT {day} + i, {tag} + i FROM generate_series(1, 50) AS i RETURNING id, day, tag) \
                 INSERT INTO comment (tag, event_id, event_day) SELECT tag, id, day FROM e"
            ))
            .unwrap();
        self.rows.extend((1..=50).map(|i| (tag + i, Some(tag + i))));
    }

    /// Attaches a table with rows that have no keys, takes it away and attaches it again. Another one is
    /// detached for good.
    fn attach(&mut self, client: &mut Client) {
        let (day, bounds) = self.next();
        self.tables.push(format!("attached_{day}"));
        client
            .batch_execute(&format!(
                "CREATE TABLE attached_{day} (gone text, LIKE event INCLUDING DEFAULTS);
                 ALTER TABLE attached_{day} DROP COLUMN gone;
                 INSERT INTO attached_{day} (day, tag) SELECT {day} + i, 200000000 + {day} + i FROM generate_series(1, 50) AS i"
            ))
            .unwrap();
        of_partitions(client, &format!("ALTER TABLE event ATTACH PARTITION attached_{day} {bounds}"));
        of_partitions(client, &format!("ALTER TABLE event DETACH PARTITION attached_{day}"));
        of_partitions(client, &format!("ALTER TABLE event ATTACH PARTITION attached_{day} {bounds}"));
    }

    /// Creates a partition with rows and detaches it, and another one that it drops.
    fn remove(&mut self, client: &mut Client) {
        let (day, bounds) = self.next();
        of_partitions(client, &format!("CREATE TABLE detached_{day} PARTITION OF event {bounds}"));
        client.batch_execute(&format!("INSERT INTO event (day, tag) VALUES ({day}, 0)")).unwrap();
        of_partitions(client, &format!("ALTER TABLE event DETACH PARTITION detached_{day}"));
        // Otherwise it would be a table of its own that refers to the key, and that uses its sequence.
        of_partitions(
            client,
            &format!(
                "DO $$ DECLARE name text; BEGIN
                     FOR name IN SELECT conname FROM pg_constraint WHERE conrelid = 'detached_{day}'::regclass AND contype = 'f' AND conparentid = 0 LOOP
                         EXECUTE format('ALTER TABLE detached_{day} DROP CONSTRAINT %I', name);
                     END LOOP;
                     FOR name IN SELECT attname FROM pg_attribute WHERE attrelid = 'detached_{day}'::regclass AND atthasdef LOOP
                         EXECUTE format('ALTER TABLE detached_{day} ALTER %I DROP DEFAULT', name);
                     END LOOP;
                 END $$"
            ),
        );
        of_partitions(client, &format!("CREATE TABLE dropped PARTITION OF event {bounds}"));
        // PostgreSQL drops no partition that foreign keys refer to.
        of_partitions(client, "ALTER TABLE event DETACH PARTITION dropped; DROP TABLE dropped");
    }
}

/// The constraints and indexes of the partitioned table, of its partitions and of comments.
fn objects(client: &mut Client) -> Vec<String> {
    let query = "SELECT format('%s %s %s %s', conrelid::regclass, conname, contype, convalidated) FROM pg_constraint \
                 WHERE contype IN ('f', 'p', 'u', 'c') AND (confrelid = 0 OR confrelid = 'event'::regclass) \
                   AND (conrelid = 'comment'::regclass OR conrelid IN (SELECT relid FROM pg_partition_tree('event'))) \
                 UNION ALL SELECT format('%s %s %s', indexrelid::regclass, indisvalid, indisprimary) FROM pg_index \
                 WHERE indrelid IN (SELECT relid FROM pg_partition_tree('event')) ORDER BY 1";
    client.query(query, &[]).unwrap().iter().map(|row| row.get(0)).collect()
}

/// A migration of the tables.
#[derive(Clone, Copy)]
struct Kind {
    /// The type of old ids.
    from: &'static str,
    /// The arguments after the table.
    arguments: &'static str,
    /// Whether keys that an integer cannot hold are made before the end.
    outgrows: bool,
}

/// There is one primary key on what applications know as the id, and one foreign key of each reference.
fn check_moved(client: &mut Client, type_name: &str) {
    let query = format!(
        "SELECT count(*) FROM pg_constraint AS c JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1] \
         WHERE a.atttypid = '{type_name}'::regtype AND a.attname IN ('id', 'previous', 'event_id') \
           AND ((c.contype = 'p' AND c.conrelid IN (SELECT relid FROM pg_partition_tree('event'))) \
                OR (c.contype = 'f' AND c.conparentid = 0 AND c.confrelid = 'event'::regclass))"
    );
    let moved = number(client, &query);
    let wanted = "SELECT count(*) + 2 FROM pg_partition_tree('event')";
    assert_eq!(moved, number(client, wanted));
}

/// Draws ids that an integer cannot hold. Then there is no way back, which fails no writer.
fn outgrow(client: &mut Client, written: &Count) -> Result<()> {
    client.batch_execute("SELECT setval('event_id_seq', 2147483600)")?;
    written.wait_for(written.get() + 500)?;
    assert!(number(client, "SELECT count(*) FROM event WHERE id > 2147483647 AND id_old IS NULL") > 0);
    assert!(number(client, "SELECT count(*) FROM comment WHERE event_id > 2147483647") > 0);
    let refused = client.batch_execute("CALL key_migration_rollback('event')").unwrap_err();
    let refused = refused.as_db_error().unwrap();
    assert_eq!(refused.code(), &SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
    assert!(refused.message().ends_with("that the old ids cannot hold"), "{}", refused.message());
    written.wait_for(written.get() + 100)
}

#[test]
fn a_partitioned_table_gets_new_keys() {
    migrate(Kind { from: "bigint", arguments: "", outgrows: false });
}

#[test]
fn the_primary_key_of_a_partitioned_table_moves_at_the_cut_over() {
    migrate(Kind { from: "bigint", arguments: ", move_primary_key => true", outgrows: false });
}

#[test]
fn the_integer_key_of_a_partitioned_table_becomes_bigint() {
    migrate(Kind { from: "integer", arguments: ", target => 'bigint'", outgrows: true });
}

/// From the plan to the end, with two rollbacks in between, while others write and partitions come and go.
fn migrate(kind: Kind) {
    let server =
        start(&["synchronous_commit = off", "max_connections = 30", "max_locks_per_transaction = 256"]);
    let mut client = server.connect(DATABASE).unwrap();
    make_tables(&mut client, kind.from);
    let before = objects(&mut client);
    client.batch_execute(&format!("SELECT key_migration_create('event'{})", kind.arguments)).unwrap();
    client.batch_execute("SELECT key_migration_set('event', batch_pages => 8, retries => 1000)").unwrap();
    let written = Count::default();
    let writer = |number: i64| -> Session<'_, Turn<Ledger>> {
        let (server, written) = (&server, &written);
        Box::new(move |stop| write(server, stop, written, number))
    };
    let mut comings = Comings { rows: rows_before(), ..Comings::default() };
    let (ledgers, ()) = load::alongside(vec![writer(1), writer(2)], || {
        for through in ["prepared", "backfilled", "indexed", "validated", "verified"] {
            run_statements(&mut client, through);
            written.wait_for(written.get() + 50)?;
            comings.create(&mut client);
            if ["prepared", "backfilled", "indexed"].contains(&through) {
                comings.attach(&mut client);
            }
            comings.remove(&mut client);
        }
        for _ in 0..2 {
            run_statements(&mut client, "verified");
            let phase: String = client.query_one("SELECT key_migration_phase('event')", &[]).unwrap().get(0);
            assert_eq!(phase, "verified");
            client.batch_execute("CALL key_migration_cutover('event')").unwrap();
            if !kind.arguments.is_empty() {
                check_moved(&mut client, if kind.outgrows { "bigint" } else { "uuid" });
            }
            written.wait_for(written.get() + 100)?;
            comings.create(&mut client);
            comings.remove(&mut client);
            client.batch_execute("CALL key_migration_rollback('event')").unwrap();
            written.wait_for(written.get() + 100)?;
        }
        run_statements(&mut client, "verified");
        client.batch_execute("CALL key_migration_cutover('event')").unwrap();
        written.wait_for(written.get() + 100)?;
        comings.create(&mut client);
        comings.remove(&mut client);
        if kind.outgrows {
            outgrow(&mut client, &written)?;
        }
        let wrong = "SELECT count(*) FROM key_migration_verify('event') WHERE NOT ok";
        assert_eq!(number(&mut client, wrong), 0);
        client.batch_execute("CALL key_migration_finalize('event', confirm => 'event')").unwrap();
        written.wait_for(written.get() + 100)
    })
    .unwrap();
    check_comments(&mut client, std::mem::take(&mut comings.rows), ledgers);
    assert_eq!(
        number(&mut client, "SELECT count(*) FROM event WHERE tag BETWEEN 200000000 AND 300000000"),
        150
    );
    // Constraints and indexes have the names that they had, on each partition.
    let after = objects(&mut client);
    let is_late = |line: &&String| line.contains("created_") || line.contains("attached_");
    let kept: Vec<&String> = after.iter().filter(|line| !is_late(line)).collect();
    assert_eq!(kept, before.iter().collect::<Vec<_>>());
    // So have those of partitions that came meanwhile.
    let of_migration = |line: &&String| line.contains("_old") || line.contains("_new");
    assert_eq!(after.iter().filter(of_migration).collect::<Vec<_>>(), Vec::<&String>::new());
    for table in &comings.tables {
        for line in
            [format!("{table} {table}_pkey p t"), format!("{table}_pkey t t"), format!("{table}_tag_idx t f")]
        {
            assert!(after.contains(&line), "{line} is not in {after:#?}");
        }
    }
    assert!(written.get() > 1_000, "{written:?}");
}

/// Runs the statements up to `verified`, again after each kill.
fn verify_despite_kills(server: &Server, client: &mut Client, kills: &Count) {
    let deadline = Instant::now() + Duration::from_secs(240);
    let phase = |client: &mut Client| -> Option<String> {
        client.query_one("SELECT key_migration_phase('event')", &[]).ok().map(|row| row.get(0))
    };
    while phase(client).as_deref() != Some("verified") {
        let query = "SELECT statement FROM key_migration_statements('event', 'verified')";
        for row in client.query(query, &[]).unwrap_or_default() {
            let Err(error) = client.batch_execute(row.get(0)) else { continue };
            // A build that was killed leaves an index, which the next statements build again.
            let refused = error.as_db_error().filter(|_| !client.is_closed());
            assert!(refused.is_none_or(|refused| refused.message().contains("index")), "{error:?}");
            break;
        }
        if client.simple_query("SELECT").is_err() {
            *client = connect_when_up(server);
        }
        assert!(Instant::now() < deadline, "not verified after {kills:?} kills");
    }
}

#[test]
fn a_partitioned_table_gets_new_keys_despite_kills() {
    let server =
        start(&["synchronous_commit = on", "max_connections = 30", "max_locks_per_transaction = 256"]);
    let mut client = server.connect(DATABASE).unwrap();
    make_tables(&mut client, "bigint");
    client.batch_execute("SELECT key_migration_create('event')").unwrap();
    client.batch_execute("SELECT key_migration_set('event', batch_pages => 4, pause => '20 ms')").unwrap();
    let (written, kills) = (Count::default(), Count::default());
    let writer = |number: i64| -> Session<'_, Turn<Ledger>> {
        let (server, written) = (&server, &written);
        Box::new(move |stop| write(server, stop, written, number))
    };
    let (ledgers, ()) = load::alongside(vec![writer(1), writer(2)], || {
        let killer: Session<'_, ()> = Box::new(|stop| kill_runner(&server, stop, &kills));
        load::alongside(vec![killer], || {
            verify_despite_kills(&server, &mut client, &kills);
            Ok(())
        })?;
        client = connect_when_up(&server);
        for call in ["cutover", "rollback", "cutover"] {
            run_statements(&mut client, "verified");
            client.batch_execute(&format!("CALL key_migration_{call}('event')")).unwrap();
            written.wait_for(written.get() + 100)?;
        }
        client.batch_execute("CALL key_migration_finalize('event', confirm => 'event')").unwrap();
        written.wait_for(written.get() + 100)
    })
    .unwrap();
    assert!(kills.get() >= 2, "{kills:?}");
    check_comments(&mut client, rows_before(), ledgers);
}
