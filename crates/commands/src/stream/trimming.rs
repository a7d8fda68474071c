//! MAXLEN, MINID and LIMIT, as XADD and XTRIM take them.

use super::{id, is};
use crate::ctx::Ctx;
use crate::error::CommandError;
use datatypes::stream::{GivenId, IdText, Log, Trim, TrimTo};
use datatypes::{Limits, StreamId};
use stdx::Args;

/// What XADD or XTRIM is to do.
#[derive(Debug)]
pub(super) struct Options {
    to: Option<TrimTo>,
    approximate: bool,
    limit: Option<u64>,
    /// NOMKSTREAM.
    pub(super) no_make: bool,
    /// XADD: the id, if one was given.
    pub(super) id: Option<GivenId>,
    /// XADD: where the id is; past the last argument if there is none.
    pub(super) id_at: usize,
}

impl Options {
    /// What `XADD key *` says.
    const NONE: Self = Self { to: None, approximate: false, limit: None, no_make: false, id: None, id_at: 2 };

    /// Reads what is between an XADD's key and its first field.
    #[inline]
    pub(super) fn of_add(ctx: &Ctx<'_>, args: Args<'_>) -> Result<Self, CommandError> {
        if args.at(2) == b"*" { Ok(Self::NONE) } else { Self::parse(ctx, args, true) }
    }

    /// Reads an XTRIM's options.
    pub(super) fn of_trim(ctx: &Ctx<'_>, args: Args<'_>) -> Result<Self, CommandError> {
        Self::parse(ctx, args, false)
    }

    fn parse(ctx: &Ctx<'_>, args: Args<'_>, is_add: bool) -> Result<Self, CommandError> {
        let mut options = Self::NONE;
        let mut at = 2;
        while at < args.len() {
            let (word, more) = (args.at(at), args.len() - at - 1);
            if is_add && word == b"*" {
                break;
            } else if more > 0 && (is(word, "MAXLEN") || is(word, "MINID")) {
                if options.to.is_some() {
                    return Err(CommandError::TRIM_TWICE);
                }
                let operator = args.at(at + 1);
                options.approximate = more >= 2 && operator == b"~";
                at += if more >= 2 && (operator == b"~" || operator == b"=") { 2 } else { 1 };
                options.to =
                    Some(if is(word, "MAXLEN") { len(ctx, args, at)? } else { TrimTo::Id(id(args.at(at))?) });
            } else if more > 0 && is(word, "LIMIT") {
                at += 1;
                let limit = u64::try_from(ctx.int(args, at)?).map_err(|_| CommandError::TRIM_LIMIT)?;
                options.limit = Some(limit);
            } else if is_add && is(word, "NOMKSTREAM") {
                options.no_make = true;
            } else if is_add {
                options.id = Some(StreamId::parse_new(word).ok_or(CommandError::STREAM_ID)?);
                break;
            } else {
                return Err(CommandError::Syntax);
            }
            at += 1;
        }
        options.id_at = at;
        if options.to.is_none() && options.limit.is_some_and(|limit| limit > 0) {
            return Err(CommandError::TRIM_LIMIT_ALONE);
        }
        if options.to.is_none() && !is_add {
            return Err(CommandError::TRIM_TO_NOTHING);
        }
        if options.limit.is_some() && !options.approximate {
            return Err(CommandError::TRIM_LIMIT_EXACT);
        }
        Ok(options)
    }

    /// Trims if that was asked for, and returns how many entries went.
    #[inline]
    pub(super) fn trim(&self, log: &mut Log, limits: &Limits) -> u64 {
        let Some(to) = self.to else { return 0 };
        let limit = if self.approximate { self.limit.unwrap_or_else(|| default_limit(limits)) } else { 0 };
        log.trim(&Trim { to, approximate: self.approximate, limit })
    }

    /// What trims exactly to what `log` is now.
    pub(super) fn exactly(&self, log: &Log) -> Option<TrimTo> {
        self.to.map(|to| match to {
            to if !self.approximate => to,
            TrimTo::Len(_) => TrimTo::Len(log.len()),
            TrimTo::Id(_) => TrimTo::Id(log.first_kept_id().unwrap_or(StreamId::MAX)),
        })
    }
}

/// Calls `then` with the arguments that trim to this, exactly.
pub(super) fn with_words(to: Option<TrimTo>, then: impl FnOnce(&[&[u8]])) {
    let (mut len, mut id) = (itoa::Buffer::new(), IdText::default());
    match to {
        None => then(&[]),
        Some(TrimTo::Len(to)) => then(&[b"MAXLEN", b"=", len.format(to).as_bytes()]),
        Some(TrimTo::Id(to)) => then(&[b"MINID", b"=", to.text(&mut id)]),
    }
}

fn len(ctx: &Ctx<'_>, args: Args<'_>, at: usize) -> Result<TrimTo, CommandError> {
    u64::try_from(ctx.int(args, at)?).map(TrimTo::Len).map_err(|_| CommandError::TRIM_MAXLEN)
}

/// Entries that approximate trimming removes at once when no LIMIT says otherwise: a hundred blocks.
fn default_limit(limits: &Limits) -> u64 {
    match (limits.stream_node_max_entries as u64).saturating_mul(100) {
        0 => 10_000,
        limit => limit.min(1_000_000),
    }
}
