//! Two servers that hold the shop.

use std::sync::Arc;

use anyhow::{Context, Result};
use pg_test::replication::Method;
use pg_test::{InstallTree, Run, Server, load};
use postgres::Client;

/// The database of the shop.
pub const DATABASE: &str = "postgres";

/// The marks of each node's rows.
pub const MAKERS: [&str; 2] = ["node 1", "node 2"];

/// The generated shop.
pub const SHOP: &str = include_str!("shop.sql");

/// Two servers, each with the same shop, and replication between them once it is switched on.
pub struct Pair {
    pub method: Method,
    pub servers: [Server; 2],
}

impl Pair {
    /// Starts both at once and fills them.
    pub fn start(tree: &InstallTree, names: [&str; 2]) -> Result<Self> {
        let method = Method::of(tree)?;
        let settings = method.settings(tree)?;
        let start = |name: &str| -> Result<Server> {
            let server = Server::start(tree, name, &settings)?;
            let mut client = server.connect(DATABASE)?;
            client.batch_execute("CREATE EXTENSION pg_keyspace").context("could not create the extension")?;
            client.batch_execute(SHOP).context("could not fill the shop")?;
            Ok(server)
        };
        let started = load::at_once(names.to_vec(), Ok, start)?.results;
        let servers = <[Server; 2]>::try_from(started).ok().context("there are two names")?;
        Ok(Self { method, servers })
    }

    /// Both servers.
    pub fn both(&self) -> [&Server; 2] {
        [&self.servers[0], &self.servers[1]]
    }

    /// A connection to each.
    pub fn clients(&self) -> Result<[Client; 2]> {
        Ok([self.servers[0].connect(DATABASE)?, self.servers[1].connect(DATABASE)?])
    }

    /// Replicates both ways from now on.
    pub fn replicate(&self) -> Result<()> {
        self.method.connect_all(&self.both(), DATABASE)
    }
}

/// The directory of the servers, which outlives this program with `keep`.
pub fn run(keep: bool) -> Result<Arc<Run>> {
    let run = Run::new(keep)?;
    if keep {
        std::fs::write(run.directory().join("kept"), "").context("could not mark the directory as kept")?;
    }
    Ok(run)
}
