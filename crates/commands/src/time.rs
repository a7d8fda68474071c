//! Times as the options and commands of expiry give them.

use crate::ctx::parse_int;
use crate::error::CommandError;
use stdx::UnixMs;

/// How a time is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Time {
    /// In seconds; otherwise in milliseconds.
    pub(crate) seconds: bool,
    /// Since the Unix epoch; otherwise from now on.
    pub(crate) absolute: bool,
}

impl Time {
    /// EX, EXPIRE, HEXPIRE
    pub(crate) const EX: Self = Self { seconds: true, absolute: false };
    /// PX, PEXPIRE, HPEXPIRE
    pub(crate) const PX: Self = Self { seconds: false, absolute: false };
    /// EXAT, EXPIREAT, HEXPIREAT
    pub(crate) const EXAT: Self = Self { seconds: true, absolute: true };
    /// PXAT, PEXPIREAT, HPEXPIREAT
    pub(crate) const PXAT: Self = Self { seconds: false, absolute: true };

    /// The way that the option `word` gives a time.
    pub(crate) fn option(word: &[u8]) -> Option<Self> {
        let options: [(&[u8], Self); 4] =
            [(b"EX", Self::EX), (b"PX", Self::PX), (b"EXAT", Self::EXAT), (b"PXAT", Self::PXAT)];
        options.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, time)| time)
    }

    /// The instant at which a key is to expire. Errors: no integer; not positive, or too large (in the words of `command`).
    pub(crate) fn instant(
        self,
        given: &[u8],
        now: UnixMs,
        command: &'static str,
    ) -> Result<UnixMs, CommandError> {
        let given = parse_int(given).ok_or(CommandError::NotInteger)?;
        let at = self.after(given, now).filter(|_| given > 0);
        at.ok_or(CommandError::InvalidExpire(command))
    }

    /// The instant at which a field of a hash is to expire. Errors: no integer; negative; past [`FIELD_EXPIRY_MAX`] (in
    /// the words of `command`).
    pub(crate) fn instant_of_field(
        self,
        given: &[u8],
        now: UnixMs,
        command: &'static str,
    ) -> Result<UnixMs, CommandError> {
        let given = parse_int(given).ok_or(CommandError::NotInteger)?;
        if given < 0 {
            return Err(CommandError::NEGATIVE_EXPIRE);
        }
        let at = self.after(given, now).filter(|at| at.0 <= FIELD_EXPIRY_MAX);
        at.ok_or(CommandError::InvalidExpire(command))
    }

    /// The instant that `given` says; `None` if it is none.
    pub(crate) fn after(self, given: i64, now: UnixMs) -> Option<UnixMs> {
        let unit = if self.seconds { 1000 } else { 1 };
        let start = if self.absolute { 0 } else { now.0 };
        given.checked_mul(unit)?.checked_add(start).map(UnixMs)
    }
}

/// The last instant at which a field may expire, in ms since the Unix epoch: Redis keeps 46 bits.
pub(crate) const FIELD_EXPIRY_MAX: i64 = (1 << 46) - 1;
