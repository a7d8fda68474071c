//! What a plain parameter may be ([`Shape`]), and one that was read ([`Value`]).

use crate::memory::{format_memory, parse_memory};
use crate::{Choice, MemoryOrPercent};
use stdx::words::quote;

/// The kind of value that a parameter takes, with its bounds.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// `yes` or `no`.
    Bool,
    /// A decimal number between two bounds, both included.
    Int(i64, i64),
    /// File permissions: an octal number up to a bound.
    Octal(i64),
    /// An amount of memory in bytes between two bounds, both included.
    Memory(u64, u64),
    /// An amount of memory, or a share of `maxmemory`.
    MemoryOrPercent,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Any text.
    Text,
    /// Three scores of the kernel's out-of-memory killer, kept as one text.
    OomScores,
}

/// One value of a plain parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of [`Shape::Bool`].
    Bool(bool),
    /// Of [`Shape::Int`] and [`Shape::Octal`].
    Int(i64),
    /// Of [`Shape::Memory`].
    Memory(u64),
    /// Of [`Shape::MemoryOrPercent`].
    MemoryOrPercent(MemoryOrPercent),
    /// Of [`Shape::Choice`], as the shape spells it.
    Choice(&'static str),
    /// Of [`Shape::Text`] and [`Shape::OomScores`].
    Text(String),
}

impl Shape {
    /// Reads a value. Errors: what is wrong with it, in Redis's words, without the parameter's name.
    pub fn parse(self, text: &str) -> Result<Value, String> {
        match self {
            Shape::Bool if text.eq_ignore_ascii_case("yes") => Ok(Value::Bool(true)),
            Shape::Bool if text.eq_ignore_ascii_case("no") => Ok(Value::Bool(false)),
            Shape::Bool => Err("argument must be 'yes' or 'no'".into()),
            Shape::Int(min, max) => match parse_int(text) {
                Some(number) if (min..=max).contains(&number) => Ok(Value::Int(number)),
                Some(_) => Err(format!("argument must be between {min} and {max} inclusive")),
                None => Err("argument couldn't be parsed into an integer".into()),
            },
            Shape::Octal(max) => match i64::from_str_radix(text, 8) {
                Ok(number) if (0..=max).contains(&number) => Ok(Value::Int(number)),
                Ok(_) => Err(format!("argument must be between 0 and {max:o} inclusive")),
                Err(_) => Err("argument couldn't be parsed as an octal number".into()),
            },
            Shape::Memory(min, max) => match parse_memory(text) {
                Some(bytes) if (min..=max).contains(&bytes) => Ok(Value::Memory(bytes)),
                Some(_) => Err(format!("argument must be between {min} and {max} inclusive")),
                None => Err("argument must be a memory value".into()),
            },
            Shape::MemoryOrPercent => parse_memory_or_percent(text).map(Value::MemoryOrPercent),
            Shape::Choice(names) => match names.iter().find(|name| name.eq_ignore_ascii_case(text)) {
                Some(name) => Ok(Value::Choice(name)),
                None => Err(format!("argument(s) must be one of the following: {}", names.join(", "))),
            },
            Shape::OomScores => parse_oom_scores(text).map(Value::Text),
            Shape::Text => Ok(Value::Text(text.into())),
        }
    }

    /// Writes a value as CONFIG GET prints it.
    pub fn print(self, value: &Value) -> String {
        match value {
            Value::Bool(true) => "yes".into(),
            Value::Bool(false) => "no".into(),
            Value::Int(number) if matches!(self, Shape::Octal(_)) => format!("{number:o}"),
            Value::Int(number) => number.to_string(),
            Value::Memory(bytes) => bytes.to_string(),
            Value::MemoryOrPercent(amount) => amount.to_string(),
            Value::Choice(name) => (*name).into(),
            Value::Text(text) => text.clone(),
        }
    }

    /// Writes a value as a configuration file has it: memory with its unit, text in quotes.
    pub fn print_for_file(self, value: &Value) -> String {
        match value {
            Value::Memory(bytes) | Value::MemoryOrPercent(MemoryOrPercent::Bytes(bytes)) => {
                format_memory(*bytes)
            }
            Value::Text(text) if !matches!(self, Shape::OomScores) => quote(text),
            other => self.print(other),
        }
    }
}

/// Taking a value apart. A shape yields only its own kind of value, so a mismatch is a fault of the table, and a test
/// reads and writes every row of it.
impl Value {
    pub(crate) fn bool(self) -> bool {
        match self {
            Value::Bool(flag) => flag,
            other => panic!("not a yes or no: {other:?}"),
        }
    }

    pub(crate) fn int(self) -> i64 {
        match self {
            Value::Int(number) => number,
            other => panic!("not a number: {other:?}"),
        }
    }

    pub(crate) fn memory(self) -> u64 {
        match self {
            Value::Memory(bytes) => bytes,
            other => panic!("not an amount of memory: {other:?}"),
        }
    }

    pub(crate) fn memory_or_percent(self) -> MemoryOrPercent {
        match self {
            Value::MemoryOrPercent(amount) => amount,
            other => panic!("not an amount or a share: {other:?}"),
        }
    }

    pub(crate) fn choice<T: Choice>(self) -> T {
        match self {
            Value::Choice(name) => T::named(name).expect("the shape lists the names of the type"),
            other => panic!("not a choice: {other:?}"),
        }
    }

    pub(crate) fn text(self) -> String {
        match self {
            Value::Text(text) => text,
            other => panic!("not a text: {other:?}"),
        }
    }
}

/// A number exactly as it would be printed: no plus sign, no leading zero, no blank.
fn parse_int(text: &str) -> Option<i64> {
    let number: i64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

fn parse_memory_or_percent(text: &str) -> Result<MemoryOrPercent, String> {
    let Some(percent) = text.strip_suffix('%') else {
        let bytes = parse_memory(text).ok_or("argument must be a memory or percent value")?;
        return Ok(MemoryOrPercent::Bytes(bytes));
    };
    match parse_int(percent) {
        Some(number) if number > 100 => Err("percentage argument must be less or equal to 100".into()),
        Some(number) if number >= 0 => Ok(MemoryOrPercent::Percent(number as u8)),
        _ => Err("argument must be a memory or percent value".into()),
    }
}

/// Three numbers between -2000 and 2000, with one blank between them.
fn parse_oom_scores(text: &str) -> Result<String, String> {
    let scores: Vec<&str> = text.split(' ').collect();
    if scores.len() != 3 {
        return Err("wrong number of arguments".into());
    }
    let fits = |score: &&str| parse_int(score).is_some_and(|score| (-2000..=2000).contains(&score));
    if !scores.iter().all(fits) {
        return Err("Invalid oom-score-adj-values, elements must be between -2000 and 2000.".into());
    }
    Ok(scores.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `input` is refused with the text `expected`, or reads as something printed as `expected`.
    fn check(shape: Shape, input: &str, expected: Result<&str, &str>) {
        let got = shape.parse(input).map(|value| shape.print(&value));
        assert_eq!(got.as_deref().map_err(String::as_str), expected, "{input:?}");
    }

    #[test]
    fn yes_and_no_in_any_case() {
        check(Shape::Bool, "yes", Ok("yes"));
        check(Shape::Bool, "NO", Ok("no"));
        check(Shape::Bool, "maybe", Err("argument must be 'yes' or 'no'"));
        check(Shape::Bool, "1", Err("argument must be 'yes' or 'no'"));
    }

    #[test]
    fn numbers_are_strict_and_bounded() {
        let shape = Shape::Int(-1, 10);
        check(shape, "-1", Ok("-1"));
        check(shape, "10", Ok("10"));
        check(shape, "11", Err("argument must be between -1 and 10 inclusive"));
        for input in ["", "abc", " 1", "+1", "01", "-0", "1.0", "9223372036854775808"] {
            check(shape, input, Err("argument couldn't be parsed into an integer"));
        }
    }

    #[test]
    fn permissions_are_octal() {
        check(Shape::Octal(0o777), "700", Ok("700"));
        check(Shape::Octal(0o777), "0770", Ok("770"));
        check(Shape::Octal(0o777), "1777", Err("argument must be between 0 and 777 inclusive"));
        check(Shape::Octal(0o777), "8", Err("argument couldn't be parsed as an octal number"));
    }

    #[test]
    fn memory_is_bounded() {
        let shape = Shape::Memory(1 << 20, i64::MAX as u64);
        check(shape, "1gb", Ok("1073741824"));
        check(shape, "1", Err("argument must be between 1048576 and 9223372036854775807 inclusive"));
        check(shape, "x", Err("argument must be a memory value"));
    }

    #[test]
    fn a_share_is_at_most_all() {
        check(Shape::MemoryOrPercent, "5%", Ok("5%"));
        check(Shape::MemoryOrPercent, "1mb", Ok("1048576"));
        check(Shape::MemoryOrPercent, "200%", Err("percentage argument must be less or equal to 100"));
        for input in ["%", "-5", "-5%", "5x"] {
            check(Shape::MemoryOrPercent, input, Err("argument must be a memory or percent value"));
        }
    }

    #[test]
    fn a_choice_lists_its_names() {
        let shape = Shape::Choice(&["everysec", "always", "no"]);
        check(shape, "ALWAYS", Ok("always"));
        check(shape, "foo", Err("argument(s) must be one of the following: everysec, always, no"));
    }

    #[test]
    fn a_file_has_units_and_quotes() {
        let check = |shape: Shape, input: &str, expected| {
            assert_eq!(shape.print_for_file(&shape.parse(input).unwrap()), expected);
        };
        check(Shape::Memory(0, u64::MAX), "1048576", "1mb");
        check(Shape::MemoryOrPercent, "5%", "5%");
        check(Shape::MemoryOrPercent, "2048", "2kb");
        check(Shape::Text, "a\"b", "\"a\\\"b\"");
        check(Shape::Bool, "YES", "yes");
    }
}
