//! `smallint` and `integer` keys: how long they last if N nodes share them.
//!
//! A node that inserts r rows a second moves its position by r times N ids a second. The rate is the
//! average since the statistics of the database began, and what was measured if that is more.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::finding::{Check, Finding, Row};
use super::query::Query;
use super::tables::MINE;
use crate::check::Severity;
use crate::failure::Result;
use crate::interrupt;
use crate::session::Session;

/// Keys that run out.
pub const INTEGER_KEY: Check = Check {
    name: "integer-key",
    reason: "With N classes, ids are used N times as fast: each node leaves the ids of all others out. When none is left, inserts fail.",
    hint: "Migrate the key to bigint or UUID while it is in use: \"migrate run TABLE --target bigint\".",
};

/// References that end before the key.
pub const NARROW_REFERENCE: Check = Check {
    name: "narrow-reference",
    reason: "The column refers to a key of a wider type. Once ids are beyond its range, which N classes reach N times as fast, rows that refer to them cannot be inserted.",
    hint: "Give the column the type of the key, together with the key: \"migrate run\" migrates references, too.",
};

pub const QUERIES: [Query; 1] = [Query {
    check: &NARROW_REFERENCE,
    sql: "
    SELECT 'warning' AS severity, m.name || '.' || quote_ident(a.attname) AS object,
           format('%s refers to %s.%I, which is %s', format_type(a.atttypid, NULL), f.name, b.attname, format_type(b.atttypid, NULL)) AS detail
    FROM mine m JOIN pg_constraint n ON n.conrelid = m.oid AND n.contype = 'f' AND n.conparentid = 0
    JOIN mine f ON f.oid = n.confrelid
    CROSS JOIN LATERAL unnest(n.conkey, n.confkey) AS k (one, other)
    JOIN pg_attribute a ON a.attrelid = n.conrelid AND a.attnum = k.one
    JOIN pg_attribute b ON b.attrelid = n.confrelid AND b.attnum = k.other
    WHERE (a.atttypid, b.atttypid) IN (('int2'::regtype, 'int4'::regtype), ('int2'::regtype, 'int8'::regtype), ('int4'::regtype, 'int8'::regtype))",
}];

/// A column of a narrow type that gets its values from a sequence.
#[derive(Clone, Debug, Deserialize)]
struct Key {
    column: String,
    r#type: String,
    sequence: u32,
    increment: i64,
    /// The first value, and the last possible one in the direction of the increment.
    first: i64,
    last: i64,
    /// Rows inserted since the statistics began, and the seconds since then.
    inserted: i64,
    seconds: f64,
}

/// The system identifier begins with the time at which the server was initialized, which is when its
/// statistics began unless they were reset.
const KEYS: &str = "
    SELECT format('%s.%I', m.name, a.attname) AS column, format_type(b.base, NULL) AS type,
           q.seqrelid::int8 AS sequence, q.seqincrement AS increment,
           CASE WHEN q.seqincrement > 0 THEN q.seqmin ELSE q.seqmax END AS first,
           CASE WHEN q.seqincrement > 0 THEN least(q.seqmax, r.greatest) ELSE greatest(q.seqmin, r.least) END AS last,
           coalesce((SELECT sum(pg_stat_get_tuples_inserted(p.relid)) FROM pg_partition_tree(m.oid) p WHERE p.isleaf),
                    pg_stat_get_tuples_inserted(m.oid), 0)::int8 AS inserted,
           greatest(extract(epoch FROM clock_timestamp() - coalesce(
               pg_stat_get_db_stat_reset_time((SELECT d.oid FROM pg_database d WHERE d.datname = current_database())),
               to_timestamp((SELECT c.system_identifier >> 32 FROM pg_control_system() c)::float8)))::float8, 1) AS seconds
    FROM mine m JOIN pg_attribute a ON a.attrelid = m.oid AND a.attnum > 0 AND NOT a.attisdropped
    CROSS JOIN LATERAL (
        WITH RECURSIVE domain AS (
            SELECT t.oid, t.typbasetype FROM pg_type t WHERE t.oid = a.atttypid
            UNION ALL
            SELECT t.oid, t.typbasetype FROM domain o JOIN pg_type t ON t.oid = o.typbasetype)
        SELECT o.oid AS base FROM domain o WHERE o.typbasetype = 0) b
    JOIN (VALUES ('int2'::regtype::oid, -32768::int8, 32767::int8), ('int4'::regtype::oid, -2147483648, 2147483647),
                 ('int8'::regtype::oid, -9223372036854775808, 9223372036854775807)) AS r (type, least, greatest) ON r.type = b.base
    JOIN LATERAL (
        SELECT d.objid AS sequence FROM pg_depend d
        WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = m.oid
          AND d.refobjsubid = a.attnum AND d.deptype IN ('a', 'i')
        UNION
        SELECT d.refobjid FROM pg_attrdef e JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = e.oid
                                                            AND d.refclassid = 'pg_class'::regclass
        WHERE e.adrelid = m.oid AND e.adnum = a.attnum) s ON true
    JOIN pg_sequence q ON q.seqrelid = s.sequence
    WHERE m.oid = m.root AND NOT q.seqcycle
      AND CASE WHEN q.seqincrement > 0 THEN least(q.seqmax, r.greatest) <= 2147483647
               ELSE greatest(q.seqmin, r.least) >= -2147483648 END
    ORDER BY 1, 3";

/// Each call locks the sequence until the end of the transaction, so not all at once. A sequence
/// without privileges, or an unlogged one on a standby, has no position that can be read.
const POSITIONS: &str = "
    SELECT w.oid::int8, pg_sequence_last_value(w.oid)
    FROM unnest($1::oid[]) AS w (oid) JOIN pg_class c ON c.oid = w.oid
    WHERE CASE WHEN has_sequence_privilege(w.oid, 'SELECT, USAGE') THEN c.relpersistence = 'p' ELSE false END";

/// How many sequences are read in one transaction.
const AT_ONCE: usize = 500;

/// The positions of sequences that can be read; `None` if it was never called.
type Positions = HashMap<u32, Option<i64>>;

fn positions(session: &mut Session, keys: &[Key]) -> Result<Positions> {
    let mut sequences: Vec<u32> = keys.iter().map(|key| key.sequence).collect();
    sequences.sort_unstable();
    sequences.dedup();
    let mut positions = HashMap::new();
    for part in sequences.chunks(AT_ONCE) {
        for row in session.query(POSITIONS, &[&part])? {
            let sequence: i64 = row.try_get(0)?;
            positions.insert(u32::try_from(sequence).unwrap_or_default(), row.try_get(1)?);
        }
    }
    Ok(positions)
}

/// How long the keys of a node last.
///
/// # Errors
/// Those of the server, or an interrupt.
pub fn find(session: &mut Session, classes: i32, observe: Option<u64>) -> Result<Vec<Finding>> {
    let keys: Vec<Key> = session.rows(&format!("WITH {MINE} {KEYS}"), &[])?;
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let mut before = positions(session, &keys)?;
    let mut observed = HashMap::new();
    if let Some(seconds) = observe {
        let began = Instant::now();
        interrupt::sleep(Duration::from_secs(seconds))?;
        let after = positions(session, &keys)?;
        let seconds = began.elapsed().as_secs_f64();
        for key in &keys {
            let position = |positions: &Positions| positions.get(&key.sequence).copied().flatten();
            if let (Some(from), Some(to)) = (position(&before), position(&after)) {
                observed.insert(key.sequence, values(from, to, key.increment) / seconds);
            }
        }
        before = after;
    }
    let node = session.name().to_owned();
    let found = keys.iter().map(|key| {
        let position = before.get(&key.sequence).copied();
        let rate = observed.get(&key.sequence).copied();
        INTEGER_KEY.about(&[&node], judge(key, position, rate, classes))
    });
    Ok(found.collect())
}

/// How many values lie between two positions.
fn values(from: i64, to: i64, increment: i64) -> f64 {
    let difference = (i128::from(to) - i128::from(from)).max(0).unsigned_abs();
    let step = u128::from(increment.unsigned_abs().max(1));
    #[allow(clippy::cast_precision_loss)]
    let values = (difference / step) as f64;
    values
}

const DAY: f64 = 86_400.0;
const YEAR: f64 = 365.25 * DAY;

/// How long a key lasts. The position is unknown if it cannot be read.
#[allow(clippy::cast_precision_loss)]
fn judge(key: &Key, position: Option<Option<i64>>, observed: Option<f64>, classes: i32) -> Row {
    let row = |severity, detail| Row { severity, object: Some(key.column.clone()), detail };
    let Some(position) = position else {
        return row(Severity::Info, format!("{}: the position of its sequence cannot be read", key.r#type));
    };
    let all = (i128::from(key.last) - i128::from(key.first)).unsigned_abs() as f64;
    let left = match position {
        // Past its end, as of a column that is narrower than its sequence.
        Some(at) if key.increment > 0 => (i128::from(key.last) - i128::from(at)).max(0) as f64,
        Some(at) => (i128::from(at) - i128::from(key.last)).max(0) as f64,
        None => all,
    };
    let used = if all > 0.0 { 100.0 * (1.0 - left / all).clamp(0.0, 1.0) } else { 100.0 };
    let classes = f64::from(classes);
    if left < classes {
        return row(Severity::Error, format!("{}: no id is left for {classes} classes", key.r#type));
    }
    let rate = (key.inserted as f64 / key.seconds).max(observed.unwrap_or(0.0));
    // A set-up has multiplied the increment already.
    let step = classes.max(key.increment.unsigned_abs() as f64);
    let time = (rate > 0.0).then(|| left / (rate * step));
    let severity = match time {
        Some(time) if time < 90.0 * DAY => Severity::Error,
        Some(time) if time < 3.0 * YEAR => Severity::Warning,
        // Without a rate, the part that is left is all that is known.
        _ if used >= 80.0 => Severity::Warning,
        _ => Severity::Info,
    };
    let lasts = time.map_or_else(
        || "no rows inserted since statistics began".to_owned(),
        |time| format!("at {} rows a second, {classes} classes last {}", rounded(rate), duration(time)),
    );
    row(severity, format!("{}: {used:.1} % used; {lasts}", key.r#type))
}

/// A rate with three digits.
fn rounded(rate: f64) -> String {
    match rate {
        rate if rate >= 100.0 => format!("{rate:.0}"),
        rate if rate >= 1.0 => format!("{rate:.1}"),
        rate if rate >= 0.01 => format!("{rate:.2}"),
        _ => "less than 0.01".to_owned(),
    }
}

/// A time for people.
fn duration(seconds: f64) -> String {
    match seconds {
        seconds if seconds >= 1000.0 * YEAR => "more than 1,000 years".to_owned(),
        seconds if seconds >= 2.0 * YEAR => format!("{:.0} years", seconds / YEAR),
        seconds if seconds >= 2.0 * DAY => format!("{:.0} days", seconds / DAY),
        seconds => format!("{:.0} hours", seconds / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(inserted: i64, seconds: f64) -> Key {
        Key {
            column: "public.t.id".to_owned(),
            r#type: "integer".to_owned(),
            sequence: 1,
            increment: 1,
            first: 1,
            last: i64::from(i32::MAX),
            inserted,
            seconds,
        }
    }

    #[test]
    fn the_time_left_is_divided_by_the_number_of_classes() {
        // Ten rows a second use 2^31 ids in 6.8 years; three classes in 2.3, eight in 0.85.
        let busy = key(10_000, 1_000.0);
        let row = judge(&busy, Some(None), None, 2);
        assert_eq!(
            (row.severity, row.detail.as_str()),
            (Severity::Info, "integer: 0.0 % used; at 10.0 rows a second, 2 classes last 3 years")
        );
        assert_eq!(judge(&busy, Some(None), None, 8).severity, Severity::Warning);
        assert_eq!(judge(&busy, Some(None), None, 100).severity, Severity::Error);
        // What was measured counts if it is more than the average.
        assert_eq!(judge(&busy, Some(None), Some(1_000.0), 2).severity, Severity::Error);
        assert_eq!(judge(&busy, Some(None), Some(0.1), 2).severity, Severity::Info);
        // The increment of a set-up is a number of classes, too.
        let of_eight = Key { increment: 8, ..busy };
        assert_eq!(judge(&of_eight, Some(None), None, 2).severity, Severity::Warning);
    }

    #[test]
    fn the_position_decides_what_is_left() {
        let idle = key(0, 1_000.0);
        assert_eq!(judge(&idle, Some(Some(1)), None, 2).severity, Severity::Info);
        assert_eq!(judge(&idle, Some(Some(2_000_000_000)), None, 2).severity, Severity::Warning);
        for at in [i64::from(i32::MAX) - 1, i64::from(i32::MAX), i64::MAX] {
            let row = judge(&idle, Some(Some(at)), None, 2);
            assert_eq!(
                (row.severity, row.detail.as_str()),
                (Severity::Error, "integer: no id is left for 2 classes")
            );
        }
        let unknown = judge(&idle, None, None, 2);
        assert!(unknown.detail.ends_with("cannot be read"), "{}", unknown.detail);
        let descending = Key { increment: -1, first: -1, last: i64::from(i32::MIN), ..idle };
        assert!(judge(&descending, Some(Some(-1_073_741_824)), None, 2).detail.contains("50.0 % used"));
        assert_eq!(judge(&descending, Some(Some(i64::MIN)), None, 2).severity, Severity::Error);
    }

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!([123.4, 12.34, 0.1234, 0.0001].map(rounded), ["123", "12.3", "0.12", "less than 0.01"]);
        assert_eq!(duration(3600.0), "1 hours");
        assert_eq!(duration(10.0 * DAY), "10 days");
        assert_eq!(duration(5.0 * YEAR), "5 years");
        assert_eq!(duration(f64::MAX), "more than 1,000 years");
        assert!(values(1, 101, 2) > 49.0 && values(1, 101, 2) < 51.0);
        assert!(values(101, 1, 2) < 1.0);
    }
}
