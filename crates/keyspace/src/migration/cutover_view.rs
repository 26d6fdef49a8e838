//! The cut-over by views: tables keep their columns, and are renamed to make room for views with
//! their names.
//!
//! It is for tables whose columns must not change. A view can do less than a table (trap M18), so
//! swapping names is the usual way.

use super::checks::Names;
use super::cutover;
use super::facts::{Facts, Table};
use super::foreign_keys;
use super::member::Member;
use super::options::Options;
use super::properties::grant_on_column;
use super::scope::{Key, Scope};
use super::trigger_functions;
use super::triggers::{create_trigger_statements, drop_trigger_statements};
use crate::error::{Error, SqlState};
use crate::sql::{in_message, literal, qualified, quoted};

/// The first PostgreSQL whose views can read tables with the rights of the caller.
const INVOKER: i32 = 15;

/// Refuses tables that views cannot replace.
///
/// # Errors
/// 0A000 if a view would show rows that policies hide; 55000 if primary keys should move.
pub fn check(scope: &Scope<'_>) -> Result<(), Error> {
    if scope.options.move_primary_key {
        let name = literal(&qualified(&scope.root().schema, &scope.root().name));
        let message = "primary keys cannot move at a cut-over by views";
        let error = Error::new(SqlState::ObjectNotInPrerequisiteState, message)
            .detail("Views have no primary key, and the tables under them keep their columns.");
        if scope.keeps_values() {
            let hint = format!("CALL key_migration_cutover({name}, way => 'rename').");
            return Err(error.hint(hint));
        }
        return Err(error.hint(format!("SELECT key_migration_set({name}, move_primary_key => false) first, or cut over with way => 'rename'.")));
    }
    if let Some(table) = scope.tables().into_iter().find(|table| table.is_partitioned()) {
        let name = qualified(&table.schema, &table.name);
        return Err(Error::new(
            SqlState::FeatureNotSupported,
            format!("table {} is partitioned", in_message(&name)),
        )
        .detail("Its partitions can be used by their names, under which a cut-over by views puts nothing.")
        .hint("Cut over by renaming columns: CALL key_migration_cutover(..., way => 'rename')."));
    }
    if scope.facts.major >= INVOKER {
        return Ok(());
    }
    match scope.tables().into_iter().find(|table| table.row_security) {
        Some(table) => {
            let name = qualified(&table.schema, &table.name);
            Err(Error::new(
                SqlState::FeatureNotSupported,
                format!("table {} has row-level security", in_message(&name)),
            )
            .detail(
                "Before PostgreSQL 15, a view reads its table as the owner of the view, who sees all rows.",
            )
            .hint("Cut over by renaming columns: CALL key_migration_cutover(..., way => 'rename')."))
        }
        None => Ok(()),
    }
}

/// The name of a table under its view.
fn table_name_under_view(scope: &Scope<'_>, table: &Table) -> String {
    scope.options.old_name(&table.name)
}

/// The statements of the cut-over, for a transaction that has locked all tables.
pub fn cut_over(scope: &Scope<'_>) -> Vec<String> {
    let mut statements = Vec::new();
    for (column, default) in scope.new_defaults() {
        let (table, shadow) = (column.table_sql(), quoted(&column.shadow_name));
        statements.push(format!("ALTER TABLE {table} ALTER COLUMN {shadow} SET DEFAULT {default}"));
    }
    // Their conditions name columns, which keep their names.
    let plain = Options {
        views: scope.tables().iter().map(|table| (table.oid, table.name.clone())).collect(),
        ..scope.options.clone()
    };
    let staying = scope.with_options(&plain);
    for member in &scope.members {
        statements.extend(drop_trigger_statements(member));
        statements.extend(create_trigger_statements(&staying, member, true));
    }
    statements.extend(cutover::take_over(scope, names));
    statements.extend(foreign_keys::cut_over(scope, false));
    for table in scope.tables() {
        statements.extend(view(scope, table));
    }
    statements
}

/// Under a view, columns keep their names.
fn names(member: &Member<'_>) -> Names {
    cutover::names_that_stay(member)
}

fn view(scope: &Scope<'_>, table: &Table) -> Vec<String> {
    let under_view = table_name_under_view(scope, table);
    let name = qualified(&table.schema, &table.name);
    let mut columns = Vec::new();
    let mut defaults = Vec::new();
    let mut grants = Vec::new();
    for column in &table.columns {
        let moved = || scope.members_of(table.oid).filter(|member| !member.stays());
        let of_old_id = moved().find(|member| member.old_id.number == column.number);
        let of_key = moved().find(|member| member.shadow_number == column.number);
        let (from, shown) = match (of_old_id, of_key) {
            (Some(member), _) => (member.shadow_name.as_str(), column.name.clone()),
            (_, Some(member)) => (member.old_id.name.as_str(), scope.options.old_name(&member.old_id.name)),
            _ => (column.name.as_str(), column.name.clone()),
        };
        let of = if from == shown { quoted(from) } else { format!("{} AS {}", quoted(from), quoted(&shown)) };
        columns.push(of);
        let of_shown = of_key.map_or(column, |member| member.old_id);
        // Next to a column that stays, the new one has the same.
        let stays = scope
            .members_of(table.oid)
            .find(|member| member.stays() && member.shadow_number == column.number);
        let of_both = stays.map(|member| &member.old_id.grants).into_iter().flatten();
        let of_both = of_both.filter(|grant| !of_shown.grants.contains(grant));
        grants
            .extend(of_shown.grants.iter().chain(of_both).map(|grant| grant_on_column(&name, grant, &shown)));
        // The table keeps its defaults. The view repeats those of ordinary columns for readers of
        // the catalogs.
        let default = match of_old_id {
            Some(member) if member.is_key => scope.options.target.default(&scope.facts.extension_schema),
            Some(_) => None,
            None if of_key.is_some() || !column.generated.is_empty() => None,
            None => column.default.clone(),
        };
        if let Some(default) = default {
            defaults.push(format!("ALTER VIEW {name} ALTER COLUMN {} SET DEFAULT {default}", quoted(&shown)));
        }
    }
    let invoker = if scope.facts.major >= INVOKER { " WITH (security_invoker = true)" } else { "" };
    let mut statements = vec![
        format!("ALTER TABLE {name} RENAME TO {}", quoted(&under_view)),
        format!(
            "CREATE VIEW {name}{invoker} AS SELECT {} FROM {}",
            columns.join(", "),
            qualified(&table.schema, &under_view)
        ),
        format!("ALTER VIEW {name} OWNER TO {}", quoted(&table.owner)),
    ];
    statements.extend(defaults);
    for grant in &table.grants {
        let grantee = grant.grantee.as_deref().map_or_else(|| "PUBLIC".to_owned(), quoted);
        let option = if grant.grantable { " WITH GRANT OPTION" } else { "" };
        statements.push(format!("GRANT {} ON {name} TO {grantee}{option}", grant.privilege));
    }
    statements.extend(grants);
    statements
}

/// The facts once the views are gone and the tables have their names back.
fn facts_without_views(scope: &Scope<'_>) -> (Facts, Options) {
    let mut facts = scope.facts.clone();
    for table in &mut facts.tables {
        if let Some((_, name)) = scope.options.views.iter().find(|view| view.0 == table.oid) {
            table.name.clone_from(name);
        }
    }
    let options = Options { cut_over: false, views: Vec::new(), ..scope.options.clone() };
    (facts, options)
}

/// The statements that drop the views and give the tables their names back.
fn drop_views(scope: &Scope<'_>) -> Vec<String> {
    let mut statements = Vec::new();
    for table in scope.tables() {
        if let Some((_, name)) = scope.options.views.iter().find(|view| view.0 == table.oid) {
            // If the view was dropped by hand, this part is already done.
            statements.push(format!("DROP VIEW IF EXISTS {}", qualified(&table.schema, name)));
            let under_view = qualified(&table.schema, &table.name);
            statements.push(format!("ALTER TABLE {under_view} RENAME TO {}", quoted(name)));
        }
    }
    statements
}

/// The statements that roll back a cut-over by views, for a transaction that has locked all tables.
///
/// # Errors
/// As [`Scope::new`].
pub fn roll_back(scope: &Scope<'_>) -> Result<Vec<String>, Error> {
    let mut statements = drop_views(scope);
    let (facts, options) = facts_without_views(scope);
    let bare = Scope::new(&facts, &options)?;
    for Key { column, .. } in &bare.keys {
        let (table, shadow) = (column.table_sql(), quoted(&column.shadow_name));
        statements.push(format!("ALTER TABLE {table} ALTER COLUMN {shadow} DROP DEFAULT"));
    }
    for member in bare.members.iter().filter(|member| member.shadow.is_some()) {
        statements.extend(drop_trigger_statements(member));
        statements.extend(create_trigger_statements(&bare, member, false));
    }
    // What leads is still the key, but the tables have their names.
    let leading = Options { cut_over: true, views: scope.options.views.clone(), ..options.clone() };
    let leading = bare.with_options(&leading);
    statements.extend(cutover::give_back(&leading, names));
    statements.extend(foreign_keys::roll_back(&leading, false));
    Ok(statements)
}

/// The statements that change a cut-over by views into one by names, for a transaction that has
/// locked all tables. Nothing changes for writers, and the triggers are already right.
///
/// # Errors
/// As [`Scope::new`].
pub fn into_names(scope: &Scope<'_>) -> Result<Vec<String>, Error> {
    let mut statements = drop_views(scope);
    let (facts, options) = facts_without_views(scope);
    let scope = Scope::new(&facts, &options)?;
    statements.extend(cutover::swap_names(&scope));
    statements.extend(trigger_functions::compile_again(&scope));
    Ok(statements)
}
