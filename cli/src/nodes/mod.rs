//! The nodes that a command is about, and how to reach them as libpq would.

mod attempts;
mod certificates;
mod conninfo;
mod environment;
mod fleet_file;
mod passfile;
mod service_file;
mod tls_stream;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use postgres::config::SslMode;
use postgres::error::SqlState;
use postgres::{Client, Config, NoTls};

pub use self::tls_stream::Tls;

use self::attempts::Attempt;
use self::conninfo::Parameters;
use self::environment::Environment;
use self::fleet_file::{FleetFile, FleetNode};
use crate::failure::{Failure, Result};

/// The nodes, as the user describes them.
pub struct Fleet {
    /// The file that describes them, if there is one.
    pub file: Option<PathBuf>,
    /// The number of classes in that file.
    pub classes: Option<i32>,
    /// At least one, in order, with names that differ.
    pub nodes: Vec<Node>,
}

/// A node.
pub struct Node {
    /// Its name: letters, digits, `-`, `_` and `.`, so that it can be printed anywhere.
    pub name: String,
    /// The class that the user gives it.
    pub class: Option<i32>,
    parameters: Parameters,
}

impl Fleet {
    /// The nodes of a file, and those of arguments `NAME=CONNINFO`.
    ///
    /// # Errors
    /// If there is none, one is invalid, or two have one name.
    pub fn of(file: Option<&Path>, arguments: &[String]) -> Result<Self> {
        let content = file.map(FleetFile::read).transpose()?.unwrap_or_default();
        let mut given = content.nodes;
        for argument in arguments {
            let (name, connection) = argument.split_once('=').ok_or_else(|| {
                Failure::new("invalid value for \"--node\": \"=\" is missing")
                    .hint("Write the name of the node before its connection string: --node 'one=host=server1 dbname=shop'.")
            })?;
            given.push(FleetNode { name: name.to_owned(), connection: connection.to_owned(), class: None });
        }
        if given.is_empty() {
            return Err(Failure::new("no nodes specified")
                .hint("Name each with --node NAME=CONNINFO, or all in a file with --fleet FILE."));
        }
        let mut nodes: Vec<Node> = Vec::new();
        for one in given {
            let node = Node::of(one)?;
            if nodes.iter().any(|other| other.name == node.name) {
                return Err(Failure::new(format!("node \"{}\" is specified twice", node.name)));
            }
            nodes.push(node);
        }
        Ok(Self { file: file.map(Path::to_owned), classes: content.classes, nodes })
    }

    /// A node by its name.
    ///
    /// # Errors
    /// If there is none.
    pub fn node(&self, name: &str) -> Result<&Node> {
        self.nodes.iter().find(|node| node.name == name).ok_or_else(|| {
            let names: Vec<&str> = self.nodes.iter().map(|node| node.name.as_str()).collect();
            Failure::new(format!("there is no node \"{name}\""))
                .detail(format!("The nodes are: {}.", names.join(", ")))
        })
    }
}

impl Node {
    fn of(given: FleetNode) -> Result<Self> {
        let FleetNode { name, connection, class } = given;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > 63 || !name.chars().all(is_plain) {
            // It is not repeated: a connection string whose name was forgotten has a password in it.
            return Err(Failure::new("invalid name of a node").hint(
                "Use letters, digits, \"-\", \"_\" and \".\", 63 at most, before \"=\" and the connection string.",
            ));
        }
        let parameters = conninfo::parse(&connection).map_err(|failure| failure.of_node(&name))?;
        if parameters.contains_key("password") {
            // Other users of the machine see arguments, and a file is copied and committed.
            return Err(Failure::new("a connection string must not contain a password")
                .of_node(&name)
                .hint("Put it into ~/.pgpass, a service file or PGPASSWORD, and change it if it was on a command line: other users could see it."));
        }
        Ok(Self { name, class, parameters })
    }

    /// Connects. The callback gets each notice and warning of the server.
    ///
    /// # Errors
    /// If no host accepts the connection.
    pub fn connect(
        &self,
        on_notice: impl Fn(&postgres::error::DbError) + Send + Sync + 'static,
    ) -> Result<(Client, Option<Tls>)> {
        self.connect_in(&Environment::of_process(), Arc::new(on_notice)).map_err(|failure| {
            let failure = failure.of_node(&self.name);
            Failure { message: format!("could not connect: {}", failure.message), ..failure }
        })
    }

    fn connect_in(
        &self,
        environment: &Environment,
        on_notice: Arc<dyn Fn(&postgres::error::DbError) + Send + Sync>,
    ) -> Result<(Client, Option<Tls>)> {
        let parameters = environment.complete(self.parameters.clone())?;
        let mut last = Failure::new("no host is specified");
        for attempt in attempts::attempts(parameters, environment)? {
            match connect_to(attempt, &on_notice) {
                Ok(connected) => return Ok(connected),
                Err(failure) => last = failure,
            }
        }
        Err(last)
    }
}

fn connect_to(
    attempt: Attempt,
    on_notice: &Arc<dyn Fn(&postgres::error::DbError) + Send + Sync>,
) -> Result<(Client, Option<Tls>)> {
    let Attempt { mut config, modes, verification, files } = attempt;
    let on_notice = Arc::clone(on_notice);
    config.notice_callback(move |notice| on_notice(&notice));
    let mut first = None;
    for mode in modes {
        match connect_with(&mut config, mode, || certificates::config(verification, &files)) {
            Ok(connected) => return Ok(connected),
            Err((failure, is_about_encryption)) => {
                // As libpq does: the other mode is tried if this one is what was refused.
                if !is_about_encryption {
                    return Err(failure);
                }
                first.get_or_insert(failure);
            }
        }
    }
    Err(first.unwrap_or_else(|| Failure::new("no mode of encryption is possible")))
}

/// Connects in one mode. An error comes with whether another mode may help.
fn connect_with(
    config: &mut Config,
    mode: SslMode,
    tls: impl FnOnce() -> Result<rustls::ClientConfig>,
) -> std::result::Result<(Client, Option<Tls>), (Failure, bool)> {
    config.ssl_mode(mode);
    let describe = |error: &postgres::Error| {
        let is_refused = error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION);
        let is_about_encryption = is_refused || (mode == SslMode::Prefer && error.code().is_none());
        (Failure::of_server(error), is_about_encryption)
    };
    if mode == SslMode::Disable {
        return config.connect(NoTls).map(|client| (client, None)).map_err(|error| describe(&error));
    }
    let tls = Tls(Arc::new(tls().map_err(|failure| (failure, false))?));
    match config.connect(tls.clone()) {
        Ok(client) => Ok((client, Some(tls))),
        Err(error) => Err(describe(&error)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(arguments: &[&str]) -> Result<Fleet> {
        Fleet::of(None, &arguments.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn nodes_keep_their_order_and_have_names_that_differ() {
        let fleet = of(&["two=host=server2", "one=postgres://server1/shop"]).unwrap();
        let names: Vec<&str> = fleet.nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["two", "one"]);
        assert_eq!(fleet.node("one").unwrap().parameters.get("dbname").unwrap(), "shop");
        let unknown = fleet.node("three").err().unwrap();
        assert_eq!(unknown.detail.as_deref(), Some("The nodes are: two, one."));
    }

    #[test]
    fn bad_nodes_are_refused() {
        for (arguments, message) in [
            (vec![], "no nodes specified"),
            (vec!["host"], "\"=\" is missing"),
            (vec!["a=host=x", "a=host=y"], "node \"a\" is specified twice"),
            (vec!["a b=host=x"], "invalid name of a node"),
            (vec!["=host=x"], "invalid name of a node"),
            (vec!["\u{1b}[1m=host=x"], "invalid name of a node"),
            (vec!["postgres://me:secret@x/?sslmode=require"], "invalid name of a node"),
            (vec!["a=nothing"], "\"=\" is missing after \"nothing\""),
            (vec!["a=host=x password=secret"], "must not contain a password"),
            (vec!["a=postgres://me:secret@x/"], "must not contain a password"),
        ] {
            let failure = of(&arguments).err().unwrap();
            assert!(failure.message.contains(message), "{arguments:?}: {}", failure.message);
            assert!(!failure.to_string().contains("secret") && !failure.to_string().contains('\u{1b}'));
        }
    }
}
