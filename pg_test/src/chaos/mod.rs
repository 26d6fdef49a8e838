//! Writers on all nodes under random faults. At the end no row may be lost, duplicated or in
//! conflict.
//!
//! The seed determines the faults, their nodes and times, and the decisions of each writer. It does
//! not determine how the kernel and the servers schedule: how much is written between two faults,
//! which statement a crash meets, or which session comes first.

mod check;
mod fault_injector;
mod faults;
mod findings;
mod gate;
mod order;
mod record;
mod report;
mod schema;
mod writer;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rand::rngs::ChaCha12Rng;
use rand::{RngExt, SeedableRng};

use crate::{Cluster, InstallTree};
pub use check::Checked;
use check::WriterRecord;
use fault_injector::FaultInjector;
pub use faults::{Fault, FaultKind, Schedule};
pub use findings::{Finding, Findings};
use gate::EndOnDrop;
pub use report::Report;
pub use schema::DATABASE;
use schema::TABLES;
use writer::{Shared, Writer};

/// The time limit for everything to be applied at the end, and for a step in between.
const PATIENCE: Duration = Duration::from_secs(600);

/// How classes are assigned to the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Classes {
    /// Every node is set up as its own node.
    Own,
    /// No node is set up.
    None,
    /// The last node is set up as the first one.
    FirstTwice,
}

/// The options of a run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The seed of random choices.
    pub seed: u64,
    /// Number of nodes.
    pub nodes: usize,
    /// How long writers write.
    pub duration: Duration,
    /// The run ends early after this number of faults.
    pub max_faults: u64,
    /// The kinds of faults.
    pub kinds: Vec<FaultKind>,
    /// The average pause between two faults.
    pub quiet: Duration,
    /// Writers on each node.
    pub writers: usize,
    /// Rows per second that all writers together try to insert.
    pub rate: f64,
    /// How classes are assigned to the nodes.
    pub classes: Classes,
    /// The directory for the servers' logs if something is wrong.
    pub logs: PathBuf,
}

/// A run.
pub struct Chaos {
    /// The nodes.
    pub cluster: Cluster,
    options: Options,
    /// Number of classes; 0 if no node is set up.
    classes: i32,
    shared: Shared,
    writers: Vec<WriterRecord>,
    injected: Vec<(FaultKind, Duration)>,
    duration: Duration,
}

impl Chaos {
    /// Starts the nodes and sets them up.
    ///
    /// # Errors
    ///
    /// If a server returns an error.
    pub fn start(tree: &InstallTree, options: Options) -> Result<Self> {
        if options.nodes < 2 {
            bail!("replication needs at least two nodes");
        }
        let mut cluster = Cluster::start(tree, options.nodes, schema::layout())?;
        let mut rng = ChaCha12Rng::seed_from_u64(options.seed);
        // Some classes may be left for later nodes.
        let classes = i32::try_from(options.nodes)? + rng.random_range(0..4);
        match options.classes {
            Classes::Own => cluster.set_up(classes)?,
            Classes::None => {}
            Classes::FirstTwice => set_up_first_class_twice(&cluster, classes)?,
        }
        if options.classes == Classes::Own {
            for node in 0..cluster.count() {
                let guard = "SELECT count(*) FROM guard_interleaved_sequences(tables => '{guarded}') WHERE action = 'guarded'";
                let guarded: i64 =
                    cluster.connect(node)?.query_one(guard, &[]).context("could not guard the table")?.get(0);
                if guarded != 1 {
                    bail!("the table is not guarded");
                }
            }
        }
        cluster.replicate()?;
        let shared = Shared {
            gate: gate::Gate::default(),
            findings: Findings::default(),
            inserts: 0.into(),
            order: Default::default(),
            rejected: Default::default(),
        };
        Ok(Self {
            cluster,
            options,
            classes,
            shared,
            writers: Vec::new(),
            injected: Vec::new(),
            duration: Duration::ZERO,
        })
    }

    /// Lets writers write while faults are injected. Reports its progress.
    ///
    /// # Errors
    ///
    /// If a server or replication does not recover.
    pub fn write_under_faults(&mut self, progress: &mut dyn FnMut(&str)) -> Result<()> {
        let mut rng = ChaCha12Rng::seed_from_u64(self.options.seed);
        let schedule = ChaCha12Rng::seed_from_u64(rng.random());
        let options = self.options.clone();
        let schedule = Schedule::new(schedule, &options.kinds, options.nodes, options.quiet);
        let tables: Vec<usize> = (0..TABLES.len())
            .filter(|table| options.classes != Classes::None || !TABLES[*table].needs_node)
            .collect();
        let rate = options.rate / (options.nodes * options.writers) as f64;
        let addresses = self.cluster.addresses();
        let started = Instant::now();
        let (cluster, shared, injected) = (&mut self.cluster, &self.shared, &mut self.injected);
        let writers = std::thread::scope(|scope| -> Result<Vec<WriterRecord>> {
            let mut threads = Vec::new();
            for node in 0..options.nodes {
                for place in 0..options.writers {
                    let number = i32::try_from(node * 100 + place + 100)?;
                    let (addresses, tables) = (addresses.clone(), tables.clone());
                    let writer = Writer { number, node, rate, tables, addresses, shared };
                    let seed = options.seed ^ (u64::from(number.unsigned_abs()) << 32);
                    threads.push((number, node, scope.spawn(move || writer.run(seed))));
                }
            }
            let outcome = {
                let _end = EndOnDrop(&shared.gate);
                let mut injector = FaultInjector::new(cluster, shared, progress);
                let outcome = injector.run(schedule, &options, injected);
                // Writers that wait for a server must end even after a failure.
                outcome.and(injector.heal())
            };
            let mut writers = Vec::new();
            for (number, node, thread) in threads {
                let record = thread.join().map_err(|_| anyhow::anyhow!("a writer panicked"))?;
                writers.push(WriterRecord { number, node, record });
            }
            outcome.map(|()| writers)
        });
        self.duration = started.elapsed();
        self.writers = writers?;
        Ok(())
    }

    /// Waits until all nodes have everything. Returns false if replication has stopped, which is a
    /// finding.
    ///
    /// # Errors
    ///
    /// If the servers neither apply everything nor fail to.
    pub fn wait_until_applied(&self) -> Result<bool> {
        let applied = self.cluster.catch_up(PATIENCE)?;
        if !applied {
            self.shared.findings.add(Finding::Stopped, || "replication does not continue".to_owned());
        }
        Ok(applied)
    }

    /// Compares the contents of the nodes with the writers' records.
    ///
    /// # Errors
    ///
    /// If a server cannot be read.
    pub fn check(&mut self) -> Result<Report> {
        let classes = self.classes_to_check();
        let mut checked = check::check(&self.cluster, &mut self.writers, classes, &self.shared.findings)?;
        if self.options.classes != Classes::None {
            check::run_own_check(&self.cluster, &mut checked, &self.shared.findings)?;
        }
        let row = self.cluster.connect(0)?.query_one("SELECT version(), current_date::text", &[]);
        let row = row.context("could not read version and date")?;
        let (version, day): (String, String) = (row.get(0), row.get(1));
        let mut faults: BTreeMap<FaultKind, Vec<Duration>> = BTreeMap::new();
        for (kind, took) in &self.injected {
            faults.entry(*kind).or_default().push(*took);
        }
        let sum =
            |of: &dyn Fn(&record::Record) -> u64| self.writers.iter().map(|writer| of(&writer.record)).sum();
        Ok(Report {
            seed: self.options.seed,
            nodes: self.options.nodes,
            classes,
            writers: self.options.writers,
            method: self.cluster.method().name(),
            version: version.split(" on ").next().unwrap_or_default().to_owned(),
            day,
            duration: self.duration,
            inserts: sum(&|record| record.acknowledged[0]),
            updates: sum(&|record| record.acknowledged[1]),
            deletes: sum(&|record| record.acknowledged[2]),
            transactions: [0, 1, 2].map(|outcome| sum(&|record| record.outcomes[outcome])),
            rejected: self.shared.rejected.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            faults,
            checked,
            findings: self.shared.findings.by_kind(),
        })
    }

    /// The number of classes for the comparison of keys.
    fn classes_to_check(&self) -> i32 {
        if self.options.classes == Classes::None { 1 } else { self.classes }
    }

    /// Does all steps of a run.
    ///
    /// # Errors
    ///
    /// If a step fails.
    pub fn run(tree: &InstallTree, options: Options, progress: &mut dyn FnMut(&str)) -> Result<Report> {
        let mut chaos = Self::start(tree, options)?;
        let outcome = chaos.complete(progress);
        if !outcome.as_ref().is_ok_and(Report::is_good) {
            let logs = &chaos.options.logs;
            chaos.cluster.keep_logs(logs)?;
            progress(&format!("the logs of the servers are in {}", logs.display()));
        }
        outcome
    }

    fn complete(&mut self, progress: &mut dyn FnMut(&str)) -> Result<Report> {
        progress(&format!("{} nodes replicate: {}", self.cluster.count(), self.cluster.method().name()));
        self.write_under_faults(progress)?;
        progress("writers have ended; waiting until everything is applied");
        self.wait_until_applied()?;
        progress("comparing every row on every node with the records of the writers");
        self.check()
    }
}

fn set_up_first_class_twice(cluster: &Cluster, classes: i32) -> Result<()> {
    for node in 0..cluster.count() {
        let class = i32::try_from(if node + 1 == cluster.count() { 0 } else { node })? + 1;
        let set_up = "SELECT count(*) FROM setup_interleaved_sequences($1, $2, exclude => '{coupon_no}')";
        cluster.connect(node)?.query_one(set_up, &[&class, &classes]).context("could not set up a node")?;
    }
    Ok(())
}
