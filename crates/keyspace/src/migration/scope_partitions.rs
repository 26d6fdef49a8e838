//! What the scope of a migration says of partitions: whose they are, and what they have in place of the
//! objects of their table.

use super::facts::{ForeignKey, Table};
use super::member::Member;
use super::scope::Scope;

impl<'a> Scope<'a> {
    /// The partitions of a table of the migration, and their partitions.
    pub fn partitions_of(&self, top: u32) -> impl Iterator<Item = &'a Table> {
        self.partitions.iter().filter(move |(of, _)| *of == top).map(|(_, partition)| *partition)
    }

    /// The tables, each followed by its partitions.
    pub fn tables_and_partitions(&self) -> Vec<&'a Table> {
        let with_partitions = |table: &'a Table| std::iter::once(table).chain(self.partitions_of(table.oid));
        self.tables().into_iter().flat_map(with_partitions).collect()
    }

    /// The tables that have the rows of one of the migration: itself, or its partitions without
    /// partitions.
    pub fn with_rows(&self, table: &'a Table) -> Vec<&'a Table> {
        if !table.is_partitioned() {
            return vec![table];
        }
        self.partitions_of(table.oid).filter(|partition| !partition.is_partitioned()).collect()
    }

    /// The columns of all tables that have rows.
    pub fn members_with_rows(&self) -> impl Iterator<Item = &Member<'a>> {
        let of_member = |member: &'_ Member<'a>| {
            let tables = self.with_rows(member.table).into_iter();
            let name = &member.old_id.name;
            let of_table = |table: &'a Table| {
                self.members_of(table.oid).find(|one| one.old_id.name == *name && one.key == member.key)
            };
            tables.filter_map(of_table).collect::<Vec<_>>()
        };
        self.members.iter().flat_map(of_member)
    }

    /// The columns of partitions that have another default than that of the table.
    pub(super) fn parts_with_own_default(&self) -> impl Iterator<Item = &Member<'a>> {
        self.parts.iter().filter(|part| part.old_id.default != self.of_top(part).old_id.default)
    }

    /// The same column of the table of the migration.
    pub(super) fn of_top<'b>(&'b self, member: &'b Member<'a>) -> &'b Member<'a> {
        if member.table.parent.is_none() {
            return member;
        }
        let top = self.facts.top_of(member.table.oid);
        self.members_of(top).find(|one| one.old_id.name == member.old_id.name).unwrap_or(member)
    }

    /// The foreign key on columns of keys that replaces one on a partition, until that of the
    /// partitioned table exists.
    pub fn part_of_replacement(&self, old: &ForeignKey, partition: &Table) -> Option<&'a ForeignKey> {
        let child = self.facts.table(old.child)?;
        let number = |column: &i16| Some(partition.column_named(&child.column(*column)?.name)?.number);
        let columns: Option<Vec<i16>> = old.child_columns.iter().map(number).collect();
        let columns = self.mapped(partition.oid, &columns?);
        let parent = self.mapped(old.parent, &old.parent_columns);
        self.facts.foreign_keys.iter().find(|key| {
            (key.child, key.parent) == (partition.oid, old.parent)
                && key.child_columns == columns
                && key.parent_columns == parent
        })
    }

    /// The foreign keys that the migration created as replacements of others that have been dropped; none
    /// after the cut-over.
    pub fn orphaned_replacements(&self) -> Vec<(&'a ForeignKey, &'a Table)> {
        let mut replacements: Vec<&ForeignKey> = Vec::new();
        for (old, replacement) in self.foreign_keys() {
            replacements.extend(replacement);
            let parts = self.partitions_of(old.child);
            replacements.extend(parts.filter_map(|partition| self.part_of_replacement(old, partition)));
        }
        let is_orphan = |key: &ForeignKey| {
            key.name.ends_with(&self.options.new_suffix)
                && !replacements.iter().any(|replacement| std::ptr::eq(*replacement, key))
        };
        self.new_foreign_keys().filter(|(key, _)| !self.options.cut_over && is_orphan(key)).collect()
    }
}
