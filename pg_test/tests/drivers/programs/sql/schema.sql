-- The tables that every program uses, in a database that is node 2 of 2.
CREATE EXTENSION pg_keyspace;

CREATE TABLE page_view (id uuid PRIMARY KEY DEFAULT uuidv7(), url text);

CREATE TABLE payment (
    id ulid PRIMARY KEY DEFAULT ulid(),
    amount numeric NOT NULL,
    refunds ulid[] NOT NULL DEFAULT '{}'
);

-- Stores a uuid, and shows a ULID.
CREATE TABLE invoice (id uuid PRIMARY KEY DEFAULT ulid()::uuid, total numeric);

CREATE SEQUENCE ticket_no;
CREATE TABLE ticket (
    no bigint PRIMARY KEY DEFAULT partitioned_nextval('ticket_no'::regclass),
    subject text
);
ALTER SEQUENCE ticket_no OWNED BY ticket.no;

CREATE TABLE item (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text);

-- Another type that has the name, and the same binary form.
CREATE SCHEMA decoy;
CREATE TYPE decoy.ulid;
CREATE FUNCTION decoy.ulid_in(cstring) RETURNS decoy.ulid LANGUAGE internal IMMUTABLE STRICT AS 'uuid_in';
CREATE FUNCTION decoy.ulid_out(decoy.ulid) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'uuid_out';
CREATE FUNCTION decoy.ulid_recv(internal) RETURNS decoy.ulid LANGUAGE internal IMMUTABLE STRICT AS 'uuid_recv';
CREATE FUNCTION decoy.ulid_send(decoy.ulid) RETURNS bytea LANGUAGE internal IMMUTABLE STRICT AS 'uuid_send';
CREATE TYPE decoy.ulid (
    INPUT = decoy.ulid_in, OUTPUT = decoy.ulid_out, RECEIVE = decoy.ulid_recv, SEND = decoy.ulid_send, LIKE = uuid
);

SELECT FROM setup_interleaved_sequences(2, 2);
