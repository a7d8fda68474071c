//! XDEL and XTRIM.

use super::trimming::{Options, with_words};
use super::{changed, check_ids, id};
use crate::ctx::{Ctx, Outcome};
use crate::effects::Event;
use crate::error::CommandError;
use datatypes::StreamId;
use stdx::Args;

pub(super) fn xdel(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let (key, ids) = (args.at(1), args.from(2));
    let deleted = super::edit!(ctx, key, |editing| {
        check_ids(ids)?;
        let log = editing.stream().log_mut();
        let (mut deleted, mut greatest, mut first_gone) = (0, StreamId::MIN, false);
        for arg in ids.iter() {
            let id = id(arg)?;
            if log.delete(id) {
                deleted += 1;
                greatest = greatest.max(id);
                first_gone |= id == log.first_id();
            }
        }
        if deleted > 0 {
            log.note_deleted(greatest, first_gone);
        }
        changed(editing, deleted);
        Ok::<_, CommandError>(deleted)
    })?;
    let deleted = deleted.unwrap_or(0);
    if deleted > 0 {
        ctx.event(Event::STREAM, "xdel", key);
    }
    ctx.out.int(deleted as i64);
    Ok(Outcome::Done)
}

pub(super) fn xtrim(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let options = Options::of_trim(ctx, args)?;
    let key = args.at(1);
    let trimmed = super::edit!(ctx, key, |editing| {
        let limits = *editing.limits();
        let log = editing.stream().log_mut();
        let removed = options.trim(log, &limits);
        let to = options.exactly(log);
        changed(editing, removed);
        Ok::<_, CommandError>((removed, to))
    })?;
    let (removed, to) = trimmed.unwrap_or_default();
    if removed > 0 {
        with_words(to, |trim| {
            let args: Vec<&[u8]> = [&b"XTRIM"[..], key].into_iter().chain(trim.iter().copied()).collect();
            ctx.effect(key, &args);
        });
        ctx.event(Event::STREAM, "xtrim", key);
    }
    ctx.out.int(removed as i64);
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use crate::testing::{World, check, check_effects, check_events};

    const THREE: [&str; 3] = ["XADD s 1 f v", "XADD s 2 f v", "XADD s 3 f v"];

    #[track_caller]
    fn check_after(commands: &[&str], expected: &str) {
        check(&[&THREE[..], commands].concat(), expected);
    }

    #[test]
    fn entries_go_by_their_ids() {
        check_after(&["XDEL s 2 2 9"], ":1");
        check_after(&["XDEL s 1 2 3"], ":3");
        check_after(&["XDEL s 1 2 3", "XLEN s"], ":0");
        check_after(&["XDEL s 1 2 3", "TYPE s"], "+stream");
        check_after(&["XDEL s 1 x"], "-ERR Invalid stream ID specified as stream command argument");
        check_after(&["XDEL s 1 x", "XLEN s"], ":3");
        check(&["XDEL s x"], ":0");
        check_events(&[&THREE[..], &["XDEL s 1"]].concat(), "xdel:s");
        check_effects(&[&THREE[..], &["XDEL s 1"]].concat(), "XDEL s 1");
        check_effects(&[&THREE[..], &["XDEL s 8"]].concat(), "");
    }

    #[test]
    fn trimming_is_exact_or_by_blocks() {
        check_after(&["XTRIM s MAXLEN 1"], ":2");
        check_after(&["XTRIM s MAXLEN = 0"], ":3");
        check_after(&["XTRIM s MAXLEN ~ 1"], ":0");
        check_after(&["XTRIM s MINID 3"], ":2");
        check_after(&["XTRIM s MINID ~ 4"], ":3");
        check_after(&["XTRIM s MAXLEN ~ 0 LIMIT 2"], ":0");
        check_after(&["XTRIM s MAXLEN ~ 0 LIMIT 0"], ":3");
        check(&["XTRIM s MAXLEN 0"], ":0");
        check(&["XTRIM s LIMIT 0"], "-ERR syntax error, XTRIM must be called with a trimming strategy");
        check(&["XTRIM s FOO 1"], "-ERR syntax error");
        check(&["XTRIM s MAXLEN 1 MAXLEN"], "-ERR syntax error");
    }

    #[test]
    fn whole_blocks_are_those_of_the_parameters() {
        let mut world = World::new(1);
        world.run("CONFIG SET stream-node-max-entries 2");
        let config = world.cores[0].config.clone();
        world.cores[0].keyspace.set_limits(&config);
        for id in 1..=7 {
            world.run(&format!("XADD s {id} f v"));
        }
        world.check_effects(&["XTRIM s MAXLEN ~ 2"], "XTRIM s MAXLEN = 3");
        world.check_events(&["XTRIM s MINID ~ 7"], "xtrim:s");
        world.check(&["XLEN s"], ":1");
    }
}
