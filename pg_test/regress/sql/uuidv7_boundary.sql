-- Half-open ranges of time, on the primary key.
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA boundary;
SET search_path = boundary, public;
SELECT uuidv7_boundary('2024-01-01 00:00+00'), ulid_boundary('2024-01-01 00:00+00');
SELECT uuidv7_to_timestamp(uuidv7_boundary('2024-01-01 00:00:00.000001+00')), ulid_to_timestamp(ulid_boundary('2024-01-01 00:00:00.000001+00'));
-- The keys of a day are those between its boundaries.
CREATE TABLE e (ts timestamptz, u uuid, l ulid);
INSERT INTO e SELECT ts, uuidv7_from_timestamp(ts), ulid_from_timestamp(ts)
FROM generate_series(timestamptz '2024-01-01', '2024-01-10', '17 minutes') ts;
INSERT INTO e SELECT ts, uuidv7_from_timestamp(ts), ulid_from_timestamp(ts)
FROM unnest('{2024-01-04 23:59:59.999999+00,2024-01-05 00:00+00,2024-01-05 23:59:59.999999+00,2024-01-06 00:00+00}'::timestamptz[]) ts;
SELECT count(*) AS wrong FROM e
WHERE (ts >= '2024-01-05' AND ts < '2024-01-06') <> (u >= uuidv7_boundary('2024-01-05') AND u < uuidv7_boundary('2024-01-06'))
   OR (ts >= '2024-01-05' AND ts < '2024-01-06') <> (l >= ulid_boundary('2024-01-05') AND l < ulid_boundary('2024-01-06'));
-- Partitions by time: bounds from the boundary, pruned by the planner.
CREATE TABLE u (key uuid PRIMARY KEY) PARTITION BY RANGE (key);
CREATE TABLE u_2024_01 PARTITION OF u FOR VALUES FROM (uuidv7_boundary('2024-01-01')) TO (uuidv7_boundary('2024-02-01'));
CREATE TABLE u_2024_02 PARTITION OF u FOR VALUES FROM (uuidv7_boundary('2024-02-01')) TO (uuidv7_boundary('2024-03-01'));
CREATE TABLE l (key ulid PRIMARY KEY) PARTITION BY RANGE (key);
CREATE TABLE l_2024_01 PARTITION OF l FOR VALUES FROM (ulid_boundary('2024-01-01')) TO (ulid_boundary('2024-02-01'));
CREATE TABLE l_2024_02 PARTITION OF l FOR VALUES FROM (ulid_boundary('2024-02-01')) TO (ulid_boundary('2024-03-01'));
INSERT INTO u SELECT uuidv7_from_timestamp(ts) FROM generate_series(timestamptz '2024-01-01', '2024-02-29', '1 day') ts;
INSERT INTO l SELECT ulid_from_timestamp(ts) FROM generate_series(timestamptz '2024-01-01', '2024-02-29', '1 day') ts;
SELECT tableoid::regclass, count(*) FROM u GROUP BY 1 ORDER BY 1;
SELECT tableoid::regclass, count(*) FROM l GROUP BY 1 ORDER BY 1;
SET enable_bitmapscan = off;
SET enable_indexscan = off;
SET enable_indexonlyscan = off;
EXPLAIN (COSTS OFF) SELECT FROM u WHERE key >= uuidv7_boundary('2024-02-10 00:00+00') AND key < uuidv7_boundary('2024-02-11 00:00+00');
EXPLAIN (COSTS OFF) SELECT FROM l WHERE key >= ulid_boundary('2024-01-10 00:00+00') AND key < ulid_boundary('2024-01-11 00:00+00');
DROP SCHEMA boundary CASCADE;
