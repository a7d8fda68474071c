//! SORT's options.

use super::pattern::Pattern;
use crate::ctx::parse_int;
use crate::error::CommandError;
use std::ops::Range;
use stdx::Args;

/// What a command asks for.
#[derive(Debug, Default)]
pub(super) struct Options<'a> {
    /// BY with a place for the element.
    pub(super) by: Option<Pattern<'a>>,
    /// BY without one, at least once: elements stay in their order.
    pub(super) unsorted: bool,
    /// GET, in order; `None` is `#`, the element itself.
    pub(super) gets: Vec<Option<Pattern<'a>>>,
    pub(super) desc: bool,
    pub(super) alpha: bool,
    pub(super) store: Option<&'a [u8]>,
    offset: i64,
    count: Option<i64>,
}

/// How many words follow this option.
pub(super) fn values(word: &[u8]) -> usize {
    let one = [&b"by"[..], b"get", b"store"];
    if word.eq_ignore_ascii_case(b"limit") {
        2
    } else {
        usize::from(one.iter().any(|option| word.eq_ignore_ascii_case(option)))
    }
}

impl<'a> Options<'a> {
    /// Reads the options, which begin at argument 2. Errors: `Syntax`; `NotInteger` in LIMIT.
    pub(super) fn parse(args: Args<'a>, may_store: bool) -> Result<Self, CommandError> {
        let mut options = Self::default();
        let mut at = 2;
        while let Some(word) = args.get(at) {
            let values = values(word);
            if at + values >= args.len() {
                return Err(CommandError::Syntax);
            }
            options.read(word, args.from(at + 1), may_store)?;
            at += 1 + values;
        }
        Ok(options)
    }

    fn read(&mut self, word: &[u8], values: Args<'a>, may_store: bool) -> Result<(), CommandError> {
        let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
        if is(b"asc") {
            self.desc = false;
        } else if is(b"desc") {
            self.desc = true;
        } else if is(b"alpha") {
            self.alpha = true;
        } else if is(b"limit") {
            self.offset = parse_int(values.at(0)).ok_or(CommandError::NotInteger)?;
            self.count = Some(parse_int(values.at(1)).ok_or(CommandError::NotInteger)?);
        } else if is(b"store") && may_store {
            self.store = Some(values.at(0));
        } else if is(b"by") {
            let pattern = Pattern::new(values.at(0));
            self.unsorted |= !pattern.has_place();
            self.by = Some(pattern);
        } else if is(b"get") {
            let word = values.at(0);
            self.gets.push((word != b"#").then(|| Pattern::new(word)));
        } else {
            return Err(CommandError::Syntax);
        }
        Ok(())
    }

    /// The patterns that keys are made from, for each element.
    pub(super) fn patterns(&self) -> impl Iterator<Item = &Pattern<'a>> {
        let by = self.by.iter().filter(|_| !self.unsorted);
        by.chain(self.gets.iter().flatten()).filter(|pattern| pattern.has_place())
    }

    /// Which of `len` sorted elements LIMIT leaves.
    pub(super) fn range(&self, len: usize) -> Range<usize> {
        let start = usize::try_from(self.offset).unwrap_or(0).min(len);
        let count = self.count.and_then(|count| usize::try_from(count).ok()).unwrap_or(len);
        start..start.saturating_add(count).min(len)
    }
}
