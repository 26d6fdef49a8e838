//! Which columns are part of a migration, and why others cannot be.

use super::companions::{self, OldId};
use super::condition::Refers;
use super::expression::{Operators, Replaced};
use super::facts::{Column, Facts, ForeignKey, Index, Table};
use super::key_column::key_column;
use super::key_time::KeyTime;
use super::member::Member;
use super::names;
use super::old_id::IdKind;
use super::options::{KeyOptions, Options, Target};
use super::parts::{part, partitions};
use crate::error::{Error, SqlState};
use crate::sql::{in_message, qualified, quoted};

/// The schema of the operators of old ids, and of the targets `uuid` and `bigint`.
const CORE: &str = "pg_catalog";

/// The columns of a migration, found in the catalogs.
#[derive(Clone, Debug)]
pub struct Scope<'a> {
    /// The catalogs.
    pub facts: &'a Facts,
    /// The arguments of the migration.
    pub options: &'a Options,
    /// The keys that are migrated; the migration is named after the first one's table.
    pub keys: Vec<Key<'a>>,
    /// The keys, and every column that refers to one. The columns of a table are adjacent, and
    /// tables with keys come first.
    pub members: Vec<Member<'a>>,
    /// The same columns of the partitions of these tables. A partition numbers its columns by itself.
    pub parts: Vec<Member<'a>>,
    /// The partitions, and their partitions, each with the table of the migration that it belongs to.
    /// A partition comes after the table that it is a partition of.
    pub(super) partitions: Vec<(u32, &'a Table)>,
}

/// A key that is migrated.
#[derive(Clone, Debug)]
pub struct Key<'a> {
    /// Its columns, old and new.
    pub column: Member<'a>,
    /// Where its values take their time from.
    pub time: KeyTime,
    /// The arguments for it.
    pub options: &'a KeyOptions,
}

impl<'a> Scope<'a> {
    /// The columns of a migration.
    ///
    /// # Errors
    /// 42P01 if a table does not exist, 42809 if that of a key is not an ordinary or partitioned table,
    /// 42704 if it has no primary key, 0A000 if no column of its primary key is unique alone, or if it is
    /// partitioned by its key, if a column refers to two keys, 42804 if the key is of a wrong type, 42703 if it does not exist,
    /// and the errors of [`KeyTime::of`].
    pub fn new(facts: &'a Facts, options: &'a Options) -> Result<Self, Error> {
        let mut found: Vec<Found<'_>> = Vec::new();
        for key in &options.keys {
            let table = facts.table(key.table).ok_or_else(|| {
                let message = format!("table with OID {} does not exist", key.table);
                Error::new(SqlState::UndefinedTable, message)
            })?;
            let old_id = key_column(facts, table, key, options)?;
            found.push(Found { table, old_id, is_key: true, key: key.table, declared: true });
        }
        for reference in &facts.references {
            // A partition refers to a key through the table that it is a partition of.
            let Some(table) = facts.table(reference.table).filter(|table| table.parent.is_none()) else {
                continue;
            };
            let Some(old_id) = table.column(reference.column) else { continue };
            let other = found
                .iter()
                .find(|other| (other.table.oid, other.old_id.number) == (reference.table, reference.column));
            match other {
                None => {
                    let (key, declared) = (reference.key, reference.declared);
                    found.push(Found { table, old_id, is_key: false, key, declared });
                }
                // A key that refers to itself through others.
                Some(other) if other.key == reference.key => {}
                Some(other) => return Err(two_keys(facts, other, reference.key)),
            }
        }
        // The order is the same on every server: tables with keys in the order given, others by
        // name.
        let place = |table: &Table| options.keys.iter().position(|key| key.table == table.oid);
        found.sort_by_key(|found| {
            let table = found.table;
            let place = place(table).unwrap_or(options.keys.len());
            (place, &table.schema, &table.name, !found.is_key, found.old_id.number)
        });
        let mut members: Vec<Member<'_>> = Vec::new();
        let old_ids: Vec<OldId> = found.iter().map(|found| found.old_id(options)).collect();
        for (found, old_id) in found.iter().zip(&old_ids) {
            let key = found_key(options, facts, found.key);
            let of_key = facts.table(found.key).zip(key.map(|key| key.number));
            let companions = of_key.and_then(|key| companions::of_reference(facts, &old_ids, key, *old_id));
            let member = member(options, found, key, &members);
            members.push(Member { companions: companions.unwrap_or_default(), ..member });
        }
        let mut keys = Vec::new();
        for key in &options.keys {
            let column = members.iter().find(|member| member.is_key && member.key == key.table);
            if let Some(column) = column {
                let first = options.keys.first().filter(|first| first.table != key.table);
                let first = first.and_then(|first| facts.table(first.table));
                let time = if options.target.keeps_values() {
                    key.request.check_absent(options.target)?;
                    KeyTime::NONE
                } else {
                    KeyTime::of(facts, column.table, key, first)?
                };
                keys.push(Key { column: column.clone(), time, options: key });
            }
        }
        if keys.is_empty() {
            return Err(Error::new(SqlState::UndefinedObject, "the migration has no keys"));
        }
        let partitions = partitions(facts, &members);
        let parts = partitions.iter().flat_map(|(top, partition)| {
            let of_top = members.iter().filter(|member| member.table.oid == *top);
            of_top.enumerate().filter_map(|(at, member)| part(member, partition, at))
        });
        let parts = parts.collect();
        Ok(Self { facts, options, keys, members, parts, partitions })
    }

    /// The same columns with other options.
    pub(super) fn with_options<'b>(&self, options: &'b Options) -> Scope<'b>
    where
        'a: 'b,
    {
        Scope { options, ..self.clone() }
    }

    /// The table that the migration is named after.
    pub fn root(&self) -> &'a Table {
        self.first().column.table
    }

    fn first(&self) -> &Key<'a> {
        // Not empty: `new` checks this.
        &self.keys[0]
    }

    /// The key that a column is or refers to.
    pub fn key_of(&self, member: &Member<'_>) -> &Key<'a> {
        self.keys.iter().find(|key| key.column.key == member.key).unwrap_or_else(|| self.first())
    }

    /// The tables, each once; those with keys come first.
    pub fn tables(&self) -> Vec<&'a Table> {
        let mut tables: Vec<&Table> = Vec::new();
        for member in &self.members {
            if tables.last().is_none_or(|last| last.oid != member.table.oid) {
                tables.push(member.table);
            }
        }
        tables
    }

    /// The columns of a table or partition.
    pub fn members_of(&self, table: u32) -> impl Iterator<Item = &Member<'a>> {
        self.members.iter().chain(&self.parts).filter(move |member| member.table.oid == table)
    }

    /// The member of a column of old ids.
    pub fn member(&self, table: u32, old_id: i16) -> Option<&Member<'a>> {
        self.members_of(table).find(|member| member.old_id.number == old_id)
    }

    /// Whether a column is an existing column of keys.
    fn is_shadow(&self, table: u32, column: i16) -> bool {
        self.members_of(table).any(|member| member.shadow.is_some_and(|shadow| shadow.number == column))
    }

    /// The foreign keys on columns of old ids, each with the one on columns of keys if that exists.
    pub fn foreign_keys(&self) -> Vec<(&'a ForeignKey, Option<&'a ForeignKey>)> {
        let is_old = |key: &&'a ForeignKey| {
            let is_partition = self.facts.table(key.child).is_some_and(|child| child.parent.is_some());
            !is_partition
                && key.child_columns.iter().zip(&key.parent_columns).any(|(child, parent)| {
                    self.member(key.child, *child).is_some() && self.member(key.parent, *parent).is_some()
                })
        };
        self.facts.foreign_keys.iter().filter(is_old).map(|old| (old, self.replacement_of(old))).collect()
    }

    /// The foreign key on columns of keys that replaces one, if it exists.
    fn replacement_of(&self, old: &ForeignKey) -> Option<&'a ForeignKey> {
        let child = self.mapped(old.child, &old.child_columns);
        let parent = self.mapped(old.parent, &old.parent_columns);
        self.facts.foreign_keys.iter().find(|key| {
            (key.child, key.parent) == (old.child, old.parent)
                && key.child_columns == child
                && key.parent_columns == parent
        })
    }

    /// Whether a row may come before the row that it refers to, because a foreign key is deferrable:
    /// its own, or one of a row in between.
    pub fn waits(&self, member: &Member<'a>) -> bool {
        if self.keeps_values() {
            return false;
        }
        let member = self.of_top(member);
        let mut seen = vec![(member.table.oid, member.old_id.number)];
        let mut at = 0;
        while let Some((table, column)) = seen.get(at).copied() {
            at += 1;
            if self.keys.iter().any(|key| (key.column.table.oid, key.column.old_id.number) == (table, column))
            {
                continue;
            }
            for key in self.facts.foreign_keys.iter().filter(|key| key.child == table) {
                // One that has moved to keys is that of the old ids.
                let child_columns = self.unmapped(key.child, &key.child_columns);
                let parent_columns = self.unmapped(key.parent, &key.parent_columns);
                let pairs = child_columns.iter().zip(&parent_columns);
                for (_, parent) in pairs.filter(|(child, _)| **child == column) {
                    if self.member(key.parent, *parent).is_none() {
                        continue;
                    }
                    // After the cut-over the one on keys is the one that the application knows.
                    let leading =
                        if self.options.cut_over { self.replacement_of(key).unwrap_or(key) } else { key };
                    if leading.deferrable {
                        return true;
                    }
                    if !seen.contains(&(key.parent, *parent)) {
                        seen.push((key.parent, *parent));
                    }
                }
            }
        }
        false
    }

    /// The keys, each with its default after the cut-over; none if the defaults of old ids move.
    pub(super) fn new_defaults(&self) -> Vec<(&Member<'a>, String)> {
        let default = self.options.target.default(&self.facts.extension_schema);
        let keys = self.keys.iter().map(|key| &key.column);
        keys.filter_map(|column| Some((column, default.clone()?))).collect()
    }

    /// Whether keys are the old ids themselves, in wider columns.
    pub fn keeps_values(&self) -> bool {
        self.options.target.keeps_values()
    }

    /// Whether a row can have an old id and no key: until the row that it refers to is there, or
    /// because it refers to none.
    pub fn may_lack_key(&self, member: &Member<'a>) -> bool {
        !member.is_key && !self.keeps_values() && (!member.declared || self.waits(member))
    }

    /// Whether every row must have a key before the cut-over.
    pub fn is_required(&self, member: &Member<'a>) -> bool {
        member.is_key || (member.old_id.not_null && !self.may_lack_key(member))
    }

    /// Columns of a table, for expressions on old ids. `name` is what the column of keys is
    /// called where the expression is used.
    pub(super) fn replaced<'s>(
        &self,
        members: impl Iterator<Item = &'s Member<'a>>,
        name: impl Fn(&Member<'_>) -> String,
    ) -> Vec<Replaced>
    where
        'a: 's,
    {
        let replaced = |member: &Member<'a>| Replaced {
            old: member.old_id.name.clone(),
            new: name(member),
            key: member.key,
            may_lack_key: self.may_lack_key(member),
        };
        members.map(replaced).collect()
    }

    /// The schemas of the operators of old ids and of keys.
    pub(super) fn operators(&self) -> Operators<'a> {
        let to = match self.options.target {
            Target::Uuid | Target::Bigint => CORE,
            Target::Ulid => self.facts.extension_schema.as_str(),
        };
        Operators { from: CORE, to, keep_values: self.keeps_values() }
    }

    /// Whether the names of columns are swapped.
    pub(super) fn is_renamed(&self) -> bool {
        self.options.cut_over && self.options.views.is_empty()
    }

    /// The name of a table that applications know.
    pub(super) fn known_table<'b>(&'b self, table: &'b Table) -> &'b str {
        let view = self.options.views.iter().find(|view| view.0 == table.oid);
        view.map_or(table.name.as_str(), |view| view.1.as_str())
    }

    /// The name of a column that applications know.
    pub(super) fn known_column<'b>(&self, member: &'b Member<'_>) -> &'b str {
        if self.is_renamed() && !member.stays() { &member.shadow_name } else { &member.old_id.name }
    }

    /// The foreign keys on columns of keys, each with its table.
    pub fn new_foreign_keys(&self) -> impl Iterator<Item = (&'a ForeignKey, &'a Table)> {
        let is_new = |key: &&ForeignKey| {
            key.child_columns.iter().zip(&key.parent_columns).any(|(child, parent)| {
                self.is_shadow(key.child, *child) && self.is_shadow(key.parent, *parent)
            })
        };
        let keys = self.facts.foreign_keys.iter().filter(is_new);
        keys.filter_map(|key| Some((key, self.facts.table(key.child)?)))
    }

    /// Columns, with those of old ids replaced by those of keys.
    pub fn mapped(&self, table: u32, columns: &[i16]) -> Vec<i16> {
        let map = |column: &i16| self.member(table, *column).map_or(*column, |member| member.shadow_number);
        columns.iter().map(map).collect()
    }

    /// The columns of an index, with those of old ids replaced by those of keys, as its replacement has
    /// them.
    pub fn mapped_in(&self, table: u32, index: &Index, columns: &[i16]) -> Vec<i16> {
        let replaced: Vec<&Member<'a>> = self.replaced_in(table, index).collect();
        let map = |column: &i16| {
            let member = replaced.iter().find(|member| member.old_id.number == *column);
            member.map_or(*column, |member| member.shadow_number)
        };
        columns.iter().map(map).collect()
    }

    /// The columns of old ids whose place keys take in the replacement of an index. Those that stay have a
    /// further index on keys, if it is about no others.
    pub(super) fn replaced_in(&self, table: u32, index: &Index) -> impl Iterator<Item = &Member<'a>> {
        let stays = self.index_stays(table, index);
        self.members_of(table).filter(move |member| stays || !member.stays())
    }

    /// Whether an index stays as it is, because no column of old ids that it is about is dropped.
    pub fn index_stays(&self, table: u32, index: &Index) -> bool {
        let is_used = |member: &&Member<'a>| {
            let number = member.old_id.number;
            index.has_column(number) || index.used_columns.contains(&number)
        };
        let mut used = self.members_of(table).filter(is_used).peekable();
        used.peek().is_some() && used.all(Member::stays)
    }

    /// Columns, with those of keys replaced by those of old ids once keys lead.
    fn unmapped(&self, table: u32, columns: &[i16]) -> Vec<i16> {
        let unmap = |column: &i16| {
            let of_key = |member: &&Member<'_>| member.shadow.is_some_and(|shadow| shadow.number == *column);
            self.members_of(table).find(of_key).map_or(*column, |member| member.old_id.number)
        };
        if self.options.cut_over { columns.iter().map(unmap).collect() } else { columns.to_vec() }
    }

    /// The foreign keys that have moved to keys: there are none on old ids any more.
    pub fn moved_foreign_keys(&self) -> Vec<&'a ForeignKey> {
        if !(self.options.cut_over && self.options.move_primary_key) {
            return Vec::new();
        }
        let paired = self.foreign_keys();
        let is_paired = |key: &ForeignKey| {
            paired.iter().any(|(_, replacement)| replacement.is_some_and(|one| std::ptr::eq(one, key)))
        };
        self.new_foreign_keys().map(|(key, _)| key).filter(|key| !is_paired(key)).collect()
    }

    /// The names of columns after a rollback of the cut-over, as SQL writes them; keys are replaced by
    /// old ids.
    pub(super) fn rolled_back_columns(&self, table: &Table, columns: &[i16]) -> String {
        let name = |column: i16| match self.member(table.oid, column) {
            Some(member) => quoted(&member.shadow_name),
            None => self.column_sql(table, column),
        };
        self.unmapped(table.oid, columns).into_iter().map(name).collect::<Vec<_>>().join(", ")
    }

    /// The primary key of a table, if it is on old ids.
    pub fn old_primary_key(&self, table: &'a Table) -> Option<&'a Index> {
        let is_old = |column: i16| self.member(table.oid, column).is_some();
        table.primary_key().filter(|index| index.is_valid && index.keys.iter().any(|key| is_old(key.column)))
    }

    /// The index that keeps old ids unique once the primary key has moved, while it has not moved yet.
    pub fn kept_index(&self, table: &'a Table) -> Option<&'a Index> {
        let primary = self.old_primary_key(table)?;
        // That of a partition may have any name once it is attached.
        let parent = table.parent.and_then(|parent| self.facts.table(parent));
        if let Some(of_parent) = parent.and_then(|parent| self.kept_index(parent))
            && let Some(attached) = table.indexes.iter().find(|index| index.parent == Some(of_parent.oid))
        {
            return Some(attached);
        }
        let name = self.options.old_name(&primary.name);
        table.indexes.iter().find(|index| {
            index.name == name
                && index.is_unique
                && index.constraint.is_none()
                && index.parent.is_none()
                && index.predicate.is_none()
                && index.keys.iter().map(|key| key.column).eq(primary.keys.iter().map(|key| key.column))
        })
    }

    /// The name of a column as SQL writes it, even if the column is still to be added.
    pub fn column_sql(&self, table: &Table, column: i16) -> String {
        let planned = self
            .members_of(table.oid)
            .find(|member| member.shadow.is_none() && member.shadow_number == column)
            .map(|member| member.shadow_name.as_str());
        let name = planned.or_else(|| table.column(column).map(|column| column.name.as_str()));
        quoted(name.unwrap_or_default())
    }

    /// The indexes of a table on columns of old ids, without the one that is built to be kept.
    pub fn indexes(&self, table: &'a Table) -> impl Iterator<Item = &'a Index> {
        let old_ids: Vec<i16> = self.members_of(table.oid).map(|member| member.old_id.number).collect();
        let kept = self.kept_index(table).map(|index| index.oid);
        let is_shadowed = move |index: &&Index| {
            if kept == Some(index.oid) {
                return false;
            }
            index.used_columns.contains(&0)
                || old_ids
                    .iter()
                    .any(|old_id| index.has_column(*old_id) || index.used_columns.contains(old_id))
        };
        table.indexes.iter().filter(is_shadowed)
    }

    /// Whether an index has a column of keys.
    pub fn is_new(&self, table: &Table, index: &Index) -> bool {
        let uses = |column: i16| index.has_column(column) || index.used_columns.contains(&column);
        table.columns.iter().any(|column| uses(column.number) && self.is_shadow(table.oid, column.number))
    }
}

/// A column that is part of a migration.
struct Found<'a> {
    table: &'a Table,
    old_id: &'a Column,
    is_key: bool,
    key: u32,
    declared: bool,
}

impl Found<'_> {
    fn old_id(&self, options: &Options) -> OldId {
        let (table, column) = (self.table.oid, self.old_id.number);
        OldId { table, column, shadow: options.shadow(table, column), is_key: self.is_key }
    }
}

fn member<'a>(
    options: &'a Options,
    found: &Found<'a>,
    key_column: Option<&Column>,
    before: &[Member<'a>],
) -> Member<'a> {
    let Found { table, old_id, is_key, key, declared } = *found;
    let shadow = options.shadow(table.oid, old_id.number).and_then(|shadow| table.column(shadow));
    let planned =
        before.iter().filter(|other| other.table.oid == table.oid && other.shadow.is_none()).count();
    let next =
        table.column_count.saturating_add(i16::try_from(planned).unwrap_or(i16::MAX)).saturating_add(1);
    Member {
        table,
        old_id,
        shadow,
        shadow_number: shadow.map_or(next, |shadow| shadow.number),
        shadow_name: shadow.map_or_else(|| options.new_name(&old_id.name), |shadow| shadow.name.clone()),
        is_key,
        key,
        declared,
        holds_numbers: !options.target.keeps_values()
            && key_column.and_then(Column::id_kind) == Some(IdKind::Integer)
            && old_id.id_kind() == Some(IdKind::Text),
        refers: options
            .condition(table.oid, old_id.number)
            .filter(|_| !is_key)
            .map(|condition| Refers::of(condition, table)),
        companions: Vec::new(),
    }
}

/// The column of the key of a table.
fn found_key<'a>(options: &Options, facts: &'a Facts, table: u32) -> Option<&'a Column> {
    let key = options.keys.iter().find(|key| key.table == table)?;
    key_column(facts, facts.table(table)?, key, options).ok()
}

/// The error for a column that would be part of a migration twice.
fn two_keys(facts: &Facts, one: &Found<'_>, other: u32) -> Error {
    let name = qualified(&one.table.schema, &one.table.name);
    let table = |oid: u32| {
        let table = facts.table(oid);
        table.map(|table| qualified(&table.schema, &table.name)).unwrap_or_default()
    };
    let column = &one.old_id.name;
    let (message, detail) = if one.is_key {
        (
            format!("the key of table {} refers to the key of table {}", in_message(&name), in_message(&table(other))),
            "It is already part of the migration as a reference, and takes its values from the referenced key.".to_owned(),
        )
    } else {
        (
            format!("column \"{column}\" of table {} refers to two keys", in_message(&name)),
            format!(
                "It refers to the keys of tables {} and {}.",
                in_message(&table(one.key)),
                in_message(&table(other))
            ),
        )
    };
    Error::new(SqlState::FeatureNotSupported, message)
        .detail(detail)
        .hint("Migrate only one of the keys, or drop one of the foreign keys.")
}

/// The name of the check that lets SET NOT NULL skip the scan under its lock.
pub(super) fn check_name(scope: &Scope<'_>, member: &Member<'_>) -> String {
    let base = format!("{}_{}", scope.known_table(member.table), scope.known_column(member));
    names::suffixed(&base, &format!("{}_filled", scope.options.new_suffix))
}

/// The names of the columns of old ids and of keys, for triggers in this direction.
pub(super) fn column_names(scope: &Scope<'_>, member: &Member<'_>, key_leads: bool) -> (String, String) {
    let (old_id, key) = (member.old_id.name.clone(), member.shadow_name.clone());
    if !scope.options.views.is_empty() || member.stays() {
        return (old_id, key);
    }
    match (scope.options.cut_over, key_leads) {
        (false, true) => (scope.options.old_name(&old_id), old_id),
        (true, false) => (key.clone(), scope.options.new_name(&key)),
        _ => (old_id, key),
    }
}

/// The name that the cut-over gives to an old column; it must be free. `None` if the column stays.
pub(super) fn old_column_name(scope: &Scope<'_>, member: &Member<'_>) -> Option<String> {
    (!member.stays()).then(|| scope.options.old_name(&member.old_id.name))
}
