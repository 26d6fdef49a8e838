-- psql. A statement that fails ends it.
\set ON_ERROR_STOP on

-- Stores a uuid, and shows a ULID.
CREATE FUNCTION shown(id uuid) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE RETURN id::ulid::text;
CREATE FUNCTION stored(id text) RETURNS uuid
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE RETURN id::ulid::uuid;

INSERT INTO invoice (total) VALUES (1) RETURNING shown(id) AS key \gset
SELECT total FROM invoice WHERE id = stored(:'key') \gset
SELECT length(:'key') = 26 AND :'total' = '1' AS ok \gset
\if :ok
\else
    SELECT 'invoice'::int;
\endif

-- A key in a variable.
INSERT INTO payment (amount) VALUES (1) RETURNING id AS key \gset
SELECT amount FROM payment WHERE id = :'key' \gset
SELECT :'amount' = '1' AND :'key' = upper(lower(:'key')) AS ok \gset
\if :ok
\else
    SELECT 'payment'::int;
\endif

-- Many rows: the default makes the keys, or the file has them.
\copy payment (amount) FROM PROGRAM 'seq 1000'
CREATE TABLE restored (LIKE payment INCLUDING ALL);
\copy payment TO 'payment.copy' (FORMAT binary)
\copy restored FROM 'payment.copy' (FORMAT binary)
SELECT count(*) = 1001 AND NOT EXISTS (TABLE payment EXCEPT TABLE restored) AS ok FROM restored \gset
\if :ok
\else
    SELECT 'restored'::int;
\endif
SELECT bool_and(no % 2 = 0) AS ok FROM (SELECT partitioned_nextval('ticket_no') AS no FROM generate_series(1, 3)) AS drawn \gset
\if :ok
\else
    SELECT 'ticket_no'::int;
\endif
INSERT INTO item (name) VALUES ('a'), ('b');
SELECT bool_and(id % 2 = 0) AS ok FROM item \gset
\if :ok
\else
    SELECT 'item'::int;
\endif
\echo tested: psql :VERSION_NAME
