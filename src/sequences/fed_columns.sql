-- $1 name[]: schemas, or NULL for all; $2 regclass[]: sequences, or NULL for all; $3 regclass[]: not these.
-- One row for each sequence and column that it feeds, and one for a sequence that feeds none.
WITH RECURSIVE chosen AS MATERIALIZED (
    SELECT c.oid, n.nspname, c.relname, c.relowner, c.relpersistence,
           CASE WHEN c.relpersistence = 't' THEN 'temporary' WHEN member.objid IS NOT NULL THEN 'extension'
                WHEN c.relpersistence = 'u' AND pg_is_in_recovery() THEN 'unlogged' END AS exempt
    FROM pg_sequence s
    JOIN pg_class c ON c.oid = s.seqrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_depend member
        ON member.classid = 'pg_class'::regclass AND member.objid = c.oid AND member.objsubid = 0
       AND member.refclassid = 'pg_extension'::regclass AND member.deptype = 'e'
    WHERE CASE WHEN $2 IS NULL
               THEN c.relpersistence <> 't' AND member.objid IS NULL
                    AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
               ELSE c.oid = ANY ($2::oid[]) END
      AND ($1 IS NULL OR n.nspname = ANY ($1))
      AND ($3 IS NULL OR c.oid <> ALL ($3::oid[]))
),
-- Owned and identity columns, and every default that names the sequence. A default that computes with
-- the value tells nothing of the sequence's position.
fed AS MATERIALIZED (
    SELECT sequence, relation, attribute, bool_and(plain) AS plain
    FROM (
        SELECT d.objid AS sequence, d.refobjid AS relation, d.refobjsubid::smallint AS attribute, true AS plain
        FROM pg_depend d
        WHERE d.classid = 'pg_class'::regclass AND d.objsubid = 0
          AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
          AND d.objid IN (SELECT oid FROM chosen)
        UNION ALL
        SELECT d.refobjid, a.adrelid, a.adnum,
               pg_get_expr(a.adbin, a.adrelid) ~
               ('^\(?([^''()]*\.)?(partitioned_)?nextval\(''([^'']|'''')*''::regclass(, [0-9]+, [0-9]+)?\)\)?'
                '(::(smallint|integer|bigint|numeric))?$')
        FROM pg_depend d
        JOIN pg_attrdef a ON a.oid = d.objid
        WHERE d.classid = 'pg_attrdef'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid = 0
          AND d.refobjid IN (SELECT oid FROM chosen)
    ) AS found
    GROUP BY sequence, relation, attribute
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
base_types AS (
    SELECT t.oid AS declared, t.oid AS type FROM pg_type t
    WHERE t.oid IN (SELECT a.atttypid FROM fed f JOIN pg_attribute a ON a.attrelid = f.relation AND a.attnum = f.attribute)
    UNION ALL
    SELECT b.declared, t.typbasetype FROM base_types b JOIN pg_type t ON t.oid = b.type AND t.typtype = 'd'
),
columns AS (
    SELECT f.sequence,
           format('%I.%I.%I', n.nspname, c.relname, a.attname) AS name,
           format('%I.%I', n.nspname, c.relname) AS relation,
           quote_ident(a.attname) AS attribute,
           -- A foreign table would be read from elsewhere, and a standby holds no unlogged one.
           CASE WHEN f.plain AND c.relkind IN ('r', 'p') AND NOT (c.relpersistence = 'u' AND pg_is_in_recovery())
                     AND NOT EXISTS (SELECT FROM descendants d JOIN pg_foreign_table t ON t.ftrelid = d.descendant
                                     WHERE d.relation = f.relation)
                THEN b.type END AS type,
           CASE WHEN NOT (has_schema_privilege(n.oid, 'USAGE') AND has_column_privilege(c.oid, a.attnum, 'SELECT'))
                THEN 'permission' WHEN row_security_active(c.oid) THEN 'rows' END AS hidden,
           EXISTS (
               SELECT FROM pg_index i
               JOIN pg_class ic ON ic.oid = i.indexrelid
               JOIN pg_am am ON am.oid = ic.relam AND am.amname = 'btree'
               WHERE i.indrelid = f.relation AND i.indkey[0] = f.attribute AND i.indisvalid AND i.indpred IS NULL
           ) AS indexed
    FROM fed f
    JOIN pg_class c ON c.oid = f.relation
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = f.relation AND a.attnum = f.attribute
    JOIN base_types b ON b.declared = a.atttypid
    JOIN pg_type t ON t.oid = b.type AND t.typtype <> 'd'
    -- What temporary tables hold came from the sequence. The maximum over a parent takes in its partitions and
    -- children.
    WHERE c.relpersistence <> 't' AND NOT EXISTS (
        SELECT FROM ancestors up
        JOIN fed above ON above.sequence = f.sequence AND above.relation = up.ancestor AND above.plain
        WHERE up.relation = f.relation AND f.plain
    )
)
SELECT chosen.oid,
       format('%I.%I', chosen.nspname, chosen.relname),
       pg_has_role(chosen.relowner, 'USAGE'),
       chosen.relpersistence = 'u',
       chosen.exempt,
       columns.name, columns.relation, columns.attribute, columns.type, columns.indexed, columns.hidden,
       getdatabaseencoding() IN ('UTF8', 'SQL_ASCII')
           OR concat(chosen.nspname, chosen.relname, columns.name) !~ '[^\x01-\x7f]'
FROM chosen LEFT JOIN columns ON columns.sequence = chosen.oid
ORDER BY chosen.oid, columns.name
