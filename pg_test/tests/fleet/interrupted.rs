//! Ctrl-C and worse, at any moment: another call goes on.

use std::process::Child;

use pg_test::Server;

use crate::program::{DATABASE, Ended, Program, class, findings, insert, start, value, wait_until};

/// Presses Ctrl-C.
pub fn interrupt(child: &Child) {
    signal(child, nix::sys::signal::Signal::SIGINT);
}

pub fn signal(child: &Child, signal: nix::sys::signal::Signal) {
    let process = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(process, signal).unwrap();
}

/// Statements of the program that run on a server.
pub fn running(server: &Server) -> i64 {
    value(
        server,
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pg_keyspace' AND state = 'active'
         AND query LIKE 'CALL%'",
    )
}

#[test]
fn an_interrupt_while_nodes_are_observed_leaves_them_as_they_were() {
    let servers = ["one", "two"].map(start);
    for server in &servers {
        insert(&mut server.connect(DATABASE).unwrap(), 5);
    }
    let program = Program::of(&[&servers[0], &servers[1]]);
    let child = program.begin(&["setup", "--observe", "600"]);
    wait_until("the beginning of the run", || program.log().exists());
    wait_until("the plan", || std::fs::read_to_string(program.log()).unwrap().contains("begin"));
    interrupt(&child);
    let ended = Ended::of(child.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(130), "{}", ended.stderr);
    assert!(ended.stderr.contains("Call it again with the same arguments"), "{}", ended.stderr);
    assert_eq!(servers.each_ref().map(class), ["", ""]);
    // Something else has to wait for it, or gives it up.
    let other = program.expect(2, &["split", "one"]);
    other.assert_error("an interrupted \"setup\" has not been finished");
    let result = program.json(0, &["setup", "--observe", "2"]);
    assert_eq!(result["goes_on"], true);
    assert_eq!(servers.each_ref().map(class), ["1 of 2", "2 of 2"]);
}

/// A writer holds a sequence, so that the batches wait for it. The program is interrupted, or
/// killed, and the next call does what is left.
#[test]
fn a_set_up_that_was_interrupted_in_the_middle_goes_on() {
    use nix::sys::signal::Signal;
    for (end, code) in [(Signal::SIGINT, Some(130)), (Signal::SIGTERM, Some(130)), (Signal::SIGKILL, None)] {
        let servers = ["one", "two"].map(start);
        let mut writer = servers[1].connect(DATABASE).unwrap();
        writer.batch_execute("BEGIN; INSERT INTO item DEFAULT VALUES").unwrap();
        let program = Program::of(&[&servers[0], &servers[1]]);
        let child = program.begin(&["setup", "--observe", "2"]);
        wait_until("the set-up", || class(&servers[1]) == "2 of 2" && running(&servers[1]) > 0);
        signal(&child, end);
        let ended = Ended::of(child.wait_with_output().unwrap());
        assert_eq!(ended.code, code, "{}", ended.stderr);
        if code.is_some() {
            wait_until("the cancellation", || running(&servers[1]) == 0);
        }
        writer.batch_execute("COMMIT").unwrap();
        let result = program.json(0, &["setup", "--observe", "2"]);
        assert_eq!(result["goes_on"], true);
        assert_eq!(findings(&result["check"]), Vec::<String>::new());
        assert_eq!(servers.each_ref().map(class), ["1 of 2", "2 of 2"]);
        // Nothing is left to go on with.
        assert_eq!(program.json(0, &["setup"])["goes_on"], false);
    }
}

/// The program ends after the split and before the log says so: the class is not split once more.
#[test]
fn a_split_that_was_interrupted_is_not_repeated() {
    let servers = ["one", "two", "three"].map(start);
    let [one, two, three] = &servers;
    let program = Program::of(&[one, two]);
    program.expect(0, &["setup"]);
    program.expect(0, &["split", "one"]);
    assert_eq!(class(one), "1 of 4");
    let log = std::fs::read_to_string(program.log()).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    let begin = lines.iter().rposition(|line| line.contains("begin")).unwrap();
    let cut: String = lines.iter().take(begin + 1).map(|line| format!("{line}\n")).collect();
    std::fs::write(program.log(), cut).unwrap();
    let refused = program.expect(2, &["setup"]);
    refused.assert_error("an interrupted \"split\" has not been finished");
    let result = program.json(0, &["split", "one"]);
    assert_eq!(result["goes_on"], true);
    assert_eq!(class(one), "1 of 4");
    // The same in the middle of add-node, in a log of its own.
    let program = Program::of(&[one, two, three]);
    program.expect(0, &["add-node", "three", "--split", "two"]);
    assert_eq!([one, two, three].map(class), ["1 of 4", "2 of 4", "4 of 4"]);
    let log = std::fs::read_to_string(program.log()).unwrap();
    std::fs::write(program.log(), format!("{}\n", log.lines().next().unwrap())).unwrap();
    assert_eq!(program.json(0, &["add-node", "three", "--split", "two"])["goes_on"], true);
    assert_eq!([one, two, three].map(class), ["1 of 4", "2 of 4", "4 of 4"]);
}
