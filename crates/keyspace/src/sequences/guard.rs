//! The guard of a column: which columns can have one, and its error for an id outside the node's
//! class.

use super::class::Class;
use super::direction::Share;
use super::sequence::{Draw, Sequence};
use crate::error::{Error, SqlState};

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
                .hint("A guard refuses (\"refuse\") or only warns (\"warn\").")),
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

/// Why a column must not be guarded: its ids may be of any class without being wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unguardable {
    /// The sequence has not been moved into its class.
    NotSetUp,
    /// The sequence has an increment of its own, from which the application makes ids.
    OwnIncrement(i64),
    /// The sequence gives blocks of ids.
    Blocks(u64),
    /// The default names another node.
    OtherNode {
        /// The node in the default.
        node: i32,
        /// The number of nodes in the default.
        nodes: i32,
    },
    /// The default computes with the sequence's value.
    Computed,
    /// Only the default connects the column with the sequence, and the table's owner may not draw
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
                Some(share) if share.size > 1 => Some(Self::Blocks(share.size)),
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
            Self::OwnIncrement(increment) => format!("increment {increment} of its own"),
            Self::Blocks(size) => format!("blocks of {size}"),
            Self::OtherNode { node, nodes } => format!("default of node {node} of {nodes}"),
            Self::Computed => "default computes with the value".to_owned(),
            Self::NotAllowed => "owner may not draw".to_owned(),
        }
    }

    /// The reason, as a sentence.
    pub fn detail(self, sequence: &str) -> String {
        match self {
            Self::NotSetUp => format!("Sequence \"{sequence}\" gives values of every class."),
            Self::OwnIncrement(increment) => format!(
                "Sequence \"{sequence}\" steps by {increment}, and what an application makes of its values may be of any class."
            ),
            Self::Blocks(size) => format!(
                "Sequence \"{sequence}\" gives blocks of {size} ids, and the ids within a block are of every class."
            ),
            Self::OtherNode { node, nodes } => format!(
                "The default draws from sequence \"{sequence}\" for node {node} of {nodes}, so every id would be refused."
            ),
            Self::Computed => {
                format!("The default computes with the value of sequence \"{sequence}\".")
            }
            Self::NotAllowed => {
                format!("The owner of the table may not draw from sequence \"{sequence}\".")
            }
        }
    }

    /// What to do about it.
    pub const fn hint(self) -> &'static str {
        match self {
            Self::NotSetUp => "Call setup_interleaved_sequences() first, or leave the table out.",
            Self::OwnIncrement(_) | Self::Blocks(_) => {
                "Leave the table out; ids out of blocks have no class of their own."
            }
            Self::OtherNode { .. } => {
                "Use partitioned_nextval(sequence) without a node, or leave the table out."
            }
            Self::Computed => "Leave the table out.",
            Self::NotAllowed => {
                "GRANT USAGE ON SEQUENCE to the owner of the table if its ids come from there, or leave the table out."
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

/// The error for an id outside this node's class; `owner` is the node of its class, if any.
pub fn violation(place: Place<'_>, value: &str, owner: Option<i64>, class: Class) -> Error {
    let Place { table, column } = place;
    let (node, nodes) = (class.node(), class.nodes());
    let whose = match owner {
        Some(owner) => format!("is of node {owner}"),
        None => "is of no node".to_owned(),
    };
    Error::new(
        SqlState::CheckViolation,
        format!("value {value} of column \"{column}\" of table \"{table}\" {whose}, and this is node {node} of {nodes}"),
    )
    .detail("What is inserted here takes ids of this node's class; rows of other nodes come by replication.")
    .hint(format!(
        "Leave the id to the sequence. If the sequence gave it, setup_interleaved_sequences({node}, {nodes}) brings it \
         back into its class. To copy rows of another node, SET session_replication_role = replica, or call \
         unguard_interleaved_sequences()."
    ))
}

/// The error for a guarded table in a database that is not a node.
pub fn no_node(place: Place<'_>) -> Error {
    Error::new(
        SqlState::ObjectNotInPrerequisiteState,
        format!(
            "column \"{}\" of table \"{}\" is guarded, and this database has not been set up as a node",
            place.column, place.table
        ),
    )
    .detail("No node is stored for this server and this database; it may be a copy of another one.")
    .hint("Call confirm_interleaved_node() if it takes the place of the other, setup_interleaved_sequences(node, nodes) as the node that it is to be, or unguard_interleaved_sequences().")
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
    use super::super::sequence::{Former, NumberType};
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
            trusted: false,
            elsewhere: vec![],
            columns: Vec::new(),
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
        assert_eq!(why(&sequence(50), Draw::Nextval).expect("a reason"), "increment 50 of its own");
        let other = Draw::OfNode { node: 1, nodes: 2 };
        assert_eq!(why(&sequence(2), other).expect("a reason"), "default of node 1 of 2");
        assert_eq!(why(&sequence(2), Draw::Other).expect("a reason"), "default computes with the value");
        let former = Former { increment: 50, start: 1, min_value: 1, max_value: i64::MAX };
        let blocks = Sequence { former: Some(former), ..sequence(100) };
        assert_eq!(why(&blocks, Draw::Nextval).expect("a reason"), "blocks of 50");
    }

    #[test]
    fn the_error_names_value_column_and_node() {
        let place = Place { table: "shop.orders", column: "id" };
        let error = violation(place, "7", Some(1), class(2, 2));
        assert_eq!(error.sqlstate.code(), "23514");
        assert_eq!(
            error.message,
            "value 7 of column \"id\" of table \"shop.orders\" is of node 1, and this is node 2 of 2"
        );
        assert!(error.hint.expect("a hint").contains("setup_interleaved_sequences(2, 2)"));
        assert!(violation(place, "1.5", None, class(2, 2)).message.contains("is of no node"));
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
