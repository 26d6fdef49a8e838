-- Key migration in a database that does not know the encoding of its names.
-- fault_b25_key_migration
SET client_min_messages = warning;
SELECT current_database() AS first \gset
CREATE DATABASE keyspace_migration_ascii ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0;
\c keyspace_migration_ascii
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION pg_keyspace;
CREATE TABLE o (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT '2026-01-01', note text);
CREATE TABLE c (id bigserial PRIMARY KEY, o_id bigint NOT NULL REFERENCES o);
INSERT INTO o (note) SELECT i FROM generate_series(1, 3) AS i;
INSERT INTO c (o_id) SELECT id FROM o;
-- A table that has nothing to do with it, a function of a trigger that mentions the key, and a name in UTF-8.
DO $$ BEGIN
    EXECUTE E'CREATE TABLE "caf\xe9" (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL)';
    EXECUTE E'CREATE FUNCTION "f\xe9"() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN NEW.note := NEW.id || ''\xe9''; RETURN NEW; END $f$';
    EXECUTE E'CREATE TRIGGER t BEFORE UPDATE ON o FOR EACH ROW WHEN (false) EXECUTE FUNCTION "f\xe9"()';
END $$;
ALTER TABLE c ADD COLUMN "größe" int;
-- The names of a table, of a part of one and of a table that refers to one cannot be told.
DO $$ BEGIN PERFORM key_migration_create(oid::regclass) FROM pg_class WHERE relname::text = E'caf\xe9'; END $$;
DO $$ BEGIN EXECUTE E'ALTER TABLE c ADD COLUMN "gr\xf6\xdfe" int'; END $$;
SELECT key_migration_create('o');
SELECT count(*) FROM key_migration_plan('o');
DO $$ BEGIN EXECUTE E'ALTER TABLE c RENAME COLUMN "gr\xf6\xdfe" TO size'; EXECUTE E'CREATE TABLE "r\xe9f" (o_id bigint REFERENCES o)'; END $$;
SELECT key_migration_create('o');
DO $$ BEGIN EXECUTE E'ALTER TABLE "r\xe9f" RENAME TO ref'; END $$;
-- The rest of such names is only reported.
DO $$ BEGIN EXECUTE E'ALTER TABLE ref RENAME CONSTRAINT "r\xe9f_o_id_fkey" TO ref_o_id_fkey'; END $$;
SELECT action, detail FROM key_migration_plan('o') WHERE step IS NULL AND action <> 'note' ORDER BY 1, 2;
SELECT key_migration_create('o');
SELECT statement FROM key_migration_statements('o', 'verified') \gexec
CALL key_migration_cutover('o');
SELECT pg_typeof(o.id), count(*), count(c."größe") FROM o JOIN c ON c.o_id = o.id GROUP BY 1;
SELECT DISTINCT ok FROM key_migration_verify('o');
\c :first
DROP DATABASE keyspace_migration_ascii;
