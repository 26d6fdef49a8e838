//! `--watch`: the same output again and again.

use std::io::IsTerminal;
use std::time::Duration;

use crate::arguments::Watch;
use crate::exit::Exit;
use crate::failure::Result;
use crate::interrupt;
use crate::output::{self, Output};

/// Moves to the upper left corner, and clears the screen.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

/// Does something once, or again and again until the program is interrupted. Watching ends with
/// what was last found.
///
/// # Errors
/// Those of the work. While it is watched, only an interrupt ends it.
pub fn repeat(watch: Watch, output: Output, mut show: impl FnMut() -> Result<Exit>) -> Result<Exit> {
    let Some(seconds) = watch.watch else { return show() };
    let is_screen = !output.json && std::io::stdout().is_terminal();
    let mut last = Exit::Fine;
    loop {
        if is_screen {
            output::print(CLEAR)?;
        }
        last = match show() {
            Ok(exit) => exit,
            Err(failure) if failure.is_interrupt => return Ok(last),
            Err(failure) => {
                eprintln!("{failure}");
                Exit::Failed
            }
        };
        if interrupt::sleep(Duration::from_secs(seconds)).is_err() {
            return Ok(last);
        }
    }
}
