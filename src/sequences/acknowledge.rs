//! `acknowledge_interleaved_finding`: findings that somebody has looked at and accepts, in the table
//! `interleaved_acknowledgement`.

use std::collections::HashMap;

use keyspace::sequences::acknowledged::check_name;
use keyspace::{Error, SqlState};
use pgrx::AnyElement;
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use crate::encoding::from_utf8;
use crate::error::or_raise;
use crate::sequences::own::tables;
use crate::server::call::null;
use crate::server::extension::Extension;
use crate::server::failure::Failure;
use crate::server::relation::{existing_relation, relation_name};
use crate::server::role::{owns_database, owns_relation};
use crate::server::tables::own_key;

/// Stands for the node as a whole in place of a sequence; pgrx passes it as NULL.
const NODE: pg_sys::Oid = pg_sys::InvalidOid;

/// Stores that a finding is accepted, or removes that. Declared in
/// sql/sequences/acknowledge_interleaved_finding.sql.
///
/// # Errors
/// 22004 if no finding is named, 22023 for an unknown finding, one that is always an error, and a
/// reason that is empty, 25006 if nothing can be written, 42501 if the caller owns neither the
/// database nor the sequence, 42809 and 42P01 for what is no sequence.
#[pg_extern(sql = false)]
fn acknowledge_interleaved_finding(
    sequence: Option<pg_sys::Oid>,
    finding: Option<AnyElement>,
    reason: Option<AnyElement>,
    fcinfo: pg_sys::FunctionCallInfo,
) {
    if let Err(failure) = acknowledge(sequence, finding, reason, or_raise(Extension::of_call(fcinfo))) {
        failure.raise();
    }
}

fn acknowledge(
    sequence: Option<pg_sys::Oid>,
    finding: Option<AnyElement>,
    reason: Option<AnyElement>,
    extension: Extension,
) -> Result<(), Failure> {
    // SAFETY: plain checks of this backend's state, which raise PostgreSQL's own errors.
    unsafe {
        pg_sys::PreventCommandIfReadOnly(c"acknowledge_interleaved_finding()".as_ptr());
        pg_sys::PreventCommandDuringRecovery(c"acknowledge_interleaved_finding()".as_ptr());
    }
    let Some(finding) = finding else { return Err(null("finding").into()) };
    check_name(&utf8(finding)?)?;
    check_rights(sequence)?;
    let Some(reason) = reason else { return take_back(sequence, finding, extension) };
    if utf8(reason)?.trim().is_empty() {
        let message = "reason must not be empty";
        return Err(Error::new(SqlState::InvalidParameterValue, message)
            .hint("Say why the finding is accepted; NULL takes an acknowledgement back.")
            .into());
    }
    let statement = "INSERT INTO {} (system_identifier, database, sequence, finding, reason, role) \
         VALUES ($1, $2, COALESCE($3, 0::pg_catalog.oid), $4, $5, $6) \
         ON CONFLICT (system_identifier, database, sequence, finding) \
         DO UPDATE SET reason = EXCLUDED.reason, role = EXCLUDED.role, acknowledged_at = EXCLUDED.acknowledged_at";
    // SAFETY: reads a variable of this backend.
    let role = unsafe { pg_sys::GetUserId() };
    let (system_identifier, database) = own_key();
    let arguments = [
        system_identifier.into(),
        database.into(),
        sequence.into(),
        text(finding),
        text(reason),
        role.into(),
    ];
    tables::ACKNOWLEDGEMENT.write(statement, extension, &arguments)?;
    Ok(())
}

fn take_back(
    sequence: Option<pg_sys::Oid>,
    finding: AnyElement,
    extension: Extension,
) -> Result<(), Failure> {
    let condition = "r.sequence OPERATOR(pg_catalog.=) COALESCE($3, 0::pg_catalog.oid) \
         AND r.finding OPERATOR(pg_catalog.=) $4";
    tables::ACKNOWLEDGEMENT.delete(condition, extension, [sequence.into(), text(finding)])?;
    Ok(())
}

/// Checks that it is a sequence, and that the caller owns the database or the sequence.
///
/// # Errors
/// 42501, 42809 and 42P01.
fn check_rights(sequence: Option<pg_sys::Oid>) -> Result<(), Error> {
    let Some(sequence) = sequence else {
        return if owns_database() {
            Ok(())
        } else {
            Err(Error::new(SqlState::InsufficientPrivilege, "must be owner of the database")
                .detail("The finding is about the node as a whole."))
        };
    };
    existing_relation(Some(sequence), "sequence")?;
    // SAFETY: looks up the OID in the cache.
    if unsafe { pg_sys::get_rel_relkind(sequence) } as u8 != pg_sys::RELKIND_SEQUENCE {
        let message = format!("{} is not a sequence", relation_name(sequence));
        return Err(Error::new(SqlState::WrongObjectType, message));
    }
    if owns_database() || owns_relation(sequence) {
        return Ok(());
    }
    let message = format!("must be owner of sequence {}", relation_name(sequence));
    Err(Error::new(SqlState::InsufficientPrivilege, message)
        .hint("Its owner can acknowledge a finding about it, and so can the owner of the database."))
}

/// An argument, passed unchanged to a statement.
fn text(argument: AnyElement) -> DatumWithOid<'static> {
    // SAFETY: the function is declared with an argument of type text, which lives as long as the
    // call.
    unsafe { DatumWithOid::new(argument.datum(), pg_sys::TEXTOID) }
}

/// The text of an argument.
fn utf8(argument: AnyElement) -> SpiResult<String> {
    let query = "SELECT pg_catalog.convert_to($1, 'UTF8')";
    Spi::connect(|client| {
        let bytes: Option<Vec<u8>> = client.select(query, Some(1), &[text(argument)])?.first().get_one()?;
        Ok(from_utf8(bytes.unwrap_or_default()))
    })
}

/// The reasons for which findings are accepted.
#[derive(Default)]
pub(super) struct Acknowledged(HashMap<(u32, String), String>);

impl Acknowledged {
    /// Reads them.
    pub(super) fn read(extension: Extension) -> SpiResult<Self> {
        let query = "SELECT a.sequence, pg_catalog.convert_to(a.finding, 'UTF8'), pg_catalog.convert_to(a.reason, 'UTF8') \
             FROM {} AS a \
             WHERE a.system_identifier OPERATOR(pg_catalog.=) $1 AND a.database OPERATOR(pg_catalog.=) $2";
        let (system_identifier, database) = own_key();
        let key = [system_identifier.into(), database.into()];
        tables::ACKNOWLEDGEMENT.select(query, extension, &key, |rows| {
            let mut reasons = HashMap::new();
            for row in rows {
                let sequence: pg_sys::Oid = row.get(1)?.unwrap_or(NODE);
                let text = |at: usize| -> SpiResult<String> {
                    Ok(from_utf8(row.get::<Vec<u8>>(at)?.unwrap_or_default()))
                };
                reasons.insert((sequence.to_u32(), text(2)?), text(3)?);
            }
            Ok(Self(reasons))
        })
    }

    /// Why a finding about a sequence, or about the node as a whole, is accepted, if it is.
    pub(super) fn reason(&self, sequence: Option<pg_sys::Oid>, finding: &str) -> Option<&str> {
        if self.0.is_empty() {
            return None;
        }
        let key = (sequence.unwrap_or(NODE).to_u32(), finding.to_owned());
        self.0.get(&key).map(String::as_str)
    }
}
