//! Names and texts in SQL statements.

use std::borrow::Cow;

/// A name as SQL reads it, in quotation marks if it could be read as anything else.
pub fn quoted(name: &str) -> String {
    let mut characters = name.chars();
    let plain = characters.next().is_some_and(|first| first.is_ascii_lowercase() || first == '_')
        && characters.all(|other| other.is_ascii_lowercase() || other.is_ascii_digit() || other == '_')
        && !is_keyword(name);
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// `schema.name` as SQL reads it.
pub fn qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", quoted(schema), quoted(name))
}

/// A name, which is quoted as SQL needs it, in a message: in quotation marks, if it has none itself.
pub fn in_message(name: &str) -> Cow<'_, str> {
    if name.contains('"') { Cow::Borrowed(name) } else { Cow::Owned(format!("\"{name}\"")) }
}

/// A text in which a name of several parts that has quotation marks of its own has no others around it:
/// `table "public."Team""` is `table public."Team"`.
pub fn quoted_once(text: String) -> String {
    if !text.contains("\"\"") {
        return text;
    }
    let (mut once, mut rest) = (String::with_capacity(text.len()), text.as_str());
    while let Some(at) = rest.find('"') {
        let (before, from) = rest.split_at(at);
        once.push_str(before);
        // What is quoted by itself is left as it is, whatever is in it.
        let (shown, end) = match quoted_twice(from) {
            Some(name) => (name, name.len() + 2),
            None => {
                let end = end_of_quoted(from).unwrap_or(from.len());
                (from.get(..end).unwrap_or(from), end)
            }
        };
        once.push_str(shown);
        rest = from.get(end..).unwrap_or_default();
    }
    once.push_str(rest);
    once
}

/// The name at the beginning of a text, if it is in quotation marks and one of its parts is, too.
fn quoted_twice(text: &str) -> Option<&str> {
    let name = text.strip_prefix('"')?;
    let (mut end, mut has_quotes) = (0, false);
    loop {
        let part = name.get(end..)?;
        let length = if part.starts_with('"') {
            has_quotes = true;
            end_of_part(part)?
        } else {
            part.find(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '$'))?
        };
        end += length;
        match name.get(end..)?.chars().next()? {
            '.' if length > 0 => end += 1,
            '"' if length > 0 && has_quotes => return name.get(..end),
            _ => return None,
        }
    }
}

/// Where a quoted part ends in a name that is itself in quotation marks. An even number of them is one or
/// more within the part, or the end of both if the text goes on as after a name.
fn end_of_part(text: &str) -> Option<usize> {
    let mut at = 1;
    loop {
        let start = at + text.get(at..)?.find('"')?;
        let rest = text.get(start..)?;
        let end = start + (rest.len() - rest.trim_start_matches('"').len());
        if (end - start) % 2 == 1 {
            return Some(end);
        }
        let next = text.get(end..)?.chars().next();
        if next.is_none_or(|next| next.is_whitespace() || ".,;:)".contains(next)) {
            return Some(end - 1);
        }
        at = end;
    }
}

/// Where a quoted name at the beginning of a text ends. Two quotation marks in it are one.
fn end_of_quoted(text: &str) -> Option<usize> {
    let mut marks = text.char_indices().skip(1).filter(|(_, c)| *c == '"').map(|(at, _)| at).peekable();
    while let Some(at) = marks.next() {
        if marks.next_if_eq(&(at + 1)).is_none() {
            return Some(at + 1);
        }
    }
    None
}

/// A text as SQL reads it, whatever `standard_conforming_strings` is.
pub fn literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if text.contains('\\') {
        format!(" E'{}'", doubled.replace('\\', "\\\\"))
    } else {
        format!("'{doubled}'")
    }
}

/// Whether a name is a keyword that SQL does not accept as a column or table without quotation
/// marks: those of PostgreSQL 18, including those that it accepts only as a type or function.
fn is_keyword(name: &str) -> bool {
    const KEYWORDS: &[&str] = &[
        "all",
        "analyse",
        "analyze",
        "and",
        "any",
        "array",
        "as",
        "asc",
        "asymmetric",
        "authorization",
        "between",
        "bigint",
        "binary",
        "bit",
        "boolean",
        "both",
        "case",
        "cast",
        "char",
        "character",
        "check",
        "coalesce",
        "collate",
        "collation",
        "column",
        "concurrently",
        "constraint",
        "create",
        "cross",
        "current_catalog",
        "current_date",
        "current_role",
        "current_schema",
        "current_time",
        "current_timestamp",
        "current_user",
        "dec",
        "decimal",
        "default",
        "deferrable",
        "desc",
        "distinct",
        "do",
        "else",
        "end",
        "except",
        "exists",
        "extract",
        "false",
        "fetch",
        "float",
        "for",
        "foreign",
        "freeze",
        "from",
        "full",
        "grant",
        "greatest",
        "group",
        "grouping",
        "having",
        "ilike",
        "in",
        "initially",
        "inner",
        "inout",
        "int",
        "integer",
        "intersect",
        "interval",
        "into",
        "is",
        "isnull",
        "join",
        "json",
        "json_array",
        "json_arrayagg",
        "json_exists",
        "json_object",
        "json_objectagg",
        "json_query",
        "json_scalar",
        "json_serialize",
        "json_table",
        "json_value",
        "lateral",
        "leading",
        "least",
        "left",
        "like",
        "limit",
        "localtime",
        "localtimestamp",
        "merge_action",
        "national",
        "natural",
        "nchar",
        "none",
        "normalize",
        "not",
        "notnull",
        "null",
        "nullif",
        "numeric",
        "offset",
        "on",
        "only",
        "or",
        "order",
        "out",
        "outer",
        "overlaps",
        "overlay",
        "placing",
        "position",
        "precision",
        "primary",
        "real",
        "references",
        "returning",
        "right",
        "row",
        "select",
        "session_user",
        "setof",
        "similar",
        "smallint",
        "some",
        "substring",
        "symmetric",
        "system_user",
        "table",
        "tablesample",
        "then",
        "time",
        "timestamp",
        "to",
        "trailing",
        "treat",
        "trim",
        "true",
        "union",
        "unique",
        "user",
        "using",
        "values",
        "varchar",
        "variadic",
        "verbose",
        "when",
        "where",
        "window",
        "with",
        "xmlattributes",
        "xmlconcat",
        "xmlelement",
        "xmlexists",
        "xmlforest",
        "xmlnamespaces",
        "xmlparse",
        "xmlpi",
        "xmlroot",
        "xmlserialize",
        "xmltable",
    ];
    KEYWORDS.binary_search(&name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::{in_message, is_keyword, literal, quoted, quoted_once};

    #[test]
    fn a_name_in_a_message_is_quoted_once() {
        assert_eq!(in_message("shop.orders"), "\"shop.orders\"");
        assert_eq!(in_message("shop.\"Odd Name_Id_seq\""), "shop.\"Odd Name_Id_seq\"");
    }

    #[test]
    fn names_in_a_text_are_quoted_once() {
        let once = |text: &str| quoted_once(text.to_owned());
        for (twice, expected) in [
            ("column \"id\" of table \"public.\"Team\"\"", "column \"id\" of table public.\"Team\""),
            ("\"\"My schema\".team\" and \"a.b\"", "\"My schema\".team and \"a.b\""),
            ("table \"\"Odd \"\"schema\"\"\".\"Log\"\"", "table \"Odd \"\"schema\"\"\".\"Log\""),
            ("index \"\"Team\"\"", "index \"Team\""),
            ("default of \"public.\"Team\".\"Id\"\"", "default of public.\"Team\".\"Id\""),
        ] {
            assert_eq!(once(twice), expected);
            assert_eq!(once(expected), expected);
        }
        for text in [
            "ALTER TABLE \"Odd \"\"schema\"\"\".log DROP COLUMN \"user\".\"order\"",
            "column \"a\"\"b\" of table \"s.t\"",
            "an empty \"\" and one that does not end \"\"x.",
            "\"\"",
            "COMMENT ON COLUMN s.\"T\".\"C\" IS ''",
        ] {
            assert_eq!(once(text), text);
        }
    }

    #[test]
    fn names_are_quoted_where_needed() {
        assert_eq!(quoted("orders"), "orders");
        assert_eq!(quoted("Orders"), "\"Orders\"");
        assert_eq!(quoted("order"), "\"order\"");
        assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
        assert_eq!(quoted("1st"), "\"1st\"");
        assert_eq!(quoted(""), "\"\"");
        assert!(is_keyword("all") && is_keyword("xmltable") && is_keyword("json_value") && !is_keyword("id"));
    }

    #[test]
    fn texts_are_quoted() {
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal(r"a\b"), r" E'a\\b'");
    }
}
