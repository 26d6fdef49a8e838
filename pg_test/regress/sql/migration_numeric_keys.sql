-- Keys of type numeric, as in schemas that were ported from Oracle.
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
CALL keyspace_test.forget_node();
SET timezone = 'UTC';
CREATE SCHEMA numbers;
SET search_path = numbers, public;
CREATE SEQUENCE org_id_seq START 2000;
CREATE DOMAIN org_ref AS numeric(38) CHECK (VALUE <> 13);
CREATE TABLE org (
    id numeric CONSTRAINT org_id_pk PRIMARY KEY DEFAULT nextval('org_id_seq'),
    name text NOT NULL,
    created timestamptz NOT NULL DEFAULT '2024-05-05',
    parent_id org_ref REFERENCES org
);
CREATE TABLE server (
    no integer PRIMARY KEY,
    org_id numeric NOT NULL REFERENCES org ON DELETE CASCADE,
    owner_id bigint DEFAULT 7 REFERENCES org,
    loose numeric(12, 2),
    written text,
    narrow numeric(5, 2),
    rounded numeric(2, -2)
);
CREATE INDEX server_org ON server (org_id DESC, no);
CREATE UNIQUE INDEX server_owner ON server (owner_id, no) WHERE owner_id IS NOT NULL;
-- Also those that no derived key holds, that have zeros at the end, or were written with a scale.
INSERT INTO org (id, name, created, parent_id)
SELECT CASE i WHEN 1 THEN -9223372036854775808 WHEN 2 THEN 9223372036854775807 WHEN 3 THEN 0 WHEN 4 THEN -5 WHEN 5 THEN 5.000
              WHEN 6 THEN 10000 WHEN 8 THEN 100000000 WHEN 9 THEN 99999999 WHEN 10 THEN 10000000000000000 ELSE i END,
       'org ' || i, '2024-01-01'::timestamptz + i / 2 * interval '1 second', CASE WHEN i % 3 = 0 AND i > 10 THEN i - 1 WHEN i = 20 THEN 0 END
FROM generate_series(1, 400) AS i WHERE i <> 13;
INSERT INTO server SELECT i, o.id, CASE WHEN i % 4 <> 0 THEN o.id END, CASE WHEN i % 5 = 0 THEN i / 10.0 WHEN i % 5 = 1 THEN 11 + i END,
       CASE i % 3 WHEN 0 THEN o.id::text WHEN 1 THEN i || '.50' END
FROM generate_series(1, 2000) AS i JOIN (SELECT id, row_number() OVER (ORDER BY id) AS at FROM org) AS o ON o.at = i % 399 + 1;
ANALYZE org, server;
CREATE TABLE orgs_before AS TABLE org;
CREATE TABLE servers_before AS TABLE server;
-- How many rows are not as they should be.
CREATE FUNCTION wrong(suffix text, derivation text) RETURNS TABLE (orgs bigint, servers bigint) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format($q$
        SELECT (SELECT count(*) FROM orgs_before AS b LEFT JOIN org AS a USING (name) LEFT JOIN orgs_before AS p ON p.id = b.parent_id
                WHERE a.id%1$s::text IS DISTINCT FROM %2$s(b.created, b.id::bigint, 'numbers.org')::text
                   OR a.parent_id%1$s::text IS DISTINCT FROM CASE WHEN b.parent_id IS NOT NULL THEN %2$s(p.created, p.id::bigint, 'numbers.org')::text END),
               (SELECT count(*) FROM servers_before AS b LEFT JOIN server AS i USING (no)
                LEFT JOIN orgs_before AS p ON p.id = b.org_id LEFT JOIN orgs_before AS w ON w.id = b.owner_id
                LEFT JOIN orgs_before AS l ON l.id = b.loose LEFT JOIN orgs_before AS t ON trim_scale(t.id)::text = b.written
                WHERE i.org_id%1$s::text IS DISTINCT FROM %2$s(p.created, p.id::bigint, 'numbers.org')::text
                   OR i.owner_id%1$s::text IS DISTINCT FROM CASE WHEN w.id IS NOT NULL THEN %2$s(w.created, w.id::bigint, 'numbers.org')::text END
                   OR i.loose%1$s::text IS DISTINCT FROM CASE WHEN l.id IS NOT NULL THEN %2$s(l.created, l.id::bigint, 'numbers.org')::text END
                   OR i.written%1$s::text IS DISTINCT FROM CASE WHEN t.id IS NOT NULL THEN %2$s(t.created, t.id::bigint, 'numbers.org')::text END)
    $q$, suffix, derivation);
END $$;
-- What is refused: ids from which no key can be derived, whichever the type permits, and target bigint.
\set VERBOSITY default
INSERT INTO org (id, name) VALUES (1.5, 'fraction');
SELECT action, detail FROM key_migration_plan('org') WHERE action = 'error';
SELECT key_migration_create('org');
UPDATE org SET id = 'NaN' WHERE name = 'fraction';
SELECT key_migration_create('org');
UPDATE org SET id = 9223372036854775808 WHERE name = 'fraction';
SELECT key_migration_create('org');
DELETE FROM org WHERE name = 'fraction';
SELECT key_migration_create('org', target => 'bigint');
CREATE TABLE whole (id numeric(38) PRIMARY KEY, created timestamptz NOT NULL);
INSERT INTO whole VALUES (1, '2024-01-01'), (-99999999999999999999, '2024-01-01');
SELECT key_migration_create('whole');
DELETE FROM whole WHERE id < 0;
INSERT INTO whole VALUES ('NaN', '2024-01-01');
SELECT key_migration_create('whole');
DROP TABLE whole;
CREATE TABLE short (id numeric(18) PRIMARY KEY, created timestamptz NOT NULL);
-- Nothing is said of a type whose values all fit.
SELECT action, detail FROM key_migration_plan('short') WHERE detail ~ 'numeric';
SELECT action, detail FROM key_migration_plan('org') WHERE detail ~ 'type numeric';
CREATE TABLE whole (id integer PRIMARY KEY);
CREATE TABLE part (whole_id numeric);
SELECT key_migration_create('whole', target => 'bigint');
SELECT key_migration_add_reference('whole', 'part', '{whole_id}');
CALL key_migration_rollback('whole');
DROP TABLE part, whole, short;
\set VERBOSITY terse
SELECT key_migration_create('org');
SELECT key_migration_add_reference('org', 'server', '{loose}');
SELECT key_migration_add_reference('org', 'server', '{written}');
CALL key_migration_advance('org', through => 'prepared');
-- Rows that are written meanwhile.
WITH o AS (INSERT INTO org (name) VALUES ('new') RETURNING id) INSERT INTO server (no, org_id, loose, written) SELECT 3001, id, id, id FROM o;
UPDATE server SET loose = 12, written = '11' WHERE no = 3001;
INSERT INTO server (no, org_id, owner_id, loose, written) VALUES (3002, 5.0, 5, 5.5, '5.0');
SELECT s.no, s.org_id, o.id_new = s.org_id_new AS org, w.id_new = s.owner_id_new AS owner, l.id_new = s.loose_new AS loose, t.id_new = s.written_new AS written
FROM server AS s JOIN org AS o ON o.id = s.org_id JOIN org AS w ON w.id = s.owner_id LEFT JOIN org AS l ON l.id = s.loose LEFT JOIN org AS t ON t.id::text = s.written
WHERE s.no > 3000 ORDER BY s.no;
\set VERBOSITY default
INSERT INTO org (id, name) VALUES (0.25, 'fraction');
INSERT INTO org (id, name) VALUES (9223372036854775808, 'beyond');
INSERT INTO org (id, name) VALUES ('Infinity', 'beyond');
UPDATE org SET id = 20.5 WHERE id = 21;
INSERT INTO server (no, org_id) VALUES (3003, 1.5);
-- A session in which triggers do not fire leaves one behind, at which the backfill stops.
SET session_replication_role = replica;
ALTER TABLE org DISABLE TRIGGER ALL;
INSERT INTO org (id, name) VALUES (0.25, 'fraction');
ALTER TABLE org ENABLE TRIGGER ALL;
RESET session_replication_role;
CALL key_migration_rollback('org');
DELETE FROM org WHERE name = 'fraction';
SELECT key_migration_create('org');
SELECT key_migration_add_reference('org', 'server', column_names) FROM (VALUES ('{loose}'::name[]), ('{written}'), ('{narrow}'), ('{rounded}')) AS c (column_names);
INSERT INTO org (id, name) VALUES (0.25, 'fraction');
CALL key_migration_advance('org', through => 'backfilled');
DELETE FROM org WHERE name = 'fraction';
\set VERBOSITY terse
CALL key_migration_advance('org', through => 'backfilled');
SELECT statement FROM key_migration_statements('org') \gexec
SELECT * FROM wrong('_new', 'key_migration_uuid');
SELECT check_name, column_name, ok, row_count, example FROM key_migration_verify('org') WHERE check_name IN ('orphans', 'rows changed since') AND row_count > 0 ORDER BY 2;
SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid IN ('org'::regclass, 'server'::regclass) AND pg_get_indexdef(indexrelid) ~ '_new' ORDER BY 1;
UPDATE server SET owner_id = NULL WHERE no = 3002;
CALL key_migration_cutover('org');
-- Old ids of new rows: with the scale of their column, and NULL where it cannot hold them.
WITH o AS (INSERT INTO org (name) VALUES ('after') RETURNING id)
INSERT INTO server (no, org_id, loose, narrow, rounded, written) SELECT 3004, id, id, id, id, id FROM o;
INSERT INTO org (id_old, name) VALUES (42424.5, 'fraction');
INSERT INTO org (id_old, name) VALUES (900, 'nine hundred');
INSERT INTO server (no, org_id, loose, narrow, rounded, written) SELECT 3005, id, id, id, id, id FROM org WHERE name = 'nine hundred';
INSERT INTO server (no, org_id_old, owner_id) VALUES (3006, 900.00, NULL);
INSERT INTO server (no, org_id, owner_id_old) SELECT 3007, id, 900 FROM org WHERE id_old = 100;
SELECT s.no, o.name, w.name AS owner, s.org_id_old, s.owner_id_old, s.loose_old, s.narrow_old, s.rounded_old, s.written_old
FROM server AS s JOIN org AS o ON o.id = s.org_id LEFT JOIN org AS w ON w.id = s.owner_id WHERE s.no > 3003 ORDER BY s.no;
SELECT * FROM wrong('', 'key_migration_uuid');
CALL key_migration_rollback('org');
SELECT s.no, s.org_id, s.owner_id, s.loose, s.narrow, s.rounded, s.written FROM server AS s WHERE s.no > 3003 ORDER BY s.no;
SELECT (SELECT count(*) FROM orgs_before JOIN org USING (id, name, created) WHERE org.parent_id IS NOT DISTINCT FROM orgs_before.parent_id) AS orgs,
       (SELECT count(*) FROM servers_before JOIN server USING (no, org_id) WHERE (server.owner_id, server.loose, server.written) IS NOT DISTINCT FROM
           (servers_before.owner_id, servers_before.loose, servers_before.written)) AS servers;
CALL key_migration_advance('org', through => 'backfilled');
SELECT statement FROM key_migration_statements('org') \gexec
CALL key_migration_cutover('org');
UPDATE server SET loose_old = NULL WHERE loose IS NULL;
UPDATE server SET written_old = NULL WHERE written IS NULL;
UPDATE server SET narrow_old = NULL, rounded_old = NULL WHERE narrow IS NULL;
CALL key_migration_finalize('org', confirm => 'org');
SELECT * FROM wrong('', 'key_migration_uuid');
-- PostgreSQL 18 has an uuidv7() of its own, before public.
SET search_path = numbers;
\d org
\d server
SET search_path = numbers, public;
-- The same by queries, so that triggers fire, and as a ULID.
DROP TABLE server, org;
CREATE TABLE org (LIKE orgs_before INCLUDING ALL, PRIMARY KEY (id));
INSERT INTO org TABLE orgs_before;
CREATE TABLE server (LIKE servers_before, PRIMARY KEY (no));
INSERT INTO server TABLE servers_before;
ALTER TABLE server ADD FOREIGN KEY (org_id) REFERENCES org, ADD FOREIGN KEY (owner_id) REFERENCES org;
SELECT key_migration_create('org', target => 'ulid', fire_triggers => true);
SELECT key_migration_add_reference('org', 'server', '{loose}');
SELECT key_migration_add_reference('org', 'server', '{written}');
SELECT key_migration_add_reference('org', 'org', '{parent_id}');
CALL key_migration_advance('org', through => 'backfilled');
SELECT statement FROM key_migration_statements('org') \gexec
SELECT * FROM wrong('_new', 'key_migration_ulid');
CALL key_migration_rollback('org');
-- A reference of type numeric to a key of integers, and the other way round without a foreign key.
CREATE TABLE job (id bigint PRIMARY KEY);
INSERT INTO job SELECT i FROM generate_series(1, 500) AS i;
CREATE TABLE action (no integer PRIMARY KEY, job_id numeric(10, 2) DEFAULT 1);
INSERT INTO action SELECT i, CASE WHEN i % 7 <> 0 THEN i / 2.0 END FROM generate_series(1, 1200) AS i;
CREATE TABLE task (no integer PRIMARY KEY, org_id integer);
INSERT INTO task SELECT i, i % 300 FROM generate_series(1, 500) AS i;
ANALYZE job, action, task;
SELECT detail FROM key_migration_plan('job', without_timestamp => true) WHERE detail ~ 'job_id';
SELECT key_migration_create('job', without_timestamp => true);
SELECT key_migration_add_reference('job', 'action', '{job_id}', null_values => '{0,-1}');
SELECT key_migration_create('org');
SELECT key_migration_add_reference('org', 'task', '{org_id}');
CALL key_migration_advance('job', through => 'backfilled');
SELECT statement FROM key_migration_statements('job') \gexec
CALL key_migration_advance('org', through => 'backfilled');
SELECT count(*) FILTER (WHERE a.job_id_new IS DISTINCT FROM j.id_new) AS wrong, count(j.id_new) AS with_key
FROM action AS a LEFT JOIN job AS j ON j.id = a.job_id;
SELECT count(*) FILTER (WHERE t.org_id_new IS DISTINCT FROM o.id_new) AS wrong, count(o.id_new) AS with_key
FROM task AS t LEFT JOIN org AS o ON o.id = t.org_id;
SELECT check_name, column_name, row_count, example FROM key_migration_verify('job') WHERE row_count > 0 ORDER BY 1, 2;
ALTER TABLE job ALTER id SET DEFAULT 1000;
CALL key_migration_cutover('job');
SELECT column_default FROM information_schema.columns WHERE table_schema = 'numbers' AND table_name = 'action' AND column_name = 'job_id';
CALL key_migration_rollback('job');
SELECT column_default FROM information_schema.columns WHERE table_schema = 'numbers' AND table_name = 'action' AND column_name = 'job_id';
CALL key_migration_rollback('job', confirm => 'job');
CALL key_migration_rollback('org');
DROP SCHEMA numbers CASCADE;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
