//! What can be told of a script from its text: which commands it calls, with which of its keys.
//!
//! A script whose every `redis.call` names its command, and takes keys from KEYS alone, runs on the shard of its keys
//! without a look at others. To tell, its words are looked through, not its meaning; whatever is not of a known form makes
//! it a script of which nothing is told ([`Shape::calls`] is `None`), which costs time and is never wrong:
//!
//! - `redis`, or `server` as Valkey has it, stands only before `.name`; `redis.call` and `redis.pcall` are called at once, or are the one value of a local
//!   variable that is only called.
//! - Nothing is compiled at run time, and `_G` is not touched.
//! - An argument is a key when it is `KEYS[..]`, a local variable whose one value is that, or the second variable of `for
//!   .. in ipairs(KEYS)`; or all of KEYS when it is `unpack(KEYS)`.
//! - KEYS and what stands for a key are never assigned to, and KEYS is given to nothing but `#`, `unpack` and the `ipairs`
//!   or `pairs` of a loop.

mod aliases;
mod calls;
mod lexer;

use aliases::Aliases;
use lexer::Token;

/// The names of what scripts have of the server.
const REDIS: [&[u8]; 2] = [b"redis", b"server"];

/// What is known of a script before it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// The commands that it may call, in no order; `None` when they are not known.
    pub calls: Option<Vec<Call>>,
    /// It reads KEYS and ARGV and does nothing else with them: their tables may serve the next script too.
    pub reads_arguments_only: bool,
}

/// A command that a script calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its name and its arguments.
    pub args: Vec<Argument>,
}

/// What is known of an argument of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Argument {
    /// It is this text.
    Text(Box<[u8]>),
    /// It is one of KEYS, or nil.
    Key,
    /// It is one value, whatever it is.
    One,
    /// All of KEYS.
    Keys,
    /// Any number of values.
    Any,
}

/// Looks through a script.
pub(crate) fn scan(source: &[u8]) -> Shape {
    let Some(tokens) = lexer::tokens(source) else { return Shape::default() };
    let aliases = Aliases::of(&tokens);
    Shape {
        calls: calls::find(&tokens, &aliases),
        reads_arguments_only: is_only_read(&tokens, &aliases, b"KEYS")
            && is_only_read(&tokens, &aliases, b"ARGV"),
    }
}

/// Whether the table `name` is only read: each time it is indexed, counted, or given to a function that only reads it.
fn is_only_read(tokens: &[Token<'_>], aliases: &Aliases<'_>, name: &[u8]) -> bool {
    let mut places = (0..tokens.len()).filter(|&at| tokens[at] == Token::Name(name));
    !aliases.is_declared(name) && places.all(|at| is_read(tokens, aliases, at))
}

fn is_read(tokens: &[Token<'_>], aliases: &Aliases<'_>, at: usize) -> bool {
    if let Some(end) = lexer::index_end(tokens, at) {
        return !lexer::is_assigned(tokens, at, end);
    }
    let before = |back: usize| at.checked_sub(back).map(|at| &tokens[at]);
    if before(1) == Some(&Token::Sign(b"#")) {
        return true;
    }
    // `unpack(KEYS`, where `unpack` is Lua's; `in ipairs(KEYS) do`, for what `ipairs` returns has the table in it.
    let (Some(Token::Sign(b"(")), Some(Token::Name(function))) = (before(1), before(2)) else { return false };
    let is_luas = !aliases.is_declared(function);
    match *function {
        b"unpack" => is_luas && !matches!(before(3), Some(Token::Sign(b"." | b":"))),
        b"ipairs" | b"pairs" => {
            let loops = [Token::Sign(b")"), Token::Keyword(b"do")];
            is_luas && before(3) == Some(&Token::Keyword(b"in")) && tokens[at + 1..].starts_with(&loops)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
