//! Writers behind a pooler, and the ledger of what they were told.

use std::time::Duration;

use anyhow::Result;
use pg_test::first_value;
use pg_test::load::{Count, Session, insert_with_children, paced};
use postgres::Client;

use crate::{code, count};

/// The pause between two actions of a session.
const PAUSE: Duration = Duration::from_millis(5);

/// What a session was told.
pub enum Told {
    /// The order with this mark is committed, with two items.
    Committed(String),
    /// A statement has failed with this SQLSTATE.
    Failed(String),
    /// An order was found and updated by a key from an earlier transaction.
    Updated,
}

/// Inserts orders, each with two items in the same transaction.
pub fn writer<'a>(mut client: Client, number: usize, done: &'a Count) -> Session<'a, Told> {
    Box::new(move |stop| {
        let mut at = 0;
        let turns = paced(stop, PAUSE, (0, 1), || {
            at += 1;
            let mark = format!("writer-{number}-{at}");
            let insert = format!("INSERT INTO orders (made_by) VALUES ('{mark}') RETURNING id");
            let item = format!("INSERT INTO item (order_id, made_by) VALUES (':key', '{mark}')");
            let rest = format!("{item}; {item}; UPDATE orders SET total = total + 2 WHERE id = ':key'");
            let told = match insert_with_children(&mut client, &insert, &rest) {
                Ok(_) => Told::Committed(mark),
                Err(error) => failed(&mut client, &error),
            };
            done.add();
            Ok(told)
        })?;
        Ok(turns.into_iter().map(|turn| turn.result).collect())
    })
}

/// Remembers a key from one transaction to the next, as an application with a page per order does.
/// It looks the order up again if its key is refused.
pub fn keeper<'a>(mut client: Client, number: usize, done: &'a Count) -> Session<'a, Told> {
    Box::new(move |stop| {
        let find = format!("SELECT id FROM orders WHERE made_by = 'before-{number}'");
        let mut key = first_value(&mut client, &find)?;
        let turns = paced(stop, PAUSE, (0, 1), || {
            let update = format!(
                "UPDATE orders SET total = total + 1 WHERE id = '{}' RETURNING id",
                key.clone().unwrap()
            );
            let told = match first_value(&mut client, &update) {
                Ok(found) => {
                    assert_eq!(found, key, "no row has this key any more");
                    Told::Updated
                }
                Err(error) => {
                    let told = failed(&mut client, &error);
                    key = first_value(&mut client, &find)?;
                    told
                }
            };
            done.add();
            Ok(told)
        })?;
        Ok(turns.into_iter().map(|turn| turn.result).collect())
    })
}

fn failed(client: &mut Client, error: &anyhow::Error) -> Told {
    let code = error.chain().find_map(|cause| cause.downcast_ref().map(code));
    client.batch_execute("ROLLBACK").unwrap();
    Told::Failed(code.unwrap_or_else(|| panic!("no error of the server: {error:#}")))
}

/// Compares the tables with what the sessions were told. Returns the SQLSTATEs of the failures.
pub fn settle(client: &mut Client, told: Vec<Told>) -> Vec<String> {
    let (mut marks, mut codes, mut updates) = (Vec::new(), Vec::new(), 0);
    for told in told {
        match told {
            Told::Committed(mark) => marks.push(mark),
            Told::Failed(code) => codes.push(code),
            Told::Updated => updates += 1,
        }
    }
    assert!(marks.len() > 100 && updates > 20, "{} orders, {updates} updates", marks.len());
    let committed = i64::try_from(marks.len()).unwrap();
    let list = marks.iter().map(|mark| format!("('{mark}')")).collect::<Vec<_>>().join(", ");
    let complete = format!(
        "SELECT count(*) FROM (VALUES {list}) AS told (mark)
         JOIN orders AS o ON o.made_by = mark AND o.total = 2
         WHERE (SELECT count(*) FROM item AS i WHERE i.order_id = o.id AND i.made_by = mark) = 2"
    );
    assert_eq!(count(client, &complete), committed, "orders with both items");
    let written = "SELECT count(*) FROM orders WHERE made_by LIKE 'writer-%'";
    assert_eq!(count(client, written), committed, "orders that nobody was told of");
    let items = "SELECT count(*) FROM item WHERE made_by LIKE 'writer-%'";
    assert_eq!(count(client, items), 2 * committed);
    let updated = "SELECT sum(total) FROM orders WHERE made_by LIKE 'before-%'";
    assert_eq!(count(client, updated), updates, "updates by a key from an earlier transaction");
    codes
}

/// Waits until the sessions have done so much more.
pub fn wait_for_more(done: &Count, more: u64) -> Result<()> {
    done.wait_for(done.get() + more)
}
