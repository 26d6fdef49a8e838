-- $1 oid[]: tables whose foreign keys of one column are wanted. $2 oid[], $3 smallint[], $4 oid[],
-- $5 smallint[]: references that are known, whether or not they still have a foreign key: the table and
-- its column, and the table and the column that they refer to. One JSON document: the `TimeParent`s of
-- keyspace::migration.
WITH given AS (
    SELECT f.conrelid AS child, f.conkey[1] AS attribute, f.confrelid AS parent, f.confkey[1] AS parent_attribute
    FROM pg_constraint f
    WHERE f.conrelid = ANY ($1) AND f.contype = 'f' AND f.conparentid = 0 AND cardinality(f.conkey) = 1
    UNION
    SELECT g.child, g.attribute, g.parent, g.parent_attribute
    FROM unnest($2::oid[], $3::smallint[], $4::oid[], $5::smallint[]) AS g (child, attribute, parent, parent_attribute)
)
SELECT convert_to(coalesce(jsonb_agg(jsonb_build_object(
    'child', g.child::bigint,
    'column', g.attribute,
    'parent', g.parent::bigint,
    'parent_column', g.parent_attribute,
    'schema', n.nspname,
    'name', p.relname,
    'owner', o.rolname,
    'has_rights', pg_has_role(o.oid, p.relowner, 'USAGE'),
    'hides_rows', p.relrowsecurity AND NOT o.rolsuper AND NOT o.rolbypassrls,
    'may_use_schema', coalesce(has_schema_privilege(o.oid, p.relnamespace, 'USAGE'), false),
    'may_select', coalesce(has_table_privilege(o.oid, p.oid, 'SELECT'), false),
    'may_select_columns', coalesce((
        SELECT jsonb_agg(a.attnum ORDER BY a.attnum) FROM pg_attribute a
        WHERE a.attrelid = p.oid AND a.attnum > 0 AND NOT a.attisdropped AND has_column_privilege(o.oid, p.oid, a.attnum, 'SELECT')), '[]'),
    'columns', coalesce((
        SELECT jsonb_agg(jsonb_build_object(
            'number', a.attnum,
            'name', a.attname,
            'type_name', format_type(b.base, NULL),
            'declared_type', format_type(a.atttypid, a.atttypmod),
            'not_null', a.attnotnull,
            'generated', a.attgenerated,
            'collation', (SELECT format('%I.%I', n.nspname, l.collname) FROM pg_collation l JOIN pg_namespace n ON n.oid = l.collnamespace
                          WHERE l.oid = a.attcollation),
            'is_unique', EXISTS (SELECT FROM pg_index i LEFT JOIN pg_collation l ON l.oid = i.indcollation[0]
                                 WHERE i.indrelid = p.oid AND i.indisunique AND i.indisvalid
                                   AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum AND i.indpred IS NULL
                                   AND coalesce(l.collisdeterministic, true))
        ) ORDER BY a.attnum)
        FROM pg_attribute a
        CROSS JOIN LATERAL (
            WITH RECURSIVE domain AS (
                SELECT t.oid, t.typtype, t.typbasetype FROM pg_type t WHERE t.oid = a.atttypid
                UNION ALL
                SELECT t.oid, t.typtype, t.typbasetype FROM domain d JOIN pg_type t ON t.oid = d.typbasetype WHERE d.typtype = 'd'
            )
            SELECT d.oid AS base FROM domain d WHERE d.typtype <> 'd' LIMIT 1
        ) b
        WHERE a.attrelid = p.oid AND a.attnum > 0 AND NOT a.attisdropped), '[]')
) ORDER BY g.child, g.attribute, g.parent), '[]')::text, 'SQL_ASCII')
FROM given g
JOIN pg_class c ON c.oid = g.child
JOIN pg_roles o ON o.oid = c.relowner
JOIN pg_class p ON p.oid = g.parent AND p.relkind = 'r'
JOIN pg_namespace n ON n.oid = p.relnamespace
