//! What texts in the catalogs say about sequences: sources of functions, arguments of triggers,
//! names in defaults, rules, policies, constraints of tables and domains, and other expressions. The
//! catalogs do not connect these with the sequences that they mean.
//!
//! A text counts only if its owner may draw from the sequence: anybody can write one (fault A04).

use std::collections::{BTreeMap, HashMap, HashSet};

use keyspace::sequences::discovery::{
    ByName, Composition, Constant, Reference, Target, Use, constants, pieces,
};
use keyspace::sequences::{ColumnName, Draw};
use pgrx::check_for_interrupts;
use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use crate::sequences::read::defaults::{Defaults, Role, function_label};
use crate::sequences::read::feeds::Feed;
use crate::sequences::read::sequence_names::SequenceNames;
use crate::sequences::read::texts::{
    self, Dependent, Function, TextDefault, TextExpression, Trigger, bytes, oid, rows, text,
};
use crate::server::extension::Extension;
use crate::server::relation::number_type;

/// The columns of tables.
const ATTRIBUTES: &str = "SELECT a.attrelid, a.attnum, convert_to(a.attname::text, 'SQL_ASCII') \
     FROM pg_attribute a WHERE a.attrelid = ANY ($1) AND a.attnum > 0 AND NOT a.attisdropped";
/// Which of these roles may draw from which of these sequences.
const MAY_DRAW: &str = "SELECT DISTINCT pair.role, pair.sequence FROM unnest($1::oid[], $2::oid[]) AS pair (role, sequence) \
     WHERE has_sequence_privilege(pair.role, pair.sequence, 'USAGE, UPDATE')";
/// Whether the source of a function is not known.
const IS_CLOSED: &str =
    "SELECT l.lanname = 'c' FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang WHERE p.oid = $1";

/// What texts say.
#[derive(Default)]
pub(crate) struct Mentions {
    /// Columns that get the values of a sequence.
    pub(crate) columns: Vec<Connected>,
    /// What else draws, by sequence.
    others: HashMap<u32, Vec<Mention>>,
}

/// A column that a text connects with a sequence.
pub(crate) struct Connected {
    pub(crate) feed: Feed,
    pub(crate) draw: Draw,
    /// The trigger that sets it, if one does.
    pub(crate) set_by: Option<String>,
}

/// Something that draws from a sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mention {
    /// What it is, such as `function public.make_id(text)`.
    by: String,
    /// The column that gets the values: its schema, if the text names it, its table and its name.
    column: Option<(Option<String>, [String; 2])>,
}

impl Mentions {
    /// Whether this draws from a sequence, besides columns that get its values.
    pub(crate) fn says(&self, sequence: pg_sys::Oid, by: &str) -> bool {
        let all = self.others.get(&sequence.to_u32()).map(Vec::as_slice).unwrap_or_default();
        all.iter().any(|mention| mention.by == by)
    }

    /// What draws from a sequence that feeds these columns and is not explained by them.
    pub(crate) fn unexplained(&self, sequence: pg_sys::Oid, fed: &[ColumnName]) -> Vec<String> {
        let is_fed = |mention: &Mention| {
            mention.column.as_ref().is_some_and(|(schema, names)| {
                fed.iter().any(|column| {
                    let [own_schema, own @ ..] = column.parts();
                    own == names && schema.as_ref().is_none_or(|schema| schema == own_schema)
                })
            })
        };
        let all = self.others.get(&sequence.to_u32()).map(Vec::as_slice).unwrap_or_default();
        let mut by: Vec<String> =
            all.iter().filter(|mention| !is_fed(mention)).map(|mention| mention.by.clone()).collect();
        by.sort();
        by.dedup();
        by
    }

    /// Reads all texts of the database that may name a sequence.
    pub(crate) fn read(extension: Extension) -> SpiResult<Self> {
        let functions = texts::functions(extension)?;
        let triggers = texts::triggers(&functions)?;
        let defaults = texts::text_defaults()?;
        let dependents = texts::dependents()?;
        let expressions = texts::text_expressions()?;
        let is_nothing = functions.is_empty() && triggers.is_empty() && defaults.is_empty();
        if is_nothing && dependents.is_empty() && expressions.is_empty() {
            return Ok(Self::default());
        }
        let mut finder = Finder {
            names: SequenceNames::read()?,
            functions: &functions,
            attributes: HashMap::new(),
            reader: Defaults::new(extension),
            found: Vec::new(),
        };
        finder.read_attributes(&triggers)?;
        let mut of_function: HashMap<u32, Vec<&Trigger>> = HashMap::new();
        for trigger in &triggers {
            of_function.entry(trigger.function.to_u32()).or_default().push(trigger);
        }
        for (oid, function) in &functions {
            check_for_interrupts!();
            finder.see_function(function, of_function.get(oid).map(Vec::as_slice).unwrap_or_default());
        }
        for trigger in &triggers {
            check_for_interrupts!();
            finder.see_arguments(trigger);
        }
        for default in &defaults {
            check_for_interrupts!();
            finder.see_default(default)?;
        }
        for dependent in &dependents {
            finder.see_dependent(dependent);
        }
        for expression in &expressions {
            check_for_interrupts!();
            finder.see_expression(expression)?;
        }
        Self::of_allowed(finder.found)
    }

    /// Leaves out what roles say of sequences from which they may not draw.
    fn of_allowed(found: Vec<Found>) -> SpiResult<Self> {
        let pairs = found.iter().flat_map(|one| one.owners.map(|owner| (owner, one.sequence)));
        let (roles, sequences): (Vec<pg_sys::Oid>, Vec<pg_sys::Oid>) = pairs.unzip();
        let allowed =
            rows(MAY_DRAW, &[roles.into(), sequences.into()], |row| Ok((oid(row, 1)?, oid(row, 2)?)))?;
        let allowed: HashSet<(u32, u32)> =
            allowed.into_iter().map(|(role, sequence)| (role.to_u32(), sequence.to_u32())).collect();
        let mut mentions = Self::default();
        for one in found {
            let may_draw = |owner: pg_sys::Oid| allowed.contains(&(owner.to_u32(), one.sequence.to_u32()));
            if !one.owners.into_iter().all(may_draw) {
                continue;
            }
            match one.what {
                What::Column { relation, attribute, draw, set_by } => {
                    let feed = Feed { sequence: one.sequence, relation, attribute };
                    mentions.columns.push(Connected { feed, draw, set_by });
                }
                What::Mention(mention) => {
                    let known = mentions.others.entry(one.sequence.to_u32()).or_default();
                    if !known.contains(&mention) {
                        known.push(mention);
                    }
                }
            }
        }
        mentions.columns.sort_by_key(|column| {
            let Feed { sequence, relation, attribute } = column.feed;
            (sequence.to_u32(), relation.to_u32(), attribute)
        });
        mentions.columns.dedup_by_key(|column| column.feed);
        Ok(mentions)
    }
}

/// Something that was found, and the roles that must be allowed to draw for it to count.
struct Found {
    sequence: pg_sys::Oid,
    owners: [pg_sys::Oid; 2],
    what: What,
}

enum What {
    Column { relation: pg_sys::Oid, attribute: i16, draw: Draw, set_by: Option<String> },
    Mention(Mention),
}

/// A sequence that an expression may name as text, and what it does with the name.
enum Named {
    /// The name of a sequence.
    Sequences(Vec<pg_sys::Oid>, Role),
    /// What is passed to this function, whose owner is given, and what it can make of it.
    Passed(pg_sys::Oid, pg_sys::Oid, Vec<pg_sys::Oid>),
}

/// Connects texts with sequences.
struct Finder<'a> {
    names: SequenceNames,
    functions: &'a BTreeMap<u32, Function>,
    /// The numbers of columns, by table and name.
    attributes: HashMap<(u32, Vec<u8>), i16>,
    reader: Defaults,
    found: Vec<Found>,
}

impl Finder<'_> {
    /// Reads the columns of the tables whose triggers may set them.
    fn read_attributes(&mut self, triggers: &[Trigger]) -> SpiResult<()> {
        let mut tables: Vec<pg_sys::Oid> = triggers.iter().map(|trigger| trigger.table).collect();
        tables.sort_unstable_by_key(|table| table.to_u32());
        tables.dedup();
        if tables.is_empty() {
            return Ok(());
        }
        let columns = rows(ATTRIBUTES, &[tables.into()], |row| {
            Ok((oid(row, 1)?, row.get::<i16>(2)?.unwrap_or(0), bytes(row, 3)?))
        })?;
        self.attributes =
            columns.into_iter().map(|(table, number, name)| ((table.to_u32(), name), number)).collect();
        Ok(())
    }

    fn mention(&mut self, sequences: Vec<pg_sys::Oid>, owners: [pg_sys::Oid; 2], by: &str) {
        for sequence in sequences {
            let what = What::Mention(Mention { by: by.to_owned(), column: None });
            self.found.push(Found { sequence, owners, what });
        }
    }

    /// What a function draws. A trigger function that no trigger calls draws nothing.
    fn see_function(&mut self, function: &Function, triggers: &[&Trigger]) {
        if function.is_trigger && triggers.is_empty() {
            return;
        }
        let owners = [function.owner; 2];
        let tables: Vec<pg_sys::Oid> = triggers.iter().map(|trigger| trigger.table).collect();
        for one in &function.source.uses {
            match &one.target {
                Target::New(column) => {
                    for trigger in triggers {
                        self.see_trigger(function, trigger, one, column);
                    }
                }
                // Whatever becomes of it, it is a value of this node.
                _ if one.is_of_node => {}
                Target::Column { table, column } => {
                    let column = Some((table.schema.as_deref().map(text), [text(&table.name), text(column)]));
                    for sequence in self.names.find(&one.sequence, &function.schema, &tables) {
                        let what =
                            What::Mention(Mention { by: function.label.clone(), column: column.clone() });
                        self.found.push(Found { sequence, owners, what });
                    }
                }
                Target::Unknown => {
                    let sequences = self.names.find(&one.sequence, &function.schema, &tables);
                    self.mention(sequences, owners, &function.label);
                }
            }
        }
        if function.source.is_serial {
            let sequences = self.names.owned_by_named(&function.source.pieces, &function.schema);
            self.mention(sequences, owners, &function.label);
        }
        for (called, arguments) in &function.source.calls {
            let functions = self.functions;
            let is_called = |other: &&Function| other.source.is_open && other.name == *called;
            for called in functions.values().filter(is_called) {
                let pieces = Composition { arguments, strings: &called.source.pieces };
                let sequences = self.names.compose(pieces, called.source.is_serial, &function.schema);
                self.mention(sequences, [function.owner, called.owner], &function.label);
            }
        }
    }

    /// A trigger sets a column of its table to the values of a sequence.
    fn see_trigger(&mut self, function: &Function, trigger: &Trigger, drawn: &Use, column: &[u8]) {
        let sequences = self.names.find(&drawn.sequence, &trigger.schema, &[trigger.table]);
        let owners = [function.owner; 2];
        if trigger.is_instead && !drawn.is_of_node {
            return self.mention(sequences, owners, &function.label);
        }
        // What an AFTER trigger sets is lost.
        if !trigger.sets_columns {
            return;
        }
        let relation = trigger.table;
        let Some(&attribute) = self.attributes.get(&(relation.to_u32(), column.to_vec())) else { return };
        let draw = if drawn.is_of_node { Draw::OfThisNode } else { Draw::Nextval };
        for sequence in sequences {
            let set_by = Some(trigger.name.clone());
            let what = What::Column { relation, attribute, draw, set_by };
            self.found.push(Found { sequence, owners, what });
        }
    }

    /// The arguments of a trigger, and the name of its table, may name the sequence.
    fn see_arguments(&mut self, trigger: &Trigger) {
        let arguments: Vec<Vec<u8>> =
            trigger.arguments.iter().flat_map(|argument| pieces(argument)).collect();
        let (sequences, by) = match self.functions.get(&trigger.function.to_u32()) {
            Some(function) if function.source.is_of_trigger => {
                let table = [trigger.table_name.to_ascii_lowercase(), trigger.schema.to_ascii_lowercase()];
                let arguments = [arguments.as_slice(), &table].concat();
                let pieces = Composition { arguments: &arguments, strings: &function.source.pieces };
                let sequences = self.names.compose(pieces, function.source.is_serial, &trigger.schema);
                (sequences, function.label.clone())
            }
            Some(_) => return,
            None => {
                let label = format!("trigger {} on {}", trigger.name, trigger.label);
                let pieces = Composition { arguments: &arguments, strings: &[] };
                (self.names.compose(pieces, false, &trigger.schema), label)
            }
        };
        self.mention(sequences, [trigger.table_owner, trigger.function_owner], &by);
    }

    /// A default that names a sequence as text.
    fn see_default(&mut self, default: &TextDefault) -> SpiResult<()> {
        let draw = self.reader.draw(&default.expression, ByName::Text);
        let owners = [default.owner; 2];
        for named in self.named(&default.expression, &default.schema, default.owner)? {
            match named {
                Named::Sequences(sequences, Role::Draws)
                    if draw == Draw::Other && number_type(default.type_oid).is_some() =>
                {
                    self.mention(sequences, owners, &format!("the default of {}", default.label));
                }
                Named::Sequences(sequences, Role::Draws) => {
                    for sequence in sequences {
                        let (relation, attribute) = (default.relation, default.attribute);
                        let what = What::Column { relation, attribute, draw, set_by: None };
                        self.found.push(Found { sequence, owners, what });
                    }
                }
                Named::Sequences(..) => {}
                Named::Passed(function, owner, sequences) => {
                    self.mention(sequences, [default.owner, owner], &function_label(function));
                }
            }
        }
        Ok(())
    }

    /// Another expression that names a sequence as text.
    fn see_expression(&mut self, of: &TextExpression) -> SpiResult<()> {
        for named in self.named(&of.expression, &of.schema, of.owner)? {
            match named {
                Named::Sequences(sequences, Role::Draws) => {
                    self.mention(sequences, [of.owner; 2], &of.label);
                }
                Named::Sequences(..) => {}
                Named::Passed(_, owner, sequences) => self.mention(sequences, [of.owner, owner], &of.label),
            }
        }
        Ok(())
    }

    /// The sequences that the texts in an expression name.
    fn named(&self, expression: &[u8], home: &[u8], owner: pg_sys::Oid) -> SpiResult<Vec<Named>> {
        let is_text = |constant: &Constant| {
            let types = [pg_sys::TEXTOID, pg_sys::VARCHAROID, pg_sys::BPCHAROID];
            types.contains(&constant.type_oid.into()) && !constant.calls.is_empty()
        };
        let all = constants(expression);
        let texts: Vec<(&Constant, &[u8])> = all
            .iter()
            .filter(|constant| is_text(constant))
            .filter_map(|constant| Some((constant, constant.text()?)))
            .collect();
        let mut found = Vec::new();
        // The arguments of each function of users.
        let mut passed: BTreeMap<u32, Vec<Vec<u8>>> = BTreeMap::new();
        for (at, (constant, text)) in texts.iter().enumerate() {
            let reference = if is_serial(constant) {
                // The table, and the column after it.
                let column = texts.get(at + 1).filter(|(next, _)| next.calls == constant.calls);
                column.and_then(|(_, column)| Reference::owned_by(text, column))
            } else {
                Reference::by_name(text)
            };
            let sequences = reference.map(|reference| self.names.find(&reference, home, &[]));
            let sequences = sequences.unwrap_or_default();
            let known = |function: pg_sys::Oid| self.functions.get(&function.to_u32());
            match self.reader.role(constant) {
                Role::Passes(function) if is_serial(constant) && known(function).is_some() => {
                    let owner = known(function).map_or(owner, |function| function.owner);
                    found.push(Named::Passed(function, owner, sequences));
                }
                Role::Passes(function) if known(function).is_some() => {
                    passed.entry(function.to_u32()).or_default().extend(pieces(text));
                }
                Role::Passes(function) if !sequences.is_empty() && is_closed(function)? => {
                    found.push(Named::Passed(function, owner, sequences));
                }
                Role::Passes(_) => {}
                role => found.push(Named::Sequences(sequences, role)),
            }
        }
        for (oid, arguments) in passed {
            let Some(function) = self.functions.get(&oid) else { continue };
            let pieces = Composition { arguments: &arguments, strings: &function.source.pieces };
            let sequences = self.names.compose(pieces, function.source.is_serial, home);
            found.push(Named::Passed(function.oid, function.owner, sequences));
        }
        Ok(found)
    }

    /// A rule, a function with a parsed body, a policy or the like.
    fn see_dependent(&mut self, dependent: &Dependent) {
        if self.reader.role_of(&dependent.expression, dependent.sequence) != Role::Looks {
            self.mention(vec![dependent.sequence], [dependent.owner; 2], &dependent.label);
        }
    }
}

/// Whether a constant is an argument of `pg_get_serial_sequence`.
fn is_serial(constant: &Constant) -> bool {
    constant.calls.first() == Some(&pg_sys::F_PG_GET_SERIAL_SEQUENCE)
}

fn is_closed(function: pg_sys::Oid) -> SpiResult<bool> {
    Spi::connect(|client| {
        let mut rows = client.select(IS_CLOSED, Some(1), &[function.into()])?;
        rows.next().map_or(Ok(false), |row| Ok(row.get(1)?.unwrap_or(false)))
    })
}
