//! PostgreSQL's own logical replication, which from 16 on can leave out what came from the other side.

use anyhow::{Context, Result};

use super::{Conflicts, lines_of_log, wait_for};
use crate::Server;

/// Tables of the extension, whose rows are each server's own.
const OWN_TABLES: [&str; 4] =
    ["interleaved_node", "interleaved_sequence", "interleaved_feed", "interleaved_setup"];

pub(super) fn connect_all(servers: &[&Server], database: &str) -> Result<()> {
    for server in servers {
        server
            .connect(database)?
            .batch_execute("CREATE PUBLICATION everything FOR ALL TABLES")
            .context("could not create the publication")?;
    }
    for subscriber in servers {
        let mut client = subscriber.connect(database)?;
        for provider in servers.iter().filter(|provider| provider.name() != subscriber.name()) {
            let (from, to) = (provider.name(), subscriber.name());
            client
                .batch_execute(&format!(
                    "CREATE SUBSCRIPTION from_{from} CONNECTION '{}' PUBLICATION everything \
                     WITH (copy_data = false, origin = none, slot_name = {to}_from_{from})",
                    provider.conninfo(database)
                ))
                .context("could not create the subscription")?;
        }
    }
    wait_until_ready(servers, database)
}

pub(super) fn refresh(servers: &[&Server], database: &str) -> Result<()> {
    for server in servers {
        let mut client = server.connect(database)?;
        for other in servers.iter().filter(|other| other.name() != server.name()) {
            let refresh = format!(
                "ALTER SUBSCRIPTION from_{} REFRESH PUBLICATION WITH (copy_data = false)",
                other.name()
            );
            client.batch_execute(&refresh).context("could not refresh the subscription")?;
        }
    }
    wait_until_ready(servers, database)
}

pub(super) fn wait_until_ready(servers: &[&Server], database: &str) -> Result<()> {
    for server in servers {
        let mut client = server.connect(database)?;
        wait_for("the subscriptions are not ready", || {
            let query = "SELECT (SELECT count(*) FROM pg_subscription_rel WHERE srsubstate <> 'r') = 0 \
                         AND (SELECT count(*) FROM pg_replication_slots WHERE active AND slot_type = 'logical') >= $1";
            let others = i64::try_from(servers.len() - 1).context("a number of servers")?;
            Ok(client.query_one(query, &[&others]).context("could not read the subscriptions")?.get(0))
        })?;
    }
    Ok(())
}

pub(super) fn conflicts(server: &Server, database: &str) -> Result<Conflicts> {
    let mut client = server.connect(database)?;
    // As JSON, since PostgreSQL 18 counts each kind of conflict and 16 and 17 do not.
    let query = "SELECT coalesce(sum(value::text::bigint), 0)::bigint FROM pg_stat_subscription_stats s, jsonb_each(to_jsonb(s)) \
                 WHERE key IN ('apply_error_count', 'sync_error_count') OR key LIKE 'confl\\_%'";
    let counted: i64 =
        client.query_one(query, &[]).context("could not read the statistics of the subscriptions")?.get(0);
    let lines = lines_of_log(server, &["conflict detected", "duplicate key value"])?;
    let (left_out, lines): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| is_of_a_row_left_out(line));
    // The statistics do not tell of which table they are, and come later than the log.
    let counted = u64::try_from(counted).unwrap_or(0).saturating_sub(left_out.len() as u64);
    Ok(Conflicts {
        logged: u64::try_from(lines.len()).unwrap_or(u64::MAX),
        counted,
        first: lines.into_iter().next(),
    })
}

/// Whether a line of the log tells of a row of the extension's own tables that is not there to be changed. They are
/// left out where they arrive (trap S46), so other servers' changes of them find none; PostgreSQL 18 says so.
fn is_of_a_row_left_out(line: &str) -> bool {
    let Some((_, found)) = line.split_once("conflict detected on relation \"") else { return false };
    let Some((relation, kind)) = found.split_once("\": conflict=") else { return false };
    let table = relation.rsplit_once('.').map_or(relation, |(_, table)| table);
    OWN_TABLES.contains(&table) && ["update_missing", "delete_missing"].contains(&kind.trim_end())
}

pub(super) fn status(server: &Server, database: &str) -> Result<String> {
    let query = "SELECT string_agg(CASE WHEN subenabled THEN 'enabled' ELSE 'disabled' END, ', ') FROM pg_subscription";
    let row = server.connect(database)?.query_one(query, &[]).context("could not read the subscriptions")?;
    let status = row.get::<_, Option<String>>(0).unwrap_or_else(|| "no subscription".to_owned());
    Ok(match failures(server, database)? {
        0 => status,
        failures => format!("{status} but failing ({failures} times so far)"),
    })
}

/// How often applying has failed.
pub(super) fn failures(server: &Server, database: &str) -> Result<i64> {
    let query = "SELECT coalesce(sum(apply_error_count), 0)::bigint FROM pg_stat_subscription_stats";
    let row = server.connect(database)?.query_one(query, &[]);
    Ok(row.context("could not read the statistics of the subscriptions")?.get(0))
}

#[cfg(test)]
mod tests {
    use super::is_of_a_row_left_out;

    #[test]
    fn only_rows_of_our_tables_may_be_missing() {
        let line = |table: &str, kind: &str| {
            format!("conflict detected on relation \"public.{table}\": conflict={kind}")
        };
        assert!(is_of_a_row_left_out(&line("interleaved_sequence", "update_missing")));
        assert!(is_of_a_row_left_out(&line("interleaved_feed", "delete_missing")));
        assert!(!is_of_a_row_left_out(&line("interleaved_node", "insert_exists")));
        assert!(!is_of_a_row_left_out(&line("item", "update_missing")));
        assert!(!is_of_a_row_left_out(
            "duplicate key value violates unique constraint \"interleaved_node_pkey\""
        ));
    }
}
