-- What it costs to look at every sequence.

--! do
-- Sequences that feed no table are those of the set-up in batches.
DROP SCHEMA plain CASCADE;
CREATE SCHEMA plain;
CALL restore();
SELECT count(*) FROM setup_interleaved_sequences(1, 2);
--! include settle

--! run
--! session
--! do
BEGIN;
--! time core counts
SELECT count(*), max(last_value) FROM pg_sequences;
--! note core.locks number
SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid();

--! run
--! session
--! do
BEGIN;
--! time ours counts
SELECT count(*) FROM (SELECT * FROM interleaved_sequences OFFSET 0) AS v;
--! note ours.locks number
SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid();
