-- What others may have created beforehand, under names that we look up, leads nobody astray: neither in the schema of the
-- extension, where they may create, nor anywhere else.
SET client_min_messages = warning;
CREATE ROLE regress_attacker;
CREATE DATABASE regress_names;
\c regress_names
SET client_min_messages = warning;
-- fault_a05_others_may_create_beside_ours: the installation warns.
CREATE SCHEMA open;
GRANT CREATE, USAGE ON SCHEMA open TO PUBLIC;
CREATE SCHEMA closed;
GRANT USAGE ON SCHEMA closed TO PUBLIC;
CREATE EXTENSION pg_keyspace SCHEMA closed;
DROP EXTENSION pg_keyspace;
GRANT CREATE ON SCHEMA closed TO regress_attacker;
CREATE EXTENSION pg_keyspace SCHEMA closed;
DROP EXTENSION pg_keyspace;
CREATE EXTENSION pg_keyspace SCHEMA open;
CREATE TABLE public.traces (what text);
GRANT INSERT ON public.traces TO PUBLIC;
CREATE TABLE public.sale (id serial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT '2024-01-01');
INSERT INTO public.sale SELECT FROM generate_series(1, 9);
-- fault_a05_every_overload_that_a_call_of_ours_could_mean: for each function and procedure that is called by hand, one with
-- fewer arguments, one with text for each argument, and one with integers and timestamps for those of our keys.
SET ROLE regress_attacker;
CREATE FUNCTION open.trap(what text) RETURNS void LANGUAGE plpgsql SECURITY INVOKER AS $$
BEGIN
    IF current_user <> 'regress_attacker' THEN INSERT INTO public.traces VALUES (what || ' as ' || current_user); END IF;
END
$$;
DO $do$
DECLARE
    found record;
    variant text;
    variants text[];
BEGIN
    FOR found IN
        SELECT p.proname, p.prokind, p.pronargs, p.pronargdefaults, p.proargtypes, p.proargnames, p.prorettype::regtype AS result, p.proretset
        FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
        WHERE p.pronamespace = 'open'::regnamespace AND p.prokind IN ('f', 'p') AND p.pronargs > 0
          AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pg_keyspace')
          AND NOT ('internal'::regtype = ANY (p.proargtypes) OR 'cstring'::regtype = ANY (p.proargtypes))
    LOOP
        variants := '{}';
        -- With fewer arguments, down to those without a default.
        FOR n IN found.pronargs - found.pronargdefaults .. found.pronargs LOOP
            variants := variants
                || (SELECT string_agg(coalesce(quote_ident(found.proargnames[i + 1]), '') || ' ' || found.proargtypes[i]::regtype, ', ' ORDER BY i)
                    FROM generate_series(0, n - 1) i)
                || (SELECT string_agg(coalesce(quote_ident(found.proargnames[i + 1]), '') || ' text', ', ' ORDER BY i)
                    FROM generate_series(0, n - 1) i)
                || (SELECT string_agg(coalesce(quote_ident(found.proargnames[i + 1]), '') || ' '
                           || CASE found.proargtypes[i] WHEN 'regclass'::regtype THEN 'oid' WHEN 'bigint'::regtype THEN 'integer'
                              WHEN 'timestamptz'::regtype THEN 'timestamp' ELSE found.proargtypes[i]::regtype::text END, ', ' ORDER BY i)
                    FROM generate_series(0, n - 1) i);
        END LOOP;
        FOREACH variant IN ARRAY variants LOOP
            BEGIN
                EXECUTE format('CREATE %s open.%I(%s) %s LANGUAGE plpgsql AS %L',
                               CASE found.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END, found.proname, variant,
                               CASE WHEN found.prokind = 'f' THEN 'RETURNS void' ELSE '' END,
                               format('BEGIN PERFORM open.trap(%L); END', found.proname || '(' || variant || ')'));
            EXCEPTION WHEN duplicate_function OR insufficient_privilege OR invalid_function_definition THEN NULL;
            END;
        END LOOP;
    END LOOP;
END
$do$;
RESET ROLE;
SELECT count(*) > 100 AS overloads FROM pg_proc WHERE pronamespace = 'open'::regnamespace AND proowner = 'regress_attacker'::regrole;
-- A superuser calls all there is that calls on by itself: views, defaults, and the statements that we write.
SELECT count(*) FROM open.setup_interleaved_sequences(1, 2, NULL::name[], NULL::regclass[], NULL::regclass[], NULL::jsonb, '{}'::jsonb[], 0::bigint, false, NULL::regclass[], false,
                                                      '2 s'::interval, false);
SELECT open.key_migration_create('public.sale'::regclass, NULL::name, 'uuid'::text, NULL::text, '{}'::name[], '_new'::text, '_old'::text, false, NULL::text, NULL::text, NULL::name, false, false, '{}'::integer[]);
SELECT phase FROM open.key_migration_progress;
SELECT count(*) FROM open.interleaved_sequences;
SELECT count(*) FROM open.interleaved_node;
SELECT count(*) FROM open.interleaved_setup_progress;
SELECT count(*) >= 0 AS peers FROM open.interleaved_peers;
SELECT statement FROM open.key_migration_statements('public.sale'::regclass, 'verified'::text) \gexec
-- The statements that a plan shows, too.
SELECT statement FROM open.key_migration_plan('public.sale'::regclass, NULL::name, 'uuid'::text, NULL::text, '{}'::name[], '_new'::text, '_old'::text, false, NULL::text, NULL::text, NULL::name, false, false)
WHERE phase IN ('verified', 'cut over') AND statement ~ 'key_migration' \gexec
INSERT INTO public.sale DEFAULT VALUES RETURNING id IS NOT NULL AS inserted;
SELECT count(*) FROM open.key_migration_log;
SELECT statement FROM open.key_migration_plan('public.sale'::regclass, NULL::name, 'uuid'::text, NULL::text, '{}'::name[], '_new'::text, '_old'::text, false, NULL::text, NULL::text, NULL::name, false, false)
WHERE phase = 'finalized' \gexec
CREATE SEQUENCE public.ticket_no;
CREATE TABLE public.ticket (id bigint PRIMARY KEY DEFAULT open.partitioned_nextval('public.ticket_no'::regclass));
INSERT INTO public.ticket DEFAULT VALUES RETURNING id % 2 AS odd;
TABLE public.traces;
\c pg_keyspace_regression
DROP DATABASE regress_names;
-- fault_a02_members_that_were_added_to_our_extension: who has installed it can add what is his to it, which proves nothing.
CREATE DATABASE regress_names OWNER regress_attacker;
\c regress_names
SET client_min_messages = warning;
SET ROLE regress_attacker;
CREATE SCHEMA before;
CREATE SCHEMA keyspace;
CREATE EXTENSION pg_keyspace SCHEMA keyspace;
CREATE TYPE before.ulid AS (x text);
ALTER EXTENSION pg_keyspace ADD TYPE before.ulid;
CREATE FUNCTION before.interleaved_guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'a trap'; END $$;
ALTER EXTENSION pg_keyspace ADD FUNCTION before.interleaved_guard();
CREATE FUNCTION before.key_migration_key() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'a trap'; END $$;
ALTER EXTENSION pg_keyspace ADD FUNCTION before.key_migration_key();
ALTER EXTENSION pg_keyspace ADD SCHEMA before;
CREATE TABLE before.t (id bigint PRIMARY KEY, k before.ulid, ts timestamptz);
DO $$
BEGIN
    EXECUTE format('CREATE TRIGGER z BEFORE INSERT ON before.t FOR EACH ROW EXECUTE FUNCTION
                    keyspace_internal.key_migration_key(%s, old_id, ulid, %L, 1, 2, 3)', 'before.t'::regclass::oid, '');
END
$$;
INSERT INTO before.t VALUES (1, NULL, '1970-01-01 00:01:05+00');
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
CREATE TABLE public.sale (id serial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT '2024-01-01');
SELECT action FROM keyspace.setup_interleaved_sequences(1, 2);
SELECT action FROM keyspace.guard_interleaved_sequences(tables => '{public.sale}');
INSERT INTO public.sale DEFAULT VALUES RETURNING id;
SELECT keyspace.key_migration_create('public.sale', target => 'ulid');
SELECT statement FROM keyspace.key_migration_statements('public.sale') \gexec
SELECT pg_typeof(id_new) FROM public.sale;
\c pg_keyspace_regression
DROP DATABASE regress_names;
DROP ROLE regress_attacker;
