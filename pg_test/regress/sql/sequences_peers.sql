-- States of other nodes: interleaved_node_state(), the argument peers, check_interleaved_sequences(peers).
\pset null '(null)'
CREATE SCHEMA peers;
SET search_path = peers, public;

CREATE TABLE orders (id bigserial PRIMARY KEY);
CREATE TABLE log (id integer GENERATED ALWAYS AS IDENTITY (INCREMENT -1), note text);
CREATE SEQUENCE "Odd ""No""" CACHE 5;
CREATE TABLE ticket (id bigint PRIMARY KEY DEFAULT partitioned_nextval('"Odd ""No"""'));
INSERT INTO orders SELECT FROM generate_series(1, 10);
INSERT INTO log (note) SELECT 'x' FROM generate_series(1, 3);

-- What a node tells of itself.
SELECT jsonb_object_keys(interleaved_node_state()) ORDER BY 1;
SELECT s - 'system_identifier' - 'timeline' - 'database_oid' - 'time' - 'started_at' - 'sequences' AS node,
       s->>'system_identifier' = (SELECT system_identifier::text FROM pg_control_system()) AS server,
       (s->>'time')::timestamptz > (s->>'started_at')::timestamptz AS time
FROM interleaved_node_state() AS s;
CREATE VIEW own AS SELECT 'peers.' || e.key AS key, e.value FROM interleaved_node_state() AS s, jsonb_each(s->'sequences'->'peers') AS e;
SELECT key, jsonb_pretty(value) FROM own ORDER BY key;

-- A peer, made of the own state: node 1 of 2 on another server, with changes of one sequence.
CREATE FUNCTION peer(node integer, nodes integer, orders jsonb DEFAULT '{}', whole jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE sql AS $$
    SELECT s || jsonb_build_object('node', node, 'nodes', nodes, 'system_identifier', node,
                                   'sequences', jsonb_build_object('peers', jsonb_build_object('orders_id_seq', s->'sequences'->'peers'->'orders_id_seq' || orders))) || whole
    FROM interleaved_node_state() AS s
$$;

-- trap_s08: restarts above everything that any node has.
SELECT action, in_use, restart, detail
FROM setup_interleaved_sequences(2, 2, sequences => '{orders_id_seq}', dry_run => true,
    peers => ARRAY[peer(1, 2, '{"last_value": 500, "maximum": 400}'), peer(3, 4, '{"maximum": 900}')]);
SELECT action, in_use, restart, detail
FROM setup_interleaved_sequences(2, 2, sequences => '{orders_id_seq}', gap => 100,
    peers => ARRAY[peer(1, 2, '{"last_value": 500, "maximum": 400}')]);
-- What the peer does in its own class since does not matter; what it has of this node's does.
SELECT action, restart, detail
FROM setup_interleaved_sequences(2, 2, sequences => '{orders_id_seq}', gap => 100,
    peers => ARRAY[peer(1, 2, '{"increment": 2, "next_value": 2001, "last_value": 1999, "maximum": 1999, "before_setup": [{"step": 1, "offset": 500, "until": 500}]}')]);
SELECT action, restart, detail
FROM setup_interleaved_sequences(2, 2, sequences => '{orders_id_seq}',
    peers => ARRAY[peer(1, 2, '{"increment": 2, "next_value": 2001, "last_value": 1999, "maximum": 1999, "before_setup": [{"step": 1, "offset": 650, "until": 650}]}')]);
SELECT action, restart, detail
FROM setup_interleaved_sequences(2, 2, sequences => '{orders_id_seq}',
    peers => ARRAY[peer(1, 2, '{"increment": 2, "next_value": 2001, "rows": {"modulus": 24, "furthest": [3000]}}')]);
SELECT key, value->'restart' AS restart, value->'before_setup' AS before_setup FROM own WHERE key = 'peers.orders_id_seq';

-- trap_s35: a class that a peer has is not taken a second time.
SELECT action FROM setup_interleaved_sequences(2, 2, peers => ARRAY[peer(2, 4)]);
-- A gap is left once; a larger one is left all the same.
SELECT action, restart, detail FROM setup_interleaved_sequences(2, 2, sequences => '{orders_id_seq}', gap => 100);
SELECT action, restart, detail FROM setup_interleaved_sequences(2, 2, sequences => '{orders_id_seq}', gap => 1000);
SELECT action, restart, detail FROM setup_interleaved_sequences(2, 2, sequences => '{orders_id_seq}', gap => 1000);
-- trap_s34: what was copied from a node that is set up is known by the peer's state.
CREATE SEQUENCE copied INCREMENT 4;
CREATE SEQUENCE own_step INCREMENT 7;
SELECT sequence, action, restart, new_increment, detail
FROM setup_interleaved_sequences(2, 2, sequences => '{copied, own_step}', dry_run => true,
    peers => ARRAY[peer(1, 4, '{}', '{"sequences": {"peers": {"copied": {"increment": 4, "next_value": 9, "last_value": 5, "block": 1}}}}')]);

-- What the check finds between nodes.
CREATE FUNCTION found(VARIADIC peers jsonb[])
RETURNS TABLE (severity text, sequence regclass, node integer, peer integer, finding text, detail text, hint text)
LANGUAGE sql AS $$
    SELECT * FROM check_interleaved_sequences(peers)
    WHERE finding NOT LIKE 'missing%' AND (sequence IS NULL OR sequence = 'orders_id_seq'::regclass)
$$;
\set in_order '{"increment": 2, "next_value": 2001, "restart": 2001, "last_value": null, "maximum": 10, "before_setup": [{"step": 1, "offset": 9, "until": 9}]}'
SELECT * FROM found(peer(1, 2, :'in_order'));
-- The same state twice is no second server, and nothing is found twice.
SELECT peer(1, 2, :'in_order') AS once \gset
BEGIN;
SELECT severity, peer, finding FROM found(:'once');
SELECT severity, peer, finding FROM found(:'once', :'once');
SELECT severity, peer, finding FROM found(:'once', jsonb_set(:'once', '{sequences,peers,orders_id_seq,next_value}', '3001'));
ROLLBACK;
-- trap_s33
SELECT finding, detail FROM found(peer(3, 4, '{"increment": 4, "next_value": 2003, "restart": 2003}'));
SELECT finding, detail FROM found(peer(2, 4, '{"increment": 4, "next_value": 9002, "restart": 9002}'));
SELECT finding, detail FROM found(peer(1, 2, '{"increment": 2, "next_value": 4000, "restart": 2001}'));
-- trap_s43
\x
SELECT * FROM found(peer(1, 2, '{"increment": 2, "next_value": 9001, "restart": 9001, "before_setup": [{"step": 1, "offset": 8000, "until": 8000}]}'));
-- trap_s08
SELECT * FROM found(peer(1, 2, '{"increment": 2, "next_value": 9001, "restart": 9001, "rows": {"modulus": 24, "furthest": [7000]}}'));
\x
-- trap_s13: the same server twice.
SELECT finding, detail FROM found(peer(1, 2, :'in_order'), peer(1, 2, :'in_order', '{"timeline": 7}'));
SELECT finding, regexp_replace(detail, '\d+\.$', 'N.') FROM found(interleaved_node_state() || '{"timeline": 7, "node": 1, "sequences": {}}');
SELECT finding, detail FROM found(peer(1, 2, :'in_order', '{"node": null, "nodes": null}'));
SELECT finding, detail FROM found(peer(1, 2, :'in_order'), peer(3, 4, '{"increment": 4, "next_value": 2003, "restart": 2003}'));
-- Missing on a side.
SELECT severity, sequence, finding, detail
FROM check_interleaved_sequences(ARRAY[peer(1, 2, '{}', '{"sequences": {"peers": {"other": {"increment": 1, "next_value": 1}, "log_id_seq": {"increment": -1, "next_value": -4}}}}')])
WHERE finding LIKE 'missing%' AND (sequence IS NULL OR sequence::text IN ('orders_id_seq')) ORDER BY finding;

-- trap_s33_a_set_up_that_would_skip_it_again is no way out: the reason is told, and the check and the set-up say the same.
CREATE SEQUENCE pooled INCREMENT 50;
CREATE SEQUENCE drawn;
CREATE FUNCTION draws() RETURNS bigint LANGUAGE sql AS $$ SELECT nextval('peers.drawn') $$;
SELECT sequence, finding, detail, hint
FROM check_interleaved_sequences(ARRAY[peer(1, 2, '{}', '{"sequences": {"peers": {"pooled": {"increment": 2, "next_value": 1}, "drawn": {"increment": 2, "next_value": 1}}}}')])
WHERE sequence IN ('pooled'::regclass, 'drawn'::regclass) AND finding IN ('values overlap', 'custom increment', 'unknown use')
ORDER BY sequence::text, finding;
SELECT sequence, action FROM setup_interleaved_sequences(2, 2, sequences => '{pooled, drawn}');
DROP FUNCTION draws;
DROP SEQUENCE pooled, drawn;

-- trap_s35: states that are none.
SELECT * FROM check_interleaved_sequences(ARRAY[NULL]::jsonb[]);
SELECT * FROM check_interleaved_sequences(ARRAY['null', '[1]']::jsonb[]);
SELECT * FROM check_interleaved_sequences(ARRAY['{"version": 3}']::jsonb[]);
SELECT * FROM check_interleaved_sequences(ARRAY[interleaved_node_state() || '{"node": 5}']);
SELECT * FROM check_interleaved_sequences(ARRAY[interleaved_node_state() || '{"colour": "red"}']);
SELECT * FROM check_interleaved_sequences(ARRAY[interleaved_node_state()]);
SELECT * FROM setup_interleaved_sequences(2, 2, peers => ARRAY[interleaved_node_state()]);
SELECT * FROM setup_interleaved_sequences(2, 2, peers => ARRAY[NULL]::jsonb[]);
SELECT * FROM setup_interleaved_sequences(2, 2, peers => NULL);
-- A floor beyond the type. How far beyond depends on how fast the peer has drawn meanwhile.
SELECT action, regexp_replace(detail, '^9223372036854\d{6} ', 'N ') AS detail FROM setup_interleaved_sequences(2, 2, sequences => '{orders_id_seq}', dry_run => true,
    peers => ARRAY[peer(1, 2, '{"maximum": 9223372036854775807, "rows": {"modulus": 24, "furthest": [9223372036854775806]}}')]);
SELECT * FROM interleaved_node_state(lock_timeout => NULL);
-- What cannot be read cannot be told.
CREATE ROLE regress_keyspace_blind;
GRANT USAGE ON SCHEMA peers TO regress_keyspace_blind;
SET ROLE regress_keyspace_blind;
SELECT interleaved_node_state();
RESET ROLE;
GRANT SELECT ON ALL SEQUENCES IN SCHEMA peers TO regress_keyspace_blind;
SET ROLE regress_keyspace_blind;
SELECT interleaved_node_state();
RESET ROLE;

\set VERBOSITY terse
DROP SCHEMA peers CASCADE;
DROP ROLE regress_keyspace_blind;
