//! A pgbouncer in front of a server.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pg_test::{Server, Service};
use postgres::{Client, NoTls};

/// The database behind it.
pub const DATABASE: &str = "postgres";

/// Connections to the server for all clients.
pub const CONNECTIONS: i64 = 4;

/// The first version that can prepare statements for clients in transaction mode.
const FIRST_WITH_PREPARED: (u32, u32) = (1, 21);

/// A pooler that listens on a socket in its own directory.
pub struct Pooler {
    _service: Service,
    directory: PathBuf,
    version: (u32, u32),
}

/// Where `cargo xtask test --only tools` unpacks packages.
fn unpacked() -> PathBuf {
    // Cargo's directory for tests is "tmp" in its target directory.
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("tools/debian")
}

/// The program, and the directory of the libraries that it needs besides those of the system.
fn find() -> Option<(PathBuf, Option<PathBuf>)> {
    let ours = unpacked().join("usr/sbin/pgbouncer");
    if ours.exists() {
        let libraries = std::fs::read_dir(unpacked().join("usr/lib")).unwrap().map(Result::unwrap);
        let of_system =
            libraries.map(|entry| entry.path()).find(|path| path.to_string_lossy().ends_with("-linux-gnu"));
        return Some((ours, of_system));
    }
    let installed = PathBuf::from("/usr/sbin/pgbouncer");
    installed.exists().then_some((installed, None))
}

impl Pooler {
    /// Starts one. `None` if pgbouncer is not installed.
    pub fn start(server: &Server, mode: &str, settings: &[&str]) -> Option<Self> {
        let (program, libraries) = find()?;
        let run = server.tree().run();
        // Copies, since the server's user may not be allowed to read the checkout.
        let directory = run.make_directory("pgbouncer").unwrap();
        let copy = |from: &Path| {
            let to = directory.join(from.file_name().unwrap());
            std::fs::copy(from, &to).unwrap();
            run.give_to_server(&to).unwrap();
            to
        };
        let program = copy(&program);
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        for library in libraries.iter().flat_map(|path| std::fs::read_dir(path).unwrap().map(Result::unwrap))
        {
            // Copying follows links.
            if library.file_name().to_string_lossy().contains(".so") {
                copy(&library.path());
            }
        }
        let place = directory.display();
        let mut lines = vec![
            "[databases]".to_owned(),
            format!("{DATABASE} = host={}", server.socket_dir().display()),
            "[pgbouncer]".to_owned(),
            "listen_addr =".to_owned(),
            "listen_port = 6432".to_owned(),
            format!("unix_socket_dir = {place}"),
            "auth_type = trust".to_owned(),
            format!("auth_file = {place}/users.txt"),
            "admin_users = postgres".to_owned(),
            format!("logfile = {place}/log"),
            format!("default_pool_size = {CONNECTIONS}"),
            format!("pool_mode = {mode}"),
        ];
        lines.extend(settings.iter().map(|line| (*line).to_owned()));
        std::fs::write(directory.join("pgbouncer.ini"), lines.join("\n")).unwrap();
        std::fs::write(directory.join("users.txt"), "\"postgres\" \"\"\n").unwrap();
        let command = || {
            let mut command = run.command(&program);
            command.env("LD_LIBRARY_PATH", &directory).stdin(Stdio::null());
            command
        };
        let version = version(command().arg("--version"));
        let mut serve = command();
        serve.arg("--quiet").arg(directory.join("pgbouncer.ini")).stdout(Stdio::null()).stderr(Stdio::null());
        let mut service = Service::start(run, serve).unwrap();
        let log = || std::fs::read_to_string(directory.join("log")).unwrap_or_default();
        let deadline = Instant::now() + Duration::from_secs(60);
        while let Err(error) = connect(&directory, "pgbouncer") {
            assert!(service.is_running() && Instant::now() < deadline, "{error}\n{}", log());
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(Self { _service: service, directory, version })
    }

    /// Whether clients can prepare statements in transaction mode.
    pub fn can_prepare(&self) -> bool {
        self.version >= FIRST_WITH_PREPARED
    }

    /// Its version, with its name.
    pub fn version(&self) -> String {
        format!("pgbouncer {}.{}", self.version.0, self.version.1)
    }

    /// A client of the pooler.
    pub fn connect(&self) -> Client {
        connect(&self.directory, DATABASE).unwrap()
    }

    /// Runs a command of its console.
    pub fn command(&self, command: &str) {
        connect(&self.directory, "pgbouncer").unwrap().simple_query(command).unwrap();
    }
}

fn connect(directory: &Path, database: &str) -> Result<Client, postgres::Error> {
    let conninfo = format!("host={} port=6432 user=postgres dbname={database}", directory.display());
    Client::connect(&conninfo, NoTls)
}

/// "PgBouncer 1.18.0" in the first line.
fn version(command: &mut Command) -> (u32, u32) {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let number = text.split_whitespace().nth(1).unwrap_or_default().to_owned();
    let mut parts = number.split('.').map(|part| part.parse().ok());
    match (parts.next().flatten(), parts.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor),
        _ => panic!("no version in {text:?}: {}", String::from_utf8_lossy(&output.stderr)),
    }
}
