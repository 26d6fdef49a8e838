//! Proof under fire: writers on all nodes, faults by chance, and at the end nothing may be lost, twice or in conflict.
//!
//! What strikes when and where, and what each writer decides, comes from the seed. What the kernel and the servers make of
//! it in time does not: how much is written between two strikes, which statement a crash meets, who comes first.

mod check;
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
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use postgres::Client;
use rand::rngs::ChaCha12Rng;
use rand::{RngExt, SeedableRng};

use crate::{Cluster, InstallTree};
pub use check::Looked;
use check::Told;
pub use faults::{Kind, Schedule, Strike};
pub use findings::{Fault, Findings};
use gate::Ends;
pub use report::Report;
pub use schema::DATABASE;
use schema::TABLES;
use writer::{APPLICATION, Shared, Writer};

/// How long everything may take to be applied at the end, and a step between.
const PATIENCE: Duration = Duration::from_secs(600);

/// A sign of life comes so often.
const REPORT_EVERY: Duration = Duration::from_secs(15);

/// What keeps nodes apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Classes {
    /// Every node is set up as its own.
    Own,
    /// Nobody is set up.
    None,
    /// The last node is set up as the first one is.
    FirstTwice,
}

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where chance comes from.
    pub seed: u64,
    /// Number of nodes.
    pub nodes: usize,
    /// How long writers write.
    pub lasts: Duration,
    /// The end comes when so many faults have struck, where that is earlier.
    pub most_faults: u64,
    /// What strikes.
    pub kinds: Vec<Kind>,
    /// How long it is quiet between two strikes, on the average.
    pub quiet: Duration,
    /// Writers on each node.
    pub writers: usize,
    /// Rows per second that all of them together try to insert.
    pub rate: f64,
    /// What keeps nodes apart.
    pub classes: Classes,
    /// Where logs of servers are left when something is wrong.
    pub logs: PathBuf,
}

/// A run under way, or at its end.
pub struct Chaos {
    /// The nodes.
    pub cluster: Cluster,
    options: Options,
    /// Number of classes; 0 where nobody is set up.
    classes: i32,
    shared: Shared,
    told: Vec<Told>,
    strikes: Vec<(Kind, Duration)>,
    lasted: Duration,
}

impl Chaos {
    /// Starts the nodes and sets them up.
    ///
    /// # Errors
    ///
    /// When a server refuses.
    pub fn start(tree: &InstallTree, options: Options) -> Result<Self> {
        if options.nodes < 2 {
            bail!("there is nothing to replicate with fewer than two nodes");
        }
        let mut cluster = Cluster::start(tree, options.nodes, schema::layout())?;
        let mut chance = ChaCha12Rng::seed_from_u64(options.seed);
        // Some classes may be left for nodes to come.
        let classes = i32::try_from(options.nodes)? + chance.random_range(0..4);
        match options.classes {
            Classes::Own => cluster.set_up(classes)?,
            Classes::None => {}
            Classes::FirstTwice => set_up_the_first_twice(&cluster, classes)?,
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
            refused: Default::default(),
        };
        Ok(Self {
            cluster,
            options,
            classes,
            shared,
            told: Vec::new(),
            strikes: Vec::new(),
            lasted: Duration::ZERO,
        })
    }

    /// Has writers write and faults strike. Says how it goes.
    ///
    /// # Errors
    ///
    /// When a server does not come back, or replication does not.
    pub fn play(&mut self, say: &mut dyn FnMut(&str)) -> Result<()> {
        let mut chance = ChaCha12Rng::seed_from_u64(self.options.seed);
        let schedule = ChaCha12Rng::seed_from_u64(chance.random());
        let options = self.options.clone();
        let schedule = Schedule::new(schedule, &options.kinds, options.nodes, options.quiet);
        let tables: Vec<usize> = (0..TABLES.len())
            .filter(|table| options.classes != Classes::None || !TABLES[*table].needs_node)
            .collect();
        let rate = options.rate / (options.nodes * options.writers) as f64;
        let addresses = self.cluster.addresses();
        let begun = Instant::now();
        let (cluster, shared, strikes) = (&mut self.cluster, &self.shared, &mut self.strikes);
        let told = std::thread::scope(|scope| -> Result<Vec<Told>> {
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
                let _ends = Ends(&shared.gate);
                let mut striker = Striker { cluster: &mut *cluster, shared, say, begun, said: begun };
                let outcome = striker.run(schedule, &options, strikes);
                // Whatever went wrong, writers who wait for a server come to their end.
                outcome.and(striker.calm())
            };
            let mut told = Vec::new();
            for (number, node, thread) in threads {
                let record = thread.join().map_err(|_| anyhow::anyhow!("a writer panicked"))?;
                told.push(Told { number, node, record });
            }
            outcome.map(|()| told)
        });
        self.lasted = begun.elapsed();
        self.told = told?;
        Ok(())
    }

    /// Waits until all nodes hold everything. False where replication has stopped, which is a finding.
    ///
    /// # Errors
    ///
    /// When the servers can neither apply everything nor fail at it.
    pub fn settle(&self) -> Result<bool> {
        let applied = self.cluster.catch_up(PATIENCE)?;
        if !applied {
            self.shared.findings.add(Fault::Stopped, || "replication does not go on".to_owned());
        }
        Ok(applied)
    }

    /// Compares what the nodes hold with what the writers were told.
    ///
    /// # Errors
    ///
    /// When a server cannot be read.
    pub fn check(&mut self) -> Result<Report> {
        let classes = self.classes_told();
        let mut looked = check::check(&self.cluster, &mut self.told, classes, &self.shared.findings)?;
        if self.options.classes != Classes::None {
            check::ask(&self.cluster, &mut looked, &self.shared.findings)?;
        }
        let row = self.cluster.connect(0)?.query_one("SELECT version(), current_date::text", &[]);
        let row = row.context("could not read version and date")?;
        let (version, day): (String, String) = (row.get(0), row.get(1));
        let mut faults: BTreeMap<Kind, Vec<Duration>> = BTreeMap::new();
        for (kind, took) in &self.strikes {
            faults.entry(*kind).or_default().push(*took);
        }
        let sum = |of: &dyn Fn(&record::Record) -> u64| self.told.iter().map(|told| of(&told.record)).sum();
        Ok(Report {
            seed: self.options.seed,
            nodes: self.options.nodes,
            classes,
            writers: self.options.writers,
            method: self.cluster.method().name(),
            version: version.split(" on ").next().unwrap_or_default().to_owned(),
            day,
            lasted: self.lasted,
            inserts: sum(&|record| record.acknowledged[0]),
            updates: sum(&|record| record.acknowledged[1]),
            deletes: sum(&|record| record.acknowledged[2]),
            transactions: [0, 1, 2].map(|outcome| sum(&|record| record.outcomes[outcome])),
            refused: self.shared.refused.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            faults,
            looked,
            findings: self.shared.findings.of_each_kind(),
        })
    }

    /// Number of classes that keys are compared with.
    fn classes_told(&self) -> i32 {
        if self.options.classes == Classes::None { 1 } else { self.classes }
    }

    /// Everything, one after the other.
    ///
    /// # Errors
    ///
    /// When a step cannot be done.
    pub fn run(tree: &InstallTree, options: Options, say: &mut dyn FnMut(&str)) -> Result<Report> {
        let mut chaos = Self::start(tree, options)?;
        let outcome = chaos.complete(say);
        if !outcome.as_ref().is_ok_and(Report::is_good) {
            let logs = &chaos.options.logs;
            chaos.cluster.keep_logs(logs)?;
            say(&format!("the logs of the servers are in {}", logs.display()));
        }
        outcome
    }

    fn complete(&mut self, say: &mut dyn FnMut(&str)) -> Result<Report> {
        say(&format!("{} nodes replicate: {}", self.cluster.count(), self.cluster.method().name()));
        self.play(say)?;
        say("writers have ended; waiting until everything is applied");
        self.settle()?;
        say("comparing every row on every node with what the writers were told");
        self.check()
    }
}

fn set_up_the_first_twice(cluster: &Cluster, classes: i32) -> Result<()> {
    for node in 0..cluster.count() {
        let class = i32::try_from(if node + 1 == cluster.count() { 0 } else { node })? + 1;
        let set_up = "SELECT count(*) FROM setup_interleaved_sequences($1, $2, exclude => '{coupon_no}')";
        cluster.connect(node)?.query_one(set_up, &[&class, &classes]).context("could not set up a node")?;
    }
    Ok(())
}

/// Strikes and mends.
struct Striker<'a> {
    cluster: &'a mut Cluster,
    shared: &'a Shared,
    say: &'a mut dyn FnMut(&str),
    begun: Instant,
    said: Instant,
}

impl Striker<'_> {
    fn run(
        &mut self,
        schedule: Schedule,
        options: &Options,
        strikes: &mut Vec<(Kind, Duration)>,
    ) -> Result<()> {
        let end = self.begun + options.lasts;
        for strike in schedule {
            let at = Instant::now() + strike.after;
            self.wait_until(at.min(end));
            if at >= end || strikes.len() as u64 >= options.most_faults {
                return Ok(());
            }
            let what = format!("{}: {}", self.name(strike), strike.kind);
            let begun = Instant::now();
            self.strike(strike).with_context(|| what.clone())?;
            self.cluster.reconnect().with_context(|| format!("after {what}"))?;
            let took = begun.elapsed();
            strikes.push((strike.kind, took));
            self.tell(&format!("{what}; all is well again after {:.1} s", took.as_secs_f64()));
        }
        self.wait_until(end);
        Ok(())
    }

    /// Where it strikes.
    fn name(&self, strike: Strike) -> String {
        let name = |node: usize| self.cluster.server(node).map_or("?", |server| server.name());
        let with = if strike.with_a_line_cut { ", and another line cut" } else { "" };
        match strike.kind {
            Kind::Cut | Kind::Stall => format!("{} to {}{with}", name(strike.node), name(strike.other)),
            Kind::Restore | Kind::Clone => format!("{} from {}{with}", name(strike.node), name(strike.other)),
            _ => format!("{}{with}", name(strike.node)),
        }
    }

    fn strike(&mut self, strike: Strike) -> Result<()> {
        let (node, other) = (strike.node, strike.other);
        // The way back, which a fault of one line does not strike.
        if strike.with_a_line_cut {
            self.cluster.link(other, node)?.cut();
        }
        let outlasted = Instant::now() + strike.lasts;
        match strike.kind {
            Kind::Pause => {
                self.cluster.server(node)?.pause()?;
                self.wait_until(outlasted);
                self.cluster.server(node)?.resume()?;
            }
            Kind::Cut => {
                self.cluster.link(node, other)?.cut();
                self.wait_until(outlasted);
                self.cluster.link(node, other)?.mend();
            }
            Kind::Stall => {
                self.cluster.link(node, other)?.stall();
                self.wait_until(outlasted);
                self.cluster.link(node, other)?.mend();
            }
            Kind::Isolate => {
                self.cluster.links_of(node).for_each(crate::Link::cut);
                self.wait_until(outlasted);
                self.cluster.links_of(node).for_each(crate::Link::mend);
            }
            Kind::KillWriter | Kind::KillProcess => self.kill_process(strike)?,
            Kind::KillPostmaster => self.end_and_launch(strike, crate::Server::kill9)?,
            Kind::KillAll => self.end_and_launch(strike, crate::Server::kill9_all)?,
            Kind::Immediate => self.end_and_launch(strike, crate::Server::crash)?,
            Kind::Fast => self.end_and_launch(strike, crate::Server::stop)?,
            Kind::FailOver => self.fail_over(strike)?,
            Kind::Restore | Kind::Clone => {
                let held = self.shared.gate.hold(PATIENCE)?;
                if !self.cluster.catch_up(PATIENCE)? {
                    bail!("replication does not go on");
                }
                self.cluster.replace(node, other, strike.kind.copy())?;
                drop(held);
            }
        }
        if strike.with_a_line_cut {
            self.cluster.link(other, node)?.mend();
        }
        Ok(())
    }

    /// The others go on meanwhile.
    fn end_and_launch(&mut self, strike: Strike, end: fn(&mut crate::Server) -> Result<()>) -> Result<()> {
        end(self.cluster.server_mut(strike.node)?)?;
        self.wait_until(Instant::now() + strike.lasts);
        self.cluster.server_mut(strike.node)?.launch()
    }

    /// One process of a server, which then recovers by itself.
    fn kill_process(&mut self, strike: Strike) -> Result<()> {
        let server = self.cluster.server(strike.node)?;
        let mut client = server.connect(DATABASE)?;
        let query =
            "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND (application_name = $1) = $2
                     ORDER BY backend_type, pid";
        let is_writer = strike.kind == Kind::KillWriter;
        let rows =
            client.query(query, &[&APPLICATION, &is_writer]).context("could not list the processes")?;
        let Some(row) = rows.get(strike.which as usize % rows.len().max(1)) else { return Ok(()) };
        server.kill9_backend(row.get(0))?;
        // Everybody's connection ends, and then the server is back.
        let deadline = Instant::now() + PATIENCE;
        while is_open(&mut client) || server.connect(DATABASE).is_err() {
            if Instant::now() > deadline {
                bail!("the server did not recover");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Cut off from the others a node goes on, then it is lost, and its standby takes its place. Without the cut the others
    /// might have got what the standby had not; PostgreSQL keeps them back from 17 on (`synchronized_standby_slots`).
    fn fail_over(&mut self, strike: Strike) -> Result<()> {
        let node = strike.node;
        let standby = self.cluster.add_standby(node)?;
        self.cluster.links_of(node).for_each(crate::Link::cut);
        // What the others hold of it, the standby holds, too; what it holds of them, too.
        self.cluster.wait_for_standby(node, &standby)?;
        self.wait_until(Instant::now() + strike.lasts);
        self.cluster.server_mut(node)?.kill9_all()?;
        self.cluster.fail_over(node, standby)?;
        self.cluster.links_of(node).for_each(crate::Link::mend);
        Ok(())
    }

    /// Everything runs, and every line is open.
    fn calm(&mut self) -> Result<()> {
        for node in 0..self.cluster.count() {
            self.cluster.links_of(node).for_each(crate::Link::mend);
            let server = self.cluster.server_mut(node)?;
            server.resume()?;
            if !server.is_running() {
                server.launch()?;
            }
        }
        Ok(())
    }

    /// Lets time go by, with a sign of life.
    fn wait_until(&mut self, moment: Instant) {
        while Instant::now() < moment {
            self.shared.gate.wait_until(moment.min(self.said + REPORT_EVERY));
            if self.said.elapsed() >= REPORT_EVERY {
                self.tell("writing");
            }
        }
    }

    fn tell(&mut self, what: &str) {
        self.said = Instant::now();
        let elapsed = self.begun.elapsed().as_secs();
        let inserts = self.shared.inserts.load(Ordering::Relaxed);
        (self.say)(&format!("{:>3}:{:02}  {inserts:>9} rows  {what}", elapsed / 60, elapsed % 60));
    }
}

fn is_open(client: &mut Client) -> bool {
    client.batch_execute("SELECT 1").is_ok()
}
