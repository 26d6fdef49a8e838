-- $1 name[]: schemas, or NULL for all; $2 regclass[]: sequences, or NULL for all;
-- $3 regclass[]: sequences to exclude;
-- $4 oid[], $5 oid[], $6 smallint[], $7 boolean[]: sequences, relations and columns that the catalog
-- does not connect, and whether the caller has named them; the others were found in texts.
-- Returns one row for each sequence and column that it feeds, and one for a sequence that feeds
-- none. Conditions on $2 come early, so that one sequence is found by indexes, and all of them by
-- one scan of each catalog.
-- Without a list of privileges (relacl), the owner has all of them and nobody else has any. To ask for
-- a privilege would read the relation once more, by its OID.
WITH RECURSIVE chosen AS (
    SELECT c.oid, n.nspname, c.relname, pg_has_role(c.relowner, 'USAGE') AS is_owner, c.relacl, c.relpersistence,
           CASE WHEN c.relpersistence = 't' THEN 'temporary' WHEN member.objid IS NOT NULL THEN 'extension'
                WHEN c.relpersistence = 'u' AND pg_is_in_recovery() THEN 'unlogged' END AS exempt
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_depend member
        ON member.classid = 'pg_class'::regclass AND member.objid = c.oid AND member.objsubid = 0
       AND member.refclassid = 'pg_extension'::regclass AND member.deptype = 'e'
    WHERE c.relkind = 'S'
      AND ($2 IS NULL OR c.oid = ANY ($2::oid[]))
      AND ($2 IS NOT NULL
           OR c.relpersistence <> 't' AND member.objid IS NULL
              AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_')
      AND ($1 IS NULL OR n.nspname = ANY ($1))
      AND ($3 IS NULL OR c.oid <> ALL ($3::oid[]))
),
-- Owned and identity columns.
owned AS (
    SELECT d.objid AS sequence, d.refobjid AS relation, d.refobjsubid AS attribute, true AS is_owned
    FROM pg_depend d
    WHERE d.classid = 'pg_class'::regclass AND d.objsubid = 0
      AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
      AND ($2 IS NULL OR d.objid = ANY ($2::oid[]))
),
-- Every default that names the sequence: of a column, or of the domain of a column without its own.
defaults AS (
    SELECT d.refobjid AS sequence, a.adrelid AS relation, a.adnum::integer AS attribute,
           -- Anybody can write a default of any length.
           CASE WHEN octet_length(a.adbin::text) <= 262144 THEN a.adbin::text ELSE '' END AS expression
    FROM pg_depend d
    JOIN pg_attrdef a ON a.oid = d.objid
    -- The cast prevents that one sequence is looked up among all defaults, of which the planner expects few in
    -- a database that has not been analyzed.
    WHERE d.classid::bigint = 'pg_attrdef'::regclass::bigint AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid = 0
      AND ($2 IS NULL OR d.refobjid = ANY ($2::oid[]))
    UNION ALL
    SELECT d.refobjid, a.attrelid, a.attnum::integer,
           CASE WHEN octet_length(t.typdefaultbin::text) <= 262144 THEN t.typdefaultbin::text ELSE '' END
    FROM pg_depend d
    JOIN pg_type t ON t.oid = d.objid AND t.typtype = 'd'
    JOIN pg_depend u ON u.refclassid = 'pg_type'::regclass AND u.refobjid = t.oid
                    AND u.classid = 'pg_class'::regclass AND u.objsubid > 0
    JOIN pg_class c ON c.oid = u.objid AND c.relkind IN ('r', 'p', 'f')
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.objsubid AND NOT a.atthasdef AND a.attidentity = ''
    WHERE d.classid = 'pg_type'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid = 0
      AND ($2 IS NULL OR d.refobjid = ANY ($2::oid[]))
),
-- Columns that the caller has named, or that were found in texts, too.
fed AS MATERIALIZED (
    SELECT sequence, relation, attribute, expression, false AS given, is_owned, false AS found
    FROM owned FULL JOIN defaults USING (sequence, relation, attribute)
    UNION ALL
    SELECT other.sequence, other.relation, other.attribute, NULL, other.given, NULL, NOT other.given
    FROM unnest($4::oid[], $5::oid[], $6::smallint[], $7::boolean[]) AS other (sequence, relation, attribute, given)
),
ancestors AS (
    SELECT inhrelid AS relation, inhparent AS ancestor FROM pg_inherits
    WHERE inhrelid IN (SELECT relation FROM fed)
    UNION
    SELECT a.relation, i.inhparent FROM ancestors a JOIN pg_inherits i ON i.inhrelid = a.ancestor
),
descendants AS (
    SELECT inhparent AS relation, inhrelid AS descendant FROM pg_inherits
    WHERE inhparent IN (SELECT relation FROM fed)
    UNION
    SELECT d.relation, i.inhrelid FROM descendants d JOIN pg_inherits i ON i.inhparent = d.descendant
),
-- One row for each relation: a search in the two above for every row would take quadratic time.
below AS (
    SELECT relation, array_agg(ancestor) AS ancestors FROM ancestors GROUP BY relation
),
above_foreign AS (
    SELECT DISTINCT d.relation FROM descendants d JOIN pg_foreign_table t ON t.ftrelid = d.descendant
),
columns AS (
    SELECT f.sequence, f.expression, f.given, c.oid AS relation, a.attnum,
           convert_to(format('%I.%I', n.nspname, c.relname), 'SQL_ASCII') AS relation_name,
           convert_to(quote_ident(a.attname), 'SQL_ASCII') AS column_name,
           -- A foreign table is stored elsewhere, and a standby has no rows of an unlogged one.
           CASE WHEN c.relkind IN ('r', 'p') AND NOT (c.relpersistence = 'u' AND pg_is_in_recovery())
                     AND above_foreign.relation IS NULL
                THEN a.atttypid END AS type,
           CASE WHEN NOT (has_schema_privilege(n.oid, 'USAGE')
                          AND CASE WHEN c.relacl IS NULL AND pg_has_role(c.relowner, 'USAGE') THEN true
                                   ELSE has_column_privilege(c.oid, a.attnum, 'SELECT') END)
                THEN 'permission' WHEN c.relrowsecurity AND row_security_active(c.oid) THEN 'rows' END AS hidden,
           below.ancestors,
           -- A default can be written without any privilege on the sequence.
           f.given OR f.is_owned OR has_sequence_privilege(c.relowner, f.sequence, 'USAGE, UPDATE') AS counts,
           -- If its owner may only draw, drawn values move the sequence, but written ones do not.
           f.given OR f.is_owned OR has_sequence_privilege(c.relowner, f.sequence, 'UPDATE') AS is_followed,
           f.found,
           -- The columns of tables that a view is made of.
           CASE WHEN c.relkind = 'v'
                THEN ARRAY(SELECT format('%s.%s', d.refobjid, d.refobjsubid)
                           FROM pg_rewrite r
                           JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
                                           AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0
                           WHERE r.ev_class = c.oid) END AS made_of,
           c.relchecks > 0 AS has_checks,
           -- The default of a column that owns the sequence, if it does not name it.
           CASE WHEN f.is_owned AND f.expression IS NULL AND a.attidentity = '' AND a.attgenerated = ''
                THEN CASE WHEN a.atthasdef
                          THEN (SELECT other.adbin::text FROM pg_attrdef other WHERE other.adrelid = c.oid AND other.adnum = a.attnum)
                          ELSE (SELECT t.typdefaultbin::text FROM pg_type t WHERE t.oid = a.atttypid) END END AS other_default
    FROM fed f
    JOIN pg_class c ON c.oid = f.relation
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = f.relation AND a.attnum = f.attribute::smallint AND NOT a.attisdropped
    LEFT JOIN below ON below.relation = f.relation
    LEFT JOIN above_foreign ON above_foreign.relation = f.relation
    -- All values in temporary tables came from the sequence.
    WHERE c.relpersistence <> 't'
)
SELECT chosen.oid,
       convert_to(format('%I.%I', chosen.nspname, chosen.relname), 'SQL_ASCII'),
       chosen.is_owner,
       CASE WHEN chosen.relacl IS NULL AND chosen.is_owner THEN true
            ELSE has_sequence_privilege(chosen.oid, 'USAGE, SELECT') END,
       chosen.relpersistence = 'u',
       chosen.exempt,
       columns.relation, columns.attnum, columns.relation_name, columns.column_name, columns.type, columns.hidden, convert_to(columns.expression, 'SQL_ASCII'), columns.ancestors, columns.given, columns.counts, columns.is_followed,
       columns.found, columns.made_of, columns.has_checks,
       CASE WHEN octet_length(columns.other_default) <= 262144 THEN convert_to(columns.other_default, 'SQL_ASCII')
            WHEN columns.other_default IS NOT NULL THEN ''::bytea END
FROM chosen LEFT JOIN columns ON columns.sequence = chosen.oid
