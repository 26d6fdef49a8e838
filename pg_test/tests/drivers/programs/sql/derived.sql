-- Compares the keys of clients/sql with all vectors, which have been copied into the tables
-- derived_keys, hashed_keys, undated_keys and undated_values.
\set ON_ERROR_STOP on
CREATE VIEW computed AS
    SELECT key, CASE kind
        WHEN 'uuid' THEN uuidv7_from_timestamp("timestamp", id, salt)::text
        ELSE ulid_from_timestamp("timestamp", id, salt) END AS computed
    FROM derived_keys
UNION ALL
    SELECT key, CASE kind || ' ' || type
        WHEN 'uuid bigint' THEN uuidv7_from_timestamp_hashed("timestamp", value::bigint, salt)::text
        WHEN 'uuid uuid' THEN uuidv7_from_timestamp_hashed("timestamp", value::uuid, salt)::text
        WHEN 'uuid text' THEN uuidv7_from_timestamp_hashed("timestamp", value, salt)::text
        WHEN 'ulid bigint' THEN ulid_from_timestamp_hashed("timestamp", value::bigint, salt)
        WHEN 'ulid uuid' THEN ulid_from_timestamp_hashed("timestamp", value::uuid, salt)
        WHEN 'ulid text' THEN ulid_from_timestamp_hashed("timestamp", value, salt) END
    FROM (SELECT "timestamp", kind, type, value, salt, key FROM hashed_keys
        UNION ALL SELECT 'epoch', kind, type, value, salt, key FROM undated_values) AS vectors
UNION ALL
    -- A key migration hashes ids that do not fit.
    SELECT key, CASE kind || (id BETWEEN 0 AND 4398046511103)
        WHEN 'uuidtrue' THEN uuidv7_from_timestamp('epoch', id, salt)::text
        WHEN 'uuidfalse' THEN uuidv7_from_timestamp_hashed('epoch', id, salt)::text
        WHEN 'ulidtrue' THEN ulid_from_timestamp('epoch', id, salt)
        WHEN 'ulidfalse' THEN ulid_from_timestamp_hashed('epoch', id, salt) END
    FROM undated_keys;
DO $$
DECLARE
    wrong record;
    condition text;
BEGIN
    FOR wrong IN SELECT * FROM computed WHERE computed IS DISTINCT FROM key LIMIT 1 LOOP
        RAISE EXCEPTION '% instead of %', wrong.computed, wrong.key;
    END LOOP;
    FOREACH condition IN ARRAY ARRAY['''1969-12-31 23:59:59.999999+00'', 0', '''infinity'', 0',
        '''10889-08-02 05:31:50.656+00'', 0', '''epoch'', -1', '''epoch'', 4398046511104'] LOOP
        BEGIN
            EXECUTE format('SELECT uuidv7_from_timestamp(%s), ulid_from_timestamp(%1$s)', condition);
            RAISE EXCEPTION '% is not refused', condition;
        EXCEPTION WHEN datetime_field_overflow OR numeric_value_out_of_range THEN NULL;
        END;
    END LOOP;
END $$;
SELECT 'checked ' || count(*) || ' keys' FROM computed;
