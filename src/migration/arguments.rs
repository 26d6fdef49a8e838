//! Validates the arguments of a plan and of a new migration.

use std::ffi::CStr;

use keyspace::migration::{KeyOptions, Options, Target, TimeRequest};
use keyspace::{Error, SqlState};
use pgrx::AnyArray;
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;

use crate::encoding::{from_server, from_utf8, to_server};
use crate::keys::RawText;
use crate::server::call::required;
use crate::server::failure::Failure;
use crate::server::relation::relation_name;

/// The arguments that say where keys take their time from.
pub(super) struct TimeArguments<'a> {
    pub(super) timestamp_column: Option<&'a CStr>,
    pub(super) time_zone: Option<RawText<'a>>,
    pub(super) timestamp_expression: Option<RawText<'a>>,
    pub(super) timestamp_reference: Option<&'a CStr>,
    pub(super) without_timestamp: Option<bool>,
}

impl TimeArguments<'_> {
    fn request(&self) -> Result<TimeRequest, Error> {
        let text = |given: Option<RawText<'_>>| given.map(|given| given.to_utf8().to_owned());
        Ok(TimeRequest {
            column: self.timestamp_column.map(from_server),
            zone: text(self.time_zone),
            expression: text(self.timestamp_expression),
            reference: self.timestamp_reference.map(from_server),
            constant: required(self.without_timestamp, "without_timestamp")?,
        })
    }
}

/// The arguments for one key of a migration.
pub(super) struct KeyArguments<'a> {
    pub(super) time: TimeArguments<'a>,
    pub(super) salt: Option<RawText<'a>>,
    pub(super) include_columns: Option<AnyArray>,
}

impl KeyArguments<'_> {
    /// Validates the arguments; the salt stays unset if none is given.
    pub(super) fn key(&self, relation: pg_sys::Oid) -> Result<KeyOptions, Failure> {
        Ok(KeyOptions {
            table: relation.to_u32(),
            request: self.time.request()?,
            salt: self.salt.map(|salt| salt.to_utf8().to_owned()).unwrap_or_default(),
            include: names(self.include_columns, "include_columns")?,
            ..KeyOptions::default()
        })
    }
}

/// The arguments of a plan and of a new migration.
pub(super) struct PlanArguments<'a> {
    pub(super) key: KeyArguments<'a>,
    pub(super) target: Option<&'a str>,
    pub(super) new_suffix: Option<RawText<'a>>,
    pub(super) old_suffix: Option<RawText<'a>>,
    pub(super) fire_triggers: Option<bool>,
    pub(super) move_primary_key: Option<bool>,
}

impl PlanArguments<'_> {
    /// Validates the arguments; the salt stays unset if none is given.
    pub(super) fn options(&self, relation: pg_sys::Oid) -> Result<Options, Failure> {
        let mut options = Options::new(Target::parse(required(self.target, "target")?)?);
        options.keys = vec![self.key.key(relation)?];
        options.new_suffix = required(self.new_suffix, "new_suffix")?.to_utf8().to_owned();
        options.old_suffix = required(self.old_suffix, "old_suffix")?.to_utf8().to_owned();
        options.fire_triggers = required(self.fire_triggers, "fire_triggers")?;
        // Implied if old ids have to be able to be NULL.
        options.move_primary_key |= required(self.move_primary_key, "move_primary_key")?;
        options.check()?;
        if options.target.keeps_values() && self.key.salt.is_some() {
            let message = format!("salt cannot be used with target \"{}\"", options.target.name());
            return Err(Error::new(SqlState::InvalidParameterValue, message)
                .detail("Keys keep their values, and are not derived.")
                .into());
        }
        Ok(options)
    }
}

/// The names in an array.
pub(super) fn names(array: Option<AnyArray>, argument: &str) -> Result<Vec<String>, Failure> {
    elements(array, pg_sys::NAMEARRAYOID, argument)
}

/// The texts in an array.
pub(super) fn texts(array: Option<AnyArray>, argument: &str) -> Result<Vec<String>, Failure> {
    elements(array, pg_sys::TEXTARRAYOID, argument)
}

/// The elements of an array whose type the function declares.
fn elements(array: Option<AnyArray>, of_type: pg_sys::Oid, argument: &str) -> Result<Vec<String>, Failure> {
    let array = required(array, argument)?;
    let query = "SELECT pg_catalog.convert_to(given::text, 'UTF8') FROM pg_catalog.unnest($1) AS given";
    // SAFETY: the function is declared with this argument type, and the datum lives as long as the
    // call.
    let given = unsafe { DatumWithOid::new(array.datum(), of_type) };
    let found: Vec<Option<Vec<u8>>> = Spi::connect(|client| {
        client.select(query, None, &[given])?.map(|row| row.get::<Vec<u8>>(1)).collect::<Result<_, _>>()
    })?;
    let found: Option<Vec<Vec<u8>>> = found.into_iter().collect();
    let found = found.ok_or_else(|| {
        Error::new(SqlState::NullValueNotAllowed, format!("{argument} must not contain nulls"))
    })?;
    Ok(found.into_iter().map(from_utf8).collect())
}

/// The number of a column of a table.
pub(super) fn column_number(table: pg_sys::Oid, name: &str) -> Result<i16, Failure> {
    let text = to_server(name);
    // SAFETY: looks up a catalog by OID and by a NUL-terminated name.
    let number = unsafe { pg_sys::get_attnum(table, text.as_ptr()) };
    if number <= 0 {
        let message = format!("column \"{name}\" of table {} does not exist", relation_name(table));
        return Err(Error::new(SqlState::UndefinedColumn, message).into());
    }
    Ok(number)
}
