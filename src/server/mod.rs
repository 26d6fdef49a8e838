//! What several subjects need of the server: our tables, settings, subtransactions, waiting, names.

pub(crate) mod call;
pub(crate) mod failure;
pub(crate) mod relation;
pub(crate) mod settings;
pub(crate) mod subtransaction;
pub(crate) mod tables;
pub(crate) mod waiting;
