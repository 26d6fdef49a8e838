//! Time-ordered keys, measured by code: many sessions, and an index that outgrows memory.

mod sessions;
mod volume;

use anyhow::Result;
use pg_test::Server;

use crate::suite::Measured;

/// Measures these chapters.
pub fn measure(server: &Server, measured: &mut Measured<'_>) -> Result<()> {
    measured.chapter("sessions", |plan| sessions::measure(server, plan))?;
    measured.chapter("volume", |plan| volume::measure(server, plan))
}
