//! What the source of a function draws from sequences, and where it puts the values.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Range;

use super::names::{NESTED, QualifiedName, pieces, strings};
use super::reference::Reference;
use super::tokens::{Token, continues_identifier, tokens};

/// The functions that hand out the next value of the sequence that they name: PostgreSQL's, and ours
/// for the values of this node.
const DRAWS: [&str; 2] = ["nextval", "partitioned_nextval"];
/// Functions that take the name of a sequence and hand out nothing new.
const LOOKS: [&str; 5] =
    ["currval", "setval", "to_regclass", "pg_sequence_last_value", "has_sequence_privilege"];
/// The function that returns the name of the sequence that a column owns.
const SERIAL: &str = "pg_get_serial_sequence";
/// What stands before the beginning of a statement of PL/pgSQL.
const BEFORE_STATEMENTS: [&str; 5] = ["then", "else", "begin", "loop", "declare"];
/// Words of which a trigger function makes the name of a sequence from its table or its arguments.
const OF_THE_TRIGGER: [&str; 4] = ["tg_argv", "tg_table_name", "tg_relname", "tg_table_schema"];
/// Words that name the table of a trigger.
const TRIGGER_TABLE: [&str; 3] = ["tg_table_name", "tg_relname", "tg_relid"];

/// A source of more tokens is not analysed by statements: what it draws goes to unknown places. The
/// time for a statement can grow with the length of the source, which anybody can write.
const MOST_TOKENS: usize = 20_000;
/// How many tokens the name of a sequence takes as an argument, with its casts and the functions
/// that make it.
const NAME_TOKENS: usize = 40;
/// How many strings, and how many calls of functions that are open, are looked at.
const MOST_PIECES: usize = 100;
const MOST_CALLS: usize = 1_000;
/// How deep an expression is followed.
const DEPTH: usize = 32;

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

/// A sequence that a source names, and one place where its values go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// The sequence.
    pub sequence: Reference,
    /// Where a value goes, unchanged.
    pub target: Target,
    /// Whether it is a value of this node, whatever the sequence gives.
    pub is_of_node: bool,
}

impl Use {
    const fn unknown(sequence: Reference) -> Self {
        Self { sequence, target: Target::Unknown, is_of_node: false }
    }
}

/// What is known about functions when a source is read.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The names of those that draw from the sequence that they are given.
    pub open: HashSet<Vec<u8>>,
    /// The schema of our own.
    pub schema: Vec<u8>,
}

/// Where a drawn value goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A column of the row that fires the trigger.
    New(Vec<u8>),
    /// A column of a table, by INSERT or UPDATE.
    Column {
        /// The table.
        table: QualifiedName,
        /// The column.
        column: Vec<u8>,
    },
    /// Not known: it is returned, passed on or computed with.
    Unknown,
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

/// The runs of characters of a name between quotation marks, and where they begin.
fn quoted_names(body: &[u8]) -> Vec<(usize, &[u8])> {
    let is_mark = |byte: Option<&u8>| matches!(byte, Some(b'\'' | b'"'));
    let mut found = Vec::new();
    let mut at = 0;
    while at < body.len() {
        let rest = body.get(at..).unwrap_or_default();
        let is_part = |byte: &&u8| continues_identifier(**byte) || **byte == b'.';
        let end = at + rest.iter().take_while(is_part).count();
        let before = at.checked_sub(1).and_then(|before| body.get(before));
        let is_escaped = body.get(end) == Some(&b'\\') && is_mark(body.get(end + 1));
        if end > at && is_mark(before) && (is_mark(body.get(end)) || is_escaped) {
            found.extend(body.get(at..end).map(|name| (at, name)));
        }
        at = end + 1;
    }
    found
}

/// Where a word stands in a text.
fn words<'a>(text: &'a [u8], word: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    let is_edge = |byte: Option<&u8>| !byte.is_some_and(|byte| continues_identifier(*byte));
    text.windows(word.len().max(1)).enumerate().filter_map(move |(at, window)| {
        let is_whole = is_edge(at.checked_sub(1).and_then(|before| text.get(before)))
            && is_edge(text.get(at + word.len()));
        (window == word && is_whole).then_some(at)
    })
}

/// Whether this, between the name of a function and a string, makes the string its first argument.
fn opens_argument(between: &[u8]) -> bool {
    let mut rest = between.iter().filter(|byte| !byte.is_ascii_whitespace());
    rest.next() == Some(&b'(') && rest.all(|byte| matches!(byte, b'\'' | b'"' | b'\\'))
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

/// A value in an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    /// The number of a draw.
    Draw(usize),
    /// A variable.
    Variable(Vec<u8>),
}

/// Where a statement puts a value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Variable(Vec<u8>),
    Target(Target),
}

/// A call of `nextval` with a name that is written out.
struct Draw {
    sequence: Reference,
    /// The tokens of the call, with a schema before it.
    call: Range<usize>,
    /// Whether it draws for this node.
    is_of_node: bool,
}

impl Draw {
    fn to(&self, target: Target) -> Use {
        Use { sequence: self.sequence.clone(), target, is_of_node: self.is_of_node }
    }
}

struct Reader<'a> {
    tokens: Vec<Token>,
    /// For each parenthesis that opens, the one that closes it.
    closing: HashMap<usize, usize>,
    known: &'a Known,
    draws: Vec<Draw>,
    /// The variables to which a drawn value is assigned.
    variables: BTreeSet<Vec<u8>>,
}

impl<'a> Reader<'a> {
    fn new(tokens: Vec<Token>, known: &'a Known) -> Self {
        let closing = closing(&tokens);
        Self { tokens, closing, known, draws: Vec::new(), variables: BTreeSet::new() }
    }

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

    /// The draws, without the places where their values go.
    fn unknown_uses(&self) -> Vec<Use> {
        self.draws.iter().map(|draw| draw.to(Target::Unknown)).collect()
    }

    /// The places where the drawn values go.
    fn uses(&mut self) -> Vec<Use> {
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

    /// The values that an expression passes on unchanged; `None` if it computes with them.
    fn unchanged(&self, range: Range<usize>) -> Option<Vec<Value>> {
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
    fn values(&self, range: Range<usize>) -> Vec<Value> {
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
    fn without_casts(&self, mut range: Range<usize>) -> Range<usize> {
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

    /// The sequence that an argument names.
    fn reference(&self, argument: Range<usize>) -> Option<Reference> {
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
    fn owned(&self, at: usize) -> Option<(Reference, usize)> {
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
    fn constant(&self, argument: Range<usize>) -> Option<&[u8]> {
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

    /// The statements, without the semicolons at their ends. A statement that holds others, such as
    /// IF, overlaps with them.
    fn statements(&self) -> Vec<Range<usize>> {
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

    /// A name with or without a schema, and the token after it.
    fn qualified(&self, at: usize) -> Option<(QualifiedName, usize)> {
        let first = self.token(at)?.identifier()?.to_vec();
        if !self.symbol(at + 1, b'.') {
            return Some((QualifiedName { schema: None, name: first }, at + 1));
        }
        let name = self.token(at + 2)?.identifier()?.to_vec();
        Some((QualifiedName { schema: Some(first), name }, at + 3))
    }

    /// Splits a range where `is_edge` is true outside of parentheses and of CASE.
    fn split(&self, range: Range<usize>, is_edge: impl Fn(&Token) -> bool) -> Vec<Range<usize>> {
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
    fn closing(&self, at: usize) -> usize {
        self.closing.get(&at).copied().unwrap_or(self.tokens.len())
    }

    fn schema_before(&self, at: usize) -> Option<&[u8]> {
        let dot = at.checked_sub(1).filter(|dot| self.symbol(*dot, b'.'))?;
        self.token(dot.checked_sub(1)?)?.identifier()
    }

    fn token(&self, at: usize) -> Option<&Token> {
        self.tokens.get(at)
    }

    fn symbol(&self, at: usize, symbol: u8) -> bool {
        self.token(at).is_some_and(|token| token.is_symbol(symbol))
    }

    fn word(&self, at: usize, word: &str) -> bool {
        self.token(at).is_some_and(|token| token.is(word))
    }
}

#[cfg(test)]
mod tests;
