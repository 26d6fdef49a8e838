CREATE SCHEMA keyspace;
CREATE EXTENSION pg_keyspace SCHEMA keyspace;

-- A stand-in for pgx_ulid, with the names and the text form of its type.
CREATE SCHEMA theirs;
CREATE TYPE theirs.ulid;
CREATE FUNCTION theirs.ulid_in(cstring) RETURNS theirs.ulid
    LANGUAGE c IMMUTABLE STRICT AS '$libdir/pg_keyspace', 'keyspace_ulid_in';
CREATE FUNCTION theirs.ulid_out(theirs.ulid) RETURNS cstring
    LANGUAGE c IMMUTABLE STRICT AS '$libdir/pg_keyspace', 'keyspace_ulid_out';
CREATE TYPE theirs.ulid (INPUT = theirs.ulid_in, OUTPUT = theirs.ulid_out, LIKE = uuid);
CREATE FUNCTION theirs.eq(theirs.ulid, theirs.ulid) RETURNS bool LANGUAGE internal IMMUTABLE STRICT AS 'uuid_eq';
CREATE FUNCTION theirs.lt(theirs.ulid, theirs.ulid) RETURNS bool LANGUAGE internal IMMUTABLE STRICT AS 'uuid_lt';
CREATE FUNCTION theirs.cmp(theirs.ulid, theirs.ulid) RETURNS int LANGUAGE internal IMMUTABLE STRICT AS 'uuid_cmp';
CREATE OPERATOR theirs.= (LEFTARG = theirs.ulid, RIGHTARG = theirs.ulid, FUNCTION = theirs.eq, COMMUTATOR = OPERATOR(theirs.=));
CREATE OPERATOR theirs.< (LEFTARG = theirs.ulid, RIGHTARG = theirs.ulid, FUNCTION = theirs.lt);
CREATE OPERATOR CLASS theirs.ulid_ops DEFAULT FOR TYPE theirs.ulid USING btree
    AS OPERATOR 1 theirs.<, OPERATOR 3 theirs.=, FUNCTION 1 theirs.cmp(theirs.ulid, theirs.ulid);
CREATE FUNCTION theirs.gen_ulid() RETURNS theirs.ulid
    LANGUAGE sql AS 'SELECT keyspace.ulid()::text::theirs.ulid';
CREATE FUNCTION theirs.gen_monotonic_ulid() RETURNS theirs.ulid
    LANGUAGE sql AS 'SELECT keyspace.ulid()::text::theirs.ulid';

-- Tables as they are found.
CREATE TABLE "Person" (
    id theirs.ulid PRIMARY KEY DEFAULT theirs.gen_ulid(),
    name text,
    "Known" theirs.ulid[] NOT NULL DEFAULT '{}',
    UNIQUE (name, id)
);
CREATE TABLE pet (
    id theirs.ulid PRIMARY KEY DEFAULT theirs.gen_monotonic_ulid(),
    owner theirs.ulid REFERENCES "Person" ON DELETE CASCADE,
    kind theirs.ulid DEFAULT '01ARZ3NDEKTSV4RRFFQ69G5FAV',
    made_from uuid
);
CREATE INDEX pet_owner ON pet (owner);
CREATE TABLE visit (id theirs.ulid, pet theirs.ulid REFERENCES pet, at date, PRIMARY KEY (id, at))
    PARTITION BY RANGE (at);
CREATE TABLE visit_2024 PARTITION OF visit FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE other (id uuid PRIMARY KEY, name text);
INSERT INTO "Person" (name) SELECT number::text FROM generate_series(1, 10) AS number;
INSERT INTO pet (owner) SELECT id FROM "Person";
UPDATE "Person" SET "Known" = ARRAY[id, NULL, '7ZZZZZZZZZZZZZZZZZZZZZZZZZ'];
INSERT INTO visit SELECT theirs.gen_ulid(), id, '2024-02-29' FROM pet;
INSERT INTO other SELECT gen_random_uuid() FROM generate_series(1, 10);
