-- Keys as functions make them that people find on the web and paste into a migration, in their manner.
CREATE FUNCTION pasted_uuidv7_sql() RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
    SELECT (lpad(to_hex(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0')
            || '7' || substr(r, 14, 3) || substr(r, 17))::uuid
    FROM (SELECT replace(gen_random_uuid()::text, '-', '') AS r) AS random
$$;

CREATE FUNCTION pasted_uuidv7_plpgsql() RETURNS uuid LANGUAGE plpgsql VOLATILE PARALLEL SAFE AS $$
DECLARE
    ms bigint := floor(extract(epoch FROM clock_timestamp()) * 1000);
    key bytea := uuid_send(gen_random_uuid());
BEGIN
    FOR i IN 0..5 LOOP
        key := set_byte(key, i, (ms >> (40 - 8 * i))::bit(8)::integer);
    END LOOP;
    key := set_byte(key, 6, 112 | (get_byte(key, 6) & 15));
    RETURN encode(key, 'hex')::uuid;
END
$$;

CREATE FUNCTION pasted_ulid_plpgsql() RETURNS text LANGUAGE plpgsql VOLATILE PARALLEL SAFE AS $$
DECLARE
    alphabet constant text := '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
    ms bigint := floor(extract(epoch FROM clock_timestamp()) * 1000);
    random bytea := uuid_send(gen_random_uuid());
    result text := '';
BEGIN
    FOR i IN REVERSE 9..0 LOOP
        result := result || substr(alphabet, ((ms >> (5 * i)) & 31)::integer + 1, 1);
    END LOOP;
    FOR i IN 0..15 LOOP
        result := result || substr(alphabet, (get_byte(random, i) & 31) + 1, 1);
    END LOOP;
    RETURN result;
END
$$;
