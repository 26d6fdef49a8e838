//! A database for each test, on one server for all of them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use pg_test::{InstallTree, Server};

/// The directory of the programs.
pub fn programs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/drivers/programs")
}

/// A file or directory by its path from the top of the project.
pub fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(path)
}

/// The server ends with the last test that uses it.
fn server() -> Arc<Server> {
    static SERVER: Mutex<Weak<Server>> = Mutex::new(Weak::new());
    let mut shared = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let tree = InstallTree::from_environment().unwrap();
        let server = Arc::new(Server::start(&tree, "drivers", &["max_connections = 200"]).unwrap());
        *shared = Arc::downgrade(&server);
        server
    })
}

/// A database of its own for a test.
pub struct Database {
    server: Arc<Server>,
    name: String,
}

impl Database {
    /// An empty one.
    pub fn empty(test: &str) -> Self {
        let database = Self { server: server(), name: test.to_owned() };
        let mut client = database.server.connect("postgres").unwrap();
        client.batch_execute(&format!("CREATE DATABASE {test}")).unwrap();
        database
    }

    /// One that is node 2 of 2, with the tables of `programs/sql/schema.sql`.
    pub fn new(test: &str) -> Self {
        let database = Self::empty(test);
        database.run(&std::fs::read_to_string(programs().join("sql/schema.sql")).unwrap());
        database
    }

    /// The server that it is on.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Connects to it.
    pub fn connect(&self) -> postgres::Client {
        self.server.connect(&self.name).unwrap()
    }

    /// The connection string for libpq.
    pub fn conninfo(&self) -> String {
        self.server.conninfo(&self.name)
    }

    /// Runs statements.
    pub fn run(&self, statements: &str) {
        self.connect().batch_execute(statements).unwrap();
    }

    /// A command whose connections go to this database by default, as libpq and most drivers
    /// understand it.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command
            .env("PGHOST", self.server.socket_dir())
            .env("PGPORT", "5432")
            .env("PGUSER", "postgres")
            .env("PGDATABASE", &self.name)
            .env("TZ", "UTC");
        command
    }

    /// One of PostgreSQL's programs.
    pub fn client_program(&self, program: &str) -> Command {
        self.command(self.server.tree().bindir().join(program))
    }
}
