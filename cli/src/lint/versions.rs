//! Versions and properties of the servers and databases that should be the same on all nodes.

use serde::Deserialize;

use super::compare::{Difference, differences};
use super::finding::{Check, Finding, Row};
use crate::check::Severity;
use crate::failure::Result;
use crate::session::Session;

/// Extensions that differ.
pub const EXTENSION: Check = Check {
    name: "extension-differs",
    reason: "Rows of one node contain types, and defaults and indexes call functions, that another node does not have or that behave otherwise there.",
    hint: "CREATE EXTENSION or ALTER EXTENSION ... UPDATE where it is missing or older.",
};

/// Databases that differ.
pub const DATABASE: Check = Check {
    name: "database-differs",
    reason: "Texts that one node accepts cannot be stored on another one (encoding), or are in another order or equal to others there (collation).",
    hint: "Create the databases alike, from template0, before they are filled.",
};

/// Servers that differ.
pub const SERVER: Check = Check {
    name: "server-differs",
    reason: "Logical replication works between versions, except for features that only the newer one has. Texts of times are in the zone of each server.",
    hint: "Upgrade the older servers, or use only what all of them have.",
};

/// A property of a node.
#[derive(Clone, Debug, Deserialize)]
pub struct Property {
    /// `extension`, `database` or `server`.
    kind: String,
    name: String,
    value: String,
}

const PROPERTIES: &str = "
    SELECT 'extension' AS kind, x.extname::text AS name, x.extversion AS value FROM pg_extension x
    UNION ALL
    SELECT 'database', 'encoding', pg_encoding_to_char(d.encoding) FROM pg_database d WHERE d.datname = current_database()
    UNION ALL
    SELECT 'database', 'collation', concat_ws(', ', d.datcollate, d.datctype, 'provider ' || d.datlocprovider::text,
                                              to_jsonb(d) ->> 'daticulocale', to_jsonb(d) ->> 'datlocale')
    FROM pg_database d WHERE d.datname = current_database()
    UNION ALL
    SELECT 'server', 'version', current_setting('server_version_num')::int4 / 10000 || ''
    UNION ALL
    SELECT 'server', 'TimeZone', s.reset_val FROM pg_settings s WHERE s.name = 'TimeZone'";

/// The properties of a node.
///
/// # Errors
/// Those of the server.
pub fn read(session: &mut Session) -> Result<Vec<Property>> {
    session.rows(PROPERTIES, &[])
}

/// The properties that are not the same on all nodes.
pub fn compare(nodes: &[(&str, Vec<Property>)]) -> Vec<Finding> {
    let items = nodes.iter().map(|(node, properties)| {
        let each = properties.iter().map(|one| ((one.kind.clone(), one.name.clone()), one.value.clone()));
        (*node, each.collect())
    });
    let all: Vec<&str> = nodes.iter().map(|(node, _)| *node).collect();
    let found =
        differences(&items.collect::<Vec<_>>()).into_iter().map(|Difference { key, detail, .. }| {
            let (check, severity) = match key.0.as_str() {
                "extension" => (&EXTENSION, Severity::Warning),
                "database" => (&DATABASE, Severity::Warning),
                _ => (&SERVER, Severity::Info),
            };
            check.about(&all, Row { severity, object: Some(key.1), detail })
        });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_found_with_its_values() {
        let property = |kind: &str, name: &str, value: &str| Property {
            kind: kind.to_owned(),
            name: name.to_owned(),
            value: value.to_owned(),
        };
        let one = vec![
            property("extension", "citext", "1.6"),
            property("extension", "plpgsql", "1.0"),
            property("database", "encoding", "UTF8"),
            property("server", "version", "15"),
        ];
        let mut two = one.clone();
        two[0].value = "1.5".to_owned();
        two[2].value = "LATIN1".to_owned();
        two.remove(3);
        let found = compare(&[("one", one), ("two", two)]);
        let seen: Vec<_> = found.iter().map(|one| (one.check, one.detail.as_str())).collect();
        assert_eq!(
            seen,
            [
                ("database-differs", "UTF8 on one, LATIN1 on two"),
                ("extension-differs", "1.6 on one, 1.5 on two"),
                ("server-differs", "15 on one, missing on two"),
            ]
        );
    }
}
