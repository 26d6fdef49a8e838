//! A random schema: tables whose keys come from sequences of every kind.

use rand::rngs::ChaCha12Rng;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};

/// A table, and the sequence that its key `id` comes from.
#[derive(Clone, Debug)]
pub struct Table {
    pub name: String,
    pub sequence: String,
    /// Whether the sequence belongs to the column, so that TRUNCATE ... RESTART IDENTITY restarts
    /// it.
    pub is_owned: bool,
    /// Whether the sequence wraps around, so that values repeat.
    pub cycles: bool,
    /// Whether the default is `partitioned_nextval` on a sequence that is not set up.
    pub is_drawn_on: bool,
    /// How often a writer may insert. A narrow type has too few values for writers that wait for
    /// slow set-ups.
    pub rounds: usize,
}

/// The statements that create a schema, and its tables.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    pub statements: Vec<String>,
    /// The statements that need the extension.
    pub with_extension: Vec<String>,
    pub tables: Vec<Table>,
}

/// A schema with the same rows on every node.
pub fn by_chance(chance: &mut ChaCha12Rng) -> Schema {
    let mut schema = Schema::default();
    for key in ["serial", "bigserial", "smallserial"] {
        let name = format!("by_{key}");
        schema.statements.push(format!("CREATE TABLE {name} (id {key} PRIMARY KEY, v int)"));
        schema.add(&name, &format!("{name}_id_seq"), true);
    }
    for (name, kind) in [("always", "ALWAYS"), ("by_default", "BY DEFAULT")] {
        let options = options(chance, &[1, 5, 50]);
        let column = format!("id bigint GENERATED {kind} AS IDENTITY ({options}) PRIMARY KEY");
        schema.statements.push(format!("CREATE TABLE {name} ({column}, v int)"));
        schema.add(name, &format!("{name}_id_seq"), true);
    }
    schema.statements.push("CREATE DOMAIN order_no AS numeric(20, 0)".to_owned());
    for (at, column) in ["bigint", "integer", "numeric", "order_no"].iter().enumerate() {
        let (name, sequence) = (format!("\"Own {at}\""), format!("\"Own {at}_no\""));
        let options = options(chance, &[1, 5, 50]);
        schema.statements.push(format!("CREATE SEQUENCE {sequence} {options}"));
        let default = format!("DEFAULT nextval('{sequence}')");
        schema.statements.push(format!("CREATE TABLE {name} (id {column} PRIMARY KEY {default}, v int)"));
        schema.add(&name, &sequence, false);
    }
    // Two tables that share a sequence.
    schema.statements.push(format!("CREATE SEQUENCE shared_no {}", options(chance, &[1, 5])));
    for name in ["letter", "contract"] {
        let default = "DEFAULT nextval('shared_no')";
        schema.statements.push(format!("CREATE TABLE {name} (id bigint PRIMARY KEY {default}, v int)"));
        schema.add(name, "shared_no", false);
    }
    let sign = if chance.random() { "" } else { "INCREMENT -1 MINVALUE -90 MAXVALUE -1" };
    let range = if sign.is_empty() { "MAXVALUE 90" } else { sign };
    schema.statements.push(format!("CREATE SEQUENCE wheel {range} CYCLE"));
    schema.statements.push("CREATE TABLE turn (id bigint DEFAULT nextval('wheel'), v int)".to_owned());
    schema.add("turn", "wheel", false);
    // Rows with values of the sequences, and rows with greater ids from elsewhere.
    for table in &schema.tables.clone() {
        let rows = chance.random_range(0..20);
        let name = &table.name;
        schema.statements.push(format!("INSERT INTO {name} (v) SELECT 0 FROM generate_series(1, {rows})"));
        if chance.random() && !table.cycles {
            schema.statements.push(format!(
                "INSERT INTO {name} (id, v) OVERRIDING SYSTEM VALUE
                 SELECT coalesce(max(id) * 2, {rows}) + 7, 0 FROM {name} WHERE id > 0 HAVING count(*) > 0"
            ));
        }
    }
    schema.statements.push(format!("CREATE SEQUENCE drawn_on CACHE {}", [1, 7].choose(chance).unwrap()));
    schema.with_extension.push(
        "CREATE TABLE ticket (id bigint PRIMARY KEY DEFAULT partitioned_nextval('drawn_on'), v int)"
            .to_owned(),
    );
    schema.add("ticket", "drawn_on", false);
    schema
}

impl Schema {
    fn add(&mut self, name: &str, sequence: &str, is_owned: bool) {
        self.tables.push(Table {
            name: name.to_owned(),
            sequence: sequence.to_owned(),
            is_owned,
            cycles: sequence == "wheel",
            is_drawn_on: sequence == "drawn_on",
            // 32,767 ids, of which each of two writers takes every sixteenth.
            rounds: if name == "by_smallserial" { 900 } else { usize::MAX },
        });
    }
}

/// Options of a sequence that ascends or descends.
fn options(chance: &mut ChaCha12Rng, caches: &[i32]) -> String {
    let cache = caches.choose(chance).unwrap();
    match chance.next_u32() % 4 {
        0 => format!("START {} CACHE {cache}", chance.random_range(1..5_000)),
        1 => format!("INCREMENT -1 CACHE {cache}"),
        2 => format!("MINVALUE -1000 START {} CACHE {cache}", chance.random_range(-900..900)),
        _ => format!("CACHE {cache}"),
    }
}
