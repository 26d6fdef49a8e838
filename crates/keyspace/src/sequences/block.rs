//! Blocks of ids: an application draws one value for each block and makes the ids of the block
//! itself.

use super::class::Class;
use super::direction::Share;
use super::sequence::Sequence;
use crate::error::{Error, SqlState};

/// Which ids an application makes of a value *v* that stands for *size* ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Counting {
    /// `v` to `v + size - 1`: Hibernate's `pooled-lo`, EF Core's `UseHiLo`, Doctrine.
    Up,
    /// `v - size + 1` to `v`: Hibernate's `pooled`.
    Down,
    /// One of the two; it is not known which.
    Either,
}

impl Counting {
    /// The way of counting with this name.
    ///
    /// # Errors
    /// 22023 for any other name.
    pub fn parse(name: &str) -> Result<Self, Error> {
        match name {
            "up" => Ok(Self::Up),
            "down" => Ok(Self::Down),
            "either" => Ok(Self::Either),
            _ => Err(Error::new(SqlState::InvalidParameterValue, format!("unknown way of counting \"{name}\""))
                .hint("The ids of a block are counted \"up\" from its value (Hibernate's pooled-lo, EF Core, Doctrine) or \"down\" to it (Hibernate's pooled); \"either\" accepts both.")),
        }
    }

    /// Its name in SQL.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Either => "either",
        }
    }

    /// The same in words.
    const fn words(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Either => "up or down",
        }
    }
}

/// The blocks that the values of a sequence stand for, on all nodes together.
///
/// The values of all nodes are `size` apart. Each node has every `nodes`-th of them, so the number
/// of a block belongs to the class of its node, as a single id does. That stays true if a class is
/// split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Blocks {
    /// How many ids a block has, at least 2.
    size: u64,
    /// The values are congruent to this modulo `size`.
    origin: u64,
    /// Which ids a block has.
    counting: Counting,
}

impl Blocks {
    /// Blocks of `size` ids whose values include `value`; `None` if each value is an id.
    pub fn through(value: i64, size: u64, counting: Counting) -> Option<Self> {
        let origin = i128::from(value).rem_euclid(i128::from(size.max(1)));
        (size > 1).then_some(Self { size, origin: u64::try_from(origin).unwrap_or(0), counting })
    }

    /// The blocks that a sequence of this class gives; `None` if it gives single ids.
    pub fn of(sequence: &Sequence, class: Class) -> Option<Self> {
        let share = Share::of(sequence, class, false)?;
        Self::through(sequence.start, share.size, Counting::Either)
    }

    /// The same blocks, with their ids counted in this way.
    pub const fn counted(self, counting: Counting) -> Self {
        Self { counting, ..self }
    }

    /// How their ids are counted.
    pub const fn counting(self) -> Counting {
        self.counting
    }

    /// How many ids a block has.
    pub const fn size(self) -> u64 {
        self.size
    }

    /// Whether an id can come from a block of this class.
    pub fn contain(self, class: Class, id: i64) -> bool {
        let (size, distance) = (i128::from(self.size), i128::from(id) - i128::from(self.origin));
        // The value at or below the id, and the one at or above it.
        let below = distance.div_euclid(size);
        let above = (distance + size - 1).div_euclid(size);
        let is_own = |block: i128| class.residue().contains(block);
        match self.counting {
            Counting::Up => is_own(below),
            Counting::Down => is_own(above),
            Counting::Either => is_own(below) || is_own(above),
        }
    }

    /// Its parts, as arguments of a trigger.
    pub fn arguments(self) -> [String; 3] {
        [self.size.to_string(), self.origin.to_string(), self.counting.name().to_owned()]
    }

    /// The blocks that a trigger was created with; `None` if these are no such arguments.
    pub fn of_arguments(size: &str, origin: &str, counting: &str) -> Option<Self> {
        let (size, origin) = (size.parse().ok()?, origin.parse().ok()?);
        let counting = Counting::parse(counting).ok()?;
        (size > 1 && origin < size).then_some(Self { size, origin, counting })
    }

    /// A few words, the same as in the documentation.
    pub fn name(self) -> String {
        format!("blocks of {} counted {}", self.size, self.counting.words())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::super::number_type::NumberType;
    use super::super::plan::plan;
    use super::super::sequence::Former;
    use super::super::target::Target;
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn class(node: i32, nodes: i32) -> Class {
        Class::new(node, nodes).expect("a class")
    }

    /// Hibernate's optimizers, after their documentation: how a JVM makes ids of the values that it
    /// draws.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Optimizer {
        /// Each value is an id.
        None,
        /// A value is the first id of its pool.
        PooledLo,
        /// A value is the last id of its pool.
        Pooled,
    }

    /// One JVM.
    struct Jvm {
        optimizer: Optimizer,
        /// `allocationSize`, or the increment of the sequence under
        /// `increment_size_mismatch_strategy=fix`.
        pool: i64,
        /// `initialValue` of the mapping.
        initial: i64,
        /// The ids that are left of the pool: next and last.
        left: Option<(i64, i64)>,
        has_drawn: bool,
    }

    impl Jvm {
        fn new(optimizer: Optimizer, pool: i64, initial: i64) -> Self {
            Self { optimizer, pool, initial, left: None, has_drawn: false }
        }

        fn generate(&mut self, mut draw: impl FnMut() -> i64) -> i64 {
            let (next, last) = self.left.unwrap_or_else(|| {
                let value = draw();
                match self.optimizer {
                    Optimizer::None => (value, value),
                    Optimizer::PooledLo => (value, value + self.pool - 1),
                    // In earlier versions, the first value of a new sequence begins a pool that
                    // reaches to the next value.
                    Optimizer::Pooled if !self.has_drawn && value == self.initial => (value, draw()),
                    Optimizer::Pooled => (value - self.pool + 1, value),
                }
            });
            self.has_drawn = true;
            self.left = (next < last).then_some((next + 1, last));
            next
        }
    }

    fn hibernate(start: i64, increment: i64, drawn: i64) -> Sequence {
        Sequence {
            name: "public.orders_seq".to_owned(),
            number_type: NumberType::Bigint,
            start,
            increment,
            min_value: 1,
            max_value: i64::MAX,
            cycle: false,
            unlogged: false,
            replicated: None,
            last_value: if drawn > 0 { start + (drawn - 1) * increment } else { start },
            is_called: drawn > 0,
            former: None,
            history: vec![],
            promoted: false,
            gap_left: 0,
            trusted: None,
            elsewhere: vec![],
            columns: vec![],
            used_by: vec![],
        }
    }

    /// A sequence after its set-up.
    fn set_up(before: &Sequence, class: Class) -> Sequence {
        let planned = plan(before, &Target { class, from: None, origin: None, gap: Some(0), blocks: true });
        let super::super::plan::Outcome::Alter { ddl } = &planned.outcome else { panic!("{planned:?}") };
        let words: Vec<&str> = ddl.split_whitespace().collect();
        let start = words.iter().position(|word| *word == "START").expect("START") + 2;
        Sequence {
            increment: planned.increment,
            start: words[start].parse().expect("a number"),
            last_value: planned.restart.expect("a restart"),
            is_called: false,
            former: Some(Former {
                increment: before.increment,
                start: before.start,
                min_value: before.min_value,
                max_value: before.max_value,
            }),
            ..before.clone()
        }
    }

    fn draw(sequence: &mut Sequence) -> i64 {
        let value = i64::try_from(sequence.next_value()).expect("within the range");
        (sequence.last_value, sequence.is_called) = (value, true);
        value
    }

    #[test]
    fn fault_b08_ids_belong_to_the_node_of_their_block() {
        // Blocks of 50 from 1: node 1 of 2 draws 51, 151 ..., node 2 draws 1, 101, 201 ...
        let blocks = Blocks::through(1, 50, Counting::Down).expect("blocks");
        let (one, two) = (class(1, 2), class(2, 2));
        for (id, node) in [(2, 1), (51, 1), (52, 2), (101, 2), (102, 1), (1, 2), (-48, 2), (-49, 1)] {
            assert_eq!((blocks.contain(one, id), blocks.contain(two, id)), (node == 1, node == 2), "{id}");
        }
        let up = blocks.counted(Counting::Up);
        for (id, node) in [(1, 2), (50, 2), (51, 1), (100, 1), (101, 2)] {
            assert_eq!((up.contain(one, id), up.contain(two, id)), (node == 1, node == 2), "{id}");
        }
        // With two nodes, only the values themselves are certain.
        let either = blocks.counted(Counting::Either);
        assert!(either.contain(one, 52) && either.contain(two, 52));
        assert!(either.contain(one, 51) && !either.contain(two, 51));
        let three = class(3, 4);
        assert!(!either.contain(three, 2) && either.contain(three, 110) && !either.contain(three, 230));
        assert!(blocks.contain(one, i64::MAX) != blocks.contain(two, i64::MAX));
        assert!(up.contain(one, i64::MIN) != up.contain(two, i64::MIN));
    }

    #[test]
    fn blocks_travel_as_arguments_of_a_trigger() {
        for counting in [Counting::Up, Counting::Down, Counting::Either] {
            let blocks = Blocks::through(-3, 50, counting).expect("blocks");
            let [size, origin, name] = blocks.arguments();
            assert_eq!((size.as_str(), origin.as_str()), ("50", "47"));
            assert_eq!(Blocks::of_arguments(&size, &origin, &name), Some(blocks));
        }
        assert_eq!(Blocks::of_arguments("1", "0", "up"), None);
        assert_eq!(Blocks::of_arguments("50", "50", "up"), None);
        assert_eq!(Blocks::of_arguments("50", "0", "sideways"), None);
        assert_eq!(Blocks::through(1, 1, Counting::Up), None);
        assert_eq!(Counting::parse("Up").expect_err("refused").sqlstate.code(), "22023");
    }

    #[test]
    fn fault_b08_a_restart_does_not_lead_to_the_first_value_of_the_mapping() {
        // Earlier versions of Hibernate take their initialValue for the first value of a new
        // sequence, and make ids up to the next one: those of other nodes, too.
        let mut two = set_up(&hibernate(1, 50, 0), class(2, 2));
        assert_eq!((two.start, two.last_value), (101, 101));
        two.last_value = two.start;
        let mut jvm = Jvm::new(Optimizer::Pooled, 50, 1);
        assert_eq!(jvm.generate(|| draw(&mut two)), 52);
        // A second set-up leaves START where it is.
        let again =
            plan(&two, &Target { class: class(2, 2), from: None, origin: None, gap: Some(0), blocks: true });
        assert_eq!(again.outcome, super::super::plan::Outcome::Unchanged);
    }

    #[test]
    fn fault_b08_fix_is_found_at_its_first_id() {
        // "fix" takes the increment of 100 for the size of a pool.
        for (optimizer, counting, refused) in
            [(Optimizer::Pooled, Counting::Down, 2), (Optimizer::PooledLo, Counting::Up, 151)]
        {
            let mut two = set_up(&hibernate(1, 50, 0), class(2, 2));
            let blocks = Blocks::of(&two, class(2, 2)).expect("blocks").counted(counting);
            let mut jvm = Jvm::new(optimizer, 100, 1);
            let ids: Vec<i64> = (0..100).map(|_| jvm.generate(|| draw(&mut two))).collect();
            let first = ids.iter().copied().find(|id| !blocks.contain(class(2, 2), *id));
            assert_eq!(first, Some(refused), "{optimizer:?}");
        }
        // After a plain set-up, it takes the number of nodes for the size of a pool.
        let mut two = Sequence { increment: 2, start: 2, last_value: 2, ..hibernate(1, 1, 0) };
        let mut jvm = Jvm::new(Optimizer::Pooled, 2, 1);
        let ids = [(); 2].map(|()| jvm.generate(|| draw(&mut two)));
        assert_eq!(ids.map(|id| class(2, 2).contains(id)), [false, true], "{ids:?}");
        let mut jvm = Jvm::new(Optimizer::None, 1, 1);
        assert!(class(2, 2).contains(jvm.generate(|| draw(&mut two))));
    }

    proptest! {
        /// With `increment_size_mismatch_strategy=none` and the size as it was, several JVMs on
        /// each node make different ids, all above those in use, and each guard accepts its own
        /// node's ids and, if it knows how they are counted, no others.
        #[test]
        fn fault_b08_pools_of_all_nodes_keep_apart(
            nodes in 2..=5_i32, pool in 2..=60_i64, start in 1..200_i64, drawn in 0..6_i64,
            lo: bool, turns in prop::collection::vec((any::<u8>(), 0..3_usize), 1..400), restart: bool,
        ) {
            // If they are equal, the meaning of an increment is not known.
            prop_assume!(pool != i64::from(nodes));
            let (optimizer, counting) =
                if lo { (Optimizer::PooledLo, Counting::Up) } else { (Optimizer::Pooled, Counting::Down) };
            let mut origin = hibernate(start, pool, drawn);
            // One server has made ids so far.
            let mut before = Jvm::new(optimizer, pool, start);
            let mut fresh = hibernate(start, pool, 0);
            let mut used = std::collections::HashSet::new();
            while fresh.last_value < origin.last_value || (drawn > 0 && !fresh.is_called) {
                used.insert(before.generate(|| draw(&mut fresh)));
            }
            if drawn > 0 {
                origin = fresh;
            }
            let mut sequences: Vec<Sequence> =
                (1..=nodes).map(|node| set_up(&origin, class(node, nodes))).collect();
            if restart {
                // TRUNCATE ... RESTART IDENTITY on all nodes, without rows.
                used.clear();
                for sequence in &mut sequences {
                    (sequence.last_value, sequence.is_called) = (sequence.start, false);
                }
            }
            let mut jvms: HashMap<(usize, usize), Jvm> = HashMap::new();
            for (node, jvm) in turns {
                let node = usize::from(node) % sequences.len();
                let jvm = jvms.entry((node, jvm)).or_insert_with(|| Jvm::new(optimizer, pool, start));
                let id = jvm.generate(|| draw(&mut sequences[node]));
                prop_assert!(used.insert(id), "{id} twice");
                let mut owners = Vec::new();
                for (at, sequence) in sequences.iter().enumerate() {
                    let class = class(i32::try_from(at).expect("small") + 1, nodes);
                    let blocks = Blocks::of(sequence, class).expect("blocks");
                    if blocks.counted(counting).contain(class, id) {
                        owners.push(at);
                    }
                    prop_assert!(at != node || blocks.contain(class, id));
                }
                prop_assert_eq!(owners, vec![node], "{}", id);
            }
        }
    }
}
