-- What applications do with sequences: blocks of ids, defaults of views, and findings that are accepted.
-- trap_s54
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA app;
SET search_path = app, public;
-- fault_b22_nothing_is_known: two sequences, and no column that the catalog connects with them.
CREATE SEQUENCE order_no;
CREATE SEQUENCE invoice_no;
SELECT count(*) FROM setup_interleaved_sequences(2, schemas => '{app}');
SELECT severity, sequence, finding, detail, hint FROM check_interleaved_sequences();
CREATE TABLE orders (id bigint PRIMARY KEY, note text);
SELECT fed_columns FROM setup_interleaved_sequences(2, sequences => '{order_no}', feeds => '{"order_no": ["orders.id"]}');
SELECT severity, sequence, finding, detail FROM check_interleaved_sequences();
-- fault_b08_blocks: the ids of Hibernate's blocks, whose sequence nothing connects with its column.
CREATE TABLE pooled (id bigint PRIMARY KEY);
CREATE SEQUENCE pooled_seq INCREMENT 50;
SELECT action, detail FROM setup_interleaved_sequences(2, sequences => '{pooled_seq}', dry_run => true);
SELECT detail, ddl FROM setup_interleaved_sequences(2, sequences => '{pooled_seq}', blocks => true,
                                                    feeds => '{"pooled_seq": ["pooled.id"]}');
SELECT severity, finding, detail, hint FROM check_interleaved_sequences() WHERE sequence = 'pooled_seq'::regclass;
SELECT nextval('pooled_seq'), nextval('pooled_seq');
-- Without a word on how ids are counted, only those are refused that no way of counting explains.
SELECT column_name, sequence, action, detail FROM guard_interleaved_sequences(tables => '{pooled}');
INSERT INTO pooled VALUES (52), (101), (150);
INSERT INTO pooled VALUES (151);
TRUNCATE pooled;
SELECT action, detail FROM guard_interleaved_sequences(tables => '{pooled}', blocks => 'down');
SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = 'pooled'::regclass;
INSERT INTO pooled SELECT generate_series(52, 101);
-- increment_size_mismatch_strategy = fix begins at 2.
INSERT INTO pooled VALUES (2);
INSERT INTO pooled VALUES (102);
\set VERBOSITY terse
INSERT INTO pooled VALUES (51);
INSERT INTO pooled VALUES (152), (201);
-- Another run keeps the way of counting, and another mode does.
SELECT action, detail FROM guard_interleaved_sequences(tables => '{pooled}');
SELECT action, detail FROM guard_interleaved_sequences(tables => '{pooled}', mode => 'warn');
INSERT INTO pooled VALUES (151);
SELECT action, detail FROM guard_interleaved_sequences(tables => '{pooled}', blocks => 'up');
INSERT INTO pooled VALUES (250);
INSERT INTO pooled VALUES (251);
SELECT action, detail FROM guard_interleaved_sequences(tables => '{pooled}', blocks => 'either');
SELECT action FROM guard_interleaved_sequences(blocks => 'sideways');
\set VERBOSITY default
-- A trigger that somebody has altered is put right.
CREATE OR REPLACE TRIGGER interleaved_guard_1 AFTER INSERT OR UPDATE OF id ON pooled
    FOR EACH ROW EXECUTE FUNCTION keyspace_internal.interleaved_guard('refuse', '0', '0', 'up');
INSERT INTO pooled VALUES (61);
SELECT action, detail FROM guard_interleaved_sequences(tables => '{pooled}');
-- numeric, and ids beyond those of a sequence.
CREATE TABLE wide (id numeric PRIMARY KEY);
CREATE SEQUENCE wide_seq INCREMENT 10 OWNED BY wide.id;
SELECT detail FROM setup_interleaved_sequences(2, sequences => '{wide_seq}', blocks => true);
SELECT detail FROM guard_interleaved_sequences(tables => '{wide}', blocks => 'up');
INSERT INTO wide VALUES (21), (30.0);
\set VERBOSITY terse
INSERT INTO wide VALUES (31);
INSERT INTO wide VALUES (21.5);
INSERT INTO wide VALUES (100000000000000000000021);
\set VERBOSITY default
-- Two sequences with other blocks on one column.
CREATE TABLE torn (id bigint PRIMARY KEY);
CREATE SEQUENCE torn_one INCREMENT 10 OWNED BY torn.id;
CREATE SEQUENCE torn_two OWNED BY torn.id;
SELECT sequence, action FROM setup_interleaved_sequences(2, sequences => '{torn_one,torn_two}', blocks => true);
SELECT table_name, action, detail FROM guard_interleaved_sequences('{app}') WHERE action <> 'unchanged';
SELECT guard_interleaved_sequences(tables => '{torn}');
-- Ids of fix in a block that this node has not drawn yet.
SELECT unguard_interleaved_sequences(tables => '{pooled}');
INSERT INTO pooled SELECT generate_series(302, 401);
SELECT severity, finding, detail FROM check_interleaved_sequences() WHERE sequence = 'pooled_seq'::regclass;
-- fault_b29_one_id_in_a_block: a guard says how ids are counted, so that one id in a block ahead is certain.
DELETE FROM pooled WHERE id <> 310;
SELECT severity, finding, detail, hint FROM check_interleaved_sequences()
WHERE sequence = 'pooled_seq'::regclass AND finding <> 'blocks of ids';
SELECT action, detail FROM guard_interleaved_sequences(tables => '{pooled}', blocks => 'either');
SELECT severity, finding FROM check_interleaved_sequences() WHERE sequence = 'pooled_seq'::regclass ORDER BY 2;
SELECT action, detail FROM guard_interleaved_sequences(tables => '{pooled}', blocks => 'up');
SELECT severity, finding, detail FROM check_interleaved_sequences() WHERE sequence = 'pooled_seq'::regclass ORDER BY 2;
SELECT action, detail FROM guard_interleaved_sequences(tables => '{pooled}', blocks => 'down', mode => 'warn');
SELECT severity, finding, detail FROM check_interleaved_sequences() WHERE sequence = 'pooled_seq'::regclass ORDER BY 2;
SELECT unguard_interleaved_sequences(tables => '{pooled}');
TRUNCATE pooled;
-- fault_b15_views: a view with a default is reported, and can be excluded.
CREATE TABLE base (id bigserial PRIMARY KEY, note text);
CREATE VIEW shown AS SELECT * FROM base;
ALTER VIEW shown ALTER id SET DEFAULT nextval('base_id_seq');
SELECT count(*) FROM setup_interleaved_sequences(2, sequences => '{base_id_seq}');
SELECT table_name, column_name, action, detail FROM guard_interleaved_sequences(dry_run => true)
WHERE table_name::text IN ('base', 'shown');
SELECT table_name, action FROM guard_interleaved_sequences('{app}', exclude => '{shown}')
WHERE table_name::text IN ('base', 'shown');
SELECT table_name, action, detail FROM guard_interleaved_sequences('{app}')
WHERE table_name::text IN ('base', 'shown');
INSERT INTO shown (note) VALUES ('through the view') RETURNING id;
SELECT guard_interleaved_sequences(tables => '{shown}');
SELECT guard_interleaved_sequences(exclude => '{base_id_seq}');
-- fault_b22_type_mismatch: CREATE SEQUENCE is a bigint.
CREATE TABLE small (id int PRIMARY KEY);
CREATE SEQUENCE small_seq OWNED BY small.id;
SELECT count(*) FROM setup_interleaved_sequences(2, sequences => '{small_seq}');
SELECT severity, finding, detail FROM check_interleaved_sequences() WHERE sequence = 'small_seq'::regclass;
ALTER SEQUENCE small_seq RESTART 2000000000;
SELECT severity, finding FROM check_interleaved_sequences() WHERE sequence = 'small_seq'::regclass ORDER BY 2;
-- Acknowledgements.
SELECT acknowledge_interleaved_finding('small_seq', 'nearly used up', 'the table is dropped in May');
SELECT acknowledge_interleaved_finding('small_seq', 'type mismatch', 'the same');
SELECT severity, finding, detail FROM check_interleaved_sequences() WHERE sequence = 'small_seq'::regclass ORDER BY 2;
SELECT acknowledge_interleaved_finding('small_seq', 'type mismatch', 'another reason');
SELECT sequence, finding, reason, role = current_user AS own, acknowledged_at = now() AS now FROM interleaved_acknowledgements ORDER BY 2;
SELECT acknowledge_interleaved_finding('small_seq', 'type mismatch', NULL);
SELECT severity, finding, detail FROM check_interleaved_sequences() WHERE sequence = 'small_seq'::regclass ORDER BY 2;
-- Of the node as a whole.
SELECT acknowledge_interleaved_finding(NULL, 'DDL replication', 'DDL is run on every node');
SELECT sequence, finding FROM interleaved_acknowledgements WHERE sequence IS NULL;
SELECT acknowledge_interleaved_finding(NULL, 'DDL replication', NULL);
-- fault_b22_like: a table like another has an identity column in the class from the start.
CREATE TABLE ident (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
SELECT count(*) FROM setup_interleaved_sequences(2, sequences => '{ident_id_seq}');
CREATE TABLE alike (LIKE ident INCLUDING IDENTITY INCLUDING INDEXES);
INSERT INTO alike DEFAULT VALUES RETURNING id;
SELECT severity, finding FROM check_interleaved_sequences() WHERE sequence = 'alike_id_seq'::regclass;
WITH own AS (
    SELECT jsonb_set(interleaved_node_state(), '{node}', '1') || '{"system_identifier": 1}' AS state
)
SELECT c.severity, c.finding FROM own, check_interleaved_sequences(ARRAY[own.state]) AS c
WHERE c.sequence = 'alike_id_seq'::regclass AND c.finding = 'set-up unknown';
-- What is refused.
SELECT acknowledge_interleaved_finding('small_seq', NULL, 'x');
SELECT acknowledge_interleaved_finding('small_seq', 'colour', 'x');
SELECT acknowledge_interleaved_finding('small_seq', 'wrong class', 'x');
SELECT acknowledge_interleaved_finding('small_seq', 'unlogged', ' ');
SELECT acknowledge_interleaved_finding('small', 'unlogged', 'x');
SELECT acknowledge_interleaved_finding(1, 'unlogged', 'x');
BEGIN READ ONLY;
SELECT acknowledge_interleaved_finding('small_seq', 'unlogged', 'x');
ROLLBACK;
CREATE ROLE app_stranger;
CREATE ROLE app_owner;
GRANT USAGE, CREATE ON SCHEMA app TO app_stranger, app_owner;
ALTER TABLE small OWNER TO app_owner;
SET ROLE app_stranger;
SELECT acknowledge_interleaved_finding('small_seq', 'unlogged', 'x');
SELECT acknowledge_interleaved_finding(NULL, 'DDL replication', 'x');
SET ROLE app_owner;
SELECT acknowledge_interleaved_finding('small_seq', 'type mismatch', 'by its owner');
SELECT role FROM interleaved_acknowledgements WHERE finding = 'type mismatch';
RESET ROLE;
-- Forgotten with the record of the set-up, and with the sequence.
SELECT action FROM reset_interleaved_sequences('{small_seq}');
SELECT count(*) FROM interleaved_acknowledgements;
SELECT acknowledge_interleaved_finding('small_seq', 'unlogged', 'x');
DROP TABLE small;
SELECT count(*) FROM interleaved_acknowledgements;
CREATE TABLE later (id bigserial);
SELECT count(*) FROM setup_interleaved_sequences(2, schemas => '{app}');
SELECT count(*) FROM keyspace_internal.interleaved_acknowledgement;
SELECT count(*) FROM unguard_interleaved_sequences();
SELECT count(*) FROM reset_interleaved_sequences((SELECT array_agg(sequence) FROM interleaved_sequences));
DROP SCHEMA app CASCADE;
DROP ROLE app_stranger, app_owner;
