//! Which columns a sequence feeds, and what else draws from it, as far as sources and expressions
//! tell.
//!
//! The catalogs connect a sequence with the columns that own it and with the defaults that name it
//! as a `regclass`. Everything else is text: the source of a function, the arguments of a trigger,
//! a name in a default. It is read here without PostgreSQL, as bytes, since the names in it are in
//! the encoding of the database, which is a superset of ASCII.

pub mod draw;
pub mod drawn;
pub mod expression;
pub mod names;
mod other_language;
mod passed_on;
mod places;
pub mod reader;
pub mod reference;
mod sequence_argument;
pub mod source;
pub mod tokens;

pub use draw::{ByName, draw};
pub use drawn::{Target, Use};
pub use expression::{Constant, constants, functions};
pub use names::{Composition, QualifiedName, pieces};
pub use reader::Known;
pub use reference::Reference;
pub use source::Source;
