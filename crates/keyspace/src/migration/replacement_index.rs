//! The index on the new column for each index on the old one.

use super::expression::{Rewritten, is_same, is_same_in_bigint, rewritten, taken_for};
use super::facts::{Index, IndexConstraint, IndexKey, Table};
use super::finding::Finding;
use super::key_column::is_index_of_key;
use super::lacking_old_ids;
use super::member::Member;
use super::scope::Scope;
use crate::error::{Error, SqlState};
use crate::sql::{in_message, qualified, quoted};

/// What happens to an index on a column of old ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replacement {
    /// The same index on columns of keys.
    Create {
        /// Its name, not quoted.
        name: String,
        /// `CREATE INDEX CONCURRENTLY`.
        statement: String,
    },
    /// It has to be created by hand; the reason is a sentence.
    Leave(String),
    /// There is no such index on keys, and it must not be lost unnoticed.
    Refuse(Box<Error>),
}

/// The replacement of an index.
pub fn replacement(scope: &Scope<'_>, table: &Table, index: &Index) -> Replacement {
    let on_keys = match on_keys(scope, table, index) {
        Ok(on_keys) => on_keys,
        // The index itself stays.
        Err(error) if scope.index_stays(table.oid, index) => {
            return Replacement::Leave(format!("The index stays. {}", error.detail.unwrap_or_default()));
        }
        // Nothing but the speed of queries depends on it.
        Err(error) if !index.is_unique && !index.is_exclusion && !index.used_columns.contains(&0) => {
            return Replacement::Leave(stays_on_old_ids(scope, table, index, error));
        }
        Err(error) => return Replacement::Refuse(Box::new(error)),
    };
    if index.is_exclusion && scope.keeps_values() {
        return Replacement::Refuse(Box::new(exclusion_on_old_ids(table, index)));
    }
    if index.is_exclusion {
        return Replacement::Leave(exclusion(scope, table, index));
    }
    let mapped =
        |column: i16| scope.mapped_in(table.oid, index, &[column]).first().copied().unwrap_or(column);
    let mut keys = Vec::new();
    for (at, key) in index.keys.iter().enumerate() {
        let expression = on_keys.expressions.get(at).and_then(Option::as_ref);
        let is_replaced =
            mapped(key.column) != key.column || expression.is_some_and(|expression| expression.is_key);
        let expression = expression.map(|expression| expression.text.as_str());
        let class = match operator_class(scope, index, key, is_replaced) {
            Ok(class) => class,
            Err(why) => return Replacement::Leave(why),
        };
        let column = scope.column_sql(table, mapped(key.column));
        keys.push(key_sql(index, key, &KeySql { column, expression, is_replaced, class }));
    }
    let mut include: Vec<String> =
        index.include.iter().map(|column| scope.column_sql(table, mapped(*column))).collect();
    // Also that of a partition.
    let is_of = |member: &&Member<'_>| member.is_key && is_index_of_key(table, index, member.old_id.number);
    if let Some(member) = scope.members_of(table.oid).find(is_of) {
        include.extend(scope.key_of(member).options.include.iter().map(|name| quoted(name)));
    }
    let name = scope.options.new_name(&index.name);
    if let Some(constraint) = index.unique_constraint().filter(|_| table.is_partitioned()) {
        let statement = constraint_on_only(table, index, constraint, (&name, &keys, &include));
        return Replacement::Create { name, statement };
    }
    let predicate = on_keys.predicate.as_deref();
    let statement =
        Definition { name: &name, keys, include, predicate, with_partitions: false }.sql(table, index);
    Replacement::Create { name, statement }
}

/// What differs between an index and another one that is like it.
pub(super) struct Definition<'a> {
    /// Its name, not quoted.
    pub(super) name: &'a str,
    /// Its key columns, as SQL.
    pub(super) keys: Vec<String>,
    /// The columns that it includes, as SQL.
    pub(super) include: Vec<String>,
    /// Its condition.
    pub(super) predicate: Option<&'a str>,
    /// Whether those of partitions are built with that of a partitioned table.
    pub(super) with_partitions: bool,
}

impl Definition<'_> {
    /// The statement that builds it like another one.
    pub(super) fn sql(&self, table: &Table, like: &Index) -> String {
        let mut statement = format!(
            "CREATE {}INDEX {}{} ON {}{} USING {} ({})",
            if like.is_unique { "UNIQUE " } else { "" },
            // PostgreSQL cannot build it concurrently.
            if table.is_partitioned() { "" } else { "CONCURRENTLY " },
            quoted(self.name),
            if table.is_partitioned() && !self.with_partitions { "ONLY " } else { "" },
            qualified(&table.schema, &table.name),
            quoted(&like.method),
            self.keys.join(", ")
        );
        if !self.include.is_empty() {
            statement.push_str(&format!(" INCLUDE ({})", self.include.join(", ")));
        }
        if like.nulls_not_distinct {
            statement.push_str(" NULLS NOT DISTINCT");
        }
        if !like.options.is_empty() {
            statement.push_str(&format!(" WITH ({})", like.options.join(", ")));
        }
        if let Some(tablespace) = &like.tablespace {
            statement.push_str(&format!(" TABLESPACE {}", quoted(tablespace)));
        }
        if let Some(predicate) = self.predicate {
            statement.push_str(&format!(" WHERE {predicate}"));
        }
        statement
    }
}

/// The unique constraint of a partitioned table, without those of its partitions. PostgreSQL cannot
/// make one of an index of a partitioned table.
fn constraint_on_only(
    table: &Table,
    index: &Index,
    constraint: &IndexConstraint,
    (name, keys, include): (&str, &[String], &[String]),
) -> String {
    let mut statement = format!(
        "ALTER TABLE ONLY {} ADD CONSTRAINT {} UNIQUE{} ({})",
        qualified(&table.schema, &table.name),
        quoted(name),
        if index.nulls_not_distinct { " NULLS NOT DISTINCT" } else { "" },
        keys.join(", ")
    );
    if !include.is_empty() {
        statement.push_str(&format!(" INCLUDE ({})", include.join(", ")));
    }
    if !index.options.is_empty() {
        statement.push_str(&format!(" WITH ({})", index.options.join(", ")));
    }
    if let Some(tablespace) = &index.tablespace {
        statement.push_str(&format!(" USING INDEX TABLESPACE {}", quoted(tablespace)));
    }
    statement + timing(constraint)
}

/// The replacement of an index, if the table has it.
///
/// It is recognised by its definition. Until the cut-over its name must match, too. Afterwards,
/// when names are swapped, the name only decides between several: another index may have been renamed.
/// None is the replacement of two indexes. An index that is not valid has no replacement.
pub fn existing<'a>(scope: &Scope<'a>, table: &'a Table, index: &Index) -> Option<&'a Index> {
    if !index.is_valid {
        return None;
    }
    // One that is attached is found by that, whatever its name is: PostgreSQL has chosen it if the
    // partition is newer.
    if let Some(attached) = attached(scope, table, index) {
        return Some(attached);
    }
    let on_keys = on_keys(scope, table, index).ok()?;
    let columns = |index: &Index| index.keys.iter().map(|key| key.column).collect::<Vec<_>>();
    let wanted = scope.mapped_in(table.oid, index, &columns(index));
    let is_expression = |wanted: Option<&str>, found: Option<&String>| match (wanted, found) {
        (None, None) => true,
        (Some(wanted), Some(found)) if scope.keeps_values() => is_same_in_bigint(wanted, found),
        (Some(wanted), Some(found)) => is_same(wanted, found),
        _ => false,
    };
    let same = |other: &&Index| {
        scope.is_new(table, other)
            // Until the cut-over an invalid one is dropped and built again.
            && (other.is_valid || !scope.options.cut_over)
            // Attached to another one, it is the replacement of that one.
            && (other.parent.is_none() || table.parent.is_none())
            && other.is_unique == index.is_unique
            && other.is_exclusion == index.is_exclusion
            && other.nulls_not_distinct == index.nulls_not_distinct
            && other.method == index.method
            && columns(other) == wanted
            && is_expression(on_keys.predicate.as_deref(), other.predicate.as_ref())
            && on_keys.expressions.iter().zip(&other.keys).all(|(wanted, found)| {
                let wanted = wanted.as_ref().map(|wanted| wanted.text.as_str());
                is_expression(wanted, found.expression.as_ref())
            })
    };
    let name = name_of_replacement(scope, index);
    // One for which there is no such class was built by hand, with another one.
    let by_name = !scope.options.cut_over || lacks_class(scope, table, index);
    let is_free = |other: &Index| {
        let mut old = scope.indexes(table).filter(|one| one.oid != index.oid && !scope.is_new(table, one));
        !old.any(|one| name_of_replacement(scope, one) == other.name)
    };
    let mut candidates: Vec<&Index> = table
        .indexes
        .iter()
        .filter(same)
        .filter(|other| other.name == name || (!by_name && is_free(other)))
        .collect();
    candidates.sort_by_key(|other| other.name != name);
    candidates.into_iter().next()
}

/// The name that the replacement of an index has, if nobody has renamed it.
fn name_of_replacement(scope: &Scope<'_>, index: &Index) -> String {
    // The replacement of `x_old` is `x`.
    let known = index.name.strip_suffix(scope.options.old_suffix.as_str());
    match known.filter(|_| scope.options.cut_over) {
        Some(known) => known.to_owned(),
        None => scope.options.new_name(&index.name),
    }
}

/// Whether the type of keys lacks an operator class that the index needs.
fn lacks_class(scope: &Scope<'_>, table: &Table, index: &Index) -> bool {
    index.keys.iter().any(|key| {
        let is_replaced =
            scope.replaced_in(table.oid, index).any(|member| member.old_id.number == key.column);
        operator_class(scope, index, key, is_replaced).is_err()
    })
}

/// The replacement of an index of a partition, once it is attached.
fn attached<'a>(scope: &Scope<'a>, table: &'a Table, index: &Index) -> Option<&'a Index> {
    let parent = scope.facts.table(table.parent?)?;
    let of = parent.indexes.iter().find(|one| Some(one.oid) == index.parent)?;
    let to = existing(scope, parent, of)?.oid;
    table.indexes.iter().find(|one| one.parent == Some(to))
}

/// When a constraint is checked, as SQL to append.
pub(super) const fn timing(constraint: &IndexConstraint) -> &'static str {
    match (constraint.deferrable, constraint.deferred) {
        (false, _) => "",
        (true, false) => " DEFERRABLE",
        (true, true) => " DEFERRABLE INITIALLY DEFERRED",
    }
}

/// Whether an index keeps its name at the cut-over, and its replacement takes the name at the end.
///
/// Old ids of references are equal where keys are. The old index is older, so it is the one that
/// finds a duplicate and whose name applications read (fault C21). A key of its own is not found by
/// its old id.
pub fn keeps_name(scope: &Scope<'_>, table: &Table, index: &Index) -> bool {
    let is_key = |column: i16| {
        scope.members_of(table.oid).any(|member| member.is_key && member.old_id.number == column)
    };
    let has_key =
        index.keys.iter().any(|key| is_key(key.column)) || index.used_columns.iter().any(|one| is_key(*one));
    (index.is_unique || index.is_exclusion) && !has_key && !lacking_old_ids::is_dropped(scope, table, index)
}

/// The expressions and the condition of an index, on keys.
struct OnKeys {
    /// For each key column, the expression that it is.
    expressions: Vec<Option<OnKey>>,
    predicate: Option<String>,
}

/// An expression on keys.
struct OnKey {
    text: String,
    /// Whether it is a key, while the one on old ids is an old id.
    is_key: bool,
}

/// The expressions and the condition of an index, on keys.
///
/// # Errors
/// 0A000 if they are about the values of old ids, or if rows that lack a key for a while could
/// violate the index.
fn on_keys(scope: &Scope<'_>, table: &Table, index: &Index) -> Result<OnKeys, Error> {
    let members = || scope.replaced_in(table.oid, index);
    let replaced = scope.replaced(members(), |member| member.shadow_name.clone());
    let refusal = |what: &str, text: &str| {
        let columns: Vec<String> = scope
            .members_of(table.oid)
            .filter(|member| index.used_columns.contains(&member.old_id.number))
            .map(|member| format!("\"{}\"", member.old_id.name))
            .collect();
        let on = if columns.is_empty() { "the whole row".to_owned() } else { columns.join(", ") };
        cannot_be_on_keys(scope, table, index, &format!("{what} on {on}: {text}"))
    };
    let mut names: Vec<String> = Vec::new();
    let mut depends = false;
    let mut rewrite = |what: &str, text: &str| -> Result<String, Error> {
        let new = rewritten(text, &replaced, scope.operators());
        let Rewritten { text, columns, depends_on_lacking_keys } = new.ok_or_else(|| refusal(what, text))?;
        names.extend(columns);
        depends |= depends_on_lacking_keys;
        Ok(text)
    };
    let mut expressions = Vec::new();
    for key in &index.keys {
        let Some(text) = key.expression.as_deref() else {
            expressions.push(None);
            continue;
        };
        let is_key = !scope.keeps_values() && taken_for(text, &replaced).is_some();
        expressions.push(Some(OnKey { text: rewrite("an expression", text)?, is_key }));
    }
    let predicate =
        index.predicate.as_deref().map(|predicate| rewrite("a condition", predicate)).transpose()?;
    // What uses a column without its name, such as a whole row, is not rewritten.
    let is_hidden = |member: &&Member<'_>| {
        index.used_columns.contains(&member.old_id.number) && !names.contains(&member.old_id.name)
    };
    if index.used_columns.contains(&0) || members().any(|member| is_hidden(&member)) {
        let text = index.keys.iter().filter_map(|key| key.expression.clone()).chain(index.predicate.clone());
        return Err(refusal("an expression", &text.collect::<Vec<_>>().join(", ")));
    }
    let equal_nulls = index.nulls_not_distinct
        && members().any(|member| {
            scope.may_lack_key(member) && index.keys.iter().any(|key| key.column == member.old_id.number)
        });
    if index.is_unique && (depends || equal_nulls) {
        return Err(could_be_violated(scope, table, index));
    }
    if lacking_old_ids::refuses(scope, table, index) && !lacking_old_ids::is_dropped(scope, table, index) {
        return Err(could_be_violated_by_old_ids(table, index));
    }
    Ok(OnKeys { expressions, predicate })
}

fn cannot_be_on_keys(scope: &Scope<'_>, table: &Table, index: &Index, what: &str) -> Error {
    let (name, of) = (qualified(&table.schema, &index.name), qualified(&table.schema, &table.name));
    let rest = if scope.options.cut_over {
        "If you need it, create an index on the key."
    } else {
        "If you need it, create an index on the key once the migration is prepared."
    };
    let why = if scope.keeps_values() {
        "It calls a function with an old id, casts it to a type that cannot hold every bigint, or uses the whole row."
    } else {
        "Only comparisons with NULL, and of references to the same key with each other, mean the same for keys, and an integer that is the second argument of COALESCE."
    };
    Error::new(
        SqlState::FeatureNotSupported,
        format!("index {} of table {} cannot be built on keys", in_message(&name), in_message(&of)),
    )
    .detail(format!("It has {what}. {why}"))
    .hint(format!("Run DROP INDEX CONCURRENTLY {name} first. {rest}"))
}

/// Why an index gets no replacement, and what to do, as sentences.
fn stays_on_old_ids(scope: &Scope<'_>, table: &Table, index: &Index, error: Error) -> String {
    let name = qualified(&table.schema, &index.name);
    let when = if scope.options.cut_over { "" } else { " once the migration is prepared" };
    format!(
        "It stays on the old ids. {} Create the one that queries on keys need{when}, and run DROP INDEX CONCURRENTLY {name} before the migration is finalized.",
        error.detail.unwrap_or_default()
    )
}

/// Refuses unique indexes in which a missing reference counts as an id that a row can have. On keys it
/// is equal to no row.
pub(super) fn find(scope: &Scope<'_>, found: &mut Vec<Finding>) {
    if scope.keeps_values() || scope.options.cut_over {
        return;
    }
    for table in scope.tables() {
        let is_asked = |index: &&Index| index.is_unique && index.is_valid && !scope.is_new(table, index);
        for index in scope.indexes(table).filter(is_asked) {
            let members = scope.replaced_in(table.oid, index);
            let replaced = scope.replaced(members, |member| member.shadow_name.clone());
            let taken = index.keys.iter().filter_map(|key| taken_for(key.expression.as_deref()?, &replaced));
            found.extend(taken.filter_map(|(key, id)| may_be_an_id(scope, table, index, key, id)));
        }
    }
}

/// The finding on an id that is not below all ids.
fn may_be_an_id(scope: &Scope<'_>, table: &Table, index: &Index, key: u32, id: i64) -> Option<Finding> {
    let range = scope.facts.key_ranges.iter().find(|range| range.0 == key);
    let is_below = range.map_or(id <= 0, |(_, least, _)| id < *least);
    let root = scope.facts.table(key).filter(|_| !is_below)?;
    let (name, of) = (qualified(&table.schema, &index.name), qualified(&root.schema, &root.name));
    let message = format!(
        "unique index {} treats a missing reference as id {id} of table {}",
        in_message(&name),
        in_message(&of)
    );
    let error = Error::new(SqlState::FeatureNotSupported, message)
        .detail("The table has this id, a lower one, or can get it. On keys, a missing reference is not equal to any row.")
        .hint(format!("Run DROP INDEX CONCURRENTLY {name} first. If you need it, create an index on the key once the migration is prepared."));
    Some(Finding::error(table, error))
}

fn could_be_violated(scope: &Scope<'_>, table: &Table, index: &Index) -> Error {
    let name = qualified(&table.schema, &index.name);
    let lacking: Vec<&Member<'_>> = scope
        .replaced_in(table.oid, index)
        .filter(|member| scope.may_lack_key(member))
        .filter(|member| {
            index.has_column(member.old_id.number) || index.used_columns.contains(&member.old_id.number)
        })
        .collect();
    let columns: Vec<String> = lacking.iter().map(|member| format!("\"{}\"", member.old_id.name)).collect();
    let hint = if lacking.iter().any(|member| !member.declared) {
        "Add a valid foreign key on the column, or drop the index until the migration is finalized."
    } else {
        "Use ALTER TABLE ... ALTER CONSTRAINT ... NOT DEFERRABLE for the foreign key until the migration is finalized, or drop the index until then."
    };
    let message = format!("unique index {} could be violated by rows without a key", in_message(&name));
    Error::new(SqlState::FeatureNotSupported, message)
        .detail(format!("Rows can have an old id in {} and no key: if they refer to no row, or until the row that they refer to is inserted. In an index on keys, such rows count as equal.", columns.join(", ")))
        .hint(hint)
}

/// The error for a constraint in which rows without an old id would be equal.
fn could_be_violated_by_old_ids(table: &Table, index: &Index) -> Error {
    let name = qualified(&table.schema, &index.name);
    let message = format!("unique index {} could be violated by rows without an old id", in_message(&name));
    Error::new(SqlState::FeatureNotSupported, message)
        .detail("After the cut-over, rows whose key the old column cannot hold have no old id, and the constraint or replica identity treats NULL as a value.")
        .hint("Drop it until the migration is cut over, and create it on the new column.")
}

/// The error for an exclusion constraint, which rows without an old id would escape.
fn exclusion_on_old_ids(table: &Table, index: &Index) -> Error {
    let (name, of) = (&index.name, qualified(&table.schema, &table.name));
    let message = format!(
        "exclusion constraint \"{name}\" of table {} cannot be built on keys without blocking writes",
        in_message(&of)
    );
    Error::new(SqlState::FeatureNotSupported, message)
        .detail("After the cut-over, rows whose key the old column cannot hold have no old id, so the constraint on old ids does not hold for them.")
        .hint(format!("Run ALTER TABLE {of} DROP CONSTRAINT {} first, and add it again after the cut-over.", quoted(name)))
}

/// The reason why an exclusion constraint has to be added by hand.
fn exclusion(scope: &Scope<'_>, table: &Table, index: &Index) -> String {
    let constraint = index.constraint.as_ref();
    let has_classes = index.keys.iter().all(|key| {
        let is_replaced =
            scope.replaced_in(table.oid, index).any(|member| member.old_id.number == key.column);
        operator_class(scope, index, key, is_replaced).is_ok()
    });
    let definition = constraint.and_then(|one| one.definition.as_deref()).filter(|_| has_classes);
    let on_keys = definition.and_then(|definition| {
        let members = scope.replaced_in(table.oid, index);
        let replaced = scope.replaced(members, |member| member.shadow_name.clone());
        rewritten(definition, &replaced, scope.operators()).map(|new| new.text)
    });
    match (on_keys, constraint) {
        (Some(definition), Some(constraint)) => format!(
            "An exclusion constraint cannot be added without blocking writes. Once the table is backfilled, run ALTER TABLE {} ADD CONSTRAINT {} {definition} while writers can wait. Until the migration is finalized, the constraint on the old ids holds.",
            qualified(&table.schema, &table.name),
            quoted(&scope.options.new_name(&constraint.name)),
        ),
        _ => "An exclusion constraint cannot be added without blocking writes. Create the corresponding one on keys yourself, or drop this one before the migration is finalized.".to_owned(),
    }
}

/// The operator class of a key column, if it must be named; otherwise it is the default of the type.
///
/// # Errors
/// A sentence if the type of keys has no such class.
fn operator_class(
    scope: &Scope<'_>,
    index: &Index,
    key: &IndexKey,
    is_replaced: bool,
) -> Result<Option<String>, String> {
    let with_options = |class: String| match key.opclass_options.as_slice() {
        [] => class,
        options => format!("{class} ({})", options.join(", ")),
    };
    if !is_replaced {
        return Ok(key.opclass.clone().map(with_options));
    }
    let (target, type_name) = (scope.options.target.catalog_name(), scope.options.target.name());
    let mut classes = scope
        .facts
        .operator_classes
        .iter()
        .filter(|class| class.method == index.method && class.type_name == target);
    let Some(given) = &key.opclass else {
        return if classes.any(|class| class.is_default) {
            Ok(None)
        } else {
            Err(format!(
                "Access method \"{}\" has no default operator class for type {type_name}.",
                index.method
            ))
        };
    };
    // Its counterpart: uuid_bloom_ops for int8_bloom_ops, gist_uuid_ops for gist_int4_ops. A class of
    // patterns has none.
    let bare = given.rsplit_once('.').map_or(given.as_str(), |(_, name)| name).trim_matches('"');
    let counterpart = ["int2", "int4", "int8", "numeric", "uuid", "text", "varchar"]
        .iter()
        .find(|old| bare.contains(**old))
        .map(|old| bare.replacen(old, target, 1));
    match classes.find(|class| Some(&class.name) == counterpart.as_ref()) {
        Some(class) => Ok(Some(with_options(class.sql.clone()))),
        None => Err(format!("Operator class {given} has no counterpart for type {type_name}.")),
    }
}

/// What a key column is.
pub(super) struct KeySql<'a> {
    /// The column, as SQL, if it is no expression.
    pub(super) column: String,
    pub(super) expression: Option<&'a str>,
    /// Whether it takes the place of a column of another type.
    pub(super) is_replaced: bool,
    /// Its operator class, if it must be named.
    pub(super) class: Option<String>,
}

/// A key column of an index, as SQL.
pub(super) fn key_sql(index: &Index, key: &IndexKey, what: &KeySql<'_>) -> String {
    let mut sql = match what.expression {
        Some(expression) => format!("({expression})"),
        None => what.column.clone(),
    };
    // Keys have no collation.
    let collation =
        key.collation.as_ref().filter(|_| !what.is_replaced).map(|name| format!(" COLLATE {name}"));
    let class = what.class.as_ref().map(|name| format!(" {name}"));
    for part in [collation, class].into_iter().flatten() {
        sql.push_str(&part);
    }
    if index.method == "btree" {
        match (key.descending, key.nulls_first) {
            (false, false) => {}
            (false, true) => sql.push_str(" NULLS FIRST"),
            (true, true) => sql.push_str(" DESC"),
            (true, false) => sql.push_str(" DESC NULLS LAST"),
        }
    }
    sql
}

/// The indexes on columns of old ids that have a replacement.
pub(super) fn pairs<'a>(scope: &Scope<'a>, table: &'a Table) -> Vec<(&'a Index, &'a Index)> {
    let mut paired = Vec::new();
    for index in scope.indexes(table).filter(|index| !scope.is_new(table, index)) {
        let is_known =
            |other: &Index| paired.iter().any(|(_, known): &(&Index, &Index)| known.oid == other.oid);
        if let Some(other) = existing(scope, table, index).filter(|other| !is_known(other)) {
            paired.push((index, other));
        }
    }
    paired
}
