-- Derived keys: the same on every node, in the order of (timestamp, id), reversible.
-- trap_k04 trap_k05 trap_k06 trap_k12 trap_k15 trap_k17
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA derived;
SET search_path = derived, public;
-- Some of the frozen test vectors; the tests in the server read all of them.
SELECT uuidv7_from_timestamp('1970-01-01 00:00:00+00', 0), uuidv7_from_timestamp('10889-08-02 05:31:50.654999+00', 42);
SELECT uuidv7_from_timestamp('2023-11-14 22:13:20.123456+00', 42) AS plain,
       uuidv7_from_timestamp('2023-11-14 22:13:20.123456+00', 42, '') AS empty_salt,
       uuidv7_from_timestamp('2023-11-14 22:13:20.123456+00', 42, 'public.orders') AS salted;
SELECT ulid_from_timestamp('2023-11-14 22:13:20.123456+00', 42) AS plain,
       ulid_from_timestamp('2023-11-14 22:13:20.123456+00', 42, 'public.orders') AS salted;
-- Rows 10 microseconds apart, and rows of one bulk load that share one now().
CREATE TABLE orders AS
SELECT id, CASE WHEN id <= 10000 THEN timestamptz '2024-01-01' + id * interval '10 microseconds' ELSE timestamptz '2024-01-02' END AS created_at
FROM generate_series(1, 20000) id;
SELECT count(DISTINCT uuidv7_from_timestamp(created_at, id)) AS uuids, count(DISTINCT ulid_from_timestamp(created_at, id)) AS ulids FROM orders;
SELECT count(*) AS inversions FROM (
    SELECT u, l, lag(u) OVER w AS u_before, lag(l) OVER w AS l_before
    FROM (SELECT created_at, id, uuidv7_from_timestamp(created_at, id) AS u, ulid_from_timestamp(created_at, id) AS l FROM orders) k
    WINDOW w AS (ORDER BY created_at, id)) o
WHERE u <= u_before OR l <= l_before;
-- And back.
SELECT count(*) AS wrong FROM orders
WHERE uuidv7_to_id(uuidv7_from_timestamp(created_at, id)) <> id
   OR uuidv7_to_id(uuidv7_from_timestamp(created_at, id, 'orders'), 'orders') <> id
   OR uuidv7_to_timestamp(uuidv7_from_timestamp(created_at, id)) <> created_at
   OR ulid_to_id(ulid_from_timestamp(created_at, id)) <> id
   OR ulid_to_id(ulid_from_timestamp(created_at, id, 'orders'), 'orders') <> id
   OR ulid_to_timestamp(ulid_from_timestamp(created_at, id)) <> created_at;
-- A salt separates tables, and its own is needed to decode.
SELECT count(*) AS same FROM orders WHERE uuidv7_from_timestamp(created_at, id, 'orders') = uuidv7_from_timestamp(created_at, id, 'lines');
SELECT uuidv7_to_id(uuidv7_from_timestamp('2024-01-01 00:00+00', 7, 'orders')) AS without_salt,
       uuidv7_to_id(uuidv7_from_timestamp('2024-01-01 00:00+00', 7, 'orders'), 'lines') AS other_salt,
       uuidv7_to_id(uuidv7_from_timestamp('2024-01-01 00:00+00', 7), 'orders') AS not_salted;
-- Other UUIDs: NULL, never a made-up date. RFC 9562's own example of version 7 has no exact microsecond.
SELECT u, uuidv7_to_timestamp(u), uuidv7_to_id(u)
FROM unnest('{017f22e2-79b0-7cc3-98c4-dc0c0c07398f,919108f7-52d1-4320-9bac-f847db4148a8,c232ab00-9414-11ec-b3c8-9f6bdeced846,
00000000-0000-0000-0000-000000000000,ffffffff-ffff-ffff-ffff-ffffffffffff}'::uuid[]) u;
-- IMMUTABLE: usable in an index and in a generated column.
CREATE UNIQUE INDEX ON orders (uuidv7_from_timestamp(created_at, id));
CREATE TABLE lines (created_at timestamptz, id bigint, key uuid GENERATED ALWAYS AS (uuidv7_from_timestamp(created_at, id)) STORED);
INSERT INTO lines VALUES ('2024-01-01 00:00+00', 1) RETURNING key;
-- Hashed: any bigint, uuid or text.
SELECT uuidv7_from_timestamp_hashed('2023-11-14 22:13:20.123456+00', -1) AS "bigint",
       uuidv7_from_timestamp_hashed('2023-11-14 22:13:20.123456+00', '919108f7-52d1-4320-9bac-f847db4148a8'::uuid) AS uuid,
       uuidv7_from_timestamp_hashed('2023-11-14 22:13:20.123456+00', 'order-1') AS text,
       uuidv7_from_timestamp_hashed('2023-11-14 22:13:20.123456+00', 'order-1', 'public.orders') AS salted;
SELECT ulid_from_timestamp_hashed('2023-11-14 22:13:20.123456+00', -1) AS "bigint",
       ulid_from_timestamp_hashed('2023-11-14 22:13:20.123456+00', '919108f7-52d1-4320-9bac-f847db4148a8'::uuid) AS uuid,
       ulid_from_timestamp_hashed('2023-11-14 22:13:20.123456+00', 'order-1') AS text,
       ulid_from_timestamp_hashed('2023-11-14 22:13:20.123456+00', 'order-1', 'public.orders') AS salted;
-- NULL in, NULL out.
SELECT uuidv7_from_timestamp(NULL::timestamptz), uuidv7_from_timestamp(now(), NULL), uuidv7_from_timestamp(now(), 1, NULL),
       uuidv7_to_timestamp(NULL), uuidv7_to_id(NULL), uuidv7_boundary(NULL::timestamptz);
DROP SCHEMA derived CASCADE;
