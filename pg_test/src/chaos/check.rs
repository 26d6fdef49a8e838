//! The end of a run: compares the contents of the nodes with the writers' records.

use std::io::{BufReader, ErrorKind, Read};

use anyhow::{Context, Result, bail};

use super::findings::{Finding, Findings};
use super::record::{Expected, Record};
use super::schema::{DATABASE, Key, SOURCES, TABLES};
use crate::{Cluster, contents};

/// A writer that has ended, and its record.
pub struct WriterRecord {
    /// Its number, which is in its rows.
    pub number: i32,
    /// Its node, counted from 0.
    pub node: usize,
    /// Its record of its rows.
    pub record: Record,
}

/// How much was checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Rows, on each node.
    pub rows: u64,
    /// Of these, rows whose acknowledgement was lost with the connection.
    pub in_doubt: u64,
    /// Acknowledged keys, including those of deleted rows.
    pub keys: u64,
    /// Indexes, on all nodes.
    pub indexes: u64,
    /// Errors and warnings of `check_interleaved_sequences` on all nodes.
    pub errors: u64,
    /// Warnings alone.
    pub warnings: u64,
}

/// Whether a node has a row, by writer, table and number of the row.
type RowsFound = Vec<Vec<Vec<bool>>>;

/// Compares everything.
///
/// # Errors
///
/// If a server cannot be read.
pub fn check(
    cluster: &Cluster,
    writers: &mut [WriterRecord],
    classes: i32,
    findings: &Findings,
) -> Result<Checked> {
    let mut checked = Checked::default();
    for node in 0..cluster.count() {
        let held = read_node(cluster, node, writers, findings)?;
        checked.rows = held.iter().flatten().flatten().filter(|is_held| **is_held).count() as u64;
        compare(cluster.server(node)?.name(), writers, &held, findings);
    }
    let rows = writers.iter().flat_map(|writer| writer.record.uncertain.iter().flatten());
    checked.in_doubt = rows.map(|(_, _, count)| *count as u64).sum();
    checked.keys = check_keys(writers, classes, findings);
    compare_nodes(cluster, findings)?;
    checked.indexes = check_indexes(cluster, findings)?;
    for found in cluster.conflicts()? {
        findings.add(Finding::Conflict, || found);
    }
    Ok(checked)
}

/// Runs the extension's own check on every node with the states of all others. Warnings, for
/// example about clones, are counted separately.
///
/// # Errors
///
/// If a server returns an error.
pub fn run_own_check(cluster: &Cluster, checked: &mut Checked, findings: &Findings) -> Result<()> {
    for found in cluster.check()? {
        if found.contains(": error: ") {
            checked.errors += 1;
            findings.add(Finding::Check, || found);
        } else {
            checked.warnings += 1;
        }
    }
    Ok(())
}

/// Reads the rows of a node, and finds rows that are in no record or differ from it.
fn read_node(
    cluster: &Cluster,
    node: usize,
    writers: &mut [WriterRecord],
    findings: &Findings,
) -> Result<RowsFound> {
    let name = cluster.server(node)?.name().to_owned();
    let mut client = cluster.connect(node)?;
    let mut held: RowsFound = writers
        .iter()
        .map(|writer| (0..TABLES.len()).map(|table| vec![false; writer.record.rows(table).len()]).collect())
        .collect();
    for (at, table) in TABLES.iter().enumerate() {
        let copy = format!("COPY ({}) TO STDOUT (FORMAT binary)", table.rows());
        let rows = client.copy_out(&copy).with_context(|| format!("could not read {}", table.name))?;
        read_rows(BufReader::with_capacity(1 << 18, rows), |[writer, no, version, key]| {
            let place =
                |what: &str| format!("{what}: row {no} of writer {writer} in {} on {name}", table.name);
            let writer_at = writers.iter().position(|known| u128::try_from(known.number) == Ok(writer));
            let number = usize::try_from(no).unwrap_or(usize::MAX);
            let row = writer_at.and_then(|writer| writers[writer].record.row_mut(at, number));
            let (Some(writer_at), Some(row)) = (writer_at, row) else {
                return findings.add(Finding::Unexpected, || place("never written"));
            };
            if std::mem::replace(&mut held[writer_at][at][number], true) {
                findings.add(Finding::Duplicate, || place("more than one row"));
            }
            // The key of a row in doubt is taken from the first node.
            let known = *row.key.get_or_insert(key);
            if known != key {
                findings.add(Finding::Changed, || place(&format!("key {key:x} and not {known:x}")));
            }
            // Its transaction was committed after all, so its key counts as generated.
            row.is_key_committed |= row.expected == Expected::Possible;
            let newest = row.version + i32::from(row.may_be_newer);
            if !i32::try_from(version).is_ok_and(|version| (row.version..=newest).contains(&version)) {
                findings
                    .add(Finding::Changed, || place(&format!("version {version} and not {}", row.version)));
            }
            if row.expected == Expected::Absent {
                findings.add(Finding::Unexpected, || place("deleted or rejected"));
            }
        })
        .with_context(|| format!("could not read {} of {name}", table.name))?;
    }
    Ok(held)
}

/// Finds acknowledged rows that are missing, and incomplete transactions.
fn compare(node: &str, writers: &[WriterRecord], held: &RowsFound, findings: &Findings) {
    for (writer, held) in writers.iter().zip(held) {
        for (at, table) in TABLES.iter().enumerate() {
            for (no, (row, is_held)) in writer.record.rows(at).iter().zip(&held[at]).enumerate() {
                if row.expected == Expected::Present && !is_held {
                    findings.add(Finding::Missing, || {
                        format!("row {no} of writer {} in {} on {node}", writer.number, table.name)
                    });
                }
            }
        }
        for uncertain in &writer.record.uncertain {
            let mut rows =
                uncertain.iter().flat_map(|(table, first, count)| &held[*table][*first..first + count]);
            let is_first_held = rows.next();
            if rows.any(|is_held| Some(is_held) != is_first_held) {
                findings.add(Finding::Incomplete, || {
                    format!("{uncertain:?} of writer {} on {node}", writer.number)
                });
            }
        }
    }
}

/// Checks that no key was generated twice, and that numbers are of the class of their node.
fn check_keys(writers: &[WriterRecord], classes: i32, findings: &Findings) -> u64 {
    let mut of_source: Vec<Vec<u128>> = vec![Vec::new(); SOURCES];
    for writer in writers {
        let class = (writer.node as i128 + 1).rem_euclid(i128::from(classes));
        for (at, table) in TABLES.iter().enumerate() {
            for key in
                writer.record.rows(at).iter().filter(|row| row.is_key_committed).filter_map(|row| row.key)
            {
                of_source[table.source].push(key);
                if table.key == Key::Number && (key as i128).rem_euclid(i128::from(classes)) != class {
                    findings.add(Finding::WrongClass, || {
                        format!("{key} of {}, generated by node {} of {classes}", table.name, writer.node + 1)
                    });
                }
            }
        }
    }
    let mut count = 0;
    for (source, keys) in of_source.iter_mut().enumerate() {
        count += keys.len() as u64;
        keys.sort_unstable();
        for twice in keys.windows(2).filter(|pair| pair[0] == pair[1]) {
            let tables: Vec<&str> =
                TABLES.iter().filter(|table| table.source == source).map(|table| table.name).collect();
            findings.add(Finding::Duplicate, || {
                format!("{:x} was generated twice for {}", twice[0], tables.join(", "))
            });
        }
    }
    count
}

/// Compares the rows of all nodes, independently of the records.
fn compare_nodes(cluster: &Cluster, findings: &Findings) -> Result<()> {
    let servers = cluster.servers();
    let Some((first, others)) = servers.split_first() else { return Ok(()) };
    let expected = contents(first, DATABASE)?;
    for other in others {
        let found = contents(other, DATABASE)?;
        for (table, expected) in &expected {
            if found.get(table) != Some(expected) {
                findings.add(Finding::Different, || {
                    format!(
                        "{table}: {expected:?} on {}, {:?} on {}",
                        first.name(),
                        found.get(table),
                        other.name()
                    )
                });
            }
        }
    }
    Ok(())
}

/// Uses amcheck if it is installed: entries are in order, and every row has one.
fn check_indexes(cluster: &Cluster, findings: &Findings) -> Result<u64> {
    let mut count = 0;
    for server in cluster.servers().into_iter().filter(|server| server.tree().has_extension("amcheck")) {
        let mut client = server.connect(DATABASE)?;
        client.batch_execute("CREATE EXTENSION IF NOT EXISTS amcheck").context("could not create amcheck")?;
        let indexes =
            "SELECT indexrelid::regclass::text FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
                       WHERE relam = (SELECT oid FROM pg_am WHERE amname = 'btree')
                         AND relnamespace = 'public'::regnamespace AND relpersistence = 'p'";
        for row in client.query(indexes, &[]).context("could not list the indexes")? {
            let index: String = row.get(0);
            count += 1;
            if let Err(error) = client.query("SELECT bt_index_check($1::text::regclass, true)", &[&index]) {
                let reason =
                    error.as_db_error().map_or_else(|| error.to_string(), |error| error.message().to_owned());
                findings.add(Finding::Index, || format!("{index} on {}: {reason}", server.name()));
            }
        }
    }
    Ok(count)
}

/// The rows of a COPY in binary format; columns are numbers of up to 16 bytes.
fn read_rows<const N: usize>(mut from: impl Read, mut each: impl FnMut([u128; N])) -> Result<()> {
    let mut header = [0; 19];
    from.read_exact(&mut header).context("no header")?;
    let mut short = [0; 2];
    loop {
        from.read_exact(&mut short).context("no count of columns")?;
        match i16::from_be_bytes(short) {
            -1 => break,
            count if usize::try_from(count) == Ok(N) => {}
            count => bail!("{count} columns"),
        }
        let mut values = [0; N];
        for value in &mut values {
            let mut length = [0; 4];
            from.read_exact(&mut length).context("no length")?;
            let length = usize::try_from(i32::from_be_bytes(length)).ok().filter(|length| *length <= 16);
            let mut bytes = [0; 16];
            let Some(place) = length.and_then(|length| bytes.get_mut(16 - length..)) else {
                bail!("a value of an unexpected length")
            };
            from.read_exact(place).context("a value is incomplete")?;
            *value = u128::from_be_bytes(bytes);
        }
        each(values);
    }
    // The protocol's own end of the copy.
    match from.read(&mut short) {
        Ok(0) => Ok(()),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(()),
        Ok(_) => bail!("more rows after the end of the copy"),
        Err(error) => Err(error).context("could not read the rows"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;
    use crate::chaos::record::{Change, Outcome};

    fn kinds(findings: &Findings) -> Vec<Finding> {
        findings.by_kind().into_keys().collect()
    }

    fn writer(number: i32, node: usize, keys: &[u128]) -> WriterRecord {
        let mut record = Record::new();
        let insert = [Change::Insert { table: 0, count: keys.len() }];
        record.add(&insert, &[keys.to_vec()], Outcome::Acknowledged);
        WriterRecord { number, node, record }
    }

    #[test]
    fn duplicate_keys_and_keys_of_another_class_are_found() {
        let findings = Findings::default();
        assert_eq!(check_keys(&[writer(1, 0, &[1, 3]), writer(2, 1, &[2, 4])], 2, &findings), 4);
        assert_eq!(kinds(&findings), []);
        check_keys(&[writer(1, 0, &[1, 3]), writer(2, 0, &[3, 5])], 2, &findings);
        assert_eq!(kinds(&findings), [Finding::Duplicate]);
        check_keys(&[writer(1, 0, &[2])], 2, &findings);
        assert_eq!(kinds(&findings), [Finding::Duplicate, Finding::WrongClass]);
    }

    #[test]
    fn a_deleted_row_does_not_free_its_key() {
        let mut one = writer(1, 0, &[1]);
        one.record.add(&[Change::Delete { table: 0, no: 0 }], &[vec![]], Outcome::Acknowledged);
        let findings = Findings::default();
        check_keys(&[one, writer(2, 0, &[1])], 2, &findings);
        assert_eq!(kinds(&findings), [Finding::Duplicate]);
    }

    #[test]
    fn missing_rows_and_incomplete_transactions_are_found() {
        let mut one = writer(1, 0, &[1, 3]);
        one.record.add(&[Change::Insert { table: 0, count: 2 }], &[], Outcome::Unknown);
        let held = |rows: [bool; 4]| -> RowsFound {
            let mut tables = vec![Vec::new(); TABLES.len()];
            tables[0] = rows.to_vec();
            vec![tables]
        };
        for (rows, expected) in [
            ([true, true, false, false], vec![]),
            ([true, true, true, true], vec![]),
            ([true, false, true, true], vec![Finding::Missing]),
            ([true, true, true, false], vec![Finding::Incomplete]),
        ] {
            let findings = Findings::default();
            compare("one", std::slice::from_ref(&one), &held(rows), &findings);
            assert_eq!(kinds(&findings), expected, "{rows:?}");
        }
    }

    #[test]
    fn the_binary_format_is_read() {
        let mut bytes = b"PGCOPY\n\xff\r\n\0".to_vec();
        bytes.extend([0; 8]);
        for row in [[1_i32, 7], [2, 8]] {
            bytes.extend(2_i16.to_be_bytes());
            for value in row {
                bytes.extend(4_i32.to_be_bytes());
                bytes.extend(value.to_be_bytes());
            }
        }
        bytes.extend((-1_i16).to_be_bytes());
        let mut rows = Vec::new();
        read_rows(bytes.as_slice(), |row: [u128; 2]| rows.push(row)).unwrap();
        assert_eq!(rows, [[1, 7], [2, 8]]);
        assert!(read_rows(&bytes[..30], |_: [u128; 2]| {}).is_err());
    }
}
