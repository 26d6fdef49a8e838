//! PostgreSQL's own logical replication, which from 16 on can exclude changes that came from the
//! other side.

use anyhow::{Context, Result};
use postgres::Client;

use super::{Conflicts, lines_of_log, wait_for};
use crate::Server;

/// Tables of the extension, whose rows belong to each server.
const OWN_TABLES: [&str; 7] = [
    "interleaved_node",
    "interleaved_sequence",
    "interleaved_feed",
    "interleaved_peer",
    "interleaved_trusted",
    "interleaved_setup",
    "interleaved_acknowledgement",
];

pub(super) fn provide(server: &Server, database: &str) -> Result<()> {
    server
        .connect(database)?
        .batch_execute("CREATE PUBLICATION everything FOR ALL TABLES")
        .context("could not create the publication")
}

pub(super) fn subscribe(to: &Server, from: &Server, database: &str, conninfo: &str) -> Result<()> {
    let (to_name, from_name) = (to.name(), from.name());
    to.connect(database)?
        .batch_execute(&format!(
            "CREATE SUBSCRIPTION from_{from_name} CONNECTION '{conninfo}' PUBLICATION everything \
             WITH (copy_data = false, origin = none, slot_name = {to_name}_from_{from_name})"
        ))
        .context("could not create the subscription")
}

pub(super) fn unsubscribe(to: &Server, from: &Server, database: &str) -> Result<()> {
    to.connect(database)?
        .batch_execute(&format!("DROP SUBSCRIPTION from_{}", from.name()))
        .context("could not drop the subscription")
}

/// Removes publication and subscriptions from a copy. Their slots belong to its origin.
pub(super) fn forget(client: &mut Client) -> Result<()> {
    client.batch_execute("DROP PUBLICATION everything").context("could not drop the publication")?;
    let rows = client.query("SELECT quote_ident(subname) FROM pg_subscription", &[]);
    for row in rows.context("could not read the subscriptions")? {
        let name: String = row.get(0);
        client
            .batch_execute(&format!("ALTER SUBSCRIPTION {name} DISABLE"))
            .and_then(|()| client.batch_execute(&format!("ALTER SUBSCRIPTION {name} SET (slot_name = NONE)")))
            .and_then(|()| client.batch_execute(&format!("DROP SUBSCRIPTION {name}")))
            .context("could not drop a subscription of the origin")?;
    }
    Ok(())
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

/// Waits until the first copy of every table is complete. Slots do not tell: that of a subscription
/// goes on while the copies are made through others.
pub(super) fn wait_until_copied(servers: &[&Server], database: &str) -> Result<()> {
    for server in servers {
        let mut client = server.connect(database)?;
        wait_for("the tables are not copied", || {
            let query = "SELECT count(*) = 0 FROM pg_subscription_rel WHERE srsubstate <> 'r'";
            Ok(client.query_one(query, &[]).context("could not read the subscriptions")?.get(0))
        })?;
    }
    Ok(())
}

pub(super) fn conflicts(server: &Server, database: &str) -> Result<Conflicts> {
    let mut client = server.connect(database)?;
    // As JSON, because PostgreSQL 18 counts each kind of conflict while 16 and 17 do not, and 19
    // counts errors of tables and of sequences separately.
    let query = "SELECT coalesce(sum(value::text::bigint), 0)::bigint, \
                        coalesce(sum(value::text::bigint) FILTER (WHERE key NOT LIKE 'confl\\_%'), 0)::bigint \
                 FROM pg_stat_subscription_stats s, jsonb_each(to_jsonb(s)) \
                 WHERE key IN ('apply_error_count', 'sync_error_count', 'sync_table_error_count', 'sync_seq_error_count') OR key LIKE 'confl\\_%'";
    let row = client.query_one(query, &[]).context("could not read the statistics of the subscriptions")?;
    let (counted, errors): (i64, i64) = (row.get(0), row.get(1));
    // The statistics do not name the table, and are updated later than the log.
    let (in_log, left_out) = read_log(server)?;
    let counted = u64::try_from(counted).unwrap_or(0).saturating_sub(left_out);
    Ok(Conflicts { counted, errors: counted.min(u64::try_from(errors).unwrap_or(0)), ..in_log })
}

pub(super) fn conflicts_in_log(server: &Server) -> Result<Conflicts> {
    Ok(read_log(server)?.0)
}

/// The conflicts of the log, and how many rows of the extension's own tables were skipped.
fn read_log(server: &Server) -> Result<(Conflicts, u64)> {
    let lines = lines_of_log(server, &["conflict detected", "duplicate key value"])?;
    let (left_out, lines): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| is_of_a_row_left_out(line));
    let conflicts = Conflicts {
        logged: u64::try_from(lines.len()).unwrap_or(u64::MAX),
        first: lines.into_iter().next(),
        ..Conflicts::default()
    };
    Ok((conflicts, left_out.len() as u64))
}

/// Whether a line of the log is about a missing row of the extension's own tables. Such rows are
/// skipped where they arrive (trap S46), so other servers' changes of them find no row, which
/// PostgreSQL 18 logs.
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
