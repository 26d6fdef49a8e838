-- Region A has the central sequences. A client that fetches ids by the block counts through 1,000 of them.
--! a
CREATE SEQUENCE central_id;
CREATE SEQUENCE cached_id CACHE 1000;
CREATE SEQUENCE hi_lo_id INCREMENT 1000;

-- Region B is node 2 of 2, and inserts into a table for each way to get a key.
--! b
CREATE SEQUENCE partitioned_id;
CREATE TABLE rest_of_a_row (
    customer integer NOT NULL,
    total numeric(12, 2) NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE orders_central (id bigint PRIMARY KEY, LIKE rest_of_a_row INCLUDING DEFAULTS);
CREATE TABLE orders_cached (id bigint PRIMARY KEY, LIKE rest_of_a_row INCLUDING DEFAULTS);
CREATE TABLE orders_hi_lo (id bigint PRIMARY KEY, LIKE rest_of_a_row INCLUDING DEFAULTS);
CREATE TABLE orders_uuidv7 (id uuid PRIMARY KEY DEFAULT public.uuidv7(), LIKE rest_of_a_row INCLUDING DEFAULTS);
CREATE TABLE orders_ulid (id ulid PRIMARY KEY DEFAULT ulid(), LIKE rest_of_a_row INCLUDING DEFAULTS);
CREATE TABLE orders_interleaved (id bigserial PRIMARY KEY, LIKE rest_of_a_row INCLUDING DEFAULTS);
CREATE TABLE orders_partitioned (
    id bigint PRIMARY KEY DEFAULT partitioned_nextval('partitioned_id'),
    LIKE rest_of_a_row INCLUDING DEFAULTS
);
SELECT count(*) FROM setup_interleaved_sequences(2, 2, exclude => '{partitioned_id}');
