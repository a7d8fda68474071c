//! Times as the commands of field expiry read them.

use crate::ctx::parse_int;
use crate::error::CommandError;
use stdx::UnixMs;

/// How a time is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Time {
    /// In seconds; otherwise in milliseconds.
    pub(super) seconds: bool,
    /// Since the Unix epoch; otherwise from now on.
    pub(super) absolute: bool,
}

impl Time {
    /// HEXPIRE, EX
    pub(super) const EX: Self = Self { seconds: true, absolute: false };
    /// HPEXPIRE, PX
    pub(super) const PX: Self = Self { seconds: false, absolute: false };
    /// HEXPIREAT, EXAT
    pub(super) const EXAT: Self = Self { seconds: true, absolute: true };
    /// HPEXPIREAT, PXAT
    pub(super) const PXAT: Self = Self { seconds: false, absolute: true };

    /// The way that the option `word` gives a time.
    pub(super) fn option(word: &[u8]) -> Option<Self> {
        let options: [(&[u8], Self); 4] =
            [(b"EX", Self::EX), (b"PX", Self::PX), (b"EXAT", Self::EXAT), (b"PXAT", Self::PXAT)];
        options.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, time)| time)
    }

    /// The instant that `given` says. Errors: no integer, negative, past [`EXPIRY_MAX`] (in the words of `command`).
    pub(super) fn instant(
        self,
        given: &[u8],
        now: UnixMs,
        command: &'static str,
    ) -> Result<UnixMs, CommandError> {
        let given = parse_int(given).ok_or(CommandError::NotInteger)?;
        if given < 0 {
            return Err(CommandError::NEGATIVE_EXPIRE);
        }
        let ms = if self.seconds { given.checked_mul(1000) } else { Some(given) };
        let start = if self.absolute { 0 } else { now.0 };
        let at = ms.and_then(|ms| ms.checked_add(start)).filter(|&at| at <= EXPIRY_MAX);
        at.map(UnixMs).ok_or(CommandError::InvalidExpire(command))
    }
}

/// The last instant at which a field may expire, in ms since the Unix epoch: Redis keeps 46 bits.
const EXPIRY_MAX: i64 = (1 << 46) - 1;
