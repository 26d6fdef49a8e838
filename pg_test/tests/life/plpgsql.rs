//! plpgsql_check on every PL/pgSQL body.

use pg_test::skip;

use crate::{DATABASE, start};

#[test]
fn every_body_in_plpgsql_passes_plpgsql_check() {
    let server = start(&[]);
    if !server.tree().has_extension("plpgsql_check") {
        return skip(
            "every_body_in_plpgsql_passes_plpgsql_check",
            "plpgsql_check is not installed (Debian: postgresql-NN-plpgsql-check)",
        );
    }
    let mut client = server.connect(DATABASE).unwrap();
    client.batch_execute("CREATE EXTENSION plpgsql_check; CREATE EXTENSION pg_keyspace").unwrap();
    // Triggers are checked with their tables.
    let bodies = "
        SELECT p.oid::regprocedure::text, coalesce(t.tgrelid, 0)::regclass::text, c.lineno, c.level, c.message
        FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'pg_keyspace'
        JOIN pg_proc p ON p.oid = d.objid JOIN pg_language l ON l.oid = p.prolang AND l.lanname = 'plpgsql'
        LEFT JOIN pg_trigger t ON t.tgfoid = p.oid
        LEFT JOIN LATERAL plpgsql_check_function_tb(p.oid, coalesce(t.tgrelid, 0), security_warnings => true,
                              performance_warnings => true, extra_warnings => true) c ON true
        WHERE d.classid = 'pg_proc'::regclass AND d.deptype = 'e'";
    let rows = client.query(bodies, &[]).unwrap();
    assert!(!rows.is_empty(), "there are bodies in PL/pgSQL");
    for row in &rows {
        let (body, table): (String, String) = (row.get(0), row.get(1));
        println!("{body} {table}");
        let message: Option<String> = row.get(4);
        let (line, level): (Option<i32>, Option<String>) = (row.get(2), row.get(3));
        assert_eq!(message, None, "{body}, line {line:?}, {level:?}");
    }
}

/// It finds an error.
#[test]
fn plpgsql_check_would_tell() {
    let server = start(&[]);
    if !server.tree().has_extension("plpgsql_check") {
        return skip("plpgsql_check_would_tell", "plpgsql_check is not installed");
    }
    let mut client = server.connect(DATABASE).unwrap();
    client
        .batch_execute(
            "CREATE EXTENSION plpgsql_check;
             CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN PERFORM missing FROM pg_class; END $$",
        )
        .unwrap();
    let found = client.query("SELECT * FROM plpgsql_check_function('p()'::regprocedure)", &[]).unwrap();
    assert!(!found.is_empty());
}
