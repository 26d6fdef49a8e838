//! The settings `pg_keyspace.node` and `pg_keyspace.nodes`.

use keyspace::sequences::Class;
use keyspace::{Error, SqlState};
use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting, pg_sys};

static NODE: GucSetting<i32> = GucSetting::<i32>::new(0);
static NODES: GucSetting<i32> = GucSetting::<i32>::new(0);

/// Defines the settings; called once, when the library is loaded.
pub(crate) fn register() {
    GucRegistry::define_int_guc(
        c"pg_keyspace.node",
        c"Number of this node, instead of the one that setup_interleaved_sequences() stores.",
        c"0 means not set. If a node is also stored, it must be the same.",
        &NODE,
        0,
        Class::MAX_NODES,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_keyspace.nodes",
        c"Number of classes that the values of sequences are split into.",
        c"0 means not set.",
        &NODES,
        0,
        Class::MAX_NODES,
        GucContext::Suset,
        GucFlags::default(),
    );
    // SAFETY: the prefix is a NUL-terminated string, and this runs while the library is loaded.
    unsafe { pg_sys::MarkGUCPrefixReserved(c"pg_keyspace".as_ptr()) };
}

/// Whether one of the settings is set.
#[inline]
pub(crate) fn is_any_set() -> bool {
    NODE.get() != 0 || NODES.get() != 0
}

/// The class that the settings name; `None` if neither is set.
///
/// # Errors
/// 22023 if only one of them is set, or if they form no class.
pub(crate) fn class() -> Result<Option<Class>, Error> {
    match (NODE.get(), NODES.get()) {
        (0, 0) => Ok(None),
        (_, 0) => Err(half_set("pg_keyspace.node", "pg_keyspace.nodes")),
        (0, _) => Err(half_set("pg_keyspace.nodes", "pg_keyspace.node")),
        (node, nodes) => Class::new(node, nodes).map(Some),
    }
}

fn half_set(set: &str, missing: &str) -> Error {
    Error::new(SqlState::InvalidParameterValue, format!("\"{set}\" is set without \"{missing}\""))
        .hint("Set both or neither.")
}
