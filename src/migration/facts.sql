-- $1 oid[]: the tables whose keys are migrated; $2 smallint[]: their key columns, NULL for the one by
-- which rows are referred to. $3 oid[], $4 oid[], $5 smallint[]: columns that refer to them, with or
-- without a foreign key: the table that has the key, and the table and the column that refer to it.
-- $6 oid: the extension. $7 oid: its schema in which nobody else can create objects. $8 oid[]: tables
-- without keys are left out unless they are among these; NULL for all. One JSON
-- document: the facts of keyspace::migration.
WITH RECURSIVE
ours AS (
    SELECT p.oid, p.proname FROM pg_proc p
    WHERE p.pronamespace = $7 AND p.proname IN ('key_migration_key', 'key_migration_reference', 'key_migration_late', 'key_migration_applied',
                                                'key_migration_copy', 'key_migration_copy_applied', 'key_migration_closed') AND p.pronargs = 0
),
-- How many foreign keys refer to each column of these tables.
referred AS MATERIALIZED (
    SELECT f.confrelid AS relation, r.attribute, count(*) AS foreign_keys
    FROM pg_constraint f CROSS JOIN LATERAL (SELECT DISTINCT k.number FROM unnest(f.confkey) AS k (number)) AS r (attribute)
    WHERE f.contype = 'f' AND f.conparentid = 0 AND f.confrelid = ANY ($1::oid[])
    GROUP BY f.confrelid, r.attribute
),
-- Their columns that are unique without others.
alone AS MATERIALIZED (
    SELECT DISTINCT a.attrelid AS relation, a.attnum AS attribute, a.attnotnull AS not_null, coalesce(r.foreign_keys, 0) AS foreign_keys,
           EXISTS (SELECT FROM pg_index i CROSS JOIN LATERAL generate_series(0, i.indnkeyatts - 1) AS at (n)
                   WHERE i.indrelid = a.attrelid AND i.indisprimary AND i.indkey[at.n] = a.attnum) AS in_primary
    FROM pg_index u JOIN pg_attribute a ON a.attrelid = u.indrelid AND a.attnum = u.indkey[0]
    LEFT JOIN referred r ON r.relation = a.attrelid AND r.attribute = a.attnum
    WHERE u.indrelid = ANY ($1::oid[])
      AND u.indisunique AND u.indisvalid AND u.indisready AND u.indislive AND u.indpred IS NULL AND u.indnkeyatts = 1
      AND NOT EXISTS (SELECT FROM pg_collation l WHERE l.oid = u.indcollation[0] AND NOT l.collisdeterministic)
),
-- The partitioned tables among them, and their partitions that are partitioned.
levels AS (
    SELECT c.oid AS top, c.oid AS relation FROM pg_class c WHERE c.oid = ANY ($1::oid[]) AND c.relkind = 'p'
    UNION
    SELECT l.top, c.oid FROM levels l JOIN pg_inherits i ON i.inhparent = l.relation JOIN pg_class c ON c.oid = i.inhrelid AND c.relkind = 'p'
),
-- The columns of their primary keys by which nothing is partitioned, and that can be ids.
ids AS MATERIALIZED (
    SELECT a.attrelid AS relation, a.attnum AS attribute,
           a.attidentity <> '' OR coalesce(position('(' IN pg_get_expr(d.adbin, d.adrelid)) > 0, false) AS is_generated,
           b.oid = 'numeric'::regtype AS is_numeric
    FROM levels l JOIN pg_index i ON i.indrelid = l.top AND i.indisprimary
    CROSS JOIN LATERAL generate_series(0, i.indnkeyatts - 1) AS at (n)
    JOIN pg_attribute a ON a.attrelid = l.top AND a.attnum = i.indkey[at.n]
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    CROSS JOIN LATERAL (
        WITH RECURSIVE domain AS (
            SELECT t.oid, t.typtype, t.typbasetype FROM pg_type t WHERE t.oid = a.atttypid
            UNION ALL
            SELECT t.oid, t.typtype, t.typbasetype FROM domain o JOIN pg_type t ON t.oid = o.typbasetype WHERE o.typtype = 'd'
        )
        SELECT o.oid FROM domain o WHERE o.typtype <> 'd' LIMIT 1
    ) b
    WHERE l.relation = l.top
      AND b.oid IN ('smallint'::regtype, 'integer'::regtype, 'bigint'::regtype, 'numeric'::regtype, 'uuid'::regtype, 'text'::regtype, 'varchar'::regtype)
      AND NOT EXISTS (SELECT FROM levels o JOIN pg_partitioned_table p ON p.partrelid = o.relation
                      CROSS JOIN LATERAL unnest(p.partattrs::smallint[]) AS k (attribute)
                      JOIN pg_attribute by ON by.attrelid = o.relation AND by.attnum = k.attribute
                      WHERE o.top = l.top AND by.attname = a.attname)
),
keys AS (
    -- The same choice as in keyspace::migration::key_column::id_of and partitioned_key::id_of.
    SELECT given.relation, coalesce(given.attribute, (
        SELECT CASE WHEN count(*) = 1 THEN min(o.attribute)
                    WHEN count(*) FILTER (WHERE o.is_generated) = 1 THEN min(o.attribute) FILTER (WHERE o.is_generated) END
        FROM ids o WHERE o.relation = given.relation
                     AND o.is_numeric = (SELECT bool_and(a.is_numeric) FROM ids a WHERE a.relation = o.relation)), (
        SELECT CASE
            WHEN EXISTS (SELECT FROM levels l WHERE l.top = i.indrelid) THEN NULL
            WHEN i.indnkeyatts = 1 AND (
                EXISTS (SELECT FROM referred r WHERE r.relation = i.indrelid AND r.attribute = i.indkey[0])
                OR EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = i.indrelid AND a.attnum = i.indkey[0] AND (a.atthasdef OR a.attidentity <> '')))
                THEN i.indkey[0]
            WHEN EXISTS (SELECT FROM alone a WHERE a.relation = i.indrelid AND a.foreign_keys > 0) THEN (
                SELECT CASE WHEN count(*) FILTER (WHERE a.in_primary) = 1 THEN min(a.attribute) FILTER (WHERE a.in_primary)
                            WHEN count(*) = 1 AND bool_and(a.not_null) THEN min(a.attribute) END
                FROM alone a WHERE a.relation = i.indrelid
                  AND a.foreign_keys = (SELECT max(m.foreign_keys) FROM alone m WHERE m.relation = i.indrelid))
            WHEN i.indnkeyatts = 1 THEN i.indkey[0]
            ELSE (SELECT min(a.attribute) FROM alone a WHERE a.relation = i.indrelid AND a.in_primary HAVING count(*) = 1) END
        FROM pg_index i WHERE i.indrelid = given.relation AND i.indisprimary)) AS attribute
    FROM unnest($1::oid[], $2::smallint[]) AS given (relation, attribute)
),
members AS (
    SELECT relation AS key, relation, attribute FROM keys WHERE attribute IS NOT NULL
    UNION
    SELECT given.key, given.relation, given.attribute FROM unnest($3::oid[], $4::oid[], $5::smallint[]) AS given (key, relation, attribute)
    UNION
    -- A column that refers to a member refers to the key, at any number of levels.
    SELECT m.key, f.conrelid, f.conkey[at.n]
    FROM members m
    JOIN pg_constraint f ON f.confrelid = m.relation AND f.contype = 'f' AND f.conparentid = 0
    CROSS JOIN LATERAL generate_subscripts(f.confkey, 1) AS at (n)
    WHERE f.confkey[at.n] = m.attribute
),
referring AS (
    SELECT m.key, m.relation, m.attribute, bool_or(EXISTS (
               SELECT FROM pg_constraint f CROSS JOIN LATERAL generate_subscripts(f.conkey, 1) AS at (n)
               JOIN members p ON p.key = m.key AND p.relation = f.confrelid AND p.attribute = f.confkey[at.n]
               WHERE f.contype = 'f' AND f.conrelid = m.relation AND f.conkey[at.n] = m.attribute AND f.convalidated
                 -- A foreign key of several columns says nothing about rows in which another one is NULL.
                 AND (f.confmatchtype = 'f' OR NOT EXISTS (
                     SELECT FROM pg_attribute a WHERE a.attrelid = f.conrelid AND a.attnum = ANY (f.conkey)
                                                  AND a.attnum <> m.attribute AND NOT a.attnotnull)))) AS declared
    FROM members m
    WHERE NOT EXISTS (SELECT FROM keys k WHERE k.relation = m.key AND k.relation = m.relation AND k.attribute = m.attribute)
    GROUP BY m.key, m.relation, m.attribute
),
-- The tables and partitions that are wanted, with the partitioned tables above them.
wanted AS (
    SELECT w.relation, coalesce(pg_partition_root(w.relation)::oid, w.relation) AS top FROM unnest($8::oid[]) AS w (relation)
    UNION
    SELECT i.inhparent, w.top FROM wanted w JOIN pg_inherits i ON i.inhrelid = w.relation WHERE w.relation <> w.top
),
tops AS (
    SELECT relation FROM keys UNION SELECT relation FROM members WHERE $8::oid[] IS NULL OR relation IN (SELECT top FROM wanted)
),
-- Partitioned tables come with all of their partitions, or with those that are wanted. One with a key that is
-- only referred to comes without.
tree AS (
    SELECT relation, NULL::oid AS parent, relation AS top FROM tops
    UNION
    SELECT i.inhrelid, i.inhparent, t.top
    FROM tree t JOIN pg_class p ON p.oid = t.relation AND p.relkind = 'p' JOIN pg_inherits i ON i.inhparent = t.relation
    WHERE (t.top IN (SELECT relation FROM members) OR t.top IN (SELECT relation FROM keys))
      AND ($8::oid[] IS NULL OR i.inhrelid IN (SELECT relation FROM wanted)
           OR (t.top IN (SELECT top FROM wanted) AND NOT EXISTS (SELECT FROM wanted w WHERE w.top = t.top AND w.relation <> w.top)))
),
relations AS (
    SELECT relation FROM tree GROUP BY relation
),
-- Foreign keys of tables that are not part of the migration.
outside AS MATERIALIZED (
    SELECT f.conindid AS index, format('foreign key "%s" of table %s', f.conname, f.conrelid::regclass) AS name
    FROM pg_constraint f
    WHERE f.contype = 'f' AND f.conparentid = 0 AND f.confrelid IN (SELECT relation FROM relations)
      AND coalesce(pg_partition_root(f.conrelid)::oid, f.conrelid) NOT IN (SELECT relation FROM members)
      AND f.conrelid NOT IN (SELECT relation FROM members)
),
columns AS (
    SELECT a.attrelid, jsonb_agg(jsonb_build_object(
        'number', a.attnum,
        'name', a.attname,
        'type_name', format_type(b.base, NULL),
        'declared_type', format_type(a.atttypid, a.atttypmod),
        -- A varchar(20) has the modifier 24.
        'length', CASE WHEN b.base = 'varchar'::regtype AND b.modifier >= 4 THEN b.modifier - 4 END,
        -- A numeric(10, 2) has the modifier 10 * 65536 + 2 + 4; the scale has eleven bits and a sign.
        'precision', CASE WHEN b.base = 'numeric'::regtype AND b.modifier >= 4 THEN (b.modifier - 4) >> 16 END,
        'scale', CASE WHEN b.base = 'numeric'::regtype AND b.modifier >= 4 THEN (((b.modifier - 4) & 2047) # 1024) - 1024 ELSE 0 END,
        'is_inherited', a.attinhcount > 0,
        'not_null', a.attnotnull,
        'foreign_keys', coalesce((SELECT f.foreign_keys FROM referred f WHERE f.relation = a.attrelid AND f.attribute = a.attnum), 0),
        -- The constraint has a name since PostgreSQL 18.
        'not_null_constraint', (SELECT n.conname FROM pg_constraint n WHERE n.conrelid = a.attrelid AND n.contype = 'n'
                                AND n.conkey = ARRAY[a.attnum]),
        -- A longer default may be nested too deeply for the stack. The text in its place is no
        -- valid SQL, so it raises an error and never becomes another default.
        'default', CASE WHEN length(d.adbin::text) <= 262144 THEN pg_get_expr(d.adbin, d.adrelid)
                        WHEN d.adbin IS NOT NULL THEN 'a default that is too long' END,
        'identity', a.attidentity,
        'generated', a.attgenerated,
        'null_thousandths', (s.stanullfrac * 1000)::bigint,
        'distinct_thousandths', CASE WHEN s.stadistinct < 0 THEN (-s.stadistinct * 1000)::bigint
                                     WHEN s.stadistinct > 0 AND c.reltuples > 0 THEN (s.stadistinct / c.reltuples * 1000)::bigint END,
        -- NULL, or -1 up to PostgreSQL 16, is the default.
        'statistics_off', coalesce(a.attstattarget, -1) = 0,
        'comment', col_description(a.attrelid, a.attnum),
        'grants', coalesce((SELECT jsonb_agg(jsonb_build_object(
                                'grantee', CASE WHEN g.grantee <> 0 THEN pg_get_userbyid(g.grantee) END,
                                'privilege', g.privilege_type, 'grantable', g.is_grantable)
                                ORDER BY g.grantee, g.privilege_type)
                            FROM aclexplode(a.attacl) AS g WHERE g.grantee <> c.relowner), '[]'),
        -- -1 before PostgreSQL 17, NULL since.
        'statistics', nullif(a.attstattarget, -1),
        -- Without the version of the column, which some releases of PostgreSQL keep here.
        'options', coalesce((SELECT jsonb_agg(o.given ORDER BY o.given) FROM unnest(a.attoptions) AS o (given)
                             WHERE NOT starts_with(o.given, 'pg_attver=')), '[]'),
        'collation', (SELECT format('%I.%I', n.nspname, l.collname) FROM pg_collation l JOIN pg_namespace n ON n.oid = l.collnamespace
                      WHERE l.oid = a.attcollation),
        'is_nondeterministic', coalesce((SELECT NOT l.collisdeterministic FROM pg_collation l WHERE l.oid = a.attcollation), false),
        -- Those that belong to a column of integers, and those that its default draws from.
        'sequences', CASE WHEN b.base NOT IN ('smallint'::regtype, 'integer'::regtype, 'bigint'::regtype) THEN '[]' ELSE coalesce((
            SELECT jsonb_agg(jsonb_build_object(
                'name', format('%I.%I', sn.nspname, sc.relname), 'kind', given.kind, 'type_name', format_type(q.seqtypid, NULL),
                'max', q.seqmax, 'is_owner', pg_has_role(sc.relowner, 'USAGE')) ORDER BY sn.nspname, sc.relname)
            FROM (SELECT u.sequence, min(u.kind) AS kind FROM (
                      SELECT x.objid AS sequence, CASE x.deptype WHEN 'i' THEN 'identity' ELSE 'owned' END AS kind
                      FROM pg_depend x WHERE x.refclassid = 'pg_class'::regclass AND x.refobjid = a.attrelid AND x.refobjsubid = a.attnum
                                         AND x.classid = 'pg_class'::regclass AND x.deptype IN ('i', 'a')
                      UNION ALL
                      SELECT x.refobjid, 'used'
                      FROM pg_depend x WHERE x.classid = 'pg_attrdef'::regclass AND x.objid = d.oid AND x.refclassid = 'pg_class'::regclass) u
                  GROUP BY u.sequence) given
            JOIN pg_sequence q ON q.seqrelid = given.sequence
            JOIN pg_class sc ON sc.oid = given.sequence JOIN pg_namespace sn ON sn.oid = sc.relnamespace), '[]') END
    ) ORDER BY a.attnum) AS list
    FROM relations r
    JOIN pg_class c ON c.oid = r.relation
    JOIN pg_attribute a ON a.attrelid = r.relation AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    -- pg_stats, because not everybody may read pg_statistic, which holds values of rows.
    LEFT JOIN LATERAL (
        SELECT null_frac AS stanullfrac, n_distinct AS stadistinct FROM pg_stats s
        WHERE s.schemaname = (SELECT n.nspname FROM pg_namespace n WHERE n.oid = c.relnamespace) AND s.tablename = c.relname AND s.attname = a.attname
          AND s.inherited = (c.relkind = 'p') LIMIT 1) s ON true
    CROSS JOIN LATERAL (
        WITH RECURSIVE domain AS (
            SELECT t.oid, t.typtype, t.typbasetype, t.typtypmod, a.atttypmod AS modifier FROM pg_type t WHERE t.oid = a.atttypid
            UNION ALL
            SELECT t.oid, t.typtype, t.typbasetype, t.typtypmod, o.typtypmod FROM domain o JOIN pg_type t ON t.oid = o.typbasetype WHERE o.typtype = 'd'
        )
        SELECT o.oid AS base, o.modifier FROM domain o WHERE o.typtype <> 'd' LIMIT 1
    ) b
    GROUP BY a.attrelid
),
index_keys AS (
    SELECT i.indexrelid, jsonb_agg(jsonb_build_object(
        'column', i.indkey[at.n],
        'expression', CASE WHEN i.indkey[at.n] = 0 THEN pg_get_indexdef(i.indexrelid, at.n + 1, false) END,
        'opclass', CASE WHEN NOT o.opcdefault OR own.attoptions IS NOT NULL THEN format('%I.%I', (SELECT n.nspname FROM pg_namespace n WHERE n.oid = o.opcnamespace), o.opcname) END,
        'opclass_options', coalesce(to_jsonb(own.attoptions), '[]'),
        'collation', CASE WHEN l.oid IS NOT NULL AND l.oid IS DISTINCT FROM a.attcollation
                          THEN format('%I.%I', (SELECT n.nspname FROM pg_namespace n WHERE n.oid = l.collnamespace), l.collname) END,
        'is_nondeterministic', coalesce(NOT l.collisdeterministic, false),
        'descending', i.indoption[at.n] & 1 = 1,
        'nulls_first', i.indoption[at.n] & 2 = 2
    ) ORDER BY at.n) AS list
    FROM relations r
    JOIN pg_index i ON i.indrelid = r.relation
    CROSS JOIN LATERAL generate_series(0, i.indnkeyatts - 1) AS at (n)
    LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[at.n] AND i.indkey[at.n] <> 0
    LEFT JOIN pg_attribute own ON own.attrelid = i.indexrelid AND own.attnum = at.n + 1
    LEFT JOIN pg_opclass o ON o.oid = i.indclass[at.n]
    LEFT JOIN pg_collation l ON l.oid = i.indcollation[at.n]
    GROUP BY i.indexrelid
    -- These functions read the current catalogs, so they return NULL for an index dropped since the
    -- snapshot.
    HAVING count(*) FILTER (WHERE i.indkey[at.n] = 0 AND pg_get_indexdef(i.indexrelid, at.n + 1, false) IS NULL) = 0
),
indexes AS (
    SELECT i.indrelid, jsonb_agg(jsonb_build_object(
        'oid', i.indexrelid::bigint,
        'name', c.relname,
        'method', m.amname,
        'is_unique', i.indisunique,
        'is_primary', i.indisprimary,
        'is_valid', i.indisvalid AND i.indisready AND i.indislive,
        'is_replica_identity', i.indisreplident,
        'nulls_not_distinct', coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false),
        'keys', k.list,
        'include', coalesce((SELECT jsonb_agg(i.indkey[n] ORDER BY n)
                             FROM generate_series(i.indnkeyatts::integer, i.indnatts - 1) AS n), '[]'),
        'predicate', now.predicate,
        -- From the expressions themselves, because dependencies are the same for key columns. In
        -- names and constants, what looks like a field is escaped.
        'used_columns', coalesce((SELECT jsonb_agg(DISTINCT v.field[1]::integer)
                                  FROM regexp_matches(concat(i.indexprs::text, i.indpred::text), ' :varattno (-?\d+) ', 'g') AS v (field)), '[]'),
        'is_exclusion', i.indisexclusion,
        'is_clustered', i.indisclustered,
        'comment', obj_description(i.indexrelid, 'pg_class'),
        'statistics', coalesce((SELECT jsonb_agg(jsonb_build_array(a.attnum, a.attstattarget) ORDER BY a.attnum) FROM pg_attribute a
                                WHERE a.attrelid = i.indexrelid AND a.attstattarget >= 0), '[]'),
        'options', coalesce(to_jsonb(c.reloptions), '[]'),
        'tablespace', t.spcname,
        'parent', (SELECT h.inhparent::bigint FROM pg_inherits h WHERE h.inhrelid = i.indexrelid),
        'column_names', CASE WHEN c.relkind = 'I' OR c.relispartition THEN
            (SELECT jsonb_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = i.indexrelid AND a.attnum > 0)
            ELSE '[]' END,
        'constraint', CASE WHEN n.oid IS NOT NULL THEN jsonb_build_object(
            'name', n.conname, 'kind', n.contype, 'deferrable', n.condeferrable, 'deferred', n.condeferred,
            'comment', obj_description(n.oid, 'pg_constraint'), 'definition', now.definition,
            -- Views that group by a primary key, and foreign keys of tables that are not part of the migration.
            'dependents', coalesce((
                SELECT jsonb_agg(DISTINCT needs.name ORDER BY needs.name) FROM (
                    SELECT coalesce('view ' || (SELECT w.ev_class::regclass::text FROM pg_rewrite w
                                                WHERE d.classid = 'pg_rewrite'::regclass AND w.oid = d.objid),
                                    pg_describe_object(d.classid, d.objid, d.objsubid)) AS name
                    FROM pg_depend d WHERE d.refclassid = 'pg_constraint'::regclass AND d.refobjid = n.oid AND d.deptype = 'n'
                    UNION ALL
                    SELECT o.name FROM outside o WHERE o.index = i.indexrelid
                ) needs WHERE needs.name IS NOT NULL), '[]')) END,
        'bytes', now.bytes
    ) ORDER BY NOT i.indisprimary, c.relname) AS list
    FROM relations r
    JOIN pg_index i ON i.indrelid = r.relation
    JOIN pg_class c ON c.oid = i.indexrelid
    JOIN pg_am m ON m.oid = c.relam
    JOIN index_keys k ON k.indexrelid = i.indexrelid
    LEFT JOIN pg_tablespace t ON t.oid = c.reltablespace
    LEFT JOIN pg_constraint n ON n.conindid = i.indexrelid AND n.conrelid = i.indrelid AND n.contype IN ('p', 'u', 'x')
    CROSS JOIN LATERAL (SELECT pg_relation_size(i.indexrelid) AS bytes, pg_get_expr(i.indpred, i.indrelid) AS predicate,
                               CASE WHEN n.contype = 'x' THEN pg_get_constraintdef(n.oid) END AS definition OFFSET 0) AS now
    WHERE now.bytes IS NOT NULL AND (i.indpred IS NULL OR now.predicate IS NOT NULL)
    GROUP BY i.indrelid
),
triggers AS (
    SELECT t.tgrelid, jsonb_agg(jsonb_build_object(
        'name', t.tgname,
        'is_ours', t.tgfoid IN (SELECT oid FROM ours),
        'kind', t.tgtype,
        'enabled', t.tgenabled,
        'columns', to_jsonb(t.tgattr::smallint[]),
        'arguments', CASE WHEN t.tgnargs = 0 THEN '[]' ELSE
            -- In pairs of digits, so that nothing within an argument looks like its end.
            (SELECT jsonb_agg(convert_from(decode(replace(argument, ' ', ''), 'hex'), getdatabaseencoding()::text) ORDER BY n)
             FROM unnest(trim_array(string_to_array(regexp_replace(encode(t.tgargs, 'hex'), '..', '\& ', 'g'), '00 '), 1)) WITH ORDINALITY AS a (argument, n)) END,
        -- In an SQL_ASCII database a name can be in any encoding; then our statements cannot contain it.
        'function', (SELECT jsonb_build_object(
                'sql', CASE WHEN name.is_known THEN name.sql ELSE '' END, 'cost', p.procost::text,
                'may_alter', name.is_known AND pg_has_role(p.proowner, 'USAGE') AND coalesce(has_schema_privilege(n.oid, 'USAGE'), false))
            FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
            CROSS JOIN LATERAL (SELECT format('%I.%I()', n.nspname, p.proname) AS sql OFFSET 0) AS text
            CROSS JOIN LATERAL (SELECT text.sql, getdatabaseencoding() <> 'SQL_ASCII' OR text.sql !~ '[^\x01-\x7f]' AS is_known) AS name
            WHERE p.oid = t.tgfoid AND l.lanname = 'plpgsql' AND p.oid NOT IN (SELECT oid FROM ours)),
        'is_clone', t.tgparentid <> 0
    ) ORDER BY t.tgname) AS list
    FROM relations r JOIN pg_trigger t ON t.tgrelid = r.relation AND NOT t.tgisinternal
    GROUP BY t.tgrelid
),
checks AS (
    SELECT n.conrelid, jsonb_agg(jsonb_build_object(
        'name', n.conname,
        'columns', coalesce(to_jsonb(n.conkey), '[]'),
        -- An unenforced constraint (PostgreSQL 18 and later) rejects nothing.
        'validated', n.convalidated OR NOT coalesce((to_jsonb(n) ->> 'conenforced')::boolean, true),
        'expression', now.expression,
        'not_enforced', NOT coalesce((to_jsonb(n) ->> 'conenforced')::boolean, true),
        'no_inherit', n.connoinherit,
        'is_inherited', n.coninhcount > 0,
        'comment', obj_description(n.oid, 'pg_constraint')
    ) ORDER BY n.conname) AS list
    FROM relations r JOIN pg_constraint n ON n.conrelid = r.relation AND n.contype = 'c'
    CROSS JOIN LATERAL (SELECT pg_get_expr(n.conbin, n.conrelid) AS expression OFFSET 0) AS now
    WHERE now.expression IS NOT NULL
    GROUP BY n.conrelid
),
dependents AS (
    SELECT found.relation, jsonb_agg(jsonb_build_object('kind', found.kind, 'name', found.name, 'column', found.attribute)
                                     ORDER BY found.kind, found.name, found.attribute) AS list
    FROM (
        SELECT DISTINCT d.refobjid AS relation, d.refobjsubid AS attribute,
               CASE WHEN own.oid IS NOT NULL OR v.relkind NOT IN ('v', 'm') THEN 'rule'
                    WHEN v.oid IS NOT NULL THEN CASE v.relkind WHEN 'm' THEN 'materialized view' ELSE 'view' END
                    WHEN p.oid IS NOT NULL THEN 'policy'
                    WHEN f.oid IS NOT NULL THEN 'function'
                    WHEN x.oid IS NOT NULL THEN 'extended statistics'
                    WHEN g.oid IS NOT NULL THEN 'generated column'
                    WHEN n.oid IS NOT NULL THEN 'check constraint'
                    WHEN t.oid IS NOT NULL THEN 'trigger'
                    WHEN b.oid IS NOT NULL THEN 'publication'
                    ELSE 'object' END AS kind,
               coalesce(own.rulename::text, CASE WHEN v.relkind IN ('v', 'm') THEN v.oid::regclass::text ELSE w.rulename::text END, p.polname::text, f.oid::regprocedure::text, x.stxname::text, ga.attname::text,
                        n.conname::text, t.tgname::text, b.pubname::text, pg_describe_object(d.classid, d.objid, d.objsubid), '') AS name
        FROM relations r
        JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = r.relation AND d.refobjsubid > 0
        LEFT JOIN pg_rewrite w ON d.classid = 'pg_rewrite'::regclass AND w.oid = d.objid AND w.ev_class <> r.relation
        LEFT JOIN pg_class v ON v.oid = w.ev_class
        LEFT JOIN pg_rewrite own ON d.classid = 'pg_rewrite'::regclass AND own.oid = d.objid AND own.ev_class = r.relation
        LEFT JOIN pg_policy p ON d.classid = 'pg_policy'::regclass AND p.oid = d.objid
        LEFT JOIN pg_proc f ON d.classid = 'pg_proc'::regclass AND f.oid = d.objid
        LEFT JOIN pg_statistic_ext x ON d.classid = 'pg_statistic_ext'::regclass AND x.oid = d.objid
        LEFT JOIN pg_attrdef g ON d.classid = 'pg_attrdef'::regclass AND g.oid = d.objid
                              AND (g.adrelid <> r.relation OR g.adnum <> d.refobjsubid)
        LEFT JOIN pg_attribute ga ON ga.attrelid = g.adrelid AND ga.attnum = g.adnum AND ga.attgenerated <> ''
        LEFT JOIN pg_constraint n ON d.classid = 'pg_constraint'::regclass AND n.oid = d.objid AND n.contype = 'c'
        LEFT JOIN pg_trigger t ON d.classid = 'pg_trigger'::regclass AND t.oid = d.objid AND NOT t.tgisinternal
                              AND t.tgfoid NOT IN (SELECT oid FROM ours)
        -- A list of columns, or a row filter.
        LEFT JOIN pg_publication_rel l ON d.classid = 'pg_publication_rel'::regclass AND l.oid = d.objid
        LEFT JOIN pg_publication b ON b.oid = l.prpubid
        WHERE v.oid IS NOT NULL OR own.oid IS NOT NULL OR b.oid IS NOT NULL OR p.oid IS NOT NULL OR f.oid IS NOT NULL OR x.oid IS NOT NULL OR ga.attrelid IS NOT NULL
           OR n.oid IS NOT NULL OR t.oid IS NOT NULL
           -- Whatever else prevents a column from being dropped, such as a property graph.
           OR (d.deptype = 'n' AND d.classid NOT IN ('pg_class'::regclass, 'pg_attrdef'::regclass, 'pg_constraint'::regclass,
                                                     'pg_trigger'::regclass, 'pg_rewrite'::regclass))
        UNION
        -- Defaults that use a sequence which would be dropped with the column that owns it.
        SELECT o.refobjid, o.refobjsubid, 'default', format('%s.%I', e.adrelid::regclass, a.attname)
        FROM relations r
        JOIN pg_depend o ON o.refclassid = 'pg_class'::regclass AND o.refobjid = r.relation AND o.refobjsubid > 0
                        AND o.classid = 'pg_class'::regclass AND o.deptype IN ('a', 'i')
        JOIN pg_sequence q ON q.seqrelid = o.objid
        JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = q.seqrelid AND d.classid = 'pg_attrdef'::regclass
        JOIN pg_attrdef e ON e.oid = d.objid AND (e.adrelid, e.adnum) <> (o.refobjid, o.refobjsubid)
        JOIN pg_attribute a ON a.attrelid = e.adrelid AND a.attnum = e.adnum
        -- The same column of a partition goes with that of its table.
        WHERE NOT EXISTS (SELECT FROM pg_attribute own WHERE own.attrelid = o.refobjid AND own.attnum = o.refobjsubid
                          AND own.attname = a.attname AND pg_partition_root(e.adrelid) = o.refobjid::regclass)
    ) found
    GROUP BY found.relation
),
tables AS (
    SELECT jsonb_agg(jsonb_build_object(
        'oid', c.oid::bigint,
        'schema', n.nspname,
        'name', c.relname,
        'kind', c.relkind,
        -- The access method may have any name.
        'access_method', coalesce((SELECT CASE WHEN m.amhandler = 'heap_tableam_handler'::regproc THEN 'heap' ELSE m.amname END
                                   FROM pg_am m WHERE m.oid = c.relam), ''),
        'owner', pg_get_userbyid(c.relowner),
        'grants', coalesce((SELECT jsonb_agg(jsonb_build_object(
                                'grantee', CASE WHEN a.grantee <> 0 THEN pg_get_userbyid(a.grantee) END,
                                'privilege', a.privilege_type, 'grantable', a.is_grantable)
                                ORDER BY a.grantee, a.privilege_type)
                            FROM aclexplode(c.relacl) AS a WHERE a.grantee <> c.relowner), '[]'),
        'row_security', c.relrowsecurity,
        'hides_rows', row_security_active(c.oid),
        'persistence', c.relpersistence,
        'rows', greatest(c.reltuples, 0)::bigint,
        'heap_bytes', now.bytes,
        -- The bytes of the widest possible row with all values moved out of line that can be.
        'widest_row', 24 + c.relnatts / 8 + coalesce((
            SELECT sum(CASE WHEN a.attlen > 0 THEN ceil(a.attlen / step.bytes) * step.bytes
                            WHEN a.attlen = -1 AND a.attstorage <> 'p' THEN 18
                            WHEN a.atttypmod > 4 THEN a.atttypmod
                            ELSE 24 END)
            FROM pg_attribute a
            CROSS JOIN LATERAL (SELECT CASE a.attalign WHEN 'd' THEN 8.0 WHEN 'i' THEN 4.0 WHEN 's' THEN 2.0 ELSE 1.0 END AS bytes) step
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated <> 'v'), 0)::bigint,
        -- PostgreSQL checks it when it copies the triggers to a partition.
        'lacks_execute', c.relkind = 'p' AND EXISTS (SELECT FROM ours o WHERE o.proname <> 'key_migration_closed' AND NOT has_function_privilege(c.relowner, o.oid, 'EXECUTE')),
        'is_owner', pg_has_role(c.relowner, 'USAGE'),
        'is_partition', c.relispartition,
        'parent', (SELECT min(t.parent::bigint) FROM tree t WHERE t.relation = c.oid),
        'partition_columns', coalesce((
            SELECT jsonb_agg(DISTINCT used.attribute) FROM pg_partitioned_table p
            CROSS JOIN LATERAL (
                SELECT k.attribute::integer FROM unnest(p.partattrs::smallint[]) AS k (attribute) WHERE k.attribute <> 0
                UNION ALL
                SELECT v.field[1]::integer FROM regexp_matches(p.partexprs::text, ' :varattno (-?\d+) ', 'g') AS v (field)
            ) used (attribute)
            WHERE p.partrelid = c.oid), '[]'),
        'is_inherited', EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = c.oid OR h.inhparent = c.oid),
        'has_children', EXISTS (SELECT FROM pg_inherits h WHERE h.inhparent = c.oid),
        'is_system', c.oid < 16384 OR EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                                                AND d.objid = c.oid AND d.deptype = 'e'),
        'replica_identity', c.relreplident,
        -- Unless it has grown since they were counted.
        'is_empty', now.bytes = 0 OR (c.reltuples = 0 AND c.relpages::bigint * current_setting('block_size')::bigint >= now.bytes),
        'column_count', c.relnatts,
        'columns', coalesce(columns.list, '[]'),
        'indexes', coalesce(indexes.list, '[]'),
        'triggers', coalesce(triggers.list, '[]'),
        'checks', coalesce(checks.list, '[]'),
        'rules', coalesce((SELECT jsonb_agg(w.rulename ORDER BY w.rulename) FROM pg_rewrite w
                           WHERE w.ev_class = c.oid AND w.rulename <> '_RETURN' AND w.ev_type <> '4'), '[]'),
        'dependents', coalesce(dependents.list, '[]'),
        -- Not pg_publication_tables, which raises an error if a publication is dropped meanwhile.
        -- Since PostgreSQL 19, a publication of all tables can exclude tables.
        'publications', coalesce((
            SELECT jsonb_agg(p.pubname ORDER BY p.pubname) FROM pg_publication p
            LEFT JOIN LATERAL (SELECT coalesce((to_jsonb(t) ->> 'prexcept')::boolean, false) AS is_left_out
                               FROM pg_publication_rel t WHERE t.prpubid = p.oid AND t.prrelid = c.oid) own ON true
            WHERE NOT coalesce(own.is_left_out, false) AND (
                own.is_left_out IS NOT NULL
                OR (c.relpersistence = 'p' AND c.oid >= 16384
                    AND (p.puballtables OR EXISTS (SELECT FROM pg_publication_namespace s
                                                   WHERE s.pnpubid = p.oid AND s.pnnspid = c.relnamespace))))), '[]')
    ) ORDER BY n.nspname, c.relname) AS list
    FROM relations r
    JOIN pg_class c ON c.oid = r.relation
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN columns ON columns.attrelid = c.oid
    LEFT JOIN indexes ON indexes.indrelid = c.oid
    LEFT JOIN triggers ON triggers.tgrelid = c.oid
    LEFT JOIN checks ON checks.conrelid = c.oid
    LEFT JOIN dependents ON dependents.relation = c.oid
    CROSS JOIN LATERAL (SELECT CASE WHEN c.relkind IN ('r', 'm') THEN pg_relation_size(c.oid) ELSE 0 END AS bytes OFFSET 0) AS now
    WHERE now.bytes IS NOT NULL
),
foreign_keys AS (
    SELECT jsonb_agg(jsonb_build_object(
        'name', f.conname,
        'child', f.conrelid::bigint,
        'child_columns', to_jsonb(f.conkey),
        'parent', f.confrelid::bigint,
        'parent_columns', to_jsonb(f.confkey),
        'matching', f.confmatchtype,
        'on_update', f.confupdtype,
        'on_delete', f.confdeltype,
        'set_columns', coalesce(nullif(to_jsonb(f) -> 'confdelsetcols', 'null'), '[]'),
        'deferrable', f.condeferrable,
        'deferred', f.condeferred,
        'validated', f.convalidated,
        'not_enforced', NOT coalesce((to_jsonb(f) ->> 'conenforced')::boolean, true),
        'has_period', coalesce((to_jsonb(f) ->> 'conperiod')::boolean, false),
        'comment', obj_description(f.oid, 'pg_constraint'),
        'parts', coalesce((
            WITH RECURSIVE parts AS (
                SELECT n.oid, n.conrelid, n.conname FROM pg_constraint n WHERE n.conparentid = f.oid AND n.conrelid <> f.conrelid
                UNION ALL
                SELECT n.oid, n.conrelid, n.conname FROM parts p JOIN pg_constraint n ON n.conparentid = p.oid AND n.conrelid <> p.conrelid
            )
            SELECT jsonb_agg(jsonb_build_object('table', p.conrelid::bigint, 'name', p.conname) ORDER BY p.conrelid) FROM parts p), '[]')
    ) ORDER BY f.conrelid, f.conname) AS list
    FROM pg_constraint f
    WHERE f.contype = 'f' AND f.conparentid = 0
      AND f.conrelid IN (SELECT relation FROM relations) AND f.confrelid IN (SELECT relation FROM relations)
),
-- Owners of referring tables who do not have the rights of the referenced table's owner.
others AS (
    SELECT jsonb_agg(jsonb_build_object(
        'key', m.key::bigint,
        'table', m.relation::bigint,
        'column', m.attribute,
        'owner', a.rolname,
        'hides_rows', k.relrowsecurity AND NOT a.rolsuper AND NOT a.rolbypassrls,
        'may_use_schema', coalesce(has_schema_privilege(a.oid, k.relnamespace, 'USAGE'), false),
        'may_select', coalesce(has_table_privilege(a.oid, k.oid, 'SELECT'), false),
        'columns', coalesce((SELECT jsonb_agg(t.attnum ORDER BY t.attnum) FROM pg_attribute t WHERE t.attrelid = k.oid AND t.attnum > 0
                             AND NOT t.attisdropped AND has_column_privilege(a.oid, k.oid, t.attnum, 'SELECT')), '[]')
    ) ORDER BY m.relation, m.attribute) AS list
    FROM referring m JOIN pg_class c ON c.oid = m.relation JOIN pg_class k ON k.oid = m.key JOIN pg_roles a ON a.oid = c.relowner
    WHERE NOT pg_has_role(c.relowner, k.relowner, 'USAGE') AND m.relation IN (SELECT relation FROM relations)
),
operator_classes AS (
    SELECT jsonb_agg(jsonb_build_object(
        'method', m.amname,
        'type_name', t.typname,
        'name', o.opcname,
        'sql', format('%I.%I', n.nspname, o.opcname),
        'is_default', o.opcdefault
    ) ORDER BY m.amname, t.typname, o.opcname, n.nspname) AS list
    FROM pg_opclass o JOIN pg_am m ON m.oid = o.opcmethod JOIN pg_namespace n ON n.oid = o.opcnamespace JOIN pg_type t ON t.oid = o.opcintype
    WHERE t.oid IN ('uuid'::regtype, 'bigint'::regtype) OR (t.typname = 'ulid' AND t.typnamespace = (SELECT e.extnamespace FROM pg_extension e WHERE e.oid = $6))
),
-- Tables that refer to a table whose owner does not have the rights of the referring table's owner.
-- With each, the code in the referenced table's indexes and statistics that the planner evaluates:
-- functions, and those of operators, whose owner does not have these rights either. PostgreSQL's
-- own functions are pinned, so no dependency on them is recorded.
strangers AS (
    SELECT jsonb_agg(jsonb_build_object(
        'table', r.child::bigint,
        'other', r.parent::bigint,
        'code', coalesce((
            SELECT jsonb_agg(DISTINCT jsonb_build_object('kind', o.kind, 'name', o.name, 'function', p.oid::regprocedure::text))
            FROM (
                SELECT 'index' AS kind, format('%I.%I', n.nspname, x.relname) AS name, 'pg_class'::regclass AS class, i.indexrelid AS oid
                FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_namespace n ON n.oid = x.relnamespace
                WHERE i.indrelid = r.parent AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)
                UNION ALL
                SELECT 'statistics object', format('%I.%I', n.nspname, s.stxname), 'pg_statistic_ext'::regclass, s.oid
                FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace
                WHERE s.stxrelid = r.parent AND s.stxexprs IS NOT NULL
            ) o
            JOIN pg_depend d ON d.classid = o.class AND d.objid = o.oid
                            AND d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass)
            LEFT JOIN pg_operator op ON d.refclassid = 'pg_operator'::regclass AND op.oid = d.refobjid
            JOIN pg_proc p ON p.oid = coalesce(op.oprcode::oid, d.refobjid)
            WHERE NOT pg_has_role(p.proowner, r.owner, 'USAGE')), '[]')
    ) ORDER BY r.child, r.parent) AS list
    FROM (
        SELECT f.conrelid AS child, f.confrelid AS parent, c.relowner AS owner
        FROM pg_constraint f JOIN pg_class c ON c.oid = f.conrelid JOIN pg_class k ON k.oid = f.confrelid
        WHERE f.contype = 'f' AND f.conparentid = 0 AND c.relowner <> k.relowner AND NOT pg_has_role(k.relowner, c.relowner, 'USAGE')
          AND f.conrelid IN (SELECT relation FROM relations) AND f.confrelid IN (SELECT relation FROM relations)
        GROUP BY f.conrelid, f.confrelid, c.relowner
    ) r
)
SELECT convert_to(jsonb_build_object(
    'extension_schema', (SELECT format('%I', n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.oid = $6),
    'internal_schema', (SELECT format('%I', n.nspname) FROM pg_namespace n WHERE n.oid = $7),
    'major', current_setting('server_version_num')::integer / 10000,
    'lock_slots', current_setting('max_locks_per_transaction')::bigint
                  * (current_setting('max_connections')::bigint + current_setting('max_prepared_transactions')::bigint),
    'key_ranges', jsonb_build_array(),
    'strays', jsonb_build_array(),
    'tables', coalesce((SELECT list FROM tables), '[]'),
    'references', coalesce((SELECT jsonb_agg(jsonb_build_object('key', m.key::bigint, 'table', m.relation::bigint, 'column', m.attribute,
                                                                'declared', m.declared)
                                             ORDER BY m.relation, m.attribute, m.key) FROM referring m), '[]'),
    'other_owners', coalesce((SELECT list FROM others), '[]'),
    'strangers', coalesce((SELECT list FROM strangers), '[]'),
    'operator_classes', coalesce((SELECT list FROM operator_classes), '[]'),
    'foreign_keys', coalesce((SELECT list FROM foreign_keys), '[]')
)::text, 'SQL_ASCII')
