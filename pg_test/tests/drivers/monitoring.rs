//! The queries for postgres_exporter, by Debian's exporter; the rules, by promtool; the dashboard, by
//! the types that Grafana publishes.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pg_test::{skip, tested};

use crate::database::{Database, programs, project};
use crate::debian::program_of_debian;
use crate::install::node;
use crate::program::output;

const EXPORTER: &str = "prometheus-postgres-exporter";

/// An exporter, which ends with this value.
struct Exporter {
    process: Child,
    port: u16,
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Exporter {
    fn start(program: &Path, database: &Database, role: &str) -> Self {
        // The port is free at this moment; the exporter takes no socket that is already open.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let conninfo = database.server().conninfo_of(role, "monitoring");
        let process = Command::new(program)
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg(format!(
                "--extend.query-path={}",
                project("clients/monitoring/postgres_exporter.yaml").display()
            ))
            .env("DATA_SOURCE_NAME", format!("{conninfo} sslmode=disable"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { process, port }
    }

    /// The figures of the extension, once the exporter has some.
    fn figures(&self) -> Vec<String> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let text = self.get("/metrics").unwrap_or_default();
            let ours: Vec<String> =
                text.lines().filter(|line| line.starts_with("pg_keyspace_")).map(str::to_owned).collect();
            if !ours.is_empty() {
                return ours;
            }
            assert!(Instant::now() < deadline, "no figure in {text}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn get(&self, path: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes())?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    }
}

/// The value of the figure with this name and these labels.
fn value(figures: &[String], name: &str, labels: &[&str]) -> f64 {
    let is_it = |line: &&String| {
        line.starts_with(&format!("{name}{{")) && labels.iter().all(|label| line.contains(label))
    };
    let line = figures.iter().find(is_it).unwrap_or_else(|| panic!("no {name} {labels:?} in {figures:#?}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn exporter() {
    let Some(program) = program_of_debian(EXPORTER) else {
        return skip("exporter", "prometheus-postgres-exporter is not installed");
    };
    let database = Database::new("monitoring");
    database.run(
        "CREATE TABLE near_the_end (id smallserial PRIMARY KEY);
        SELECT FROM setup_interleaved_sequences(2, 2);
        INSERT INTO near_the_end SELECT FROM generate_series(1, 15000);
        CREATE TABLE strange (id bigserial PRIMARY KEY);
        CREATE TABLE orders (id bigint PRIMARY KEY, created_at timestamptz DEFAULT now());
        INSERT INTO orders SELECT number FROM generate_series(1, 100) AS number;
        CREATE SUBSCRIPTION from_afar CONNECTION 'dbname=nowhere' PUBLICATION p
            WITH (connect = false, slot_name = NONE);
        CREATE ROLE watcher LOGIN IN ROLE pg_monitor, pg_read_all_data;",
    );
    database.run("SELECT key_migration_create('orders', timestamp_column => 'created_at')");
    // Nobody goes on with this one after its first step, so no table has any progress.
    database.run("CALL key_migration_advance('orders', through => 'prepared')");
    let exporter = Exporter::start(&program, &database, "watcher");
    let figures = exporter.figures();
    assert_eq!(value(&figures, "pg_keyspace_node_node", &["datname=\"monitoring\""]), 2.0);
    assert_eq!(value(&figures, "pg_keyspace_node_nodes", &[]), 2.0);
    let used = value(&figures, "pg_keyspace_sequence_percent_used", &["sequence=\"near_the_end_id_seq\""]);
    assert!((90.0..93.0).contains(&used), "{used}");
    assert_eq!(value(&figures, "pg_keyspace_sequence_in_order", &["near_the_end_id_seq"]), 1.0);
    // The sequence that was created after the set-up.
    assert_eq!(value(&figures, "pg_keyspace_sequence_in_order", &["strange_id_seq"]), 0.0);
    assert!(value(&figures, "pg_keyspace_findings_count", &["severity=\"error\""]) >= 1.0, "{figures:#?}");
    assert_eq!(value(&figures, "pg_keyspace_migration_percent", &["migration=\"orders\""]), 0.0);
    let idle = ["migration=\"orders\"", "phase=\"prepared\"", "state=\"idle\""];
    let seconds = value(&figures, "pg_keyspace_migration_seconds_since_update", &idle);
    assert!((0.0..60.0).contains(&seconds), "{seconds}");
    assert_eq!(value(&figures, "pg_keyspace_migration_tries", &idle), 0.0);
    for counter in ["conflicts", "apply_errors"] {
        let name = format!("pg_keyspace_subscription_{counter}");
        assert_eq!(value(&figures, &name, &["subname=\"from_afar\""]), 0.0);
    }
    let version = Command::new(program).arg("--version").output().unwrap();
    let text = [version.stdout, version.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    let version = text.split("version ").nth(1).and_then(|rest| rest.split([' ', ',', '+']).next());
    tested(&format!("postgres_exporter {}", version.unwrap_or("of an unknown version")));
}

#[test]
fn alert_rules() {
    let Some(promtool) = program_of_debian("promtool") else {
        return skip("alert_rules", "promtool (Debian's package prometheus) is not installed");
    };
    let rules = project("clients/monitoring/alerts.yaml");
    output(Command::new(&promtool).args(["check", "rules"]).arg(&rules));
    let tests = programs().join("prometheus/alerts_test.yaml");
    output(Command::new(&promtool).args(["test", "rules"]).arg(&tests));
    // Each rule has a test in which it fires.
    let (rules, tests) = (std::fs::read_to_string(rules).unwrap(), std::fs::read_to_string(tests).unwrap());
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert_eq!(alerts.len(), 10, "{alerts:?}");
    for alert in alerts {
        assert!(
            tests.contains(&format!("        alertname: {alert}\n        exp_alerts:\n")),
            "{alert} fires"
        );
    }
    let version = output(Command::new(promtool).arg("--version"));
    tested(&format!("promtool {}", version.split_whitespace().nth(2).unwrap_or("of an unknown version")));
}

/// Every figure of the rules and of the dashboard is one of the queries.
#[test]
fn rules_and_dashboard_use_figures_that_exist() {
    let queries = std::fs::read_to_string(project("clients/monitoring/postgres_exporter.yaml")).unwrap();
    let mut figures = Vec::new();
    let mut query = "";
    for line in queries.lines() {
        if let Some(name) = line.strip_suffix(':').filter(|name| name.starts_with("pg_keyspace_")) {
            query = name;
        } else if let Some(column) = line.trim().strip_prefix("- ").and_then(|line| line.split(':').next()) {
            figures.push(format!("{query}_{column}"));
        }
    }
    assert!(figures.len() > 20, "{figures:?}");
    for file in ["alerts.yaml", "grafana.json"] {
        let text = std::fs::read_to_string(project("clients/monitoring").join(file)).unwrap();
        let used: Vec<&str> = text
            .split(|character: char| !character.is_ascii_lowercase() && character != '_')
            .filter(|word| word.starts_with("pg_keyspace_"))
            .collect();
        assert!(used.len() > 5, "{file}: {used:?}");
        for figure in used {
            assert!(figures.iter().any(|known| known == figure), "{file}: {figure} is none of {figures:?}");
        }
    }
}

#[test]
fn dashboard() {
    match node(&["typescript", "@grafana/schema", "@types/node"]) {
        Ok(directory) => {
            let dashboard = std::fs::read_to_string(project("clients/monitoring/grafana.json")).unwrap();
            let check = directory.join("../dashboard");
            std::fs::create_dir_all(&check).unwrap();
            // A value of an enumeration is no text for the compiler.
            let dashboard = dashboard.replace("\"absolute\"", "ThresholdsMode.Absolute");
            let source = format!(
                "import {{ type Dashboard, ThresholdsMode }} from \"@grafana/schema\";\n\
                export const dashboard: Dashboard = {dashboard};\n"
            );
            std::fs::write(check.join("dashboard.ts"), source).unwrap();
            let mut tsc = Command::new(directory.join("../node_modules/.bin/tsc"));
            let options = ["--noEmit", "--strict", "--skipLibCheck", "--module", "preserve", "dashboard.ts"];
            output(tsc.args(options).current_dir(check));
        }
        Err(reason) => skip("dashboard", &reason),
    }
}
