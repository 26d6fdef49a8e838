//! Passwords, service files and the environment, as libpq uses them.

use std::os::unix::fs::PermissionsExt;

use pg_test::Server;

use crate::program::{DATABASE, Ended, Program, run, start, value, wait_until};

const PASSWORD: &str = "correct horse:battery\\staple";

/// From now on, role `app` needs a password.
fn require_password(server: &Server) {
    run(server, &format!("CREATE ROLE app LOGIN SUPERUSER PASSWORD '{PASSWORD}'"));
    let file: String = value(server, "SHOW hba_file");
    let rules = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("local all app scram-sha-256\n{rules}")).unwrap();
    run(server, "SELECT pg_reload_conf()");
    wait_until("a reload", || server.connect_as("app", DATABASE).is_err());
}

#[test]
fn passwords_come_from_the_places_of_libpq_and_go_nowhere() {
    let server = start("one");
    require_password(&server);
    let program = Program::new().with("one", &server.conninfo_of("app", DATABASE));
    program.expect(2, &["check"]).assert_error("could not connect: ");
    let with = |variable: &str, text: &str| {
        Ended::of(program.command(&["check"]).env(variable, text).output().unwrap())
    };
    let wrong = with("PGPASSWORD", "secret");
    assert_eq!(wrong.code, Some(2));
    wrong.assert_error("password authentication failed for user \"app\"");
    assert!(!wrong.stderr.contains("secret"), "{}", wrong.stderr);
    assert_eq!(with("PGPASSWORD", PASSWORD).code, Some(1), "the check of a database that is no node");

    let quoted = PASSWORD.replace('\\', "\\\\").replace(':', "\\:");
    let path = program.home().join(".pgpass");
    std::fs::write(&path, format!("otherhost:*:*:*:x\n*:5432:postgres:app:{quoted}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    program.expect(2, &["check"]).assert_error("has group or world access");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    program.expect(1, &["check"]);
}

#[test]
fn services_and_the_environment_name_servers() {
    let server = start("one");
    let program = Program::new().with("one", "service=shop");
    let host = server.socket_dir().display().to_string();
    program.expect(2, &["check"]).assert_error("definition of service \"shop\" not found");
    let service = format!("[other]\nhost=/nowhere\n[shop]\nhost={host}\nuser=postgres\ndbname={DATABASE}\n");
    std::fs::write(program.home().join(".pg_service.conf"), service).unwrap();
    let status = program.json(1, &["status"]);
    assert_eq!(status["nodes"][0]["database"], DATABASE);
    let program = Program::new().with("one", "");
    let mut command = program.command(&["status"]);
    command.env("PGHOST", &host).env("PGUSER", "postgres").env("PGDATABASE", DATABASE);
    assert_eq!(Ended::of(command.output().unwrap()).code, Some(1));
}
