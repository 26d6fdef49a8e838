//! Injects faults, and fixes them as a DBA would.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use postgres::Client;

use super::faults::{Kind, Schedule, Strike};
use super::schema::DATABASE;
use super::writer::{APPLICATION, Shared};
use super::{Options, PATIENCE};
use crate::{Cluster, Link, Server};

/// How often progress is printed.
const REPORT_EVERY: Duration = Duration::from_secs(15);

/// Injects and fixes faults.
pub struct FaultInjector<'a> {
    cluster: &'a mut Cluster,
    shared: &'a Shared,
    say: &'a mut dyn FnMut(&str),
    begun: Instant,
    said: Instant,
}

impl<'a> FaultInjector<'a> {
    /// For a run that begins now.
    pub fn new(cluster: &'a mut Cluster, shared: &'a Shared, say: &'a mut dyn FnMut(&str)) -> Self {
        let begun = Instant::now();
        Self { cluster, shared, say, begun, said: begun }
    }

    /// Injects faults until the time is over or there were enough. After a fault has been fixed, it
    /// is added to `strikes` with the time until everything replicated again.
    ///
    /// # Errors
    ///
    /// If a server or replication does not recover.
    pub fn run(
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

    /// The place of a fault, for messages.
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
        // The opposite direction, which a fault of one line does not affect.
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
                self.cluster.links_of(node).for_each(Link::cut);
                self.wait_until(outlasted);
                self.cluster.links_of(node).for_each(Link::mend);
            }
            Kind::KillWriter | Kind::KillProcess => self.kill_process(strike)?,
            Kind::KillPostmaster => self.end_and_launch(strike, Server::kill9)?,
            Kind::KillAll => self.end_and_launch(strike, Server::kill9_all)?,
            Kind::Immediate => self.end_and_launch(strike, Server::crash)?,
            Kind::Fast => self.end_and_launch(strike, Server::stop)?,
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

    /// The other nodes continue meanwhile.
    fn end_and_launch(&mut self, strike: Strike, end: fn(&mut Server) -> Result<()>) -> Result<()> {
        end(self.cluster.server_mut(strike.node)?)?;
        self.wait_until(Instant::now() + strike.lasts);
        self.cluster.server_mut(strike.node)?.launch()
    }

    /// Kills one process of a server, which then recovers by itself.
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
        // All connections end, and then the server is back.
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
    fn fail_over(&mut self, strike: Strike) -> Result<()> {
        let node = strike.node;
        let standby = self.cluster.add_standby(node)?;
        self.cluster.links_of(node).for_each(Link::cut);
        // The standby now has everything that the node sent to the others, and everything that it
        // received.
        self.cluster.wait_for_standby(node, &standby)?;
        self.wait_until(Instant::now() + strike.lasts);
        self.cluster.server_mut(node)?.kill9_all()?;
        self.cluster.fail_over(node, standby)?;
        self.cluster.links_of(node).for_each(Link::mend);
        Ok(())
    }

    /// Starts and resumes all servers, opens every line, and makes sure that no session waits for a
    /// standby.
    ///
    /// # Errors
    ///
    /// If a server does not start.
    pub fn calm(&mut self) -> Result<()> {
        for node in 0..self.cluster.count() {
            self.cluster.links_of(node).for_each(Link::mend);
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
