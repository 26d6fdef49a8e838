//! A program of others that runs next to a server.

use std::process::{Child, Command};

use anyhow::Result;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::Run;
use crate::processes::signal;

/// A process that ends when this value goes out of scope, or when this process ends for whatever
/// reason.
pub struct Service {
    process: Child,
}

impl Service {
    /// Starts a program as the user of the servers.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn start(run: &Run, command: Command) -> Result<Self> {
        Ok(Self { process: run.spawn_server(command)? })
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let id = self.process.id();
        if let Ok(id) = i32::try_from(id) {
            let _ = signal(Pid::from_raw(id), Signal::SIGKILL);
        }
        let _ = self.process.wait();
        Run::server_ended(id);
    }
}
