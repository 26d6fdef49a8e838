-- Type ulid: 16 bytes, big-endian, laid out and stored as uuid. The functions of uuid read and
-- write its binary form.
CREATE FUNCTION @extschema@.ulid_in(cstring) RETURNS @extschema@.ulid
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'keyspace_ulid_in';
CREATE FUNCTION @extschema@.ulid_out(@extschema@.ulid) RETURNS cstring
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'keyspace_ulid_out';
CREATE FUNCTION @extschema@.ulid_recv(internal) RETURNS @extschema@.ulid
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'uuid_recv';
CREATE FUNCTION @extschema@.ulid_send(@extschema@.ulid) RETURNS bytea
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'uuid_send';

CREATE TYPE @extschema@.ulid (
    INPUT = @extschema@.ulid_in,
    OUTPUT = @extschema@.ulid_out,
    RECEIVE = @extschema@.ulid_recv,
    SEND = @extschema@.ulid_send,
    LIKE = uuid
);

COMMENT ON TYPE @extschema@.ulid IS 'ULID: 128-bit key that sorts by time, shown as 26 characters of Crockford''s base 32';
COMMENT ON FUNCTION @extschema@.ulid_in(cstring) IS 'I/O';
COMMENT ON FUNCTION @extschema@.ulid_out(@extschema@.ulid) IS 'I/O';
COMMENT ON FUNCTION @extschema@.ulid_recv(internal) IS 'I/O';
COMMENT ON FUNCTION @extschema@.ulid_send(@extschema@.ulid) IS 'I/O';
