//! A role that owns nothing but its schema tries to have its functions run by whoever looks.

use crate::program::{DATABASE, Program, run, value};
use crate::{GOOD, bare, of_check};

/// Functions, operators and casts with the names of PostgreSQL's own, in a schema that comes first in
/// the search path of the role that looks; and expressions that fail if anybody evaluates them.
const TRAPS: &str = r#"
    CREATE SCHEMA trap; CREATE TABLE trap.seen (what text);
    CREATE FUNCTION trap.caught(what text) RETURNS text LANGUAGE plpgsql AS
        $$BEGIN RAISE EXCEPTION 'caught: %', what; END$$;
    CREATE FUNCTION trap.format(text, name, name) RETURNS text LANGUAGE sql AS $$SELECT trap.caught('format')$$;
    CREATE FUNCTION trap.format(text, VARIADIC text[]) RETURNS text LANGUAGE sql AS $$SELECT trap.caught('format')$$;
    CREATE FUNCTION trap.pg_get_expr(pg_node_tree, oid) RETURNS text LANGUAGE sql AS $$SELECT trap.caught('pg_get_expr')$$;
    CREATE FUNCTION trap.to_json(anyelement) RETURNS json LANGUAGE sql AS $$SELECT trap.caught('to_json')::json$$;
    CREATE FUNCTION trap.same(name, name) RETURNS boolean LANGUAGE sql AS $$SELECT trap.caught('=') IS NULL$$;
    CREATE OPERATOR trap.= (LEFTARG = name, RIGHTARG = name, FUNCTION = trap.same);
    CREATE VIEW trap.pg_class AS SELECT trap.caught('pg_class') AS oid;
    CREATE FUNCTION trap.n() RETURNS integer LANGUAGE plpgsql AS $$BEGIN RETURN length(trap.caught('an expression')); END$$;
    CREATE FUNCTION trap.i(integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS $$BEGIN RETURN length(trap.caught('an index')); END$$;
    CREATE TABLE trap.t (id bigserial PRIMARY KEY, a integer DEFAULT trap.n(), CHECK (trap.i(a) > 0));
    CREATE INDEX ON trap.t ((trap.i(a)));
    CREATE SCHEMA "'; DROP TABLE trap.seen; --";
    CREATE TABLE "'; DROP TABLE trap.seen; --"."%I %s \" (id serial PRIMARY KEY, "é""" text UNIQUE);
    CREATE TABLE trap.replication_set_seq (set_id oid, set_seqoid regclass);
    CREATE ROLE looker LOGIN SUPERUSER; ALTER ROLE looker SET search_path = trap, pg_catalog;
"#;

#[test]
fn no_function_of_a_user_runs_and_names_are_only_names() {
    let [one, two] = ["one", "two"].map(|name| bare(name, GOOD));
    for server in [&one, &two] {
        run(server, TRAPS);
    }
    // The traps work for who is careless.
    let careless = one.connect_as("looker", DATABASE).unwrap().query("SELECT relname FROM pg_class", &[]);
    assert!(careless.is_err());
    let program = Program::new()
        .with("one", &one.conninfo_of("looker", DATABASE))
        .with("two", &two.conninfo_of("looker", DATABASE));
    // Tables without a key, on purpose.
    let linted = program.json(1, &["lint", "--all"]);
    assert!(of_check(&linted, "not-checked").is_empty(), "{linted:#}");
    let text = linted.to_string();
    assert!(!text.contains("caught: "), "{text}");
    let unique = of_check(&linted, "further-unique-key");
    assert_eq!(unique.len(), 2, "{unique:?}");
    assert_eq!(unique[0].1, "\"'; DROP TABLE trap.seen; --\".\"%I %s \\\"");
    assert!(value::<bool>(&one, "SELECT to_regclass('trap.seen') IS NOT NULL"));
    assert_eq!(of_check(&linted, "table-differs"), []);
}
