//! A consumer of wal2json's messages that keeps a copy of tables.

use std::collections::BTreeMap;

use postgres::Client;
use serde_json::Value;

/// The columns of a row by their names, as text.
type Row = BTreeMap<String, Option<String>>;

/// One table: which column its rows are found by, its columns in their order, and its rows.
#[derive(Default)]
struct Table {
    key: String,
    columns: Vec<String>,
    rows: BTreeMap<String, Row>,
}

/// What a consumer knows of tables, and what it has been told.
#[derive(Default)]
pub struct Copy {
    tables: BTreeMap<String, Table>,
    /// Changes of rows, and those of them after which the row is as before in every column that the
    /// consumer knew.
    pub updates: u32,
    pub without_effect: u32,
    pub transactions: u32,
    /// How often a message had other names than the last one of its table.
    pub renamed: u32,
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// The members `name` and `value` of each item of a list.
fn pairs(list: &Value) -> Vec<(String, Option<String>)> {
    let items = list.as_array().unwrap().iter();
    items.map(|item| (item["name"].as_str().unwrap().to_owned(), text(&item["value"]))).collect()
}

impl Table {
    /// Takes the names of a message over. Columns that are renamed keep their places; a new one is the
    /// last. If columns have gone, only their names tell.
    fn rename(&mut self, names: &[String]) -> bool {
        let is_renamed = names != self.columns && names.len() >= self.columns.len();
        if is_renamed {
            for row in self.rows.values_mut() {
                let mut old = std::mem::take(row);
                let values = self.columns.iter().map(|column| old.remove(column).unwrap());
                *row = names.iter().cloned().zip(values).collect();
            }
        } else if names != self.columns {
            for row in self.rows.values_mut() {
                row.retain(|column, _| names.contains(column));
            }
        }
        let is_other = is_renamed && names.len() == self.columns.len();
        self.columns = names.to_vec();
        is_other
    }

    /// Finds rows by another column from now on.
    fn find_by(&mut self, key: &str) {
        if key != self.key {
            let rows = std::mem::take(&mut self.rows).into_values();
            self.rows = rows.map(|row| (row[key].clone().unwrap(), row)).collect();
            key.clone_into(&mut self.key);
        }
    }
}

impl Copy {
    /// Copies tables, as a consumer does when it begins.
    pub fn begin(&mut self, client: &mut Client, tables: &[(&str, &str)]) {
        for (table, key) in tables {
            let (columns, rows) = read(client, table, key);
            self.tables.insert((*table).to_owned(), Table { key: (*key).to_owned(), columns, rows });
        }
    }

    /// Applies a message.
    pub fn apply(&mut self, message: &str) {
        let message: Value = serde_json::from_str(message).unwrap();
        let action = message["action"].as_str().unwrap();
        if action == "B" {
            self.transactions += 1;
        }
        let Some(table) = message["table"].as_str() else { return };
        let table = self.tables.get_mut(table).unwrap_or_else(|| panic!("an unknown table: {message}"));
        if action == "D" {
            // It has no columns but those of the identity.
            let (name, value) = pairs(&message["identity"]).remove(0);
            table.find_by(&name);
            assert!(table.rows.remove(&value.unwrap()).is_some(), "an unknown row: {message}");
            return;
        }
        let columns = pairs(&message["columns"]);
        let names: Vec<String> = columns.iter().map(|(name, _)| name.clone()).collect();
        self.renamed += u32::from(table.rename(&names));
        table.find_by(message["pk"][0]["name"].as_str().unwrap());
        let row: Row = columns.into_iter().collect();
        if action == "U" {
            let (_, value) = pairs(&message["identity"]).remove(0);
            let before =
                table.rows.remove(&value.unwrap()).unwrap_or_else(|| panic!("an unknown row: {message}"));
            self.updates += 1;
            self.without_effect += u32::from(before.iter().all(|(name, value)| row.get(name) == Some(value)));
        }
        table.rows.insert(row[&table.key].clone().unwrap(), row);
    }

    /// Compares the copy with the tables. Rows have the columns of the last message of their table.
    pub fn compare(&self, client: &mut Client, when: &str) {
        for (name, table) in &self.tables {
            let (columns, rows) = read(client, name, &table.key);
            assert_eq!(table.columns, columns, "{name} {when}");
            let complete = |row: &Row| {
                let value = |column: &String| (column.clone(), row.get(column).cloned().flatten());
                columns.iter().map(value).collect::<Row>()
            };
            for (key, row) in &rows {
                assert_eq!(table.rows.get(key).map(complete).as_ref(), Some(row), "{name} {when}");
            }
            assert_eq!(table.rows.len(), rows.len(), "{name} {when}");
        }
    }
}

/// The columns and the rows of a table.
fn read(client: &mut Client, table: &str, key: &str) -> (Vec<String>, BTreeMap<String, Row>) {
    let columns = "SELECT attname::text FROM pg_attribute \
                   WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum";
    let columns: Vec<String> =
        client.query(columns, &[&table]).unwrap().iter().map(|row| row.get(0)).collect();
    let list = columns.iter().map(|column| format!("{column}::text")).collect::<Vec<_>>().join(", ");
    let rows = client.query(&format!("SELECT {key}::text, {list} FROM {table}"), &[]).unwrap();
    let row = |row: &postgres::Row| {
        let value = |(at, column): (usize, &String)| (column.clone(), row.get(at + 1));
        (row.get(0), columns.iter().enumerate().map(value).collect())
    };
    let rows = rows.iter().map(row).collect();
    (columns, rows)
}
