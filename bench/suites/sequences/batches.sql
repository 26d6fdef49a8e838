-- The set-up of many sequences, each in a transaction of its own.

--! do
DO $$ BEGIN
    FOR i IN 1..:plain LOOP
        EXECUTE format('CREATE SEQUENCE plain.s%s', i);
        IF i % 1000 = 0 THEN COMMIT; END IF;
    END LOOP;
END $$;
ANALYZE;

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
        COMMIT;
    END LOOP;
END $$;
--! check
SELECT count(*) = :rows FROM pg_sequences WHERE increment_by = 2 AND schemaname IN ('filled', 'plain');

--! run
--! do
CALL restore();
--! include settle
--! session
--! time batches
CALL setup_interleaved_sequences_in_batches(1, 2);
--! check
SELECT count(*) = :rows FROM pg_sequences WHERE increment_by = 2 AND schemaname IN ('filled', 'plain');
