//! Calls of the extension, written out: what a dry run prints is what is run.

use clap::ValueEnum;
use keyspace::sql::literal;

use super::arguments::KeyArguments;
use super::table::Table;
use crate::failure::{Failure, Result};
use crate::session::Session;

/// Further arguments of a call.
#[derive(Debug, Default)]
pub struct Named(Vec<String>);

impl Named {
    fn add(&mut self, name: &str, value: String) {
        self.0.push(format!("{name} => {value}"));
    }

    /// Adds a value of a type, written as text.
    pub fn text(&mut self, name: &str, r#type: &str, value: &str) {
        self.add(name, format!("{}::pg_catalog.{}", literal(value), r#type));
    }

    /// Adds an array.
    pub fn array(&mut self, name: &str, r#type: &str, values: &[String]) {
        let each: Vec<String> = values.iter().map(|value| literal(value)).collect();
        self.add(name, format!("ARRAY[{}]::pg_catalog.{}[]", each.join(", "), r#type));
    }

    fn optional(&mut self, name: &str, r#type: &str, value: Option<&String>) {
        if let Some(value) = value {
            self.text(name, r#type, value);
        }
    }

    fn flag(&mut self, name: &str, value: bool) {
        if value {
            self.add(name, "true".to_owned());
        }
    }

    /// The arguments after the first one.
    pub fn after(&self, first: &str) -> String {
        std::iter::once(first).chain(self.0.iter().map(String::as_str)).collect::<Vec<_>>().join(", ")
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl KeyArguments {
    /// The arguments of `key_migration_plan` and `key_migration_create`. Only those that are given,
    /// so that the defaults are those of the server.
    pub fn named(&self) -> Named {
        let mut named = Named::default();
        named.optional("timestamp_column", "name", self.timestamp_column.as_ref());
        if let Some(target) = self.target.and_then(|target| target.to_possible_value()) {
            named.text("target", "text", target.get_name());
        }
        named.optional("salt", "text", self.salt.as_ref());
        if !self.include.is_empty() {
            named.array("include_columns", "name", &self.include);
        }
        named.optional("new_suffix", "text", self.new_suffix.as_ref());
        named.optional("old_suffix", "text", self.old_suffix.as_ref());
        named.flag("fire_triggers", self.fire_triggers);
        named.optional("time_zone", "text", self.time_zone.as_ref());
        named.optional("timestamp_expression", "text", self.timestamp_expression.as_ref());
        named.optional("timestamp_reference", "name", self.timestamp_reference.as_ref());
        named.flag("without_timestamp", self.without_timestamp);
        named.flag("move_primary_key", self.move_primary_key);
        named
    }

    /// The calls that create the migration, with its references. On several nodes, `nodes` are the
    /// numbers of all of them.
    ///
    /// # Errors
    /// If a reference is not written as it should be, or its table does not exist.
    pub fn create(&self, session: &mut Session, table: &Table, nodes: &[i32]) -> Result<Vec<String>> {
        let create = session.object("key_migration_create")?;
        let mut named = self.named();
        if !nodes.is_empty() {
            let nodes: Vec<String> = nodes.iter().map(i32::to_string).collect();
            named.array("nodes", "int4", &nodes);
        }
        let mut calls = vec![format!("SELECT {create}({})", named.after(&table.argument()))];
        calls.extend(self.add_references(session, table)?);
        Ok(calls)
    }

    /// The calls that add the references. One that is there already stays as it is.
    ///
    /// # Errors
    /// As above.
    pub fn add_references(&self, session: &mut Session, table: &Table) -> Result<Vec<String>> {
        let mut calls = Vec::new();
        for reference in &self.references {
            let (of, columns) = split(reference)?;
            let of = Table::find(session, of)?;
            let mut names = Vec::new();
            for column in columns {
                // The server reads names: quotes, and letters without them.
                let row = session.query_one("SELECT parse_ident($1)", &[&column])?;
                let parts: Vec<String> = row.try_get(0)?;
                match <[String; 1]>::try_from(parts) {
                    Ok([name]) => names.push(name),
                    Err(_) => return Err(invalid(reference)),
                }
            }
            let add = session.object("key_migration_add_reference")?;
            let mut named = Named::default();
            named.text("table_name", "regclass", &of.name);
            named.array("columns", "name", &names);
            calls.push(format!("SELECT {add}({})", named.after(&table.argument())));
        }
        Ok(calls)
    }
}

/// The table of a reference, and its columns.
fn split(reference: &str) -> Result<(&str, Vec<&str>)> {
    let parts = reference.trim().strip_suffix(')').and_then(|rest| rest.rsplit_once('('));
    let (table, columns) = parts.ok_or_else(|| invalid(reference))?;
    Ok((table.trim(), columns.split(',').map(str::trim).collect()))
}

fn invalid(reference: &str) -> Failure {
    Failure::new(format!("invalid value for \"--reference\": \"{reference}\""))
        .hint("Write the table, and its columns in parentheses: --reference 'shop.log (order_id)'.")
}

/// A setting of `key_migration_set`, with its type there.
const SETTINGS: [(&str, &str); 11] = [
    ("batch_pages", "int4"),
    ("pause", "interval"),
    ("lock_timeout", "interval"),
    ("retries", "int4"),
    ("max_standby_lag", "interval"),
    ("max_slot_wal", SIZE),
    ("max_archive_files", "int4"),
    ("max_wal_rate", SIZE),
    ("min_free_disk", SIZE),
    ("max_overdue_tables", "int4"),
    ("throttle_query", "text"),
];
/// A number of bytes, which people write as `5 GB`.
const SIZE: &str = "size";

/// The call that changes how a migration runs.
///
/// # Errors
/// If there is no such setting.
pub fn set(session: &Session, table: &Table, settings: &[String]) -> Result<Option<String>> {
    let named = settings_of(settings)?;
    let function = session.object("key_migration_set")?;
    Ok((!named.is_empty()).then(|| format!("SELECT {function}({})", named.after(&table.argument()))))
}

fn settings_of(settings: &[String]) -> Result<Named> {
    let mut named = Named::default();
    for setting in settings {
        let known = setting.split_once('=').and_then(|(name, value)| {
            let name = name.trim();
            let (name, r#type) = SETTINGS.iter().find(|(known, _)| *known == name)?;
            Some((*name, *r#type, value.trim()))
        });
        let (name, r#type, value) = known.ok_or_else(|| {
            let names: Vec<&str> = SETTINGS.iter().map(|(name, _)| *name).collect();
            Failure::new(format!("invalid value for \"--set\": \"{setting}\""))
                .detail(format!("The settings are: {}.", names.join(", ")))
                .hint("Write NAME=VALUE: --set 'pause=50 ms'.")
        })?;
        if r#type == SIZE {
            named.add(name, format!("pg_catalog.pg_size_bytes({})", literal(value)));
        } else {
            named.text(name, r#type, value);
        }
    }
    Ok(named)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::arguments::Target;
    use super::*;

    #[test]
    fn arguments_are_literals_of_their_types() {
        let key = KeyArguments {
            target: Some(Target::Ulid),
            timestamp_column: Some("made'at".to_owned()),
            include: vec!["a".to_owned(), "B c".to_owned()],
            without_timestamp: true,
            ..KeyArguments::default()
        };
        assert_eq!(
            key.named().after("'t'::pg_catalog.regclass"),
            "'t'::pg_catalog.regclass, timestamp_column => 'made''at'::pg_catalog.name, \
             target => 'ulid'::pg_catalog.text, include_columns => ARRAY['a', 'B c']::pg_catalog.name[], \
             without_timestamp => true"
        );
        assert!(KeyArguments::default().named().is_empty(), "the defaults are those of the server");
    }

    #[test]
    fn references_are_a_table_and_its_columns() {
        assert_eq!(split("log (order_id)").unwrap(), ("log", vec!["order_id"]));
        assert_eq!(split(" \"a(b\".\"t\"(x, \"Y\") ").unwrap(), ("\"a(b\".\"t\"", vec!["x", "\"Y\""]));
        for bad in ["", "log", "log order_id)", "log (a"] {
            assert!(split(bad).unwrap_err().message.contains("--reference"), "{bad}");
        }
    }

    #[test]
    fn settings_have_the_types_of_the_server() {
        let texts = |settings: &[&str]| {
            settings_of(&settings.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
                .map(|named| named.after(""))
        };
        assert_eq!(
            texts(&["pause=50 ms", "max_slot_wal = 5 GB", "throttle_query=SELECT count(*) = 0 FROM q"])
                .unwrap(),
            ", pause => '50 ms'::pg_catalog.interval, max_slot_wal => pg_catalog.pg_size_bytes('5 GB'), \
             throttle_query => 'SELECT count(*) = 0 FROM q'::pg_catalog.text"
        );
        for bad in ["pause", "nothing=1", "paused=true"] {
            let failure = texts(&[bad]).unwrap_err();
            assert!(failure.detail.unwrap().contains("batch_pages"), "{bad}");
        }
    }
}
