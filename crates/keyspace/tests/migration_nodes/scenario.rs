//! What happens in a world, and which rule is left out.

use keyspace::migration::nodes::{Form, NodeStep, Position, Progress, Refusal};

use super::world::{NODES, Node, ROWS, Row, Stamp, World};

/// A write of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    Insert(usize),
    Update(usize),
    /// Also changes the time from which a key is derived.
    Move(usize),
    Delete(usize),
}

/// The kind of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Change,
    Mark,
    Fill,
    Compare,
    Close,
    Withdraw,
    Open,
}

impl Kind {
    pub fn of(step: NodeStep) -> Self {
        match step {
            NodeStep::Change(_) => Self::Change,
            NodeStep::Mark => Self::Mark,
            NodeStep::Fill => Self::Fill,
            NodeStep::Compare => Self::Compare,
            NodeStep::Close => Self::Close,
            NodeStep::Withdraw => Self::Withdraw,
            NodeStep::Open => Self::Open,
        }
    }
}

/// A rule that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftOut {
    /// A node notes its position although another one is not prepared.
    PreparedBeforeMark,
    /// A node notes its position although its clock is behind.
    ClockBeforeMark,
    /// Keys are filled before what was sent up to the marks has arrived.
    ArrivalBeforeFill,
    /// The backfill is sent to other nodes.
    Origin,
    /// The backfill has the present as its commit time.
    OldCommitTime,
    /// A corrected row gets an old commit time, as those of the backfill do.
    KeptCommitTime,
    /// Rows are compared while some are on their way. This loses nothing.
    ArrivalBeforeCompare,
    /// A row takes the key with which a change of it arrives.
    KeysStay,
    /// Nodes cut over without a comparison.
    Gate,
    /// A node changes the form although others still write in the present one.
    Closing,
    /// A node changes the form before everything of the present one has arrived.
    ArrivalBeforeChange,
    /// Writers go on after a node was killed.
    LastingClose,
    /// Writers go on before the others have acknowledged that.
    Acknowledgement,
    /// A state is replaced by an older one.
    NewestState,
    /// Rows are identified by old ids until the node is finalized.
    IdentityMoves,
    /// After the cut-over, old ids are the next free ones.
    Interleaved,
}

impl LeftOut {
    /// Whether a refusal is ignored.
    pub fn ignores(self, step: Kind, refusal: Refusal) -> bool {
        match self {
            Self::PreparedBeforeMark => step == Kind::Mark && matches!(refusal, Refusal::NotPrepared { .. }),
            Self::ClockBeforeMark => step == Kind::Mark && matches!(refusal, Refusal::ClockBehind { .. }),
            Self::ArrivalBeforeFill => step == Kind::Fill && matches!(refusal, Refusal::NotArrived { .. }),
            Self::ArrivalBeforeCompare => {
                step == Kind::Compare && matches!(refusal, Refusal::NotArrived { .. })
            }
            Self::Gate => matches!(refusal, Refusal::NotCompared { .. }),
            Self::Closing => step == Kind::Change && matches!(refusal, Refusal::StillWrites { .. }),
            Self::ArrivalBeforeChange => {
                step == Kind::Change && matches!(refusal, Refusal::NotArrived { .. })
            }
            Self::Acknowledgement => matches!(refusal, Refusal::NotSeen { .. }) && step == Kind::Open,
            _ => false,
        }
    }
}

/// A world and what may happen in it.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub world: World,
    /// The forms that the rows of each node have one after the other.
    pub forms: Vec<Form>,
    /// The writes on each node, in this order.
    pub writes: Vec<Vec<Write>>,
    /// How far the clock of each node is ahead.
    pub ahead: [i64; NODES],
    /// Whether the last change that arrives wins, not the one that was made last.
    pub native: bool,
    /// Whether nodes know of each other only what they are told. Otherwise they know everything.
    /// Until the cut-over that makes no difference: what a node has done, it does not undo.
    pub told: bool,
    pub left_out: Option<LeftOut>,
}

/// The number of the last write before the migration.
pub const BEFORE: u8 = 1;

impl Scenario {
    /// Nodes that are not prepared, with one row. They go through these forms.
    pub fn unprepared(forms: &[Form], writes: &[&[Write]]) -> Self {
        let stamp = Stamp { clock: -10, node: 0 };
        let row = Row { write: BEFORE, created: 1, key: None, old_id: 1, stamp };
        let mut rows = [None; ROWS];
        rows[0] = Some(row);
        let mut control = [None; ROWS];
        control[0] = Some((row.write, stamp));
        let node = Node {
            progress: Progress::default(),
            position: 0,
            rows,
            control,
            written: 0,
            sent: Default::default(),
            known: [None; NODES],
            seen: [Position(0); NODES],
            read: None,
        };
        Self {
            world: World { nodes: vec![node; writes.len()], time: 0, kills: 0, withdrawals: 0, aside: None },
            forms: forms.to_vec(),
            writes: writes.iter().map(|writes| writes.to_vec()).collect(),
            ahead: [0; NODES],
            native: false,
            told: false,
            left_out: None,
        }
    }

    /// Nodes whose rows have been compared. They go through these forms, and then on.
    pub fn compared(then: &[Form], writes: &[&[Write]]) -> Self {
        let forms: Vec<Form> = [Form::Unprepared, Form::OldIds].iter().chain(then).copied().collect();
        let mut scenario = Self { told: true, ..Self::unprepared(&forms, writes) };
        for node in &mut scenario.world.nodes {
            node.progress = Progress {
                form: Form::OldIds,
                round: 1,
                entered: Position(1),
                prepared_at: Some(-5),
                mark: Some(Position(2)),
                filled: Some(Position(3)),
                compared: true,
                ..Progress::default()
            };
            node.position = 4;
            node.seen = [Position(1); NODES];
            if let Some(row) = &mut node.rows[0] {
                row.key = Some(row.created);
            }
        }
        scenario
    }

    pub fn without(&self, left_out: LeftOut) -> Self {
        Self { left_out: Some(left_out), ..self.clone() }
    }

    pub fn leaves_out(&self, rule: LeftOut) -> bool {
        self.left_out == Some(rule)
    }
}
