//! What a master answers, read from its lines.

use stdx::number::parse_i64;

use crate::ids::{Position, ReplId, offset_of};

/// The answer to PSYNC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Everything is sent anew; the stream goes on behind this.
    Full(Position),
    /// The stream goes on where it was asked for; the history may have a new name.
    Continue(Option<ReplId>),
    /// Not now, for a reason that passes: the master loads, or has lost its own master.
    Later(String),
    /// An error, in the master's words.
    Refused(String),
    /// Nothing that a master answers.
    Garbage(String),
}

impl Answer {
    /// Reads a line that is not empty.
    pub fn parse(line: &[u8]) -> Self {
        let text = || readable(line);
        let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty()).collect();
        match (words.first().copied().unwrap_or_default(), &words[words.len().min(1)..]) {
            (b"+FULLRESYNC", [replid, offset]) => {
                let offset = parse_i64(offset).and_then(|offset| u64::try_from(offset).ok());
                match (ReplId::parse(replid), offset.and_then(offset_of)) {
                    (Some(replid), Some(offset)) => Self::Full(Position { replid, offset }),
                    _ => Self::Garbage(text()),
                }
            }
            (b"+CONTINUE", []) => Self::Continue(None),
            (b"+CONTINUE", [replid]) => match ReplId::parse(replid) {
                Some(replid) => Self::Continue(Some(replid)),
                None => Self::Garbage(text()),
            },
            (b"-NOMASTERLINK" | b"-LOADING" | b"-BUSY" | b"-MASTERDOWN", _) => Self::Later(text()),
            (first, _) if first.first() == Some(&b'-') => Self::Refused(text()),
            _ => Self::Garbage(text()),
        }
    }
}

/// The answer to one of the commands before PSYNC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// `+PONG`, `+OK`, and what else a status may say.
    Well(String),
    /// `+LACEWING`: its name, and the names of those that it follows, and of their histories, nearest first.
    Lacewing(Vec<ReplId>),
    /// `-NOAUTH`, `-NOPERM`, `-WRONGPASS`, `-DENIED` and their older wordings: nothing is said to those who have not said who they are.
    Denied(String),
    /// `-LOADING` and kin.
    Later(String),
    /// Another error.
    Refused(String),
    /// Nothing that a master answers.
    Garbage(String),
}

impl Greeting {
    /// Reads a line that is not empty.
    pub fn parse(line: &[u8]) -> Self {
        let text = readable(line);
        let first = line.split(|byte| *byte == b' ').next().unwrap_or_default();
        match first {
            b"+LACEWING" => {
                let names = line.split(|byte| *byte == b' ').skip(1).map(ReplId::parse);
                match names.take(CHAIN_MAX).collect::<Option<Vec<_>>>() {
                    Some(names) if !names.is_empty() => Self::Lacewing(names),
                    _ => Self::Garbage(text),
                }
            }
            b"-NOAUTH" | b"-NOPERM" | b"-WRONGPASS" | b"-DENIED" => Self::Denied(text),
            b"-LOADING" | b"-BUSY" | b"-MASTERDOWN" | b"-NOMASTERLINK" => Self::Later(text),
            b"-ERR" if line.starts_with(b"-ERR operation not permitted") => Self::Denied(text),
            b"-ERR" if line.starts_with(b"-ERR invalid password") => Self::Denied(text),
            _ if first.first() == Some(&b'-') => Self::Refused(text),
            _ if first.first() == Some(&b'+') => Self::Well(text),
            _ => Self::Garbage(text),
        }
    }
}

/// So much of what a master said that a person can tell what it is.
pub fn readable(line: &[u8]) -> String {
    let shown = &line[..line.len().min(READABLE_BYTES)];
    let more = if shown.len() < line.len() { ".." } else { "" };
    // Quotes are no harm to anybody.
    let plain = |byte: u8| {
        if matches!(byte, b'\'' | b'"') { char::from(byte).into() } else { byte.escape_ascii().to_string() }
    };
    shown.iter().map(|&byte| plain(byte)).chain([more.to_owned()]).collect()
}

/// Bytes of a master's line that are kept for people.
const READABLE_BYTES: usize = 160;
/// Masters one above the other that are looked at, at most.
pub(crate) const CHAIN_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn answers_to_psync() {
        let replid = ReplId::parse(ID.as_bytes()).unwrap();
        let check =
            |line: &str, expected: Answer| assert_eq!(Answer::parse(line.as_bytes()), expected, "{line}");
        check(&format!("+FULLRESYNC {ID} 0"), Answer::Full(Position { replid, offset: 0 }));
        check(&format!("+FULLRESYNC {ID} 77 "), Answer::Full(Position { replid, offset: 77 }));
        check("+CONTINUE", Answer::Continue(None));
        check(&format!("+CONTINUE {ID}"), Answer::Continue(Some(replid)));
        check("-LOADING Redis is loading", Answer::Later("-LOADING Redis is loading".to_owned()));
        let later = "-NOMASTERLINK Can't SYNC while not connected with my master";
        check(later, Answer::Later(later.to_owned()));
        let far = |offset: u64| Answer::parse(format!("+FULLRESYNC {ID} {offset}").as_bytes());
        assert!(matches!(far(1 << 62), Answer::Full(_)));
        assert!(matches!(far((1 << 62) + 1), Answer::Garbage(_)));
        assert!(matches!(far(i64::MAX as u64), Answer::Garbage(_)));
        check("-ERR unknown command", Answer::Refused("-ERR unknown command".to_owned()));
        for line in [
            "+FULLRESYNC",
            "+FULLRESYNC abc 1",
            &format!("+FULLRESYNC {ID}"),
            &format!("+FULLRESYNC {ID} -1"),
            &format!("+FULLRESYNC {ID} x"),
            &format!("+FULLRESYNC {ID} 1 2"),
            "+CONTINUE abc",
            "+OK",
            "$12",
            "HTTP/1.1 400 Bad Request",
        ] {
            check(line, Answer::Garbage(line.to_owned()));
        }
    }

    #[test]
    fn answers_before_psync() {
        let check = |line: &str, expected: &dyn Fn(String) -> Greeting| {
            assert_eq!(
                Greeting::parse(line.as_bytes()),
                expected(line.escape_default().to_string()),
                "{line}"
            );
        };
        check("+PONG", &Greeting::Well);
        check("-NOAUTH Authentication required.", &Greeting::Denied);
        check("-WRONGPASS invalid username-password pair", &Greeting::Denied);
        check("-ERR operation not permitted", &Greeting::Denied);
        check("-ERR Unrecognized REPLCONF option: capa", &Greeting::Refused);
        check("-LOADING x", &Greeting::Later);
        check("SSH-2.0-OpenSSH_9.2", &Greeting::Garbage);
        check("+LACEWING", &Greeting::Garbage);
        let replid = ReplId::parse(ID.as_bytes()).unwrap();
        check(&format!("+LACEWING {ID} {ID}"), &|_| Greeting::Lacewing(vec![replid, replid]));
    }

    #[test]
    fn what_cannot_be_printed_is_escaped_and_cut() {
        assert_eq!(readable(b"a\x00\xff"), r"a\x00\xff");
        assert_eq!(readable(b"'Can't', \"he\" said"), "'Can't', \"he\" said");
        assert!(readable(&[b'x'; 1000]).len() < 200);
    }
}
