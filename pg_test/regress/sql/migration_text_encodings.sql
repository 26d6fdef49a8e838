-- Keys of type text in a database of another encoding: the default of a reference, and the keys.
\set SHOW_CONTEXT never
\set VERBOSITY terse
SELECT current_database() AS first \gset
CREATE DATABASE keyspace_migration_latin1 ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0;
\c keyspace_migration_latin1
SET client_encoding = 'UTF8';
SET timezone = 'UTC';
SET client_min_messages = warning;
CREATE EXTENSION pg_keyspace;
CREATE TABLE doc (id text PRIMARY KEY DEFAULT gen_random_uuid()::text, created_at timestamptz NOT NULL DEFAULT '2024-01-01');
CREATE TABLE item (no integer PRIMARY KEY, doc_id text NOT NULL DEFAULT 'é' REFERENCES doc);
INSERT INTO doc (id) VALUES ('é'), ('ü'), ('a');
INSERT INTO item (no) VALUES (1);
INSERT INTO item VALUES (2, 'ü'), (3, 'a');
-- Of several kinds, and with values that mean none.
CREATE TABLE note (no integer PRIMARY KEY, kind varchar(10), ref text);
INSERT INTO note VALUES (1, 'Größe', 'é'), (2, 'Große', 'é'), (3, 'Größe', 'ß'), (4, 'Größe', 'a');
ANALYZE doc, item, note;
SELECT key_migration_create('doc');
SELECT key_migration_add_reference('doc', 'note', '{ref}', type_column => 'kind', type_values => '{Größe}', null_values => '{ß}');
CALL key_migration_advance('doc', through => 'prepared');
INSERT INTO note VALUES (5, 'Größe', 'ü'), (6, 'Große', 'ü'), (7, 'Größe', 'ß');
CALL key_migration_advance('doc', through => 'backfilled');
SELECT n.no, d.id FROM note AS n JOIN doc AS d ON d.id_new = n.ref_new ORDER BY n.no;
SELECT column_name, check_name, row_count FROM key_migration_verify('doc') WHERE table_name = 'note'::regclass AND check_name NOT IN ('rows', 'digest');
SELECT statement FROM key_migration_statements('doc') \gexec
CALL key_migration_cutover('doc');
INSERT INTO item (no) VALUES (4);
SELECT i.no, d.id_old, i.doc_id = uuidv7_from_timestamp_hashed(d.created_at, d.id_old, 'public.doc') AS derived FROM item AS i JOIN doc AS d ON d.id = i.doc_id ORDER BY i.no;
CALL key_migration_rollback('doc');
INSERT INTO item (no) VALUES (5);
SELECT no, doc_id FROM item ORDER BY no;
CALL key_migration_cutover('doc');
CALL key_migration_finalize('doc', confirm => 'doc');
-- The same keys as in any other encoding.
\c :first
SET client_min_messages = warning;
SET client_encoding = 'UTF8';
SELECT uuidv7_from_timestamp_hashed('2024-01-01 00:00:00+00', 'é', 'public.doc');
\c keyspace_migration_latin1
SELECT doc_id FROM item WHERE no = 1;
\c :first
DROP DATABASE keyspace_migration_latin1;
