-- $1 oid[]: the tables of a migration. $2 oid[], $3 smallint[]: its keys. $4 text[], $5 text[]: the
-- schemas and names of relations that it needs. $6 oid: the schema of our triggers. One JSON document:
-- keyspace::migration::Surroundings.
WITH
wanted AS (
    SELECT DISTINCT n.oid, n.nspname, w.name::name AS name
    FROM unnest($4::text[], $5::text[]) AS w (schema, name) JOIN pg_namespace n ON n.nspname = w.schema::name
),
taken AS (
    SELECT w.nspname, w.name, CASE c.relkind WHEN 'i' THEN 'index' WHEN 'I' THEN 'index' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
                                             WHEN 'S' THEN 'sequence' WHEN 'c' THEN 'type' ELSE 'table' END AS kind
    FROM wanted w JOIN pg_class c ON c.relnamespace = w.oid AND c.relname = w.name
    UNION ALL
    -- A relation has its type. An array type gets out of the way by itself.
    SELECT w.nspname, w.name, 'type'
    FROM wanted w JOIN pg_type t ON t.typnamespace = w.oid AND t.typname = w.name
    WHERE t.typrelid = 0 AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid)
),
uses AS (
    SELECT jsonb_build_object(
        'table', c.oid::bigint,
        'may_create', coalesce(has_schema_privilege(c.relnamespace, 'CREATE'), true),
        'constraints', coalesce((SELECT jsonb_agg(n.conname ORDER BY n.conname) FROM pg_constraint n WHERE n.conrelid = c.oid), '[]'),
        'triggers', coalesce((
            SELECT jsonb_agg(jsonb_build_object(
                'name', t.tgname,
                'function', p.oid::regprocedure::text,
                'function_schema', s.nspname,
                'function_name', p.proname,
                -- The text of a function in an SQL_ASCII database can be in any encoding.
                'body', CASE WHEN text.is_text AND NOT text.is_long
                             THEN CASE WHEN getdatabaseencoding() = 'SQL_ASCII' THEN regexp_replace(p.prosrc, '[^\x01-\x7f]', '?', 'g')
                                       ELSE p.prosrc END END,
                'is_long', text.is_text AND text.is_long) ORDER BY t.tgname)
            FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace s ON s.oid = p.pronamespace
            JOIN pg_language l ON l.oid = p.prolang
            CROSS JOIN LATERAL (SELECT l.lanname NOT IN ('internal', 'c') AS is_text, octet_length(p.prosrc) > 1048576 AS is_long) AS text
            WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND p.pronamespace <> $6
              -- Those of a partitioned table are on its partitions, too.
              AND (t.tgparentid = 0 OR NOT EXISTS (SELECT FROM pg_trigger u WHERE u.oid = t.tgparentid AND u.tgrelid = ANY ($1::oid[])))), '[]'),
        'subscriptions', coalesce((SELECT jsonb_agg(DISTINCT s.subname) FROM pg_subscription_rel r JOIN pg_subscription s ON s.oid = r.srsubid
                                   WHERE r.srrelid = c.oid), '[]')
    ) AS fact
    FROM pg_class c WHERE c.oid = ANY ($1::oid[])
),
keys AS (
    SELECT k.relation, a.attnum, a.attidentity, a.atthasdef, b.base, b.has_default
    FROM unnest($2::oid[], $3::smallint[]) AS k (relation, attribute)
    JOIN pg_attribute a ON a.attrelid = k.relation AND a.attnum = k.attribute
    CROSS JOIN LATERAL (
        WITH RECURSIVE domain AS (
            SELECT t.oid, t.typtype, t.typbasetype, t.typdefault IS NOT NULL AS has_default FROM pg_type t WHERE t.oid = a.atttypid
            UNION ALL
            SELECT t.oid, t.typtype, t.typbasetype, o.has_default OR t.typdefault IS NOT NULL
            FROM domain o JOIN pg_type t ON t.oid = o.typbasetype WHERE o.typtype = 'd'
        )
        SELECT o.oid AS base, o.has_default FROM domain o WHERE o.typtype <> 'd' LIMIT 1
    ) b
),
feeding AS (
    SELECT k.relation, k.base, d.refobjid AS sequence
    FROM keys k JOIN pg_attrdef e ON e.adrelid = k.relation AND e.adnum = k.attnum
    JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = e.oid AND d.refclassid = 'pg_class'::regclass
    UNION
    SELECT k.relation, k.base, d.objid
    FROM keys k JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = k.relation AND d.refobjsubid = k.attnum
                                AND d.classid = 'pg_class'::regclass AND d.deptype = 'i'
),
sequences AS (
    SELECT f.relation, format('%I.%I', n.nspname, c.relname) AS name,
           CASE WHEN q.seqincrement > 0 THEN trunc((least(q.seqmax, type.greatest)::numeric - at.last) / q.seqincrement)
                ELSE trunc((at.last - greatest(q.seqmin, type.least)::numeric) / -q.seqincrement::numeric) END AS remaining,
           CASE WHEN q.seqincrement > 0 THEN trunc((least(q.seqmax, type.greatest)::numeric - q.seqmin) / q.seqincrement)
                ELSE trunc((q.seqmax - greatest(q.seqmin, type.least)::numeric) / -q.seqincrement::numeric) END AS possible
    FROM feeding f JOIN pg_sequence q ON q.seqrelid = f.sequence JOIN pg_class c ON c.oid = f.sequence JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN (VALUES ('smallint'::regtype::oid, -32768::bigint, 32767::bigint), ('integer'::regtype::oid, -2147483648, 2147483647),
                 ('bigint'::regtype::oid, -9223372036854775808, 9223372036854775807),
                 ('numeric'::regtype::oid, -9223372036854775808, 9223372036854775807)) AS type (oid, least, greatest) ON type.oid = f.base
    CROSS JOIN LATERAL (SELECT coalesce(CASE WHEN has_sequence_privilege(f.sequence, 'SELECT, USAGE') THEN pg_sequence_last_value(f.sequence) END,
                                        q.seqstart::numeric - q.seqincrement) AS last OFFSET 0) AS at
    WHERE NOT q.seqcycle
)
SELECT convert_to(jsonb_build_object(
    'role', current_user,
    'owns_database', pg_has_role(d.datdba, 'USAGE'),
    'database_owner', pg_get_userbyid(d.datdba),
    'tables', coalesce((SELECT jsonb_agg(u.fact) FROM uses u), '[]'),
    'keys', coalesce((
        SELECT jsonb_agg(jsonb_build_object(
            'table', k.relation::bigint,
            'has_default', k.attidentity <> '' OR k.atthasdef OR k.has_default,
            'sequences', coalesce((SELECT jsonb_agg(jsonb_build_object(
                'name', s.name, 'left', least(s.remaining, 9223372036854775807)::bigint, 'all', least(s.possible, 9223372036854775807)::bigint)
                ORDER BY s.name) FROM sequences s WHERE s.relation = k.relation), '[]')))
        FROM keys k), '[]'),
    'taken', coalesce((SELECT jsonb_agg(jsonb_build_object('schema', t.nspname, 'name', t.name, 'kind', t.kind)) FROM taken t), '[]')
)::text, 'SQL_ASCII')
FROM pg_database d WHERE d.datname = current_database()
