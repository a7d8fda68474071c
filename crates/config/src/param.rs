//! One row of the table: a parameter's name, what it may be, its default, its help, and where its value lives.

use crate::{Config, Shape, Value};

/// One parameter.
#[derive(Debug)]
pub struct Param {
    /// Its name, in lower case.
    pub name: &'static str,
    /// An older name that means the same.
    pub alias: Option<&'static str>,
    /// What it may be, and where the value lives.
    pub kind: Kind,
    /// The unit of its number; empty when it has none or the kind says it.
    pub unit: &'static str,
    /// Its value when nothing is configured, as a configuration file has it.
    pub default: &'static str,
    /// When it may change.
    pub change: Change,
    /// Whether its value is kept out of logs and messages.
    pub secret: bool,
    /// Whether CONFIG GET gives it by its name alone, not to a pattern.
    pub hidden: bool,
    /// Why it has no effect in this version, for a parameter that will.
    pub not_yet: Option<&'static str>,
    /// What it does, and why the default is what it is.
    pub help: &'static str,
}

/// Parameters that belong together.
#[derive(Debug)]
pub struct Group {
    /// The heading in help and documents.
    pub title: &'static str,
    /// In the order that documents list them.
    pub params: &'static [Param],
}

/// When a parameter may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// At any time, with CONFIG SET.
    Runtime,
    /// With CONFIG SET by those whom `enable-protected-configs` lets.
    Protected,
    /// Only by a restart.
    Start,
    /// Only by a restart, though Redis changes it at any time or does not know it: so CONFIG SET takes the value that it has.
    Restart,
}

/// What a parameter may be.
#[derive(Debug)]
pub enum Kind {
    /// One value that does something.
    Plain(Shape, Field),
    /// Several words with a syntax of their own.
    Special(Special),
    /// Accepted so that an existing configuration works; it does nothing, and the text says why.
    Inert(Shape, &'static str),
    /// May only be what means "off" (the first form is the default); for anything else the text says why.
    Fixed(&'static [&'static str], &'static str),
}

/// Where a plain value lives.
#[derive(Debug)]
pub struct Field {
    pub(crate) get: fn(&Config) -> Value,
    pub(crate) set: fn(&mut Config, Value),
}

/// How a parameter of several words is read and written.
#[derive(Debug)]
pub struct Special {
    /// The syntax, for help: `class hard soft seconds ...`.
    pub form: &'static str,
    pub(crate) set: fn(&mut Config, &[&str]) -> Result<(), String>,
    pub(crate) get: fn(&Config) -> String,
    /// The arguments as a configuration file has them, one text per line.
    pub(crate) lines: fn(&Config) -> Vec<String>,
}

impl Param {
    /// Every name: the name, then the alias.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        [Some(self.name), self.alias].into_iter().flatten()
    }

    /// The value as CONFIG GET prints it.
    pub fn get(&self, config: &Config) -> String {
        match &self.kind {
            Kind::Plain(shape, field) => shape.print(&(field.get)(config)),
            Kind::Special(special) => (special.get)(config),
            Kind::Inert(shape, _) => shape.print(self.inert(config)),
            Kind::Fixed(accepted, _) => accepted[0].into(),
        }
    }

    /// The value as a configuration file has it, without the name; one text per line.
    pub(crate) fn lines(&self, config: &Config) -> Vec<String> {
        match &self.kind {
            Kind::Plain(shape, field) => vec![shape.print_for_file(&(field.get)(config))],
            Kind::Special(special) => (special.lines)(config),
            Kind::Inert(shape, _) => vec![shape.print_for_file(self.inert(config))],
            Kind::Fixed(accepted, _) => vec![stdx::words::quote_if_needed(accepted[0])],
        }
    }

    /// Sets the value from its words. Errors: what is wrong, in Redis's words; nothing was changed.
    pub(crate) fn set(&self, config: &mut Config, words: &[&str]) -> Result<(), String> {
        match &self.kind {
            Kind::Plain(shape, field) => (field.set)(config, shape.parse(only(words)?)?),
            // Several words may come as one, in quotes or in one argument.
            Kind::Special(special) => match words {
                [word] => (special.set)(config, &word.split(' ').collect::<Vec<_>>())?,
                _ => (special.set)(config, words)?,
            },
            Kind::Inert(shape @ Shape::OomScores, _) => {
                config.inert.insert(self.name, shape.parse(&words.join(" "))?);
            }
            Kind::Inert(shape, _) => {
                let value = shape.parse(only(words)?)?;
                config.inert.insert(self.name, value);
            }
            Kind::Fixed(accepted, why) => {
                let text = words.join(" ");
                if !accepted.iter().any(|known| known.eq_ignore_ascii_case(&text)) {
                    return Err((*why).into());
                }
            }
        }
        Ok(())
    }

    /// Why the parameter does nothing, now or ever, if so.
    pub fn inert_because(&self) -> Option<&'static str> {
        match self.kind {
            Kind::Inert(_, why) => Some(why),
            _ => self.not_yet,
        }
    }

    fn inert<'a>(&self, config: &'a Config) -> &'a Value {
        config.inert.get(self.name).expect("every parameter was set to its default")
    }
}

fn only<'a>(words: &[&'a str]) -> Result<&'a str, String> {
    match words {
        [word] => Ok(word),
        _ => Err("wrong number of arguments".into()),
    }
}

/// Rows are written as `plain(..).unit(..).at_start()`.
const fn row(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Param {
    Param {
        name,
        alias: None,
        kind,
        unit: "",
        default,
        change: Change::Runtime,
        secret: false,
        hidden: false,
        not_yet: None,
        help,
    }
}

pub(crate) const fn plain(
    name: &'static str,
    (shape, field): (Shape, Field),
    default: &'static str,
    help: &'static str,
) -> Param {
    row(name, Kind::Plain(shape, field), default, help)
}

pub(crate) const fn special(
    name: &'static str,
    special: Special,
    default: &'static str,
    help: &'static str,
) -> Param {
    row(name, Kind::Special(special), default, help)
}

pub(crate) const fn inert(
    name: &'static str,
    shape: Shape,
    default: &'static str,
    why: &'static str,
    help: &'static str,
) -> Param {
    row(name, Kind::Inert(shape, why), default, help)
}

pub(crate) const fn fixed(
    name: &'static str,
    accepted: &'static [&'static str],
    default: &'static str,
    why: &'static str,
    help: &'static str,
) -> Param {
    row(name, Kind::Fixed(accepted, why), default, help)
}

impl Param {
    pub(crate) const fn alias(mut self, alias: &'static str) -> Self {
        self.alias = Some(alias);
        self
    }

    pub(crate) const fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    pub(crate) const fn at_start(mut self) -> Self {
        self.change = Change::Start;
        self
    }

    pub(crate) const fn at_restart(mut self) -> Self {
        self.change = Change::Restart;
        self
    }

    pub(crate) const fn protected(mut self) -> Self {
        self.change = Change::Protected;
        self
    }

    pub(crate) const fn not_yet(mut self, why: &'static str) -> Self {
        self.not_yet = Some(why);
        self
    }

    pub(crate) const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    pub(crate) const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }
}

/// `yes` or `no` in a `bool` field.
macro_rules! flag {
    ($field:ident) => {
        (
            $crate::Shape::Bool,
            $crate::param::Field {
                get: |config| $crate::Value::Bool(config.$field),
                set: |config, value| config.$field = value.bool(),
            },
        )
    };
}

/// A number in an integer field that holds every value between the bounds; `clamp` narrows what is kept, as Redis does
/// for some parameters instead of refusing.
macro_rules! number {
    ($field:ident, $min:expr, $max:expr) => {
        $crate::param::number!(@ $crate::Shape::Int($min, $max), $field, |number: i64| number)
    };
    ($field:ident, $min:expr, $max:expr, clamp $low:literal to $high:literal) => {
        $crate::param::number!(@ $crate::Shape::Int($min, $max), $field, |number: i64| number.clamp($low, $high))
    };
    (octal $field:ident, $max:expr) => {
        $crate::param::number!(@ $crate::Shape::Octal($max), $field, |number: i64| number)
    };
    (@ $shape:expr, $field:ident, $keep:expr) => {
        (
            $shape,
            $crate::param::Field {
                get: |config| $crate::Value::Int(i64::try_from(config.$field).expect("within its bounds")),
                set: |config, value| {
                    config.$field = $keep(value.int()).try_into().expect("the bounds fit the field");
                },
            },
        )
    };
}

/// An amount of memory in a `u64` field.
macro_rules! memory {
    ($field:ident, $min:expr, $max:expr) => {
        (
            $crate::Shape::Memory($min, $max),
            $crate::param::Field {
                get: |config| $crate::Value::Memory(config.$field),
                set: |config, value| config.$field = value.memory(),
            },
        )
    };
}

/// One word out of a few, in a field whose type is a `Choice`.
macro_rules! choice {
    ($field:ident, $type:ty) => {
        (
            $crate::Shape::Choice(<$type as $crate::Choice>::NAMES),
            $crate::param::Field {
                get: |config| $crate::Value::Choice($crate::Choice::name(config.$field)),
                set: |config, value| config.$field = value.choice::<$type>(),
            },
        )
    };
}

/// A text in an `Option<String>` field; the empty text is `None`.
macro_rules! text {
    ($field:ident) => {
        (
            $crate::Shape::Text,
            $crate::param::Field {
                get: |config| $crate::Value::Text(config.$field.clone().unwrap_or_default()),
                set: |config, value| config.$field = Some(value.text()).filter(|text| !text.is_empty()),
            },
        )
    };
}

pub(crate) use {choice, flag, memory, number, text};
