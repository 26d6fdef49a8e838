//! Old ids of type `numeric`.
//!
//! Their values are integers in the range of `bigint`, as of columns that were ported from a database
//! without integer types. Any other value is refused in a key, before the migration by the plan and
//! during it row by row, and refers to nothing in a reference.

use super::facts::Column;
use super::member::Member;
use crate::sql::quoted;

/// Each digit of a stored `numeric` is one of 10,000.
const BASE: i128 = 10_000;
/// Integers with more digits of that kind are beyond `bigint`.
const MOST_DIGITS: i32 = 5;
/// Every integer with so many decimal digits fits into `bigint`.
const SURE_DIGITS: i32 = 18;

/// The integer that a stored `numeric` is, without its length word; `None` if it has a fraction, is beyond
/// the range of `bigint`, or is no number.
///
/// The format is that of `utils/adt/numeric.c`, in the byte order of the machine. It is the same since
/// PostgreSQL 9.1, because pg_upgrade does not rewrite tables.
pub fn integer(bytes: &[u8]) -> Option<i64> {
    let mut words = bytes.chunks_exact(2).map(|word| match word {
        [one, other] => u16::from_ne_bytes([*one, *other]),
        _ => 0,
    });
    let header = words.next()?;
    let (is_negative, weight) = match header >> 14 {
        // NaN and the infinities.
        0b11 => return None,
        // Short: a sign, the scale and seven bits of weight, the first of which is its sign.
        0b10 => {
            let weight = i32::from(header & 0x3F) - i32::from(header & 0x40);
            (header & 0x2000 != 0, weight)
        }
        sign => {
            let [low, high] = words.next()?.to_ne_bytes();
            (sign == 0b01, i32::from(i16::from_ne_bytes([low, high])))
        }
    };
    let mut number: i128 = 0;
    let mut count = 0;
    for (at, digit) in (0_i32..).zip(words) {
        if digit == 0 {
            continue;
        }
        // The place of the digit, counted from the one before the point.
        let place = weight - at;
        if !(0..MOST_DIGITS).contains(&place) {
            return None;
        }
        number += i128::from(digit) * BASE.pow(place.unsigned_abs());
        count += 1;
    }
    if count == 0 {
        return Some(0);
    }
    i64::try_from(if is_negative { -number } else { number }).ok()
}

/// The precision and the scale of a modifier of the type; `None` if it has none.
pub fn of_modifier(modifier: i32) -> Option<(i32, i32)> {
    let bits = modifier.checked_sub(4).filter(|bits| *bits >= 0)?;
    // The scale has a sign, and eleven bits.
    Some(((bits >> 16) & 0xFFFF, ((bits & 0x7FF) ^ 0x400) - 0x400))
}

/// Whether a column with this precision and scale holds an integer exactly.
pub fn holds(number: i64, precision: i32, scale: i32) -> bool {
    let before_point = precision - scale;
    let is_multiple = match scale {
        0.. => true,
        _ => power(-scale).map_or(number == 0, |step| number % step == 0),
    };
    let is_short = power(before_point).is_none_or(|end| number > -end && number < end);
    is_multiple && (is_short || number == 0)
}

/// A power of ten, if `bigint` holds it.
fn power(digits: i32) -> Option<i64> {
    10_i64.checked_pow(u32::try_from(digits.max(0)).unwrap_or(0))
}

/// The greatest integer that a column holds, at most that of `bigint`.
pub(super) fn greatest(column: &Column) -> i64 {
    let digits = column.precision.map(|precision| precision - column.scale);
    digits.and_then(power).map_or(i64::MAX, |end| end - 1)
}

/// Whether a column of old ids is of this type.
pub(super) fn is_numeric(column: &Column) -> bool {
    column.type_name == "numeric"
}

/// Whether its type keeps every value in the range of `bigint` and without a fraction. NaN is none.
pub(super) fn is_sure(column: &Column) -> bool {
    has_no_fraction(column)
        && column.precision.is_some_and(|precision| precision - column.scale <= SURE_DIGITS)
}

fn has_no_fraction(column: &Column) -> bool {
    column.precision.is_some() && column.scale <= 0
}

/// The condition that a value is such an integer.
fn is_integer(value: &str) -> String {
    format!(
        "{value} OPERATOR(pg_catalog.=) pg_catalog.trunc({value}) \
         AND {value} OPERATOR(pg_catalog.>=) '{}'::pg_catalog.numeric AND {value} OPERATOR(pg_catalog.<=) '{}'::pg_catalog.numeric",
        i64::MIN,
        i64::MAX
    )
}

/// The old id of a row as `bigint`. In a key, any other value raises an error, which says it; in a
/// reference it is NULL.
pub(super) fn value(member: &Member<'_>, alias: &str) -> String {
    let value = format!("{alias}.{}::pg_catalog.numeric", quoted(&member.old_id.name));
    if member.is_key {
        return format!("pg_catalog.trim_scale({value})::pg_catalog.text::pg_catalog.int8");
    }
    format!("(CASE WHEN {} THEN {value}::pg_catalog.int8 END)", is_integer(&value))
}

/// The query for an old id of a key that is no such integer, as text. It reads the index of the key if
/// the type excludes fractions, because then the least and the greatest one tell. Otherwise it reads rows
/// until it finds one.
pub fn unfit_id(key: &Member<'_>) -> Option<String> {
    if !is_numeric(key.old_id) {
        return None;
    }
    let only = if key.table.is_partitioned() { "" } else { "ONLY " };
    let (table, id) = (key.table_sql(), quoted(&key.old_id.name));
    let rows = if has_no_fraction(key.old_id) {
        let extreme =
            |which: &str| format!("SELECT pg_catalog.{which}(k.{id}) AS {id} FROM {only}{table} AS k");
        format!("({} UNION ALL {})", extreme("min"), extreme("max"))
    } else {
        format!("{only}{table}")
    };
    let value = format!("t.{id}::pg_catalog.numeric");
    Some(format!(
        "SELECT t.{id}::pg_catalog.text FROM {rows} AS t WHERE NOT ({}) LIMIT 1",
        is_integer(&value)
    ))
}

/// The message for an id that is no such integer; `None` if it must not be shown.
pub fn message(id: Option<&str>, column: &str, table: &str) -> String {
    let of = format!("column \"{column}\" of table {table}");
    match id {
        Some(id) => format!("id {id} in {of} is not an integer in the range of bigint"),
        None => format!("an id in {of} is not an integer in the range of bigint"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migration::facts::Table;

    /// A stored number, short if that is possible, as PostgreSQL writes it.
    fn stored(is_negative: bool, weight: i16, digits: &[u16], is_long: bool) -> Vec<u8> {
        let mut words = Vec::new();
        if is_long {
            words.push(if is_negative { 0x4000 } else { 0 });
            words.push(u16::from_ne_bytes(weight.to_ne_bytes()));
        } else {
            let low = u16::from_ne_bytes(weight.to_ne_bytes());
            words.push(
                0x8000
                    | if is_negative { 0x2000 } else { 0 }
                    | (low & 0x3F)
                    | if weight < 0 { 0x40 } else { 0 },
            );
        }
        words.extend(digits);
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    /// The digits of an integer, with zeros at its end left out.
    fn digits_of(number: i64) -> (i16, Vec<u16>) {
        let mut rest = i128::from(number).unsigned_abs();
        let mut digits = Vec::new();
        while rest > 0 {
            digits.push(u16::try_from(rest % 10_000).unwrap_or(0));
            rest /= 10_000;
        }
        let weight = i16::try_from(digits.len()).unwrap_or(0) - 1;
        digits.reverse();
        while digits.last() == Some(&0) {
            digits.pop();
        }
        (weight.max(0), digits)
    }

    #[test]
    fn integers_are_read_from_their_digits() {
        let powers = (0..19).flat_map(|power| {
            let one = 10_i64.pow(power);
            [one, one - 1, one + 1, one.wrapping_mul(7), one.wrapping_mul(9) + 3]
        });
        for number in powers.chain([i64::MIN, i64::MAX, i64::MIN + 1, 0, 42, 9_999, 10_000, 100_000_000]) {
            for number in [number, number.checked_neg().unwrap_or(number)] {
                let (weight, digits) = digits_of(number);
                for is_long in [false, true] {
                    assert_eq!(
                        integer(&stored(number < 0, weight, &digits, is_long)),
                        Some(number),
                        "{number}"
                    );
                }
            }
        }
    }

    #[test]
    fn other_numbers_are_none() {
        for is_long in [false, true] {
            let of = |weight, digits: &[u16]| integer(&stored(false, weight, digits, is_long));
            // 1.5, 0.5, and 10^20.
            assert_eq!((of(0, &[1, 5_000]), of(-1, &[5_000]), of(5, &[1])), (None, None, None));
            // 9223372036854775808.
            let beyond = [922, 3_372, 368, 5_477, 5_808];
            assert_eq!(of(4, &beyond), None);
            assert_eq!(integer(&stored(true, 4, &beyond, is_long)), Some(i64::MIN));
            // 2.00 has no digits after the point, whatever its scale; zeros do not count.
            assert_eq!((of(0, &[2]), of(0, &[2, 0]), of(0, &[])), (Some(2), Some(2), Some(0)));
        }
        for special in [0xC000_u16, 0xD000, 0xF000] {
            assert_eq!(integer(&special.to_ne_bytes()), None);
        }
        assert_eq!(integer(&[]), None);
    }

    #[test]
    fn precision_and_scale_are_those_of_the_modifier() {
        assert_eq!(of_modifier(-1), None);
        assert_eq!(of_modifier((38 << 16) + 4), Some((38, 0)));
        assert_eq!(of_modifier(((10 << 16) | 2) + 4), Some((10, 2)));
        assert_eq!(of_modifier(((3 << 16) | (0x7FF & -2)) + 4), Some((3, -2)));
    }

    #[test]
    fn a_column_holds_integers_up_to_its_precision() {
        assert!(
            holds(99_999, 5, 0) && !holds(100_000, 5, 0) && holds(-99_999, 5, 0) && !holds(-100_000, 5, 0)
        );
        assert!(holds(999, 5, 2) && !holds(1_000, 5, 2));
        assert!(holds(99_900, 3, -2) && !holds(99_950, 3, -2) && !holds(100_000, 3, -2));
        assert!(holds(0, 3, 5) && !holds(1, 3, 5));
        assert!(holds(i64::MIN, 19, 0) && holds(i64::MAX, 38, 0) && !holds(i64::MAX, 18, 0));
        let of = |precision, scale| Column { precision, scale, ..Column::default() };
        assert_eq!(greatest(&of(Some(5), 0)), 99_999);
        assert_eq!(greatest(&of(Some(5), 2)), 999);
        assert_eq!(greatest(&of(Some(3), -2)), 99_999);
        assert_eq!((greatest(&of(Some(19), 0)), greatest(&of(None, 0))), (i64::MAX, i64::MAX));
        assert!(is_sure(&of(Some(18), 0)) && !is_sure(&of(Some(19), 0)));
        assert!(!is_sure(&of(Some(5), 2)) && !is_sure(&of(None, 0)) && !has_no_fraction(&of(Some(5), 2)));
    }

    #[test]
    fn only_the_index_is_read_if_the_type_excludes_fractions() {
        let table = Table { schema: "s".to_owned(), name: "t".to_owned(), ..Table::default() };
        let column = |precision, type_name: &str| Column {
            name: "Id".to_owned(),
            type_name: type_name.to_owned(),
            precision,
            ..Column::default()
        };
        let query = |column: &Column| {
            let member = Member {
                table: &table,
                old_id: column,
                shadow: None,
                shadow_number: 2,
                shadow_name: "Id_new".to_owned(),
                is_key: true,
                key: 1,
                declared: true,
                holds_numbers: false,
                refers: None,
                companions: Vec::new(),
            };
            unfit_id(&member)
        };
        assert_eq!(query(&column(None, "bigint")), None);
        let by_index = query(&column(Some(38), "numeric")).unwrap_or_default();
        assert!(by_index.contains("min(k.\"Id\") AS \"Id\" FROM ONLY s.t AS k"), "{by_index}");
        assert!(
            query(&column(None, "numeric")).unwrap_or_default().contains(" FROM ONLY s.t AS t WHERE NOT (")
        );
    }
}
