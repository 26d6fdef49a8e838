//! The triggers that keep old ids and keys in step.

use super::condition::Refers;
use super::facts::{Table, Trigger};
use super::foreign_keys;
use super::member::{Companion, Member};
use super::required;
use super::scope::{self, Scope};
use crate::sql::{literal, quoted};

/// The statements that give columns their triggers.
pub(super) fn trigger_statements_of<'a>(
    scope: &Scope<'_>,
    members: impl Iterator<Item = &'a Member<'a>>,
) -> Vec<String> {
    members.flat_map(|member| trigger_statements(scope, member, scope.options.cut_over)).collect()
}

/// A trigger that a column must have.
struct Wanted {
    name: String,
    /// `tgtype`.
    kind: i16,
    /// `tgenabled`.
    enabled: &'static str,
    function: &'static str,
    arguments: Vec<String>,
}

/// The names of the triggers of a column.
pub(super) fn names(scope: &Scope<'_>, member: &Member<'_>) -> Vec<String> {
    let name = |event: &&str| trigger_name(event, member);
    let events: &[&str] = if is_late(scope, member) {
        &["insert", "update", "late", "applied"]
    } else {
        &["insert", "update", "applied"]
    };
    events.iter().map(name).collect()
}

/// Whether a row can refer to one that is inserted later, whose key is not known before.
fn is_late(scope: &Scope<'_>, member: &Member<'_>) -> bool {
    !member.is_key && !scope.keeps_values()
}

fn trigger_name(event: &str, member: &Member<'_>) -> String {
    format!("~key_migration_{event}_{}", member.old_id.number)
}

/// The triggers of a column.
///
/// BEFORE INSERT fires for rows that replication applies, too; BEFORE UPDATE does not (trap M24).
/// BEFORE UPDATE has no column list (`UPDATE OF`), because other triggers may have changed the row
/// before. The names sort after all others in ASCII, so that they see the changes of other
/// triggers. The trigger "late" is for rows that refer to a row inserted later in the same
/// transaction, whoever inserts them. The trigger "applied" fires only for updates where the one on
/// UPDATE does not: those that replication applies, and others in the role of a replica.
///
/// Where a foreign key says that all or none of several columns are null, "late" must fire before that
/// foreign key is checked, so its name sorts before those of PostgreSQL's own triggers.
fn triggers(scope: &Scope<'_>, member: &Member<'_>, key_leads: bool) -> Vec<Wanted> {
    let arguments = arguments(scope, member, key_leads);
    let (function, applied) = match (scope.keeps_values(), member.is_key) {
        (true, _) => ("key_migration_copy", "key_migration_copy_applied"),
        (false, true) => ("key_migration_key", "key_migration_applied"),
        (false, false) => ("key_migration_reference", "key_migration_applied"),
    };
    let wanted = |event: &str, kind, enabled, function| Wanted {
        name: trigger_name(event, member),
        kind,
        enabled,
        function,
        arguments: arguments.clone(),
    };
    let mut triggers = vec![
        wanted("insert", ROW | BEFORE | INSERT, "A", function),
        wanted("update", ROW | BEFORE | UPDATE, "O", function),
    ];
    if is_late(scope, member) {
        let mut late = wanted("late", ROW | INSERT | UPDATE, "A", "key_migration_late");
        if foreign_keys::is_in_full(scope, member) {
            late.name.replace_range(..1, "!");
        }
        triggers.push(late);
    }
    triggers.push(wanted("applied", ROW | UPDATE, "R", applied));
    triggers
}

fn arguments(scope: &Scope<'_>, member: &Member<'_>, key_leads: bool) -> Vec<String> {
    let (table, columns) = (member.table.oid, [member.old_id.number, member.shadow_number]);
    let mut arguments = vec![table.to_string(), if key_leads { "key" } else { "old_id" }.to_owned()];
    if scope.keeps_values() {
        arguments.push(if member.is_key { "own" } else { "reference" }.to_owned());
        arguments.extend(columns.map(|column| column.to_string()));
        return arguments;
    }
    let key = scope.key_of(member);
    arguments.extend([scope.options.target.name().to_owned(), key.options.salt.clone()]);
    arguments.extend(columns.map(|column| column.to_string()));
    if !member.is_key {
        arguments.extend([
            key.column.table.oid.to_string(),
            key.column.old_id.number.to_string(),
            key.column.shadow_number.to_string(),
        ]);
    }
    arguments.push(key.time.source.to_string());
    arguments.extend(companions_argument(member));
    arguments.extend(condition_argument(scope, member));
    arguments
}

/// The companions of a column as an argument of its triggers: pairs of numbers.
fn companions_argument(member: &Member<'_>) -> Option<String> {
    let pair = |companion: &Companion| format!("{}:{}", companion.own, companion.of_key);
    let pairs: Vec<String> = member.companions.iter().map(pair).collect();
    (!pairs.is_empty()).then(|| format!("with {}", pairs.join(" ")))
}

/// The condition of a column as an argument of its triggers.
pub(super) fn condition_argument(scope: &Scope<'_>, member: &Member<'_>) -> Option<String> {
    let Refers { condition, .. } = member.refers?;
    let fills = !condition.null_values.is_empty() && required::needs_old_id(scope, member);
    let mut parts = serde_json::Map::new();
    if let Some(number) = condition.type_column {
        parts.insert("type_column".to_owned(), number.into());
        parts.insert("type_values".to_owned(), condition.type_values.clone().into());
    }
    if !condition.null_values.is_empty() {
        parts.insert("null_values".to_owned(), condition.null_values.clone().into());
    }
    if fills {
        parts.insert("fills".to_owned(), true.into());
    }
    Some(serde_json::Value::Object(parts).to_string())
}

/// The bits of `tgtype`.
const ROW: i16 = 1;
const BEFORE: i16 = 2;
const INSERT: i16 = 4;
const UPDATE: i16 = 16;

/// The statements that correct the triggers of a column; none if they are right.
pub(super) fn trigger_statements(scope: &Scope<'_>, member: &Member<'_>, key_leads: bool) -> Vec<String> {
    let wanted = triggers(scope, member, key_leads);
    let is_right_on = |table: &Table, wanted: &Wanted| {
        table.triggers.iter().any(|trigger: &Trigger| {
            trigger.is_ours
                && trigger.name == wanted.name
                && trigger.kind == wanted.kind
                && trigger.enabled == wanted.enabled
                && trigger.columns.is_empty()
                && trigger.arguments == wanted.arguments
        })
    };
    // Those of partitions can be disabled one by one.
    let is_right = |wanted: &Wanted| {
        is_right_on(member.table, wanted)
            && scope.partitions_of(member.table.oid).all(|partition| is_right_on(partition, wanted))
    };
    if wanted.iter().all(is_right) {
        return Vec::new();
    }
    let mut statements = drop_trigger_statements(member);
    statements.extend(create_trigger_statements(scope, member, key_leads));
    statements
}

/// The statements that create the triggers of a column, once the names of the columns match the one
/// that leads.
pub(super) fn create_trigger_statements(
    scope: &Scope<'_>,
    member: &Member<'_>,
    key_leads: bool,
) -> Vec<String> {
    let table = member.table_sql();
    let (old_id, key) = scope::column_names(scope, member, key_leads);
    let (leader, follower) = if key_leads { (key, old_id) } else { (old_id, key) };
    let mut statements = Vec::new();
    for wanted in triggers(scope, member, key_leads) {
        let name = quoted(&wanted.name);
        let arguments: Vec<String> = wanted.arguments.iter().map(|argument| literal(argument)).collect();
        let call = format!("{}.{}({})", scope.facts.internal_schema, wanted.function, arguments.join(", "));
        statements.push(if wanted.kind & (BEFORE | INSERT) == INSERT {
            format!(
                "CREATE CONSTRAINT TRIGGER {name} AFTER INSERT OR UPDATE ON {table} DEFERRABLE INITIALLY DEFERRED \
                 FOR EACH ROW WHEN (NEW.{} IS NULL AND NEW.{} IS NOT NULL{}) EXECUTE FUNCTION {call}",
                quoted(&follower),
                quoted(&leader),
                late_condition(member, &leader, key_leads)
            )
        } else {
            let time = if wanted.kind & BEFORE != 0 { "BEFORE" } else { "AFTER" };
            let event = if wanted.kind & INSERT != 0 { "INSERT" } else { "UPDATE" };
            format!("CREATE TRIGGER {name} {time} {event} ON {table} FOR EACH ROW EXECUTE FUNCTION {call}")
        });
        let enable = match wanted.enabled {
            "A" => "ALWAYS",
            "R" => "REPLICA",
            _ => continue,
        };
        statements.push(format!("ALTER TABLE {table} ENABLE {enable} TRIGGER {name}"));
    }
    statements
}

/// The condition that a row refers to the key, after another one. Keys that lead mean a row.
fn late_condition(member: &Member<'_>, leader: &str, key_leads: bool) -> String {
    let means_one = member.means_one_sql("NEW", leader).filter(|_| !key_leads);
    let parts = member.is_of_type_sql("NEW").into_iter().chain(means_one);
    parts.map(|part| format!(" AND {part}")).collect()
}

/// The statements that drop the triggers of a column.
pub(super) fn drop_trigger_statements(member: &Member<'_>) -> Vec<String> {
    let end = format!("_{}", member.old_id.number);
    let is_of_column = |trigger: &&Trigger| {
        let name = trigger.name.trim_start_matches(['~', '!']);
        trigger.is_ours && name.starts_with("key_migration_") && trigger.name.ends_with(&end)
    };
    let statement =
        |trigger: &Trigger| format!("DROP TRIGGER {} ON {}", quoted(&trigger.name), member.table_sql());
    member.table.triggers.iter().filter(is_of_column).map(statement).collect()
}
