//! Tables whose rows travel between servers: by subscriptions, by replication sets of an extension,
//! or by triggers of a program (fault D01).
//!
//! Where rows only leave, the backfill travels, too. Where rows of another server arrive, its changes
//! could win over later ones that are on their way, so such tables are refused.

use super::facts::Table;
use super::finding::{Finding, list};
use super::scope::Scope;
use super::surroundings::{Replication, TableUse, TriggerCall};
use crate::error::{Error, SqlState};
use crate::sql::{in_message, literal, qualified, quoted};

/// What nodes can do.
const TOGETHER: &str = "If the servers replicate to each other, migrate the key on all of them together, with nodes => in key_migration_create().";

/// A program that replicates by triggers on the tables.
struct Program {
    name: &'static str,
    /// Whether a trigger is one of the program's.
    has: fn(&TriggerCall) -> bool,
    /// Whether rows of other servers can arrive at such a table. The triggers only show that rows
    /// leave, so this is so unless the program only ever copies in one direction.
    may_arrive: bool,
    /// How to take the table out.
    hint: &'static str,
}

const PROGRAMS: [Program; 4] = [
    Program {
        name: "Bucardo",
        has: |call| call.function_schema == "bucardo" && call.name.starts_with("bucardo_"),
        may_arrive: true,
        hint: "For the migration, run bucardo remove table, then drop the triggers whose names begin with bucardo_. Add the table again afterwards, on all servers.",
    },
    Program {
        name: "SymmetricDS",
        has: |call| call.name.starts_with("sym_on_"),
        may_arrive: true,
        hint: "For the migration, delete its row in sym_trigger, and let SymmetricDS drop its triggers. Add it again afterwards, on all servers.",
    },
    Program {
        name: "Slony",
        has: |call| call.function_schema.starts_with('_') && call.function_name == "denyaccess",
        may_arrive: true,
        hint: "For the migration, take the table out of its set: SET DROP TABLE.",
    },
    Program {
        name: "Slony or Londiste",
        has: |call| {
            (call.function_schema.starts_with('_') && call.function_name == "logtrigger")
                || (call.function_schema == "pgq"
                    && ["logutriga", "sqltriga"].contains(&call.function_name.as_str()))
        },
        may_arrive: false,
        hint: "The triggers do not fire for the rows that the backfill changes, so the new column has to be filled on the other servers, too. They stop at the cut-over.",
    },
];

pub(super) fn find(scope: &Scope<'_>, found: &mut Vec<Finding>) {
    let Some(surroundings) = &scope.facts.surroundings else { return };
    for table in scope.tables_and_partitions() {
        let Some(uses) = surroundings.table(table.oid) else { continue };
        // Nodes that migrate together receive each other's rows.
        if scope.options.nodes.is_empty() {
            subscriptions(table, uses, found);
        }
        extensions(scope, table, uses, found);
        programs(table, uses, found);
    }
}

/// The error for a table at which rows arrive.
fn arriving(table: &Table, detail: String, hint: String) -> Finding {
    let name = qualified(&table.schema, &table.name);
    let message = format!("table {} receives rows from other servers", in_message(&name));
    let error = Error::new(SqlState::FeatureNotSupported, message)
        .detail(format!(
            "{detail} The backfill could overwrite, or win over, changes that are still on their way."
        ))
        .hint(hint);
    Finding::error(table, error)
}

fn subscriptions(table: &Table, uses: &TableUse, found: &mut Vec<Finding>) {
    let Some(first) = uses.subscriptions.first() else { return };
    let name = qualified(&table.schema, &table.name);
    found.push(arriving(
        table,
        format!("Subscriptions apply changes to it: {}.", list(&uses.subscriptions)),
        format!(
            "{TOGETHER} Otherwise, for the migration, take the table out of the publication on the other server: ALTER PUBLICATION ... DROP TABLE {name}. Then run ALTER SUBSCRIPTION {} REFRESH PUBLICATION here.",
            quoted(first)
        ),
    ));
}

fn extensions(scope: &Scope<'_>, table: &Table, uses: &TableUse, found: &mut Vec<Finding>) {
    let name = qualified(&table.schema, &table.name);
    let sends = |wanted: &str| {
        uses.replication
            .iter()
            .any(|one| matches!(one, Replication::Set { extension } if *extension == wanted))
    };
    for replication in &uses.replication {
        match replication {
            Replication::Database { extension } => found.push(arriving(
                table,
                format!("Extension {extension} replicates this database in all directions."),
                "Migrate the key before the node joins, or after it has left.".to_owned(),
            )),
            Replication::Subscription { .. } | Replication::Set { .. } if !scope.options.nodes.is_empty() => {
            }
            Replication::Subscription { extension, names, is_certain } => {
                let drop = names.first().map_or_else(String::new, |first| {
                    format!(
                        " For the migration, drop the subscription: SELECT {extension}.{}({}).",
                        if *extension == "spock" { "sub_drop" } else { "drop_subscription" },
                        literal(first)
                    )
                });
                let of = format!("Subscriptions of {extension}: {}.", list(names));
                if *is_certain || sends(extension) {
                    let hint = format!(
                        "{TOGETHER} Otherwise, migrate the key before the table is replicated.{drop}"
                    );
                    found.push(arriving(table, of, hint));
                } else {
                    found.push(Finding::warning(
                        table,
                        format!("table {} may receive rows from other servers", in_message(&name)),
                        format!(
                            "{of} Only the other server knows which tables they bring. If this one is among them, the backfill could win over changes that are still on their way.{drop}"
                        ),
                    ));
                }
            }
            Replication::Set { extension } => {
                let is_both = uses
                    .replication
                    .iter()
                    .any(|one| matches!(one, Replication::Subscription { extension: other, .. } if other == extension));
                if !is_both {
                    found.push(Finding::warning(
                        table,
                        format!("table {} is in a replication set of {extension}", in_message(&name)),
                        "Add the new columns on the subscribers first. The backfill is replicated. A cut-over on only one side stops replication.",
                    ));
                }
            }
        }
    }
}

fn programs(table: &Table, uses: &TableUse, found: &mut Vec<Finding>) {
    let name = qualified(&table.schema, &table.name);
    for program in &PROGRAMS {
        let triggers: Vec<String> =
            uses.triggers.iter().filter(|call| (program.has)(call)).map(|call| call.name.clone()).collect();
        if triggers.is_empty() {
            continue;
        }
        let by = format!("Its triggers are those of {}: {}.", program.name, list(&triggers));
        if program.may_arrive {
            let detail = format!("{by} They do not tell whether rows arrive as well.");
            found.push(arriving(table, detail, program.hint.to_owned()));
        } else {
            let message = format!("table {} is replicated by {}", in_message(&name), program.name);
            found.push(Finding::warning(table, message, format!("{by} {}", program.hint)));
        }
    }
}
