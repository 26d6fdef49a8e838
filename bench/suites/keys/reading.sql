-- What a key costs where rows are looked for by it: ranges of time, single rows, joins.

--! do
CREATE TABLE made AS
    SELECT n::bigint AS id,
           timestamptz '2024-01-01 00:00+00' + (n - 1) * interval '100 days' / :orders AS created_at,
           round((n % 1000)::numeric / 7, 2) AS total
    FROM generate_series(1, :orders) AS n;
CREATE SCHEMA "bigint";
CREATE TABLE "bigint".orders AS SELECT * FROM made ORDER BY id;
CREATE INDEX orders_created_at ON "bigint".orders (created_at);
CREATE SCHEMA "uuid";
CREATE TABLE "uuid".orders AS
    SELECT uuidv7_from_timestamp(created_at, id) AS id, created_at, total FROM made ORDER BY id;
--! do
CREATE TABLE ":kind".items AS
    SELECT o.id AS order_id, no FROM ":kind".orders AS o, generate_series(1, 3) AS no ORDER BY 1, 2;
ALTER TABLE ":kind".orders ADD PRIMARY KEY (id);
CREATE INDEX ON ":kind".items (order_id);
CREATE TABLE ":kind".wanted AS
    SELECT id FROM ":kind".orders ORDER BY hashint8(extract(epoch FROM created_at)::bigint) LIMIT :single;
VACUUM ANALYZE ":kind".orders;
VACUUM ANALYZE ":kind".items;
VACUUM ANALYZE ":kind".wanted;
--! do
VACUUM pg_statistic;
CHECKPOINT;
--! note :kind.orders bytes
SELECT pg_relation_size('":kind".orders');
--! note :kind.key bytes
SELECT pg_relation_size('":kind".orders_pkey');
--! note :kind.time bytes
SELECT coalesce(pg_relation_size(to_regclass('":kind".orders_created_at')), 0);
--! note :kind.items bytes
SELECT pg_total_relation_size('":kind".items');

--! run
--! do
RESET ALL;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
--! time :kind.day rows=of_a_day counts
SELECT count(*) FROM ":kind".orders WHERE :day;

--! run
--! do
RESET ALL;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_memoize = off;
--! time :kind.single rows=single counts
SELECT count(o.total) FROM ":kind".wanted AS w JOIN ":kind".orders AS o USING (id);

--! run
--! do
RESET ALL;
SET enable_nestloop = off;
SET enable_mergejoin = off;
--! time :kind.hash rows=items counts
SELECT count(o.total) FROM ":kind".items AS i JOIN ":kind".orders AS o ON o.id = i.order_id;

--! run
--! do
RESET ALL;
SET enable_nestloop = off;
SET enable_hashjoin = off;
SET enable_seqscan = off;
--! time :kind.merge rows=items counts
SELECT count(o.total) FROM ":kind".items AS i JOIN ":kind".orders AS o ON o.id = i.order_id;
