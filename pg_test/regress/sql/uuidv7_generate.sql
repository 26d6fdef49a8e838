-- Random keys: their form, their order, their time.
-- trap_k02 trap_k10 trap_k11
SET client_min_messages = warning;
CREATE SCHEMA generate;
SET search_path = generate, public;
-- Version 7 of the RFC's variant, and the time of the clock.
SELECT substr(k::text, 15, 1) AS version, substr(k::text, 20, 1) IN ('8', '9', 'a', 'b') AS variant,
       abs(extract(epoch FROM public.uuidv7_to_timestamp(k) - clock_timestamp())) < 10 AS now
FROM public.uuidv7() k;
SELECT abs(extract(epoch FROM public.ulid_to_timestamp(public.ulid()) - clock_timestamp())) < 10 AS now;
-- Each key is greater than the one before it, and evaluated row by row.
CREATE TABLE t (n serial, u uuid DEFAULT public.uuidv7(), l ulid DEFAULT public.ulid());
INSERT INTO t (n) SELECT generate_series(1, 50000);
SELECT count(DISTINCT u) AS uuids, count(DISTINCT l) AS ulids FROM t;
SELECT count(*) AS inversions FROM (SELECT u, l, lag(u) OVER w AS before, lag(l) OVER w AS l_before FROM t WINDOW w AS (ORDER BY n)) o
WHERE u <= before OR l <= l_before;
-- A prepared statement and a function's plan make a fresh key each time.
CREATE TABLE prepared (u uuid, l ulid);
PREPARE key AS INSERT INTO prepared SELECT public.uuidv7(), public.ulid();
EXECUTE key;
EXECUTE key;
EXECUTE key;
EXECUTE key;
EXECUTE key;
EXECUTE key;
EXECUTE key;
SET plan_cache_mode = force_generic_plan;
EXECUTE key;
RESET plan_cache_mode;
SELECT count(DISTINCT u) AS uuids, count(DISTINCT l) AS ulids FROM prepared;
-- COPY with the key as default.
COPY t (n) FROM stdin;
50001
50002
\.
SELECT count(DISTINCT u) AS uuids, count(DISTINCT l) AS ulids FROM t;
-- Shifted by an interval; in order while the shift stays the same.
SELECT abs(extract(epoch FROM public.uuidv7_to_timestamp(public.uuidv7('-1 day')) - (clock_timestamp() - interval '1 day'))) < 10 AS yesterday;
SELECT abs(extract(epoch FROM public.uuidv7_to_timestamp(public.uuidv7('1 month')) - (clock_timestamp() + interval '1 month'))) < 10 AS next_month;
CREATE TABLE shifted AS SELECT n, public.uuidv7('-1 hour') AS u FROM generate_series(1, 10000) n;
SELECT count(*) AS inversions FROM (SELECT u, lag(u) OVER (ORDER BY n) AS before FROM shifted) o WHERE u <= before;
-- Days are those of a time zone, so each zone has an order of its own.
SET timezone = 'UTC';
SELECT abs(extract(epoch FROM public.uuidv7_to_timestamp(public.uuidv7('6 months')) - (clock_timestamp() + interval '6 months'))) < 10 AS in_utc;
SET timezone = 'America/New_York';
SELECT abs(extract(epoch FROM public.uuidv7_to_timestamp(public.uuidv7('6 months')) - (clock_timestamp() + interval '6 months'))) < 10 AS in_new_york;
SET timezone = 'Australia/Sydney';
SELECT abs(extract(epoch FROM public.uuidv7_to_timestamp(public.uuidv7('6 months')) - (clock_timestamp() + interval '6 months'))) < 10 AS in_sydney;
RESET timezone;
-- Several shifts in turn: each keeps its order.
CREATE TABLE in_turn AS SELECT n, public.uuidv7('-1 hour') AS hour, public.uuidv7('1 day') AS day, public.uuidv7('-1 month') AS month FROM generate_series(1, 10000) n;
SELECT count(*) AS inversions FROM (SELECT hour, day, month, lag(hour) OVER w AS h, lag(day) OVER w AS d, lag(month) OVER w AS m FROM in_turn WINDOW w AS (ORDER BY n)) o
WHERE hour <= h OR day <= d OR month <= m;
\set VERBOSITY sqlstate
SELECT public.uuidv7('-1000 years');
\set VERBOSITY default
SELECT public.uuidv7(NULL) IS NULL AS strict;
-- A key of a given instant: exact to the microsecond, its tail random.
SELECT public.uuidv7_to_timestamp(public.uuidv7_from_timestamp(ts)) = ts AS uuid, public.ulid_to_timestamp(public.ulid_from_timestamp(ts)) = ts AS ulid,
       public.uuidv7_from_timestamp(ts) <> public.uuidv7_from_timestamp(ts) AS random
FROM (VALUES (timestamptz '1970-01-01 00:00:00+00'), ('2024-02-29 12:34:56.789123+00'), ('10889-08-02 05:31:50.655999+00')) v (ts);
-- Workers of a parallel plan have generators of their own.
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
EXPLAIN (COSTS OFF) SELECT public.uuidv7() FROM t;
CREATE TABLE from_workers AS SELECT public.uuidv7() AS u, public.ulid() AS l FROM t;
SELECT count(DISTINCT u) AS uuids, count(DISTINCT l) AS ulids FROM from_workers;
DROP SCHEMA generate CASCADE;
