CREATE FUNCTION @extschema@.key_migration_uuid(ts timestamp with time zone, id bigint, salt text DEFAULT '') RETURNS uuid
    LANGUAGE c IMMUTABLE PARALLEL SAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'key_migration_uuid_wrapper';
CREATE FUNCTION @extschema@.key_migration_ulid(ts timestamp with time zone, id bigint, salt text DEFAULT '') RETURNS @extschema@.ulid
    LANGUAGE c IMMUTABLE PARALLEL SAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'key_migration_ulid_wrapper';

COMMENT ON FUNCTION @extschema@.key_migration_uuid(timestamp with time zone, bigint, text) IS
'the key that a key migration gives to a row: as uuidv7_from_timestamp(ts, id, salt), but it never raises an error; a time that no key can represent counts as 1970-01-01, and an id that does not fit is hashed';
COMMENT ON FUNCTION @extschema@.key_migration_ulid(timestamp with time zone, bigint, text) IS
'the key that a key migration gives to a row: as ulid_from_timestamp(ts, id, salt), but it never raises an error; a time that no key can represent counts as 1970-01-01, and an id that does not fit is hashed';
