//! Words with quotes, as inline commands and redis.conf are written: taking a line apart, and quoting a word so that it
//! survives that.
//!
//! Words are separated by white space. In `"..."`, `\xHH`, `\n`, `\r`, `\t`, `\b`, `\a` are what they are in C, and
//! `\` before any other byte is that byte. In `'...'` only `\'` is special. A quote may open in the middle of a word,
//! and a closing one must end it.

use crate::args::{Args, Span};

/// A quote is open at the end of the line, or is closed and directly followed by more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnbalancedQuotes;

/// Splits `line`, appending the words' bytes to `bytes` and, for each word, its place in `bytes` to `spans`.
pub fn split(line: &[u8], bytes: &mut Vec<u8>, spans: &mut Vec<Span>) -> Result<(), UnbalancedQuotes> {
    let mut at = 0;
    loop {
        at += line[at..].iter().take_while(|&&byte| is_space(byte)).count();
        if at == line.len() {
            return Ok(());
        }
        let start = bytes.len();
        at += word(&line[at..], bytes)?;
        spans.push(Span { start: start as u32, len: (bytes.len() - start) as u32 });
    }
}

/// The words of a line of text. `None`: a quote is not closed or is followed by something else than a blank, or a word
/// is not UTF-8.
pub fn texts(line: &str) -> Option<Vec<String>> {
    let (mut bytes, mut spans) = (Vec::new(), Vec::new());
    split(line.as_bytes(), &mut bytes, &mut spans).ok()?;
    let words = Args::new(&bytes, &spans);
    words.iter().map(|word| String::from_utf8(word.to_vec()).ok()).collect()
}

/// Writes text as one word in double quotes that [`texts`] reads back.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend(['\\', byte as char]),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            7 => out.push_str("\\a"),
            8 => out.push_str("\\b"),
            b' '..=b'~' => out.push(byte as char),
            other => out.push_str(&format!("\\x{other:02x}")),
        }
    }
    out.push('"');
    out
}

/// As [`quote`], but leaves a word that needs no quotes as it is.
pub fn quote_if_needed(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'\\');
    if !text.is_empty() && text.bytes().all(plain) { text.into() } else { quote(text) }
}

/// Takes one word off the start of `line`, which is not a space, and says how many bytes it took.
fn word(line: &[u8], bytes: &mut Vec<u8>) -> Result<usize, UnbalancedQuotes> {
    let mut at = 0;
    loop {
        match line.get(at) {
            // Vertical tabs and form feeds separate words but do not end one: so it is in Redis.
            None | Some(b' ' | b'\n' | b'\r' | b'\t') => return Ok(at),
            Some(&quote @ (b'"' | b'\'')) => {
                at += 1;
                at += if quote == b'"' {
                    double_quoted(&line[at..], bytes)?
                } else {
                    quoted(&line[at..], bytes)?
                };
                return match line.get(at) {
                    Some(&next) if !is_space(next) => Err(UnbalancedQuotes),
                    _ => Ok(at),
                };
            }
            Some(&byte) => bytes.push(byte),
        }
        at += 1;
    }
}

/// The inside of `"..."` and its closing quote.
fn double_quoted(line: &[u8], bytes: &mut Vec<u8>) -> Result<usize, UnbalancedQuotes> {
    let mut rest = line;
    loop {
        rest = match *rest {
            [] => return Err(UnbalancedQuotes),
            [b'"', ref after @ ..] => return Ok(line.len() - after.len()),
            [b'\\', b'x', high, low, ref after @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                bytes.push(hex(high) << 4 | hex(low));
                after
            }
            [b'\\', escaped, ref after @ ..] => {
                bytes.push(unescape(escaped));
                after
            }
            [byte, ref after @ ..] => {
                bytes.push(byte);
                after
            }
        };
    }
}

/// The inside of `'...'` and its closing quote.
fn quoted(line: &[u8], bytes: &mut Vec<u8>) -> Result<usize, UnbalancedQuotes> {
    let mut rest = line;
    loop {
        rest = match *rest {
            [] => return Err(UnbalancedQuotes),
            [b'\'', ref after @ ..] => return Ok(line.len() - after.len()),
            [b'\\', b'\'', ref after @ ..] => {
                bytes.push(b'\'');
                after
            }
            [byte, ref after @ ..] => {
                bytes.push(byte);
                after
            }
        };
    }
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => digit.to_ascii_lowercase() - b'a' + 10,
    }
}

/// C's `isspace`.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(line: &[u8]) -> Result<Vec<Vec<u8>>, UnbalancedQuotes> {
        let (mut bytes, mut spans) = (Vec::new(), Vec::new());
        split(line, &mut bytes, &mut spans)?;
        let slice = |span: &Span| bytes[span.start as usize..][..span.len as usize].to_vec();
        Ok(spans.iter().map(slice).collect())
    }

    #[track_caller]
    fn check<const N: usize>(line: &str, expected: [&[u8]; N]) {
        assert_eq!(words(line.as_bytes()), Ok(expected.map(<[u8]>::to_vec).to_vec()), "{line}");
    }

    #[test]
    fn words_are_split_at_spaces() {
        check("", []);
        check("  \t ", []);
        check("PING", [b"PING"]);
        check(" SET  a\tb ", [b"SET", b"a", b"b"]);
        check("a\x0bb \x0c c", [b"a\x0bb", b"c"]);
        check("\\x41 \\n", [b"\\x41", b"\\n"]);
    }

    #[test]
    fn double_quotes_take_escapes() {
        check(r#"SET "a b" "\x41\x00\xfF""#, [b"SET", b"a b", b"A\0\xff"]);
        check(r#""\n\r\t\b\a\\\"\q" """#, [b"\n\r\t\x08\x07\\\"q", b""]);
        check(r#""\x4g" "\x""#, [b"x4g", b"x"]);
        check(r#"a"b c""#, [b"ab c"]);
    }

    #[test]
    fn single_quotes_take_only_their_own_escape() {
        check(r"'a b' '\n\'' ''", [b"a b", b"\\n'", b""]);
        check(r#"'"' "'""#, [b"\"", b"'"]);
    }

    #[test]
    fn quotes_must_close_and_end_their_word() {
        for line in ["\"", "'", "a \"b", "\"a\"b", "'a'b", "\"a\\\"", "'a\\'", "\"a\"'b'", "x'"] {
            assert_eq!(words(line.as_bytes()), Err(UnbalancedQuotes), "{line}");
        }
    }

    #[test]
    fn lines_of_text_are_split_as_redis_splits_them() {
        let check = |line: &str, expected: Option<&[&str]>| {
            let got = texts(line);
            let got: Option<Vec<&str>> = got.as_ref().map(|words| words.iter().map(String::as_str).collect());
            assert_eq!(got.as_deref(), expected, "{line:?}");
        };
        check("", Some(&[]));
        check("  \t ", Some(&[]));
        check("save 60  1", Some(&["save", "60", "1"]));
        check("save \"\"", Some(&["save", ""]));
        check("a \"b c\" 'd e'", Some(&["a", "b c", "d e"]));
        check(r#"p "a\"b\\c\nd\x41\q""#, Some(&["p", "a\"b\\c\ndAq"]));
        check(r"p 'it\'s \n'", Some(&["p", r"it's \n"]));
        check("hz 10 # c", Some(&["hz", "10", "#", "c"]));
        check("p ab\"c d\"", Some(&["p", "abc d"]));
        check("p \"abc", None);
        check("p 'abc", None);
        check("p \"abc\\", None);
        check("p \"a\"b", None);
        check(r#"p "\xff""#, None);
    }

    #[test]
    fn what_was_quoted_is_read_back() {
        for text in ["", "abc", "a b", "a\"b\\c\nd", "\u{7}\u{8}\r\t\u{1}", "é€", "'"] {
            assert_eq!(texts(&quote(text)), Some(vec![text.to_string()]), "{text:?}");
            assert_eq!(texts(&quote_if_needed(text)), Some(vec![text.to_string()]), "{text:?}");
        }
        assert_eq!(quote("a\"b\\c\nd"), r#""a\"b\\c\nd""#);
        assert_eq!(quote_if_needed("-::1"), "-::1");
    }

    proptest! {
        #[test]
        fn quoted_bytes_come_back(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..5)) {
            let in_quotes = |part: &Vec<u8>| {
                let escaped = part.iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
                format!("\"{escaped}\"")
            };
            let line = parts.iter().map(in_quotes).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(words(line.as_bytes()), Ok(parts));
        }
    }
}
