-- The key of a partitioned table is numeric: from the plan to the end, and back.
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
CALL keyspace_test.forget_node();
CREATE SCHEMA books;
SET search_path = books, public;
CREATE SEQUENCE entry_id START 5000;
CREATE TABLE entry (
    amount numeric(12, 2),
    id numeric(18) DEFAULT nextval('entry_id'),
    day date NOT NULL,
    created_at timestamptz NOT NULL DEFAULT '2024-01-01 00:00:00+00',
    reverses numeric(18),
    reverses_day date,
    PRIMARY KEY (id, day),
    FOREIGN KEY (reverses, reverses_day) REFERENCES entry
) PARTITION BY RANGE (day);
CREATE TABLE entry_1 PARTITION OF entry FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
CREATE TABLE other (day date NOT NULL, reverses_day date, reverses numeric(18), created_at timestamptz NOT NULL, id numeric(18) NOT NULL, amount numeric(12, 2));
ALTER TABLE entry ATTACH PARTITION other FOR VALUES FROM ('2024-02-01') TO ('2024-03-01');
CREATE TABLE entry_rest PARTITION OF entry DEFAULT PARTITION BY LIST (day);
CREATE TABLE entry_rest_all PARTITION OF entry_rest DEFAULT;
-- References of other types, and of another scale.
CREATE TABLE line (
    no integer PRIMARY KEY,
    entry_id bigint NOT NULL,
    entry_day date NOT NULL,
    also numeric(20, 2),
    FOREIGN KEY (entry_id, entry_day) REFERENCES entry ON UPDATE CASCADE,
    FOREIGN KEY (also, entry_day) REFERENCES entry
);
INSERT INTO entry (id, day, created_at, amount) SELECT CASE i WHEN 7 THEN -7 WHEN 9 THEN 100000000 ELSE i END, '2024-01-01'::date + i % 90, '2024-01-01'::timestamptz + i * interval '1 minute', i + 0.25 FROM generate_series(1, 300) AS i;
UPDATE entry AS e SET (reverses, reverses_day) = (SELECT p.id, p.day FROM entry AS p WHERE p.id = e.id - 11) WHERE e.id % 3 = 0;
INSERT INTO line SELECT i, e.id, e.day, CASE i % 2 WHEN 0 THEN e.id END FROM generate_series(1, 600) AS i JOIN entry AS e ON e.amount = i % 300 + 1.25;
CREATE TABLE before AS TABLE entry;
CREATE FUNCTION differences(suffix text, old text, OUT entries bigint, OUT parents bigint, OUT lines bigint, OUT also bigint) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format($q$
        SELECT (SELECT count(*) FROM before AS b LEFT JOIN entry AS e USING (amount) WHERE e.id%1$s IS DISTINCT FROM key_migration_uuid(b.created_at, b.id::bigint, 'books.entry')),
               (SELECT count(*) FROM entry AS e LEFT JOIN entry AS p ON (p.id%2$s, p.day) = (e.reverses%2$s, e.reverses_day) WHERE e.reverses%1$s IS DISTINCT FROM p.id%1$s),
               (SELECT count(*) FROM line AS l LEFT JOIN entry AS p ON (p.id%2$s, p.day) = (l.entry_id%2$s, l.entry_day) WHERE l.entry_id%1$s IS DISTINCT FROM p.id%1$s),
               (SELECT count(*) FROM line AS l LEFT JOIN entry AS p ON (p.id%2$s, p.day) = (l.also%2$s, l.entry_day) WHERE l.also%1$s IS DISTINCT FROM p.id%1$s)
    $q$, suffix, old) INTO entries, parents, lines, also;
END $$;
-- Another number in the primary key may be an amount, or not.
CREATE TABLE pair (a numeric, b numeric, day date, PRIMARY KEY (a, b, day)) PARTITION BY RANGE (day);
CREATE TABLE rate (a numeric, no integer, day date, at timestamptz, PRIMARY KEY (a, no, day)) PARTITION BY RANGE (day);
\set VERBOSITY default
SELECT key_migration_create('pair');
SELECT detail FROM key_migration_plan('rate') WHERE detail ~ 'the key of';
SELECT key_migration_create('entry', target => 'bigint');
-- An id without an integer, also in a partition.
ALTER TABLE entry ALTER id TYPE numeric;
INSERT INTO entry (id, day) VALUES (1.5, '2024-02-10');
SELECT key_migration_create('entry');
DELETE FROM entry WHERE id = 1.5;
SELECT action, detail FROM key_migration_plan('entry') WHERE action IN ('error', 'warning') AND detail ~ 'numeric';
SELECT key_migration_create('entry');
\set VERBOSITY terse
CALL key_migration_advance('entry', through => 'prepared');
INSERT INTO entry (day, reverses, reverses_day) VALUES ('2024-02-11', 1, '2024-01-02'), ('2025-01-01', 100000000.00, '2024-01-10');
INSERT INTO other (id, day, created_at) VALUES (6000.00, '2024-02-12', '2024-02-02 00:00:00+00');
INSERT INTO entry (id, day) VALUES (6000.25, '2024-02-12');
INSERT INTO entry (id, day) VALUES ('NaN', '2024-02-12');
INSERT INTO line VALUES (1000, 6000, '2024-02-12', 6000), (1001, -7, '2024-01-08', NULL);
INSERT INTO line VALUES (1002, 6000, '2024-02-12', 6000.25);
-- A row that moves keeps its key.
SELECT id_new FROM entry WHERE id = 6000 \gset
UPDATE line SET also = NULL WHERE no = 1000;
UPDATE entry SET day = '2024-01-30' WHERE id = 6000;
SELECT tableoid::regclass, id_new = :'id_new' AS is_same FROM entry WHERE id = 6000;
UPDATE line SET also = 6000 WHERE no = 1000;
SELECT statement FROM key_migration_statements('entry') \gexec
SELECT key_migration_phase('entry'), * FROM differences('_new', '');
SELECT table_name, check_name FROM key_migration_verify('entry') WHERE NOT ok;
CALL key_migration_cutover('entry');
SELECT * FROM differences('', '_old');
INSERT INTO entry (day) VALUES ('2024-01-20'), ('2026-01-01');
INSERT INTO line (no, entry_id, entry_day, also) SELECT 2000 + row_number() OVER (ORDER BY day), id, day, id FROM entry WHERE id_old >= 5002;
SELECT no, entry_id_old = also_old AS is_same, also_old FROM line WHERE no > 2000 ORDER BY no;
CALL key_migration_rollback('entry');
SELECT * FROM differences('_new', '');
SELECT no, entry_id, also FROM line WHERE no > 2000 ORDER BY no;
SELECT statement FROM key_migration_statements('entry') \gexec
CALL key_migration_cutover('entry');
CALL key_migration_finalize('entry', confirm => 'entry');
\d line
SELECT count(*) AS entries, count(DISTINCT id) AS keys FROM entry;
DROP SCHEMA books CASCADE;
