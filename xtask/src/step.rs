//! Headings with the time each step took.

use std::io::{IsTerminal, Write};
use std::time::Instant;

/// A step under way, shown as `==> Title ... 12 s`.
pub struct Step {
    title: String,
    started: Instant,
    own_line: bool,
}

impl Step {
    /// Begins a step that prints nothing itself.
    pub fn quiet(title: impl Into<String>) -> Self {
        let title = title.into();
        print!("==> {title} ...");
        // An error here must not stop the step.
        let _ = std::io::stdout().flush();
        Self { title, started: Instant::now(), own_line: false }
    }

    /// Begins a step whose output follows the heading.
    pub fn verbose(title: impl Into<String>) -> Self {
        let title = title.into();
        println!("==> {title} ...");
        Self { title, started: Instant::now(), own_line: true }
    }

    /// Whole seconds since the step began.
    pub fn seconds(&self) -> u64 {
        self.started.elapsed().as_secs()
    }

    /// Ends the step with the time it took.
    pub fn done(self) {
        self.end("");
    }

    /// Ends the step with a result and the time it took.
    pub fn done_with(self, remark: &str) {
        self.end(&format!("{remark}, "));
    }

    fn end(self, remark: &str) {
        let heading = if self.own_line { format!("==> {} ...", self.title) } else { String::new() };
        println!("{heading} {remark}{} s", self.seconds());
    }
}

/// Whether cargo's own progress bar can be shown.
pub fn on_terminal() -> bool {
    std::io::stderr().is_terminal()
}
