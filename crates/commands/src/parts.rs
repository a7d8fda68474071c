//! The parts of a global command's reply, as home reads them back.
//!
//! A core writes its part with [`resp::Reply`] as integers, bulk strings and arrays only; home, which is the same
//! program, knows their order. A part that is not as expected is our own bug, hence the panics.

/// Reads one part from its start.
#[derive(Debug)]
pub(crate) struct Part<'a> {
    rest: &'a [u8],
}

impl<'a> Part<'a> {
    pub(crate) fn new(part: &'a [u8]) -> Self {
        Self { rest: part }
    }

    /// Whether all was read.
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next integer.
    pub(crate) fn int(&mut self) -> i64 {
        self.number(b':')
    }

    /// The next integer, of a counter.
    pub(crate) fn count(&mut self) -> u64 {
        self.int() as u64
    }

    /// The next array's length.
    pub(crate) fn array(&mut self) -> usize {
        self.number(b'*') as usize
    }

    /// The next bulk string.
    pub(crate) fn bulk(&mut self) -> &'a [u8] {
        let len = self.number(b'$') as usize;
        let (bytes, rest) = self.rest.split_at(len);
        self.rest = &rest[2..];
        bytes
    }

    /// The next bulk string, which is text.
    pub(crate) fn text(&mut self) -> &'a str {
        std::str::from_utf8(self.bulk()).expect("a core wrote text")
    }

    fn number(&mut self, kind: u8) -> i64 {
        assert_eq!(self.rest.first(), Some(&kind), "a part is read in the order that it was written");
        let end = self.rest.iter().position(|byte| *byte == b'\r').expect("a line ends");
        let digits = std::str::from_utf8(&self.rest[1..end]).expect("digits are text");
        self.rest = &self.rest[end + 2..];
        digits.parse().expect("a number follows")
    }
}
