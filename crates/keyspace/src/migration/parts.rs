//! The partitions of the tables of a migration, and their columns.

use super::facts::{Facts, Table};
use super::member::{Companion, Member};

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
pub(super) fn part<'a>(member: &Member<'a>, partition: &'a Table, before: usize) -> Option<Member<'a>> {
    let old_id = partition.column_named(&member.old_id.name)?;
    let shadow = member.shadow.and_then(|shadow| partition.column_named(&shadow.name));
    let before = i16::try_from(before).unwrap_or(i16::MAX);
    let of_partition = |companion: &Companion| {
        let name = &member.table.column(companion.own)?.name;
        Some(Companion { own: partition.column_named(name)?.number, ..*companion })
    };
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
        holds_numbers: member.holds_numbers,
        refers: member.refers.map(|refers| refers.of_partition(partition)),
        companions: member.companions.iter().filter_map(of_partition).collect(),
    })
}
