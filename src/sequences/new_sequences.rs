//! New sequences: if this is enabled, the command that creates a sequence moves it into the class
//! of the node.

use std::ffi::CStr;
use std::rc::Rc;

use keyspace::sequences::{Class, Outcome, Plan, Sequence, Target, plan};
use keyspace::sql::in_message;
use keyspace::{Error, SqlState};
use pgrx::prelude::*;
use pgrx::{pg_guard, pg_sys};

use crate::encoding::{from_server, to_server};
use crate::error::{or_raise, raise, report};
use crate::sequences::change::{Change, Planner, alter_created, record_of_created};
use crate::sequences::own::{identity, tables};
use crate::sequences::read::selection::Selection;
use crate::sequences::read::{created, form};
use crate::server::call::required;
use crate::server::extension::Extension;
use crate::server::failure::{Failure, refusal};
use crate::server::names::renamed;
use crate::server::open::ActiveSnapshot;
use crate::server::patience::Patience;
use crate::server::subtransaction::attempt;
use crate::server::timeout::Timeout;

unsafe extern "C-unwind" {
    /// From commands/sequence.h: executes `ALTER SEQUENCE`.
    fn AlterSequence(
        pstate: *mut pg_sys::ParseState,
        statement: *mut pg_sys::AlterSeqStmt,
    ) -> pg_sys::ObjectAddress;
}

/// Enables or disables it for this database. Every session follows as soon as that is committed.
/// Declared in sql/sequences/interleave_new_sequences.sql.
///
/// # Errors
/// 22004 for NULL, 25006 if nothing can be written, 42501 if the caller does not own the database,
/// 55000 if the database has no node.
#[pg_extern(sql = false)]
fn interleave_new_sequences(enable: Option<bool>, fcinfo: pg_sys::FunctionCallInfo) {
    let enable = or_raise(required(enable, "enable"));
    if let Err(failure) = switch(enable, or_raise(Extension::of_call(fcinfo))) {
        failure.raise();
    }
}

fn switch(enable: bool, extension: Extension) -> Result<(), Failure> {
    // SAFETY: plain checks of this backend's state, which raise PostgreSQL's own errors.
    unsafe {
        pg_sys::PreventCommandIfReadOnly(c"interleave_new_sequences()".as_ptr());
        pg_sys::PreventCommandDuringRecovery(c"interleave_new_sequences()".as_ptr());
    }
    if !identity::is_stored(extension)? {
        return Err(Error::new(
            SqlState::ObjectNotInPrerequisiteState,
            "this database has not been set up as a node",
        )
        .detail("New sequences are moved into the class of the node that is stored for this server and this database.")
        .hint("Call setup_interleaved_sequences(node, nodes) first.")
        .into());
    }
    identity::take_new_sequences(extension, enable)?;
    tables::prune(extension)?;
    Ok(())
}

/// The event trigger. Called for every command that may create sequences, in every database with
/// the extension, whoever runs the command. If it is disabled, it only looks at the state that the
/// backend has cached (trap S50).
///
/// # Safety
/// Only the function manager may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn interleave_created_sequences(
    fcinfo: pg_sys::FunctionCallInfo,
) -> pg_sys::Datum {
    // SAFETY: the function manager passes a valid call.
    let is_event_trigger = unsafe {
        let context = (*fcinfo).context;
        !context.is_null() && (*context).type_ == pg_sys::NodeTag::T_EventTriggerData
    };
    if !is_event_trigger || identity::takes_new_sequences_cached() != Some(false) {
        command_ended(fcinfo, is_event_trigger);
    }
    pg_sys::Datum::from(0_usize)
}

#[cold]
#[pg_guard]
extern "C-unwind" fn command_ended(fcinfo: pg_sys::FunctionCallInfo, is_event_trigger: bool) {
    if !is_event_trigger {
        raise(report(Error::new(
            SqlState::FeatureNotSupported,
            "event trigger functions can only be called as event triggers",
        )));
    }
    // SAFETY: a plain flag of this backend.
    if unsafe { pg_sys::creating_extension } {
        return;
    }
    // SAFETY: the context has this type, as was checked.
    let tag = unsafe { (*(*fcinfo).context.cast::<pg_sys::EventTriggerData>()).tag };
    // Our own failures must not prevent anybody from creating a table.
    match interleave(or_raise(Extension::of_call(fcinfo)), tag) {
        Ok(()) => {}
        Err(Failure::Refused(error)) => {
            warn("could not interleave new sequences", error);
        }
        Err(failure @ Failure::Spi(_)) => failure.raise(),
    }
}

/// Whether this session restores a dump. A dump sets every sequence by `setval` to its dumped
/// position, which would take it out of its class again. Therefore restored sequences are left
/// unchanged (trap S40).
///
/// pg_dump and pg_restore begin every script with these two settings. The processes in which Spock
/// and pgactive replay DDL may have both, too, but they serve no client. During pg_upgrade, the new
/// server has its own flag.
fn is_restoring() -> bool {
    // SAFETY: plain variables of this backend. The path is a string that is never null once
    // settings are initialized.
    unsafe {
        pg_sys::IsBinaryUpgrade
            || !pg_sys::check_function_bodies
                && !pg_sys::MyProcPort.is_null()
                && !pg_sys::namespace_search_path.is_null()
                && CStr::from_ptr(pg_sys::namespace_search_path)
                    .to_bytes()
                    .iter()
                    .all(|byte| matches!(byte, b'"' | b' '))
    }
}

fn interleave(extension: Extension, tag: pg_sys::CommandTag::Type) -> Result<(), Failure> {
    if !identity::takes_new_sequences(extension)? || is_restoring() {
        return Ok(());
    }
    // SAFETY: an event trigger is running at the end of a command.
    let created = unsafe { created::sequences() };
    if created.is_empty() {
        return Ok(());
    }
    // A transaction that leaves the class waits for this lock until it can see the sequences that
    // were created in the class. A command that creates a sequence waits until the class is left;
    // acquiring the lock takes in that change.
    let node = tables::NODE.oid(extension)?;
    // SAFETY: takes a lock by OID; the lock manager raises its own errors.
    unsafe { pg_sys::LockRelationOid(node, pg_sys::RowExclusiveLock as i32) };
    // If the row has been deleted meanwhile, new sequences are no longer moved.
    let Some(class) = identity::known(extension)? else { return Ok(()) };
    // A table that was just created is empty.
    let may_hold_rows = !matches!(
        tag,
        pg_sys::CommandTag::CMDTAG_CREATE_TABLE | pg_sys::CommandTag::CMDTAG_CREATE_FOREIGN_TABLE
    );
    for oid in created {
        interleave_one(extension, oid, class, may_hold_rows);
    }
    Ok(())
}

/// Moves a sequence that has just been created. A failure causes a warning.
fn interleave_one(extension: Extension, oid: pg_sys::Oid, class: Class, may_hold_rows: bool) {
    let target = Target { class, from: None, origin: None, gap: None, blocks: false };
    // If the command has drawn from the sequence, all values in the column came from it and are
    // behind it. Otherwise the column may contain older values (ADD GENERATED AS IDENTITY, OWNED
    // BY).
    let Some(sequence) = sequence(oid) else { return };
    let name = sequence.name.clone();
    let done = if may_hold_rows && !sequence.is_called && is_owned(oid) {
        attempt(|| after_reading(extension, oid, target)).unwrap_or_else(|error| Err(refusal(error).into()))
    } else {
        let plan = plan(&sequence, &target);
        let done = may_alter(oid, &name, &plan);
        done.and_then(|()| carry_out(extension, oid, &sequence, &plan)).map_err(Failure::from)
    };
    match done {
        Ok(()) => {}
        Err(Failure::Refused(error)) => {
            warn(&format!("could not interleave sequence {}", in_message(&name)), error);
        }
        Err(Failure::Spi(error)) => {
            let error = Error::new(SqlState::ObjectNotInPrerequisiteState, error.to_string());
            warn(&format!("could not interleave sequence {}", in_message(&name)), error);
        }
    }
}

/// Moves a sequence above the values in its columns, as a set-up does.
fn after_reading(extension: Extension, oid: pg_sys::Oid, target: Target) -> Result<(), Failure> {
    let change = Change {
        extension,
        name: "command",
        class: Some(target.class),
        patience: Patience::new(Timeout::USUAL),
        planner: Planner::SetUp(target, Rc::default()),
        skip_failed: false,
    };
    // The snapshot of the command was taken before it, and a subtransaction without its own id
    // would use that snapshot.
    let snapshot = ActiveSnapshot::latest();
    let planned = change.plan(&Selection::new_sequence(oid));
    drop(snapshot);
    let (steps, _) = planned?;
    for step in &steps {
        carry_out(extension, oid, &step.before, &step.plan)?;
    }
    Ok(())
}

/// The data of a sequence without its columns; `None` if it is gone.
fn sequence(oid: pg_sys::Oid) -> Option<Sequence> {
    let form = form::definition(oid)?;
    let state = form::state(oid)?;
    // SAFETY: the names are NUL-terminated copies.
    let name = unsafe {
        let (schema, name) = names(oid)?;
        from_server(CStr::from_ptr(pg_sys::quote_qualified_identifier(schema, name)))
    };
    Some(Sequence {
        name,
        number_type: form.number_type,
        start: form.start,
        increment: form.progression.increment,
        min_value: form.progression.min_value,
        max_value: form.progression.max_value,
        cycle: form.progression.cycle,
        unlogged: false,
        replicated: None,
        last_value: state.last_value,
        is_called: state.is_called,
        former: None,
        history: Vec::new(),
        promoted: false,
        gap_left: 0,
        trusted: None,
        elsewhere: Vec::new(),
        columns: Vec::new(),
        used_by: Vec::new(),
    })
}

/// The names of a relation's schema and of the relation, in the encoding of the server.
///
/// # Safety
/// Must be called within a transaction.
unsafe fn names(oid: pg_sys::Oid) -> Option<(*mut std::ffi::c_char, *mut std::ffi::c_char)> {
    // SAFETY: looks up the OIDs. The results are copies.
    unsafe {
        let schema = pg_sys::get_namespace_name(pg_sys::get_rel_namespace(oid));
        let name = pg_sys::get_rel_name(oid);
        (!schema.is_null() && !name.is_null()).then_some((schema, name))
    }
}

/// Whether a column owns the sequence.
fn is_owned(oid: pg_sys::Oid) -> bool {
    let (mut table, mut column) = (pg_sys::InvalidOid, 0);
    [pg_sys::DependencyType::DEPENDENCY_AUTO, pg_sys::DependencyType::DEPENDENCY_INTERNAL].into_iter().any(
        // SAFETY: looks up the OID in pg_depend.
        |kind| unsafe { pg_sys::sequenceIsOwned(oid, kind as std::ffi::c_char, &mut table, &mut column) },
    )
}

/// Refuses in advance if `ALTER SEQUENCE` would raise an error. A role that may create a sequence
/// cannot always alter it, since that requires USAGE on its schema.
fn may_alter(oid: pg_sys::Oid, name: &str, plan: &Plan) -> Result<(), Error> {
    if !matches!(plan.outcome, Outcome::Alter { .. }) {
        return Ok(());
    }
    // SAFETY: looks up catalogs by OID.
    let (is_owner, may_use) = unsafe {
        let (user, schema) = (pg_sys::GetUserId(), pg_sys::get_rel_namespace(oid));
        let usage = pg_sys::ACL_USAGE as pg_sys::AclMode;
        #[cfg(feature = "pg15")]
        let found =
            (pg_sys::pg_class_ownercheck(oid, user), pg_sys::pg_namespace_aclcheck(schema, user, usage));
        #[cfg(not(feature = "pg15"))]
        let found = (
            pg_sys::object_ownercheck(pg_sys::RelationRelationId, oid, user),
            pg_sys::object_aclcheck(pg_sys::NamespaceRelationId, schema, user, usage),
        );
        (found.0, found.1 == pg_sys::AclResult::ACLCHECK_OK)
    };
    if is_owner && may_use {
        return Ok(());
    }
    let message = if is_owner {
        "permission denied for its schema".to_owned()
    } else {
        format!("must be owner of sequence {}", in_message(name))
    };
    Err(Error::new(SqlState::InsufficientPrivilege, message))
}

/// Alters a sequence as planned, and records the change.
fn carry_out(extension: Extension, oid: pg_sys::Oid, before: &Sequence, plan: &Plan) -> Result<(), Error> {
    match &plan.outcome {
        Outcome::Alter { ddl } => {
            alter(oid, ddl);
            if let Err(error) = record_of_created::keep(extension, oid, before, plan) {
                warn(&format!("could not keep a record of sequence {}", in_message(&before.name)), error);
            }
            Ok(())
        }
        Outcome::Unchanged => Ok(()),
        Outcome::Skip => {
            let message = format!(
                "sequence {} is not interleaved: increment {} kept",
                in_message(&before.name),
                plan.increment
            );
            report(Error::new(SqlState::ObjectNotInPrerequisiteState, message).hint(
                "Other nodes generate the same values. Run setup_interleaved_sequences() with blocks => true to give each node its share.",
            ))
            .report(PgLogLevel::NOTICE);
            Ok(())
        }
        Outcome::Fail(error) => Err(error.clone()),
    }
}

/// Runs an `ALTER SEQUENCE` as a part of the command that has created the sequence, so that event
/// triggers and DDL replication do not see it. It is fast, stays on this node whatever replicates
/// DDL (trap S15), and cannot fail in an event trigger.
fn alter(oid: pg_sys::Oid, ddl: &str) {
    let ddl = to_server(ddl);
    // SAFETY: the statement is parsed with the parser of the server, and its kind is checked. The
    // sequence was created in this transaction and has this name. An error of `AlterSequence`
    // passes through the boundary, as for every function of the bindings. No value in it has to be
    // dropped.
    unsafe {
        let statements = pg_sys::raw_parser(ddl.as_ptr(), pg_sys::RawParseMode::RAW_PARSE_DEFAULT);
        if statements.is_null() {
            return;
        }
        let statement = (*pg_sys::list_nth(statements, 0).cast::<pg_sys::RawStmt>()).stmt;
        let (Some((schema, name)), true) =
            (names(oid), pgrx::is_a(statement, pg_sys::NodeTag::T_AlterSeqStmt))
        else {
            return;
        };
        let statement = statement.cast::<pg_sys::AlterSeqStmt>();
        if alter_created::is_possible(oid) {
            alter_created::alter(oid, (*statement).options);
            return;
        }
        // A name that is not valid in the encoding would not survive the conversion to UTF-8 and
        // back.
        (*statement).sequence = pg_sys::makeRangeVar(schema, name, -1);
        let state = pg_sys::make_parsestate(std::ptr::null_mut());
        let altered = pg_sys::ffi::pg_guard_ffi_boundary(|| AlterSequence(state, statement));
        pg_sys::free_parsestate(state);
        // Its schema may have just been renamed, and another one may have taken the name.
        if altered.objectId != oid {
            raise(report(renamed("sequence", &from_server(CStr::from_ptr(name)))));
        }
        pg_sys::CommandCounterIncrement();
    }
}

fn warn(what: &str, error: Error) {
    let message = format!("{what}: {}", error.message);
    let error = if error.hint.is_none() {
        error
            .hint("Fix this, and run setup_interleaved_sequences(), which alters only sequences that are not in order.")
    } else {
        error
    };
    report(Error { message, ..error }).report(PgLogLevel::WARNING);
}

crate::fmgr::version_1!(interleave_created_sequences);
