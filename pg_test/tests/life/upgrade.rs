//! pg_upgrade from 15 over 17 to 18, with `ulid` columns, indexes and a node.

use pg_test::{Container, InstallTree, Server, skip};
use postgres::Client;

use crate::{DATABASE, start};

const NAME: &str = "trap_p17_an_upgrade_over_versions_keeps_keys_indexes_and_the_node";

const SCHEMA: &str = "
    CREATE EXTENSION pg_keyspace;
    CREATE TABLE parcel (id ulid PRIMARY KEY DEFAULT ulid(), sender ulid, stops ulid[], no bigserial);
    CREATE INDEX parcel_sender ON parcel (sender, id);
    CREATE INDEX parcel_hash ON parcel USING hash (sender);
    CREATE INDEX parcel_time ON parcel USING brin (id ulid_minmax_multi_ops);
    CREATE TABLE ticket (id bigint PRIMARY KEY, made uuid DEFAULT public.uuidv7());
    CREATE TABLE voyage (id serial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now());
    CREATE TABLE leg (voyage_id integer REFERENCES voyage);
    INSERT INTO voyage SELECT FROM generate_series(1, 20);
    INSERT INTO leg SELECT i FROM generate_series(1, 20) AS i;
    CREATE TABLE harbor (id serial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now(), name text);
    CREATE TABLE berth (no serial PRIMARY KEY, harbor_id integer NOT NULL REFERENCES harbor);
    INSERT INTO harbor (name) SELECT repeat('x', 50) FROM generate_series(1, 2000) AS i;
    INSERT INTO berth (harbor_id) SELECT i FROM generate_series(1, 2000) AS i;
    CREATE SEQUENCE ticket_no OWNED BY ticket.id;
    ALTER TABLE ticket ALTER id SET DEFAULT partitioned_nextval('ticket_no');
    SELECT setup_interleaved_sequences(2, 3);
    SELECT guard_interleaved_sequences(tables => '{parcel}');
    INSERT INTO parcel (sender, stops) SELECT ulid(), ARRAY[ulid(), NULL] FROM generate_series(1, 2000);
    INSERT INTO ticket SELECT FROM generate_series(1, 50);
    ANALYZE;";

const ROWS: &str = "SELECT md5(string_agg(p::text, ' ' ORDER BY id)) || (SELECT md5(string_agg(t::text, ' ' ORDER BY id)) FROM ticket t)
                    FROM parcel p";

fn one<T: for<'a> postgres::types::FromSql<'a>>(client: &mut Client, query: &str) -> T {
    client.query_one(query, &[]).unwrap().get(0)
}

/// The trap: attribute options that a server of version 15 has stored itself, and that the DDL of a
/// later version does not know. Prints how many there are, and removes them. Options that users
/// have set stay.
fn take_out_what_core_cannot_carry(client: &mut Client) {
    let options = "WITH taken AS (
                       UPDATE pg_attribute SET attoptions = NULL
                       WHERE attoptions IS NOT NULL AND attoptions::text LIKE '{pg_attver=%}' RETURNING 1)
                   SELECT count(*) FROM taken";
    client.batch_execute("SET allow_system_table_mods = on").unwrap();
    println!(
        "columns with the attribute option pg_attver, which is taken out: {}",
        one::<i64>(client, options)
    );
}

/// Begins a migration, and leaves it in the midst of its backfill.
fn begin_in_the_middle(client: &mut Client) {
    // The first pages of a table whose rows were migrated before are empty.
    client.batch_execute("VACUUM FULL harbor").unwrap();
    client.batch_execute("SELECT key_migration_create('harbor')").unwrap();
    client.batch_execute("CALL key_migration_advance('harbor', through => 'prepared')").unwrap();
    client
        .batch_execute("CALL key_migration_advance('harbor', through => 'backfilled', max_pages => 5)")
        .unwrap();
    let lacking = "SELECT count(*) FROM harbor WHERE id_new IS NULL";
    let lacking = one::<i64>(client, lacking);
    assert!((1..2000).contains(&lacking), "{lacking} rows");
}

/// After the upgrade, its triggers go on, and it continues once it is adopted (fault C05).
fn continue_in_the_middle(client: &mut Client) {
    let written = "WITH h AS (INSERT INTO harbor DEFAULT VALUES RETURNING id, id_new)
                   SELECT count(*) FROM h WHERE id_new IS NOT NULL";
    assert_eq!(one::<i64>(client, written), 1);
    client.batch_execute("INSERT INTO berth (harbor_id) SELECT max(id) FROM harbor").unwrap();
    for statement in ["SELECT key_migration_create('harbor')", "CALL key_migration_advance('harbor')"] {
        let error = client.batch_execute(statement).unwrap_err();
        let hint = error.as_db_error().unwrap().hint().unwrap_or_default();
        assert_eq!(hint, "SELECT key_migration_adopt('public.harbor') to continue that migration here.");
    }
    client.batch_execute("SELECT key_migration_adopt('harbor')").unwrap();
    assert_eq!(one::<String>(client, "SELECT key_migration_phase('harbor')"), "prepared");
    for row in client.query("SELECT statement FROM key_migration_statements('harbor')", &[]).unwrap() {
        client.batch_execute(row.get(0)).unwrap();
    }
    assert_eq!(one::<String>(client, "SELECT key_migration_phase('harbor')"), "verified");
    let wrong = "SELECT count(*) FROM key_migration_verify('harbor') WHERE NOT ok";
    assert_eq!(one::<i64>(client, wrong), 0);
    client.batch_execute("CALL key_migration_rollback('harbor')").unwrap();
}

#[test]
fn trap_p17_an_upgrade_over_versions_keeps_keys_indexes_and_the_node() {
    let mut containers = Container::all();
    containers.sort_by_key(|container| container.major);
    let mut server = start(&[]);
    let first = server.tree().major();
    containers.retain(|container| container.major > first);
    if containers.is_empty() {
        return skip(
            NAME,
            "no container of a later version has the extension built from the current sources; cargo xtask test --pg all builds it",
        );
    }
    let mut client = server.connect(DATABASE).unwrap();
    client.batch_execute(SCHEMA).unwrap();
    let rows: String = one(&mut client, ROWS);
    // A key migration that is cut over, and not finalized before the last upgrade (fault C05).
    client.batch_execute("SELECT key_migration_create('voyage')").unwrap();
    for row in client.query("SELECT statement FROM key_migration_statements('voyage')", &[]).unwrap() {
        client.batch_execute(row.get(0)).unwrap();
    }
    client.batch_execute("CALL key_migration_cutover('voyage')").unwrap();
    let mut has_skip_support = false;
    for container in containers {
        begin_in_the_middle(&mut client);
        take_out_what_core_cannot_carry(&mut client);
        drop(client);
        let from = server.tree().major();
        let tree = InstallTree::of_container(server.tree().run(), &container).unwrap();
        server = Server::upgrade_to(&mut server, &tree, &format!("upgraded-{}", container.major)).unwrap();
        client = server.connect(DATABASE).unwrap();
        println!("{from} to {}: {}", container.major, one::<String>(&mut client, "SELECT version()"));
        assert_eq!(one::<String>(&mut client, ROWS), rows, "rows on {}", container.major);
        // Index files were linked: they are intact, and find the same rows as a scan.
        client.batch_execute("CREATE EXTENSION IF NOT EXISTS amcheck").unwrap();
        let check = "SELECT count(bt_index_parent_check(indexrelid, true, true)::text) FROM pg_index
                     JOIN pg_class c ON c.oid = indexrelid JOIN pg_am a ON a.oid = c.relam
                     WHERE indrelid = 'parcel'::regclass AND a.amname = 'btree'";
        assert_eq!(one::<i64>(&mut client, check), 2);
        let found = "SELECT count(*) FROM parcel p WHERE EXISTS (SELECT FROM parcel q WHERE q.sender = p.sender AND q.id = p.id)";
        client
            .batch_execute("SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off")
            .unwrap();
        assert_eq!(one::<i64>(&mut client, found), 2000);
        client.batch_execute("RESET ALL").unwrap();
        // The system identifier has changed, so it is not a node until it is confirmed.
        let refused = client.batch_execute("INSERT INTO ticket DEFAULT VALUES").unwrap_err();
        assert_eq!(refused.code().unwrap().code(), "55000");
        client.batch_execute("SELECT confirm_interleaved_node()").unwrap();
        let no: i64 = one(&mut client, "INSERT INTO ticket DEFAULT VALUES RETURNING id");
        assert_eq!(no % 3, 2);
        let check = "SELECT * FROM check_interleaved_sequences() WHERE severity <> 'info'";
        assert_eq!(client.query(check, &[]).unwrap().len(), 0);
        client.batch_execute("DELETE FROM ticket WHERE id = (SELECT max(id) FROM ticket)").unwrap();
        continue_in_the_middle(&mut client);
        // fault_c05_an_upgrade_during_a_migration: the triggers go on, and the migration is adopted.
        client
            .batch_execute(
                "WITH v AS (INSERT INTO voyage DEFAULT VALUES RETURNING id) INSERT INTO leg (voyage_id) SELECT id FROM v",
            )
            .unwrap();
        for statement in [
            "SELECT key_migration_create('voyage')",
            "CALL key_migration_finalize('voyage', confirm => 'voyage')",
        ] {
            let error = client.batch_execute(statement).unwrap_err();
            let hint = error.as_db_error().unwrap().hint().unwrap_or_default();
            assert_eq!(hint, "SELECT key_migration_adopt('public.voyage') to continue that migration here.");
        }
        client.batch_execute("SELECT key_migration_adopt('voyage')").unwrap();
        assert_eq!(one::<String>(&mut client, "SELECT key_migration_phase('voyage')"), "cut over");
        // Up to PostgreSQL 17, an upgrade loses statistics.
        client.batch_execute("CALL key_migration_rollback('voyage')").unwrap();
        client.batch_execute("ANALYZE voyage; ANALYZE leg").unwrap();
        client.batch_execute("CALL key_migration_cutover('voyage')").unwrap();
        let fits =
            "SELECT count(*) FROM leg l JOIN voyage v ON v.id = l.voyage_id AND v.id_old = l.voyage_id_old";
        assert!(one::<i64>(&mut client, fits) > 20);
        // What 18 supports in addition needs a few statements (trap_k18).
        let skip_support = "SELECT count(*) FROM pg_amproc JOIN pg_opfamily f ON f.oid = amprocfamily
                            WHERE opfname = 'ulid_ops' AND amprocnum = 6 AND amproc::regproc::text LIKE '%skipsupport'";
        // An upgrade keeps the objects as they were.
        assert_eq!(one::<i64>(&mut client, skip_support), i64::from(has_skip_support));
        if container.major >= 18 && !has_skip_support {
            has_skip_support = true;
            client
                .batch_execute(
                    "CREATE FUNCTION ulid_skipsupport(internal) RETURNS void
                         LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'uuid_skipsupport';
                     ALTER OPERATOR FAMILY ulid_ops USING btree ADD FUNCTION 6 (ulid, ulid) ulid_skipsupport(internal)",
                )
                .unwrap();
            assert!(one::<bool>(
                &mut client,
                "SELECT bool_and(amvalidate(oid)) FROM pg_opclass WHERE opcname = 'ulid_ops'"
            ));
        }
    }
    client.batch_execute("CALL key_migration_finalize('voyage', confirm => 'voyage')").unwrap();
}
