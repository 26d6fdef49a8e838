-- The set-up of many sequences in one transaction.

-- One statement for each sequence, without reading anything. The tables hold the ids 1 to 20, and 21
-- is of the class of node 1 of 2.
--! run
--! do
CALL restore();
--! include settle
--! session
--! time bare_loop
DO $$
DECLARE
    s record;
BEGIN
    FOR s IN SELECT * FROM to_set_up LOOP
        EXECUTE format('ALTER SEQUENCE %I.%I INCREMENT BY 2 START WITH 1 RESTART WITH 21', s.schema, s.name);
    END LOOP;
END $$;
--! check
SELECT count(*) = :rows FROM pg_sequences WHERE increment_by = 2 AND schemaname IN ('filled', 'plain');

--! run
--! do
CALL restore();
--! include settle
--! session
--! time set_up
SELECT count(*) FROM setup_interleaved_sequences(1, 2);
--! check
SELECT count(*) = :rows FROM pg_sequences WHERE increment_by = 2 AND schemaname IN ('filled', 'plain');
--! do
--! include settle
--! session
--! time again
SELECT count(*) FROM setup_interleaved_sequences(1, 2);
