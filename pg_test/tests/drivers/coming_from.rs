//! docs/guides/coming-from.md: from the type of pgx_ulid to ours, and from uuid.

use std::path::Path;

use postgres::Client;

use crate::database::{Database, programs, project};
use crate::program::output;

/// What the tables contain, as text.
const CONTENTS: &str =
    "SELECT concat_ws(E'\\n', (SELECT string_agg(p::text, ' ' ORDER BY name) FROM \"Person\" p),
    (SELECT string_agg(p::text, ' ' ORDER BY id::text) FROM pet p),
    (SELECT string_agg(v::text, ' ' ORDER BY id::text) FROM visit v))";

fn text(client: &mut Client, query: &str) -> String {
    client.query_one(query, &[]).unwrap().get(0)
}

#[test]
fn columns_of_pgx_ulid_are_moved_and_others_stay() {
    move_columns("pgx_ulid", false);
}

#[test]
fn what_is_printed_for_pgx_ulid_is_a_script() {
    move_columns("pgx_ulid_printed", true);
}

/// By the script, or by the statements that it prints.
fn move_columns(name: &str, is_printed: bool) {
    let database = Database::empty(name);
    database.run(&std::fs::read_to_string(programs().join("sql/pgx_ulid.sql")).unwrap());
    let psql = |arguments: &[&str], file: &Path| {
        let mut psql = database.client_program("psql");
        psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1"]).args(arguments).arg("-f").arg(file);
        psql
    };
    let path = project("clients/sql/from_pgx_ulid.sql");
    let script = |execute: &[&str]| {
        let types = ["-v", "old=theirs.ulid", "-v", "new=keyspace.ulid"];
        output(&mut psql(&[&types, execute].concat(), &path))
    };
    let mut client = database.connect();
    let (before, other) = (
        text(&mut client, CONTENTS),
        text(&mut client, "SELECT relfilenode::text FROM pg_class WHERE relname = 'other'"),
    );

    let statements = script(&[]);
    for value in ["no", "yes;", "YES", "1", ""] {
        let printed = script(&["-v", &format!("execute={value}")]);
        assert_eq!(printed, statements, "only yes executes them, not {value:?}");
    }
    assert_eq!(text(&mut client, CONTENTS), before, "printing changes nothing");
    let is_theirs = "SELECT ('\"Person\"'::regclass, 'theirs.ulid'::regtype) IN (SELECT attrelid, atttypid FROM pg_attribute)";
    assert!(client.query_one(is_theirs, &[]).unwrap().get::<_, bool>(0), "printing changes nothing");
    let mistaken =
        psql(&["-v", "old=theirs.ulid", "-v", "new=theirs.ulid", "-v", "execute=yes"], &path).output();
    let mistaken = mistaken.unwrap();
    assert!(
        mistaken.status.code() == Some(3)
            && String::from_utf8_lossy(&mistaken.stderr)
                .contains("type theirs.ulid is not the one of pg_keyspace"),
        "{mistaken:?}"
    );
    for table in ["\"Person\"", "pet", "visit"] {
        let rewrites = statements.matches(&format!("ALTER TABLE {table}\n")).count();
        assert_eq!(rewrites, 1, "{table} is rewritten once:\n{statements}");
    }
    assert!(!statements.contains("visit_2024\n") && !statements.contains("other"), "{statements}");

    if is_printed {
        let printed = database.server().tree().run().make_directory("pgx_ulid").unwrap().join("printed.sql");
        std::fs::write(&printed, &statements).unwrap();
        output(&mut psql(&[], &printed));
    } else {
        script(&["-v", "execute=yes"]);
    }
    assert!(!client.query_one(is_theirs, &[]).unwrap().get::<_, bool>(0), "the statements have been run");
    assert_eq!(text(&mut client, CONTENTS), before);
    assert_eq!(text(&mut client, "SELECT relfilenode::text FROM pg_class WHERE relname = 'other'"), other);
    let defaults = text(
        &mut client,
        "SELECT string_agg(pg_get_expr(adbin, adrelid), ', ' ORDER BY adrelid, adnum)
            FROM pg_attrdef JOIN pg_class c ON c.oid = adrelid
            WHERE relnamespace = 'public'::regnamespace",
    );
    assert_eq!(
        defaults,
        "keyspace.ulid(), '{}'::keyspace.ulid[], keyspace.ulid_monotonic(), '01ARZ3NDEKTSV4RRFFQ69G5FAV'::keyspace.ulid"
    );
    let foreign_keys = "SELECT count(*) FROM pg_constraint
        WHERE contype = 'f' AND convalidated AND connamespace = 'public'::regnamespace";
    assert_eq!(client.query_one(foreign_keys, &[]).unwrap().get::<_, i64>(0), 3);
    // Nothing of ours depends on the other extension any longer.
    database.run(
        "DROP OPERATOR CLASS theirs.ulid_ops USING btree;
        DROP OPERATOR theirs.=(theirs.ulid, theirs.ulid), theirs.<(theirs.ulid, theirs.ulid);
        DROP FUNCTION theirs.cmp, theirs.lt, theirs.eq, theirs.gen_ulid, theirs.gen_monotonic_ulid",
    );
    let columns = "SELECT count(*) FROM pg_attribute WHERE atttypid IN ('theirs.ulid'::regtype, 'theirs.ulid[]'::regtype)";
    assert_eq!(client.query_one(columns, &[]).unwrap().get::<_, i64>(0), 0);
    // ON DELETE CASCADE is still in force.
    database.run("DELETE FROM visit; DELETE FROM \"Person\" WHERE name = '1'");
    assert_eq!(client.query_one("SELECT count(*) FROM pet", &[]).unwrap().get::<_, i64>(0), 9);
    assert!(script(&[]).starts_with("BEGIN;\nCOMMIT;"), "nothing is left");
}
