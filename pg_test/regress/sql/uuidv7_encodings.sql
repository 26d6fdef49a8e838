-- A salt and a hashed text count in UTF-8, whatever the encoding of the database.
-- trap_k16
SET client_min_messages = warning;
SET timezone = 'UTC';
SET client_encoding = 'UTF8';
SELECT uuidv7_from_timestamp('2023-11-14 22:13:20.123456+00', 42, 'Größe.Aufträge') AS salted,
       uuidv7_from_timestamp_hashed('2023-11-14 22:13:20.123456+00', 'Größe') AS hashed;
\set first :DBNAME
CREATE DATABASE keyspace_latin1 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0;
-- The last encoding without conversions is gone from PostgreSQL 19; there it is one more that says nothing.
SELECT CASE WHEN current_setting('server_version_num')::int < 190000 THEN 'MULE_INTERNAL' ELSE 'SQL_ASCII' END AS unconverted \gset
CREATE DATABASE keyspace_unconverted ENCODING :'unconverted' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0;
CREATE DATABASE keyspace_sql_ascii ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0;
\c keyspace_latin1
SET client_min_messages = warning;
SET client_encoding = 'UTF8';
CREATE EXTENSION pg_keyspace;
SELECT uuidv7_from_timestamp('2023-11-14 22:13:20.123456+00', 42, 'Größe.Aufträge') AS salted,
       uuidv7_from_timestamp_hashed('2023-11-14 22:13:20.123456+00', 'Größe') AS hashed;
-- Twice the same salt, then another one and the first again.
SELECT uuidv7_to_id(uuidv7_from_timestamp(now(), 42, 'Größe'), 'Größe'),
       uuidv7_to_id(uuidv7_from_timestamp(now(), 42, 'Größe'), 'Groesse'),
       uuidv7_to_id(uuidv7_from_timestamp(now(), 43, 'Größe'), 'Größe');
-- What is not ASCII is no ULID, and is shown as it came where the encoding allows.
SET client_encoding = 'LATIN1';
SELECT octet_length('01ARZ3NDEKTSV4RRFFQ69G5FA' || chr(196)) AS bytes;
SELECT ('01ARZ3NDEKTSV4RRFFQ69G5FA' || chr(196))::ulid;
\echo :LAST_ERROR_SQLSTATE
\c keyspace_sql_ascii
SET client_min_messages = warning;
CREATE EXTENSION pg_keyspace;
-- Bytes of no encoding are taken for UTF-8 where they are that, and refused where not.
SELECT uuidv7_from_timestamp('2023-11-14 22:13:20.123456+00', 42, 'Größe.Aufträge') AS salted;
SELECT uuidv7_from_timestamp(now(), 42, E'\xc4');
\echo :LAST_ERROR_SQLSTATE
\c keyspace_unconverted
SET client_min_messages = warning;
CREATE EXTENSION pg_keyspace;
-- An encoding without a conversion: ASCII needs none.
SELECT uuidv7_from_timestamp('2023-11-14 22:13:20.123456+00', 42, 'public.orders') AS salted,
       ulid_from_timestamp_hashed('2023-11-14 22:13:20.123456+00', 'order-1', 'public.orders') AS hashed;
\c :first
DROP DATABASE keyspace_unconverted;
DROP DATABASE keyspace_latin1;
DROP DATABASE keyspace_sql_ascii;
