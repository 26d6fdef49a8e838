//! The corpus has the shares of shapes that were found in 27 real schemas with 1,566 tables that have
//! one integer key.

use crate::schema::SCHEMAS;
use crate::start;

/// The shapes of the tables of a database: the number of those with one integer key, of these with
/// no other time than `timestamp`, with none, with only a date, with deferrable references;
/// the number of all tables, of composite keys, of partitioned tables; columns that are called
/// `..._id`, and those without a foreign key.
const SHAPES: &str = "
WITH tables AS (
    SELECT c.oid, c.relkind, k.indnkeyatts AS columns,
           c.relkind = 'r' AND k.indnkeyatts = 1 AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype) AS is_single
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname IN ('public', 'musicbrainz')
    LEFT JOIN pg_index AS k ON k.indrelid = c.oid AND k.indisprimary
    LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.indkey[0]
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
), times AS (
    SELECT t.*, EXISTS (SELECT FROM pg_attribute WHERE attrelid = oid AND atttypid = 'timestamptz'::regtype) AS has_instant,
           EXISTS (SELECT FROM pg_attribute WHERE attrelid = oid AND atttypid = 'timestamp'::regtype) AS has_local,
           EXISTS (SELECT FROM pg_attribute WHERE attrelid = oid AND atttypid = 'date'::regtype) AS has_date,
           EXISTS (SELECT FROM pg_constraint AS f JOIN pg_attribute AS a ON a.attrelid = f.conrelid AND a.attnum = f.conkey[1]
                   WHERE f.confrelid = t.oid AND f.condeferrable AND a.attnotnull) AS is_deferred
    FROM tables AS t
)
SELECT count(*) FILTER (WHERE is_single),
       count(*) FILTER (WHERE is_single AND has_local AND NOT has_instant),
       count(*) FILTER (WHERE is_single AND NOT has_local AND NOT has_instant AND NOT has_date),
       count(*) FILTER (WHERE is_single AND has_date AND NOT has_local AND NOT has_instant),
       count(*) FILTER (WHERE is_single AND is_deferred),
       count(*), count(*) FILTER (WHERE columns > 1), count(*) FILTER (WHERE relkind = 'p'),
       (SELECT count(*) FROM columns), (SELECT count(*) FROM columns WHERE NOT is_declared)
FROM times";

/// The columns that look like references.
const COLUMNS: &str = "
WITH columns AS (
    SELECT EXISTS (SELECT FROM pg_constraint WHERE conrelid = c.oid AND contype = 'f' AND attnum = ANY (conkey)) AS is_declared
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname IN ('public', 'musicbrainz')
    JOIN pg_attribute AS a ON a.attrelid = c.oid AND attnum > 0 AND NOT attisdropped
                          AND atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND attname ~ '(_id|[a-z]Id)$'
), ";

#[test]
fn the_corpus_has_the_shares_of_real_schemas() {
    let server = start(&["fsync = off"]);
    let query = SHAPES.replacen("WITH ", COLUMNS, 1);
    let mut sums = [0_i64; 10];
    for schema in SCHEMAS {
        let row = schema.load(&server).query_one(&query, &[]).unwrap();
        let shapes: Vec<i64> = (0..sums.len()).map(|at| row.get(at)).collect();
        println!("{}: {shapes:?}", schema.name);
        let tables = shapes[5];
        assert!((8..=16).contains(&tables), "{}: {tables} tables", schema.name);
        for (sum, count) in sums.iter_mut().zip(shapes) {
            *sum += count;
        }
    }
    let [single, local, none, date, deferred, tables, composite, partitioned, columns, undeclared] = sums;
    println!("{single} tables with one integer key, {tables} in all");
    for (what, part, of, expected) in [
        ("timestamp without time zone only", local, single, 47),
        ("no time", none, single, 28),
        ("a date only", date, single, 2),
        ("deferrable references", deferred, single, 7),
        ("composite keys", composite, tables, 14),
        ("partitioned tables", partitioned, tables, 2),
        ("references without a foreign key", undeclared, columns, 45),
    ] {
        let percent = 100 * part / of;
        println!("{what}: {part} of {of}, {percent} %");
        assert!((percent - expected).abs() <= 3, "{what}: {percent} %, not {expected} %");
    }
}
