//! Words of a configuration line: taking it apart, and quoting a word so that it survives that.

use stdx::Args;

/// Splits a line into words, with quotes as [`stdx::words`] has them. `None`: a quote is not closed or is followed by
/// something else than a blank, or a word is not UTF-8.
pub(crate) fn split(line: &str) -> Option<Vec<String>> {
    let (mut bytes, mut spans) = (Vec::new(), Vec::new());
    stdx::words::split(line.as_bytes(), &mut bytes, &mut spans).ok()?;
    let words = Args::new(&bytes, &spans);
    words.iter().map(|word| String::from_utf8(word.to_vec()).ok()).collect()
}

/// Writes text as one word in double quotes that [`split`] reads back.
pub(crate) fn quote(text: &str) -> String {
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
pub(crate) fn quote_if_needed(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'\\');
    if !text.is_empty() && text.bytes().all(plain) { text.into() } else { quote(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_as_redis_splits_them() {
        let check = |line: &str, expected: Option<&[&str]>| {
            let got = split(line);
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
            assert_eq!(split(&quote(text)), Some(vec![text.to_string()]), "{text:?}");
            assert_eq!(split(&quote_if_needed(text)), Some(vec![text.to_string()]), "{text:?}");
        }
        assert_eq!(quote("a\"b\\c\nd"), r#""a\"b\\c\nd""#);
        assert_eq!(quote_if_needed("-::1"), "-::1");
    }
}
