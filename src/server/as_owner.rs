//! Steps as the owner of a relation, in which nothing can be done with the rights of the caller.
//!
//! Code of a table's owner can run wherever a table is read or written: index expressions and predicates, defaults,
//! generated columns, policies, triggers. PostgreSQL's VACUUM, REINDEX and REFRESH MATERIALIZED VIEW run it as the owner under
//! `SECURITY_RESTRICTED_OPERATION`, and so do we. Before that, the caller's own privileges have to be checked: here
//! nothing checks them any more.

use keyspace::{Error, SqlState};
use pgrx::pg_sys;

use super::role::run_as;
use super::settings;
use crate::error::{raise, report};

/// Runs `step` as `owner`, under `SECURITY_RESTRICTED_OPERATION` and with a search_path on which nobody can put
/// anything. Settings that `step` changes, or code of the owner in it, are taken back.
///
/// The caller's privileges must have been checked, and `step` must not end the transaction: PostgreSQL takes note of the
/// user when one begins.
///
/// Leaves the statement where there is no owner, since the table was dropped before it was looked for.
pub(crate) fn as_owner<T>(owner: pg_sys::Oid, step: impl FnOnce() -> T) -> T {
    if owner == pg_sys::InvalidOid {
        let error = Error::new(SqlState::UndefinedObject, "a table was dropped meanwhile");
        raise(report(error.hint("Run it again.")));
    }
    run_as(owner, pg_sys::SECURITY_RESTRICTED_OPERATION, || {
        // As `RestrictSearchPath()` of PostgreSQL 17 has it.
        settings::within_and_undo(&[(c"search_path", c"pg_catalog, pg_temp")], step)
    })
}

#[cfg(any(test, feature = "pg_test"))]
#[allow(clippy::unwrap_used, clippy::expect_used)]
#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use super::as_owner;
    use crate::server::subtransaction::attempt;

    fn now() -> (String, String) {
        Spi::get_two::<String, String>("SELECT current_user::text, current_setting('search_path')")
            .map(|(user, path)| (user.unwrap(), path.unwrap()))
            .unwrap()
    }

    fn owner() -> pg_sys::Oid {
        Spi::run("CREATE ROLE table_owner").unwrap();
        Spi::get_one("SELECT oid FROM pg_roles WHERE rolname = 'table_owner'").unwrap().unwrap()
    }

    #[pg_test]
    fn fault_a06_a_step_runs_as_the_owner_and_what_it_sets_is_taken_back() {
        let before = now();
        let within = as_owner(owner(), || {
            let found = now();
            Spi::run("SET work_mem = '77MB'").unwrap();
            // Nobody gets out of it.
            let escape = attempt(|| Spi::run("RESET SESSION AUTHORIZATION"));
            assert!(escape.is_err());
            assert_eq!(now(), found, "after the end of a subtransaction within the step");
            found
        });
        assert_eq!(within, ("table_owner".to_owned(), "pg_catalog, pg_temp".to_owned()));
        assert_eq!(now(), before);
        assert_ne!(Spi::get_one::<String>("SELECT current_setting('work_mem')").unwrap().unwrap(), "77MB");
    }

    #[pg_test(error = "a table was dropped meanwhile")]
    fn nobody_is_no_owner() {
        as_owner(crate::server::relation::relation_owner(pg_sys::InvalidOid), || Spi::run("SELECT 1"))
            .unwrap();
    }

    #[pg_test]
    fn fault_a06_an_error_puts_the_caller_back() {
        let (before, owner) = (now(), owner());
        let failed = attempt(|| as_owner(owner, || Spi::run("SELECT 1 / 0")));
        assert!(failed.is_err());
        assert_eq!(now(), before);
    }
}
