//! DDL that is replayed by a process without a client.

use crate::{DATABASE, number, start, wait_until};

/// PostgreSQL does not replicate DDL itself. But a trigger on a replayed row runs in the same kind
/// of process, and as a replica. It sets what the processes of Spock and pgactive set, which a
/// restore sets, too.
const REPLAY: &str = r#"
CREATE TABLE ddl (id int PRIMARY KEY, statement text);
CREATE FUNCTION replay() RETURNS trigger LANGUAGE plpgsql SET search_path = '' SET check_function_bodies = off AS $$
BEGIN
    EXECUTE NEW.statement;
    RETURN NEW;
END $$;
CREATE TRIGGER replay AFTER INSERT ON ddl FOR EACH ROW EXECUTE FUNCTION replay();
ALTER TABLE ddl ENABLE ALWAYS TRIGGER replay;
"#;

#[test]
fn trap_s15_ddl_that_is_replayed_gets_the_class_of_the_node_that_replays_it() {
    let (first, second) = (start(&["wal_level = logical"]), start(&["wal_level = logical"]));
    let (mut origin, mut replica) = (first.connect(DATABASE).unwrap(), second.connect(DATABASE).unwrap());
    for (node, client) in [(1, &mut origin), (2, &mut replica)] {
        client.batch_execute(REPLAY).unwrap();
        client.query(&format!("SELECT * FROM setup_interleaved_sequences({node}, 2)"), &[]).unwrap();
        client.batch_execute("SELECT interleave_new_sequences(true)").unwrap();
    }
    origin
        .batch_execute("ALTER TABLE ddl DISABLE TRIGGER replay; CREATE PUBLICATION p FOR TABLE ddl")
        .unwrap();
    let subscribe = format!(
        "CREATE SUBSCRIPTION s CONNECTION '{}' PUBLICATION p",
        first.conninfo(DATABASE).replace('\'', "''")
    );
    replica.batch_execute(&subscribe).unwrap();
    origin
        .batch_execute(
            "CREATE TABLE public.item (id serial PRIMARY KEY);
             INSERT INTO ddl VALUES (1, 'CREATE TABLE public.item (id serial PRIMARY KEY)')",
        )
        .unwrap();
    wait_until(&mut replica, "SELECT to_regclass('public.item') IS NOT NULL");
    let insert = "INSERT INTO public.item DEFAULT VALUES RETURNING id::bigint";
    assert_eq!((number(&mut origin, insert), number(&mut origin, insert)), (1, 3));
    assert_eq!((number(&mut replica, insert), number(&mut replica, insert)), (2, 4));
    replica.batch_execute("DROP SUBSCRIPTION s").unwrap();
}
