-- The shop with integer ids, and the recipe that is usual for them.

--! do
DROP TABLE audit_shuffled;
ALTER TABLE audit DROP CONSTRAINT audit_order_id_fkey;
ALTER TABLE orders ALTER COLUMN id TYPE integer;
ALTER TABLE audit ALTER COLUMN order_id TYPE integer;
ALTER SEQUENCE orders_id_seq AS integer;
ALTER TABLE audit ADD CONSTRAINT audit_order_id_fkey FOREIGN KEY (order_id) REFERENCES orders;

--! columns
ALTER TABLE orders ADD COLUMN id_new bigint;
ALTER TABLE audit ADD COLUMN order_id_new bigint;
CREATE FUNCTION copy_id() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.id_new := NEW.id; RETURN NEW; END $$;
CREATE FUNCTION copy_order_id() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.order_id_new := NEW.order_id; RETURN NEW; END $$;
CREATE TRIGGER copy_id BEFORE INSERT OR UPDATE OF id ON orders FOR EACH ROW EXECUTE FUNCTION copy_id();
CREATE TRIGGER copy_order_id BEFORE INSERT OR UPDATE OF order_id ON audit FOR EACH ROW EXECUTE FUNCTION copy_order_id();

--! indexes
CREATE UNIQUE INDEX CONCURRENTLY orders_pkey_new ON orders (id_new);
CREATE INDEX CONCURRENTLY audit_order_id_idx_new ON audit (order_id_new);
ALTER TABLE orders ADD CONSTRAINT id_filled CHECK (id_new IS NOT NULL) NOT VALID;
ALTER TABLE orders VALIDATE CONSTRAINT id_filled;
ALTER TABLE orders ALTER COLUMN id_new SET NOT NULL;
ALTER TABLE orders DROP CONSTRAINT id_filled;
ALTER TABLE audit ADD CONSTRAINT order_id_filled CHECK (order_id_new IS NOT NULL) NOT VALID;
ALTER TABLE audit VALIDATE CONSTRAINT order_id_filled;
ALTER TABLE audit ALTER COLUMN order_id_new SET NOT NULL;
ALTER TABLE audit DROP CONSTRAINT order_id_filled;
ALTER TABLE audit ADD CONSTRAINT audit_order_id_fkey_new FOREIGN KEY (order_id_new) REFERENCES orders (id_new) NOT VALID;
ALTER TABLE audit VALIDATE CONSTRAINT audit_order_id_fkey_new;
ANALYZE orders, audit;

--! lock
BEGIN;
LOCK TABLE orders, audit IN ACCESS EXCLUSIVE MODE;

--! exchange
DROP TRIGGER copy_id ON orders;
DROP TRIGGER copy_order_id ON audit;
ALTER SEQUENCE orders_id_seq AS bigint OWNED BY orders.id_new;
ALTER TABLE orders ALTER COLUMN id DROP DEFAULT;
ALTER TABLE orders ALTER COLUMN id_new SET DEFAULT nextval('orders_id_seq');
ALTER TABLE audit DROP CONSTRAINT audit_order_id_fkey;
ALTER TABLE orders DROP CONSTRAINT orders_pkey;
ALTER TABLE orders ALTER COLUMN id DROP NOT NULL;
ALTER TABLE audit ALTER COLUMN order_id DROP NOT NULL;
ALTER TABLE orders RENAME COLUMN id TO id_old;
ALTER TABLE orders RENAME COLUMN id_new TO id;
ALTER TABLE audit RENAME COLUMN order_id TO order_id_old;
ALTER TABLE audit RENAME COLUMN order_id_new TO order_id;
ALTER TABLE audit RENAME CONSTRAINT audit_order_id_fkey_new TO audit_order_id_fkey;
ALTER TABLE orders ADD CONSTRAINT orders_pkey PRIMARY KEY USING INDEX orders_pkey_new;
