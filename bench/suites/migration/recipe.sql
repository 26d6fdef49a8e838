-- The recipe that is usual, but for its batches.

--! columns
ALTER TABLE orders ADD COLUMN id_new uuid;
ALTER TABLE audit ADD COLUMN order_id_new uuid;
ALTER TABLE audit_shuffled ADD COLUMN order_id_new uuid;

--! indexes
CREATE UNIQUE INDEX CONCURRENTLY orders_pkey_new ON orders (id_new) INCLUDE (total);
CREATE INDEX CONCURRENTLY audit_order_id_idx_new ON audit (order_id_new);
CREATE INDEX CONCURRENTLY audit_shuffled_order_id_idx_new ON audit_shuffled (order_id_new);

--! lock
-- One short transaction, as the article describes it, without a lock timeout.
BEGIN;
LOCK TABLE orders, audit, audit_shuffled IN ACCESS EXCLUSIVE MODE;

--! exchange
ALTER TABLE orders RENAME COLUMN id TO id_old;
ALTER TABLE orders RENAME COLUMN id_new TO id;
ALTER TABLE orders ALTER COLUMN id SET DEFAULT uuidv7();
ALTER TABLE audit RENAME COLUMN order_id TO order_id_old;
ALTER TABLE audit RENAME COLUMN order_id_new TO order_id;
ALTER TABLE audit ALTER COLUMN order_id_old DROP NOT NULL;
ALTER TABLE audit_shuffled RENAME COLUMN order_id TO order_id_old;
ALTER TABLE audit_shuffled RENAME COLUMN order_id_new TO order_id;
ALTER TABLE audit_shuffled ALTER COLUMN order_id_old DROP NOT NULL;
