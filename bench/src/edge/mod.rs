//! Writers far from each other: keys from a central sequence, and keys that are generated locally.

mod inserter;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pg_test::load::{self, Session, Turn};
use pg_test::{Link, Server};
use postgres::{Client, NoTls};
use xtask::statistics::{Spread, quantile};
use xtask::step::Step;

use crate::figures::{Figures, Unit};
use crate::measure::{WarmUp, interleave};
use crate::script::section;
use crate::server;
use crate::suite::{Measured, Plan, Suite};
use inserter::{Inserter, WAYS, Way};

/// There and back.
const ROUND_TRIP: Duration = Duration::from_millis(40);
/// The number of round trips for the average.
const TRIPS: u32 = 100;
/// The database, in both regions.
const DATABASE: &str = "shop";
/// How many clients insert again as soon as they have inserted.
const CLIENTS: [usize; 5] = [8, 25, 50, 100, 200];
/// How many insert at a fixed rate, and how many rows a second all of them.
const STEADY_CLIENTS: usize = 100;
const RATE: u32 = 1_000;

/// Measures all chapters.
pub fn measure(near: &Server, suite: &Suite, measured: &mut Measured<'_>) -> Result<()> {
    let step = Step::quiet("Making two regions");
    let mut client = make_region(near, "b")?;
    let settings: Vec<&str> = suite.settings.iter().map(String::as_str).collect();
    let far = Server::start(near.tree(), "region_a", &settings)?;
    make_region(&far, "a")?;
    let link = Link::new(near.tree().run(), "link", far.socket_dir())?;
    let conninfo = far.conninfo_over(&link, DATABASE);
    let connect = || Client::connect(&conninfo, NoTls).context("could not connect over the link");
    let trips = calibrate(&link, &mut connect()?)?;
    step.done();
    measured.chapter("link", |_| {
        let mut figures = Figures::default();
        for (name, trips) in [("near", round_trips(&mut client)?), ("far", trips)] {
            trips.into_iter().for_each(|trip| figures.add(name, Unit::Seconds, trip));
        }
        figures.count("round trips", TRIPS);
        Ok(figures)
    })?;
    let most = CLIENTS.into_iter().max().unwrap_or_default().max(STEADY_CLIENTS);
    let step = Step::quiet(format!("Connecting {most} clients"));
    // Each to the server next to it, and over the link.
    let mut clients =
        (0..most).map(|_| Ok((near.connect(DATABASE)?, connect()?))).collect::<Result<Vec<_>>>()?;
    step.done();
    let flat_out: Vec<_> = WAYS.iter().flat_map(|way| CLIENTS.map(|number| (way, number, None))).collect();
    let fixed: Vec<_> = WAYS.iter().map(|way| (way, STEADY_CLIENTS, Some(RATE))).collect();
    for (chapter, loads) in [("flat_out", flat_out), ("fixed_rate", fixed)] {
        measured.chapter(chapter, |plan| compare(plan, &loads, &mut client, &mut clients))?;
    }
    Ok(())
}

/// Makes the tables or sequences of a region.
fn make_region(server: &Server, name: &str) -> Result<Client> {
    let mut client = server::create_database(server, DATABASE)?;
    for statement in section("edge", "regions", name, &[])? {
        client.batch_execute(&statement).with_context(|| format!("failed: {statement}"))?;
    }
    Ok(client)
}

/// Sets the delay of the link so that a round trip of a client takes what it should, all of it included. Returns what
/// each of some round trips takes then, in seconds.
fn calibrate(link: &Link, client: &mut Client) -> Result<Vec<f64>> {
    let mut delay = ROUND_TRIP / 2;
    for _ in 0..3 {
        link.delay(delay);
        let taken = Spread::of(&round_trips(client)?).context("no round trips")?.median;
        let missing = (ROUND_TRIP.as_secs_f64() - taken) / 2.0;
        let corrected = delay.as_secs_f64() + missing;
        ensure!(corrected > 0.0, "a round trip takes longer than {ROUND_TRIP:?} without a delay");
        delay = Duration::from_secs_f64(corrected);
    }
    link.delay(delay);
    round_trips(client)
}

/// What each of some round trips takes a client, in seconds.
fn round_trips(client: &mut Client) -> Result<Vec<f64>> {
    let nothing = client.prepare("SELECT").context("could not prepare a statement")?;
    let trip = |_| {
        let started = Instant::now();
        client.query(&nothing, &[]).context("a round trip failed")?;
        Ok(started.elapsed().as_secs_f64())
    };
    (0..TRIPS).map(trip).collect()
}

/// A way, how many clients insert in it, and how many rows a second all of them insert; without a rate each inserts
/// again as soon as it has inserted.
type Load = (&'static Way, usize, Option<u32>);

fn compare(
    plan: &Plan,
    loads: &[Load],
    client: &mut Client,
    clients: &mut [(Client, Client)],
) -> Result<Figures> {
    let warm_up = Duration::from_millis(plan.count(500, 200).into());
    let counted = plan.count(3_000, 1_000);
    let mut figures = Figures::default();
    figures.count("ms of each run", counted);
    let counted = Duration::from_millis(counted.into());
    interleave(plan.rounds, WarmUp::None, loads, &mut figures, |(way, number, rate), figures| {
        client.batch_execute(&format!("TRUNCATE orders_{}", way.name)).context("could not truncate")?;
        let interval = rate.map_or(Duration::ZERO, |rate| Duration::from_secs(*number as u64) / rate);
        let of = u32::try_from(*number)?;
        let mut sessions: Vec<Session<'_, Turn<Duration>>> = Vec::new();
        for (place, (near, far)) in (0..of).zip(clients.iter_mut()) {
            let mut inserter = Inserter::new(way, near, far, i32::try_from(place)?)?;
            sessions
                .push(Box::new(move |stop| load::paced(stop, interval, (place, of), || inserter.insert())));
        }
        let (turns, counts_from) = load::alongside(sessions, || {
            std::thread::sleep(warm_up);
            let counts_from = Instant::now();
            std::thread::sleep(counted);
            Ok(counts_from)
        })?;
        let part = rate.map_or_else(|| number.to_string(), |_| "fixed".to_owned());
        record(figures, &format!("{}.{part}", way.name), &turns, counts_from, counted)
    })?;
    Ok(figures)
}

/// Notes what was inserted within the time that counts.
fn record(
    figures: &mut Figures,
    name: &str,
    turns: &[Turn<Duration>],
    counts_from: Instant,
    counted: Duration,
) -> Result<()> {
    let has_ended = |turn: &&Turn<Duration>| {
        let ended = turn.due + turn.latency;
        ended >= counts_from && ended < counts_from + counted
    };
    let turns: Vec<_> = turns.iter().filter(has_ended).collect();
    let latencies: Vec<f64> = turns.iter().map(|turn| turn.latency.as_secs_f64()).collect();
    let counted = counted.as_secs_f64();
    figures.add(&format!("{name}.rate"), Unit::Number, latencies.len() as f64 / counted);
    for (part, of_all) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)] {
        let latency = quantile(&latencies, of_all).context("nothing was inserted")?;
        figures.add(&format!("{name}.{part}"), Unit::Seconds, latency);
    }
    // The clients that wait for a key, on average.
    let waited: f64 = turns.iter().map(|turn| turn.result.as_secs_f64()).sum();
    figures.add(&format!("{name}.waiting"), Unit::Number, waited / counted);
    Ok(())
}
