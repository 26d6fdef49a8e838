//! What the guide says about other parts of PostgreSQL.

use pg_test::skip;
use postgres::Client;

use crate::database::Database;

fn plan(client: &mut Client, query: &str) -> String {
    let rows = client.query(&format!("EXPLAIN (VERBOSE, COSTS off) {query}"), &[]).unwrap();
    rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>().join("\n")
}

#[test]
fn postgres_fdw_sends_conditions_on_ulids_if_it_knows_the_extension() {
    let database = Database::new("fdw");
    if !database.server().tree().has_extension("postgres_fdw") {
        return skip("postgres_fdw", "the extension is not installed");
    }
    let host = database.server().socket_dir().display();
    database.run(&format!(
        "CREATE EXTENSION postgres_fdw;
        CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '{host}', dbname 'fdw');
        CREATE USER MAPPING FOR postgres SERVER far OPTIONS (user 'postgres');
        CREATE SCHEMA far;
        IMPORT FOREIGN SCHEMA public LIMIT TO (payment) FROM SERVER far INTO far;
        INSERT INTO payment (id, amount) VALUES ('01ARZ3NDEKTSV4RRFFQ69G5FAV', 1)"
    ));
    let query = "SELECT amount::text FROM far.payment WHERE id = '01ARZ3NDEKTSV4RRFFQ69G5FAV'";
    let mut client = database.connect();
    let without = plan(&mut client, query);
    assert!(without.contains("Filter: ") && !without.contains("WHERE"), "{without}");
    client.batch_execute("ALTER SERVER far OPTIONS (ADD extensions 'pg_keyspace')").unwrap();
    let with = plan(&mut client, query);
    assert!(with.contains("WHERE ((id OPERATOR(public.=) '01ARZ3NDEKTSV4RRFFQ69G5FAV'"), "{with}");
    assert_eq!(client.query_one(query, &[]).unwrap().get::<_, String>(0), "1");
}

#[test]
fn gin_has_arrays_of_ulids_and_btree_gin_has_uuids() {
    let database = Database::new("gin");
    let mut client = database.connect();
    client
        .batch_execute(
            "CREATE INDEX ON payment USING gin (refunds);
            SET enable_seqscan = off",
        )
        .unwrap();
    let found = plan(&mut client, "SELECT FROM payment WHERE refunds @> '{01ARZ3NDEKTSV4RRFFQ69G5FAV}'");
    assert!(found.contains("Index Cond: (payment.refunds @>"), "{found}");
    if !database.server().tree().has_extension("btree_gin") {
        return skip("btree_gin", "the extension is not installed");
    }
    client.batch_execute("CREATE EXTENSION btree_gin").unwrap();
    let error = client.batch_execute("CREATE INDEX ON payment USING gin (id)").unwrap_err();
    assert_eq!(error.code().map(|state| state.code()), Some("42704"));
    client.batch_execute("DROP INDEX payment_refunds_idx; ALTER TABLE payment DROP CONSTRAINT payment_pkey; CREATE INDEX ON payment USING gin ((id::uuid), refunds)").unwrap();
    let found =
        plan(&mut client, "SELECT FROM payment WHERE id::uuid = '01563e3a-b5d3-d676-4c61-efb99302bd5b'");
    assert!(found.contains("Index Cond: ((payment.id)::uuid ="), "{found}");
}

#[test]
fn a_column_changes_between_uuid_and_ulid_without_writing_the_table() {
    let database = Database::empty("binary_coercible");
    database.run(
        "CREATE EXTENSION pg_keyspace;
        CREATE TABLE visitor (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text);
        ALTER TABLE visitor ALTER COLUMN id SET DEFAULT uuidv7();
        INSERT INTO visitor (name) SELECT number::text FROM generate_series(1, 1000) AS number",
    );
    let mut client = database.connect();
    let mut file = || -> (String, String) {
        let query = "SELECT pg_relation_filepath('visitor'), (SELECT md5(string_agg(id::uuid::text, '' ORDER BY id)) FROM visitor)";
        let row = client.query_one(query, &[]).unwrap();
        (row.get(0), row.get(1))
    };
    let before = file();
    database.run(
        "
        ALTER TABLE visitor ALTER COLUMN id DROP DEFAULT, ALTER COLUMN id TYPE ulid USING id::ulid;
        ALTER TABLE visitor ALTER COLUMN id SET DEFAULT ulid();
        ",
    );
    assert_eq!(file(), before);
    database
        .run("ALTER TABLE visitor ALTER COLUMN id DROP DEFAULT, ALTER COLUMN id TYPE uuid USING id::uuid");
    assert_eq!(file(), before);
}

#[test]
fn a_database_for_tests_is_a_node_by_its_settings() {
    let database = Database::empty("test_shop");
    database.run("CREATE EXTENSION pg_keyspace; CREATE SEQUENCE ticket_no");
    let draw = "SELECT partitioned_nextval('ticket_no')";
    let error = database.connect().query_one(draw, &[]).unwrap_err();
    assert_eq!(error.code().map(|state| state.code()), Some("55000"));
    database.run("ALTER DATABASE test_shop SET pg_keyspace.node = 1; ALTER DATABASE test_shop SET pg_keyspace.nodes = 2");
    let mut client = database.connect();
    let drawn: Vec<i64> = (0..3).map(|_| client.query_one(draw, &[]).unwrap().get(0)).collect();
    assert!(drawn.iter().all(|no| no % 2 == 1), "{drawn:?}");
}
