-- Which index replaces which: of patterns, equal ones, and those that came after the cut-over.
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
CALL keyspace_test.forget_node();
CREATE SCHEMA paired;
SET search_path = paired, public;
CREATE TABLE doc (id varchar PRIMARY KEY DEFAULT gen_random_uuid()::text, created_at timestamptz NOT NULL DEFAULT '2024-01-01');
CREATE TABLE item (no integer PRIMARY KEY, doc_id varchar NOT NULL REFERENCES doc);
-- As Django creates them for a reference of this type.
CREATE INDEX item_doc ON item (doc_id);
CREATE INDEX item_doc_like ON item (doc_id varchar_pattern_ops);
CREATE INDEX item_doc_again ON item (doc_id);
INSERT INTO doc (id) SELECT 'd' || i FROM generate_series(1, 20) AS i;
INSERT INTO item SELECT i, 'd' || (i % 20 + 1) FROM generate_series(1, 60) AS i;
ANALYZE doc, item;
CREATE VIEW indexes AS SELECT c.relname, replace(pg_get_indexdef(i.indexrelid), 'paired.', '') AS definition
    FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid WHERE i.indrelid = 'item'::regclass AND NOT i.indisprimary ORDER BY c.relname COLLATE "C";
SELECT key_migration_create('doc');
CALL key_migration_advance('doc', through => 'backfilled');
SELECT statement FROM key_migration_statements('doc') \gexec
CALL key_migration_cutover('doc');
TABLE indexes;
CALL key_migration_rollback('doc');
TABLE indexes;
CALL key_migration_cutover('doc');
-- One that is built now on old ids has no replacement, although there is one like it on keys.
CREATE INDEX late ON item (doc_id_old);
CALL key_migration_rollback('doc');
TABLE indexes;
SELECT statement FROM key_migration_statements('doc') \gexec
CALL key_migration_cutover('doc');
CREATE INDEX later ON item (doc_id_old);
\set VERBOSITY default
CALL key_migration_finalize('doc', confirm => 'doc');
\set VERBOSITY terse
DROP INDEX later, item_doc_like;
CALL key_migration_finalize('doc', confirm => 'doc');
TABLE indexes;
-- A replacement that was built by hand.
DROP TABLE item, doc CASCADE;
CREATE TABLE doc (id varchar PRIMARY KEY DEFAULT gen_random_uuid()::text, created_at timestamptz NOT NULL DEFAULT '2024-01-01');
CREATE TABLE item (no integer PRIMARY KEY, doc_id varchar NOT NULL REFERENCES doc);
CREATE INDEX item_doc_like ON item (doc_id varchar_pattern_ops);
CREATE VIEW indexes AS SELECT c.relname, replace(pg_get_indexdef(i.indexrelid), 'paired.', '') AS definition
    FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid WHERE i.indrelid = 'item'::regclass AND NOT i.indisprimary ORDER BY c.relname COLLATE "C";
SELECT key_migration_create('doc');
CALL key_migration_advance('doc', through => 'backfilled');
CREATE INDEX item_doc_like_new ON item (doc_id_new);
SELECT statement FROM key_migration_statements('doc') \gexec
CALL key_migration_cutover('doc');
TABLE indexes;
CALL key_migration_rollback('doc');
TABLE indexes;
CALL key_migration_cutover('doc');
CALL key_migration_finalize('doc', confirm => 'doc');
TABLE indexes;
-- The index by which rows are looked up is gone, or finds rows with other bytes.
CREATE TABLE part (tenant integer, id text, created_at timestamptz NOT NULL DEFAULT '2024-01-01', PRIMARY KEY (tenant, id));
CREATE COLLATION ignoring_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE UNIQUE INDEX part_id ON part (id COLLATE ignoring_case);
SELECT key_migration_create('part');
DROP INDEX part_id;
CREATE UNIQUE INDEX part_id ON part (id);
SELECT key_migration_create('part');
CALL key_migration_advance('part', through => 'prepared');
DROP INDEX part_id;
\set VERBOSITY default
CALL key_migration_advance('part', through => 'backfilled');
\set VERBOSITY terse
CREATE UNIQUE INDEX part_id ON part (id);
CALL key_migration_advance('part', through => 'backfilled');
CALL key_migration_rollback('part');
DROP SCHEMA paired CASCADE;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
