-- Partitioned tables that cannot be part of a migration: each refusal says what lifts it.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CALL keyspace_test.forget_node();
CREATE SCHEMA refused;
SET search_path = refused, public;
CREATE TABLE person (id bigint PRIMARY KEY, created_at timestamptz NOT NULL);
CREATE FUNCTION errors(argument regclass) RETURNS TABLE (table_name regclass, detail text) LANGUAGE sql
BEGIN ATOMIC SELECT p.table_name, p.detail FROM key_migration_plan(argument) AS p WHERE p.action = 'error' ORDER BY p.table_name::text COLLATE "C", p.detail COLLATE "C"; END;
-- By the reference itself.
CREATE TABLE by_person (person_id bigint NOT NULL REFERENCES person, at date) PARTITION BY HASH (person_id);
CREATE TABLE by_person_0 PARTITION OF by_person FOR VALUES WITH (MODULUS 1, REMAINDER 0);
SELECT * FROM errors('person');
SELECT key_migration_create('person');
DROP TABLE by_person;
-- A level below, and by an expression.
CREATE TABLE below (person_id bigint REFERENCES person, at date) PARTITION BY LIST (at);
CREATE TABLE below_1 PARTITION OF below DEFAULT PARTITION BY RANGE ((person_id % 10));
SELECT * FROM errors('person');
DROP TABLE below;
-- A deferrable primary key contains it, or one whose reference rows can lack. A unique constraint can.
CREATE TABLE of_person (person_id bigint REFERENCES person, at date, PRIMARY KEY (person_id, at) DEFERRABLE) PARTITION BY LIST (at);
CREATE TABLE of_person_1 PARTITION OF of_person DEFAULT;
SELECT * FROM errors('person');
ALTER TABLE of_person DROP CONSTRAINT of_person_pkey;
ALTER TABLE of_person ADD PRIMARY KEY (person_id, at);
ALTER TABLE of_person ALTER CONSTRAINT of_person_person_id_fkey DEFERRABLE;
SELECT * FROM errors('person');
ALTER TABLE of_person ALTER CONSTRAINT of_person_person_id_fkey NOT DEFERRABLE;
SELECT * FROM errors('person');
ALTER TABLE of_person DROP CONSTRAINT of_person_pkey;
ALTER TABLE of_person ADD UNIQUE (person_id, at);
SELECT * FROM errors('person');
-- A partition of its own owner, with its own foreign key, and on another server.
CREATE ROLE refused_owner;
ALTER TABLE of_person_1 OWNER TO refused_owner;
SELECT * FROM errors('person');
ALTER TABLE of_person_1 OWNER TO CURRENT_USER;
ALTER TABLE of_person_1 ADD CONSTRAINT own FOREIGN KEY (person_id) REFERENCES person ON DELETE CASCADE;
SELECT * FROM errors('person');
ALTER TABLE of_person_1 DROP CONSTRAINT own;
CREATE TABLE alone (at date, person_id bigint) PARTITION BY LIST (at);
CREATE TABLE alone_1 PARTITION OF alone DEFAULT;
ALTER TABLE alone_1 ADD FOREIGN KEY (person_id) REFERENCES person;
SELECT * FROM errors('person');
DROP TABLE alone;
CREATE FOREIGN DATA WRAPPER refused_wrapper;
CREATE SERVER refused_server FOREIGN DATA WRAPPER refused_wrapper;
CREATE TABLE remote (at date, person_id bigint) PARTITION BY LIST (at);
CREATE FOREIGN TABLE remote_1 PARTITION OF remote FOR VALUES IN ('2024-01-01') SERVER refused_server;
SELECT key_migration_create('person');
SELECT key_migration_add_reference('person', 'remote', '{person_id}');
SELECT key_migration_add_reference('person', 'of_person_1', '{person_id}');
SELECT key_migration_add_reference('person', 'remote_1', '{person_id}');
ALTER TABLE remote DETACH PARTITION remote_1;
SELECT key_migration_add_reference('person', 'remote', '{person_id}');
CALL key_migration_rollback('person');
DROP TABLE remote;
-- By its key, at any level, and the key of a partition.
CREATE TABLE event (id bigint, at date, created_at timestamptz NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE event_1 PARTITION OF event DEFAULT PARTITION BY HASH (id);
SELECT key_migration_create('event');
DROP TABLE event_1;
CREATE TABLE event_1 PARTITION OF event DEFAULT;
SELECT key_migration_create('event_1');
CREATE TABLE hashed (id bigint PRIMARY KEY, created_at timestamptz NOT NULL) PARTITION BY HASH (id);
SELECT key_migration_create('hashed');
-- Two columns that could be it.
CREATE TABLE of_tenant (tenant integer, id bigint, at date, created_at timestamptz NOT NULL, PRIMARY KEY (tenant, id, at)) PARTITION BY RANGE (at);
SELECT key_migration_create('of_tenant');
CREATE SEQUENCE of_tenant_id;
ALTER TABLE of_tenant ALTER id SET DEFAULT nextval('of_tenant_id');
SELECT detail FROM key_migration_plan('of_tenant') WHERE detail LIKE 'the key of%';
-- References that do not say which row they mean, or whose columns have other types, to a partition alone, of another owner.
CREATE TABLE refers (event_id bigint DEFAULT 5, event_at date);
SELECT key_migration_create('event');
SELECT key_migration_add_reference('event', 'refers', '{event_id}');
CALL key_migration_rollback('event');
ALTER TABLE refers ADD FOREIGN KEY (event_id, event_at) REFERENCES event;
SELECT * FROM errors('event');
ALTER TABLE refers ALTER event_id DROP DEFAULT, OWNER TO refused_owner;
SELECT * FROM errors('event');
ALTER TABLE refers OWNER TO CURRENT_USER, ADD CONSTRAINT to_partition FOREIGN KEY (event_id, event_at) REFERENCES event_1;
SELECT * FROM errors('event');
DROP TABLE refers;
CREATE TABLE refers (event_id bigint, event_at timestamp, FOREIGN KEY (event_id, event_at) REFERENCES event);
SELECT * FROM errors('event');
DROP TABLE refers;
-- Inheritance.
CREATE TABLE child (person_id bigint REFERENCES person);
CREATE TABLE grandchild () INHERITS (child);
SELECT * FROM errors('person');
ALTER TABLE grandchild NO INHERIT child;
SELECT * FROM errors('person');
DROP SCHEMA refused CASCADE;
DROP SERVER refused_server CASCADE;
DROP FOREIGN DATA WRAPPER refused_wrapper;
DROP ROLE refused_owner;
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration');
CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.key_migration_step');
