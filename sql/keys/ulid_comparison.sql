-- Comparison and hashing: PostgreSQL's own functions for uuid, which compare and hash 16 bytes.
CREATE FUNCTION @extschema@.ulid_lt(@extschema@.ulid, @extschema@.ulid) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'uuid_lt';
CREATE FUNCTION @extschema@.ulid_le(@extschema@.ulid, @extschema@.ulid) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'uuid_le';
CREATE FUNCTION @extschema@.ulid_eq(@extschema@.ulid, @extschema@.ulid) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'uuid_eq';
CREATE FUNCTION @extschema@.ulid_ne(@extschema@.ulid, @extschema@.ulid) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'uuid_ne';
CREATE FUNCTION @extschema@.ulid_ge(@extschema@.ulid, @extschema@.ulid) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'uuid_ge';
CREATE FUNCTION @extschema@.ulid_gt(@extschema@.ulid, @extschema@.ulid) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'uuid_gt';
CREATE FUNCTION @extschema@.ulid_cmp(@extschema@.ulid, @extschema@.ulid) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'uuid_cmp';
CREATE FUNCTION @extschema@.ulid_hash(@extschema@.ulid) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'uuid_hash';
CREATE FUNCTION @extschema@.ulid_hash_extended(@extschema@.ulid, bigint) RETURNS bigint
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'uuid_hash_extended';
CREATE FUNCTION @extschema@.ulid_sortsupport(internal) RETURNS void
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'uuid_sortsupport';
CREATE FUNCTION @extschema@.ulid_brin_distance(internal, internal) RETURNS double precision
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'brin_minmax_multi_distance_uuid';

-- PostgreSQL 18 has skip scan, and a support function of uuid for it.
DO $$
BEGIN
    IF current_setting('server_version_num')::integer >= 180000 THEN
        CREATE FUNCTION @extschema@.ulid_skipsupport(internal) RETURNS void
            LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'uuid_skipsupport';
        COMMENT ON FUNCTION @extschema@.ulid_skipsupport(internal) IS 'skip support';
    END IF;
END
$$;

COMMENT ON FUNCTION @extschema@.ulid_lt(@extschema@.ulid, @extschema@.ulid) IS 'implementation of < operator';
COMMENT ON FUNCTION @extschema@.ulid_le(@extschema@.ulid, @extschema@.ulid) IS 'implementation of <= operator';
COMMENT ON FUNCTION @extschema@.ulid_eq(@extschema@.ulid, @extschema@.ulid) IS 'implementation of = operator';
COMMENT ON FUNCTION @extschema@.ulid_ne(@extschema@.ulid, @extschema@.ulid) IS 'implementation of <> operator';
COMMENT ON FUNCTION @extschema@.ulid_ge(@extschema@.ulid, @extschema@.ulid) IS 'implementation of >= operator';
COMMENT ON FUNCTION @extschema@.ulid_gt(@extschema@.ulid, @extschema@.ulid) IS 'implementation of > operator';
COMMENT ON FUNCTION @extschema@.ulid_cmp(@extschema@.ulid, @extschema@.ulid) IS 'less-equal-greater';
COMMENT ON FUNCTION @extschema@.ulid_hash(@extschema@.ulid) IS 'hash';
COMMENT ON FUNCTION @extschema@.ulid_hash_extended(@extschema@.ulid, bigint) IS 'hash with a 64-bit seed';
COMMENT ON FUNCTION @extschema@.ulid_sortsupport(internal) IS 'sort support';
COMMENT ON FUNCTION @extschema@.ulid_brin_distance(internal, internal) IS 'BRIN multi minmax distance';
