-- What a key costs where it is inserted, and how large its index gets.

--! run
--! do
DROP TABLE IF EXISTS t;
CREATE TABLE t (id :column PRIMARY KEY, n integer);
CHECKPOINT;
--! time :name
INSERT INTO t (n) SELECT generate_series(1, :rows);
--! note :name.index bytes
SELECT pg_relation_size('t_pkey');
