//! A slow link between two regions on one machine: a socket that passes everything on to a server's, later.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pg_test::Server;
use postgres::{Client, NoTls};

use xtask::statistics::Spread;

/// What a thread of the link needs of the stack; there are four for each connection.
const STACK: usize = 128 * 1024;
/// The most that is read at once.
const PIECE: usize = 16 * 1024;
/// How often an idle link looks whether it has been closed.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How many round trips say how long one takes.
pub const TRIPS: usize = 100;

/// The link. Closed when it is dropped; connections over it last as long as their ends.
pub struct Link {
    conninfo: String,
    delay: Arc<AtomicU64>,
    closed: Arc<AtomicBool>,
    listener: Option<JoinHandle<()>>,
}

impl Link {
    /// Opens a link to a server, over which each direction takes `delay`.
    ///
    /// # Errors
    ///
    /// When its socket cannot be made.
    pub fn open(server: &Server, database: &str, delay: Duration) -> Result<Self> {
        let directory = server.tree().run().make_directory("link")?;
        let file = server.socket_file();
        let name = file.file_name().context("a socket has a name")?;
        let socket = directory.join(name);
        let listener = UnixListener::bind(&socket)
            .with_context(|| format!("could not listen on {}", socket.display()))?;
        std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o777))
            .context("could not open the link to others")?;
        listener.set_nonblocking(true).context("could not look for connections without waiting")?;
        let conninfo = server.conninfo(database);
        let conninfo =
            conninfo.replace(&server.socket_dir().display().to_string(), &directory.display().to_string());
        let delay = Arc::new(AtomicU64::new(nanos(delay)));
        let closed = Arc::new(AtomicBool::new(false));
        let accept = {
            let (delay, closed) = (Arc::clone(&delay), Arc::clone(&closed));
            move || accept(&listener, &file, &delay, &closed)
        };
        let listener = Builder::new().spawn(accept).context("could not start a thread")?;
        Ok(Self { conninfo, delay, closed, listener: Some(listener) })
    }

    /// Connects to the server over the link.
    ///
    /// # Errors
    ///
    /// When it does not let us.
    pub fn connect(&self) -> Result<Client> {
        Client::connect(&self.conninfo, NoTls).context("could not connect over the link")
    }

    /// Sets the delay so that a round trip of a client takes `wanted`, all of it included. Returns what each of some
    /// round trips takes then, in seconds.
    ///
    /// # Errors
    ///
    /// When a statement fails, or a round trip takes longer without a delay.
    pub fn calibrate(&self, wanted: Duration) -> Result<Vec<f64>> {
        let mut client = self.connect()?;
        round_trips(&mut client)?;
        for _ in 0..2 {
            let taken = Spread::of(&round_trips(&mut client)?).context("no round trips")?.median;
            let each_way = (wanted.as_secs_f64() - taken) / 2.0;
            let delay = self.delay.load(Ordering::Relaxed) as f64 / 1e9 + each_way;
            ensure!(delay > 0.0, "a round trip takes longer than {wanted:?} without a delay");
            self.delay.store(nanos(Duration::from_secs_f64(delay)), Ordering::Relaxed);
        }
        round_trips(&mut client)
    }

    /// How long everything is kept in each direction.
    pub fn delay(&self) -> Duration {
        Duration::from_nanos(self.delay.load(Ordering::Relaxed))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Relaxed);
        if let Some(listener) = self.listener.take() {
            // It has nothing to say.
            let _ = listener.join();
        }
    }
}

/// What each of some round trips takes a client, in seconds.
///
/// # Errors
///
/// When a statement fails.
pub fn round_trips(client: &mut Client) -> Result<Vec<f64>> {
    let nothing = client.prepare("SELECT").context("could not prepare a statement")?;
    (0..TRIPS)
        .map(|_| {
            let started = Instant::now();
            client.query(&nothing, &[]).context("a round trip failed")?;
            Ok(started.elapsed().as_secs_f64())
        })
        .collect()
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Joins each connection with one to the server, until the link is closed.
fn accept(listener: &UnixListener, server: &Path, delay: &Arc<AtomicU64>, closed: &AtomicBool) {
    while !closed.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((near, _)) => {
                // A client whose connection is not joined sees it closed.
                let _ = join(near, server, delay);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => sleep(LOOK_EVERY),
            Err(_) => return,
        }
    }
}

fn join(near: UnixStream, server: &Path, delay: &Arc<AtomicU64>) -> std::io::Result<()> {
    near.set_nonblocking(false)?;
    let far = UnixStream::connect(server)?;
    for (from, to) in [(near.try_clone()?, far.try_clone()?), (far, near)] {
        let (sender, receiver) = channel();
        let delay = Arc::clone(delay);
        Builder::new().stack_size(STACK).spawn(move || receive(from, &sender, &delay))?;
        Builder::new().stack_size(STACK).spawn(move || deliver(to, &receiver))?;
    }
    Ok(())
}

/// Something on its way, and when it arrives.
type Parcel = (Instant, Vec<u8>);

/// Takes what comes, until its sender has closed.
fn receive(mut from: UnixStream, onward: &Sender<Parcel>, delay: &AtomicU64) {
    let mut piece = vec![0; PIECE];
    while let Ok(read @ 1..) = from.read(&mut piece) {
        let arrives = Instant::now() + Duration::from_nanos(delay.load(Ordering::Relaxed));
        if onward.send((arrives, piece.get(..read).unwrap_or_default().to_vec())).is_err() {
            return;
        }
    }
}

/// Hands over what arrives, in its order, and closes after the last.
fn deliver(mut to: UnixStream, parcels: &Receiver<Parcel>) {
    for (arrives, bytes) in parcels {
        sleep(arrives.saturating_duration_since(Instant::now()));
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
    // It may be closed already.
    let _ = to.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn what_is_sent_arrives_later_whole_and_in_order_and_so_does_the_end() {
        let directory = tempfile::tempdir().expect("a directory");
        let far = directory.path().join("far");
        let server = UnixListener::bind(&far).expect("a socket");
        let (near, end) = UnixStream::pair().expect("two ends");
        let delay = Arc::new(AtomicU64::new(nanos(Duration::from_millis(30))));
        join(end, &far, &delay).expect("joined");
        let (mut behind, _) = server.accept().expect("a connection");
        let sent: Vec<u8> = (0..100_000_u32).flat_map(u32::to_be_bytes).collect();
        let started = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                (&near).write_all(&sent).expect("sent");
                near.shutdown(Shutdown::Write).expect("closed");
            });
            let mut arrived = Vec::new();
            let mut first = [0; 1];
            behind.read_exact(&mut first).expect("something");
            assert!(started.elapsed() >= Duration::from_millis(30));
            arrived.extend(first);
            behind.read_to_end(&mut arrived).expect("all of it");
            assert!(arrived == sent);
        });
    }
}
