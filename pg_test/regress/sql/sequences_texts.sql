-- What only texts say of sequences: defaults with a name as text, triggers, functions, views.
-- trap_s53
SET client_min_messages = warning;
\set VERBOSITY terse
CREATE SCHEMA txt;
SET search_path = txt, public;
\set plan 'SELECT sequence, action, in_use, restart, detail, fed_columns FROM setup_interleaved_sequences(2, schemas => ''{txt}'', dry_run => true)'

-- fault_b02_a_default_as_text: no dependency connects it with the sequence
CREATE SEQUENCE s2;
CREATE SEQUENCE s3;
CREATE SEQUENCE s4;
CREATE TABLE t2 (id bigint DEFAULT nextval('s2'::text));
CREATE TABLE t3 (id integer DEFAULT nextval('txt.s3'::text::regclass)::integer);
CREATE TABLE t4 (id bigint DEFAULT partitioned_nextval('"s4"'::varchar));
INSERT INTO t2 SELECT g FROM generate_series(1, 500) AS g;
INSERT INTO t3 SELECT g FROM generate_series(1, 300) AS g;
INSERT INTO t4 SELECT g FROM generate_series(1, 200) AS g;
:plan;
-- A name that another schema has, too, means the one in the schema of the table. If that has none, each may be meant.
CREATE SCHEMA txt2;
CREATE SCHEMA txt3;
CREATE SEQUENCE txt2.s2;
CREATE SEQUENCE txt2.far;
CREATE SEQUENCE txt3.far;
CREATE TABLE t5 (id bigint DEFAULT nextval('far'::text));
INSERT INTO t5 VALUES (70);
SELECT sequence, in_use, restart, fed_columns
FROM setup_interleaved_sequences(2, schemas => '{txt2, txt3}', dry_run => true);
DROP SCHEMA txt2, txt3 CASCADE;
DROP TABLE t2, t3, t4, t5;
DROP SEQUENCE s2, s3, s4;

-- fault_b03_the_default_of_a_domain
CREATE SEQUENCE of_domain;
CREATE DOMAIN numbered AS bigint DEFAULT nextval('of_domain');
CREATE DOMAIN small_numbered AS numbered CHECK (VALUE < 100000);
CREATE TABLE d1 (id numbered, other numbered DEFAULT 0);
CREATE TABLE d2 (id small_numbered);
INSERT INTO d1 SELECT g, 10000 FROM generate_series(1, 500) AS g;
INSERT INTO d2 VALUES (600);
CREATE SEQUENCE by_text;
CREATE DOMAIN text_numbered AS integer DEFAULT nextval('by_text'::text);
CREATE TABLE d3 (id text_numbered);
INSERT INTO d3 VALUES (40);
:plan;
DROP TABLE d1, d2, d3;
DROP DOMAIN small_numbered, numbered, text_numbered CASCADE;
DROP SEQUENCE of_domain, by_text;

-- fault_b26_casts_between_numbers
CREATE SEQUENCE cast_no;
CREATE TABLE c1 (id bigint DEFAULT nextval('cast_no')::numeric, n numeric DEFAULT nextval('cast_no')::integer,
                 b bigint DEFAULT nextval('cast_no')::smallint::numeric(12, 2), t bigint DEFAULT nextval('cast_no')::text::bigint);
INSERT INTO c1 VALUES (500, 1, 1, 1);
:plan;
INSERT INTO c1 VALUES (1, 700, 1, 1), (1, 1, 800, 1), (1, 1, 1, 900);
:plan;
DROP TABLE c1;
DROP SEQUENCE cast_no;

-- fault_b02_in_the_manner_of_oracle: triggers set the key
CREATE TABLE "Order" ("Id" bigint PRIMARY KEY, note text);
CREATE SEQUENCE "Order_seq";
CREATE FUNCTION order_bi() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- nextval('other') is not drawn
    IF NEW."Id" IS NULL THEN
        SELECT nextval('"Order_seq"') INTO NEW."Id";
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER "order bi" BEFORE INSERT ON "Order" FOR EACH ROW EXECUTE FUNCTION order_bi();
INSERT INTO "Order" VALUES (400, 'imported');
CREATE TABLE item (id numeric(10, 0) PRIMARY KEY, order_id bigint);
CREATE SEQUENCE item_seq;
CREATE FUNCTION item_bi() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE v_id numeric := nextval('item_seq');
BEGIN
    NEW.id := COALESCE(NEW.id, v_id);
    RETURN NEW;
END $$;
CREATE TRIGGER item_bi BEFORE INSERT ON item FOR EACH ROW EXECUTE FUNCTION item_bi();
INSERT INTO item VALUES (90);
-- In the manner of GitLab: one function for tables with partitions, an id for each row of several tables.
CREATE SEQUENCE shared_audit_event_id_seq;
CREATE FUNCTION assign_shared_id() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW."id" IS NOT NULL THEN
        RAISE WARNING 'Manually assigning ids is not allowed, the value will be ignored';
    END IF;
    NEW."id" := nextval('shared_audit_event_id_seq'::regclass);
    RETURN NEW;
END $$;
CREATE TABLE user_audit (id bigint, day date) PARTITION BY RANGE (day);
CREATE TABLE user_audit_2026 PARTITION OF user_audit FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE group_audit (id bigint);
CREATE TRIGGER assign_user_audit_id BEFORE INSERT ON user_audit FOR EACH ROW EXECUTE FUNCTION assign_shared_id();
CREATE TRIGGER assign_group_audit_id BEFORE INSERT ON group_audit FOR EACH ROW EXECUTE FUNCTION assign_shared_id();
INSERT INTO user_audit VALUES (NULL, '2026-05-01');
ALTER TABLE group_audit DISABLE TRIGGER USER;
INSERT INTO group_audit VALUES (120);
ALTER TABLE group_audit ENABLE TRIGGER USER;
-- A trigger function that no trigger calls, and one that comes too late, draw nothing.
CREATE SEQUENCE unused;
CREATE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN make(nextval('unused')); END $$;
CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.id := nextval('unused'); RETURN NEW; END $$;
CREATE TRIGGER late AFTER INSERT ON item FOR EACH ROW EXECUTE FUNCTION late();
DROP TRIGGER late ON item;
:plan;
-- The view, the node state and the check see the same columns.
SELECT sequence, fed_columns FROM interleaved_sequences WHERE sequence::text LIKE '%rder_seq%';
SELECT s->'maximum' AS maximum, s->'columns' AS columns FROM (SELECT interleaved_node_state()->'sequences'->'txt'->'Order_seq') AS own (s);
SELECT sequence, action, restart FROM setup_interleaved_sequences(2, schemas => '{txt}');
INSERT INTO "Order" VALUES (NULL) RETURNING "Id";
INSERT INTO user_audit VALUES (NULL, '2026-05-01') RETURNING id;
INSERT INTO item VALUES (500);
SELECT severity, finding, detail FROM check_interleaved_sequences() WHERE sequence = 'item_seq'::regclass;
SELECT table_name, column_name, action FROM guard_interleaved_sequences(schemas => '{txt}', dry_run => true) ORDER BY 1;
SELECT sequence, action, restart, detail FROM reset_interleaved_sequences('{item_seq, unused}');
DROP TABLE "Order", item, user_audit, group_audit;
DROP SEQUENCE "Order_seq", item_seq, shared_audit_event_id_seq, unused;
DROP FUNCTION order_bi, item_bi, assign_shared_id, never, late;

-- fault_b04_a_default_that_is_another_function
CREATE SEQUENCE flake_seq;
CREATE FUNCTION flake(s regclass) RETURNS bigint LANGUAGE sql AS $$ SELECT (1::bigint << 40) | (nextval(s) % 1024) $$;
CREATE TABLE flake_table (id bigint PRIMARY KEY DEFAULT flake('flake_seq'::regclass));
INSERT INTO flake_table DEFAULT VALUES;
-- In the manner of Mastodon.
CREATE FUNCTION timestamp_id(table_name text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    time_part bigint;
    sequence_base bigint;
    tail bigint;
BEGIN
    time_part := (date_part('epoch', now()) * 1000)::bigint << 16;
    sequence_base := ('x' || substr(md5(table_name || 'secret' || time_part::text), 1, 4))::bit(16)::bigint;
    tail := (sequence_base + nextval(table_name || '_id_seq')) & 65535;
    RETURN time_part | tail;
END $$;
CREATE SEQUENCE statuses_id_seq;
CREATE TABLE statuses (id bigint PRIMARY KEY DEFAULT timestamp_id('statuses'::text));
CREATE SEQUENCE media_attachments_id_seq;
CREATE TABLE media_attachments (id bigint PRIMARY KEY DEFAULT timestamp_id('media_attachments'));
-- Not that of a table with such a default.
CREATE TABLE accounts (id bigserial PRIMARY KEY);
-- A default that computes, a function that returns the value, a name in the arguments of a trigger.
CREATE SEQUENCE computed;
CREATE TABLE computing (id bigint DEFAULT nextval('computed') * 10 + 1, code text DEFAULT 'C' || nextval('accounts_id_seq'));
CREATE SEQUENCE by_function;
CREATE FUNCTION next_number() RETURNS bigint LANGUAGE sql AS $$ SELECT nextval('by_function') $$;
CREATE SEQUENCE by_argument;
CREATE FUNCTION number_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.id := nextval(TG_ARGV[0]); RETURN NEW; END $$;
CREATE TABLE argued (id bigint);
CREATE TRIGGER number_it BEFORE INSERT ON argued FOR EACH ROW EXECUTE FUNCTION number_it('by_argument');
CREATE SEQUENCE in_a_body;
CREATE FUNCTION parsed() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT nextval('in_a_body'); END;
CREATE SEQUENCE of_view;
CREATE VIEW drawing AS SELECT nextval('of_view') AS id;
CREATE SEQUENCE of_default;
CREATE TABLE below (id bigint, n int);
CREATE VIEW above AS SELECT id, n FROM below;
ALTER VIEW above ALTER id SET DEFAULT nextval('of_default');
CREATE VIEW of_accounts AS SELECT id FROM accounts;
ALTER VIEW of_accounts ALTER id SET DEFAULT nextval('accounts_id_seq');
:plan;
SELECT sequence, action FROM setup_interleaved_sequences(2, sequences => '{statuses_id_seq, by_function}');
SELECT findings, in_order FROM interleaved_sequences WHERE sequence = 'by_function'::regclass;
SELECT severity, finding, detail, hint FROM check_interleaved_sequences() WHERE sequence = 'statuses_id_seq'::regclass;
-- The caller knows better.
SELECT sequence, action, restart, fed_columns
FROM setup_interleaved_sequences(2, sequences => '{by_function, by_argument}', dry_run => true,
                                 feeds => '{"by_function": ["below.n"], "by_argument": ["argued.id"]}');
DROP VIEW drawing, above, of_accounts;
DROP TABLE flake_table, statuses, media_attachments, accounts, computing, argued, below;
DROP FUNCTION flake, timestamp_id, next_number, number_it, parsed;
DROP SEQUENCE flake_seq, statuses_id_seq, media_attachments_id_seq, computed, by_function, by_argument, in_a_body, of_view, of_default;

-- In the manner of LedgerSMB: one sequence for the keys of many tables, and functions that write their rows.
CREATE SEQUENCE id;
CREATE TABLE ar (id integer PRIMARY KEY DEFAULT nextval('id'), invnumber text);
CREATE TABLE ap (id integer PRIMARY KEY DEFAULT nextval('id'));
CREATE TABLE gl (id integer PRIMARY KEY DEFAULT nextval('id'));
INSERT INTO gl VALUES (60);
INSERT INTO ar VALUES (30);
CREATE FUNCTION post_invoice(number text) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE t_id integer;
BEGIN
    t_id := nextval('id');
    INSERT INTO ar (id, invnumber) VALUES (t_id, number);
    INSERT INTO gl (id) SELECT nextval('id') FROM ar;
    PERFORM setval('id', currval('id'));
    RETURN t_id;
END $$;
:plan;
-- A function that does more with it.
CREATE FUNCTION reserve() RETURNS integer LANGUAGE plpgsql AS $$ BEGIN RETURN nextval('id'); END $$;
:plan;
DROP FUNCTION reserve, post_invoice;
DROP TABLE ar, ap, gl;

-- What somebody writes who may not draw from the sequence does not count (fault A04).
CREATE ROLE regress_text_writer;
GRANT USAGE, CREATE ON SCHEMA txt TO regress_text_writer;
CREATE TABLE mine (id bigserial PRIMARY KEY);
GRANT TRIGGER, INSERT ON mine TO regress_text_writer;
SET ROLE regress_text_writer;
CREATE FUNCTION theirs() RETURNS bigint LANGUAGE sql AS $$ SELECT nextval('txt.mine_id_seq') $$;
CREATE FUNCTION their_trigger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.id := nextval('mine_id_seq'); RETURN NEW; END $$;
CREATE TABLE their_table (id bigint, x bigint DEFAULT nextval('mine_id_seq'::text));
INSERT INTO their_table VALUES (9000000000000000000, 9000000000000000000);
CREATE TRIGGER their_trigger BEFORE INSERT ON their_table FOR EACH ROW EXECUTE FUNCTION their_trigger();
CREATE VIEW their_view AS SELECT nextval('mine_id_seq');
RESET ROLE;
:plan;
GRANT USAGE ON SEQUENCE mine_id_seq TO regress_text_writer;
:plan;
DROP SCHEMA txt CASCADE;
DROP ROLE regress_text_writer;
