-- Functions that are called without a guard: see src/keys/call.rs.
CREATE FUNCTION @extschema@.ulid() RETURNS @extschema@.ulid
    LANGUAGE c VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'keyspace_ulid';
CREATE FUNCTION @extschema@.ulid_monotonic() RETURNS @extschema@.ulid
    LANGUAGE c VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'keyspace_ulid_monotonic';
CREATE FUNCTION @extschema@.ulid_from_timestamp(ts timestamptz) RETURNS @extschema@.ulid
    LANGUAGE c VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'keyspace_ulid_from_timestamp';
CREATE FUNCTION @extschema@.ulid_from_timestamp(ts timestamptz, id bigint) RETURNS @extschema@.ulid
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'keyspace_ulid_from_timestamp_id';
CREATE FUNCTION @extschema@.ulid_from_timestamp(ts timestamptz, id bigint, salt text) RETURNS @extschema@.ulid
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'keyspace_ulid_from_timestamp_id_salt';
CREATE FUNCTION @extschema@.ulid_to_timestamp(key @extschema@.ulid) RETURNS timestamptz
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'keyspace_ulid_to_timestamp';
CREATE FUNCTION @extschema@.ulid_boundary(ts timestamptz) RETURNS @extschema@.ulid
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'keyspace_ulid_boundary';
