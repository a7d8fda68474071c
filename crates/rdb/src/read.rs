//! Bytes into values.

use crate::build::Build;
use crate::error::Error;
use crate::kinds::Family;
use crate::length::Input;
use datatypes::{Limits, Value};
use std::borrow::Cow;

/// Takes values from a buffer, front to back. It trusts nothing in it; after an error it is not to be used any more.
#[derive(Debug)]
pub struct Reader<'a> {
    input: Input<'a>,
    limits: &'a Limits,
    family: Family,
}

impl<'a> Reader<'a> {
    /// Reads `bytes`, which are a Redis's or a Lacewing's; `limits` decide which of the values are compact.
    pub fn new(bytes: &'a [u8], limits: &'a Limits) -> Self {
        Self::of(Family::Redis, bytes, limits)
    }

    pub(crate) fn of(family: Family, bytes: &'a [u8], limits: &'a Limits) -> Self {
        Self { input: Input::new(bytes), limits, family }
    }

    /// How far it has come, in bytes.
    pub fn at(&self) -> usize {
        self.input.at()
    }

    /// How many bytes are left.
    pub fn left(&self) -> usize {
        self.input.left()
    }

    /// A type's number.
    pub fn kind(&mut self) -> Result<u8, Error> {
        self.input.byte()
    }

    /// A string, such as a key.
    pub fn string(&mut self) -> Result<Cow<'a, [u8]>, Error> {
        self.input.string()
    }

    /// A value of the type of this number. Errors: `Kind` for what is no value, `Empty` for a whole one without elements, which no
    /// server keeps; all others for what is no whole one.
    pub fn value(&mut self, kind: u8) -> Result<Value, Error> {
        Build::new(kind, self.family)?.run(&mut self.input, self.limits)
    }
}
