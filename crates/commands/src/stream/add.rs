//! XADD.

use super::reply;
use super::trimming::{Options, with_words};
use crate::ctx::{Ctx, Outcome};
use crate::effects::Event;
use crate::error::CommandError;
use datatypes::StreamId;
use datatypes::stream::{AppendError, GivenId, IdText, Log, TrimTo};
use stdx::{Args, UnixMs};

#[inline]
pub(super) fn xadd(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let options = Options::of_add(ctx, args)?;
    let pairs = args.from(options.id_at + 1);
    if pairs.len() < 2 || !pairs.len().is_multiple_of(2) {
        return Err(CommandError::Arity("xadd".into()));
    }
    if options.id == Some(GivenId::Whole(StreamId::MIN)) {
        return Err(CommandError::STREAM_ID_ZERO);
    }
    let (now, key) = (ctx.now, args.at(1));
    let added = super::edit!(ctx, key, !options.no_make, |editing| {
        let limits = *editing.limits();
        let log = editing.stream().log_mut();
        let id = new_id(log, options.id, now)?;
        log.append(id, pairs, &limits).map_err(|error| match error {
            AppendError::NotGreater => CommandError::STREAM_ID_SMALL,
            AppendError::TooLarge => CommandError::STREAM_ENTRY_SIZE,
        })?;
        let trimmed = options.trim(log, &limits);
        let to = if ctx.core.effects.journals() { options.exactly(log) } else { None };
        editing.changed(1);
        reply::id(&mut ctx.out, id);
        Ok::<_, CommandError>((id, to, trimmed))
    })?;
    match added {
        None => ctx.out.null(),
        Some((id, to, trimmed)) => {
            // Behind the edit: it may have removed what had expired, and that comes first.
            if ctx.core.effects.journals() {
                journal(ctx, key, to, id, pairs);
            }
            ctx.event(Event::STREAM, "xadd", key);
            if trimmed > 0 {
                ctx.event(Event::STREAM, "xtrim", key);
            }
        }
    }
    Ok(Outcome::Done)
}

/// The id of the entry to come. Errors: it is not greater than the last one, or there is none greater.
#[inline]
fn new_id(log: &Log, given: Option<GivenId>, now: UnixMs) -> Result<StreamId, CommandError> {
    let last = log.last_id();
    let next = last.next().ok_or(CommandError::STREAM_EXHAUSTED)?;
    let id = match given {
        None if now.0 as u64 > last.ms => StreamId::new(now.0 as u64, 0),
        None => next,
        Some(GivenId::Whole(id)) => id,
        Some(GivenId::AnySeq(ms)) if ms != last.ms => StreamId::new(ms, 0),
        Some(GivenId::AnySeq(ms)) if next.ms == ms => next,
        Some(GivenId::AnySeq(_)) => return Err(CommandError::STREAM_ID_SMALL),
    };
    if id > last { Ok(id) } else { Err(CommandError::STREAM_ID_SMALL) }
}

#[cold]
fn journal(ctx: &mut Ctx<'_>, key: &[u8], to: Option<TrimTo>, id: StreamId, pairs: Args<'_>) {
    let mut text = IdText::default();
    let id = id.text(&mut text);
    with_words(to, |trim| {
        let head = [&b"XADD"[..], key].into_iter().chain(trim.iter().copied()).chain([id]);
        let args: Vec<&[u8]> = head.chain(pairs.iter()).collect();
        ctx.effect(key, &args);
    });
}

#[cfg(test)]
mod tests {
    use crate::testing::{World, check, check_effects, check_events};

    #[test]
    fn ids_are_given_or_made() {
        check(&["XADD s * f v"], "$15 1700000000000-0");
        check(&["XADD s * f v", "XADD s * f v"], "$15 1700000000000-1");
        check(&["XADD s 5 f v"], "$3 5-0");
        check(&["XADD s 5-* f v"], "$3 5-0");
        check(&["XADD s 5-3 f v", "XADD s 5-* f v"], "$3 5-4");
        check(&["XADD s 0-* f v"], "$3 0-1");
        check(&["XADD s 9999999999999-5 f v", "XADD s * f v"], "$15 9999999999999-6");
        check(&["XADD s 5 f v", "XADD s 5 f v"], SMALL);
        check(&["XADD s 5 f v", "XADD s 4-* f v"], SMALL);
        check(&["XADD s 5-18446744073709551615 f v", "XADD s 5-* f v"], SMALL);
        check(&["XADD s 5-18446744073709551615 f v", "XADD s 6 f v"], "$3 6-0");
        check(&["XADD s 0 f v"], "-ERR The ID specified in XADD must be greater than 0-0");
        check(&["XADD s 18446744073709551615-18446744073709551615 f v", "XADD s * f v"], EXHAUSTED);
    }

    const SMALL: &str = "-ERR The ID specified in XADD is equal or smaller than the target stream top item";
    const EXHAUSTED: &str = "-ERR The stream has exhausted the last possible ID, unable to add more items";

    #[test]
    fn nothing_is_left_of_a_failure() {
        check(&["XADD s 0 f v", "EXISTS s"], ":0");
        check(&["XADD s NOMKSTREAM * f v"], "$-1");
        check(&["XADD s NOMKSTREAM * f v", "EXISTS s"], ":0");
        check(&["XADD s 1 f v", "XADD s NOMKSTREAM 2 f v"], "$3 2-0");
        check(
            &["SET s v", "XADD s * f v"],
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
    }

    #[test]
    fn what_is_wrong_is_told_in_order() {
        let arity = "-ERR wrong number of arguments for 'xadd' command";
        check(&["XADD s * f"], arity);
        check(&["XADD s * f v g"], arity);
        check(&["XADD s MAXLEN 1 *"], arity);
        check(&["XADD s MAXLEN x * f v"], "-ERR value is not an integer or out of range");
        check(&["XADD s MAXLEN -1 * f v"], "-ERR The MAXLEN argument must be >= 0.");
        check(&["XADD s MINID x * f v"], "-ERR Invalid stream ID specified as stream command argument");
        check(&["XADD s FOO 1 f v"], "-ERR Invalid stream ID specified as stream command argument");
        check(
            &["XADD s MAXLEN = 1 LIMIT 2 * f v"],
            "-ERR syntax error, LIMIT cannot be used without the special ~ option",
        );
        check(
            &["XADD s LIMIT 2 * f v"],
            "-ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
        );
        check(
            &["XADD s MAXLEN 1 MINID 2 * f v"],
            "-ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
        );
    }

    #[test]
    fn an_addition_trims() {
        check(
            &["XADD s 1 f v", "XADD s 2 f v", "XADD s MAXLEN 1 3 f v", "XRANGE s - +"],
            "*1 *2 $3 3-0 *2 $1 f $1 v",
        );
        check(&["XADD s 1 f v", "XADD s MAXLEN ~ 1 3 f v", "XLEN s"], ":2");
        check(&["XADD s 1 f v", "XADD s MINID = 3 3 f v", "XLEN s"], ":1");
    }

    #[test]
    fn effects_have_the_id_and_trim_exactly() {
        check_effects(&["XADD s * f v"], "XADD s 1700000000000-0 f v");
        check_effects(&["XADD s 7-* f v"], "XADD s 7-0 f v");
        check_effects(&["XADD s MAXLEN ~ 1 LIMIT 10 1 f v"], "XADD s MAXLEN = 1 1-0 f v");
        check_effects(&["XADD s 1 f v", "XADD s MINID ~ 2 2 f v"], "XADD s MINID = 1-0 2-0 f v");
        check_effects(&["XADD s NOMKSTREAM 1 f v"], "");
        check_events(&["XADD s 1 f v", "XADD s MAXLEN 1 2 f v"], "xadd:s xtrim:s");
    }

    #[test]
    fn time_that_goes_back_does_not_take_ids_along() {
        let mut world = World::new(1);
        world.run("XADD s * f v");
        world.wait_ms(-5);
        world.check(&["XADD s * f v"], "$15 1700000000000-1");
    }
}
