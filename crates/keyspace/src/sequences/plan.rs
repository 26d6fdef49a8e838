//! The plan to move one sequence into its node's class, from facts that are given as data.

use super::class::{Class, Residue};
use super::direction::{Course, Share, steps_by_nodes};
use super::sequence::{Bounds, Draw, Elsewhere, FedColumn, Sequence};
use super::target::Target;
use crate::error::{Error, SqlState, capitalized, sentence};
use crate::sql;

/// What to do with a sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The statement that moves it.
    Alter {
        /// One `ALTER SEQUENCE`, without a semicolon.
        ddl: String,
    },
    /// It is already in order, and there is nothing to do.
    Unchanged,
    /// It is left alone, for a reason that [`Plan::detail`] gives.
    Skip,
    /// It cannot be moved.
    Fail(Error),
}

/// The plan for one sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What to do.
    pub outcome: Outcome,
    /// The furthest value in use: handed out by the sequence, found in a column that it feeds, or
    /// reported by another node.
    pub in_use: Option<i64>,
    /// The next value that it hands out after the plan.
    pub restart: Option<i64>,
    /// The increment after the plan.
    pub increment: i64,
    /// START and the bounds after the plan.
    pub bounds: Bounds,
    /// How many values are left, from `restart` to the limit of the sequence and of every column
    /// that it feeds.
    pub values_left: Option<i64>,
    /// How much of the range is before `restart`, in hundredths of a percent.
    pub used_basis_points: Option<i64>,
    /// A few words on the reason, or on what to note.
    pub detail: String,
    /// The number of ids that it leaves free.
    pub gap: i64,
}

/// Plans the move of one sequence into a class.
pub fn plan(sequence: &Sequence, target: &Target) -> Plan {
    let position = Position::of(sequence);
    let Position { course, limit, .. } = position;
    let class = target.class;
    let next = sequence.next_value();
    let mut notes = notes(sequence, course);

    let Some(share) = Share::moved(sequence, target.from, class, target.blocks) else {
        let share = Share { values: class.residue(), size: 1 };
        notes.insert(0, format!("increment {} kept", sequence.increment));
        return position.plan(Outcome::Skip, next, sequence.increment, notes, sequence, share);
    };
    if let Some(by) = used_by(&sequence.used_by).filter(|_| !steps_by_class(sequence, target)) {
        notes.insert(0, format!("used by {by}: name its columns in feeds, or exclude it"));
        return position.plan(Outcome::Skip, next, sequence.increment, notes, sequence, share);
    }
    if target.blocks && Share::is_ambiguous(sequence, target) {
        notes.insert(0, "blocks or nodes".to_owned());
        let error = Outcome::Fail(blocks_or_nodes(sequence));
        return position.plan(error, next, sequence.increment, notes, sequence, share);
    }
    let step = share.step();
    let reason = reason_to_advance(sequence, course, target.gap);
    let gap = gap_of(sequence, target);
    let is_in_order = i128::from(sequence.increment).abs() == step && is_in_order(sequence, course, share);
    if is_in_order && reason.is_none() {
        let used_up = !sequence.cycle && course.is_past(next, limit);
        notes.insert(0, if used_up { "used up" } else { "in order" }.to_owned());
        return position.plan(Outcome::Unchanged, next, sequence.increment, notes, sequence, share);
    }
    let Restart { value: restart, free, end, wraps } =
        Restart::of(sequence, target, position, share, is_in_order);
    let wraps_by_itself = course.is_past(next, course.end(sequence));
    let continues_at = if wraps_by_itself { course.wrap_edge(sequence).1 } else { next };
    if is_in_order && sequence.cycle && restart == continues_at {
        // What other nodes have ahead of it is of the last round.
        notes.insert(0, "in order".to_owned());
        return position.plan(Outcome::Unchanged, next, sequence.increment, notes, sequence, share);
    }

    if let Some(error) = too_small_a_gap(sequence, target.gap) {
        notes.insert(0, error.message.clone());
        return position.plan(Outcome::Fail(error), next, sequence.increment, notes, sequence, share);
    }

    let start = course.aligned_start(sequence, share, first_start(sequence, share, course));
    if wraps {
        notes.push("wraps around".to_owned());
    }
    let (increment, aligned_start) = (i64::try_from(step * course.sign), i64::try_from(start));
    let (false, Ok(increment), Ok(aligned_start)) = (course.is_past(restart, end), increment, aligned_start)
    else {
        let by_rows = is_used_up_by_rows(sequence, course, share, free, end);
        let error = Error::new(
            SqlState::SequenceGeneratorLimitExceeded,
            format!(
                "sequence {} has no value left for node {} of {}",
                sequence.name,
                class.node(),
                class.nodes()
            ),
        )
        .detail(format!("The next value would be {restart}, and the limit is {end}."))
        .hint(hint_of_exhaustion(sequence, target, gap, by_rows));
        if by_rows {
            notes.insert(0, "rows lie ahead of its position".to_owned());
        }
        notes.insert(0, format!("{restart} is beyond {end}"));
        return position.plan(Outcome::Fail(error), next, sequence.increment, notes, sequence, share);
    };

    let mut ddl = format!(
        "ALTER SEQUENCE {} INCREMENT BY {increment} START WITH {start} RESTART WITH {restart}",
        sequence.name
    );
    let mut bounds = Bounds { start: aligned_start, ..sequence.bounds() };
    if sequence.cycle {
        let (keyword, edge) = course.wrap_edge(sequence);
        let aligned = course.align(share.values, edge);
        if aligned != edge {
            let bound = if course.sign > 0 { &mut bounds.min_value } else { &mut bounds.max_value };
            *bound = i64::try_from(aligned).unwrap_or(*bound);
            ddl.push_str(&format!(" {keyword} {aligned}"));
            notes.push(format!("cycles to {aligned}"));
        }
    }
    let change = if sequence.increment != increment {
        let blocks = if share.size > 1 { format!("blocks of {}, ", share.size) } else { String::new() };
        format!("{blocks}increment {} to {increment}", sequence.increment)
    } else if !share.values.contains(next) && start != i128::from(sequence.start) {
        format!("was in the class of node {}", share.node_of(class, sequence.start))
    } else if !share.values.contains(next) {
        "back into the class".to_owned()
    } else if has_rows_ahead(sequence) {
        "above the values in use".to_owned()
    } else if let Some(reason) = reason {
        reason
    } else if start != i128::from(sequence.start) {
        "START aligned".to_owned()
    } else {
        "CYCLE aligned".to_owned()
    };
    if share.size > 1 && sequence.increment != increment {
        notes.insert(0, format!("the application keeps {}", share.size));
    }
    notes.insert(0, change);
    let plan = position.plan(Outcome::Alter { ddl }, restart, increment, notes, sequence, share);
    Plan { bounds, gap, ..plan }
}

/// Where a sequence restarts.
struct Restart {
    value: i128,
    /// The ids that are left free before it.
    free: i128,
    /// The last value that it can hand out.
    end: i128,
    /// Whether it is at the end of its cycle, and continues at its beginning.
    wraps: bool,
}

impl Restart {
    fn of(sequence: &Sequence, target: &Target, position: Position, share: Share, is_in_order: bool) -> Self {
        let Position { course, in_use, limit, .. } = position;
        // The application decides whether a block begins or ends with its value, so a whole block
        // is left free.
        let size = i128::from(share.size);
        let free = i128::from(gap_of(sequence, target)) + size - 1;
        let end = limit - (size - 1) * course.sign;
        let above = |floor: i128| course.align(share.values, floor + (free + 1) * course.sign);
        let at = |value: i128, wraps: bool| Self { value, free, end, wraps };
        let restart = above(course.floor(sequence, in_use));
        if !(sequence.cycle && course.is_past(restart, end) && limit == course.end(sequence)) {
            return at(restart, false);
        }
        // Rows at the end of a cycle are from its last round, and it continues where it stands. The
        // same gap again does not move it.
        let is_gap_left = target.gap.is_none_or(|gap| gap <= sequence.gap_left);
        let restart = if is_in_order && is_gap_left {
            sequence.next_value()
        } else {
            course.align(share.values, course.after_position(sequence) + free * course.sign)
        };
        if !course.is_past(restart, end) {
            return at(restart, false);
        }
        // Where other nodes have values at the beginning, these may be of the next round: it
        // continues above them, if anything is left there.
        let edge = course.align(share.values, course.wrap_edge(sequence).1);
        let Ok(last_value) = i64::try_from(edge) else { return at(edge, true) };
        let gap_left = gap_of(sequence, target);
        let wrapped = Sequence { last_value, is_called: false, gap_left, ..sequence.clone() };
        let before = edge - course.sign;
        let restart = above(course.in_use(&wrapped).map_or(before, |in_use| course.furthest(before, in_use)));
        let must_advance = reason_to_advance(&wrapped, course, target.gap).is_some();
        at(if must_advance && !course.is_past(restart, end) { restart } else { edge }, true)
    }
}

/// Refuses an increment that can be the size of a block or the work of a set-up.
fn blocks_or_nodes(sequence: &Sequence) -> Error {
    let Sequence { name, increment, .. } = sequence;
    let error = Error::new(
        SqlState::ObjectNotInPrerequisiteState,
        format!("could not determine whether sequence {name} steps by blocks or by nodes"),
    );
    match Share::other_size(sequence) {
        Some((peer, size)) => {
            let former = increment.signum() * i64::try_from(size).unwrap_or(1);
            let ids = if size == 1 { "1 id".to_owned() } else { format!("{size} ids") };
            error
                .detail(format!(
                    "Its increment is {increment}, there is no record of a set-up, and on {peer} each value stands for {ids}."
                ))
                .hint(format!(
                    "If it was copied from another node, run ALTER SEQUENCE {name} INCREMENT BY {former} first. If its values stand for blocks of {}, they must do so on all nodes.",
                    increment.unsigned_abs()
                ))
        }
        None => error
            .detail(format!(
                "Its increment of {increment} is also a number of nodes, and there is no record of a set-up."
            ))
            .hint("If an earlier set-up gave it this increment, set it up without blocks => true, or give it an increment of 1 first. If its values stand for blocks, give it a multiple of the increment first."),
    }
}

/// The number of ids to leave free.
fn gap_of(sequence: &Sequence, target: &Target) -> i64 {
    target.gap.unwrap_or_else(|| computed_gap(sequence))
}

/// Whether a table already holds values that the sequence will hand out, or may hold ids of its
/// blocks. In a cycle, these are of its last round.
fn has_rows_ahead(sequence: &Sequence) -> bool {
    let is_ahead = |column: &FedColumn| column.ahead.or(column.maybe_ahead).is_some();
    !sequence.cycle && sequence.columns.iter().any(is_ahead)
}

/// Whether values would be left if only the position of the sequence counted, and not the rows
/// ahead of it.
fn is_used_up_by_rows(sequence: &Sequence, course: Course, share: Share, free: i128, end: i128) -> bool {
    let floor = course.after_position(sequence) - course.sign;
    !course.is_past(course.align(share.values, floor + (free + 1) * course.sign), end)
}

fn hint_of_exhaustion(sequence: &Sequence, target: &Target, gap: i64, by_rows: bool) -> String {
    if let Some(row) = sequence.rows_from() {
        let smaller = if gap > 0 { "use a smaller gap, or " } else { "" };
        return format!(
            "Its position is trusted, so rows from {row} on are its limit. If values lie beyond them, {smaller}restart the sequence there by ALTER SEQUENCE ... RESTART. Otherwise widen it and the columns that it feeds. Then repeat the call."
        );
    }
    // A node that leaves its class alters all of its sequences.
    if target.from.is_some() {
        let hint = "Widen the sequence and the columns that it feeds.";
        return if by_rows { format!("{hint} {}", trust_before(sequence)) } else { hint.to_owned() };
    }
    let hint = if gap > 0 {
        "Use a smaller gap, widen the sequence and the columns that it feeds, or exclude the sequence."
    } else {
        "Widen the sequence and the columns that it feeds, or exclude the sequence."
    };
    if by_rows {
        let argument = trust_argument(sequence);
        format!(
            "{hint} If these values were not generated by the sequence, pass trust_position => {argument}."
        )
    } else {
        hint.to_owned()
    }
}

/// How to trust the position of a sequence where that cannot be said at once.
fn trust_before(sequence: &Sequence) -> String {
    format!(
        "If these values were not generated by the sequence, run setup_interleaved_sequences() as the same node with trust_position => {} first.",
        trust_argument(sequence)
    )
}

/// The value of `trust_position` for one sequence.
fn trust_argument(sequence: &Sequence) -> String {
    sql::literal(&array_of(&sequence.name)).trim_start().to_owned()
}

/// The text of an array of one element.
fn array_of(element: &str) -> String {
    if element.contains(['"', '\\', ',', '{', '}', ' ']) {
        format!("{{\"{}\"}}", element.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        format!("{{{element}}}")
    }
}

/// Whether a sequence that is left as it is can still hand out values that its node gives up by
/// leaving its class.
pub fn still_gives(sequence: &Sequence, target: &Target) -> bool {
    if sequence.is_drawn_on() {
        return false;
    }
    if sequence.cycle {
        return true;
    }
    let course = Course::of(sequence);
    let share = Share::moved(sequence, target.from, target.class, target.blocks);
    let kept = share.map_or(target.class.residue(), |share| share.values);
    let (next, step) = (sequence.next_value(), i128::from(sequence.increment));
    let left = course.values_left(next, course.end(sequence), step, 1);
    left > 0 && !(kept.contains(next) && (left == 1 || step % kept.modulus() == 0))
}

/// The peers that may hand out values which this node could hand out, too, until their own set-ups:
/// with the value that each had reached when its state was taken, and how many ids it is known to
/// have used since.
fn still_draw(sequence: &Sequence) -> impl Iterator<Item = (&Elsewhere, i64, i64)> {
    sequence.elsewhere.iter().filter_map(|elsewhere| {
        let still = elsewhere.still?;
        Some((elsewhere, still.position, still.used?.max(0)))
    })
}

/// Twice as many ids as any peer has used since its state was taken: it draws on until its own
/// set-up.
fn computed_gap(sequence: &Sequence) -> i64 {
    still_draw(sequence).map(|(_, _, used)| used.saturating_mul(2)).max().unwrap_or(0)
}

/// Refuses a gap of fewer ids than a peer has used since its state was taken: it uses more until its
/// own set-up. What it has used is estimated from its rate, so a tenth is allowed for.
fn too_small_a_gap(sequence: &Sequence, gap: Option<i64>) -> Option<Error> {
    let gap = gap?;
    let (elsewhere, _, used) = still_draw(sequence).max_by_key(|(_, _, used)| *used)?;
    // The last id may be a fraction of one.
    if used - used / 10 <= gap.saturating_add(1) {
        return None;
    }
    let message = format!("a gap of {gap} is too small for sequence {}", sequence.name);
    let (peer, enough) = (capitalized(&elsewhere.peer), used.saturating_mul(2));
    Some(
        Error::new(SqlState::ObjectNotInPrerequisiteState, message)
            .detail(format!("{peer} has used about {used} ids of it since its state was taken."))
            .hint(format!(
                "Take the states again, or pass gap => {enough} or more, or none, which computes it."
            )),
    )
}

/// The least START of a sequence. For an application that takes blocks, the START from before the
/// set-up is the first value of a new sequence, of which it may make ids up to the value that
/// follows (fault B08).
fn first_start(sequence: &Sequence, share: Share, course: Course) -> i128 {
    let start = i128::from(sequence.start);
    let is_original = sequence.former.is_none_or(|former| former.start == sequence.start);
    if share.size > 1 && is_original { start + course.sign } else { start }
}

/// Whether a sequence was moved into a class before. Then it goes on in its class, whatever else
/// draws from it: that changes nothing for rows that are not known.
fn steps_by_class(sequence: &Sequence, target: &Target) -> bool {
    let share = Share::of(sequence, target.from.unwrap_or(target.class), target.blocks);
    share.is_some_and(|share| i128::from(sequence.increment).abs() == share.step())
}

/// The first of what draws from a sequence, and how much more there is.
fn used_by(all: &[String]) -> Option<String> {
    let (first, more) = all.split_first()?;
    Some(if more.is_empty() { first.clone() } else { format!("{first} and {} more", more.len()) })
}

/// What draws from a sequence in unknown ways, as a sentence; `None` if nothing does.
pub fn used_by_detail(all: &[String]) -> Option<String> {
    let verb = if all.len() > 1 { "use" } else { "uses" };
    let by = used_by(all)?;
    Some(sentence(&format!("{by} {verb} it, and it is not known which columns get the values")))
}

/// What to do about a sequence of which not all columns are known.
pub const USED_BY_HINT: &str = "Name the columns that get its values in feeds, or exclude it. If the values are only a part of ids that a function makes, give the sequence its class with ALTER SEQUENCE ... INCREMENT (the number of nodes) START and RESTART (values of the node's class), on every node.";

/// Why a sequence that is in its class must move further, if it must.
fn reason_to_advance(sequence: &Sequence, course: Course, gap: Option<i64>) -> Option<String> {
    let next = sequence.next_value();
    let ahead = |of_ours: Option<i64>| of_ours.is_some_and(|value| !course.is_past(next, i128::from(value)));
    if let Some(elsewhere) = sequence.elsewhere.iter().find(|elsewhere| ahead(elsewhere.of_ours)) {
        return Some(format!("above the values of {}", elsewhere.peer));
    }
    let Some(gap) = gap else {
        // A peer may have come so far by now that it has used values which lie ahead.
        let may_be_ahead = |(_, reached, used): &(&Elsewhere, i64, i64)| {
            let reached = i128::from(*reached) + i128::from(*used) * course.sign;
            *used > 0 && !course.is_past(next, reached)
        };
        let (elsewhere, ..) = still_draw(sequence).find(may_be_ahead)?;
        return Some(format!("above what {} has used since", elsewhere.peer));
    };
    if gap <= sequence.gap_left {
        return None;
    }
    Some(if sequence.promoted { "gap after a promotion" } else { "larger gap" }.to_owned())
}

/// Whether a reset leaves a sequence with an increment that may be that of an unrecorded set-up of
/// this class.
pub fn keeps_step_of_nodes(sequence: &Sequence, class: Class) -> bool {
    sequence.former.is_none() && steps_by_nodes(sequence, class)
}

/// Plans the reset: the definition before the set-up, above everything in use.
pub fn plan_reset(sequence: &Sequence) -> Plan {
    let position = Position::of(sequence);
    let Position { course, in_use, limit, .. } = position;
    let mut notes = notes(sequence, course);
    let next = sequence.next_value();
    let Some(former) = sequence.former else {
        let one = Share { values: Residue::every(), size: 1 };
        notes.insert(0, "no record of a set-up".to_owned());
        return position.plan(Outcome::Skip, next, sequence.increment, notes, sequence, one);
    };
    // The former sequence gave every value that lies a whole number of steps from its START.
    let size = former.increment.unsigned_abs();
    let values = Residue::through(i128::from(former.start), size);
    let share = Share { values, size };
    let free = i128::from(size) - 1;
    let mut restart = Some(course.align(values, course.floor(sequence, in_use) + (free + 1) * course.sign));
    if restart.is_some_and(|restart| course.is_past(restart, limit)) {
        let position_ends = i128::from(sequence.last_value) + i128::from(former.increment);
        if sequence.cycle && limit == course.end(sequence) {
            restart = Some(course.align(values, course.after_position(sequence) + free * course.sign));
            if restart.is_some_and(|restart| course.is_past(restart, limit)) {
                restart = Some(i128::from(former.edge()));
                notes.push("wraps around".to_owned());
            }
        } else if sequence.is_called && course.is_past(position_ends, limit) {
            // It stays where it is, at its end.
            restart = None;
            notes.push("used up".to_owned());
        }
    }
    if let Some(beyond) = restart.filter(|restart| course.is_past(*restart, limit)) {
        if !sequence.cycle && course.is_past(next, limit) {
            // With its former increment it could hand out values that are in use.
            notes.insert(0, "used up".to_owned());
            return position.plan(Outcome::Unchanged, next, sequence.increment, notes, sequence, share);
        }
        let error = Error::new(
            SqlState::SequenceGeneratorLimitExceeded,
            format!("sequence {} has no value left", sequence.name),
        )
        .detail(format!("The next value would be {beyond}, and the limit is {limit}."))
        .hint(hint_of_reset(sequence, is_used_up_by_rows(sequence, course, share, free, limit)));
        notes.insert(0, format!("{beyond} is beyond {limit}"));
        return position.plan(Outcome::Fail(error), next, sequence.increment, notes, sequence, share);
    }
    let mut ddl = format!(
        "ALTER SEQUENCE {} INCREMENT BY {} START WITH {}",
        sequence.name, former.increment, former.start
    );
    if let Some(restart) = restart {
        ddl.push_str(&format!(" RESTART WITH {restart}"));
    }
    for (keyword, now, then) in [
        ("MINVALUE", sequence.min_value, former.min_value),
        ("MAXVALUE", sequence.max_value, former.max_value),
    ] {
        if now != then {
            ddl.push_str(&format!(" {keyword} {then}"));
        }
    }
    notes.insert(0, format!("increment {} to {}", sequence.increment, former.increment));
    let at = restart.unwrap_or(next);
    let plan = position.plan(Outcome::Alter { ddl }, at, former.increment, notes, sequence, share);
    Plan { restart: plan.restart.filter(|_| restart.is_some()), ..plan }
}

fn hint_of_reset(sequence: &Sequence, by_rows: bool) -> String {
    let hint = "Widen the sequence and the columns that it feeds, or leave it out by exclude or skip_failed.";
    if by_rows { format!("{hint} {}", trust_before(sequence)) } else { hint.to_owned() }
}

/// The notes that apply to a sequence whatever the outcome is.
fn notes(sequence: &Sequence, course: Course) -> Vec<String> {
    let mut notes = Vec::new();
    let end = course.column_end(sequence);
    if sequence.fed_columns().next().is_none() {
        notes.push("no known column".to_owned());
    }
    if end != course.end(sequence) {
        notes.push(format!("column ends at {end}"));
    }
    let mut set = sequence.fed_columns().filter_map(|column| Some((&column.name, column.set_by.as_ref()?)));
    if let Some((name, trigger)) = set.next() {
        let more = set.count();
        let more = if more == 0 { String::new() } else { format!(", and {more} more") };
        notes.push(format!("{name} is set by trigger {trigger}{more}"));
    }
    notes
        .extend(sequence.rows_from().map(|row| format!("position trusted: rows from {row} on do not count")));
    let unread = sequence.fed_columns().filter(|column| column.number_type.is_none());
    notes.extend(first_of(unread).map(|names| format!("{names} not read")));
    let others = sequence.columns.iter().filter(|column| column.draw == Draw::NotAllowed);
    notes.extend(
        first_of(others).map(|names| format!("{names} not read: its owner may not use the sequence")),
    );
    let not_followed = sequence.columns.iter().filter(|column| column.not_followed.is_some());
    notes.extend(
        first_of(not_followed)
            .map(|names| format!("{names} not followed: its owner may not set the sequence")),
    );
    for elsewhere in sequence.elsewhere.iter().filter(|elsewhere| !elsewhere.is_known) {
        notes.push(format!("unknown to {}", elsewhere.peer));
    }
    if sequence.unlogged {
        notes.push("unlogged: repeats values after a crash".to_owned());
    }
    if sequence.replicated.is_some() {
        notes.push("position is replicated".to_owned());
    }
    notes
}

/// The name of the first of some columns, and how many more there are.
fn first_of<'a>(mut columns: impl Iterator<Item = &'a FedColumn>) -> Option<String> {
    let name = columns.next()?.name.clone();
    Some(match columns.count() {
        0 => name,
        more => format!("{name} and {more} more"),
    })
}

/// Whether a sequence hands out only values of its share, and none that a table already holds.
pub(super) fn is_in_order(sequence: &Sequence, course: Course, share: Share) -> bool {
    share.values.contains(sequence.next_value())
        && share.values.contains(i128::from(sequence.start))
        && (!sequence.cycle || share.values.contains(course.wrap_edge(sequence).1))
        && !has_rows_ahead(sequence)
}

/// The position of a sequence, for the figures of its plan.
#[derive(Clone, Copy)]
struct Position {
    course: Course,
    in_use: Option<i128>,
    limit: i128,
}

impl Position {
    fn of(sequence: &Sequence) -> Self {
        let course = Course::of(sequence);
        Self { course, in_use: course.in_use(sequence), limit: course.limit(sequence) }
    }

    fn plan(
        self,
        outcome: Outcome,
        restart: i128,
        increment: i64,
        notes: Vec<String>,
        sequence: &Sequence,
        share: Share,
    ) -> Plan {
        // A sequence that cannot reach its class has no values left, whatever its position.
        let left = if matches!(outcome, Outcome::Fail(_)) {
            0
        } else {
            self.course.values_left(restart, self.limit, i128::from(increment), i128::from(share.size))
        };
        Plan {
            outcome,
            in_use: self.in_use.and_then(|value| i64::try_from(value).ok()),
            restart: i64::try_from(restart).ok(),
            increment,
            bounds: sequence.bounds(),
            values_left: i64::try_from(left).ok(),
            used_basis_points: Some(self.course.used_basis_points(sequence, restart, self.limit)),
            detail: notes.join("; "),
            gap: 0,
        }
    }
}

#[cfg(test)]
mod tests;
