//! What modules of Redis leave in files: named, and skipped where that loses no key.

use crate::error::Error;
use crate::length::Input;
use std::fmt;

/// The name of a module's type: nine letters, digits, `-` or `_`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ModuleName(u64);

impl ModuleName {
    /// The name in a module type's id: nine times six bits from the top, then ten bits of version.
    pub(super) fn of(id: u64) -> Self {
        Self(id)
    }
}

impl fmt::Display for ModuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let letters = (0..9).map(|number| LETTERS[(self.0 >> (58 - 6 * number) & 0x3F) as usize] as char);
        letters.into_iter().try_for_each(|letter| fmt::Write::write_char(f, letter))
    }
}

impl fmt::Debug for ModuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Reads over one thing that a module wrote. True when it was the end.
pub(super) fn skip(input: &mut Input<'_>) -> Result<bool, Error> {
    match input.len()? {
        0 => return Ok(true),
        // Signed and unsigned.
        1 | 2 => drop(input.len()?),
        // A float, a double.
        3 => drop(input.take(4)?),
        4 => drop(input.take(8)?),
        5 => drop(input.text()?),
        _ => return Err(input.bad("part of what a module wrote")),
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_nine_letters_of_six_bits() {
        // Of RedisJSON: "ReJSON-RL", version 3.
        let letters = b"ReJSON-RL";
        let digit = |letter: u8| match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'-' => 62,
            _ => panic!("none of this name"),
        };
        let id = letters.iter().fold(0, |id, letter| id << 6 | u64::from(digit(*letter))) << 10 | 3;
        assert_eq!(ModuleName::of(id).to_string(), "ReJSON-RL");
    }
}
