-- The same functions for timestamp and date, which are not instants until the time zone is known.
-- Without these forms, both would be cast to timestamptz in the session's time zone, and the key
-- would depend on the session.
CREATE FUNCTION @extschema@.ulid_from_timestamp(ts timestamp) RETURNS @extschema@.ulid
    LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'keys_need_an_instant_wrapper';
CREATE FUNCTION @extschema@.ulid_from_timestamp(ts timestamp, id bigint) RETURNS @extschema@.ulid
    LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'keys_need_an_instant_wrapper';
CREATE FUNCTION @extschema@.ulid_from_timestamp(ts timestamp, id bigint, salt text) RETURNS @extschema@.ulid
    LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'keys_need_an_instant_wrapper';
CREATE FUNCTION @extschema@.ulid_from_timestamp_hashed(ts timestamp, value bigint) RETURNS @extschema@.ulid
    LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'keys_need_an_instant_wrapper';
CREATE FUNCTION @extschema@.ulid_from_timestamp_hashed(ts timestamp, value bigint, salt text) RETURNS @extschema@.ulid
    LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'keys_need_an_instant_wrapper';
CREATE FUNCTION @extschema@.ulid_from_timestamp_hashed(ts timestamp, value uuid) RETURNS @extschema@.ulid
    LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'keys_need_an_instant_wrapper';
CREATE FUNCTION @extschema@.ulid_from_timestamp_hashed(ts timestamp, value uuid, salt text) RETURNS @extschema@.ulid
    LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'keys_need_an_instant_wrapper';
CREATE FUNCTION @extschema@.ulid_from_timestamp_hashed(ts timestamp, value text) RETURNS @extschema@.ulid
    LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'keys_need_an_instant_wrapper';
CREATE FUNCTION @extschema@.ulid_from_timestamp_hashed(ts timestamp, value text, salt text) RETURNS @extschema@.ulid
    LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'keys_need_an_instant_wrapper';
CREATE FUNCTION @extschema@.ulid_boundary(ts timestamp) RETURNS @extschema@.ulid
    LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'keys_need_an_instant_wrapper';
CREATE FUNCTION @extschema@.ulid_from_timestamp(ts date) RETURNS @extschema@.ulid
    LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'keys_need_an_instant_wrapper';
CREATE FUNCTION @extschema@.ulid_from_timestamp(ts date, id bigint) RETURNS @extschema@.ulid
    LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'keys_need_an_instant_wrapper';
CREATE FUNCTION @extschema@.ulid_from_timestamp(ts date, id bigint, salt text) RETURNS @extschema@.ulid
    LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'keys_need_an_instant_wrapper';
CREATE FUNCTION @extschema@.ulid_from_timestamp_hashed(ts date, value bigint) RETURNS @extschema@.ulid
    LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'keys_need_an_instant_wrapper';
CREATE FUNCTION @extschema@.ulid_from_timestamp_hashed(ts date, value bigint, salt text) RETURNS @extschema@.ulid
    LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'keys_need_an_instant_wrapper';
CREATE FUNCTION @extschema@.ulid_from_timestamp_hashed(ts date, value uuid) RETURNS @extschema@.ulid
    LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'keys_need_an_instant_wrapper';
CREATE FUNCTION @extschema@.ulid_from_timestamp_hashed(ts date, value uuid, salt text) RETURNS @extschema@.ulid
    LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'keys_need_an_instant_wrapper';
CREATE FUNCTION @extschema@.ulid_from_timestamp_hashed(ts date, value text) RETURNS @extschema@.ulid
    LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'keys_need_an_instant_wrapper';
CREATE FUNCTION @extschema@.ulid_from_timestamp_hashed(ts date, value text, salt text) RETURNS @extschema@.ulid
    LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'keys_need_an_instant_wrapper';
CREATE FUNCTION @extschema@.ulid_boundary(ts date) RETURNS @extschema@.ulid
    LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME', 'keys_need_an_instant_wrapper';

COMMENT ON FUNCTION @extschema@.ulid_from_timestamp(timestamp) IS
'error: a key needs an instant; use AT TIME ZONE';
COMMENT ON FUNCTION @extschema@.ulid_from_timestamp(timestamp, bigint) IS
'error: a key needs an instant; use AT TIME ZONE';
COMMENT ON FUNCTION @extschema@.ulid_from_timestamp(timestamp, bigint, text) IS
'error: a key needs an instant; use AT TIME ZONE';
COMMENT ON FUNCTION @extschema@.ulid_from_timestamp_hashed(timestamp, bigint) IS
'error: a key needs an instant; use AT TIME ZONE';
COMMENT ON FUNCTION @extschema@.ulid_from_timestamp_hashed(timestamp, bigint, text) IS
'error: a key needs an instant; use AT TIME ZONE';
COMMENT ON FUNCTION @extschema@.ulid_from_timestamp_hashed(timestamp, uuid) IS
'error: a key needs an instant; use AT TIME ZONE';
COMMENT ON FUNCTION @extschema@.ulid_from_timestamp_hashed(timestamp, uuid, text) IS
'error: a key needs an instant; use AT TIME ZONE';
COMMENT ON FUNCTION @extschema@.ulid_from_timestamp_hashed(timestamp, text) IS
'error: a key needs an instant; use AT TIME ZONE';
COMMENT ON FUNCTION @extschema@.ulid_from_timestamp_hashed(timestamp, text, text) IS
'error: a key needs an instant; use AT TIME ZONE';
COMMENT ON FUNCTION @extschema@.ulid_boundary(timestamp) IS
'error: a key needs an instant; use AT TIME ZONE';
COMMENT ON FUNCTION @extschema@.ulid_from_timestamp(date) IS
'error: a key needs an instant; use AT TIME ZONE';
COMMENT ON FUNCTION @extschema@.ulid_from_timestamp(date, bigint) IS
'error: a key needs an instant; use AT TIME ZONE';
COMMENT ON FUNCTION @extschema@.ulid_from_timestamp(date, bigint, text) IS
'error: a key needs an instant; use AT TIME ZONE';
COMMENT ON FUNCTION @extschema@.ulid_from_timestamp_hashed(date, bigint) IS
'error: a key needs an instant; use AT TIME ZONE';
COMMENT ON FUNCTION @extschema@.ulid_from_timestamp_hashed(date, bigint, text) IS
'error: a key needs an instant; use AT TIME ZONE';
COMMENT ON FUNCTION @extschema@.ulid_from_timestamp_hashed(date, uuid) IS
'error: a key needs an instant; use AT TIME ZONE';
COMMENT ON FUNCTION @extschema@.ulid_from_timestamp_hashed(date, uuid, text) IS
'error: a key needs an instant; use AT TIME ZONE';
COMMENT ON FUNCTION @extschema@.ulid_from_timestamp_hashed(date, text) IS
'error: a key needs an instant; use AT TIME ZONE';
COMMENT ON FUNCTION @extschema@.ulid_from_timestamp_hashed(date, text, text) IS
'error: a key needs an instant; use AT TIME ZONE';
COMMENT ON FUNCTION @extschema@.ulid_boundary(date) IS
'error: a key needs an instant; use AT TIME ZONE';
