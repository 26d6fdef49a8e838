//! How long to wait for locks.

use std::ffi::CString;
use std::time::Duration;

use keyspace::{Error, SqlState};
use pgrx::datum::Interval;
use pgrx::pg_sys;

use super::settings;

/// How long to wait for locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timeout(Duration);

impl Timeout {
    /// The default of the argument `lock_timeout`.
    pub(crate) const USUAL: Self = Self(Duration::from_secs(2));

    /// The minimum of the setting lock_timeout, in which 0 means no limit.
    pub(crate) const SHORTEST: Self = Self(Duration::from_millis(1));

    /// A timeout from an argument.
    ///
    /// # Errors
    /// 22023 if it is not between 1 ms and the maximum of the setting lock_timeout.
    pub(crate) fn new(interval: Interval) -> Result<Self, Error> {
        let milliseconds = interval.as_micros() / 1_000;
        match i32::try_from(milliseconds) {
            Ok(valid @ 1..) => Ok(Self(Duration::from_millis(u64::from(valid.unsigned_abs())))),
            _ => Err(Error::new(
                SqlState::InvalidParameterValue,
                format!("lock_timeout must be between 1 ms and {} ms, not {milliseconds} ms", i32::MAX),
            )
            .hint("While a session waits to lock a sequence, no other session can use it, so the wait must be limited.")),
        }
    }

    /// This timeout, or that of the session if it is shorter.
    pub(crate) fn or_sooner(self) -> Self {
        // SAFETY: a plain integer of this backend, in milliseconds; 0 means no limit.
        match u64::try_from(unsafe { pg_sys::LockTimeout }) {
            Ok(milliseconds @ 1..) => Self(self.0.min(Duration::from_millis(milliseconds))),
            _ => self,
        }
    }

    /// A timeout of this length, or the shortest.
    pub(crate) fn of_at_least_one_millisecond(time: Duration) -> Self {
        Self(time.max(Self::SHORTEST.0))
    }

    pub(crate) const fn duration(self) -> Duration {
        self.0
    }

    /// Runs `step`, in which no single wait for a lock lasts longer.
    pub(crate) fn limiting<T>(self, step: impl FnOnce() -> T) -> T {
        settings::with(&[(c"lock_timeout", self.setting().as_c_str())], step)
    }

    /// The value for the setting `lock_timeout`.
    pub(crate) fn setting(self) -> CString {
        CString::new(self.text()).unwrap_or_default()
    }

    pub(crate) fn text(self) -> String {
        format!("{}ms", self.0.as_millis())
    }
}
