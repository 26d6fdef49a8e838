//! Tests of the throw-away servers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use pg_test::{InstallTree, Server};

#[test]
fn a_server_runs_from_its_own_tree_and_leaves_nothing() {
    let tree = InstallTree::from_environment().unwrap();
    let directory = tree.run().directory().to_owned();
    let mut server = Server::start(&tree, "one", &["work_mem = 7MB"]).unwrap();
    let mut client = server.connect("postgres").unwrap();
    client.batch_execute("CREATE EXTENSION pg_keyspace; CREATE TABLE t AS SELECT 1 AS id").unwrap();
    let row = client
        .query_one("SELECT current_setting('work_mem'), current_setting('data_directory')", &[])
        .unwrap();
    assert_eq!(row.get::<_, String>(0), "7MB");
    assert!(std::path::Path::new(&row.get::<_, String>(1)).starts_with(&directory));
    drop(client);
    server.restart().unwrap();
    server.kill9().unwrap();
    server.launch().unwrap();
    let mut client = server.connect("postgres").unwrap();
    assert_eq!(client.query_one("SELECT count(*) FROM t", &[]).unwrap().get::<_, i64>(0), 1);
    drop((client, server, tree));
    assert!(!directory.exists(), "the directory is gone with the last that used it");
}

#[test]
fn a_server_that_does_not_start_reports_why() {
    let tree = InstallTree::from_environment().unwrap();
    let error = match Server::start(&tree, "broken", &["shared_buffers = nonsense"]) {
        Ok(_) => panic!("it started"),
        Err(error) => format!("{error:#}"),
    };
    assert!(error.contains("shared_buffers"), "{error}");
}
