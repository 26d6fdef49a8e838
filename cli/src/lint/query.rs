//! Checks that are one query of the catalogs of one node.

use super::finding::{Check, Finding, Row};
use super::tables::{GENERATED, MINE};
use crate::failure::Result;
use crate::session::Session;

/// A check that is a query. It returns `severity`, `object` and `detail`, and may use the common
/// table expressions `mine` and `generated`.
#[derive(Debug)]
pub struct Query {
    pub check: &'static Check,
    pub sql: &'static str,
}

impl Query {
    /// The findings on a node.
    ///
    /// # Errors
    /// Those of the server.
    pub fn find(&self, session: &mut Session) -> Result<Vec<Finding>> {
        let query = format!("WITH {MINE}, {GENERATED} {} ORDER BY 1, 2, 3", self.sql);
        let rows: Vec<Row> = session.rows(&query, &[])?;
        let node = session.name().to_owned();
        Ok(rows.into_iter().map(|row| self.check.about(&[&node], row)).collect())
    }
}
