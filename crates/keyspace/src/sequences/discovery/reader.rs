//! The tokens of a source: its statements, names, and parts between parentheses.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;

use super::drawn::{Target, Use};
use super::names::QualifiedName;
use super::reference::Reference;
use super::tokens::Token;

/// What stands before the beginning of a statement of PL/pgSQL.
pub(super) const BEFORE_STATEMENTS: [&str; 5] = ["then", "else", "begin", "loop", "declare"];

/// What is known about functions when a source is read.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The names of those that draw from the sequence that they are given.
    pub open: HashSet<Vec<u8>>,
    /// The schema of our own.
    pub schema: Vec<u8>,
}

/// A call of `nextval` with a name that is written out.
pub(super) struct Draw {
    pub(super) sequence: Reference,
    /// The tokens of the call, with a schema before it.
    pub(super) call: Range<usize>,
    /// Whether it draws for this node.
    pub(super) is_of_node: bool,
}

impl Draw {
    pub(super) fn to(&self, target: Target) -> Use {
        Use { sequence: self.sequence.clone(), target, is_of_node: self.is_of_node }
    }
}

/// A source as tokens, and what is known about them.
pub(super) struct Reader<'a> {
    pub(super) tokens: Vec<Token>,
    /// For each parenthesis that opens, the one that closes it.
    closing: HashMap<usize, usize>,
    pub(super) known: &'a Known,
    pub(super) draws: Vec<Draw>,
    /// The variables to which a drawn value is assigned.
    pub(super) variables: BTreeSet<Vec<u8>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(tokens: Vec<Token>, known: &'a Known) -> Self {
        let closing = closing(&tokens);
        Self { tokens, closing, known, draws: Vec::new(), variables: BTreeSet::new() }
    }

    /// The statements, without the semicolons at their ends. A statement that holds others, such as
    /// IF, overlaps with them.
    pub(super) fn statements(&self) -> Vec<Range<usize>> {
        let is_begin = |at: &usize| match at.checked_sub(1).and_then(|before| self.token(before)) {
            None => true,
            Some(Token::Symbol(b';')) => true,
            // A label: <<name>>
            Some(Token::Symbol(b'>')) => at.checked_sub(2).is_some_and(|before| self.symbol(before, b'>')),
            Some(token) => BEFORE_STATEMENTS.iter().any(|word| token.is(word)),
        };
        let ends: Vec<usize> = (0..self.tokens.len()).filter(|at| self.symbol(*at, b';')).collect();
        let end = |begin: usize| {
            let next = ends.partition_point(|end| *end < begin);
            ends.get(next).copied().unwrap_or(self.tokens.len())
        };
        let is_edge = |at: &usize| BEFORE_STATEMENTS.iter().any(|word| self.word(*at, word));
        let begins = (0..self.tokens.len()).filter(|at| is_begin(at) && !is_edge(at));
        begins.map(|begin| begin..end(begin)).filter(|statement| !statement.is_empty()).collect()
    }

    /// A name with or without a schema, and the token after it.
    pub(super) fn qualified(&self, at: usize) -> Option<(QualifiedName, usize)> {
        let first = self.token(at)?.identifier()?.to_vec();
        if !self.symbol(at + 1, b'.') {
            return Some((QualifiedName { schema: None, name: first }, at + 1));
        }
        let name = self.token(at + 2)?.identifier()?.to_vec();
        Some((QualifiedName { schema: Some(first), name }, at + 3))
    }

    /// Splits a range where `is_edge` is true outside of parentheses and of CASE.
    pub(super) fn split(&self, range: Range<usize>, is_edge: impl Fn(&Token) -> bool) -> Vec<Range<usize>> {
        let (mut parts, mut begin, mut depth) = (Vec::new(), range.start, 0_i32);
        for at in range.clone() {
            let Some(token) = self.token(at) else { break };
            if token.is_symbol(b'(') || token.is_symbol(b'[') || token.is("case") {
                depth += 1;
            } else if token.is_symbol(b')') || token.is_symbol(b']') || token.is("end") {
                depth -= 1;
            } else if depth <= 0 && is_edge(token) {
                parts.push(begin..at);
                begin = at + 1;
            }
        }
        parts.push(begin.min(range.end)..range.end);
        parts
    }

    /// The parenthesis that closes the one at `at`, or the end.
    pub(super) fn closing(&self, at: usize) -> usize {
        self.closing.get(&at).copied().unwrap_or(self.tokens.len())
    }

    pub(super) fn schema_before(&self, at: usize) -> Option<&[u8]> {
        let dot = at.checked_sub(1).filter(|dot| self.symbol(*dot, b'.'))?;
        self.token(dot.checked_sub(1)?)?.identifier()
    }

    pub(super) fn token(&self, at: usize) -> Option<&Token> {
        self.tokens.get(at)
    }

    pub(super) fn symbol(&self, at: usize, symbol: u8) -> bool {
        self.token(at).is_some_and(|token| token.is_symbol(symbol))
    }

    pub(super) fn word(&self, at: usize, word: &str) -> bool {
        self.token(at).is_some_and(|token| token.is(word))
    }
}

/// For each parenthesis that opens, the one that closes it.
fn closing(tokens: &[Token]) -> HashMap<usize, usize> {
    let (mut open, mut pairs) = (Vec::new(), HashMap::new());
    for (at, token) in tokens.iter().enumerate() {
        if token.is_symbol(b'(') {
            open.push(at);
        } else if token.is_symbol(b')')
            && let Some(begin) = open.pop()
        {
            pairs.insert(begin, at);
        }
    }
    pairs
}
