//! The writes of a migration that other nodes must not receive.
//!
//! They are made under a replication origin of their own, so they are not sent to subscriptions
//! that ask for changes of the server itself only (`origin = none`, `forward_origins = '{}'`). Their
//! commit time must not decide a conflict with a change of another node that is still on its way.

use super::position::Position;

/// An old commit time, in microseconds since 1970: 1 January 2001. PostgreSQL takes 1 January 2000
/// for no time at all, and would use the present one.
pub const OLD: i64 = 978_307_200_000_000;

/// A write that stays on its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LocalWrite {
    /// The backfill gives rows their first keys. One transaction writes many rows. Each was last
    /// changed before every change that is still on its way, as the [marks](super::Progress::mark)
    /// guarantee.
    Fill,
    /// A row takes the key that another node has. It may have been changed at any time, so it keeps
    /// the commit time of its last change, and has a transaction of its own.
    Correct {
        /// That commit time; `None` if PostgreSQL does not know it any more, because it is that old.
        changed_at: Option<i64>,
    },
}

impl LocalWrite {
    /// The commit time of its transaction.
    pub const fn commit_time(self) -> i64 {
        match self {
            Self::Fill | Self::Correct { changed_at: None } => OLD,
            Self::Correct { changed_at: Some(time) } => time,
        }
    }

    /// The position that the origin reports for it. An origin without progress would not keep its
    /// commit time.
    pub const POSITION: Position = Position(1);
}
