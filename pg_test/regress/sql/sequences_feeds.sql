-- What the catalog cannot tell: sequences that functions and triggers use.
-- trap_s28 trap_s06
SET client_min_messages = warning;
CREATE SCHEMA "Feed Lot";
SET search_path = "Feed Lot", public;
CREATE SEQUENCE "Draw";
CREATE TABLE "Cow" ("Tag No" bigint, v int);
CREATE FUNCTION tag() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN NEW."Tag No" := nextval('"Feed Lot"."Draw"'); RETURN NEW; END $$;
CREATE TRIGGER tag BEFORE INSERT ON "Cow" FOR EACH ROW WHEN (NEW."Tag No" IS NULL) EXECUTE FUNCTION tag();
INSERT INTO "Cow" (v) SELECT g FROM generate_series(1, 3) AS g;
INSERT INTO "Cow" VALUES (500, 4);
-- A trigger of the table itself is found (sequences_texts); the caller may name the column, too.
SELECT in_use, restart, fed_columns FROM setup_interleaved_sequences(2, sequences => '{"\"Draw\""}', dry_run => true);
-- Names are looked up as the caller writes them: with a schema or by the search_path.
SELECT in_use, restart, fed_columns
FROM setup_interleaved_sequences(2, sequences => '{"\"Draw\""}', dry_run => true,
                                 feeds => '{"\"Draw\"": ["\"Cow\".\"Tag No\""]}');
SELECT in_use, restart, fed_columns
FROM setup_interleaved_sequences(2, schemas => '{Feed Lot}', dry_run => true,
                                 feeds => '{"\"Feed Lot\".\"Draw\"": ["\"Feed Lot\".\"Cow\".\"Tag No\"", "\"Cow\".\"Tag No\""]}');
-- A default that computes with the value, of which the caller knows that it changes nothing.
CREATE TABLE pen (no bigint PRIMARY KEY DEFAULT nextval('"Draw"') + 0);
INSERT INTO pen VALUES (700);
SELECT in_use, detail FROM setup_interleaved_sequences(2, sequences => '{"\"Draw\""}', dry_run => true);
SELECT in_use, detail, fed_columns
FROM setup_interleaved_sequences(2, sequences => '{"\"Draw\""}', dry_run => true,
                                 feeds => '{"\"Draw\"": ["pen.no", "\"Cow\".\"Tag No\""]}');
SELECT action, in_use, restart
FROM setup_interleaved_sequences(2, sequences => '{"\"Draw\""}', feeds => '{"\"Draw\"": ["pen.no", "\"Cow\".\"Tag No\""]}');
INSERT INTO "Cow" (v) VALUES (5) RETURNING "Tag No";
-- What was given once is known to the check, to later set-ups and to the way back.
CREATE SEQUENCE doc_no;
CREATE TABLE doc (id bigint PRIMARY KEY);
SELECT action, fed_columns FROM setup_interleaved_sequences(2, sequences => '{doc_no}', feeds => '{"doc_no": ["doc.id"]}');
INSERT INTO doc VALUES (7), (20);
SELECT severity, finding, detail FROM check_interleaved_sequences() WHERE sequence = 'doc_no'::regclass;
SELECT action, restart, detail FROM setup_interleaved_sequences(2, sequences => '{doc_no}');
SELECT sequence::regclass, relation::regclass, attribute FROM keyspace_internal.interleaved_feed WHERE sequence = 'doc_no'::regclass;
SELECT action, in_use, restart, fed_columns FROM reset_interleaved_sequences('{doc_no}');
SELECT count(*) FROM keyspace_internal.interleaved_feed WHERE sequence = 'doc_no'::regclass;
-- A feed whose column or table is gone is none.
CREATE TABLE gone (no int, note text);
SELECT fed_columns FROM setup_interleaved_sequences(2, sequences => '{doc_no}', feeds => '{"doc_no": ["gone.no"]}');
ALTER TABLE gone DROP COLUMN no;
SELECT fed_columns FROM setup_interleaved_sequences(2, sequences => '{doc_no}');
DROP TABLE gone;
SELECT count(*) FROM interleaved_sequences WHERE sequence = 'doc_no'::regclass;

-- What is given later for a sequence takes the place of what was given before, and an empty list takes all back.
CREATE SEQUENCE herd_no;
CREATE TABLE herd (a bigint, b bigint, c text);
INSERT INTO herd VALUES (11, 22, 'x');
SET client_min_messages = notice;
SELECT in_use, fed_columns FROM setup_interleaved_sequences(2, sequences => '{herd_no}', feeds => '{"herd_no": ["herd.a", "herd.b"]}');
-- A dry run shows it and changes nothing.
SELECT fed_columns FROM setup_interleaved_sequences(2, sequences => '{herd_no}', feeds => '{"herd_no": []}', dry_run => true);
SELECT action, fed_columns FROM setup_interleaved_sequences(2, sequences => '{herd_no}', feeds => '{"herd_no": ["herd.a", "herd.c"]}');
SELECT fed_columns FROM interleaved_sequences WHERE sequence = 'herd_no'::regclass;
-- What is given for another sequence changes nothing for this one.
SELECT action FROM setup_interleaved_sequences(2, sequences => '{doc_no}', feeds => '{"doc_no": ["doc.id"]}');
SELECT fed_columns FROM interleaved_sequences WHERE sequence = 'herd_no'::regclass;
ALTER TABLE herd DROP COLUMN c;
CALL setup_interleaved_sequences_in_batches(2, sequences => '{herd_no}', feeds => '{"herd_no": []}');
SELECT fed_columns FROM interleaved_sequences WHERE sequence = 'herd_no'::regclass;
SELECT action FROM setup_interleaved_sequences(2, sequences => '{herd_no}', feeds => '{"herd_no": []}');
-- What is ignored is told.
CREATE TEMP TABLE passing (id bigint);
CREATE TEMP SEQUENCE passing_no;
SELECT fed_columns FROM setup_interleaved_sequences(2, sequences => '{herd_no}', feeds => '{"herd_no": ["passing.id"]}', dry_run => true);
SELECT action FROM setup_interleaved_sequences(2, sequences => '{passing_no}', feeds => '{"passing_no": ["herd.a"]}', dry_run => true);
-- trap_s28_a_table_is_no_column: the column was forgotten, with a schema and without.
SELECT action FROM setup_interleaved_sequences(2, sequences => '{herd_no}', feeds => '{"herd_no": ["\"Feed Lot\".herd"]}');
SELECT action FROM setup_interleaved_sequences(2, sequences => '{herd_no}', feeds => '{"herd_no": ["herd"]}');
SELECT action FROM setup_interleaved_sequences(2, sequences => '{herd_no}', feeds => '{"herd_no": ["herd.none"]}');
SELECT action FROM setup_interleaved_sequences(2, sequences => '{herd_no}', feeds => '{"herd_no": ["nowhere.a"]}');
-- They are stored for the owner of the database only.
CREATE ROLE regress_feeds_owner;
GRANT USAGE ON SCHEMA "Feed Lot" TO regress_feeds_owner;
GRANT SELECT ON herd TO regress_feeds_owner;
ALTER SEQUENCE herd_no OWNER TO regress_feeds_owner;
SET ROLE regress_feeds_owner;
SELECT action, fed_columns FROM setup_interleaved_sequences(2, sequences => '{herd_no}', feeds => '{"herd_no": ["herd.a"]}');
RESET ROLE;
SELECT fed_columns FROM interleaved_sequences WHERE sequence = 'herd_no'::regclass;
-- What is given for a sequence that is left out is stored, too.
SELECT count(*) FROM setup_interleaved_sequences(2, schemas => '{"Feed Lot"}', feeds => '{"herd_no": ["herd.a"]}', exclude => '{herd_no}')
WHERE sequence = 'herd_no'::regclass;
SELECT fed_columns FROM interleaved_sequences WHERE sequence = 'herd_no'::regclass;
-- The state of a node that is not set up yet contains the columns if feeds names them, and changes
-- nothing. Without them, rows ahead of the position of a sequence would be unknown to other nodes.
SET client_min_messages = warning;
CREATE TABLE lamb (no bigint);
CREATE SEQUENCE lamb_no;
INSERT INTO lamb VALUES (70);
SELECT s.value->'maximum' AS maximum, s.value->'columns' AS columns
FROM (VALUES (interleaved_node_state()), (interleaved_node_state(feeds => '{"lamb_no": ["lamb.no"]}'))) AS n (state),
     LATERAL jsonb_each(n.state->'sequences'->'Feed Lot') AS s WHERE s.key = 'lamb_no';
SELECT cardinality(fed_columns) AS stored FROM interleaved_sequences WHERE sequence = 'lamb_no'::regclass;
SELECT jsonb_set(interleaved_node_state() - 'node' - 'nodes', '{database_oid}', '1') AS without,
       jsonb_set(interleaved_node_state(feeds => '{"lamb_no": ["lamb.no"]}') - 'node' - 'nodes', '{database_oid}', '1') AS with_column \gset
-- The row is on the other node only.
DELETE FROM lamb;
\set VERBOSITY terse
SELECT action, restart FROM setup_interleaved_sequences(2, sequences => '{lamb_no}', feeds => '{"lamb_no": ["lamb.no"]}', gap => 0, dry_run => true,
    peers => ARRAY[:'without'::jsonb]);
SELECT action, restart FROM setup_interleaved_sequences(2, sequences => '{lamb_no}', feeds => '{"lamb_no": ["lamb.no"]}', gap => 0, dry_run => true,
    peers => ARRAY[:'with_column'::jsonb]);
\set VERBOSITY default
SELECT interleaved_node_state(feeds => '[]');
SELECT interleaved_node_state(feeds => '{"lamb_no": ["lamb.none"]}');
DROP SCHEMA "Feed Lot" CASCADE;
DROP ROLE regress_feeds_owner;
