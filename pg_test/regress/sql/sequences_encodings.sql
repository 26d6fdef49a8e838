-- Names in a database of another encoding: refused where they cannot be handled, never mistaken.
-- trap_k16
SET client_min_messages = warning;
SELECT current_database() AS first \gset
CREATE DATABASE keyspace_sequences_latin1 ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0;
\c keyspace_sequences_latin1
SET client_min_messages = warning;
CREATE EXTENSION pg_keyspace;
CREATE TABLE plain (id serial PRIMARY KEY);
SELECT sequence, action, restart FROM setup_interleaved_sequences(2);
DO $$ BEGIN EXECUTE format('CREATE TABLE %I (id serial PRIMARY KEY)', 'caf' || chr(233)); END $$;
SELECT sequence, action, restart FROM setup_interleaved_sequences(2);
\echo :LAST_ERROR_SQLSTATE
SELECT sequence, action, restart FROM setup_interleaved_sequences(2, sequences => '{plain_id_seq}');
\c :first
DROP DATABASE keyspace_sequences_latin1;
