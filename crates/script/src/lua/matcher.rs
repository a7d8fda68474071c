//! Lua's patterns: what `string.find` and its kin look for.
//!
//! Lua's own matcher cannot be stopped: a pattern with many repetitions takes longer than anybody waits, or calls itself
//! until the stack is used up. This one counts its steps, has them looked at now and then, and goes so deep only. It owns
//! nothing, so that errors may leave its frames behind.
//!
//! Source: the reference manual of Lua 5.1, chapter 5.4.1, and its behaviour where that says nothing: a pattern ends at its
//! first NUL.

/// A text, a pattern, and what the match under way has captured.
pub(super) struct Matcher<'a> {
    text: &'a [u8],
    pattern: &'a [u8],
    captures: [Capture; CAPTURES_MAX],
    level: usize,
    depth: u32,
    /// Steps until the next look.
    left: usize,
    /// Asked every [`STEPS`] or so: whether to go on.
    goes_on: &'a dyn Fn() -> bool,
}

/// Where a capture begins, and what is known of its length.
#[derive(Clone, Copy)]
struct Capture {
    start: usize,
    len: Len,
}

#[derive(Clone, Copy, PartialEq)]
enum Len {
    Is(usize),
    /// Its end was not met yet.
    Open,
    /// `()`: it is a position.
    Position,
}

/// What was captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Captured<'a> {
    Text(&'a [u8]),
    /// From 1.
    Position(usize),
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    EndsInPercent,
    NoBracket,
    NoBracketAfterF,
    Unbalanced,
    BadCapture,
    BadIndex,
    Unfinished,
    TooMany,
    TooDeep,
    /// It was told not to go on.
    Stopped,
}

/// Where the match ends, if there is one.
type Found = Result<Option<usize>, Fault>;

impl<'a> Matcher<'a> {
    pub(super) fn new(text: &'a [u8], pattern: &'a [u8], goes_on: &'a dyn Fn() -> bool) -> Self {
        let captures = [Capture { start: 0, len: Len::Open }; CAPTURES_MAX];
        Self { text, pattern, captures, level: 0, depth: 0, left: STEPS, goes_on }
    }

    /// Matches the pattern, from its place `from` on, with the text from `at` on: where that ends.
    pub(super) fn find(&mut self, at: usize, from: usize) -> Found {
        (self.level, self.depth) = (0, 0);
        self.at(at, from)
    }

    /// How many captures the last match has.
    pub(super) fn captures(&self) -> usize {
        self.level
    }

    /// A capture of the last match, which was of `whole`; without captures, the first is that.
    pub(super) fn captured(
        &self,
        index: usize,
        whole: std::ops::Range<usize>,
    ) -> Result<Captured<'a>, Fault> {
        if index >= self.level {
            return if index == 0 { Ok(Captured::Text(&self.text[whole])) } else { Err(Fault::BadIndex) };
        }
        let capture = self.captures[index];
        match capture.len {
            Len::Is(len) => Ok(Captured::Text(&self.text[capture.start..capture.start + len])),
            Len::Position => Ok(Captured::Position(capture.start + 1)),
            Len::Open => Err(Fault::Unfinished),
        }
    }

    /// A byte of the pattern; 0 at its end.
    #[inline]
    fn byte(&self, at: usize) -> u8 {
        self.pattern.get(at).copied().unwrap_or(0)
    }

    /// What was matched.
    pub(super) fn text(&self, whole: std::ops::Range<usize>) -> &'a [u8] {
        &self.text[whole]
    }

    /// Counts steps.
    #[inline]
    fn spend(&mut self, steps: usize) -> Result<(), Fault> {
        match self.left.checked_sub(steps) {
            Some(left) => self.left = left,
            None => self.look()?,
        }
        Ok(())
    }

    #[cold]
    fn look(&mut self) -> Result<(), Fault> {
        self.left = STEPS;
        if (self.goes_on)() { Ok(()) } else { Err(Fault::Stopped) }
    }

    /// The same as [`Self::at`], one call deeper.
    fn deeper(&mut self, s: usize, p: usize) -> Found {
        if self.depth == DEPTH_MAX {
            return Err(Fault::TooDeep);
        }
        self.depth += 1;
        let found = self.at(s, p);
        self.depth -= 1;
        found
    }

    /// Matches the pattern from `p` on with the text from `s` on.
    fn at(&mut self, mut s: usize, mut p: usize) -> Found {
        loop {
            self.spend(1)?;
            match (self.byte(p), self.byte(p + 1)) {
                (0, _) => return Ok(Some(s)),
                (b'(', b')') => return self.open(s, p + 2, Len::Position),
                (b'(', _) => return self.open(s, p + 1, Len::Open),
                (b')', _) => return self.close(s, p + 1),
                (b'$', 0) => return Ok((s == self.text.len()).then_some(s)),
                (b'%', b'b') => {
                    let Some(end) = self.balanced(s, p + 2)? else { return Ok(None) };
                    (s, p) = (end, p + 4);
                }
                (b'%', b'f') => {
                    let Some(next) = self.frontier(s, p + 2)? else { return Ok(None) };
                    p = next;
                }
                (b'%', digit @ b'0'..=b'9') => {
                    let Some(end) = self.again(s, digit)? else { return Ok(None) };
                    (s, p) = (end, p + 2);
                }
                _ => match self.single(s, p)? {
                    Next::Is(found) => return Ok(found),
                    Next::At(next_s, next_p) => (s, p) = (next_s, next_p),
                },
            }
        }
    }

    /// One character or class, with what follows it.
    fn single(&mut self, s: usize, p: usize) -> Result<Next, Fault> {
        let end = self.class_end(p)?;
        let matches = self.matches(s, p, end);
        let found = match self.byte(end) {
            b'?' => {
                let found = if matches { self.deeper(s + 1, end + 1)? } else { None };
                if found.is_none() {
                    return Ok(Next::At(s, end + 1));
                }
                found
            }
            b'*' => self.most(s, p, end)?,
            b'+' if matches => self.most(s + 1, p, end)?,
            b'+' => None,
            b'-' => self.least(s, p, end)?,
            _ if matches => return Ok(Next::At(s + 1, end)),
            _ => None,
        };
        Ok(Next::Is(found))
    }

    /// As many as there are, then fewer.
    fn most(&mut self, s: usize, p: usize, end: usize) -> Found {
        let mut count = 0;
        while self.matches(s + count, p, end) {
            count += 1;
        }
        self.spend(count)?;
        loop {
            let found = self.deeper(s + count, end + 1)?;
            if found.is_some() || count == 0 {
                return Ok(found);
            }
            count -= 1;
        }
    }

    /// None, then more.
    fn least(&mut self, mut s: usize, p: usize, end: usize) -> Found {
        loop {
            let found = self.deeper(s, end + 1)?;
            if found.is_some() || !self.matches(s, p, end) {
                return Ok(found);
            }
            s += 1;
        }
    }

    fn open(&mut self, s: usize, p: usize, len: Len) -> Found {
        if self.level == CAPTURES_MAX {
            return Err(Fault::TooMany);
        }
        self.captures[self.level] = Capture { start: s, len };
        self.level += 1;
        let found = self.deeper(s, p)?;
        if found.is_none() {
            self.level -= 1;
        }
        Ok(found)
    }

    fn close(&mut self, s: usize, p: usize) -> Found {
        let open = self.captures[..self.level].iter().rposition(|capture| capture.len == Len::Open);
        let index = open.ok_or(Fault::BadCapture)?;
        self.captures[index].len = Len::Is(s - self.captures[index].start);
        let found = self.deeper(s, p)?;
        if found.is_none() {
            self.captures[index].len = Len::Open;
        }
        Ok(found)
    }

    /// `%1`: what was captured, once more.
    fn again(&mut self, s: usize, digit: u8) -> Found {
        let index = usize::from(digit).wrapping_sub(usize::from(b'1'));
        let capture = *self.captures[..self.level].get(index).ok_or(Fault::BadIndex)?;
        match capture.len {
            Len::Is(len) => {
                let captured = &self.text[capture.start..capture.start + len];
                self.spend(len)?;
                Ok(self.text[s..].starts_with(captured).then_some(s + len))
            }
            Len::Position => Ok(None),
            Len::Open => Err(Fault::BadIndex),
        }
    }

    /// `%bxy`
    fn balanced(&mut self, s: usize, p: usize) -> Found {
        let (begin, end) = (self.byte(p), self.byte(p + 1));
        if begin == 0 || end == 0 {
            return Err(Fault::Unbalanced);
        }
        if self.text.get(s) != Some(&begin) {
            return Ok(None);
        }
        let mut open = 1;
        self.spend(self.text.len() - s)?;
        for (at, &byte) in self.text.iter().enumerate().skip(s + 1) {
            if byte == end {
                open -= 1;
                if open == 0 {
                    return Ok(Some(at + 1));
                }
            } else if byte == begin {
                open += 1;
            }
        }
        Ok(None)
    }

    /// `%f[set]`: where the pattern goes on, if a word of the set begins here.
    fn frontier(&self, s: usize, p: usize) -> Result<Option<usize>, Fault> {
        if self.byte(p) != b'[' {
            return Err(Fault::NoBracketAfterF);
        }
        let end = self.class_end(p)?;
        let before = if s == 0 { 0 } else { self.text[s - 1] };
        let here = self.text.get(s).copied().unwrap_or(0);
        let begins = !self.in_set(before, p, end - 1) && self.in_set(here, p, end - 1);
        Ok(begins.then_some(end))
    }

    /// Where the character or class at `p` ends.
    fn class_end(&self, p: usize) -> Result<usize, Fault> {
        match (self.byte(p), self.byte(p + 1)) {
            (b'%', 0) => Err(Fault::EndsInPercent),
            (b'%', _) => Ok(p + 2),
            (b'[', first) => {
                let mut at = if first == b'^' { p + 2 } else { p + 1 };
                // The first one is no end, even if it is a bracket.
                loop {
                    let byte = self.byte(at);
                    if byte == 0 {
                        return Err(Fault::NoBracket);
                    }
                    at += if byte == b'%' && self.byte(at + 1) != 0 { 2 } else { 1 };
                    if self.byte(at) == b']' {
                        return Ok(at + 1);
                    }
                }
            }
            _ => Ok(p + 1),
        }
    }

    /// Whether there is a character at `s`, and it is what `p` to `end` says.
    #[inline]
    fn matches(&self, s: usize, p: usize, end: usize) -> bool {
        let Some(&byte) = self.text.get(s) else { return false };
        match self.byte(p) {
            b'.' => true,
            b'%' => in_class(byte, self.byte(p + 1)),
            b'[' => self.in_set(byte, p, end - 1),
            literal => literal == byte,
        }
    }

    /// Whether `byte` is in the set whose brackets are at `open` and `close`.
    fn in_set(&self, byte: u8, open: usize, close: usize) -> bool {
        let is_not = self.byte(open + 1) == b'^';
        let mut at = open + 1 + usize::from(is_not);
        while at < close {
            let (first, second) = (self.byte(at), self.byte(at + 1));
            if first == b'%' {
                if in_class(byte, second) {
                    return !is_not;
                }
                at += 2;
            } else if second == b'-' && at + 2 < close {
                if (first..=self.byte(at + 2)).contains(&byte) {
                    return !is_not;
                }
                at += 3;
            } else {
                if first == byte {
                    return !is_not;
                }
                at += 1;
            }
        }
        is_not
    }
}

/// Where the matcher goes on, or what came of it.
enum Next {
    Is(Option<usize>),
    At(usize, usize),
}

/// `%a` and its kin.
fn in_class(byte: u8, class: u8) -> bool {
    let is_in = match class.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        // Unlike Rust, C counts the vertical tab.
        b's' => byte.is_ascii_whitespace() || byte == 0x0B,
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        b'z' => byte == 0,
        _ => return class == byte,
    };
    is_in != class.is_ascii_uppercase()
}

impl Fault {
    /// In Lua's words.
    pub(super) fn text(self) -> &'static std::ffi::CStr {
        match self {
            Self::EndsInPercent => c"malformed pattern (ends with '%%')",
            Self::NoBracket => c"malformed pattern (missing ']')",
            Self::NoBracketAfterF => c"missing '[' after '%%f' in pattern",
            Self::Unbalanced => c"unbalanced pattern",
            Self::BadCapture => c"invalid pattern capture",
            Self::BadIndex => c"invalid capture index",
            Self::Unfinished => c"unfinished capture",
            Self::TooMany => c"too many captures",
            Self::TooDeep => c"pattern too complex",
            Self::Stopped => c"stopped",
        }
    }
}

/// Captures of one pattern.
const CAPTURES_MAX: usize = 32;
/// Calls within each other.
const DEPTH_MAX: u32 = 1000;
/// So many steps pass between two looks.
const STEPS: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, pattern: &str, expected: Found) {
        let found = Matcher::new(text.as_bytes(), pattern.as_bytes(), &|| true).find(0, 0);
        assert_eq!(found, expected, "{pattern} in {text}");
    }

    #[test]
    fn patterns_match_from_a_place_on() {
        check("abc", "", Ok(Some(0)));
        check("abc", "a.c", Ok(Some(3)));
        check("abc", "b", Ok(None));
        check("aaab", "a*b", Ok(Some(4)));
        check("aaab", "a-", Ok(Some(0)));
        check("aaab", "a-b", Ok(Some(4)));
        check("ab", "a?b?c?$", Ok(Some(2)));
        check("x]y", "[]x]+", Ok(Some(2)));
        check("key=value", "(%w+)=(%w+)", Ok(Some(9)));
        check("f(a(b)c)d", "f%b()", Ok(Some(8)));
        check("abab", "(ab)%1", Ok(Some(4)));
        check("THE (quick)", "%f[%a]%a+", Ok(Some(3)));
        check("-9", "[%d-]+", Ok(Some(2)));
        check("a\0b", "a%zb", Ok(Some(3)));
    }

    #[test]
    fn wrong_patterns_are_told() {
        check("a", "%", Err(Fault::EndsInPercent));
        check("a", "[a", Err(Fault::NoBracket));
        check("a", "[]", Err(Fault::NoBracket));
        check("a", "a%f", Err(Fault::NoBracketAfterF));
        check("a", "%b(", Err(Fault::Unbalanced));
        check("a", "a)", Err(Fault::BadCapture));
        check("a", "%1", Err(Fault::BadIndex));
        check("a", "(%1)", Err(Fault::BadIndex));
        check("a", &"()".repeat(33), Err(Fault::TooMany));
    }

    #[test]
    fn a_match_is_stopped_and_goes_so_deep_only() {
        let (text, pattern) = ("a".repeat(30), "a?".repeat(30) + &"a".repeat(30) + "b");
        let mut matcher = Matcher::new(text.as_bytes(), pattern.as_bytes(), &|| false);
        assert_eq!(matcher.find(0, 0), Err(Fault::Stopped));
        check(&"a".repeat(20_000), &"a?".repeat(20_000), Err(Fault::TooDeep));
        check(&"a".repeat(20_000), &"a".repeat(20_000), Ok(Some(20_000)));
    }
}
