CREATE FUNCTION @extschema@.key_migration_uuid(ts timestamp with time zone, id bigint, salt text DEFAULT '') RETURNS uuid
    LANGUAGE c IMMUTABLE PARALLEL SAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'key_migration_uuid_wrapper';
CREATE FUNCTION @extschema@.key_migration_ulid(ts timestamp with time zone, id bigint, salt text DEFAULT '') RETURNS @extschema@.ulid
    LANGUAGE c IMMUTABLE PARALLEL SAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'key_migration_ulid_wrapper';
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
