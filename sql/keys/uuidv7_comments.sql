-- The functions on uuid, one line each.
COMMENT ON FUNCTION @extschema@.uuidv7() IS
'UUID version 7 of the current time, strictly increasing within a session';
COMMENT ON FUNCTION @extschema@.uuidv7(interval) IS
'UUID version 7 of the current time shifted by an interval, strictly increasing within a session while the shift stays the same';
COMMENT ON FUNCTION @extschema@.uuidv7_monotonic() IS
'UUID version 7 of the current time, strictly increasing over all sessions of the server while it is up';
COMMENT ON FUNCTION @extschema@.uuidv7_from_timestamp(timestamptz) IS
'UUID version 7 of an instant, with a random tail; pass an id for keys that must agree between nodes';
COMMENT ON FUNCTION @extschema@.uuidv7_from_timestamp(timestamptz, bigint) IS
'UUID version 7 derived from an instant and an id: the same on every node, ordered by (timestamp, id)';
COMMENT ON FUNCTION @extschema@.uuidv7_from_timestamp(timestamptz, bigint, text) IS
'UUID version 7 derived from an instant, an id and a salt, which separates tables and is not a secret';
COMMENT ON FUNCTION @extschema@.uuidv7_from_timestamp_hashed(timestamptz, bigint) IS
'UUID version 7 derived from an instant and the hash of a value: the same on every node, not reversible';
COMMENT ON FUNCTION @extschema@.uuidv7_from_timestamp_hashed(timestamptz, bigint, text) IS
'UUID version 7 derived from an instant and the salted hash of a value: the same on every node, not reversible';
COMMENT ON FUNCTION @extschema@.uuidv7_from_timestamp_hashed(timestamptz, uuid) IS
'UUID version 7 derived from an instant and the hash of a value: the same on every node, not reversible';
COMMENT ON FUNCTION @extschema@.uuidv7_from_timestamp_hashed(timestamptz, uuid, text) IS
'UUID version 7 derived from an instant and the salted hash of a value: the same on every node, not reversible';
COMMENT ON FUNCTION @extschema@.uuidv7_from_timestamp_hashed(timestamptz, text) IS
'UUID version 7 derived from an instant and the hash of a value: the same on every node, not reversible';
COMMENT ON FUNCTION @extschema@.uuidv7_from_timestamp_hashed(timestamptz, text, text) IS
'UUID version 7 derived from an instant and the salted hash of a value: the same on every node, not reversible';
COMMENT ON FUNCTION @extschema@.uuidv7_to_timestamp(uuid) IS
'instant of a version-7 UUID to the microsecond; NULL for other versions';
COMMENT ON FUNCTION @extschema@.uuidv7_to_id(uuid) IS
'id of a derived UUID version 7; NULL if the tag does not match; a decoder, not a proof of origin';
COMMENT ON FUNCTION @extschema@.uuidv7_to_id(uuid, text) IS
'id of a UUID version 7 derived with a salt; NULL if the tag does not match; a decoder, not a proof of origin';
COMMENT ON FUNCTION @extschema@.uuidv7_boundary(timestamptz) IS
'least UUID version 7 of an instant, for half-open ranges and partition bounds';
