//! A trace is text, and can be replayed.

use super::action::{Action, parse};
use super::scenario::{Scenario, What};
use super::search::replay;
use super::{NEXTVAL, as_node};

/// Node 2 is not set up.
fn scenario() -> Scenario {
    Scenario::new(2, &[NEXTVAL], 1).draws(&[2, 2]).then(0, What::SetUp(as_node((1, 2))), &[])
}

#[test]
fn a_trace_from_text_leads_to_its_fault_again() {
    let trace = "step node 1  # set up
        draw node 1 session 1 sequence 1
        # nobody has set node 2 up
        draw node 2 session 1 sequence 1";
    let (fault, listing) = replay(&scenario(), trace).unwrap();
    assert_eq!(fault.unwrap().0, "value 1 is handed out twice");
    assert!(listing.contains("INCREMENT BY 2 START WITH 1 RESTART WITH 1"), "{listing}");
    assert_eq!(parse(&listing).unwrap().len(), 3, "with its remarks it is a trace again");
    let (fault, _) = replay(&scenario(), trace.rsplit_once('\n').unwrap().0).unwrap();
    assert_eq!(fault, None);
}

#[test]
fn an_impossible_event_is_not_a_trace() {
    assert!(replay(&scenario(), "step node 2").unwrap_err().contains("cannot happen"));
    assert!(replay(&scenario(), "jump node 2").unwrap_err().contains("no action"));
    assert!(replay(&scenario(), "draw node one session 1 sequence 1").is_err());
}

#[test]
fn every_action_has_a_text() {
    let actions = [
        Action::Draw { node: 0, session: 1, sequence: 2 },
        Action::End { node: 1, session: 0 },
        Action::Insert { node: 0, sequence: 1, value: -7 },
        Action::Deliver { from: 0, to: 2, sequence: 0, value: 5 },
        Action::Crash { node: 1, ahead: 2 },
        Action::Setval { node: 2, sequence: 0 },
        Action::Ship { node: 0 },
        Action::Step { node: 2 },
    ];
    let text: String = actions.iter().map(|action| format!("{action}\n")).collect();
    assert_eq!(parse(&text).unwrap(), actions);
}
