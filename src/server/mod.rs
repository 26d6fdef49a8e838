//! What several subjects need of the server: our tables, settings, transactions, locks, waiting, memory, names.

pub(crate) mod advisory;
pub(crate) mod by_version;
pub(crate) mod call;
pub(crate) mod extension;
pub(crate) mod failure;
pub(crate) mod kept;
pub(crate) mod memory;
pub(crate) mod prepared;
pub(crate) mod relation;
pub(crate) mod settings;
pub(crate) mod subtransaction;
pub(crate) mod tables;
pub(crate) mod transaction;
pub(crate) mod waiting;
