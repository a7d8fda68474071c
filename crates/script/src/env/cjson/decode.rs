//! cjson.decode.

use super::number::{is_invalid, strtod};
use super::options::{Options, of_call};
use crate::lua::{Answer, Raise, Stack};

pub(super) fn decode(stack: Stack<'_>) -> Answer {
    let options = of_call(stack)?;
    let text = stack.check_bytes(1)?;
    if text.len() >= 2 && (text[0] == 0 || text[1] == 0) {
        return Err(Raise::Text("JSON parser does not support UTF-16 or UTF-32"));
    }
    let mut strings = stack.context().scratch.borrow_mut();
    let mut parser = Parser { stack, text, at: 0, depth: 0, options: &options, string: &mut strings };
    let first = parser.next_token();
    parser.value(first)?;
    match parser.next_token() {
        Token { what: What::End, .. } => Ok(1),
        token => Err(parser.expected("the end", &token)),
    }
}

struct Parser<'a> {
    stack: Stack<'a>,
    text: &'a [u8],
    at: usize,
    depth: i32,
    options: &'a Options,
    /// The last string that was read.
    string: &'a mut Vec<u8>,
}

struct Token {
    what: What,
    /// Where it begins or, of an error, is wrong.
    at: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum What {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    /// It is in the parser's `string`.
    String,
    Number(f64),
    Boolean(bool),
    Null,
    Colon,
    Comma,
    End,
    Error(&'static str),
}

impl What {
    fn name(self) -> &'static str {
        match self {
            Self::ObjectBegin => "T_OBJ_BEGIN",
            Self::ObjectEnd => "T_OBJ_END",
            Self::ArrayBegin => "T_ARR_BEGIN",
            Self::ArrayEnd => "T_ARR_END",
            Self::String => "T_STRING",
            Self::Number(_) => "T_NUMBER",
            Self::Boolean(_) => "T_BOOLEAN",
            Self::Null => "T_NULL",
            Self::Colon => "T_COLON",
            Self::Comma => "T_COMMA",
            Self::End => "T_END",
            Self::Error(text) => text,
        }
    }
}

impl Parser<'_> {
    /// Pushes the value that `token` begins.
    fn value(&mut self, token: Token) -> Result<(), Raise> {
        if !self.stack.has_room(0) {
            return Err(Raise::NO_MEMORY);
        }
        match token.what {
            What::String => self.stack.push_bytes(self.string),
            What::Number(value) => self.stack.push_number(value),
            What::Boolean(value) => self.stack.push_bool(value),
            What::ObjectBegin => return self.object(),
            What::ArrayBegin => return self.array(),
            What::Null => self.stack.push_null(),
            _ => return Err(self.expected("value", &token)),
        }
        Ok(())
    }

    fn object(&mut self) -> Result<(), Raise> {
        self.descend()?;
        self.stack.push_table(0, 0);
        let mut token = self.next_token();
        if token.what == What::ObjectEnd {
            self.depth -= 1;
            return Ok(());
        }
        loop {
            if token.what != What::String {
                return Err(self.expected("object key string", &token));
            }
            self.stack.push_bytes(self.string);
            token = self.next_token();
            if token.what != What::Colon {
                return Err(self.expected("colon", &token));
            }
            token = self.next_token();
            self.value(token)?;
            self.stack.set(-3);
            token = self.next_token();
            match token.what {
                What::ObjectEnd => break,
                What::Comma => token = self.next_token(),
                _ => return Err(self.expected("comma or object end", &token)),
            }
        }
        self.depth -= 1;
        Ok(())
    }

    fn array(&mut self) -> Result<(), Raise> {
        self.descend()?;
        self.stack.push_table(0, 0);
        let mut token = self.next_token();
        if token.what == What::ArrayEnd {
            self.depth -= 1;
            return Ok(());
        }
        for index in 1.. {
            self.value(token)?;
            self.stack.set_item(-2, index);
            token = self.next_token();
            match token.what {
                What::ArrayEnd => break,
                What::Comma => token = self.next_token(),
                _ => return Err(self.expected("comma or array end", &token)),
            }
        }
        self.depth -= 1;
        Ok(())
    }

    fn descend(&mut self) -> Result<(), Raise> {
        self.depth += 1;
        if self.depth <= self.options.decode_depth_max.min(DEPTH_MAX) && self.stack.reserve(3) {
            return Ok(());
        }
        let (depth, at) = (self.depth, self.at);
        let text = format_args!("Found too many nested data structures ({depth}) at character {at}");
        Err(self.stack.error(text))
    }

    fn expected(&self, what: &str, token: &Token) -> Raise {
        let (found, at) = (token.what.name(), token.at + 1);
        self.stack.error(format_args!("Expected {what} but found {found} at character {at}"))
    }

    /// The byte at `at`, 0 at the end: so a NUL ends the text, as in the original.
    fn byte(&self, at: usize) -> u8 {
        self.text.get(at).copied().unwrap_or(0)
    }

    fn next_token(&mut self) -> Token {
        while matches!(self.byte(self.at), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
        let at = self.at;
        let single = match self.byte(at) {
            b'{' => Some(What::ObjectBegin),
            b'}' => Some(What::ObjectEnd),
            b'[' => Some(What::ArrayBegin),
            b']' => Some(What::ArrayEnd),
            b',' => Some(What::Comma),
            b':' => Some(What::Colon),
            _ => None,
        };
        if let Some(what) = single {
            self.at += 1;
            return Token { what, at };
        }
        let what = match self.byte(at) {
            0 => What::End,
            b'"' => match self.string_token() {
                Ok(()) => What::String,
                Err(text) => return Token { what: What::Error(text), at: self.at },
            },
            b'-' | b'0'..=b'9' => {
                if !self.options.decode_invalid && is_invalid(&self.text[at..]) {
                    What::Error("invalid number")
                } else {
                    self.number_token()
                }
            }
            b'f' | b'i' | b'I' | b'n' | b'N' | b't' | b'+' => self.word_token(),
            _ => What::Error("invalid token"),
        };
        Token { what, at }
    }

    fn word_token(&mut self) -> What {
        let rest = &self.text[self.at..];
        for (word, what) in
            [("true", What::Boolean(true)), ("false", What::Boolean(false)), ("null", What::Null)]
        {
            if rest.starts_with(word.as_bytes()) {
                self.at += word.len();
                return what;
            }
        }
        if self.options.decode_invalid && is_invalid(rest) {
            return self.number_token();
        }
        What::Error("invalid token")
    }

    fn number_token(&mut self) -> What {
        let Some((value, len)) = strtod(&self.text[self.at..]) else { return What::Error("invalid number") };
        self.at += len;
        What::Number(value)
    }

    /// Reads the string at whose opening quote it stands. Errors: what is wrong, where it then stands.
    fn string_token(&mut self) -> Result<(), &'static str> {
        self.at += 1;
        self.string.clear();
        loop {
            match self.byte(self.at) {
                b'"' => break,
                0 => return Err("unexpected end of string"),
                b'\\' => self.escape()?,
                byte => {
                    self.string.push(byte);
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        Ok(())
    }

    fn escape(&mut self) -> Result<(), &'static str> {
        let byte = match self.byte(self.at + 1) {
            byte @ (b'"' | b'\\' | b'/') => byte,
            b'b' => 0x08,
            b't' => b'\t',
            b'n' => b'\n',
            b'f' => 0x0C,
            b'r' => b'\r',
            b'u' => return self.unicode().ok_or("invalid unicode escape code"),
            _ => return Err("invalid escape code"),
        };
        self.string.push(byte);
        self.at += 2;
        Ok(())
    }

    /// `\uXXXX`, or two of them that make one character.
    fn unicode(&mut self) -> Option<()> {
        let unit = |at: usize| {
            let digits = self.text.get(at + 2..at + 6).filter(|_| self.text[at..].starts_with(b"\\u"))?;
            digits.iter().try_fold(0, |unit, &digit| Some(unit << 4 | (digit as char).to_digit(16)?))
        };
        let first = unit(self.at)?;
        let (code, len) = match first {
            0xD800..0xDC00 => match unit(self.at + 6)? {
                second @ 0xDC00..0xE000 => (0x10000 + ((first & 0x3FF) << 10 | second & 0x3FF), 12),
                _ => return None,
            },
            0xDC00..0xE000 => return None,
            code => (code, 6),
        };
        let character = char::from_u32(code)?;
        self.string.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        self.at += len;
        Some(())
    }
}

/// However deep a script allows it: the values' tables are on Lua's stack, which holds some 8,000.
const DEPTH_MAX: i32 = 4000;
