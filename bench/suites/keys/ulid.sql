-- The type ulid next to uuid: the same keys in both types, in an order that has nothing to do with theirs.

--! do
CREATE SCHEMA ulid;
CREATE SCHEMA uuid;
CREATE TABLE ulid.keys AS SELECT ulid() AS key FROM generate_series(1, :rows) ORDER BY random();
CREATE TABLE uuid.keys AS SELECT key::uuid AS key FROM ulid.keys;
--! do
CREATE TABLE :type.texts AS SELECT key::text AS text FROM :type.keys;
VACUUM ANALYZE :type.keys;
VACUUM ANALYZE :type.texts;
--! do
VACUUM pg_statistic;
CHECKPOINT;
-- Joins hash, and aggregates, too.
SET enable_mergejoin = off;
SET enable_nestloop = off;
SET hash_mem_multiplier = 4;

--! run
--! time :type.read counts
SELECT count(key) FROM :type.keys;

--! run
--! time :type.read_text counts
SELECT count(text) FROM :type.texts;

--! run
--! time :type.sort counts
SELECT count(*) FROM (SELECT key FROM :type.keys ORDER BY key OFFSET 0) AS s;

--! run
--! time :type.index
CREATE INDEX by_key ON :type.keys (key);
--! do
DROP INDEX :type.by_key;

--! run
--! time :type.join counts
SELECT count(*) FROM :type.keys AS a JOIN :type.keys AS b USING (key);

--! run
--! time :type.group counts
SELECT count(*) FROM (
    SELECT key, count(*)
    FROM (SELECT key FROM :type.keys UNION ALL SELECT key FROM :type.keys) AS twice
    GROUP BY key OFFSET 0
) AS g;

--! run
--! time :type.out counts
SELECT count(key::text) FROM :type.keys;

--! run
--! time :type.in counts
SELECT count(CAST(text AS :type)) FROM :type.texts;

--! run
--! time :type.send counts
SELECT count(:send(key)) FROM :type.keys;
