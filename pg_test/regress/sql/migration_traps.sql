-- Code of a table's owner that PostgreSQL evaluates in statements of ours, and a table that is dropped in the midst of a migration.
\set SHOW_CONTEXT never
CREATE ROLE regress_trap_owner;
CREATE ROLE regress_trap_other;
CREATE SCHEMA owned AUTHORIZATION regress_trap_owner;
CREATE SCHEMA other AUTHORIZATION regress_trap_other;
GRANT USAGE ON SCHEMA owned TO regress_trap_other;
GRANT USAGE ON SCHEMA other TO regress_trap_owner;
-- Whoever runs it is told.
CREATE FUNCTION told(integer) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF current_user NOT LIKE 'regress_trap_%' THEN
        RAISE WARNING 'code of an owner runs as somebody else';
    END IF;
    RETURN true;
END $$;

-- A check that implies NOT NULL is looked for where a primary key is made of an index: its constants are computed then.
SET ROLE regress_trap_owner;
CREATE TABLE owned.orders (id bigserial PRIMARY KEY, created_at timestamptz DEFAULT now(), CHECK (public.told(1)));
INSERT INTO owned.orders SELECT FROM generate_series(1, 5);
GRANT REFERENCES, SELECT ON owned.orders TO regress_trap_other;
SET ROLE regress_trap_other;
CREATE TABLE other.vip (id bigint PRIMARY KEY REFERENCES owned.orders, CHECK (public.told(1)));
INSERT INTO other.vip VALUES (1);
RESET ROLE;
SET client_min_messages = warning;
SELECT key_migration_create('owned.orders');
SELECT statement FROM key_migration_statements('owned.orders') \gexec
CALL key_migration_cutover('owned.orders');
ALTER TABLE owned.orders ALTER id DROP NOT NULL;
ALTER TABLE other.vip ALTER id DROP NOT NULL;
CALL key_migration_finalize('owned.orders', confirm => 'orders');
SELECT conrelid::regclass, conname, contype FROM pg_constraint
WHERE conrelid IN ('owned.orders'::regclass, 'other.vip'::regclass) AND contype IN ('p', 'f') ORDER BY 1, 2;
DROP TABLE other.vip, owned.orders;

-- The owner of the referenced table drops it with all that depends on it: writers of the other table go on.
SET ROLE regress_trap_owner;
CREATE TABLE owned.orders (id bigserial PRIMARY KEY, created_at timestamptz DEFAULT now());
INSERT INTO owned.orders SELECT FROM generate_series(1, 5);
GRANT REFERENCES, SELECT ON owned.orders TO regress_trap_other;
SET ROLE regress_trap_other;
CREATE TABLE other.items (id serial PRIMARY KEY, o bigint REFERENCES owned.orders);
INSERT INTO other.items (o) VALUES (1);
RESET ROLE;
SELECT key_migration_create('owned.orders');
CALL key_migration_advance('owned.orders', through => 'prepared');
SET ROLE regress_trap_owner;
DROP TABLE owned.orders CASCADE;
SET ROLE regress_trap_other;
INSERT INTO other.items (o) VALUES (2);
UPDATE other.items SET o = 3 WHERE o = 1;
INSERT INTO other.items (o) VALUES (NULL);
SELECT * FROM other.items ORDER BY id;
RESET ROLE;

DROP FUNCTION told;
DROP SCHEMA owned, other CASCADE;
DROP ROLE regress_trap_owner, regress_trap_other;
