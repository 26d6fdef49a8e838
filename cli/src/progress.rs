//! Progress bars, one for each node, on stderr.

use std::io::IsTerminal;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::printable::printable;

/// The bars of all nodes. If stderr is no terminal, there are lines instead.
pub struct Bars {
    all: MultiProgress,
    is_terminal: bool,
    width: usize,
}

/// The bar of a node.
pub struct Bar {
    bar: ProgressBar,
    node: String,
    is_terminal: bool,
}

impl Bars {
    /// No bar yet. The names of nodes are aligned.
    pub fn new<'a>(nodes: impl Iterator<Item = &'a str>) -> Self {
        let width = nodes.map(str::len).max().unwrap_or(0);
        Self { all: MultiProgress::new(), is_terminal: std::io::stderr().is_terminal(), width }
    }

    /// Adds a bar.
    pub fn add(&self, node: &str) -> Bar {
        let bar = self.all.add(ProgressBar::new(0));
        let style = ProgressStyle::with_template("{prefix} [{bar:30}] {pos} of {len} sequences {msg}");
        if let Ok(style) = style {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(format!("{node:width$}", width = self.width));
        Bar { bar, node: node.to_owned(), is_terminal: self.is_terminal }
    }
}

impl Bar {
    /// Shows how many of the sequences are done, and the one that is waited for.
    pub fn set(&self, total: u64, done: u64, waits_for: Option<&str>) {
        self.bar.set_length(total);
        self.bar.set_position(done);
        let message = waits_for.map(|sequence| format!("waits for {}", printable(sequence)));
        self.bar.set_message(message.unwrap_or_default());
    }

    /// Ends with a word about the result.
    pub fn finish(&self, result: &str) {
        if self.is_terminal {
            self.bar.abandon_with_message(printable(result).into_owned());
        } else {
            eprintln!("node \"{}\": {}", self.node, printable(result));
        }
    }
}
