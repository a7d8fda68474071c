//! What blocking commands leave behind when they find nothing: who waits for what, and how long.

use crate::error::CommandError;
use std::ops::Range;
use stdx::args::OwnedArgs;
use stdx::number::{parse_i64, parse_saturating};
use stdx::{Args, UnixMs};

/// A client's wait, as the handler that parks it describes it. When one of the keys is ready the command runs again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parking {
    /// When it gives up; `None`: never.
    pub until: Option<UnixMs>,
    /// The positions of the keys that it waits for. The command may have others.
    pub keys: Range<usize>,
    /// What must be there.
    pub wanted: Wanted,
    /// The command line to run then, where it is not the one that came (XREAD's `$`).
    pub args: Option<OwnedArgs>,
}

/// What a client waits for at its keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wanted {
    /// A list. Whoever finds one takes from it.
    List,
    /// A sorted set. Whoever finds one takes from it.
    ZSet,
    /// Entries of a stream. Reading them takes nothing away.
    Stream,
    /// Entries that a group has not delivered; or the news that there is no such stream or group any more.
    Group(Box<[u8]>),
}

/// A timeout in seconds, fractions allowed, as an instant; 0 is never. Rounded up to whole milliseconds.
pub(crate) fn until_seconds(text: &[u8], now: UnixMs) -> Result<Option<UnixMs>, CommandError> {
    let ms = (parse_saturating(text).ok_or(CommandError::TIMEOUT_NOT_FLOAT)? * 1000.0).ceil();
    if ms >= i64::MAX as f64 {
        return Err(CommandError::TIMEOUT_RANGE);
    }
    until(ms as i64, now)
}

/// A timeout in milliseconds as an instant; 0 is never.
pub(crate) fn until_ms(text: &[u8], now: UnixMs) -> Result<Option<UnixMs>, CommandError> {
    until(parse_i64(text).ok_or(CommandError::TIMEOUT_NOT_INTEGER)?, now)
}

fn until(ms: i64, now: UnixMs) -> Result<Option<UnixMs>, CommandError> {
    match ms {
        ..0 => Err(CommandError::TIMEOUT_NEGATIVE),
        0 => Ok(None),
        _ => now.0.checked_add(ms).map(|at| Some(UnixMs(at))).ok_or(CommandError::TIMEOUT_RANGE),
    }
}

/// Whether a command with the flag `blocking` may park its client: XREAD and XREADGROUP do only when told to.
pub fn may_park(name: &str, args: Args<'_>) -> bool {
    !name.starts_with("xread") || crate::stream::blocks(args)
}

/// What a blocking command takes away for its client alone, and from the keys at which positions: with them, first come is
/// first served. `None` for commands that only read, and for those that are wrong.
pub fn takes<'a>(name: &str, args: Args<'a>) -> Option<(Wanted, Range<usize>)> {
    let last = args.len() - 1;
    let counted = || {
        let keys = parse_i64(args.get(2)?).and_then(|keys| usize::try_from(keys).ok())?;
        (keys < last).then(|| 3..(3 + keys).min(last))
    };
    match name {
        "blpop" | "brpop" => Some((Wanted::List, 1..last)),
        "blmove" | "brpoplpush" => Some((Wanted::List, 1..2)),
        "blmpop" => Some((Wanted::List, counted()?)),
        "bzpopmin" | "bzpopmax" => Some((Wanted::ZSet, 1..last)),
        "bzmpop" => Some((Wanted::ZSet, counted()?)),
        "xreadgroup" => {
            crate::stream::takes_from(args).map(|(group, keys)| (Wanted::Group(group.into()), keys))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = UnixMs(1_000);

    #[test]
    fn seconds() {
        let check = |text: &str, expected: Result<Option<i64>, CommandError>| {
            let expected = expected.map(|at| at.map(UnixMs));
            assert_eq!(until_seconds(text.as_bytes(), NOW), expected, "{text}");
        };
        check("0", Ok(None));
        check("-0.0", Ok(None));
        check("1", Ok(Some(2_000)));
        check("0.01", Ok(Some(1_010)));
        check("0.0001", Ok(Some(1_001)));
        check("0x10", Ok(Some(17_000)));
        check("-1", Err(CommandError::TIMEOUT_NEGATIVE));
        check("-inf", Err(CommandError::TIMEOUT_NEGATIVE));
        check("inf", Err(CommandError::TIMEOUT_RANGE));
        check("1e30", Err(CommandError::TIMEOUT_RANGE));
        check("1e400", Err(CommandError::TIMEOUT_RANGE));
        check("-1e400", Err(CommandError::TIMEOUT_NEGATIVE));
        check("1e5000", Err(CommandError::TIMEOUT_NOT_FLOAT));
        check("1e-400", Ok(Some(1_001)));
        check("9223372036854775.8", Err(CommandError::TIMEOUT_RANGE));
        check("x", Err(CommandError::TIMEOUT_NOT_FLOAT));
        check("nan", Err(CommandError::TIMEOUT_NOT_FLOAT));
        check(" 1", Err(CommandError::TIMEOUT_NOT_FLOAT));
    }

    #[test]
    fn what_is_taken_and_where() {
        let check = |line: &str, expected: Option<(Wanted, &[&str])>| {
            let words: Vec<&str> = line.split(' ').collect();
            let args = OwnedArgs::new(&words);
            let taken = takes(&words[0].to_lowercase(), args.as_args());
            let taken = taken.map(|(wanted, keys)| (wanted, words[keys].to_vec()));
            assert_eq!(taken, expected.map(|(wanted, keys)| (wanted, keys.to_vec())), "{line}");
        };
        check("BLPOP a b 0", Some((Wanted::List, &["a", "b"])));
        check("BLMOVE a b LEFT LEFT 0", Some((Wanted::List, &["a"])));
        check("BRPOPLPUSH a b 0", Some((Wanted::List, &["a"])));
        check("BLMPOP 0 2 a b LEFT COUNT 2", Some((Wanted::List, &["a", "b"])));
        check("BLMPOP 0 9 a b LEFT", None);
        check("BLMPOP 0 x a b LEFT", None);
        check("BZMPOP 0 1 a MIN", Some((Wanted::ZSet, &["a"])));
        check("BZPOPMAX a b 0", Some((Wanted::ZSet, &["a", "b"])));
        let group = || Wanted::Group((*b"g").into());
        check("XREADGROUP GROUP g c BLOCK 0 STREAMS a b > >", Some((group(), &["a", "b"])));
        check("XREADGROUP COUNT 1 BLOCK 0 GROUP g c STREAMS a >", Some((group(), &["a"])));
        check("XREADGROUP GROUP g c STREAMS a >", None);
        check("XREAD BLOCK 0 STREAMS a 0", None);
    }

    #[test]
    fn milliseconds() {
        let check = |text: &str, expected: Result<Option<i64>, CommandError>| {
            assert_eq!(until_ms(text.as_bytes(), NOW), expected.map(|at| at.map(UnixMs)), "{text}");
        };
        check("0", Ok(None));
        check("10", Ok(Some(1_010)));
        check("-1", Err(CommandError::TIMEOUT_NEGATIVE));
        check("1.5", Err(CommandError::TIMEOUT_NOT_INTEGER));
        check("9223372036854775807", Err(CommandError::TIMEOUT_RANGE));
    }
}
