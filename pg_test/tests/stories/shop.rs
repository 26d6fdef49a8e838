//! Two servers, on which a page is followed.

use std::process::{Command, Stdio};

use pg_test::replication::Method;
use pg_test::{InstallTree, Server};
use postgres::Client;

use crate::page::{Only, Step, steps};

/// The database that pages call so.
const DATABASE: &str = "shop";

pub struct Shop {
    servers: [Server; 2],
    method: Method,
}

impl Shop {
    pub fn start() -> Self {
        let tree = InstallTree::from_environment().unwrap();
        let method = Method::of(&tree).unwrap();
        let mut settings = method.settings(&tree).unwrap();
        settings.push("max_prepared_transactions = 0");
        let servers = ["one", "two"].map(|name| {
            let server = Server::start(&tree, name, &settings).unwrap();
            server.connect("postgres").unwrap().batch_execute("CREATE DATABASE shop").unwrap();
            server
        });
        Self { servers, method }
    }

    fn server(&self, number: usize) -> &Server {
        &self.servers[number - 1]
    }

    pub fn connect(&self, number: usize) -> Client {
        self.server(number).connect(DATABASE).unwrap()
    }

    /// The one value of a query, as text.
    pub fn query(&self, number: usize, query: &str) -> String {
        let query = format!("SELECT ({query})::text");
        self.connect(number).query_one(&query, &[]).unwrap().get(0)
    }

    pub fn wait(&self) {
        self.method.wait_until_applied(&self.servers.each_ref(), DATABASE).unwrap();
    }

    /// Does all that a page says.
    pub fn follow(&self, page: &str) {
        for step in steps(page) {
            match step {
                Step::Sql { only: Some(Only::Native), .. } if self.method != Method::Native => {}
                Step::Sql { only: Some(Only::Pglogical), .. } if self.method != Method::Pglogical => {}
                Step::Sql { servers, commands, printed, .. } => {
                    for server in servers {
                        let output = self.psql(server, &commands);
                        for printed in &printed {
                            assert!(
                                contains(&output, printed),
                                "{commands}\nprints:\n{output}\nnot:\n{printed}"
                            );
                        }
                    }
                }
                Step::Shell(text) => self.shell(&text),
                Step::Replicate => self.method.connect_all(&self.servers.each_ref(), DATABASE).unwrap(),
                Step::Wait => self.wait(),
            }
        }
    }

    /// The names of servers on the page, replaced by where they are.
    fn addressed(&self, text: &str) -> String {
        (1..=2).fold(text.to_owned(), |text, number| {
            text.replace(&format!("host=server{number} dbname=shop"), &self.server(number).conninfo(DATABASE))
        })
    }

    fn psql(&self, number: usize, commands: &str) -> String {
        let mut psql = self.server(number).tree().command("psql");
        psql.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"])
            .arg(self.server(number).conninfo(DATABASE));
        run(psql, &self.addressed(commands))
    }

    fn shell(&self, text: &str) {
        let tree = self.servers[0].tree();
        let programs = tree.command("psql").get_program().to_owned();
        let programs = std::path::Path::new(&programs).parent().unwrap().display().to_string();
        let path = format!("{programs}:{}", std::env::var("PATH").unwrap());
        let mut shell = tree.run().command(std::path::Path::new("/bin/sh"));
        shell.env("PATH", path).args(["-e", "-s"]);
        run(shell, &self.addressed(text));
    }
}

/// Gives a program its input, and returns what it prints.
fn run(mut command: Command, input: &str) -> String {
    use std::io::Write;
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !errors.contains("ERROR"), "{input}\n{errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Whether lines are printed one after the other, apart from the spaces at their ends.
fn contains(output: &str, printed: &str) -> bool {
    let output: Vec<&str> = output.lines().map(str::trim_end).collect();
    let printed: Vec<&str> = printed.lines().map(str::trim_end).collect();
    output.windows(printed.len()).any(|lines| lines == printed)
}
