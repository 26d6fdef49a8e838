-- Tables without a time: keys are in the order of the old ids. What the plan proposes.
-- trap_m26
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CALL keyspace_test.forget_node();
CREATE SCHEMA undated;
SET search_path = undated, public;
CREATE TABLE colour (id serial PRIMARY KEY, name text NOT NULL);
CREATE TABLE shirt (id serial PRIMARY KEY, colour_id integer REFERENCES colour);
INSERT INTO colour (name) SELECT 'colour ' || i FROM generate_series(1, 200) AS i;
INSERT INTO colour VALUES (-5, 'negative');
INSERT INTO shirt (colour_id) SELECT id FROM colour;
-- It must be asked for.
SELECT action, detail FROM key_migration_plan('colour') WHERE step IS NULL AND action <> 'note';
SELECT key_migration_create('colour');
SELECT key_migration_create('colour', without_timestamp => true, time_zone => 'UTC');
SELECT key_migration_create('colour', 'name', without_timestamp => true);
SELECT action, detail FROM key_migration_plan('colour', without_timestamp => true) WHERE step IS NULL AND action <> 'note';
SELECT key_migration_create('colour', without_timestamp => true);
CALL key_migration_advance('colour', through => 'prepared');
INSERT INTO colour (name) VALUES ('late');
INSERT INTO shirt (colour_id) VALUES (150);
SELECT statement FROM key_migration_statements('colour') \gexec
SELECT table_name, check_name, ok, row_count FROM key_migration_verify('colour') WHERE check_name <> 'digest' ORDER BY 1, 2;
SELECT count(*), count(*) FILTER (WHERE id_new = key_migration_uuid(NULL, id, 'undated.colour')) AS same,
       count(*) FILTER (WHERE uuidv7_to_id(id_new, 'undated.colour') = id) AS readable FROM colour;
SELECT array_agg(id ORDER BY id_new) = array_agg(id ORDER BY id) AS in_order FROM colour WHERE id > 0;
CALL key_migration_cutover('colour');
CALL key_migration_finalize('colour', confirm => 'colour');
INSERT INTO colour (name) VALUES ('new');
SELECT name FROM colour ORDER BY id DESC LIMIT 2;
SELECT count(*) FROM shirt JOIN colour ON colour.id = colour_id;

-- What is proposed for other tables: a name that tells of the insertion, the row that it belongs to, and no time that changes.
CREATE TABLE several (id serial PRIMARY KEY, made timestamptz NOT NULL, inserted_on timestamptz NOT NULL, updated_on timestamptz);
CREATE TABLE rails (id serial PRIMARY KEY, "Created At" timestamp NOT NULL, updated_at timestamp NOT NULL, born date);
CREATE TABLE line (id serial PRIMARY KEY, rails_id integer NOT NULL REFERENCES rails, several_id integer REFERENCES several);
CREATE TABLE dated (id serial PRIMARY KEY, day date, other bigint);
CREATE TABLE updated (id serial PRIMARY KEY, last_updated timestamptz NOT NULL DEFAULT now());
CREATE TABLE of_updated (id serial PRIMARY KEY, updated_id integer NOT NULL REFERENCES updated);
SELECT t::text, detail FROM unnest('{several,rails,line,dated,updated,of_updated}'::regclass[]) AS t, key_migration_plan(t) WHERE action = 'error' ORDER BY 1;
SELECT key_migration_add_key('several', 'rails');
SELECT key_migration_create('several', 'made');
SELECT key_migration_add_key('several', 'rails');
SELECT key_migration_add_key('several', 'rails', timestamp_column => 'Created At', time_zone => 'UTC');
SELECT key_migration_add_key('several', 'dated', without_timestamp => true);
-- A time that changes is taken if the caller says so, and not otherwise.
SELECT key_migration_create('updated');
SELECT key_migration_add_key('several', 'of_updated', timestamp_reference => 'updated_id');
SELECT key_migration_add_key('several', 'of_updated', timestamp_reference => 'updated_id', timestamp_column => 'last_updated');
SELECT key_migration_add_key('several', 'updated', timestamp_column => 'last_updated');
SELECT relation::regclass, regexp_replace(time_source, ' \d{4,}', ' OID') AS time_source FROM keyspace_internal.key_migration_key ORDER BY number;
CALL key_migration_rollback('several');

DROP SCHEMA undated CASCADE;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
