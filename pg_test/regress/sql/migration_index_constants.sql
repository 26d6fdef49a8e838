-- Indexes with a constant in the place of a missing reference, expressions that stay with the old ids, and tables that inherit.
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
CALL keyspace_test.forget_node();
CREATE SCHEMA tree;
SET search_path = tree, public;
CREATE TABLE team (id serial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT '2024-01-01 00:00:00+00');
CREATE TABLE folder (
    id bigserial PRIMARY KEY,
    parent_id bigint REFERENCES folder,
    team_id integer REFERENCES team,
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT '2024-01-01 00:00:00+00'
);
INSERT INTO team SELECT FROM generate_series(1, 5);
INSERT INTO folder (parent_id, team_id, name) SELECT CASE WHEN i > 10 THEN i / 3 END, CASE WHEN i % 4 <> 0 THEN i % 5 + 1 END, 'folder ' || i % 50 || CASE WHEN i > 10 THEN '' ELSE ' root' END
FROM generate_series(1, 300) AS i;
CREATE UNIQUE INDEX folder_name ON folder (COALESCE(parent_id, 0), name);
CREATE UNIQUE INDEX folder_of_team ON folder (name DESC, COALESCE(team_id, -1) DESC NULLS LAST, id) INCLUDE (created_at) WHERE created_at IS NOT NULL;
CREATE INDEX folder_by_team ON folder (COALESCE(team_id, 0));
CREATE INDEX folder_rest ON folder ((parent_id % 10));
CREATE INDEX folder_first ON folder (name) WHERE parent_id < 100;
COMMENT ON INDEX folder_name IS 'one name in each folder';
-- What a missing reference counts as must be no id, and rows must not lack their keys for a while.
CREATE UNIQUE INDEX folder_as_one ON folder (COALESCE(parent_id, 7), name);
\set VERBOSITY default
SELECT action, detail FROM key_migration_plan('folder') WHERE detail ~ 'index' AND action <> 'note' ORDER BY detail COLLATE "C";
SELECT key_migration_create('folder');
DROP INDEX folder_as_one;
ALTER TABLE folder ALTER CONSTRAINT folder_parent_id_fkey DEFERRABLE;
SELECT key_migration_create('folder');
ALTER TABLE folder ALTER CONSTRAINT folder_parent_id_fkey NOT DEFERRABLE;
SELECT detail FROM key_migration_plan('folder', target => 'ulid') WHERE action = 'error';
SELECT key_migration_create('folder');
SELECT key_migration_add_key('folder', 'team');
\set VERBOSITY terse
CALL key_migration_advance('folder', through => 'backfilled');
SELECT statement FROM key_migration_statements('folder') WHERE statement ~ 'COALESCE';
SELECT statement FROM key_migration_statements('folder') \gexec
SELECT key_migration_phase('folder');
SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'folder'::regclass ORDER BY indexrelid::regclass::text COLLATE "C";
-- In every phase they refuse what they refused, and nothing else.
INSERT INTO folder (name) VALUES ('folder 1 root');
INSERT INTO folder (parent_id, name) VALUES (4, 'folder 12');
INSERT INTO folder (parent_id, name) VALUES (4, 'folder 1 root');
CALL key_migration_cutover('folder');
INSERT INTO folder (name) VALUES ('folder 1 root');
INSERT INTO folder (parent_id, name) SELECT id, 'folder 1 root' FROM folder WHERE id_old = 4;
INSERT INTO folder (parent_id, name) SELECT id, 'folder 1 root' FROM folder WHERE id_old = 5;
INSERT INTO folder (name) VALUES ('new root');
INSERT INTO folder (parent_id, name) SELECT id, 'new root' FROM folder WHERE name = 'new root';
CALL key_migration_rollback('folder');
INSERT INTO folder (name) VALUES ('new root');
INSERT INTO folder (parent_id, name) VALUES (5, 'folder 1 root');
INSERT INTO folder (parent_id, name) SELECT id, 'new root' FROM folder WHERE name = 'new root' AND parent_id IS NULL;
CALL key_migration_advance('folder', through => 'backfilled');
SELECT statement FROM key_migration_statements('folder') \gexec
CALL key_migration_cutover('folder');
\set VERBOSITY default
CALL key_migration_finalize('folder', confirm => 'folder');
DROP INDEX folder_rest, folder_first;
CALL key_migration_finalize('folder', confirm => 'folder');
SELECT pg_get_indexdef(indexrelid), obj_description(indexrelid) FROM pg_index WHERE indrelid = 'folder'::regclass ORDER BY indexrelid::regclass::text COLLATE "C";
\set VERBOSITY terse
INSERT INTO folder (name) VALUES ('new root');
INSERT INTO folder (parent_id, name) SELECT parent_id, name FROM folder WHERE name = 'new root' AND parent_id IS NOT NULL;
-- As a ULID.
DROP TABLE folder, team;
CREATE TABLE folder (id bigserial PRIMARY KEY, parent_id numeric(12), code smallint, name text, created_at timestamptz NOT NULL DEFAULT '2024-01-01 00:00:00+00');
ALTER TABLE folder ADD UNIQUE (code), ALTER id TYPE numeric;
ALTER TABLE folder ADD FOREIGN KEY (parent_id) REFERENCES folder;
CREATE UNIQUE INDEX folder_name ON folder (COALESCE(parent_id, 0::numeric), name);
INSERT INTO folder (parent_id, name) SELECT CASE WHEN i > 10 THEN i / 3 END, 'folder ' || i FROM generate_series(1, 100) AS i;
SELECT key_migration_create('folder', target => 'ulid');
SELECT statement FROM key_migration_statements('folder') \gexec
CALL key_migration_cutover('folder');
SELECT pg_get_indexdef('folder_name_new'::regclass);
INSERT INTO folder (name) VALUES ('folder 1');
CALL key_migration_finalize('folder', confirm => 'folder');
SELECT pg_get_indexdef('folder_name'::regclass);
INSERT INTO folder (name) VALUES ('folder 1');
INSERT INTO folder (parent_id, name) SELECT parent_id, name FROM folder WHERE name = 'folder 60';
DROP TABLE folder;
-- A table that inherits: its own columns are migrated, whole.
CREATE TABLE team (id serial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT '2024-01-01 00:00:00+00');
INSERT INTO team SELECT FROM generate_series(1, 5);
CREATE TABLE audited (changed_at timestamptz NOT NULL DEFAULT '2024-02-02 00:00:00+00', changed_by integer);
CREATE TABLE member (id serial PRIMARY KEY, team_id integer NOT NULL REFERENCES team) INHERITS (audited);
CREATE TABLE badge (no integer PRIMARY KEY, member_id integer NOT NULL REFERENCES member);
INSERT INTO member (team_id) SELECT i % 5 + 1 FROM generate_series(1, 100) AS i;
INSERT INTO badge SELECT i, i FROM generate_series(1, 100) AS i;
ANALYZE team, member, badge;
SELECT key_migration_create('team');
SELECT key_migration_add_key('team', 'member', timestamp_column => 'changed_at');
SELECT statement FROM key_migration_statements('team') \gexec
UPDATE audited SET changed_by = 7 WHERE changed_at < '2024-02-03' AND tableoid = 'member'::regclass;
CALL key_migration_cutover('team');
WITH t AS (INSERT INTO team DEFAULT VALUES RETURNING id), m AS (INSERT INTO member (team_id) SELECT id FROM t RETURNING id) INSERT INTO badge (no, member_id) SELECT 101, id FROM m;
CALL key_migration_rollback('team');
SELECT count(*), count(*) FILTER (WHERE m.id_new = b.member_id_new AND m.team_id_new = t.id_new) AS same
FROM badge AS b JOIN member AS m ON m.id = b.member_id JOIN team AS t ON t.id = m.team_id;
CALL key_migration_advance('team', through => 'backfilled');
SELECT statement FROM key_migration_statements('team') \gexec
CALL key_migration_cutover('team');
CALL key_migration_finalize('team', confirm => 'team');
SELECT count(*) FROM badge AS b JOIN member AS m ON m.id = b.member_id JOIN team AS t ON t.id = m.team_id WHERE m.id::text ~ '-7' AND t.id::text ~ '-7';
-- PostgreSQL 18 has an uuidv7() of its own, before public.
SET search_path = tree;
SELECT attname, format_type(atttypid, atttypmod) AS type, attnotnull, attislocal, attinhcount, pg_get_expr(adbin, adrelid) AS default_value
FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE attrelid = 'member'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum;
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE (conrelid = 'member'::regclass AND contype <> 'n') OR confrelid = 'member'::regclass ORDER BY conname;
SELECT inhparent::regclass FROM pg_inherits WHERE inhrelid = 'member'::regclass;
SET search_path = tree, public;
SELECT count(*), min(changed_by), max(changed_by) FROM audited;
-- What is refused: a column that comes from elsewhere, and a table from which others inherit.
CREATE TABLE base (id serial PRIMARY KEY, team_id uuid REFERENCES team, made timestamptz NOT NULL DEFAULT now());
CREATE TABLE derived (UNIQUE (id), PRIMARY KEY (id), FOREIGN KEY (team_id) REFERENCES team) INHERITS (base);
\set VERBOSITY default
SELECT key_migration_create('base');
SELECT key_migration_create('derived');
\set VERBOSITY terse
SELECT detail FROM key_migration_plan('team', target => 'ulid', without_timestamp => true) WHERE action = 'error' ORDER BY detail COLLATE "C";
DROP SCHEMA tree CASCADE;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
