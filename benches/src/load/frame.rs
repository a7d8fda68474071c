//! Finds where replies end, in RESP2 and RESP3, without copying or decoding them. It is fed chunks as they arrive, cut
//! anywhere, and keeps its place between them. Framing is verified: a byte that no server may send there is an error.
//!
//! Aggregates need no stack: a counter of elements still to come is enough to find the end of the outermost reply.

use memchr::memchr;

/// What a finished reply was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any value.
    Value,
    /// A null: `$-1`, `*-1` or `_`.
    Null,
    /// An error; its text is in [`Skipper::error`].
    Error,
    /// An out-of-band push: no command's reply.
    Push,
}

/// A break of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadFrame {
    /// The byte that may not stand there.
    pub byte: u8,
    /// Where it stands in the chunk that was given.
    pub at: usize,
}

impl std::fmt::Display for BadFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "bad reply: unexpected byte {:?}", char::from(self.byte))
    }
}

impl std::error::Error for BadFrame {}

/// The place in a stream of replies.
#[derive(Clone, Debug)]
pub struct Skipper {
    state: State,
    /// Elements still to come, the one being read included; 0 between replies.
    open: u64,
    /// The outermost element is still to come; only attributes may come before it.
    before_outermost: bool,
    /// The element being read is the outermost one.
    outermost: bool,
    kind: Kind,
    /// The element's type byte.
    element: u8,
    negative: bool,
    digits: u8,
    /// The length being read, then what of the body is left.
    number: u64,
    error: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Type,
    Line,
    LineEnd,
    Length,
    LengthEnd,
    Body,
    BodyReturn,
    BodyEnd,
}

impl Default for Skipper {
    fn default() -> Self {
        Self {
            state: State::Type,
            open: 0,
            before_outermost: false,
            outermost: false,
            kind: Kind::Value,
            element: 0,
            negative: false,
            digits: 0,
            number: 0,
            error: Vec::new(),
        }
    }
}

impl Skipper {
    /// Goes on through `bytes` to the end of the next reply: how many bytes were used, and what ended there. `None`
    /// means that all of `bytes` was used and the reply goes on in the next chunk.
    /// Errors: the stream is broken for good.
    pub fn advance(&mut self, bytes: &[u8]) -> Result<(usize, Option<Kind>), BadFrame> {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            let used = match self.state {
                State::Line => self.line(rest),
                State::Body => self.body(rest),
                _ => {
                    self.step(rest[0]).map_err(|()| BadFrame { byte: rest[0], at })?;
                    1
                }
            };
            at += used;
            if self.open == 0 {
                return Ok((at, Some(self.kind)));
            }
        }
        Ok((at, None))
    }

    /// The text of the last error reply, without its type byte, cut at [`ERROR_TEXT_MAX`] bytes.
    pub fn error(&self) -> &[u8] {
        &self.error
    }

    /// Whether the stream stands between two replies.
    pub fn between_replies(&self) -> bool {
        self.open == 0 && self.state == State::Type
    }

    #[inline]
    fn step(&mut self, byte: u8) -> Result<(), ()> {
        match (self.state, byte) {
            (State::Type, _) => return self.begin(byte),
            (State::Length, b'0'..=b'9') if self.digits < DIGITS_MAX => {
                self.digits += 1;
                self.number = self.number * 10 + u64::from(byte - b'0');
            }
            (State::Length, b'-') if self.digits == 0 && !self.negative => self.negative = true,
            (State::Length, b'\r') if self.digits > 0 => self.state = State::LengthEnd,
            (State::LengthEnd, b'\n') => return self.length(),
            (State::LineEnd, b'\n') => self.end_element(),
            (State::BodyReturn, b'\r') => self.state = State::BodyEnd,
            (State::BodyEnd, b'\n') => self.end_element(),
            _ => return Err(()),
        }
        Ok(())
    }

    #[inline]
    fn begin(&mut self, byte: u8) -> Result<(), ()> {
        self.state = match byte {
            b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => State::Line,
            b'$' | b'*' | b'%' | b'~' | b'>' | b'|' | b'!' | b'=' => State::Length,
            _ => return Err(()),
        };
        if self.open == 0 {
            (self.open, self.before_outermost) = (1, true);
        }
        self.element = byte;
        (self.number, self.digits, self.negative) = (0, 0, false);
        self.outermost = self.before_outermost && self.open == 1 && byte != b'|';
        if self.outermost {
            self.before_outermost = false;
            self.kind = match byte {
                b'-' | b'!' => Kind::Error,
                b'_' => Kind::Null,
                b'>' => Kind::Push,
                _ => Kind::Value,
            };
            if self.kind == Kind::Error {
                self.error.clear();
            }
        }
        Ok(())
    }

    /// A length has been read: a body follows, or elements, or nothing.
    #[inline]
    fn length(&mut self) -> Result<(), ()> {
        if self.negative {
            if self.number != 1 || !matches!(self.element, b'$' | b'*') {
                return Err(());
            }
            if self.outermost {
                self.kind = Kind::Null;
            }
            self.end_element();
            return Ok(());
        }
        let elements = match self.element {
            b'$' | b'!' | b'=' => {
                self.state = if self.number == 0 { State::BodyReturn } else { State::Body };
                return Ok(());
            }
            // An attribute comes before an element and does not count as one.
            b'|' => 1 + 2 * self.number,
            b'%' => 2 * self.number,
            _ => self.number,
        };
        self.open = (self.open - 1).checked_add(elements).ok_or(())?;
        self.state = State::Type;
        Ok(())
    }

    #[inline]
    fn end_element(&mut self) {
        self.open -= 1;
        self.state = State::Type;
    }

    #[inline]
    fn line(&mut self, rest: &[u8]) -> usize {
        let end = memchr(b'\r', rest);
        let text = &rest[..end.unwrap_or(rest.len())];
        if self.outermost && self.kind == Kind::Error {
            self.keep(text);
        }
        if end.is_some() {
            self.state = State::LineEnd;
        }
        text.len() + usize::from(end.is_some())
    }

    #[inline]
    fn body(&mut self, rest: &[u8]) -> usize {
        let used = rest.len().min(usize::try_from(self.number).unwrap_or(usize::MAX));
        if self.outermost && self.kind == Kind::Error {
            self.keep(&rest[..used]);
        }
        self.number -= used as u64;
        if self.number == 0 {
            self.state = State::BodyReturn;
        }
        used
    }

    #[cold]
    fn keep(&mut self, text: &[u8]) {
        let room = ERROR_TEXT_MAX - self.error.len();
        self.error.extend_from_slice(&text[..text.len().min(room)]);
    }
}

/// How much of an error's text is kept, in bytes.
pub const ERROR_TEXT_MAX: usize = 200;
/// Digits of a length: more than any server sends, and far from overflow.
const DIGITS_MAX: u8 = 15;

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `bytes` in chunks, cut at `cuts`, and returns what ended, with error texts.
    fn skip(bytes: &[u8], cuts: &[usize]) -> Result<Vec<(usize, Kind, String)>, BadFrame> {
        let mut skipper = Skipper::default();
        let mut ended = Vec::new();
        let mut start = 0;
        for &cut in cuts.iter().chain([&bytes.len()]) {
            let mut at = start;
            while at < cut {
                let (used, kind) = skipper.advance(&bytes[at..cut])?;
                assert!(used > 0, "no progress at {at}");
                at += used;
                if let Some(kind) = kind {
                    assert!(skipper.between_replies());
                    let text = if kind == Kind::Error { skipper.error() } else { b"" };
                    ended.push((at, kind, String::from_utf8_lossy(text).into_owned()));
                }
            }
            start = cut;
        }
        assert!(skipper.between_replies(), "unfinished: {skipper:?}");
        Ok(ended)
    }

    /// Every reply ends where it should, whole, byte by byte, and cut into three at every pair of places.
    fn check(replies: &[(&[u8], Kind, &str)]) {
        let bytes: Vec<u8> = replies.iter().flat_map(|(bytes, ..)| bytes.iter().copied()).collect();
        let mut end = 0;
        let expected: Vec<_> = replies
            .iter()
            .map(|(bytes, kind, text)| {
                end += bytes.len();
                (end, *kind, (*text).to_owned())
            })
            .collect();
        assert_eq!(skip(&bytes, &[]).unwrap(), expected);
        let every_byte: Vec<usize> = (1..bytes.len()).collect();
        assert_eq!(skip(&bytes, &every_byte).unwrap(), expected);
        for first in 1..bytes.len() {
            for second in first..bytes.len() {
                assert_eq!(skip(&bytes, &[first, second]).unwrap(), expected, "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn replies_end_where_they_should_wherever_they_are_cut() {
        check(&[
            (b"+OK\r\n", Kind::Value, ""),
            (b":-12\r\n", Kind::Value, ""),
            (b"$5\r\na\r\nb:\r\n", Kind::Value, ""),
            (b"$0\r\n\r\n", Kind::Value, ""),
            (b"$-1\r\n", Kind::Null, ""),
            (b"-ERR no\r\n", Kind::Error, "ERR no"),
            (b"*-1\r\n", Kind::Null, ""),
            (b"*0\r\n", Kind::Value, ""),
            (b"*3\r\n*2\r\n:1\r\n$1\r\nx\r\n*0\r\n-ERR in\r\n", Kind::Value, ""),
            (b"*2\r\n$1\r\na\r\n$-1\r\n", Kind::Value, ""),
        ]);
    }

    #[test]
    fn resp3_replies_end_where_they_should() {
        check(&[
            (b"_\r\n", Kind::Null, ""),
            (b"#t\r\n", Kind::Value, ""),
            (b",1.5\r\n", Kind::Value, ""),
            (b"(123456789012345678901\r\n", Kind::Value, ""),
            (b"%2\r\n+a\r\n_\r\n+b\r\n~1\r\n,inf\r\n", Kind::Value, ""),
            (b"!8\r\nERR a\r\nb\r\n", Kind::Error, "ERR a\r\nb"),
            (b">2\r\n+invalidate\r\n*1\r\n$1\r\nk\r\n", Kind::Push, ""),
            (b"=7\r\ntxt:abc\r\n", Kind::Value, ""),
            (b"|1\r\n+ttl\r\n:3\r\n-ERR no\r\n", Kind::Error, "ERR no"),
            (b"|1\r\n+ttl\r\n:3\r\n*2\r\n|1\r\n+x\r\n:1\r\n:1\r\n_\r\n", Kind::Value, ""),
        ]);
    }

    #[test]
    fn broken_framing_is_an_error_at_its_byte() {
        let check = |bytes: &[u8], at: usize| {
            assert_eq!(
                skip(bytes, &[]).map_err(|bad| bad.at),
                Err(at),
                "{:?}",
                String::from_utf8_lossy(bytes)
            );
        };
        check(b"OK\r\n", 0);
        check(b"$3\r\nabcd\r\n", 7);
        check(b"$2\r\nab\n", 6);
        check(b"$-2\r\n", 4);
        check(b"$\r\n", 1);
        check(b"$1x\r\n", 2);
        check(b"+OK\rx", 4);
        check(b"*1\r\n\r\n", 4);
        check(b"%-1\r\n", 4);
        check(b"$9999999999999999\r\n", 16);
    }

    #[test]
    fn a_long_error_is_kept_in_part() {
        let mut reply = vec![b'-'];
        reply.resize(1000, b'x');
        reply.extend_from_slice(b"\r\n");
        let ended = skip(&reply, &[500]).unwrap();
        assert_eq!(ended[0].2.len(), ERROR_TEXT_MAX);
    }
}
