//! Local variables that stand for a key or for redis.call.

use super::REDIS;
use super::lexer::{Token, index_end, is_assigned};
use std::collections::HashMap;

/// The variables of a script, as far as they matter.
#[derive(Debug)]
pub(super) struct Aliases<'a> {
    variables: HashMap<&'a [u8], Variable>,
}

#[derive(Debug, Default)]
struct Variable {
    /// How often it is declared: as a local, a parameter, a loop's variable, or by a function's name.
    declared: u32,
    /// Whether it is assigned to besides.
    assigned: bool,
    value: Value,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Value {
    #[default]
    Other,
    Key,
    Call,
}

impl<'a> Aliases<'a> {
    pub(super) fn of(tokens: &[Token<'a>]) -> Self {
        let mut aliases = Self { variables: HashMap::new() };
        for at in 0..tokens.len() {
            match tokens[at] {
                Token::Keyword(b"local") => aliases.local(tokens, at + 1),
                Token::Keyword(b"function") => aliases.function(tokens, at + 1),
                Token::Keyword(b"for") => aliases.loop_variables(tokens, at + 1),
                Token::Name(name) => aliases.assignment(tokens, at, name),
                _ => {}
            }
        }
        aliases
    }

    /// Whether a script has a variable of this name, or assigns to one.
    pub(super) fn is_declared(&self, name: &[u8]) -> bool {
        self.variables.get(name).is_some_and(|variable| variable.declared > 0 || variable.assigned)
    }

    /// Whether a variable is one of KEYS wherever it is seen.
    pub(super) fn is_key(&self, name: &[u8]) -> bool {
        self.stands_for(name) == Value::Key
    }

    /// Whether a variable is redis.call or redis.pcall wherever it is seen.
    pub(super) fn is_call(&self, name: &[u8]) -> bool {
        self.stands_for(name) == Value::Call
    }

    fn stands_for(&self, name: &[u8]) -> Value {
        match self.variables.get(name) {
            Some(Variable { declared: 1, assigned: false, value }) => *value,
            _ => Value::Other,
        }
    }

    fn declare(&mut self, name: &'a [u8], value: Value) {
        let variable = self.variables.entry(name).or_default();
        variable.declared += 1;
        variable.value = value;
    }

    /// `local a, b = x, y`, `local function f`
    fn local(&mut self, tokens: &[Token<'a>], at: usize) {
        if tokens.get(at) == Some(&Token::Keyword(b"function")) {
            // Its name is declared as that of every function.
            return;
        }
        let (names, mut at) = list(tokens, at);
        let has_values = tokens.get(at) == Some(&Token::Sign(b"="));
        for name in names {
            let mut value = Value::Other;
            // Values of a known form, one for each name; behind the first of another form nothing is known.
            if has_values && matches!(tokens.get(at), Some(Token::Sign(b"=" | b","))) {
                let (known, end) = known_value(tokens, at + 1);
                value = known;
                at = end;
            }
            self.declare(name, value);
        }
    }

    /// `function f(a, b)`, `function t.f(a)`, `function(a)`
    fn function(&mut self, tokens: &[Token<'a>], at: usize) {
        let mut at = at;
        if let Some(Token::Name(name)) = tokens.get(at) {
            self.declare(name, Value::Other);
            while !matches!(tokens.get(at), None | Some(Token::Sign(b"("))) {
                at += 1;
            }
        }
        let (names, _) = list(tokens, at + 1);
        names.into_iter().for_each(|name| self.declare(name, Value::Other));
    }

    /// `for i = ..`, `for i, key in ipairs(KEYS) do`
    fn loop_variables(&mut self, tokens: &[Token<'a>], at: usize) {
        let (names, at) = list(tokens, at);
        let over_keys = [
            Token::Keyword(b"in"),
            Token::Name(b"ipairs"),
            Token::Sign(b"("),
            Token::Name(b"KEYS"),
            Token::Sign(b")"),
            Token::Keyword(b"do"),
        ];
        let is_over_keys = tokens[at..].starts_with(&over_keys);
        for (index, name) in names.into_iter().enumerate() {
            self.declare(name, if is_over_keys && index == 1 { Value::Key } else { Value::Other });
        }
    }

    /// `a = 1`, `a, b = 1, 2`, and nothing else than a name in front of an operator.
    fn assignment(&mut self, tokens: &[Token<'a>], at: usize, name: &'a [u8]) {
        let is_member = at > 0 && matches!(tokens[at - 1], Token::Sign(b"." | b":"));
        let is_declaration = is_declared_here(tokens, at);
        let followed = matches!(tokens.get(at + 1), Some(Token::Sign(b"=" | b",")));
        if !is_member && !is_declaration && followed && is_assigned(tokens, at, at + 1) {
            self.variables.entry(name).or_default().assigned = true;
        }
    }
}

/// Whether the name at `at` is in the list behind `local` or `for`, or a field's name in a table: `{ name = value }`.
fn is_declared_here(tokens: &[Token<'_>], at: usize) -> bool {
    is_field(tokens, at) || in_list_behind(tokens, at, &[b"local", b"for"])
}

/// Whether the name at `at` is in the list of names behind one of these keywords.
pub(super) fn in_list_behind(tokens: &[Token<'_>], at: usize, keywords: &[&[u8]]) -> bool {
    let mut at = at;
    loop {
        match at.checked_sub(1).map(|before| &tokens[before]) {
            Some(Token::Keyword(word)) => return keywords.contains(word),
            Some(Token::Sign(b",")) if at >= 2 && matches!(tokens[at - 2], Token::Name(_)) => at -= 2,
            _ => return false,
        }
    }
}

/// Whether what begins at `at` begins a field of a table: it is directly within braces.
fn is_field(tokens: &[Token<'_>], at: usize) -> bool {
    if !matches!(at.checked_sub(1).map(|before| &tokens[before]), Some(Token::Sign(b"{" | b"," | b";"))) {
        return false;
    }
    let mut depth = 0;
    for token in tokens[..at].iter().rev() {
        match token {
            Token::Sign(b")" | b"]" | b"}") => depth += 1,
            Token::Sign(b"{") if depth == 0 => return true,
            Token::Sign(b"(" | b"[") if depth == 0 => return false,
            Token::Sign(b"(" | b"[" | b"{") => depth -= 1,
            // A statement of a function in a table is not a field of it.
            Token::Keyword(b"function") if depth == 0 => return false,
            _ => {}
        }
    }
    false
}

/// The names of a list, and where it ends.
fn list<'a>(tokens: &[Token<'a>], at: usize) -> (Vec<&'a [u8]>, usize) {
    let (mut names, mut at) = (Vec::new(), at);
    while let Some(Token::Name(name)) = tokens.get(at) {
        names.push(*name);
        at += 1;
        if tokens.get(at) != Some(&Token::Sign(b",")) {
            break;
        }
        at += 1;
    }
    (names, at)
}

/// The value of a known form that begins at `at`, and where it ends; one that goes on is of no known form.
fn known_value(tokens: &[Token<'_>], at: usize) -> (Value, usize) {
    let (value, end) = match tokens.get(at) {
        Some(Token::Name(b"KEYS")) => match index_end(tokens, at) {
            Some(end) => (Value::Key, end),
            None => return (Value::Other, at),
        },
        Some(Token::Name(name)) if REDIS.contains(name) && is_call(tokens, at) => (Value::Call, at + 3),
        Some(Token::Name(b"ARGV")) => match index_end(tokens, at) {
            Some(end) => (Value::Other, end),
            None => return (Value::Other, at),
        },
        Some(Token::Text(_) | Token::Number(_)) => (Value::Other, at + 1),
        _ => return (Value::Other, at),
    };
    if is_end(tokens.get(end)) { (value, end) } else { (Value::Other, at) }
}

/// Whether `redis.call` or `redis.pcall` stands at `at`.
pub(super) fn is_call(tokens: &[Token<'_>], at: usize) -> bool {
    let is_redis = matches!(tokens.get(at), Some(Token::Name(name)) if REDIS.contains(name));
    let call = [Token::Sign(b"."), Token::Name(b"call")];
    let pcall = [Token::Sign(b"."), Token::Name(b"pcall")];
    is_redis && (tokens[at + 1..].starts_with(&call) || tokens[at + 1..].starts_with(&pcall))
}

/// Whether an expression that is whole so far is so for good.
pub(super) fn is_end(next: Option<&Token<'_>>) -> bool {
    match next {
        None | Some(Token::Name(_)) => true,
        Some(Token::Sign(sign)) => matches!(*sign, b"," | b";" | b")"),
        Some(Token::Keyword(word)) => !matches!(*word, b"and" | b"or" | b"not"),
        Some(Token::Text(_) | Token::Number(_)) => false,
    }
}
