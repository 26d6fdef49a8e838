//! What the source of a function draws from sequences, and where it puts the values.

use std::collections::HashSet;

use super::drawn::{Target, Use};
use super::names::{NESTED, pieces, strings};
use super::other_language::{opens_argument, quoted_names, words};
use super::reader::{Draw, Known, Reader};
use super::reference::Reference;
use super::sequence_argument::{NAME_TOKENS, SERIAL};
use super::tokens::{Token, tokens};

/// The functions that hand out the next value of the sequence that they name: PostgreSQL's, and ours
/// for the values of this node.
const DRAWS: [&str; 2] = ["nextval", "partitioned_nextval"];

/// Functions that take the name of a sequence and hand out nothing new.
const LOOKS: [&str; 5] =
    ["currval", "setval", "to_regclass", "pg_sequence_last_value", "has_sequence_privilege"];

/// Words of which a trigger function makes the name of a sequence from its table or its arguments.
const OF_THE_TRIGGER: [&str; 4] = ["tg_argv", "tg_table_name", "tg_relname", "tg_table_schema"];

/// A source of more tokens is not analysed by statements: what it draws goes to unknown places. The
/// time for a statement can grow with the length of the source, which anybody can write.
const MOST_TOKENS: usize = 20_000;

/// How many strings, and how many calls of functions that are open, are looked at.
const MOST_PIECES: usize = 100;

const MOST_CALLS: usize = 1_000;

/// What a source draws.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// The sequences that it names.
    pub uses: Vec<Use>,
    /// Whether it draws from a sequence whose name it is given, or makes up.
    pub is_open: bool,
    /// Whether it takes that name from its trigger.
    pub is_of_trigger: bool,
    /// Whether it draws from the sequence of a column whose name it is given, or makes up, with
    /// `pg_get_serial_sequence`.
    pub is_serial: bool,
    /// The strings in it, if it is open, as parts of names.
    pub pieces: Vec<Vec<u8>>,
    /// Its calls of functions that are open, with the strings in their arguments.
    pub calls: Vec<(Vec<u8>, Vec<Vec<u8>>)>,
}

impl Source {
    /// Reads a source in SQL or PL/pgSQL.
    pub fn of_sql(body: &[u8], known: &Known) -> Self {
        Reader::new(with_executed(tokens(body)), known).source(NESTED)
    }

    /// Reads a source in another language: names are those between quotation marks.
    pub fn of_other(body: &[u8], known: &Known) -> Self {
        let names = quoted_names(body);
        let lower = body.to_ascii_lowercase();
        let unknown = |name: &[u8]| Reference::by_name(name).map(Use::unknown);
        let mut source = Self::default();
        for at in words(&lower, b"nextval") {
            let next = names.get(names.partition_point(|(begin, _)| *begin < at));
            let between = |begin: usize| lower.get(at + b"nextval".len()..begin);
            match next.filter(|(begin, _)| between(*begin).is_some_and(opens_argument)) {
                Some((_, name)) => source.uses.extend(unknown(name)),
                None => source.is_open = true,
            }
        }
        for function in known.open.iter().filter(|function| words(&lower, function).next().is_some()) {
            let strings = names.iter().take(MOST_PIECES).flat_map(|(_, name)| pieces(name)).collect();
            source.calls.push((function.clone(), strings));
        }
        if source.is_open {
            source.uses.extend(names.iter().filter_map(|(_, name)| unknown(name)));
            for at in words(&lower, SERIAL.as_bytes()) {
                let next = names.get(names.partition_point(|(begin, _)| *begin < at)..);
                let between = |begin: usize| lower.get(at + SERIAL.len()..begin);
                match next {
                    Some([(begin, table), (_, column), ..])
                        if between(*begin).is_some_and(opens_argument) =>
                    {
                        source.uses.extend(Reference::owned_by(table, column).map(Use::unknown));
                    }
                    _ => source.is_serial = true,
                }
            }
        }
        source
    }
}

/// Puts the statements of `EXECUTE 'statement'` in the place of their strings.
fn with_executed(source: Vec<Token>) -> Vec<Token> {
    let mut all = Vec::with_capacity(source.len());
    let mut rest = source.into_iter().peekable();
    while let Some(token) = rest.next() {
        if token.is("execute")
            && let Some(Token::Literal(statement)) = rest.peek()
        {
            let mut statement = tokens(statement);
            statement.retain(|token| !token.is_symbol(b';'));
            rest.next();
            all.extend(statement);
        } else {
            all.push(token);
        }
    }
    all
}

impl Reader<'_> {
    /// Reads it, and statements in strings up to a depth.
    fn source(mut self, depth: usize) -> Source {
        let mut source = Source::default();
        // The strings that are known to name nothing else.
        let mut explained = HashSet::new();
        for at in 0..self.tokens.len() {
            self.read_call(at, &mut source, &mut explained);
            self.read_string(at, depth, &mut source);
        }
        let uses = if self.tokens.len() > MOST_TOKENS { self.unknown_uses() } else { self.uses() };
        source.uses.extend(uses);
        if source.is_open {
            let rest: Vec<Token> = {
                let tokens = self.tokens.iter().enumerate();
                tokens.filter(|(at, _)| !explained.contains(at)).map(|(_, token)| token.clone()).collect()
            };
            let strings = strings(&rest);
            source.pieces = strings.iter().take(MOST_PIECES).flat_map(|text| pieces(text)).collect();
            let named = strings.iter().filter_map(|text| Reference::by_name(text));
            source.uses.extend(named.map(Use::unknown));
            for at in (0..self.tokens.len()).filter(|at| !explained.contains(at) && self.word(*at, SERIAL)) {
                match self.owned(at) {
                    Some((sequence, _)) => source.uses.push(Use::unknown(sequence)),
                    None => source.is_serial = true,
                }
            }
            source.is_of_trigger =
                self.tokens.iter().any(|token| OF_THE_TRIGGER.iter().any(|word| token.is(word)));
        }
        source
    }

    /// Reads a call of a function that draws, or that is given the name of a sequence.
    fn read_call(&mut self, at: usize, source: &mut Source, explained: &mut HashSet<usize>) {
        let Some(function) = self.token(at).and_then(Token::identifier).map(<[u8]>::to_vec) else { return };
        if !self.symbol(at + 1, b'(') {
            return;
        }
        let end = self.closing(at + 1);
        let is_comma = |token: &Token| token.is_symbol(b',');
        // The first argument, or so much of it that it is no name.
        let begin = at + 2..end.min(at + 2 + NAME_TOKENS);
        let first = self.split(begin.clone(), is_comma).first().cloned().unwrap_or(begin);
        let is = |names: &[&str]| names.iter().any(|name| name.as_bytes() == function);
        if is(&DRAWS) {
            let schema = self.schema_before(at).map(<[u8]>::to_vec);
            let name = self.reference(first.clone());
            let is_core = function == b"nextval";
            let own = if is_core { b"pg_catalog" } else { self.known.schema.as_slice() };
            match name {
                Some(sequence) if schema.as_deref().is_none_or(|schema| schema == own) => {
                    // With further arguments, it draws for the node that they name.
                    let is_of_node = !is_core && first.end == end;
                    explained.extend(first);
                    let begin = if schema.is_some() { at - 2 } else { at };
                    self.draws.push(Draw { sequence, call: begin..end + 1, is_of_node });
                }
                // What a function of this name makes of the sequence is not known.
                Some(sequence) => source.uses.push(Use::unknown(sequence)),
                None => source.is_open = true,
            }
        } else if is(&LOOKS) {
            explained.extend(first);
        } else if self.known.open.contains(&function) && source.calls.len() < MOST_CALLS {
            let tokens = self.tokens.get(at + 2..end).unwrap_or_default();
            let parts = strings(tokens).iter().take(MOST_PIECES).flat_map(|text| pieces(text)).collect();
            // It may pass on what it is given itself.
            let mut arguments = self.split(at + 2..end, is_comma).into_iter();
            source.is_open |= arguments.any(|argument| self.constant(argument).is_none());
            source.calls.push((function, parts));
        }
    }

    /// Reads the statements in a string.
    fn read_string(&self, at: usize, depth: usize, source: &mut Source) {
        let Some(Token::Literal(text)) = self.token(at) else { return };
        if depth == 0 || words(&text.to_ascii_lowercase(), b"nextval").next().is_none() {
            return;
        }
        let nested = Self::new(tokens(text), self.known).source(depth - 1);
        source.uses.extend(nested.uses.into_iter().map(|nested| Use { target: Target::Unknown, ..nested }));
        source.is_open |= nested.is_open;
        source.is_serial |= nested.is_serial;
    }
}

#[cfg(test)]
mod tests;
