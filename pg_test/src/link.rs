//! A line between two servers that can be cut, stalled and mended: a socket that passes on what it gets.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};

use crate::Run;

/// The number in the names of sockets, as the servers have it.
const PORT: u16 = 5432;

/// How a line stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// Nothing comes through, and nobody is told.
    Stalled,
    /// Connections end, and new ones are refused.
    Cut,
}

/// A line to a server. Whoever connects to its directory reaches the server at its other end.
pub struct Link {
    directory: PathBuf,
    line: Arc<Line>,
}

/// What the threads of a line share.
struct Line {
    shared: Mutex<Shared>,
    changed: Condvar,
}

struct Shared {
    state: State,
    /// The socket at the other end.
    target: PathBuf,
    /// Both ends of each connection, by its number.
    connections: BTreeMap<u64, (UnixStream, UnixStream)>,
    connected: u64,
    ended: bool,
}

impl Line {
    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Shared)) {
        change(&mut self.shared());
        self.changed.notify_all();
    }

    /// Waits as long as the line is stalled.
    fn wait_while_stalled(&self) {
        let is_stalled = |shared: &mut Shared| shared.state == State::Stalled && !shared.ended;
        drop(self.changed.wait_while(self.shared(), is_stalled));
    }
}

impl Shared {
    fn disconnect(&mut self) {
        for (near, far) in std::mem::take(&mut self.connections).into_values() {
            // Whoever has gone already needs no telling.
            let _ = near.shutdown(Shutdown::Both);
            let _ = far.shutdown(Shutdown::Both);
        }
    }
}

impl Link {
    /// Lays a line to the server whose socket lies in `target`.
    ///
    /// # Errors
    ///
    /// When its own socket cannot be made.
    pub fn new(run: &Run, name: &str, target: &Path) -> Result<Self> {
        let directory = run.make_directory(name)?;
        let socket = socket_in(&directory);
        let listener = UnixListener::bind(&socket)
            .with_context(|| format!("could not listen on {}", socket.display()))?;
        std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o777))
            .with_context(|| format!("could not open {} to the servers", socket.display()))?;
        let shared = Shared {
            state: State::Open,
            target: socket_in(target),
            connections: BTreeMap::new(),
            connected: 0,
            ended: false,
        };
        let line = Arc::new(Line { shared: Mutex::new(shared), changed: Condvar::new() });
        let accepting = Arc::clone(&line);
        std::thread::spawn(move || accept(&listener, &accepting));
        Ok(Self { directory, line })
    }

    /// What libpq takes as host.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        &self.directory
    }

    /// Ends all connections, and refuses new ones.
    pub fn cut(&self) {
        self.line.change(|shared| {
            shared.state = State::Cut;
            shared.disconnect();
        });
    }

    /// Holds back whatever is sent; connections stay open.
    pub fn stall(&self) {
        self.line.change(|shared| shared.state = State::Stalled);
    }

    /// Passes everything on again.
    pub fn mend(&self) {
        self.line.change(|shared| shared.state = State::Open);
    }

    /// Leads to another server from now on.
    pub fn lead_to(&self, target: &Path) {
        self.line.change(|shared| {
            shared.disconnect();
            shared.target = socket_in(target);
        });
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.line.change(|shared| {
            shared.ended = true;
            shared.disconnect();
        });
        // The thread that accepts connections wakes by one.
        let _ = UnixStream::connect(socket_in(&self.directory));
    }
}

fn socket_in(directory: &Path) -> PathBuf {
    directory.join(format!(".s.PGSQL.{PORT}"))
}

fn accept(listener: &UnixListener, line: &Arc<Line>) {
    for near in listener.incoming() {
        if line.shared().ended {
            return;
        }
        // A connection that does not come about ends at once, as one that is refused.
        let Ok(near) = near else { continue };
        let line = Arc::clone(line);
        std::thread::spawn(move || connect(near, &line));
    }
}

/// Connects to the other end, and passes on what comes from there until either side closes.
fn connect(near: UnixStream, line: &Arc<Line>) {
    line.wait_while_stalled();
    let target = line.shared().target.clone();
    let Ok(far) = UnixStream::connect(target) else { return };
    let (Ok(near_too), Ok(far_too)) = (near.try_clone(), far.try_clone()) else { return };
    let number = {
        let mut shared = line.shared();
        if shared.ended || shared.state == State::Cut {
            return;
        }
        let (Ok(near), Ok(far)) = (near.try_clone(), far.try_clone()) else { return };
        shared.connected += 1;
        let number = shared.connected;
        shared.connections.insert(number, (near, far));
        number
    };
    let there = Arc::clone(line);
    std::thread::spawn(move || pass_on(&near_too, &far_too, &there));
    pass_on(&far, &near, line);
    line.shared().connections.remove(&number);
}

fn pass_on(mut from: &UnixStream, mut to: &UnixStream, line: &Line) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        line.wait_while_stalled();
        let Some(bytes) = buffer.get(..count) else { break };
        if to.write_all(bytes).is_err() {
            break;
        }
    }
    // Closing one side closes the other, both ways.
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::time::Duration;

    use super::*;

    /// A server that says everything twice.
    fn echo(directory: &Path) {
        let listener = UnixListener::bind(socket_in(directory)).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    let mut byte = [0];
                    while (&stream).read_exact(&mut byte).is_ok() {
                        if (&stream).write_all(&[byte[0], byte[0]]).is_err() {
                            return;
                        }
                    }
                });
            }
        });
    }

    fn ask(mut stream: &UnixStream, byte: u8) -> std::io::Result<[u8; 2]> {
        stream.write_all(&[byte])?;
        let mut answer = [0; 2];
        stream.read_exact(&mut answer)?;
        Ok(answer)
    }

    #[test]
    fn a_line_is_cut_stalled_mended_and_led_elsewhere() {
        let run = Run::new(false).unwrap();
        let (one, two) = (run.make_directory("one").unwrap(), run.make_directory("two").unwrap());
        echo(&one);
        let link = Link::new(&run, "link", &one).unwrap();
        let connect = || UnixStream::connect(socket_in(link.socket_dir())).unwrap();
        let before = connect();
        assert_eq!(ask(&before, 7).unwrap(), [7, 7]);

        link.stall();
        (&before).write_all(&[8]).unwrap();
        before.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        assert!((&before).read(&mut [0]).is_err(), "nothing comes through");
        before.set_read_timeout(None).unwrap();
        link.mend();
        let mut late = [0; 2];
        (&before).read_exact(&mut late).unwrap();
        assert_eq!(late, [8, 8]);

        link.cut();
        assert!(ask(&before, 1).is_err());
        assert!(ask(&connect(), 1).is_err());
        link.mend();
        assert_eq!(ask(&connect(), 9).unwrap(), [9, 9]);

        // Nobody is there yet.
        link.lead_to(&two);
        assert!(ask(&connect(), 1).is_err());
        echo(&two);
        assert_eq!(ask(&connect(), 2).unwrap(), [2, 2]);
    }
}
