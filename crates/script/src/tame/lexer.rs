//! The words of a Lua program.

/// One word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A name that is no keyword.
    Name(&'a [u8]),
    Keyword(&'a [u8]),
    /// A string's value, when it has no escapes; else `None`.
    Text(Option<&'a [u8]>),
    Number(&'a [u8]),
    /// An operator or a bracket.
    Sign(&'a [u8]),
}

/// The words of `source`; `None` for what is no Lua, or is longer than is worth a look.
pub(super) fn tokens(source: &[u8]) -> Option<Vec<Token<'_>>> {
    if source.len() > SOURCE_MAX {
        return None;
    }
    let mut lexer = Lexer { source, at: 0 };
    let mut tokens = Vec::new();
    while lexer.skip()? {
        tokens.push(lexer.token()?);
    }
    Some(tokens)
}

struct Lexer<'a> {
    source: &'a [u8],
    at: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a [u8] {
        &self.source[self.at..]
    }

    /// Goes past blanks and comments; false at the end. `None`: a comment does not end.
    fn skip(&mut self) -> Option<bool> {
        loop {
            let blanks =
                self.rest().iter().take_while(|byte| byte.is_ascii_whitespace() || **byte == 0x0B).count();
            self.at += blanks;
            if !self.rest().starts_with(b"--") {
                return Some(!self.rest().is_empty());
            }
            self.at += 2;
            if self.long_level().is_some() {
                self.long_string()?;
            } else {
                self.at += memchr::memchr(b'\n', self.rest()).unwrap_or(self.rest().len());
            }
        }
    }

    fn token(&mut self) -> Option<Token<'a>> {
        let rest = self.rest();
        match rest[0] {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                let word = self.take(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
                Some(if KEYWORDS.contains(&word) { Token::Keyword(word) } else { Token::Name(word) })
            }
            b'0'..=b'9' => Some(Token::Number(self.number())),
            b'.' if rest.get(1).is_some_and(u8::is_ascii_digit) => Some(Token::Number(self.number())),
            quote @ (b'"' | b'\'') => self.string(quote),
            b'[' if self.long_level().is_some() => Some(Token::Text(Some(self.long_string()?))),
            _ => {
                let sign = SIGNS.iter().find(|sign| rest.starts_with(sign))?;
                self.at += sign.len();
                Some(Token::Sign(sign))
            }
        }
    }

    fn take(&mut self, is_part: impl Fn(u8) -> bool) -> &'a [u8] {
        let len = self.rest().iter().take_while(|byte| is_part(**byte)).count();
        let word = &self.rest()[..len];
        self.at += len;
        word
    }

    fn number(&mut self) -> &'a [u8] {
        let start = self.at;
        loop {
            self.take(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_'));
            // `1e-5`
            let signed = matches!(self.source[self.at - 1], b'e' | b'E')
                && matches!(self.rest().first(), Some(b'+' | b'-'));
            if !signed {
                return &self.source[start..self.at];
            }
            self.at += 1;
        }
    }

    fn string(&mut self, quote: u8) -> Option<Token<'a>> {
        let start = self.at + 1;
        let mut is_plain = true;
        self.at = start;
        loop {
            match *self.rest().first()? {
                byte if byte == quote => break,
                b'\n' => return None,
                b'\\' => {
                    is_plain = false;
                    self.at += 2;
                }
                _ => self.at += 1,
            }
            if self.at > self.source.len() {
                return None;
            }
        }
        let text = &self.source[start..self.at];
        self.at += 1;
        Some(Token::Text(is_plain.then_some(text)))
    }

    /// How many `=` are between the brackets of the long string that begins here, if one does.
    fn long_level(&self) -> Option<usize> {
        let rest = self.rest().strip_prefix(b"[")?;
        let level = rest.iter().take_while(|byte| **byte == b'=').count();
        (rest.get(level) == Some(&b'[')).then_some(level)
    }

    /// The long string that begins here; `None` when it does not end.
    fn long_string(&mut self) -> Option<&'a [u8]> {
        let level = self.long_level()?;
        let close = [b"]".as_slice(), &vec![b'='; level], b"]"].concat();
        let body = &self.rest()[level + 2..];
        let len = memchr::memmem::find(body, &close)?;
        self.at += level + 2 + len + close.len();
        // A line end at its start is not part of it.
        let text = &body[..len];
        Some(text.strip_prefix(b"\r\n").or(text.strip_prefix(b"\n")).unwrap_or(text))
    }
}

/// Where the index of the table at `at` ends (behind its `]`), when the table is indexed there: `name[..]`.
pub(super) fn index_end(tokens: &[Token<'_>], at: usize) -> Option<usize> {
    if tokens.get(at + 1) != Some(&Token::Sign(b"[")) {
        return None;
    }
    closing(tokens, at + 1).map(|close| close + 1)
}

/// The bracket that closes the one at `open`.
pub(super) fn closing(tokens: &[Token<'_>], open: usize) -> Option<usize> {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token {
            Token::Sign(b"(" | b"[" | b"{") => depth += 1,
            Token::Sign(b")" | b"]" | b"}") => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// Whether what stands at `start..end` may be assigned to: it is on the left of a `=`, or that cannot be ruled out.
pub(super) fn is_assigned(tokens: &[Token<'_>], start: usize, end: usize) -> bool {
    match tokens.get(end) {
        Some(Token::Sign(b"=")) => true,
        Some(Token::Sign(b",")) => !is_in_expressions(tokens, start),
        _ => is_statement_start(tokens, start),
    }
}

/// Whether what begins at `at`, with a comma behind, is one of a list of expressions rather than of variables.
fn is_in_expressions(tokens: &[Token<'_>], at: usize) -> bool {
    let mut at = at;
    loop {
        if at == 0 || (matches!(tokens[at], Token::Name(_)) && is_statement_start(tokens, at)) {
            return false;
        }
        at -= 1;
        match &tokens[at] {
            Token::Sign(b"=" | b"(" | b"{" | b"[") | Token::Keyword(b"return" | b"in") => return true,
            Token::Keyword(b"nil" | b"true" | b"false" | b"and" | b"or" | b"not") => {}
            Token::Keyword(_) => return false,
            Token::Sign(b")" | b"]" | b"}") => match opening(tokens, at) {
                Some(open) => at = open,
                None => return false,
            },
            _ => {}
        }
    }
}

/// The bracket that the one at `close` closes.
fn opening(tokens: &[Token<'_>], close: usize) -> Option<usize> {
    let mut depth = 0;
    for at in (0..=close).rev() {
        match tokens[at] {
            Token::Sign(b")" | b"]" | b"}") => depth += 1,
            Token::Sign(b"(" | b"[" | b"{") => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// Whether a statement may begin at `at`: nothing in front of it asks for more.
fn is_statement_start(tokens: &[Token<'_>], at: usize) -> bool {
    let Some(before) = at.checked_sub(1).map(|before| &tokens[before]) else { return true };
    match before {
        Token::Name(_) | Token::Text(_) | Token::Number(_) => true,
        Token::Sign(sign) => matches!(*sign, b")" | b"]" | b"}" | b";" | b"..."),
        Token::Keyword(word) => matches!(
            *word,
            b"do" | b"then" | b"else" | b"repeat" | b"end" | b"break" | b"nil" | b"true" | b"false"
        ),
    }
}

const KEYWORDS: &[&[u8]] = &[
    b"and",
    b"break",
    b"do",
    b"else",
    b"elseif",
    b"end",
    b"false",
    b"for",
    b"function",
    b"if",
    b"in",
    b"local",
    b"nil",
    b"not",
    b"or",
    b"repeat",
    b"return",
    b"then",
    b"true",
    b"until",
    b"while",
];

/// Longer ones first.
const SIGNS: &[&[u8]] = &[
    b"...", b"..", b"==", b"~=", b"<=", b">=", b"+", b"-", b"*", b"/", b"%", b"^", b"#", b"<", b">", b"=",
    b"(", b")", b"{", b"}", b"[", b"]", b";", b":", b",", b".",
];

/// Scripts longer than this are not looked through.
const SOURCE_MAX: usize = 256 * 1024;
