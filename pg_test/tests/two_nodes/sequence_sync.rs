//! PostgreSQL 19 replicates positions of sequences from a publication of ALL SEQUENCES to its
//! subscribers.

use std::time::{Duration, Instant};

use pg_test::{Server, skip};
use postgres::{Client, NoTls};

use crate::pair::{DATABASE, Pair};

const FIRST_VERSION: u32 = 19;

/// A pair whose second server will subscribe to the sequences of the first, or `None` on earlier
/// versions.
fn start(name: &str) -> Option<Pair> {
    let pair = Pair::start();
    if pair.servers[0].tree().major() < FIRST_VERSION {
        skip(name, "no publications of ALL SEQUENCES before PostgreSQL 19");
        return None;
    }
    Some(pair)
}

/// Subscribes the second server to a publication of the first.
fn subscribe(pair: &Pair, publication: &str, of: &str) {
    let [mut one, mut two] = pair.clients();
    one.batch_execute(&format!("CREATE PUBLICATION {publication} FOR {of}")).unwrap();
    two.batch_execute(&format!(
        "CREATE SUBSCRIPTION carrying CONNECTION '{}' PUBLICATION {publication} \
         WITH (copy_data = false, origin = none, slot_name = carrying_{publication})",
        pair.servers[0].conninfo(DATABASE)
    ))
    .unwrap();
}

fn number(client: &mut Client, query: &str) -> i64 {
    client.query_one(query, &[]).unwrap().get(0)
}

fn wait_until(client: &mut Client, condition: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !client.query_one(condition, &[]).unwrap().get::<_, bool>(0) {
        assert!(Instant::now() < deadline, "waited too long for {condition}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The findings of the check with this name: severity, whether it has a sequence, detail and hint.
fn found(client: &mut Client, finding: &str) -> Vec<(String, bool, String, String)> {
    let query = "SELECT severity, sequence IS NOT NULL, detail, hint FROM check_interleaved_sequences() \
                 WHERE finding = $1 ORDER BY sequence::text";
    let rows = client.query(query, &[&finding]).unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3))).collect()
}

/// The warnings of a statement.
fn warnings(server: &Server, statement: &str) -> Vec<String> {
    let heard = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut config: postgres::Config = server.conninfo(DATABASE).parse().unwrap();
    let hears = std::sync::Arc::clone(&heard);
    config.notice_callback(move |notice| {
        hears.lock().unwrap().push(format!(
            "{}: {} HINT: {}",
            notice.severity(),
            notice.message(),
            notice.hint().unwrap_or_default()
        ));
    });
    config.connect(NoTls).unwrap().batch_execute(statement).unwrap();
    let heard = heard.lock().unwrap().clone();
    heard.into_iter().filter(|heard| heard.starts_with("WARNING")).collect()
}

const SEQUENCES: &str = "SELECT count(*) FROM pg_class WHERE relkind = 'S'";
const SUBSCRIBED: &str = "SELECT count(*) FROM pg_subscription_rel r JOIN pg_class c ON c.oid = r.srrelid \
                          WHERE c.relkind = 'S'";

#[test]
fn trap_s51_a_publication_of_all_sequences_between_nodes_is_found_and_its_hint_works() {
    let name = "trap_s51_a_publication_of_all_sequences_between_nodes_is_found_and_its_hint_works";
    let Some(pair) = start(name) else { return };
    subscribe(&pair, "positions", "ALL SEQUENCES");
    let [mut one, mut two] = pair.clients();
    wait_until(&mut two, "SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel");
    // A set-up reports it on either side, in both forms.
    let heard = warnings(&pair.servers[0], "SELECT * FROM setup_interleaved_sequences(1, 2)");
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert!(heard[0].contains("publication \"positions\" replicates the positions of all sequences"));
    let planned = "SELECT count(*) FROM setup_interleaved_sequences(2, 2, dry_run => true) \
                   WHERE detail LIKE '%position is replicated%'";
    assert_eq!(number(&mut two, planned), number(&mut two, SEQUENCES));
    let heard = warnings(&pair.servers[1], "CALL setup_interleaved_sequences_in_batches(2, 2)");
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert!(heard[0].contains("subscription \"carrying\" replicates the positions of"), "{heard:?}");
    assert!(heard[0].ends_with("Otherwise run DROP SUBSCRIPTION carrying."), "{heard:?}");
    // The view and the check of the publisher.
    let published = "SELECT count(*) FILTER (WHERE 'position published' = ANY (findings)) FROM interleaved_sequences WHERE in_order";
    assert_eq!(number(&mut one, published), number(&mut one, SEQUENCES));
    let published = found(&mut one, "positions published");
    assert_eq!(published.len(), 1, "{published:?}");
    assert_eq!((published[0].0.as_str(), published[0].1), ("warning", false));
    assert!(published[0].3.contains("DROP PUBLICATION positions"), "{published:?}");
    // Those of the subscriber.
    let replicated = "SELECT count(*) FILTER (WHERE 'position replicated' = ANY (findings)) FROM interleaved_sequences WHERE NOT in_order";
    assert_eq!(number(&mut two, replicated), number(&mut two, SEQUENCES));
    let replicated = found(&mut two, "position replicated");
    assert!(replicated.iter().all(|row| row.0 == "error" && row.1), "{replicated:?}");
    assert!(
        replicated[0].2.contains("Subscription \"carrying\" (publication \"positions\")"),
        "{replicated:?}"
    );
    // Each side also learns it from the other's state.
    let states: Vec<String> = [&mut one, &mut two]
        .map(|client| client.query_one("SELECT interleaved_node_state()::text", &[]).unwrap().get(0))
        .into();
    for (client, state, finding, severity) in [
        (&mut one, &states[1], "position replicated", "error"),
        (&mut two, &states[0], "positions published", "warning"),
    ] {
        let query = "SELECT count(*) FROM check_interleaved_sequences(ARRAY[$1::text::jsonb]) \
                     WHERE finding = $2 AND severity = $3 AND peer IS NOT NULL AND sequence IS NULL";
        assert_eq!(client.query_one(query, &[state, &finding, &severity]).unwrap().get::<_, i64>(0), 1);
    }
    // PostgreSQL's behaviour: START differs, so nothing is overwritten, and the worker fails
    // repeatedly. A sequence that was created since, and that partitioned_nextval() uses, has the
    // same START on both sides, so its position is overwritten.
    pair.execute(
        "CREATE SEQUENCE parcel_no; CREATE TABLE parcel (id bigint PRIMARY KEY DEFAULT partitioned_nextval('parcel_no'))",
    );
    one.batch_execute("SELECT setval('item_item_id_seq', 1000001), setval('parcel_no', 1000001)").unwrap();
    for what in ["PUBLICATION", "SEQUENCES"] {
        two.batch_execute(&format!("ALTER SUBSCRIPTION carrying REFRESH {what}")).unwrap();
    }
    wait_until(&mut two, "SELECT sync_seq_error_count > 0 FROM pg_stat_subscription_stats");
    wait_until(&mut two, "SELECT last_value = 1000001 FROM parcel_no");
    assert!(number(&mut two, "SELECT last_value FROM item_item_id_seq") < 1_000);
    // Following the hints.
    two.batch_execute("DROP SUBSCRIPTION carrying").unwrap();
    one.batch_execute("DROP PUBLICATION positions").unwrap();
    for client in [&mut one, &mut two] {
        assert_eq!(found(client, "position replicated"), []);
        assert_eq!(found(client, "positions published"), []);
    }
    assert_eq!(number(&mut two, "SELECT count(*) FROM interleaved_sequences WHERE in_order IS NOT TRUE"), 0);
}

#[test]
fn trap_s51_a_publication_of_tables_and_sequences_keeps_its_tables() {
    let name = "trap_s51_a_publication_of_tables_and_sequences_keeps_its_tables";
    let Some(pair) = start(name) else { return };
    pair.set_up();
    subscribe(&pair, "everything", "ALL TABLES, ALL SEQUENCES");
    let [mut one, mut two] = pair.clients();
    assert!(number(&mut two, SUBSCRIBED) > 0);
    let hint = found(&mut one, "positions published").remove(0).3;
    assert!(hint.contains("ALTER PUBLICATION everything SET ALL TABLES"), "{hint}");
    let hint = found(&mut two, "position replicated").remove(0).3;
    assert!(hint.contains("ALTER SUBSCRIPTION carrying REFRESH PUBLICATION"), "{hint}");
    one.batch_execute("ALTER PUBLICATION everything SET ALL TABLES").unwrap();
    two.batch_execute("ALTER SUBSCRIPTION carrying REFRESH PUBLICATION").unwrap();
    assert_eq!(number(&mut two, SUBSCRIBED), 0);
    assert_eq!(found(&mut one, "positions published"), []);
    assert_eq!(found(&mut two, "position replicated"), []);
    // Rows are still replicated.
    let id = number(&mut one, "INSERT INTO item (made_by) VALUES ('node1') RETURNING item_id::bigint");
    wait_until(&mut two, &format!("SELECT count(*) = 1 FROM item WHERE item_id = {id}"));
}

/// The view reads the same position as PostgreSQL's own function, from 18 on.
#[test]
fn positions_are_those_of_pg_get_sequence_data() {
    let pair = Pair::start();
    if pair.servers[0].tree().major() < 18 {
        return skip("positions_are_those_of_pg_get_sequence_data", "no such function before PostgreSQL 18");
    }
    pair.set_up();
    let [mut one, _] = pair.clients();
    one.batch_execute("INSERT INTO item (made_by) SELECT 'node1' FROM generate_series(1, 40)").unwrap();
    let query = "SELECT count(*), count(*) FILTER (WHERE v.last_value IS DISTINCT FROM CASE WHEN d.is_called THEN d.last_value END)
                 FROM interleaved_sequences v, pg_get_sequence_data(v.sequence) d";
    let row = one.query_one(query, &[]).unwrap();
    assert!(row.get::<_, i64>(0) > 5);
    assert_eq!(row.get::<_, i64>(1), 0);
}

/// The conflict counters of a subscription show colliding keys (from PostgreSQL 18 on).
#[test]
fn inserts_whose_keys_were_in_use_are_reported_by_the_check() {
    let pair = Pair::start();
    if pair.servers[0].tree().major() < 18 {
        return skip(
            "inserts_whose_keys_were_in_use_are_reported_by_the_check",
            "subscriptions count no conflicts before PostgreSQL 18",
        );
    }
    pair.execute("ALTER TABLE ticket ALTER id SET DEFAULT nextval('ticket_no')");
    pair.replicate();
    let [mut one, mut two] = pair.clients();
    assert_eq!(found(&mut two, "insert conflicts"), []);
    // The same key at the same time.
    one.batch_execute("BEGIN; INSERT INTO item (made_by) VALUES ('node1')").unwrap();
    two.batch_execute("INSERT INTO item (made_by) VALUES ('node2')").unwrap();
    one.batch_execute("COMMIT").unwrap();
    wait_until(&mut two, "SELECT sum(confl_insert_exists) > 0 FROM pg_stat_subscription_stats");
    let findings = found(&mut two, "insert conflicts");
    assert_eq!((findings.len(), findings[0].0.as_str(), findings[0].1), (1, "error", false), "{findings:?}");
    assert!(findings[0].2.starts_with("Subscription \"from_node1\" has reported insert conflicts "));
    assert!(findings[0].2.contains("stats_reset is null"), "{findings:?}");
    // The hint names the command to run once the rows are resolved.
    two.batch_execute("ALTER SUBSCRIPTION from_node1 DISABLE").unwrap();
    wait_until(&mut two, "SELECT count(*) = 0 FROM pg_stat_subscription WHERE pid IS NOT NULL");
    let (_, reset) = findings[0].3.split_once("then run ").unwrap();
    two.batch_execute(reset.trim_end_matches('.')).unwrap();
    assert_eq!(found(&mut two, "insert conflicts"), []);
    two.batch_execute("ALTER SUBSCRIPTION from_node1 ENABLE").unwrap();
    wait_until(&mut two, "SELECT sum(confl_insert_exists) > 0 FROM pg_stat_subscription_stats");
    let findings = found(&mut two, "insert conflicts");
    assert!(findings[0].2.contains("Z (stats_reset)"), "{findings:?}");
}
