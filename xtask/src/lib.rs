//! What `cargo xtask` and `cargo xtask bench` share: calls of cargo, what has to be installed, which PostgreSQL is
//! used, and the machine with the backends that run on it.

pub mod backend;
pub mod cargo;
pub mod container;
pub mod machine;
pub mod prerequisites;
pub mod statistics;
pub mod step;
pub mod table;
pub mod versions;
