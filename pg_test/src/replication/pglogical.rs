//! pglogical, for servers before PostgreSQL 16.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::{Conflicts, wait_for};
use crate::{InstallTree, Server};

/// Lines for postgresql.conf.
pub(super) fn settings(tree: &InstallTree) -> Result<Vec<&'static str>> {
    let mut settings = vec!["shared_preload_libraries = 'pglogical'", "track_commit_timestamp = on"];
    // Recent minor versions only accept output plugins from a list, which does not include that of
    // pglogical. Older ones do not have the setting.
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

pub(super) fn provide(server: &Server, database: &str, conninfo: &str) -> Result<()> {
    let mut client = server.connect(database)?;
    client.batch_execute("CREATE EXTENSION pglogical").context("could not create the extension pglogical")?;
    client
        .query(
            "SELECT pglogical.create_node(node_name := $1::text::name, dsn := $2)",
            &[&server.name(), &conninfo],
        )
        .context("could not create the node of pglogical")?;
    // Partitioned parents replicate nothing, so their leaves are added. A table without a primary
    // key can only replicate its inserts.
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
    Ok(())
}

pub(super) fn subscribe(to: &Server, from: &Server, database: &str, conninfo: &str) -> Result<()> {
    to.connect(database)?
        .query(
            "SELECT pglogical.create_subscription(subscription_name := $1::text::name, provider_dsn := $2,
                 synchronize_structure := false, synchronize_data := false, forward_origins := '{}')",
            &[&subscription(to, from), &conninfo],
        )
        .context("could not create the subscription of pglogical")?;
    Ok(())
}

pub(super) fn unsubscribe(to: &Server, from: &Server, database: &str) -> Result<()> {
    to.connect(database)?
        .query("SELECT pglogical.drop_subscription($1::text::name)", &[&subscription(to, from)])
        .context("could not drop the subscription of pglogical")?;
    Ok(())
}

/// The provider names the slot after the subscription, so the name contains both servers.
fn subscription(to: &Server, from: &Server) -> String {
    format!("{}_from_{}", to.name(), from.name())
}

pub(super) fn wait_until_connected(servers: &[&Server], database: &str) -> Result<()> {
    wait_for("pglogical does not replicate", || is_connected(servers, database))
}

/// A failed worker is retried after up to three minutes. Disabling and enabling its subscription
/// restarts it at once.
pub(super) fn reconnect(servers: &[&Server], database: &str) -> Result<()> {
    let mut started: Option<Instant> = None;
    wait_for("pglogical does not replicate again", || {
        if is_connected(servers, database)? {
            return Ok(true);
        }
        // A worker that has just started needs a moment.
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

/// Whether every worker runs. A worker connects before its slot is in use, so every slot must be in
/// use, too.
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

/// The conflicts in the log. Changes of rows that had not been changed since that moment are not
/// conflicts: the log reports them if the rows were copied, because such rows have another origin
/// than the server that changes them.
pub(super) fn conflicts(server: &Server, at_rest: Option<&str>) -> Result<Conflicts> {
    // pglogical has no statistics, but logs every conflict.
    let log = server.log()?;
    let mut lines = log.lines();
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        let Some(text) = conflict_in(line) else { continue };
        let detail = detail_of(line, lines.clone());
        if !at_rest.is_some_and(|moment| is_of_a_row_at_rest(text, detail, moment)) {
            found.push(text);
        }
    }
    Ok(Conflicts {
        logged: u64::try_from(found.len()).unwrap_or(u64::MAX),
        first: found.first().map(|line| (*line).to_owned()),
        ..Conflicts::default()
    })
}

fn conflict_in(line: &str) -> Option<&str> {
    let at = ["CONFLICT: ", "duplicate key value"].iter().filter_map(|text| line.find(text)).min()?;
    line.get(at..)
}

/// The detail of a line, which the same process has logged after it.
fn detail_of<'a>(line: &str, mut rest: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let process = line.get(line.find('[')?..=line.find(']')?)?;
    rest.find(|line| line.contains(process)).filter(|line| line.contains("DETAIL: "))
}

fn is_of_a_row_at_rest(conflict: &str, detail: Option<&str>, moment: &str) -> bool {
    let time_of_row = |detail: &str| -> Option<String> {
        let (row, _) = detail.split_once("; remote tuple {")?;
        Some(row.rsplit_once(",timestamp=")?.1.to_owned())
    };
    conflict.starts_with("CONFLICT: remote UPDATE")
        && conflict.ends_with("Resolution: apply_remote.")
        && detail.and_then(time_of_row).is_some_and(|time| time.as_str() < moment)
}

pub(super) fn status(server: &Server, database: &str) -> Result<String> {
    let query = "SELECT string_agg(status, ', ') FROM pglogical.show_subscription_status()";
    let row =
        server.connect(database)?.query_one(query, &[]).context("could not read the state of pglogical")?;
    Ok(row.get::<_, Option<String>>(0).unwrap_or_else(|| "no subscription".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changes_of_rows_at_rest_are_left_out() {
        let log = "2026-11-21 11:20:00.100 UTC [7] LOG:  CONFLICT: remote UPDATE on relation public.t (local index t_pkey). Resolution: apply_remote.
2026-11-21 11:20:00.100 UTC [8] LOG:  something else
2026-11-21 11:20:00.100 UTC [7] DETAIL:  existing local tuple {id[int4]:1 note[text]:[]} xid=9,origin=0,timestamp=2026-11-21 11:19:00.5+00; remote tuple {id[int4]:1} in xact origin=2,timestamp=2026-11-21 11:20:00+00,commit_lsn=0/1";
        let mut lines = log.lines();
        let line = lines.next().unwrap_or_default();
        let (text, detail) = (conflict_in(line).unwrap_or_default(), detail_of(line, lines));
        assert!(is_of_a_row_at_rest(text, detail, "2026-11-21 11:19:00.51+00"));
        assert!(!is_of_a_row_at_rest(text, detail, "2026-11-21 11:19:00.49+00"));
        assert!(!is_of_a_row_at_rest(text, None, "2026-11-21 11:19:00.51+00"));
        assert!(!is_of_a_row_at_rest(&text.replace("UPDATE", "INSERT"), detail, "2026-11-21 11:19:00.51+00"));
        assert_eq!(conflict_in("LOG:  nothing"), None);
    }
}
