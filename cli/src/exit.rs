//! Exit codes.

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything is done, and nothing of severity error was found.
    Fine,
    /// There are findings of severity error.
    Findings,
    /// It was called wrongly, or something failed.
    Failed,
    /// It was interrupted.
    Interrupted,
}

impl Exit {
    /// The exit code.
    pub const fn code(self) -> i32 {
        match self {
            Self::Fine => 0,
            Self::Findings => 1,
            Self::Failed => 2,
            // As a shell reports a program that SIGINT has ended.
            Self::Interrupted => 130,
        }
    }
}
