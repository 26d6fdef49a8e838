//! The values that a column accepts beyond what its type says: the precision of `numeric`, and
//! CHECK constraints of the column or its domain that compare it with a constant. They are read
//! from the catalogs. No expression is evaluated, and the table is not locked.

use std::ffi::CStr;

use keyspace::sequences::{Comparison, Limits, NumberType};
use pgrx::pg_sys::{self, NodeTag};
use pgrx::{PgMemoryContexts, is_a};

use crate::server::by_version::cache;
use crate::server::open::OpenRelation;

/// The btree operator family of `numeric`, as in pg_opfamily.dat; the bindings lack it.
const NUMERIC_BTREE_FAMILY: pg_sys::Oid = pg_sys::Oid::from_u32(1988);

/// Casts that keep the value.
const CASTS: [u32; 6] = [
    pg_sys::F_INT4_INT2,
    pg_sys::F_INT8_INT2,
    pg_sys::F_INT8_INT4,
    pg_sys::F_NUMERIC_INT2,
    pg_sys::F_NUMERIC_INT4,
    pg_sys::F_NUMERIC_INT8,
];

/// The longest expression that is read. The depth of a longer one may exceed the stack.
const LONGEST: usize = 16_384;

unsafe extern "C-unwind" {
    /// From utils/adt/numeric.c: the text of a `numeric`.
    fn numeric_out(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum;
}

/// What a constraint is about.
#[derive(Clone, Copy)]
enum Subject {
    /// A column, by its number.
    Column(i16),
    /// The value of a domain.
    Domain,
}

/// The limits of a column; `None` if only its type limits it.
pub(crate) fn of(relation: pg_sys::Oid, attribute: i16, number_type: NumberType) -> Option<Limits> {
    let declared = Declared::of(relation, attribute)?;
    let all = Limits::of(number_type);
    let mut limits = match declared.numeric {
        Some((precision, scale)) if number_type == NumberType::Numeric => {
            all.within(Limits::of_numeric(precision, scale))
        }
        _ => all,
    };
    if has_checks(relation) {
        limits = checked(relation, pg_sys::InvalidOid, Subject::Column(attribute), limits);
    }
    for domain in declared.domains {
        limits = checked(pg_sys::InvalidOid, domain, Subject::Domain, limits);
    }
    (limits != all).then_some(limits)
}

/// The declared type of a column.
struct Declared {
    /// The domain, and those that it is over.
    domains: Vec<pg_sys::Oid>,
    /// The precision and scale of a `numeric`, if they are given.
    numeric: Option<(i32, i32)>,
}

impl Declared {
    /// `None` if the column is gone.
    fn of(relation: pg_sys::Oid, attribute: i16) -> Option<Self> {
        // SAFETY: looks up catalogs by OID. A tuple is valid until it is released, and its fixed
        // part is copied before.
        unsafe {
            let found = pg_sys::SearchSysCache2(cache::ATTNUM, relation.into(), attribute.into());
            if found.is_null() {
                return None;
            }
            let column = pg_sys::GETSTRUCT(found).cast::<pg_sys::FormData_pg_attribute>();
            let (mut kind, mut typmod) = ((*column).atttypid, (*column).atttypmod);
            pg_sys::ReleaseSysCache(found);
            let mut domains = Vec::new();
            loop {
                let found = pg_sys::SearchSysCache1(cache::TYPEOID, kind.into());
                if found.is_null() {
                    return None;
                }
                let form = pg_sys::GETSTRUCT(found).cast::<pg_sys::FormData_pg_type>();
                let is_domain = (*form).typtype as u8 == pg_sys::TYPTYPE_DOMAIN;
                if is_domain {
                    domains.push(kind);
                    (kind, typmod) = ((*form).typbasetype, (*form).typtypmod);
                }
                pg_sys::ReleaseSysCache(found);
                if !is_domain {
                    break;
                }
            }
            let numeric = (kind == pg_sys::NUMERICOID).then(|| precision_and_scale(typmod)).flatten();
            Some(Self { domains, numeric })
        }
    }
}

/// As in utils/adt/numeric.c: 16 bits of precision, and 11 of scale with a sign.
fn precision_and_scale(typmod: i32) -> Option<(i32, i32)> {
    let bits = typmod.checked_sub(pg_sys::VARHDRSZ as i32).filter(|bits| *bits >= 0)?;
    Some(((bits >> 16) & 0xffff, ((bits & 0x7ff) ^ 1024) - 1024))
}

fn has_checks(relation: pg_sys::Oid) -> bool {
    // SAFETY: looks up the relation. The tuple is valid until it is released.
    unsafe {
        let found = pg_sys::SearchSysCache1(cache::RELOID, relation.into());
        if found.is_null() {
            return false;
        }
        let checks = (*pg_sys::GETSTRUCT(found).cast::<pg_sys::FormData_pg_class>()).relchecks;
        pg_sys::ReleaseSysCache(found);
        checks > 0
    }
}

/// Narrows limits by the CHECK constraints of a table or a domain. A constraint that has not been
/// validated counts: new rows are checked.
fn checked(relation: pg_sys::Oid, domain: pg_sys::Oid, subject: Subject, limits: Limits) -> Limits {
    let catalog = OpenRelation::table(pg_sys::ConstraintRelationId, pg_sys::AccessShareLock);
    let mut context = PgMemoryContexts::new("constraints of pg_keyspace");
    let mut limits = limits;
    // SAFETY: the scan ends before the catalog is closed, and the arrays have as many elements as
    // the catalog has columns. The expressions live in a memory context that is dropped at the end.
    unsafe {
        let columns = catalog.rd_att;
        let count = usize::try_from((*columns).natts).unwrap_or_default();
        let (mut values, mut nulls) = (vec![pg_sys::Datum::null(); count], vec![true; count]);
        let mut keys = [pg_sys::ScanKeyData::default(); 2];
        let sought =
            [(pg_sys::Anum_pg_constraint_conrelid, relation), (pg_sys::Anum_pg_constraint_contypid, domain)];
        for (key, (column, oid)) in keys.iter_mut().zip(sought) {
            let strategy = pg_sys::BTEqualStrategyNumber as u16;
            pg_sys::ScanKeyInit(key, column as i16, strategy, pg_sys::F_OIDEQ.into(), oid.into());
        }
        let scan = pg_sys::systable_beginscan(
            catalog.raw(),
            pg_sys::Oid::from_u32(pg_sys::ConstraintRelidTypidNameIndexId),
            true,
            std::ptr::null_mut(),
            keys.len() as i32,
            keys.as_mut_ptr(),
        );
        loop {
            let tuple = pg_sys::systable_getnext(scan);
            if tuple.is_null() {
                break;
            }
            pg_sys::heap_deform_tuple(tuple, columns, values.as_mut_ptr(), nulls.as_mut_ptr());
            let value = |number: u32| {
                let at = number as usize - 1;
                (!nulls[at]).then(|| values[at])
            };
            let is = |number, wanted: u8| value(number).is_some_and(|found| found.value() as u8 == wanted);
            if let Some(expression) = value(pg_sys::Anum_pg_constraint_conbin)
                && is(pg_sys::Anum_pg_constraint_contype, pg_sys::CONSTRAINT_CHECK)
                && is_enforced(is)
            {
                limits = context.switch_to(|_| read(expression, subject, limits));
            }
        }
        pg_sys::systable_endscan(scan);
    }
    limits
}

/// Whether new rows are checked, which is always so before PostgreSQL 18.
#[cfg(any(feature = "pg15", feature = "pg16", feature = "pg17"))]
fn is_enforced(_is: impl Fn(u32, u8) -> bool) -> bool {
    true
}

/// Whether new rows are checked.
#[cfg(not(any(feature = "pg15", feature = "pg16", feature = "pg17")))]
fn is_enforced(is: impl Fn(u32, u8) -> bool) -> bool {
    is(pg_sys::Anum_pg_constraint_conenforced, 1)
}

/// Narrows limits by an expression.
///
/// # Safety
/// `expression` must be a value of `pg_constraint.conbin`. The current memory context must be
/// dropped or reset afterwards.
unsafe fn read(expression: pg_sys::Datum, subject: Subject, limits: Limits) -> Limits {
    // SAFETY: the text is a copy, and an expression tree.
    unsafe {
        let text = pg_sys::text_to_cstring(expression.cast_mut_ptr());
        if CStr::from_ptr(text).to_bytes().len() > LONGEST {
            return limits;
        }
        narrowed(pg_sys::stringToNode(text).cast(), subject, limits)
    }
}

/// # Safety
/// `node` must be null or a node of an expression tree.
unsafe fn narrowed(node: *mut pg_sys::Node, subject: Subject, limits: Limits) -> Limits {
    // SAFETY: each node is read as the type that its tag names.
    unsafe {
        if node.is_null() {
            return limits;
        }
        if is_a(node, NodeTag::T_BoolExpr) {
            let expression = node.cast::<pg_sys::BoolExpr>();
            if (*expression).boolop != pg_sys::BoolExprType::AND_EXPR {
                return limits;
            }
            return elements((*expression).args)
                .into_iter()
                .fold(limits, |limits, part| narrowed(part, subject, limits));
        }
        match compared(node, subject) {
            Some((comparison, constant)) => limits.narrowed(comparison, constant),
            None => limits,
        }
    }
}

/// The comparison of the subject with a constant, if the node is one.
///
/// # Safety
/// `node` must be a node of an expression tree.
unsafe fn compared(node: *mut pg_sys::Node, subject: Subject) -> Option<(Comparison, i128)> {
    // SAFETY: each node is read as the type that its tag names.
    unsafe {
        if !is_a(node, NodeTag::T_OpExpr) {
            return None;
        }
        let operation = node.cast::<pg_sys::OpExpr>();
        let operator = (*operation).opno;
        let families = [pg_sys::INTEGER_BTREE_FAM_OID, NUMERIC_BTREE_FAMILY];
        let mut strategies =
            families.iter().map(|family| pg_sys::get_op_opfamily_strategy(operator, *family));
        let comparison = strategies.find_map(Comparison::of_strategy)?;
        let [left, right] = elements((*operation).args).try_into().ok()?;
        let (left, right) = (without_casts(left), without_casts(right));
        if is_subject(left, subject) {
            Some((comparison, constant(right)?))
        } else if is_subject(right, subject) {
            Some((comparison.commuted(), constant(left)?))
        } else {
            None
        }
    }
}

/// # Safety
/// `node` must be null or a node of an expression tree.
unsafe fn without_casts(mut node: *mut pg_sys::Node) -> *mut pg_sys::Node {
    // SAFETY: each node is read as the type that its tag names.
    unsafe {
        while !node.is_null() {
            if is_a(node, NodeTag::T_RelabelType) {
                node = (*node.cast::<pg_sys::RelabelType>()).arg.cast();
                continue;
            }
            if !is_a(node, NodeTag::T_FuncExpr) {
                break;
            }
            let call = node.cast::<pg_sys::FuncExpr>();
            let [argument] = elements((*call).args)[..] else { break };
            if !CASTS.contains(&(*call).funcid.to_u32()) {
                break;
            }
            node = argument;
        }
        node
    }
}

/// # Safety
/// `node` must be null or a node of an expression tree.
unsafe fn is_subject(node: *mut pg_sys::Node, subject: Subject) -> bool {
    // SAFETY: the node is read as the type that its tag names.
    unsafe {
        match subject {
            _ if node.is_null() => false,
            Subject::Column(attribute) => {
                is_a(node, NodeTag::T_Var) && (*node.cast::<pg_sys::Var>()).varattno == attribute
            }
            Subject::Domain => is_a(node, NodeTag::T_CoerceToDomainValue),
        }
    }
}

/// The value of a constant that is a whole number.
///
/// # Safety
/// `node` must be null or a node of an expression tree.
unsafe fn constant(node: *mut pg_sys::Node) -> Option<i128> {
    // SAFETY: the node is read as a constant only if its tag says that it is one, and its value as
    // the type that it names.
    unsafe {
        if node.is_null() || !is_a(node, NodeTag::T_Const) {
            return None;
        }
        let constant = node.cast::<pg_sys::Const>();
        let value = (*constant).constvalue;
        match (*constant).consttype {
            _ if (*constant).constisnull => None,
            pg_sys::INT2OID => Some((value.value() as i16).into()),
            pg_sys::INT4OID => Some((value.value() as i32).into()),
            pg_sys::INT8OID => Some((value.value() as i64).into()),
            pg_sys::NUMERICOID => {
                let text = pg_sys::DirectFunctionCall1Coll(Some(numeric_out), pg_sys::InvalidOid, value);
                whole(CStr::from_ptr(text.cast_mut_ptr()).to_str().ok()?)
            }
            _ => None,
        }
    }
}

/// A number without a fraction.
fn whole(text: &str) -> Option<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    fraction.bytes().all(|digit| digit == b'0').then(|| whole.parse().ok()).flatten()
}

/// The nodes of a list.
///
/// # Safety
/// `list` must be null or a list of nodes.
unsafe fn elements(list: *mut pg_sys::List) -> Vec<*mut pg_sys::Node> {
    // SAFETY: the index is less than the length.
    unsafe {
        let length = if list.is_null() { 0 } else { (*list).length };
        (0..length).map(|at| pg_sys::list_nth(list, at).cast()).collect()
    }
}
