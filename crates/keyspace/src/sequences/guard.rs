//! The guard of a column: which columns can have one, and its error for an id outside the node's
//! class.

use super::block::Blocks;
use super::class::Class;
use super::direction::Share;
use super::sequence::{Draw, Sequence};
use crate::error::{Error, SqlState};
use crate::sql::in_message;

/// What a guard does with an id of another node's class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Raises an error.
    Refuse,
    /// Raises a warning and lets the row pass.
    Warn,
}

impl Mode {
    /// The mode with this name.
    ///
    /// # Errors
    /// 22023 for any other name.
    pub fn parse(name: &str) -> Result<Self, Error> {
        match name {
            "refuse" => Ok(Self::Refuse),
            "warn" => Ok(Self::Warn),
            _ => Err(Error::new(SqlState::InvalidParameterValue, format!("unknown mode \"{name}\""))
                .hint("Valid modes are \"refuse\" and \"warn\".")),
        }
    }

    /// Its name in SQL.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Warn => "warn",
        }
    }
}

/// A guard, as the arguments of its trigger describe it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard {
    /// What it does with an id of another node.
    pub mode: Mode,
    /// The blocks that ids come from; `None` if each id is of the class itself.
    pub blocks: Option<Blocks>,
}

impl Guard {
    /// The arguments of its trigger.
    pub fn arguments(self) -> Vec<String> {
        let blocks = self.blocks.map(Blocks::arguments);
        [self.mode.name().to_owned()].into_iter().chain(blocks.into_iter().flatten()).collect()
    }

    /// The guard with these arguments; `None` if they are not those of a guard.
    pub fn of_arguments(arguments: &[&str]) -> Option<Self> {
        let (mode, blocks) = match arguments {
            [mode] => (mode, None),
            [mode, size, origin, counting] => (mode, Some(Blocks::of_arguments(size, origin, counting)?)),
            _ => return None,
        };
        Some(Self { mode: Mode::parse(mode).ok()?, blocks })
    }

    /// A few words, the same as in the documentation.
    pub fn name(self) -> String {
        let mode = self.mode.name();
        self.blocks.map_or_else(|| mode.to_owned(), |blocks| format!("{mode}, {}", blocks.name()))
    }

    /// Whether this node may insert an id.
    pub fn accepts(self, class: Class, id: i64) -> bool {
        self.blocks.map_or_else(|| class.contains(id), |blocks| blocks.contain(class, id))
    }
}

/// Why a column must not be guarded: its ids may be of any class without being wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unguardable {
    /// The sequence has not been moved into its class.
    NotSetUp,
    /// The sequence has a custom increment, from which the application makes ids.
    OwnIncrement(i64),
    /// Several sequences feed it, and the values of one stand for blocks of other ids.
    OtherBlocks,
    /// The default names another node.
    OtherNode {
        /// The node in the default.
        node: i32,
        /// The number of nodes in the default.
        nodes: i32,
    },
    /// The default computes with the sequence's value.
    Computed,
    /// Only the default connects the column with the sequence, and the table's owner lacks privilege
    /// from the sequence.
    NotAllowed,
}

impl Unguardable {
    /// Why a column that draws from a sequence in this way must not be guarded; `None` if it can
    /// be.
    ///
    /// If a sequence has the step of the class but gives values of another class (`setval`, a
    /// restore), its column can be guarded. This is the case that the guard is for.
    pub fn of(sequence: &Sequence, draw: Draw, class: Class) -> Option<Self> {
        match draw {
            Draw::OfThisNode => None,
            Draw::OfNode { node, nodes } => {
                let is_own = class.node() == node && class.nodes() == nodes;
                (!is_own).then_some(Self::OtherNode { node, nodes })
            }
            Draw::Other => Some(Self::Computed),
            Draw::NotAllowed => Some(Self::NotAllowed),
            Draw::Nextval => match Share::of(sequence, class, false) {
                None => Some(Self::OwnIncrement(sequence.increment)),
                Some(share) => {
                    let steps = i128::from(sequence.increment).abs() == share.step();
                    (!steps).then_some(Self::NotSetUp)
                }
            },
        }
    }

    /// A few words, the same as in the documentation.
    pub fn name(self) -> String {
        match self {
            Self::NotSetUp => "sequence not set up".to_owned(),
            Self::OwnIncrement(increment) => format!("custom increment {increment}"),
            Self::OtherBlocks => "sequences with other blocks".to_owned(),
            Self::OtherNode { node, nodes } => format!("default of node {node} of {nodes}"),
            Self::Computed => "computed default".to_owned(),
            Self::NotAllowed => "owner lacks privilege".to_owned(),
        }
    }

    /// The reason, as a sentence.
    pub fn detail(self, sequence: &str) -> String {
        let sequence = in_message(sequence);
        match self {
            Self::NotSetUp => format!("Sequence {sequence} generates values of every class."),
            Self::OwnIncrement(increment) => format!(
                "Sequence {sequence} has an increment of {increment}, and ids that an application derives from its values may be of any class."
            ),
            Self::OtherBlocks => format!(
                "The values of sequence {sequence} and of another one that feeds the column stand for blocks of different ids."
            ),
            Self::OtherNode { node, nodes } => format!(
                "The default takes the values of sequence {sequence} for node {node} of {nodes}, so every id would be refused."
            ),
            Self::Computed => {
                format!("The default is computed from the value of sequence {sequence}.")
            }
            Self::NotAllowed => {
                format!("The owner of the table has no privilege to call nextval() on sequence {sequence}.")
            }
        }
    }

    /// What to do about it.
    pub const fn hint(self) -> &'static str {
        match self {
            Self::NotSetUp => "Call setup_interleaved_sequences() first, or exclude the table.",
            Self::OwnIncrement(_) => {
                "Call setup_interleaved_sequences() with blocks => true first, or exclude the table."
            }
            Self::OtherBlocks => "Leave the table out.",
            Self::OtherNode { .. } => {
                "Use partitioned_nextval(sequence) without a node, or exclude the table."
            }
            Self::Computed => "Exclude the table.",
            Self::NotAllowed => {
                "If the ids of the table come from the sequence, GRANT USAGE ON SEQUENCE to the owner of the table. Otherwise exclude the table."
            }
        }
    }
}

/// The column that a guard checks.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// `schema.table`.
    pub table: &'a str,
    /// The column.
    pub column: &'a str,
}

/// The error for an id that this node may not insert.
pub fn violation(place: Place<'_>, value: &str, guard: Guard, class: Class) -> Error {
    let Place { table, column } = place;
    let (node, nodes) = (class.node(), class.nodes());
    let whose = match (guard.blocks, class.node_of_decimal(value)) {
        (Some(_), Some(_)) => "belongs to a block of another node".to_owned(),
        (None, Some(owner)) => format!("belongs to node {owner}"),
        (_, None) => "does not belong to any node".to_owned(),
    };
    let error = Error::new(
        SqlState::CheckViolation,
        format!(
            "value {value} of column \"{column}\" of table \"{table}\" {whose}, but this is node {node} of {nodes}"
        ),
    );
    if let Some(blocks) = guard.blocks {
        return error
            .detail(format!(
                "Rows inserted on this node must have ids from its blocks of {} ids. Rows of other nodes arrive by replication.",
                blocks.size()
            ))
            .hint(blocks_hint(blocks.size()));
    }
    error.detail("Rows inserted on this node must have ids of its class. Rows of other nodes arrive by replication.")
    .hint(format!(
        "Let the sequence generate the id. If it has generated this one, call \
         setup_interleaved_sequences({node}, {nodes}) to move it back into its class. If it leaves its class again, first stop what sets it \
         (Bucardo with sequences, a loader, setval()). To copy rows of another node, SET session_replication_role = replica, or call \
         unguard_interleaved_sequences()."
    ))
}

/// What to set in applications that take blocks of ids (fault B08).
pub fn blocks_hint(size: u64) -> String {
    format!(
        "In the application, leave the size of a block at {size}, whatever the increment of the sequence is: in Hibernate, \
         allocationSize = {size} and hibernate.id.sequence.increment_size_mismatch_strategy = none, never fix."
    )
}

/// The error for a guarded table in a database that is not a node.
pub fn no_node(place: Place<'_>) -> Error {
    Error::new(
        SqlState::ObjectNotInPrerequisiteState,
        format!(
            "column \"{}\" of table \"{}\" is guarded, but this database has not been set up as a node",
            place.column, place.table
        ),
    )
    .detail("No node is stored for this server and database. It may be a copy of another database.")
    .hint("If this database replaces the other, call confirm_interleaved_node(). Otherwise call setup_interleaved_sequences(node, nodes) to make it a node, or unguard_interleaved_sequences().")
}

impl Class {
    /// The node, from 1, to whose class a decimal number in PostgreSQL's notation belongs; `None`
    /// if it is not a whole number.
    pub fn node_of_decimal(self, number: &str) -> Option<i64> {
        let (is_negative, digits) = match number.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, number),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() || fraction.bytes().any(|digit| digit != b'0') {
            return None;
        }
        let nodes = i64::from(self.nodes());
        let remainder = whole.bytes().try_fold(0, |remainder, digit| {
            digit.is_ascii_digit().then(|| (remainder * 10 + i64::from(digit - b'0')) % nodes)
        })?;
        Some(self.node_of(if is_negative { -remainder } else { remainder }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::super::block::Counting;
    use super::super::number_type::NumberType;
    use super::super::sequence::Former;
    use super::*;
    use proptest::prelude::*;

    fn class(node: i32, nodes: i32) -> Class {
        Class::new(node, nodes).expect("a class")
    }

    fn sequence(increment: i64) -> Sequence {
        Sequence {
            name: "public.orders_id_seq".to_owned(),
            number_type: NumberType::Bigint,
            start: 2,
            increment,
            min_value: 1,
            max_value: i64::MAX,
            cycle: false,
            unlogged: false,
            replicated: None,
            last_value: 10,
            is_called: true,
            former: None,
            history: vec![],
            promoted: false,
            gap_left: 0,
            trusted: None,
            elsewhere: vec![],
            columns: Vec::new(),
            used_by: Vec::new(),
        }
    }

    fn why(sequence: &Sequence, draw: Draw) -> Option<String> {
        Unguardable::of(sequence, draw, class(2, 2)).map(Unguardable::name)
    }

    #[test]
    fn a_column_with_ids_of_the_class_can_be_guarded() {
        assert_eq!(why(&sequence(2), Draw::Nextval), None);
        assert_eq!(why(&sequence(-2), Draw::Nextval), None);
        assert_eq!(why(&sequence(1), Draw::OfThisNode), None);
        assert_eq!(why(&sequence(50), Draw::OfThisNode), None);
        assert_eq!(why(&sequence(1), Draw::OfNode { node: 2, nodes: 2 }), None);
    }

    #[test]
    fn trap_s12_a_sequence_that_has_left_its_class_is_what_the_guard_is_for() {
        assert_eq!(why(&Sequence { last_value: 7, ..sequence(2) }, Draw::Nextval), None);
        assert_eq!(why(&Sequence { start: 1, last_value: 7, ..sequence(2) }, Draw::Nextval), None);
    }

    #[test]
    fn a_column_that_may_get_any_id_is_not_guarded() {
        assert_eq!(why(&sequence(1), Draw::Nextval).expect("a reason"), "sequence not set up");
        assert_eq!(why(&sequence(50), Draw::Nextval).expect("a reason"), "custom increment 50");
        let other = Draw::OfNode { node: 1, nodes: 2 };
        assert_eq!(why(&sequence(2), other).expect("a reason"), "default of node 1 of 2");
        assert_eq!(why(&sequence(2), Draw::Other).expect("a reason"), "computed default");
        let former = Former { increment: 50, start: 1, min_value: 1, max_value: i64::MAX };
        let blocks = Sequence { former: Some(former), ..sequence(100) };
        assert_eq!(why(&blocks, Draw::Nextval), None);
        assert_eq!(
            Blocks::of(&blocks, class(2, 2)).expect("blocks").name(),
            "blocks of 50 counted up or down"
        );
    }

    #[test]
    fn the_error_names_value_column_and_node() {
        let place = Place { table: "shop.orders", column: "id" };
        let plain = Guard { mode: Mode::Refuse, blocks: None };
        let error = violation(place, "7", plain, class(2, 2));
        assert_eq!(error.sqlstate.code(), "23514");
        assert_eq!(
            error.message,
            "value 7 of column \"id\" of table \"shop.orders\" belongs to node 1, but this is node 2 of 2"
        );
        assert!(error.hint.expect("a hint").contains("setup_interleaved_sequences(2, 2)"));
        assert!(violation(place, "1.5", plain, class(2, 2)).message.contains("does not belong to any node"));
        let blocks = Guard { blocks: Blocks::through(1, 50, Counting::Down), ..plain };
        let error = violation(place, "2", blocks, class(2, 2));
        assert!(error.message.contains("belongs to a block of another node"), "{error}");
        assert!(error.hint.expect("a hint").contains("allocationSize = 50"));
        assert_eq!(no_node(place).sqlstate.code(), "55000");
    }

    #[test]
    fn only_whole_decimals_have_a_class() {
        let class = class(1, 3);
        for (number, node) in [
            ("0", Some(3)),
            ("7", Some(1)),
            ("7.000", Some(1)),
            ("-2", Some(1)),
            ("-2.0", Some(1)),
            ("100000000000000000000000000000000001", Some(2)),
            ("7.5", None),
            ("NaN", None),
            ("Infinity", None),
            ("-Infinity", None),
            ("", None),
        ] {
            assert_eq!(class.node_of_decimal(number), node, "{number}");
        }
    }

    #[test]
    fn guards_travel_as_arguments_of_a_trigger() {
        for mode in [Mode::Refuse, Mode::Warn] {
            for blocks in [None, Blocks::through(1, 50, Counting::Up)] {
                let guard = Guard { mode, blocks };
                let arguments = guard.arguments();
                let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                assert_eq!(Guard::of_arguments(&arguments), Some(guard));
            }
        }
        for arguments in [&[][..], &["Refuse"], &["refuse", "50"], &["refuse", "1", "0", "up"]] {
            assert_eq!(Guard::of_arguments(arguments), None, "{arguments:?}");
        }
    }

    #[test]
    fn modes_have_names() {
        for mode in [Mode::Refuse, Mode::Warn] {
            assert_eq!(Mode::parse(mode.name()), Ok(mode));
        }
        assert_eq!(Mode::parse("Refuse").expect_err("refused").sqlstate.code(), "22023");
    }

    proptest! {
        #[test]
        fn decimals_and_integers_are_of_the_same_node(value: i64, nodes in 2..=65_535_i32) {
            let class = class(1, nodes);
            prop_assert_eq!(class.node_of_decimal(&value.to_string()), Some(class.node_of(value)));
        }
    }
}
