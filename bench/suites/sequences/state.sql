-- The state of a node with many rows ahead of one of its sequences.

--! do
-- Sequences that feed no table are those of the set-up in batches.
DROP SCHEMA plain CASCADE;
CREATE SCHEMA plain;
CALL restore();
SELECT count(*) FROM setup_interleaved_sequences(1, 2);
--! check
-- All values of node 1 that are in the table lie before its restart.
SELECT last_value = 21 AND NOT is_called FROM filled.t1_id_seq;

--! run
--! do
TRUNCATE filled.t1;
INSERT INTO filled.t1 (id, v) SELECT generate_series(1, 20), 1;
INSERT INTO filled.t1 (id, v) SELECT 20 + 2 * generate_series(1, :ahead), 1;
VACUUM ANALYZE filled.t1;
--! include settle
--! session
--! time :name
SELECT length(interleaved_node_state()::text);
--! check
SELECT max(id) = 20 + 2 * :ahead FROM filled.t1;
--! do
-- The other chapters find the table as it was.
TRUNCATE filled.t1;
INSERT INTO filled.t1 (id, v) SELECT generate_series(1, 20), 1;
