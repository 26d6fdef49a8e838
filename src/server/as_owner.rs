//! Runs steps as the owner of a relation, in a way that cannot misuse the rights of the caller.
//!
//! Code of a table's owner can run wherever the table is read or written: index expressions and
//! predicates, defaults, generated columns, policies, triggers. VACUUM, REINDEX and REFRESH
//! MATERIALIZED VIEW run such code as the owner under `SECURITY_RESTRICTED_OPERATION`, and so do
//! we. The caller's own privileges must be checked before, since they are not checked here.

use keyspace::{Error, SqlState};
use pgrx::pg_sys;

use super::role::run_as;
use super::settings;
use crate::error::{raise, report};

/// Runs `step` as `owner`, under `SECURITY_RESTRICTED_OPERATION` and with a search_path to which
/// nobody can add objects. Settings that `step`, or the owner's code in it, has changed are reset
/// afterwards.
///
/// The caller's privileges must have been checked. `step` must not end the transaction, because
/// PostgreSQL records the user when a transaction begins.
///
/// Raises an error if there is no owner because the table has been dropped.
pub(crate) fn as_owner<T>(owner: pg_sys::Oid, step: impl FnOnce() -> T) -> T {
    if owner == pg_sys::InvalidOid {
        let error = Error::new(SqlState::UndefinedObject, "a table was dropped concurrently");
        raise(report(error.hint("Run it again.")));
    }
    run_as(owner, pg_sys::SECURITY_RESTRICTED_OPERATION, || {
        // The same as `RestrictSearchPath()` of PostgreSQL 17.
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
            // The step cannot change back to the caller.
            let escape = attempt(|| Spi::run("RESET SESSION AUTHORIZATION"));
            assert!(escape.is_err());
            assert_eq!(now(), found, "after the end of a subtransaction within the step");
            found
        });
        assert_eq!(within, ("table_owner".to_owned(), "pg_catalog, pg_temp".to_owned()));
        assert_eq!(now(), before);
        assert_ne!(Spi::get_one::<String>("SELECT current_setting('work_mem')").unwrap().unwrap(), "77MB");
    }

    #[pg_test]
    fn a_dropped_table_has_no_owner() {
        let gone = crate::server::relation::relation_owner(pg_sys::InvalidOid);
        let failed = attempt(|| as_owner(gone, || Spi::run("SELECT 1"))).unwrap_err();
        assert!(format!("{failed:?}").contains("a table was dropped concurrently"), "{failed:?}");
    }

    #[pg_test]
    fn fault_a06_an_error_puts_the_caller_back() {
        let (before, owner) = (now(), owner());
        let failed = attempt(|| as_owner(owner, || Spi::run("SELECT 1 / 0")));
        assert!(failed.is_err());
        assert_eq!(now(), before);
    }
}
