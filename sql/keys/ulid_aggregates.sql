-- min and max, answered from an index if there is one.
CREATE FUNCTION @extschema@.ulid_smaller(@extschema@.ulid, @extschema@.ulid) RETURNS @extschema@.ulid
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'keyspace_ulid_smaller';
CREATE FUNCTION @extschema@.ulid_larger(@extschema@.ulid, @extschema@.ulid) RETURNS @extschema@.ulid
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'keyspace_ulid_larger';
CREATE AGGREGATE @extschema@.min(@extschema@.ulid) (
    SFUNC = @extschema@.ulid_smaller, STYPE = @extschema@.ulid,
    COMBINEFUNC = @extschema@.ulid_smaller, SORTOP = OPERATOR(@extschema@.<), PARALLEL = SAFE
);
CREATE AGGREGATE @extschema@.max(@extschema@.ulid) (
    SFUNC = @extschema@.ulid_larger, STYPE = @extschema@.ulid,
    COMBINEFUNC = @extschema@.ulid_larger, SORTOP = OPERATOR(@extschema@.>), PARALLEL = SAFE
);

COMMENT ON FUNCTION @extschema@.ulid_smaller(@extschema@.ulid, @extschema@.ulid) IS 'smaller of two';
COMMENT ON FUNCTION @extschema@.ulid_larger(@extschema@.ulid, @extschema@.ulid) IS 'larger of two';
COMMENT ON AGGREGATE @extschema@.min(@extschema@.ulid) IS 'minimum of all ulid input values';
COMMENT ON AGGREGATE @extschema@.max(@extschema@.ulid) IS 'maximum of all ulid input values';
