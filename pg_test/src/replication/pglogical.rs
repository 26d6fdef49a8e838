//! pglogical, for servers before PostgreSQL 16.

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
                    &[&format!("from_{}", provider.name()), &provider.conninfo(database)],
                )
                .context("could not create the subscription of pglogical")?;
        }
    }
    for server in servers {
        let mut client = server.connect(database)?;
        wait_for("pglogical does not replicate", || {
            let query = "SELECT count(*) FILTER (WHERE status <> 'replicating') FROM pglogical.show_subscription_status()";
            Ok(client
                .query_one(query, &[])
                .context("could not read the state of pglogical")?
                .get::<_, i64>(0)
                == 0)
        })?;
        // The worker connects before its slot is in use.
        wait_for("pglogical's slots are not in use", || {
            let query = "SELECT count(*) FROM pg_replication_slots WHERE active AND slot_type = 'logical'";
            let active: i64 =
                client.query_one(query, &[]).context("could not read the replication slots")?.get(0);
            Ok(usize::try_from(active).is_ok_and(|active| active >= servers.len() - 1))
        })?;
    }
    Ok(())
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
