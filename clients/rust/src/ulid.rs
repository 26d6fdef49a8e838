//! A ULID as 128 bits, as `ulid::Ulid` and `uuid::Uuid::from_u128` have it, too.

use std::fmt;
use std::str::FromStr;

/// A ULID. `Display` and `FromStr` are its text form.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ulid(pub u128);

/// A text that is no ULID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidUlid;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

impl fmt::Display for Ulid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digit = |at: u32| char::from(ALPHABET[(self.0 >> (5 * at)) as usize & 31]);
        f.pad(&(0..26).rev().map(digit).collect::<String>())
    }
}

impl fmt::Debug for Ulid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Ulid {
    type Err = InvalidUlid;

    fn from_str(text: &str) -> Result<Self, InvalidUlid> {
        let value = |byte: u8| {
            let byte = match byte.to_ascii_uppercase() {
                b'I' | b'L' => b'1',
                b'O' => b'0',
                byte => byte,
            };
            ALPHABET.iter().position(|digit| *digit == byte).ok_or(InvalidUlid)
        };
        let mut number = 0_u128;
        for (at, byte) in text.bytes().enumerate() {
            let value = value(byte)?;
            // The first of the 26 characters has three bits.
            if at == 0 && value > 7 || at == 26 {
                return Err(InvalidUlid);
            }
            number = number << 5 | value as u128;
        }
        if text.len() == 26 { Ok(Self(number)) } else { Err(InvalidUlid) }
    }
}

impl fmt::Display for InvalidUlid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid ULID")
    }
}

impl std::error::Error for InvalidUlid {}
