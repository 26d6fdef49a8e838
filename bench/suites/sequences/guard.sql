-- What a guard costs a row.

--! do
CREATE TABLE plain (id bigserial PRIMARY KEY, v int);
CREATE TABLE guarded (id bigserial PRIMARY KEY, v int);
CREATE TABLE by_hand (id bigserial PRIMARY KEY, v int);
-- What people write by hand.
CREATE FUNCTION guard_by_hand() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.id % 2 <> 1 THEN
        RAISE EXCEPTION 'id % is of another node', NEW.id;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard_by_hand BEFORE INSERT OR UPDATE OF id ON by_hand
    FOR EACH ROW EXECUTE FUNCTION guard_by_hand();
SELECT count(*) FROM setup_interleaved_sequences(1, 2);
--! check
SELECT count(*) = 1 FROM guard_interleaved_sequences(tables => '{guarded}') WHERE action = 'guarded';

--! run
--! do
VACUUM pg_statistic;
CHECKPOINT;
--! time :table.insert
INSERT INTO :table (v) SELECT generate_series(1, :rows);
--! check
SELECT count(*) = :rows FROM :table;
--! do
TRUNCATE :table;

--! run
--! do
VACUUM pg_statistic;
CHECKPOINT;
--! time :table.copy counts
COPY :table (v) FROM STDIN;
--! do
TRUNCATE :table;
