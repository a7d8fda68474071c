//! Where in a string a command's bits are.

use crate::ctx::parse_int;
use crate::error::CommandError;

/// A bit's place: `text` is its number, or for BITFIELD `#` and the number of a field of `width` bits.
/// Errors: `BIT_OFFSET` for what is no such number or not within `bytes_max`, which is proto-max-bulk-len.
pub(super) fn parse(text: &[u8], width: Option<u32>, bytes_max: u64) -> Result<u64, CommandError> {
    let (digits, unit) = match (text.strip_prefix(b"#"), width) {
        (Some(digits), Some(width)) => (digits, i64::from(width)),
        _ => (text, 1),
    };
    let number = parse_int(digits).ok_or(CommandError::BIT_OFFSET)?;
    // Overflow wraps, as in Redis: what it makes of such numbers is an offset or an error, but the same one.
    let offset = u64::try_from(number.wrapping_mul(unit)).map_err(|_| CommandError::BIT_OFFSET)?;
    if offset >> 3 < bytes_max { Ok(offset) } else { Err(CommandError::BIT_OFFSET) }
}
