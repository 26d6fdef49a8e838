-- Keys of rows that exist: 100,000 instants 10 microseconds apart, and 100,000 rows of one instant.
-- trap_k04 trap_k05 trap_k12
SET client_min_messages = warning;
SET timezone = 'America/New_York';
CREATE SCHEMA backfill;
SET search_path = backfill, public;
-- A peer gives 49,647 inversions here, and another 98,999 duplicates.
CREATE TABLE apart AS
SELECT n, ts, uuidv7_from_timestamp(ts) AS u, ulid_from_timestamp(ts) AS l, uuidv7_from_timestamp(ts, n) AS derived_u, ulid_from_timestamp(ts, n) AS derived_l
FROM (SELECT n, timestamptz '2024-03-10 06:59:59.5+00' + n * interval '10 microseconds' AS ts FROM generate_series(1, 100000) n) s;
SELECT count(*) FILTER (WHERE u <= u_before) AS uuid_inversions, count(*) FILTER (WHERE l <= l_before) AS ulid_inversions,
       count(*) FILTER (WHERE derived_u <= derived_u_before) AS derived_uuid_inversions,
       count(*) FILTER (WHERE derived_l <= derived_l_before) AS derived_ulid_inversions
FROM (SELECT *, lag(u) OVER w AS u_before, lag(l) OVER w AS l_before, lag(derived_u) OVER w AS derived_u_before, lag(derived_l) OVER w AS derived_l_before
      FROM apart WINDOW w AS (ORDER BY n)) o;
SELECT count(*) AS wrong FROM apart
WHERE uuidv7_to_timestamp(u) <> ts OR ulid_to_timestamp(l) <> ts OR l::timestamptz <> ts
   OR uuidv7_to_timestamp(derived_u) <> ts OR uuidv7_to_id(derived_u) <> n OR ulid_to_timestamp(derived_l) <> ts OR ulid_to_id(derived_l) <> n;
-- One instant: no duplicate, and derived keys in the order of the ids.
CREATE TABLE one AS
SELECT n, uuidv7_from_timestamp(ts) AS u, ulid_from_timestamp(ts) AS l, uuidv7_from_timestamp(ts, n) AS derived_u, ulid_from_timestamp(ts, n) AS derived_l,
       uuidv7_from_timestamp_hashed(ts, n) AS hashed_u, ulid_from_timestamp_hashed(ts, 'row ' || n) AS hashed_l
FROM generate_series(1, 100000) n, (VALUES (timestamptz '2024-03-10 07:00:00+00')) v (ts);
SELECT count(DISTINCT u) AS u, count(DISTINCT l) AS l, count(DISTINCT derived_u) AS derived_u, count(DISTINCT derived_l) AS derived_l,
       count(DISTINCT hashed_u) AS hashed_u, count(DISTINCT hashed_l) AS hashed_l FROM one;
SELECT count(*) AS inversions FROM (SELECT derived_u, derived_l, lag(derived_u) OVER w AS u_before, lag(derived_l) OVER w AS l_before FROM one WINDOW w AS (ORDER BY n)) o
WHERE derived_u <= u_before OR derived_l <= l_before;
-- Every microsecond of a millisecond, at both ends of the range and in between.
SELECT start, count(*) FILTER (WHERE uuidv7_to_timestamp(uuidv7_from_timestamp(ts)) = ts AND ulid_to_timestamp(ulid_from_timestamp(ts)) = ts
                                 AND uuidv7_to_timestamp(uuidv7_boundary(ts)) = ts AND ulid_to_timestamp(ulid_boundary(ts)) = ts
                                 AND uuidv7_to_timestamp(uuidv7_from_timestamp(ts, 4398046511103)) = ts AND ulid_to_timestamp(ulid_from_timestamp(ts, 0)) = ts) AS exact
FROM (VALUES (timestamptz '1970-01-01 00:00:00+00'), ('2024-02-29 12:34:56.789+00'), ('10889-08-02 05:31:50.655+00')) v (start),
     LATERAL (SELECT start + n * interval '1 microsecond' AS ts FROM generate_series(0, 999) n) s
GROUP BY start ORDER BY start;
DROP SCHEMA backfill CASCADE;
