-- Sequences that are named by the columns that own them, in policies and other expressions, and columns of which the
-- sequence is only a part.
-- trap_s53
SET client_min_messages = warning;
\set VERBOSITY terse
CREATE SCHEMA ref;
SET search_path = ref, public;
\set plan 'SELECT sequence, action, in_use, restart, detail, fed_columns FROM setup_interleaved_sequences(2, schemas => ''{ref}'', dry_run => true)'

-- fault_b02_a_sequence_is_named_by_its_column: a trigger of another table, a default, and a table that the function writes
CREATE TABLE cust (id bigserial PRIMARY KEY);
CREATE TABLE oth (no bigint);
CREATE TABLE def (no bigint DEFAULT nextval(pg_get_serial_sequence('ref.cust', 'id')));
CREATE FUNCTION oth_bi() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.no := nextval(pg_get_serial_sequence('ref.cust', 'id'));
    RETURN NEW;
END $$;
CREATE TRIGGER oth_bi BEFORE INSERT ON oth FOR EACH ROW EXECUTE FUNCTION oth_bi();
ALTER TABLE oth DISABLE TRIGGER oth_bi;
INSERT INTO oth VALUES (900);
ALTER TABLE oth ENABLE TRIGGER oth_bi;
:plan;
INSERT INTO def VALUES (1200);
:plan;
DROP TABLE oth, def;
-- Setting it is no draw.
CREATE OR REPLACE FUNCTION oth_bi() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM setval(pg_get_serial_sequence('ref.cust', 'id'), 1), nextval('none');
    RETURN NEW;
END $$;
CREATE TRIGGER oth_bi BEFORE INSERT ON cust FOR EACH ROW EXECUTE FUNCTION oth_bi();
:plan;
DROP TABLE cust;
DROP FUNCTION oth_bi;

-- fault_b02_for_the_table_of_the_trigger: it is the column that owns the sequence
CREATE FUNCTION own_id() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.id := nextval(pg_get_serial_sequence(format('%I.%I', TG_TABLE_SCHEMA, TG_TABLE_NAME), 'id'));
    NEW.copy := nextval(pg_get_serial_sequence(TG_RELID::regclass::text, 'id'));
    RETURN NEW;
END $$;
CREATE TABLE "Own" (id bigserial, copy bigint);
CREATE TABLE other (id bigserial);
CREATE TRIGGER own_id BEFORE INSERT ON "Own" FOR EACH ROW EXECUTE FUNCTION own_id();
ALTER TABLE "Own" DISABLE TRIGGER own_id;
INSERT INTO "Own" VALUES (1, 300);
:plan;
DROP TABLE "Own", other;

-- fault_b02_what_becomes_of_it_is_not_known: with names that are given, with those in the source, by a variable, in a default
CREATE TABLE given (id bigserial);
CREATE TABLE in_source (id bigserial);
CREATE TABLE in_variable (id bigserial);
CREATE TABLE in_default (id bigserial);
CREATE TABLE in_string (id bigserial);
CREATE TABLE not_named (id bigserial);
CREATE FUNCTION next_of(t text, c text) RETURNS bigint LANGUAGE sql AS $$ SELECT nextval(pg_get_serial_sequence(t, c)) $$;
CREATE FUNCTION calls() RETURNS bigint LANGUAGE sql AS $$ SELECT next_of('ref.given', 'id') $$;
CREATE FUNCTION loops() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['in_source'] LOOP
        RETURN nextval(pg_get_serial_sequence(t, 'id'));
    END LOOP;
END $$;
CREATE FUNCTION keeps() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE s text := pg_get_serial_sequence('in_variable', 'id');
BEGIN RETURN nextval(s); END $$;
CREATE FUNCTION formats(d text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN EXECUTE format('INSERT INTO %I VALUES (nextval(pg_get_serial_sequence(''in_string'', ''id'')))', d); END $$;
CREATE TABLE def (no bigint DEFAULT next_of('ref.in_default', 'id'));
:plan;
DROP TABLE given, in_source, in_variable, in_default, in_string, not_named, def;
DROP FUNCTION next_of, calls, loops, keeps, formats;

-- fault_b02_policies_and_other_expressions: by OID, by a text and by a column
CREATE SEQUENCE by_oid;
CREATE SEQUENCE by_text;
CREATE SEQUENCE of_check;
CREATE SEQUENCE of_condition;
CREATE SEQUENCE of_view;
CREATE SEQUENCE only_looked_at;
CREATE TABLE cust (id bigserial);
CREATE TABLE guarded (no bigint CHECK (no < nextval('of_check')));
CREATE POLICY p1 ON guarded WITH CHECK (no < nextval('by_oid'));
CREATE POLICY p2 ON guarded USING (no < nextval('by_text'::text) AND no <> currval('only_looked_at'));
CREATE POLICY "P 3" ON guarded USING (no < nextval(pg_get_serial_sequence('ref.cust', 'id')));
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER t BEFORE INSERT ON guarded FOR EACH ROW WHEN (nextval('of_condition') > 0) EXECUTE FUNCTION nothing();
CREATE VIEW v AS SELECT nextval('of_view'::text) AS no;
:plan;
-- The checks of domains, in whatever their values are: a column, an array, a composite type, nothing yet.
CREATE SEQUENCE of_domain_by_oid;
CREATE SEQUENCE of_domain_by_text;
CREATE SEQUENCE of_domain_by_function;
CREATE SEQUENCE only_compared;
CREATE FUNCTION below_next(s text, no bigint) RETURNS boolean LANGUAGE sql AS $$ SELECT no < nextval(s::regclass) $$;
CREATE DOMAIN "Checked" AS bigint CONSTRAINT "Below" CHECK (VALUE < nextval('of_domain_by_oid'));
CREATE DOMAIN checked_by_text AS bigint CONSTRAINT below CHECK (VALUE < nextval('of_domain_by_text'::text));
CREATE DOMAIN checked_by_column AS bigint CONSTRAINT below CHECK (VALUE < nextval(pg_get_serial_sequence('ref.cust', 'id')));
CREATE DOMAIN checked_by_function AS bigint CONSTRAINT below CHECK (below_next('of_domain_by_function', VALUE));
CREATE DOMAIN not_drawing AS bigint CHECK (VALUE <> currval('only_compared') AND VALUE > 0);
CREATE TYPE composed AS (no checked_by_text);
CREATE TABLE of_domains (one "Checked", other composed, more checked_by_column[], not_drawn not_drawing);
SELECT sequence, action, detail FROM setup_interleaved_sequences(2, schemas => '{ref}', dry_run => true)
WHERE sequence::text ~ 'domain|cust|only_compared' ORDER BY 1;
-- fault_a04: the owner of a domain may not draw.
CREATE ROLE regress_ref_domain;
ALTER DOMAIN checked_by_text OWNER TO regress_ref_domain;
ALTER DOMAIN "Checked" OWNER TO regress_ref_domain;
SELECT sequence, action, detail FROM setup_interleaved_sequences(2, sequences => '{of_domain_by_oid,of_domain_by_text}', dry_run => true);
DROP TABLE of_domains;
DROP TYPE composed;
DROP DOMAIN "Checked", checked_by_text, checked_by_column, checked_by_function, not_drawing;
DROP FUNCTION below_next;
DROP ROLE regress_ref_domain;
DROP SEQUENCE of_domain_by_oid, of_domain_by_text, of_domain_by_function, only_compared;
-- fault_a04: a policy of a role that may not draw does not count.
CREATE ROLE regress_ref_other;
CREATE SEQUENCE not_allowed;
CREATE TABLE theirs (no bigint);
ALTER TABLE theirs OWNER TO regress_ref_other;
CREATE POLICY p ON theirs USING (no < nextval('not_allowed'::text) AND no < nextval('not_allowed'));
SELECT sequence, action, detail FROM setup_interleaved_sequences(2, sequences => '{not_allowed}', dry_run => true);
DROP TABLE theirs;
DROP ROLE regress_ref_other;
DROP TABLE guarded, cust;
DROP VIEW v;
DROP SEQUENCE by_oid, by_text, of_check, of_condition, of_view, only_looked_at, not_allowed;

-- fault_b04_ids_that_a_function_computes: Mastodon's default names the table, and the column owns the sequence
CREATE FUNCTION timestamp_id(table_name text) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    RETURN 117701866339401728 + nextval(table_name || '_id_seq') % 65536;
END $$;
CREATE SEQUENCE statuses_id_seq;
CREATE TABLE statuses (id bigint PRIMARY KEY DEFAULT timestamp_id('statuses'), note text);
ALTER SEQUENCE statuses_id_seq OWNED BY statuses.id;
-- Computed from a text, and by a function that names nothing.
CREATE SEQUENCE times_seq;
CREATE TABLE times (id bigint DEFAULT nextval('times_seq'::text) * 10);
ALTER SEQUENCE times_seq OWNED BY times.id;
CREATE FUNCTION hidden() RETURNS bigint LANGUAGE sql AS $$ SELECT 5::bigint $$;
CREATE DOMAIN hidden_id AS bigint DEFAULT hidden();
CREATE SEQUENCE hidden_seq;
CREATE TABLE hid (id hidden_id);
ALTER SEQUENCE hidden_seq OWNED BY hid.id;
-- These still count: a constant, no default, and the trigger that sets the column.
CREATE SEQUENCE constant_seq;
CREATE TABLE con (id bigint DEFAULT 0);
ALTER SEQUENCE constant_seq OWNED BY con.id;
CREATE SEQUENCE set_seq;
CREATE TABLE set_by (id bigint DEFAULT hidden());
ALTER SEQUENCE set_seq OWNED BY set_by.id;
CREATE FUNCTION set_id() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.id := nextval('set_seq'); RETURN NEW; END $$;
CREATE TRIGGER set_id BEFORE INSERT ON set_by FOR EACH ROW EXECUTE FUNCTION set_id();
ALTER TABLE set_by DISABLE TRIGGER set_id;
INSERT INTO statuses (note) VALUES ('one'), ('two');
INSERT INTO con VALUES (40);
INSERT INTO set_by VALUES (50);
:plan;
-- With its class by hand, the check finds nothing and the set-up changes nothing, however many ids are made.
SELECT sequence, action FROM setup_interleaved_sequences(2, schemas => '{ref}');
ALTER SEQUENCE statuses_id_seq INCREMENT 2 START 2 RESTART 1002;
INSERT INTO statuses (note) SELECT g FROM generate_series(1, 20) AS g;
SELECT severity, finding, detail, hint FROM check_interleaved_sequences() WHERE sequence = 'statuses_id_seq'::regclass;
SELECT action, restart, detail FROM setup_interleaved_sequences(2, sequences => '{statuses_id_seq}');
SELECT severity, finding FROM check_interleaved_sequences() WHERE sequence = 'times_seq'::regclass;
-- No guard stands in the way.
SELECT table_name, column_name, action, detail FROM guard_interleaved_sequences(schemas => '{ref}') ORDER BY 1;
INSERT INTO statuses (note) VALUES ('three'), ('four');
SELECT table_name FROM unguard_interleaved_sequences(schemas => '{ref}') ORDER BY 1;
-- The column counts if it is named.
SELECT action, in_use > 1000000 AS is_read, fed_columns
FROM setup_interleaved_sequences(2, sequences => '{statuses_id_seq}', feeds => '{"ref.statuses_id_seq": ["ref.statuses.id"]}', dry_run => true);
SELECT count(*) FROM reset_interleaved_sequences();
DROP SCHEMA ref CASCADE;
