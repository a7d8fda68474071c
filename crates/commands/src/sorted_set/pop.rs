//! ZPOPMIN, ZPOPMAX and ZMPOP, and their forms that wait.

use super::value::Shape;
use crate::ctx::{Ctx, Outcome, parse_int};
use crate::effects::Event;
use crate::error::CommandError;
use crate::parking::{Parking, Wanted, until_seconds};
use keyspace::Kind;
use resp::Proto;
use std::ops::Range;
use stdx::{Args, UnixMs};

/// Which end members are taken from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Min,
    Max,
}

impl End {
    /// The command as effects name it.
    fn command(self) -> &'static [u8] {
        match self {
            Self::Min => b"ZPOPMIN",
            Self::Max => b"ZPOPMAX",
        }
    }

    /// The command, and the event, of taking from here.
    fn name(self) -> &'static str {
        match self {
            Self::Min => "zpopmin",
            Self::Max => "zpopmax",
        }
    }
}

pub(super) fn zpopmin(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    zpop(ctx, args, End::Min)
}

pub(super) fn zpopmax(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    zpop(ctx, args, End::Max)
}

fn zpop(ctx: &mut Ctx<'_>, args: Args<'_>, end: End) -> Result<Outcome, CommandError> {
    if args.len() > 3 {
        return Err(CommandError::Syntax);
    }
    let count = match args.get(2) {
        None => 1,
        Some(text) => {
            let count = parse_int(text).and_then(|count| usize::try_from(count).ok());
            count.ok_or(CommandError::NOT_POSITIVE)?
        }
    };
    // One member without a count is a flat pair in RESP3 too.
    let nested = args.len() == 3 && ctx.caller.proto == Proto::Resp3;
    let shape = if nested { Shape::Nested } else { Shape::Pairs };
    if pop(ctx, args.at(1), end, count, |_, _| shape)?.is_none() {
        ctx.out.array(0);
    }
    Ok(Outcome::Done)
}

/// A number that is at least 1; any other text is answered by `otherwise`.
fn positive(text: &[u8], otherwise: CommandError) -> Result<usize, CommandError> {
    parse_int(text).filter(|count| *count > 0).map(|count| count as usize).ok_or(otherwise)
}

pub(super) fn bzpopmin(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    bzpop(ctx, args, End::Min)
}

pub(super) fn bzpopmax(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    bzpop(ctx, args, End::Max)
}

/// One member of the first sorted set that is there, with its key and score.
fn bzpop(ctx: &mut Ctx<'_>, args: Args<'_>, end: End) -> Result<Outcome, CommandError> {
    let last = args.len() - 1;
    let until = until_seconds(args.at(last), ctx.now)?;
    for key in args.part(1, last - 1).iter() {
        if ctx.core.is_reserved(key) {
            continue;
        }
        let popped = pop(ctx, key, end, 1, |out, key| {
            out.array(3);
            out.bulk(key);
            Shape::Bare
        })?;
        if popped.is_some() {
            ctx.effect(key, &[end.command(), key]);
            return Ok(Outcome::Done);
        }
    }
    park_or_null(ctx, until, 1..last)
}

/// Has the client wait for a sorted set at one of its keys, or answers that there is none.
fn park_or_null(
    ctx: &mut Ctx<'_>,
    until: Option<UnixMs>,
    keys: Range<usize>,
) -> Result<Outcome, CommandError> {
    if ctx.may_park {
        return Ok(ctx.park(Parking { until, keys, wanted: Wanted::ZSet, args: None }));
    }
    ctx.out.null_array();
    Ok(Outcome::Done)
}

pub(super) fn bzmpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let request = parse(args.from(1))?;
    let until = until_seconds(args.at(1), ctx.now)?;
    if pop_first(ctx, &request)? {
        return Ok(Outcome::Done);
    }
    park_or_null(ctx, until, 3..3 + request.keys_len)
}

pub(super) fn zmpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let request = parse(args)?;
    if !pop_first(ctx, &request)? {
        ctx.out.null_array();
    }
    Ok(Outcome::Done)
}

/// What ZMPOP and BZMPOP ask for.
struct Request<'a> {
    keys: Args<'a>,
    keys_len: usize,
    end: End,
    wanted: usize,
}

/// `args` begin right before the number of keys.
fn parse(args: Args<'_>) -> Result<Request<'_>, CommandError> {
    let keys = positive(args.at(1), CommandError::NUMKEYS)?;
    let at = keys.checked_add(2).filter(|at| *at < args.len()).ok_or(CommandError::Syntax)?;
    let end = match args.at(at) {
        word if word.eq_ignore_ascii_case(b"MIN") => End::Min,
        word if word.eq_ignore_ascii_case(b"MAX") => End::Max,
        _ => return Err(CommandError::Syntax),
    };
    let mut wanted = None;
    let mut words = args.from(at + 1).iter();
    while let Some(word) = words.next() {
        match words.next() {
            Some(text) if wanted.is_none() && word.eq_ignore_ascii_case(b"COUNT") => {
                wanted = Some(positive(text, CommandError::COUNT_ZERO)?);
            }
            _ => return Err(CommandError::Syntax),
        }
    }
    Ok(Request { keys: args.from(2), keys_len: keys, end, wanted: wanted.unwrap_or(1) })
}

/// Pops from the first sorted set that is there, and replies; false if none is.
fn pop_first(ctx: &mut Ctx<'_>, request: &Request<'_>) -> Result<bool, CommandError> {
    let end = request.end;
    for key in request.keys.iter().take(request.keys_len) {
        if ctx.core.is_reserved(key) {
            continue;
        }
        let popped = pop(ctx, key, end, request.wanted, |out, key| {
            out.array(2);
            out.bulk(key);
            Shape::Nested
        })?;
        if let Some(popped) = popped {
            ctx.effect(key, &[end.command(), key, itoa::Buffer::new().format(popped).as_bytes()]);
            return Ok(true);
        }
    }
    Ok(false)
}

/// Takes up to `count` members from one end and answers them, behind what `open` writes; returns how many. `None`, and
/// nothing is written, when there is no such key.
fn pop(
    ctx: &mut Ctx<'_>,
    key: &[u8],
    end: End,
    count: usize,
    open: impl FnOnce(&mut resp::Reply<'_>, &[u8]) -> Shape,
) -> Result<Option<usize>, CommandError> {
    let (at, out) = (ctx.key(key), &mut ctx.out);
    let edited = ctx.core.keyspace.edit(ctx.caller.db, at, Kind::ZSet, false, ctx.now, |editing| {
        let mut zset = editing.zset();
        let len = zset.get().len();
        let count = count.min(len);
        let ranks = if end == End::Min { 0..count } else { len - count..len };
        let shape = open(out, key);
        shape.open(out, count);
        zset.get().each(ranks.clone(), end == End::Max, |member, score| shape.write(out, member, score));
        if count > 0 {
            zset.remove_ranks(ranks);
        }
        editing.changed(count as u64);
        count
    })?;
    let Some(edited) = edited else { return Ok(None) };
    if edited.result > 0 {
        ctx.event(Event::ZSET, end.name(), key);
    }
    if edited.removed {
        ctx.event(Event::GENERIC, "del", key);
    }
    Ok(Some(edited.result))
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_effects, check_events};

    const ADD: &str = "ZADD z 1 a 2 b 3 c";

    #[test]
    fn members_are_taken_from_an_end() {
        check(&["ZPOPMIN z"], "*0");
        check(&[ADD, "ZPOPMIN z"], "*2 $1 a $1 1");
        check(&[ADD, "ZPOPMAX z 2"], "*4 $1 c $1 3 $1 b $1 2");
        check(&[ADD, "ZPOPMAX z 2", "ZRANGE z 0 -1"], "*1 $1 a");
        check(&[ADD, "HELLO 3", "ZPOPMAX z"], "*2 $1 c ,3");
        check(&[ADD, "HELLO 3", "ZPOPMAX z 2"], "*2 *2 $1 c ,3 *2 $1 b ,2");
        check(&[ADD, "ZPOPMIN z 0"], "*0");
        check(&[ADD, "ZPOPMIN z -1"], "-ERR value is out of range, must be positive");
        check(&[ADD, "ZPOPMIN z x"], "-ERR value is out of range, must be positive");
        check(&[ADD, "ZPOPMIN z 1 2"], "-ERR syntax error");
        check(&[ADD, "ZPOPMIN z 9", "EXISTS z"], ":0");
        check_events(&[ADD, "ZPOPMIN z 9"], "zpopmin:z del:z");
        check_effects(&[ADD, "ZPOPMIN z 9"], "ZPOPMIN z 9");
        check_effects(&[ADD, "ZPOPMIN z 0"], "");
    }

    #[test]
    fn the_forms_that_wait() {
        check(&[ADD, "BZPOPMIN x z 0"], "*3 $1 z $1 a $1 1");
        check(&[ADD, "HELLO 3", "BZPOPMAX z 0"], "*3 $1 z $1 c ,3");
        check(&["BZPOPMIN x z 0"], "(waits for 1..3 until None: ZSet)");
        check(&["BZPOPMAX z -1"], "-ERR timeout is negative");
        check(&[ADD, "BZMPOP 0 2 x z MAX COUNT 2"], "*2 $1 z *2 *2 $1 c $1 3 *2 $1 b $1 2");
        check(&["BZMPOP 0 2 x z MAX"], "(waits for 3..5 until None: ZSet)");
        check(&["BZMPOP x 1 z MIN"], "-ERR timeout is not a float or out of range");
        check(&["BZMPOP x 1 z MIN COUNT 0"], "-ERR count should be greater than 0");
        check_effects(&[ADD, "BZPOPMAX x z 0"], "ZPOPMAX z");
        check_effects(&[ADD, "BZMPOP 0 2 x z MIN COUNT 2"], "ZPOPMIN z 2");
        check_events(&[ADD, "BZPOPMAX z 0"], "zpopmax:z");
    }

    #[test]
    fn the_first_of_several_keys_gives() {
        check(&["ZMPOP 2 x z MIN"], "*-1");
        check(&[ADD, "ZMPOP 2 x z MIN"], "*2 $1 z *1 *2 $1 a $1 1");
        check(&[ADD, "ZMPOP 2 x z MAX COUNT 2"], "*2 $1 z *2 *2 $1 c $1 3 *2 $1 b $1 2");
        check(&[ADD, "ZMPOP 0 z MIN"], "-ERR numkeys should be greater than 0");
        check(&[ADD, "ZMPOP 1 z FOO"], "-ERR syntax error");
        check(&[ADD, "ZMPOP 9223372036854775807 z MIN"], "-ERR syntax error");
        check(&[ADD, "ZMPOP 1 z MIN COUNT 0"], "-ERR count should be greater than 0");
        check(&[ADD, "ZMPOP 1 z MIN COUNT 1 COUNT 1"], "-ERR syntax error");
        check_effects(&[ADD, "ZMPOP 2 x z MAX COUNT 9"], "ZPOPMAX z 3");
        check_events(&[ADD, "ZMPOP 2 x z MAX COUNT 9"], "zpopmax:z del:z");
    }
}
