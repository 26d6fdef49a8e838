//! Time-ordered keys in SQL: `uuidv7()` and related functions, and the type `ulid`.
//!
//! | module | subject |
//! | --- | --- |
//! | [`uuidv7`] | the functions on `uuid` |
//! | [`ulid`] | the functions on `ulid` |
//! | [`ulid_type`], [`ulid_io`], [`ulid_support`] | the type itself: datum, text form, what its SQL objects call |
//! | [`generate`] | the backend's generators: clock, entropy, one state per process |
//! | [`shared_word`] | what all sessions of a server share |
//! | [`call`], [`no_error_guard`] | functions that are called as those of C are, and what they do |
//! | [`timestamp`], [`salt`], [`raw_text`] | arguments: instants, salts, text in any encoding |
//! | [`uuid_result`] | cheap results of guarded functions |
//! | [`sql`] | the SQL files and their order |

mod call;
mod clock;
mod entropy;
mod generate;
mod no_error_guard;
mod per_backend;
mod raw_text;
mod salt;
#[cfg(any(test, feature = "pg_test"))]
mod server_tests;
mod shared_word;
mod sql;
mod timestamp;
mod ulid;
mod ulid_io;
mod ulid_support;
mod ulid_type;
mod uuid_result;
mod uuidv7;

pub(crate) use raw_text::RawText;
pub(crate) use salt::tag_key;
pub(crate) use ulid_type::Ulid;
pub(crate) use uuid_result::UuidResult;

/// Requests the memory that sessions share for keys; called once, when the library is loaded.
pub(crate) fn request_shared_memory() {
    shared_word::request();
}
