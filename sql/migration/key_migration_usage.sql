CREATE FUNCTION keyspace_internal.key_migration_columns(migration regclass) RETURNS TABLE (relation oid, attribute smallint)
    LANGUAGE c VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT
    AS 'MODULE_PATHNAME', 'key_migration_columns_wrapper';
COMMENT ON FUNCTION keyspace_internal.key_migration_columns(regclass) IS
'part of key_migration_usage(): the old id columns of a key migration, with those of partitions';

CREATE FUNCTION @extschema@.key_migration_usage(migration regclass) RETURNS TABLE (
    table_name regclass,
    column_name name,
    kind text,
    used_by text,
    known_by text,
    detail text
)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT
    SET search_path = pg_catalog, pg_temp
    AS $function$
DECLARE
    statements regclass;
BEGIN
    IF migration IS NULL THEN
        RAISE EXCEPTION 'argument "migration" must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    -- It is called by its name below, which others could give to a schema of theirs if ours was renamed.
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_namespace n
                   JOIN pg_catalog.pg_roles o ON o.oid OPERATOR(pg_catalog.=) n.nspowner AND o.rolsuper
                   WHERE n.nspname OPERATOR(pg_catalog.=) 'keyspace_internal') THEN
        RAISE EXCEPTION 'schema "keyspace_internal" has been renamed'
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Rename it back.';
    END IF;
    -- Uses that the catalogs record.
    RETURN QUERY
    WITH used AS (
        SELECT c.relation, c.attribute, a.attname
        FROM keyspace_internal.key_migration_columns(migration) c
        JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) c.relation AND a.attnum OPERATOR(pg_catalog.=) c.attribute
        WHERE NOT a.attisdropped
    ),
    words AS (
        SELECT DISTINCT n.word, pg_catalog.concat('(^|[^[:alnum:]_$])',
                   pg_catalog.regexp_replace(n.word, '[^[:alnum:]_]', $re$\\\&$re$, 'g'), '($|[^[:alnum:]_$])') AS pattern
        FROM used u JOIN pg_catalog.pg_class t ON t.oid OPERATOR(pg_catalog.=) u.relation
        CROSS JOIN LATERAL (VALUES (pg_catalog.lower(u.attname::text)), (pg_catalog.lower(t.relname::text))) AS n (word)
    ),
    bodies AS (
        SELECT p.oid, p.prosrc, pg_catalog.octet_length(p.prosrc) OPERATOR(pg_catalog.>) 1048576 AS is_long
        FROM pg_catalog.pg_proc p
        JOIN pg_catalog.pg_language l ON l.oid OPERATOR(pg_catalog.=) p.prolang AND l.lanname NOT IN ('internal', 'c')
        WHERE p.prosrc OPERATOR(pg_catalog.<>) ''
          AND p.pronamespace OPERATOR(pg_catalog.<>) 'pg_catalog'::regnamespace
          AND p.pronamespace OPERATOR(pg_catalog.<>) 'information_schema'::regnamespace
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::regclass
                          AND e.objid OPERATOR(pg_catalog.=) p.oid AND e.deptype OPERATOR(pg_catalog.=) 'e')
    ),
    -- Search each body only once, for all words: anybody can create a body of any length.
    searched AS MATERIALIZED (
        SELECT b.oid, ARRAY(SELECT w.word FROM words w
                              WHERE pg_catalog.strpos(b.body, w.word) OPERATOR(pg_catalog.>) 0 AND b.body OPERATOR(pg_catalog.~) w.pattern) AS words
        FROM (SELECT oid, pg_catalog.lower(prosrc) AS body FROM bodies WHERE NOT is_long OFFSET 0) b
    ),
    found AS (
        -- Views, policies, functions with a parsed body, statistics, triggers and constraints.
        SELECT u.relation, u.attname,
               CASE d.classid WHEN 'pg_catalog.pg_rewrite'::regclass THEN 'view' WHEN 'pg_catalog.pg_policy'::regclass THEN 'policy'
                              WHEN 'pg_catalog.pg_proc'::regclass THEN 'function'
                              WHEN 'pg_catalog.pg_statistic_ext'::regclass THEN 'extended statistics'
                              WHEN 'pg_catalog.pg_trigger'::regclass THEN 'trigger'
                              WHEN 'pg_catalog.pg_constraint'::regclass THEN 'constraint'
                              WHEN 'pg_catalog.pg_publication_rel'::regclass THEN 'publication'
                              ELSE 'other object' END AS kind,
               CASE d.classid WHEN 'pg_catalog.pg_rewrite'::regclass
                    THEN (SELECT w.ev_class::regclass::text FROM pg_catalog.pg_rewrite w WHERE w.oid OPERATOR(pg_catalog.=) d.objid)
                    WHEN 'pg_catalog.pg_proc'::regclass THEN d.objid::regprocedure::text
                    ELSE (pg_catalog.pg_identify_object(d.classid, d.objid, 0)).identity END AS used_by,
               'dependency' AS known_by, NULL::text AS detail
        FROM used u
        JOIN pg_catalog.pg_depend d ON d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::regclass
             AND d.refobjid OPERATOR(pg_catalog.=) u.relation AND d.refobjsubid OPERATOR(pg_catalog.=) u.attribute
        WHERE d.classid NOT IN ('pg_catalog.pg_class'::regclass, 'pg_catalog.pg_attrdef'::regclass)
          -- Not the constraints that finalize drops with the column, nor the triggers and checks of
          -- the migration.
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint n WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_constraint'::regclass
                          AND n.oid OPERATOR(pg_catalog.=) d.objid
                          AND (n.contype IN ('p', 'u', 'f', 'n') OR (NOT n.convalidated AND n.conname::text OPERATOR(pg_catalog.~) '_given$'))
                          AND (n.contype OPERATOR(pg_catalog.<>) 'f' OR n.conrelid IN (SELECT o.relation FROM used o)))
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) t.tgfoid
                          WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_trigger'::regclass AND t.oid OPERATOR(pg_catalog.=) d.objid
                            AND (t.tgisinternal OR p.pronamespace OPERATOR(pg_catalog.=) 'keyspace_internal'::regnamespace))
        UNION
        -- Generated columns, whose expressions depend on the column.
        SELECT u.relation, u.attname, 'generated column', g.attname::text, 'dependency', NULL
        FROM used u
        JOIN pg_catalog.pg_depend d ON d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::regclass
             AND d.refobjid OPERATOR(pg_catalog.=) u.relation AND d.refobjsubid OPERATOR(pg_catalog.=) u.attribute
        JOIN pg_catalog.pg_attrdef e ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_attrdef'::regclass AND e.oid OPERATOR(pg_catalog.=) d.objid
        JOIN pg_catalog.pg_attribute g ON g.attrelid OPERATOR(pg_catalog.=) e.adrelid AND g.attnum OPERATOR(pg_catalog.=) e.adnum
             AND g.attgenerated OPERATOR(pg_catalog.<>) '' AND g.attnum OPERATOR(pg_catalog.<>) u.attribute
        UNION
        -- Indexes scanned since their statistics were last reset.
        SELECT u.relation, u.attname, 'index', s.indexrelname::text, 'statistics',
               pg_catalog.format('%s scans since the statistics were last reset', s.idx_scan)
        FROM used u
        JOIN pg_catalog.pg_index i ON i.indrelid OPERATOR(pg_catalog.=) u.relation
             AND u.attribute OPERATOR(pg_catalog.=) ANY (i.indkey::smallint[])
        JOIN pg_catalog.pg_stat_all_indexes s ON s.indexrelid OPERATOR(pg_catalog.=) i.indexrelid AND s.idx_scan OPERATOR(pg_catalog.>) 0
        UNION
        -- Bodies that are plain text: a search for words only.
        SELECT u.relation, u.attname, 'function', b.oid::regprocedure::text, 'text', 'its body contains the names, but may mean other objects'
        FROM used u
        JOIN pg_catalog.pg_class t ON t.oid OPERATOR(pg_catalog.=) u.relation
        JOIN searched b ON pg_catalog.lower(u.attname::text) OPERATOR(pg_catalog.=) ANY (b.words)
                       AND pg_catalog.lower(t.relname::text) OPERATOR(pg_catalog.=) ANY (b.words)
        WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_trigger g WHERE g.tgrelid OPERATOR(pg_catalog.=) u.relation AND NOT g.tgisinternal
                          AND g.tgfoid OPERATOR(pg_catalog.=) b.oid)
        UNION
        -- Functions of the table's own triggers: the trigger says which table it is.
        SELECT u.relation, u.attname, 'function', g.tgfoid::regprocedure::text, 'trigger',
               pg_catalog.format('trigger "%s" of the table calls it; its body or the arguments contain the name of the column', g.tgname)
        FROM used u
        JOIN pg_catalog.pg_trigger g ON g.tgrelid OPERATOR(pg_catalog.=) u.relation AND NOT g.tgisinternal
        JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) g.tgfoid
             AND p.pronamespace OPERATOR(pg_catalog.<>) 'keyspace_internal'::regnamespace
        LEFT JOIN searched b ON b.oid OPERATOR(pg_catalog.=) g.tgfoid
        WHERE pg_catalog.lower(u.attname::text) OPERATOR(pg_catalog.=) ANY (b.words)
           OR pg_catalog.encode(pg_catalog.convert_to(u.attname::text, pg_catalog.getdatabaseencoding()), 'escape') OPERATOR(pg_catalog.=)
              ANY (pg_catalog.string_to_array(pg_catalog.encode(g.tgargs, 'escape'), $zero$\000$zero$))
        UNION
        SELECT NULL, NULL, 'function', b.oid::regprocedure::text, 'text', 'not searched: its body is longer than 1 MB'
        FROM bodies b WHERE b.is_long
    )
    SELECT f.relation::regclass, f.attname, f.kind, f.used_by, f.known_by, f.detail
    FROM found f ORDER BY f.relation::regclass::text COLLATE "C", f.attname, f.known_by COLLATE "C", f.kind COLLATE "C", f.used_by COLLATE "C";
    -- Statements of clients, if pg_stat_statements counts them.
    SELECT c.oid::regclass INTO statements FROM pg_catalog.pg_extension e
    JOIN pg_catalog.pg_depend m ON m.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::regclass AND m.refobjid OPERATOR(pg_catalog.=) e.oid
         AND m.deptype OPERATOR(pg_catalog.=) 'e' AND m.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::regclass
    JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) m.objid AND c.relname OPERATOR(pg_catalog.=) 'pg_stat_statements'
         AND c.relnamespace OPERATOR(pg_catalog.=) e.extnamespace
    -- The owner of an extension can add other objects to it, so the view must be a superuser's.
    JOIN pg_catalog.pg_roles o ON o.oid OPERATOR(pg_catalog.=) c.relowner AND o.rolsuper
    WHERE e.extname OPERATOR(pg_catalog.=) 'pg_stat_statements';
    IF statements IS NOT NULL THEN
        BEGIN
            RETURN QUERY EXECUTE pg_catalog.format($query$
                WITH used AS (
                    SELECT c.relation, a.attname, pg_catalog.lower(a.attname::text) AS column_word, pg_catalog.lower(t.relname::text) AS table_word
                    FROM keyspace_internal.key_migration_columns($1) c
                    JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) c.relation
                         AND a.attnum OPERATOR(pg_catalog.=) c.attribute AND NOT a.attisdropped
                    JOIN pg_catalog.pg_class t ON t.oid OPERATOR(pg_catalog.=) c.relation
                ),
                words AS (
                    SELECT DISTINCT n.word, pg_catalog.concat('(^|[^[:alnum:]_$])',
                               pg_catalog.regexp_replace(n.word, '[^[:alnum:]_]', $re$\\\&$re$, 'g'), '($|[^[:alnum:]_$])') AS pattern
                    FROM used u CROSS JOIN LATERAL (VALUES (u.column_word), (u.table_word)) AS n (word)
                ),
                statements AS (
                    SELECT s.query, s.calls, pg_catalog.octet_length(s.query) OPERATOR(pg_catalog.>) 1048576 AS is_long
                    FROM pg_catalog.pg_database d JOIN %s AS s ON s.dbid OPERATOR(pg_catalog.=) d.oid
                    WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
                ),
                searched AS MATERIALIZED (
                    SELECT b.query, b.calls, ARRAY(SELECT w.word FROM words w
                                                   WHERE pg_catalog.strpos(b.body, w.word) OPERATOR(pg_catalog.>) 0
                                                     AND b.body OPERATOR(pg_catalog.~) w.pattern) AS words
                    FROM (SELECT query, calls, pg_catalog.lower(query) AS body FROM statements
                          WHERE CASE WHEN is_long THEN false
                                     ELSE query OPERATOR(pg_catalog.~*)
                                          $re$^\s*(/\*.*?\*/\s*)*(select|insert|update|delete|merge|with|copy|values|declare)\M$re$ END
                          OFFSET 0) b
                )
                (SELECT u.relation::regclass, u.attname, 'statement'::text, pg_catalog.left(b.query, 200), 'pg_stat_statements'::text,
                        pg_catalog.format('%%s calls; it contains the names, but may mean other objects', b.calls)
                 FROM used u JOIN searched b ON u.column_word OPERATOR(pg_catalog.=) ANY (b.words)
                                            AND u.table_word OPERATOR(pg_catalog.=) ANY (b.words)
                 ORDER BY b.calls DESC, b.query COLLATE "C" LIMIT 100)
                UNION ALL
                (SELECT NULL, NULL, 'statement', pg_catalog.left(s.query, 200), 'pg_stat_statements',
                        pg_catalog.format('%%s calls; not searched: it is longer than 1 MB', s.calls)
                 FROM statements s WHERE s.is_long ORDER BY s.calls DESC, s.query COLLATE "C" LIMIT 100) $query$, statements) USING migration;
        EXCEPTION WHEN object_not_in_prerequisite_state THEN
            NULL;  -- It is installed, but not preloaded.
        END;
    END IF;
END
$function$;

COMMENT ON FUNCTION @extschema@.key_migration_usage(regclass) IS
'uses of the old id columns of a key migration: objects that depend on them, functions and statements that contain their names, and indexes that are scanned; cannot see other statements of clients';
