//! Time-ordered keys on servers of their own: preloaded or not, in many concurrent sessions, dumped
//! and restored.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod beside_core;
mod binary;
mod dump;
mod partman;
mod preload;
mod sessions;
mod soft_errors;
