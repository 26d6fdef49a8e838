//! The key of a table on nodes that replicate to each other: what the guide on key migration on several
//! nodes does with psql on one node after the other.
//!
//! | module | subject |
//! | --- | --- |
//! | [`group`] | sessions on all nodes, and the states that are passed between them |
//! | [`replication`] | workers of pglogical that have stopped |
//! | [`step`] | a step that is taken once the states of others allow it |
//! | [`run`] | everything up to the cut-over |
//! | [`compare`] | the comparison with the first node, and the rows that take its keys |
//! | [`change`] | a change of names on all nodes, for which writers wait |
//! | [`procedures`] | cut-over, rollback and finalize |
//! | [`unfinished`] | nodes whose writers wait because a command was interrupted |
//! | [`outcome`] | what has been done |

mod change;
mod compare;
mod group;
mod outcome;
mod procedures;
mod replication;
mod run;
mod step;
mod unfinished;

use super::arguments::Action;
use crate::exit::Exit;
use crate::failure::Result;
use crate::nodes::Fleet;
use crate::output::Output;

/// Does something with the migration of a table on all nodes.
///
/// # Errors
/// If a node cannot be reached, or something fails there.
pub fn run(fleet: &Fleet, output: Output, action: &Action) -> Result<Exit> {
    match action {
        Action::Plan(arguments) => run::plan(fleet, output, arguments),
        Action::Run(arguments) => run::run(fleet, output, arguments),
        Action::CutOver(arguments) => procedures::cut_over(fleet, output, arguments),
        Action::Rollback(arguments) => procedures::rollback(fleet, output, arguments),
        Action::Finalize(arguments) => procedures::finalize(fleet, output, arguments),
        Action::Open(arguments) => procedures::open(fleet, output, arguments),
    }
}
