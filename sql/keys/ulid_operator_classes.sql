-- Indexes on ulid. The families have the same members as those of uuid, so indexes and sorts run
-- the same code.
CREATE OPERATOR FAMILY @extschema@.ulid_ops USING btree;
CREATE OPERATOR CLASS @extschema@.ulid_ops DEFAULT FOR TYPE @extschema@.ulid USING btree FAMILY @extschema@.ulid_ops AS
    OPERATOR 1 @extschema@.<,
    OPERATOR 2 @extschema@.<=,
    OPERATOR 3 @extschema@.=,
    OPERATOR 4 @extschema@.>=,
    OPERATOR 5 @extschema@.>,
    FUNCTION 1 @extschema@.ulid_cmp(@extschema@.ulid, @extschema@.ulid),
    FUNCTION 2 @extschema@.ulid_sortsupport(internal),
    FUNCTION 4 btequalimage(oid);

-- Without this, a btree on PostgreSQL 18 answers "WHERE second_column = ..." by a full scan. A
-- cluster that pg_upgrade has brought to PostgreSQL 18 can run the same statement.
DO $$
BEGIN
    IF current_setting('server_version_num')::integer >= 180000 THEN
        ALTER OPERATOR FAMILY @extschema@.ulid_ops USING btree
            ADD FUNCTION 6 (@extschema@.ulid, @extschema@.ulid) @extschema@.ulid_skipsupport(internal);
    END IF;
END
$$;

CREATE OPERATOR FAMILY @extschema@.ulid_ops USING hash;
CREATE OPERATOR CLASS @extschema@.ulid_ops DEFAULT FOR TYPE @extschema@.ulid USING hash FAMILY @extschema@.ulid_ops AS
    OPERATOR 1 @extschema@.=,
    FUNCTION 1 @extschema@.ulid_hash(@extschema@.ulid),
    FUNCTION 2 @extschema@.ulid_hash_extended(@extschema@.ulid, bigint);

CREATE OPERATOR FAMILY @extschema@.ulid_minmax_ops USING brin;
CREATE OPERATOR CLASS @extschema@.ulid_minmax_ops DEFAULT FOR TYPE @extschema@.ulid USING brin FAMILY @extschema@.ulid_minmax_ops AS
    OPERATOR 1 @extschema@.<,
    OPERATOR 2 @extschema@.<=,
    OPERATOR 3 @extschema@.=,
    OPERATOR 4 @extschema@.>=,
    OPERATOR 5 @extschema@.>,
    FUNCTION 1 brin_minmax_opcinfo(internal),
    FUNCTION 2 brin_minmax_add_value(internal, internal, internal, internal),
    FUNCTION 3 brin_minmax_consistent(internal, internal, internal),
    FUNCTION 4 brin_minmax_union(internal, internal, internal);

CREATE OPERATOR FAMILY @extschema@.ulid_minmax_multi_ops USING brin;
CREATE OPERATOR CLASS @extschema@.ulid_minmax_multi_ops FOR TYPE @extschema@.ulid USING brin FAMILY @extschema@.ulid_minmax_multi_ops AS
    OPERATOR 1 @extschema@.<,
    OPERATOR 2 @extschema@.<=,
    OPERATOR 3 @extschema@.=,
    OPERATOR 4 @extschema@.>=,
    OPERATOR 5 @extschema@.>,
    FUNCTION 1 brin_minmax_multi_opcinfo(internal),
    FUNCTION 2 brin_minmax_multi_add_value(internal, internal, internal, internal),
    FUNCTION 3 brin_minmax_multi_consistent(internal, internal, internal, integer),
    FUNCTION 4 brin_minmax_multi_union(internal, internal, internal),
    FUNCTION 5 brin_minmax_multi_options(internal),
    FUNCTION 11 @extschema@.ulid_brin_distance(internal, internal);

CREATE OPERATOR FAMILY @extschema@.ulid_bloom_ops USING brin;
CREATE OPERATOR CLASS @extschema@.ulid_bloom_ops FOR TYPE @extschema@.ulid USING brin FAMILY @extschema@.ulid_bloom_ops AS
    OPERATOR 1 @extschema@.=,
    FUNCTION 1 brin_bloom_opcinfo(internal),
    FUNCTION 2 brin_bloom_add_value(internal, internal, internal, internal),
    FUNCTION 3 brin_bloom_consistent(internal, internal, internal, integer),
    FUNCTION 4 brin_bloom_union(internal, internal, internal),
    FUNCTION 5 brin_bloom_options(internal),
    FUNCTION 11 @extschema@.ulid_hash(@extschema@.ulid);

COMMENT ON OPERATOR FAMILY @extschema@.ulid_ops USING btree IS 'order of ulid values';
COMMENT ON OPERATOR FAMILY @extschema@.ulid_ops USING hash IS 'hash of ulid values';
COMMENT ON OPERATOR FAMILY @extschema@.ulid_minmax_ops USING brin IS 'least and greatest ulid of a block range';
COMMENT ON OPERATOR FAMILY @extschema@.ulid_minmax_multi_ops USING brin IS 'several ranges of ulid per block range';
COMMENT ON OPERATOR FAMILY @extschema@.ulid_bloom_ops USING brin IS 'Bloom filter of the ulid values of a block range';
COMMENT ON OPERATOR CLASS @extschema@.ulid_ops USING btree IS 'order of ulid values';
COMMENT ON OPERATOR CLASS @extschema@.ulid_ops USING hash IS 'hash of ulid values';
COMMENT ON OPERATOR CLASS @extschema@.ulid_minmax_ops USING brin IS 'least and greatest ulid of a block range';
COMMENT ON OPERATOR CLASS @extschema@.ulid_minmax_multi_ops USING brin IS 'several ranges of ulid per block range';
COMMENT ON OPERATOR CLASS @extschema@.ulid_bloom_ops USING brin IS 'Bloom filter of the ulid values of a block range';
