-- Whole numbers of any size, whatever a column is made of.
\pset format unaligned
\pset tuples_only on
CREATE SCHEMA sequences_exact;
SET search_path = sequences_exact, public;
\set restarts 'SELECT s.sequence, s.action, s.in_use, s.restart FROM setup_interleaved_sequences(2, schemas => ARRAY[''sequences_exact''], dry_run => true) AS s'

-- fault_a03_exact_integers: without an index, with one, on a partitioned table, on one with children, of numeric, of a domain
CREATE TABLE no_index (id bigint);
CREATE SEQUENCE no_index_id_seq OWNED BY no_index.id;
CREATE TABLE indexed (id bigserial PRIMARY KEY);
CREATE TABLE falling (id bigint);
CREATE SEQUENCE falling_id_seq OWNED BY falling.id;
CREATE INDEX ON falling (id DESC NULLS LAST);
CREATE TABLE part (id bigserial, k integer) PARTITION BY LIST (k);
CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1);
-- The column has another number there.
CREATE TABLE part_2 (gone integer, k integer, id bigint NOT NULL);
ALTER TABLE part_2 DROP COLUMN gone;
ALTER TABLE part ATTACH PARTITION part_2 FOR VALUES IN (2);
CREATE INDEX ON part_2 (id);
CREATE TABLE parent (id bigserial);
CREATE TABLE child (more text) INHERITS (parent);
CREATE TABLE numbers (id numeric);
CREATE SEQUENCE numbers_id_seq OWNED BY numbers.id;
CREATE TABLE indexed_numbers (id numeric PRIMARY KEY);
CREATE SEQUENCE indexed_numbers_id_seq OWNED BY indexed_numbers.id;
CREATE DOMAIN key AS bigint CHECK (VALUE > 0);
CREATE TABLE of_domain (id key);
CREATE SEQUENCE of_domain_id_seq OWNED BY of_domain.id;
CREATE TABLE wide (id numeric(30, 0));
CREATE SEQUENCE wide_id_seq OWNED BY wide.id;
CREATE TABLE down (id bigint);
CREATE SEQUENCE down_id_seq INCREMENT -1 OWNED BY down.id;
INSERT INTO no_index VALUES (9007199254740993), (NULL), (5);
INSERT INTO indexed VALUES (9007199254740993), (5);
INSERT INTO falling VALUES (9007199254740993), (NULL), (5);
INSERT INTO part VALUES (9007199254740991, 1), (9007199254740993, 2);
INSERT INTO parent VALUES (7);
INSERT INTO child VALUES (9007199254740993, 'x');
INSERT INTO numbers VALUES (9007199254740993.5), (NULL), ('NaN'), ('Infinity'), (1e40), (5);
INSERT INTO indexed_numbers VALUES (9007199254740993.5), ('NaN'), ('Infinity'), (1e40), ('-Infinity'), (5);
INSERT INTO of_domain VALUES (9007199254740993);
INSERT INTO wide VALUES (9007199254740993), (123456789012345678901234567890);
INSERT INTO down VALUES (-9007199254740993), (5);
:restarts ORDER BY sequence::text COLLATE "C";

-- the greatest value of all: this sequence cannot go on, and the others can
INSERT INTO no_index VALUES (9223372036854775807);
INSERT INTO numbers VALUES (9223372036854775807.5);
INSERT INTO part VALUES (9223372036854775807, 1);
INSERT INTO down VALUES (-9223372036854775808);
:restarts WHERE s.restart IS NULL OR s.action = 'failed' ORDER BY sequence::text COLLATE "C";
SELECT s.sequence, s.action, s.restart
FROM setup_interleaved_sequences(2, schemas => ARRAY['sequences_exact'],
    exclude => ARRAY['no_index_id_seq', 'part_id_seq', 'down_id_seq', 'numbers_id_seq']::regclass[]) AS s
ORDER BY sequence::text COLLATE "C";
INSERT INTO of_domain VALUES (nextval('of_domain_id_seq')) RETURNING id;
SELECT c.sequence, c.finding FROM check_interleaved_sequences() AS c
WHERE c.sequence::text ~ 'no_index|part_id|down_id' ORDER BY c.sequence::text COLLATE "C", c.finding;
SELECT count(*) FROM jsonb_object_keys(interleaved_node_state() -> 'sequences') AS s WHERE s ~ '^sequences_exact';

-- fault_a06_nothing_of_the_owner_runs: neither what is constant in the predicate of an index, nor a policy, nor an expression
CREATE ROLE regress_exact_owner;
GRANT USAGE, CREATE ON SCHEMA sequences_exact TO regress_exact_owner;
SET ROLE regress_exact_owner;
CREATE FUNCTION trap(anyelement) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
    RAISE WARNING 'code of the owner runs as %', current_user;
    RETURN true;
END $$;
CREATE TABLE trapped (id bigint GENERATED ALWAYS AS IDENTITY, x text DEFAULT 'x' CHECK (id > 0));
INSERT INTO trapped DEFAULT VALUES;
SET client_min_messages = error;
CREATE INDEX ON trapped (id) WHERE trap(7);
CREATE INDEX ON trapped (id) WHERE trap(x);
CREATE INDEX ON trapped ((trap(id)));
CREATE POLICY trap ON trapped USING (trap(8));
RESET client_min_messages;
RESET ROLE;
SELECT s.sequence, s.action, s.restart FROM setup_interleaved_sequences(2, sequences => ARRAY['trapped_id_seq']::regclass[]) AS s;
SELECT count(*) FROM check_interleaved_sequences() AS c WHERE c.sequence = 'trapped_id_seq'::regclass;
SELECT interleaved_node_state() IS NOT NULL;
SELECT count(*) FROM interleaved_sequences WHERE sequence = 'trapped_id_seq'::regclass;
DROP TABLE trapped;
DROP FUNCTION trap;
DROP OWNED BY regress_exact_owner;
DROP ROLE regress_exact_owner;

\set VERBOSITY terse
SET client_min_messages = warning;
SELECT count(*) FROM reset_interleaved_sequences(
    ARRAY(SELECT sequence FROM interleaved_sequences WHERE sequence::text ~ 'indexed|falling|parent|of_domain|wide'));
DROP SCHEMA sequences_exact CASCADE;
