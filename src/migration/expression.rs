//! Timestamp expressions: checks them, and computes the time of a row.
//!
//! An expression is code of the table's owner, like an expression in an index. PostgreSQL evaluates
//! some of it even while it plans. So everything here runs as the owner, under
//! `SECURITY_RESTRICTED_OPERATION` and with `search_path` set to `pg_catalog, pg_temp`. Names outside
//! of `pg_catalog` must be qualified.
//!
//! The text of an expression has parameters in the place of columns (`$3` for the third column), so
//! that renaming a column does no harm. It is planned once for each session; PostgreSQL plans it
//! again if a function in it is replaced.

use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_int};

use keyspace::migration::TimeSource;
use keyspace::migration::key_time::zone_of_expression;
use keyspace::migration::time_source::used_columns;
use keyspace::{Error, SqlState};
use pgrx::{PgSqlErrorCode, pg_guard, pg_sys};

use super::tuple::{Kind, Role, RowOf, Value, type_of};
use super::zone::Zone;
use crate::encoding::{from_server, to_server};
use crate::server::as_owner::as_owner;
use crate::server::by_version;
use crate::server::caught::Caught;
use crate::server::failure::Failure;
use crate::server::open::OpenRelation;
use crate::server::relation::{relation_name, relation_owner, type_name};
use crate::server::role::owns_relation;
use crate::server::settings;
use crate::server::subtransaction::attempt;

/// An expression that was planned in this session.
struct Prepared {
    relation: pg_sys::Oid,
    text: String,
    /// The columns that it uses, with their types.
    columns: Vec<(i16, pg_sys::Oid)>,
    kind: Kind,
    /// Kept until the session ends.
    plan: pg_sys::SPIPlanPtr,
}

impl Prepared {
    /// # Safety
    /// The descriptor must be valid.
    unsafe fn fits(&self, of: pg_sys::TupleDesc) -> bool {
        // SAFETY: see above.
        unsafe { self.fits_in(self.relation, of) }
    }

    /// The same for a partition of the table, or the table itself.
    ///
    /// # Safety
    /// The descriptor must be valid.
    unsafe fn fits_in(&self, relation: pg_sys::Oid, of: pg_sys::TupleDesc) -> bool {
        self.columns.iter().all(|(number, kind)| {
            let number = self.number_in(relation, *number);
            // SAFETY: see above.
            number.and_then(|number| unsafe { type_of(of, number) }) == Some(*kind)
        })
    }

    /// The number of a column in a partition of the table, or in the table itself.
    fn number_in(&self, relation: pg_sys::Oid, number: i16) -> Option<i16> {
        if relation == self.relation {
            return Some(number);
        }
        // SAFETY: looks up catalogs by OID and by a NUL-terminated name, which is a copy or null.
        let own = unsafe {
            let name = pg_sys::get_attname(self.relation, number, true);
            if name.is_null() { 0 } else { pg_sys::get_attnum(relation, name) }
        };
        (own > 0).then_some(own)
    }
}

thread_local! {
    /// A session has as many as it sees different expressions.
    static PREPARED: RefCell<Vec<Prepared>> = const { RefCell::new(Vec::new()) };
}

/// An expression, ready to be evaluated. Plain data, because it is stored in PostgreSQL's memory.
#[derive(Clone, Copy)]
pub(super) struct Expression {
    /// Its place in the list of the session.
    at: usize,
    /// The relation of the rows: the table, or a partition of it, whose columns have other numbers.
    relation: pg_sys::Oid,
    /// The owner of the table.
    owner: pg_sys::Oid,
    zone: Option<Zone>,
}

impl Expression {
    /// The expression of a table; `None` if it cannot be evaluated any more: a column or function
    /// that it used is gone, or is of another kind now.
    ///
    /// # Safety
    /// The relation must be open.
    pub(super) unsafe fn open(relation: pg_sys::Relation, text: &str, zone: Option<&str>) -> Option<Self> {
        // SAFETY: see above.
        let (oid, of, owner) =
            unsafe { ((*relation).rd_id, (*relation).rd_att, (*(*relation).rd_rel).relowner) };
        let zone = match zone {
            Some(zone) => Some(Zone::named(zone)?),
            None => None,
        };
        let is_same = |known: &Prepared| {
            // SAFETY: as above.
            known.relation == oid && known.text == text && unsafe { known.fits(of) }
        };
        let known = PREPARED.with_borrow(|all| all.iter().position(is_same));
        let at = match known {
            Some(at) => at,
            None => {
                // SAFETY: as above.
                let prepare = || unsafe { prepare(relation, text) };
                let new = recoverable(attempt(|| as_owner(owner, || in_standard_syntax(prepare))))?.ok()?;
                PREPARED.with_borrow_mut(|all| {
                    all.push(new);
                    all.len() - 1
                })
            }
        };
        Some(Self { at, relation: oid, owner, zone })
    }

    /// Makes it one of the rows of a partition of the table.
    ///
    /// # Safety
    /// The relation must be open.
    pub(super) unsafe fn is_of(&mut self, partition: pg_sys::Relation) {
        // SAFETY: see above.
        self.relation = unsafe { (*partition).rd_id };
    }

    /// Whether the columns of the table still have the types that they had.
    ///
    /// # Safety
    /// The relation must be open.
    pub(super) unsafe fn is_current(self, relation: pg_sys::Relation) -> bool {
        // SAFETY: see above.
        let of = unsafe { (*relation).rd_att };
        PREPARED.with_borrow(|all| {
            // SAFETY: see above.
            all.get(self.at).is_some_and(|known| unsafe { known.fits_in(self.relation, of) })
        })
    }

    /// The time of a row, in PostgreSQL's microseconds; `None` if it is NULL or cannot be computed: a
    /// row that could be inserted without the migration must not fail because of it.
    ///
    /// # Safety
    /// The row must be one of the relation for which it was opened.
    pub(super) unsafe fn micros(self, row: RowOf) -> Option<i64> {
        let (plan, kind, mut values, nulls) = PREPARED.with_borrow(|all| {
            let known = all.get(self.at)?;
            let count = known.columns.iter().map(|(number, _)| usize::from(number.unsigned_abs())).max();
            let mut values = vec![pg_sys::Datum::null(); count.unwrap_or(0)];
            let mut nulls = vec![b'n' as c_char; count.unwrap_or(0)];
            for (number, _) in &known.columns {
                let at = usize::from(number.unsigned_abs()).checked_sub(1)?;
                // SAFETY: the relation has these columns.
                if let Some(value) = unsafe { row.datum(known.number_in(self.relation, *number)?) } {
                    *values.get_mut(at)? = value;
                    *nulls.get_mut(at)? = b' ' as c_char;
                }
            }
            Some((known.plan, known.kind, values, nulls))
        })?;
        // SAFETY: the plan is kept, and has as many parameters as values; see `prepare`.
        let run = || unsafe { evaluate(plan, &mut values, &nulls, kind) };
        let value = recoverable(attempt(|| as_owner(self.owner, run)))??;
        match kind {
            Kind::Time => Some(value),
            Kind::Date => self.zone?.instant(midnight(value)?),
            _ => self.zone?.instant(value),
        }
    }
}

/// The midnight with which a date begins, in PostgreSQL's microseconds; `None` if it is infinite.
pub(super) fn midnight(days: i64) -> Option<i64> {
    const MICROS_PER_DAY: i64 = 86_400_000_000;
    let is_finite = i64::from(i32::MIN) < days && days < i64::from(i32::MAX);
    is_finite.then(|| days.checked_mul(MICROS_PER_DAY)).flatten()
}

/// Settings on which the text of an expression depends.
fn in_standard_syntax<T>(step: impl FnOnce() -> T) -> T {
    let wanted: [(&CStr, &CStr); 3] = [
        (c"standard_conforming_strings", c"on"),
        (c"quote_all_identifiers", c"off"),
        (c"transform_null_equals", c"off"),
    ];
    settings::with(&wanted, step)
}

/// The value, or nothing after an error that the expression or its input is to blame for. Any other
/// error is raised again: a cancellation, or a lack of memory.
fn recoverable<T>(result: Result<T, Box<Caught>>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) if is_of_expression(error.sqlstate()) => None,
        Err(error) => error.rethrow(),
    }
}

/// Whether an error says something about the expression: its SQLSTATE is of one of these classes.
fn is_of_expression(code: PgSqlErrorCode) -> bool {
    const CLASSES: [&[u8; 2]; 11] =
        [b"0A", b"21", b"22", b"23", b"25", b"2F", b"38", b"39", b"3F", b"42", b"P0"];
    // As `MAKE_SQLSTATE` of PostgreSQL: six bits for each character, the first one last.
    let six_bits = |byte: u8| i32::from(byte.wrapping_sub(b'0') & 0x3F);
    let class = |two: &[u8; 2]| six_bits(two[0]) | six_bits(two[1]) << 6;
    let of_code = code as i32 & 0xFFF;
    CLASSES.iter().any(|two| class(two) == of_code)
}

/// The first value of a plan's only row; `None` if it is NULL.
///
/// # Safety
/// The plan must be kept, have one column of the kind, and as many parameters as there are values,
/// of which those that are not NULL are used.
unsafe fn evaluate(
    plan: pg_sys::SPIPlanPtr,
    values: &mut [pg_sys::Datum],
    nulls: &[c_char],
    kind: Kind,
) -> Option<i64> {
    // SAFETY: see above; the value is copied before SPI releases the row. Values of these kinds are
    // passed by value.
    unsafe {
        pg_sys::SPI_connect();
        let has_snapshot = pg_sys::ActiveSnapshotSet();
        if !has_snapshot {
            pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        }
        pg_sys::SPI_execute_plan(plan, values.as_mut_ptr(), nulls.as_ptr(), true, 1);
        let mut value = None;
        if pg_sys::SPI_processed > 0 && !pg_sys::SPI_tuptable.is_null() {
            let table = pg_sys::SPI_tuptable;
            let mut is_null = false;
            let datum = pg_sys::SPI_getbinval(*(*table).vals, (*table).tupdesc, 1, &mut is_null);
            value = (!is_null).then(|| kind.value(datum)).and_then(Value::number);
        }
        if !has_snapshot {
            pg_sys::PopActiveSnapshot();
        }
        pg_sys::SPI_finish();
        value
    }
}

/// Checks an expression and plans it.
///
/// # Errors
/// As [`check`].
///
/// # Safety
/// The relation must be open.
unsafe fn prepare(relation: pg_sys::Relation, text: &str) -> Result<Prepared, Error> {
    // SAFETY: see above; the plan is kept before SPI would release it.
    unsafe {
        let checked = check(relation, text, false)?;
        let of = (*relation).rd_att;
        let columns: Vec<(i16, pg_sys::Oid)> = used_columns(&checked.text)
            .into_iter()
            .filter_map(|number| Some((number, type_of(of, number)?)))
            .collect();
        let count = columns.iter().map(|(number, _)| usize::from(number.unsigned_abs())).max().unwrap_or(0);
        // Parameters that are not used need no type.
        let mut types = vec![pg_sys::InvalidOid; count];
        for (number, declared) in &columns {
            if let Some(place) = types.get_mut(usize::from(number.unsigned_abs()) - 1) {
                *place = *declared;
            }
        }
        let kind = Role::Time.kind(pg_sys::getBaseType(checked.result));
        let query = to_server(&format!("SELECT ({})", checked.text));
        pg_sys::SPI_connect();
        let plan = pg_sys::SPI_prepare_cursor(
            query.as_ptr(),
            c_int::try_from(count).unwrap_or(c_int::MAX),
            types.as_mut_ptr(),
            pg_sys::CURSOR_OPT_GENERIC_PLAN as c_int,
        );
        let is_kept = !plan.is_null() && pg_sys::SPI_keepplan(plan) == 0;
        pg_sys::SPI_finish();
        match kind.filter(|_| is_kept) {
            Some(kind) => {
                Ok(Prepared { relation: (*relation).rd_id, text: text.to_owned(), columns, kind, plan })
            }
            None => Err(Error::new(SqlState::DatatypeMismatch, "not a time")),
        }
    }
}

/// An expression that was checked.
struct Checked {
    /// As PostgreSQL writes it, with parameters in the place of columns.
    text: String,
    /// Its type.
    result: pg_sys::Oid,
}

/// Checks an expression: it must be one, and immutable. Its columns are names or parameters.
///
/// Raises the errors of PostgreSQL's parser, among them those for subqueries, aggregates, window
/// functions and functions that return sets.
///
/// # Errors
/// 22023 if it is not a single expression, or not immutable; 0A000 if it uses a generated column.
///
/// # Safety
/// The relation must be open. It must be called as its owner.
unsafe fn check(relation: pg_sys::Relation, text: &str, by_name: bool) -> Result<Checked, Error> {
    let given = to_server(text);
    // SAFETY: nodes are checked for their kinds before they are read. The state of the parser is
    // released; the relation outlives it.
    unsafe {
        let expression = only_expression(&given)?;
        let state = pg_sys::make_parsestate(std::ptr::null_mut());
        (*state).p_ref_hook_state = relation.cast();
        if by_name {
            (*state).p_pre_columnref_hook = Some(column_by_name);
        } else {
            (*state).p_paramref_hook = Some(column_by_number);
        }
        let kind = pg_sys::ParseExprKind::EXPR_KIND_INDEX_EXPRESSION;
        let parsed = pg_sys::transformExpr(state, expression, kind);
        pg_sys::assign_expr_collations(state, parsed);
        pg_sys::free_parsestate(state);
        // Planning adds the defaults of arguments. It also inlines functions, which hides their labels.
        let planned = pg_sys::expression_planner(pg_sys::copyObjectImpl(parsed.cast()).cast());
        if [parsed, planned.cast()].into_iter().any(|one| pg_sys::contain_mutable_functions(one)) {
            return Err(Error::new(SqlState::InvalidParameterValue, "functions in it are not immutable"));
        }
        let written = pg_sys::deparse_expression(parsed, std::ptr::null_mut(), false, false);
        let checked =
            Checked { text: from_server(CStr::from_ptr(written)), result: pg_sys::exprType(parsed) };
        let of = (*relation).rd_att;
        let is_generated =
            |number: &i16| (*by_version::attribute(of, c_int::from(*number) - 1)).attgenerated != 0;
        if used_columns(&checked.text).iter().any(is_generated) {
            return Err(Error::new(SqlState::FeatureNotSupported, "it uses a generated column"));
        }
        Ok(checked)
    }
}

/// The expression that a text consists of.
///
/// # Safety
/// It must be called within a transaction.
unsafe fn only_expression(text: &CStr) -> Result<*mut pg_sys::Node, Error> {
    // SAFETY: the parser returns a list of statements, each of which has a kind.
    unsafe {
        let mode = pg_sys::RawParseMode::RAW_PARSE_PLPGSQL_EXPR;
        let statements = pg_sys::raw_parser(text.as_ptr(), mode);
        let refusal = || Error::new(SqlState::InvalidParameterValue, "it is not a single expression");
        if statements.is_null() || (*statements).length != 1 {
            return Err(refusal());
        }
        let statement = (*pg_sys::list_nth(statements, 0).cast::<pg_sys::RawStmt>()).stmt;
        if !pgrx::is_a(statement, pg_sys::NodeTag::T_SelectStmt) {
            return Err(refusal());
        }
        let select = &*statement.cast::<pg_sys::SelectStmt>();
        let lists = [
            select.distinctClause,
            select.fromClause,
            select.groupClause,
            select.windowClause,
            select.valuesLists,
            select.sortClause,
            select.lockingClause,
        ];
        let is_plain = lists.iter().all(|list| list.is_null())
            && [select.whereClause, select.havingClause, select.limitOffset, select.limitCount]
                .iter()
                .all(|node| node.is_null())
            && select.intoClause.is_null()
            && select.withClause.is_null()
            && select.op == pg_sys::SetOperation::SETOP_NONE
            && !select.targetList.is_null()
            && (*select.targetList).length == 1;
        if !is_plain {
            return Err(refusal());
        }
        let target = pg_sys::list_nth(select.targetList, 0).cast::<pg_sys::ResTarget>();
        if !(*target).name.is_null() || !(*target).indirection.is_null() {
            return Err(refusal());
        }
        Ok((*target).val)
    }
}

/// A column in an expression that a user wrote: `name`, or `table.name`.
#[pg_guard]
unsafe extern "C-unwind" fn column_by_name(
    state: *mut pg_sys::ParseState,
    reference: *mut pg_sys::ColumnRef,
) -> *mut pg_sys::Node {
    // SAFETY: called by the parser with the state that `check` has set; a list of names has as many
    // as it says, each a string unless its kind is another one.
    unsafe {
        let relation = (*state).p_ref_hook_state.cast::<pg_sys::RelationData>();
        let fields = (*reference).fields;
        let name = |at: c_int| {
            let node = pg_sys::list_nth(fields, at).cast::<pg_sys::Node>();
            pgrx::is_a(node, pg_sys::NodeTag::T_String)
                .then(|| CStr::from_ptr((*node.cast::<pg_sys::String>()).sval))
        };
        let is_own = |table: &CStr| table == CStr::from_ptr((*(*relation).rd_rel).relname.data.as_ptr());
        let column = match (*fields).length {
            1 => name(0),
            2 if name(0).is_some_and(is_own) => name(1),
            _ => None,
        };
        // For anything else, the parser raises its error.
        let Some(column) = column else { return std::ptr::null_mut() };
        parameter(relation, pg_sys::get_attnum((*relation).rd_id, column.as_ptr()))
    }
}

/// A column in the text of an expression: `$3`.
#[pg_guard]
unsafe extern "C-unwind" fn column_by_number(
    state: *mut pg_sys::ParseState,
    reference: *mut pg_sys::ParamRef,
) -> *mut pg_sys::Node {
    // SAFETY: called by the parser with the state that `check` has set.
    unsafe {
        let relation = (*state).p_ref_hook_state.cast::<pg_sys::RelationData>();
        parameter(relation, i16::try_from((*reference).number).unwrap_or(0))
    }
}

/// A parameter with the type of a column; null if there is no such column.
///
/// # Safety
/// The relation must be open.
unsafe fn parameter(relation: pg_sys::Relation, number: i16) -> *mut pg_sys::Node {
    // SAFETY: see above; the node is zeroed memory of the right size, and its kind is set.
    unsafe {
        let of = (*relation).rd_att;
        if type_of(of, number).is_none() {
            return std::ptr::null_mut();
        }
        let attribute = by_version::attribute(of, c_int::from(number) - 1);
        let node = pg_sys::palloc0(size_of::<pg_sys::Param>()).cast::<pg_sys::Param>();
        (*node).xpr.type_ = pg_sys::NodeTag::T_Param;
        (*node).paramkind = pg_sys::ParamKind::PARAM_EXTERN;
        (*node).paramid = c_int::from(number);
        (*node).paramtype = (*attribute).atttypid;
        (*node).paramtypmod = (*attribute).atttypmod;
        (*node).paramcollid = (*attribute).attcollation;
        (*node).location = -1;
        node.cast()
    }
}

/// The source for an expression that a user wrote. The caller must have the rights of the table's
/// owner, because parts of it are evaluated.
///
/// # Errors
/// 42501 without these rights; 22023 if the expression cannot be used; those of
/// [`zone_of_expression`].
pub(super) fn source(table: pg_sys::Oid, text: &str, zone: Option<&str>) -> Result<TimeSource, Failure> {
    let checked = checked(table, text, true)?;
    // SAFETY: looks up the base type of a domain.
    let result = type_name(unsafe { pg_sys::getBaseType(checked.result) });
    Ok(TimeSource::Expression { zone: zone_of_expression(&result, zone)?, text: checked.text })
}

/// Why the expression of a table cannot be evaluated any more; `None` if it can. Nothing is evaluated
/// for a caller without the rights of the table's owner.
pub(super) fn failure(table: pg_sys::Oid, text: &str) -> Option<String> {
    if !owns_relation(table) {
        return None;
    }
    match checked(table, text, false) {
        Err(Failure::Refused(error)) => Some(error.detail.unwrap_or(error.message)),
        Err(Failure::Spi(_)) | Ok(_) => None,
    }
}

fn checked(table: pg_sys::Oid, text: &str, by_name: bool) -> Result<Checked, Failure> {
    let name = relation_name(table);
    if !owns_relation(table) {
        let message = format!("must be owner of table {}", name.trim_matches('"'));
        return Err(Error::new(SqlState::InsufficientPrivilege, message)
            .detail("The timestamp expression is evaluated as the owner of the table.")
            .into());
    }
    let relation = OpenRelation::table(table, pg_sys::AccessShareLock);
    // SAFETY: the relation is open.
    let step = || unsafe { check(relation.raw(), text, by_name) };
    let refusal = |detail: &str| {
        let mut detail = detail.to_owned();
        if !detail.ends_with('.') {
            detail.push('.');
        }
        let message = format!("timestamp_expression of table {name} cannot be used");
        Error::new(SqlState::InvalidParameterValue, message).detail(detail).hint(
            "It must be a single expression over columns of the row, with immutable functions only. Qualify names that are not in pg_catalog with their schema.",
        )
    };
    match attempt(|| as_owner(relation_owner(table), || in_standard_syntax(step))) {
        Ok(Ok(checked)) => Ok(checked),
        Ok(Err(error)) => Err(refusal(&capitalized(&error.message)).into()),
        Err(error) if !error.is_panic() && is_of_expression(error.sqlstate()) => {
            Err(refusal(&capitalized(error.message())).into())
        }
        Err(error) => error.rethrow(),
    }
}

/// A message as a sentence.
fn capitalized(message: &str) -> String {
    let mut characters = message.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string());
    format!("{}{}", first.unwrap_or_default(), characters.as_str())
}
