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
-- Without a word of it only the sequence's position is known.
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
DROP SCHEMA "Feed Lot" CASCADE;
