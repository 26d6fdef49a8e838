//! What must be the same on all nodes, or one row would have other keys on each of them.

use sha2::{Digest, Sha256};

use crate::migration::member::Member;
use crate::migration::scope::Scope;

/// A digest of the tables, the columns and the derivation of a migration. Names count, not numbers,
/// because nodes number tables and columns by themselves.
pub fn agreement(scope: &Scope<'_>) -> String {
    let mut digest = Sha256::new();
    for line in lines(scope) {
        // A line has no line feed of its own: it is a list of quoted texts.
        digest.update(line.as_bytes());
        digest.update(b"\n");
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn lines(scope: &Scope<'_>) -> Vec<String> {
    let options = scope.options;
    let mut lines = vec![line(&[
        "migration",
        options.target.name(),
        &options.new_suffix,
        &options.old_suffix,
        if options.move_primary_key { "moves primary keys" } else { "keeps primary keys" },
    ])];
    for key in &scope.keys {
        let table = key.column.table;
        let time = if scope.keeps_values() { String::new() } else { key.time.sql(scope.facts, table, "r") };
        let names = [table.schema.as_str(), &table.name, &key.column.old_id.name, &key.options.salt];
        lines.push(line(&["key", names[0], names[1], names[2], names[3], &time]));
    }
    for member in &scope.members {
        lines.push(of_member(scope, member));
    }
    lines
}

fn of_member(scope: &Scope<'_>, member: &Member<'_>) -> String {
    let key = scope.facts.table(member.key);
    let key = key.map_or_else(String::new, |key| line(&[&key.schema, &key.name]));
    let condition = member.refers.map_or_else(String::new, |refers| {
        let column = refers.type_column.map_or("", |column| column.name.as_str());
        let values = |values: &[String]| line(&values.iter().map(String::as_str).collect::<Vec<_>>());
        let (types, nulls) = (values(&refers.condition.type_values), values(&refers.condition.null_values));
        line(&[column, &types, &nulls])
    });
    let table = member.table;
    line(&["column", &table.schema, &table.name, &member.old_id.name, &member.shadow_name, &key, &condition])
}

/// A list of texts that can be told apart.
fn line(parts: &[&str]) -> String {
    serde_json::to_string(parts).unwrap_or_default()
}
