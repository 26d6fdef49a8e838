//! The benchmark of writers far from each other: keys from a central sequence beside keys that are made on the spot.

mod link;
mod load;
mod way;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use pg_test::Server;

use super::chart::{Chart, Shape};
use super::figures::{Figures, Unit};
use super::measure::{WarmUp, interleave};
use super::server;
use super::suite::{Chapter, Check, Need, Quantity, Table};
use super::suite::{Plan, Rounds, Suite};
use link::Link;
use load::{Clients, Length, Pace};
use way::{WAYS, Way};
use xtask::step::Step;

/// The suite.
pub const SUITE: Suite = Suite {
    name: "edge",
    title: "Keys at the edge",
    about: "Two regions write, and a link of 40 ms there and back lies between them. In region B clients insert into \
            a table of theirs; the question is where the key comes from. An article that this case is from tells of \
            1,200 inserts a second and a p99 of 38 ms with a sequence in region A, and of 4,800 and 4 ms with UUIDv7 \
            keys; it leaves out that a client can fetch ids by the thousand. Two servers on one machine, both with \
            their clients on its cores, and each insert is a transaction that is flushed to disk. The link is a \
            socket that keeps everything for some 20 ms in each direction.",
    settings: SETTINGS,
    rounds: Rounds { usual: 3, quick: 1 },
    libraries: &[],
    chapters: &[&LINK, &FLAT_OUT, &FIXED],
    measure,
};

const SETTINGS: &[&str] = &[
    "fsync = on",
    "synchronous_commit = on",
    "full_page_writes = on",
    "shared_buffers = 512MB",
    "max_connections = 300",
    "checkpoint_timeout = 1h",
    "max_wal_size = 16GB",
    "autovacuum = off",
    "jit = off",
];

/// There and back.
const ROUND_TRIP: Duration = Duration::from_millis(40);
/// The database, in both regions.
const DATABASE: &str = "shop";
/// How many clients insert flat out.
const CLIENTS: [usize; 5] = [8, 25, 50, 100, 200];
/// How many insert at a fixed rate.
const STEADY_CLIENTS: usize = 100;
/// And how many inserts a second all of them make.
const RATE: u32 = 1_000;

const LINK: Chapter = Chapter {
    name: "link",
    title: "The link",
    about: "What an empty statement takes a client, from sending it to having the answer, on an idle machine.",
    needs: &[],
    tables: &[Table {
        corner: "server",
        columns: &["round trip"],
        rows: &[("beside the client", &["near"]), ("at the other end of the link", &["far"])],
    }],
    charts: &[],
    checks: &[],
};

macro_rules! row {
    ($label:literal, $name:literal, $($column:literal),+) => {
        ($label, &[$(concat!($name, ".", $column)),+])
    };
}

macro_rules! rows {
    ($($column:literal),+) => {
        &[
            row!("`nextval` in region A for each insert", "central", $($column),+),
            row!("the same, sequence with `CACHE 1000`", "cached", $($column),+),
            row!("hi/lo: `nextval` in region A for 1,000 inserts", "hi_lo", $($column),+),
            row!("`DEFAULT uuidv7()`", "uuidv7", $($column),+),
            row!("`DEFAULT ulid()`", "ulid", $($column),+),
            row!("`bigserial` of node 2 of 2", "interleaved", $($column),+),
            row!("`DEFAULT partitioned_nextval(...)`", "partitioned", $($column),+),
        ]
    };
}

const FLAT_OUT: Chapter = Chapter {
    name: "flat_out",
    title: "As many as they can",
    about: "Each client inserts again as soon as it has inserted. A key that is fetched for each insert costs a trip, so \
            a client makes less than 25 inserts a second whatever the servers can do, and only more clients help; \
            `CACHE` saves region A work, and not the trip. Where keys are made on the spot, the disk and the cores are \
            the limit, and more clients wait for them longer. *Waiting* is how many clients wait for a key, on \
            average.",
    needs: &[Need::Routine("ulid"), Need::Routine("partitioned_nextval")],
    tables: &[
        Table {
            corner: "inserts a second",
            columns: &["8 clients", "25 clients", "50 clients", "100 clients", "200 clients"],
            rows: rows!("8.rate", "25.rate", "50.rate", "100.rate", "200.rate"),
        },
        Table {
            corner: "latency, median",
            columns: &["8 clients", "25 clients", "50 clients", "100 clients", "200 clients"],
            rows: rows!("8.p50", "25.p50", "50.p50", "100.p50", "200.p50"),
        },
        Table {
            corner: "latency, p95",
            columns: &["8 clients", "25 clients", "50 clients", "100 clients", "200 clients"],
            rows: rows!("8.p95", "25.p95", "50.p95", "100.p95", "200.p95"),
        },
        Table {
            corner: "latency, p99",
            columns: &["8 clients", "25 clients", "50 clients", "100 clients", "200 clients"],
            rows: rows!("8.p99", "25.p99", "50.p99", "100.p99", "200.p99"),
        },
        Table {
            corner: "waiting",
            columns: &["8 clients", "25 clients", "50 clients", "100 clients", "200 clients"],
            rows: rows!("8.waiting", "25.waiting", "50.waiting", "100.waiting", "200.waiting"),
        },
    ],
    charts: &[
        Chart {
            name: "rate",
            title: "Inserts a second, by as many clients",
            shape: Shape::Lines { places: &["8", "25", "50", "100", "200"], along: "clients", log: true },
            rows: &[
                (
                    "nextval in region A for each insert",
                    &[
                        "central.8.rate",
                        "central.25.rate",
                        "central.50.rate",
                        "central.100.rate",
                        "central.200.rate",
                    ],
                ),
                (
                    "hi/lo: nextval in region A for 1,000",
                    &["hi_lo.8.rate", "hi_lo.25.rate", "hi_lo.50.rate", "hi_lo.100.rate", "hi_lo.200.rate"],
                ),
                (
                    "uuidv7()",
                    &[
                        "uuidv7.8.rate",
                        "uuidv7.25.rate",
                        "uuidv7.50.rate",
                        "uuidv7.100.rate",
                        "uuidv7.200.rate",
                    ],
                ),
                (
                    "bigserial of node 2 of 2",
                    &[
                        "interleaved.8.rate",
                        "interleaved.25.rate",
                        "interleaved.50.rate",
                        "interleaved.100.rate",
                        "interleaved.200.rate",
                    ],
                ),
            ],
        },
        Chart {
            name: "p99",
            title: "p99 of an insert, by as many clients",
            shape: Shape::Lines { places: &["8", "25", "50", "100", "200"], along: "clients", log: true },
            rows: &[
                (
                    "nextval in region A for each insert",
                    &[
                        "central.8.p99",
                        "central.25.p99",
                        "central.50.p99",
                        "central.100.p99",
                        "central.200.p99",
                    ],
                ),
                (
                    "hi/lo: nextval in region A for 1,000",
                    &["hi_lo.8.p99", "hi_lo.25.p99", "hi_lo.50.p99", "hi_lo.100.p99", "hi_lo.200.p99"],
                ),
                (
                    "uuidv7()",
                    &["uuidv7.8.p99", "uuidv7.25.p99", "uuidv7.50.p99", "uuidv7.100.p99", "uuidv7.200.p99"],
                ),
                (
                    "bigserial of node 2 of 2",
                    &[
                        "interleaved.8.p99",
                        "interleaved.25.p99",
                        "interleaved.50.p99",
                        "interleaved.100.p99",
                        "interleaved.200.p99",
                    ],
                ),
            ],
        },
    ],
    checks: &[
        rates(
            "inserts a second by `uuidv7()` to those by `nextval` in region A, 8 clients",
            "uuidv7.8.rate",
            "central.8.rate",
        ),
        rates("the same, 25 clients", "uuidv7.25.rate", "central.25.rate"),
        rates("the same, 50 clients", "uuidv7.50.rate", "central.50.rate"),
        rates("the same, 200 clients", "uuidv7.200.rate", "central.200.rate"),
        rates("hi/lo to `nextval` in region A, 50 clients", "hi_lo.50.rate", "central.50.rate"),
        rates("`uuidv7()` to hi/lo, 50 clients", "uuidv7.50.rate", "hi_lo.50.rate"),
        rates(
            "`bigserial` of node 2 of 2 to `uuidv7()`, 50 clients",
            "interleaved.50.rate",
            "uuidv7.50.rate",
        ),
    ],
};

const FIXED: Chapter = Chapter {
    name: "fixed_rate",
    title: "At a fixed rate",
    about: "100 clients insert 1,000 rows a second, which all of these ways can do. An insert that is late counts from \
            when it was due, so that a stall is seen by all who would have come in it.",
    needs: &[Need::Routine("ulid"), Need::Routine("partitioned_nextval")],
    tables: &[Table {
        corner: "key by",
        columns: &["inserts a second", "latency, median", "p95", "p99", "waiting"],
        rows: rows!("fixed.rate", "fixed.p50", "fixed.p95", "fixed.p99", "fixed.waiting"),
    }],
    charts: &[Chart {
        name: "fixed",
        title: "p99 of an insert, 1,000 a second by 100 clients",
        shape: Shape::Bars { others: 3 },
        rows: &[
            ("nextval in region A for each insert", &["central.fixed.p99"]),
            ("the same with CACHE 1000", &["cached.fixed.p99"]),
            ("hi/lo: nextval in region A for 1,000", &["hi_lo.fixed.p99"]),
            ("uuidv7()", &["uuidv7.fixed.p99"]),
            ("ulid()", &["ulid.fixed.p99"]),
            ("bigserial of node 2 of 2", &["interleaved.fixed.p99"]),
            ("partitioned_nextval", &["partitioned.fixed.p99"]),
        ],
    }],
    checks: &[
        rates("p99 by `nextval` in region A to that by `uuidv7()`", "central.fixed.p99", "uuidv7.fixed.p99"),
        rates("p99 by hi/lo to that by `uuidv7()`", "hi_lo.fixed.p99", "uuidv7.fixed.p99"),
    ],
};

const fn rates(what: &'static str, of: &'static str, to: &'static str) -> Check {
    Check { what, quantity: Quantity::Ratio { of, to, less: None }, target: None }
}

/// What is run once in a round.
struct Turn<'a> {
    way: &'a Way,
    clients: usize,
    pace: Pace,
}

fn measure(near: &Server, plan: &Plan) -> Result<BTreeMap<String, Figures>> {
    let step = Step::quiet("Making two regions");
    let mut client = server::create_database(near, DATABASE)?;
    way::prepare_b(&mut client)?;
    let far = Server::start(near.tree(), "region_a", SETTINGS)?;
    way::prepare_a(&mut server::create_database(&far, DATABASE)?)?;
    let link = Link::open(&far, DATABASE, ROUND_TRIP / 2)?;
    let mut chapters = BTreeMap::new();
    let trips = link.calibrate(ROUND_TRIP)?;
    if plan.wants(&LINK) {
        let mut figures = Figures::default();
        for (name, trips) in [("near", link::round_trips(&mut client)?), ("far", trips)] {
            trips.into_iter().for_each(|trip| figures.add(name, Unit::Seconds, trip));
        }
        figures.count("round trips", u32::try_from(link::TRIPS)?);
        chapters.insert(LINK.name.to_owned(), figures);
    }
    step.done_with(&format!("{:.1} ms in each direction", link.delay().as_secs_f64() * 1e3));
    let most = CLIENTS.into_iter().max().unwrap_or_default().max(STEADY_CLIENTS);
    let step = Step::quiet(format!("Connecting {most} clients"));
    let mut clients = Clients::connect(near, DATABASE, &link, most)?;
    step.done();
    let length = Length {
        warm_up: Duration::from_millis(u64::from(plan.count(500, 200))),
        counted: Duration::from_millis(u64::from(plan.count(3_000, 1_000))),
    };
    let turns = |chapter: &Chapter| -> Vec<Turn<'static>> {
        if chapter.name == FLAT_OUT.name {
            let each =
                |way| CLIENTS.into_iter().map(move |clients| Turn { way, clients, pace: Pace::FlatOut });
            WAYS.iter().flat_map(each).collect()
        } else {
            WAYS.iter().map(|way| Turn { way, clients: STEADY_CLIENTS, pace: Pace::Fixed(RATE) }).collect()
        }
    };
    for chapter in [&FLAT_OUT, &FIXED].into_iter().filter(|chapter| plan.wants(chapter)) {
        let step = Step::quiet(format!("{}, by rounds", chapter.title));
        let mut figures = Figures::default();
        figures.count("ms of each run", u32::try_from(length.counted.as_millis())?);
        interleave(plan.rounds, WarmUp::None, &turns(chapter), &mut figures, |turn, figures| {
            client.batch_execute(&format!("TRUNCATE {}", turn.way.table()))?;
            let part = if turn.pace == Pace::FlatOut { turn.clients.to_string() } else { "fixed".to_owned() };
            let name = format!("{}.{part}", turn.way.name);
            load::run(&mut clients, turn.clients, turn.way, turn.pace, length, figures, &name)
        })?;
        chapters.insert(chapter.name.to_owned(), figures);
        step.done_with("done");
    }
    Ok(chapters)
}
