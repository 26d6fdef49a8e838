//! `key_migration_correct`: rows take the keys that they have on the first node, and so do the rows
//! that refer to them.
//!
//! Each row has a transaction of its own with the commit time of the row's last change, because a
//! correction must decide no conflict with a change that is on its way.

use std::collections::VecDeque;

use keyspace::keys::ulid_text;
use keyspace::migration::nodes::correction::{self, Rows};
use keyspace::migration::nodes::{LocalWrite, NodeStep};
use keyspace::migration::{Scope, Target};
use keyspace::{Error, SqlState};
use pgrx::AnyElement;
use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use super::compare::check_origin;
use super::digests::{from_argument, prepared};
use super::origin::FillOrigin;
use super::own_state::own_state;
use super::steps;
use crate::encoding::to_server;
use crate::error::or_raise;
use crate::migration::key_type::key_type;
use crate::migration::procedures;
use crate::migration::rights::{check_is_owner, check_may_read};
use crate::migration::state;
use crate::migration::tuple::{Column, Role, Value};
use crate::migration::writer::{Outcome, Writer};
use crate::server::as_owner::as_owner;
use crate::server::extension::Extension;
use crate::server::failure::{Failure, or_fail};
use crate::server::open::OpenRelation;
use crate::server::procedure::Procedure;
use crate::server::relation::{existing_relation, relation_name, relation_owner};
use crate::server::settings::with_own_settings;
use crate::server::transaction::check_transaction;
use crate::server::work_lock::SessionLock;

/// A row of the first node.
#[derive(Clone)]
struct Wanted {
    table: u32,
    old_id: String,
    key: String,
}

/// A correction under way.
struct Correction {
    relation: pg_sys::Oid,
    left: VecDeque<Wanted>,
    corrected: u64,
    is_stored: bool,
    origin: FillOrigin,
    /// Released when the procedure ends, also by an error.
    _lock: SessionLock,
}

/// Gives rows the keys of the first node. Declared in sql/migration/key_migration_nodes.sql.
///
/// # Errors
/// 22004, 22023 for anything that is not rows of the first node; 42501 if the caller does not own the
/// database and the tables, or may not read them; 42704, 55000 if there is no such migration, or if nodes are not
/// ready to be compared; 55006 if another session works on the migration.
#[pg_extern(sql = false)]
fn key_migration_correct(
    migration: Option<pg_sys::Oid>,
    digests: Option<AnyElement>,
    fcinfo: pg_sys::FunctionCallInfo,
) {
    let procedure = or_raise(Procedure::begin(fcinfo, "key_migration_correct", "It commits after each row."));
    let start = || {
        let relation = or_raise(existing_relation(migration, "migration"));
        or_fail(Correction::begin(or_raise(Extension::of_call(fcinfo)), relation, digests))
    };
    let mut correction = procedure.in_transaction(|| {}, start);
    while procedure.in_transaction(|| {}, || or_fail(correction.next(or_raise(Extension::of_call(fcinfo))))) {
    }
}

impl Correction {
    fn begin(
        extension: Extension,
        relation: pg_sys::Oid,
        digests: Option<AnyElement>,
    ) -> Result<Self, Failure> {
        check_transaction(c"key_migration_correct()")?;
        let (migration, nodes) = prepared(extension, relation)?;
        let lock = procedures::lock(extension, migration.relation)?;
        let there = from_argument(digests)?;
        check_origin(&nodes, &own_state(extension, &migration, &nodes)?.agreement, &there)?;
        steps::allow(extension, &migration, NodeStep::Compare)?;
        let facts = migration.facts(extension)?;
        let scope = Scope::new(&facts, &migration.options)?;
        for table in scope.tables_and_partitions() {
            check_may_read(pg_sys::Oid::from(table.oid))?;
        }
        let mut left = VecDeque::new();
        for table in scope.tables() {
            let Some(there) = there.table(&table.schema, &table.name) else { continue };
            for row in there.rows.values().flatten() {
                if let Some(key) = &row.key {
                    left.push_back(Wanted { table: table.oid, old_id: row.id.clone(), key: key.clone() });
                }
            }
        }
        if left.is_empty() {
            let message = "the digests have no rows with keys";
            return Err(Error::new(SqlState::InvalidParameterValue, message)
                .hint("Pass the result of key_migration_digests() with a table and parts of it.")
                .into());
        }
        let origin = FillOrigin::take(migration.relation)?;
        Ok(Self { relation: migration.relation, left, corrected: 0, is_stored: false, origin, _lock: lock })
    }

    /// Corrects the next row in this transaction. Whether there may be more.
    fn next(&mut self, extension: Extension) -> Result<bool, Failure> {
        state::check_may_write()?;
        let (migration, _) = prepared(extension, self.relation)?;
        let target = migration.options.target;
        let facts = migration.facts(extension)?;
        let scope = Scope::new(&facts, &migration.options)?;
        // Whatever interrupts it, everything is compared again.
        if !std::mem::replace(&mut self.is_stored, true) {
            state::discard_comparison(extension, self.relation)?;
            steps::taken(extension, &migration, NodeStep::Fill)?;
            return Ok(true);
        }
        while let Some(wanted) = self.left.front().cloned() {
            let key = parsed(target, &wanted.key)?;
            if let Some(table) = facts.table(wanted.table) {
                for rows in correction::rows(&scope, table, &wanted.old_id, &wanted.key) {
                    if self.correct(&rows, key, key_type(target, extension))? {
                        return Ok(true);
                    }
                }
            }
            self.left.pop_front();
        }
        notice!(
            "{} rows of the key migration of table {} have taken the key of the first node",
            self.corrected,
            relation_name(self.relation)
        );
        Ok(false)
    }

    /// Corrects one of these rows, if there is one.
    fn correct(&mut self, rows: &Rows, key: Value, key_type: pg_sys::Oid) -> Result<bool, Failure> {
        let relation = pg_sys::Oid::from(rows.table);
        let owner = relation_owner(relation);
        check_is_owner(relation, owner)?;
        let query = to_server(&rows.query);
        let found = as_owner(owner, || {
            with_own_settings(|| {
                Spi::connect(|client| -> SpiResult<_> {
                    let mut found = client.select(query.as_c_str(), Some(1), &[])?;
                    found
                        .next()
                        .map(|row| Ok((row.get::<pg_sys::ItemPointerData>(1)?, row.get::<i64>(2)?)))
                        .transpose()
                })
            })
        })?;
        let Some((Some(place), changed_at)) = found else { return Ok(false) };
        self.origin.use_in_transaction(LocalWrite::Correct { changed_at });
        let outcome = as_owner(owner, || {
            // SAFETY: the column is checked, and the row is still visible to the snapshot of this step.
            unsafe { write(relation, rows.key, place, key, key_type) }
        })?;
        // If another transaction has changed the row, it is looked for again.
        self.corrected += u64::from(outcome == Outcome::Written);
        Ok(true)
    }
}

/// Writes a key into a row.
///
/// # Errors
/// 42804 if the column has another type than the migration's.
///
/// # Safety
/// The row must be one of the table, and an active snapshot must see it.
unsafe fn write(
    relation: pg_sys::Oid,
    column: i16,
    mut place: pg_sys::ItemPointerData,
    key: Value,
    key_type: pg_sys::Oid,
) -> Result<Outcome, Error> {
    let table = OpenRelation::table(relation, pg_sys::RowExclusiveLock).release(pg_sys::NoLock);
    // SAFETY: see above; everything opened is closed, and an error releases everything held. The row in
    // the slot is copied before the slot is dropped.
    unsafe {
        let column =
            Column::of(table.raw(), column, Role::Key(key_type)).map_err(|unfit| unfit.error(relation))?;
        let snapshot = pg_sys::RegisterSnapshot(pg_sys::GetActiveSnapshot());
        let slot = pg_sys::table_slot_create(table.raw(), std::ptr::null_mut());
        let mut outcome = Outcome::Skipped;
        if pg_sys::table_tuple_fetch_row_version(table.raw(), &mut place, snapshot, slot) {
            let mut is_copy = false;
            let row = pg_sys::ExecFetchSlotHeapTuple(slot, false, &mut is_copy);
            let writer = Writer::open(table.raw(), &[column.number]);
            let new = column.set(row, table.rd_att, Some(key));
            outcome = writer.write(&mut place, new, snapshot, None);
            writer.close();
        }
        pg_sys::ExecDropSingleTupleTableSlot(slot);
        pg_sys::UnregisterSnapshot(snapshot);
        Ok(outcome)
    }
}

/// A key from its text.
///
/// # Errors
/// 22023 if it is none.
fn parsed(target: Target, text: &str) -> Result<Value, Error> {
    let bytes = match target {
        Target::Uuid => uuid::Uuid::parse_str(text).ok().map(uuid::Uuid::into_bytes),
        Target::Ulid => ulid_text::decode(text.as_bytes()).ok().map(|ulid| ulid.to_bytes()),
        Target::Bigint => None,
    };
    bytes.map(Value::Key).ok_or_else(|| {
        let message = format!("\"{text}\" is not a key of type {}", target.name());
        Error::new(SqlState::InvalidParameterValue, message)
    })
}
