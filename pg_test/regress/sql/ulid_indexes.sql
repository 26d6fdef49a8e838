-- ulid in indexes, joins, sorts, partitions and foreign keys, by the functions that uuid uses.
-- trap_k11 trap_k18
SET client_min_messages = warning;
CREATE SCHEMA indexes;
SET search_path = indexes, public;
SELECT am.amname, c.opcname, c.opcdefault, amvalidate(c.oid)
FROM pg_opclass c JOIN pg_am am ON am.oid = c.opcmethod WHERE opcintype = 'ulid'::regtype ORDER BY 1, 2;
-- Skip support where the server has it for uuid.
SELECT count(*) FILTER (WHERE p.amproclefttype = 'ulid'::regtype) = count(*) FILTER (WHERE p.amproclefttype = 'uuid'::regtype) AS as_uuid
FROM pg_amproc p JOIN pg_opfamily f ON f.oid = p.amprocfamily JOIN pg_am a ON a.oid = f.opfmethod
WHERE a.amname = 'btree' AND p.amproclefttype IN ('ulid'::regtype, 'uuid'::regtype);
CREATE TABLE t (id ulid PRIMARY KEY, n integer);
INSERT INTO t SELECT ulid_from_timestamp('2024-01-01 00:00+00'::timestamptz + n * interval '1 second', n), n FROM generate_series(1, 20000) n;
VACUUM ANALYZE t;
-- A primary key finds its row, gives order, and answers min and max.
EXPLAIN (COSTS OFF) SELECT n FROM t WHERE id = ulid_from_timestamp('2024-01-01 00:00:42+00', 42);
SELECT n FROM t WHERE id = ulid_from_timestamp('2024-01-01 00:00:42+00', 42);
EXPLAIN (COSTS OFF) SELECT n FROM t ORDER BY id LIMIT 3;
CREATE FUNCTION plan_has(query text, node text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        IF line LIKE '%' || node || '%' THEN RETURN true; END IF;
    END LOOP;
    RETURN false;
END $$;
SELECT plan_has('SELECT max(id) FROM t', 'Index Only Scan Backward using t_pkey') AS max_by_index;
SELECT ulid_to_id(min(id)), ulid_to_id(max(id)) FROM t;
INSERT INTO t SELECT id, 0 FROM t WHERE n = 42;
\echo :LAST_ERROR_SQLSTATE
-- Sort, merge join, hash join, hash aggregate agree with the order and the number of rows.
CREATE TABLE shuffled AS SELECT id, n FROM t ORDER BY md5(n::text);
SELECT count(*) AS out_of_order FROM (SELECT n, lag(n) OVER (ORDER BY id) AS before FROM shuffled) o WHERE n <= before;
SET enable_hashjoin = off;
SET enable_nestloop = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM shuffled a JOIN shuffled b USING (id);
SELECT count(*) FROM shuffled a JOIN shuffled b USING (id);
SET enable_hashjoin = on;
SET enable_mergejoin = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM shuffled a JOIN shuffled b USING (id);
SELECT count(*) FROM shuffled a JOIN shuffled b USING (id);
RESET enable_mergejoin;
RESET enable_nestloop;
SELECT count(*), sum(c) FROM (SELECT id, count(*) AS c FROM (SELECT id FROM shuffled UNION ALL SELECT id FROM t) u GROUP BY id) g;
-- A hash index.
CREATE INDEX shuffled_hash ON shuffled USING hash (id);
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT n FROM shuffled WHERE id = ulid_from_timestamp('2024-01-01 00:00:42+00', 42);
SELECT n FROM shuffled WHERE id = ulid_from_timestamp('2024-01-01 00:00:42+00', 42);
DROP INDEX shuffled_hash;
-- BRIN on rows that come in order of time.
CREATE INDEX t_brin ON t USING brin (id) WITH (pages_per_range = 1);
CREATE INDEX shuffled_brin ON shuffled USING brin (id ulid_minmax_multi_ops) WITH (pages_per_range = 1);
ALTER TABLE t DROP CONSTRAINT t_pkey;
EXPLAIN (COSTS OFF) SELECT count(*) FROM t WHERE id >= ulid_boundary('2024-01-01 01:00+00') AND id < ulid_boundary('2024-01-01 02:00+00');
SELECT count(*) FROM t WHERE id >= ulid_boundary('2024-01-01 01:00+00') AND id < ulid_boundary('2024-01-01 02:00+00');
SELECT count(*) FROM shuffled WHERE id >= ulid_boundary('2024-01-01 01:00+00') AND id < ulid_boundary('2024-01-01 02:00+00');
-- A Bloom filter, for single keys in no order.
DROP INDEX shuffled_brin;
CREATE INDEX shuffled_bloom ON shuffled USING brin (id ulid_bloom_ops) WITH (pages_per_range = 1);
EXPLAIN (COSTS OFF) SELECT n FROM shuffled WHERE id = ulid_from_timestamp('2024-01-01 00:00:42+00', 42);
SELECT n FROM shuffled WHERE id = ulid_from_timestamp('2024-01-01 00:00:42+00', 42);
RESET enable_seqscan;
-- Equal keys are stored once per page: an index over many duplicates is small.
CREATE TABLE duplicates AS SELECT ulid_from_timestamp('2024-01-01 00:00+00', n % 10) AS id, ulid_from_timestamp('2024-01-01 00:00+00', n % 10)::uuid AS u FROM generate_series(1, 50000) n;
CREATE INDEX duplicates_id ON duplicates (id);
CREATE INDEX duplicates_u ON duplicates (u);
SELECT pg_relation_size('duplicates_id') = pg_relation_size('duplicates_u') AS as_small_as_uuid;
-- Partitions by hash, and a foreign key between partitioned tables.
CREATE TABLE parent (id ulid PRIMARY KEY) PARTITION BY HASH (id);
CREATE TABLE parent_0 PARTITION OF parent FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE parent_1 PARTITION OF parent FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO parent SELECT ulid_from_timestamp('2024-01-01 00:00+00', n) FROM generate_series(1, 1000) n;
SELECT count(*) > 300 AS evenly FROM parent GROUP BY tableoid;
CREATE TABLE child (parent ulid REFERENCES parent ON DELETE CASCADE);
INSERT INTO child SELECT id FROM parent;
INSERT INTO child VALUES (ulid_from_timestamp('2024-01-01 00:00+00', 1001));
\echo :LAST_ERROR_SQLSTATE
DELETE FROM parent WHERE id <= ulid_from_timestamp('2024-01-01 00:00+00', 900);
SELECT count(*) FROM child;
-- Parallel plans: workers aggregate, sort and hash ulid values.
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
ANALYZE shuffled;
SELECT plan_has('SELECT min(id), max(id) FROM shuffled', 'Partial Aggregate') AS aggregated_in_workers;
SELECT ulid_to_id(min(id)), ulid_to_id(max(id)) FROM shuffled;
SELECT plan_has('SELECT id FROM shuffled ORDER BY id', 'Gather Merge') AS sorted_in_workers;
SELECT count(*) AS out_of_order FROM (SELECT n, lag(n) OVER () AS before FROM (SELECT id, n FROM shuffled ORDER BY id OFFSET 0) s) o WHERE n <= before;
SELECT plan_has('SELECT count(*) FROM shuffled a JOIN shuffled b USING (id)', 'Parallel Hash') AS hashed_in_workers;
SELECT count(*) FROM shuffled a JOIN shuffled b USING (id);
RESET max_parallel_workers_per_gather;
-- Arrays, ranges of rows, DISTINCT.
SELECT count(*) FROM child WHERE parent = ANY (ARRAY(SELECT id FROM parent LIMIT 10));
SELECT ARRAY['00000000000000000000000001', NULL]::ulid[];
-- Text dump and restore of the values.
SELECT count(*) AS lost FROM parent WHERE id::text::ulid IS DISTINCT FROM id;
DROP SCHEMA indexes CASCADE;
