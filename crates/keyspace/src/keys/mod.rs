//! Time-ordered keys: the form of UUIDv7 and ULID keys, and how they are generated.
//!
//! Both types lead with the same head, a 48-bit count of Unix milliseconds and a 12-bit fraction of
//! the millisecond (together a [`Tick`]), and end in a tail: 62 bits in a UUIDv7, 68 bits in a
//! ULID. The tail is random ([`generator`]), or made from the row's own id ([`derived`]) or value
//! ([`hashed`]).
//!
//! | module | subject |
//! | --- | --- |
//! | [`instant`] | instants and ticks, and errors for those out of range |
//! | [`layout`] | the order of the bits in both types |
//! | [`generator`] | random keys that strictly increase in one session |
//! | [`shifted`] | the same for each shift of the clock that a session uses |
//! | [`server_wide`] | keys that strictly increase over all sessions of a server |
//! | [`tag_key`] | the effect of a salt |
//! | [`derived`] | reversible keys of `(timestamp, id)` |
//! | [`hashed`] | keys of `(timestamp, value)` for values that are not small integers |
//! | [`ulid_text`] | the 26 characters of a ULID |

pub mod derived;
pub mod generator;
pub mod hashed;
pub mod instant;
mod instant_text;
pub mod layout;
pub mod server_wide;
pub mod shifted;
pub mod tag_key;
pub mod ulid_text;

pub use generator::Generator;
pub use instant::{Instant, Tick, clock_out_of_range};
pub use layout::{Layout, UlidLayout, UuidV7Layout};
pub use server_wide::Reading;
pub use shifted::Shifted;
pub use tag_key::TagKey;
