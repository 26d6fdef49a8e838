-- split_interleaved_sequences() and the change of a node's class.
\set SHOW_CONTEXT never
CREATE SCHEMA split;
SET search_path = split, public;
CREATE TABLE orders (id bigserial PRIMARY KEY);
CREATE TABLE down (id bigint DEFAULT 0);
CREATE SEQUENCE down_no INCREMENT -1 CYCLE MINVALUE -60;
CREATE SEQUENCE pooled INCREMENT 50;
CREATE SEQUENCE drawn_on;
ALTER TABLE down ALTER id SET DEFAULT nextval('down_no');
CREATE TABLE ticket (id bigint DEFAULT partitioned_nextval('drawn_on'));
INSERT INTO orders SELECT FROM generate_series(1, 10);
SELECT sequence, action, restart, detail FROM setup_interleaved_sequences(2, 2, blocks => true, schemas => '{split}');
INSERT INTO orders SELECT FROM generate_series(1, 3);
INSERT INTO down SELECT FROM generate_series(1, 4);
SELECT nextval('pooled'), nextval('pooled');

-- trap_s34: node 2 of 2 becomes node 2 of 4; node 4 of 4 is free.
SELECT sequence, action, restart, detail, ddl FROM split_interleaved_sequences(dry_run => true) WHERE sequence::text !~ '\.';
SELECT sequence, action, restart, detail FROM split_interleaved_sequences() WHERE sequence::text !~ '\.';
SELECT node, nodes FROM interleaved_node;
INSERT INTO orders SELECT FROM generate_series(1, 3) RETURNING id;
INSERT INTO ticket SELECT FROM generate_series(1, 3) RETURNING id;
SELECT sequence, in_order, findings FROM interleaved_sequences WHERE sequence::text !~ '\.';
SELECT e.key, e.value->'before_setup' AS before_setup
FROM jsonb_each(interleaved_node_state()->'sequences'->'split') AS e ORDER BY 1;

-- Another class only with the states of the others, for all sequences, in one transaction.
SELECT * FROM setup_interleaved_sequences(1, 3);
CREATE FUNCTION other() RETURNS jsonb LANGUAGE sql AS $$
    SELECT s || '{"system_identifier": 7, "node": 1, "nodes": 2}' || jsonb_build_object('sequences',
        jsonb_build_object('split', jsonb_build_object('orders_id_seq', s->'sequences'->'split'->'orders_id_seq' || '{"last_value": 701, "maximum": 703, "increment": 2, "next_value": 703}')))
    FROM interleaved_node_state() AS s
$$;
SELECT * FROM setup_interleaved_sequences(3, 3, schemas => '{split}', peers => ARRAY[other()]);
SELECT action, count(*) > 0 AS some FROM setup_interleaved_sequences(3, 3, exclude => '{}', peers => ARRAY[other()], dry_run => true)
WHERE action IN ('planned', 'failed') GROUP BY action;
CALL setup_interleaved_sequences_in_batches(3, 3, peers => ARRAY[other()]);
SELECT other() AS before \gset
SELECT sequence, action, restart, detail FROM setup_interleaved_sequences(3, 3, peers => ARRAY[other()], gap => 1000) WHERE sequence::text !~ '\.';
-- A second run with the same states changes nothing. A later state must not overlap.
SELECT sequence, action FROM setup_interleaved_sequences(3, 3, peers => ARRAY[:'before'::jsonb], gap => 1000) WHERE action NOT IN ('unchanged', 'skipped');
SELECT sequence, action FROM setup_interleaved_sequences(3, 3, peers => ARRAY[other()], gap => 1000);
SELECT sequence, in_order, findings FROM interleaved_sequences WHERE sequence::text !~ '\.';

-- trap_s35: what makes no split.
SELECT * FROM split_interleaved_sequences(1);
SELECT * FROM split_interleaved_sequences(0);
SELECT * FROM split_interleaved_sequences(NULL);
SELECT * FROM split_interleaved_sequences(2147483647);
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT * FROM split_interleaved_sequences();
ROLLBACK;
SET pg_keyspace.node = 3;
SET pg_keyspace.nodes = 3;
BEGIN;
CALL keyspace_test.forget_node();
SELECT * FROM split_interleaved_sequences();
ROLLBACK;
RESET pg_keyspace.node;
RESET pg_keyspace.nodes;
BEGIN;
CALL keyspace_test.forget_node();
SELECT * FROM split_interleaved_sequences();
ROLLBACK;

-- The way back keeps above everything.
SELECT sequence, action, restart, new_increment FROM reset_interleaved_sequences('{orders_id_seq, pooled, down_no}');
CALL keyspace_test.become_node(2, 2);
\set VERBOSITY terse
DROP SCHEMA split CASCADE;
