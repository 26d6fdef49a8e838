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

SELECT FROM setup_interleaved_sequences(2, 2);
