//! Keys that have already collided: inserts whose keys existed, as counted by subscriptions from
//! PostgreSQL 18 on.

use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use crate::encoding::from_server_bytes;
use crate::server::settings::with_own_settings;

/// The count of a subscription in this database.
pub(crate) struct InsertConflicts {
    oid: u32,
    subscription: String,
    count: i64,
    /// The start of the count, in UTC; `None` if nothing was reset since the beginning.
    since: Option<String>,
}

impl InsertConflicts {
    pub(crate) fn detail(&self) -> String {
        let since = match &self.since {
            Some(reset) => format!("since {reset} (stats_reset)"),
            None => "since it was created (stats_reset is null)".to_owned(),
        };
        let times = if self.count == 1 { "once".to_owned() } else { format!("{} times", self.count) };
        format!(
            "Subscription \"{}\" has reported insert conflicts {times} {since}. Each retry counts.",
            self.subscription
        )
    }

    pub(crate) fn hint(&self) -> String {
        format!(
            "Two nodes have used the same key, or the same value of another unique index. The server log shows the rows. \
             Resolve them, then run SELECT pg_stat_reset_subscription_stats({}).",
            self.oid
        )
    }
}

/// The subscriptions with a count, ordered by name.
pub(crate) fn of_subscriptions() -> SpiResult<Vec<InsertConflicts>> {
    // As JSON, because earlier versions do not have these columns.
    let query = "SELECT s.oid, convert_to(s.subname::text, 'SQL_ASCII'), c.count, \
                        to_char(timezone('UTC', t.stats_reset), 'YYYY-MM-DD HH24:MI:SS\"Z\"') \
                 FROM pg_subscription s JOIN pg_stat_subscription_stats t ON t.subid = s.oid, \
                      to_jsonb(t) AS j (counted), \
                      LATERAL (SELECT coalesce((j.counted ->> 'confl_insert_exists')::bigint, 0) \
                                    + coalesce((j.counted ->> 'confl_multiple_unique_conflicts')::bigint, 0)) AS c (count) \
                 WHERE s.subdbid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()) AND c.count > 0 \
                 ORDER BY s.subname";
    with_own_settings(|| {
        Spi::connect(|client| {
            let rows = client.select(query, None, &[])?.map(|row| {
                Ok(InsertConflicts {
                    oid: row.get::<pg_sys::Oid>(1)?.map_or(0, pg_sys::Oid::to_u32),
                    subscription: from_server_bytes(row.get::<Vec<u8>>(2)?.unwrap_or_default()),
                    count: row.get(3)?.unwrap_or(0),
                    since: row.get(4)?,
                })
            });
            rows.collect()
        })
    })
}
