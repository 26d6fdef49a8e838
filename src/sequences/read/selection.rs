//! The sequences that a call selects: its arguments, checked.

use std::rc::Rc;

use keyspace::sql::in_message;
use keyspace::{Error, SqlState};
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::SpiResult;
use pgrx::{AnyArray, IntoDatum};

use crate::encoding::from_server_bytes;
use crate::sequences::read::feeds::{self, Feed, Feeds};
use crate::sequences::read::mentions::Connected;
use crate::sequences::read::prepared::Prepared;
use crate::sequences::read::trusted::{self, Trusted};
use crate::server::extension::Extension;

/// An array argument of the caller, passed unchanged to a query.
#[derive(Clone, Copy)]
pub(crate) struct ArrayArgument {
    datum: Option<pg_sys::Datum>,
    type_oid: pg_sys::Oid,
}

impl ArrayArgument {
    pub(crate) fn new(array: Option<AnyArray>, type_oid: pg_sys::Oid) -> Self {
        Self { datum: array.map(|array| array.datum()), type_oid }
    }

    /// One sequence, as `regclass[]`.
    fn of_one(sequence: pg_sys::Oid) -> Self {
        Self { datum: vec![sequence].into_datum(), type_oid: pg_sys::REGCLASSARRAYOID }
    }

    pub(crate) fn is_given(self) -> bool {
        self.datum.is_some()
    }

    fn is_empty(self) -> SpiResult<bool> {
        let empty = "SELECT $1 IS NOT NULL AND cardinality($1) = 0";
        Spi::connect(|client| {
            Ok(client.select(empty, Some(1), &[self.argument()])?.first().get_one()?.unwrap_or(false))
        })
    }

    pub(crate) fn argument(self) -> DatumWithOid<'static> {
        match self.datum {
            // SAFETY: the function is declared with this argument type, and the datum lives as long
            // as the call.
            Some(datum) => unsafe { DatumWithOid::new(datum, self.type_oid) },
            None => DatumWithOid::null_oid(self.type_oid),
        }
    }
}

/// The sequences that a call selects.
pub(crate) struct Selection {
    /// `name[]`: only those of these schemas.
    schemas: ArrayArgument,
    /// `regclass[]`: only these.
    sequences: ArrayArgument,
    /// `regclass[]`: not these.
    exclude: ArrayArgument,
    /// Columns that the caller connects with their sequences.
    feeds: Feeds,
    /// Whether `feeds` is complete, so that our table need not be read.
    all_feeds: bool,
    /// `regclass[]`: those whose position is trusted, in addition to those that are stored; none at
    /// all if it is empty.
    trust: ArrayArgument,
    /// All whose position is trusted, if that is known.
    all_trusted: Option<Rc<[Trusted]>>,
    /// The prepared query for them, if there is one.
    prepared: Option<Rc<Prepared>>,
    /// The sequence, if it is only one.
    only_one: Option<pg_sys::Oid>,
    /// Whether that sequence was created by the running command.
    is_new: bool,
}

impl Selection {
    pub(crate) fn new(
        schemas: Option<AnyArray>,
        sequences: Option<AnyArray>,
        exclude: Option<AnyArray>,
        feeds: Feeds,
    ) -> Self {
        Self {
            schemas: ArrayArgument::new(schemas, pg_sys::NAMEARRAYOID),
            sequences: ArrayArgument::new(sequences, pg_sys::REGCLASSARRAYOID),
            exclude: ArrayArgument::new(exclude, pg_sys::REGCLASSARRAYOID),
            feeds,
            all_feeds: false,
            trust: ArrayArgument::new(None, pg_sys::REGCLASSARRAYOID),
            all_trusted: None,
            prepared: None,
            only_one: None,
            is_new: false,
        }
    }

    /// The same sequences, with the argument `trust_position`.
    pub(crate) fn trusting(self, trust: Option<AnyArray>) -> Self {
        Self { trust: ArrayArgument::new(trust, pg_sys::REGCLASSARRAYOID), ..self }
    }

    /// The sequences of the argument `trust_position`.
    pub(crate) fn given_trust(&self) -> SpiResult<Option<Vec<pg_sys::Oid>>> {
        if !self.trust.is_given() {
            return Ok(None);
        }
        let query = "SELECT DISTINCT given::pg_catalog.oid FROM pg_catalog.unnest($1) AS given";
        Spi::connect(|client| {
            let rows = client.select(query, None, &[self.trust.argument()])?;
            rows.map(|row| row.get(1)).filter_map(SpiResult::transpose).collect::<SpiResult<_>>().map(Some)
        })
    }

    /// Whether the argument `trust_position` takes all of them back.
    pub(crate) fn takes_trust_back(&self) -> SpiResult<bool> {
        Ok(self.given_trust()?.is_some_and(|given| given.is_empty()))
    }

    /// All sequences whose position is trusted.
    pub(crate) fn trusted(&self, extension: Extension) -> SpiResult<Vec<Trusted>> {
        if let Some(all) = &self.all_trusted {
            return Ok(all.to_vec());
        }
        let Some(given) = self.given_trust()? else { return trusted::stored(extension) };
        if given.is_empty() {
            return Ok(Vec::new());
        }
        let mut all = trusted::stored(extension)?;
        all.retain(|stored| !given.contains(&stored.sequence));
        all.extend(given.into_iter().map(|sequence| Trusted { sequence, rows_from: None }));
        Ok(all)
    }

    /// Every sequence of the database.
    pub(crate) fn all() -> Self {
        Self::new(None, None, None, Feeds::default())
    }

    /// One sequence that was just created, so that no feeds can be stored for it.
    pub(crate) fn new_sequence(sequence: pg_sys::Oid) -> Self {
        Self { is_new: true, ..Self::sequence(sequence) }
    }

    fn sequence(sequence: pg_sys::Oid) -> Self {
        let sequences = ArrayArgument::of_one(sequence);
        Self { sequences, all_feeds: true, only_one: Some(sequence), ..Self::all() }
    }

    /// One sequence, with a query from [`super::catalog::prepare`], all its known feeds, and all
    /// sequences whose position is trusted.
    pub(crate) fn one(
        sequence: pg_sys::Oid,
        feeds: &[Feed],
        trusted: &Rc<[Trusted]>,
        prepared: &Rc<Prepared>,
    ) -> Self {
        let columns = feeds.iter().copied().filter(|feed| feed.sequence == sequence).collect();
        let feeds = Feeds { sequences: vec![sequence], columns };
        let (prepared, all_trusted) = (Some(Rc::clone(prepared)), Some(Rc::clone(trusted)));
        Self { feeds, prepared, all_trusted, ..Self::sequence(sequence) }
    }

    /// The prepared query for them, if there is one.
    pub(crate) fn prepared(&self) -> Option<&Prepared> {
        self.prepared.as_deref()
    }

    /// The sequence, if it is only one.
    pub(crate) const fn only_one(&self) -> Option<pg_sys::Oid> {
        self.only_one
    }

    /// Whether it is one sequence that was created by the running command.
    pub(crate) const fn is_new(&self) -> bool {
        self.is_new
    }

    /// Whether no sequence is left out.
    pub(crate) fn is_of_all(&self) -> SpiResult<bool> {
        let leaves_out = self.exclude.is_given() && !self.exclude.is_empty()?;
        Ok(!self.schemas.is_given() && !self.sequences.is_given() && !leaves_out)
    }

    /// The parameters of the query for the sequences and their columns, of which some are
    /// `connected` by texts.
    pub(crate) fn arguments(
        &self,
        extension: Extension,
        connected: &[Connected],
    ) -> SpiResult<[DatumWithOid<'static>; 7]> {
        let stored = if self.all_feeds { Vec::new() } else { feeds::stored(extension)? };
        let mut columns = self.feeds.with_stored(stored);
        let mut are_given = vec![true; columns.len()];
        let is_wanted = |feed: &Feed| self.only_one.is_none_or(|sequence| sequence == feed.sequence);
        columns.extend(connected.iter().map(|connected| connected.feed).filter(is_wanted));
        are_given.resize(columns.len(), false);
        let [sequences, relations, attributes] = feeds::columns(&columns);
        Ok([
            self.schemas.argument(),
            self.sequences.argument(),
            self.exclude.argument(),
            sequences,
            relations,
            attributes,
            are_given.into(),
        ])
    }

    /// Refuses objects that do not exist or are not sequences, and contradictory arguments.
    ///
    /// # Errors
    /// 22004 for NULL in an array, 3F000 for a schema that does not exist, 42809 if an object is
    /// not a sequence, 22023 for a sequence that one argument selects and another excludes.
    pub(crate) fn check(&self) -> SpiResult<Result<(), Error>> {
        for (name, argument) in [("schemas", self.schemas), ("sequences", self.sequences)] {
            if argument.is_empty()? {
                let message = format!("{name} must not be empty");
                let hint = format!("Specify at least one, or leave out {name} to select all.");
                return Ok(Err(Error::new(SqlState::InvalidParameterValue, message).hint(hint)));
            }
        }
        for (name, argument) in [
            ("schemas", self.schemas),
            ("sequences", self.sequences),
            ("exclude", self.exclude),
            ("trust_position", self.trust),
        ] {
            let nulls = "SELECT '\\x'::bytea FROM unnest($1) AS given WHERE given IS NULL";
            if argument.is_given() && first(nulls, &[argument.argument()])?.is_some() {
                let message = format!("{name} must not contain nulls");
                return Ok(Err(Error::new(SqlState::NullValueNotAllowed, message)));
            }
        }
        let missing = "SELECT convert_to(given::text, 'SQL_ASCII') FROM unnest($1) AS given \
             WHERE NOT EXISTS (SELECT FROM pg_namespace n WHERE n.nspname = given)";
        if self.schemas.is_given()
            && let Some(name) = first(missing, &[self.schemas.argument()])?
        {
            let message = format!("schema \"{name}\" does not exist");
            return Ok(Err(Error::new(SqlState::InvalidSchemaName, message)));
        }
        let others = "SELECT convert_to(given::text, 'SQL_ASCII') FROM unnest($1) AS given \
             WHERE NOT EXISTS (SELECT FROM pg_sequence s WHERE s.seqrelid = given)";
        for argument in [self.sequences, self.exclude, self.trust] {
            if argument.is_given()
                && let Some(name) = first(others, &[argument.argument()])?
            {
                let message = format!("{} is not a sequence", in_message(&name));
                return Ok(Err(Error::new(SqlState::WrongObjectType, message)));
            }
        }
        self.check_contradictions()
    }

    fn check_contradictions(&self) -> SpiResult<Result<(), Error>> {
        let contradiction = |name: String, detail: String| {
            let message = format!("sequence {} is both selected and excluded", in_message(&name));
            Ok(Err(Error::new(SqlState::InvalidParameterValue, message).detail(detail)))
        };
        let excluded =
            "SELECT convert_to(given::text, 'SQL_ASCII') FROM unnest($1) AS given WHERE given = ANY ($2)";
        let outside = "SELECT convert_to(given::text, 'SQL_ASCII') FROM unnest($1) AS given \
             JOIN pg_class c ON c.oid = given JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname <> ALL ($2)";
        let fed = self.feeds.sequences.clone();
        let fed = ArrayArgument { datum: fed.into_datum(), type_oid: pg_sys::REGCLASSARRAYOID };
        let exclude = (" and in exclude", excluded, self.exclude);
        let schemas = (", but its schema is not in schemas", outside, self.schemas);
        // The feeds of a sequence are stored, whether or not it is left out now.
        for (name, argument, left_out) in [
            ("sequences", self.sequences, [exclude, schemas].as_slice()),
            ("feeds", fed, &[schemas]),
            ("trust_position", self.trust, &[exclude, schemas]),
        ] {
            if !argument.is_given() {
                continue;
            }
            for (other, query, left_out) in left_out {
                if left_out.is_given()
                    && let Some(sequence) = first(query, &[argument.argument(), left_out.argument()])?
                {
                    return contradiction(sequence, format!("It is in {name}{other}."));
                }
            }
        }
        let unselected =
            "SELECT convert_to(given::text, 'SQL_ASCII') FROM unnest($1) AS given WHERE given <> ALL ($2)";
        for (name, argument) in [("feeds", fed), ("trust_position", self.trust)] {
            if self.sequences.is_given()
                && let Some(sequence) = first(unselected, &[argument.argument(), self.sequences.argument()])?
            {
                return contradiction(sequence, format!("It is in {name} but not in sequences."));
            }
        }
        Ok(Ok(()))
    }
}

/// The first row's only column, a text in UTF-8.
pub(crate) fn first(query: &str, arguments: &[DatumWithOid<'_>]) -> SpiResult<Option<String>> {
    Spi::connect(|client| {
        let mut rows = client.select(query, Some(1), arguments)?;
        rows.next()
            .map(|row| row.get::<Vec<u8>>(1))
            .transpose()
            .map(|found| found.flatten().map(from_server_bytes))
    })
}
