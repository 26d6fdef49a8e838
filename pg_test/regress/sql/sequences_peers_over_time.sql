-- Peers over time: how fast they draw, the gap that is computed from it, a node that has left, a
-- copy of a copy, a peer that knows none of the sequences, and two sequences on one column.
\pset format unaligned
\pset tuples_only on
\pset null '(null)'
SET client_min_messages = warning;
CREATE SCHEMA pace;
SET search_path = pace, public;
CREATE TABLE ord (id bigserial PRIMARY KEY);
CREATE TABLE item (id bigserial PRIMARY KEY);
INSERT INTO ord SELECT FROM generate_series(1, 10);

CREATE TABLE started AS SELECT clock_timestamp() AS at;

-- The state of another server that is not set up, taken so many seconds before the begin, at a position.
CREATE FUNCTION peer(seconds numeric, reached bigint, whole jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
    SELECT s || jsonb_build_object('node', null, 'nodes', null, 'system_identifier', 77, 'sequences', jsonb_build_object('pace', (
                   SELECT jsonb_object_agg(e.key, e.value || jsonb_build_object('next_value', reached + 1, 'last_value', reached,
                              'maximum', reached, 'restart', null, 'block', null, 'increment', 1,
                              'rows', jsonb_build_object('modulus', 24, 'furthest', jsonb_build_array(reached))))
                   FROM jsonb_each(s->'sequences'->'pace') AS e)),
               'time', to_char(((SELECT at FROM started) - make_interval(secs => seconds::float)) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')) || whole
    FROM interleaved_node_state() AS s
$$;
CREATE VIEW seen AS
SELECT p.sequence::regclass, p.peer_system_identifier, p.peer_timeline > 0 AS timeline, p.node, p.nodes, p.position, round(p.rate) AS rate
FROM keyspace_internal.interleaved_peer p WHERE p.peer_system_identifier IN (77, 78) AND p.sequence <> 0 ORDER BY p.sequence;

-- fault_b24_a_peer_that_knows_none: the state was taken in another database.
SELECT peer(0, 100, '{"sequences": {"shop": {"ord_id_seq": {"increment": 1, "next_value": 1}}}}') AS elsewhere \gset
\set VERBOSITY default
SELECT * FROM setup_interleaved_sequences(2, 2, schemas => '{pace}', peers => ARRAY[:'elsewhere'::jsonb]);
SELECT * FROM setup_interleaved_sequences(2, 2, schemas => '{pace}', peers => ARRAY[:'elsewhere'::jsonb], dry_run => true);
CALL setup_interleaved_sequences_in_batches(2, 2, schemas => '{pace}', peers => ARRAY[:'elsewhere'::jsonb]);
SELECT severity, sequence, finding, hint FROM check_interleaved_sequences(ARRAY[:'elsewhere'::jsonb]) WHERE finding IN ('no sequence known', 'missing at the peer');

-- fault_b16_computed: one state does not show how fast a node draws.
RESET client_min_messages;
SELECT peer(100, 1000) AS first \gset
SELECT action, in_use, restart, detail FROM setup_interleaved_sequences(2, 2, sequences => '{ord_id_seq}', peers => ARRAY[:'first'::jsonb], dry_run => true);
SELECT count(*) AS remembered_by_a_dry_run FROM seen;
-- A set-up and a check remember it.
SELECT count(*) >= 0 AS checked FROM check_interleaved_sequences(ARRAY[:'first'::jsonb]);
SELECT * FROM seen;
-- Two states do: 50 ids in a second, and the second state is 50 seconds old.
SELECT peer(50, 3500) AS second \gset
SELECT action, in_use, restart BETWEEN 3501 + 2 * 2500 AND 3501 + 2 * 2500 + 60000 AS "restart", detail
FROM setup_interleaved_sequences(2, 2, sequences => '{ord_id_seq}', peers => ARRAY[:'second'::jsonb], dry_run => true);
SELECT action, in_use, restart BETWEEN 3501 + 2 * 2500 AND 3501 + 2 * 2500 + 60000 AS "restart"
FROM setup_interleaved_sequences(2, 2, sequences => '{item_id_seq}', peers => ARRAY[:'first', :'second']::jsonb[], dry_run => true);
-- fault_b16_too_small: a gap that the peer has used up.
\set VERBOSITY sqlstate
SELECT action FROM setup_interleaved_sequences(2, 2, sequences => '{ord_id_seq}', gap => 2000, peers => ARRAY[:'second'::jsonb]);
\set VERBOSITY default
SELECT action, regexp_replace(detail, ';.*', '') FROM setup_interleaved_sequences(2, 2, sequences => '{ord_id_seq}', gap => 2000, peers => ARRAY[:'second'::jsonb], dry_run => true);
SELECT action, restart FROM setup_interleaved_sequences(2, 2, sequences => '{ord_id_seq}', gap => 1000000, peers => ARRAY[:'second'::jsonb], dry_run => true);
-- A clock that is ahead: no negative age.
SELECT peer(-3600, 4000) AS ahead \gset
SELECT action, in_use, restart FROM setup_interleaved_sequences(2, 2, sequences => '{ord_id_seq}', gap => 0, peers => ARRAY[:'ahead'::jsonb], dry_run => true);
-- A second run changes and stores nothing.
SELECT action FROM setup_interleaved_sequences(2, 2, sequences => '{ord_id_seq}', peers => ARRAY[:'second'::jsonb]);
SELECT * FROM seen WHERE sequence = 'ord_id_seq'::regclass;
BEGIN;
SELECT action, detail FROM setup_interleaved_sequences(2, 2, sequences => '{ord_id_seq}', peers => ARRAY[:'second'::jsonb]);
SELECT pg_current_xact_id_if_assigned() IS NULL AS wrote_nothing;
ROLLBACK;
-- A peer in a class of its own needs no gap, and no notice.
SELECT action, in_use, restart FROM setup_interleaved_sequences(2, 2, sequences => '{item_id_seq}', dry_run => true,
    peers => ARRAY[jsonb_set(peer(50, 500, '{"node": 1, "nodes": 2, "system_identifier": 78}'), '{sequences,pace,item_id_seq,increment}', '2')]);
-- In a read-only transaction, nothing is stored.
BEGIN READ ONLY;
SELECT count(*) >= 0 AS checked FROM check_interleaved_sequences(ARRAY[peer(1, 9000)]);
ROLLBACK;
-- Not from states that somebody else passes.
CREATE ROLE regress_keyspace_pace;
GRANT USAGE ON SCHEMA pace TO regress_keyspace_pace;
GRANT SELECT ON ALL TABLES IN SCHEMA pace TO regress_keyspace_pace;
GRANT SELECT ON ALL SEQUENCES IN SCHEMA pace TO regress_keyspace_pace;
SELECT peer(1, 900000000) AS forged \gset
SET ROLE regress_keyspace_pace;
SELECT count(*) >= 0 AS checked FROM check_interleaved_sequences(ARRAY[:'forged'::jsonb]);
RESET ROLE;
SELECT * FROM seen WHERE sequence = 'ord_id_seq'::regclass;

-- The class of a peer is remembered: also if the state follows another one at once, and if no sequence
-- is known on both nodes. An older state does not take it back.
CREATE VIEW known AS SELECT system_identifier, node, nodes, database > 0 AS database, timeline > 0 AS timeline, taken_at < seen_at AS times
FROM interleaved_peers WHERE system_identifier IN (84, 85) ORDER BY 1;
SELECT peer(60, 100, '{"system_identifier": 84}') AS fresh, peer(59.9, 101, '{"system_identifier": 84, "node": 1, "nodes": 2}') AS set_up,
       peer(10, 100, '{"system_identifier": 85, "node": 1, "nodes": 4, "sequences": {"shop": {"ord_id_seq": {"increment": 4, "next_value": 1}}}}') AS elsewhere \gset
SELECT count(*) >= 0 AS checked FROM check_interleaved_sequences(ARRAY[:'fresh'::jsonb]);
SELECT * FROM known;
SELECT count(*) >= 0 AS checked FROM check_interleaved_sequences(ARRAY[:'set_up'::jsonb]);
SELECT count(*) >= 0 AS checked FROM check_interleaved_sequences(ARRAY[:'fresh', :'elsewhere']::jsonb[]);
SELECT * FROM known;
SELECT DISTINCT node, nodes FROM keyspace_internal.interleaved_peer WHERE peer_system_identifier = 84;
-- It is shown to the owner of the database, who need not have installed the extension, and to nobody else.
SET ROLE regress_keyspace_pace;
SELECT count(*) FROM interleaved_peers;
RESET ROLE;
BEGIN;
SELECT format('ALTER DATABASE %I OWNER TO regress_keyspace_pace', current_database()) \gexec
SET LOCAL ROLE regress_keyspace_pace;
SELECT system_identifier, node, nodes FROM interleaved_peers WHERE system_identifier IN (84, 85) ORDER BY 1;
ROLLBACK;

-- The lock of the client program: for the owner of the database alone, and until the end of the transaction.
BEGIN;
SELECT keyspace_internal.lock_node();
SELECT locktype, classid = 'keyspace_internal.interleaved_node'::regclass AS node, mode FROM pg_locks
WHERE pid = pg_backend_pid() AND locktype = 'object' AND classid = objid;
COMMIT;
SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'object' AND classid = objid;
\set VERBOSITY default
SET ROLE regress_keyspace_pace;
SELECT keyspace_internal.lock_node();
RESET ROLE;

-- fault_b21_positions: a position that was not seen is not reported.
REVOKE ALL ON ALL SEQUENCES IN SCHEMA pace FROM regress_keyspace_pace;
SET ROLE regress_keyspace_pace;
SELECT finding, detail FROM check_interleaved_sequences() WHERE sequence = 'item_id_seq'::regclass ORDER BY 1;
RESET ROLE;

-- fault_b17_left: a node of this class has left, and its last state counts.
SELECT peer(1, 20000, '{"node": 2, "nodes": 2, "system_identifier": 79}') AS leaver \gset
SELECT action FROM setup_interleaved_sequences(2, 2, sequences => '{item_id_seq}', peers => ARRAY[:'leaver'::jsonb], dry_run => true);
SELECT action, in_use, restart FROM setup_interleaved_sequences(2, 2, sequences => '{item_id_seq}', peers => ARRAY[:'leaver'::jsonb || '{"left": true}'], dry_run => true);
-- After its reset it has no class, and no record of what it had handed out.
SELECT jsonb_set(:'leaver'::jsonb || '{"node": null, "nodes": null}', '{sequences,pace,item_id_seq}',
    :'leaver'::jsonb->'sequences'->'pace'->'item_id_seq' || '{"last_value": null, "next_value": 30001}') AS reset \gset
SELECT action, in_use, restart FROM setup_interleaved_sequences(2, 2, sequences => '{item_id_seq}', peers => ARRAY[:'reset'::jsonb || '{"left": true}']);
SELECT finding FROM check_interleaved_sequences(ARRAY[:'leaver'::jsonb || '{"left": true}']) WHERE peer IS NOT NULL AND severity = 'error' AND sequence IS NULL;
SELECT severity, finding FROM check_interleaved_sequences(ARRAY[:'reset'::jsonb || '{"left": true}']) WHERE sequence IS NULL AND finding IN ('not set up', 'classes overlap');

-- fault_b18_copy_of_a_copy: the row of an origin that has split its class since.
\set ON_ERROR_ROLLBACK on
BEGIN;
CALL keyspace_test.forget_node();
CALL keyspace_test.by_hand('INSERT INTO keyspace_internal.interleaved_node VALUES (81, 5, 1, 2, now() - interval ''1 day'')');
\set VERBOSITY terse
SELECT peer(10, 500, '{"node": 1, "nodes": 2, "system_identifier": 81, "database_oid": 5}') AS before,
       peer(5, 500, '{"node": 1, "nodes": 4, "system_identifier": 81, "database_oid": 5}') AS after \gset
SELECT action FROM setup_interleaved_sequences(3, 4, sequences => '{item_id_seq}', dry_run => true);
SELECT action FROM setup_interleaved_sequences(3, 4, sequences => '{item_id_seq}', peers => ARRAY[:'before'::jsonb], dry_run => true);
SELECT action FROM setup_interleaved_sequences(3, 4, sequences => '{item_id_seq}', peers => ARRAY[:'after'::jsonb], dry_run => true);
-- Both: the later one counts, also if the server was restarted in between.
SELECT action FROM setup_interleaved_sequences(3, 4, sequences => '{item_id_seq}', peers => ARRAY[:'after', :'before']::jsonb[], dry_run => true);
SELECT action FROM setup_interleaved_sequences(3, 4, sequences => '{item_id_seq}', peers => ARRAY[:'before'::jsonb || '{"started_at": "before"}', :'after'], dry_run => true);
-- A state from before the row was stored.
CALL keyspace_test.by_hand('UPDATE keyspace_internal.interleaved_node SET set_up_at = now() + interval ''1 day'' WHERE system_identifier = 81');
SELECT action FROM setup_interleaved_sequences(3, 4, sequences => '{item_id_seq}', peers => ARRAY[:'after'::jsonb], dry_run => true);
ROLLBACK;
\set ON_ERROR_ROLLBACK off

-- fault_b22_one_column: the position of one sequence is ahead of the rows of the column.
CREATE TABLE two (id bigint PRIMARY KEY);
CREATE SEQUENCE two_old OWNED BY two.id;
CREATE SEQUENCE two_new OWNED BY two.id;
ALTER TABLE two ALTER id SET DEFAULT nextval('two_new');
INSERT INTO two SELECT generate_series(1, 400);
SELECT setval('two_old', 10), setval('two_new', 500);
SELECT sequence, restart FROM setup_interleaved_sequences(2, 2, sequences => '{two_old, two_new}') ORDER BY 1;
-- The other node is an identical copy.
SELECT interleaved_node_state() AS own \gset
CREATE FUNCTION copy(state jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT state || jsonb_build_object('node', 1, 'nodes', 2, 'system_identifier', 82, 'sequences', jsonb_build_object('pace', (
        SELECT jsonb_object_agg(e.key, e.value || '{"next_value": 501, "restart": 501, "last_value": null}')
        FROM jsonb_each(state->'sequences'->'pace') AS e WHERE e.key LIKE 'two%')))
$$;
SELECT sequence, finding, detail FROM check_interleaved_sequences(ARRAY[copy(:'own')]) WHERE sequence::text LIKE 'two%' AND severity = 'error';
-- One of the two is used.
INSERT INTO two SELECT nextval('two_new') FROM generate_series(1, 5);
SELECT severity, sequence, finding, detail FROM check_interleaved_sequences() WHERE sequence::text LIKE 'two%' AND finding <> 'type mismatch';
SELECT sequence, finding FROM check_interleaved_sequences(ARRAY[jsonb_set(copy(:'own'), '{sequences,pace,two_old,rows}', '{"modulus": 24, "furthest": [510]}')])
WHERE sequence::text LIKE 'two%' AND severity = 'error';

-- fault_b32_ranges_of_one_column: what lies below the range of the other sequence was not handed out by it.
CREATE SEQUENCE low_seq MAXVALUE 1000;
CREATE SEQUENCE high_seq MINVALUE 2001 START 2001;
CREATE TABLE ranges (id bigint PRIMARY KEY DEFAULT nextval('low_seq'));
ALTER SEQUENCE low_seq OWNED BY ranges.id;
ALTER SEQUENCE high_seq OWNED BY ranges.id;
SELECT sequence, restart FROM setup_interleaved_sequences(2, 2, sequences => '{low_seq, high_seq}') ORDER BY 1;
INSERT INTO ranges VALUES (DEFAULT), (nextval('high_seq')), (10);
SELECT severity, sequence, finding, detail FROM check_interleaved_sequences() WHERE sequence::text IN ('low_seq', 'high_seq') AND finding <> 'type mismatch';

-- fault_b12_stops_behind_the_restart: rows from before the last set-up are read as far as there are rows since.
CREATE TABLE old (id bigint PRIMARY KEY);
CREATE SEQUENCE old_seq OWNED BY old.id;
INSERT INTO old SELECT generate_series(2, 60000, 2);
SELECT restart FROM setup_interleaved_sequences(2, 2, sequences => '{old_seq}');
INSERT INTO old SELECT nextval('old_seq') FROM generate_series(1, 5);
SELECT interleaved_node_state()->'sequences'->'pace'->'old_seq'->'rows'->'unread',
       interleaved_node_state(last_rows => NULL)->'sequences'->'pace'->'old_seq'->'rows'->'unread',
       interleaved_node_state(last_rows => 3)->'sequences'->'pace'->'old_seq'->'rows'->'unread';

CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.interleaved_peer');
SET client_min_messages = warning;
SELECT count(*) FROM reset_interleaved_sequences(ARRAY['ord_id_seq', 'item_id_seq', 'two_old', 'two_new', 'low_seq', 'high_seq', 'old_seq']::regclass[]);
DROP SCHEMA pace CASCADE;
DROP OWNED BY regress_keyspace_pace;
DROP ROLE regress_keyspace_pace;
