//! A page, as what is to be done in turn.

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Commands for psql, and what it prints, if the page says so.
    Sql { servers: Vec<usize>, only: Option<Only>, commands: String, printed: Vec<String> },
    /// A command for the shell.
    Shell(String),
    /// The servers replicate to each other.
    Replicate,
    /// Wait until all rows have arrived.
    Wait,
}

/// The replication method of which a block is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Only {
    Native,
    Pglogical,
}

/// The steps of a page.
pub fn steps(page: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for (at, part) in page.split("```").enumerate() {
        if at % 2 == 0 {
            for line in part.lines() {
                match line {
                    "<!-- all rows have arrived -->" => steps.push(Step::Wait),
                    "<!-- both servers replicate -->" => steps.push(Step::Replicate),
                    _ => assert!(!line.starts_with("<!--"), "unknown: {line}"),
                }
            }
            continue;
        }
        let (language, text) = part.split_once('\n').unwrap();
        match language {
            "sql" => steps.push(sql(text)),
            "sh" => steps.push(Step::Shell(text.to_owned())),
            "" => match steps.last_mut() {
                Some(Step::Sql { printed, .. }) => printed.push(text.trim_end().to_owned()),
                other => panic!("printed by nothing: {other:?}"),
            },
            other => panic!("unknown language: {other}"),
        }
    }
    steps
}

fn sql(text: &str) -> Step {
    let (first, commands) = text.split_once('\n').unwrap();
    let (servers, only) = match first {
        "-- server 1" => (vec![1], None),
        "-- server 2" => (vec![2], None),
        "-- both servers" => (vec![1, 2], None),
        "-- server 1, PostgreSQL 16 and later" => (vec![1], Some(Only::Native)),
        "-- server 1, pglogical" => (vec![1], Some(Only::Pglogical)),
        other => panic!("where does it run? {other}"),
    };
    Step::Sql { servers, only, commands: commands.to_owned(), printed: Vec::new() }
}
