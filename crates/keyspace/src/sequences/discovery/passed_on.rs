//! Which drawn values an expression passes on unchanged.

use std::ops::Range;

use super::reader::{Draw, Reader};
use super::tokens::Token;

/// How deep an expression is followed.
const DEPTH: usize = 32;

/// A value in an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// The number of a draw.
    Draw(usize),
    /// A variable.
    Variable(Vec<u8>),
}

impl Reader<'_> {
    /// The values that an expression passes on unchanged; `None` if it computes with them.
    pub(super) fn unchanged(&self, range: Range<usize>) -> Option<Vec<Value>> {
        self.unchanged_to(range, DEPTH)
    }

    fn unchanged_to(&self, range: Range<usize>, depth: usize) -> Option<Vec<Value>> {
        let range = self.without_casts(range);
        let values = self.values(range.clone());
        // Values of other origin.
        if values.is_empty() {
            return Some(values);
        }
        let is_call = |draw: &Draw| draw.call == range;
        if let Some(draw) = self.draws.iter().position(is_call) {
            return Some(vec![Value::Draw(draw)]);
        }
        let first = self.token(range.start)?;
        if range.len() == 1 {
            return Some(values);
        }
        let depth = depth.checked_sub(1)?;
        let all = |parts: Vec<Range<usize>>| -> Option<Vec<Value>> {
            let values: Option<Vec<Vec<Value>>> =
                parts.into_iter().map(|part| self.unchanged_to(part, depth)).collect();
            values.map(|values| values.concat())
        };
        let is_whole = self.symbol(range.start + 1, b'(') && self.closing(range.start + 1) + 1 == range.end;
        let inner = range.start + 2..range.end.saturating_sub(1);
        if is_whole && ["coalesce", "nvl", "ifnull"].into_iter().any(|name| first.is(name)) {
            return all(self.split(inner, |token| token.is_symbol(b',')));
        }
        if is_whole && first.is("cast") {
            return all(self.split(inner, |token| token.is("as")).into_iter().take(1).collect());
        }
        if first.is("case") && self.word(range.end - 1, "end") {
            return all(self.branches(range.start + 1..range.end - 1));
        }
        if first.is("select") {
            let parts = self.split(range.start + 1..range.end, |token| token.is("from"));
            return all(parts.into_iter().take(1).collect());
        }
        None
    }

    /// The values of `CASE ... END`, without its conditions.
    fn branches(&self, range: Range<usize>) -> Vec<Range<usize>> {
        let parts =
            self.split(range, |token| ["when", "then", "else"].into_iter().any(|word| token.is(word)));
        let is_value = |part: &Range<usize>| {
            part.start
                .checked_sub(1)
                .is_some_and(|before| self.word(before, "then") || self.word(before, "else"))
        };
        // A condition that draws is a computation, too.
        parts.into_iter().filter(|part| is_value(part) || !self.values(part.clone()).is_empty()).collect()
    }

    /// The draws and the variables with drawn values in a range.
    pub(super) fn values(&self, range: Range<usize>) -> Vec<Value> {
        let mut values: Vec<Value> = {
            let draws = self.draws.iter().enumerate();
            let within = draws.filter(|(_, draw)| range.contains(&draw.call.start));
            within.map(|(at, _)| Value::Draw(at)).collect()
        };
        for at in range {
            if let Some(name) = self.token(at).and_then(Token::identifier)
                && self.variables.contains(name)
                && !at.checked_sub(1).is_some_and(|before| self.symbol(before, b'.'))
            {
                values.push(Value::Variable(name.to_vec()));
            }
        }
        values
    }

    /// A range without parentheses and casts around it.
    pub(super) fn without_casts(&self, mut range: Range<usize>) -> Range<usize> {
        loop {
            let before = range.clone();
            if self.symbol(range.start, b'(') && self.closing(range.start) + 1 == range.end {
                range = range.start + 1..range.end - 1;
            }
            let parts = self.split(range.clone(), |token| *token == Token::Cast);
            let is_type = |token: &Token| {
                !matches!(token, Token::Literal(_) | Token::Assign)
                    && !matches!(
                        token,
                        Token::Symbol(
                            b'+' | b'-' | b'*' | b'/' | b'|' | b'%' | b'&' | b'#' | b'<' | b'>' | b'='
                        )
                    )
            };
            if let [value, types @ ..] = parts.as_slice()
                && !types.is_empty()
                && types.iter().flat_map(Clone::clone).filter_map(|at| self.token(at)).all(is_type)
            {
                range = value.clone();
            }
            // A label of a selected value.
            let is_label = range.len() > 2
                && self.word(range.end - 2, "as")
                && self.token(range.end - 1).is_some_and(|token| token.identifier().is_some());
            if is_label {
                range = range.start..range.end - 2;
            }
            if range == before {
                return range;
            }
        }
    }
}
