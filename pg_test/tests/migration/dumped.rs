//! After finalize, a schema looks as if written by hand: the difference of `pg_dump -s` before and
//! after.

use pg_test::{lines_without, schema_dump};

use crate::{DATABASE, connect_when_up, start};

/// The usual parts of schemas: references of every kind, an identity key, a generated column, a
/// policy, a view, functions, comments, privileges, mixed-case names.
const SCHEMA: &str = r#"
CREATE SCHEMA "Shop";
SET search_path = "Shop", public;
CREATE ROLE "Clerk";
CREATE TABLE "Orders" (
    "Id" integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant integer NOT NULL DEFAULT 1,
    "Replaces" integer REFERENCES "Orders" ON DELETE SET NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    total numeric DEFAULT 0 NOT NULL,
    doubled numeric GENERATED ALWAYS AS (total * 2) STORED,
    UNIQUE (tenant, "Id")
);
COMMENT ON COLUMN "Orders"."Id" IS 'the number of an order';
CREATE INDEX by_total ON "Orders" (total);
CREATE INDEX by_replaced ON "Orders" ("Replaces") WHERE total > 0;
CREATE TABLE item (
    order_id integer REFERENCES "Orders" ON DELETE CASCADE,
    line smallint,
    PRIMARY KEY (order_id, line)
);
CREATE TABLE shipment (
    id serial PRIMARY KEY,
    order_id integer,
    line smallint,
    tenant integer,
    FOREIGN KEY (order_id, line) REFERENCES item ON UPDATE CASCADE ON DELETE CASCADE,
    FOREIGN KEY (tenant, order_id) REFERENCES "Orders" (tenant, "Id") MATCH FULL ON DELETE SET NULL
);
CREATE INDEX ON shipment (order_id DESC NULLS LAST);
ALTER TABLE "Orders" ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON "Orders" USING (tenant = 1);
GRANT SELECT, INSERT ON "Orders" TO "Clerk";
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.total := NEW.total; RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE UPDATE ON "Orders" FOR EACH ROW EXECUTE FUNCTION touch();
CREATE FUNCTION sum_of(o "Orders") RETURNS numeric LANGUAGE sql STABLE AS 'SELECT o.total';
CREATE VIEW totals AS SELECT tenant, sum(total) AS sum FROM "Orders" GROUP BY tenant;
INSERT INTO "Orders" ("Replaces", total) SELECT nullif(i - 1, 0), i FROM generate_series(1, 200) AS i;
INSERT INTO item SELECT i, 1 FROM generate_series(1, 200) AS i;
INSERT INTO shipment (order_id, line, tenant) SELECT i, 1, 1 FROM generate_series(1, 200) AS i;
"#;

#[test]
fn trap_m17_what_is_left_is_what_one_would_have_written() {
    let server = start(&[]);
    let mut client = connect_when_up(&server);
    client.batch_execute("CREATE EXTENSION pg_keyspace").unwrap();
    client.batch_execute(SCHEMA).unwrap();
    let dump = || schema_dump(&server, DATABASE, "\"Shop\"").unwrap();
    let before = dump();
    client.batch_execute(r#"SELECT public.key_migration_create('"Shop"."Orders"')"#).unwrap();
    let left = r#"SELECT statement FROM public.key_migration_statements('"Shop"."Orders"')"#;
    for row in client.query(left, &[]).unwrap() {
        let statement: &str = row.get(0);
        client
            .batch_execute(statement)
            .unwrap_or_else(|error| panic!("{statement}: {:?}", error.as_db_error()));
    }
    client.batch_execute(r#"CALL public.key_migration_cutover('"Shop"."Orders"')"#).unwrap();
    client
        .batch_execute(r#"CALL public.key_migration_finalize('"Shop"."Orders"', confirm => 'Orders')"#)
        .unwrap();
    let after = dump();
    let gone = lines_without(before.clone(), &after);
    let new = lines_without(after, &before);
    // Only types differ, and the default in place of the identity. Names of indexes and constraints
    // are the same.
    let expected_gone = [
        r#""Id" integer NOT NULL"#,
        r#""Replaces" integer"#,
        r#"ALTER TABLE "Shop"."Orders" ALTER COLUMN "Id" ADD GENERATED ALWAYS AS IDENTITY ("#,
        r#"SEQUENCE NAME "Shop"."Orders_Id_seq""#,
        "CACHE 1",
        "order_id integer NOT NULL",
        "order_id integer",
        ");",
        "START WITH 1",
        "INCREMENT BY 1",
        "NO MINVALUE",
        "NO MAXVALUE",
    ];
    let expected_new = [
        r#""Id" uuid DEFAULT public.uuidv7() NOT NULL"#,
        r#""Replaces" uuid"#,
        "order_id uuid NOT NULL",
        "order_id uuid",
    ];
    let sorted = |lines: &[String]| {
        let mut lines = lines.to_vec();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&gone), sorted(&expected_gone.map(str::to_owned)), "{new:#?}");
    assert_eq!(sorted(&new), sorted(&expected_new.map(str::to_owned)));
}
