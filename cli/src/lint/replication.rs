//! How replication is set up, as far as it is already.

use serde::Deserialize;

use super::finding::{Check, Finding, Row};
use crate::check::Severity;
use crate::failure::Result;
use crate::session::Session;

/// DDL replication.
pub const DDL: Check = Check {
    name: "ddl-replication",
    reason: "The tool replicates DDL. An ALTER SEQUENCE that moves a sequence into the class of one node would move those of all other nodes, too.",
    hint: "setup switches it off for its own statements, if the role may. Statements by hand, and other tools, need it switched off in their session.",
};

/// Rows that go in circles.
pub const LOOP: Check = Check {
    name: "replication-loop",
    reason: "Changes that this node has received are sent on to the node that they come from, which applies them again.",
    hint: "From PostgreSQL 16 on: ALTER SUBSCRIPTION ... SET (origin = none), on all nodes. Up to 15, PostgreSQL's own replication cannot be used in both directions; pglogical can (forward_origins := '{}').",
};

/// Subscriptions in this database that forward what others have sent, if it also publishes. The
/// setting of a subscription exists from PostgreSQL 16 on.
const LOOPS_15: &str = "
    SELECT 'warning' AS severity, quote_ident(s.subname) AS object,
           'subscribes in a database that has publications, without origin = none' AS detail
    FROM pg_subscription s
    WHERE s.subdbid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
      AND EXISTS (SELECT FROM pg_publication)";

/// A setting that controls whether DDL is replicated.
struct Switch {
    /// If it is not installed, any role can have given the setting a value.
    extension: &'static str,
    name: &'static str,
    /// The values that keep DDL on this node.
    local: &'static [&'static str],
}

const OFF: &[&str] = &["off", "false", "no", "0"];
const ON: &[&str] = &["on", "true", "yes", "1"];

const SWITCHES: [Switch; 4] = [
    Switch { extension: "spock", name: "spock.enable_ddl_replication", local: OFF },
    Switch { extension: "pgactive", name: "pgactive.skip_ddl_replication", local: ON },
    Switch { extension: "bdr", name: "bdr.skip_ddl_replication", local: ON },
    Switch { extension: "bdr", name: "bdr.ddl_replication", local: OFF },
];

#[derive(Deserialize)]
struct Setting {
    extension: String,
    name: String,
    value: String,
}

const SETTINGS: &str = "
    SELECT x.extname AS extension, w.name, nullif(current_setting(w.name, true), '') AS value
    FROM unnest($1::text[], $2::text[]) AS w (extension, name) JOIN pg_extension x ON x.extname = w.extension
    WHERE nullif(current_setting(w.name, true), '') IS NOT NULL";

/// What bites in the replication of a node.
///
/// # Errors
/// Those of the server.
pub fn find(session: &mut Session) -> Result<Vec<Finding>> {
    let node = session.name().to_owned();
    let extensions: Vec<&str> = SWITCHES.iter().map(|switch| switch.extension).collect();
    let names: Vec<&str> = SWITCHES.iter().map(|switch| switch.name).collect();
    let settings: Vec<Setting> = session.rows(SETTINGS, &[&extensions, &names])?;
    let mut found: Vec<Finding> =
        settings.iter().filter_map(ddl).map(|row| DDL.about(&[&node], row)).collect();
    let has_origin = session.facts.server_version.0 >= 160_000;
    let query =
        if has_origin { format!("{LOOPS_15} AND s.suborigin <> 'none'") } else { LOOPS_15.to_owned() };
    let rows: Vec<Row> = session.rows(&query, &[])?;
    found.extend(rows.into_iter().map(|row| LOOP.about(&[&node], row)));
    Ok(found)
}

/// The finding if a setting replicates DDL.
fn ddl(setting: &Setting) -> Option<Row> {
    let switch =
        SWITCHES.iter().find(|one| one.extension == setting.extension && one.name == setting.name)?;
    let is_local = switch.local.contains(&setting.value.to_ascii_lowercase().as_str());
    (!is_local).then(|| Row {
        severity: Severity::Error,
        object: Some(setting.name.clone()),
        detail: format!("is {} (extension {})", setting.value, setting.extension),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_found(extension: &str, name: &str, value: &str) -> bool {
        ddl(&Setting { extension: extension.to_owned(), name: name.to_owned(), value: value.to_owned() })
            .is_some()
    }

    #[test]
    fn ddl_replication_that_is_on_is_found() {
        assert!(is_found("spock", "spock.enable_ddl_replication", "on"));
        assert!(!is_found("spock", "spock.enable_ddl_replication", "off"));
        assert!(is_found("pgactive", "pgactive.skip_ddl_replication", "off"));
        assert!(!is_found("pgactive", "pgactive.skip_ddl_replication", "On"));
        assert!(is_found("bdr", "bdr.ddl_replication", "all"), "the value can name what is replicated");
        assert!(!is_found("other", "spock.enable_ddl_replication", "on"));
    }
}
