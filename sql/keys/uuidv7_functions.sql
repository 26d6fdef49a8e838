-- Functions that are called without a guard: see src/keys/call.rs.
CREATE FUNCTION @extschema@.uuidv7() RETURNS uuid
    LANGUAGE c VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'keyspace_uuidv7';
CREATE FUNCTION @extschema@.uuidv7_monotonic() RETURNS uuid
    LANGUAGE c VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'keyspace_uuidv7_monotonic';
CREATE FUNCTION @extschema@.uuidv7_from_timestamp(ts timestamptz) RETURNS uuid
    LANGUAGE c VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'keyspace_uuidv7_from_timestamp';
CREATE FUNCTION @extschema@.uuidv7_from_timestamp(ts timestamptz, id bigint) RETURNS uuid
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'keyspace_uuidv7_from_timestamp_id';
CREATE FUNCTION @extschema@.uuidv7_from_timestamp(ts timestamptz, id bigint, salt text) RETURNS uuid
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'keyspace_uuidv7_from_timestamp_id_salt';
CREATE FUNCTION @extschema@.uuidv7_to_timestamp(key uuid) RETURNS timestamptz
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'keyspace_uuidv7_to_timestamp';
CREATE FUNCTION @extschema@.uuidv7_boundary(ts timestamptz) RETURNS uuid
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'keyspace_uuidv7_boundary';
