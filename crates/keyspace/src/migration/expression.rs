//! Conditions and expressions over old ids, and what they are for keys.
//!
//! A key is another name for the row that the old id refers to. So whether there is one, and whether
//! two of them are the same, is the same for keys. Nothing else is: keys have another order, no
//! arithmetic and no constants that somebody could have written.
//!
//! PostgreSQL gives expressions as text, fully in parentheses and with all names of columns alone.
//! It is read token by token. A use of an old id that is not one of the known ones makes the whole
//! expression one that cannot be rewritten, so nothing here can change the meaning of an expression.

use std::ops::Range;

use crate::sequences::discovery::tokens::{Token, placed_tokens};
use crate::sql::quoted;

/// A column of old ids, and its column of keys.
#[derive(Clone, Debug)]
pub struct Replaced {
    /// Its name, not quoted.
    pub old: String,
    /// The name of the column of keys, not quoted.
    pub new: String,
    /// The table whose key it is or refers to: old ids of different tables are different ids.
    pub key: u32,
    /// Whether a row can have an old id and no key: for a while, or because it refers to nothing.
    pub may_lack_key: bool,
}

/// An expression on keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// As SQL.
    pub text: String,
    /// The columns that were replaced, by their names before.
    pub columns: Vec<String>,
    /// Whether it could be true for a row that lacks a key, although it is not true for its old id.
    pub depends_on_lacking_keys: bool,
}

/// The schemas of the operators of two types, quoted if needed.
#[derive(Clone, Copy, Debug)]
pub struct Operators<'a> {
    /// Those that the expression uses.
    pub from: &'a str,
    /// Those of the type that takes its place.
    pub to: &'a str,
    /// Whether the new columns have the values of the old ones, in another type of integers.
    pub keep_values: bool,
}

impl Operators<'_> {
    /// The key that no row has, as SQL: all of its bits are zero.
    fn nil(&self) -> String {
        match self.to {
            "pg_catalog" => "'00000000-0000-0000-0000-000000000000'::pg_catalog.uuid".to_owned(),
            schema => format!("'00000000000000000000000000'::{schema}.ulid"),
        }
    }
}

/// The expression with other columns in the place of these; `None` if it is about their values.
pub fn rewritten(text: &str, columns: &[Replaced], operators: Operators<'_>) -> Option<Rewritten> {
    let tokens = placed_tokens(text.as_bytes());
    let mut reader = Reader::new(&tokens, columns, operators);
    let mut at = 0;
    if operators.keep_values {
        reader.rename_all()?;
        at = tokens.len();
    } else if reader.or_constant(text).is_some() {
        at = tokens.len();
    }
    while at < tokens.len() {
        at = match reader.operand(at) {
            Some(operand) => reader.use_of(&operand)?,
            // A name that no known use explains.
            None if reader.column(at).is_some() => return None,
            None => at + 1,
        };
    }
    let depends_on_lacking_keys = reader.depends_on_lacking_keys();
    let mut new = String::with_capacity(text.len() + 16);
    let mut copied = 0;
    for (place, replacement) in &reader.edits {
        new.push_str(text.get(copied..place.start)?);
        new.push_str(replacement);
        copied = place.end;
    }
    new.push_str(text.get(copied..)?);
    let columns = std::mem::take(&mut reader.replaced);
    Some(Rewritten { text: new, columns, depends_on_lacking_keys })
}

/// The old id for which an expression takes a missing reference, and the table whose key the column refers
/// to: `COALESCE(parent_id, 0)`.
pub fn taken_for(text: &str, columns: &[Replaced]) -> Option<(u32, i64)> {
    let tokens = placed_tokens(text.as_bytes());
    let operators = Operators { from: "pg_catalog", to: "pg_catalog", keep_values: false };
    let reader = Reader::new(&tokens, columns, operators);
    let (operand, place) = reader.column_or_constant(text)?;
    Some((operand.column.key, constant(text.get(place)?)?))
}

/// Whether two expressions are the same, however their names and operators are written.
pub fn is_same(one: &str, other: &str) -> bool {
    plain(one) == plain(other)
}

/// The same for expressions over integers, if one of them has been written for `bigint`: PostgreSQL
/// casts constants then, which the other one need not do. Parentheses do not count either.
pub fn is_same_in_bigint(one: &str, other: &str) -> bool {
    without_casts(one) == without_casts(other)
}

/// The tokens without parentheses and casts to `bigint`.
fn without_casts(text: &str) -> Vec<(Token, &str)> {
    let mut tokens = plain(text);
    tokens.retain(|(token, _)| !token.is_symbol(b'(') && !token.is_symbol(b')'));
    let mut kept: Vec<(Token, &str)> = Vec::new();
    for token in tokens {
        if token.0.is("bigint") && kept.last().is_some_and(|(last, _)| *last == Token::Cast) {
            kept.pop();
        } else {
            kept.push(token);
        }
    }
    kept
}

/// The tokens without the schemas of operators.
fn plain(text: &str) -> Vec<(Token, &str)> {
    let tokens = placed_tokens(text.as_bytes());
    let mut plain = Vec::new();
    let mut at = 0;
    while let Some((token, place)) = tokens.get(at) {
        // PostgreSQL leaves out its own schema.
        if *token == Token::Cast
            && tokens.get(at + 1).is_some_and(|(next, _)| next.is("pg_catalog"))
            && tokens.get(at + 2).is_some_and(|(next, _)| next.is_symbol(b'.'))
        {
            plain.push((token.clone(), ""));
            at += 3;
            continue;
        }
        // OPERATOR(schema.name)
        if token.is("operator") && tokens.get(at + 1).is_some_and(|(next, _)| next.is_symbol(b'(')) {
            at += if tokens.get(at + 3).is_some_and(|(next, _)| next.is_symbol(b'.')) { 4 } else { 2 };
            while let Some((token, place)) = tokens.get(at).filter(|(token, _)| !token.is_symbol(b')')) {
                plain.push((token.clone(), text.get(place.clone()).unwrap_or_default()));
                at += 1;
            }
        } else {
            // The text distinguishes numbers; names may or may not be quoted.
            let text = if *token == Token::Number { text.get(place.clone()).unwrap_or_default() } else { "" };
            let token = match token {
                Token::Quoted(name) => Token::Word(name.clone()),
                other => other.clone(),
            };
            plain.push((token, text));
        }
        at += 1;
    }
    for (token, text) in &mut plain {
        if matches!(token, Token::Symbol(_)) {
            *text = "";
        }
    }
    plain
}

/// The number that an expression is, if it is a constant: `5`, `'-5'::bigint`.
pub fn constant(text: &str) -> Option<i64> {
    let tokens = placed_tokens(text.as_bytes());
    let (mut value, mut is_negative) = (None, false);
    for (token, place) in &tokens {
        match token {
            Token::Number if value.is_none() => value = text.get(place.clone())?.parse::<i64>().ok(),
            Token::Literal(digits) if value.is_none() => {
                value = std::str::from_utf8(digits).ok()?.parse::<i64>().ok();
            }
            Token::Symbol(b'-') if value.is_none() && !is_negative => is_negative = true,
            Token::Symbol(b'(' | b')') | Token::Cast => continue,
            Token::Word(name) if value.is_some() && NUMBERS.contains(&name.as_slice()) => continue,
            _ => return None,
        }
        if matches!(token, Token::Number | Token::Literal(_)) && value.is_none() {
            return None;
        }
    }
    value.and_then(|value| if is_negative { value.checked_neg() } else { Some(value) })
}

/// The text of a constant of another type: `'...'::uuid`.
pub fn constant_text(text: &str) -> Option<String> {
    let tokens = placed_tokens(text.as_bytes());
    let mut rest = tokens.iter().map(|(token, _)| token);
    match (rest.next(), rest.next()) {
        (Some(Token::Literal(value)), Some(Token::Cast)) => {
            let is_name = rest.all(|token| token.identifier().is_some() || token.is_symbol(b'.'));
            String::from_utf8(value.clone()).ok().filter(|_| is_name)
        }
        _ => None,
    }
}

/// The types of integers that cannot hold each value of a key.
const NARROW: [&[u8]; 2] = [b"smallint", b"integer"];

/// The words that may be before a parenthesis and are not names of functions.
const BEFORE_PARENTHESES: [&str; 22] = [
    "and", "or", "not", "when", "then", "else", "case", "in", "any", "all", "some", "array", "row", "is",
    "from", "between", "like", "ilike", "coalesce", "greatest", "least", "nullif",
];

/// The functions for arguments of any type.
const FOR_ANY_TYPE: [&str; 2] = ["num_nulls", "num_nonnulls"];

const NUMBERS: [&[u8]; 4] = [b"smallint", b"integer", b"bigint", b"numeric"];

/// The types in which PostgreSQL compares old ids of different types, and of domains: `(code)::text`
/// for `varchar`.
const COMPARED_AS: [&[u8]; 6] = [b"smallint", b"integer", b"bigint", b"numeric", b"uuid", b"text"];

/// The tokens of a column, alone, or as `(column)::bigint` or `(column)::text`.
struct Operand<'a> {
    column: &'a Replaced,
    tokens: Range<usize>,
}

/// Where a column is used that can lack keys.
struct Use {
    /// The first token of what it is compared in, which is a parenthesis, and the last one.
    tokens: Range<usize>,
    /// Whether that is not true for a row without the key.
    needs_key: bool,
}

/// Notes that a column is in all open parentheses; `None` if one of them is that of a function call.
fn enter(open: &mut [(bool, bool)]) -> Option<()> {
    for (is_call, has_column) in open {
        if *is_call {
            return None;
        }
        *has_column = true;
    }
    Some(())
}

struct Reader<'a> {
    tokens: &'a [(Token, Range<usize>)],
    columns: &'a [Replaced],
    /// Places in the text, and what comes there.
    edits: Vec<(Range<usize>, String)>,
    replaced: Vec<String>,
    uses: Vec<Use>,
    operators: Operators<'a>,
}

impl<'a> Reader<'a> {
    const fn new(
        tokens: &'a [(Token, Range<usize>)],
        columns: &'a [Replaced],
        operators: Operators<'a>,
    ) -> Self {
        Self { tokens, columns, edits: Vec::new(), replaced: Vec::new(), uses: Vec::new(), operators }
    }

    fn token(&self, at: usize) -> Option<&'a Token> {
        self.tokens.get(at).map(|(token, _)| token)
    }

    fn is(&self, at: usize, word: &str) -> bool {
        self.token(at).is_some_and(|token| token.is(word))
    }

    fn is_symbol(&self, at: usize, symbol: u8) -> bool {
        self.token(at).is_some_and(|token| token.is_symbol(symbol))
    }

    /// The column whose name is there, if that is no name of a type or function.
    fn column(&self, at: usize) -> Option<&'a Replaced> {
        let name = self.token(at)?.identifier()?;
        let before = at.checked_sub(1).and_then(|before| self.token(before));
        let is_other = before.is_some_and(|before| before.is_symbol(b'.') || *before == Token::Cast)
            || self.is_symbol(at + 1, b'.')
            || self.is_symbol(at + 1, b'(');
        self.columns.iter().find(|column| !is_other && column.old.as_bytes() == name)
    }

    /// The operand that begins there.
    fn operand(&self, at: usize) -> Option<Operand<'a>> {
        if let Some(column) = self.column(at) {
            return Some(Operand { column, tokens: at..at + 1 });
        }
        let is_cast = self.is_symbol(at, b'(')
            && self.is_symbol(at + 2, b')')
            && self.token(at + 3) == Some(&Token::Cast)
            && self.token(at + 4).and_then(Token::identifier).is_some_and(|name| COMPARED_AS.contains(&name));
        let column = self.column(at + 1).filter(|_| is_cast)?;
        Some(Operand { column, tokens: at..at + 5 })
    }

    /// Rewrites a use, and returns where to go on. `None` if it is none of the known ones.
    fn use_of(&mut self, operand: &Operand<'a>) -> Option<usize> {
        let (begin, end) = (operand.tokens.start, operand.tokens.end);
        let opens = begin.checked_sub(1)?;
        if self.is_symbol(opens, b'(') {
            if let Some((after, is_not)) = self.null_test(end) {
                self.used(operand, opens..after + 1, is_not);
                self.replace(operand)?;
                return Some(after);
            }
            if let Some(after) = self.comparison(operand) {
                return Some(after);
            }
        }
        if let Some(after) = self.exclusion(operand) {
            return Some(after);
        }
        self.list(operand)
    }

    /// Replaces the columns wherever they are, because their values stay the same. `None` if one of
    /// them is an argument of a function, which need not exist for the other type, or if a result is
    /// cast to a type that cannot hold all of its values.
    fn rename_all(&mut self) -> Option<()> {
        // For each open parenthesis, whether it is that of a function call, and whether a column is in it.
        let mut open: Vec<(bool, bool)> = Vec::new();
        let mut next = 0;
        while next < self.tokens.len() {
            let at = next;
            next += 1;
            // The cast that PostgreSQL adds to a smallint next to an integer.
            if let Some(operand) = self.operand(at).filter(|_| self.is(at + 4, "integer")) {
                enter(&mut open)?;
                self.replace(&operand)?;
                next = operand.tokens.end;
            } else if self.is_wide_constant(at) {
                let (constant, whole) = (self.place(&(at + 1..at + 2))?, self.place(&(at..at + 5))?);
                self.edits.push((whole.start..constant.start, String::new()));
                self.edits.push((constant.end..whole.end, String::new()));
                next = at + 5;
            } else if self.is_symbol(at, b'(') {
                let is_call = at.checked_sub(1).is_some_and(|before| self.is_function(before));
                open.push((is_call, false));
            } else if self.is_symbol(at, b')') {
                let has_column = open.pop().is_some_and(|(_, has_column)| has_column);
                let is_cast = self.token(at + 1) == Some(&Token::Cast);
                let name = self.token(at + 2).and_then(Token::identifier).filter(|_| is_cast);
                // Of a result on something else, the type stays.
                if has_column && name.is_some_and(|name| NARROW.contains(&name)) {
                    return None;
                }
            } else if let Some(column) = self.column(at) {
                enter(&mut open)?;
                self.replace(&Operand { column, tokens: at..at + 1 })?;
            }
        }
        Some(())
    }

    /// Whether `(2)::bigint` is there, as PostgreSQL writes a constant next to a `bigint`. The constant
    /// alone means the same next to any type of integers.
    fn is_wide_constant(&self, at: usize) -> bool {
        self.is_symbol(at, b'(')
            && self.token(at + 1) == Some(&Token::Number)
            && self.is_symbol(at + 2, b')')
            && self.token(at + 3) == Some(&Token::Cast)
            && self.is(at + 4, "bigint")
    }

    /// Whether a token before a parenthesis is the name of a function, and not a word after which any
    /// type can be in parentheses.
    fn is_function(&self, at: usize) -> bool {
        let is_name = self.token(at).and_then(Token::identifier).is_some();
        let is_qualified = at.checked_sub(1).is_some_and(|before| self.is_symbol(before, b'.'));
        let is_for_any = !is_qualified && FOR_ANY_TYPE.iter().any(|name| self.is(at, name));
        is_name && !is_for_any && !BEFORE_PARENTHESES.iter().any(|word| self.is(at, word))
    }

    fn used(&mut self, operand: &Operand<'_>, tokens: Range<usize>, needs_key: bool) {
        if operand.column.may_lack_key {
            self.uses.push(Use { tokens, needs_key });
        }
    }

    /// Whether the whole could be true for a row that lacks a key. It is not if each use needs the
    /// key, and the whole is such a use or a conjunction with them.
    fn depends_on_lacking_keys(&self) -> bool {
        let is_whole = |one: &Use| one.tokens == (0..self.tokens.len());
        // The depth of each token, and whether nothing but AND is between parts of the whole.
        let (mut depth, mut is_conjunction, mut depths) = (0_i64, true, Vec::new());
        for (token, _) in self.tokens {
            depth -= i64::from(token.is_symbol(b')'));
            depths.push(depth);
            let is_parenthesis = token.is_symbol(b'(') || token.is_symbol(b')');
            is_conjunction &= depth > 1 || is_parenthesis || (depth == 1 && token.is("and"));
            depth += i64::from(token.is_symbol(b'('));
        }
        let is_part = |one: &Use| is_conjunction && depths.get(one.tokens.start) == Some(&1);
        self.uses.iter().any(|one| !one.needs_key || !(is_whole(one) || is_part(one)))
    }

    /// `IS NULL)` or `IS NOT NULL)`: where it ends, and whether it is the second.
    fn null_test(&self, at: usize) -> Option<(usize, bool)> {
        let is_not = self.is(at + 1, "not");
        let null = if is_not { at + 2 } else { at + 1 };
        let is_test = self.is(at, "is") && self.is(null, "null") && self.is_symbol(null + 1, b')');
        is_test.then_some((null + 1, is_not))
    }

    /// `(one = other)`, `(one <> other)` or `(one IS DISTINCT FROM other)`.
    fn comparison(&mut self, one: &Operand<'a>) -> Option<usize> {
        let at = one.tokens.end;
        let (operator, next) = if self.is(at, "is") && self.is(at + 1, "distinct") && self.is(at + 2, "from")
        {
            // It uses the operator that the search_path gives, which need not be that of the type.
            if self.operators.to != "pg_catalog" {
                return None;
            }
            (None, at + 3)
        } else {
            let (name, next) = self.operator(at)?;
            (Some((name, at..next)), next)
        };
        let other = self.operand(next)?;
        let is_whole = self.is_symbol(other.tokens.end, b')') && other.column.key == one.column.key;
        if !is_whole {
            return None;
        }
        let whole = one.tokens.start - 1..other.tokens.end + 1;
        self.used(one, whole.clone(), operator.is_some());
        self.used(&other, whole, operator.is_some());
        self.replace(one)?;
        if let Some((name, tokens)) = operator {
            let place = self.place(&tokens)?;
            self.edits.push((place, format!("OPERATOR({}.{name})", self.operators.to)));
        }
        self.replace(&other)?;
        Some(other.tokens.end)
    }

    /// `WITH =`, in the definition of an exclusion constraint.
    fn exclusion(&mut self, operand: &Operand<'a>) -> Option<usize> {
        let with = operand.tokens.end;
        let (name, end) = self.is(with, "with").then(|| self.operator(with + 1)).flatten()?;
        let is_whole = self.is_symbol(end, b',') || self.is_symbol(end, b')');
        if name != "=" || !is_whole {
            return None;
        }
        self.replace(operand)?;
        let place = self.place(&(with + 1..end))?;
        self.edits.push((place, format!("OPERATOR({}.=)", self.operators.to)));
        Some(end)
    }

    /// `=` or `<>`, alone or as `OPERATOR(schema.=)`, and where it ends.
    fn operator(&self, at: usize) -> Option<(&'static str, usize)> {
        let plain = |at: usize| {
            if self.is_symbol(at, b'=') {
                Some(("=", at + 1))
            } else if self.is_symbol(at, b'<') && self.is_symbol(at + 1, b'>') {
                Some(("<>", at + 2))
            } else {
                None
            }
        };
        if self.operators.from == "pg_catalog" {
            return plain(at);
        }
        let schema = self.token(at + 2).and_then(Token::identifier)?;
        let wanted = self.operators.from.trim_matches('"').replace("\"\"", "\"");
        let is_qualified = self.is(at, "operator")
            && self.is_symbol(at + 1, b'(')
            && schema == wanted.as_bytes()
            && self.is_symbol(at + 3, b'.');
        let (name, end) = plain(at + 4).filter(|_| is_qualified)?;
        self.is_symbol(end, b')').then_some((name, end + 1))
    }

    /// One of the arguments of `num_nulls` or `num_nonnulls`, or of a `COALESCE` that is only
    /// compared with NULL.
    fn list(&mut self, first: &Operand<'a>) -> Option<usize> {
        let (begin, end) = (first.tokens.start, first.tokens.end);
        let is_argument = |at: usize| self.is_symbol(at, b'(') || self.is_symbol(at, b',');
        if !is_argument(begin.checked_sub(1)?) || !(self.is_symbol(end, b',') || self.is_symbol(end, b')')) {
            return None;
        }
        // The arguments before it.
        let mut depth = 0_usize;
        let opens = (0..begin).rev().find(|at| {
            if self.is_symbol(*at, b')') {
                depth += 1;
            } else if self.is_symbol(*at, b'(') {
                if depth == 0 {
                    return true;
                }
                depth -= 1;
            }
            false
        })?;
        let function = opens.checked_sub(1)?;
        let before = function.checked_sub(1);
        if before.is_some_and(|before| self.is_symbol(before, b'.')) {
            return None;
        }
        if self.is(function, "num_nulls") || self.is(function, "num_nonnulls") {
            self.used(first, opens..end, false);
            self.replace(first)?;
            return Some(end);
        }
        // All of them must be columns of keys, because they must have one type.
        if !self.is(function, "coalesce") || begin != opens + 1 || !self.is_symbol(before?, b'(') {
            return None;
        }
        self.used(first, opens..end, false);
        self.replace(first)?;
        let mut at = end;
        while self.is_symbol(at, b',') {
            let next = self.operand(at + 1)?;
            self.used(&next, opens..end, false);
            self.replace(&next)?;
            at = next.tokens.end;
        }
        if !self.is_symbol(at, b')') {
            return None;
        }
        self.null_test(at + 1).map(|(after, _)| after)
    }

    /// `COALESCE(column, constant)` as the whole expression: the column, and the place of the constant,
    /// which is an integer.
    fn column_or_constant(&self, text: &str) -> Option<(Operand<'a>, Range<usize>)> {
        let is_call = self.is(0, "coalesce") && self.is_symbol(1, b'(');
        let operand = self.operand(2).filter(|_| is_call)?;
        let (comma, last) = (operand.tokens.end, self.tokens.len().checked_sub(1)?);
        if !self.is_symbol(comma, b',') || !self.is_symbol(last, b')') {
            return None;
        }
        let place = self.place(&(comma + 1..last))?;
        constant(text.get(place.clone())?)?;
        Some((operand, place))
    }

    /// Rewrites it. A missing reference is then equal to no row, and to another missing one, as before if
    /// no row has that id.
    fn or_constant(&mut self, text: &str) -> Option<()> {
        let (operand, place) = self.column_or_constant(text)?;
        self.used(&operand, 0..self.tokens.len(), false);
        self.replace(&operand)?;
        self.edits.push((place, self.operators.nil()));
        Some(())
    }

    fn place(&self, tokens: &Range<usize>) -> Option<Range<usize>> {
        let (first, last) = (self.tokens.get(tokens.start)?, self.tokens.get(tokens.end.checked_sub(1)?)?);
        Some(first.1.start..last.1.end)
    }

    fn replace(&mut self, operand: &Operand<'_>) -> Option<()> {
        let place = self.place(&operand.tokens)?;
        self.edits.push((place, quoted(&operand.column.new)));
        if !self.replaced.contains(&operand.column.old) {
            self.replaced.push(operand.column.old.clone());
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Vec<Replaced> {
        let column = |old: &str, key| Replaced {
            old: old.to_owned(),
            new: format!("{old}_new"),
            key,
            may_lack_key: key == 1,
        };
        vec![column("a", 1), column("b", 1), column("c", 2), column("Order", 1)]
    }

    const CORE: Operators<'_> = Operators { from: "pg_catalog", to: "pg_catalog", keep_values: false };

    fn new(text: &str) -> Option<String> {
        rewritten(text, &columns(), CORE).map(|new| new.text)
    }

    #[test]
    fn fault_c01_what_asks_only_whether_there_is_a_key_is_rewritten() {
        for (old, expected) in [
            ("(a IS NOT NULL)", "(a_new IS NOT NULL)"),
            ("(a IS NULL)", "(a_new IS NULL)"),
            ("((a IS NOT NULL) AND (n > 3))", "((a_new IS NOT NULL) AND (n > 3))"),
            ("(\"Order\" IS NULL)", "(\"Order_new\" IS NULL)"),
            ("((a IS NULL) <> (c IS NULL))", "((a_new IS NULL) <> (c_new IS NULL))"),
            ("(a <> b)", "(a_new OPERATOR(pg_catalog.<>) b_new)"),
            ("(a = (b)::bigint)", "(a_new OPERATOR(pg_catalog.=) b_new)"),
            ("((a)::text = (b)::text)", "(a_new OPERATOR(pg_catalog.=) b_new)"),
            ("(a <> (b)::uuid)", "(a_new OPERATOR(pg_catalog.<>) b_new)"),
            ("(NOT (a IS DISTINCT FROM b))", "(NOT (a_new IS DISTINCT FROM b_new))"),
            ("(num_nonnulls(a, c, n) = 1)", "(num_nonnulls(a_new, c_new, n) = 1)"),
            ("(COALESCE(a, c) IS NOT NULL)", "(COALESCE(a_new, c_new) IS NOT NULL)"),
            ("(n > 0)", "(n > 0)"),
            (
                "EXCLUDE USING gist (a WITH =, during WITH &&) WHERE ((a IS NOT NULL))",
                "EXCLUDE USING gist (a_new WITH OPERATOR(pg_catalog.=), during WITH &&) WHERE ((a_new IS NOT NULL))",
            ),
            ("((note = 'a'::text) OR (a IS NULL))", "((note = 'a'::text) OR (a_new IS NULL))"),
        ] {
            assert_eq!(new(old).as_deref(), Some(expected), "{old}");
        }
    }

    #[test]
    fn a_constant_for_a_missing_reference_is_the_nil_key() {
        let nil = "'00000000-0000-0000-0000-000000000000'::pg_catalog.uuid";
        for text in [
            "COALESCE(a, 0)",
            "COALESCE(a, '-1'::integer)",
            "COALESCE(a, (0)::bigint)",
            "COALESCE(a, ('-1'::integer)::bigint)",
            "COALESCE((a)::integer, 0)",
            "COALESCE(a, (0)::numeric)",
        ] {
            assert_eq!(new(text), Some(format!("COALESCE(a_new, {nil})")), "{text}");
            let constant = if text.contains('1') { -1 } else { 0 };
            assert_eq!(taken_for(text, &columns()), Some((1, constant)), "{text}");
        }
        for text in [
            "COALESCE(a, n)",
            "COALESCE(a, b, 0)",
            "COALESCE(0, a)",
            "COALESCE(a, 0.5)",
            "(COALESCE(a, 0) + 1)",
            "(COALESCE(a, 0) = 0)",
            "mine.coalesce(a, 0)",
        ] {
            assert_eq!((new(text), taken_for(text, &columns())), (None, None), "{text}");
        }
        // PostgreSQL shows it without its own schema.
        assert!(is_same(
            &format!("COALESCE(a_new, {nil})"),
            "COALESCE(a_new, '00000000-0000-0000-0000-000000000000'::uuid)"
        ));
        let to = Operators { from: "pg_catalog", to: "\"My keys\"", keep_values: false };
        let ulid = rewritten("COALESCE(c, 0)", &columns(), to);
        let expected = "COALESCE(c_new, '00000000000000000000000000'::\"My keys\".ulid)";
        assert_eq!(ulid.as_ref().map(|new| new.text.as_str()), Some(expected));
        assert!(ulid.is_some_and(|new| !new.depends_on_lacking_keys));
        assert!(rewritten("COALESCE(a, 0)", &columns(), CORE).is_some_and(|new| new.depends_on_lacking_keys));
    }

    #[test]
    fn fault_c01_what_is_about_the_value_is_not() {
        for text in [
            "(a > 0)",
            "(a = 5)",
            "(a % (10)::bigint)",
            "(a <> c)",
            "(a < b)",
            "(a = n)",
            "((a + b) IS NULL)",
            "(COALESCE(a, (0)::bigint) = 0)",
            "(COALESCE(a, n) IS NULL)",
            "COALESCE(a, b)",
            "(a = ANY (ARRAY[(1)::bigint, (2)::bigint]))",
            "abs(a)",
            "other.num_nulls(a)",
            "(a)::text",
            "((a IS NULL) AND (a > 1))",
            "lower((a)::text)",
            "a",
            "(EXTRACT(a FROM t) = 1)",
            "EXCLUDE USING gist (a WITH <>, during WITH &&)",
            "EXCLUDE USING gist (int8range(a, b) WITH &&)",
        ] {
            assert_eq!(new(text), None, "{text}");
        }
        // Names that only look like the column.
        assert_eq!(
            new("(('a'::text = note) AND x.a(n))").as_deref(),
            Some("(('a'::text = note) AND x.a(n))")
        );
        // Without the schema of the operators, another one could be meant.
        let to = Operators { from: "pg_catalog", to: "\"My keys\"", keep_values: false };
        assert_eq!(rewritten("(a IS DISTINCT FROM b)", &columns(), to), None);
        let ulid = rewritten("(a = b)", &columns(), to).map(|new| new.text);
        assert_eq!(ulid.as_deref(), Some("(a_new OPERATOR(\"My keys\".=) b_new)"));
        // And back.
        let back = Operators { from: to.to, to: to.from, keep_values: false };
        let old = rewritten("(a OPERATOR(\"My keys\".=) b)", &columns(), back).map(|new| new.text);
        assert_eq!(old.as_deref(), Some("(a_new OPERATOR(pg_catalog.=) b_new)"));
        assert_eq!(rewritten("(a = b)", &columns(), back), None);
        assert_eq!(rewritten("(a OPERATOR(other.=) b)", &columns(), back), None);
        assert_eq!(new("(a OPERATOR(other.=) b)"), None);
    }

    #[test]
    fn a_condition_must_not_be_true_for_a_row_only_because_it_lacks_a_key() {
        let depends = |text: &str| rewritten(text, &columns(), CORE).map(|new| new.depends_on_lacking_keys);
        for text in [
            "(a IS NOT NULL)",
            "((a IS NOT NULL) AND (n > 3))",
            "((n > 3) AND (a <> b) AND (b IS NOT NULL))",
            // This column has a key in each row.
            "(c IS NULL)",
            "((c IS NULL) OR (n > 3))",
            "(n > 3)",
        ] {
            assert_eq!(depends(text), Some(false), "{text}");
        }
        for text in [
            "(a IS NULL)",
            "((a IS NOT NULL) OR (n > 3))",
            "((a IS NOT NULL) = flag)",
            "(NOT (a IS NOT NULL))",
            "(NOT ((a IS NOT NULL) AND (n > 3)))",
            "((n > 3) OR ((a IS NOT NULL) AND (n > 4)))",
            "(a IS DISTINCT FROM b)",
            "(num_nulls(a, b) = 0)",
            "(COALESCE(a, b) IS NOT NULL)",
        ] {
            assert_eq!(depends(text), Some(true), "{text}");
        }
    }

    #[test]
    fn expressions_are_the_same_however_they_are_written() {
        assert!(is_same("(a OPERATOR(pg_catalog.<>) \"b\")", "(a <> b)"));
        assert!(is_same("(a  IS NULL)", "(a IS NULL)"));
        assert!(!is_same("(a <> b)", "(a = b)"));
        assert!(!is_same("(n = 1)", "(n = 2)"));
        assert!(!is_same("(n = '1')", "(n = '2')"));
    }

    #[test]
    fn constants_are_recognised() {
        for (text, value) in [
            ("1", Some(1)),
            ("'-1'::integer", Some(-1)),
            ("(-1)", Some(-1)),
            ("(1)::bigint", Some(1)),
            ("(1)::numeric", Some(1)),
            ("1.5", None),
            ("(1.5)::numeric", None),
            ("'9223372036854775807'::bigint", Some(i64::MAX)),
            ("NULL::bigint", None),
            ("nextval('s'::regclass)", None),
            ("(1 + 1)", None),
            ("'x'::text", None),
            ("1.5", None),
        ] {
            assert_eq!(constant(text), value, "{text}");
        }
        assert_eq!(constant_text("'0190-a'::uuid").as_deref(), Some("0190-a"));
        assert_eq!(constant_text("'01H'::public.ulid").as_deref(), Some("01H"));
        assert_eq!(constant_text("f('a'::text)"), None);
    }
}
