//! Drivers of which Debian has packages: JDBC, pgx, PDO, ActiveRecord.

use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pg_test::skip;

use crate::database::{Database, programs, project};
use crate::install::{Reason, cache, succeed};
use crate::program::{output, run};

const JDBC: &str = "/usr/share/java/postgresql.jar";
const GO_SOURCES: &str = "/usr/share/gocode/src";

/// Whether a program can be started.
pub fn has_program(program: &str) -> bool {
    let started = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    started.is_ok()
}

fn need(program: &str) -> Result<(), Reason> {
    if has_program(program) { Ok(()) } else { Err(format!("{program} is not installed")) }
}

/// A program of a package of Debian: one that is installed, or that `cargo xtask test --only drivers`
/// has unpacked.
pub fn program_of_debian(program: &str) -> Option<PathBuf> {
    let unpacked = cache().join("debian/usr/bin").join(program);
    if has_program(program) { Some(program.into()) } else { unpacked.exists().then_some(unpacked) }
}

/// Compiles a program with some of the ready-made classes.
pub fn in_java(program: &str, classes: &[&str], jar: Option<&str>) -> Result<Command, Reason> {
    need("javac")?;
    if let Some(jar) = jar.filter(|jar| !Path::new(jar).exists()) {
        return Err(format!("{jar} does not exist"));
    }
    let directory = cache().join("java").join(program);
    std::fs::create_dir_all(&directory).unwrap();
    let source = |class: &&str| project("clients/java/keyspace").join(format!("{class}.java"));
    let mut compile = Command::new("javac");
    compile.arg("-Xlint:all").arg("-Werror").arg("-d").arg(&directory);
    compile.args(jar.map(|jar| ["-classpath", jar]).into_iter().flatten());
    compile.args(classes.iter().map(source)).arg(programs().join("java").join(format!("{program}.java")));
    output(&mut compile);
    let mut command = Command::new("java");
    let classpath = [directory.display().to_string(), jar.unwrap_or_default().to_owned()].join(":");
    command.args(["-classpath", classpath.trim_end_matches(':'), program]);
    Ok(command)
}

/// Compiles a program with the ready-made packages, and with others from Debian.
pub fn in_go(program: &str, packages: &[&str]) -> Result<Command, Reason> {
    need("gofmt")?;
    for package in packages {
        if !Path::new(GO_SOURCES).join(package).exists() {
            return Err(format!("{GO_SOURCES}/{package} does not exist"));
        }
    }
    let top = cache().join("go").join(program);
    let sources = top.join("src");
    for package in ["keyspace", "keyspacepgx"] {
        let directory = sources.join(package);
        std::fs::create_dir_all(&directory).unwrap();
        for file in std::fs::read_dir(project("clients/go").join(package)).unwrap().map(Result::unwrap) {
            std::fs::copy(file.path(), directory.join(file.file_name())).unwrap();
        }
    }
    let executable = top.join(program);
    let mut build = Command::new("go");
    // Debian's packages are sources without modules.
    build.args(["build", "-o"]).arg(&executable).arg(programs().join("go").join(format!("{program}.go")));
    build.env("GO111MODULE", "off").env("GOPATH", format!("{}:/usr/share/gocode", top.display()));
    output(build.env("GOCACHE", cache().join("go/cache")).env("GOFLAGS", "").current_dir(&top));
    Ok(Command::new(executable))
}

/// Gives a command the connections of another one.
fn connect_like(command: &mut Command, other: &Command) {
    for (name, value) in other.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
}

#[test]
fn jdbc() {
    let mut command = match in_java("UseJdbc", &["DerivedKeys", "Ulid"], Some(JDBC)) {
        Ok(command) => command,
        Err(reason) => return skip("jdbc", &reason),
    };
    let database = Database::new("jdbc");
    let port = forward(database.server().socket_dir().join(".s.PGSQL.5432"));
    run(command.arg(format!("jdbc:postgresql://127.0.0.1:{port}/jdbc?user=postgres")));
}

/// Forwards a port of this machine to a socket, for drivers that know no sockets.
fn forward(socket: PathBuf) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = UnixStream::connect(&socket).unwrap();
            let (from_client, to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || pass(from_client, to_server));
            std::thread::spawn(move || back(server, client));
        }
    });
    port
}

fn pass(mut from: TcpStream, mut to: UnixStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

fn back(mut from: UnixStream, mut to: TcpStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

#[test]
fn pgx() {
    let package = "github.com/jackc/pgx/v5";
    let mut command = match in_go("use_pgx", &[package]) {
        Ok(command) => command,
        Err(reason) => return skip("pgx", &reason),
    };
    let database = Database::new("pgx");
    connect_like(&mut command, &database.command(""));
    run(command.arg(package_version("golang-github-jackc-pgx-v5-dev")));
}

fn package_version(package: &str) -> String {
    output(Command::new("dpkg-query").args(["--show", "--showformat", "${Version}", package]))
}

#[test]
fn pdo() {
    if let Err(reason) =
        succeed(Command::new("php").args(["-r", "exit(extension_loaded('pdo_pgsql') ? 0 : 1);"]))
    {
        return skip("pdo", &format!("{reason} (PHP with pdo_pgsql)"));
    }
    let database = Database::new("pdo");
    let mut command = Command::new("php");
    run(command.arg(programs().join("php/use_pdo.php")).arg(database.conninfo()));
}

#[test]
fn rails() {
    let requirements = ["-e", "require 'active_record'; require 'pg'"];
    if let Err(reason) = succeed(Command::new("ruby").args(requirements)) {
        return skip("rails", &reason);
    }
    let database = Database::new("rails");
    let program = programs().join("ruby/use_rails.rb");
    output(database.command("ruby").arg(&program));
    run(database.command("ruby").arg(program).arg(project("clients/ruby")));
}
