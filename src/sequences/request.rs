//! The request for a set-up: the arguments that its two forms share, checked.

use std::rc::Rc;

use keyspace::sequences::{Class, Target};
use keyspace::{Error, SqlState};
use pgrx::datum::Interval;
use pgrx::{AnyArray, AnyElement, pg_sys};

use crate::sequences::change::{Change, Planner, records};
use crate::sequences::own::copied_records::CopiedRecords;
use crate::sequences::own::identity;
use crate::sequences::peers::{self, Peers};
use crate::sequences::read::feeds::{self, Feeds};
use crate::sequences::read::selection::Selection;
use crate::server::call::{argument, required};
use crate::server::extension::Extension;
use crate::server::failure::Failure;
use crate::server::patience::Patience;
use crate::server::settings::with_own_settings;
use crate::server::timeout::Timeout;

/// The arguments as SQL passes them.
pub(super) struct SetupArguments {
    node: Option<i32>,
    nodes: Option<i32>,
    schemas: Option<AnyArray>,
    sequences: Option<AnyArray>,
    exclude: Option<AnyArray>,
    feeds: Option<AnyElement>,
    peers: Option<AnyArray>,
    gap: Option<i64>,
    blocks: Option<bool>,
    trust_position: Option<AnyArray>,
    skip_failed: Option<bool>,
    lock_timeout: Option<Interval>,
}

impl SetupArguments {
    /// How many arguments both forms declare, in the same order and before all others.
    pub(super) const COUNT: usize = 10;

    /// Those of a call of one of the two forms, with the values of two further arguments, which the
    /// two forms declare differently.
    pub(super) fn of_call(
        fcinfo: pg_sys::FunctionCallInfo,
        skip_failed: Option<bool>,
        lock_timeout: Option<Interval>,
    ) -> Self {
        // SAFETY: the declarations of both functions begin with these arguments.
        unsafe {
            Self {
                node: argument(fcinfo, 0),
                nodes: argument(fcinfo, 1),
                schemas: argument(fcinfo, 2),
                sequences: argument(fcinfo, 3),
                exclude: argument(fcinfo, 4),
                feeds: argument(fcinfo, 5),
                peers: argument(fcinfo, 6),
                gap: argument(fcinfo, 7),
                blocks: argument(fcinfo, 8),
                trust_position: argument(fcinfo, 9),
                skip_failed,
                lock_timeout,
            }
        }
    }
}

/// The arguments, checked.
pub(super) struct Request {
    pub(super) extension: Extension,
    pub(super) target: Target,
    pub(super) timeout: Timeout,
    pub(super) selection: Selection,
    pub(super) feeds: Feeds,
    pub(super) peers: Rc<Peers>,
    skip_failed: bool,
}

impl Request {
    /// Checks the arguments and the node.
    pub(super) fn new(arguments: SetupArguments, extension: Extension) -> Result<Self, Failure> {
        let node = required(arguments.node, "node")?;
        let nodes = required(arguments.nodes, "nodes")?;
        let gap = arguments.gap;
        let blocks = required(arguments.blocks, "blocks")?;
        let skip_failed = required(arguments.skip_failed, "skip_failed")?;
        let lock_timeout = required(arguments.lock_timeout, "lock_timeout")?;
        let class = Class::new(node, nodes)?;
        if let Some(gap) = gap.filter(|gap| *gap < 0) {
            let message = format!("gap must be at least 0, not {gap}");
            return Err(Error::new(SqlState::InvalidParameterValue, message)
                .hint("The gap is the number of ids to leave free above those in use. NULL computes it.")
                .into());
        }
        let timeout = Timeout::new(lock_timeout)?;
        let mut peers = Peers::read(arguments.peers, extension)?;
        peers::check_others(&peers)?;
        let from = identity::class_to_leave(extension, class, &peers)?;
        // While the number of nodes changes, nodes that have not moved yet are in former classes.
        if from.is_none() {
            peers::check_class(&peers, class, identity::set_up_at(extension)?)?;
        }
        let feeds = feeds::read(arguments.feeds)??;
        let selection =
            Selection::new(arguments.schemas, arguments.sequences, arguments.exclude, feeds.clone())
                .trusting(arguments.trust_position);
        if from.is_some() && !selection.is_of_all()? {
            let message = "the class of a node can only be changed for all of its sequences";
            let hint = "Leave out schemas, sequences and exclude.";
            return Err(Error::new(SqlState::InvalidParameterValue, message).hint(hint).into());
        }
        with_own_settings(|| selection.check())??;
        let origin = identity::origin(extension)?;
        if origin.is_some() {
            peers.copied = CopiedRecords::read(extension)?;
        }
        let target = Target { class, from, origin, gap, blocks };
        Ok(Self { extension, target, timeout, selection, feeds, peers: Rc::new(peers), skip_failed })
    }

    /// The requested change.
    pub(super) fn change(&self) -> Change {
        Change {
            extension: self.extension,
            name: "set-up",
            class: Some(self.target.class),
            patience: Patience::new(self.timeout),
            planner: Planner::SetUp(self.target, Rc::clone(&self.peers)),
            skip_failed: self.skip_failed,
        }
    }

    /// Refuses if the class of the node has changed since the arguments were checked.
    pub(super) fn check_class(&self) -> Result<(), Error> {
        let from = self.target.from.unwrap_or(self.target.class);
        match identity::known(self.extension)? {
            Some(class) if class != from => Err(Error::new(
                SqlState::ObjectInUse,
                format!("this database has become node {} of {}", class.node(), class.nodes()),
            )
            .hint("Run it again. Nothing has been changed.")),
            _ => Ok(()),
        }
    }

    /// Refuses requests for which the caller lacks the privileges, before anything is changed.
    pub(super) fn check_rights(&self) -> Result<(), Error> {
        // Without records, a second set-up would mistake the increments of the first one for
        // blocks.
        if self.target.blocks && !records::may_be_kept() {
            let message = "permission denied to record blocks";
            return Err(Error::new(SqlState::InsufficientPrivilege, message)
                .hint("Run the set-up as the owner of the database, or as a superuser."));
        }
        Ok(())
    }
}
