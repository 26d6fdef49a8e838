//! The log of steps, from which an interrupted run goes on.
//!
//! Each line is a JSON object. A run begins with what was asked for and with the plan that was made
//! of it; steps follow, for people; and a line says that the run has ended. A run without such a line
//! was interrupted. It goes on with its plan, and what is left of it is found on the servers. The log contains names of nodes and no connection strings.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use nix::fcntl::{Flock, FlockArg, OFlag};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::failure::{Failure, Result};

/// A line of the log.
#[derive(Debug, Deserialize, Serialize)]
struct Line {
    /// Seconds since 1970.
    time: u64,
    /// The run, counted from 1.
    run: u64,
    #[serde(flatten)]
    event: Event,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Event {
    /// A run begins.
    Begin { command: String, request: Value, plan: Value },
    /// A step is done.
    Step { step: String, node: String, note: Value },
    /// The run has ended, or was given up.
    End { given_up: bool },
}

/// A run that has begun and not ended.
#[derive(Debug)]
struct Begun {
    run: u64,
    command: String,
    request: Value,
    plan: Value,
}

/// The log, which only one program at a time has open.
pub struct Journal {
    path: PathBuf,
    file: Flock<File>,
    last: u64,
    begun: Option<Begun>,
}

/// A run.
pub struct Run<'a> {
    journal: &'a mut Journal,
    run: u64,
    /// Whether it goes on after an interruption.
    pub goes_on: bool,
}

impl Journal {
    /// Opens the log, and creates it if there is none.
    ///
    /// # Errors
    /// If it cannot be read and written, or another program has it open.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |error: &dyn std::fmt::Display| {
            Failure::new(format!("could not open log \"{}\": {error}", path.display()))
                .hint("Name another file with --log.")
        };
        if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            fs::create_dir_all(directory).map_err(|error| failed(&error))?;
        }
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(path);
        let file = file.map_err(|error| failed(&error))?;
        // Its plans are carried out, so it must be nobody else's.
        let is_ours = file.metadata().is_ok_and(|file| {
            file.is_file() && file.uid() == nix::unistd::geteuid().as_raw() && file.mode() & 0o022 == 0
        });
        if !is_ours {
            return Err(failed(&"it belongs to another user, or others can write to it"));
        }
        let mut file = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, _)| {
            Failure::new(format!("log \"{}\" is in use", path.display()))
                .detail("Another run of this program has it open.")
                .hint("Wait until it has ended, or interrupt it.")
        })?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(|error| failed(&error))?;
        let (mut last, mut begun) = (0, None);
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let line: Line = match serde_json::from_str(line) {
                Ok(line) => line,
                // The machine went down while the last line was written.
                Err(_) if at + 1 == lines.len() && !text.ends_with('\n') && is_torn(line) => break,
                Err(_) => return Err(failed(&format!("line {} is not one of this program", at + 1))),
            };
            last = last.max(line.run);
            match line.event {
                Event::Begin { command, request, plan } => {
                    begun = Some(Begun { run: line.run, command, request, plan });
                }
                Event::Step { .. } => {}
                Event::End { .. } => begun = None,
            }
        }
        if !text.is_empty() && !text.ends_with('\n') {
            // What follows must not become a part of the torn line.
            let whole = text.rfind('\n').map_or(0, |at| at + 1);
            file.set_len(whole as u64).map_err(|error| failed(&error))?;
        }
        Ok(Self { path: path.to_owned(), file, last, begun })
    }

    /// The path of the log.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The plan of an interrupted run, if it is the one that was asked for.
    ///
    /// # Errors
    /// If another run was interrupted. With `gives_up`, that one is given up instead.
    pub fn interrupted<Plan: DeserializeOwned>(
        &mut self,
        command: &str,
        request: &impl Serialize,
        gives_up: bool,
    ) -> Result<Option<Plan>> {
        let Some(begun) = &self.begun else { return Ok(None) };
        if gives_up {
            let run = begun.run;
            self.begun = None;
            self.write(run, Event::End { given_up: true })?;
            return Ok(None);
        }
        if begun.command == command && begun.request == value(request)? {
            return serde_json::from_value(begun.plan.clone()).map(Some).map_err(|_| {
                Failure::new("the plan of the interrupted run is of another version of this program")
                    .hint("Run \"status\", and begin again with --abandon.")
            });
        }
        Err(Failure::new(format!("an interrupted \"{}\" has not been finished", begun.command))
            .detail(format!("It was called with {}; log \"{}\".", begun.request, self.path.display()))
            .hint("Call it again with the same arguments, and it goes on. Or give it up with --abandon."))
    }

    /// Begins a run, or goes on with the one that was interrupted.
    ///
    /// # Errors
    /// If the log cannot be written.
    pub fn begin(
        &mut self,
        command: &str,
        request: &impl Serialize,
        plan: &impl Serialize,
    ) -> Result<Run<'_>> {
        if let Some(begun) = self.begun.take() {
            return Ok(Run { run: begun.run, goes_on: true, journal: self });
        }
        self.last += 1;
        let run = self.last;
        let begin =
            Event::Begin { command: command.to_owned(), request: value(request)?, plan: value(plan)? };
        self.write(run, begin)?;
        Ok(Run { run, goes_on: false, journal: self })
    }

    fn write(&mut self, run: u64, event: Event) -> Result<()> {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let mut line = serde_json::to_vec(&Line { time, run, event })
            .map_err(|error| Failure::new(format!("could not write JSON: {error}")))?;
        line.push(b'\n');
        // One write, so that a line is whole or torn at its end.
        self.file.write_all(&line).and_then(|()| self.file.sync_data()).map_err(|error| {
            Failure::new(format!("could not write log \"{}\": {error}", self.path.display()))
        })
    }
}

impl Run<'_> {
    /// Stores that a step is done.
    ///
    /// # Errors
    /// If the log cannot be written.
    pub fn done(&mut self, step: &str, node: &str, note: &impl Serialize) -> Result<()> {
        let event = Event::Step { step: step.to_owned(), node: node.to_owned(), note: value(note)? };
        self.journal.write(self.run, event)
    }

    /// Stores that everything is done.
    ///
    /// # Errors
    /// If the log cannot be written.
    pub fn end(self) -> Result<()> {
        self.journal.write(self.run, Event::End { given_up: false })
    }
}

/// Whether a line may be the beginning of one of this program. Any other file is left as it is.
fn is_torn(line: &str) -> bool {
    const BEGINNING: &str = "{\"time\":";
    line.starts_with(BEGINNING) || BEGINNING.starts_with(line)
}

fn value(of: &impl Serialize) -> Result<Value> {
    serde_json::to_value(of).map_err(|error| Failure::new(format!("could not write JSON: {error}")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_interrupted_run_goes_on_with_its_plan() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state/log");
        {
            let mut journal = Journal::open(&path).unwrap();
            assert_eq!(journal.interrupted::<u32>("split", &"one", false).unwrap(), None);
            let mut run = journal.begin("split", &"one", &7).unwrap();
            assert!(!run.goes_on);
            run.done("split", "one", &"note").unwrap();
        }
        {
            let mut journal = Journal::open(&path).unwrap();
            let other = journal.interrupted::<u32>("split", &"two", false).unwrap_err();
            assert_eq!(other.message, "an interrupted \"split\" has not been finished");
            assert!(journal.interrupted::<u32>("setup", &"one", false).is_err());
            assert_eq!(journal.interrupted::<u32>("split", &"one", false).unwrap(), Some(7));
            let run = journal.begin("split", &"one", &9).unwrap();
            assert!(run.goes_on);
            run.end().unwrap();
        }
        let mut journal = Journal::open(&path).unwrap();
        assert_eq!(journal.interrupted::<u32>("split", &"one", false).unwrap(), None);
        assert!(!journal.begin("split", &"one", &9).unwrap().goes_on);
    }

    #[test]
    fn an_interrupted_run_can_be_given_up() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        Journal::open(&path).unwrap().begin("split", &"one", &7).unwrap();
        let mut journal = Journal::open(&path).unwrap();
        assert_eq!(journal.interrupted::<u32>("setup", &"one", true).unwrap(), None);
        drop(journal);
        assert_eq!(Journal::open(&path).unwrap().interrupted::<u32>("setup", &"one", false).unwrap(), None);
    }

    #[test]
    fn a_torn_last_line_is_left_out_and_another_one_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        Journal::open(&path).unwrap().begin("split", &"one", &7).unwrap();
        let whole = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{whole}{{\"time\":1,\"ru")).unwrap();
        assert_eq!(
            Journal::open(&path).unwrap().interrupted::<u32>("split", &"one", false).unwrap(),
            Some(7)
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), whole);
        // A file of another kind with a single line.
        fs::write(&path, "{\"version\": 2, \"node\": 3}").unwrap();
        assert!(Journal::open(&path).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"version\": 2, \"node\": 3}");
        fs::write(&path, format!("nonsense\n{whole}")).unwrap();
        assert!(Journal::open(&path).err().unwrap().message.contains("line 1 is not one of this program"));
    }

    #[test]
    fn only_one_program_has_the_log_open_and_only_its_user_can_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let first = Journal::open(&path).unwrap();
        assert!(Journal::open(&path).err().unwrap().message.ends_with("is in use"));
        drop(first);
        assert!(Journal::open(&path).is_ok());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
