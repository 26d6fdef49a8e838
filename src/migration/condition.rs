//! The arguments that say which rows of a column refer to a key: `type_column`, `type_values` and
//! `null_values`.

use std::ffi::CStr;

use keyspace::migration::condition::{Condition, canonical_number, check_type};
use keyspace::migration::member::Member;
use keyspace::migration::old_id::IdKind;
use keyspace::migration::{Scope, Target};
use keyspace::sql::{literal, quoted};
use keyspace::{Error, SqlState};
use pgrx::AnyArray;
use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use super::arguments::texts;
use super::create::column_number;
use super::rights::check_is_owner;
use super::state::{self, COLUMN};
use crate::encoding::{ServerText, from_server, to_server};
use crate::server::as_owner::as_owner;
use crate::server::extension::Extension;
use crate::server::failure::Failure;
use crate::server::relation::{relation_name, relation_owner, type_name};
use crate::server::settings::with_own_settings;

pub(super) struct ConditionArguments<'a> {
    pub(super) type_column: Option<&'a CStr>,
    pub(super) type_values: Option<AnyArray>,
    pub(super) null_values: Option<AnyArray>,
}

impl ConditionArguments<'_> {
    /// The condition of a column; `None` if all of its rows refer to the key.
    ///
    /// # Errors
    /// 22004, 22023 for invalid arguments, 42703 if the type column does not exist, 42804 if it is neither
    /// a number nor a text.
    pub(super) fn of_column(
        &self,
        target: Target,
        table: pg_sys::Oid,
        name: &str,
        column: i16,
    ) -> Result<Option<Condition>, Failure> {
        let type_column = self.type_column.map(from_server);
        let type_values =
            self.type_values.as_ref().map(|_| texts(self.type_values, "type_values")).transpose()?;
        let null_values = texts(self.null_values, "null_values")?;
        if type_column.is_none() && type_values.is_none() && null_values.is_empty() {
            return Ok(None);
        }
        if target.keeps_values() {
            let argument = if null_values.is_empty() { "type_column" } else { "null_values" };
            let message = format!("{argument} cannot be used with target \"{}\"", target.name());
            return Err(Error::new(SqlState::InvalidParameterValue, message)
                .detail("Keys keep their values, so those of other rows stay right, too.")
                .hint("Add the column without it.")
                .into());
        }
        let mut condition = Condition { table: table.to_u32(), column, ..Condition::default() };
        match (type_column, type_values) {
            (None, None) => {}
            (Some(type_column), Some(values)) if !values.is_empty() => {
                let number = column_number(table, &type_column)?;
                if number == column {
                    let message = format!("column \"{name}\" cannot be its own type column");
                    return Err(Error::new(SqlState::InvalidParameterValue, message).into());
                }
                check_values(table, &type_column, number, &values)?;
                condition.type_column = Some(number);
                condition.type_values = values;
            }
            _ => {
                let message = "type_column and type_values must be specified together";
                return Err(Error::new(SqlState::InvalidParameterValue, message)
                    .hint("For example: type_column => 'record_type', type_values => '{Order}'.")
                    .into());
            }
        }
        condition.null_values = null_values;
        canonical(table, name, column, &mut condition.null_values)?;
        Ok(Some(condition))
    }
}

/// The type of a column, as SQL writes it; that of a domain is the one that it is based on.
fn base_type(table: pg_sys::Oid, column: i16) -> String {
    // SAFETY: looks up catalogs by OID.
    type_name(unsafe { pg_sys::getBaseType(pg_sys::get_atttype(table, column)) })
}

/// Refuses values that the type column cannot have.
fn check_values(table: pg_sys::Oid, name: &str, column: i16, values: &[String]) -> Result<(), Error> {
    let of_type = base_type(table, column);
    check_type(&of_type).map_err(|types| {
        let message =
            format!("type column \"{name}\" of table {} is of type {of_type}", relation_name(table));
        Error::new(SqlState::DatatypeMismatch, message)
            .detail(format!("A type column must be of type {types}."))
    })?;
    let is_number = IdKind::of(&of_type) == Some(IdKind::Integer);
    match values.iter().find(|value| is_number && canonical_number(value).is_none()) {
        None => Ok(()),
        Some(value) => Err(not_a_value("type_values", value, &of_type)),
    }
}

/// Writes old ids as PostgreSQL writes them.
fn canonical(table: pg_sys::Oid, name: &str, column: i16, values: &mut [String]) -> Result<(), Failure> {
    let of_type = base_type(table, column);
    for value in values {
        let is_value = match IdKind::of(&of_type) {
            Some(IdKind::Integer) => canonical_number(value).is_some(),
            Some(IdKind::Uuid) => {
                let parsed = value.parse::<uuid::Uuid>();
                if let Ok(parsed) = parsed {
                    *value = parsed.to_string();
                }
                parsed.is_ok()
            }
            Some(IdKind::Text) => true,
            None => {
                let message =
                    format!("column \"{name}\" of table {} is of type {of_type}", relation_name(table));
                return Err(Error::new(SqlState::DatatypeMismatch, message)
                    .detail("A column of this type cannot be migrated.")
                    .into());
            }
        };
        if !is_value {
            return Err(not_a_value("null_values", value, &of_type).into());
        }
    }
    Ok(())
}

fn not_a_value(argument: &str, value: &str, of_type: &str) -> Error {
    let message = format!("\"{value}\" in {argument} is not a value of type {of_type}");
    Error::new(SqlState::InvalidParameterValue, message).hint("Write numbers as PostgreSQL does: -1, 0, 42.")
}

/// Refuses old ids that should mean none, although a row has them. A caller without the rights of the
/// owner of the table with the key cannot know.
///
/// # Errors
/// 22023 if there is such a row.
pub(super) fn refuse_existing(scope: &Scope<'_>, member: &Member<'_>) -> Result<(), Failure> {
    let Some(condition) = member.refers.map(|refers| refers.condition) else { return Ok(()) };
    let key = &scope.key_of(member).column;
    let root = pg_sys::Oid::from(key.table.oid);
    let owner = relation_owner(root);
    if condition.null_values.is_empty() || check_is_owner(root, owner).is_err() {
        return Ok(());
    }
    for value in &condition.null_values {
        let cast = match key.old_id.id_kind() {
            Some(IdKind::Integer) if canonical_number(value).is_none() => continue,
            Some(IdKind::Integer) | None => "int8",
            Some(IdKind::Uuid) => "uuid",
            Some(IdKind::Text) => "text",
        };
        let query = to_server(&format!(
            "SELECT EXISTS (SELECT FROM ONLY {} AS t WHERE t.{} OPERATOR(pg_catalog.=) {}::pg_catalog.{cast})",
            key.table_sql(),
            quoted(&key.old_id.name),
            literal(value).trim()
        ));
        let exists = with_own_settings(|| {
            as_owner(owner, || {
                Spi::connect(|client| -> SpiResult<bool> {
                    Ok(client.select(query.as_c_str(), Some(1), &[])?.first().get(1)?.unwrap_or(false))
                })
            })
        })?;
        if exists {
            let message = format!(
                "table {} has a row with \"{}\" = {value}, so this value in null_values does not mean none",
                relation_name(root),
                key.old_id.name
            );
            return Err(Error::new(SqlState::InvalidParameterValue, message).into());
        }
    }
    Ok(())
}

/// Stores the condition of a column that is stored already.
pub(super) fn store(extension: Extension, migration: pg_sys::Oid, condition: &Condition) -> SpiResult<()> {
    let list = |values: &[String]| values.iter().cloned().map(ServerText).collect::<Vec<_>>();
    let statement = "UPDATE {} SET type_attribute = $6, type_values = $7, null_values = $8 \
                     WHERE {own} AND migration = $3 AND relation = $4 AND attribute = $5";
    state::write(
        statement,
        COLUMN,
        extension,
        migration,
        [
            pg_sys::Oid::from(condition.table).into(),
            condition.column.into(),
            condition.type_column.into(),
            list(&condition.type_values).into(),
            list(&condition.null_values).into(),
        ],
    )?;
    Ok(())
}
