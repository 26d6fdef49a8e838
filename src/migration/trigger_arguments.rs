//! The arguments of a migration's triggers.

use std::ffi::{CStr, c_char};

use keyspace::migration::condition::TriggerCondition;
use keyspace::migration::member::Companion;
use keyspace::migration::{Target, TimeSource};
use pgrx::pg_sys;

use crate::encoding::from_server;
use crate::server::relation::partition_ancestors;

/// The arguments of a trigger, as the plan writes them.
pub(super) struct TriggerArguments {
    pub(super) table: u32,
    pub(super) key_leads: bool,
    pub(super) target: Target,
    pub(super) salt: String,
    pub(super) old_id: i16,
    pub(super) key: i16,
    pub(super) root: u32,
    pub(super) root_old_id: i16,
    pub(super) root_key: i16,
    /// Where the root's keys take their time from.
    pub(super) time: TimeSource,
    /// Which rows of a reference refer to the root, if not all do.
    pub(super) condition: Option<TriggerCondition>,
    /// The columns with which rows of a partitioned root are found; none for another root.
    pub(super) companions: Vec<Companion>,
}

impl TriggerArguments {
    /// Those of a trigger; `None` if no plan created it.
    ///
    /// # Safety
    /// The trigger must be that of an open relation.
    pub(super) unsafe fn of(trigger: *const pg_sys::Trigger, is_reference: bool) -> Option<Self> {
        // SAFETY: see above.
        Self::parse(&unsafe { texts(trigger) }, is_reference)
    }

    fn parse(arguments: &[String], is_reference: bool) -> Option<Self> {
        let (own, rest) = arguments.split_at_checked(6)?;
        let [table, leader, target, salt, old_id, key] = own else { return None };
        let (table, old_id, key) = (table.parse().ok()?, old_id.parse().ok()?, key.parse().ok()?);
        let (root, root_old_id, root_key, time, others) = match (is_reference, rest) {
            (true, [root, root_old_id, root_key, time, others @ ..]) => {
                (root.parse().ok()?, root_old_id.parse().ok()?, root_key.parse().ok()?, time, others)
            }
            (false, [time, others @ ..]) => (table, old_id, key, time, others),
            _ => return None,
        };
        // A root that is partitioned has no conditions.
        let (condition, companions) = match (is_reference, others) {
            (_, []) => (None, Vec::new()),
            (_, [pairs]) if pairs.starts_with(WITH) => (None, companions(pairs)?),
            (true, [condition]) => (Some(TriggerCondition::parse(condition)?), Vec::new()),
            _ => return None,
        };
        Some(Self {
            table,
            key_leads: leader == "key",
            // Keys that keep their values have triggers of their own.
            target: Target::parse(target).ok().filter(|target| !target.keeps_values())?,
            salt: salt.clone(),
            old_id,
            key,
            root,
            root_old_id,
            root_key,
            time: TimeSource::parse(time)?,
            condition,
            companions,
        })
    }
}

/// How companions begin.
const WITH: &str = "with ";

/// The companions in an argument: pairs of numbers.
fn companions(argument: &str) -> Option<Vec<Companion>> {
    let pair = |text: &str| {
        let (own, of_key) = text.split_once(':')?;
        Some(Companion { own: own.parse().ok()?, of_key: of_key.parse().ok()? })
    };
    argument.strip_prefix(WITH)?.split(' ').map(pair).collect()
}

/// The arguments of a trigger for keys that keep their values, as the plan writes them.
pub(super) struct CopyArguments {
    pub(super) table: u32,
    pub(super) key_leads: bool,
    pub(super) is_key: bool,
    pub(super) old_id: i16,
    pub(super) key: i16,
}

impl CopyArguments {
    /// Those of a trigger; `None` if no plan created it.
    ///
    /// # Safety
    /// The trigger must be that of an open relation.
    pub(super) unsafe fn of(trigger: *const pg_sys::Trigger) -> Option<Self> {
        // SAFETY: see above.
        let arguments = unsafe { texts(trigger) };
        let [table, leader, kind, old_id, key] = arguments.as_slice() else { return None };
        Some(Self {
            table: table.parse().ok()?,
            key_leads: leader == "key",
            is_key: kind == "own",
            old_id: old_id.parse().ok()?,
            key: key.parse().ok()?,
        })
    }

    /// As for [`TriggerArguments`].
    ///
    /// # Safety
    /// The relation must be open, and have the trigger.
    pub(super) unsafe fn for_relation(
        mut self,
        relation: pg_sys::Relation,
        trigger: *const pg_sys::Trigger,
    ) -> Option<Self> {
        // SAFETY: see above.
        self.table = unsafe { columns_on(relation, trigger, self.table, [&mut self.old_id, &mut self.key])? };
        Some(self)
    }
}

/// The relation that a trigger is on, if it is the table that the trigger was created for, or a partition
/// of that one. Columns of a partition that was attached have other numbers; one that is not there gets
/// the number 0.
///
/// # Safety
/// The relation must be open, and have the trigger.
unsafe fn columns_on<'a>(
    relation: pg_sys::Relation,
    trigger: *const pg_sys::Trigger,
    table: u32,
    columns: impl IntoIterator<Item = &'a mut i16>,
) -> Option<u32> {
    // SAFETY: see above; looks up catalogs by OID and by NUL-terminated names, which are copies or null.
    unsafe {
        let (own, table) = ((*relation).rd_id, pg_sys::Oid::from(table));
        if own == table {
            return Some(own.to_u32());
        }
        if !(*(*relation).rd_rel).relispartition || !(*trigger).tgisclone {
            return None;
        }
        if !partition_ancestors(own).contains(&table) {
            return None;
        }
        for column in columns {
            let name = pg_sys::get_attname(table, *column, true);
            *column = if name.is_null() { 0 } else { pg_sys::get_attnum(own, name) };
        }
        Some(own.to_u32())
    }
}

/// # Safety
/// The trigger must be that of an open relation.
unsafe fn texts(trigger: *const pg_sys::Trigger) -> Vec<String> {
    // SAFETY: a trigger has as many arguments as it says, each a string.
    unsafe {
        (0..usize::try_from((*trigger).tgnargs).unwrap_or(0))
            .map(|at| from_server(CStr::from_ptr(*(*trigger).tgargs.add(at))))
            .collect()
    }
}

impl TriggerArguments {
    /// The same for the table that a trigger is on: the one that it was created for, or a partition of
    /// that one, whose columns have other numbers if it was attached. A column that is not there gets
    /// the number 0.
    ///
    /// # Safety
    /// The relation must be open, and have the trigger.
    pub(super) unsafe fn for_relation(
        mut self,
        relation: pg_sys::Relation,
        trigger: *const pg_sys::Trigger,
    ) -> Option<Self> {
        // SAFETY: see above.
        self.table = unsafe {
            let mut type_column = self.condition.as_ref().map_or(0, |condition| condition.type_column);
            let columns = [&mut self.old_id, &mut self.key, &mut type_column].into_iter();
            let companions = self.companions.iter_mut().map(|companion| &mut companion.own);
            let table = columns_on(relation, trigger, self.table, columns.chain(companions))?;
            if let Some(condition) = &mut self.condition {
                condition.type_column = type_column;
            }
            table
        };
        Some(self)
    }
}

/// The function behind the trigger of a root.
const OF_ROOT: &CStr = c"key_migration_key";

/// Whether the columns of a root that a reference's trigger names are those of a migration: the
/// root itself has one of our triggers that names them (fault A08). A user who creates a trigger on
/// their own table can pass any column numbers as its arguments. On the root they would need to own
/// it, or have TRIGGER on it, and so could see what is written there.
///
/// A disabled trigger counts, too: only the root's owner can disable it, and writes to other tables
/// must not fail while the owner loads rows. `function` is our function that runs.
///
/// # Safety
/// The root must be open.
pub(super) unsafe fn is_known(
    root: pg_sys::Relation,
    named: &TriggerArguments,
    function: pg_sys::Oid,
) -> bool {
    // SAFETY: see above.
    unsafe { has_trigger(root, named, function, |_| true) }
}

/// Whether the owner of a root says where its keys take their time from. A role with TRIGGER on the
/// root can create one of our triggers, with any arguments, but only the owner can make it fire
/// always, as the migration does with the trigger on INSERT. Replacing a trigger takes that back.
///
/// # Safety
/// As for [`is_known`].
pub(super) unsafe fn is_said_by_owner(
    root: pg_sys::Relation,
    named: &TriggerArguments,
    function: pg_sys::Oid,
) -> bool {
    let on_origin = pg_sys::TRIGGER_FIRES_ON_ORIGIN as c_char;
    // SAFETY: see above.
    unsafe { has_trigger(root, named, function, |trigger| trigger.tgenabled != on_origin) }
}

/// Whether a root has one of our triggers with the columns that another trigger names, and with this
/// property.
///
/// # Safety
/// As for [`is_known`].
unsafe fn has_trigger(
    root: pg_sys::Relation,
    named: &TriggerArguments,
    function: pg_sys::Oid,
    is_wanted: impl Fn(&pg_sys::Trigger) -> bool,
) -> bool {
    // SAFETY: see above; a relation has as many triggers as it says.
    unsafe {
        let triggers = (*root).trigdesc;
        let count =
            if triggers.is_null() { 0 } else { usize::try_from((*triggers).numtriggers).unwrap_or(0) };
        (0..count).any(|at| {
            let trigger = (*triggers).triggers.add(at);
            TriggerArguments::of(trigger, false).is_some_and(|own| {
                own.table == (*root).rd_id.to_u32()
                    && own.table == named.root
                    && own.target == named.target
                    && own.old_id == named.root_old_id
                    && own.key == named.root_key
                    && own.time == named.time
                    && own
                        .companions
                        .iter()
                        .map(|one| one.of_key)
                        .eq(named.companions.iter().map(|one| one.of_key))
            }) && is_of_root((*trigger).tgfoid, function)
                && is_wanted(&*trigger)
        })
    }
}

/// Whether a function is that of a root's trigger: the one in the schema of our running function,
/// where only a superuser can create another.
fn is_of_root(function: pg_sys::Oid, running: pg_sys::Oid) -> bool {
    // SAFETY: looks up catalogs by OID; the name is a NUL-terminated copy, or null.
    unsafe {
        if pg_sys::get_func_namespace(function) != pg_sys::get_func_namespace(running) {
            return false;
        }
        let name = pg_sys::get_func_name(function);
        !name.is_null() && CStr::from_ptr(name) == OF_ROOT
    }
}
