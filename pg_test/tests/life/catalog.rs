//! The queries of `catalog_checks.sql` find the mistakes that they look for: each mistake here
//! changes their result.

use postgres::{Client, SimpleQueryMessage};

use crate::{DATABASE, start};

const QUESTIONS: &str = include_str!("../../regress/sql/catalog_checks.sql");

/// The mistakes, and the statements that make them.
const MISTAKES: &[(&str, &str)] = &[
    (
        "a function in another schema",
        "CREATE SCHEMA other; CREATE FUNCTION other.f() RETURNS int LANGUAGE sql RETURN 1;
         ALTER EXTENSION pg_keyspace ADD FUNCTION other.f()",
    ),
    ("a function of somebody else", "CREATE ROLE somebody; ALTER FUNCTION ulid() OWNER TO somebody"),
    ("a function that was forgotten", "ALTER EXTENSION pg_keyspace DROP FUNCTION uuidv7_monotonic()"),
    ("a setting of its own", "ALTER FUNCTION uuidv7_monotonic() SET search_path = ''"),
    ("the rights of its owner", "ALTER FUNCTION uuidv7_monotonic() SECURITY DEFINER"),
    (
        "internal without internal",
        "UPDATE pg_proc SET prorettype = 'internal'::regtype WHERE oid = 'ulid()'::regprocedure",
    ),
    (
        "a pseudo-type",
        "UPDATE pg_proc SET prorettype = 'anyelement'::regtype WHERE oid = 'ulid()'::regprocedure",
    ),
    ("leakproof and volatile", "ALTER FUNCTION ulid() LEAKPROOF"),
    (
        "core's code under other labels",
        "UPDATE pg_proc SET proparallel = 'u' WHERE prosrc = 'uuid_lt' AND pronamespace <> 'pg_catalog'::regnamespace",
    ),
    (
        "one symbol under two labels",
        "CREATE FUNCTION ulid_too() RETURNS ulid LANGUAGE c STABLE STRICT PARALLEL SAFE AS '$libdir/pg_keyspace', 'keyspace_ulid';
         ALTER EXTENSION pg_keyspace ADD FUNCTION ulid_too()",
    ),
    (
        "two meanings of a call",
        "CREATE FUNCTION ulid(n int DEFAULT 1) RETURNS int LANGUAGE sql RETURN n;
         ALTER EXTENSION pg_keyspace ADD FUNCTION ulid(int)",
    ),
    (
        "a name of core's",
        "CREATE FUNCTION upper(t text) RETURNS text LANGUAGE sql RETURN t;
         ALTER EXTENSION pg_keyspace ADD FUNCTION public.upper(text)",
    ),
    (
        "arguments without names",
        "CREATE FUNCTION sum_of(int, int) RETURNS int LANGUAGE sql RETURN 1;
         ALTER EXTENSION pg_keyspace ADD FUNCTION sum_of(int, int)",
    ),
    (
        "an operator whose function is volatile",
        "UPDATE pg_proc SET provolatile = 'v' WHERE oid = (SELECT oprcode FROM pg_operator WHERE oid = '< (ulid,ulid)'::regoperator)",
    ),
    (
        "an operator without commutator",
        "UPDATE pg_operator SET oprcom = 0 WHERE oid = '< (ulid,ulid)'::regoperator",
    ),
    ("an operator without estimate", "ALTER OPERATOR < (ulid, ulid) SET (RESTRICT = NONE)"),
    (
        "an equality that does not hash",
        "UPDATE pg_operator SET oprcanhash = false WHERE oid = '= (ulid,ulid)'::regoperator",
    ),
    (
        "an operator's function with another comment",
        "UPDATE pg_description SET description = 'less' WHERE objoid = (SELECT oprcode FROM pg_operator WHERE oid = '< (ulid,ulid)'::regoperator)",
    ),
    ("a cast that acts by itself", "UPDATE pg_cast SET castcontext = 'i' WHERE castsource = 'ulid'::regtype"),
    (
        "a cast without its way back",
        "DELETE FROM pg_cast WHERE castsource = 'uuid'::regtype AND casttarget = 'ulid'::regtype",
    ),
    (
        "an aggregate that workers cannot combine",
        "UPDATE pg_aggregate SET aggcombinefn = 0 WHERE aggfnoid = 'max(ulid)'::regprocedure",
    ),
    (
        "a class that is no default",
        "UPDATE pg_opclass SET opcdefault = false WHERE opcintype = 'ulid'::regtype AND opcmethod = 403",
    ),
    (
        "a family without an operator",
        "DELETE FROM pg_amop WHERE amoplefttype = 'ulid'::regtype AND amopmethod = 403 AND amopstrategy = 5",
    ),
    (
        "a family without sort support",
        "DELETE FROM pg_amproc WHERE amproclefttype = 'ulid'::regtype AND amprocnum = 2",
    ),
    ("a type without binary form", "UPDATE pg_type SET typsend = 0 WHERE oid = 'ulid'::regtype"),
    ("a type of another layout", "UPDATE pg_type SET typalign = 'd' WHERE oid = 'ulid'::regtype"),
    ("a type that is preferred", "UPDATE pg_type SET typispreferred = true WHERE oid = 'ulid'::regtype"),
    ("a table without primary key", "ALTER TABLE keyspace_internal.key_migration_step DROP CONSTRAINT key_migration_step_pkey"),
    ("a table that hides rows", "ALTER TABLE keyspace_internal.key_migration_step ENABLE ROW LEVEL SECURITY"),
    ("a view that is no barrier", "ALTER VIEW key_migration_log RESET (security_barrier)"),
    ("a table in sight", "ALTER TABLE keyspace_internal.key_migration_step SET SCHEMA public"),
    ("a schema for everybody", "GRANT CREATE ON SCHEMA keyspace_internal TO PUBLIC"),
    ("a table for everybody", "GRANT UPDATE ON keyspace_internal.interleaved_node TO PUBLIC"),
    (
        "an event trigger that replication passes by",
        "UPDATE pg_event_trigger SET evtenabled = 'O' WHERE evtfoid IN (SELECT oid FROM pg_proc WHERE probin = '$libdir/pg_keyspace')",
    ),
];

/// The result of the queries in this transaction.
fn answer(client: &mut Client) -> Vec<Vec<String>> {
    let mut rows: Vec<Vec<String>> = Vec::new();
    for message in client.simple_query(QUESTIONS).unwrap() {
        if let SimpleQueryMessage::Row(row) = message {
            let columns = row.columns().iter().map(|column| column.name().to_owned());
            let values = (0..row.len()).map(|at| row.get(at).unwrap_or_default().to_owned());
            rows.push(columns.chain(values).collect());
        }
    }
    rows.sort();
    rows
}

#[test]
fn every_mistake_in_the_catalogs_is_found() {
    let server = start(&["allow_system_table_mods = on"]);
    let mut client = server.connect(DATABASE).unwrap();
    client.batch_execute("CREATE EXTENSION pg_keyspace").unwrap();
    let mut answer_after = |mistake: &str| {
        client.batch_execute("BEGIN").unwrap();
        if let Err(error) = client.batch_execute(mistake) {
            panic!("{mistake}: {error:?}");
        }
        let answer = answer(&mut client);
        client.batch_execute("ROLLBACK").unwrap();
        answer
    };
    let clean = answer_after("");
    assert_eq!(clean, answer_after(""), "the same question has the same answer");
    for (what, mistake) in MISTAKES {
        assert_ne!(clean, answer_after(mistake), "{what} was not found");
    }
}
