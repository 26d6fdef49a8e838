//! Rules that use an old id.
//!
//! A rule goes on with the columns that it was made with, whatever their names become. One on DELETE that
//! finds or logs rows by their old id is right as long as each row has one. If a row can lack it, a DELETE
//! would escape the rule, so that it is refused.

use super::facts::Table;
use super::finding::{Finding, list_of_objects};
use super::member::Member;
use super::numeric::is_numeric;
use super::old_id::{IdKind, greatest};
use super::scope::Scope;
use crate::error::{Error, SqlState};
use crate::sql::in_message;

/// The finding on the rules with these names, which use the old id of a column.
pub(super) fn finding<'a>(
    scope: &Scope<'a>,
    table: &Table,
    member: &Member<'a>,
    names: &[String],
) -> Finding {
    if !scope.options.cut_over
        && let Some(why) = may_lack_old_id(scope, member)
    {
        return Finding::error(table, refused(member, names, why));
    }
    Finding::warning(
        table,
        message(member, names),
        "After the cut-over it still uses the old id, which every row has until the end, and prevents the column from being dropped. Before you finalize the migration, run CREATE OR REPLACE RULE with the key: no statement escapes it.",
    )
}

/// Why the migration cannot be cut over, because of a rule that may be newer than its plan.
pub fn refusal(scope: &Scope<'_>) -> Option<Error> {
    scope.members.iter().chain(&scope.parts).filter(|member| !member.stays()).find_map(|member| {
        let why = may_lack_old_id(scope, member)?;
        let of_column = member.table.dependents.iter().filter(|used| used.column == member.old_id.number);
        let mut names: Vec<String> =
            of_column.filter(|used| used.kind == "rule").map(|used| used.in_message()).collect();
        names.dedup();
        (!names.is_empty()).then(|| refused(member, &names, why))
    })
}

/// Why a row can lack its old id after the cut-over; `None` if each has one. In a key it is NOT NULL until
/// the end, unless the key keeps its value.
fn may_lack_old_id<'a>(scope: &Scope<'a>, member: &Member<'a>) -> Option<&'static str> {
    if scope.keeps_values() {
        return Some("rows whose key the old column cannot hold");
    }
    if member.is_key {
        return None;
    }
    if scope.may_lack_key(member) {
        return Some("rows that were inserted before the row that they refer to");
    }
    let key = scope.key_of(member).column.old_id;
    let is_narrow = member.old_id.id_kind() == Some(IdKind::Integer)
        && (greatest(member.old_id) < greatest(key)
            // Not every integer is a multiple of 100.
            || (is_numeric(member.old_id) && member.old_id.scale < 0));
    is_narrow.then_some("rows that refer to an old id which the column cannot hold")
}

fn message(member: &Member<'_>, names: &[String]) -> String {
    format!(
        "rule {} uses column \"{}\" of table {}",
        list_of_objects(names),
        member.old_id.name,
        in_message(&member.table_sql())
    )
}

fn refused(member: &Member<'_>, names: &[String], without: &str) -> Error {
    Error::new(SqlState::FeatureNotSupported, message(member, names))
        .detail(format!("After the cut-over it still uses the old id, which is NULL in {without}. What the rule does would be left out for them."))
        .hint("Replace it with a trigger, or drop it until the migration is finalized.")
}

#[cfg(test)]
mod tests {
    use super::super::facts::{Dependent, Facts};
    use super::super::options::{Options, Target};
    use super::super::plan;
    use super::super::tests::{AUDIT, ORDERS, options, shop};
    use super::*;

    /// The shop, with a rule that uses this column.
    fn ruled(table: u32, column: i16) -> Facts {
        let mut facts = shop();
        facts.tables.iter_mut().filter(|one| one.oid == table).for_each(|table| {
            table.dependents = vec![Dependent { kind: "rule".to_owned(), name: "r".to_owned(), column }];
        });
        facts
    }

    /// Whether the plan and the cut-over refuse the rule.
    fn is_refused(facts: &Facts, options: &Options) -> bool {
        let scope = Scope::new(facts, options).unwrap_or_else(|error| panic!("{error:?}"));
        let at_cut_over = refusal(&scope);
        let plan = plan::plan(facts, options).unwrap_or_else(|error| panic!("{error:?}"));
        let found: Vec<&Finding> =
            plan.findings.iter().filter(|finding| finding.error.message.starts_with("rule \"r\"")).collect();
        assert_eq!(found.len(), 1, "{:?}", plan.findings);
        let refused = found.first().filter(|finding| finding.is_error()).map(|finding| &finding.error);
        assert_eq!(refused, at_cut_over.as_ref());
        refused.is_some()
    }

    #[test]
    fn a_rule_on_an_old_id_is_refused_if_a_row_can_lack_it() {
        let (key, reference) = (ruled(ORDERS, 1), ruled(ORDERS, 3));
        assert!(!is_refused(&key, &options()));
        assert!(!is_refused(&reference, &options()));
        // Nothing says that the referenced row is there.
        let mut undeclared = reference.clone();
        undeclared.references.iter_mut().for_each(|reference| reference.declared = false);
        undeclared.foreign_keys.clear();
        assert!(is_refused(&undeclared, &options()));
        // An integer does not hold every bigint.
        assert!(is_refused(&ruled(AUDIT, 1), &options()));
        let mut wide = ruled(AUDIT, 1);
        for column in wide.tables.iter_mut().flat_map(|table| &mut table.columns) {
            if column.type_name == "integer" {
                column.type_name = "bigint".to_owned();
            }
        }
        assert!(!is_refused(&wide, &options()));
        // No numeric(5, -2) is 1.
        let mut hundreds = reference;
        for column in hundreds.tables.iter_mut().flat_map(|table| &mut table.columns) {
            if column.name == "replaces" {
                (column.type_name, column.precision, column.scale) = ("numeric".to_owned(), Some(30), -2);
            }
        }
        assert!(is_refused(&hundreds, &options()));
        let mut narrow = key;
        for column in narrow.tables.iter_mut().flat_map(|table| &mut table.columns) {
            if column.type_name == "bigint" {
                column.type_name = "integer".to_owned();
            }
        }
        let to_bigint = Options { target: Target::Bigint, ..options() };
        assert!(is_refused(&narrow, &to_bigint));
    }
}
