//! Whether a sequence keeps to its node's class, and the other findings about it.

use std::borrow::Cow;

use super::class::{Class, Progression};
use super::direction::{Course, Share};
use super::number_type::NumberType;
use super::plan::{USED_BY_HINT, used_by_detail};
use super::sequence::{Carrier, Draw, Sequence};

/// A sequence is nearly used up from this share of its range on, in hundredths of a percent.
const NEARLY_USED_UP: i64 = 8_000;

/// The status of a sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Whether it hands out only values of its node's class, now and after a restart; `None` if the
    /// database has no node, or if this could not be read.
    pub in_order: Option<bool>,
    /// What is wrong or needs attention.
    pub findings: Vec<Finding>,
    /// The next value that it hands out.
    pub next_value: Option<i64>,
    /// How many values are left, to the limit of the sequence and of every column that it feeds.
    pub values_left: Option<i64>,
    /// How much of the range is behind it, in hundredths of a percent.
    pub used_basis_points: Option<i64>,
}

/// How severe a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Must be acted on: two writers can hand out the same key, or inserts fail.
    Error,
    /// Should be looked at, before it becomes an error. It can be acknowledged.
    Warning,
    /// Should be known. There is nothing to do.
    Info,
}

impl Severity {
    /// Its name in SQL.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// A finding about a sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It does not step by the number of nodes.
    WrongIncrement,
    /// The same, and a set-up leaves it alone: something draws from it, and it is not known which
    /// columns get the values.
    UnknownUse,
    /// It has a custom increment, which a set-up leaves alone.
    OwnIncrement,
    /// It steps by the number of nodes, through the values of another node.
    WrongClass,
    /// A restart would take it to values of another node.
    StartNotAligned,
    /// Wrapping around would take it to values of another node.
    UnsafeCycle,
    /// A default names another node.
    DefaultOfAnotherNode {
        /// The column.
        column: String,
        /// The node in its default.
        node: i32,
        /// The number of nodes in its default.
        nodes: i32,
    },
    /// A table already has its next values.
    BehindTable {
        /// The column.
        column: String,
        /// The furthest of these values.
        value: i64,
    },
    /// It is in its class, and a table has values of that class ahead of it.
    AnotherWriter {
        /// The column.
        column: String,
        /// The furthest of these values.
        value: i64,
    },
    /// A table has an id that may be of one of its blocks ahead, or of another node's.
    IdInBlocks {
        /// The column.
        column: String,
        /// The furthest of these ids.
        value: i64,
    },
    /// A table whose owner may only draw from it holds a value beyond it.
    NotFollowed {
        /// The column.
        column: String,
        /// The furthest of these values.
        value: i64,
    },
    /// It hands out values again after a crash.
    Unlogged,
    /// Replication sets it to the position of another server.
    Replicated(Carrier),
    /// A column and its sequence have types of different size.
    TypeMismatch {
        /// The column.
        column: String,
        /// The type of the column.
        number_type: NumberType,
        /// Whether the difference matters: the sequence ends before the column, or the narrower
        /// column is nearly full.
        matters: bool,
    },
    /// Few of its values are left.
    NearlyUsedUp,
    /// None of its values is left.
    UsedUp,
}

/// What to do about rows that a sequence does not follow.
pub const NOT_FOLLOWED_HINT: &str = "Check these rows. If the sequence should continue above them, GRANT UPDATE ON SEQUENCE to the owner of the table, or name the column in feeds.";

/// What to do about a custom increment.
pub const OWN_INCREMENT_HINT: &str = "If it was copied from another node, run ALTER SEQUENCE ... INCREMENT 1 and then the set-up again. If its values stand for blocks, use blocks => true. Otherwise only one node may use it.";

/// What to do about a sequence that something has set.
const MOVED_HINT: &str = "Run setup_interleaved_sequences() again as the same node. If it leaves its class again, first stop what sets it: a replication tool that copies positions (remove the sequences from Bucardo's sync), a loader of fixtures, a script that calls setval().";

impl Finding {
    /// A few words, the same as in the documentation.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::WrongIncrement => "wrong increment",
            Self::UnknownUse => "unknown use",
            Self::OwnIncrement => "custom increment",
            Self::WrongClass => "wrong class",
            Self::StartNotAligned => "START not aligned",
            Self::UnsafeCycle => "unsafe CYCLE",
            Self::DefaultOfAnotherNode { .. } => "default of another node",
            Self::BehindTable { .. } => "behind the table",
            Self::AnotherWriter { .. } => "another writer in the class",
            Self::IdInBlocks { .. } => "ids in blocks ahead",
            Self::NotFollowed { .. } => "rows not followed",
            Self::Unlogged => "unlogged",
            Self::Replicated(_) => "position replicated",
            Self::TypeMismatch { .. } => "type mismatch",
            Self::NearlyUsedUp => "nearly used up",
            Self::UsedUp => "used up",
        }
    }

    /// How severe it is.
    pub const fn severity(&self) -> Severity {
        match self {
            Self::TypeMismatch { matters: false, .. } | Self::IdInBlocks { .. } => Severity::Info,
            Self::TypeMismatch { .. } | Self::NearlyUsedUp | Self::NotFollowed { .. } | Self::Unlogged => {
                Severity::Warning
            }
            _ => Severity::Error,
        }
    }

    /// Whether a set-up leaves the sequence alone because of it.
    pub const fn prevents_set_up(&self) -> bool {
        matches!(self, Self::UnknownUse | Self::OwnIncrement)
    }

    /// Whether it leads to values of another node.
    const fn breaks_class(&self) -> bool {
        matches!(
            self,
            Self::WrongIncrement
                | Self::UnknownUse
                | Self::OwnIncrement
                | Self::WrongClass
                | Self::StartNotAligned
                | Self::UnsafeCycle
                | Self::DefaultOfAnotherNode { .. }
                | Self::Replicated(_)
        )
    }

    /// The finding, as a sentence.
    pub fn detail(&self, sequence: &Sequence, status: &Status) -> String {
        let next = status.next_value.unwrap_or(sequence.last_value);
        match self {
            Self::WrongIncrement | Self::OwnIncrement => {
                match status.next_value {
                    Some(next) => {
                        format!("Its increment is {}, and its next value is {next}.", sequence.increment)
                    }
                    // Its position was not seen.
                    None => format!("Its increment is {}.", sequence.increment),
                }
            }
            Self::UnknownUse => used_by_detail(&sequence.used_by).unwrap_or_default(),
            Self::WrongClass => format!("Its next value is {next}."),
            Self::StartNotAligned => {
                format!("TRUNCATE ... RESTART IDENTITY would reset it to {}.", sequence.start)
            }
            Self::UnsafeCycle => {
                format!("When it cycles, it continues from {}.", Course::of(sequence).wrap_edge(sequence).1)
            }
            Self::DefaultOfAnotherNode { column, node, nodes } => {
                format!("The default of {column} generates values for node {node} of {nodes}.")
            }
            Self::BehindTable { column, value } | Self::AnotherWriter { column, value } => {
                format!("Its next value is {next}, but {column} already contains {value}.")
            }
            Self::IdInBlocks { column, value } => format!(
                "Its next value is {next}, and {column} contains {value}, which is an id of its blocks or of those of another node, depending on how the application counts."
            ),
            Self::NotFollowed { column, value } => {
                format!("{column} contains {value}, but the owner of its table may not set the sequence.")
            }
            Self::Unlogged => {
                "After a crash it restarts from its position after the last ALTER SEQUENCE.".to_owned()
            }
            Self::Replicated(carrier) => carrier.detail(),
            Self::TypeMismatch { column, number_type, .. } => format!(
                "The sequence is {}, and {column} is {}.",
                sequence.number_type.name(),
                number_type.name()
            ),
            Self::NearlyUsedUp | Self::UsedUp => {
                format!("{} values are left.", status.values_left.unwrap_or(0))
            }
        }
    }

    /// What to do about it, as a sentence.
    pub fn hint(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Replicated(carrier) => return Cow::Owned(carrier.hint()),
            Self::WrongClass => MOVED_HINT,
            Self::WrongIncrement | Self::StartNotAligned | Self::UnsafeCycle => {
                "Run setup_interleaved_sequences() again as the same node."
            }
            Self::OwnIncrement => OWN_INCREMENT_HINT,
            Self::UnknownUse => USED_BY_HINT,
            Self::DefaultOfAnotherNode { .. } => {
                "Use partitioned_nextval(sequence) without a node in defaults."
            }
            Self::BehindTable { .. } => {
                "Run setup_interleaved_sequences(), which restarts it above the values in use."
            }
            Self::AnotherWriter { .. } => {
                "Look for another server that was set up as the same node, and for inserts with explicit ids. Then run setup_interleaved_sequences() again as the same node."
            }
            Self::IdInBlocks { .. } => {
                "If other nodes are ahead of this one, this is as it should be. If ids were inserted explicitly, run setup_interleaved_sequences() again as the same node, which restarts it above them, and guard the table. A guard that says how ids are counted lets the check tell the two apart."
            }
            Self::NotFollowed { .. } => NOT_FOLLOWED_HINT,
            Self::Unlogged => "Run ALTER SEQUENCE ... SET LOGGED, or run the set-up again after every crash.",
            Self::TypeMismatch { .. } => {
                "Give the sequence the type of its column (ALTER SEQUENCE ... AS), or widen the column. The narrower type is the limit."
            }
            Self::NearlyUsedUp | Self::UsedUp => "Widen the sequence and the columns that it feeds.",
        })
    }
}

/// Determines the status of a sequence in the class of its node.
///
/// Findings about the contents of tables depend on the values that the columns carry. If `position`
/// is false, there are no findings that need the sequence's own position.
pub fn status(sequence: &Sequence, class: Option<Class>, position: bool) -> Status {
    let course = Course::of(sequence);
    let (next, limit) = (sequence.next_value(), course.limit(sequence));
    let mut findings = Vec::new();
    if let Some(class) = class {
        findings.extend(class_findings(sequence, course, class, position));
        let others = sequence.columns.iter().filter_map(|column| match column.draw {
            Draw::OfNode { node, nodes } if (node, nodes) != (class.node(), class.nodes()) => {
                Some(Finding::DefaultOfAnotherNode { column: column.name.clone(), node, nodes })
            }
            _ => None,
        });
        findings.extend(others);
    }
    let in_class = class.is_some() && findings.is_empty();
    let furthest = sequence.columns.iter().filter_map(|column| Some((column, column.ahead?)));
    if let Some((column, value)) =
        furthest.reduce(|a, b| if course.is_past(i128::from(b.1), i128::from(a.1)) { b } else { a })
        // In a cycle, these values are from its last round.
        && !sequence.cycle
    {
        let column = column.name.clone();
        findings.push(if in_class {
            Finding::AnotherWriter { column, value }
        } else {
            Finding::BehindTable { column, value }
        });
    }
    let unclear = sequence.columns.iter().filter(|column| column.ahead.is_none() && !sequence.cycle);
    findings.extend(unclear.filter_map(|column| {
        Some(Finding::IdInBlocks { column: column.name.clone(), value: column.maybe_ahead? })
    }));
    let not_followed = sequence.columns.iter().filter_map(|column| {
        let (column, value) = (column.name.clone(), column.not_followed?);
        Some(Finding::NotFollowed { column, value })
    });
    findings.extend(not_followed);
    if sequence.unlogged {
        findings.push(Finding::Unlogged);
    }
    findings.extend(sequence.replicated.clone().map(Finding::Replicated));
    let used = course.used_basis_points(sequence, next, limit);
    let is_near_its_end = position && used >= NEARLY_USED_UP && !sequence.cycle;
    let narrower = sequence.columns.iter().find_map(|column| {
        let number_type = column.number_type?;
        // A numeric column takes all values of a sequence.
        let differs = number_type != sequence.number_type && number_type != NumberType::Numeric;
        // CREATE SEQUENCE makes a bigint, whatever the column is, and the column is the limit.
        let is_wider = sequence.number_type.range().1 > number_type.range().1;
        let matters = !is_wider || is_near_its_end;
        differs.then(|| Finding::TypeMismatch { column: column.name.clone(), number_type, matters })
    });
    findings.extend(narrower);
    let share = class.and_then(|class| Share::of(sequence, class, false));
    let size = share.map_or(1, |share| i128::from(share.size));
    let left = course.values_left(next, limit, i128::from(sequence.increment), size);
    if position && left == 0 && !sequence.cycle {
        findings.push(Finding::UsedUp);
    } else if is_near_its_end {
        findings.push(Finding::NearlyUsedUp);
    }
    let broken = findings.iter().any(Finding::breaks_class);
    Status {
        in_order: (class.is_some() && (position || broken)).then_some(!broken),
        findings,
        next_value: if position { i64::try_from(next).ok() } else { None },
        values_left: if position { i64::try_from(left).ok() } else { None },
        used_basis_points: position.then_some(used),
    }
}

/// The ways in which a sequence leaves its class.
fn class_findings(sequence: &Sequence, course: Course, class: Class, position: bool) -> Vec<Finding> {
    let own_step = Share::of(sequence, class, false).is_none();
    let share = Share::of(sequence, class, false).unwrap_or(Share { values: class.residue(), size: 1 });
    let mut findings = Vec::new();
    if own_step {
        findings.push(Finding::OwnIncrement);
    } else if i128::from(sequence.increment) % share.step() != 0 {
        let is_known = sequence.used_by.is_empty();
        findings.push(if is_known { Finding::WrongIncrement } else { Finding::UnknownUse });
    } else {
        if position && !share.values.contains(sequence.next_value()) {
            findings.push(Finding::WrongClass);
        }
        if !share.values.contains(i128::from(sequence.start)) {
            findings.push(Finding::StartNotAligned);
        }
        if sequence.cycle && !share.values.contains(course.wrap_edge(sequence).1) {
            findings.push(Finding::UnsafeCycle);
        }
    }
    if findings.is_empty() {
        return findings;
    }
    // If every default draws on until it reaches the class, the sequence may stay as it is.
    let progression = Progression {
        increment: sequence.increment,
        min_value: sequence.min_value,
        max_value: sequence.max_value,
        cycle: sequence.cycle,
    };
    let last = sequence.last_value;
    if sequence.is_drawn_on() && (class.contains(last) || class.is_ahead(last, &progression)) {
        return Vec::new();
    }
    findings
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::super::sequence::{FedColumn, Former};
    use super::*;

    fn column(draw: Draw) -> FedColumn {
        FedColumn {
            name: "public.orders.id".to_owned(),
            number_type: Some(NumberType::Bigint),
            limits: None,
            draw,
            set_by: None,
            extreme: None,
            ahead: None,
            maybe_ahead: None,
            not_followed: None,
        }
    }

    /// A sequence of node 2 of 2.
    fn even() -> Sequence {
        Sequence {
            name: "public.orders_id_seq".to_owned(),
            number_type: NumberType::Bigint,
            start: 2,
            increment: 2,
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
            columns: vec![column(Draw::Nextval)],
            used_by: vec![],
        }
    }

    fn found(sequence: &Sequence) -> (Option<bool>, Vec<&'static str>) {
        let status = status(sequence, Class::new(2, 2).ok(), true);
        (status.in_order, status.findings.iter().map(Finding::name).collect())
    }

    #[test]
    fn a_sequence_in_order_has_no_findings() {
        assert_eq!(found(&even()), (Some(true), vec![]));
        let all = status(&even(), Class::new(2, 2).ok(), true);
        assert_eq!((all.next_value, all.used_basis_points), (Some(12), Some(0)));
    }

    #[test]
    fn every_way_out_of_the_class_is_named() {
        assert_eq!(found(&Sequence { increment: 1, ..even() }), (Some(false), vec!["wrong increment"]));
        assert_eq!(found(&Sequence { last_value: 7, ..even() }), (Some(false), vec!["wrong class"]));
        assert_eq!(found(&Sequence { start: 1, ..even() }), (Some(false), vec!["START not aligned"]));
        assert_eq!(found(&Sequence { cycle: true, ..even() }), (Some(false), vec!["unsafe CYCLE"]));
        assert_eq!(
            found(&Sequence { replicated: Some(Carrier::ReplicationSet { extension: "spock" }), ..even() }),
            (Some(false), vec!["position replicated"])
        );
        let named = Sequence { columns: vec![column(Draw::OfNode { node: 1, nodes: 2 })], ..even() };
        assert_eq!(found(&named), (Some(false), vec!["default of another node"]));
        let own = Sequence { columns: vec![column(Draw::OfNode { node: 2, nodes: 2 })], ..even() };
        assert_eq!(found(&own), (Some(true), vec![]));
    }

    #[test]
    fn fault_b04_what_draws_in_unknown_ways_is_named() {
        let used = Sequence { used_by: vec!["function public.make_id(text)".to_owned()], ..even() };
        assert_eq!(found(&used), (Some(true), vec![]), "in its class it stays there");
        let used = Sequence { increment: 1, ..used };
        assert_eq!(found(&used), (Some(false), vec!["unknown use"]));
        let status = status(&used, Class::new(2, 2).ok(), true);
        assert_eq!(
            status.findings[0].detail(&used, &status),
            "Function public.make_id(text) uses it, and it is not known which columns get the values."
        );
    }

    #[test]
    fn trap_s51_a_subscription_is_named_with_what_to_do_about_it() {
        let by = |publications: &[&str]| {
            let publications = publications.iter().map(|name| (*name).to_owned()).collect();
            let carrier = Carrier::Subscription { name: "from B".to_owned(), publications };
            let finding = Finding::Replicated(carrier);
            let sequence = even();
            let status = status(&sequence, None, true);
            (finding.detail(&sequence, &status), finding.hint().into_owned())
        };
        let (detail, hint) = by(&["p", "q"]);
        assert_eq!(
            detail,
            "Subscription \"from B\" (publications \"p\", \"q\") overwrites its position with that of another server."
        );
        assert!(hint.ends_with("ALTER SUBSCRIPTION \"from B\" DROP PUBLICATION."), "{hint}");
        let (detail, hint) = by(&["p"]);
        assert!(detail.contains("(publication \"p\")"), "{detail}");
        assert!(hint.ends_with("DROP SUBSCRIPTION \"from B\"."), "{hint}");
    }

    #[test]
    fn warnings_leave_a_sequence_in_order() {
        assert_eq!(found(&Sequence { unlogged: true, ..even() }), (Some(true), vec!["unlogged"]));
        let narrow = FedColumn { number_type: Some(NumberType::Integer), ..column(Draw::Nextval) };
        assert_eq!(found(&Sequence { columns: vec![narrow], ..even() }), (Some(true), vec!["type mismatch"]));
        assert_eq!(found(&Sequence { max_value: 13, ..even() }), (Some(true), vec!["nearly used up"]));
        assert_eq!(found(&Sequence { max_value: 11, ..even() }), (Some(true), vec!["used up"]));
    }

    #[test]
    fn fault_b22_a_sequence_that_is_wider_than_its_column_needs_nothing_until_it_is_nearly_used_up() {
        let mismatch = |sequence: Sequence| {
            let status = status(&sequence, Class::new(2, 2).ok(), true);
            let mut findings = status.findings.iter();
            let found = findings.find(|finding| matches!(finding, Finding::TypeMismatch { .. }));
            found.map(Finding::severity)
        };
        let of = |number_type| Sequence {
            columns: vec![FedColumn { number_type: Some(number_type), ..column(Draw::Nextval) }],
            ..even()
        };
        assert_eq!(mismatch(of(NumberType::Integer)), Some(Severity::Info));
        let late = Sequence { last_value: 2_000_000_000, ..of(NumberType::Integer) };
        assert_eq!(mismatch(late), Some(Severity::Warning));
        assert_eq!(mismatch(of(NumberType::Numeric)), None);
        let narrow = Sequence { number_type: NumberType::Integer, max_value: i64::from(i32::MAX), ..even() };
        assert_eq!(mismatch(narrow), Some(Severity::Warning), "the column was widened alone");
        assert!(Severity::Error < Severity::Warning && Severity::Warning < Severity::Info);
    }

    #[test]
    fn with_a_default_that_draws_on_any_increment_is_in_order() {
        let drawn_on = Sequence { columns: vec![column(Draw::OfThisNode)], increment: 1, ..even() };
        assert_eq!(found(&drawn_on), (Some(true), vec![]));
        let odd = Sequence { increment: 2, last_value: 11, ..drawn_on };
        assert_eq!(found(&odd).0, Some(false), "it can never come to the class");
    }

    #[test]
    fn a_custom_increment_is_reported() {
        let pooled = Sequence { increment: 50, start: 1, last_value: 1, is_called: false, ..even() };
        assert_eq!(found(&pooled), (Some(false), vec!["custom increment"]));
        assert_eq!(found(&Sequence { increment: 25, ..pooled }).1, ["custom increment"]);
    }

    #[test]
    fn trap_s44_values_of_the_own_class_ahead_are_another_writer() {
        let ahead = FedColumn { extreme: Some(31), ahead: Some(30), ..column(Draw::Nextval) };
        let sequence = Sequence { columns: vec![ahead], ..even() };
        assert_eq!(found(&sequence).1, ["another writer in the class"]);
        assert_eq!(found(&Sequence { increment: 1, ..sequence }).1, ["wrong increment", "behind the table"]);
    }

    #[test]
    fn fault_b08_an_id_that_may_be_of_a_block_ahead_is_told() {
        let unclear = FedColumn { extreme: Some(31), maybe_ahead: Some(31), ..column(Draw::Nextval) };
        let sequence = Sequence { columns: vec![unclear], ..even() };
        assert_eq!(found(&sequence), (Some(true), vec!["ids in blocks ahead"]));
        let status = status(&sequence, Class::new(2, 2).ok(), true);
        assert_eq!(status.findings[0].severity(), Severity::Info, "other nodes may be ahead");
    }

    #[test]
    fn without_a_node_there_are_no_findings_about_classes() {
        let status = status(&Sequence { increment: 1, ..even() }, None, true);
        assert_eq!((status.in_order, status.findings), (None, vec![]));
    }

    #[test]
    fn fault_b21_a_position_that_was_not_seen_is_not_told() {
        let sequence = Sequence { increment: 1, start: 4711, last_value: 4711, is_called: false, ..even() };
        let details = |position| -> Vec<String> {
            let status = status(&sequence, Class::new(2, 2).ok(), position);
            status.findings.iter().map(|finding| finding.detail(&sequence, &status)).collect()
        };
        assert_eq!(details(false), ["Its increment is 1."]);
        assert_eq!(details(true), ["Its increment is 1, and its next value is 4711."]);
    }

    #[test]
    fn a_sequence_that_cannot_be_read_is_not_reported_as_in_order() {
        let status = status(&even(), Class::new(2, 2).ok(), false);
        assert_eq!((status.in_order, status.next_value), (None, None));
    }

    #[test]
    fn trap_s26_blocks_are_in_order_by_what_they_were() {
        let former = Former { increment: 50, start: 1, min_value: 1, max_value: i64::MAX };
        // Blocks of 50 through 1; node 2 of 2 has 1, 101, 201 ...
        let blocks = Sequence { increment: 100, start: 1, last_value: 101, former: Some(former), ..even() };
        assert_eq!(found(&blocks), (Some(true), vec![]));
        assert_eq!(found(&Sequence { last_value: 151, ..blocks }), (Some(false), vec!["wrong class"]));
    }
}
