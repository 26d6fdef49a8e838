//! A link to a server that can be cut, stalled, restored and slowed down: a socket that forwards
//! what it receives.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::Run;

/// The number in the names of sockets, as the servers use it.
const PORT: u16 = 5432;

/// The stack size of a link's threads. Each connection has four of them.
const STACK: usize = 128 * 1024;

/// The most bytes that are read at once.
const CHUNK_SIZE: usize = 16 * 1024;

/// The most chunks in transit in one direction. A sender of more has to wait.
const MAX_CHUNKS: usize = 1024;

/// The state of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// Nothing passes, and neither side is notified.
    Stalled,
    /// Connections end, and new ones are refused.
    Cut,
}

/// A link to a server. A client that connects to its directory reaches the server at its other end.
pub struct Link {
    directory: PathBuf,
    inner: Arc<Inner>,
}

/// The state that the threads of a link share.
struct Inner {
    shared: Mutex<Shared>,
    changed: Condvar,
}

struct Shared {
    state: State,
    /// The delay of everything in each direction.
    delay: Duration,
    /// The socket at the other end.
    target: PathBuf,
    /// Both ends of each connection, by its number.
    connections: BTreeMap<u64, (UnixStream, UnixStream)>,
    connected: u64,
    ended: bool,
}

impl Inner {
    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Shared)) {
        change(&mut self.shared());
        self.changed.notify_all();
    }

    /// Waits while the link is stalled.
    fn wait_while_stalled(&self) {
        let is_stalled = |shared: &mut Shared| shared.state == State::Stalled && !shared.ended;
        drop(self.changed.wait_while(self.shared(), is_stalled));
    }
}

impl Shared {
    fn disconnect(&mut self) {
        for (near, far) in std::mem::take(&mut self.connections).into_values() {
            // A connection that has ended already needs no shutdown.
            let _ = near.shutdown(Shutdown::Both);
            let _ = far.shutdown(Shutdown::Both);
        }
    }
}

impl Link {
    /// Opens a link to the server whose socket is in `target`.
    ///
    /// # Errors
    ///
    /// If its own socket cannot be created.
    pub fn new(run: &Run, name: &str, target: &Path) -> Result<Self> {
        let directory = run.make_directory(name)?;
        let socket = socket_in(&directory);
        let listener = UnixListener::bind(&socket)
            .with_context(|| format!("could not listen on {}", socket.display()))?;
        std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o777))
            .with_context(|| format!("could not open {} to the servers", socket.display()))?;
        let shared = Shared {
            state: State::Open,
            delay: Duration::ZERO,
            target: socket_in(target),
            connections: BTreeMap::new(),
            connected: 0,
            ended: false,
        };
        let inner = Arc::new(Inner { shared: Mutex::new(shared), changed: Condvar::new() });
        let accepting = Arc::clone(&inner);
        std::thread::spawn(move || accept(&listener, &accepting));
        Ok(Self { directory, inner })
    }

    /// The host for libpq.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        &self.directory
    }

    /// Ends all connections, and refuses new ones.
    pub fn cut(&self) {
        self.inner.change(|shared| {
            shared.state = State::Cut;
            shared.disconnect();
        });
    }

    /// Holds back everything that is sent; connections stay open.
    pub fn stall(&self) {
        self.inner.change(|shared| shared.state = State::Stalled);
    }

    /// Forwards everything again.
    pub fn restore(&self) {
        self.inner.change(|shared| shared.state = State::Open);
    }

    /// Delays what is sent from now on, in both directions.
    pub fn delay(&self, time: Duration) {
        self.inner.change(|shared| shared.delay = time);
    }

    /// Leads to another server from now on.
    pub fn lead_to(&self, target: &Path) {
        self.inner.change(|shared| {
            shared.disconnect();
            shared.target = socket_in(target);
        });
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.inner.change(|shared| {
            shared.ended = true;
            shared.disconnect();
        });
        // A connection wakes the thread that accepts connections.
        let _ = UnixStream::connect(socket_in(&self.directory));
    }
}

fn socket_in(directory: &Path) -> PathBuf {
    directory.join(format!(".s.PGSQL.{PORT}"))
}

fn accept(listener: &UnixListener, inner: &Arc<Inner>) {
    for near in listener.incoming() {
        if inner.shared().ended {
            return;
        }
        // A connection that cannot be established ends at once, like a refused one.
        let Ok(near) = near else { continue };
        let inner = Arc::clone(inner);
        std::thread::spawn(move || connect(near, &inner));
    }
}

/// Connects to the other end, and forwards what comes from either side until one closes.
fn connect(near: UnixStream, inner: &Arc<Inner>) {
    inner.wait_while_stalled();
    let target = inner.shared().target.clone();
    let Ok(far) = UnixStream::connect(target) else { return };
    let (Ok(near_too), Ok(far_too)) = (near.try_clone(), far.try_clone()) else { return };
    let number = {
        let mut shared = inner.shared();
        if shared.ended || shared.state == State::Cut {
            return;
        }
        shared.connected += 1;
        let number = shared.connected;
        shared.connections.insert(number, (near_too, far_too));
        number
    };
    let (near, far) = (Arc::new(near), Arc::new(far));
    let forward = pass_on(&near, &far, number, inner);
    if forward.and_then(|()| pass_on(&far, &near, number, inner)).is_err() {
        // Like a refused connection.
        close(&near, &far, number, inner);
    }
}

/// A piece in transit, and when it arrives.
type Chunk = (Instant, Vec<u8>);

/// Forwards what comes from one side, with two threads: one continues to read while the other waits
/// until it is due.
fn pass_on(
    from: &Arc<UnixStream>,
    to: &Arc<UnixStream>,
    number: u64,
    inner: &Arc<Inner>,
) -> std::io::Result<()> {
    let (sender, receiver) = sync_channel(MAX_CHUNKS);
    let (source, sending) = (Arc::clone(from), Arc::clone(inner));
    Builder::new().stack_size(STACK).spawn(move || receive(&source, &sender, &sending))?;
    let (from, to, inner) = (Arc::clone(from), Arc::clone(to), Arc::clone(inner));
    Builder::new().stack_size(STACK).spawn(move || {
        deliver(&to, &receiver, &inner);
        close(&from, &to, number, &inner);
    })?;
    Ok(())
}

fn receive(mut from: &UnixStream, onward: &SyncSender<Chunk>, inner: &Inner) {
    let mut piece = vec![0; CHUNK_SIZE];
    while let Ok(read @ 1..) = from.read(&mut piece) {
        let arrives = Instant::now() + inner.shared().delay;
        if onward.send((arrives, piece.get(..read).unwrap_or_default().to_vec())).is_err() {
            return;
        }
    }
}

/// Delivers pieces in order, until no more can come.
fn deliver(mut to: &UnixStream, chunks: &Receiver<Chunk>, inner: &Inner) {
    for (arrives, bytes) in chunks {
        sleep(arrives.saturating_duration_since(Instant::now()));
        inner.wait_while_stalled();
        if to.write_all(&bytes).is_err() {
            return;
        }
    }
}

/// Closing one side closes the other, in both directions.
fn close(one: &UnixStream, other: &UnixStream, number: u64, inner: &Inner) {
    let _ = one.shutdown(Shutdown::Both);
    let _ = other.shutdown(Shutdown::Both);
    inner.shared().connections.remove(&number);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    /// A server that sends everything twice.
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
    fn a_link_is_cut_stalled_restored_and_redirected() {
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
        link.restore();
        let mut late = [0; 2];
        (&before).read_exact(&mut late).unwrap();
        assert_eq!(late, [8, 8]);

        link.cut();
        assert!(ask(&before, 1).is_err());
        assert!(ask(&connect(), 1).is_err());
        link.restore();
        assert_eq!(ask(&connect(), 9).unwrap(), [9, 9]);

        // No server is there yet.
        link.lead_to(&two);
        assert!(ask(&connect(), 1).is_err());
        echo(&two);
        assert_eq!(ask(&connect(), 2).unwrap(), [2, 2]);
    }

    #[test]
    fn bytes_arrive_delayed_complete_and_in_order_and_so_does_the_end() {
        let run = Run::new(false).unwrap();
        let target = run.make_directory("target").unwrap();
        let server = UnixListener::bind(socket_in(&target)).unwrap();
        let link = Link::new(&run, "slow", &target).unwrap();
        link.delay(Duration::from_millis(30));
        let near = UnixStream::connect(socket_in(link.socket_dir())).unwrap();
        let (mut behind, _) = server.accept().unwrap();
        let sent: Vec<u8> = (0..100_000_u32).flat_map(u32::to_be_bytes).collect();
        let started = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                (&near).write_all(&sent).unwrap();
                near.shutdown(Shutdown::Write).unwrap();
            });
            let mut arrived = vec![0];
            behind.read_exact(&mut arrived).unwrap();
            assert!(started.elapsed() >= Duration::from_millis(30));
            behind.read_to_end(&mut arrived).unwrap();
            assert!(arrived == sent);
        });
    }
}
