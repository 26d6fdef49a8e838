-- What states of nodes say whatever they were written under, and which rows they tell of.
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
CREATE SCHEMA json;
CREATE SCHEMA "state.s";
SET search_path = json, "state.s", public;
-- Names that are quoted on one version, or under one setting, and not on another.
CREATE TABLE ord (id bigserial PRIMARY KEY);
CREATE TABLE "state.s"."Or""d.x" ("from" bigint PRIMARY KEY);
CREATE SEQUENCE "state.s"."of x" OWNED BY "state.s"."Or""d.x"."from";
INSERT INTO ord SELECT FROM generate_series(1, 10);
INSERT INTO "state.s"."Or""d.x" VALUES (10);
-- Another node's state: this one's, as if it were node 1 of 2 on another server, and further.
CREATE FUNCTION further(state jsonb, by bigint) RETURNS jsonb LANGUAGE sql AS $$
    SELECT state || jsonb_build_object('system_identifier', 7, 'node', 1, 'nodes', 2, 'sequences', (
        SELECT jsonb_object_agg(schema.key, (
            SELECT jsonb_object_agg(s.key, s.value || jsonb_build_object('maximum', by)) FROM jsonb_each(schema.value) AS s))
        FROM jsonb_each(state->'sequences') AS schema WHERE schema.key IN ('json', 'state.s')))
$$;
\set restarts 'SELECT s.sequence, s.action, s.restart, s.detail FROM setup_interleaved_sequences(2, schemas => ARRAY[''json'', ''state.s''], dry_run => true, peers => ARRAY[:state]) AS s ORDER BY s.sequence::text COLLATE "C";'

-- fault_b24_quoted_names
SET quote_all_identifiers = on;
SELECT further(interleaved_node_state(), 100000) AS state \gset
\set state '''' :state '''::jsonb'
SELECT jsonb_object_keys(:state->'sequences') AS schema ORDER BY schema;
SELECT s.value->'columns' FROM jsonb_each(:state->'sequences'->'state.s') AS s;
:restarts
RESET quote_all_identifiers;
:restarts
-- As nodes told it before, with quoted names, and of rows the last ones.
SELECT jsonb_set(jsonb_set(:state, '{version}', '1'), '{sequences}', (
    SELECT jsonb_object_agg(name, s.value - '{rows,unread_columns,min_value,max_value,rows_beyond,trusted}'::text[] || jsonb_build_object('others', '[]'::jsonb, 'columns', ARRAY['"json"."ord"."id"']))
    FROM jsonb_each(:state->'sequences'->'json') AS s, unnest(ARRAY['"json"."ord_id_seq"']) AS name)) AS former \gset
\set state '''' :former '''::jsonb'
:restarts
SELECT c.sequence, c.peer, c.finding FROM check_interleaved_sequences(ARRAY[:state]) AS c
WHERE c.sequence = 'ord_id_seq'::regclass AND c.peer IS NOT NULL ORDER BY 3;
-- What a peer does not know is told of each sequence, and when something is altered.
RESET client_min_messages;
BEGIN;
SELECT s.action, s.detail FROM setup_interleaved_sequences(2, sequences => ARRAY['"of x"', 'ord_id_seq']::regclass[], gap => 0, peers => ARRAY[:state]) AS s ORDER BY s.detail COLLATE "C";
ROLLBACK;
SET client_min_messages = warning;

-- trap_s52 fault_b12_rows_behind_others: this node is far ahead, and has rows of node 1 behind its own
SELECT action, restart FROM setup_interleaved_sequences(2, sequences => ARRAY['ord_id_seq']::regclass[]);
INSERT INTO ord VALUES (11), (13), (4711);
INSERT INTO ord SELECT generate_series(12, 20000, 2);
CREATE TABLE unindexed (id bigint GENERATED ALWAYS AS IDENTITY);
INSERT INTO unindexed OVERRIDING SYSTEM VALUE SELECT id FROM ord;
-- The furthest value of an odd class, and whether that is all.
CREATE FUNCTION odd(state jsonb) RETURNS TABLE (sequence text, furthest bigint, unread bigint) LANGUAGE sql AS $$
    SELECT s.key, (SELECT max(f::bigint) FROM jsonb_array_elements_text(s.value->'rows'->'furthest') AS f WHERE f::bigint % 2 = 1),
           (s.value->'rows'->>'unread')::bigint
    FROM jsonb_each(state->'sequences'->'json') AS s ORDER BY s.key
$$;
SELECT * FROM odd(interleaved_node_state());
SELECT * FROM odd(interleaved_node_state(last_rows => NULL));
SELECT * FROM odd(interleaved_node_state(last_rows => 64));
SELECT * FROM odd(interleaved_node_state(last_rows => 0));
SELECT interleaved_node_state(last_rows => -1);
-- Node 2 in the place of node 1: its state tells of rows of this class.
CREATE FUNCTION other(state jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT further(state, 20001) || jsonb_build_object('sequences', jsonb_build_object('json', (
        SELECT jsonb_object_agg(s.key, s.value || jsonb_build_object('maximum', 20001, 'increment', 2, 'next_value', 20003, 'last_value', 20001,
            'before_setup', '[]'::jsonb, 'restart', 1,
            'rows', (s.value->'rows') || jsonb_build_object('unread', (s.value->'rows'->>'unread')::bigint + 1, 'furthest', (
                SELECT jsonb_agg(f::bigint + 1) FROM jsonb_array_elements_text(s.value->'rows'->'furthest') AS f))))
        FROM jsonb_each(state->'sequences'->'json') AS s WHERE s.key = 'ord_id_seq')))
$$;
SELECT other(interleaved_node_state()) AS all_rows, other(interleaved_node_state(last_rows => 64)) AS last_rows \gset
TRUNCATE ord;
SELECT setval('ord_id_seq', 14);
SELECT c.finding, c.detail FROM check_interleaved_sequences(ARRAY[:'all_rows'::jsonb]) AS c
WHERE c.sequence = 'ord_id_seq'::regclass AND c.peer IS NOT NULL;
SELECT c.severity, c.finding, c.detail, c.hint FROM check_interleaved_sequences(ARRAY[:'last_rows'::jsonb]) AS c
WHERE c.sequence = 'ord_id_seq'::regclass AND c.peer IS NOT NULL;
SELECT action, restart, detail FROM setup_interleaved_sequences(2, sequences => ARRAY['ord_id_seq']::regclass[], dry_run => true, peers => ARRAY[:'all_rows'::jsonb]);
SELECT action, restart, detail FROM setup_interleaved_sequences(2, sequences => ARRAY['ord_id_seq']::regclass[], peers => ARRAY[:'last_rows'::jsonb]);
SELECT c.finding FROM check_interleaved_sequences(ARRAY[:'last_rows'::jsonb]) AS c
WHERE c.sequence = 'ord_id_seq'::regclass AND c.peer IS NOT NULL;

\set VERBOSITY terse
SELECT count(*) FROM reset_interleaved_sequences(ARRAY['ord_id_seq', '"of x"']::regclass[]);
DROP SCHEMA json CASCADE;
DROP SCHEMA "state.s" CASCADE;
