//! After: whether both sides hold the same, and all of it.

use std::collections::BTreeSet;

use anyhow::Result;
use pg_test::{Acknowledged, contents};

use super::pair::{DATABASE, MAKERS, Pair};
use super::writers::{KEYS, Written};
use xtask::table::{self, number};

/// What was found on both sides.
#[derive(Default)]
pub struct Verdict {
    /// Tables that were compared.
    pub tables: usize,
    /// Rows of one side.
    pub rows: i64,
    /// Tables whose rows or checksums differ.
    pub different: usize,
    /// Acknowledged rows that a side does not hold exactly once, both sides together.
    pub missing: i64,
    /// Numbers of the wrong class.
    pub out_of_class: usize,
    /// Keys that both nodes have handed out.
    pub handed_out_twice: usize,
    /// Conflicts and errors that the servers reported, and transactions that met a key that was there already.
    pub conflicts: u64,
}

impl Verdict {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.different == 0
            && self.missing == 0
            && self.out_of_class == 0
            && self.handed_out_twice == 0
            && self.conflicts == 0
    }
}

/// Shows the keys that were handed out, looks for every acknowledged row and compares every table of both sides.
pub fn reach(pair: &Pair, written: &Written) -> Result<Verdict> {
    let mut verdict = Verdict::default();
    show_keys(&written.acked);
    check_keys(&written.acked, &mut verdict);
    println!(
        "{} of them of the wrong class, {} handed out by both nodes.\n",
        verdict.out_of_class, verdict.handed_out_twice
    );
    compare_tables(pair, &written.acked, &mut verdict)?;
    verdict.conflicts += written.refused;
    for server in &pair.servers {
        let conflicts = pair.method.conflicts(server, DATABASE)?;
        println!(
            "Replication on {}: {}; {} conflicts in the log, {} in the statistics",
            server.name(),
            pair.method.status(server, DATABASE)?,
            conflicts.logged,
            conflicts.counted
        );
        if let Some(first) = &conflicts.first {
            println!("    {first}");
        }
        verdict.conflicts += conflicts.logged + conflicts.counted;
    }
    Ok(verdict)
}

/// The numbers among a table's keys in their order; none where the keys are no numbers.
fn numbers(acked: &Acknowledged, table: &str) -> Vec<i64> {
    let mut numbers: Vec<i64> = acked.keys(table).iter().filter_map(|key| key.parse().ok()).collect();
    numbers.sort_unstable();
    numbers
}

fn show_keys(acked: &[Acknowledged; 2]) {
    let mut rows = Vec::new();
    for (table, made_by) in KEYS {
        let cells = acked.each_ref().map(|acked| {
            let numbers = numbers(acked, table);
            let first: Vec<String> = numbers.iter().take(2).map(i64::to_string).collect();
            numbers.last().map(|last| format!("{} ... {last}", first.join(" ")))
        });
        if let [Some(one), Some(two)] = cells {
            rows.push(vec![table.to_owned(), made_by.to_owned(), one, two]);
        }
    }
    table::print(&["table", "key", "handed out by node 1", "handed out by node 2"], &rows);
    for (table, made_by) in KEYS {
        if let (Some(one), Some(two)) = (acked[0].keys(table).first(), acked[1].keys(table).first())
            && one.parse::<i64>().is_err()
        {
            println!("    {made_by:8} {one} on node 1\n             {two} on node 2 ({table})");
        }
    }
}

fn check_keys(acked: &[Acknowledged; 2], verdict: &mut Verdict) {
    for (node, acked) in (1..).zip(acked) {
        let tables = acked.tables().flat_map(|table| numbers(acked, table));
        verdict.out_of_class += tables.filter(|value| value.rem_euclid(2) != node % 2).count();
    }
    for table in acked[0].tables() {
        let of_one: BTreeSet<&String> = acked[0].keys(table).iter().collect();
        verdict.handed_out_twice += acked[1].keys(table).iter().filter(|key| of_one.contains(key)).count();
    }
}

fn compare_tables(pair: &Pair, acked: &[Acknowledged; 2], verdict: &mut Verdict) -> Result<()> {
    let [one, two] = [contents(&pair.servers[0], DATABASE)?, contents(&pair.servers[1], DATABASE)?];
    let mut clients = pair.clients()?;
    let names: BTreeSet<&String> = one.keys().chain(two.keys()).collect();
    let mut rows = Vec::new();
    for name in names {
        let (first, second) = (one.get(name), two.get(name));
        let mut missing = [0, 0];
        for (client, missing) in clients.iter_mut().zip(&mut missing) {
            for acked in acked {
                *missing += acked.missing(client, name)?;
            }
        }
        let same = first == second;
        verdict.tables += 1;
        verdict.rows += first.map_or(0, |first| first.rows);
        verdict.different += usize::from(!same);
        verdict.missing += missing.iter().sum::<i64>();
        let count =
            |side: Option<&pg_test::Contents>| side.map_or_else(|| "-".to_owned(), |side| number(side.rows));
        rows.push(vec![
            name.clone(),
            number(acked.iter().map(|acked| acked.rows(name)).sum::<i64>()),
            number(missing[0]),
            number(missing[1]),
            count(first),
            count(second),
            if same { "same" } else { "DIFFERENT" }.to_owned(),
        ]);
    }
    let headings =
        ["table", "acknowledged", "missing on 1", "missing on 2", "rows on 1", "rows on 2", "checksums"];
    table::print(&headings, &rows);
    let unseen = acked.iter().flat_map(Acknowledged::tables).filter(|table| !one.contains_key(*table));
    let unseen: BTreeSet<&str> = unseen.collect();
    anyhow::ensure!(unseen.is_empty(), "{} were written to {}, but not compared", unseen.len(), MAKERS[0]);
    Ok(())
}
