//! Glob patterns as KEYS, SCAN, PSUBSCRIBE and CONFIG GET take them.
//!
//! `*` any bytes, `?` one byte, `[abc]`, `[a-z]`, `[^a]` one byte of a class, `\` takes the next byte as it is.
//! The corners are Redis's own: a class that is not closed ends with the pattern; a range may be written either way
//! round; its bounds compare as signed bytes; an escaped byte in a class is compared with its case; a pattern that
//! is not empty never matches an empty text, `*` included (KEYS and SCAN ask `*` before they ask here).
//!
//! The time is bounded by the product of both lengths: only the last `*` is ever tried again.

/// Whether all of `text` matches `pattern`. `nocase` takes ASCII letters of either case for the same.
pub fn matches(pattern: &[u8], text: &[u8], nocase: bool) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        let step = match pattern.get(p) {
            Some(b'*') => {
                p += pattern[p..].iter().take_while(|&&byte| byte == b'*').count();
                if p == pattern.len() {
                    return true;
                }
                retry = Some((p, t));
                continue;
            }
            Some(_) => one(&pattern[p..], text[t], nocase),
            None => None,
        };
        match (step, retry) {
            (Some(used), _) => {
                p += used;
                t += 1;
            }
            (None, Some((star, from))) => {
                p = star;
                t = from + 1;
                retry = Some((star, t));
            }
            (None, None) => return false,
        }
    }
    // What follows a star takes one byte each, so a text used up before its pattern is too short from any later
    // place as well. An empty text never entered the loop, and only an empty pattern matches it.
    let rest = &pattern[p..];
    rest.is_empty() || (!text.is_empty() && rest.iter().all(|&byte| byte == b'*'))
}

/// How many bytes of `pattern`, which is not empty and does not start with a star, it took to match `byte`.
#[inline]
fn one(pattern: &[u8], byte: u8, nocase: bool) -> Option<usize> {
    match pattern[0] {
        b'?' => Some(1),
        b'[' => class(pattern, byte, nocase),
        b'\\' if pattern.len() >= 2 => same(pattern[1], byte, nocase).then_some(2),
        literal => same(literal, byte, nocase).then_some(1),
    }
}

/// As [`one`], for a pattern that starts with `[`.
fn class(pattern: &[u8], byte: u8, nocase: bool) -> Option<usize> {
    let negated = pattern.get(1) == Some(&b'^');
    let mut p = if negated { 2 } else { 1 };
    let mut found = false;
    let end = loop {
        match pattern[p..] {
            [] => break p,
            [b']', ..] => break p + 1,
            [b'\\', escaped, ..] => {
                found |= escaped == byte;
                p += 2;
            }
            [first, b'-', last, ..] => {
                found |= in_range(first, last, byte, nocase);
                p += 3;
            }
            [literal, ..] => {
                found |= same(literal, byte, nocase);
                p += 1;
            }
        }
    };
    (found != negated).then_some(end)
}

/// The bounds are put in order before their case is folded, as Redis does it: `[A-z]` without case is `[a-z]`.
fn in_range(first: u8, last: u8, byte: u8, nocase: bool) -> bool {
    let (first, last) = (first as i8, last as i8);
    let (low, high) = (first.min(last), first.max(last));
    let fold = |byte: i8| if nocase { (byte as u8).to_ascii_lowercase() as i8 } else { byte };
    (fold(low)..=fold(high)).contains(&fold(byte as i8))
}

#[inline]
fn same(a: u8, b: u8, nocase: bool) -> bool {
    a == b || (nocase && a.eq_ignore_ascii_case(&b))
}

#[cfg(test)]
mod tests {
    use super::matches;
    use proptest::prelude::*;

    #[track_caller]
    fn check(pattern: impl AsRef<[u8]>, text: impl AsRef<[u8]>, expected: bool) {
        let (pattern, text) = (pattern.as_ref(), text.as_ref());
        let got = matches(pattern, text, false);
        assert_eq!(got, expected, "{} on {}", pattern.escape_ascii(), text.escape_ascii());
    }

    #[test]
    fn stars_and_question_marks() {
        check("", "", true);
        check("", "a", false);
        check("*", "anything", true);
        check("**", "anything", true);
        check("a*", "a", true);
        check("a**", "a", true);
        check("*a", "a", true);
        check("h?llo", "hello", true);
        check("h?llo", "hllo", false);
        check("h*llo", "heeeello", true);
        check("*b*d", "abcd", true);
        check("*b*d", "abcdbdc", false);
        check("*aab", "aaaab", true);
        check("a*?", "a", false);
    }

    #[test]
    fn nothing_but_an_empty_pattern_matches_an_empty_text() {
        check("*", "", false);
        check("**", "", false);
        check("[^a]", "", false);
    }

    #[test]
    fn classes() {
        check("h[ae]llo", "hallo", true);
        check("h[ae]llo", "hillo", false);
        check("h[^e]llo", "hello", false);
        check("h[^e]llo", "hallo", true);
        check("[a-c]x", "bx", true);
        check("[c-a]x", "bx", true);
        check("[a-c]x", "dx", false);
        check("[a-]", "-", false);
        check("[a-]", "^", true);
        check("[-a]", "-", true);
        check("[\\]]", "]", true);
        check("[\\-]", "-", true);
        check("[\\^x]", "^", true);
        check("[x^]", "^", true);
        check("[]a", "a", false);
        check("[^]a", "xa", true);
        check("[a-]]", "^", true);
        check("[a\\-z]", "m", false);
    }

    #[test]
    fn class_that_is_not_closed_ends_with_the_pattern() {
        check("[abc", "a", true);
        check("[abc", "d", false);
        check("[", "[", false);
        check("[^", "x", true);
        check("[^abc", "x", true);
        check("[a-", "-", true);
        check("[\\", "\\", true);
        check("x[\\", "x\\", true);
    }

    #[test]
    fn ranges_compare_signed_bytes() {
        check(b"[a-\xff]", b"b", false);
        check(b"[a-\xff]", b"A", true);
        check(b"[\x80-\xff]", b"\xc3", true);
        check(b"[\x80-\x01]", b"\x00", true);
        check(b"[\x7f-\x80]", b"m", true);
    }

    #[test]
    fn escapes() {
        check("h\\*llo", "h*llo", true);
        check("h\\*llo", "hello", false);
        check("\\a", "a", true);
        check("a\\", "a\\", true);
        check("\\\\", "\\", true);
        check("\\?", "x", false);
        check("*\\", "xyz\\", true);
    }

    #[test]
    fn case_is_ignored_where_redis_ignores_it() {
        let check = |pattern: &str, text: &str, expected| {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes(), true), expected, "{pattern} on {text}");
        };
        check("HeLLo*", "hEllO world", true);
        check("[abc]", "B", true);
        check("[A-C]", "b", true);
        check("[\\a]", "A", false);
        check("\\A", "a", true);
        check("[A-z]", "_", false);
        check("[z-A]", "q", true);
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        let text = "a".repeat(10_000);
        check("a*".repeat(200) + "b", &text, false);
        check("a*".repeat(200) + "a", &text, true);
    }

    fn alphabet() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop::sample::select(&b"ab-*?[]^\\B\xff"[..]), 0..10)
    }

    proptest! {
        #[test]
        fn escaped_text_matches_itself_alone(text in alphabet(), other in alphabet()) {
            let escaped: Vec<u8> = text.iter().flat_map(|&byte| [b'\\', byte]).collect();
            prop_assert!(matches(&escaped, &text, false));
            prop_assert_eq!(matches(&escaped, &other, false), text == other);
        }

        #[test]
        fn stars_around_only_widen(pattern in alphabet(), text in alphabet()) {
            let wider = [b"*", &pattern[..], b"*"].concat();
            let open_ended = pattern.ends_with(b"\\") || pattern.contains(&b'[');
            if matches(&pattern, &text, false) && !text.is_empty() && !open_ended {
                prop_assert!(matches(&wider, &text, false));
            }
        }

        #[test]
        fn any_bytes_end_without_panic(pattern in any::<Vec<u8>>(), text in any::<Vec<u8>>(), nocase in any::<bool>()) {
            matches(&pattern, &text, nocase);
        }
    }
}
