//! PostgreSQL's own programs.

use crate::database::{Database, programs};
use crate::program::{output, run};

#[test]
fn psql() {
    let database = Database::new("psql");
    let directory = database.server().tree().run().make_directory("psql").unwrap();
    let mut command = database.client_program("psql");
    let command =
        command.args(["-X", "-q", "-f"]).arg(programs().join("sql/use_psql.sql")).current_dir(directory);
    run(command);
    let plan = output(&mut {
        let mut command = database.client_program("psql");
        let query = "SET enable_seqscan = off; EXPLAIN SELECT FROM invoice WHERE id = stored('01ARZ3NDEKTSV4RRFFQ69G5FAV')";
        command.args(["-X", "-c", query]);
        command
    });
    assert!(plan.contains("Index Cond: (id = '01563e3a-b5d3-d676-4c61-efb99302bd5b'::uuid)"), "{plan}");
}

/// A key in a variable is a parameter in prepared statements. In the simple protocol it is pasted
/// into the text, without quotes.
#[test]
fn pgbench() {
    let database = Database::new("pgbench");
    let script = programs().join("sql/pgbench.sql");
    let pgbench = |arguments: &[&str], script: &std::path::Path| {
        let mut command = database.client_program("pgbench");
        command
            .args(["--no-vacuum", "--client", "2", "--transactions", "10"])
            .args(arguments)
            .arg("--file")
            .arg(script);
        command.output().unwrap()
    };
    let prepared = pgbench(&["--protocol", "prepared"], &script);
    assert!(prepared.status.success(), "{}", String::from_utf8_lossy(&prepared.stderr));
    let row = database.connect().query_one("SELECT count(*), sum(amount)::bigint FROM payment", &[]).unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (20, 40));

    assert!(!pgbench(&["--protocol", "simple"], &script).status.success());
    let quoted = database.server().tree().run().make_directory("pgbench").unwrap().join("quoted.sql");
    let text = std::fs::read_to_string(&script).unwrap().replace(":key", "':key'");
    std::fs::write(&quoted, text).unwrap();
    let simple = pgbench(&["--protocol", "simple"], &quoted);
    assert!(simple.status.success(), "{}", String::from_utf8_lossy(&simple.stderr));
}
