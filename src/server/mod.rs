//! Shared access to the server: our tables, settings, transactions, locks, waiting, memory, names.

pub(crate) mod as_owner;
pub(crate) mod by_version;
pub(crate) mod call;
pub(crate) mod caught;
pub(crate) mod extension;
pub(crate) mod failure;
pub(crate) mod invalidation;
pub(crate) mod locks;
pub(crate) mod memory;
pub(crate) mod names;
pub(crate) mod obstacle;
pub(crate) mod open;
pub(crate) mod other_extensions;
pub(crate) mod patience;
pub(crate) mod prepared;
pub(crate) mod procedure;
pub(crate) mod raw_rows;
pub(crate) mod relation;
pub(crate) mod role;
pub(crate) mod settings;
pub(crate) mod subtransaction;
pub(crate) mod tables;
pub(crate) mod timeout;
pub(crate) mod transaction;
pub(crate) mod waiting;
pub(crate) mod work_lock;
