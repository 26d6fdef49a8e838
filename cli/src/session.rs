//! A connection to a node, and what the node says about itself.

use std::sync::{Arc, Mutex, PoisonError};

use keyspace::sequences::Class;
use postgres::types::ToSql;
use postgres::{Client, Row};

use crate::failure::{Failure, Result};
use crate::interrupt::{self, Cancellable};
use crate::nodes::{Node, Tls};

/// The oldest server that the extension supports.
const OLDEST_SERVER: i32 = 150_000;

/// A connection to a node.
pub struct Session {
    /// What the node says about itself.
    pub facts: Facts,
    client: Client,
    tls: Option<Tls>,
    notices: Arc<Mutex<Vec<Notice>>>,
}

/// A notice or a warning of a server.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Notice {
    /// `NOTICE`, `WARNING` ...
    pub severity: String,
    /// Its message.
    pub message: String,
    /// Its detail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Its hint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What a node says about itself.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The name that the user gave the node.
    pub name: String,
    /// The server, as in `pg_control_system()`.
    pub system_identifier: i64,
    /// The name of the database.
    pub database: String,
    /// The database, as in `pg_database.oid`.
    pub database_oid: u32,
    /// The timeline, which distinguishes a server from a promoted copy.
    pub timeline: i32,
    /// When the server was started, in seconds since 1970, which distinguishes two servers for certain.
    /// A time as text would depend on the time zone of the session.
    pub started_at: String,
    /// Whether the server is a standby or is being restored.
    pub in_recovery: bool,
    /// The version of the server, as a number and as a text.
    pub server_version: (i32, String),
    /// The extension.
    pub extension: Option<Extension>,
    /// The class of the database, if it is set up.
    pub class: Option<Class>,
    /// Whether the role owns the database or is a superuser.
    pub is_owner: bool,
}

/// The extension in a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// Its schema, quoted.
    pub schema: String,
    /// The version of its objects.
    pub version: String,
    /// The version that the installed files would create.
    pub available: Option<String>,
}

/// Facts that need no extension. The timeline is in the name of a WAL file, before the next checkpoint
/// stores it.
const FACTS: &str = "
    SELECT c.system_identifier, pg_catalog.current_database()::text, d.oid, pg_catalog.pg_is_in_recovery(),
           pg_catalog.current_setting('server_version_num')::int4, pg_catalog.current_setting('server_version'),
           pg_catalog.quote_ident(n.nspname), e.extversion, a.default_version::text,
           pg_catalog.pg_has_role(d.datdba, 'USAGE'),
           coalesce(pg_catalog.has_schema_privilege(n.oid, 'USAGE'), false),
           CASE WHEN pg_catalog.pg_is_in_recovery() THEN (SELECT k.timeline_id FROM pg_catalog.pg_control_checkpoint() k)
                ELSE ('x' || pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 8))::bit(32)::int4 END,
           extract(epoch FROM pg_catalog.pg_postmaster_start_time())::text
    FROM pg_catalog.pg_control_system() c
    JOIN pg_catalog.pg_database d ON d.datname = pg_catalog.current_database()
    LEFT JOIN pg_catalog.pg_extension e ON e.extname = 'pg_keyspace'
    LEFT JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
    LEFT JOIN pg_catalog.pg_available_extensions a ON a.name = 'pg_keyspace'";

impl Session {
    /// Connects to a node.
    ///
    /// # Errors
    /// If it cannot be reached, or is older than PostgreSQL 15.
    pub fn open(node: &Node) -> Result<Self> {
        Self::open_inner(node).map_err(|failure| failure.of_node(&node.name))
    }

    fn open_inner(node: &Node) -> Result<Self> {
        interrupt::check()?;
        let notices = Arc::new(Mutex::new(Vec::new()));
        let received = Arc::clone(&notices);
        let (mut client, tls) = node.connect(move |notice| {
            let notice = Notice {
                severity: notice.severity().to_owned(),
                message: notice.message().to_owned(),
                detail: notice.detail().map(str::to_owned),
                hint: notice.hint().map(str::to_owned),
            };
            received.lock().unwrap_or_else(PoisonError::into_inner).push(notice);
        })?;
        // Names come with their schemas, and nothing is found by a path that others can write to.
        client.batch_execute(
            "SET search_path TO pg_catalog, pg_temp; SET statement_timeout TO 0; SET lock_timeout TO 0;
             SET idle_in_transaction_session_timeout TO 0; SET idle_session_timeout TO 0; SET default_transaction_isolation TO 'read committed';
             SET client_min_messages TO notice; SET datestyle TO 'ISO'; SET intervalstyle TO 'postgres'",
        )?;
        // From PostgreSQL 17 on.
        let further = "SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name = 'transaction_timeout'";
        client.batch_execute(further)?;
        let row = client.query_one(FACTS, &[])?;
        let schema: Option<String> = row.try_get(6)?;
        let extension = match schema.zip(row.try_get(7)?) {
            Some((schema, version)) => Some(Extension { schema, version, available: row.try_get(8)? }),
            None => None,
        };
        // A role without the privilege cannot ask for it.
        let may_see: bool = row.try_get(10)?;
        let class = match extension.as_ref().filter(|_| may_see) {
            Some(extension) => class(&mut client, &extension.schema)?,
            None => None,
        };
        let facts = Facts {
            name: node.name.clone(),
            system_identifier: row.try_get(0)?,
            database: row.try_get(1)?,
            database_oid: row.try_get(2)?,
            timeline: row.try_get(11)?,
            started_at: row.try_get(12)?,
            in_recovery: row.try_get(3)?,
            server_version: (row.try_get(4)?, row.try_get(5)?),
            extension,
            class,
            is_owner: row.try_get(9)?,
        };
        if facts.server_version.0 < OLDEST_SERVER {
            let message = format!("PostgreSQL {} is not supported", facts.server_version.1);
            return Err(Failure::new(message).detail("The oldest supported version is 15."));
        }
        Ok(Self { facts, client, tls, notices })
    }

    /// The name of the node.
    pub fn name(&self) -> &str {
        &self.facts.name
    }

    /// Whether the connection is lost.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// A function, view or procedure of the extension, with its schema.
    ///
    /// # Errors
    /// If the database does not have the extension.
    pub fn object(&self, name: &str) -> Result<String> {
        Ok(format!("{}.{name}", self.facts.extension()?.schema))
    }

    /// Runs a query. An interrupt cancels it.
    ///
    /// # Errors
    /// Those of the server, about this node.
    pub fn query(&mut self, query: &str, arguments: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
        self.run(|client| client.query(query, arguments))
    }

    /// The only row of a query.
    ///
    /// # Errors
    /// Those of the server, about this node.
    pub fn query_one(&mut self, query: &str, arguments: &[&(dyn ToSql + Sync)]) -> Result<Row> {
        self.run(|client| client.query_one(query, arguments))
    }

    /// Runs a statement without a result.
    ///
    /// # Errors
    /// Those of the server, about this node.
    pub fn execute(&mut self, statement: &str, arguments: &[&(dyn ToSql + Sync)]) -> Result<u64> {
        self.run(|client| client.execute(statement, arguments))
    }

    /// Runs statements without arguments.
    ///
    /// # Errors
    /// Those of the server, about this node.
    pub fn batch_execute(&mut self, statements: &str) -> Result<()> {
        self.run(|client| client.batch_execute(statements))
    }

    /// The rows of a query as JSON objects, read into a type.
    ///
    /// # Errors
    /// Those of the server, or if a row is not of the type.
    pub fn rows<T: serde::de::DeserializeOwned>(
        &mut self,
        query: &str,
        arguments: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<T>> {
        let query = format!("SELECT pg_catalog.to_json(r)::text FROM ({query}) AS r");
        let rows = self.query(&query, arguments)?;
        let read = |row: &Row| -> Result<T> {
            let text: String = row.try_get(0)?;
            serde_json::from_str(&text).map_err(|error| {
                Failure::new(format!("could not read a row of the server: {error}"))
                    .hint("Use the program of the same version as the extension.")
            })
        };
        let rows: Result<Vec<T>> = rows.iter().map(read).collect();
        rows.map_err(|failure| failure.of_node(&self.facts.name))
    }

    fn run<T>(
        &mut self,
        work: impl FnOnce(&mut Client) -> std::result::Result<T, postgres::Error>,
    ) -> Result<T> {
        let cancellable = Cancellable::new(self.client.cancel_token(), self.tls.clone())?;
        let done = work(&mut self.client);
        drop(cancellable);
        done.map_err(|error| {
            // An interrupt cancels the statement, and says more than the error does.
            if let Err(interrupted) = interrupt::check() {
                return interrupted;
            }
            Failure::of_server(&error).of_node(&self.facts.name)
        })
    }

    /// The notices and warnings since the last call.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut *self.notices.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The process of this session on the server.
    ///
    /// # Errors
    /// Those of the server.
    pub fn process(&mut self) -> Result<i32> {
        Ok(self.query_one("SELECT pg_backend_pid()", &[])?.try_get(0)?)
    }

    /// Reads the class of the node again.
    ///
    /// # Errors
    /// Those of the server.
    pub fn read_class_again(&mut self) -> Result<Option<Class>> {
        let schema = self.facts.extension()?.schema.clone();
        self.facts.class =
            class(&mut self.client, &schema).map_err(|failure| failure.of_node(&self.facts.name))?;
        Ok(self.facts.class)
    }

    /// The state of the node, for the others.
    ///
    /// # Errors
    /// Those of the server.
    pub fn state(&mut self) -> Result<String> {
        let function = self.object("interleaved_node_state")?;
        let row = self.query_one(&format!("SELECT {function}()::text"), &[])?;
        row.try_get(0).map_err(|error| Failure::of_server(&error).of_node(&self.facts.name))
    }
}

impl Facts {
    /// The server and database, which copies have in common.
    pub fn identity(&self) -> (i64, u32) {
        (self.system_identifier, self.database_oid)
    }

    /// The extension.
    ///
    /// # Errors
    /// If the database does not have it.
    pub fn extension(&self) -> Result<&Extension> {
        self.extension.as_ref().ok_or_else(|| {
            let hint = if self.in_recovery {
                "Run CREATE EXTENSION pg_keyspace on its primary."
            } else {
                "Run CREATE EXTENSION pg_keyspace there."
            };
            Failure::new(format!("database \"{}\" does not have the extension pg_keyspace", self.database))
                .of_node(&self.name)
                .hint(hint)
        })
    }
}

/// The class of a database: settings replace what is stored.
fn class(client: &mut Client, schema: &str) -> Result<Option<Class>> {
    let query = format!(
        "SELECT coalesce(nullif(pg_catalog.current_setting('pg_keyspace.node', true), '')::int4, 0),
                coalesce(nullif(pg_catalog.current_setting('pg_keyspace.nodes', true), '')::int4, 0),
                n.node, n.nodes
         FROM (SELECT) AS one LEFT JOIN {schema}.interleaved_node n ON true"
    );
    let row = client.query_one(&query, &[])?;
    let (node, nodes): (i32, i32) = (row.try_get(0)?, row.try_get(1)?);
    if let Ok(class) = Class::new(node, nodes) {
        return Ok(Some(class));
    }
    let stored: (Option<i32>, Option<i32>) = (row.try_get(2)?, row.try_get(3)?);
    Ok(stored.0.zip(stored.1).and_then(|(node, nodes)| Class::new(node, nodes).ok()))
}

/// Does something with each of several things at once, and returns the results in their order.
pub fn at_once<T: Send, R: Send>(things: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let work = &work;
    std::thread::scope(|scope| {
        let threads: Vec<_> = things.into_iter().map(|thing| scope.spawn(move || work(thing))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}
