-- What counts and what is told without a right to it.
\pset format unaligned
\pset tuples_only on
CREATE SCHEMA shop;
-- The database is a node.
CREATE SEQUENCE shop.first;
SELECT action FROM setup_interleaved_sequences(2, sequences => '{shop.first}');
DROP SEQUENCE shop.first;
CREATE ROLE regress_rights_owner;
CREATE ROLE regress_rights_other;
CREATE SCHEMA att AUTHORIZATION regress_rights_other;
GRANT USAGE, CREATE ON SCHEMA shop TO regress_rights_owner;
GRANT USAGE ON SCHEMA shop TO regress_rights_other;
SET ROLE regress_rights_owner;
CREATE TABLE shop.ord (id serial PRIMARY KEY);
INSERT INTO shop.ord SELECT FROM generate_series(1, 10);
SET ROLE regress_rights_other;

-- fault_a04_a_default_of_others: whoever may create a table can write it
CREATE TABLE att.e (x integer DEFAULT nextval('shop.ord_id_seq'));
INSERT INTO att.e VALUES (2147483640);
RESET ROLE;
\set restarts 'SELECT action, in_use, restart, detail FROM setup_interleaved_sequences(2, sequences => ARRAY[''shop.ord_id_seq'']::regclass[], dry_run => true'
:restarts);
SELECT c.finding FROM check_interleaved_sequences() AS c WHERE c.sequence = 'shop.ord_id_seq'::regclass ORDER BY 1;
SELECT s->'maximum', s->'columns' FROM (SELECT interleaved_node_state()->'sequences'->'shop'->'ord_id_seq') AS own (s);
SELECT fed_columns FROM interleaved_sequences WHERE sequence = 'shop.ord_id_seq'::regclass;
SELECT g.table_name, g.action, g.detail FROM guard_interleaved_sequences(tables => '{att.e}', dry_run => true) AS g;
-- Who may not read it is not kept from the set-up.
SET ROLE regress_rights_owner;
:restarts);
-- A default that draws for this node does not make the sequence of the others one that need not be set up.
SET ROLE regress_rights_other;
ALTER TABLE att.e ALTER x SET DEFAULT partitioned_nextval('shop.ord_id_seq');
RESET ROLE;
:restarts);
-- It counts where the caller says so, and where the owner of the table may draw.
:restarts, feeds => '{"shop.ord_id_seq": ["att.e.x"]}');
GRANT USAGE ON SEQUENCE shop.ord_id_seq TO regress_rights_other;
:restarts);
REVOKE USAGE ON SEQUENCE shop.ord_id_seq FROM regress_rights_other;

-- fault_a13_positions: neither by errors, by details nor by what a made-up state changes
CREATE FUNCTION shop.other(furthest bigint) RETURNS jsonb LANGUAGE sql AS $$
    SELECT interleaved_node_state() || jsonb_build_object('system_identifier', 7, 'node', 1, 'nodes', 2, 'sequences', jsonb_build_object(
        'shop', jsonb_build_object('ord_id_seq', jsonb_build_object('increment', 2, 'next_value', 1, 'maximum', furthest))))
$$;
SELECT shop.other(4) AS few, shop.other(4000) AS many \gset
SET ROLE regress_rights_other;
:restarts, gap => 9223372036854775807);
:restarts, peers => ARRAY[:'few'::jsonb]);
:restarts, peers => ARRAY[:'many'::jsonb]);
SELECT action, in_use, restart, detail, last_value, ddl FROM reset_interleaved_sequences(ARRAY['shop.ord_id_seq']::regclass[], dry_run => true);
SELECT setup_interleaved_sequences(2, sequences => ARRAY['shop.ord_id_seq']::regclass[], gap => 9223372036854775807);
SELECT in_order, next_value, values_left, percent_used, last_value, findings FROM interleaved_sequences WHERE sequence = 'shop.ord_id_seq'::regclass;
SELECT finding, detail FROM check_interleaved_sequences() WHERE sequence = 'shop.ord_id_seq'::regclass ORDER BY 1;
SELECT interleaved_node_state();
RESET ROLE;
-- Nor does a sequence go above rows of whoever may only draw from it, not set it.
GRANT USAGE ON SEQUENCE shop.ord_id_seq TO regress_rights_other;
SET ROLE regress_rights_other;
SELECT setval('shop.ord_id_seq', 2147483000);
CREATE TABLE att.hog (x bigint DEFAULT nextval('shop.ord_id_seq'));
INSERT INTO att.hog VALUES (2147483640);
RESET ROLE;
:restarts);
SELECT action, restart FROM setup_interleaved_sequences(2, sequences => ARRAY['shop.ord_id_seq']::regclass[]);
SELECT finding, detail, hint FROM check_interleaved_sequences() WHERE sequence = 'shop.ord_id_seq'::regclass ORDER BY 1;
SELECT s->'maximum', s->'rows' FROM (SELECT interleaved_node_state()->'sequences'->'shop'->'ord_id_seq') AS own (s);
GRANT UPDATE ON SEQUENCE shop.ord_id_seq TO regress_rights_other;
:restarts);
REVOKE ALL ON SEQUENCE shop.ord_id_seq FROM regress_rights_other;
DROP TABLE att.hog;
SELECT count(*) FROM reset_interleaved_sequences(sequences => ARRAY['shop.ord_id_seq']::regclass[]);

-- Nor to an owner who has taken the right from himself.
SET ROLE regress_rights_owner;
REVOKE ALL ON SEQUENCE shop.ord_id_seq FROM regress_rights_owner;
:restarts, gap => 9223372036854775807);
RESET ROLE;

\set VERBOSITY terse
SET client_min_messages = warning;
DROP SCHEMA shop CASCADE;
DROP SCHEMA att CASCADE;
DROP OWNED BY regress_rights_owner, regress_rights_other;
DROP ROLE regress_rights_owner, regress_rights_other;
