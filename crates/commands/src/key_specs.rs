//! Key specifications, interpreted: for the commands whose keys have no fixed places.

use crate::ctx::parse_int;
use crate::row::{BeginSearch, FindKeys, KeySpec};
use stdx::Args;

/// Appends the positions of the keys that `spec` finds in `args`. What does not fit `args` (a count that is no
/// number or too high, a missing word) gives no key: the handler answers the error.
pub(crate) fn positions(spec: &KeySpec, args: Args<'_>, positions: &mut Vec<u32>) {
    let Some(first) = begin(spec.begin, args) else { return };
    let Some((first, last, step)) = range(spec.find, first, args) else { return };
    if last < args.len() {
        positions.extend((first..=last).step_by(step).map(|position| position as u32));
    }
}

/// Whether the count of keys that `spec` looks at, if it does, is a number of keys that `args` has.
pub(crate) fn fits_count(spec: &KeySpec, args: Args<'_>) -> bool {
    let FindKeys::KeyNum { .. } = spec.find else { return true };
    let found = begin(spec.begin, args).and_then(|first| range(spec.find, first, args));
    found.is_some_and(|(_, last, _)| last < args.len())
}

fn begin(begin: BeginSearch, args: Args<'_>) -> Option<usize> {
    let found = match begin {
        BeginSearch::Index(first) => first as usize,
        BeginSearch::Keyword(word, start) => {
            let is_word = |&index: &usize| args.at(index).eq_ignore_ascii_case(word.as_bytes());
            let at = match usize::try_from(start) {
                Ok(start) => (start..args.len()).find(is_word)?,
                Err(_) => {
                    let end = (args.len() + 1).checked_sub(start.unsigned_abs() as usize)?;
                    (1..end).rev().find(is_word)?
                }
            };
            at + 1
        }
        BeginSearch::Unknown => return None,
    };
    (found < args.len()).then_some(found)
}

/// First and last position and the distance between.
fn range(find: FindKeys, first: usize, args: Args<'_>) -> Option<(usize, usize, usize)> {
    match find {
        FindKeys::Range { last, step, limit } => {
            let last = match usize::try_from(last) {
                Ok(last) => first + last,
                Err(_) => {
                    let end = match limit {
                        0 | 1 => args.len(),
                        _ => first + (args.len() - first) / limit as usize,
                    };
                    end.checked_sub(last.unsigned_abs() as usize)?
                }
            };
            Some((first, last, step.max(1) as usize))
        }
        FindKeys::KeyNum { count, first: offset, step } => {
            let count = usize::try_from(parse_int(args.get(first + count as usize)?)?).ok()?;
            let first = first + offset as usize;
            let step = step.max(1) as usize;
            let last = count.checked_sub(1)?.checked_mul(step)?.checked_add(first)?;
            Some((first, last, step))
        }
        FindKeys::Unknown => None,
    }
}

/// Words of [`KeySpec::flags`] in the order in which Redis prints them.
pub(crate) fn in_order(flags: &'static [&'static str]) -> impl Iterator<Item = &'static str> {
    FLAGS.into_iter().filter(|flag| flags.contains(flag))
}

const FLAGS: [&str; 11] = [
    "RO",
    "RW",
    "OW",
    "RM",
    "access",
    "update",
    "insert",
    "delete",
    "not_key",
    "incomplete",
    "variable_flags",
];

impl KeySpec {
    /// Whether it names all of its keys, and only keys.
    pub(crate) fn is_exact(&self) -> bool {
        !self.flags.iter().any(|flag| matches!(*flag, "not_key" | "incomplete"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stdx::args::OwnedArgs;

    #[track_caller]
    fn check(begin: BeginSearch, find: FindKeys, line: &str, expected: &[u32]) {
        let spec = KeySpec { begin, find, flags: &[], notes: "" };
        let args = OwnedArgs::new(&line.split(' ').collect::<Vec<_>>());
        let mut found = Vec::new();
        positions(&spec, args.as_args(), &mut found);
        assert_eq!(found, expected, "{line}");
    }

    #[test]
    fn counted_keys() {
        let find = FindKeys::KeyNum { count: 0, first: 1, step: 1 };
        check(BeginSearch::Index(1), find, "SINTERCARD 2 a b LIMIT 1", &[2, 3]);
        check(BeginSearch::Index(2), find, "EVAL script 0 x", &[]);
        check(BeginSearch::Index(2), find, "EVAL script 3 a b", &[]);
        check(BeginSearch::Index(2), find, "EVAL script many a b", &[]);
        check(BeginSearch::Index(2), find, "EVAL script 9223372036854775807 a b", &[]);
    }

    #[test]
    fn keys_after_a_word() {
        let half = FindKeys::Range { last: -1, step: 1, limit: 2 };
        check(BeginSearch::Keyword("STREAMS", 1), half, "XREAD COUNT 2 streams a b 0 0", &[4, 5]);
        check(BeginSearch::Keyword("STREAMS", 1), half, "XREAD COUNT 2", &[]);
        let rest = FindKeys::Range { last: -1, step: 1, limit: 0 };
        check(BeginSearch::Keyword("KEYS", -2), rest, "MIGRATE h 1 x 0 9 KEYS a b", &[7, 8]);
        check(BeginSearch::Keyword("KEYS", -2), rest, "MIGRATE h 1 x 0 9 KEYS", &[]);
    }

    #[test]
    fn ranges_and_unknowns() {
        let pairs = FindKeys::Range { last: -1, step: 2, limit: 0 };
        check(BeginSearch::Index(1), pairs, "MSET a 1 b 2", &[1, 3]);
        check(BeginSearch::Index(9), pairs, "MSET a 1 b 2", &[]);
        check(BeginSearch::Unknown, pairs, "X a", &[]);
        check(BeginSearch::Index(1), FindKeys::Unknown, "X a", &[]);
    }
}
