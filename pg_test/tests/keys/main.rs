//! Time-ordered keys on servers of their own: preloaded or not, in many concurrent sessions, dumped
//! and restored.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod binary;
mod dump;
mod next_to_core;
mod partman;
mod preload;
mod sessions;
mod soft_errors;
