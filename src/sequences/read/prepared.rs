//! What is read once for many sequences that are looked up in turn.

use pgrx::spi::OwnedPreparedStatement;

use crate::sequences::read::mentions::Mentions;

/// Made by [`super::catalog::prepare`].
pub(crate) struct Prepared {
    /// The query for the columns that one sequence feeds.
    pub(crate) query: OwnedPreparedStatement,
    /// What draws from sequences, as far as only the texts of functions and defaults say it.
    pub(crate) mentions: Mentions,
}

#[cfg(any(test, feature = "pg_test"))]
#[allow(clippy::unwrap_used, clippy::expect_used)]
#[pgrx::pg_schema]
mod tests {
    use std::rc::Rc;

    use pgrx::prelude::*;

    use crate::sequences::read::catalog::{entries, prepare};
    use crate::sequences::read::selection::Selection;
    use crate::server::extension::Extension;
    use crate::server::settings::with_own_settings;

    const OWN_FUNCTION: &str = "SELECT d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid \
         WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_extension'::regclass \
           AND e.extname = 'pg_keyspace' LIMIT 1";
    /// The entries of pg_depend and its indexes that this transaction has read.
    const ENTRIES_READ: &str = "SELECT (sum(pg_stat_get_xact_tuples_returned(i.indexrelid)) \
           + pg_stat_get_xact_tuples_returned('pg_depend'::regclass))::bigint \
         FROM pg_index i WHERE i.indrelid = 'pg_depend'::regclass";

    #[pg_test]
    fn one_sequence_is_not_looked_up_among_all_defaults() {
        let function = Spi::get_one::<pg_sys::Oid>(OWN_FUNCTION).unwrap().unwrap();
        let extension = Extension::of(function).unwrap();
        Spi::run(
            "DO $$ BEGIN FOR i IN 1..300 LOOP EXECUTE format('CREATE TABLE m%s (id serial)', i); END LOOP; END $$",
        )
        .unwrap();
        let prepared = Rc::new(prepare(extension).unwrap());
        let sequence = Spi::get_one::<pg_sys::Oid>("SELECT 'm7_id_seq'::regclass::oid").unwrap().unwrap();
        let selection = Selection::one(sequence, &[], &Rc::from(Vec::new()), &prepared);
        let entries_read = || Spi::get_one::<i64>(ENTRIES_READ).unwrap().unwrap();
        let before = entries_read();
        let found = with_own_settings(|| entries(&selection, extension)).unwrap();
        let read = entries_read() - before;
        assert_eq!(found.iter().map(|entry| entry.columns.len()).collect::<Vec<_>>(), [1]);
        assert!((1..100).contains(&read), "{read} entries");
    }
}
