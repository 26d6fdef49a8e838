-- What a value costs in one session.

--! do
CREATE SEQUENCE set_up;
CREATE SEQUENCE untouched;
-- What people write by hand.
CREATE FUNCTION nextval_by_hand(sequence regclass, node int, nodes int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    value bigint;
BEGIN
    LOOP
        value := nextval(sequence);
        IF value % nodes = node % nodes THEN
            RETURN value;
        END IF;
    END LOOP;
END $$;
SELECT count(*) FROM setup_interleaved_sequences(1, 2, sequences => '{set_up}');

--! run
--! time :name counts
SELECT count(:call) FROM (SELECT generate_series(1, :rows)) AS g;
