-- What other nodes have generated, and made of a sequence, in the past.
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
CREATE SCHEMA past;
SET search_path = past, public;
CREATE TABLE ord (id bigserial PRIMARY KEY);
CREATE SEQUENCE pooled INCREMENT 170;
-- The state of node 1, which had generated every id up to 900 before its set-up. No row has them.
-- Its blocks of 85 have been those of a node of 2, and are those of a node of 4 now.
CREATE FUNCTION node_1() RETURNS jsonb LANGUAGE sql AS $$
    SELECT interleaved_node_state() || jsonb_build_object('system_identifier', 7, 'node', 1, 'nodes', 4,
        'sequences', '{"past": {
            "ord_id_seq": {"increment": 4, "next_value": 901, "last_value": null, "maximum": null, "restart": 901,
                "block": 1, "min_value": 1, "max_value": 9223372036854775807, "columns": [["past", "ord", "id"]],
                "before_setup": [{"step": 1, "offset": 900, "until": 900}]},
            "pooled": {"increment": 340, "next_value": 1021, "last_value": null, "maximum": null, "restart": 1021,
                "block": 85, "min_value": 1, "max_value": 9223372036854775807,
                "before_setup": [{"step": 85, "offset": 1, "until": 171}, {"step": 170, "offset": 1, "until": 341}]}}}'::jsonb)
$$;
\set setup 'SELECT action, restart, detail FROM setup_interleaved_sequences(2, sequences => ARRAY[''ord_id_seq'']::regclass[], peers => ARRAY[node_1()]);'
\set check 'SELECT severity, finding, detail, hint FROM check_interleaved_sequences(ARRAY[node_1()]) WHERE sequence = ''ord_id_seq''::regclass;'
:setup
:check
-- fault_b27_moved_back: by RESTART, by setval, by TRUNCATE; a set-up with the states moves it ahead.
ALTER SEQUENCE ord_id_seq RESTART;
:check
SELECT in_order, findings FROM interleaved_sequences WHERE sequence = 'ord_id_seq'::regclass;
:setup
:check
SELECT setval('ord_id_seq', 700);
:check
INSERT INTO ord DEFAULT VALUES RETURNING id;
:setup
TRUNCATE ord RESTART IDENTITY;
INSERT INTO ord DEFAULT VALUES RETURNING id;
:check
-- A reset forgets the past, as the guide says, if all nodes are reset.
BEGIN;
TRUNCATE ord RESTART IDENTITY;
SELECT sequence, action FROM reset_interleaved_sequences('{ord_id_seq}');
SELECT sequence, action, restart FROM setup_interleaved_sequences(2, 2, sequences => '{ord_id_seq}');
SELECT interleaved_node_state() #> '{sequences,past,ord_id_seq,before_setup}';
SELECT count(*) FROM check_interleaved_sequences(ARRAY[node_1() || jsonb_build_object('sequences', jsonb_build_object('past',
    node_1() #> '{sequences,past}' #- '{ord_id_seq,before_setup}'))])
WHERE sequence = 'ord_id_seq'::regclass AND severity = 'error';
ROLLBACK;
-- Beyond what the other node had, there is nothing to report.
SELECT setval('ord_id_seq', 904);
:check
SELECT acknowledge_interleaved_finding('ord_id_seq', 'moved back', 'both tables were emptied');
:setup
-- fault_b28_copied_blocks: a copy with a step from before keeps the blocks, whether blocks are asked for or not.
SELECT action, old_increment, new_increment, detail FROM setup_interleaved_sequences(
    2, sequences => '{pooled}', peers => ARRAY[node_1()], blocks => true, dry_run => true);
SELECT action, old_increment, new_increment, detail FROM setup_interleaved_sequences(
    2, sequences => '{pooled}', peers => ARRAY[node_1()], dry_run => true);
-- If the other node has not had this step, nobody can tell.
SELECT action, old_increment, new_increment, detail FROM setup_interleaved_sequences(
    2, sequences => '{pooled}', peers => ARRAY[node_1() #- '{sequences,past,pooled,before_setup,1}'], blocks => true, dry_run => true);
SELECT setup_interleaved_sequences(
    2, sequences => '{pooled}', peers => ARRAY[node_1() #- '{sequences,past,pooled,before_setup,1}'], blocks => true);
ALTER SEQUENCE pooled INCREMENT BY 85;
SELECT action, old_increment, new_increment, detail FROM setup_interleaved_sequences(
    2, sequences => '{pooled}', peers => ARRAY[node_1() #- '{sequences,past,pooled,before_setup,1}'], blocks => true);
SELECT count(*) FROM reset_interleaved_sequences((SELECT array_agg(sequence) FROM interleaved_sequences));
DROP SCHEMA past CASCADE;
