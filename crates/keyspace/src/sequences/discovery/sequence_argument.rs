//! The sequence that an argument of a function names.

use std::ops::Range;

use super::reader::Reader;
use super::reference::Reference;
use super::tokens::Token;

/// The function that returns the name of the sequence that a column owns.
pub(super) const SERIAL: &str = "pg_get_serial_sequence";

/// Words that name the table of a trigger.
const TRIGGER_TABLE: [&str; 3] = ["tg_table_name", "tg_relname", "tg_relid"];

/// How many tokens the name of a sequence takes as an argument, with its casts and the functions
/// that make it.
pub(super) const NAME_TOKENS: usize = 40;

impl Reader<'_> {
    /// The sequence that an argument names.
    pub(super) fn reference(&self, argument: Range<usize>) -> Option<Reference> {
        if let Some(name) = self.constant(argument.clone()) {
            return Reference::by_name(name);
        }
        let mut range = self.without_casts(argument);
        let is_cast = self.word(range.start, "cast") && self.symbol(range.start + 1, b'(');
        if is_cast && self.closing(range.start + 1) + 1 == range.end {
            let inner = self.split(range.start + 2..range.end - 1, |token| token.is("as"));
            range = self.without_casts(inner.into_iter().next()?);
        }
        if self.word(range.start, "pg_catalog") && self.symbol(range.start + 1, b'.') {
            range.start += 2;
        }
        let (sequence, end) = self.owned(range.start)?;
        (end == range.end).then_some(sequence)
    }

    /// The sequence that a call of `pg_get_serial_sequence` returns, and the token after the call.
    pub(super) fn owned(&self, at: usize) -> Option<(Reference, usize)> {
        if !self.word(at, SERIAL) || !self.symbol(at + 1, b'(') {
            return None;
        }
        let close = self.closing(at + 1);
        // So much of it that it names a column of the trigger's table or none.
        let arguments = at + 2..close.min(at + 2 + NAME_TOKENS);
        let arguments = self.split(arguments, |token| token.is_symbol(b','));
        let [table, column] = arguments.as_slice() else { return None };
        let written = self.constant(column.clone());
        let sequence = match (self.constant(table.clone()), written) {
            (Some(table), Some(column)) => Reference::owned_by(table, column)?,
            (None, _) => {
                let mut words = table.clone().filter_map(|at| self.token(at));
                let is_of_trigger = words.any(|token| TRIGGER_TABLE.iter().any(|word| token.is(word)));
                let column = written.map(<[u8]>::to_vec);
                is_of_trigger.then_some(Reference::OwnedByTriggerTable { column })?
            }
            (Some(_), None) => return None,
        };
        Some((sequence, close + 1))
    }

    /// The name that an argument writes out.
    pub(super) fn constant(&self, argument: Range<usize>) -> Option<&[u8]> {
        let range = self.without_casts(argument);
        match self.tokens.get(range.clone())? {
            [Token::Literal(text)] => Some(text),
            // regclass 'name'
            [Token::Word(_), Token::Literal(text)] => Some(text),
            [first, Token::Symbol(b'('), Token::Literal(text), Token::Word(word), ..]
                if first.is("cast") && word == b"as" =>
            {
                Some(text)
            }
            _ => None,
        }
    }
}
