//! Writing replies: one method per RESP type, each in the form that the client's protocol version has for it.

use std::iter;

use stdx::number;

/// The protocol version that a connection chose with HELLO.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Proto {
    /// RESP2, the default.
    #[default]
    Resp2,
    /// RESP3.
    Resp3,
}

/// A place where an array's (or map's, or set's) length is still to be written.
#[derive(Debug)]
#[must_use]
pub struct Deferred(usize);

/// Appends replies to a connection's output buffer.
#[derive(Debug)]
pub struct Reply<'a> {
    buf: &'a mut Vec<u8>,
    proto: Proto,
}

impl<'a> Reply<'a> {
    /// Writes to the end of `buf`, in `proto`'s forms.
    #[inline]
    pub fn new(buf: &'a mut Vec<u8>, proto: Proto) -> Self {
        Self { buf, proto }
    }

    /// The protocol version in force.
    #[inline]
    pub fn proto(&self) -> Proto {
        self.proto
    }

    /// What has been written so far, earlier replies of the same buffer included.
    #[inline]
    pub fn written(&self) -> &[u8] {
        self.buf
    }

    /// Cuts the buffer back to `len` bytes: takes back a reply that turned into an error.
    #[inline]
    pub fn truncate(&mut self, len: usize) {
        self.buf.truncate(len);
    }

    /// Appends bytes that already are RESP.
    #[inline]
    pub fn raw(&mut self, resp: &[u8]) {
        self.buf.extend_from_slice(resp);
    }

    /// `+OK`.
    #[inline]
    pub fn ok(&mut self) {
        self.buf.extend_from_slice(b"+OK\r\n");
    }

    /// A simple string; `text` has no CR or LF.
    #[inline]
    pub fn simple(&mut self, text: &str) {
        self.line(b'+', text.as_bytes());
    }

    /// An error; `text` starts with its code (`ERR ...`, `WRONGTYPE ...`). CR and LF at its end go, before it they become
    /// spaces.
    #[cold]
    pub fn error(&mut self, text: &(impl AsRef<[u8]> + ?Sized)) {
        let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let text = text.as_ref();
        let end = text.iter().rposition(|byte| !is_end(byte)).map_or(0, |last| last + 1);
        self.buf.push(b'-');
        self.buf.extend(text[..end].iter().map(|byte| if is_end(byte) { b' ' } else { *byte }));
        self.buf.extend_from_slice(b"\r\n");
    }

    /// An integer.
    #[inline]
    pub fn int(&mut self, value: i64) {
        match value {
            0..=9 => self.header(b':', value as usize),
            _ => self.number_line(b':', value.unsigned_abs(), value < 0),
        }
    }

    /// A bulk string.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.buf.reserve(bytes.len() + HEADER_MAX + 2);
        self.header(b'$', bytes.len());
        self.buf.extend_from_slice(bytes);
        self.buf.extend_from_slice(b"\r\n");
    }

    /// A bulk string of `len` bytes that are not written here but belong behind the first `at` bytes of the buffer.
    pub fn bulk_around(&mut self, len: usize, at: impl FnOnce(usize)) {
        self.header(b'$', len);
        at(self.buf.len());
        self.buf.extend_from_slice(b"\r\n");
    }

    /// A number as a bulk string, as GET answers for a value kept as an integer.
    #[inline]
    pub fn bulk_int(&mut self, value: i64) {
        self.bulk(itoa::Buffer::new().format(value).as_bytes());
    }

    /// The null of a single value: `$-1` in RESP2, `_` in RESP3.
    #[inline]
    pub fn null(&mut self) {
        self.buf.extend_from_slice(if self.proto == Proto::Resp3 { b"_\r\n" } else { b"$-1\r\n" });
    }

    /// The null of an aggregate: `*-1` in RESP2, `_` in RESP3.
    #[inline]
    pub fn null_array(&mut self) {
        self.buf.extend_from_slice(if self.proto == Proto::Resp3 { b"_\r\n" } else { b"*-1\r\n" });
    }

    /// Opens an array of `len` elements, which the caller writes next.
    #[inline]
    pub fn array(&mut self, len: usize) {
        self.header(b'*', len);
    }

    /// Opens a map of `pairs` pairs: in RESP2 an array of twice as many elements.
    #[inline]
    pub fn map(&mut self, pairs: usize) {
        match self.proto {
            Proto::Resp2 => self.header(b'*', pairs * 2),
            Proto::Resp3 => self.header(b'%', pairs),
        }
    }

    /// Opens a set of `len` elements: in RESP2 an array.
    #[inline]
    pub fn set(&mut self, len: usize) {
        self.header(if self.proto == Proto::Resp3 { b'~' } else { b'*' }, len);
    }

    /// Opens a push message of `len` elements: in RESP2 an array.
    #[inline]
    pub fn push(&mut self, len: usize) {
        self.header(if self.proto == Proto::Resp3 { b'>' } else { b'*' }, len);
    }

    /// A boolean: `:1` and `:0` in RESP2.
    #[inline]
    pub fn bool(&mut self, value: bool) {
        let text: &[u8] = match (self.proto, value) {
            (Proto::Resp2, true) => b":1\r\n",
            (Proto::Resp2, false) => b":0\r\n",
            (Proto::Resp3, true) => b"#t\r\n",
            (Proto::Resp3, false) => b"#f\r\n",
        };
        self.buf.extend_from_slice(text);
    }

    /// Text with a three-letter format (`txt`, `mkd`): in RESP2 a bulk string.
    pub fn verbatim(&mut self, format: &str, text: &[u8]) {
        if self.proto == Proto::Resp2 {
            return self.bulk(text);
        }
        self.header(b'=', text.len() + 4);
        self.buf.extend_from_slice(format.as_bytes());
        self.buf.push(b':');
        self.buf.extend_from_slice(text);
        self.buf.extend_from_slice(b"\r\n");
    }

    /// A double: in RESP2 its text as a bulk string.
    pub fn double(&mut self, value: f64) {
        let start = self.buf.len();
        match self.proto {
            Proto::Resp3 => {
                self.buf.push(b',');
                number::format_f64(value, self.buf);
                self.buf.extend_from_slice(b"\r\n");
            }
            Proto::Resp2 => {
                number::format_f64(value, self.buf);
                let len = self.buf.len() - start;
                self.header(b'$', len);
                self.buf[start..].rotate_left(len);
                self.buf.extend_from_slice(b"\r\n");
            }
        }
    }

    /// An integer of any size, as its decimal `digits` with an optional `-`: in RESP2 a bulk string.
    pub fn big_number(&mut self, digits: &str) {
        match self.proto {
            Proto::Resp2 => self.bulk(digits.as_bytes()),
            Proto::Resp3 => self.line(b'(', digits.as_bytes()),
        }
    }

    /// Opens `pairs` pairs of attributes of the reply that follows them. RESP3 alone has them: panics in RESP2.
    pub fn attribute(&mut self, pairs: usize) {
        assert_eq!(self.proto, Proto::Resp3, "RESP2 has no attributes");
        self.header(b'|', pairs);
    }

    /// Opens an array, map, set or push message whose length is not known yet. End it with the method that closes its
    /// kind; of two that are open, first the one opened last.
    pub fn deferred(&mut self) -> Deferred {
        let at = self.buf.len();
        self.buf.extend_from_slice(&[0; SHORT_HEADER]);
        Deferred(at)
    }

    /// Writes the header of the array opened at `at`, which has turned out to have `len` elements.
    pub fn close_array(&mut self, at: Deferred, len: usize) {
        self.close(at, b'*', len);
    }

    /// As [`Reply::close_array`], for a map of `pairs` pairs.
    pub fn close_map(&mut self, at: Deferred, pairs: usize) {
        match self.proto {
            Proto::Resp2 => self.close(at, b'*', pairs * 2),
            Proto::Resp3 => self.close(at, b'%', pairs),
        }
    }

    /// As [`Reply::close_array`], for a set of `len` elements.
    pub fn close_set(&mut self, at: Deferred, len: usize) {
        self.close(at, if self.proto == Proto::Resp3 { b'~' } else { b'*' }, len);
    }

    /// The gap fits up to nine elements; for more, what was written since then moves once.
    #[allow(clippy::needless_pass_by_value)] // a place is closed once
    fn close(&mut self, at: Deferred, kind: u8, len: usize) {
        let gap = at.0..at.0 + SHORT_HEADER;
        if len <= 9 {
            self.buf[gap].copy_from_slice(&[kind, b'0' + len as u8, b'\r', b'\n']);
        } else {
            let mut digits = itoa::Buffer::new();
            let digits = digits.format(len).bytes();
            self.buf.splice(gap, iter::once(kind).chain(digits).chain(*b"\r\n"));
        }
    }

    #[inline]
    fn header(&mut self, kind: u8, len: usize) {
        match len {
            0..=9 => self.buf.extend_from_slice(&[kind, b'0' + len as u8, b'\r', b'\n']),
            10..=99 => {
                let (tens, ones) = (len / 10, len % 10);
                self.buf.extend_from_slice(&[kind, b'0' + tens as u8, b'0' + ones as u8, b'\r', b'\n']);
            }
            _ => self.number_line(kind, len as u64, false),
        }
    }

    #[inline]
    fn number_line(&mut self, kind: u8, magnitude: u64, negative: bool) {
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(magnitude);
        self.buf.reserve(HEADER_MAX);
        self.buf.push(kind);
        if negative {
            self.buf.push(b'-');
        }
        self.buf.extend_from_slice(digits.as_bytes());
        self.buf.extend_from_slice(b"\r\n");
    }

    #[inline]
    fn line(&mut self, kind: u8, text: &[u8]) {
        self.buf.reserve(text.len() + 3);
        self.buf.push(kind);
        self.buf.extend_from_slice(text);
        self.buf.extend_from_slice(b"\r\n");
    }
}

/// A kind, a sign, 20 digits and a line end.
const HEADER_MAX: usize = 24;

/// The header of an aggregate of at most nine elements.
const SHORT_HEADER: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(write: impl Fn(&mut Reply<'_>), resp2: &str, resp3: &str) {
        for (proto, expected) in [(Proto::Resp2, resp2), (Proto::Resp3, resp3)] {
            let mut out = b"before".to_vec();
            write(&mut Reply::new(&mut out, proto));
            let got = String::from_utf8_lossy(&out);
            assert_eq!(got, format!("before{expected}"), "{proto:?}");
        }
    }

    #[track_caller]
    fn check_both(write: impl Fn(&mut Reply<'_>), expected: &str) {
        check(write, expected, expected);
    }

    #[test]
    fn strings_and_numbers_are_the_same_in_both_versions() {
        check_both(|reply| reply.ok(), "+OK\r\n");
        check_both(|reply| reply.simple("PONG"), "+PONG\r\n");
        check_both(|reply| reply.error("ERR a\r\nb"), "-ERR a  b\r\n");
        check_both(|reply| reply.error("\nERR a\r\n"), "- ERR a\r\n");
        check_both(|reply| reply.error("\r\n"), "-\r\n");
        let mut out = Vec::new();
        Reply::new(&mut out, Proto::Resp2).error(b"ERR \xff");
        assert_eq!(out, b"-ERR \xff\r\n");
        check_both(|reply| reply.bulk(b""), "$0\r\n\r\n");
        check_both(|reply| reply.bulk(b"a\r\nb"), "$4\r\na\r\nb\r\n");
        check_both(|reply| reply.bulk_int(-12), "$3\r\n-12\r\n");
        for value in [0, 7, 10, 99, 100, -1, -100, 1234567, i64::MAX, i64::MIN] {
            check_both(|reply| reply.int(value), &format!(":{value}\r\n"));
        }
        for len in [0, 9, 10, 99, 100, 999, 1000, 12345] {
            let text = "x".repeat(len);
            check_both(|reply| reply.bulk(text.as_bytes()), &format!("${len}\r\n{text}\r\n"));
            check_both(|reply| reply.array(len), &format!("*{len}\r\n"));
        }
    }

    #[test]
    fn types_of_resp3_have_their_form_in_resp2() {
        check(|reply| reply.null(), "$-1\r\n", "_\r\n");
        check(|reply| reply.null_array(), "*-1\r\n", "_\r\n");
        check(|reply| reply.bool(true), ":1\r\n", "#t\r\n");
        check(|reply| reply.bool(false), ":0\r\n", "#f\r\n");
        check(|reply| reply.map(6), "*12\r\n", "%6\r\n");
        check(|reply| reply.set(2), "*2\r\n", "~2\r\n");
        check(|reply| reply.push(3), "*3\r\n", ">3\r\n");
        check(|reply| reply.double(1.5), "$3\r\n1.5\r\n", ",1.5\r\n");
        check(|reply| reply.double(f64::NEG_INFINITY), "$4\r\n-inf\r\n", ",-inf\r\n");
        check(|reply| reply.double(1.0 / 3.0), "$18\r\n0.3333333333333333\r\n", ",0.3333333333333333\r\n");
        check(|reply| reply.big_number("-123"), "$4\r\n-123\r\n", "(-123\r\n");
        check(|reply| reply.verbatim("txt", b"hi"), "$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n");
    }

    #[test]
    fn deferred_headers_are_written_as_if_known_from_the_start() {
        for len in [0, 1, 9, 10, 99, 100, 12345] {
            let write = |reply: &mut Reply<'_>| {
                let at = reply.deferred();
                (0..len).for_each(|_| reply.int(1));
                reply.close_array(at, len);
                reply.ok();
            };
            check_both(write, &format!("*{len}\r\n{}+OK\r\n", ":1\r\n".repeat(len)));
        }
    }

    #[test]
    fn deferred_headers_nest() {
        let write = |reply: &mut Reply<'_>| {
            let outer = reply.deferred();
            let inner = reply.deferred();
            (0..11).for_each(|_| reply.null());
            reply.close_set(inner, 11);
            reply.close_map(outer, 1);
        };
        check(
            write,
            &format!("*2\r\n*11\r\n{}", "$-1\r\n".repeat(11)),
            &format!("%1\r\n~11\r\n{}", "_\r\n".repeat(11)),
        );
    }

    #[test]
    fn reply_is_taken_back() {
        check_both(
            |reply| {
                let start = reply.written().len();
                reply.array(2);
                reply.truncate(start);
                reply.raw(b"-ERR x\r\n");
            },
            "-ERR x\r\n",
        );
    }
}
