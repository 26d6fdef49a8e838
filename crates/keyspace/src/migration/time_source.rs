//! Where the keys of a table take their time from.
//!
//! A source is written as text, which is an argument of the triggers and is stored. Tables and
//! columns are in it by number, so renaming them does no harm.

use std::fmt;

/// Where the keys of a table take their time from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeSource {
    /// A column of the row.
    Column {
        /// Its number.
        number: i16,
        /// The zone of a `timestamp` or `date`; `None` for a `timestamptz`.
        zone: Option<String>,
    },
    /// An expression over the row.
    Expression {
        /// The expression. Its columns are parameters: `$3` is the column with the number 3.
        text: String,
        /// The zone, if its type is `timestamp` or `date`.
        zone: Option<String>,
    },
    /// A column of the row that another column refers to.
    Reference(TimeReference),
    /// None: 1970-01-01 for every row, so that keys are in the order of the old ids.
    Constant,
}

/// A time in the row of another table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeReference {
    /// The column that refers to it.
    pub column: i16,
    /// The table that it refers to.
    pub parent: u32,
    /// The column of that table that it refers to.
    pub parent_column: i16,
    /// The column of that table with the time.
    pub time: i16,
    /// The zone of that column, if it is a `timestamp` or `date`.
    pub zone: Option<String>,
}

/// The types of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeType {
    /// `timestamptz`, an instant.
    Instant,
    /// `timestamp`, an instant only together with a zone.
    Local,
    /// `date`: its midnight.
    Date,
}

impl TimeType {
    /// The type with this name; `None` for any other.
    pub fn of(type_name: &str) -> Option<Self> {
        match type_name {
            "timestamp with time zone" => Some(Self::Instant),
            "timestamp without time zone" => Some(Self::Local),
            "date" => Some(Self::Date),
            _ => None,
        }
    }

    /// Its name in SQL, with its schema.
    pub(super) const fn sql(self) -> &'static str {
        match self {
            Self::Instant => "pg_catalog.timestamptz",
            Self::Local => "pg_catalog.timestamp",
            Self::Date => "pg_catalog.date",
        }
    }
}

/// In place of a zone, where there is none.
const NO_ZONE: &str = "-";

impl TimeSource {
    /// Reads the text of a source; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "none" {
            return Some(Self::Constant);
        }
        if let Some(rest) = text.strip_prefix("expression ") {
            let (zone, text) = rest.split_once(' ')?;
            let zone = (zone != NO_ZONE).then(|| zone.to_owned());
            return Some(Self::Expression { text: text.to_owned(), zone });
        }
        let mut parts = text.split(' ');
        let source = if let Some(rest) = text.strip_prefix("reference ") {
            parts = rest.split(' ');
            Self::Reference(TimeReference {
                column: parts.next()?.parse().ok()?,
                parent: parts.next()?.parse().ok()?,
                parent_column: parts.next()?.parse().ok()?,
                time: parts.next()?.parse().ok()?,
                zone: parts.next().map(ToOwned::to_owned),
            })
        } else {
            Self::Column { number: parts.next()?.parse().ok()?, zone: parts.next().map(ToOwned::to_owned) }
        };
        parts.next().is_none().then_some(source)
    }

    /// Whether it involves more than a column of the row itself: code, or another table.
    pub const fn reaches_beyond(&self) -> bool {
        matches!(self, Self::Expression { .. } | Self::Reference(_))
    }

    /// The zone of its local times.
    pub fn zone(&self) -> Option<&str> {
        match self {
            Self::Column { zone, .. } | Self::Expression { zone, .. } => zone.as_deref(),
            Self::Reference(of) => of.zone.as_deref(),
            Self::Constant => None,
        }
    }

    /// The column of the row itself that holds the time.
    pub const fn own_column(&self) -> Option<i16> {
        match self {
            Self::Column { number, .. } => Some(*number),
            Self::Expression { .. } | Self::Reference(_) | Self::Constant => None,
        }
    }
}

impl fmt::Display for TimeSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zone = match self {
            Self::Column { number, zone } => {
                write!(f, "{number}")?;
                zone
            }
            Self::Expression { text, zone } => {
                return write!(f, "expression {} {text}", zone.as_deref().unwrap_or(NO_ZONE));
            }
            Self::Reference(of) => {
                write!(f, "reference {} {} {} {}", of.column, of.parent, of.parent_column, of.time)?;
                &of.zone
            }
            Self::Constant => return f.write_str("none"),
        };
        zone.iter().try_for_each(|zone| write!(f, " {zone}"))
    }
}

/// The numbers of the columns that an expression uses, each once.
pub fn used_columns(text: &str) -> Vec<i16> {
    let mut used = Vec::new();
    let _ = with_columns(text, |number| {
        if !used.contains(&number) {
            used.push(number);
        }
        Some(String::new())
    });
    used
}

/// An expression with its columns written in another way; `None` if one of them cannot be.
///
/// The text is as PostgreSQL writes expressions: strings have no escapes but doubled quotes, and
/// names with a dollar sign are quoted.
pub fn with_columns(text: &str, mut column: impl FnMut(i16) -> Option<String>) -> Option<String> {
    let mut written = String::with_capacity(text.len());
    let mut quote: Option<char> = None;
    let mut rest = text.chars().peekable();
    while let Some(next) = rest.next() {
        match quote {
            Some(open) => {
                written.push(next);
                // A doubled quote closes the string and opens it again.
                quote = (next != open).then_some(open);
            }
            None if next == '$' => {
                let mut number = String::new();
                while let Some(digit) = rest.next_if(char::is_ascii_digit) {
                    number.push(digit);
                }
                written.push_str(&column(number.parse().ok()?)?);
            }
            None => {
                written.push(next);
                quote = matches!(next, '\'' | '"').then_some(next);
            }
        }
    }
    Some(written)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn zone() -> impl Strategy<Value = Option<String>> {
        proptest::option::of("[A-Z][A-Za-z_/+-]{1,20}")
    }

    fn source() -> impl Strategy<Value = TimeSource> {
        prop_oneof![
            (any::<i16>(), zone()).prop_map(|(number, zone)| TimeSource::Column { number, zone }),
            ("\\PC{1,40}", zone()).prop_map(|(text, zone)| TimeSource::Expression { text, zone }),
            (any::<i16>(), any::<u32>(), any::<i16>(), any::<i16>(), zone()).prop_map(
                |(column, parent, parent_column, time, zone)| {
                    TimeSource::Reference(TimeReference { column, parent, parent_column, time, zone })
                }
            ),
            Just(TimeSource::Constant),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(source in source()) {
            prop_assert_eq!(TimeSource::parse(&source.to_string()), Some(source));
        }

        #[test]
        fn nothing_else_is_read_as_a_source(text in "\\PC{0,40}") {
            if let Some(source) = TimeSource::parse(&text) {
                prop_assert_eq!(TimeSource::parse(&source.to_string()), Some(source));
            }
        }
    }

    #[test]
    fn a_column_alone_is_its_number() {
        let source = TimeSource::parse("2").unwrap();
        assert_eq!(source, TimeSource::Column { number: 2, zone: None });
        assert_eq!(TimeSource::parse("2 UTC extra"), None);
        assert_eq!(TimeSource::parse("reference 1 2 3"), None);
        assert_eq!(TimeSource::parse(""), None);
    }

    #[test]
    fn columns_of_an_expression_are_found_outside_of_quotes() {
        let text = r#"COALESCE($3, "we$4ird".f('it''s $5', $12)) || '$6' || $3"#;
        assert_eq!(used_columns(text), [3, 12]);
        let written = with_columns(text, |number| Some(format!("t.c{number}"))).unwrap();
        assert_eq!(written, r#"COALESCE(t.c3, "we$4ird".f('it''s $5', t.c12)) || '$6' || t.c3"#);
        assert_eq!(with_columns("$3", |_| None), None);
        assert_eq!(with_columns("$99999", |_| Some(String::new())), None);
    }
}
