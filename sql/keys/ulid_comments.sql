-- The functions on ulid, one line each.
COMMENT ON FUNCTION @extschema@.ulid() IS
'ULID of the current time, strictly increasing within a session';
COMMENT ON FUNCTION @extschema@.ulid_monotonic() IS
'ULID of the current time, strictly increasing over all sessions of the server while it is up';
COMMENT ON FUNCTION @extschema@.ulid_from_timestamp(timestamptz) IS
'ULID of an instant, with a random tail; pass an id for keys that must agree between nodes';
COMMENT ON FUNCTION @extschema@.ulid_from_timestamp(timestamptz, bigint) IS
'ULID derived from an instant and an id: the same on every node, ordered by (timestamp, id)';
COMMENT ON FUNCTION @extschema@.ulid_from_timestamp(timestamptz, bigint, text) IS
'ULID derived from an instant, an id and a salt, which separates tables and is not a secret';
COMMENT ON FUNCTION @extschema@.ulid_from_timestamp_hashed(timestamptz, bigint) IS
'ULID derived from an instant and the hash of a value: the same on every node, not reversible';
COMMENT ON FUNCTION @extschema@.ulid_from_timestamp_hashed(timestamptz, bigint, text) IS
'ULID derived from an instant and the salted hash of a value: the same on every node, not reversible';
COMMENT ON FUNCTION @extschema@.ulid_from_timestamp_hashed(timestamptz, uuid) IS
'ULID derived from an instant and the hash of a value: the same on every node, not reversible';
COMMENT ON FUNCTION @extschema@.ulid_from_timestamp_hashed(timestamptz, uuid, text) IS
'ULID derived from an instant and the salted hash of a value: the same on every node, not reversible';
COMMENT ON FUNCTION @extschema@.ulid_from_timestamp_hashed(timestamptz, text) IS
'ULID derived from an instant and the hash of a value: the same on every node, not reversible';
COMMENT ON FUNCTION @extschema@.ulid_from_timestamp_hashed(timestamptz, text, text) IS
'ULID derived from an instant and the salted hash of a value: the same on every node, not reversible';
COMMENT ON FUNCTION @extschema@.ulid_to_timestamp(@extschema@.ulid) IS
'instant of a ULID to the microsecond';
COMMENT ON FUNCTION @extschema@.ulid_to_id(@extschema@.ulid) IS
'id of a derived ULID; NULL if the tag does not match; a decoder, not a proof of origin';
COMMENT ON FUNCTION @extschema@.ulid_to_id(@extschema@.ulid, text) IS
'id of a ULID derived with a salt; NULL if the tag does not match; a decoder, not a proof of origin';
COMMENT ON FUNCTION @extschema@.ulid_boundary(timestamptz) IS
'least ULID of an instant, for half-open ranges and partition bounds';
