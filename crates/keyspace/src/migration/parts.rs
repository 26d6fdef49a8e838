//! The partitions of the tables of a migration, and their columns.

use super::facts::{Facts, ForeignKey, Table};
use super::scope::{Member, Scope};

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
}

/// The partitions of all tables of a migration, each after the table that it is a partition of.
pub(super) fn partitions<'a>(facts: &'a Facts, members: &[Member<'_>]) -> Vec<(u32, &'a Table)> {
    let mut found: Vec<(u32, &Table)> = Vec::new();
    let mut tops: Vec<u32> =
        members.iter().filter(|one| one.table.is_partitioned()).map(|one| one.table.oid).collect();
    tops.dedup();
    for top in tops {
        // Level by level, each in the order of names.
        let mut level = vec![top];
        while !level.is_empty() {
            let is_next = |table: &&Table| table.parent.is_some_and(|parent| level.contains(&parent));
            let next: Vec<&Table> = facts.tables.iter().filter(is_next).collect();
            level = next.iter().map(|table| table.oid).collect();
            found.extend(next.into_iter().map(|table| (top, table)));
        }
    }
    found
}

/// A column of a partition. `before` is how many columns of the same table come before.
pub(super) fn part<'a>(member: &Member<'_>, partition: &'a Table, before: usize) -> Option<Member<'a>> {
    let old_id = partition.column_named(&member.old_id.name)?;
    let shadow = member.shadow.and_then(|shadow| partition.column_named(&shadow.name));
    let before = i16::try_from(before).unwrap_or(i16::MAX);
    let next = partition.column_count.saturating_add(before).saturating_add(1);
    Some(Member {
        table: partition,
        old_id,
        shadow,
        shadow_number: shadow.map_or(next, |shadow| shadow.number),
        shadow_name: member.shadow_name.clone(),
        is_key: member.is_key,
        key: member.key,
        declared: member.declared,
    })
}
