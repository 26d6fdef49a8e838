//! The errors with which a step ends: they are raised in a later transaction, and still name what is
//! violated in the fields that programs read.

use postgres::Client;
use postgres::error::DbError;

use crate::{DATABASE, make_shop, run_statements, start};

fn fails(client: &mut Client, statement: &str) -> DbError {
    let error = client.batch_execute(statement).expect_err(statement);
    error.as_db_error().expect(statement).clone()
}

/// Schema, table, column, type and constraint of an error.
fn fields(error: &DbError) -> [Option<&str>; 5] {
    [error.schema(), error.table(), error.column(), error.datatype(), error.constraint()]
}

const BACKFILL: &str = "CALL key_migration_advance('orders', through => 'backfilled')";

#[test]
fn the_error_of_a_batch_names_what_is_violated() {
    let server = start(&[]);
    let mut client = server.connect(DATABASE).unwrap();
    make_shop(&mut client, 100);
    client
        .batch_execute(
            "ALTER TABLE audit ADD CONSTRAINT what_is_short CHECK (length(what) < 10) NOT VALID;
             SELECT key_migration_create('orders', fire_triggers => true)",
        )
        .unwrap();
    let error = fails(&mut client, BACKFILL);
    assert_eq!(error.code().code(), "23514");
    assert_eq!(fields(&error), [Some("public"), Some("audit"), None, None, Some("what_is_short")]);
    let detail = error.detail().unwrap();
    assert!(detail.contains("It ended a batch of the backfill of table"), "{detail}");
    assert!(error.hint().is_some());
    // All fields, and those alone, that a trigger gives.
    client
        .batch_execute(
            "ALTER TABLE audit DROP CONSTRAINT what_is_short;
             CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 RAISE 'no' USING ERRCODE = 'ZX001', COLUMN = 'what', DATATYPE = 'texts', CONSTRAINT = 'ours';
             END $$;
             CREATE TRIGGER refuse BEFORE UPDATE ON audit FOR EACH ROW EXECUTE FUNCTION refuse()",
        )
        .unwrap();
    let error = fails(&mut client, BACKFILL);
    assert_eq!((error.code().code(), error.message()), ("ZX001", "no"));
    assert_eq!(fields(&error), [None, None, Some("what"), Some("texts"), Some("ours")]);
}

#[test]
fn the_error_of_a_validation_names_what_is_violated() {
    let server = start(&[]);
    let mut client = server.connect(DATABASE).unwrap();
    make_shop(&mut client, 100);
    client.batch_execute("SELECT key_migration_create('orders')").unwrap();
    run_statements(&mut client, "indexed").unwrap();
    // As replication would, without foreign keys.
    client
        .batch_execute(
            "SET session_replication_role = replica; DELETE FROM orders WHERE id = 7; RESET session_replication_role",
        )
        .unwrap();
    let error = fails(&mut client, "CALL key_migration_advance('orders', through => 'validated')");
    assert_eq!(error.code().code(), "23503");
    assert_eq!(fields(&error), [Some("public"), Some("audit"), None, None, Some("audit_order_id_fkey_new")]);
}
