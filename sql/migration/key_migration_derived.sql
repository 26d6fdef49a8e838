CREATE FUNCTION @extschema@.key_migration_uuid(ts timestamp with time zone, id bigint, salt text DEFAULT '') RETURNS uuid
    LANGUAGE c IMMUTABLE PARALLEL SAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'key_migration_uuid_wrapper';
CREATE FUNCTION @extschema@.key_migration_ulid(ts timestamp with time zone, id bigint, salt text DEFAULT '') RETURNS @extschema@.ulid
    LANGUAGE c IMMUTABLE PARALLEL SAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'key_migration_ulid_wrapper';
CREATE FUNCTION @extschema@.key_migration_uuid(ts timestamp with time zone, id uuid, salt text DEFAULT '') RETURNS uuid
    LANGUAGE c IMMUTABLE PARALLEL SAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'key_migration_uuid_of_uuid_wrapper';
CREATE FUNCTION @extschema@.key_migration_uuid(ts timestamp with time zone, id text, salt text DEFAULT '') RETURNS uuid
    LANGUAGE c IMMUTABLE PARALLEL SAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'key_migration_uuid_of_text_wrapper';
CREATE FUNCTION @extschema@.key_migration_ulid(ts timestamp with time zone, id uuid, salt text DEFAULT '') RETURNS @extschema@.ulid
    LANGUAGE c IMMUTABLE PARALLEL SAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'key_migration_ulid_of_uuid_wrapper';
CREATE FUNCTION @extschema@.key_migration_ulid(ts timestamp with time zone, id text, salt text DEFAULT '') RETURNS @extschema@.ulid
    LANGUAGE c IMMUTABLE PARALLEL SAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'key_migration_ulid_of_text_wrapper';
-- They would be cast to timestamptz in the session's time zone.
CREATE FUNCTION @extschema@.key_migration_uuid(ts timestamp, id bigint, salt text DEFAULT '') RETURNS uuid
    LANGUAGE c STABLE PARALLEL SAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'keys_need_an_instant_wrapper';
CREATE FUNCTION @extschema@.key_migration_uuid(ts date, id bigint, salt text DEFAULT '') RETURNS uuid
    LANGUAGE c STABLE PARALLEL SAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'keys_need_an_instant_wrapper';
CREATE FUNCTION @extschema@.key_migration_ulid(ts timestamp, id bigint, salt text DEFAULT '') RETURNS @extschema@.ulid
    LANGUAGE c STABLE PARALLEL SAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'keys_need_an_instant_wrapper';
CREATE FUNCTION @extschema@.key_migration_ulid(ts date, id bigint, salt text DEFAULT '') RETURNS @extschema@.ulid
    LANGUAGE c STABLE PARALLEL SAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'keys_need_an_instant_wrapper';
CREATE FUNCTION @extschema@.key_migration_uuid(ts timestamp, id uuid, salt text DEFAULT '') RETURNS uuid
    LANGUAGE c STABLE PARALLEL SAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'keys_need_an_instant_wrapper';
CREATE FUNCTION @extschema@.key_migration_uuid(ts date, id uuid, salt text DEFAULT '') RETURNS uuid
    LANGUAGE c STABLE PARALLEL SAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'keys_need_an_instant_wrapper';
CREATE FUNCTION @extschema@.key_migration_uuid(ts timestamp, id text, salt text DEFAULT '') RETURNS uuid
    LANGUAGE c STABLE PARALLEL SAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'keys_need_an_instant_wrapper';
CREATE FUNCTION @extschema@.key_migration_uuid(ts date, id text, salt text DEFAULT '') RETURNS uuid
    LANGUAGE c STABLE PARALLEL SAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'keys_need_an_instant_wrapper';
CREATE FUNCTION @extschema@.key_migration_ulid(ts timestamp, id uuid, salt text DEFAULT '') RETURNS @extschema@.ulid
    LANGUAGE c STABLE PARALLEL SAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'keys_need_an_instant_wrapper';
CREATE FUNCTION @extschema@.key_migration_ulid(ts date, id uuid, salt text DEFAULT '') RETURNS @extschema@.ulid
    LANGUAGE c STABLE PARALLEL SAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'keys_need_an_instant_wrapper';
CREATE FUNCTION @extschema@.key_migration_ulid(ts timestamp, id text, salt text DEFAULT '') RETURNS @extschema@.ulid
    LANGUAGE c STABLE PARALLEL SAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'keys_need_an_instant_wrapper';
CREATE FUNCTION @extschema@.key_migration_ulid(ts date, id text, salt text DEFAULT '') RETURNS @extschema@.ulid
    LANGUAGE c STABLE PARALLEL SAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'keys_need_an_instant_wrapper';

COMMENT ON FUNCTION @extschema@.key_migration_uuid(timestamp with time zone, bigint, text) IS
'the key that a key migration gives to a row: as uuidv7_from_timestamp(ts, id, salt), but it never raises an error; a time that no key can represent counts as 1970-01-01, and an id that does not fit is hashed';
COMMENT ON FUNCTION @extschema@.key_migration_ulid(timestamp with time zone, bigint, text) IS
'the key that a key migration gives to a row: as ulid_from_timestamp(ts, id, salt), but it never raises an error; a time that no key can represent counts as 1970-01-01, and an id that does not fit is hashed';
COMMENT ON FUNCTION @extschema@.key_migration_uuid(timestamp, bigint, text) IS
'error: a key needs an instant; use AT TIME ZONE';
COMMENT ON FUNCTION @extschema@.key_migration_uuid(date, bigint, text) IS
'error: a key needs an instant; use AT TIME ZONE';
COMMENT ON FUNCTION @extschema@.key_migration_ulid(timestamp, bigint, text) IS
'error: a key needs an instant; use AT TIME ZONE';
COMMENT ON FUNCTION @extschema@.key_migration_ulid(date, bigint, text) IS
'error: a key needs an instant; use AT TIME ZONE';
COMMENT ON FUNCTION @extschema@.key_migration_uuid(timestamp with time zone, uuid, text) IS
'the key that a key migration gives to a row with an old id of type uuid: as uuidv7_from_timestamp_hashed(ts, id, salt), but it never raises an error; a time that no key can represent counts as 1970-01-01';
COMMENT ON FUNCTION @extschema@.key_migration_uuid(timestamp with time zone, text, text) IS
'the key that a key migration gives to a row with an old id of type text: as uuidv7_from_timestamp_hashed(ts, id, salt), but it never raises an error; a time that no key can represent counts as 1970-01-01';
COMMENT ON FUNCTION @extschema@.key_migration_ulid(timestamp with time zone, uuid, text) IS
'the key that a key migration gives to a row with an old id of type uuid: as ulid_from_timestamp_hashed(ts, id, salt), but it never raises an error; a time that no key can represent counts as 1970-01-01';
COMMENT ON FUNCTION @extschema@.key_migration_ulid(timestamp with time zone, text, text) IS
'the key that a key migration gives to a row with an old id of type text: as ulid_from_timestamp_hashed(ts, id, salt), but it never raises an error; a time that no key can represent counts as 1970-01-01';
COMMENT ON FUNCTION @extschema@.key_migration_uuid(timestamp, uuid, text) IS
'error: a key needs an instant; use AT TIME ZONE';
COMMENT ON FUNCTION @extschema@.key_migration_uuid(date, uuid, text) IS
'error: a key needs an instant; use AT TIME ZONE';
COMMENT ON FUNCTION @extschema@.key_migration_uuid(timestamp, text, text) IS
'error: a key needs an instant; use AT TIME ZONE';
COMMENT ON FUNCTION @extschema@.key_migration_uuid(date, text, text) IS
'error: a key needs an instant; use AT TIME ZONE';
COMMENT ON FUNCTION @extschema@.key_migration_ulid(timestamp, uuid, text) IS
'error: a key needs an instant; use AT TIME ZONE';
COMMENT ON FUNCTION @extschema@.key_migration_ulid(date, uuid, text) IS
'error: a key needs an instant; use AT TIME ZONE';
COMMENT ON FUNCTION @extschema@.key_migration_ulid(timestamp, text, text) IS
'error: a key needs an instant; use AT TIME ZONE';
COMMENT ON FUNCTION @extschema@.key_migration_ulid(date, text, text) IS
'error: a key needs an instant; use AT TIME ZONE';
