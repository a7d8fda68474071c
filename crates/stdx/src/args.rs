//! The arguments of one command, as places in the buffer that they arrived in.

/// Where one argument lies in its buffer, in bytes from the start of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Length in bytes.
    pub len: u32,
}

/// A command's arguments; the first is its name. Borrowed, `Copy`, never empty when it reaches a handler.
#[derive(Clone, Copy, Debug)]
pub struct Args<'a> {
    buf: &'a [u8],
    spans: &'a [Span],
}

impl<'a> Args<'a> {
    /// `spans` point into `buf`; the caller (the parser, or whoever copied both) keeps them in bounds.
    #[inline]
    pub fn new(buf: &'a [u8], spans: &'a [Span]) -> Self {
        Self { buf, spans }
    }

    /// How many arguments there are, the command's name included.
    #[inline]
    #[allow(clippy::len_without_is_empty)]
    pub fn len(self) -> usize {
        self.spans.len()
    }

    /// Argument `index`, or `None` past the last.
    #[inline]
    pub fn get(self, index: usize) -> Option<&'a [u8]> {
        self.spans.get(index).map(|span| self.slice(*span))
    }

    /// Argument `index`; panics past the last, so only where arity has been checked.
    #[inline]
    pub fn at(self, index: usize) -> &'a [u8] {
        self.slice(self.spans[index])
    }

    /// The arguments from `index` on (none when past the last).
    #[inline]
    pub fn from(self, index: usize) -> Args<'a> {
        Args { buf: self.buf, spans: &self.spans[index.min(self.spans.len())..] }
    }

    /// The arguments before `index` (all when past the last).
    #[inline]
    pub fn to(self, index: usize) -> Args<'a> {
        Args { buf: self.buf, spans: &self.spans[..index.min(self.spans.len())] }
    }

    /// `len` arguments from `index` on; panics past the last.
    #[inline]
    pub fn part(self, index: usize, len: usize) -> Args<'a> {
        Args { buf: self.buf, spans: &self.spans[index..index + len] }
    }

    /// All arguments in order.
    #[inline]
    pub fn iter(self) -> impl ExactSizeIterator<Item = &'a [u8]> + DoubleEndedIterator + Clone {
        self.spans.iter().map(move |span| self.slice(*span))
    }

    /// The buffer that the spans point into.
    #[inline]
    pub fn buf(self) -> &'a [u8] {
        self.buf
    }

    /// The places of the arguments.
    #[inline]
    pub fn spans(self) -> &'a [Span] {
        self.spans
    }

    /// The bytes of the whole command as it came, if they are in the buffer as RESP has them, as short as can be: an array of these
    /// bulk strings. For commands of up to nine arguments with a name of up to nine bytes.
    #[inline]
    pub fn line(self) -> Option<&'a [u8]> {
        let (first, last) = (self.spans.first()?, self.spans.last()?);
        if self.spans.len() > 9 || first.len > 9 || first.start != 8 {
            return None;
        }
        let (count, len) = (b'0' + self.spans.len() as u8, b'0' + first.len as u8);
        if *self.buf.first_chunk()? != [b'*', count, b'\r', b'\n', b'$', len, b'\r', b'\n'] {
            return None;
        }
        let end = last.start as usize + last.len as usize + 2;
        // Whoever sends commands may put any two bytes where lines end: nobody reads them.
        let mut next = 4;
        for span in self.spans {
            let (start, len) = (span.start as usize, span.len as usize);
            let digits = if span.len < 10 { 1 } else { span.len.ilog10() as usize + 1 };
            let is_plain = start == next + digits + 3
                && self.buf.get(start - 2..start)? == b"\r\n"
                && self.buf.get(start + len..start + len + 2)? == b"\r\n";
            if !is_plain {
                return None;
            }
            next = start + len + 2;
        }
        Some(&self.buf[..end])
    }

    #[inline]
    fn slice(self, span: Span) -> &'a [u8] {
        &self.buf[span.start as usize..span.start as usize + span.len as usize]
    }
}

/// Arguments that own their bytes: for tests, queued commands and commands made by the server itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnedArgs {
    buf: Vec<u8>,
    spans: Vec<Span>,
}

impl OwnedArgs {
    /// Copies `parts`.
    pub fn new<B: AsRef<[u8]>>(parts: &[B]) -> Self {
        let mut owned = Self::default();
        for part in parts {
            owned.push(part.as_ref());
        }
        owned
    }

    /// Appends one argument.
    pub fn push(&mut self, part: &[u8]) {
        self.spans.push(Span { start: self.buf.len() as u32, len: part.len() as u32 });
        self.buf.extend_from_slice(part);
    }

    /// Borrows them as a handler sees them.
    pub fn as_args(&self) -> Args<'_> {
        Args::new(&self.buf, &self.spans)
    }
}

impl From<Args<'_>> for OwnedArgs {
    fn from(args: Args<'_>) -> Self {
        let mut owned = Self::default();
        for part in args.iter() {
            owned.push(part);
        }
        owned
    }
}
