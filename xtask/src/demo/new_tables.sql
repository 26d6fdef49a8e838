-- Tables made after the set-up, with the keys of pg_keyspace as defaults.
CREATE TABLE shop.page_view (
    id uuid PRIMARY KEY DEFAULT public.uuidv7(),
    made_by text NOT NULL
);
CREATE TABLE shop.payment (
    id ulid PRIMARY KEY DEFAULT ulid(),
    made_by text NOT NULL
);
CREATE SEQUENCE shop.ticket_no;
CREATE TABLE shop.ticket (
    id bigint PRIMARY KEY DEFAULT partitioned_nextval('shop.ticket_no'),
    made_by text NOT NULL
);
