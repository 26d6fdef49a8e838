-- Which values count, what ends a sequence, and the sequences that cannot be set up.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA limits;
SET search_path = limits, public;
\set plan 'SELECT sequence, action, in_use, restart, values_left, detail FROM setup_interleaved_sequences(2, schemas => ''{limits}'', dry_run => true)'

-- fault_b05_values_of_other_ranges_do_not_count: with an index, without one, of numeric, downwards, on partitions
CREATE TABLE ranged (id int PRIMARY KEY);
CREATE SEQUENCE ranged_id_seq AS int MINVALUE 268435457 MAXVALUE 536870911 OWNED BY ranged.id;
INSERT INTO ranged VALUES (5), (268435460), (536870912), (1342177301);
CREATE TABLE no_index (id int);
CREATE SEQUENCE no_index_id_seq AS int MINVALUE 101 MAXVALUE 200 OWNED BY no_index.id;
INSERT INTO no_index VALUES (150), (201), (NULL), (9);
CREATE TABLE number (id numeric PRIMARY KEY);
CREATE SEQUENCE number_id_seq MINVALUE 101 MAXVALUE 200 OWNED BY number.id;
INSERT INTO number VALUES (150), (201), (1e30), ('NaN');
CREATE TABLE falling (id smallint);
CREATE INDEX ON falling (id DESC);
CREATE SEQUENCE falling_id_seq AS smallint INCREMENT -1 MINVALUE -200 MAXVALUE -101 START -101 OWNED BY falling.id;
INSERT INTO falling VALUES (-150), (-201), (-9), (NULL);
CREATE TABLE part (id bigint, k int) PARTITION BY LIST (k);
CREATE SEQUENCE part_id_seq MINVALUE 101 MAXVALUE 200 OWNED BY part.id;
CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1);
CREATE INDEX ON part_1 (id);
CREATE TABLE part_2 PARTITION OF part FOR VALUES IN (2);
INSERT INTO part VALUES (130, 1), (900, 1), (140, 2), (800, 2);
:plan;
SELECT count(*) FROM setup_interleaved_sequences(2, schemas => '{limits}');
-- Rows of the class ahead, within the range and beyond it.
INSERT INTO ranged VALUES (536870914);
SELECT finding, detail FROM check_interleaved_sequences() WHERE sequence::text LIKE 'ranged%';
INSERT INTO ranged VALUES (300000000);
SELECT finding, detail FROM check_interleaved_sequences() WHERE sequence::text LIKE 'ranged%';
SELECT s->'maximum' AS maximum, s->'rows'->'furthest' AS furthest, s->'min_value' AS min_value, s->'max_value' AS max_value, s->'rows_beyond' AS rows_beyond
FROM (SELECT interleaved_node_state()->'sequences'->'limits'->'no_index_id_seq' AS s) AS state;
SELECT sequence, restart FROM reset_interleaved_sequences(exclude => ARRAY(SELECT sequence FROM interleaved_sequences WHERE sequence::text !~ 'ranged|no_index|number|falling|part'), dry_run => true);
BEGIN;
SELECT sequence, restart FROM split_interleaved_sequences() WHERE sequence::text ~ 'ranged|no_index|number|falling|part_id';
ROLLBACK;
SELECT count(*) FROM reset_interleaved_sequences('{ranged_id_seq, no_index_id_seq, number_id_seq, falling_id_seq, part_id_seq}');
DROP TABLE ranged, no_index, number, falling, part;

-- fault_b22_constraints_are_limits
CREATE DOMAIN percentage AS int CHECK (VALUE BETWEEN 0 AND 100);
CREATE DOMAIN small_percentage AS percentage CHECK (VALUE < 51);
CREATE DOMAIN short_number AS numeric(4, 1);
CREATE TABLE checked (
    digits numeric(3, 0),
    hundreds numeric(3, -2),
    less int CHECK (less < 1000),
    at_most smallint CHECK (at_most <= 1000),
    between_them bigint CHECK (between_them BETWEEN 1 AND 1000 AND digits > 0),
    commuted bigint CHECK (1000 >= commuted),
    not_valid int,
    of_domain percentage,
    of_domains small_percentage,
    of_number short_number,
    in_numeric int CHECK (in_numeric < 99.5),
    in_whole_numeric int CHECK (in_whole_numeric < 100.0),
    either int CHECK (either < 10 OR either > 20),
    negated int CHECK (NOT (negated > 10)),
    of_two int CHECK (of_two < less),
    of_function int CHECK (abs(of_function) < 10),
    of_float int CHECK (of_float < 10::float8),
    low int CHECK (low > 10)
);
ALTER TABLE checked ADD CONSTRAINT checked_not_valid CHECK (not_valid < 500) NOT VALID;
DO $$
DECLARE
    name name;
BEGIN
    FOR name IN SELECT attname FROM pg_attribute WHERE attrelid = 'checked'::regclass AND attnum > 0 LOOP
        EXECUTE format('CREATE SEQUENCE %I OWNED BY checked.%I', 'of_' || name, name);
    END LOOP;
END $$;
SELECT sequence, restart, values_left, detail FROM setup_interleaved_sequences(2, schemas => '{limits}', dry_run => true);
-- What the limits say is so.
SELECT count(*) FROM setup_interleaved_sequences(2, sequences => '{of_less, of_of_domains}');
INSERT INTO checked (less) VALUES (998);
SELECT action, values_left, detail FROM setup_interleaved_sequences(2, sequences => '{of_less}', dry_run => true);
SELECT sequence, values_left FROM interleaved_sequences WHERE sequence IN ('of_of_domains'::regclass, 'of_less'::regclass);
DROP TABLE checked;
DROP DOMAIN small_percentage, percentage, short_number;

-- fault_b19_start_is_no_floor_where_the_position_is_known
CREATE SEQUENCE started START 1000;
SELECT setval('started', 5);
CREATE SEQUENCE narrow START 1001 MAXVALUE 1001;
SELECT setval('narrow', 5);
CREATE SEQUENCE never START 1000;
SELECT sequence, action, restart, detail, ddl FROM setup_interleaved_sequences(2, schemas => '{limits}', dry_run => true);
DROP SEQUENCE started, narrow, never;

-- fault_b06_b07_a_position_is_trusted: an application has made an id at the end, and a sequence began again below its rows
CREATE TABLE made (id serial PRIMARY KEY);
INSERT INTO made SELECT FROM generate_series(1, 10);
INSERT INTO made VALUES (2147483647), (2147483646);
CREATE TABLE "wrapped it" (id serial PRIMARY KEY);
INSERT INTO "wrapped it" VALUES (1), (2), (3), (2147483646), (2147483647);
ALTER SEQUENCE "wrapped it_id_seq" MINVALUE -2147483648 RESTART WITH -2147483648;
CREATE TABLE other (id serial);
-- fault_b23_an_error_names_all_that_fail
SELECT action FROM setup_interleaved_sequences(2, schemas => '{limits}');
\echo :LAST_ERROR_SQLSTATE
SELECT action FROM setup_interleaved_sequences(2, sequences => '{"\"wrapped it_id_seq\""}');
:plan;
-- fault_b07_the_others_are_done
BEGIN;
SELECT sequence, action, restart, detail FROM setup_interleaved_sequences(2, schemas => '{limits}', skip_failed => true);
SELECT sequence, increment FROM interleaved_sequences WHERE sequence::text ~ 'made|wrapped|other';
ROLLBACK;
SELECT sequence, action, in_use, restart, values_left, detail
FROM setup_interleaved_sequences(2, schemas => '{limits}', trust_position => '{made_id_seq, "\"wrapped it_id_seq\""}', dry_run => true);
SELECT count(*) FROM keyspace_internal.interleaved_trusted;
SELECT sequence, action, in_use, restart, values_left, detail
FROM setup_interleaved_sequences(2, schemas => '{limits}', trust_position => '{made_id_seq, "\"wrapped it_id_seq\""}');
SELECT sequence::regclass FROM keyspace_internal.interleaved_trusted ORDER BY 1::text;
INSERT INTO made DEFAULT VALUES RETURNING id;
INSERT INTO "wrapped it" DEFAULT VALUES RETURNING id;
-- It is remembered, by later runs, by the check, by a split, and by a reset.
SELECT sequence, action, restart, detail FROM setup_interleaved_sequences(2, schemas => '{limits}');
SELECT sequence, finding, detail FROM check_interleaved_sequences() WHERE sequence IN ('made_id_seq'::regclass, '"wrapped it_id_seq"'::regclass);
SELECT s->'trusted' AS trusted, s->'maximum' AS maximum FROM (SELECT interleaved_node_state()->'sequences'->'limits'->'made_id_seq' AS s) AS state;
CALL setup_interleaved_sequences_in_batches(2, schemas => '{limits}');
BEGIN;
SELECT sequence, action, restart, detail FROM split_interleaved_sequences() WHERE sequence::text ~ 'made|wrapped|other';
INSERT INTO made DEFAULT VALUES RETURNING id;
ROLLBACK;
-- The rows ahead are a limit.
SELECT setval('made_id_seq', 2147483642);
INSERT INTO made DEFAULT VALUES RETURNING id;
SELECT sequence, finding, detail FROM check_interleaved_sequences() WHERE sequence = 'made_id_seq'::regclass;
DELETE FROM made WHERE id = 2147483644;
SELECT setval('made_id_seq', 12);
-- fault_b07 with the state of a peer, which has the same rows: they do not count, and what it has drawn does.
CREATE FUNCTION peer(drawn bigint) RETURNS jsonb LANGUAGE sql AS $$
    SELECT s || '{"system_identifier": 7, "node": 1, "nodes": 2}' || jsonb_build_object('sequences', jsonb_build_object('limits', jsonb_build_object('made_id_seq',
        s->'sequences'->'limits'->'made_id_seq' || jsonb_build_object('last_value', drawn, 'next_value', drawn + 2, 'trusted', NULL, 'restart', 11, 'before_setup', '[]'::jsonb))))
    FROM interleaved_node_state() AS s
$$;
SELECT action, restart, detail FROM setup_interleaved_sequences(2, sequences => '{made_id_seq}', peers => ARRAY[peer(21)], gap => 1, dry_run => true);
SELECT severity, finding, detail, hint FROM check_interleaved_sequences(ARRAY[peer(21)]) WHERE sequence = 'made_id_seq'::regclass;
-- Taken back: by a reset of the sequence, and as a whole by an empty array.
SELECT sequence, action, restart, detail FROM reset_interleaved_sequences('{made_id_seq}');
SELECT sequence::regclass FROM keyspace_internal.interleaved_trusted;
SELECT action, detail FROM setup_interleaved_sequences(2, sequences => '{"\"wrapped it_id_seq\""}', trust_position => '{}', dry_run => true);
SELECT count(*) FROM setup_interleaved_sequences(2, sequences => '{other_id_seq}', trust_position => '{}');
SELECT count(*) FROM keyspace_internal.interleaved_trusted;
CALL setup_interleaved_sequences_in_batches(2, schemas => '{limits}', trust_position => '{made_id_seq}', exclude => '{"\"wrapped it_id_seq\""}');
SELECT sequence::regclass FROM keyspace_internal.interleaved_trusted;
-- A role that does not own the database trusts for one run only.
BEGIN;
CREATE ROLE regress_keyspace_owner;
GRANT USAGE, CREATE ON SCHEMA limits TO regress_keyspace_owner;
SET LOCAL ROLE regress_keyspace_owner;
CREATE TABLE theirs (id serial PRIMARY KEY);
INSERT INTO theirs VALUES (2147483647);
SELECT action, detail FROM setup_interleaved_sequences(2, sequences => '{theirs_id_seq}', trust_position => '{theirs_id_seq}');
RESET ROLE;
SELECT sequence::regclass FROM keyspace_internal.interleaved_trusted;
ROLLBACK;
-- What makes no sense.
SELECT * FROM setup_interleaved_sequences(2, trust_position => '{made}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM setup_interleaved_sequences(2, trust_position => ARRAY[NULL]::regclass[]);
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM setup_interleaved_sequences(2, trust_position => '{made_id_seq}', exclude => '{made_id_seq}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM setup_interleaved_sequences(2, trust_position => '{made_id_seq}', sequences => '{other_id_seq}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM setup_interleaved_sequences(2, skip_failed => NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM split_interleaved_sequences(skip_failed => NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM reset_interleaved_sequences(skip_failed => NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM reset_interleaved_sequences('{made_id_seq}', exclude => '{made_id_seq}');
\echo :LAST_ERROR_SQLSTATE
SELECT count(*) FROM reset_interleaved_sequences(ARRAY(SELECT sequence FROM interleaved_sequences WHERE sequence::text ~ 'made|wrapped|other'), skip_failed => true);
DROP TABLE made, "wrapped it", other;

-- fault_b23_more_than_ten_that_fail
DO $$
BEGIN
    FOR i IN 10..21 LOOP
        EXECUTE format('CREATE SEQUENCE full_%s AS smallint', i);
        PERFORM setval(format('full_%s', i), 32767);
    END LOOP;
END $$;
SELECT action FROM setup_interleaved_sequences(2, schemas => '{limits}');
DO $$ BEGIN FOR i IN 12..21 LOOP EXECUTE format('DROP SEQUENCE full_%s', i); END LOOP; END $$;

-- fault_b07_a_split_leaves_out_what_gives_nothing_more, and refuses what still does.
CREATE SEQUENCE fine;
CREATE TABLE nearly (id smallint);
CREATE SEQUENCE nearly_full AS smallint OWNED BY nearly.id;
DROP SEQUENCE full_10, full_11;
CREATE SEQUENCE used_up AS smallint;
SELECT setval('used_up', 32760), setval('nearly_full', 100);
SELECT count(*) FROM setup_interleaved_sequences(2, schemas => '{limits}');
SELECT max(n) FROM (SELECT nextval('used_up') AS n FROM generate_series(1, 3)) AS drawn;
INSERT INTO nearly VALUES (32766);
BEGIN;
SELECT sequence, action FROM split_interleaved_sequences();
ROLLBACK;
SELECT sequence, action, detail FROM split_interleaved_sequences(skip_failed => true, dry_run => true) WHERE sequence::text ~ 'fine|nearly|used_up';
BEGIN;
SELECT sequence, action FROM split_interleaved_sequences(skip_failed => true);
ROLLBACK;
BEGIN;
TRUNCATE nearly;
SELECT sequence, action, restart, detail FROM split_interleaved_sequences(skip_failed => true) WHERE sequence::text ~ 'fine|nearly|used_up';
SELECT nextval('used_up');
ROLLBACK;
SELECT node, nodes FROM interleaved_node;

-- fault_b20_a_reset_goes_past_what_is_used_up
CREATE TABLE held (id smallint);
CREATE SEQUENCE held_no AS smallint OWNED BY held.id;
SELECT count(*) FROM setup_interleaved_sequences(2, sequences => '{held_no}');
INSERT INTO held VALUES (32767);
SELECT setval('held_no', 32766);
SELECT sequence, action, detail FROM reset_interleaved_sequences('{used_up, held_no, fine}', dry_run => true);
BEGIN;
SELECT sequence, action, detail FROM reset_interleaved_sequences('{used_up, held_no, fine}');
SELECT nextval('held_no');
ROLLBACK;
-- What still has values cannot be reset below the rows, and is named; the others can.
SELECT setval('held_no', 100);
SELECT sequence, action, detail FROM reset_interleaved_sequences('{nearly_full, held_no, fine}');
SELECT sequence, action, detail FROM reset_interleaved_sequences('{nearly_full, held_no, fine}', skip_failed => true, dry_run => true);
BEGIN;
SELECT sequence, action, detail FROM reset_interleaved_sequences('{nearly_full, held_no, fine}', skip_failed => true);
ROLLBACK;
-- Where anything is left out, the database stays a node.
BEGIN;
SET LOCAL client_min_messages = notice;
SELECT sequence, action FROM reset_interleaved_sequences(skip_failed => true) WHERE sequence::text ~ 'held|fine|nearly|used_up';
SELECT node, nodes FROM interleaved_node;
ROLLBACK;
BEGIN;
SELECT sequence, action FROM reset_interleaved_sequences(exclude => '{held_no, nearly_full}') WHERE sequence::text ~ 'held|fine|nearly|used_up';
SELECT node, nodes FROM interleaved_node;
ROLLBACK;
BEGIN;
DROP TABLE held, nearly;
SELECT count(*) > 0 FROM reset_interleaved_sequences(exclude => '{}');
SELECT node, nodes FROM interleaved_node;
ROLLBACK;
SELECT count(*) FROM reset_interleaved_sequences('{fine, used_up}');
DROP TABLE held, nearly;
DROP SEQUENCE fine, used_up;

-- fault_b14_a_reset_keeps_what_users_have_changed_since
CREATE TABLE widened (id serial PRIMARY KEY);
CREATE TABLE moved (id serial PRIMARY KEY);
CREATE SEQUENCE wheel MAXVALUE 9 CYCLE;
CREATE SEQUENCE bounded;
CREATE SEQUENCE narrowed;
CREATE TABLE full_width (id serial PRIMARY KEY);
SELECT count(*) FROM setup_interleaved_sequences(2, schemas => '{limits}');
ALTER TABLE widened ALTER id TYPE bigint;
ALTER SEQUENCE widened_id_seq AS bigint;
ALTER TABLE full_width ALTER id TYPE bigint;
ALTER SEQUENCE full_width_id_seq AS bigint;
INSERT INTO full_width VALUES (3000000000);
ALTER SEQUENCE moved_id_seq START 1000;
ALTER SEQUENCE wheel MAXVALUE 99;
ALTER SEQUENCE bounded MINVALUE 2 MAXVALUE 5000;
ALTER SEQUENCE narrowed AS smallint;
SELECT sequence, action, restart, ddl FROM reset_interleaved_sequences('{widened_id_seq, full_width_id_seq, moved_id_seq, wheel, bounded, narrowed}', dry_run => true);
SELECT sequence, action, restart, ddl FROM reset_interleaved_sequences('{widened_id_seq, full_width_id_seq, moved_id_seq, wheel, bounded, narrowed}');
SELECT sequencename, data_type, start_value, min_value, max_value, increment_by FROM pg_sequences WHERE schemaname = 'limits' ORDER BY sequencename COLLATE "C";
DROP SCHEMA limits CASCADE;
