//! Injects faults, and repairs them as a DBA would.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use postgres::Client;

use super::faults::{Fault, FaultKind, Schedule};
use super::schema::DATABASE;
use super::writer::{APPLICATION, Shared};
use super::{Options, PATIENCE};
use crate::{Cluster, Link, Server};

/// How often progress is printed.
const REPORT_EVERY: Duration = Duration::from_secs(15);

/// Injects and repairs faults.
pub struct FaultInjector<'a> {
    cluster: &'a mut Cluster,
    shared: &'a Shared,
    progress: &'a mut dyn FnMut(&str),
    started: Instant,
    reported: Instant,
}

impl<'a> FaultInjector<'a> {
    /// For a run that begins now.
    pub fn new(cluster: &'a mut Cluster, shared: &'a Shared, progress: &'a mut dyn FnMut(&str)) -> Self {
        let started = Instant::now();
        Self { cluster, shared, progress, started, reported: started }
    }

    /// Injects faults until the time is over or there were enough. After a fault has been repaired, it
    /// is added to `injected` with the time until replication was complete again.
    ///
    /// # Errors
    ///
    /// If a server or replication does not recover.
    pub fn run(
        &mut self,
        schedule: Schedule,
        options: &Options,
        injected: &mut Vec<(FaultKind, Duration)>,
    ) -> Result<()> {
        let end = self.started + options.duration;
        for fault in schedule {
            let at = Instant::now() + fault.after;
            self.wait_until(at.min(end));
            if at >= end || injected.len() as u64 >= options.max_faults {
                return Ok(());
            }
            let what = format!("{}: {}", self.name(fault), fault.kind);
            let started = Instant::now();
            self.inject(fault).with_context(|| what.clone())?;
            self.cluster.reconnect().with_context(|| format!("after {what}"))?;
            let took = started.elapsed();
            injected.push((fault.kind, took));
            self.report(&format!("{what}; repaired after {:.1} s", took.as_secs_f64()));
        }
        self.wait_until(end);
        Ok(())
    }

    /// The place of a fault, for messages.
    fn name(&self, fault: Fault) -> String {
        let name = |node: usize| self.cluster.server(node).map_or("?", |server| server.name());
        let with = if fault.other_link_is_cut { "; another link cut" } else { "" };
        match fault.kind {
            FaultKind::Cut | FaultKind::Stall => {
                format!("{} to {}{with}", name(fault.node), name(fault.other))
            }
            FaultKind::Restore | FaultKind::Clone => {
                format!("{} from {}{with}", name(fault.node), name(fault.other))
            }
            _ => format!("{}{with}", name(fault.node)),
        }
    }

    fn inject(&mut self, fault: Fault) -> Result<()> {
        let (node, other) = (fault.node, fault.other);
        // The opposite direction, which a fault of one link does not affect.
        if fault.other_link_is_cut {
            self.cluster.link(other, node)?.cut();
        }
        let end = Instant::now() + fault.duration;
        match fault.kind {
            FaultKind::Pause => {
                self.cluster.server(node)?.pause()?;
                self.wait_until(end);
                self.cluster.server(node)?.resume()?;
            }
            FaultKind::Cut => {
                self.cluster.link(node, other)?.cut();
                self.wait_until(end);
                self.cluster.link(node, other)?.restore();
            }
            FaultKind::Stall => {
                self.cluster.link(node, other)?.stall();
                self.wait_until(end);
                self.cluster.link(node, other)?.restore();
            }
            FaultKind::Isolate => {
                self.cluster.links_of(node).for_each(Link::cut);
                self.wait_until(end);
                self.cluster.links_of(node).for_each(Link::restore);
            }
            FaultKind::KillWriter | FaultKind::KillProcess => self.kill_process(fault)?,
            FaultKind::KillPostmaster => self.stop_and_launch(fault, Server::kill9)?,
            FaultKind::KillAll => self.stop_and_launch(fault, Server::kill9_all)?,
            FaultKind::Immediate => self.stop_and_launch(fault, Server::crash)?,
            FaultKind::Fast => self.stop_and_launch(fault, Server::stop)?,
            FaultKind::FailOver => self.fail_over(fault)?,
            FaultKind::Restore | FaultKind::Clone => {
                let paused = self.shared.gate.pause(PATIENCE)?;
                if !self.cluster.catch_up(PATIENCE)? {
                    bail!("replication does not continue");
                }
                self.cluster.replace(node, other, fault.kind.copy())?;
                drop(paused);
            }
        }
        if fault.other_link_is_cut {
            self.cluster.link(other, node)?.restore();
        }
        Ok(())
    }

    /// Stops a server and starts it after a while. The other nodes continue meanwhile.
    fn stop_and_launch(&mut self, fault: Fault, stop: fn(&mut Server) -> Result<()>) -> Result<()> {
        stop(self.cluster.server_mut(fault.node)?)?;
        self.wait_until(Instant::now() + fault.duration);
        self.cluster.server_mut(fault.node)?.launch()
    }

    /// Kills one process of a server, which then recovers by itself.
    fn kill_process(&mut self, fault: Fault) -> Result<()> {
        let server = self.cluster.server(fault.node)?;
        let mut client = server.connect(DATABASE)?;
        let query =
            "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND (application_name = $1) = $2
                     ORDER BY backend_type, pid";
        let is_writer = fault.kind == FaultKind::KillWriter;
        let rows =
            client.query(query, &[&APPLICATION, &is_writer]).context("could not list the processes")?;
        let Some(row) = rows.get(fault.which as usize % rows.len().max(1)) else { return Ok(()) };
        server.kill9_backend(row.get(0))?;
        // All connections end. Then the server accepts connections again.
        let deadline = Instant::now() + PATIENCE;
        while is_open(&mut client) || server.connect(DATABASE).is_err() {
            if Instant::now() > deadline {
                bail!("the server did not recover");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Cuts off a node, which continues for a while, then kills it and promotes its standby.
    /// Without the cut, the others might have received rows that the standby does not have. From 17
    /// on, PostgreSQL can hold them back (`synchronized_standby_slots`).
    fn fail_over(&mut self, fault: Fault) -> Result<()> {
        let node = fault.node;
        let standby = self.cluster.add_standby(node)?;
        self.cluster.links_of(node).for_each(Link::cut);
        // The standby now has everything that the node sent to the others, and everything that it
        // received.
        self.cluster.wait_for_standby(node, &standby)?;
        self.wait_until(Instant::now() + fault.duration);
        self.cluster.server_mut(node)?.kill9_all()?;
        self.cluster.fail_over(node, standby)?;
        self.cluster.links_of(node).for_each(Link::restore);
        Ok(())
    }

    /// Starts and resumes all servers, restores every link, and makes sure that no session waits for a
    /// standby.
    ///
    /// # Errors
    ///
    /// If a server does not start.
    pub fn heal(&mut self) -> Result<()> {
        for node in 0..self.cluster.count() {
            self.cluster.links_of(node).for_each(Link::restore);
            let server = self.cluster.server_mut(node)?;
            server.resume()?;
            if !server.is_running() {
                server.launch()?;
            }
        }
        // Otherwise every commit would wait for a standby that was not promoted.
        self.cluster.forget_standbys()
    }

    /// Waits, and prints the progress.
    fn wait_until(&mut self, time: Instant) {
        while Instant::now() < time {
            self.shared.gate.wait_until(time.min(self.reported + REPORT_EVERY));
            if self.reported.elapsed() >= REPORT_EVERY {
                self.report("writing");
            }
        }
    }

    fn report(&mut self, what: &str) {
        self.reported = Instant::now();
        let elapsed = self.started.elapsed().as_secs();
        let inserts = self.shared.inserts.load(Ordering::Relaxed);
        (self.progress)(&format!("{:>3}:{:02}  {inserts:>9} rows  {what}", elapsed / 60, elapsed % 60));
    }
}

fn is_open(client: &mut Client) -> bool {
    client.batch_execute("SELECT 1").is_ok()
}
