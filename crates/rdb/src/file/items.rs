//! What stands in a file, one thing after the other: the state between them.

use super::feed::Feed;
use super::module::{ModuleName, skip};
use super::read::Options;
use super::{End, Error, Event, Key, Loaded, Problem, Sum};
use crate::build::Build;
use crate::error::Error as ValueError;
use crate::kinds::{self, Family};
use crate::length::{Input, Text};
use crate::opcode;
use datatypes::Value;
use std::borrow::Cow;
use stdx::{DbIndex, UnixMs};

/// How far reading has come.
#[derive(Debug, Default)]
pub(super) struct Items {
    state: State,
    version: u32,
    family: Family,
    db: DbIndex,
    keys: u64,
    /// What was told of the key to come.
    about: About,
    /// What an error of the bytes' format is in truth.
    problem: Option<Problem>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Header,
    /// Anything may come.
    Item,
    /// More of the value of this key.
    Value(Vec<u8>, Build),
    /// More of what a module wrote.
    ModuleAux(ModuleName),
    Over,
}

#[derive(Clone, Copy, Debug, Default)]
struct About {
    expiry: Option<UnixMs>,
    idle_s: Option<u64>,
    freq: Option<u8>,
}

impl Items {
    pub(super) fn version(&self) -> u32 {
        self.version
    }

    #[inline]
    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Reads up to the next event. Errors: `Short` when the bytes end before it: `input` is where to go on, and all
    /// before that was used.
    #[inline]
    pub(super) fn next<'a>(
        &mut self,
        input: &mut Input<'a>,
        options: &Options,
        feed: &Feed,
    ) -> Result<Event<'a>, ValueError> {
        loop {
            let mark = input.at();
            let event = match &mut self.state {
                State::Item => self.item(input, options, feed),
                State::Value(key, build) => {
                    // It puts the input back itself.
                    let value = match build.run(input, &options.limits) {
                        Err(ValueError::Empty { .. }) => None,
                        value => Some(value?),
                    };
                    let key = Cow::Owned(std::mem::take(key));
                    self.state = State::Item;
                    return Ok(match value {
                        Some(value) => self.key(key, loaded(value)),
                        None => self.empty(key),
                    });
                }
                State::Header => self.header(input).map(|()| None),
                State::ModuleAux(name) => {
                    let name = *name;
                    skip(input).map(|last| {
                        if last {
                            self.state = State::Item;
                        }
                        last.then_some(Event::ModuleAux(name))
                    })
                }
                State::Over => unreachable!("nothing comes after the end"),
            };
            match event {
                Ok(Some(event)) => return Ok(event),
                Ok(None) => {}
                Err(error) => {
                    if matches!(error, ValueError::Short { .. }) {
                        input.rewind(mark);
                    }
                    return Err(error);
                }
            }
        }
    }

    fn header(&mut self, input: &mut Input<'_>) -> Result<(), ValueError> {
        let got: [u8; 9] = input.array()?;
        let number = |magic: &[u8]| {
            let digits = got.strip_prefix(magic).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
            Some(digits.iter().fold(0, |number, digit| 10 * number + u32::from(digit - b'0')))
        };
        let (family, version) = match (number(b"REDIS"), number(b"VALKEY")) {
            (Some(version), _) => (Family::Redis, version),
            (_, Some(version)) => (Family::Valkey, version),
            (None, None) => return Err(self.refuse(Problem::NotRdb { got }, input)),
        };
        if Family::of(version) != Some(family) {
            let problem = match family {
                Family::Redis => Problem::Version { version },
                Family::Valkey => Problem::Valkey { version },
            };
            return Err(self.refuse(problem, input));
        }
        (self.version, self.family) = (version, family);
        self.state = State::Item;
        Ok(())
    }

    /// Reads a key with its value, or something else. `None` for what is no event by itself.
    #[inline]
    fn item<'a>(
        &mut self,
        input: &mut Input<'a>,
        options: &Options,
        feed: &Feed,
    ) -> Result<Option<Event<'a>>, ValueError> {
        match input.byte()? {
            kinds::STRING => {
                let key = input.text()?;
                let start = input.at();
                match input.text() {
                    Ok(text) => Ok(Some(self.key(key.into_cow(), text.into()))),
                    Err(ValueError::Short { .. }) => {
                        input.rewind(start);
                        self.state = State::Value(
                            key.into_cow().into_owned(),
                            Build::new(kinds::STRING, self.family)?,
                        );
                        Ok(None)
                    }
                    Err(error) => Err(error),
                }
            }
            kind if kinds::is_value(kind, self.family) => {
                let (key, mut build) = (input.text()?, Build::new(kind, self.family)?);
                match build.run(input, &options.limits) {
                    Ok(value) => Ok(Some(self.key(key.into_cow(), loaded(value)))),
                    Err(ValueError::Short { .. }) => {
                        self.state = State::Value(key.into_cow().into_owned(), build);
                        Ok(None)
                    }
                    Err(ValueError::Empty { .. }) => Ok(Some(self.empty(key.into_cow()))),
                    Err(error) => Err(error),
                }
            }
            opcode::EXPIRY_MS => {
                self.about.expiry = Some(UnixMs(input.millis()?));
                Ok(None)
            }
            opcode::IDLE => {
                self.about.idle_s = Some(input.len()?);
                Ok(None)
            }
            opcode::FREQ => {
                self.about.freq = Some(input.byte()?);
                Ok(None)
            }
            opcode => self.other(opcode, input, options, feed),
        }
    }

    fn other<'a>(
        &mut self,
        opcode: u8,
        input: &mut Input<'a>,
        options: &Options,
        feed: &Feed,
    ) -> Result<Option<Event<'a>>, ValueError> {
        Ok(Some(match opcode {
            opcode::EXPIRY_S => {
                let seconds = i32::from_le_bytes(input.array()?);
                self.about.expiry = Some(UnixMs(1000 * i64::from(seconds)));
                return Ok(None);
            }
            opcode::SELECT_DB => {
                let db = input.len()?;
                let databases = options.databases;
                let index = u16::try_from(db).ok().filter(|_| db < u64::from(databases));
                let Some(index) = index else {
                    return Err(self.refuse(Problem::Database { db, databases }, input));
                };
                self.db = DbIndex(index);
                Event::SelectDb(self.db)
            }
            opcode::RESIZE_DB => Event::ResizeDb { keys: input.len()?, expiring: input.len()? },
            opcode::SLOT_INFO => {
                let _hints = (input.len()?, input.len()?, input.len()?);
                return Ok(None);
            }
            opcode::AUX => Event::Aux { name: input.string()?, value: input.string()? },
            opcode::FUNCTION2 => Event::Library(input.string()?),
            opcode::FUNCTION_BEFORE_RELEASE => {
                return Err(self.refuse(Problem::FunctionBeforeRelease, input));
            }
            opcode::MODULE_AUX => {
                self.state = State::ModuleAux(ModuleName::of(input.len()?));
                // When in the file the module wants it is written as one of its numbers.
                return Ok(None);
            }
            opcode::END => Event::End(self.end(input, feed)?),
            kinds::MODULE | kinds::MODULE_2 => {
                input.text()?;
                let module = ModuleName::of(input.len()?);
                return Err(self.refuse(Problem::Module { module }, input));
            }
            got => return Err(self.refuse(Problem::Kind { got }, input)),
        }))
    }

    fn end(&mut self, input: &mut Input<'_>, feed: &Feed) -> Result<End, ValueError> {
        let sum = if self.version < SUM_SINCE {
            Sum::None
        } else {
            let want = feed.sum_with(input.at());
            let got = u64::from_le_bytes(input.array()?);
            match got {
                _ if got == want => Sum::Verified(got),
                0 => Sum::Zero,
                _ => return Err(self.refuse(Problem::Checksum { got, want }, input)),
            }
        };
        self.state = State::Over;
        Ok(End { sum, bytes: feed.offset() + input.at() as u64, keys: self.keys })
    }

    #[inline]
    fn key<'a>(&mut self, key: Cow<'a, [u8]>, value: Loaded<'a>) -> Event<'a> {
        self.keys += 1;
        let About { expiry, idle_s, freq } = std::mem::take(&mut self.about);
        Event::Key(Key { db: self.db, key, expiry, idle_s, freq, value })
    }

    /// A key of nothing: what was told of it goes with it.
    #[cold]
    fn empty<'a>(&mut self, key: Cow<'a, [u8]>) -> Event<'a> {
        self.about = About::default();
        Event::Empty { db: self.db, key }
    }

    /// What to fail with for a reason that values do not know.
    #[cold]
    fn refuse(&mut self, problem: Problem, input: &Input<'_>) -> ValueError {
        self.problem = Some(problem);
        input.bad("file")
    }

    /// The error that `error` is; `base` is the offset of the input's first byte.
    #[cold]
    pub(super) fn error(&self, error: ValueError, base: u64) -> Error {
        let (at, problem) = match error {
            ValueError::Short { at } => (at, Problem::Truncated { expected: self.expected() }),
            ValueError::Bad { what, at } => (at, self.problem.unwrap_or(Problem::Bad { expected: what })),
            other => unreachable!("reading a file does not say {other}"),
        };
        Error { at: base + at as u64, problem }
    }

    fn expected(&self) -> &'static str {
        match self.state {
            State::Header => "\"REDIS\" and a version of four digits, or \"VALKEY\" and three",
            State::Item | State::Over => "a key with its value, or the end with its checksum",
            State::Value(..) => "more of a key's value",
            State::ModuleAux(_) => "more of what a module wrote",
        }
    }
}

impl<'a> From<Text<'a>> for Loaded<'a> {
    #[inline]
    fn from(text: Text<'a>) -> Self {
        match text {
            Text::Int(int) => Self::Int(int),
            Text::Bytes(bytes) => Self::String(Cow::Borrowed(bytes)),
            Text::Unpacked(bytes) => Self::String(Cow::Owned(bytes)),
        }
    }
}

fn loaded<'a>(value: Value) -> Loaded<'a> {
    match value {
        Value::String(bytes) => Loaded::String(Cow::Owned(bytes)),
        Value::Object(object) => Loaded::Object(object),
    }
}

/// Versions from this on end with a checksum.
const SUM_SINCE: u32 = 5;
