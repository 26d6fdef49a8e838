//! The document, and the refusals. The rules are searched in `tests/migration_nodes`.

#![allow(clippy::unwrap_used)]

use super::rules::Own;
use super::{
    Form, LocalWrite, NodeState, NodeStep, Position, Progress, Refusal, check, check_confirmed, local_write,
};
use crate::error::SqlState;

fn state(node: i32) -> NodeState {
    let other = 3 - node;
    NodeState {
        version: 1,
        node,
        nodes: vec![1, 2],
        system_identifier: i64::from(node) * 100,
        timeline: 1,
        database_oid: 5,
        agreement: "ab12".to_owned(),
        position: Position(0x1_0000_0010),
        clock: 1_000_000,
        progress: Progress::default(),
        slots: [(format!("to_{other}"), Position(16)), ("of_others".to_owned(), Position(1))].into(),
        receives_from: vec![format!("to_{node}")],
        seen: [(other, Position(8))].into(),
    }
}

#[test]
fn a_position_is_a_pg_lsn() {
    assert_eq!("1/10".parse(), Ok(Position(0x1_0000_0010)));
    assert_eq!(Position(0x1_0000_0010).to_string(), "1/10");
    for text in ["", "1", "/", "1/", "/1", "1/+1", "1/1/1", "100000000/0", "x/0"] {
        assert!(text.parse::<Position>().is_err(), "{text}");
    }
}

#[test]
fn a_document_is_read_as_it_was_written() {
    let mut state = state(1);
    state.progress = Progress::default()
        .after(NodeStep::Change(Form::OldIds), Position(2), 7)
        .after(NodeStep::Mark, Position(3), 8)
        .after(NodeStep::Fill, Position(4), 9)
        .after(NodeStep::Compare, Position(5), 10)
        .after(NodeStep::Close, Position(6), 11)
        .after(NodeStep::Withdraw, Position(7), 12);
    assert_eq!(NodeState::from_json(&state.to_json()).unwrap(), state);
}

#[test]
fn a_document_that_is_none_is_refused() {
    let good = state(1).to_json();
    let long = format!("{good}{}", " ".repeat(super::state::LONGEST));
    let other_version = good.replacen("\"version\":1", "\"version\":2", 1);
    let more = good.replacen('{', "{\"more\":1,", 1);
    let no_position = good.replacen("1/10", "1", 1);
    for json in ["", "null", "[]", "{}", &long, &other_version, &more, &no_position] {
        let error = NodeState::from_json(json).unwrap_err();
        assert_eq!(error.sqlstate, SqlState::InvalidParameterValue);
    }
}

#[test]
fn a_drain_is_measured_by_the_slot_of_the_node() {
    let peer = state(2).as_peer_of(&state(1));
    assert_eq!((peer.arrived, peer.seen), (Some(Position(16)), Some(Position(8))));
    let mut without = state(1);
    without.receives_from = vec!["elsewhere".to_owned()];
    assert_eq!(state(2).as_peer_of(&without).arrived, None);
    // If it has several, the slowest counts.
    let mut two = state(2);
    two.slots.insert("to_1_too".to_owned(), Position(3));
    let mut own = state(1);
    own.receives_from.push("to_1_too".to_owned());
    assert_eq!(two.as_peer_of(&own).arrived, Some(Position(3)));
}

#[test]
fn a_state_of_another_migration_or_database_is_refused() {
    let own = state(1);
    let refusal = |change: fn(&mut NodeState), known: Option<&NodeState>| {
        let mut peer = state(2);
        change(&mut peer);
        own.check_peer(&peer, known).map_err(|error| error.message)
    };
    let known = state(2);
    assert_eq!(refusal(|_| {}, None), Ok(()));
    assert_eq!(refusal(|_| {}, Some(&known)), Ok(()));
    let says = |text: &str| Err(text.to_owned());
    assert_eq!(refusal(|peer| peer.node = 1, None), says("the state of node 1 is this node's own"));
    // Two nodes that were one server before.
    assert_eq!(refusal(|peer| peer.system_identifier = 100, None), Ok(()));
    assert_eq!(
        refusal(|peer| peer.nodes = vec![1, 2, 3], None),
        says("node 2 migrates the key on other nodes than this one")
    );
    assert_eq!(refusal(|peer| peer.node = 4, None), says("node 4 is not one of the nodes of the migration"));
    assert_eq!(
        refusal(|peer| peer.agreement.clear(), None),
        says("node 2 would give rows other keys than this node")
    );
    assert_eq!(
        refusal(|peer| peer.database_oid = 6, Some(&known)),
        says("node 2 is another database than before")
    );
    assert_eq!(
        refusal(|peer| peer.position = Position(1), Some(&known)),
        says("a newer state of node 2 is already known")
    );
    assert_eq!(refusal(|peer| peer.timeline = 2, Some(&known)), says("node 2 has been promoted since"));
}

#[test]
fn a_node_is_removed_only_if_it_is_cut_off() {
    let (mut own, peer) = (state(1), state(2));
    let detail = |own: &NodeState| own.check_removal(2, Some(&peer)).unwrap_err().detail.unwrap();
    let message = |own: &NodeState, node| own.check_removal(node, None).unwrap_err().message;
    assert_eq!(message(&own, 1), "node 1 is this node itself");
    assert_eq!(message(&own, 3), "node 3 is not one of the nodes of the migration");
    assert_eq!(own.check_removal(2, None), Ok(()));
    assert_eq!(detail(&own), "It receives from replication slot \"to_2\" of this node.");
    own.slots.remove("to_2");
    assert_eq!(detail(&own), "This node has a subscription to its replication slot \"to_1\".");
    own.receives_from.clear();
    assert_eq!(own.check_removal(2, Some(&peer)), Ok(()));
}

#[test]
fn a_node_is_refused_what_another_is_not_ready_for() {
    let (own, mut peer) = (state(1), state(2));
    let refusal = |step, progress: Progress, peers: &[&NodeState]| {
        let peers: Vec<_> = peers.iter().map(|peer| peer.as_peer_of(&own)).collect();
        let own = Own { node: 1, nodes: &own.nodes, progress, clock: own.clock };
        check(step, &own, &peers).map_err(|refusal| refusal.error(1, step))
    };
    let new = Progress::default();
    let detail = |result: Result<(), crate::Error>| result.unwrap_err().detail.unwrap();
    let prepare = NodeStep::Change(Form::OldIds);
    assert_eq!(detail(refusal(prepare, new, &[])), "The state of node 2 is not known.");
    assert_eq!(refusal(prepare, new, &[&peer]), Ok(()));
    assert_eq!(detail(refusal(NodeStep::Change(Form::Keys), new, &[&peer])), "Its tables are not prepared.");
    let prepared = new.after(prepare, Position(4), 1_000);
    assert_eq!(detail(refusal(NodeStep::Mark, prepared, &[&peer])), "Node 2 is not prepared.");
    assert_eq!(
        detail(refusal(NodeStep::Fill, prepared, &[&peer])),
        "Node 1 has not taken in the states of all nodes since they are prepared."
    );
    // Its clock is ahead.
    peer.progress = new.after(prepare, Position(4), 1_004_000);
    let error = refusal(NodeStep::Mark, prepared, &[&peer]).unwrap_err();
    assert_eq!(error.sqlstate, SqlState::ObjectNotInPrerequisiteState);
    assert_eq!(error.message, "node 1 cannot note its position now");
    assert_eq!(error.detail.as_deref(), Some("Its clock is 5 ms behind that of node 2."));
    assert_eq!(error.hint.as_deref(), Some("Try again in a moment."));
    peer.progress = new.after(prepare, Position(4), 1_000);
    assert_eq!(refusal(NodeStep::Mark, prepared, &[&peer]), Ok(()));
    let marked = prepared.after(NodeStep::Mark, Position(5), 2_000);
    peer.progress = peer.progress.after(NodeStep::Mark, Position(0x20), 2_000);
    assert_eq!(
        detail(refusal(NodeStep::Fill, marked, &[&peer])),
        "Changes of node 2 up to 0/20 must have arrived. They have arrived up to 0/10."
    );
    peer.slots.insert("to_1".to_owned(), Position(0x20));
    assert_eq!(refusal(NodeStep::Fill, marked, &[&peer]), Ok(()));
    peer.seen.clear();
    assert_eq!(
        detail(refusal(NodeStep::Fill, marked, &[&peer])),
        "Node 2 does not know the present state of this node."
    );
    peer.slots.clear();
    assert_eq!(
        detail(refusal(NodeStep::Fill, marked, &[&peer])),
        "No subscription receives the changes of node 2."
    );
    assert_eq!(detail(refusal(NodeStep::Compare, marked, &[&peer])), "Rows of node 1 have no key yet.");
    let cut_over = NodeStep::Change(Form::Keys);
    assert_eq!(detail(refusal(cut_over, marked, &[&peer])), "The rows of node 1 have not been compared.");
    let compared = Progress { compared: true, ..marked };
    peer.progress.compared = true;
    let error = refusal(cut_over, compared, &[&peer]).unwrap_err();
    assert_eq!(error.message, "node 1 cannot cut over now");
    assert_eq!(error.detail.as_deref(), Some("Writers on node 2 go on."));
    assert_eq!(
        error.hint.as_deref(),
        Some(
            "Make the writers on node 2 wait, then pass key_migration_node_state() of node 2 to key_migration_add_peers() here."
        )
    );
    assert_eq!(
        detail(refusal(NodeStep::Open, compared, &[&peer])),
        "It has not announced that its writers go on."
    );
    assert_eq!(detail(refusal(NodeStep::Withdraw, compared, &[&peer])), "Its writers do not wait.");
    let closed = compared.after(NodeStep::Close, Position(9), 3_000);
    assert_eq!(detail(refusal(NodeStep::Close, closed, &[&peer])), "Its writers wait already.");
    peer.progress.round = 0;
    assert_eq!(
        detail(refusal(NodeStep::Close, compared, &[&peer])),
        "Node 2 is prepared, which does not fit."
    );
}

#[test]
fn a_change_waits_until_the_others_have_confirmed_the_former_form() {
    let (own, mut peer) = (state(1), state(2));
    let compared = Progress { form: Form::OldIds, round: 1, compared: true, ..Progress::default() };
    peer.progress = compared.after(NodeStep::Close, Position(4), 5);
    let check = |step, progress: Progress, confirmed| {
        check_confirmed(step, &progress, &[(peer.as_peer_of(&own), confirmed)])
    };
    let cut_over = NodeStep::Change(Form::Keys);
    assert_eq!(check(cut_over, compared, Some(Position(9))), Err(Refusal::NotClosedYet));
    let closed = compared.after(NodeStep::Close, Position(6), 7);
    let behind = |confirmed| Err(Refusal::NotConfirmed { node: 2, required: Position(6), confirmed });
    assert_eq!(check(cut_over, closed, None), behind(None));
    assert_eq!(check(cut_over, closed, Some(Position(5))), behind(Some(Position(5))));
    assert_eq!(check(cut_over, closed, Some(Position(6))), Ok(()));
    // It announces that its writers go on, but they still wait: it can follow a node that has changed.
    let withdrawing = closed.after(NodeStep::Withdraw, Position(8), 9);
    assert_eq!(check(cut_over, withdrawing, Some(Position(5))), behind(Some(Position(5))));
    assert_eq!(check(cut_over, withdrawing, Some(Position(6))), Ok(()));
    // Rows that the next form accepts, too, need nothing.
    assert_eq!(check(NodeStep::Change(Form::OldIds), Progress::default(), None), Ok(()));
    // A node that has changed has confirmed it before.
    let before = peer.progress;
    peer.progress = before.after_confirmed(cut_over, Position(10), 11);
    let own_progress = |step, progress| {
        let asking = Own { node: 1, nodes: &own.nodes, progress, clock: own.clock };
        super::check(step, &asking, &[peer.as_peer_of(&own)])
    };
    let error = own_progress(NodeStep::Open, withdrawing).unwrap_err().error(1, NodeStep::Open);
    assert_eq!(
        error.hint.unwrap(),
        "Node 2 relied on the writers of this node. Take the step of node 2 here, too."
    );
    assert_eq!(own_progress(cut_over, withdrawing), Ok(()));
    assert_eq!(check_confirmed(cut_over, &withdrawing, &[(peer.as_peer_of(&own), None)]), Ok(()));
    assert_eq!(check_confirmed(cut_over, &closed, &[(peer.as_peer_of(&own), None)]), Ok(()));
    assert_eq!(peer.progress.entered, Position(4));
    assert_eq!(own.confirmed_by(&peer), Some(Position(16)));
    // And so has this one, even if the slots of the other have forgotten it in a crash.
    peer.slots.values_mut().for_each(|confirmed| *confirmed = Position(1));
    let allowed = |peer: &NodeState| {
        let asking = Own { node: 1, nodes: &own.nodes, progress: closed, clock: own.clock };
        super::check(cut_over, &asking, &[peer.as_peer_of(&own)])
    };
    assert_eq!(allowed(&peer), Ok(()));
    peer.progress = before.after(cut_over, Position(10), 11);
    let behind = Refusal::NotArrived { node: 2, required: Position(4), confirmed: Some(Position(1)) };
    assert_eq!(allowed(&peer), Err(behind));
}

#[test]
fn a_correction_keeps_the_commit_time_of_its_row() {
    assert_eq!(LocalWrite::Fill.commit_time(), local_write::OLD);
    assert_eq!(LocalWrite::Correct { changed_at: None }.commit_time(), local_write::OLD);
    assert_eq!(LocalWrite::Correct { changed_at: Some(7) }.commit_time(), 7);
    // 2000-01-01 is what PostgreSQL takes for "none".
    assert_ne!(local_write::OLD, 946_684_800_000_000);
}
