//! Writing replies: one method per RESP type, each in the form that the client's protocol version has for it.

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

    /// An error; `text` starts with its code (`ERR ...`, `WRONGTYPE ...`). CR and LF inside become spaces.
    #[cold]
    pub fn error(&mut self, text: &str) {
        self.buf.push(b'-');
        self.buf.extend(text.bytes().map(|byte| if byte == b'\r' || byte == b'\n' { b' ' } else { byte }));
        self.buf.extend_from_slice(b"\r\n");
    }

    /// An integer.
    #[inline]
    pub fn int(&mut self, value: i64) {
        self.line(b':', itoa::Buffer::new().format(value).as_bytes());
    }

    /// A bulk string.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.header(b'$', bytes.len());
        self.buf.extend_from_slice(bytes);
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

    /// Opens an array whose length is not known yet; end it with [`Reply::close_array`].
    pub fn deferred(&mut self) -> Deferred {
        Deferred(self.buf.len())
    }

    /// Writes the header of the array opened at `at`, which has turned out to have `len` elements.
    pub fn close_array(&mut self, at: Deferred, len: usize) {
        let mut header = itoa::Buffer::new();
        let header = header.format(len).as_bytes();
        let bytes = [b"*", header, b"\r\n"].concat();
        self.buf.splice(at.0..at.0, bytes);
    }

    #[inline]
    fn header(&mut self, kind: u8, len: usize) {
        self.line(kind, itoa::Buffer::new().format(len).as_bytes());
    }

    #[inline]
    fn line(&mut self, kind: u8, text: &[u8]) {
        self.buf.push(kind);
        self.buf.extend_from_slice(text);
        self.buf.extend_from_slice(b"\r\n");
    }
}
