//! Tests of what a source draws.
#![allow(clippy::unwrap_used, clippy::expect_used)]
use std::collections::HashSet;

use super::super::drawn::Target;
use super::super::names::QualifiedName;
use super::super::reader::Known;
use super::super::reference::Reference;
use super::*;
use proptest::prelude::*;

fn read(body: &str) -> Source {
    let known = Known { open: HashSet::from([b"next_of".to_vec()]), schema: b"keyspace".to_vec() };
    Source::of_sql(body.as_bytes(), &known)
}

/// The uses, as text.
fn uses(source: &Source) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let name = |name: &QualifiedName| match &name.schema {
        Some(schema) => format!("{}.{}", text(schema), text(&name.name)),
        None => text(&name.name),
    };
    let reference = |sequence: &Reference| match sequence {
        Reference::Name(of_sequence) => name(of_sequence),
        Reference::OwnedBy { table, column } => format!("of {}.{}", name(table), text(column)),
        Reference::OwnedByTriggerTable { column } => {
            format!("of the trigger's {}", column.as_deref().map_or_else(|| "table".to_owned(), text))
        }
    };
    let uses = source.uses.iter().map(|one| {
        let target = match &one.target {
            Target::New(column) => format!("NEW.{}", text(column)),
            Target::Column { table, column } => format!("{}({})", name(table), text(column)),
            Target::Unknown => "?".to_owned(),
        };
        format!("{} > {target}", reference(&one.sequence))
    });
    uses.collect()
}

fn of(body: &str) -> Vec<String> {
    uses(&read(body))
}

#[test]
fn fault_b02_a_trigger_sets_a_column_of_its_table() {
    for body in [
        "BEGIN NEW.id := nextval('a.s'); RETURN NEW; END",
        "BEGIN NEW.id = pg_catalog.nextval('a.s'::regclass)::integer; RETURN NEW; END",
        "begin if new.id is null then new.id := nextval('a.s'); end if; return new; end",
        "BEGIN IF NEW.id IS NULL OR NEW.id = 0 THEN SELECT nextval('a.s') INTO NEW.id; END IF; RETURN NEW; END",
        "BEGIN SELECT INTO NEW.id nextval('a.s'); RETURN NEW; END",
        "BEGIN SELECT nextval(CAST('a.s' AS regclass)) AS v INTO STRICT NEW.id FROM dual; RETURN NEW; END",
        "BEGIN NEW.id := COALESCE(NEW.id, nextval('a.s')); RETURN NEW; END",
        "BEGIN NEW.id := coalesce(nullif(NEW.id, 0), (SELECT nextval('a.s'))::bigint); RETURN NEW; END",
        "BEGIN NEW.id := CASE WHEN NEW.id IS NULL THEN nextval('a.s') ELSE NEW.id END; RETURN NEW; END",
        "DECLARE v numeric(10, 0); BEGIN SELECT nextval('a.s') INTO v; NEW.id := v; RETURN NEW; END",
        "DECLARE v bigint := nextval('a.s'); BEGIN NEW.id := v; RETURN NEW; END",
        "BEGIN EXECUTE 'SELECT nextval(''a.s'')' INTO NEW.id; RETURN NEW; END",
        "BEGIN /* ; */ -- nextval('b')\n NEW.id := nextval($$a.s$$); PERFORM currval('a.s'); RETURN NEW; END",
    ] {
        assert_eq!(of(body), ["a.s > NEW.id"], "{body}");
    }
    let two = "BEGIN SELECT nextval('s'), nextval('\"T\"') INTO NEW.\"Id\", NEW.no; RETURN NEW; END";
    assert_eq!(of(two), ["s > NEW.Id", "T > NEW.no"]);
}

#[test]
fn fault_b04_what_is_computed_or_passed_on_is_not_known() {
    for body in [
        "BEGIN NEW.id := nextval('s') * 10 + 1; RETURN NEW; END",
        "BEGIN NEW.id := 'C' || nextval('s')::text; RETURN NEW; END",
        "BEGIN RETURN nextval('s'); END",
        "SELECT nextval('s')",
        "SELECT make(nextval('s'))",
        "BEGIN IF NEW.id = nextval('s') THEN RETURN NULL; END IF; END",
        "DECLARE v bigint; BEGIN v := nextval('s'); RETURN v; END",
        "DECLARE v bigint; BEGIN v := nextval('s'); NEW.id := v + 1; RETURN NEW; END",
        "BEGIN EXECUTE format('INSERT INTO %I VALUES (nextval(''s''))', t); END",
        "BEGIN PERFORM nextval('s'); END",
        "INSERT INTO t VALUES (nextval('s'))",
        "BEGIN RETURN shard.nextval('s'); END",
    ] {
        assert_eq!(of(body), ["s > ?"], "{body}");
    }
    let both = "DECLARE v bigint := nextval('s'); BEGIN NEW.id := v; PERFORM send(v); RETURN NEW; END";
    assert_eq!(of(both), ["s > NEW.id", "s > ?"]);
}

#[test]
fn values_of_this_node_are_told_apart() {
    let is_of_node = |body: &str| read(body).uses.iter().map(|one| one.is_of_node).collect::<Vec<_>>();
    assert_eq!(
        is_of_node("SELECT partitioned_nextval('s'), keyspace.partitioned_nextval('s')"),
        [true, true]
    );
    assert_eq!(is_of_node("SELECT nextval('s'), partitioned_nextval('s', 1, 2)"), [false, false]);
    assert_eq!(is_of_node("SELECT other.partitioned_nextval('s')"), [false]);
}

#[test]
fn rows_that_a_function_writes_are_known() {
    for body in [
        "INSERT INTO shop.o (id, n) VALUES (nextval('s'), 1) RETURNING id",
        "INSERT INTO shop.o AS x (n, id) VALUES (f(1, 2), nextval('s'::regclass)), (2, nextval('s')::int)",
        "BEGIN INSERT INTO shop.o (id, n) SELECT nextval('s'), g FROM generate_series(1, 9) AS g; END",
        "DECLARE v bigint; BEGIN SELECT nextval('s') INTO v; INSERT INTO shop.o (id) VALUES (v); RETURN v; END",
        "UPDATE ONLY shop.o SET n = n + 1, id = nextval('s') WHERE n = 1",
    ] {
        let mut found = of(body);
        found.dedup();
        assert_eq!(found, ["s > shop.o(id)"], "{body}");
    }
}

#[test]
fn functions_that_hand_out_nothing_do_not_count() {
    for body in [
        "SELECT currval('s'), setval('s', 1), lastval()",
        "SELECT last_value FROM s",
        "SELECT 'nextval', nextval, \"nextval\" FROM t -- nextval('s')",
        "BEGIN RAISE NOTICE 's'; END",
    ] {
        assert_eq!(read(body), Source::default(), "{body}");
    }
}

#[test]
fn fault_b04_a_name_that_is_made_up_is_open() {
    for body in [
        "BEGIN RETURN nextval(p); END",
        "SELECT nextval(t || '_id_seq')",
        "BEGIN EXECUTE format('SELECT nextval(%L)', p) INTO v; END",
        "BEGIN EXECUTE 'SELECT nextval($1)' INTO v USING p; END",
        "BEGIN RETURN next_of(p); END",
    ] {
        let source = read(body);
        assert!(source.is_open && !source.is_of_trigger, "{body}");
    }
    let source = read("BEGIN NEW.id := nextval(TG_TABLE_NAME || '_id_seq'); RETURN NEW; END");
    assert!(source.is_open && source.is_of_trigger, "{source:?}");
    assert_eq!(source.pieces, [b"_id_seq".to_vec()]);
    let given = read("BEGIN v := 'shop.s'; PERFORM setval('other', 1); RETURN nextval(v); END");
    assert_eq!(uses(&given), ["shop.s > ?"]);
    let call = read("BEGIN NEW.id := next_of('s'::text); RETURN NEW; END");
    assert_eq!((call.is_open, call.calls), (false, vec![(b"next_of".to_vec(), vec![b"s".to_vec()])]));
}

#[test]
fn fault_b02_a_sequence_is_named_by_its_column() {
    for body in [
        "BEGIN NEW.no := nextval(pg_get_serial_sequence('public.cust', 'Id')); RETURN NEW; END",
        "BEGIN SELECT nextval(pg_catalog.pg_get_serial_sequence('public.cust', 'Id')::regclass) INTO NEW.no; RETURN NEW; END",
        "BEGIN NEW.no := nextval(CAST(pg_get_serial_sequence('public.cust'::text, 'Id') AS regclass)); RETURN NEW; END",
        "BEGIN EXECUTE 'SELECT nextval(pg_get_serial_sequence(''public.cust'', ''Id''))' INTO NEW.no; END",
    ] {
        let source = read(body);
        assert_eq!((uses(&source), source.is_open), (vec!["of public.cust.Id > NEW.no".to_owned()], false));
    }
    for table in
        ["TG_TABLE_NAME", "TG_RELID::regclass::text", "format('%I.%I', TG_TABLE_SCHEMA, TG_TABLE_NAME)"]
    {
        let body = format!("BEGIN NEW.id := nextval(pg_get_serial_sequence({table}, 'id')); RETURN NEW; END");
        assert_eq!(of(&body), ["of the trigger's id > NEW.id"], "{body}");
    }
    let any = "BEGIN RETURN nextval(pg_get_serial_sequence(quote_ident(TG_TABLE_NAME), TG_ARGV[0])); END";
    assert_eq!(of(any), ["of the trigger's table > ?"]);
    // Kept in a variable first.
    let kept = read("BEGIN v := pg_get_serial_sequence('cust', 'id'); RETURN nextval(v); END");
    assert!(kept.is_open && uses(&kept).contains(&"of cust.id > ?".to_owned()), "{kept:?}");
    for given in [
        "SELECT nextval(pg_get_serial_sequence(p, 'id'))",
        "SELECT nextval(pg_get_serial_sequence('cust', c))",
        "BEGIN EXECUTE format('SELECT nextval(pg_get_serial_sequence(%L, %L))', p, c) INTO v; END",
    ] {
        let source = read(given);
        assert!(source.is_open && source.is_serial, "{given}: {source:?}");
    }
    // Setting the sequence hands out nothing.
    let set = "SELECT setval(pg_get_serial_sequence('cust', 'id'), 1), currval(pg_get_serial_sequence(t, c))";
    assert_eq!(read(set), Source::default());
    let other = "plpy.execute(\"SELECT nextval(pg_get_serial_sequence('a.cust', 'id'))\")";
    let other = Source::of_other(other.as_bytes(), &Known::default());
    assert!(uses(&other).contains(&"of a.cust.id > ?".to_owned()), "{other:?}");
}

#[test]
fn other_languages_are_searched_for_names() {
    let read = |body: &str| Source::of_other(body.as_bytes(), &Known::default());
    assert_eq!(
        uses(&read("return plpy.execute(\"SELECT nextval('a.s') AS n\")[0]['n'] # don't")),
        ["a.s > ?"]
    );
    assert_eq!(uses(&read("spi_exec_query('SELECT nextval(\\'s\\')')")), ["s > ?"]);
    let open = read("plan = plpy.prepare('SELECT nextval($1)', ['text']); plan.execute(['s'])");
    assert!(open.is_open && uses(&open).contains(&"s > ?".to_owned()), "{open:?}");
}

#[test]
fn a_source_of_any_depth_and_length_is_read() {
    let draw = "nextval('s')";
    let deep = format!("NEW.id := {}{draw}{};", "coalesce(".repeat(5_000), ")".repeat(5_000));
    assert_eq!(of(&deep), ["s > ?"]);
    let quoted: String = (0..2_000).map(|at| format!("$q{at}$nextval")).collect();
    assert!(!read(&quoted).is_open || read(&quoted).uses.is_empty());
    let long = format!("BEGIN NEW.id := {draw};{}", " PERFORM f(1);".repeat(4_000));
    assert_eq!(of(&long), ["s > ?"]);
    let open = "nextval(".repeat(30_000);
    assert!(read(&open).is_open);
    let calls = "next_of('a', f(".repeat(10_000);
    assert_eq!(read(&calls).calls.len(), MOST_CALLS);
}

proptest! {
    #[test]
    fn every_source_can_be_read(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "NEW", ".", "id", ":=", "=", "nextval", "(", ")", "'s'", "::", "bigint", ";", "SELECT", "INTO", ",", "CASE",
                "WHEN", "THEN", "ELSE", "END", "INSERT", "VALUES", "UPDATE", "SET", "t", "COALESCE", "EXECUTE", "CAST", "AS",
                "IF", "BEGIN", "next_of", "v", "pg_get_serial_sequence", "TG_RELID", "'SELECT nextval(''s'')'", "FROM",
            ]),
            0..40,
        ),
    ) {
        let body = parts.join(" ");
        let source = read(&body);
        for one in &source.uses {
            let is_named = match &one.sequence {
                Reference::Name(name) => !name.name.is_empty(),
                Reference::OwnedBy { table, column } => !table.name.is_empty() && !column.is_empty(),
                Reference::OwnedByTriggerTable { .. } => true,
            };
            prop_assert!(is_named);
        }
        // A draw is never lost.
        if body.contains("nextval ( 's' )") {
            prop_assert!(source.is_open || !source.uses.is_empty());
        }
    }
}
