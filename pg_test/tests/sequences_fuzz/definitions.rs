//! Random definitions of sequences and of the columns that they feed.

use rand::rngs::ChaCha12Rng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, RngExt};

/// A sequence. All nodes have the same ones.
#[derive(Clone, Debug)]
pub struct Sequence {
    /// With its schema, quoted.
    pub name: String,
    /// 1, or -1 if it descends.
    pub sign: i64,
    /// How many ids a value stands for.
    pub block: i64,
    pub cycles: bool,
    pub cache: i64,
    /// The tables that get their ids from it.
    pub tables: Vec<usize>,
    /// Whether nodes can compare the rows of these tables with its values.
    pub is_visible: bool,
    /// Whether TRUNCATE ... RESTART IDENTITY of its table restarts it.
    pub is_owned: bool,
    /// Whether a guard says how the ids of its blocks are counted. It only warns.
    pub is_guarded: bool,
}

/// How rows get their ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// From the default of the column.
    Default,
    /// The application calls nextval.
    Application,
    /// The application calls nextval and uses the first and the last id of a block.
    Blocks,
}

/// A table with ids.
#[derive(Clone, Debug)]
pub struct Table {
    /// With its schema, quoted.
    pub name: String,
    /// The column of the id, quoted.
    pub column: String,
    pub sequence: usize,
    pub source: Source,
    /// Whether ids are text that contains the value of the sequence.
    pub is_text: bool,
}

impl Table {
    /// The id as a number.
    pub fn id(&self) -> String {
        if self.is_text {
            format!("substr({}, 2)::bigint", self.column)
        } else {
            format!("{}::bigint", self.column)
        }
    }

    /// Turns the number `x` into an id.
    pub fn id_of_x(&self) -> &'static str {
        if self.is_text { "'x' || x" } else { "x" }
    }
}

/// A schema.
#[derive(Clone, Debug, Default)]
pub struct Definitions {
    pub statements: Vec<String>,
    pub sequences: Vec<Sequence>,
    pub tables: Vec<Table>,
    /// The sequences and columns to be named in `feeds`.
    pub feeds: Vec<(usize, String)>,
}

const SCHEMAS: [&str; 4] = ["public", "Sales Dept", "json", "ünï"];
const NAMES: [&str; 10] =
    ["orders", "Order Lines", "größe %s", "it's", "semi;colon", "back\\slash", "user", "ключ", "a\"b", "x2"];
const COLUMNS: [&str; 5] = ["id", "No", "select", "nr.", "étage"];
const TYPES: [&str; 5] = ["smallint", "integer", "bigint", "numeric", "order_no"];

/// The kinds of sequences and columns.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Serial,
    Identity,
    /// A default that draws from a sequence of its own name.
    Default,
    /// Two tables with one sequence.
    Shared,
    /// Two sequences with separate ranges for one column.
    TwoOnOne,
    /// The application draws; `feeds` names the column.
    Fed,
    /// The application draws, and nothing tells so.
    Unknown,
    Text,
    Partitioned,
    DrawnOn,
    Blocks,
    Cycle,
}

const KINDS: [Kind; 12] = [
    Kind::Serial,
    Kind::Identity,
    Kind::Default,
    Kind::Shared,
    Kind::TwoOnOne,
    Kind::Fed,
    Kind::Unknown,
    Kind::Text,
    Kind::Partitioned,
    Kind::DrawnOn,
    Kind::Blocks,
    Kind::Cycle,
];

/// Quotes a name.
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Quotes a string.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

impl Definitions {
    /// Whether a sequence hands out blocks, so that every set-up is told so.
    pub fn has_blocks(&self) -> bool {
        self.sequences.iter().any(|sequence| sequence.block > 1)
    }

    /// Three to six kinds, with names that are unique.
    pub fn at_random(random: &mut ChaCha12Rng) -> Self {
        let mut made = Self::default();
        for schema in &SCHEMAS[1..] {
            made.statements.push(format!("CREATE SCHEMA {}", identifier(schema)));
        }
        made.statements.push("CREATE DOMAIN public.order_no AS numeric(20, 0)".to_owned());
        let mut kinds = KINDS;
        kinds.shuffle(random);
        let mut names = NAMES;
        names.shuffle(random);
        let count = random.random_range(3..=6);
        for (kind, name) in kinds.into_iter().zip(names).take(count) {
            made.add(kind, name, random);
        }
        made
    }

    fn add(&mut self, kind: Kind, name: &str, random: &mut ChaCha12Rng) {
        let schema = identifier(SCHEMAS.choose(random).unwrap());
        let table = format!("{schema}.{}", identifier(name));
        let column = identifier(COLUMNS.choose(random).unwrap());
        let sequence = format!("{schema}.{}", identifier(&format!("{name}_no")));
        let of_column =
            format!("{schema}.{}", identifier(&format!("{name}_{}_seq", column.trim_matches('"'))));
        let default = format!("DEFAULT nextval({})", literal(&sequence));
        let key = if random.random_range(0..4) > 0 { " PRIMARY KEY" } else { "" };
        let kind_of_id = *TYPES.choose(random).unwrap();
        let first = self.sequences.len();
        match kind {
            Kind::Serial => {
                let serial = *["smallserial", "serial", "bigserial"].choose(random).unwrap();
                self.create(format!("CREATE TABLE {table} ({column} {serial}{key}, v bigint)"));
                self.sequence(&of_column, Options::usual()).is_owned = true;
            }
            Kind::Identity => {
                let options = Options::at_random(random);
                let how = *["ALWAYS", "BY DEFAULT"].choose(random).unwrap();
                let id = *TYPES[..3].choose(random).unwrap();
                self.create(format!(
                    "CREATE TABLE {table} ({column} {id} GENERATED {how} AS IDENTITY ({}){key}, v bigint)",
                    options.text
                ));
                self.sequence(&of_column, options).is_owned = true;
            }
            Kind::Default | Kind::Shared | Kind::Partitioned => {
                let options = Options::at_random(random);
                self.create(format!("CREATE SEQUENCE {sequence} {}", options.text));
                let partitions = matches!(kind, Kind::Partitioned);
                let by = if partitions { format!(" PARTITION BY HASH ({column})") } else { String::new() };
                self.create(format!(
                    "CREATE TABLE {table} ({column} {kind_of_id}{key} {default}, v bigint){by}"
                ));
                for at in (0..2).filter(|_| partitions) {
                    let partition = format!("{schema}.{}", identifier(&format!("{name}_p{at}")));
                    self.create(format!(
                        "CREATE TABLE {partition} PARTITION OF {table} FOR VALUES WITH (MODULUS 2, REMAINDER {at})"
                    ));
                }
                let is_owned = matches!(kind, Kind::Default) && random.random();
                if is_owned {
                    self.create(format!("ALTER SEQUENCE {sequence} OWNED BY {table}.{column}"));
                }
                self.sequence(&sequence, options).is_owned = is_owned;
                if matches!(kind, Kind::Shared) {
                    let second = format!("{schema}.{}", identifier(&format!("{name} 2")));
                    self.create(format!("CREATE TABLE {second} ({column} bigint{key} {default}, v bigint)"));
                    self.table(&second, &column, first, Source::Default);
                }
            }
            Kind::TwoOnOne => {
                let low = Options { text: "MAXVALUE 400000".to_owned(), sign: 1, cache: 1 };
                let high = Options { text: "MINVALUE 500001 START 500001".to_owned(), sign: 1, cache: 1 };
                let other = format!("{schema}.{}", identifier(&format!("{name}_other")));
                self.create(format!("CREATE SEQUENCE {sequence} {}", low.text));
                self.create(format!("CREATE SEQUENCE {other} {}", high.text));
                self.create(format!("CREATE TABLE {table} ({column} bigint{key} {default}, v bigint)"));
                self.sequence(&sequence, low);
                self.sequence(&other, high);
                self.feeds.push((first + 1, format!("{table}.{column}")));
                self.table(&table, &column, first + 1, Source::Application);
            }
            Kind::Fed | Kind::Unknown => {
                let options = Options::at_random(random);
                self.create(format!("CREATE SEQUENCE {sequence} {}", options.text));
                self.create(format!("CREATE TABLE {table} ({column} {kind_of_id}{key}, v bigint)"));
                self.sequence(&sequence, options).is_visible = matches!(kind, Kind::Fed);
                if matches!(kind, Kind::Fed) {
                    self.feeds.push((first, format!("{table}.{column}")));
                }
                return self.table(&table, &column, first, Source::Application);
            }
            Kind::Text => {
                let options = Options::at_random(random);
                self.create(format!("CREATE SEQUENCE {sequence} {}", options.text));
                let default = format!("DEFAULT 'x' || nextval({})", literal(&sequence));
                self.create(format!("CREATE TABLE {table} ({column} text{key} {default}, v bigint)"));
                self.sequence(&sequence, options).is_visible = false;
                self.table(&table, &column, first, Source::Default);
                self.tables.last_mut().unwrap().is_text = true;
                return;
            }
            Kind::DrawnOn => {
                let options = Options::at_random(random);
                self.create(format!("CREATE SEQUENCE {sequence} {}", options.text));
                let default = format!("DEFAULT partitioned_nextval({})", literal(&sequence));
                self.create(format!("CREATE TABLE {table} ({column} bigint{key} {default}, v bigint)"));
                self.sequence(&sequence, options);
            }
            Kind::Blocks => {
                let block =
                    if random.random() { random.random_range(2..=8) } else { random.random_range(9..=90) };
                let options = Options { text: format!("INCREMENT {block}"), sign: 1, cache: 1 };
                self.create(format!("CREATE SEQUENCE {sequence} {}", options.text));
                self.create(format!("CREATE TABLE {table} ({column} bigint{key}, v bigint)"));
                self.create(format!("ALTER SEQUENCE {sequence} OWNED BY {table}.{column}"));
                let sequence = self.sequence(&sequence, options);
                sequence.block = block;
                sequence.is_owned = true;
                sequence.is_guarded = block % 2 == 0;
                return self.table(&table, &column, first, Source::Blocks);
            }
            Kind::Cycle => {
                let text = *["MAXVALUE 90 CYCLE", "INCREMENT -1 MINVALUE -90 MAXVALUE -1 CYCLE"]
                    .choose(random)
                    .unwrap();
                let sign = if text.starts_with("MAX") { 1 } else { -1 };
                self.create(format!("CREATE SEQUENCE {sequence} {text}"));
                self.create(format!("CREATE TABLE {table} ({column} bigint {default}, v bigint)"));
                self.sequence(&sequence, Options { text: text.to_owned(), sign, cache: 1 }).cycles = true;
            }
        }
        self.table(&table, &column, first, Source::Default);
    }

    fn create(&mut self, statement: String) {
        self.statements.push(statement);
    }

    fn sequence(&mut self, name: &str, options: Options) -> &mut Sequence {
        self.sequences.push(Sequence {
            name: name.to_owned(),
            sign: options.sign,
            block: 1,
            cycles: false,
            cache: options.cache,
            tables: Vec::new(),
            is_visible: true,
            is_owned: false,
            is_guarded: false,
        });
        self.sequences.last_mut().unwrap()
    }

    fn table(&mut self, name: &str, column: &str, sequence: usize, source: Source) {
        self.sequences[sequence].tables.push(self.tables.len());
        self.tables.push(Table {
            name: name.to_owned(),
            column: column.to_owned(),
            sequence,
            source,
            is_text: false,
        });
    }
}

/// The options of a sequence, as SQL and as far as the fuzzer must know them.
struct Options {
    text: String,
    sign: i64,
    cache: i64,
}

impl Options {
    fn usual() -> Self {
        Self { text: String::new(), sign: 1, cache: 1 }
    }

    fn at_random(random: &mut ChaCha12Rng) -> Self {
        let cache = *[1, 1, 5, 50].choose(random).unwrap();
        let (text, sign) = match random.next_u32() % 6 {
            0 => (format!("START {}", random.random_range(1..5_000)), 1),
            1 => ("INCREMENT -1".to_owned(), -1),
            2 => (format!("MINVALUE -1000 START {}", random.random_range(-900..900)), 1),
            3 => (format!("MAXVALUE {}", random.random_range(2_000..30_000)), 1),
            4 => ("INCREMENT -1 MINVALUE -20000 MAXVALUE 1000 START 999".to_owned(), -1),
            _ => (String::new(), 1),
        };
        Self { text: format!("{text} CACHE {cache}"), sign, cache }
    }
}
