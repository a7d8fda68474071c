//! The client's side: reading replies of any RESP2 or RESP3 type, and writing commands. For tests, the load generator
//! and links to other servers; it owns every byte it reads, so it is not for a server's hot path.
//!
//! Streamed strings and aggregates (`$?`, `*?`), which no Redis sends, are refused.

use memchr::memchr;
use stdx::number;

/// One reply.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `+`: a line of text.
    Simple(Vec<u8>),
    /// `-`: an error, its code first.
    Error(Vec<u8>),
    /// `!`: an error of any bytes.
    BulkError(Vec<u8>),
    /// `:`
    Int(i64),
    /// `$`: any bytes.
    Bulk(Vec<u8>),
    /// `_`: RESP3's null.
    Null,
    /// `$-1`: RESP2's null.
    NullBulk,
    /// `*-1`: RESP2's null of aggregates.
    NullArray,
    /// `#`
    Bool(bool),
    /// `,`
    Double(f64),
    /// `(`: decimal digits, a `-` before them if negative.
    BigNumber(String),
    /// `=`: a format of three letters and text.
    Verbatim([u8; 3], Vec<u8>),
    /// `*`
    Array(Vec<Value>),
    /// `%`, in the order of arrival.
    Map(Vec<(Value, Value)>),
    /// `~`, in the order of arrival.
    Set(Vec<Value>),
    /// `>`: a message that answers no command.
    Push(Vec<Value>),
    /// `|`: attributes, and the value that they belong to.
    Attribute(Vec<(Value, Value)>, Box<Value>),
}

/// What came is no reply. The connection cannot be read any further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A line starts with a byte that announces no type.
    #[error("unknown type {:?}", char::from(*.0))]
    UnknownType(u8),
    /// A line does not hold what its type asks for.
    #[error("bad line for its type: {:?}", String::from_utf8_lossy(.0))]
    BadLine(Vec<u8>),
    /// A line or string does not end in CR LF where it should.
    #[error("a line end is missing")]
    NoLineEnd,
    /// A line, a string or a count is past [`Bounds`].
    #[error("{what} of {got} is past the bound, {max}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size.
        got: u64,
        /// The bound.
        max: usize,
    },
    /// Aggregates are nested deeper than [`Bounds`] has it.
    #[error("nested deeper than {0}")]
    TooDeep(usize),
}

/// How much a peer may ask to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of a string at most.
    pub bulk_len_max: usize,
    /// Elements of an aggregate at most; a map has two per pair.
    pub elements_max: usize,
    /// Aggregates inside each other at most.
    pub depth_max: usize,
    /// Bytes of a line at most.
    pub line_max: usize,
}

impl Default for Bounds {
    /// 512 MiB strings, 2^31 - 1 elements, a depth of 64, lines of 1 MiB.
    fn default() -> Self {
        Self { bulk_len_max: 512 << 20, elements_max: i32::MAX as usize, depth_max: 64, line_max: 1 << 20 }
    }
}

/// Reads a stream of replies that arrives in pieces.
#[derive(Debug, Default)]
pub struct Decoder {
    bounds: Bounds,
    buf: Vec<u8>,
    /// Bytes of `buf` that have been read.
    at: usize,
    /// Aggregates begun and not ended, the outermost first.
    open: Vec<Open>,
}

#[derive(Debug)]
struct Open {
    kind: Kind,
    missing: usize,
    elements: Vec<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Array,
    Map,
    Set,
    Push,
    Attribute,
}

/// What one line begins.
enum Item {
    Value(Value),
    Open(Kind, usize),
}

impl Decoder {
    /// A decoder at the start of a reply.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, ..Self::default() }
    }

    /// Appends bytes that have arrived.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.at == self.buf.len() {
            self.buf.clear();
            self.at = 0;
        } else if self.at > COMPACT_MIN && self.at > self.buf.len() / 2 {
            self.buf.drain(..self.at);
            self.at = 0;
        }
        self.buf.extend_from_slice(bytes);
    }

    /// The next whole reply; `None` until more bytes are fed. After an error, what was fed is of no use.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Value>, DecodeError> {
        while let Some((item, next)) = item(&self.buf, self.at, &self.bounds)? {
            self.at = next;
            let whole = match item {
                Item::Value(value) => self.place(value),
                Item::Open(kind, missing) => self.open(kind, missing)?,
            };
            if whole.is_some() {
                return Ok(whole);
            }
        }
        Ok(None)
    }

    /// Whether all that was fed has been read, up to the end of a reply.
    pub fn is_empty(&self) -> bool {
        self.at == self.buf.len() && self.open.is_empty()
    }

    /// Bytes that were fed and not read. Between two replies these belong to what follows: a stream that changes to
    /// another protocol goes on with them.
    pub fn rest(&self) -> &[u8] {
        &self.buf[self.at..]
    }

    fn open(&mut self, kind: Kind, missing: usize) -> Result<Option<Value>, DecodeError> {
        if missing == 0 {
            return Ok(self.place(close(kind, Vec::new())));
        }
        if self.open.len() == self.bounds.depth_max {
            return Err(DecodeError::TooDeep(self.bounds.depth_max));
        }
        let elements = Vec::with_capacity(missing.min(RESERVE_MAX));
        self.open.push(Open { kind, missing, elements });
        Ok(None)
    }

    /// Puts `value` into the innermost open aggregate, and what that completes into the next; gives back what belongs
    /// into none.
    fn place(&mut self, mut value: Value) -> Option<Value> {
        while let Some(innermost) = self.open.last_mut() {
            innermost.elements.push(value);
            innermost.missing -= 1;
            if innermost.missing > 0 {
                return None;
            }
            let Open { kind, elements, .. } = self.open.pop()?;
            value = close(kind, elements);
        }
        Some(value)
    }
}

fn close(kind: Kind, mut elements: Vec<Value>) -> Value {
    match kind {
        Kind::Array => Value::Array(elements),
        Kind::Set => Value::Set(elements),
        Kind::Push => Value::Push(elements),
        Kind::Map => Value::Map(pairs(elements)),
        Kind::Attribute => {
            let value = elements.pop().expect("attributes end with the value that they belong to");
            Value::Attribute(pairs(elements), Box::new(value))
        }
    }
}

fn pairs(elements: Vec<Value>) -> Vec<(Value, Value)> {
    let mut elements = elements.into_iter();
    std::iter::from_fn(|| elements.next().zip(elements.next())).collect()
}

/// Reads one line at `at`, and the bytes of the string that it announces. `None` if they are not all there.
fn item(buf: &[u8], at: usize, bounds: &Bounds) -> Result<Option<(Item, usize)>, DecodeError> {
    let rest = &buf[at..];
    let Some(end) = memchr(b'\n', rest) else {
        check_bound("a line", rest.len() as u64, bounds.line_max)?;
        return Ok(None);
    };
    check_bound("a line", end as u64, bounds.line_max)?;
    let line = rest[..end].strip_suffix(b"\r").ok_or(DecodeError::NoLineEnd)?;
    let (&kind, text) = line.split_first().ok_or(DecodeError::NoLineEnd)?;
    let start = at + end + 1;
    let bad = || DecodeError::BadLine(line.to_vec());
    if let b'$' | b'!' | b'=' = kind {
        return match (kind, text) {
            (b'$', b"-1") => Ok(Some((Item::Value(Value::NullBulk), start))),
            _ => {
                let len = number::parse_u64(text).ok_or_else(bad)?;
                let len = check_bound("a string", len, bounds.bulk_len_max)?;
                string(buf, kind, start, len)
            }
        };
    }
    let count = |per: usize| {
        let count = number::parse_u64(text).ok_or_else(bad)?;
        check_bound("an aggregate", count.saturating_mul(per as u64), bounds.elements_max)
    };
    let item = match kind {
        b'*' if text == b"-1" => Item::Value(Value::NullArray),
        b'*' => Item::Open(Kind::Array, count(1)?),
        b'%' => Item::Open(Kind::Map, count(2)?),
        b'~' => Item::Open(Kind::Set, count(1)?),
        b'>' => Item::Open(Kind::Push, count(1)?),
        b'|' => Item::Open(Kind::Attribute, count(2)? + 1),
        _ => Item::Value(scalar(kind, text)?.ok_or_else(bad)?),
    };
    Ok(Some((item, start)))
}

fn scalar(kind: u8, text: &[u8]) -> Result<Option<Value>, DecodeError> {
    Ok(match kind {
        b'+' => Some(Value::Simple(text.to_vec())),
        b'-' => Some(Value::Error(text.to_vec())),
        b':' => number::parse_i64(text).map(Value::Int),
        b'_' => text.is_empty().then_some(Value::Null),
        b'#' => match text {
            b"t" => Some(Value::Bool(true)),
            b"f" => Some(Value::Bool(false)),
            _ => None,
        },
        b',' => match text {
            b"nan" => Some(Value::Double(f64::NAN)),
            _ => number::parse_f64(text).map(Value::Double),
        },
        b'(' => big_number(text).map(Value::BigNumber),
        other => return Err(DecodeError::UnknownType(other)),
    })
}

fn big_number(text: &[u8]) -> Option<String> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let valid = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    valid.then(|| String::from_utf8_lossy(text).into_owned())
}

fn string(buf: &[u8], kind: u8, start: usize, len: usize) -> Result<Option<(Item, usize)>, DecodeError> {
    let next = start + len + 2;
    let Some(bytes) = buf.get(start..next) else { return Ok(None) };
    let bytes = bytes.strip_suffix(b"\r\n").ok_or(DecodeError::NoLineEnd)?;
    let value = match (kind, bytes) {
        (b'$', _) => Value::Bulk(bytes.to_vec()),
        (b'!', _) => Value::BulkError(bytes.to_vec()),
        (_, &[a, b, c, b':', ref text @ ..]) => Value::Verbatim([a, b, c], text.to_vec()),
        _ => return Err(DecodeError::BadLine(bytes.to_vec())),
    };
    Ok(Some((Item::Value(value), next)))
}

fn check_bound(what: &'static str, got: u64, max: usize) -> Result<usize, DecodeError> {
    match usize::try_from(got) {
        Ok(size) if size <= max => Ok(size),
        _ => Err(DecodeError::TooLarge { what, got, max }),
    }
}

impl Value {
    /// Appends this value as it goes over the wire.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Simple(text) => put_line(out, b'+', text),
            Self::Error(text) => put_line(out, b'-', text),
            Self::BulkError(text) => put_string(out, b'!', &[text]),
            Self::Int(value) => put_line(out, b':', itoa::Buffer::new().format(*value).as_bytes()),
            Self::Bulk(bytes) => put_string(out, b'$', &[bytes]),
            Self::Null => out.extend_from_slice(b"_\r\n"),
            Self::NullBulk => out.extend_from_slice(b"$-1\r\n"),
            Self::NullArray => out.extend_from_slice(b"*-1\r\n"),
            Self::Bool(value) => out.extend_from_slice(if *value { b"#t\r\n" } else { b"#f\r\n" }),
            Self::Double(value) => {
                out.push(b',');
                number::format_f64(*value, out);
                out.extend_from_slice(b"\r\n");
            }
            Self::BigNumber(digits) => put_line(out, b'(', digits.as_bytes()),
            Self::Verbatim(format, text) => put_string(out, b'=', &[format, b":", text]),
            Self::Array(elements) => put_elements(out, b'*', elements),
            Self::Set(elements) => put_elements(out, b'~', elements),
            Self::Push(elements) => put_elements(out, b'>', elements),
            Self::Map(pairs) => put_pairs(out, b'%', pairs),
            Self::Attribute(pairs, value) => {
                put_pairs(out, b'|', pairs);
                value.encode(out);
            }
        }
    }

    /// The bytes of a string of any type, errors included.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Simple(bytes) | Self::Error(bytes) | Self::BulkError(bytes) | Self::Bulk(bytes) => {
                Some(bytes)
            }
            Self::Verbatim(_, text) => Some(text),
            _ => None,
        }
    }

    /// Whether this is a null of any kind.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null | Self::NullBulk | Self::NullArray)
    }

    /// Whether this is an error of either kind.
    pub fn is_error(&self) -> bool {
        matches!(self, Self::Error(_) | Self::BulkError(_))
    }
}

/// Appends a command as clients send it.
pub fn encode_command<B: AsRef<[u8]>>(args: &[B], out: &mut Vec<u8>) {
    put_count(out, b'*', args.len());
    for arg in args {
        put_string(out, b'$', &[arg.as_ref()]);
    }
}

fn put_elements(out: &mut Vec<u8>, kind: u8, elements: &[Value]) {
    put_count(out, kind, elements.len());
    for element in elements {
        element.encode(out);
    }
}

fn put_pairs(out: &mut Vec<u8>, kind: u8, pairs: &[(Value, Value)]) {
    put_count(out, kind, pairs.len());
    for (key, value) in pairs {
        key.encode(out);
        value.encode(out);
    }
}

fn put_string(out: &mut Vec<u8>, kind: u8, parts: &[&[u8]]) {
    put_count(out, kind, parts.iter().map(|part| part.len()).sum());
    for part in parts {
        out.extend_from_slice(part);
    }
    out.extend_from_slice(b"\r\n");
}

fn put_count(out: &mut Vec<u8>, kind: u8, count: usize) {
    put_line(out, kind, itoa::Buffer::new().format(count).as_bytes());
}

fn put_line(out: &mut Vec<u8>, kind: u8, text: &[u8]) {
    out.push(kind);
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

/// Room made at most for an aggregate that has been announced: its elements have yet to come.
const RESERVE_MAX: usize = 1024;

/// Read bytes are not moved out before there are so many of them.
const COMPACT_MIN: usize = 64 << 10;

#[cfg(test)]
mod tests;
