//! The library in shared_preload_libraries, and not.

use std::collections::HashSet;

use pg_test::{InstallTree, Server};

pub const PRELOADED: &str = "shared_preload_libraries = 'pg_keyspace'";
pub const DATABASE: &str = "postgres";

/// A server with the extension.
pub fn start(settings: &[&str]) -> Server {
    let tree = InstallTree::from_environment().unwrap();
    let server = Server::start(&tree, "keys", settings).unwrap();
    server.connect(DATABASE).unwrap().batch_execute("CREATE EXTENSION pg_keyspace").unwrap();
    server
}

/// Every session starts with its own random bits, although all are forked from one process that has
/// loaded the library.
#[test]
fn trap_k01_sessions_of_a_preloaded_server_share_no_stream() {
    let server = start(&[PRELOADED]);
    let mut keys = HashSet::new();
    for _ in 0..50 {
        let mut client = server.connect(DATABASE).unwrap();
        // Of one timestamp, so that only the random bits differ.
        let rows = client
            .query(
                "SELECT public.uuidv7_from_timestamp(timestamptz '2024-01-01')::text,
                        ulid_from_timestamp(timestamptz '2024-01-01')::text FROM generate_series(1, 10)",
                &[],
            )
            .unwrap();
        keys.extend(rows.iter().flat_map(|row| [row.get::<_, String>(0), row.get(1)]));
    }
    assert_eq!(keys.len(), 50 * 10 * 2);
}

/// Before PostgreSQL 17 a library that is loaded later has no shared memory. The error says so, and
/// the session continues.
#[test]
fn without_preload_server_wide_keys_work_or_name_the_setting() {
    let server = start(&[]);
    let mut client = server.connect(DATABASE).unwrap();
    for function in ["uuidv7_monotonic", "ulid_monotonic"] {
        let call = format!("SELECT {function}() < {function}()");
        match client.query_one(&call, &[]) {
            Ok(row) => {
                assert!(server.tree().major() >= 17);
                assert!(row.get::<_, bool>(0));
            }
            Err(error) => {
                let error = error.as_db_error().expect("an error of the server's").clone();
                assert!(server.tree().major() < 17, "{error:?}");
                assert_eq!(error.code().code(), "55000");
                assert_eq!(
                    error.message(),
                    "pg_keyspace must be loaded via \"shared_preload_libraries\" for keys that increase over all sessions"
                );
                assert_eq!(
                    error.hint(),
                    Some("Add pg_keyspace to shared_preload_libraries and restart the server.")
                );
            }
        }
    }
    // The session continues, and generates keys that need no shared memory.
    assert!(client.query_one("SELECT ulid() < ulid()", &[]).unwrap().get::<_, bool>(0));
}

/// After a crash of a backend, the shared memory is created again.
#[test]
fn server_wide_keys_continue_after_a_crash_and_a_restart() {
    let mut server = start(&[PRELOADED]);
    let key = |server: &Server| -> String {
        let mut client = server.connect(DATABASE).unwrap();
        client.query_one("SELECT uuidv7_monotonic()::text", &[]).unwrap().get(0)
    };
    // The extension must survive the crash.
    server.connect(DATABASE).unwrap().batch_execute("CHECKPOINT").unwrap();
    let first = key(&server);
    server.crash().unwrap();
    server.launch().unwrap();
    let second = key(&server);
    server.restart().unwrap();
    let third = key(&server);
    // The clock has advanced meanwhile; the word in shared memory has been reset.
    assert!(first < second && second < third, "{first} {second} {third}");
}

/// Workers of a parallel plan use the same word as all other processes.
#[test]
fn trap_k11_parallel_workers_make_server_wide_keys() {
    let server = start(&[PRELOADED]);
    let mut client = server.connect(DATABASE).unwrap();
    client
        .batch_execute(
            "SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
             SET max_parallel_workers_per_gather = 2;
             CREATE TABLE t AS SELECT n FROM generate_series(1, 200000) n; ANALYZE t;
             CREATE TABLE keys AS SELECT uuidv7_monotonic() AS u, ulid_monotonic() AS l, pg_backend_pid() AS pid FROM t",
        )
        .unwrap();
    let row = client.query_one("SELECT count(DISTINCT u), count(DISTINCT l) FROM keys", &[]).unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (200_000, 200_000));
    let plan = client.query("EXPLAIN (COSTS OFF) SELECT uuidv7_monotonic() FROM t", &[]).unwrap();
    let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
    assert!(plan.iter().any(|line| line.contains("Gather")), "{plan:?}");
}
