//! How one sequence is moved into its node's class, from facts that are given as data.

use super::class::Class;
use crate::error::{Error, SqlState};

/// A column that takes its values from a sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FedColumn {
    /// The column's full name, quoted where it needs to be, for messages.
    pub name: String,
    /// The least and the greatest value that the column's type holds; `None` where the type sets no
    /// limit below that of the sequence.
    pub range: Option<(i64, i64)>,
    /// Whether the column holds the sequence's values as they are; if not (text, or a default that
    /// computes with the value) only the sequence's own position is known.
    pub comparable: bool,
    /// The value in the column that lies furthest in the sequence's direction: the maximum of an
    /// ascending sequence, the minimum of a descending one; `None` in an empty table.
    pub extreme: Option<i64>,
}

/// What the catalog and the sequence's own page tell of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// The full name, quoted where it needs to be, as it goes into a statement.
    pub name: String,
    /// `START WITH`, where `RESTART` goes.
    pub start: i64,
    /// `INCREMENT BY`, never 0.
    pub increment: i64,
    /// `MINVALUE`.
    pub min_value: i64,
    /// `MAXVALUE`.
    pub max_value: i64,
    /// Whether it wraps around at its end.
    pub cycle: bool,
    /// Whether it falls back after a crash (`UNLOGGED`, from PostgreSQL 15 on).
    pub unlogged: bool,
    /// `last_value` of the sequence's page.
    pub last_value: i64,
    /// `is_called` of the sequence's page: whether `last_value` has been handed out.
    pub is_called: bool,
    /// Every column that it feeds.
    pub columns: Vec<FedColumn>,
}

/// What is to be done with a sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The statement that moves it into its class.
    Alter {
        /// One `ALTER SEQUENCE`, without a semicolon.
        ddl: String,
    },
    /// It is in its class already, and nothing is to be done.
    Unchanged,
    /// It is left alone, for a reason that [`Plan::detail`] gives.
    Skip,
    /// It cannot be moved into its class.
    Fail(Error),
}

/// The plan for one sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What is to be done.
    pub outcome: Outcome,
    /// The furthest value in use: handed out by the sequence, or found in a column that it feeds.
    pub in_use: Option<i64>,
    /// The next value that it hands out once the plan is carried out.
    pub restart: Option<i64>,
    /// The increment once the plan is carried out.
    pub increment: i64,
    /// How many values of the class are left, from `restart` to the limit of the sequence and of
    /// every column that it feeds.
    pub values_left: Option<i64>,
    /// How much of the range lies behind `restart`, in hundredths of a percent.
    pub used_basis_points: Option<i64>,
    /// A few words on why, or on what to mind.
    pub detail: String,
}

/// Plans the move of one sequence into a class.
///
/// `gap` is a number of ids, not of steps, that is left free above everything in use.
pub fn plan(sequence: &Sequence, class: Class, gap: i64) -> Plan {
    let course = Course::of(sequence);
    let in_use = course.in_use(sequence);
    let limit = course.limit(sequence);
    let next = course.next_value(sequence);
    let step = i128::from(class.nodes());
    let whole_steps = i128::from(sequence.increment) % step == 0;

    let mut notes = Vec::new();
    let mut unread = sequence.columns.iter().filter(|column| !column.comparable);
    if let Some(column) = unread.next() {
        let more = unread.count();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        notes.push(format!("{}{more} not read", column.name));
    }
    if sequence.unlogged {
        notes.push("unlogged: repeats values after a crash".to_owned());
    }

    let position = Position { course, in_use, limit };
    if whole_steps && course.is_in_order(sequence, class, next, in_use) {
        let used_up = course.is_past(next, limit);
        notes.insert(0, if used_up { "used up" } else { "in order" }.to_owned());
        let increment = sequence.increment;
        return position.plan(Outcome::Unchanged, next, increment, notes, sequence);
    }
    if sequence.increment.unsigned_abs() != 1 && i128::from(sequence.increment).abs() != step {
        notes.insert(0, format!("increment {} kept", sequence.increment));
        return position.plan(Outcome::Skip, next, sequence.increment, notes, sequence);
    }

    let restart = course.align(class, course.floor(sequence, in_use, gap) + course.sign);
    let start = course.align(class, i128::from(sequence.start));
    let increment = class.nodes() as i64 * course.sign as i64;
    if course.is_past(restart, limit) || course.is_past(start, limit) {
        let error = Error::new(
            SqlState::SequenceGeneratorLimitExceeded,
            format!(
                "sequence {} has no value left for node {} of {}",
                sequence.name,
                class.node(),
                class.nodes()
            ),
        )
        .detail(format!("The next value would be {}, and the limit is {limit}.", restart.max(start)))
        .hint("Widen the sequence and the columns that it feeds, or exclude the sequence.");
        notes.insert(0, format!("{restart} is beyond {limit}"));
        return position.plan(Outcome::Fail(error), next, sequence.increment, notes, sequence);
    }

    let mut ddl = format!(
        "ALTER SEQUENCE {} INCREMENT BY {increment} START WITH {start} RESTART WITH {restart}",
        sequence.name
    );
    if sequence.cycle {
        let (keyword, edge) = course.wrap_edge(sequence);
        let aligned = course.align(class, edge);
        if aligned != edge {
            ddl.push_str(&format!(" {keyword} {aligned}"));
            notes.push(format!("cycles to {aligned}"));
        }
    }
    let change = if sequence.increment != increment {
        format!("increment {} to {increment}", sequence.increment)
    } else if start != i128::from(sequence.start) {
        format!("was of the class of node {}", class.node_of(sequence.start))
    } else if course.align(class, next) != next {
        "back into the class".to_owned()
    } else {
        "above the values in use".to_owned()
    };
    notes.insert(0, change);
    position.plan(Outcome::Alter { ddl }, restart, increment, notes, sequence)
}

/// The direction of a sequence; all comparisons go through it, so that a descending sequence is
/// planned by the same lines as an ascending one.
#[derive(Clone, Copy)]
struct Course {
    /// 1 where it ascends, -1 where it descends.
    sign: i128,
}

impl Course {
    fn of(sequence: &Sequence) -> Self {
        Self { sign: i128::from(sequence.increment.signum()) }
    }

    /// Whether `a` lies beyond `b` in this direction.
    fn is_past(self, a: i128, b: i128) -> bool {
        (a - b) * self.sign > 0
    }

    fn furthest(self, a: i128, b: i128) -> i128 {
        if self.is_past(a, b) { a } else { b }
    }

    /// The first value of the class at or past `value`.
    fn align(self, class: Class, value: i128) -> i128 {
        if self.sign > 0 { class.at_or_above(value) } else { class.at_or_below(value) }
    }

    fn in_use(self, sequence: &Sequence) -> Option<i128> {
        let drawn = sequence.is_called.then_some(i128::from(sequence.last_value));
        let stored = sequence.columns.iter().filter_map(|column| column.extreme.map(i128::from));
        stored.chain(drawn).reduce(|a, b| self.furthest(a, b))
    }

    /// The end of the sequence, or of a column that it feeds where that comes first.
    fn limit(self, sequence: &Sequence) -> i128 {
        let own = if self.sign > 0 { sequence.max_value } else { sequence.min_value };
        let columns = sequence.columns.iter().filter_map(|column| column.range);
        let ends = columns.map(|(low, high)| i128::from(if self.sign > 0 { high } else { low }));
        ends.fold(i128::from(own), |a, b| if self.is_past(a, b) { b } else { a })
    }

    /// Where the range begins, and where it wraps around to.
    fn wrap_edge(self, sequence: &Sequence) -> (&'static str, i128) {
        if self.sign > 0 {
            ("MINVALUE", i128::from(sequence.min_value))
        } else {
            ("MAXVALUE", i128::from(sequence.max_value))
        }
    }

    fn next_value(self, sequence: &Sequence) -> i128 {
        let last = i128::from(sequence.last_value);
        if sequence.is_called { last + i128::from(sequence.increment) } else { last }
    }

    /// The furthest value that must not be handed out again: what is in use, what lies before START,
    /// and before the position that a sequence not called yet was given.
    fn floor(self, sequence: &Sequence, in_use: Option<i128>, gap: i64) -> i128 {
        let mut floor = i128::from(sequence.start) - self.sign;
        if !sequence.is_called {
            floor = self.furthest(floor, i128::from(sequence.last_value) - self.sign);
        }
        if let Some(in_use) = in_use {
            floor = self.furthest(floor, in_use);
        }
        floor + i128::from(gap) * self.sign
    }

    fn is_in_order(self, sequence: &Sequence, class: Class, next: i128, in_use: Option<i128>) -> bool {
        let in_class = |value: i128| self.align(class, value) == value;
        in_class(next)
            && in_class(i128::from(sequence.start))
            && (!sequence.cycle || in_class(self.wrap_edge(sequence).1))
            && in_use.is_none_or(|in_use| self.is_past(next, in_use))
    }
}

/// Where a sequence stands, for the figures of its plan.
struct Position {
    course: Course,
    in_use: Option<i128>,
    limit: i128,
}

impl Position {
    fn plan(
        self,
        outcome: Outcome,
        restart: i128,
        increment: i64,
        notes: Vec<String>,
        sequence: &Sequence,
    ) -> Plan {
        let sign = self.course.sign;
        // A sequence that cannot come to its class has nothing left of it, wherever it stands now.
        let left = if matches!(outcome, Outcome::Fail(_)) || self.course.is_past(restart, self.limit) {
            0
        } else {
            (self.limit - restart) * sign / i128::from(increment.unsigned_abs()) + 1
        };
        let origin = self.course.wrap_edge(sequence).1;
        let (passed, range) = ((restart - origin) * sign, (self.limit - origin) * sign + 1);
        let used = if range > 0 { (passed * 10_000 / range).clamp(0, 10_000) } else { 10_000 };
        Plan {
            outcome,
            in_use: self.in_use.and_then(|value| i64::try_from(value).ok()),
            restart: i64::try_from(restart).ok(),
            increment,
            values_left: i64::try_from(left).ok(),
            used_basis_points: i64::try_from(used).ok(),
            detail: notes.join("; "),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use proptest::prelude::*;

    fn class(node: i32, nodes: i32) -> Class {
        Class::new(node, nodes).expect("a class")
    }

    fn column(extreme: Option<i64>) -> FedColumn {
        FedColumn { name: "public.orders.id".to_owned(), range: None, comparable: true, extreme }
    }

    /// A bigint sequence as `CREATE SEQUENCE` makes it, never called.
    fn fresh() -> Sequence {
        Sequence {
            name: "public.orders_id_seq".to_owned(),
            start: 1,
            increment: 1,
            min_value: 1,
            max_value: i64::MAX,
            cycle: false,
            unlogged: false,
            last_value: 1,
            is_called: false,
            columns: vec![column(None)],
        }
    }

    fn descending() -> Sequence {
        Sequence { start: -1, increment: -1, min_value: i64::MIN, max_value: -1, last_value: -1, ..fresh() }
    }

    fn ddl(plan: &Plan) -> &str {
        match &plan.outcome {
            Outcome::Alter { ddl } => ddl,
            other => panic!("not altered: {other:?}"),
        }
    }

    /// The sequence after its plan, as PostgreSQL leaves it.
    fn apply(sequence: &Sequence, plan: &Plan) -> Sequence {
        let mut after = sequence.clone();
        if let Outcome::Alter { ddl } = &plan.outcome {
            let words: Vec<&str> = ddl.split(' ').collect();
            let value = |keyword: &str| {
                let at = words.iter().position(|word| *word == keyword)?;
                words[at + 1..].iter().find_map(|word| word.parse::<i64>().ok())
            };
            after.increment = value("INCREMENT").expect("an increment");
            after.start = value("START").expect("a start");
            after.last_value = value("RESTART").expect("a restart");
            after.is_called = false;
            after.min_value = value("MINVALUE").unwrap_or(after.min_value);
            after.max_value = value("MAXVALUE").unwrap_or(after.max_value);
        }
        after
    }

    /// Draws one value as `nextval` does.
    fn draw(sequence: &mut Sequence) -> Option<i64> {
        let next = if sequence.is_called {
            sequence.last_value.checked_add(sequence.increment)?
        } else {
            sequence.last_value
        };
        let next = if (sequence.min_value..=sequence.max_value).contains(&next) {
            next
        } else if !sequence.cycle {
            return None;
        } else if sequence.increment > 0 {
            sequence.min_value
        } else {
            sequence.max_value
        };
        sequence.last_value = next;
        sequence.is_called = true;
        Some(next)
    }

    #[test]
    fn trap_s01_one_statement_sets_step_start_and_position() {
        assert_eq!(
            ddl(&plan(&fresh(), class(2, 2), 0)),
            "ALTER SEQUENCE public.orders_id_seq INCREMENT BY 2 START WITH 2 RESTART WITH 2"
        );
        let filled = Sequence { last_value: 3, is_called: true, ..fresh() };
        assert_eq!(plan(&filled, class(1, 2), 0).restart, Some(5));
        assert_eq!(plan(&filled, class(2, 2), 0).restart, Some(4), "the published recipe says 5");
        let ten = Sequence { last_value: 10, is_called: true, ..fresh() };
        assert_eq!(plan(&ten, class(2, 2), 0).restart, Some(12), "the published recipe says 11");
    }

    #[test]
    fn trap_s03_the_floor_is_the_greatest_of_all() {
        let rows_above =
            Sequence { last_value: 3, is_called: true, columns: vec![column(Some(100))], ..fresh() };
        assert_eq!(plan(&rows_above, class(1, 2), 0).restart, Some(101));
        let drawn_above =
            Sequence { last_value: 200, is_called: true, columns: vec![column(Some(100))], ..fresh() };
        assert_eq!(plan(&drawn_above, class(1, 2), 0).restart, Some(201));
        let second_column = Sequence { columns: vec![column(Some(5)), column(Some(70))], ..fresh() };
        assert_eq!(plan(&second_column, class(2, 2), 0).restart, Some(72));
        let start_above = Sequence { start: 1_000, last_value: 1_000, ..fresh() };
        assert_eq!(plan(&start_above, class(1, 2), 0).restart, Some(1_001));
    }

    #[test]
    fn trap_s09_start_is_aligned_too() {
        let filled = Sequence { last_value: 10, is_called: true, ..fresh() };
        assert!(ddl(&plan(&filled, class(2, 2), 0)).contains("START WITH 2 RESTART WITH 12"));
    }

    #[test]
    fn trap_s10_a_cycle_wraps_into_the_class() {
        let wrapping = Sequence { cycle: true, max_value: 6, ..fresh() };
        let planned = plan(&wrapping, class(2, 2), 0);
        assert!(ddl(&planned).ends_with("MINVALUE 2"));
        let mut after = apply(&wrapping, &planned);
        let drawn: Vec<_> = (0..6).filter_map(|_| draw(&mut after)).collect();
        assert_eq!(drawn, [2, 4, 6, 2, 4, 6]);
    }

    #[test]
    fn trap_s17_what_is_in_order_is_not_altered() {
        for sequence in [fresh(), descending(), Sequence { cycle: true, max_value: 60, ..fresh() }] {
            for node in 1..=3 {
                let mut after = apply(&sequence, &plan(&sequence, class(node, 3), 7));
                assert_eq!(plan(&after, class(node, 3), 7).outcome, Outcome::Unchanged);
                draw(&mut after);
                assert_eq!(plan(&after, class(node, 3), 7).outcome, Outcome::Unchanged);
            }
        }
    }

    #[test]
    fn trap_s24_the_column_may_end_before_the_sequence() {
        let narrow = FedColumn { range: Some((-32_768, 32_767)), ..column(Some(32_760)) };
        let sequence = Sequence { last_value: 32_760, is_called: true, columns: vec![narrow], ..fresh() };
        let planned = plan(&sequence, class(1, 2), 0);
        assert_eq!((planned.restart, planned.values_left), (Some(32_761), Some(4)), "61, 63, 65, 67");
        let planned = plan(&sequence, class(1, 2), 100);
        let Outcome::Fail(error) = planned.outcome else { panic!("not refused: {planned:?}") };
        assert_eq!(error.sqlstate.code(), "2200H");
        assert_eq!(planned.values_left, Some(0));
    }

    #[test]
    fn trap_s24_a_column_that_cannot_be_compared_is_named() {
        let text = FedColumn { name: "public.orders.code".to_owned(), comparable: false, ..column(None) };
        let sequence = Sequence { last_value: 9, is_called: true, columns: vec![text], ..fresh() };
        let planned = plan(&sequence, class(1, 2), 0);
        assert_eq!(planned.restart, Some(11));
        assert!(planned.detail.contains("public.orders.code not read"), "{}", planned.detail);
    }

    #[test]
    fn every_unread_column_is_counted() {
        let unread = FedColumn { comparable: false, ..column(None) };
        let sequence =
            Sequence { columns: vec![unread.clone(), column(None), unread.clone(), unread], ..fresh() };
        assert!(plan(&sequence, class(1, 2), 0).detail.ends_with("public.orders.id and 2 more not read"));
    }

    #[test]
    fn trap_s13_what_was_of_another_class_is_said() {
        let theirs = apply(&fresh(), &plan(&fresh(), class(1, 2), 0));
        assert_eq!(plan(&theirs, class(2, 2), 0).detail, "was of the class of node 1");
        let mut lost = apply(&fresh(), &plan(&fresh(), class(2, 2), 0));
        lost.last_value = 7;
        assert_eq!(plan(&lost, class(2, 2), 0).detail, "back into the class");
    }

    #[test]
    fn trap_s25_a_descending_sequence_keeps_its_sign() {
        let filled =
            Sequence { last_value: -10, is_called: true, columns: vec![column(Some(-15))], ..descending() };
        let planned = plan(&filled, class(1, 2), 0);
        assert_eq!(
            ddl(&planned),
            "ALTER SEQUENCE public.orders_id_seq INCREMENT BY -2 START WITH -1 RESTART WITH -17"
        );
        assert_eq!(plan(&descending(), class(2, 2), 0).restart, Some(-2));
    }

    #[test]
    fn trap_s26_another_step_is_left_alone_and_named() {
        for increment in [25, 50, -50] {
            let sequence = if increment > 0 { fresh() } else { descending() };
            let planned = plan(&Sequence { increment, ..sequence }, class(2, 2), 0);
            assert_eq!(planned.outcome, Outcome::Skip);
            assert_eq!(planned.detail, format!("increment {increment} kept"));
        }
    }

    #[test]
    fn the_ends_of_bigint_do_not_overflow() {
        let top = Sequence { last_value: i64::MAX, is_called: true, columns: vec![], ..fresh() };
        assert!(matches!(plan(&top, class(1, 2), i64::MAX).outcome, Outcome::Fail(_)));
        let bottom = Sequence { last_value: i64::MIN, is_called: true, ..descending() };
        assert!(matches!(plan(&bottom, class(1, 65_535), i64::MAX).outcome, Outcome::Fail(_)));
        let empty = Sequence { columns: vec![], ..fresh() };
        assert_eq!(plan(&empty, class(1, 2), 0).values_left, Some(i64::MAX / 2 + 1));
    }

    prop_compose! {
        fn any_sequence()(
            up: bool, cycle: bool, is_called: bool, offset in 0..200_i64, start in 0..50_i64,
            extreme in proptest::option::of(-20..400_i64), size in 100..2_000_i64,
        ) -> Sequence {
            let sign = if up { 1 } else { -1 };
            let (min_value, max_value) = if up { (1, size) } else { (-size, -1) };
            Sequence {
                start: sign * (1 + start),
                increment: sign,
                min_value,
                max_value,
                cycle,
                unlogged: false,
                last_value: sign * (1 + offset).min(size),
                is_called,
                columns: vec![column(extreme.map(|value| value * sign))],
                ..fresh()
            }
        }
    }

    proptest! {
        /// Every node moves its own copy of a sequence; then all draw at once, through wrap-around
        /// and `RESTART`. No value comes twice, and none that is in use.
        #[test]
        fn no_two_nodes_draw_the_same_value(sequence in any_sequence(), nodes in 2..=16_i32, restart: bool) {
            let mut seen = std::collections::HashSet::new();
            for node in 1..=nodes {
                let planned = plan(&sequence, class(node, nodes), 0);
                if !matches!(planned.outcome, Outcome::Alter { .. }) {
                    prop_assert!(matches!(planned.outcome, Outcome::Fail(_)));
                    continue;
                }
                let mut after = apply(&sequence, &planned);
                let first = draw(&mut after);
                prop_assert_eq!(first, planned.restart);
                if let (Some(first), Some(in_use)) = (first, planned.in_use) {
                    let course = Course::of(&sequence);
                    prop_assert!(course.is_past(i128::from(first), i128::from(in_use)));
                }
                let mut mine: std::collections::HashSet<i64> = first.into_iter().collect();
                if restart {
                    after.last_value = after.start;
                    after.is_called = false;
                }
                mine.extend((0..500).map_while(|_| draw(&mut after)));
                for value in mine {
                    prop_assert!(class(node, nodes).contains(value), "{} on node {}", value, node);
                    prop_assert!(seen.insert(value), "{} twice", value);
                }
            }
        }
    }
}
