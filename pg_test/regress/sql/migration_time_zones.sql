-- Keys of rows whose time is a timestamp without time zone, or a date: the same key whatever the session's zone is.
-- trap_m01 trap_m26
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CALL keyspace_test.forget_node();
CREATE SCHEMA zones;
SET search_path = zones, public;
CREATE TABLE post (id bigserial PRIMARY KEY, created_at timestamp NOT NULL, updated_at timestamp);
CREATE TABLE remark (id bigserial PRIMARY KEY, post_id bigint NOT NULL REFERENCES post, body text);

-- A zone is asked for, and never assumed.
SELECT action, detail FROM key_migration_plan('post') WHERE step IS NULL AND action <> 'note';
SELECT count(*) > 10 AS steps FROM key_migration_plan('post') WHERE step IS NOT NULL;
SELECT key_migration_create('post');
SELECT key_migration_create('post', 'created_at');
SELECT key_migration_create('post', 'updated_at', time_zone => 'UTC+1');
SELECT key_migration_create('post', time_zone => 'Nowhere/Land');
SELECT key_migration_create('post', time_zone => 'CEST');
SELECT key_migration_create('post', time_zone => '+02');
SELECT key_migration_create('post', time_zone => '');
SELECT key_migration_create('post', time_zone => NULL, without_timestamp => NULL);
CREATE TABLE instants (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL);
SELECT key_migration_create('instants', 'created_at', time_zone => 'UTC');
SELECT key_migration_create('instants', time_zone => 'UTC');
SELECT action, detail FROM key_migration_plan('post', time_zone => 'europe/berlin') WHERE step IS NULL AND action <> 'note';

-- The hour that there is twice, the one that there is not, and times that no key can hold.
INSERT INTO post (created_at)
SELECT t FROM generate_series('2024-10-27 00:30'::timestamp, '2024-10-27 04:00', '15 minutes') AS t
UNION ALL SELECT t FROM generate_series('2024-03-31 00:30'::timestamp, '2024-03-31 04:00', '15 minutes') AS t
UNION ALL VALUES ('1969-12-31 23:30'::timestamp), ('1970-01-01 00:30'), ('1970-01-01 01:00'), ('0001-01-01'), ('infinity'), ('-infinity'),
                 ('294276-12-31 23:59:59.999999'), ('10889-08-02 06:31:50.655999'), ('10889-08-02 08:00'), ('2024-06-01 12:00:00.123456');
INSERT INTO remark (post_id) SELECT id FROM post;
SELECT key_migration_create('post', 'created_at', time_zone => 'europe/berlin');
SELECT time_source FROM keyspace_internal.key_migration_key;
SET TimeZone = 'Asia/Tokyo';
CALL key_migration_advance('post', through => 'prepared');
SELECT pg_get_triggerdef(oid) ~ ' Europe/Berlin''\)$' AS named FROM pg_trigger WHERE tgname = '~key_migration_insert_1' AND tgrelid = 'post'::regclass;
-- A referring row derives the key before the row that it refers to has one; both have the one that SQL gives.
INSERT INTO remark (post_id, body) SELECT id, 'early' FROM post;
SET TimeZone = 'America/New_York';
INSERT INTO post (created_at) SELECT created_at FROM post WHERE isfinite(created_at) ORDER BY id;
SET TimeZone = 'UTC';
CALL key_migration_advance('post', through => 'backfilled');
CREATE FUNCTION expected(post) RETURNS uuid STABLE LANGUAGE sql AS $$
    SELECT key_migration_uuid(CASE WHEN $1.created_at > '1960-01-01' AND $1.created_at < '20000-01-01' THEN $1.created_at AT TIME ZONE 'Europe/Berlin' END, $1.id, 'zones.post') $$;
SELECT count(*), count(DISTINCT id_new), count(*) FILTER (WHERE id_new = expected(post)) AS same FROM post;
SELECT r.body, count(*), count(*) FILTER (WHERE r.post_id_new = p.id_new) AS same FROM remark r JOIN post p ON p.id = r.post_id GROUP BY 1 ORDER BY 1;
-- The triggers know the zone by themselves, in a copy and after pg_upgrade, too.
BEGIN;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_table');
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_column');
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_key');
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration');
INSERT INTO post (id, created_at) VALUES (1000, '2024-07-01 12:00');
SELECT created_at, uuidv7_to_timestamp(id_new), id_new = expected(post) AS same FROM post WHERE id = 1000;
ROLLBACK;
-- As core computes them: the second of two, and after the gap.
SELECT created_at, uuidv7_to_timestamp(id_new) FROM post WHERE id IN (1, 7, 8, 9, 11, 12, 13, 21, 22, 23, 24, 25, 26) ORDER BY id;
SELECT created_at, uuidv7_to_timestamp(id_new) FROM post WHERE id BETWEEN 31 AND 40 ORDER BY id;
SELECT statement FROM key_migration_statements('post') \gexec
SELECT check_name, ok, row_count FROM key_migration_verify('post') WHERE column_name = 'id_new' AND check_name <> 'digest' ORDER BY 1;
UPDATE post SET created_at = '2024-01-01' WHERE id = 3;
SELECT check_name, ok, row_count, example FROM key_migration_verify('post') WHERE check_name = 'rows changed since';
CALL key_migration_cutover('post');
INSERT INTO post (created_at) VALUES (now());
CALL key_migration_rollback('post');
CALL key_migration_rollback('post', confirm => 'post');

-- By queries with triggers, too.
SELECT key_migration_create('post', 'created_at', time_zone => 'Europe/Berlin', target => 'ulid', fire_triggers => true);
SET TimeZone = 'Australia/Lord_Howe';
CALL key_migration_advance('post', through => 'backfilled');
SELECT count(*), count(id_new) AS keys,
       count(*) FILTER (WHERE id_new = key_migration_ulid(created_at AT TIME ZONE 'Europe/Berlin', id, 'zones.post')) AS same
FROM post WHERE created_at > '1970-01-02' AND created_at < '10000-01-01';
CALL key_migration_rollback('post');
RESET TimeZone;

-- A date is its midnight, in UTC unless said.
CREATE DOMAIN past AS date CHECK (VALUE < '3000-01-01');
CREATE TABLE diary (id integer PRIMARY KEY, day past NOT NULL, page text);
INSERT INTO diary VALUES (1, '2024-05-05'), (2, '1960-01-01'), (3, '-infinity'), (4, '2024-05-05'), (5, '0044-03-15 BC');
SELECT detail FROM key_migration_plan('diary') WHERE action = 'error';
SELECT key_migration_create('diary', 'day');
SET TimeZone = 'Pacific/Kiritimati';
CALL key_migration_advance('diary', through => 'prepared');
INSERT INTO diary VALUES (6, '2024-05-06');
CALL key_migration_advance('diary', through => 'backfilled');
SET TimeZone = 'UTC';
SELECT id, uuidv7_to_timestamp(id_new) AS at, id_new = key_migration_uuid(uuidv7_to_timestamp(id_new), id, 'zones.diary') AS same FROM diary ORDER BY id_new;
SELECT check_name, ok, row_count FROM key_migration_verify('diary') WHERE check_name <> 'digest' ORDER BY 1;
CALL key_migration_rollback('diary');
ALTER TABLE diary ALTER day TYPE date;
UPDATE diary SET day = '200000-01-01' WHERE id = 5;
SELECT key_migration_create('diary', 'day', time_zone => 'Asia/Tokyo');
CALL key_migration_advance('diary', through => 'backfilled');
SELECT id, uuidv7_to_timestamp(id_new) AS at FROM diary ORDER BY id_new;
SELECT check_name, ok, row_count FROM key_migration_verify('diary') WHERE check_name = 'rows changed since';
CALL key_migration_rollback('diary');
RESET TimeZone;

DROP SCHEMA zones CASCADE;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
