//! pglogical, for servers before PostgreSQL 16.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::{Conflicts, lines_of_log, wait_for};
use crate::{InstallTree, Server};

/// Lines for postgresql.conf.
pub(super) fn settings(tree: &InstallTree) -> Result<Vec<&'static str>> {
    let mut settings = vec!["shared_preload_libraries = 'pglogical'", "track_commit_timestamp = on"];
    // Recent minor versions take output plugins from a list only, and pglogical's is not on it; older ones
    // do not know the setting.
    let known =
        tree.command("postgres").arg("--describe-config").output().context("could not ask the server")?;
    if String::from_utf8_lossy(&known.stdout)
        .lines()
        .any(|line| line.starts_with("output_plugin_libraries\t"))
    {
        settings.push("output_plugin_libraries = 'pgoutput, test_decoding, pglogical_output'");
    }
    Ok(settings)
}

pub(super) fn connect_all(servers: &[&Server], database: &str) -> Result<()> {
    for server in servers {
        let mut client = server.connect(database)?;
        client
            .batch_execute("CREATE EXTENSION pglogical")
            .context("could not create the extension pglogical")?;
        client
            .query(
                "SELECT pglogical.create_node(node_name := $1::text::name, dsn := $2)",
                &[&server.name(), &server.conninfo(database)],
            )
            .context("could not create the node of pglogical")?;
        // Partitioned parents replicate nothing, so it is their leaves; a table without a primary key can
        // only replicate its inserts.
        client
            .query(
                "SELECT pglogical.replication_set_add_table(
                     CASE WHEN EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)
                          THEN 'default' ELSE 'default_insert_only' END::name, c.oid::regclass, false)
                 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                 WHERE c.relkind = 'r' AND c.relpersistence = 'p'
                   AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'pglogical')
                   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')",
                &[],
            )
            .context("could not add the tables to the replication sets")?;
    }
    for subscriber in servers {
        let mut client = subscriber.connect(database)?;
        for provider in servers.iter().filter(|provider| provider.name() != subscriber.name()) {
            client
                .query(
                    "SELECT pglogical.create_subscription(subscription_name := $1::text::name, provider_dsn := $2,
                         synchronize_structure := false, synchronize_data := false, forward_origins := '{}')",
                    // The provider names the slot after it, so it says whose it is.
                    &[
                        &format!("{}_from_{}", subscriber.name(), provider.name()),
                        &provider.conninfo(database),
                    ],
                )
                .context("could not create the subscription of pglogical")?;
        }
    }
    wait_for("pglogical does not replicate", || is_connected(servers, database))
}

/// A worker that has failed is tried again after up to three minutes; switching its subscription off and on starts it
/// at once.
pub(super) fn reconnect(servers: &[&Server], database: &str) -> Result<()> {
    let mut started: Option<Instant> = None;
    wait_for("pglogical does not replicate again", || {
        if is_connected(servers, database)? {
            return Ok(true);
        }
        // A worker that has just been started needs a moment.
        if started.is_none_or(|started| started.elapsed() > Duration::from_secs(5)) {
            for server in servers {
                let query = "SELECT pglogical.alter_subscription_disable(subscription_name, true), \
                                    pglogical.alter_subscription_enable(subscription_name, true) \
                             FROM pglogical.show_subscription_status() WHERE status = 'down'";
                let mut client = server.connect(database)?;
                client.query(query, &[]).context("could not start a worker of pglogical")?;
            }
            started = Some(Instant::now());
        }
        Ok(false)
    })
}

/// Whether every worker runs and, since it connects before its slot is in use, every slot is in use.
fn is_connected(servers: &[&Server], database: &str) -> Result<bool> {
    let others = i64::try_from(servers.len() - 1).context("a number of servers")?;
    for server in servers {
        let query = "SELECT (SELECT count(*) FROM pglogical.show_subscription_status() WHERE status = 'replicating') >= $1
                        AND (SELECT count(*) FROM pg_replication_slots WHERE active AND slot_type = 'logical') >= $1";
        let row = server.connect(database)?.query_one(query, &[&others]);
        if !row.context("could not read the state of pglogical")?.get::<_, bool>(0) {
            return Ok(false);
        }
    }
    Ok(true)
}

pub(super) fn add_tables(servers: &[&Server], database: &str, tables: &[&str]) -> Result<()> {
    for server in servers {
        let mut client = server.connect(database)?;
        for table in tables {
            client
                .query(
                    "SELECT pglogical.replication_set_add_table('default', $1::text::regclass, false)",
                    &[table],
                )
                .with_context(|| format!("could not add {table} to the replication set"))?;
        }
    }
    Ok(())
}

pub(super) fn conflicts(server: &Server) -> Result<Conflicts> {
    // pglogical keeps no statistics; its log tells of every conflict.
    let lines = lines_of_log(server, &["CONFLICT: ", "duplicate key value"])?;
    Ok(Conflicts {
        logged: u64::try_from(lines.len()).unwrap_or(u64::MAX),
        counted: 0,
        first: lines.into_iter().next(),
    })
}

pub(super) fn status(server: &Server, database: &str) -> Result<String> {
    let query = "SELECT string_agg(status, ', ') FROM pglogical.show_subscription_status()";
    let row =
        server.connect(database)?.query_one(query, &[]).context("could not read the state of pglogical")?;
    Ok(row.get::<_, Option<String>>(0).unwrap_or_else(|| "no subscription".to_owned()))
}
