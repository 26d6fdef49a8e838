//! Arguments of `lint`.

use clap::Args;

/// Arguments of `lint`.
#[derive(Args, Debug)]
pub struct LintArguments {
    /// Also show findings of severity info
    #[arg(long)]
    pub all: bool,

    /// Leave a check out; may be repeated
    #[arg(long, value_name = "CHECK")]
    pub ignore: Vec<String>,

    /// The number of classes for which the time left is computed [default: that of the nodes that
    /// are set up, or the number of nodes, at least 2]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i32).range(2..=65_535))]
    pub classes: Option<i32>,

    /// Also measure for so many seconds how fast ids are used, besides the average of the past; a
    /// minute or more, because the load of a moment is taken for that of all days to come
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(10..=86_400))]
    pub observe: Option<u64>,
}
