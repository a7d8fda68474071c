//! The commands that a script calls.

use super::aliases::{Aliases, in_list_behind, is_call, is_end};
use super::lexer::{Token, closing, index_end};
use super::{Argument, Call, REDIS, is_only_read};

/// All calls of a script; `None` when there may be others.
pub(super) fn find(tokens: &[Token<'_>], aliases: &Aliases<'_>) -> Option<Vec<Call>> {
    let is_unsafe = |token: &Token<'_>| matches!(token, Token::Name(name) if UNSAFE.contains(name));
    if tokens.iter().any(is_unsafe)
        || REDIS.iter().any(|name| aliases.is_declared(name))
        || !is_only_read(tokens, aliases, b"KEYS")
    {
        return None;
    }
    let mut calls = Vec::new();
    for at in 0..tokens.len() {
        match tokens[at] {
            Token::Name(name) if REDIS.contains(&name) && !is_member(tokens, at) => {
                if tokens.get(at + 1) != Some(&Token::Sign(b".")) {
                    return None;
                }
                if is_call(tokens, at) && !is_alias(tokens, aliases, at) {
                    calls.push(call(tokens, aliases, at + 3)?);
                }
            }
            Token::Name(name) if aliases.is_call(name) && !is_member(tokens, at) => {
                if tokens.get(at + 1) == Some(&Token::Sign(b"(")) {
                    calls.push(call(tokens, aliases, at + 1)?);
                } else if !in_list_behind(tokens, at, &[b"local"]) {
                    return None;
                }
            }
            _ => {}
        }
    }
    Some(calls)
}

/// Names with which a script gets at more than its text says.
const UNSAFE: &[&[u8]] = &[b"_G", b"load", b"loadstring", b"getmetatable"];

fn is_member(tokens: &[Token<'_>], at: usize) -> bool {
    at > 0 && matches!(tokens[at - 1], Token::Sign(b"." | b":"))
}

/// Whether the `redis.call` at `at` is the value of a variable that is known to be only called: the last, or only, of its
/// declaration.
fn is_alias(tokens: &[Token<'_>], aliases: &Aliases<'_>, at: usize) -> bool {
    if !is_end(tokens.get(at + 3)) || tokens.get(at + 3) == Some(&Token::Sign(b")")) {
        return false;
    }
    // `local a, b = redis.call, redis.pcall`: back to the names.
    let mut equals = at;
    let mut index = 0;
    loop {
        match equals.checked_sub(1).map(|before| &tokens[before]) {
            Some(Token::Sign(b"=")) => break,
            Some(Token::Sign(b",")) if equals >= 4 && is_call(tokens, equals - 4) => {
                equals -= 4;
                index += 1;
            }
            _ => return false,
        }
    }
    let mut start = equals - 1;
    while start > 0 && matches!(tokens[start - 1], Token::Name(_) | Token::Sign(b",")) {
        start -= 1;
    }
    let is_local = start > 0 && tokens[start - 1] == Token::Keyword(b"local");
    match tokens.get(start + 2 * index) {
        Some(Token::Name(name)) => is_local && aliases.is_call(name),
        _ => false,
    }
}

/// The call whose arguments are in the parentheses at `open`.
fn call(tokens: &[Token<'_>], aliases: &Aliases<'_>, open: usize) -> Option<Call> {
    if tokens.get(open) != Some(&Token::Sign(b"(")) {
        return None;
    }
    let close = closing(tokens, open)?;
    let mut args = Vec::new();
    let mut start = open + 1;
    while start < close {
        let end = argument_end(tokens, start, close)?;
        let is_last = end == close;
        args.push(argument(&tokens[start..end], aliases, is_last));
        start = end + 1;
    }
    match args.first() {
        Some(Argument::Text(_)) => Some(Call { args }),
        _ => None,
    }
}

/// Where the argument that begins at `start` ends: at a comma, or at `close`. `None` for one with a function in it, whose
/// commas are not told apart.
fn argument_end(tokens: &[Token<'_>], start: usize, close: usize) -> Option<usize> {
    let mut at = start;
    while at < close {
        match tokens[at] {
            Token::Keyword(b"function") => return None,
            Token::Sign(b",") => return Some(at),
            Token::Sign(b"(" | b"[" | b"{") => at = closing(tokens, at)?,
            _ => {}
        }
        at += 1;
    }
    Some(close)
}

fn argument(tokens: &[Token<'_>], aliases: &Aliases<'_>, is_last: bool) -> Argument {
    match tokens {
        [Token::Text(Some(text))] => Argument::Text((*text).into()),
        [Token::Number(digits)] if is_sent_as_written(digits) => Argument::Text((*digits).into()),
        [Token::Name(name)] if aliases.is_key(name) => Argument::Key,
        [Token::Name(b"KEYS"), ..] if index_end(tokens, 0) == Some(tokens.len()) => Argument::Key,
        [Token::Name(b"unpack"), Token::Sign(b"("), Token::Name(b"KEYS"), Token::Sign(b")")]
            if is_last && !aliases.is_declared(b"unpack") =>
        {
            Argument::Keys
        }
        // The last argument may be many: what a call returns, or `...`.
        [.., Token::Sign(b")" | b"}" | b"...")] if is_last => Argument::Any,
        // `f'text'`
        [.., Token::Name(_) | Token::Sign(b")" | b"]"), Token::Text(_)] if is_last => Argument::Any,
        _ => Argument::One,
    }
}

/// Whether a number in the program is sent to the command in the same words.
fn is_sent_as_written(digits: &[u8]) -> bool {
    digits.iter().all(u8::is_ascii_digit) && digits.len() < 15 && (digits.len() == 1 || digits[0] != b'0')
}
