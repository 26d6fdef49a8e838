//! Workers of pglogical that have stopped. Subscriptions of PostgreSQL itself start again by themselves.

use std::time::{Duration, Instant};

use crate::failure::Result;
use crate::session::Session;

/// A worker that has just started needs a moment, and may stop again until another node is as far.
const INTERVAL: Duration = Duration::from_secs(3);

/// When workers of a node were started last.
#[derive(Default)]
pub struct Restarts(Option<Instant>);

impl Restarts {
    /// Starts those subscriptions again that have stopped, and receive from one of these slots. pglogical
    /// itself starts them only after some minutes.
    ///
    /// Not while an index is being built: pglogical reads it, too. The first page of a new index is written
    /// last, and a worker that reads it before leaves a page of zeros in the buffers of the server.
    ///
    /// # Errors
    /// Those of the server.
    pub fn run(&mut self, session: &mut Session, slots: &[String]) -> Result<()> {
        if slots.is_empty() || self.0.is_some_and(|last| last.elapsed() < INTERVAL) {
            return Ok(());
        }
        let query = "SELECT FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
                     WHERE e.extname = 'pglogical' AND n.nspname = 'pglogical'";
        if session.query(query, &[])?.is_empty() {
            return Ok(());
        }
        self.0 = Some(Instant::now());
        let restart = "SELECT pglogical.alter_subscription_disable(s.subscription_name, true),
                              pglogical.alter_subscription_enable(s.subscription_name, true)
                       FROM pglogical.show_subscription_status() s WHERE s.status = 'down' AND s.slot_name = ANY ($1)
                         AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.datname = current_database())";
        match session.query(restart, &[&slots]) {
            Err(failure) if failure.is("42501") => Err(failure.detail(
                "A worker of pglogical that has stopped has to be started again.",
            ).hint("Connect as a superuser, or grant EXECUTE on pglogical.show_subscription_status, alter_subscription_disable and alter_subscription_enable.")),
            done => done.map(drop),
        }
    }
}
