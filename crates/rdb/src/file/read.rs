//! A file that is being read, piece by piece as its bytes come.
//!
//! ```text
//!  magic version | aux* | library* | (select-db resize-db? (expiry? idle? freq? type key value)*)* | end sum
//! ```
//! What is between the header and the end is taken in any order, as Redis takes it. A value that is not there whole is
//! built up from what there is; only a single string, or a packed encoding that is one, waits for all of its bytes.

use super::feed::Feed;
use super::items::Items;
use super::{Error, Event};
use crate::error::Error as ValueError;
use crate::length::Input;
use datatypes::Limits;

/// What a reader must know.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Which values become compact.
    pub limits: Limits,
    /// The file's size in bytes, if it is known: then no length that goes beyond it is believed.
    pub size: Option<u64>,
    /// How many databases there are.
    pub databases: u32,
    /// A longer string is an error: what a damaged length can cost, where the size is not known.
    pub string_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { limits: Limits::default(), size: None, databases: 16, string_bytes_max: 4 << 30 }
    }
}

/// Takes the bytes of a file as they come, and gives what they say. It trusts none of them. After an error it gives the
/// same error again.
///
/// ```
/// # use rdb::file::{Event, Options, Reader};
/// # fn load(mut file: impl std::io::Read) -> Result<u64, Box<dyn std::error::Error>> {
/// let mut reader = Reader::new(Options::default());
/// loop {
///     match reader.next()? {
///         Some(Event::Key(key)) => println!("{}", key.key.escape_ascii()),
///         Some(Event::End(end)) => return Ok(end.keys),
///         Some(_) => {}
///         None => match file.read(reader.room(1 << 16))? {
///             0 => reader.ended(),
///             len => reader.filled(len),
///         },
///     }
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Reader {
    options: Options,
    feed: Feed,
    items: Items,
    /// No more bytes will come.
    ended: bool,
    /// Bytes at the beginning of those that are left that were read, and that the last event may borrow.
    read: usize,
    /// Bytes that must be left before it is of use to try again.
    wanted: usize,
    failed: Option<Error>,
}

impl Reader {
    /// At the beginning of a file.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            feed: Feed::new(),
            items: Items::default(),
            ended: false,
            read: 0,
            wanted: 0,
            failed: None,
        }
    }

    /// Room for the bytes that come next, at least `least`: to read into, and then to call [`Reader::filled`].
    pub fn room(&mut self, least: usize) -> &mut [u8] {
        self.take_read();
        self.feed.room(least)
    }

    /// So many bytes were put at the beginning of what [`Reader::room`] gave last.
    pub fn filled(&mut self, len: usize) {
        self.feed.filled(len);
    }

    /// Takes bytes, by copying them.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.room(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        self.filled(bytes.len());
    }

    /// No more bytes will come: what is missing is an error from now on.
    pub fn ended(&mut self) {
        self.ended = true;
    }

    /// The offset in the file of the first byte that was not used yet.
    pub fn offset(&self) -> u64 {
        self.feed.offset() + self.read as u64
    }

    /// The version that the file says it is of; 0 before that is known.
    pub fn version(&self) -> u32 {
        self.items.version()
    }

    /// The bytes that were given and not used: after the end, those behind the file.
    pub fn left(&self) -> &[u8] {
        &self.feed.left()[self.read..]
    }

    /// What comes next; `None` when more bytes are needed, or after the end.
    #[allow(clippy::should_implement_trait, reason = "what it gives borrows from the reader")]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Event<'_>>, Error> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.take_read();
        let left = self.feed.left();
        if (left.len() < self.wanted && !self.ended) || self.items.is_over() {
            return Ok(None);
        }
        let mut input = Input::part(left, self.to_come(), self.options.string_bytes_max);
        let result = self.items.next(&mut input, &self.options, &self.feed);
        self.read = input.at();
        match result {
            Ok(event) => {
                self.wanted = 0;
                Ok(Some(event))
            }
            Err(ValueError::Short { .. }) if !self.ended => {
                self.wanted = input.wanted() - input.at();
                Ok(None)
            }
            Err(error) => {
                let error = self.items.error(error, self.feed.offset());
                self.failed = Some(error);
                Err(error)
            }
        }
    }

    /// How many bytes may come behind those that are there.
    fn to_come(&self) -> u64 {
        let there = self.feed.offset() + self.feed.left().len() as u64;
        match self.options.size {
            _ if self.ended => 0,
            Some(size) => size.saturating_sub(there),
            None => u64::MAX,
        }
    }

    /// Lets go of what the last event could borrow.
    #[inline]
    fn take_read(&mut self) {
        self.feed.used(std::mem::take(&mut self.read));
    }
}
