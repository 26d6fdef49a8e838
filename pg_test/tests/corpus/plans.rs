//! Nine of ten tables with one integer key can be planned, and each refusal says what lifts it.

use postgres::Client;

use crate::schema::{SCHEMAS, Schema};
use crate::{run, start, texts};

/// The tables whose primary key is one integer, as SQL.
const TABLES: &str = "
SELECT format('%I.%I', n.nspname, c.relname)
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname IN ('public', 'musicbrainz')
JOIN pg_index AS k ON k.indrelid = c.oid AND k.indisprimary AND k.indnkeyatts = 1
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.indkey[0]
WHERE c.relkind = 'r' AND NOT c.relispartition AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
ORDER BY 1";

/// A refusal that is left.
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

const REFUSALS: [Refusal; 3] = [
    Refusal {
        schema: "rails",
        table: "public.categories",
        hint: "Run DROP INDEX CONCURRENTLY public.index_categories_on_parent_and_name first",
        // A transaction, which is rolled back, cannot contain the form with CONCURRENTLY.
        statement: "DROP INDEX public.index_categories_on_parent_and_name",
        with: None,
    },
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

#[test]
fn nine_of_ten_tables_are_planned_and_refusals_say_what_lifts_them() {
    let server = start(&["fsync = off"]);
    let (mut tables, mut refused) = (0, Vec::new());
    for schema in SCHEMAS {
        let mut client = schema.load(&server);
        for table in texts(&mut client, TABLES) {
            tables += 1;
            let (left, arguments) = plan(&mut client, &table);
            if left.is_empty() {
                continue;
            }
            println!("{}: {table} is refused: {left:?}", schema.name);
            lift(&mut client, schema, &table, &arguments, &left);
            refused.push((schema.name, table));
        }
    }
    let planned = tables - refused.len();
    println!("{planned} of {tables} tables with one integer key are planned, {} %", 100 * planned / tables);
    assert!(10 * planned >= 9 * tables, "{planned} of {tables}; refused: {refused:?}");
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
