//! What stands between a file's header and its end, from Redis's words into Valkey's, as it comes.
//!
//! ```text
//!  24 key first count (ahead field value)*     ──►  22 key count (field value expiry)*
//!  25 key first listpack(field value expiry)*  ──►  22 key count (field value expiry)*
//!  all else                                    ──►  as it is
//! ```
//!
//! Only what [`super::Writer`] writes is known. It is read part by part, by the table in [`parts_of`], and no more of it is
//! kept than a listpack; a value is never put together.

use crate::error::Error as ValueError;
use crate::kinds;
use crate::length::{Head, Input, Packer, write_int_string, write_len, write_string};
use crate::opcode;
use datatypes::Element;
use datatypes::listpack::Listpack;

/// Translates what comes in pieces.
#[derive(Debug, Default)]
pub(super) struct Translator {
    /// Bytes that have come, and are less than a part.
    held: Vec<u8>,
    /// What is under way, the innermost last. Empty where a type or an opcode may stand.
    stack: Vec<Repeat>,
    /// Bytes of a string that are copied as they come.
    text_left: usize,
    /// What expiries of fields count from.
    first: i64,
    /// When the field under way expires.
    expiry: Option<i64>,
    /// Strings are compressed by nobody here.
    packer: Packer,
}

/// Parts that come `times` times more, the round under way included.
#[derive(Debug)]
struct Repeat {
    parts: &'static [Part],
    /// Which of them is next.
    next: usize,
    times: u64,
}

/// What types and opcodes are followed by.
#[derive(Clone, Copy, Debug)]
enum Part {
    Text,
    Len,
    /// So many.
    Bytes(usize),
    /// A count, and these so many times.
    Each(&'static [Part]),
    /// The first expiry, which is left out.
    First,
    /// A field's expiry, counted from the first: kept for [`Part::Expiry`].
    Ahead,
    /// Nothing. Its expiry is written.
    Expiry,
    /// The first expiry and a listpack of triplets: written as fields.
    Triplets,
}

/// What this type or opcode is followed by, its key included. `None`: it is written by nobody here.
fn parts_of(code: u8) -> Option<&'static [Part]> {
    use Part::{Ahead, Bytes, Each, Expiry, First, Len, Text, Triplets};
    const ID: Part = Bytes(16);
    const TIME: Part = Bytes(8);
    const BLOCKS: Part = Each(&[Text, Text]);
    const PENDING: Part = Each(&[ID, TIME, Len]);
    const OWNED: Part = Each(&[ID]);
    const GROUPS_2: Part = Each(&[Text, Len, Len, Len, PENDING, Each(&[Text, TIME, OWNED])]);
    const GROUPS_3: Part = Each(&[Text, Len, Len, Len, PENDING, Each(&[Text, TIME, TIME, OWNED])]);
    Some(match code {
        opcode::AUX => &[Text, Text],
        opcode::FUNCTION2 => &[Text],
        opcode::SELECT_DB | opcode::IDLE => &[Len],
        opcode::RESIZE_DB => &[Len, Len],
        opcode::EXPIRY_MS => &[TIME],
        opcode::FREQ => &[Bytes(1)],
        kinds::STRING
        | kinds::SET_INTSET
        | kinds::SET_LISTPACK
        | kinds::ZSET_LISTPACK
        | kinds::HASH_LISTPACK => &[Text, Text],
        kinds::LIST_QUICKLIST_2 => &[Text, Each(&[Len, Text])],
        kinds::SET => &[Text, Each(&[Text])],
        kinds::ZSET_2 => &[Text, Each(&[Text, Bytes(8)])],
        kinds::HASH => &[Text, Each(&[Text, Text])],
        kinds::HASH_METADATA => &[Text, First, Each(&[Ahead, Text, Text, Expiry])],
        kinds::HASH_LISTPACK_EX => &[Text, Triplets],
        // Entries, three ids, entries added.
        kinds::STREAM_2 => &[Text, BLOCKS, Len, Len, Len, Len, Len, Len, Len, Len, GROUPS_2],
        kinds::STREAM_3 => &[Text, BLOCKS, Len, Len, Len, Len, Len, Len, Len, Len, GROUPS_3],
        _ => return None,
    })
}

impl Translator {
    /// Takes more bytes, and appends what they are in Valkey's words. Errors: they are not what is written here; nothing may be fed
    /// after one.
    pub(super) fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(bytes);
        let mut input = Input::part(&held, u64::MAX, usize::MAX);
        let read = loop {
            let mark = input.at();
            match self.step(&held, &mut input, out) {
                Ok(()) => {}
                Err(ValueError::Short { .. }) => break mark,
                Err(error) => return Err(error),
            }
        };
        held.drain(..read);
        self.held = held;
        Ok(())
    }

    /// Whether nothing is under way: the end may come.
    pub(super) fn is_between(&self) -> bool {
        self.held.is_empty() && self.stack.is_empty()
    }

    /// Translates a part, or some of a string. Errors: `Short` when it is not there whole; then nothing was done.
    fn step(&mut self, held: &[u8], input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), ValueError> {
        let mark = input.at();
        let Some(top) = self.stack.last() else { return self.begin(input, out) };
        match top.parts[top.next] {
            Part::Text if self.text_left > 0 => {
                let piece = input.take_some(self.text_left)?;
                out.extend_from_slice(piece);
                self.text_left -= piece.len();
            }
            Part::Text => {
                self.text_left = match input.head()? {
                    Head::Bytes(len) | Head::Packed { packed: len, .. } => len,
                    Head::Int(_) => 0,
                };
                out.extend_from_slice(&held[mark..input.at()]);
            }
            Part::Len => {
                input.len()?;
                out.extend_from_slice(&held[mark..input.at()]);
            }
            Part::Bytes(len) => out.extend_from_slice(input.take(len)?),
            Part::Each(parts) => {
                let times = input.len()?;
                out.extend_from_slice(&held[mark..input.at()]);
                if times > 0 {
                    self.stack.push(Repeat { parts, next: 0, times });
                    return Ok(());
                }
            }
            Part::First => self.first = input.millis()?,
            Part::Ahead => {
                // Counted from 1, for 0 is none.
                self.expiry = match input.len()?.checked_sub(1) {
                    None => None,
                    Some(ahead) => {
                        let at = i64::try_from(ahead).ok().and_then(|ahead| self.first.checked_add(ahead));
                        Some(input.good(at, EXPIRY)?)
                    }
                };
            }
            Part::Expiry => write_expiry(out, self.expiry.take()),
            Part::Triplets => self.triplets(input, out)?,
        }
        if self.text_left == 0 {
            self.advance();
        }
        Ok(())
    }

    /// Translates a type or an opcode.
    fn begin(&mut self, input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), ValueError> {
        let code = input.byte()?;
        let parts = parts_of(code).ok_or(ValueError::Kind { kind: code })?;
        out.push(match code {
            kinds::HASH_METADATA | kinds::HASH_LISTPACK_EX => kinds::HASH_2,
            _ => code,
        });
        self.stack.push(Repeat { parts, next: 0, times: 1 });
        Ok(())
    }

    /// A part is done, and with it all that ends with it.
    fn advance(&mut self) {
        while let Some(top) = self.stack.last_mut() {
            top.next += 1;
            if top.next < top.parts.len() {
                return;
            }
            (top.next, top.times) = (0, top.times - 1);
            if top.times > 0 {
                return;
            }
            self.stack.pop();
        }
    }

    fn triplets(&mut self, input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), ValueError> {
        input.millis()?;
        let bytes = input.string()?;
        let listpack = input.good(Listpack::check(&bytes).ok(), "listpack")?;
        let elements: Vec<Element<'_>> = listpack.iter().collect();
        write_len(out, (elements.len() / 3) as u64);
        let (triplets, rest) = elements.as_chunks();
        input.good(rest.is_empty().then_some(()), "hash with expiries")?;
        for [name, value, expiry] in triplets {
            let Element::Int(at @ 0..) = *expiry else { return Err(input.bad(EXPIRY)) };
            self.string(*name, out);
            self.string(*value, out);
            write_expiry(out, (at != 0).then_some(at));
        }
        Ok(())
    }

    fn string(&mut self, element: Element<'_>, out: &mut Vec<u8>) {
        match element {
            Element::Int(int) => write_int_string(out, int),
            Element::Bytes(bytes) => write_string(out, bytes, &mut self.packer),
        }
    }
}

fn write_expiry(out: &mut Vec<u8>, at: Option<i64>) {
    out.extend_from_slice(&at.unwrap_or(NEVER).to_le_bytes());
}

/// The expiry of a field that has none.
const NEVER: i64 = -1;
/// What is wrong with a time that is none.
const EXPIRY: &str = "expiry of a field";
