//! The text form of a ULID: 26 characters of Crockford's base 32, 130 bits of which the first 2 are
//! zero.
//!
//! It is written in upper case and read strictly: lower case and the aliases `I` and `L` for 1 and
//! `O` for 0 are accepted; `U`, hyphens, other lengths and a first character above 7 are not.

use ulid::Ulid;

use crate::{Error, SqlState};

/// Characters in the text form of a ULID.
pub const TEXT_LEN: usize = 26;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Marks a byte that is not a digit; greater than every digit, even if digits are combined with it
/// by OR.
const NO_DIGIT: u8 = 0x80;
/// The start of the lower half of the text. Each half is one digit and 12 more, 60 bits, so that
/// all work is done in 64-bit words.
const HALF: usize = TEXT_LEN / 2;
const DIGITS_60: u64 = (1 << 60) - 1;

/// The two characters of every 10-bit number.
static PAIRS: [[u8; 2]; 1024] = {
    let mut pairs = [[0; 2]; 1024];
    let mut n = 0;
    while n < 1024 {
        pairs[n] = [ALPHABET[n >> 5], ALPHABET[n & 31]];
        n += 1;
    }
    pairs
};

/// The digit of every byte, or [`NO_DIGIT`].
static DIGITS: [u8; 256] = {
    let mut digits = [NO_DIGIT; 256];
    let mut n = 0;
    while n < 32 {
        let upper = ALPHABET[n];
        digits[upper as usize] = n as u8;
        digits[upper.to_ascii_lowercase() as usize] = n as u8;
        n += 1;
    }
    let mut n = 0;
    let aliases = *b"I1i1L1l1O0o0";
    while n < aliases.len() {
        digits[aliases[n] as usize] = aliases[n + 1] - b'0';
        n += 2;
    }
    digits
};

/// The canonical text of a ULID.
#[inline]
pub fn encode(ulid: Ulid) -> [u8; TEXT_LEN] {
    let mut text = [0; TEXT_LEN];
    let (upper, lower) = text.split_at_mut(HALF);
    encode_half((ulid.0 >> 125) as usize, (ulid.0 >> 65) as u64 & DIGITS_60, upper);
    encode_half((ulid.0 >> 60) as usize & 31, ulid.0 as u64 & DIGITS_60, lower);
    text
}

/// Writes the digit `first` and the 12 digits of `rest`.
#[inline]
fn encode_half(first: usize, rest: u64, text: &mut [u8]) {
    text[0] = ALPHABET[first & 31];
    for (n, pair) in text[1..].chunks_exact_mut(2).enumerate() {
        pair.copy_from_slice(&PAIRS[(rest >> (50 - 10 * n)) as usize & 1023]);
    }
}

/// Reads a ULID from text in any encoding that extends ASCII.
///
/// # Errors
/// 22P02 if the text is not a ULID.
#[inline]
pub fn decode(text: &[u8]) -> Result<Ulid, Error> {
    read(text).ok_or_else(|| invalid(text))
}

/// The same without an error: `None` if the text is not a ULID.
#[inline]
pub fn read(text: &[u8]) -> Option<Ulid> {
    let bytes = <&[u8; TEXT_LEN]>::try_from(text).ok()?;
    let (upper, lower) = bytes.split_at(HALF);
    let (upper_first, upper_rest, upper_seen) = decode_half(upper);
    let (lower_first, lower_rest, lower_seen) = decode_half(lower);
    if (upper_seen | lower_seen) & NO_DIGIT != 0 || upper_first > 7 {
        return None;
    }
    Some(Ulid(
        u128::from(upper_first) << 125
            | u128::from(upper_rest) << 65
            | u128::from(lower_first) << 60
            | u128::from(lower_rest),
    ))
}

/// The first digit, the other 12 as a number, and all digits combined by OR.
#[inline]
fn decode_half(text: &[u8]) -> (u8, u64, u8) {
    let first = DIGITS[usize::from(text[0])];
    let mut seen = first;
    let mut rest = 0;
    for &byte in &text[1..] {
        let digit = DIGITS[usize::from(byte)];
        seen |= digit;
        rest = rest << 5 | u64::from(digit);
    }
    (first, rest, seen)
}

#[cold]
fn invalid(text: &[u8]) -> Error {
    // The bytes are shown unchanged if they are a Rust string, which is then in the server's own
    // encoding, and escaped otherwise.
    let shown = match std::str::from_utf8(text) {
        Ok(text) => text.to_owned(),
        Err(_) => text.escape_ascii().to_string(),
    };
    Error::new(
        SqlState::InvalidTextRepresentation,
        format!("invalid input syntax for type ulid: \"{shown}\""),
    )
}
