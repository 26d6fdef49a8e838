-- What no key can hold, said with the offending value.
-- trap_k03 trap_k13 trap_k14
SET client_min_messages = warning;
SET timezone = 'America/New_York';
SELECT uuidv7_from_timestamp('1969-12-31 23:59:59.999999+00');
\echo :LAST_ERROR_SQLSTATE
SELECT uuidv7_from_timestamp('-infinity');
\echo :LAST_ERROR_SQLSTATE
SELECT uuidv7_from_timestamp('infinity', 1);
\echo :LAST_ERROR_SQLSTATE
SELECT ulid_from_timestamp('10889-08-02 05:31:50.656+00', 1);
\echo :LAST_ERROR_SQLSTATE
SELECT ulid_from_timestamp_hashed('4713-01-01 00:00+00 BC', 1);
\echo :LAST_ERROR_SQLSTATE
SELECT uuidv7_boundary('294276-12-31 23:59:59.999999+00');
\echo :LAST_ERROR_SQLSTATE
SELECT uuidv7_from_timestamp(now(), -1);
\echo :LAST_ERROR_SQLSTATE
SELECT uuidv7_from_timestamp(now(), 4398046511104, 'salt');
\echo :LAST_ERROR_SQLSTATE
SELECT ulid_from_timestamp(now(), 9223372036854775807);
\echo :LAST_ERROR_SQLSTATE
-- A timestamp without time zone, or a date, is no instant.
SELECT uuidv7_from_timestamp(timestamp '2024-01-01');
\echo :LAST_ERROR_SQLSTATE
SELECT uuidv7_from_timestamp(localtimestamp, 1);
\echo :LAST_ERROR_SQLSTATE
SELECT ulid_from_timestamp(current_date, 1, 'salt');
\echo :LAST_ERROR_SQLSTATE
SELECT ulid_boundary(date '2024-01-01');
\echo :LAST_ERROR_SQLSTATE
SELECT uuidv7_from_timestamp_hashed(timestamp '2024-01-01', 'value');
\echo :LAST_ERROR_SQLSTATE
-- With the zone said it is one, in any session.
SELECT uuidv7_from_timestamp(timestamp '2024-01-01' AT TIME ZONE 'UTC', 1);
SET timezone = 'Asia/Kolkata';
SELECT uuidv7_from_timestamp(timestamp '2024-01-01' AT TIME ZONE 'UTC', 1);
-- A text id goes nowhere but to the hashed form, which has a name of its own.
SELECT uuidv7_from_timestamp('2024-01-01 00:00+00', '42') = uuidv7_from_timestamp('2024-01-01 00:00+00', 42) AS literal_is_a_number;
-- Core's own words, which are others in each version.
\set VERBOSITY sqlstate
SELECT uuidv7_from_timestamp('2024-01-01 00:00+00', '42'::text);
\set VERBOSITY default
-- trap_k13: such a key is refused where it would be stored, not at the first row.
SELECT uuidv7_boundary(date '2024-01-01'::timestamp AT TIME ZONE 'UTC');
CREATE TABLE without_zone (created_at timestamp, created_on date, id bigint);
\set VERBOSITY sqlstate
CREATE INDEX ON without_zone (uuidv7_from_timestamp(created_at, id));
ALTER TABLE without_zone ADD key uuid GENERATED ALWAYS AS (uuidv7_from_timestamp(created_on, id)) STORED;
CREATE INDEX ON without_zone (ulid_boundary(created_on));
\set VERBOSITY default
DROP TABLE without_zone;
