//! What a statement is doing, as another session sees it: bars on a terminal, lines otherwise.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde::Deserialize;

use super::blockers::{self, duration};
use super::table::Table;
use crate::failure::Result;
use crate::interrupt;
use crate::nodes::Node;
use crate::printable::printable;
use crate::session::Session;

/// How often another session looks.
const INTERVAL: Duration = Duration::from_millis(500);
/// How often a line is printed if stderr is no terminal.
const LINES: Duration = Duration::from_secs(10);

/// A row of `key_migration_progress`.
#[derive(Debug, Deserialize)]
struct Progress {
    table: String,
    percent: f64,
    rows_per_second: Option<i64>,
    seconds_left: Option<f64>,
    throttled_by: Option<String>,
    is_paused: bool,
}

/// The progress of a statement of PostgreSQL.
#[derive(Deserialize)]
struct Command {
    phase: String,
    done: i64,
    total: i64,
}

const OF_COMMANDS: &str = "
    SELECT phase, CASE WHEN blocks_total > 0 THEN blocks_done ELSE tuples_done END AS done,
           CASE WHEN blocks_total > 0 THEN blocks_total ELSE tuples_total END AS total
    FROM pg_stat_progress_create_index WHERE pid = $1
    UNION ALL
    SELECT 'VACUUM, ' || phase, heap_blks_scanned, heap_blks_total FROM pg_stat_progress_vacuum WHERE pid = $1";

/// Where progress is shown.
pub struct Display {
    all: MultiProgress,
    status: ProgressBar,
    bars: Mutex<BTreeMap<String, ProgressBar>>,
    is_terminal: bool,
    /// What each line begins with.
    label: String,
}

impl Display {
    /// Nothing is shown yet.
    pub fn new() -> Self {
        let all = MultiProgress::new();
        let status = all.add(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template("{msg}") {
            status.set_style(style);
        }
        Self {
            all,
            status,
            bars: Mutex::default(),
            is_terminal: std::io::stderr().is_terminal(),
            label: String::new(),
        }
    }

    /// Lines and bars of one of several nodes, next to those of the others.
    pub fn of_node(&self, node: &str) -> Self {
        let status = self.all.add(ProgressBar::new_spinner());
        status.set_style(self.status.style());
        Self {
            all: self.all.clone(),
            status,
            bars: Mutex::default(),
            is_terminal: self.is_terminal,
            label: format!("{node}: "),
        }
    }

    /// A line that stays.
    pub fn say(&self, text: &str) {
        let text = printable(text);
        let text = format!("{}{text}", self.label);
        if self.is_terminal {
            // If it cannot be written, nobody reads it.
            let _ = self.all.println(text);
        } else {
            eprintln!("{text}");
        }
    }

    fn bar(&self, table: &str) -> ProgressBar {
        let mut bars = self.bars.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            let bar = self.all.insert_before(&self.status, ProgressBar::new(1000));
            if let Ok(style) = ProgressStyle::with_template("{prefix} [{bar:30}] {percent:>3} % {msg}") {
                bar.set_style(style.progress_chars("=> "));
            }
            bar.set_prefix(format!("{}{}", self.label, printable(table)));
            bar
        };
        bars.entry(table.to_owned()).or_insert_with(new).clone()
    }

    fn show(&self, progress: &Progress) {
        let bar = self.bar(&progress.table);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        bar.set_position((progress.percent.clamp(0.0, 100.0) * 10.0) as u64);
        bar.set_message(printable(&progress.words()).into_owned());
    }

    /// Ends: bars stay where they are.
    pub fn finish(&self) {
        self.status.finish_and_clear();
        for bar in self.bars.lock().unwrap_or_else(PoisonError::into_inner).values() {
            bar.abandon();
        }
    }
}

impl Progress {
    fn words(&self) -> String {
        if self.percent >= 100.0 {
            return String::new();
        }
        let mut parts = Vec::new();
        parts.extend(self.rows_per_second.map(|rate| format!("{rate} rows a second")));
        parts.extend(self.seconds_left.map(|left| format!("{} left", duration(left))));
        parts.extend(self.throttled_by.as_ref().map(|limit| format!("throttled: {limit}")));
        if self.is_paused {
            parts.push("paused".to_owned());
        }
        parts.join(", ")
    }
}

/// Does something in a session of this process of the server, while another session shows how far
/// it is and for whom it waits.
pub fn watched<T>(node: &Node, table: &Table, pid: i32, display: &Display, work: impl FnOnce() -> T) -> T {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let shown = scope.spawn(|| watch(node, table, pid, display, &is_over));
        let done = work();
        is_over.store(true, Ordering::SeqCst);
        // Progress that cannot be shown is no failure of the work.
        let _ = shown.join();
        done
    })
}

fn watch(node: &Node, table: &Table, pid: i32, display: &Display, is_over: &AtomicBool) -> Result<()> {
    let mut session = Session::open(node)?;
    let view = session.object("key_migration_progress")?;
    let query = format!(
        "SELECT p.table_name::text AS table, p.percent::float8 AS percent, p.rows_per_second,
                extract(epoch FROM p.time_left)::float8 AS seconds_left, p.throttled_by, p.state = 'paused' AS is_paused
         FROM {view} p WHERE p.migration::oid = $1 AND p.table_name IS NOT NULL ORDER BY 1"
    );
    let mut last_line = Instant::now();
    let mut last_blockers = String::new();
    loop {
        let began = Instant::now();
        while began.elapsed() < INTERVAL {
            if is_over.load(Ordering::SeqCst) {
                return Ok(());
            }
            interrupt::sleep(Duration::from_millis(20))?;
        }
        let rows: Vec<Progress> = session.rows(&query, &[&table.oid])?;
        let commands: Vec<Command> = session.rows(OF_COMMANDS, &[&pid])?;
        let command = commands.first().map(|command| {
            let percent = if command.total > 0 { 100 * command.done / command.total } else { 0 };
            format!("{}: {percent} %", command.phase)
        });
        let blockers: Vec<String> =
            blockers::of_process(&mut session, pid)?.iter().map(blockers::Blocker::words).collect();
        let blockers =
            if blockers.is_empty() { String::new() } else { format!("waits for {}", blockers.join("; ")) };
        if display.is_terminal {
            for row in rows.iter().filter(|row| row.percent > 0.0) {
                display.show(row);
            }
            let status = if blockers.is_empty() { command.unwrap_or_default() } else { blockers };
            let label = if status.is_empty() { "" } else { &display.label };
            display.status.set_message(format!("{label}{}", printable(&status)));
            continue;
        }
        // The seconds in it change all the time: the same sessions are named once.
        let sessions = |text: &str| text.split(" for ").next().unwrap_or_default().to_owned();
        if !blockers.is_empty() && sessions(&blockers) != sessions(&last_blockers) {
            display.say(&blockers);
        }
        last_blockers = blockers;
        if last_line.elapsed() >= LINES {
            last_line = Instant::now();
            for row in rows.iter().filter(|row| row.percent > 0.0 && row.percent < 100.0) {
                display.say(&format!("{}: {:.1} %; {}", row.table, row.percent, row.words()));
            }
            if let Some(command) = command {
                display.say(&command);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_says_what_it_waits_for() {
        let row = Progress {
            table: "public.t".to_owned(),
            percent: 40.0,
            rows_per_second: Some(1000),
            seconds_left: Some(90.0),
            throttled_by: Some("max_slot_wal".to_owned()),
            is_paused: true,
        };
        assert_eq!(row.words(), "1000 rows a second, 90 s left, throttled: max_slot_wal, paused");
        assert_eq!(Progress { percent: 100.0, ..row }.words(), "");
    }
}
