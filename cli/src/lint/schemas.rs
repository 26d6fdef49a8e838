//! Tables, columns, constraints, indexes and types that are not the same on all nodes.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::compare::differences;
use super::finding::{Check, Finding, Row};
use super::tables::MINE;
use crate::check::Severity;
use crate::failure::Result;
use crate::session::Session;

/// Tables that a node does not have, or has otherwise.
pub const TABLE: Check = Check {
    name: "table-differs",
    reason: "Apply stops at the first row of a table that is missing. A table that is partitioned otherwise is not replicated as such by all tools.",
    hint: "Create it in the same way on all nodes, before it is published.",
};

/// Columns that differ.
pub const COLUMN: Check = Check {
    name: "column-differs",
    reason: "Apply stops if a column is missing, or if a value does not fit into the type that it has there.",
    hint: "Alter the table on all nodes: new columns first where rows arrive, and then where they are written.",
};

/// Types that differ.
pub const TYPE: Check = Check {
    name: "type-differs",
    reason: "A value that one node accepts is refused by another one, where apply stops.",
    hint: "Alter the type on all nodes: new labels first where rows arrive.",
};

/// Constraints and unique indexes that differ.
pub const CONSTRAINT: Check = Check {
    name: "constraint-differs",
    reason: "A row that one node accepts violates a key or check of another one. Apply does not check foreign keys, so they are then broken there unnoticed.",
    hint: "Add or drop it, so that all nodes have the same.",
};

/// Other differences.
pub const DEFINITION: Check = Check {
    name: "definition-differs",
    reason: "Nodes accept the same rows, but new rows get other defaults, or queries take other plans.",
    hint: "Make them the same, unless the difference is meant.",
};

/// Something that a node has, with its definition.
#[derive(Clone, Debug, Deserialize)]
pub struct Item {
    kind: Kind,
    object: String,
    /// A part of it; empty if it is about the whole.
    part: String,
    definition: String,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Table,
    Column,
    Type,
    Constraint,
    UniqueIndex,
    Index,
    Default,
    NotNull,
}

impl Kind {
    const fn check(self) -> (&'static Check, Severity) {
        match self {
            Self::Table => (&TABLE, Severity::Error),
            Self::Column => (&COLUMN, Severity::Error),
            Self::Type => (&TYPE, Severity::Error),
            Self::Constraint | Self::UniqueIndex => (&CONSTRAINT, Severity::Warning),
            Self::NotNull => (&CONSTRAINT, Severity::Warning),
            Self::Index | Self::Default => (&DEFINITION, Severity::Info),
        }
    }
}

/// Constraints and indexes are known by their definitions: names may differ. PostgreSQL 18 has NOT
/// NULL as constraints, too; they are read from the columns. Partitions have those of their table.
const ITEMS: &str = "
    SELECT 'table' AS kind, m.name AS object, '' AS part,
           CASE WHEN m.relkind = 'p' THEN 'partitioned by ' || pg_get_partkeydef(m.oid) ELSE 'table' END
           || CASE WHEN m.relispartition THEN (SELECT format(', partition of %s %s', p.name, pg_get_expr(c.relpartbound, c.oid))
                                               FROM pg_class c JOIN pg_inherits i ON i.inhrelid = c.oid JOIN mine p ON p.oid = i.inhparent
                                               WHERE c.oid = m.oid) ELSE '' END
           || CASE WHEN m.relpersistence = 'u' THEN ', unlogged' ELSE '' END AS definition
    FROM mine m
    UNION ALL
    SELECT 'column', m.name, quote_ident(a.attname),
           format_type(a.atttypid, a.atttypmod)
           || CASE WHEN a.attcollation <> t.typcollation
                   THEN (SELECT format(' COLLATE %I.%I', n.nspname, l.collname)
                         FROM pg_collation l JOIN pg_namespace n ON n.oid = l.collnamespace WHERE l.oid = a.attcollation) ELSE '' END
           || CASE a.attgenerated WHEN '' THEN '' ELSE ' GENERATED ALWAYS AS (' || coalesce(pg_get_expr(e.adbin, e.adrelid), '') || ')' END
    FROM mine m JOIN pg_attribute a ON a.attrelid = m.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_attrdef e ON e.adrelid = a.attrelid AND e.adnum = a.attnum
    UNION ALL
    SELECT 'not_null', m.name, quote_ident(a.attname), ''
    FROM mine m JOIN pg_attribute a ON a.attrelid = m.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attnotnull
    UNION ALL
    SELECT 'default', m.name, quote_ident(a.attname),
           CASE a.attidentity WHEN '' THEN pg_get_expr(e.adbin, e.adrelid)
                              ELSE 'GENERATED ' || CASE a.attidentity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END || ' AS IDENTITY' END
    FROM mine m JOIN pg_attribute a ON a.attrelid = m.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
    LEFT JOIN pg_attrdef e ON e.adrelid = a.attrelid AND e.adnum = a.attnum
    WHERE a.attidentity <> '' OR e.oid IS NOT NULL
    UNION ALL
    SELECT DISTINCT 'constraint', m.name, pg_get_constraintdef(n.oid), ''
    FROM mine m JOIN pg_constraint n ON n.conrelid = m.oid AND n.contype NOT IN ('n', 't') AND n.conparentid = 0
    UNION ALL
    SELECT DISTINCT CASE WHEN i.indisunique THEN 'unique_index' ELSE 'index' END, m.name,
           replace(pg_get_indexdef(i.indexrelid), format(' INDEX %I ON ', c.relname), ' INDEX ON '),
           CASE WHEN i.indisvalid THEN '' ELSE 'not valid' END
    FROM mine m JOIN pg_index i ON i.indrelid = m.oid JOIN pg_class c ON c.oid = i.indexrelid AND NOT c.relispartition
    WHERE NOT EXISTS (SELECT FROM pg_constraint n WHERE n.conindid = i.indexrelid AND n.contype IN ('p', 'u', 'x'))
    UNION ALL
    SELECT 'type', format('%I.%I', n.nspname, t.typname), '',
           CASE t.typtype WHEN 'e' THEN (SELECT string_agg(quote_literal(l.enumlabel), ', ' ORDER BY l.enumsortorder)
                                         FROM pg_enum l WHERE l.enumtypid = t.oid)
                ELSE concat_ws(' ', format_type(t.typbasetype, t.typtypmod), CASE WHEN t.typnotnull THEN 'NOT NULL' END,
                               (SELECT string_agg(DISTINCT pg_get_constraintdef(c.oid), ' ') FROM pg_constraint c
                                WHERE c.contypid = t.oid AND c.contype = 'c')) END
    FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
    WHERE t.typtype IN ('e', 'd') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'keyspace_internal')
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e')";

/// Everything that is compared.
///
/// # Errors
/// Those of the server.
pub fn read(session: &mut Session) -> Result<Vec<Item>> {
    session.rows(&format!("WITH {MINE} {ITEMS}"), &[])
}

/// What is not the same on all nodes.
pub fn compare(nodes: &[(&str, Vec<Item>)]) -> Vec<Finding> {
    type Key = (Kind, String, String);
    // Of a table that a node does not have, its columns are not named one by one.
    let tables = |items: &[Item]| -> BTreeSet<String> {
        items.iter().filter(|item| item.kind == Kind::Table).map(|item| item.object.clone()).collect()
    };
    let mut everywhere: Option<BTreeSet<String>> = None;
    for (_, items) in nodes {
        let of_node = tables(items);
        everywhere = Some(match everywhere {
            None => of_node,
            Some(others) => others.intersection(&of_node).cloned().collect(),
        });
    }
    let everywhere = everywhere.unwrap_or_default();
    let is_compared =
        |item: &Item| matches!(item.kind, Kind::Table | Kind::Type) || everywhere.contains(&item.object);
    let by_key = nodes.iter().map(|(node, items)| {
        let of = |item: &Item| ((item.kind, item.object.clone(), item.part.clone()), item.definition.clone());
        let items: BTreeMap<Key, String> = items.iter().filter(|item| is_compared(item)).map(of).collect();
        (*node, items)
    });
    let by_key: Vec<(&str, BTreeMap<Key, String>)> = by_key.collect();
    // A column that is missing has neither a default nor NOT NULL.
    let lacks_column = |object: &str, part: &str| {
        let key = (Kind::Column, object.to_owned(), part.to_owned());
        by_key.iter().any(|(_, items)| !items.contains_key(&key))
    };
    let all: Vec<&str> = nodes.iter().map(|(node, _)| *node).collect();
    let mut found = Vec::new();
    for difference in differences(&by_key) {
        let (kind, object, part) = difference.key;
        if matches!(kind, Kind::Default | Kind::NotNull) && lacks_column(&object, &part) {
            continue;
        }
        let (check, severity) = kind.check();
        let (object, detail) = match kind {
            Kind::Table | Kind::Type => (object, difference.detail),
            Kind::Column => (format!("{object}.{part}"), difference.detail),
            Kind::Default => (format!("{object}.{part}"), format!("default: {}", difference.detail)),
            Kind::NotNull => (format!("{object}.{part}"), format!("NOT NULL: {}", difference.detail)),
            Kind::Constraint | Kind::UniqueIndex | Kind::Index => {
                (object, format!("{part}: {}", difference.detail))
            }
        };
        found.push(check.about(&all, Row { severity, object: Some(object), detail }));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(kind: Kind, object: &str, part: &str, definition: &str) -> Item {
        Item { kind, object: object.to_owned(), part: part.to_owned(), definition: definition.to_owned() }
    }

    #[test]
    fn what_differs_is_found_once() {
        let one = vec![
            item(Kind::Table, "public.t", "", "table"),
            item(Kind::Column, "public.t", "id", "integer"),
            item(Kind::Column, "public.t", "extra", "text"),
            item(Kind::NotNull, "public.t", "extra", ""),
            item(Kind::NotNull, "public.t", "id", ""),
            item(Kind::Constraint, "public.t", "CHECK ((id > 0))", ""),
            item(Kind::Table, "public.gone", "", "table"),
            item(Kind::Column, "public.gone", "id", "integer"),
            item(Kind::Type, "public.mood", "", "'sad', 'happy'"),
        ];
        let two = vec![
            item(Kind::Table, "public.t", "", "table"),
            item(Kind::Column, "public.t", "id", "bigint"),
            item(Kind::Type, "public.mood", "", "'sad'"),
        ];
        let found = compare(&[("one", one.clone()), ("two", two)]);
        let seen: Vec<_> = found
            .iter()
            .map(|one| (one.check, one.object.as_deref().unwrap_or_default(), one.detail.as_str()))
            .collect();
        assert_eq!(
            seen,
            [
                ("table-differs", "public.gone", "table on one, missing on two"),
                ("column-differs", "public.t.extra", "text on one, missing on two"),
                ("column-differs", "public.t.id", "integer on one, bigint on two"),
                ("type-differs", "public.mood", "'sad', 'happy' on one, 'sad' on two"),
                ("constraint-differs", "public.t", "CHECK ((id > 0)): exists on one, missing on two"),
                ("constraint-differs", "public.t.id", "NOT NULL: exists on one, missing on two"),
            ]
        );
        assert!(compare(&[("one", one.clone()), ("two", one)]).is_empty());
    }
}
