-- docs/reference/security.md, row by row: who may do what, and that nothing runs with more rights than its caller.
SET client_min_messages = warning;
CREATE ROLE regress_guest;
CREATE ROLE regress_feeder;
CREATE ROLE regress_owner;
CREATE DATABASE regress_security OWNER regress_owner;
\c regress_security
SET client_min_messages = warning;
SET ROLE regress_owner;
CREATE SCHEMA keyspace;
CREATE EXTENSION pg_keyspace SCHEMA keyspace;
GRANT USAGE ON SCHEMA keyspace TO PUBLIC;
CREATE SCHEMA shop;
GRANT USAGE, CREATE ON SCHEMA shop TO regress_feeder;
GRANT USAGE ON SCHEMA shop TO regress_guest;
CREATE TABLE shop.orders (id serial PRIMARY KEY);
INSERT INTO shop.orders SELECT FROM generate_series(1, 7);
SET ROLE regress_feeder;
CREATE TABLE shop.parcel (id serial PRIMARY KEY);
INSERT INTO shop.parcel SELECT FROM generate_series(1, 5);
RESET ROLE;
SET search_path = keyspace, shop;

-- What exists is the superuser's, though the owner of the database has installed it; so nobody else can change it.
SELECT DISTINCT pg_get_userbyid(p.proowner) = current_user AS of_the_superuser
FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'pg_keyspace';
SET ROLE regress_owner;
CREATE OR REPLACE FUNCTION keyspace.ulid_monotonic() RETURNS keyspace.ulid LANGUAGE sql AS 'SELECT NULL::keyspace.ulid';
\echo :LAST_ERROR_SQLSTATE
ALTER EVENT TRIGGER pg_keyspace_new_sequences DISABLE;
\echo :LAST_ERROR_SQLSTATE
DROP FUNCTION keyspace.partitioned_nextval(regclass);
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
-- Nothing is SECURITY DEFINER.
SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace IN ('keyspace'::regnamespace, 'keyspace_internal'::regnamespace) AND p.prosecdef;
-- What is revoked from PUBLIC: functions that only triggers call.
SELECT p.oid::regprocedure AS not_for_public, p.prorettype::regtype AS returns
FROM pg_proc p WHERE p.pronamespace IN ('keyspace'::regnamespace, 'keyspace_internal'::regnamespace) AND NOT has_function_privilege('regress_guest', p.oid, 'EXECUTE')
ORDER BY p.proname COLLATE "C";
-- Every other function is everybody's; what it does needs rights of its own.
SELECT count(*) > 60 AS for_public
FROM pg_proc p WHERE p.pronamespace = 'keyspace'::regnamespace AND has_function_privilege('regress_guest', p.oid, 'EXECUTE');
-- Tables and views: the privileges of everybody but the owner. Views are everybody's, tables are nobody's.
SELECT c.relname, c.relkind, CASE WHEN a.grantee = 0 THEN 'public' ELSE a.grantee::regrole::text END AS grantee,
       string_agg(a.privilege_type, ', ' ORDER BY a.privilege_type) AS privileges, bool_or(a.is_grantable) AS grantable
FROM pg_class c CROSS JOIN LATERAL aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a
WHERE c.relnamespace IN ('keyspace'::regnamespace, 'keyspace_internal'::regnamespace) AND c.relkind IN ('r', 'v') AND a.grantee <> c.relowner
GROUP BY 1, 2, 3 ORDER BY c.relname COLLATE "C", 3;
SELECT count(*) AS tables FROM pg_class c WHERE c.relnamespace = 'keyspace_internal'::regnamespace AND c.relkind = 'r';

--
-- Everybody
--
SET ROLE regress_guest;
SELECT ulid() < ulid() AS keys, uuid_cmp(keyspace.uuidv7(), keyspace.uuidv7()) < 0 AS in_order;
SELECT sequence, in_order, next_value, findings FROM interleaved_sequences ORDER BY 1;
SELECT count(*) AS nodes FROM interleaved_node;
SELECT count(*) AS set_ups FROM interleaved_setup_progress;
SELECT in_use FROM keyspace_internal.interleaved_sequence;
\echo :LAST_ERROR_SQLSTATE
SELECT action, detail FROM setup_interleaved_sequences(2, dry_run => true);
-- But it can change nothing, and sees no value of what it may not read.
SELECT setup_interleaved_sequences(2);
\echo :LAST_ERROR_SQLSTATE
CALL setup_interleaved_sequences_in_batches(2);
\echo :LAST_ERROR_SQLSTATE
SELECT confirm_interleaved_node();
\echo :LAST_ERROR_SQLSTATE
SELECT partitioned_nextval('shop.orders_id_seq', 1, 2);
\echo :LAST_ERROR_SQLSTATE
INSERT INTO keyspace_internal.interleaved_node VALUES (1, 1, 1, 2);
\echo :LAST_ERROR_SQLSTATE
INSERT INTO interleaved_node (node, nodes) VALUES (1, 2);
\echo :LAST_ERROR_SQLSTATE
UPDATE keyspace_internal.interleaved_sequence SET increment = 1;
\echo :LAST_ERROR_SQLSTATE
DELETE FROM keyspace_internal.interleaved_feed;
\echo :LAST_ERROR_SQLSTATE
DELETE FROM keyspace_internal.interleaved_acknowledgement;
\echo :LAST_ERROR_SQLSTATE
SELECT acknowledge_interleaved_finding('shop.parcel_id_seq', 'unlogged', 'x');
\echo :LAST_ERROR_SQLSTATE
TRUNCATE keyspace_internal.interleaved_setup;
\echo :LAST_ERROR_SQLSTATE
SET pg_keyspace.node = 1;
\echo :LAST_ERROR_SQLSTATE
SELECT keyspace_internal.library_only();
\echo :LAST_ERROR_SQLSTATE
CREATE TEMP TABLE own (id serial PRIMARY KEY);
CREATE TRIGGER changed BEFORE INSERT ON own FOR EACH ROW EXECUTE FUNCTION keyspace_internal.library_only();
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
-- Trigger functions are no functions for a superuser either.
SELECT keyspace_internal.library_only();
\echo :LAST_ERROR_SQLSTATE

--
-- The owner of the database, who is no superuser
--
SET ROLE regress_owner;
SELECT sequence, action, detail FROM setup_interleaved_sequences(2, dry_run => true);
SELECT setup_interleaved_sequences(2, exclude => '{shop.parcel_id_seq}');
SELECT node, nodes FROM interleaved_node;
-- Not a sequence of somebody else's.
SELECT setup_interleaved_sequences(2, sequences => '{shop.parcel_id_seq}');
\echo :LAST_ERROR_SQLSTATE
SELECT acknowledge_interleaved_finding('shop.parcel_id_seq', 'unlogged', 'the owner of the database may');
SELECT acknowledge_interleaved_finding(NULL, 'DDL replication', 'and of the node');
SELECT sequence, finding, reason, role FROM interleaved_acknowledgements ORDER BY 2;
SELECT acknowledge_interleaved_finding(NULL, 'DDL replication', NULL);
SELECT interleave_new_sequences(true);
SELECT interleave_new_sequences(false);
SET pg_keyspace.node = 1;
\echo :LAST_ERROR_SQLSTATE
-- What he may do the library does for him: the tables are not his.
SELECT in_use FROM keyspace_internal.interleaved_sequence;
\echo :LAST_ERROR_SQLSTATE
UPDATE keyspace_internal.interleaved_node SET node = 1;
\echo :LAST_ERROR_SQLSTATE
UPDATE keyspace.interleaved_node SET node = 1;
\echo :LAST_ERROR_SQLSTATE
-- fault_a11_the_state_of_a_migration_is_not_the_owners
UPDATE keyspace_internal.key_migration_column SET new_attribute = 1;
\echo :LAST_ERROR_SQLSTATE
--
-- The owner of a sequence or of a table
--
SET ROLE regress_feeder;
SELECT action, restart FROM setup_interleaved_sequences(2, sequences => '{shop.parcel_id_seq}');
SELECT action FROM guard_interleaved_sequences(tables => '{shop.parcel}');
INSERT INTO shop.parcel VALUES (9);
\echo :LAST_ERROR_SQLSTATE
SELECT action FROM unguard_interleaved_sequences(tables => '{shop.parcel}');
SELECT acknowledge_interleaved_finding('shop.parcel_id_seq', 'unlogged', NULL);
SELECT acknowledge_interleaved_finding('shop.orders_id_seq', 'unlogged', 'x');
\echo :LAST_ERROR_SQLSTATE
SELECT acknowledge_interleaved_finding(NULL, 'DDL replication', 'x');
\echo :LAST_ERROR_SQLSTATE
SELECT reset_interleaved_sequences('{shop.orders_id_seq}');
\echo :LAST_ERROR_SQLSTATE
-- The node is not theirs.
SELECT setup_interleaved_sequences(1, sequences => '{shop.parcel_id_seq}');
\echo :LAST_ERROR_SQLSTATE
SELECT interleave_new_sequences(true);
\echo :LAST_ERROR_SQLSTATE
SELECT split_interleaved_sequences(2);
\echo :LAST_ERROR_SQLSTATE
--
-- Key migration: plans are everybody's, the rest is the owner's of the database, with tables of their own
--
SET ROLE regress_owner;
CREATE TABLE shop.sale (id serial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT '2024-01-01');
SET ROLE regress_feeder;
CREATE TABLE shop.crate (id serial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT '2024-01-01');
SELECT key_migration_create('shop.crate');
\echo :LAST_ERROR_SQLSTATE
SET ROLE regress_owner;
SELECT key_migration_create('shop.crate');
\echo :LAST_ERROR_SQLSTATE
SELECT key_migration_create('shop.sale');
CALL key_migration_advance('shop.sale', through => 'prepared');
SET ROLE regress_guest;
SELECT count(*) > 0 AS steps FROM key_migration_plan('shop.sale') WHERE step IS NOT NULL;
-- fault_a15_errors_are_not_for_everybody: of a migration those are told who may carry it out, own its table, or read all statistics.
SELECT count(*) AS told FROM key_migration_progress;
SELECT count(*) AS told FROM key_migration_log;
SELECT last_error FROM keyspace_internal.key_migration;
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
GRANT pg_monitor TO regress_guest;
SET ROLE regress_guest;
SELECT phase, last_error FROM key_migration_progress;
RESET ROLE;
REVOKE pg_monitor FROM regress_guest;
SET ROLE regress_guest;
SELECT count(*) > 0 AS statements FROM key_migration_statements('shop.sale');
SELECT key_migration_set('shop.sale', paused => true);
\echo :LAST_ERROR_SQLSTATE
SELECT key_migration_adopt('shop.sale');
\echo :LAST_ERROR_SQLSTATE
CALL key_migration_advance('shop.sale');
\echo :LAST_ERROR_SQLSTATE
CALL key_migration_cutover('shop.sale');
\echo :LAST_ERROR_SQLSTATE
CALL key_migration_rollback('shop.sale');
\echo :LAST_ERROR_SQLSTATE
CALL key_migration_finalize('shop.sale', confirm => 'sale');
\echo :LAST_ERROR_SQLSTATE
SELECT key_migration_node_state('shop.sale');
\echo :LAST_ERROR_SQLSTATE
SELECT key_migration_add_peers('shop.sale', '{}');
\echo :LAST_ERROR_SQLSTATE
SELECT key_migration_remove_node('shop.sale', 2);
\echo :LAST_ERROR_SQLSTATE
SELECT key_migration_digests('shop.sale');
\echo :LAST_ERROR_SQLSTATE
SELECT key_migration_compare('shop.sale', '{}');
\echo :LAST_ERROR_SQLSTATE
CALL key_migration_correct('shop.sale', '{}');
\echo :LAST_ERROR_SQLSTATE
CALL key_migration_close('shop.sale');
\echo :LAST_ERROR_SQLSTATE
CALL key_migration_open('shop.sale');
\echo :LAST_ERROR_SQLSTATE
SELECT key_migration_add_reference('shop.sale', 'shop.parcel', '{id}');
\echo :LAST_ERROR_SQLSTATE
SELECT key_migration_add_key('shop.sale', 'shop.parcel');
\echo :LAST_ERROR_SQLSTATE
\set SHOW_CONTEXT never
SELECT * FROM key_migration_verify('shop.sale');
\echo :LAST_ERROR_SQLSTATE
DELETE FROM keyspace_internal.key_migration;
\echo :LAST_ERROR_SQLSTATE
SET pg_keyspace.stop_at = 'backfilled: saved';
\echo :LAST_ERROR_SQLSTATE
CREATE TABLE pg_temp.late (id int, id_new uuid);
CREATE TRIGGER late AFTER INSERT ON pg_temp.late FOR EACH ROW EXECUTE FUNCTION keyspace_internal.key_migration_late();
\echo :LAST_ERROR_SQLSTATE
-- Whoever may write rows needs no right of ours for the triggers.
RESET ROLE;
GRANT INSERT, SELECT ON shop.sale TO regress_guest;
GRANT USAGE ON SEQUENCE shop.sale_id_seq TO regress_guest;
SET ROLE regress_guest;
INSERT INTO shop.sale DEFAULT VALUES RETURNING id, id_new IS NOT NULL AS has_key;
RESET ROLE;
SET ROLE regress_owner;
CALL key_migration_rollback('shop.sale');
--
-- fault_a12_a_procedure_that_ends_between_two_steps keeps nothing: not its lock, and not its state
--
SELECT key_migration_create('shop.sale');
-- It is called where no transaction can end.
CREATE FUNCTION shop.within() RETURNS void LANGUAGE plpgsql AS $$ BEGIN CALL key_migration_advance('shop.sale'); END $$;
SELECT shop.within();
\echo :LAST_ERROR_SQLSTATE
DROP FUNCTION shop.within();
SELECT count(*) AS locks FROM pg_locks WHERE locktype = 'object' AND objid = 'shop.sale'::regclass AND pid = pg_backend_pid();
-- A constraint that is checked at the COMMIT within the procedure.
CREATE TABLE shop.item (id int PRIMARY KEY, sale int, created_at timestamptz NOT NULL DEFAULT '2024-01-01');
CREATE FUNCTION shop.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused at the end'; END $$;
CREATE CONSTRAINT TRIGGER refuse AFTER UPDATE ON shop.item DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION shop.refuse();
INSERT INTO shop.item VALUES (1, 1);
SELECT key_migration_create('shop.item', fire_triggers => true);
CALL key_migration_advance('shop.item', through => 'prepared');
CALL key_migration_advance('shop.item', through => 'backfilled');
\echo :LAST_ERROR_SQLSTATE
SELECT count(*) AS locks FROM pg_locks WHERE locktype = 'object' AND objid = 'shop.item'::regclass AND pid = pg_backend_pid();
SELECT state FROM key_migration_progress WHERE migration = 'shop.item'::regclass;
CALL key_migration_rollback('shop.item');
CALL key_migration_rollback('shop.sale');
--
-- fault_a16_locks_are_only_for_those_who_do_the_work: advisory locks, which everybody can take, are in nobody's way
--
SET ROLE regress_guest;
SELECT pg_try_advisory_lock(x'6b65797370616365'::bigint) AND pg_try_advisory_lock(1801812333, 'shop.sale'::regclass::int) AS taken;
SET ROLE regress_owner;
SELECT count(*) > 0 AS set_up FROM setup_interleaved_sequences(2, sequences => '{shop.orders_id_seq}');
SELECT pg_advisory_unlock_all();
--
-- USAGE on a sequence, and nothing else
--
RESET ROLE;
GRANT USAGE ON SEQUENCE shop.orders_id_seq TO regress_guest;
SET ROLE regress_guest;
SELECT partitioned_nextval('shop.orders_id_seq') % 2 AS odd;
SELECT interleave_new_sequences(true);
\echo :LAST_ERROR_SQLSTATE
SELECT guard_interleaved_sequences(tables => '{shop.orders}');
\echo :LAST_ERROR_SQLSTATE
SELECT sequence, in_order FROM interleaved_sequences WHERE sequence = 'shop.orders_id_seq'::regclass;
RESET ROLE;

--
-- Nobody is led to run what somebody else has laid out: a superuser sets up, checks and guards a schema of traps.
--
CREATE TABLE traces (what text);
GRANT INSERT ON traces TO PUBLIC;
SET ROLE regress_feeder;
CREATE FUNCTION shop.trap(bigint) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO keyspace.traces VALUES (current_user || ' ran a trap');
    RETURN $1;
END
$$;
CREATE FUNCTION shop.still_trap(bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF current_user <> 'regress_feeder' THEN RAISE EXCEPTION '% ran a trap', current_user; END IF;
    RETURN $1;
END
$$;
CREATE FUNCTION shop.partitioned_nextval(regclass) RETURNS bigint LANGUAGE sql AS 'SELECT shop.trap(nextval($1))';
CREATE FUNCTION shop.trap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM shop.trap(1); RETURN NEW; END $$;
CREATE DOMAIN shop.number AS bigint CHECK (shop.still_trap(VALUE) > 0);
CREATE SEQUENCE shop.by_default;
CREATE TABLE shop.trapped (
    id bigint PRIMARY KEY DEFAULT shop.partitioned_nextval('shop.by_default'),
    no serial,
    numbered shop.number DEFAULT shop.trap(nextval('shop.by_default')),
    twice bigint GENERATED ALWAYS AS (shop.still_trap(1)) STORED,
    CHECK (shop.still_trap(id) > 0)
);
CREATE SEQUENCE shop.in_domain OWNED BY shop.trapped.numbered;
ALTER TABLE shop.trapped ALTER numbered SET DEFAULT nextval('shop.in_domain');
CREATE INDEX ON shop.trapped (shop.still_trap(no));
CREATE TRIGGER trap BEFORE INSERT ON shop.trapped FOR EACH ROW EXECUTE FUNCTION shop.trap();
ALTER TABLE shop.trapped ENABLE ROW LEVEL SECURITY;
CREATE POLICY trap ON shop.trapped USING (shop.trap(1) > 0);
INSERT INTO shop.trapped SELECT FROM generate_series(1, 5);
-- Names that would end a string, a name or a statement; a name with every sign, and one of 63 bytes.
CREATE TABLE shop."x""; DROP TABLE keyspace.traces; --" ("a'b""; SELECT shop.trap(1); --" serial PRIMARY KEY);
CREATE TABLE shop."$$; SELECT 1/0; $q$ %I %s %L {} \" ("\'; %1$s" serial PRIMARY KEY);
CREATE TABLE shop."ääääääääääääääääääääääääääääää" ("ß" serial PRIMARY KEY);
INSERT INTO shop."x""; DROP TABLE keyspace.traces; --" SELECT FROM generate_series(1, 3);
RESET ROLE;
TRUNCATE traces;
SET search_path = shop, keyspace;
SELECT keyspace.ulid() IS NOT NULL AS at_work;
SELECT sequence, action FROM keyspace.setup_interleaved_sequences(2, schemas => '{shop}', dry_run => true) ORDER BY sequence::text COLLATE "C";
SELECT count(*) > 6 AS all_set_up FROM keyspace.setup_interleaved_sequences(2, schemas => '{shop}', feeds => '{"shop.by_default": ["shop.trapped.id"]}') WHERE action IN ('altered', 'unchanged');
CALL keyspace.setup_interleaved_sequences_in_batches(2, schemas => '{shop}');
SELECT count(*) AS wrong FROM keyspace.interleaved_sequences WHERE NOT in_order;
SELECT finding FROM keyspace.check_interleaved_sequences() WHERE severity = 'error';
SELECT jsonb_typeof(keyspace.interleaved_node_state()) AS state;
SELECT count(*) > 3 AS guarded FROM keyspace.guard_interleaved_sequences('{shop}') WHERE action = 'guarded';
SELECT count(*) > 3 AS let_go FROM keyspace.unguard_interleaved_sequences('{shop}') WHERE action = 'unguarded';
SELECT count(*) > 6 AS reset FROM keyspace.reset_interleaved_sequences(dry_run => true);
SELECT * FROM keyspace.traces;
\c pg_keyspace_regression
DROP DATABASE regress_security;
DROP ROLE regress_guest, regress_feeder, regress_owner;
