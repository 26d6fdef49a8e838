-- What the triggers cost a row that is inserted.

--! do
CREATE SCHEMA :schema;
CREATE TABLE :schema.orders (
    id bigserial PRIMARY KEY,
    customer_id bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    status text NOT NULL DEFAULT 'placed',
    total numeric(10, 2) NOT NULL,
    address text NOT NULL
);
CREATE TABLE :schema.audit (no bigserial PRIMARY KEY, order_id bigint NOT NULL, what text);
INSERT INTO :schema.orders (customer_id, created_at, total, address)
    SELECT i, '2025-01-01 00:00:00+00'::timestamptz + i * interval '1 ms', 10, 'a street'
    FROM generate_series(1, :orders) AS i;
--! do
ALTER TABLE given.orders ADD COLUMN id_new uuid;
ALTER TABLE given.audit ADD COLUMN order_id_new uuid;
-- What any trigger costs.
CREATE FUNCTION empty.empty() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER empty BEFORE INSERT ON empty.orders FOR EACH ROW EXECUTE FUNCTION empty.empty();
CREATE TRIGGER empty BEFORE INSERT ON empty.audit FOR EACH ROW EXECUTE FUNCTION empty.empty();
-- What people write by hand.
ALTER TABLE by_hand.orders ADD COLUMN id_new uuid;
ALTER TABLE by_hand.audit ADD COLUMN order_id_new uuid;
UPDATE by_hand.orders SET id_new = uuidv7_from_timestamp(created_at, id, 'by_hand.orders');
CREATE FUNCTION by_hand.fill_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.id_new IS NULL THEN
        NEW.id_new := public.key_migration_uuid(NEW.created_at, NEW.id, 'by_hand.orders');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER fill_key BEFORE INSERT ON by_hand.orders FOR EACH ROW EXECUTE FUNCTION by_hand.fill_key();
CREATE FUNCTION by_hand.fill_reference() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.order_id_new IS NULL AND NEW.order_id IS NOT NULL THEN
        SELECT coalesce(o.id_new, public.key_migration_uuid(o.created_at, o.id, 'by_hand.orders'))
        INTO NEW.order_id_new FROM by_hand.orders AS o WHERE o.id = NEW.order_id;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER fill_reference BEFORE INSERT ON by_hand.audit FOR EACH ROW EXECUTE FUNCTION by_hand.fill_reference();
SELECT key_migration_create('ours.orders');
SELECT key_migration_add_reference('ours.orders', 'ours.audit', '{order_id}');
CALL key_migration_advance('ours.orders', through => 'backfilled');
--! do
-- Where rows have been updated there is room between others, and to look for it is no matter of triggers.
VACUUM FULL :schema.orders;
VACUUM ANALYZE :schema.orders;
--! do
VACUUM pg_statistic;
CHECKPOINT;

--! run
--! do
-- Each time, although rows of the last one are few.
VACUUM (INDEX_CLEANUP ON) :schema.orders;
BEGIN;
--! time :schema.orders
INSERT INTO :schema.orders (customer_id, created_at, total, address:id)
    SELECT i, '2025-01-01 00:00:00+00'::timestamptz + i * interval '1 ms', 10, 'a street':key
    FROM generate_series(1, :rows) AS i;
--! check
SELECT count(:filled_id) = :rows FROM :schema.orders WHERE id > :orders;
--! do
ROLLBACK;

--! run
--! do
VACUUM (INDEX_CLEANUP ON) :schema.audit;
BEGIN;
--! time :schema.audit
INSERT INTO :schema.audit (order_id, what:ref)
    SELECT (i - 1) / 3 + 1, 'placed':key FROM generate_series(1, :rows) AS i;
--! check
SELECT count(:filled_ref) = :rows FROM :schema.audit;
--! do
ROLLBACK;

--! run
--! do
VACUUM (INDEX_CLEANUP ON) :schema.audit;
BEGIN;
--! time :schema.shuffled
-- By a prime, which is no divisor of the number of orders.
INSERT INTO :schema.audit (order_id, what:ref)
    SELECT i::bigint * 7919 % :orders + 1, 'placed':key FROM generate_series(1, :rows) AS i;
--! check
SELECT count(:filled_ref) = :rows FROM :schema.audit;
--! do
ROLLBACK;

-- What a query takes to find the orders that audit rows refer to.
--! run
--! time found.audit
SELECT count((SELECT o.created_at FROM ours.orders AS o WHERE o.id = x.order_id))
FROM (SELECT (i - 1) / 3 + 1 AS order_id FROM generate_series(1, :rows) AS i OFFSET 0) AS x;
--! time not_looked_up.audit
SELECT count(x.order_id)
FROM (SELECT (i - 1) / 3 + 1 AS order_id FROM generate_series(1, :rows) AS i OFFSET 0) AS x;

--! run
--! time found.shuffled
SELECT count((SELECT o.created_at FROM ours.orders AS o WHERE o.id = x.order_id))
FROM (SELECT i::bigint * 7919 % :orders + 1 AS order_id FROM generate_series(1, :rows) AS i OFFSET 0) AS x;
--! time not_looked_up.shuffled
SELECT count(x.order_id)
FROM (SELECT i::bigint * 7919 % :orders + 1 AS order_id FROM generate_series(1, :rows) AS i OFFSET 0) AS x;
