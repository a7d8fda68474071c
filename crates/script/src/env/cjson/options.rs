//! cjson's settings, which a script changes for all that come after it, as in Redis.

use super::check_one;
use crate::lua::{Answer, Kind, Raise, Stack, UPVALUE_1};

/// What a module's functions share: kept in a table that scripts never see.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    /// Sparse arrays become objects instead of errors.
    pub(super) sparse_convert: bool,
    /// An array is sparse when its largest index is more than so many times its number of items; 0: never.
    pub(super) sparse_ratio: i32,
    /// Up to this index it is not.
    pub(super) sparse_safe: i32,
    pub(super) encode_depth_max: i32,
    pub(super) decode_depth_max: i32,
    pub(super) encode_invalid: Invalid,
    pub(super) decode_invalid: bool,
    /// Significant digits of numbers.
    pub(super) precision: i32,
    /// A setting of the original's memory; kept to be answered.
    keep_buffer: bool,
}

/// What becomes of numbers that JSON does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Invalid {
    Refused,
    Written,
    Null,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sparse_convert: false,
            sparse_ratio: 2,
            sparse_safe: 10,
            encode_depth_max: 1000,
            decode_depth_max: 1000,
            encode_invalid: Invalid::Refused,
            decode_invalid: true,
            precision: 14,
            keep_buffer: true,
        }
    }
}

impl Options {
    fn to_numbers(self) -> [i32; 9] {
        [
            self.sparse_convert.into(),
            self.sparse_ratio,
            self.sparse_safe,
            self.encode_depth_max,
            self.decode_depth_max,
            self.encode_invalid as i32,
            self.decode_invalid.into(),
            self.precision,
            self.keep_buffer.into(),
        ]
    }

    fn from_numbers(numbers: [i32; 9]) -> Self {
        Self {
            sparse_convert: numbers[0] != 0,
            sparse_ratio: numbers[1],
            sparse_safe: numbers[2],
            encode_depth_max: numbers[3],
            decode_depth_max: numbers[4],
            encode_invalid: match numbers[5] {
                0 => Invalid::Refused,
                1 => Invalid::Written,
                _ => Invalid::Null,
            },
            decode_invalid: numbers[6] != 0,
            precision: numbers[7],
            keep_buffer: numbers[8] != 0,
        }
    }
}

/// Pushes a table that holds `options`.
pub(super) fn push(stack: Stack<'_>, options: &Options) {
    stack.push_table(9, 0);
    write(stack, -1, options);
}

fn write(stack: Stack<'_>, table: i32, options: &Options) {
    for (index, number) in (1..).zip(options.to_numbers()) {
        stack.push_number(f64::from(number));
        stack.set_item(if table == -1 { -2 } else { table }, index);
    }
}

/// What the table at `table` holds.
pub(super) fn read(stack: Stack<'_>, table: i32) -> Options {
    let mut numbers = [0; 9];
    for (index, number) in (1..).zip(&mut numbers) {
        stack.get_item(table, index);
        *number = stack.number(-1) as i32;
        stack.pop(1);
    }
    Options::from_numbers(numbers)
}

pub(super) fn encode_sparse_array(stack: Stack<'_>) -> Answer {
    change(stack, 3, |stack, options| {
        options.sparse_convert = switch(stack, 1, options.sparse_convert)?;
        options.sparse_ratio = integer(stack, 2, options.sparse_ratio, 0, i32::MAX)?;
        options.sparse_safe = integer(stack, 3, options.sparse_safe, 0, i32::MAX)?;
        stack.push_bool(options.sparse_convert);
        stack.push_number(f64::from(options.sparse_ratio));
        stack.push_number(f64::from(options.sparse_safe));
        Ok(3)
    })
}

pub(super) fn encode_max_depth(stack: Stack<'_>) -> Answer {
    change_integer(stack, 1, i32::MAX, |options| &mut options.encode_depth_max)
}

pub(super) fn decode_max_depth(stack: Stack<'_>) -> Answer {
    change_integer(stack, 1, i32::MAX, |options| &mut options.decode_depth_max)
}

pub(super) fn encode_number_precision(stack: Stack<'_>) -> Answer {
    change_integer(stack, 1, 14, |options| &mut options.precision)
}

pub(super) fn encode_keep_buffer(stack: Stack<'_>) -> Answer {
    change_switch(stack, |options| &mut options.keep_buffer)
}

pub(super) fn decode_invalid_numbers(stack: Stack<'_>) -> Answer {
    change_switch(stack, |options| &mut options.decode_invalid)
}

pub(super) fn encode_invalid_numbers(stack: Stack<'_>) -> Answer {
    change(stack, 1, |stack, options| {
        options.encode_invalid = match (stack.kind(1), stack.text(1)) {
            (Kind::Nil, _) => options.encode_invalid,
            (Kind::Boolean, _) if stack.boolean(1) => Invalid::Written,
            (Kind::Boolean, _) | (_, Some(b"off")) => Invalid::Refused,
            (_, Some(b"on")) => Invalid::Written,
            (_, Some(b"null")) => Invalid::Null,
            (_, text) => return Err(no_option(stack, 1, text)),
        };
        match options.encode_invalid {
            Invalid::Refused => stack.push_bool(false),
            Invalid::Written => stack.push_bool(true),
            Invalid::Null => stack.push_bytes(b"null"),
        }
        Ok(1)
    })
}

/// Runs `set` on the module's options, and keeps what it made of them.
fn change(stack: Stack<'_>, arguments: i32, set: impl FnOnce(Stack<'_>, &mut Options) -> Answer) -> Answer {
    if stack.top() > arguments {
        return Err(Raise::Argument(arguments + 1, c"found too many arguments"));
    }
    stack.set_top(arguments);
    let mut options = read(stack, UPVALUE_1);
    let answer = set(stack, &mut options);
    // As in the original, settings before a wrong one stay changed.
    write(stack, UPVALUE_1, &options);
    answer
}

fn change_integer(stack: Stack<'_>, min: i32, max: i32, of: fn(&mut Options) -> &mut i32) -> Answer {
    change(stack, 1, |stack, options| {
        let setting = of(options);
        *setting = integer(stack, 1, *setting, min, max)?;
        stack.push_number(f64::from(*setting));
        Ok(1)
    })
}

fn change_switch(stack: Stack<'_>, of: fn(&mut Options) -> &mut bool) -> Answer {
    change(stack, 1, |stack, options| {
        let setting = of(options);
        *setting = switch(stack, 1, *setting)?;
        stack.push_bool(*setting);
        Ok(1)
    })
}

/// Argument `index` as an integer from `min` to `max`; `old` when it is nil.
fn integer(stack: Stack<'_>, index: i32, old: i32, min: i32, max: i32) -> Result<i32, Raise> {
    if stack.is(index, Kind::Nil) {
        return Ok(old);
    }
    let value = stack.check_integer(index)? as i32;
    if (min..=max).contains(&value) {
        return Ok(value);
    }
    stack.message(format_args!("expected integer between {min} and {max}"));
    Err(Raise::ArgumentMessage(1))
}

/// Argument `index` as a boolean, `on` or `off`; `old` when it is nil.
fn switch(stack: Stack<'_>, index: i32, old: bool) -> Result<bool, Raise> {
    match (stack.kind(index), stack.text(index)) {
        (Kind::Nil, _) => Ok(old),
        (Kind::Boolean, _) => Ok(stack.boolean(index)),
        (_, Some(b"on")) => Ok(true),
        (_, Some(b"off")) => Ok(false),
        (_, text) => Err(no_option(stack, index, text)),
    }
}

fn no_option(stack: Stack<'_>, index: i32, text: Option<&[u8]>) -> Raise {
    let Some(text) = text else { return Raise::Kind(index, c"string") };
    stack.message(format_args!("invalid option '{}'", String::from_utf8_lossy(text)));
    Raise::ArgumentMessage(index)
}

/// The options of the module whose function runs, which takes one argument.
pub(super) fn of_call(stack: Stack<'_>) -> Result<Options, Raise> {
    check_one(stack)?;
    Ok(read(stack, UPVALUE_1))
}
