-- The type ulid: text, order, casts, aggregates.
-- trap_k07 trap_k09 trap_k13
SET client_min_messages = warning;
SET timezone = 'UTC';
SELECT typlen, typbyval, typalign, typstorage FROM pg_type WHERE typname = 'ulid';
-- The specification's example; lower case and the aliases I, L and O are read.
SELECT '01ARZ3NDEKTSV4RRFFQ69G5FAV'::ulid, '01arz3ndektsv4rrffq69g5fav'::ulid, 'OiIlL0000000000000000000o1'::ulid;
SELECT '00000000000000000000000000'::ulid, '7ZZZZZZZZZZZZZZZZZZZZZZZZZ'::ulid;
SELECT ulid_to_timestamp('01ARZ3NDEKTSV4RRFFQ69G5FAV');
-- What is no ULID.
SELECT '8ZZZZZZZZZZZZZZZZZZZZZZZZZ'::ulid;
\echo :LAST_ERROR_SQLSTATE
SELECT '01ARZ3NDEKTSV4RRFFQ69G5FAU'::ulid;
\echo :LAST_ERROR_SQLSTATE
SELECT '01ARZ3NDEK-TSV4RRFFQ69G5FA'::ulid;
\echo :LAST_ERROR_SQLSTATE
SELECT '01ARZ3NDEKTSV4RRFFQ69G5FA'::ulid;
\echo :LAST_ERROR_SQLSTATE
SELECT '01ARZ3NDEKTSV4RRFFQ69G5FAVX'::ulid;
\echo :LAST_ERROR_SQLSTATE
SELECT ' 01ARZ3NDEKTSV4RRFFQ69G5FA'::ulid;
\echo :LAST_ERROR_SQLSTATE
SELECT ''::ulid;
\echo :LAST_ERROR_SQLSTATE
-- Binary: 16 bytes, most significant first.
SELECT ulid_send('01ARZ3NDEKTSV4RRFFQ69G5FAV'), '01ARZ3NDEKTSV4RRFFQ69G5FAV'::ulid::bytea;
SELECT '\x01563e3ab5d3d6764c61efb99302bd5b'::bytea::ulid;
SELECT '\x01563e3ab5d3d6764c61efb99302bd'::bytea::ulid;
\echo :LAST_ERROR_SQLSTATE
SELECT ''::bytea::ulid;
\echo :LAST_ERROR_SQLSTATE
-- Casts: the same bits as a uuid, but not a version 7.
SELECT '01ARZ3NDEKTSV4RRFFQ69G5FAV'::ulid::uuid, uuidv7_to_timestamp('01ARZ3NDEKTSV4RRFFQ69G5FAV'::ulid::uuid);
SELECT '017f22e2-79b0-7cc3-98c4-dc0c0c07398f'::uuid::ulid;
SELECT date_trunc('milliseconds', '017f22e2-79b0-7cc3-98c4-dc0c0c07398f'::uuid::ulid::timestamptz);
SELECT '01ARZ3NDEKTSV4RRFFQ69G5FAV'::text::ulid::text, pg_typeof('01ARZ3NDEKTSV4RRFFQ69G5FAV'::ulid::varchar);
-- None is implicit.
-- Core's own words, which are others in each version.
\set VERBOSITY sqlstate
SELECT '01ARZ3NDEKTSV4RRFFQ69G5FAV'::ulid = '01563e3a-b5d3-d676-4c61-efb99302bd5b'::uuid;
\set VERBOSITY default
SELECT castsource::regtype, casttarget::regtype, castcontext, castmethod FROM pg_cast
WHERE 'ulid'::regtype IN (castsource, casttarget) ORDER BY 1, 2;
-- The order of the bytes is that of the text.
CREATE TABLE ulid_values (v ulid);
INSERT INTO ulid_values VALUES ('00000000000000000000000000'), ('00000000000000000000000001'), ('01ARZ3NDEKTSV4RRFFQ69G5FAV'),
    ('3ZZZZZZZZZZZZZZZZZZZZZZZZZ'), ('40000000000000000000000000'), ('7ZZZZZZZZZZZZZZZZZZZZZZZZZ');
SELECT count(*) AS wrong FROM ulid_values a, ulid_values b
WHERE (a.v < b.v) <> (a.v::text COLLATE "C" < b.v::text) OR (a.v <= b.v) <> (a.v::text COLLATE "C" <= b.v::text)
   OR (a.v = b.v) <> (a.v::text = b.v::text) OR (a.v <> b.v) <> (a.v::text <> b.v::text)
   OR (a.v >= b.v) <> (a.v::text COLLATE "C" >= b.v::text) OR (a.v > b.v) <> (a.v::text COLLATE "C" > b.v::text)
   OR sign(ulid_cmp(a.v, b.v)) <> CASE WHEN a.v::text COLLATE "C" < b.v::text THEN -1 WHEN a.v = b.v THEN 0 ELSE 1 END;
SELECT min(v), max(v) FROM ulid_values;
SELECT min(v), max(v) FROM ulid_values WHERE false;
SELECT min(v) FILTER (WHERE v > '1ZZZZZZZZZZZZZZZZZZZZZZZZZ') FROM ulid_values;
DROP TABLE ulid_values;
