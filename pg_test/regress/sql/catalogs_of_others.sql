-- fault_a01_catalogs_of_others: what has the name of another extension's catalog is not taken for it, and what is that
-- extension's is, in whatever schema.
SET client_min_messages = warning;
CREATE ROLE regress_trapper;
CREATE TABLE public.sprung (by text, trap text);
GRANT INSERT ON public.sprung TO PUBLIC;
DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO regress_trapper', current_database()); END $$;
CREATE SCHEMA mine;
CREATE TABLE mine.t (id serial);
SET search_path = mine, public;
SELECT action FROM setup_interleaved_sequences(2, sequences => '{t_id_seq}');

-- fault_a01_traps: of a role that may create schemas, and nothing else.
SET ROLE regress_trapper;
CREATE SCHEMA pglogical;
CREATE FUNCTION pglogical.spring(trap text) RETURNS oid LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.sprung VALUES (current_user, trap);
    RETURN 'mine.t_id_seq'::regclass;
END $$;
CREATE VIEW pglogical.replication_set_seq AS SELECT pglogical.spring('view') AS set_seqoid;
-- A table, whose column is of a type with a cast of the trapper's, and a policy with a function.
CREATE SCHEMA spock;
CREATE TYPE spock.number AS (n int);
CREATE FUNCTION spock.to_oid(spock.number) RETURNS oid LANGUAGE plpgsql AS $$ BEGIN RETURN pglogical.spring('cast'); END $$;
CREATE CAST (spock.number AS oid) WITH FUNCTION spock.to_oid(spock.number);
CREATE TABLE spock.replication_set_seq (set_seqoid spock.number);
INSERT INTO spock.replication_set_seq VALUES (ROW(1));
CREATE POLICY p ON spock.replication_set_seq USING (pglogical.spring('policy') IS NOT NULL);
ALTER TABLE spock.replication_set_seq ENABLE ROW LEVEL SECURITY;
GRANT USAGE ON SCHEMA pglogical, spock TO PUBLIC;
GRANT SELECT ON pglogical.replication_set_seq, spock.replication_set_seq TO PUBLIC;
RESET ROLE;

-- A superuser calls everything that looks for them.
SELECT findings FROM interleaved_sequences WHERE sequence = 't_id_seq'::regclass;
SELECT detail FROM setup_interleaved_sequences(2, sequences => '{t_id_seq}', dry_run => true);
SELECT count(*) FROM reset_interleaved_sequences('{t_id_seq}');
SELECT action FROM setup_interleaved_sequences(2, sequences => '{t_id_seq}');
SELECT finding FROM check_interleaved_sequences() WHERE sequence = 't_id_seq'::regclass AND finding = 'position replicated';
SELECT interleaved_node_state() IS NOT NULL AS told;
CALL setup_interleaved_sequences_in_batches(2, sequences => '{t_id_seq}');
SELECT DISTINCT * FROM sprung ORDER BY trap;

-- Members of the extension of that name: its ordinary table counts, in whatever schema, and the other one still does not.
CREATE SCHEMA elsewhere;
CREATE EXTENSION spock SCHEMA elsewhere;
INSERT INTO elsewhere.replication_set_seq VALUES (1, 't_id_seq');
SELECT findings FROM interleaved_sequences WHERE sequence = 't_id_seq'::regclass;
SELECT severity, finding, detail, hint FROM check_interleaved_sequences() WHERE sequence = 't_id_seq'::regclass AND finding = 'position replicated';
SELECT detail FROM setup_interleaved_sequences(2, sequences => '{t_id_seq}', dry_run => true);
-- Who may not read it is not told.
CREATE ROLE regress_reader;
GRANT USAGE ON SCHEMA mine TO regress_reader;
GRANT SELECT ON t_id_seq TO regress_reader;
SET ROLE regress_reader;
SELECT findings FROM interleaved_sequences WHERE sequence = 't_id_seq'::regclass;
RESET ROLE;
-- Once it is no member any more, it is anybody's table.
ALTER EXTENSION spock DROP TABLE elsewhere.replication_set_seq;
SELECT findings FROM interleaved_sequences WHERE sequence = 't_id_seq'::regclass;
-- Nor is a view of that name that is a member.
ALTER TABLE elsewhere.replication_set_seq RENAME TO replication_set_seq_of_old;
CREATE VIEW elsewhere.replication_set_seq AS SELECT pglogical.spring('member view') AS set_seqoid;
ALTER EXTENSION spock ADD VIEW elsewhere.replication_set_seq;
SELECT findings FROM interleaved_sequences WHERE sequence = 't_id_seq'::regclass;
SELECT DISTINCT * FROM sprung ORDER BY trap;

-- The traps do work.
SELECT set_seqoid::regclass FROM pglogical.replication_set_seq;
SELECT * FROM sprung;

SELECT count(*) FROM reset_interleaved_sequences('{t_id_seq}');
DROP EXTENSION spock;
DROP SCHEMA mine, elsewhere, pglogical, spock CASCADE;
DROP TABLE public.sprung;
DO $$ BEGIN EXECUTE format('REVOKE CREATE ON DATABASE %I FROM regress_trapper', current_database()); END $$;
DROP ROLE regress_trapper, regress_reader;
