-- Derives the same keys as pg_keyspace on a server that cannot install it: PostgreSQL 14 or later,
-- SQL and PL/pgSQL, no other extension, no special privilege.
--
-- Run it after SET search_path = SCHEMA, with the schema that the functions are to be in; they keep
-- this search_path. Those whose names do not begin with keyspace have the names that they have in
-- the extension, so drop them before you install it in the same schema. The type ulid does not exist
-- here: the functions for it return text, which sorts as the keys do in collation "C".
--
-- bigint has 64 bits and a sign, as integer operations need it, except that PostgreSQL refuses sums
-- that overflow and shifts to the right keep the sign. Operators without parentheses would be
-- evaluated from left to right.

-- SipHash-2-4 with one word of output, or with two.
CREATE FUNCTION keyspace_siphash(salt text, message bytea, is_long boolean) RETURNS bigint[]
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    half CONSTANT bigint := 4294967295;
    -- A round: to which word which one is added, by how many bits this one is rotated before it is
    -- combined with the sum, and by how many the sum.
    steps CONSTANT int[] := ARRAY[[1, 2, 13, 32], [3, 4, 16, 0], [1, 4, 21, 0], [3, 2, 17, 32]];
    key CONSTANT bytea := sha256('pg_keyspace derived key v1\000'::bytea || convert_to(salt, 'UTF8'));
    padded CONSTANT bytea := message || decode(repeat('00', 7 - length(message) % 8)
        || lpad(to_hex(length(message) & 255), 2, '0'), 'hex');
    count CONSTANT int := length(padded) / 8;
    k bigint[] := '{0, 0}';
    v bigint[];
    word bigint;
    low bigint;
    step int[];
    s int;
    a int;
    result bigint[] := '{}';
BEGIN
    FOR i IN 0..15 LOOP
        k[i / 8 + 1] := k[i / 8 + 1] | (get_byte(key, i)::bigint << (i % 8 * 8));
    END LOOP;
    v := ARRAY[k[1] # x'736f6d6570736575'::bigint,
               k[2] # x'646f72616e646f6d'::bigint # CASE WHEN is_long THEN 238 ELSE 0 END,
               k[1] # x'6c7967656e657261'::bigint,
               k[2] # x'7465646279746573'::bigint];
    -- The words of the message, the end, and in the long form a second end.
    FOR at IN 0..count + is_long::int LOOP
        word := 0;
        IF at < count THEN
            FOR i IN 0..7 LOOP
                word := word | (get_byte(padded, at * 8 + i)::bigint << (i * 8));
            END LOOP;
            v[4] := v[4] # word;
        ELSIF at = count THEN
            v[3] := v[3] # CASE WHEN is_long THEN 238 ELSE 255 END;
        ELSE
            v[2] := v[2] # 221;
        END IF;
        FOR round IN 1..CASE WHEN at < count THEN 2 ELSE 4 END LOOP
            FOREACH step SLICE 1 IN ARRAY steps LOOP
                s := step[1];
                a := step[2];
                low := (v[s] & half) + (v[a] & half);
                v[s] := (((v[s] >> 32) + (v[a] >> 32) + (low >> 32)) << 32) | (low & half);
                v[a] := ((v[a] << step[3]) | ((v[a] >> (64 - step[3])) & ((1 << step[3]) - 1))) # v[s];
                IF step[4] = 32 THEN
                    v[s] := (v[s] << 32) | ((v[s] >> 32) & half);
                END IF;
            END LOOP;
        END LOOP;
        IF at < count THEN
            v[1] := v[1] # word;
        ELSE
            result := result || (v[1] # v[2] # v[3] # v[4]);
        END IF;
    END LOOP;
    RETURN result;
END $$;

-- Microseconds since 1970.
CREATE FUNCTION keyspace_micros(ts timestamptz) RETURNS bigint
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    IF NOT ts BETWEEN '1970-01-01 00:00:00+00' AND '10889-08-02 05:31:50.655999+00' THEN
        RAISE datetime_field_overflow USING MESSAGE = 'timestamp is out of range for a key';
    END IF;
    RETURN extract(epoch FROM ts) * 1000000;
END $$;

-- The part of a derived key that is not the id, at the upper end of a word.
CREATE FUNCTION keyspace_tag(ts timestamptz, id bigint, salt text) RETURNS bigint
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    IF NOT id BETWEEN 0 AND 4398046511103 THEN
        RAISE numeric_value_out_of_range USING MESSAGE = 'id is out of range for a derived key',
            HINT = 'Use the hashed form.';
    END IF;
    RETURN (keyspace_siphash(salt, int8send(keyspace_micros(ts)) || int8send(id), false))[1];
END $$;

-- The key of an instant and a tail, of which a UUID takes 62 bits of low, and a ULID 4 of high, too.
CREATE FUNCTION keyspace_uuid(ts timestamptz, low bigint) RETURNS uuid
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT encode(int8send((micros / 1000 << 16) | (7 << 12) | (micros % 1000 * 4096 / 1000))
        || int8send((1::bigint << 63) | low), 'hex')::uuid
    FROM keyspace_micros(ts) AS micros
$$;

CREATE FUNCTION keyspace_ulid(ts timestamptz, high bigint, low bigint) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT string_agg(substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ',
        substr(bits, at * 5 + 1, 5)::bit(5)::int + 1, 1), '' ORDER BY at)
    FROM keyspace_micros(ts) AS micros, generate_series(0, 25) AS at,
        concat('00', ((micros / 1000 << 16) | (micros % 1000 * 4096 / 1000 << 4) | high)::bit(64),
            low::bit(64)) AS bits
$$;

CREATE FUNCTION uuidv7_from_timestamp(ts timestamptz, id bigint, salt text DEFAULT '') RETURNS uuid
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path FROM CURRENT AS $$
    SELECT keyspace_uuid(ts, (id << 20) | ((keyspace_tag(ts, id, salt) >> 44) & x'fffff'::bigint))
$$;

-- The id and the tag have 68 bits: four of them are in the upper half.
CREATE FUNCTION ulid_from_timestamp(ts timestamptz, id bigint, salt text DEFAULT '') RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path FROM CURRENT AS $$
    SELECT keyspace_ulid(ts, id >> 38,
        (id << 26) | ((keyspace_tag(ts, id, salt) >> 38) & x'3ffffff'::bigint))
$$;

-- The hashed forms take the type of the value as its number (1 bigint, 2 uuid, 3 text), and its
-- bytes.
CREATE FUNCTION keyspace_uuid_hashed(ts timestamptz, type bytea, value bytea, salt text) RETURNS uuid
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT keyspace_uuid(ts, (word[1] >> 2) & ((1::bigint << 62) - 1))
    FROM keyspace_siphash(salt, type || int8send(keyspace_micros(ts)) || value, true) AS word
$$;

CREATE FUNCTION keyspace_ulid_hashed(ts timestamptz, type bytea, value bytea, salt text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT keyspace_ulid(ts, (word[1] >> 60) & 15, (word[1] << 4) | ((word[2] >> 60) & 15))
    FROM keyspace_siphash(salt, type || int8send(keyspace_micros(ts)) || value, true) AS word
$$;

CREATE FUNCTION uuidv7_from_timestamp_hashed(ts timestamptz, value bigint, salt text DEFAULT '') RETURNS uuid
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path FROM CURRENT AS $$
    SELECT keyspace_uuid_hashed(ts, '\x01', int8send(value), salt)
$$;
CREATE FUNCTION uuidv7_from_timestamp_hashed(ts timestamptz, value uuid, salt text DEFAULT '') RETURNS uuid
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path FROM CURRENT AS $$
    SELECT keyspace_uuid_hashed(ts, '\x02', uuid_send(value), salt)
$$;
CREATE FUNCTION uuidv7_from_timestamp_hashed(ts timestamptz, value text, salt text DEFAULT '') RETURNS uuid
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path FROM CURRENT AS $$
    SELECT keyspace_uuid_hashed(ts, '\x03', convert_to(value, 'UTF8'), salt)
$$;
CREATE FUNCTION ulid_from_timestamp_hashed(ts timestamptz, value bigint, salt text DEFAULT '') RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path FROM CURRENT AS $$
    SELECT keyspace_ulid_hashed(ts, '\x01', int8send(value), salt)
$$;
CREATE FUNCTION ulid_from_timestamp_hashed(ts timestamptz, value uuid, salt text DEFAULT '') RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path FROM CURRENT AS $$
    SELECT keyspace_ulid_hashed(ts, '\x02', uuid_send(value), salt)
$$;
CREATE FUNCTION ulid_from_timestamp_hashed(ts timestamptz, value text, salt text DEFAULT '') RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path FROM CURRENT AS $$
    SELECT keyspace_ulid_hashed(ts, '\x03', convert_to(value, 'UTF8'), salt)
$$;
