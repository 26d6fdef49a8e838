//! Where the statements of a source put the values that they draw.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::drawn::{Target, Use};
use super::passed_on::Value;
use super::reader::{BEFORE_STATEMENTS, Reader};
use super::tokens::Token;

/// Where a statement puts a value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Variable(Vec<u8>),
    Target(Target),
}

impl Reader<'_> {
    /// The draws, without the places where their values go.
    pub(super) fn unknown_uses(&self) -> Vec<Use> {
        self.draws.iter().map(|draw| draw.to(Target::Unknown)).collect()
    }

    /// The places where the drawn values go.
    pub(super) fn uses(&mut self) -> Vec<Use> {
        let mut places = Vec::new();
        // Statements that may do anything with a variable.
        let mut others = Vec::new();
        for statement in self.statements() {
            match self.places(statement.clone()) {
                Some(found) => places.extend(found),
                None => others.push(statement),
            }
        }
        let mut drawn: BTreeMap<Vec<u8>, Vec<usize>> = BTreeMap::new();
        for (place, value) in &places {
            if let Place::Variable(name) = place {
                for value in self.unchanged(value.clone()).unwrap_or_default() {
                    if let Value::Draw(draw) = value {
                        drawn.entry(name.clone()).or_default().push(draw);
                    }
                }
            }
        }
        self.variables = drawn.keys().cloned().collect();
        let mut targets: Vec<BTreeSet<Target>> = vec![BTreeSet::new(); self.draws.len()];
        let mut add = |value: &Value, target: &Target| {
            let draws = match value {
                Value::Draw(draw) => std::slice::from_ref(draw),
                Value::Variable(name) => drawn.get(name).map(Vec::as_slice).unwrap_or_default(),
            };
            for draw in draws {
                if let Some(targets) = targets.get_mut(*draw) {
                    targets.insert(target.clone());
                }
            }
        };
        for (place, range) in &places {
            match (place, self.unchanged(range.clone())) {
                (Place::Target(target), Some(values)) => values.iter().for_each(|value| add(value, target)),
                (Place::Variable(_), Some(values)) => {
                    let copies = values.iter().filter(|value| matches!(value, Value::Variable(_)));
                    copies.for_each(|value| add(value, &Target::Unknown));
                }
                (_, None) => self.values(range.clone()).iter().for_each(|value| add(value, &Target::Unknown)),
            }
        }
        for range in others {
            self.values(range).iter().for_each(|value| add(value, &Target::Unknown));
        }
        let mut uses = Vec::new();
        for (draw, mut targets) in self.draws.iter().zip(targets) {
            if targets.is_empty() {
                targets.insert(Target::Unknown);
            }
            uses.extend(targets.into_iter().map(|target| draw.to(target)));
        }
        uses
    }

    /// Where a statement puts which values; `None` if it passes values on in a way that is not
    /// known.
    fn places(&self, statement: Range<usize>) -> Option<Vec<(Place, Range<usize>)>> {
        let first = self.token(statement.start)?;
        let word = |name: &str| first.is(name);
        if word("select") {
            Some(self.places_of_select(statement))
        } else if word("insert") {
            self.places_of_insert(statement)
        } else if word("update") {
            self.places_of_update(statement)
        } else if ["perform", "execute", "call", "with", "merge"].into_iter().any(word) {
            None
        } else {
            Some(self.places_of_assignment(statement).into_iter().collect())
        }
    }

    /// `NEW.column := value`, `variable := value`, `variable type := value`
    fn places_of_assignment(&self, statement: Range<usize>) -> Option<(Place, Range<usize>)> {
        let (place, after) = self.target(statement.start)?;
        let end = statement.end;
        let is_equal =
            self.token(after).is_some_and(|token| *token == Token::Assign || token.is_symbol(b'='));
        if is_equal {
            return Some((place, after + 1..end));
        }
        // A declaration. IF and the like are not: they hold other statements.
        let holds = |token: &Token| BEFORE_STATEMENTS.iter().any(|word| token.is(word));
        let mut type_and_value = (after..end).take_while(|at| !self.token(*at).is_some_and(holds));
        let is_edge = |token: &Token| *token == Token::Assign || token.is("default");
        let at = type_and_value.find(|at| self.token(*at).is_some_and(is_edge))?;
        matches!(place, Place::Variable(_)).then_some((place, at + 1..end))
    }

    /// `SELECT value, value INTO target, target FROM ...`, or with INTO first
    fn places_of_select(&self, statement: Range<usize>) -> Vec<(Place, Range<usize>)> {
        let begin = statement.start + 1;
        let parts = self.split(begin..statement.end, |token| {
            ["into", "from", "where", "limit"].into_iter().any(|word| token.is(word))
        });
        let Some(first) = parts.first().cloned() else { return Vec::new() };
        let is_into = |part: &&Range<usize>| self.word(part.start - 1, "into");
        let Some(into) = parts.iter().skip(1).find(is_into).cloned() else { return Vec::new() };
        let mut at = into.start + usize::from(self.word(into.start, "strict"));
        let mut targets = Vec::new();
        while let Some((target, after)) = self.target(at) {
            targets.push(target);
            at = after + 1;
            if !self.symbol(after, b',') {
                break;
            }
        }
        let values = if first.is_empty() { at - 1..into.end } else { first };
        targets.into_iter().zip(self.split(values, |token| token.is_symbol(b','))).collect()
    }

    /// `INSERT INTO table (column, column) VALUES (value, value)`, or with SELECT
    fn places_of_insert(&self, statement: Range<usize>) -> Option<Vec<(Place, Range<usize>)>> {
        let (table, mut at) = self.qualified(statement.start + 2)?;
        if self.word(at, "as") {
            at += 2;
        }
        if !self.symbol(at, b'(') {
            return None;
        }
        let close = self.closing(at);
        let columns: Option<Vec<Vec<u8>>> = self
            .split(at + 1..close, |token| token.is_symbol(b','))
            .into_iter()
            .map(|column| Some(self.token(column.start)?.identifier()?.to_vec()))
            .collect();
        let columns = columns?;
        let mut places = Vec::new();
        let mut add = |values: Vec<Range<usize>>| {
            for (column, value) in columns.iter().zip(values) {
                let target = Target::Column { table: table.clone(), column: column.clone() };
                places.push((Place::Target(target), value));
            }
        };
        let mut at = (close + 1..statement.end)
            .find(|at| self.word(*at, "values") || self.word(*at, "select"))
            .unwrap_or(statement.end);
        if self.word(at, "select") {
            let clauses = ["from", "where", "returning", "on", "limit", "union"];
            let parts =
                self.split(at + 1..statement.end, |token| clauses.into_iter().any(|word| token.is(word)));
            add(self.split(parts.first()?.clone(), |token| token.is_symbol(b',')));
        } else {
            while self.symbol(at + 1, b'(') {
                let close = self.closing(at + 1);
                add(self.split(at + 2..close, |token| token.is_symbol(b',')));
                at = close + 1;
                if !self.symbol(at, b',') {
                    break;
                }
            }
        }
        Some(places)
    }

    /// `UPDATE table SET column = value, column = value WHERE ...`
    fn places_of_update(&self, statement: Range<usize>) -> Option<Vec<(Place, Range<usize>)>> {
        let begin = statement.start + 1 + usize::from(self.word(statement.start + 1, "only"));
        let (table, after) = self.qualified(begin)?;
        let set = (after..statement.end).find(|at| self.word(*at, "set"))?;
        let parts = self.split(set + 1..statement.end, |token| {
            ["from", "where", "returning"].into_iter().any(|word| token.is(word))
        });
        let mut places = Vec::new();
        for part in self.split(parts.first()?.clone(), |token| token.is_symbol(b',')) {
            let column = self.token(part.start)?.identifier()?.to_vec();
            if !self.symbol(part.start + 1, b'=') {
                return None;
            }
            let target = Target::Column { table: table.clone(), column };
            places.push((Place::Target(target), part.start + 2..part.end));
        }
        Some(places)
    }

    /// `NEW.column` or a variable, and the token after it.
    fn target(&self, at: usize) -> Option<(Place, usize)> {
        let name = self.token(at)?.identifier()?;
        if !self.symbol(at + 1, b'.') {
            return Some((Place::Variable(name.to_vec()), at + 1));
        }
        let column = self.token(at + 2)?.identifier()?.to_vec();
        // A field of another record goes somewhere.
        let is_new = self.word(at, "new");
        let target = if is_new { Target::New(column) } else { Target::Unknown };
        Some((Place::Target(target), at + 3))
    }
}
