//! The arguments that say which rows of a column refer to a key: `type_column`, `type_values` and
//! `null_values`.

use std::ffi::CStr;

use keyspace::migration::condition::{Condition, canonical_number};
use keyspace::migration::member::Member;
use keyspace::migration::old_id::IdKind;
use keyspace::migration::{Scope, Target};
use keyspace::sql::{literal, quoted};
use keyspace::{Error, SqlState};
use pgrx::AnyArray;
use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use super::arguments::{column_number, texts};
use super::rights::check_is_owner;
use super::state::{self, COLUMN};
use super::tuple::{Kind, Role, Value};
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
        let of_type =
            self.type_values.as_ref().map(|_| texts(self.type_values, "type_values")).transpose()?;
        let none = texts(self.null_values, "null_values")?;
        if type_column.is_none() && of_type.is_none() && none.is_empty() {
            return Ok(None);
        }
        if target.keeps_values() {
            let argument = if none.is_empty() { "type_column" } else { "null_values" };
            let message = format!("{argument} cannot be used with target \"{}\"", target.name());
            return Err(Error::new(SqlState::InvalidParameterValue, message)
                .detail("Keys keep their values, so those of other rows stay right, too.")
                .hint("Add the column without it.")
                .into());
        }
        let mut condition = Condition { table: table.to_u32(), column, ..Condition::default() };
        match (type_column, of_type) {
            (None, None) => {}
            (Some(type_column), Some(values)) if !values.is_empty() => {
                let number = column_number(table, &type_column)?;
                if number == column {
                    let message = format!("column \"{name}\" cannot be its own type column");
                    return Err(Error::new(SqlState::InvalidParameterValue, message).into());
                }
                condition.type_column = Some(number);
                condition.type_values = type_values(table, &type_column, number, values)?;
            }
            _ => {
                let message = "type_column and type_values must be specified together";
                return Err(Error::new(SqlState::InvalidParameterValue, message)
                    .hint("For example: type_column => 'record_type', type_values => '{Order}'.")
                    .into());
            }
        }
        condition.null_values = null_values(table, name, column, none)?;
        Ok(Some(condition))
    }
}

/// The type of a column, and how many characters its values can have; of a domain, that on which it is
/// based.
fn base_type(table: pg_sys::Oid, column: i16) -> (pg_sys::Oid, Option<usize>) {
    let (mut of_type, mut modifier, mut collation) = (pg_sys::InvalidOid, -1, pg_sys::InvalidOid);
    // SAFETY: looks up catalogs by OID; the column exists.
    unsafe {
        pg_sys::get_atttypetypmodcoll(table, column, &mut of_type, &mut modifier, &mut collation);
        of_type = pg_sys::getBaseTypeAndTypmod(of_type, &mut modifier);
    }
    let is_limited = [pg_sys::VARCHAROID, pg_sys::BPCHAROID].contains(&of_type);
    // A varchar(20) has the modifier 24.
    let length = usize::try_from(modifier - pg_sys::VARHDRSZ as i32).ok();
    (of_type, length.filter(|_| is_limited))
}

fn fits(value: &str, length: Option<usize>) -> bool {
    length.is_none_or(|length| value.chars().count() <= length)
}

/// The error for a column of a type that cannot be used.
fn wrong_type(of: &str, table: pg_sys::Oid, name: &str, of_type: pg_sys::Oid) -> Error {
    let (table, of_type) = (relation_name(table), type_name(of_type));
    Error::new(SqlState::DatatypeMismatch, format!("{of} \"{name}\" of table {table} is of type {of_type}"))
}

/// Whether a column of this kind can have this number, written as PostgreSQL writes it.
fn is_number(kind: Kind, value: &str) -> bool {
    canonical_number(value).is_some_and(|number| kind.datum(Value::Number(number)).is_some())
}

/// The values that the type column can have, each once. Spaces at the end of a `character(n)` are none of
/// them.
fn type_values(
    table: pg_sys::Oid,
    name: &str,
    column: i16,
    mut values: Vec<String>,
) -> Result<Vec<String>, Error> {
    let (of_type, length) = base_type(table, column);
    let kind = Role::TypeName.kind(of_type).ok_or_else(|| {
        wrong_type("type column", table, name, of_type)
            .detail(format!("A type column must be of type {}.", Role::TypeName.types()))
    })?;
    for value in &mut values {
        match kind {
            Kind::Character => value.truncate(value.trim_end_matches(' ').len()),
            Kind::Text => {}
            _ if is_number(kind, value) => {}
            _ => return Err(not_a_value("type_values", value, of_type)),
        }
        if !fits(value, length) {
            return Err(too_long("type_values", value, length));
        }
    }
    values.sort_unstable();
    values.dedup();
    Ok(values)
}

/// Old ids as PostgreSQL writes them, each once. The first of them stays the first.
fn null_values(
    table: pg_sys::Oid,
    name: &str,
    column: i16,
    values: Vec<String>,
) -> Result<Vec<String>, Error> {
    let mut found = Vec::new();
    let (of_type, length) = base_type(table, column);
    let kind = Role::OldId.kind(of_type);
    for value in values {
        let value = match kind {
            None => {
                return Err(wrong_type("column", table, name, of_type)
                    .detail("A column of this type cannot be migrated."));
            }
            Some(Kind::Uuid) => match value.parse::<uuid::Uuid>() {
                Ok(parsed) => parsed.to_string(),
                Err(_) => return Err(not_a_value("null_values", &value, of_type)),
            },
            Some(kind) if kind.id_kind() == Some(IdKind::Integer) && !is_number(kind, &value) => {
                return Err(not_a_value("null_values", &value, of_type));
            }
            Some(_) if !fits(&value, length) => return Err(too_long("null_values", &value, length)),
            Some(_) => value,
        };
        if !found.contains(&value) {
            found.push(value);
        }
    }
    Ok(found)
}

fn too_long(argument: &str, value: &str, length: Option<usize>) -> Error {
    let message =
        format!("\"{value}\" in {argument} is longer than {} characters", length.unwrap_or_default());
    Error::new(SqlState::InvalidParameterValue, message).detail("The column cannot have this value.")
}

fn not_a_value(argument: &str, value: &str, of_type: pg_sys::Oid) -> Error {
    let message = format!("\"{value}\" in {argument} is not a value of type {}", type_name(of_type));
    let error = Error::new(SqlState::InvalidParameterValue, message);
    if of_type == pg_sys::UUIDOID {
        return error;
    }
    error.hint("Numbers must be written as PostgreSQL does, for example -1, 0 or 42, and be in range.")
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
            let message = format!("\"{value}\" in null_values is an id of table {}", relation_name(root));
            return Err(Error::new(SqlState::InvalidParameterValue, message)
                .detail("References to its row would be lost.")
                .into());
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
