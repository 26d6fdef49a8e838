-- PostgreSQL checks its own catalogs in tests (opr_sanity, type_sanity, amvalidate). These are the same questions, asked
-- of everything that the extension creates, whatever that is. Each query lists what is wrong: nothing.
-- trap_s54
SET client_min_messages = warning;
CREATE SCHEMA checks;
SET search_path = checks, public;
CREATE VIEW mine AS
SELECT d.classid, d.objid, d.objsubid, e.extname, e.extnamespace, e.extowner
FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'pg_keyspace';
CREATE VIEW my_function AS
SELECT p.*, l.lanname FROM mine m JOIN pg_proc p ON p.oid = m.objid JOIN pg_language l ON l.oid = p.prolang
WHERE m.classid = 'pg_proc'::regclass;
CREATE VIEW my_operator AS
SELECT o.* FROM mine m JOIN pg_operator o ON o.oid = m.objid WHERE m.classid = 'pg_operator'::regclass;
CREATE VIEW my_class AS
SELECT c.*, a.amname, t.typname FROM mine m JOIN pg_opclass c ON c.oid = m.objid JOIN pg_am a ON a.oid = c.opcmethod
JOIN pg_type t ON t.oid = c.opcintype
WHERE m.classid = 'pg_opclass'::regclass;
CREATE VIEW my_family AS
SELECT f.*, a.amname FROM mine m JOIN pg_opfamily f ON f.oid = m.objid JOIN pg_am a ON a.oid = f.opfmethod
WHERE m.classid = 'pg_opfamily'::regclass;
CREATE VIEW my_type AS
SELECT t.* FROM mine m JOIN pg_type t ON t.oid = m.objid WHERE m.classid = 'pg_type'::regclass;
CREATE VIEW my_relation AS
SELECT c.* FROM mine m JOIN pg_class c ON c.oid = m.objid WHERE m.classid = 'pg_class'::regclass;
-- There is something to look at.
SELECT (SELECT count(*) FROM my_function) > 60 AS functions, (SELECT count(*) FROM my_operator) > 5 AS operators,
       (SELECT count(*) FROM my_class) > 3 AS classes, (SELECT count(*) FROM my_type) > 0 AS types,
       (SELECT count(*) FROM my_relation) > 4 AS relations;

--
-- Where things are and whose
--
-- Everything is in the schema of the extension or in the one that belongs to it, and its owner is that of the extension.
SELECT pg_describe_object(m.classid, m.objid, m.objsubid) AS elsewhere
FROM mine m, LATERAL pg_identify_object(m.classid, m.objid, m.objsubid) i
WHERE i.schema NOT IN ((SELECT nspname FROM pg_namespace WHERE oid = m.extnamespace), 'keyspace_internal');
-- fault_b01_tables_are_out_of_sight: no table of ours is in the schema that is on search_paths, and no view in the other; what
-- is in that one nobody calls by hand, so it is written in C or a part of a view, and no one but the owner may create in it.
SELECT r.oid::regclass FROM my_relation r
WHERE r.relkind IN ('r', 'S') AND r.relnamespace <> 'keyspace_internal'::regnamespace
   OR r.relkind = 'v' AND r.relnamespace = 'keyspace_internal'::regnamespace;
SELECT a.grantee::regrole, a.privilege_type FROM pg_namespace n, LATERAL aclexplode(n.nspacl) a
WHERE n.nspname = 'keyspace_internal' AND (a.privilege_type <> 'USAGE' OR a.grantee NOT IN (0, n.nspowner)) AND a.grantee <> n.nspowner;
SELECT r.oid::regclass, a.grantee::regrole, a.privilege_type FROM my_relation r, LATERAL aclexplode(r.relacl) a
WHERE r.relnamespace = 'keyspace_internal'::regnamespace AND a.grantee <> r.relowner;
SELECT pg_describe_object(m.classid, m.objid, 0) AS of_somebody_else
FROM mine m JOIN pg_shdepend s ON s.classid = m.classid AND s.objid = m.objid AND s.deptype = 'o'
WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND s.refobjid <> m.extowner;
-- Nothing that it made lies about without belonging to it.
SELECT p.oid::regprocedure AS not_a_member FROM pg_proc p
WHERE (p.probin = '$libdir/pg_keyspace' OR p.prosrc ~ 'keyspace') AND p.pronamespace::regnamespace::text NOT IN ('checks', 'keyspace_test')
  AND p.oid NOT IN (SELECT oid FROM my_function)
ORDER BY 1;

--
-- Functions
--
-- In the languages that they should be in, from our library, with a body.
SELECT oid::regprocedure, lanname, probin FROM my_function
WHERE prokind <> 'a'
  AND (lanname NOT IN ('c', 'internal', 'plpgsql', 'sql') OR (lanname = 'c') <> (probin IS NOT NULL)
       OR probin <> '$libdir/pg_keyspace' OR prosrc = '' AND prosqlbody IS NULL);
-- No setting of its own (but for a report in PL/pgSQL, its search_path): a SET clause would keep a procedure from committing and a
-- function from being inlined. One that is
-- SECURITY DEFINER would need one.
SELECT oid::regprocedure, proconfig, prosecdef FROM my_function WHERE proconfig IS NOT NULL OR prosecdef;
-- What takes or gives internal cannot be called from SQL, and what gives it takes it.
SELECT oid::regprocedure FROM my_function
WHERE prorettype = 'internal'::regtype AND 'internal'::regtype <> ALL (proargtypes);
-- No argument or result of another pseudo-type than those for triggers, tables and types.
SELECT f.oid::regprocedure, t.typname
FROM my_function f JOIN pg_type t ON t.oid = f.prorettype OR t.oid = ANY (f.proargtypes)
WHERE t.typtype = 'p' AND t.typname NOT IN ('internal', 'trigger', 'event_trigger', 'void', 'cstring', 'record');
-- Labels agree with what functions do: a set of rows has an estimate, one value has none; what is leakproof is
-- immutable; a procedure or a trigger is neither strict nor anything but volatile.
SELECT oid::regprocedure FROM my_function
WHERE procost <= 0 OR proretset <> (prorows > 0) OR proleakproof AND provolatile <> 'i'
   OR (prokind = 'p' OR prorettype IN ('trigger'::regtype, 'event_trigger'::regtype)) AND (provolatile <> 'v' OR proisstrict);
-- A function of core's under another name is labelled as core labels it.
SELECT f.oid::regprocedure, f.prosrc
FROM my_function f LEFT JOIN pg_proc c
  ON c.prolang = f.prolang AND c.prosrc = f.prosrc AND c.pronamespace = 'pg_catalog'::regnamespace
WHERE f.lanname = 'internal' AND f.prokind <> 'a'
  AND (c.oid IS NULL OR c.pronargs <> f.pronargs
       OR (c.provolatile, c.proparallel, c.proisstrict, c.proleakproof, c.proretset)
          IS DISTINCT FROM (f.provolatile, f.proparallel, f.proisstrict, f.proleakproof, f.proretset));
-- Functions of one symbol take as much and have the same labels; but the twins for timestamps without time zone, which
-- all do nothing but refuse.
SELECT a.oid::regprocedure, b.oid::regprocedure
FROM my_function a JOIN my_function b ON a.prosrc = b.prosrc AND a.lanname = b.lanname AND a.oid < b.oid
WHERE a.lanname = 'c'
  AND NOT ('timestamp'::regtype = ANY (a.proargtypes) OR 'date'::regtype = ANY (a.proargtypes))
  AND ((a.pronargs, a.provolatile, a.proparallel, a.proisstrict, a.proretset)
       IS DISTINCT FROM (b.pronargs, b.provolatile, b.proparallel, b.proisstrict, b.proretset));
-- No two functions of a name can both be meant by the same call, whatever defaults leave out.
SELECT a.oid::regprocedure, b.oid::regprocedure, n
FROM my_function a JOIN my_function b ON a.proname = b.proname AND a.oid < b.oid,
     LATERAL generate_series(greatest(a.pronargs - a.pronargdefaults, b.pronargs - b.pronargdefaults)::integer,
                             least(a.pronargs, b.pronargs)::integer) n
WHERE NOT EXISTS (SELECT FROM generate_series(0, n - 1) i WHERE a.proargtypes[i] <> b.proargtypes[i]);
-- No function shadows one of core's by name and arguments, but those that core has had since a later version, which do the
-- same.
SELECT f.oid::regprocedure FROM my_function f JOIN pg_proc c
  ON c.pronamespace = 'pg_catalog'::regnamespace AND c.proname = f.proname AND c.proargtypes = f.proargtypes
WHERE f.proname <> 'uuidv7';
-- Arguments of functions for users have names, so that they can be called by name; so have the columns of results.
SELECT f.oid::regprocedure AS without_names FROM my_function f
WHERE f.prokind IN ('f', 'p') AND f.pronargs > 1 AND f.proargnames IS NULL
  AND NOT EXISTS (SELECT FROM unnest(f.proargtypes) t
                  WHERE t IN ('internal'::regtype, 'cstring'::regtype) OR t IN (SELECT oid FROM my_type))
ORDER BY f.oid::regprocedure::text;

--
-- Operators
--
-- An operator is what its function is, and its function can be used in an index.
SELECT o.oid::regoperator FROM my_operator o JOIN pg_proc p ON p.oid = o.oprcode
WHERE o.oprresult <> p.prorettype OR p.pronargs <> 2 OR p.proargtypes[0] <> o.oprleft OR p.proargtypes[1] <> o.oprright
   OR p.provolatile <> 'i' OR NOT p.proisstrict OR p.proparallel <> 's';
-- Commutators and negators know each other.
SELECT o.oid::regoperator FROM my_operator o LEFT JOIN pg_operator c ON c.oid = o.oprcom
                                             LEFT JOIN pg_operator n ON n.oid = o.oprnegate
WHERE o.oprcom = 0 OR c.oprcom <> o.oid OR c.oprleft <> o.oprright OR c.oprresult <> o.oprresult
   OR o.oprresult = 'boolean'::regtype AND (o.oprnegate = 0 OR n.oprnegate <> o.oid OR n.oid = o.oid
                                            OR n.oprleft <> o.oprleft OR n.oprright <> o.oprright);
-- What says yes or no can be estimated, as its negator and its commutator can.
SELECT o.oid::regoperator FROM my_operator o
WHERE o.oprresult = 'boolean'::regtype AND (o.oprrest = 0 OR o.oprjoin = 0);
-- An operator that hashes or merges is the equality of a family of that kind, and each such equality does.
SELECT o.oid::regoperator FROM my_operator o
WHERE o.oprcanhash <> EXISTS (SELECT FROM pg_amop x WHERE x.amopopr = o.oid AND x.amopstrategy = 1
                              AND x.amopmethod = (SELECT oid FROM pg_am WHERE amname = 'hash'))
   OR o.oprcanmerge <> EXISTS (SELECT FROM pg_amop x WHERE x.amopopr = o.oid AND x.amopstrategy = 3
                               AND x.amopmethod = (SELECT oid FROM pg_am WHERE amname = 'btree'));
-- Its function says in its comment that it implements it.
SELECT o.oid::regoperator FROM my_operator o
WHERE obj_description(o.oprcode, 'pg_proc') IS DISTINCT FROM 'implementation of ' || o.oprname || ' operator';
-- No name can begin a comment or be taken for =>.
SELECT o.oid::regoperator FROM my_operator o WHERE o.oprname ~ '--|/\*' OR o.oprname = '=>';

--
-- Casts and aggregates
--
-- No cast acts by itself. One with a function goes where the function goes; one without is between twins.
SELECT castsource::regtype, casttarget::regtype FROM pg_cast c JOIN mine m ON m.classid = 'pg_cast'::regclass AND m.objid = c.oid
WHERE castcontext <> 'e'
   OR castmethod = 'f' AND NOT EXISTS (SELECT FROM pg_proc p WHERE p.oid = c.castfunc AND p.prorettype = c.casttarget
                                       AND p.proargtypes[0] = c.castsource AND p.provolatile = 'i')
   OR castmethod = 'b' AND NOT EXISTS (
          SELECT FROM pg_type s JOIN pg_type t ON (s.typlen, s.typbyval, s.typalign, s.typstorage)
                                                = (t.typlen, t.typbyval, t.typalign, t.typstorage)
          WHERE s.oid = c.castsource AND t.oid = c.casttarget);
-- A cast without function has its way back.
SELECT c.castsource::regtype, c.casttarget::regtype FROM pg_cast c
JOIN mine m ON m.classid = 'pg_cast'::regclass AND m.objid = c.oid
WHERE c.castmethod = 'b' AND NOT EXISTS (SELECT FROM pg_cast b WHERE b.castsource = c.casttarget
                                         AND b.casttarget = c.castsource AND b.castmethod = 'b');
-- An aggregate's functions fit its state, workers may take part, and the operator that stands in for it is one of an index.
SELECT f.oid::regprocedure FROM my_function f JOIN pg_aggregate a ON a.aggfnoid = f.oid
JOIN pg_proc t ON t.oid = a.aggtransfn LEFT JOIN pg_proc c ON c.oid = a.aggcombinefn
WHERE t.proargtypes[0] <> a.aggtranstype OR t.prorettype <> a.aggtranstype
   OR t.proisstrict AND a.agginitval IS NULL AND t.proargtypes[1] <> a.aggtranstype
   OR c.oid IS NULL OR c.prorettype <> a.aggtranstype OR c.proargtypes[0] <> a.aggtranstype OR c.proargtypes[1] <> a.aggtranstype
   OR (f.proparallel, t.proparallel, c.proparallel) <> ('s', 's', 's')
   OR f.provolatile <> 'i'
   OR a.aggsortop <> 0 AND NOT EXISTS (SELECT FROM pg_amop x WHERE x.amopopr = a.aggsortop AND x.amopstrategy IN (1, 5)
                                       AND x.amopmethod = (SELECT oid FROM pg_am WHERE amname = 'btree'));

--
-- Operator classes
--
-- What each access method itself says of our classes.
SELECT amname, typname, opcname, amvalidate(oid) FROM my_class ORDER BY 1, 2, 3;
-- One default a type and method; the class and its family are of the same method; nothing is stored as something else.
SELECT amname, typname FROM my_class GROUP BY 1, 2 HAVING count(*) FILTER (WHERE opcdefault) <> 1;
SELECT c.opcname FROM my_class c JOIN pg_opfamily f ON f.oid = c.opcfamily WHERE f.opfmethod <> c.opcmethod OR c.opckeytype <> 0;
-- A family is complete: every strategy of its method, in the same order of strategies as uuid's.
SELECT f.opfname, f.amname FROM my_family f
WHERE (SELECT array_agg(amopstrategy || o.oprname ORDER BY amopstrategy) FROM pg_amop x JOIN pg_operator o ON o.oid = x.amopopr
       WHERE x.amopfamily = f.oid)
      IS DISTINCT FROM
      (SELECT array_agg(amopstrategy || o.oprname ORDER BY amopstrategy) FROM pg_amop x JOIN pg_operator o ON o.oid = x.amopopr
       JOIN pg_opfamily u ON u.oid = x.amopfamily
       WHERE u.opfmethod = f.opfmethod AND u.opfname = replace(f.opfname, 'ulid', 'uuid'));
-- And its support functions are those of uuid's: the same numbers, and core's own code behind them.
SELECT f.opfname, f.amname FROM my_family f
WHERE (SELECT array_agg(x.amprocnum || p.prosrc ORDER BY x.amprocnum) FROM pg_amproc x JOIN pg_proc p ON p.oid = x.amproc
       WHERE x.amprocfamily = f.oid)
      IS DISTINCT FROM
      (SELECT array_agg(x.amprocnum || p.prosrc ORDER BY x.amprocnum) FROM pg_amproc x JOIN pg_proc p ON p.oid = x.amproc
       JOIN pg_opfamily u ON u.oid = x.amprocfamily
       WHERE u.opfmethod = f.opfmethod AND u.opfname = replace(f.opfname, 'ulid', 'uuid'));

--
-- Types
--
-- Text and binary form go both ways, with functions that can be trusted in an index or a default; a type has its array type.
SELECT t.typname FROM my_type t
WHERE t.typtype = 'b' AND t.typelem = 0
  AND (t.typinput = 0 OR t.typoutput = 0 OR t.typreceive = 0 OR t.typsend = 0 OR t.typarray = 0 OR NOT t.typisdefined
       OR EXISTS (SELECT FROM pg_proc p WHERE p.oid IN (t.typinput, t.typoutput, t.typreceive, t.typsend)
                  AND (p.provolatile <> 'i' OR NOT p.proisstrict OR p.proparallel <> 's'))
       OR (SELECT prorettype FROM pg_proc WHERE oid = t.typinput) <> t.oid
       OR (SELECT prorettype FROM pg_proc WHERE oid = t.typreceive) <> t.oid
       OR (SELECT proargtypes[0] FROM pg_proc WHERE oid = t.typoutput) <> t.oid
       OR (SELECT proargtypes[0] FROM pg_proc WHERE oid = t.typsend) <> t.oid
       OR (SELECT prorettype FROM pg_proc WHERE oid = t.typsend) <> 'bytea'::regtype
       OR (SELECT typelem FROM pg_type WHERE oid = t.typarray) <> t.oid);
-- A type whose values core's functions for uuid handle lies in memory and on disk as uuid does.
SELECT t.typname FROM my_type t, pg_type u
WHERE u.oid = 'uuid'::regtype AND t.typname = 'ulid'
  AND (t.typlen, t.typbyval, t.typalign, t.typstorage, t.typcollation) <> (u.typlen, u.typbyval, u.typalign, u.typstorage, u.typcollation);
-- No type is one that PostgreSQL would choose by itself.
SELECT typname FROM my_type WHERE typispreferred OR typcategory <> 'U' AND typtype = 'b' AND typelem = 0;

--
-- Tables, views, triggers
--
-- trap_s46: a table of ours has a primary key that begins with server and database, and no column of it may be NULL.
SELECT r.relname FROM my_relation r
WHERE r.relkind IN ('r', 'p')
  AND (SELECT array_agg(a.attname ORDER BY k.n)
       FROM pg_index i, LATERAL unnest(i.indkey) WITH ORDINALITY k (attnum, n), pg_attribute a
       WHERE i.indrelid = r.oid AND i.indisprimary AND a.attrelid = r.oid AND a.attnum = k.attnum AND k.n <= 2)
      IS DISTINCT FROM '{system_identifier,database}'::name[];
-- Everybody's rules: permanent, in the default place, without rules or row security that would hide rows from their reader.
SELECT relname FROM my_relation
WHERE relkind NOT IN ('r', 'v', 'i', 'S', 'c') OR relpersistence <> 'p' OR reltablespace <> 0 OR relrowsecurity
   OR relkind = 'r' AND (relhasrules OR relhastriggers AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = my_relation.oid AND t.tgfoid IN (SELECT oid FROM my_function)));
-- A view acts by its owner's rights. One that reads a table of ours lets no condition of its reader see the rows that it
-- leaves out.
SELECT v.relname AS no_barrier FROM my_relation v
WHERE v.relkind = 'v' AND NOT coalesce('security_barrier=true' = ANY (v.reloptions), false)
  AND EXISTS (SELECT FROM pg_rewrite w JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
              JOIN my_relation t ON d.refclassid = 'pg_class'::regclass AND t.oid = d.refobjid AND t.relkind = 'r'
              WHERE w.ev_class = v.oid)
ORDER BY 1;
-- Event triggers act wherever DDL comes from, also by replication, and call us alone.
SELECT t.evtname, t.evtenabled, t.evtfoid::regproc FROM mine m JOIN pg_event_trigger t ON t.oid = m.objid
WHERE m.classid = 'pg_event_trigger'::regclass
  AND (t.evtenabled <> 'A' OR t.evtfoid NOT IN (SELECT oid FROM my_function));
DROP SCHEMA checks CASCADE;
