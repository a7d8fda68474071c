//! The options that SET and GETEX share: a condition, GET, and what becomes of the time to live.

use crate::error::CommandError;
use crate::time::Time;
use stdx::Args;

/// Which command's options are read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    /// NX, XX, GET, KEEPTTL and the times.
    Set,
    /// PERSIST and the times.
    GetEx,
}

/// What was asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Options<'a> {
    /// NX: only where there is no key (`Some(false)`); XX: only where there is one (`Some(true)`).
    pub(super) existing: Option<bool>,
    /// GET: answer the old value.
    pub(super) get: bool,
    /// What becomes of the time to live.
    pub(super) expiry: Expiry<'a>,
}

/// What becomes of the time to live.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Expiry<'a> {
    /// Nothing was said.
    #[default]
    Unsaid,
    /// KEEPTTL.
    Keep,
    /// PERSIST.
    Persist,
    /// EX, PX, EXAT, PXAT, with the time as it was given.
    Time(Time, &'a [u8]),
}

/// Reads the options of `args` from `start` on. An option may be repeated, and the last time counts; others of its
/// group may not stand beside it. Errors: `Syntax`.
pub(super) fn parse(args: Args<'_>, start: usize, command: For) -> Result<Options<'_>, CommandError> {
    let mut options = Options::default();
    let mut index = start;
    while let Some(word) = args.get(index) {
        match (Word::of(word), command) {
            (Some(Word::Condition(existing)), For::Set) if options.existing != Some(!existing) => {
                options.existing = Some(existing);
            }
            (Some(Word::Get), For::Set) => options.get = true,
            (Some(Word::KeepTtl), For::Set) if matches!(options.expiry, Expiry::Unsaid | Expiry::Keep) => {
                options.expiry = Expiry::Keep;
            }
            (Some(Word::Persist), For::GetEx)
                if matches!(options.expiry, Expiry::Unsaid | Expiry::Persist) =>
            {
                options.expiry = Expiry::Persist;
            }
            (Some(Word::Time(time)), _) if options.expiry.admits(time) => {
                index += 1;
                options.expiry = Expiry::Time(time, args.get(index).ok_or(CommandError::Syntax)?);
            }
            _ => return Err(CommandError::Syntax),
        }
        index += 1;
    }
    Ok(options)
}

impl Expiry<'_> {
    fn admits(self, time: Time) -> bool {
        match self {
            Self::Unsaid => true,
            Self::Time(before, _) => before == time,
            Self::Keep | Self::Persist => false,
        }
    }
}

enum Word {
    Condition(bool),
    Get,
    KeepTtl,
    Persist,
    Time(Time),
}

impl Word {
    #[inline]
    fn of(word: &[u8]) -> Option<Self> {
        let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
        Some(match word.len() {
            2 if is(b"EX") => Self::Time(Time::EX),
            2 if is(b"PX") => Self::Time(Time::PX),
            2 if is(b"NX") => Self::Condition(false),
            2 if is(b"XX") => Self::Condition(true),
            3 if is(b"GET") => Self::Get,
            4 if is(b"EXAT") => Self::Time(Time::EXAT),
            4 if is(b"PXAT") => Self::Time(Time::PXAT),
            7 if is(b"KEEPTTL") => Self::KeepTtl,
            7 if is(b"PERSIST") => Self::Persist,
            _ => return None,
        })
    }
}
