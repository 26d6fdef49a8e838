//! Settings that decide whether replication between the nodes works.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::finding::{Check, Finding, Row};
use crate::check::Severity;
use crate::failure::Result;
use crate::session::Session;

/// Settings of one node.
pub const SETTING: Check = Check {
    name: "setting",
    reason: "Logical replication in both directions, and a set-up of all sequences, need these settings. Most of them take effect only when the server is restarted.",
    hint: "ALTER SYSTEM SET ..., and restart the server before the first sync.",
};

/// The settings that are read. One that does not exist, or that the role may not see, is missing.
const NAMES: [&str; 11] = [
    "wal_level",
    "track_commit_timestamp",
    "max_replication_slots",
    "max_wal_senders",
    "max_worker_processes",
    "max_logical_replication_workers",
    "max_locks_per_transaction",
    "max_connections",
    "max_prepared_transactions",
    "max_slot_wal_keep_size",
    "output_plugin_libraries",
];

const SETTINGS: &str =
    "SELECT s.name, s.setting, s.pending_restart FROM pg_settings s WHERE s.name = ANY ($1::text[])";

const NUMBERS: &str = "
    SELECT (SELECT count(*) FROM pg_class c WHERE c.relkind = 'S' AND c.relpersistence <> 't')::int8 AS sequences,
           EXISTS (SELECT FROM pg_extension x WHERE x.extname = 'pglogical') AS has_pglogical,
           EXISTS (SELECT FROM pg_extension x WHERE x.extname = 'spock') AS has_spock";

#[derive(Deserialize)]
struct Setting {
    name: String,
    setting: Option<String>,
    pending_restart: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Numbers {
    sequences: i64,
    has_pglogical: bool,
    has_spock: bool,
}

/// The settings of a node that should be changed, for so many nodes.
///
/// # Errors
/// Those of the server.
pub fn find(session: &mut Session, nodes: usize) -> Result<Vec<Finding>> {
    let settings: Vec<Setting> = session.rows(SETTINGS, &[&NAMES.as_slice()])?;
    let numbers: Vec<Numbers> = session.rows(NUMBERS, &[])?;
    let numbers = numbers.into_iter().next().unwrap_or_default();
    let pending = settings.iter().filter(|setting| setting.pending_restart).map(|setting| Row {
        severity: Severity::Warning,
        object: Some(setting.name.clone()),
        detail: "was changed, and takes effect when the server is restarted".to_owned(),
    });
    let mut rows: Vec<Row> = pending.collect();
    let values = settings.into_iter().filter_map(|setting| Some((setting.name, setting.setting?))).collect();
    rows.extend(judge(&values, &numbers, nodes, session.facts.server_version.0));
    let node = session.name().to_owned();
    Ok(rows.into_iter().map(|row| SETTING.about(&[&node], row)).collect())
}

/// From this version on, `replica` becomes `logical` by itself while there is a logical slot.
const LOGICAL_BY_ITSELF: i32 = 190_000;

fn judge(values: &BTreeMap<String, String>, numbers: &Numbers, nodes: usize, version: i32) -> Vec<Row> {
    let mut found = Vec::new();
    let mut add = |severity, name: &str, detail: String| {
        found.push(Row { severity, object: Some(name.to_owned()), detail });
    };
    let text = |name: &str| values.get(name).map(String::as_str);
    let number = |name: &str| text(name).and_then(|text| text.parse::<i64>().ok());
    let is_enough =
        |level: &&str| *level == "logical" || (version >= LOGICAL_BY_ITSELF && *level == "replica");
    if let Some(level) = text("wal_level").filter(|level| !is_enough(level)) {
        add(Severity::Error, "wal_level", format!("is {level}; logical replication needs logical"));
    }
    if text("track_commit_timestamp") == Some("off") {
        let detail = "is off; without the time of each commit, the later of two updates of a row cannot win";
        add(Severity::Warning, "track_commit_timestamp", detail.to_owned());
    }
    let others = i64::try_from(nodes.saturating_sub(1)).unwrap_or(i64::MAX);
    // One for each other node, and two for the initial copy of tables or a standby.
    for name in ["max_replication_slots", "max_wal_senders"] {
        match number(name) {
            Some(most) if most < others => {
                add(Severity::Error, name, format!("is {most}; {others} other nodes need one each"));
            }
            Some(most) if most < others + 2 => {
                let detail =
                    format!("is {most}; {others} other nodes leave too few for initial copies and standbys");
                add(Severity::Warning, name, detail);
            }
            _ => {}
        }
    }
    // A launcher, a worker for each other node, and two for initial copies.
    if let Some(most) = number("max_worker_processes").filter(|most| *most < others + 3) {
        let detail =
            format!("is {most}; replication from {others} other nodes needs {} at least", others + 3);
        add(Severity::Warning, "max_worker_processes", detail);
    }
    if let Some(most) = number("max_logical_replication_workers").filter(|most| *most < others + 1) {
        let detail = format!("is {most}; subscriptions to {others} other nodes need {} at least", others + 1);
        add(Severity::Warning, "max_logical_replication_workers", detail);
    }
    if let (Some(locks), Some(connections)) = (number("max_locks_per_transaction"), number("max_connections"))
    {
        let transactions = connections.saturating_add(number("max_prepared_transactions").unwrap_or(0));
        let room = locks.saturating_mul(transactions);
        if numbers.sequences > room / 2 {
            let detail = format!(
                "is {locks}, room for about {room} locks; a set-up of {} sequences in one transaction takes one for each",
                numbers.sequences
            );
            add(Severity::Warning, "max_locks_per_transaction", detail);
        }
    }
    if text("max_slot_wal_keep_size") == Some("-1") {
        let detail = "is -1; a node that is down keeps WAL on all others until their disks are full";
        add(Severity::Info, "max_slot_wal_keep_size", detail.to_owned());
    }
    if let Some(plugins) = text("output_plugin_libraries") {
        let listed: Vec<&str> = plugins.split(',').map(str::trim).collect();
        for (is_there, plugin) in
            [(numbers.has_pglogical, "pglogical_output"), (numbers.has_spock, "spock_output")]
        {
            if is_there && !listed.contains(&plugin) {
                let detail = format!(
                    "is {plugins}; without {plugin} no slot can be created. The list has no quotes around it"
                );
                add(Severity::Error, "output_plugin_libraries", detail);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(settings: &[(&str, &str)], numbers: &Numbers, nodes: usize) -> Vec<(Severity, String)> {
        found_on(150_000, settings, numbers, nodes)
    }

    fn found_on(
        version: i32,
        settings: &[(&str, &str)],
        numbers: &Numbers,
        nodes: usize,
    ) -> Vec<(Severity, String)> {
        let mut values: BTreeMap<String, String> = [
            ("wal_level", "logical"),
            ("track_commit_timestamp", "on"),
            ("max_replication_slots", "10"),
            ("max_wal_senders", "10"),
            ("max_worker_processes", "16"),
            ("max_logical_replication_workers", "8"),
            ("max_locks_per_transaction", "64"),
            ("max_connections", "100"),
            ("max_prepared_transactions", "0"),
            ("max_slot_wal_keep_size", "51200"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        values.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        judge(&values, numbers, nodes, version)
            .into_iter()
            .map(|row| (row.severity, row.object.unwrap_or_default()))
            .collect()
    }

    #[test]
    fn settings_are_judged_by_the_number_of_nodes() {
        let numbers = Numbers { sequences: 100, ..Numbers::default() };
        assert_eq!(found(&[], &numbers, 3), []);
        assert_eq!(
            found(&[], &numbers, 12),
            [
                (Severity::Error, "max_replication_slots".to_owned()),
                (Severity::Error, "max_wal_senders".to_owned()),
                (Severity::Warning, "max_logical_replication_workers".to_owned()),
            ]
        );
        for (setting, severity) in [
            (("wal_level", "replica"), Severity::Error),
            (("track_commit_timestamp", "off"), Severity::Warning),
            (("max_replication_slots", "3"), Severity::Warning),
            (("max_worker_processes", "4"), Severity::Warning),
            (("max_locks_per_transaction", "1"), Severity::Warning),
            (("max_slot_wal_keep_size", "-1"), Severity::Info),
        ] {
            assert_eq!(found(&[setting], &numbers, 3), [(severity, setting.0.to_owned())]);
        }
    }

    #[test]
    fn replica_is_enough_from_19_on() {
        let on = |version, level| found_on(version, &[("wal_level", level)], &Numbers::default(), 2).len();
        assert_eq!([on(180_000, "replica"), on(190_000, "replica"), on(190_000, "minimal")], [1, 0, 1]);
    }

    #[test]
    fn the_output_plugin_has_to_be_listed() {
        let numbers = Numbers { has_pglogical: true, ..Numbers::default() };
        let with = |list: &str| found(&[("output_plugin_libraries", list)], &numbers, 2).len();
        assert_eq!(with("pgoutput, test_decoding"), 1);
        assert_eq!(with("\"pgoutput, pglogical_output\""), 1, "one element in quotes");
        assert_eq!(with("pgoutput,test_decoding, pglogical_output"), 0);
        assert_eq!(found(&[("output_plugin_libraries", "pgoutput")], &Numbers::default(), 2), []);
    }
}
