//! Sessions that load a server: all at the same moment, or at an even pace during other work.
//!
//! Demo, benchmarks and tests share this generator, so that their figures compare. pgbench with a
//! rate and a log would do for some of them. It does not do for clients of two servers, for keys
//! that are looked up later, or if writing ends when other work ends: pgbench writes the rest of
//! its log only when it ends by itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Barrier, Condvar, Mutex, PoisonError};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use postgres::Client;

use crate::first_value;

/// The time limit of [`Count::wait_for`].
const PATIENCE: Duration = Duration::from_secs(60);

/// The outcome of sessions that began at the same moment.
#[derive(Debug)]
pub struct AtOnce<T> {
    /// The result of each session, in the order of their items.
    pub results: Vec<T>,
    /// From the beginning of the first to the end of the last.
    pub took: Duration,
    /// How long all of them were working together.
    pub together: Duration,
}

/// Prepares a session for each item, lets all of them begin at the same moment, and waits until
/// they end.
///
/// # Errors
///
/// If there are no items, or a session cannot be prepared or fails at its work.
pub fn at_once<I: Send, S, T: Send>(
    items: Vec<I>,
    prepare: impl Fn(I) -> Result<S> + Sync,
    work: impl Fn(S) -> Result<T> + Sync,
) -> Result<AtOnce<T>> {
    let ready = Barrier::new(items.len());
    let runs = std::thread::scope(|scope| {
        let session = |item| {
            let prepared = prepare(item);
            // Even if it has failed, because the others wait for it.
            ready.wait();
            let prepared = prepared?;
            let began = Instant::now();
            let result = work(prepared)?;
            Ok((began, Instant::now(), result))
        };
        let threads: Vec<_> = items.into_iter().map(|item| scope.spawn(move || session(item))).collect();
        let join = |thread: ScopedJoinHandle<'_, Result<_>>| {
            thread.join().map_err(|_| anyhow!("a session panicked"))?
        };
        threads.into_iter().map(join).collect::<Result<Vec<_>>>()
    })?;
    let none = "there are no sessions";
    let (began, ended) = (runs.iter().map(|run| run.0), runs.iter().map(|run| run.1));
    let (first_began, last_began) = (began.clone().min().context(none)?, began.max().context(none)?);
    let (first_ended, last_ended) = (ended.clone().min().context(none)?, ended.max().context(none)?);
    Ok(AtOnce {
        took: last_ended.saturating_duration_since(first_began),
        together: first_ended.saturating_duration_since(last_began),
        results: runs.into_iter().map(|(_, _, result)| result).collect(),
    })
}

/// The signal for sessions to end.
#[derive(Default)]
pub struct Stop {
    is_set: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    fn set(&self) {
        *self.is_set.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Waits, but not past the moment to end. Returns whether it has come.
    pub fn wait(&self, time: Duration) -> bool {
        let is_set = self.is_set.lock().unwrap_or_else(PoisonError::into_inner);
        if time.is_zero() {
            return *is_set;
        }
        let waited = self.changed.wait_timeout_while(is_set, time, |is_set| !*is_set);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Stops sessions when it goes out of scope, even if the work panics.
struct StopOnDrop<'a>(&'a Stop);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.set();
    }
}

/// Counts the actions of sessions while they run.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Counts one more.
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    /// The number so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    /// Waits until the sessions have done this many actions.
    ///
    /// # Errors
    ///
    /// If it takes longer than a minute.
    pub fn wait_for(&self, least: u64) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.get() < least {
            ensure!(Instant::now() < deadline, "{} of {least} actions within a minute", self.get());
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

/// The work of a session until it has to stop.
pub type Session<'a, T> = Box<dyn FnOnce(&Stop) -> Result<Vec<T>> + Send + 'a>;

/// Does `work` while sessions do theirs. Returns the results of both.
///
/// # Errors
///
/// If a session or the work fails.
pub fn alongside<T: Send, R>(
    sessions: Vec<Session<'_, T>>,
    work: impl FnOnce() -> Result<R>,
) -> Result<(Vec<T>, R)> {
    let stop = Stop::default();
    std::thread::scope(|scope| {
        let stop = &stop;
        let threads: Vec<_> =
            sessions.into_iter().map(|session| scope.spawn(move || session(stop))).collect();
        let stopped = StopOnDrop(stop);
        let result = work();
        drop(stopped);
        let mut all = Vec::new();
        for thread in threads {
            all.extend(thread.join().map_err(|_| anyhow!("a session panicked"))??);
        }
        Ok((all, result?))
    })
}

/// An action that was done at a pace.
#[derive(Clone, Copy, Debug)]
pub struct Turn<T> {
    /// When it was due.
    pub due: Instant,
    /// Its duration from then on, so that actions which wait behind a stalled one count, too.
    pub latency: Duration,
    /// Its result.
    pub result: T,
}

/// Does something at an even pace until it has to stop; without pauses if the interval is zero.
/// Sessions with the same interval are offset, so that they do not all begin at the same moment.
///
/// # Errors
///
/// If a turn fails.
pub fn paced<T>(
    stop: &Stop,
    interval: Duration,
    (place, of): (u32, u32),
    mut turn: impl FnMut() -> Result<T>,
) -> Result<Vec<Turn<T>>> {
    let mut turns = Vec::new();
    let mut due = Instant::now() + interval * place / of;
    while !stop.wait(due.saturating_duration_since(Instant::now())) {
        if interval.is_zero() {
            due = Instant::now();
        }
        let result = turn()?;
        turns.push(Turn { due, latency: due.elapsed(), result });
        due += interval;
    }
    Ok(turns)
}

/// Keeps transactions open: each begins with `statements` and stays open for some time. After a
/// rest the next one begins. It has no results.
///
/// # Errors
///
/// If a statement fails.
pub fn keep_open<T>(
    stop: &Stop,
    mut client: Client,
    statements: &str,
    open: Duration,
    rest: Duration,
) -> Result<Vec<T>> {
    while !stop.wait(Duration::ZERO) {
        client.batch_execute(statements).with_context(|| format!("failed: {statements}"))?;
        std::thread::sleep(open);
        client.batch_execute("COMMIT").context("could not end a long transaction")?;
        stop.wait(rest);
    }
    Ok(Vec::new())
}

/// Inserts a row, and in the same transaction the rows that refer to it: in `rest`, `:key` stands
/// for its key, which `insert` returns. Everything is text, because the type of a key may change
/// from one call to the next. Returns the key.
///
/// # Errors
///
/// If a statement fails, or returns no key.
pub fn insert_with_children(client: &mut Client, insert: &str, rest: &str) -> Result<String> {
    let key = first_value(client, &format!("BEGIN; {insert}"))?.context("a row has got no key")?;
    let rest = format!("{}; COMMIT", rest.replace(":key", &key));
    client.batch_execute(&rest).with_context(|| format!("failed: {rest}"))?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn sessions_begin_together_even_if_one_fails() {
        let prepared = AtomicUsize::new(0);
        let prepare = |item: usize| {
            prepared.fetch_add(1, Ordering::SeqCst);
            Ok(item)
        };
        let seen = at_once(vec![1, 2, 3], prepare, |item| {
            std::thread::sleep(Duration::from_millis(10));
            Ok((item, prepared.load(Ordering::SeqCst)))
        });
        let seen = seen.expect("all of them");
        assert_eq!(seen.results, [(1, 3), (2, 3), (3, 3)]);
        assert!(seen.took >= Duration::from_millis(10) && seen.took >= seen.together);
        let failed =
            at_once(vec![true, false], |is_good| if is_good { Ok(()) } else { Err(anyhow!("no")) }, Ok);
        assert_eq!(failed.expect_err("an error").to_string(), "no");
    }

    #[test]
    fn turns_that_wait_behind_a_stalled_one_count_from_when_they_were_due() {
        let interval = Duration::from_millis(5);
        let mut is_first = true;
        let session: Session<'_, Turn<()>> = Box::new(move |stop| {
            paced(stop, interval, (0, 1), || {
                std::thread::sleep(if std::mem::take(&mut is_first) {
                    10 * interval
                } else {
                    Duration::ZERO
                });
                Ok(())
            })
        });
        let (turns, ()) = alongside(vec![session], || {
            std::thread::sleep(20 * interval);
            Ok(())
        })
        .expect("turns");
        assert!(turns.len() > 5, "{}", turns.len());
        assert!(turns.windows(2).all(|pair| pair[1].due - pair[0].due == interval));
        assert!(turns[0].latency >= 10 * interval && turns[1].latency >= 8 * interval);
    }

    #[test]
    fn work_waits_for_a_number_of_actions() {
        let count = Count::default();
        let session: Session<'_, Turn<()>> = Box::new(|stop| {
            paced(stop, Duration::ZERO, (0, 1), || {
                count.add();
                Ok(())
            })
        });
        let (turns, ()) = alongside(vec![session], || count.wait_for(3)).expect("turns");
        assert!(turns.len() >= 3 && turns.len() as u64 == count.get());
    }

    #[test]
    fn work_that_panics_ends_the_sessions() {
        let panicked = std::panic::catch_unwind(|| {
            let session: Session<'_, Turn<()>> =
                Box::new(|stop| paced(stop, Duration::from_secs(60), (1, 2), || Ok(())));
            alongside::<_, ()>(vec![session], || panic!("no"))
        });
        assert!(panicked.is_err());
    }

    #[test]
    fn work_that_fails_ends_the_sessions() {
        let session: Session<'_, Turn<()>> =
            Box::new(|stop| paced(stop, Duration::from_secs(60), (1, 2), || Ok(())));
        let failed: Result<(_, ())> = alongside(vec![session], || Err(anyhow!("no")));
        assert_eq!(failed.expect_err("an error").to_string(), "no");
    }
}
