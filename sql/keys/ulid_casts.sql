-- All casts are explicit. An implicit one would let ulid and uuid be mixed unnoticed, and make
-- max(ulid) ambiguous. Casts to and from text use the type's own text form. A version-7 UUID keeps
-- its time order as a ULID, but a ULID cast to uuid is not a version-7 UUID.
CREATE CAST (@extschema@.ulid AS uuid) WITHOUT FUNCTION;
CREATE CAST (uuid AS @extschema@.ulid) WITHOUT FUNCTION;
CREATE CAST (@extschema@.ulid AS bytea) WITH FUNCTION @extschema@.ulid_send(@extschema@.ulid);
CREATE CAST (bytea AS @extschema@.ulid) WITH FUNCTION @extschema@.ulid_from_bytea(bytea);
CREATE CAST (@extschema@.ulid AS timestamptz) WITH FUNCTION @extschema@.ulid_to_timestamp(@extschema@.ulid);

COMMENT ON FUNCTION @extschema@.ulid_from_bytea(bytea) IS 'ulid from 16 bytes';
COMMENT ON CAST (@extschema@.ulid AS uuid) IS 'the same 128 bits; not a version-7 UUID';
COMMENT ON CAST (uuid AS @extschema@.ulid) IS 'the same 128 bits';
COMMENT ON CAST (@extschema@.ulid AS bytea) IS 'the 16 bytes, big-endian';
COMMENT ON CAST (bytea AS @extschema@.ulid) IS 'ulid from 16 bytes, big-endian';
COMMENT ON CAST (@extschema@.ulid AS timestamptz) IS 'the instant, as returned by ulid_to_timestamp';
