//! When two replies to the same command count as the same.

use resp::Value;
use stdx::number::{format_g17, parse_f64};

use super::generate::{Command, SORTED};
use super::streams;

/// How replies to a command are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// To the last byte.
    Same,
    /// Arrays or sets, as sets: the order is nobody's business.
    Unordered,
    /// Maps, or flat arrays of as many pairs, as sets of pairs.
    Pairs,
    /// Positive integers that depend on the clock, up to so much apart; others to the last byte.
    Clock(i64),
    /// Both are of the same kind, whatever they say; arrays are of the same length.
    Kind,
    /// Encodings: Redis 7.0 does not have all of 7.2's, for sets and for lists.
    Encoding,
    /// Scores, and the doubles of scripts, may have been written with 17 digits or with the fewest that say the same: Redis 7.0
    /// and 7.2 differ there.
    Scores,
    /// Both are errors, whatever they say, or the same.
    Refused,
    /// Of streams: but for times.
    Stream,
    /// As one page of a scan: both are pages, or the same error.
    Page,
}

impl Rule {
    pub(super) fn of(command: &Command) -> Self {
        let word =
            |index: usize| command.get(index).map(|word| word.to_ascii_lowercase()).unwrap_or_default();
        match word(0).as_slice() {
            b"keys" | b"smembers" | b"sinter" | b"sunion" | b"sdiff" | b"hkeys" | b"hvals" => Self::Unordered,
            b"hgetall" => Self::Pairs,
            b"spop" if command.len() > 2 => Self::Unordered,
            b"ttl" | b"expiretime" => Self::Clock(2),
            b"pttl" | b"pexpiretime" => Self::Clock(2000),
            b"randomkey" | b"srandmember" | b"hrandfield" | b"zrandmember" => Self::Kind,
            b"scan" | b"sscan" | b"hscan" | b"zscan" => Self::Page,
            // Redis 7.0 has no WITHSCORE, and so counts the arguments.
            b"zrank" | b"zrevrank" => Self::Refused,
            [b'z', ..] | b"eval" => Self::Scores,
            b"object" if matches!(word(1).as_slice(), b"idletime" | b"freq") => Self::Kind,
            // SORT changes how Redis keeps a sorted set.
            b"object" if SORTED.contains(&word(2).as_slice()) => Self::Kind,
            b"object" if word(1) == b"encoding" => Self::Encoding,
            b"memory" => Self::Kind,
            b"xpending" | b"xinfo" | b"xread" | b"xreadgroup" => Self::Stream,
            _ => Self::Same,
        }
    }

    /// Where the cursor of a command whose replies are pages is.
    pub(super) fn cursor_at(command: &Command) -> usize {
        if command[0].eq_ignore_ascii_case(b"scan") { 1 } else { 2 }
    }

    pub(super) fn holds(self, one: &Value, other: &Value) -> bool {
        match (self, one, other) {
            (Self::Unordered, Value::Array(one), Value::Array(other))
            | (Self::Unordered, Value::Set(one), Value::Set(other)) => sorted(one) == sorted(other),
            (Self::Pairs, Value::Array(one), Value::Array(other)) => pairs(one) == pairs(other),
            (Self::Pairs, Value::Map(one), Value::Map(other)) => {
                one.len() == other.len() && one.iter().all(|pair| other.contains(pair))
            }
            (Self::Clock(tolerance), Value::Int(one @ 1..), Value::Int(other @ 1..)) => {
                one.abs_diff(*other) <= tolerance.unsigned_abs()
            }
            (Self::Kind, Value::Bulk(_), Value::Bulk(_)) | (Self::Kind, Value::Int(_), Value::Int(_)) => true,
            (Self::Kind, Value::Array(one), Value::Array(other)) => one.len() == other.len(),
            (Self::Encoding, Value::Bulk(one), Value::Bulk(other)) => {
                one == other
                    || (matches!(one.as_slice(), b"hashtable" | b"quicklist") && other == b"listpack")
            }
            (Self::Scores, one, other) => same_scores(one, other),
            (Self::Refused, Value::Error(_), Value::Error(_)) => true,
            (Self::Page, Value::Array(one), Value::Array(other)) => one.len() == 2 && other.len() == 2,
            (Self::Stream, Value::Error(one), Value::Error(other)) if one.starts_with(b"ERR Unbalanced") => {
                other.starts_with(b"ERR Unbalanced")
            }
            (_, Value::Error(one), Value::Error(other)) => same_error(one, other),
            (Self::Stream, one, other) => streams::alike(one, other, now_ms()),
            _ => one == other,
        }
    }
}

/// Whether strings that are not the same are the same number, one of them in seventeen digits.
fn same_scores(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same_scores(one, other))
        }
        // Redis 7.0 writes what is no number as C does, with a sign.
        (Value::Bulk(one), Value::Bulk(other)) if one == b"-nan" => other == b"nan" || one == other,
        (Value::Bulk(one), Value::Bulk(other)) => one == other || *one == seventeen_digits(other),
        (Value::Double(one), Value::Double(other)) => one == other || (one.is_nan() && other.is_nan()),
        (Value::Error(one), Value::Error(other)) => same_error(one, other),
        _ => one == other,
    }
}

/// A number as Redis 7.0 writes it; any other text as it is.
pub(super) fn seventeen_digits(text: &[u8]) -> Vec<u8> {
    let mut digits = Vec::new();
    match parse_f64(text) {
        Some(score) => format_g17(score, &mut digits),
        None => digits.extend_from_slice(text),
    }
    digits
}

fn now_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.expect("it is past 1970").as_millis() as i64
}

/// Errors repeat words of the command, and Redis ends them at a NUL: from the first byte on that is not printable in
/// either text, they may differ.
fn same_error(one: &[u8], other: &[u8]) -> bool {
    let printable = |text: &[u8]| text.iter().position(|byte| !(b' '..=b'~').contains(byte));
    match [printable(one), printable(other)].into_iter().flatten().min() {
        Some(len) => one.len() >= len && other.len() >= len && one[..len] == other[..len],
        None => one == other,
    }
}

/// The strings in a list, in order; what is no string first.
pub(super) fn sorted(values: &[Value]) -> Vec<Option<&[u8]>> {
    let mut strings: Vec<_> = values.iter().map(Value::as_bytes).collect();
    strings.sort_unstable();
    strings
}

/// A flat list of strings in pairs, in order.
fn pairs(values: &[Value]) -> Vec<Vec<Option<&[u8]>>> {
    let mut pairs: Vec<Vec<_>> =
        values.chunks(2).map(|pair| pair.iter().map(Value::as_bytes).collect()).collect();
    pairs.sort_unstable();
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::Bulk(text.into())
    }

    #[track_caller]
    fn check(command: &str, one: &Value, other: &Value, expected: bool) {
        let command: Command = command.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        assert_eq!(Rule::of(&command).holds(one, other), expected, "{command:?}: {one:?} and {other:?}");
    }

    #[test]
    fn replies_are_the_same_to_the_last_byte_unless_time_or_order_decide() {
        check("GET k", &bulk("a"), &bulk("a"), true);
        check("GET k", &bulk("a"), &bulk("b"), false);
        check("GET k", &Value::Null, &Value::NullBulk, false);
        let (ab, ba) = (Value::Array(vec![bulk("a"), bulk("b")]), Value::Array(vec![bulk("b"), bulk("a")]));
        check("MGET a b", &ab, &ba, false);
        check("keys *", &ab, &ba, true);
        check("keys *", &ab, &Value::Array(vec![bulk("a")]), false);
        check("TTL k", &Value::Int(100), &Value::Int(98), true);
        check("TTL k", &Value::Int(100), &Value::Int(97), false);
        check("TTL k", &Value::Int(-1), &Value::Int(-2), false);
        check("TTL k", &Value::Int(1), &Value::Int(-1), false);
        check("ZSCORE z m", &bulk("3.1000000000000001"), &bulk("3.1"), true);
        check("ZSCORE z m", &bulk("3.1"), &bulk("3.1000000000000001"), false);
        check("ZSCORE z m", &bulk("3.1000000000000001"), &bulk("3.2"), false);
        let error = |text: &str| Value::Error(text.into());
        check("GET", &error("ERR a 'k' 'x'"), &error("ERR a 'k\0y' 'x'"), true);
        check("GET", &error("ERR a 'k' 'x'"), &error("ERR b 'k\0y' 'x'"), false);
        check("GET", &error("ERR a 'k' 'x'"), &error("ERR a 'k' 'y'"), false);
        check("RANDOMKEY", &bulk("a"), &bulk("b"), true);
        check("RANDOMKEY", &bulk("a"), &Value::NullBulk, false);
        check("object idletime k", &Value::Int(0), &Value::Int(1), true);
        check("object encoding k", &bulk("raw"), &bulk("int"), false);
        check("SMEMBERS k", &ab, &ba, true);
        check("SPOP k 2", &ab, &ba, true);
        check("SRANDMEMBER k 2", &ab, &Value::Array(vec![bulk("a")]), false);
        check("object encoding k", &bulk("hashtable"), &bulk("listpack"), true);
        check("object encoding k", &bulk("quicklist"), &bulk("listpack"), true);
        check("object encoding k", &bulk("intset"), &bulk("listpack"), false);
    }
}
