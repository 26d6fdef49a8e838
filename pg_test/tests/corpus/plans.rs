//! Nearly all tables can be planned, by their own keys or with a table that they refer to, and each
//! refusal says what lifts it.

use std::collections::BTreeSet;

use postgres::Client;

use crate::schema::{SCHEMAS, Schema};
use crate::{run, start, texts};

/// All tables, with whether the primary key is one integer, and whether three or more foreign keys
/// refer to the table.
const TABLES: &str = "
SELECT format('%I.%I', n.nspname, c.relname),
       coalesce(k.indnkeyatts = 1 AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype), false),
       3 <= (SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND confrelid = c.oid AND conparentid = 0)
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname IN ('public', 'musicbrainz')
LEFT JOIN pg_index AS k ON k.indrelid = c.oid AND k.indisprimary
LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.indkey[0]
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
ORDER BY 1";

/// A refusal of a table with one integer key.
struct Refusal {
    schema: &'static str,
    table: &'static str,
    /// The part of the hint that names what lifts it.
    hint: &'static str,
    /// What somebody runs who has read the hint.
    statement: &'static str,
    /// The table whose plan then includes the key, unless it is planned itself.
    with: Option<&'static str>,
}

const REFUSALS: [Refusal; 2] = [
    Refusal {
        schema: "hibernate",
        table: "public.invoices",
        hint: "SELECT key_migration_create('public.documents')",
        statement: "SELECT key_migration_create('public.documents', 'created_date', time_zone => 'UTC')",
        with: Some("public.documents"),
    },
    Refusal {
        schema: "musicbrainz",
        table: "musicbrainz.artist_meta",
        hint: "SELECT key_migration_create('musicbrainz.artist')",
        statement: "SELECT key_migration_create('musicbrainz.artist', timestamp_column => 'last_updated')",
        with: Some("musicbrainz.artist"),
    },
];

/// The tables that no plan includes: schema, table, and the part of the hint that names what lifts it.
const LEFT: [(&str, &str, &str); 2] = [
    ("rails", "public.categories_users", "Add one with ALTER TABLE ... ADD PRIMARY KEY"),
    (
        "gitlab",
        "public.loose_foreign_keys_deleted_records",
        "CREATE UNIQUE INDEX CONCURRENTLY ON public.loose_foreign_keys_deleted_records (id)",
    ),
];

/// The errors of a plan, with their hints. `arguments` are those of `key_migration_plan`.
fn errors(client: &mut Client, arguments: &str) -> Vec<String> {
    let query = format!("SELECT detail FROM key_migration_plan({arguments}) WHERE action = 'error'");
    match client.query(&query, &[]) {
        Ok(rows) => rows.iter().map(|row| row.get(0)).collect(),
        Err(error) => {
            let error = error.as_db_error().unwrap();
            vec![format!("{}. {}", error.message(), error.hint().unwrap_or_default())]
        }
    }
}

/// The arguments that an error proposes.
fn proposed(error: &str) -> Option<&str> {
    let (_, call) = error.split_once("Use SELECT key_migration_create(")?;
    Some(call.split_once(")")?.0)
}

/// Plans a table as somebody does who follows the errors about its time. Returns the errors that are
/// left, and the arguments.
fn plan(client: &mut Client, table: &str) -> (Vec<String>, String) {
    let arguments = format!("'{}'", table.replace('\'', "''"));
    let first = errors(client, &arguments);
    match first.iter().find_map(|error| proposed(error)) {
        Some(arguments) => (errors(client, arguments), arguments.to_owned()),
        None => (first, arguments),
    }
}

/// The tables that a plan changes.
fn changed(client: &mut Client, arguments: &str) -> Vec<String> {
    let query = format!(
        "SELECT DISTINCT format('%I.%I', n.nspname, c.relname)
         FROM key_migration_plan({arguments}) AS p
         JOIN pg_class AS c ON c.oid = p.table_name JOIN pg_namespace AS n ON n.oid = c.relnamespace
         WHERE p.step IS NOT NULL"
    );
    texts(client, &query)
}

/// How many tables there are, and how many of them can move.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    tables: u32,
    can_move: u32,
}

impl Count {
    fn add(&mut self, can_move: bool) {
        self.tables += 1;
        self.can_move += u32::from(can_move);
    }
}

#[test]
fn nearly_all_tables_are_planned_and_refusals_say_what_lifts_them() {
    let server = start(&["fsync = off"]);
    let (mut single, mut hubs, mut all) = (Count::default(), Count::default(), Count::default());
    let (mut refused, mut stay) = (Vec::new(), Vec::new());
    for schema in SCHEMAS {
        let mut client = schema.load(&server);
        let mut moved = BTreeSet::new();
        let mut others = Vec::new();
        let tables = client.query(TABLES, &[]).unwrap();
        all.tables += u32::try_from(tables.len()).unwrap();
        for row in tables {
            let (table, is_single, is_hub): (String, bool, bool) = (row.get(0), row.get(1), row.get(2));
            let (left, arguments) = plan(&mut client, &table);
            if is_hub {
                hubs.add(left.is_empty());
            }
            if is_single {
                single.add(left.is_empty());
            }
            if left.is_empty() {
                moved.extend(changed(&mut client, &arguments));
            } else {
                println!("{}: {table} is refused: {left:?}", schema.name);
                if is_single {
                    lift(&mut client, schema, &table, &arguments, &left);
                    refused.push((schema.name, table.clone()));
                }
                others.push((table, left));
            }
        }
        others.retain(|(table, _)| !moved.contains(table));
        stay.extend(others.into_iter().map(|(table, left)| (schema.name, table, left)));
    }
    all.can_move = all.tables - u32::try_from(stay.len()).unwrap();
    println!("with one integer key: {single:?}; hubs: {hubs:?}; all: {all:?}");
    for (schema, table, errors) in &stay {
        let known = LEFT.iter().find(|known| (known.0, known.1) == (*schema, table));
        let Some((_, _, hint)) = known else { panic!("{schema}: no plan includes {table}: {errors:?}") };
        assert!(errors.iter().any(|error| error.contains(hint)), "no hint says {hint}: {errors:?}");
    }
    assert_eq!(stay.len(), LEFT.len(), "a table of the list is in a plan: {stay:?}");
    for (what, Count { tables, can_move }) in [("with one integer key", single), ("in all", all)] {
        assert!(100 * can_move >= 95 * tables, "{can_move} of {tables} tables {what}");
    }
    assert!(hubs.tables > 10 && hubs.can_move == hubs.tables, "{hubs:?}");
    let expected: Vec<(&str, String)> =
        REFUSALS.iter().map(|refusal| (refusal.schema, refusal.table.to_owned())).collect();
    assert_eq!(refused, expected, "a refusal of the list is gone");
}

/// Does what the hint says, and undoes it.
fn lift(client: &mut Client, schema: Schema, table: &str, arguments: &str, left: &[String]) {
    let known = REFUSALS.iter().find(|refusal| refusal.schema == schema.name && refusal.table == table);
    let Some(Refusal { hint, statement, with, .. }) = known else {
        panic!("{}: {table}: {left:?}", schema.name)
    };
    assert!(left.iter().any(|error| error.contains(hint)), "no hint says {hint}: {left:?}");
    run(client, "BEGIN");
    run(client, statement);
    let arguments = with.map_or_else(|| arguments.to_owned(), |with| format!("'{with}'"));
    assert_eq!(errors(client, &arguments), Vec::<String>::new(), "{table}, after {statement}");
    let steps = format!(
        "SELECT action FROM key_migration_plan({arguments}) WHERE step IS NOT NULL AND table_name = '{table}'::regclass"
    );
    assert_ne!(texts(client, &steps), Vec::<String>::new(), "{table} is not in the plan after {statement}");
    run(client, "ROLLBACK");
}

/// The fourth argument is easily forgotten where a migration has several keys.
#[test]
fn a_reference_with_the_name_of_another_table_is_a_warning() {
    let server = start(&["fsync = off"]);
    let mut client = Schema::named("rails").load(&server);
    run(&mut client, "SELECT key_migration_create('topics', 'created_at', time_zone => 'UTC')");
    run(&mut client, "SELECT key_migration_add_key('topics', 'posts', 'created_at', time_zone => 'UTC')");
    run(&mut client, "SELECT key_migration_add_reference('topics', 'posts', '{reply_to_id}', 'posts')");
    run(&mut client, "SELECT key_migration_add_reference('topics', 'notifications', '{topic_id}')");
    let warnings = "SELECT detail FROM key_migration_plan('topics') WHERE action = 'warning' AND detail ~ 'has the name of'";
    assert_eq!(texts(&mut client, warnings), Vec::<String>::new());
    run(&mut client, "SELECT key_migration_add_reference('topics', 'votes', '{post_id}')");
    let found = texts(&mut client, warnings);
    let begin = "column \"post_id\" of table \"public.votes\" has the name of table \"public.posts\", but refers to table \"public.topics\"";
    assert!(matches!(&found[..], [one] if one.starts_with(begin)), "{found:?}");
}
