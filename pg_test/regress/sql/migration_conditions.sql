-- References of some rows: unusual names, types and values, wrong arguments, and what an ordinary role can do.
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
SET client_encoding = 'UTF8';
CALL keyspace_test.forget_node();
CREATE SCHEMA "Odd ""schema""";
SET search_path = "Odd ""schema""", public;
\pset format unaligned
\pset tuples_only on
CREATE DOMAIN kind AS varchar(20) CHECK (VALUE <> 'Forbidden');
CREATE DOMAIN id_or_none AS integer NOT NULL DEFAULT 0 CHECK (VALUE >= 0);
CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE orders (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT '2024-01-01 00:00:00+00');
INSERT INTO orders SELECT FROM generate_series(1, 40);
CREATE TABLE "No'tes" (no serial PRIMARY KEY, "The ""kind""" kind, "record id" bigint,
    fixed char(8), fixed_id integer, folded text COLLATE nocase, folded_id integer, small smallint, small_id smallint,
    long text, long_id bigint, plain_id integer, domain_id id_or_none, truth boolean, amount real, printed text);
ALTER TABLE "No'tes" ALTER COLUMN long SET STORAGE EXTERNAL;
-- Wrong arguments.
SELECT key_migration_create('orders');
CREATE PROCEDURE add(columns name[], type_column name, type_values text[], null_values text[] DEFAULT '{}') LANGUAGE plpgsql AS $$
DECLARE
    message text; detail text; hint text;
BEGIN
    PERFORM key_migration_add_reference('orders', '"No''tes"', columns, NULL, type_column, type_values, null_values);
EXCEPTION WHEN others THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RAISE WARNING '% %', SQLSTATE, concat_ws(' / ', message, NULLIF(detail, ''), NULLIF(hint, ''));
END $$;
CALL add('{small_id}', 'small', '{{1,2},{3,NULL}}');
CALL add('{small_id}', 'small', '{}');
CALL add('{small_id}', NULL, '{}');
CALL add('{small_id}', NULL, NULL, NULL);
CALL add('{small_id}', 'small', NULL);
CALL add('{small_id}', '', '{1}');
CALL add('{small_id}', 'tableoid', '{1}');
CALL add('{small_id}', 'SMALL', '{1}');
CALL add('{small_id}', 'small_id', '{1}');
CALL add('{tableoid}', 'small', '{1}');
CALL add('{}', 'small', '{1}');
CALL add(NULL, 'small', '{1}');
CALL add('{small_id,NULL}', 'small', '{1}');
CALL add('{small_id}', 'small', '{40000}');
CALL add('{small_id}', 'small', '{1,-40000}');
CALL add('{small_id}', 'small', '{" 1"}');
CALL add('{small_id}', 'small', '{+1}');
CALL add('{small_id}', 'small', '{1.0}');
CALL add('{small_id}', 'small', '{1_0}');
CALL add('{small_id}', 'small', '{0x1}');
CALL add('{small_id}', 'small', '{١}');
CALL add('{small_id}', 'small', '{""}');
CALL add('{record id}', 'The "kind"', '{more than twenty characters}');
CALL add('{fixed_id}', 'fixed', '{"12345678 ",123456789}');
CALL add('{small_id}', 'truth', '{true}');
CALL add('{small_id}', 'amount', '{1}');
CALL add('{small_id}', 'small', '{1}', '{40000}');
CALL add('{small_id}', 'small', '{1}', '{-0}');
CALL add('{small_id}', 'small', '{1}', '{0,NULL}');
CALL add('{"The \"kind\""}', NULL, NULL, '{more than twenty characters}');
CALL add('{amount}', 'small', '{1}', '{0}');
CALL add('{fixed}', 'small', '{1}', '{0}');
CALL add('{truth}', 'small', '{1}');
CALL add('{folded}', NULL, NULL, '{""}');
-- The type column is a column of the migration.
CALL add('{plain_id}', NULL, NULL, '{0}');
CALL add('{small_id}', 'plain_id', '{1}');
-- What is stored: each value once, and without the spaces that a char(n) does not keep.
CALL add('{record id}', 'The "kind"', ARRAY['it''s \ "quoted"', 'Größe', '', '  Order', '{', 'Größe', '$1', 'A\000']);
CALL add('{fixed_id}', 'fixed', '{"Order   ",Order," Order"}');
CALL add('{folded_id}', 'folded', '{Order}');
CALL add('{small_id}', 'small', '{{1},{-1}}', '{0,-1,0}');
CALL add('{long_id}', 'long', ARRAY[repeat('x', 3000), repeat(md5('long'), 400)]);
CALL add('{domain_id}', NULL, NULL, '{0}');
CALL add('{printed}', NULL, NULL, '{"",none}');
-- The same once more, in another order.
CALL add('{small_id}', 'small', '{-1,1,1}', '{0,-1}');
CALL add('{small_id}', 'small', '{1}', '{0,-1}');
CALL add('{small_id}', NULL, NULL);
SELECT attname, left(type_values::text, 80), null_values FROM keyspace_internal.key_migration_column JOIN pg_attribute ON attrelid = relation AND attnum = attribute
    WHERE relation = '"No''tes"'::regclass ORDER BY attnum;

CREATE FUNCTION fill() RETURNS void LANGUAGE sql AS $fill$
    INSERT INTO "No'tes" ("The ""kind""", "record id") SELECT kind, 1 + i FROM unnest(ARRAY['it''s \ "quoted"', 'Größe', '', '  Order', '{', 'Große', ' Order', '  Order ', '$1', '1', 'A\000', 'App\Models\Order', NULL]) WITH ORDINALITY AS k (kind, i);
    INSERT INTO "No'tes" (fixed, fixed_id) SELECT kind, 20 + i FROM unnest(ARRAY['Order', 'Order ', ' Order', 'order', NULL]) WITH ORDINALITY AS k (kind, i);
    INSERT INTO "No'tes" (folded, folded_id) SELECT kind, 20 + i FROM unnest(ARRAY['Order', 'ORDER', 'order', NULL]) WITH ORDINALITY AS k (kind, i);
    INSERT INTO "No'tes" (small, small_id) SELECT kind, id FROM (VALUES (1, 1), (-1, 2), (0, 3), (1, 0), (1, -1), (NULL, 4), (1, NULL), (1, 99)) AS k (kind, id);
    INSERT INTO "No'tes" (long, long_id) SELECT kind, 30 + i FROM unnest(ARRAY[repeat('x', 3000), repeat('x', 3001), repeat(md5('long'), 400), repeat(md5('other'), 400)]) WITH ORDINALITY AS k (kind, i);
    INSERT INTO "No'tes" (domain_id) SELECT i FROM unnest(ARRAY[0, 1, 99]) AS i;
    INSERT INTO "No'tes" (printed) SELECT text FROM unnest(ARRAY['7', '07', '+7', ' 7', '7 ', '7' || chr(160), chr(8203) || '7', '٧', '７', '7.0', '7e0', '0x7', '0b111', '1_0', '-0', '--7', 'VII', '', 'none',
        '2147483648', '-9223372036854775809', '9223372036854775807', E'7\n', E'\t7', '$7', '1e400', repeat('9', 1000), 'Infinity', 'NaN', 'NULL']) AS text;
$fill$;
-- Which rows have the key of their order, where it should be.
CREATE FUNCTION keys(after text) RETURNS TABLE (of text, rows text) LANGUAGE plpgsql AS $$
DECLARE
    id text := CASE after WHEN 'cutover' THEN 'id_old' ELSE 'id' END;
    key text := CASE after WHEN 'cutover' THEN 'id' ELSE 'id_new' END;
    printed text := CASE after WHEN 'cutover' THEN 'printed_old' ELSE 'printed' END;
    printed_key text := CASE after WHEN 'cutover' THEN 'printed' ELSE 'printed_new' END;
    domain_id text := CASE after WHEN 'cutover' THEN 'domain_id_old' ELSE 'domain_id' END;
    domain_key text := CASE after WHEN 'cutover' THEN 'domain_id' ELSE 'domain_id_new' END;
    one record;
BEGIN
    FOR one IN VALUES ('"The ""kind"""', '"record id"', '"record id_new"'), ('fixed', 'fixed_id', 'fixed_id_new'), ('folded', 'folded_id', 'folded_id_new'), ('small', 'small_id', 'small_id_new'),
        ('length(long)', 'long_id', 'long_id_new'), ('NULL', domain_id, domain_key), ('NULL', printed, printed_key)
    LOOP
        of := one.column2;
        EXECUTE format('SELECT string_agg(format(''%%s:%%s'', %1$s, n.%2$s), '', '' ORDER BY n.no) FROM "No''tes" AS n JOIN orders AS o ON o.%4$s = n.%3$s AND o.%5$s::text = n.%2$s::text',
            one.column1, one.column2, one.column3, key, id) INTO rows;
        RETURN NEXT;
        EXECUTE format('SELECT count(*) FROM "No''tes" AS n WHERE n.%2$s IS NOT NULL AND NOT EXISTS (SELECT FROM orders AS o WHERE o.%3$s = n.%2$s AND o.%4$s::text = n.%1$s::text)',
            one.column2, one.column3, key, id) INTO rows;
        IF rows <> '0' THEN
            of := 'wrong';
            RETURN NEXT;
        END IF;
    END LOOP;
END $$;
-- Rows of before, for the backfill, and rows that are written with triggers.
SELECT fill();
CALL key_migration_advance('orders', through => 'prepared');
SELECT fill();
INSERT INTO "No'tes" ("The ""kind""", "record id") VALUES ('Forbidden', 1);
SELECT statement FROM key_migration_statements('orders') \gexec
SELECT key_migration_phase('orders');
-- The same rows twice.
SELECT * FROM keys('verified');
SELECT column_name, check_name, ok, row_count FROM key_migration_verify('orders')
    WHERE table_name = '"No''tes"'::regclass AND check_name NOT IN ('rows', 'digest') ORDER BY column_name COLLATE "C", check_name;
-- A type column with another name, type or nothing in it.
ALTER TABLE "No'tes" RENAME COLUMN fixed TO "fixed; --";
ALTER TABLE "No'tes" ALTER COLUMN "fixed; --" TYPE text;
ALTER TABLE "No'tes" ALTER COLUMN small DROP NOT NULL, ALTER COLUMN small SET DEFAULT 1;
INSERT INTO "No'tes" ("fixed; --", fixed_id, small_id) VALUES ('Order', 40, 40);
SELECT fixed_id_new IS NOT NULL, small_id_new IS NOT NULL FROM "No'tes" ORDER BY no DESC LIMIT 1;
ALTER TABLE "No'tes" RENAME COLUMN "fixed; --" TO fixed;
CALL key_migration_cutover('orders');
SELECT * FROM keys('cutover');
-- A domain that refuses values, and texts that only look like numbers, also from the new column.
INSERT INTO "No'tes" (domain_id) VALUES (NULL);
SELECT domain_id_old, domain_id FROM "No'tes" ORDER BY no DESC LIMIT 1;
UPDATE "No'tes" SET domain_id = NULL WHERE domain_id_old = 1;
SELECT domain_id_old, count(*), count(domain_id) FROM "No'tes" GROUP BY 1 ORDER BY 1;
INSERT INTO "No'tes" (printed) SELECT id FROM orders WHERE id_old = 7;
SELECT printed_old FROM "No'tes" ORDER BY no DESC LIMIT 1;
UPDATE "No'tes" SET printed_old = '07' WHERE printed_old = '7';
SELECT count(*), count(printed) FROM "No'tes" WHERE printed_old = '07';
UPDATE "No'tes" SET "The ""kind""" = 'Größe' WHERE "The ""kind""" = 'Große';
SELECT count("record id"), count("record id_new") FROM "No'tes" WHERE "The ""kind""" = 'Größe';
CALL key_migration_rollback('orders');
SELECT count(*), count(domain_id) FROM "No'tes";
CALL key_migration_rollback('orders', confirm => 'orders');
SELECT count(*) FROM pg_attribute WHERE attrelid = '"No''tes"'::regclass AND attname LIKE '%\_new' AND NOT attisdropped;

-- By queries, and the same rows have keys.
SELECT key_migration_create('orders', fire_triggers => true);
CALL add('{record id}', 'The "kind"', ARRAY['it''s \ "quoted"', 'Größe', '', '  Order', '{', '$1', 'A\000']);
CALL add('{fixed_id}', 'fixed', '{Order," Order"}');
CALL add('{folded_id}', 'folded', '{Order}');
CALL add('{small_id}', 'small', '{1,-1}', '{0,-1}');
CALL add('{long_id}', 'long', ARRAY[repeat('x', 3000), repeat(md5('long'), 400)]);
CALL add('{domain_id}', NULL, NULL, '{0}');
CALL add('{printed}', NULL, NULL, '{"",none}');
TRUNCATE "No'tes";
SELECT fill();
CALL key_migration_advance('orders', through => 'backfilled');
SELECT * FROM keys('backfilled');
SELECT table_name, check_name, row_count FROM key_migration_verify('orders') WHERE NOT ok;
CALL key_migration_rollback('orders');

-- Two of the tables that a column refers to, one after the other.
CREATE TABLE customers (id serial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT '2024-01-01 00:00:00+00');
INSERT INTO customers SELECT FROM generate_series(1, 10);
CREATE TABLE notes (no serial PRIMARY KEY, record_type text NOT NULL, record_id bigint NOT NULL);
CREATE INDEX notes_record ON notes (record_type, record_id);
CREATE INDEX notes_of_orders ON notes (record_id) WHERE record_type = 'Order';
INSERT INTO notes (record_type, record_id) SELECT kind, i FROM unnest(ARRAY['Order', 'Customer', 'Page']) AS kind, generate_series(1, 5) AS i;
-- Rows that were written before there was a type column.
CREATE TABLE earlier (record_id bigint);
INSERT INTO earlier VALUES (1), (2), (NULL), (0);
ALTER TABLE earlier ADD COLUMN record_type char(10) DEFAULT 'Order';
INSERT INTO earlier VALUES (3, 'Customer'), (4, 'Order');
SELECT key_migration_create('orders', new_suffix => '_order');
SELECT key_migration_add_reference('orders', 'earlier', '{record_id}', type_column => 'record_type', type_values => '{Order}', null_values => '{0}');
SELECT key_migration_add_reference('orders', 'notes', '{record_id}', type_column => 'record_type', type_values => '{Order}');
SELECT statement FROM key_migration_statements('orders') \gexec
CALL key_migration_cutover('orders');
SELECT e.record_type, e.record_id, o.id_old FROM earlier AS e LEFT JOIN orders AS o ON o.id = e.record_id_order ORDER BY e.record_id;
CALL key_migration_finalize('orders', confirm => 'orders');
INSERT INTO notes (record_type, record_id_order) SELECT 'Order', min(id::text)::uuid FROM orders;
SELECT key_migration_create('customers', new_suffix => '_customer');
SELECT key_migration_add_reference('customers', 'notes', '{record_id}', type_column => 'record_type', type_values => '{Customer}');
SELECT action, detail FROM key_migration_plan('customers') WHERE action IN ('error', 'warning') AND table_name = 'notes'::regclass ORDER BY detail;
SELECT statement FROM key_migration_statements('customers') \gexec
CALL key_migration_cutover('customers');
ALTER TABLE notes DROP CONSTRAINT notes_record_id_order_given, ADD CHECK (num_nonnulls(record_id, record_id_order, record_id_customer) > 0);
CALL key_migration_finalize('customers', confirm => 'customers');
INSERT INTO notes (record_type, record_id_customer) SELECT 'Customer', min(id::text)::uuid FROM customers;
INSERT INTO notes (record_type, record_id) VALUES ('Page', 6);
INSERT INTO notes (record_type) VALUES ('Page');
SELECT n.record_type, count(*), count(record_id) AS old, count(o.id) AS orders, count(c.id) AS customers
    FROM notes AS n LEFT JOIN orders AS o ON o.id = n.record_id_order LEFT JOIN customers AS c ON c.id = n.record_id_customer GROUP BY 1 ORDER BY 1;
\d notes

-- Conditions of indexes that name a value that means none.
DROP TABLE notes, earlier, "No'tes", orders;
CREATE TABLE orders (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT '2024-01-01 00:00:00+00');
INSERT INTO orders SELECT FROM generate_series(1, 10);
CREATE TABLE log (no serial PRIMARY KEY, order_id bigint NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX log_some ON log (order_id) WHERE order_id <> 0;
SELECT key_migration_create('orders');
SELECT key_migration_add_reference('orders', 'log', '{order_id}', null_values => '{0}');
SELECT action, detail FROM key_migration_plan('orders') WHERE action IN ('error', 'warning') AND table_name = 'log'::regclass ORDER BY detail;
CALL key_migration_rollback('orders');

-- An ordinary role can neither add columns of its own tables, nor find out which ids there are.
CREATE ROLE ordinary_role;
GRANT CREATE, USAGE ON SCHEMA "Odd ""schema""" TO ordinary_role;
CREATE TABLE secrets (id bigint PRIMARY KEY, created_at timestamptz NOT NULL);
INSERT INTO secrets VALUES (42, '2024-01-01');
GRANT EXECUTE ON FUNCTION keyspace_internal.key_migration_late(), keyspace_internal.key_migration_reference(), keyspace_internal.key_migration_key() TO ordinary_role;
SELECT key_migration_create('secrets');
SET SESSION AUTHORIZATION ordinary_role;
CREATE TABLE mine (no serial PRIMARY KEY, kind text, ref varchar(2));
SELECT key_migration_add_reference('secrets', 'mine', '{ref}', null_values => '{42}');
SELECT key_migration_add_reference('secrets', 'mine', '{ref}', null_values => '{41}');
RESET SESSION AUTHORIZATION;
SELECT statement FROM key_migration_statements('secrets') \gexec
GRANT SELECT ON secrets TO ordinary_role;
SET SESSION AUTHORIZATION ordinary_role;
-- Arguments of a trigger that nobody but its owner has written.
CREATE TABLE crafted (no integer, kind text, ref varchar(2), ref_new uuid);
CREATE PROCEDURE craft(condition text) LANGUAGE plpgsql AS $$
DECLARE
    message text;
BEGIN
    EXECUTE format('CREATE OR REPLACE TRIGGER crafted BEFORE INSERT ON crafted FOR EACH ROW '
        'EXECUTE FUNCTION keyspace_internal.key_migration_reference(%s, key, uuid, %L, 3, 4, %s, 1, 3, 2, %L)', 'crafted'::regclass::oid, '', 'secrets'::regclass::oid, condition);
    INSERT INTO crafted VALUES (1, 'x', '42'), (2, 'x', NULL), (3, 'y', '42'), (4, 'y', NULL);
    SELECT string_agg(concat_ws(' ', no, ref, CASE WHEN ref_new IS NOT NULL THEN 'key' END), ', ' ORDER BY no) INTO message FROM crafted;
    DELETE FROM crafted;
    RAISE WARNING '%: %', condition, message;
EXCEPTION WHEN others THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT;
    RAISE WARNING '% %: %', SQLSTATE, condition, message;
END $$;
CALL craft('');
CALL craft('{');
CALL craft('[]');
CALL craft('{"type_column":"2"}');
CALL craft('{"type_column":40000,"type_values":["x"]}');
CALL craft('{"type_column":99,"type_values":["x"]}');
CALL craft('{"type_column":-6,"type_values":["x"]}');
CALL craft('{"type_column":0,"type_values":["x"]}');
CALL craft('{"type_column":4,"type_values":["x"]}');
CALL craft('{"type_column":2,"type_values":["\u0000","x\u0000y"]}');
CALL craft('{"type_column":2}');
CALL craft('{"null_values":["much too long"],"fills":true}');
CALL craft('{"null_values":[],"fills":true}');
CALL craft('{"null_values":["0"],"fills":true,"more":1}');
RESET SESSION AUTHORIZATION;
CALL key_migration_rollback('secrets');
REVOKE ALL ON FUNCTION keyspace_internal.key_migration_late(), keyspace_internal.key_migration_reference(), keyspace_internal.key_migration_key() FROM ordinary_role;
DROP SCHEMA "Odd ""schema""" CASCADE;
DROP ROLE ordinary_role;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration');
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
