//! LMPOP and BLMPOP.

use super::{ENDS, parse_count, parse_end, popped, reply};
use crate::ctx::{Ctx, Outcome};
use crate::effects::Journal;
use crate::error::CommandError;
use crate::parking::{Parking, Wanted, until_seconds};
use crate::row::{Arg, BeginSearch, Command, Crossing, FindKeys, Flags, KeySpec};
use datatypes::Kind;
use datatypes::list::End;
use stdx::Args;

pub(super) const LMPOP: Command = Command {
    name: "lmpop",
    arity: -4,
    flags: Flags::WRITE,
    categories: &["list"],
    keys: &[KeySpec {
        begin: BeginSearch::Index(1),
        find: FindKeys::KeyNum { count: 0, first: 1, step: 1 },
        flags: &["RW", "access", "delete"],
        notes: "",
    }],
    crossing: Crossing::TwoHops,
    journal: Journal::Rewritten,
    handler: lmpop,
    summary: "Takes elements out of the first of several lists that is there, and answers its key and them.",
    since: "7.0.0",
    group: "list",
    complexity: "O(N+M) with N the number of keys and M the number of elements answered",
    args: &[
        Arg::new("numkeys", "integer"),
        Arg::key().multiple(),
        Arg::one_of("where", ENDS),
        Arg::new("count", "integer").after("COUNT").optional(),
    ],
    ..Command::EMPTY
};

pub(super) const BLMPOP: Command = Command {
    name: "blmpop",
    arity: -5,
    flags: Flags::WRITE.or(Flags::BLOCKING),
    keys: &[KeySpec {
        begin: BeginSearch::Index(2),
        find: FindKeys::KeyNum { count: 0, first: 1, step: 1 },
        flags: &["RW", "access", "delete"],
        notes: "",
    }],
    handler: blmpop,
    summary: "Takes elements out of the first of several lists that is there, and answers its key and them; waits for one \
              if there is none.",
    args: &[
        Arg::new("timeout", "double"),
        Arg::new("numkeys", "integer"),
        Arg::key().multiple(),
        Arg::one_of("where", ENDS),
        Arg::new("count", "integer").after("COUNT").optional(),
    ],
    ..LMPOP
};

struct Request<'a> {
    keys: Args<'a>,
    keys_len: usize,
    end: End,
    count: usize,
}

fn lmpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let request = parse(args)?;
    if !pop_first(ctx, &request)? {
        ctx.out.null_array();
    }
    Ok(Outcome::Done)
}

fn blmpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let request = parse(args.from(1))?;
    let until = until_seconds(args.at(1), ctx.now)?;
    if pop_first(ctx, &request)? {
        return Ok(Outcome::Done);
    }
    if !ctx.may_park {
        ctx.out.null_array();
        return Ok(Outcome::Done);
    }
    Ok(ctx.park(Parking { until, keys: 3..3 + request.keys_len, wanted: Wanted::List, args: None }))
}

/// Pops from the first list that is there, and replies; false if none is.
fn pop_first(ctx: &mut Ctx<'_>, request: &Request<'_>) -> Result<bool, CommandError> {
    for key in request.keys.iter().take(request.keys_len) {
        if !ctx.core.is_reserved(key) && pop(ctx, key, request)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Pops from one list, and replies; false if there is no such list.
fn pop(ctx: &mut Ctx<'_>, name: &[u8], request: &Request<'_>) -> Result<bool, CommandError> {
    let (key, end) = (ctx.key(name), request.end);
    let edited = ctx.core.keyspace.edit(ctx.caller.db, key, Kind::List, false, ctx.now, |editing| {
        let mut list = editing.list();
        let count = request.count.min(list.as_ref().len());
        ctx.out.array(2);
        ctx.out.bulk(name);
        ctx.out.array(count);
        list.pop(end, count, |element| reply(&mut ctx.out, element));
        editing.changed(count as u64);
        count
    })?;
    let Some(edited) = edited else { return Ok(false) };
    let command: &[u8] = if end == End::Front { b"LPOP" } else { b"RPOP" };
    ctx.effect(name, &[command, name, itoa::Buffer::new().format(edited.result).as_bytes()]);
    popped(ctx, name, end, edited.removed);
    Ok(true)
}

/// `args` begin right before the number of keys.
fn parse(args: Args<'_>) -> Result<Request<'_>, CommandError> {
    let keys_len = parse_count(args.at(1), 1, CommandError::NUMKEYS)?;
    let at = keys_len.checked_add(2).ok_or(CommandError::Syntax)?;
    let end = parse_end(args.get(at).ok_or(CommandError::Syntax)?)?;
    let count = match (args.get(at + 1), args.get(at + 2)) {
        (None, _) => 1,
        (Some(word), Some(count)) if word.eq_ignore_ascii_case(b"count") => {
            parse_count(count, 1, CommandError::COUNT_ZERO)?
        }
        _ => return Err(CommandError::Syntax),
    };
    if args.len() > at + 3 {
        return Err(CommandError::Syntax);
    }
    Ok(Request { keys: args.from(2), keys_len, end, count })
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_effects, check_events};

    #[test]
    fn the_first_list_that_is_there() {
        check(&["RPUSH a 1 2 3", "LMPOP 2 b a LEFT"], "*2 $1 a *1 $1 1");
        check(&["RPUSH a 1 2 3", "LMPOP 2 b a RIGHT COUNT 2"], "*2 $1 a *2 $1 3 $1 2");
        check(&["RPUSH a 1", "RPUSH b 2", "LMPOP 2 b a left count 9"], "*2 $1 b *1 $1 2");
        check(&["RPUSH a 1", "LMPOP 1 a LEFT", "EXISTS a"], ":0");
        check(&["LMPOP 1 a LEFT"], "*-1");
        check(&["HELLO 3", "LMPOP 1 a LEFT"], "_");
    }

    #[test]
    fn another_kind_of_value_ends_the_search() {
        let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value";
        check(&["SET a v", "RPUSH b 1", "LMPOP 2 a b LEFT"], wrong);
        check(&["SET a v", "RPUSH b 1", "LMPOP 2 b a LEFT"], "*2 $1 b *1 $1 1");
    }

    #[test]
    fn words_that_are_none() {
        let numkeys = "-ERR numkeys should be greater than 0";
        let syntax = "-ERR syntax error";
        check(&["LMPOP 0 a LEFT"], numkeys);
        check(&["LMPOP x a LEFT"], numkeys);
        check(&["LMPOP 2 a LEFT"], syntax);
        check(&["LMPOP 9223372036854775807 a LEFT"], syntax);
        check(&["LMPOP 1 a UP"], syntax);
        check(&["LMPOP 1 a LEFT COUNT"], syntax);
        check(&["LMPOP 1 a LEFT COUNT 1 COUNT 1"], syntax);
        check(&["LMPOP 1 a LEFT FOO 1"], syntax);
        check(&["LMPOP 1 a LEFT COUNT 0"], "-ERR count should be greater than 0");
        check(&["LMPOP 1 a LEFT COUNT x"], "-ERR count should be greater than 0");
    }

    #[test]
    fn the_blocking_form_has_its_timeout_first() {
        check(&["RPUSH a 1 2 3", "BLMPOP 0 2 b a RIGHT COUNT 2"], "*2 $1 a *2 $1 3 $1 2");
        check(&["BLMPOP 0 2 b a LEFT"], "(waits for 3..5 until None: List)");
        check(&["BLMPOP x 1 a LEFT"], "-ERR timeout is not a float or out of range");
        check(&["BLMPOP x 0 a LEFT"], "-ERR numkeys should be greater than 0");
        check(&["BLMPOP x 1 a LEFT COUNT 0"], "-ERR count should be greater than 0");
        check(&["BLMPOP 1 2 a LEFT COUNT 1"], "-ERR syntax error");
        check_effects(&["RPUSH a 1 2", "BLMPOP 0 2 b a LEFT COUNT 9"], "LPOP a 2");
    }

    #[test]
    fn it_is_a_pop_of_one_list() {
        check_effects(&["RPUSH a 1 2", "LMPOP 2 b a LEFT COUNT 9"], "LPOP a 2");
        check_effects(&["LMPOP 2 b a LEFT"], "");
        check_events(&["RPUSH a 1 2", "LMPOP 2 b a RIGHT"], "rpop:a");
        check_events(&["RPUSH a 1 2", "LMPOP 2 b a RIGHT COUNT 2"], "rpop:a del:a");
    }
}
