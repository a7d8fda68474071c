//! XGROUP.

use super::{edit, find, id, is};
use crate::ctx::{Ctx, Outcome};
use crate::effects::Event;
use crate::error::CommandError;
use datatypes::stream::{Group, Log};
use datatypes::{Large, Stream, StreamId};
use keyspace::{Access, Editing};
use stdx::Args;

/// MKSTREAM and ENTRIESREAD.
#[derive(Default)]
struct Options {
    make: bool,
    entries_read: Option<i64>,
}

fn options(ctx: &Ctx<'_>, args: Args<'_>, creates: bool) -> Result<Options, CommandError> {
    let mut options = Options::default();
    let mut at = 5;
    while at < args.len() {
        if creates && is(args.at(at), "MKSTREAM") {
            options.make = true;
            at += 1;
        } else if is(args.at(at), "ENTRIESREAD") && at + 1 < args.len() {
            let read = ctx.int(args, at + 1)?;
            if read < -1 {
                return Err(CommandError::GROUP_ENTRIES_READ);
            }
            options.entries_read = Some(read).filter(|&read| read >= 0);
            at += 2;
        } else {
            return Err(misfit(args));
        }
    }
    Ok(options)
}

fn misfit(args: Args<'_>) -> CommandError {
    CommandError::subcommand("XGROUP", args.at(1))
}

pub(super) fn create(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let options = options(ctx, args, true)?;
    let key = args.at(2);
    if find(ctx, key, Access::Write)?.is_none() && !options.make {
        return Err(CommandError::GROUP_WITHOUT_KEY);
    }
    if args.len() > 8 {
        return Err(misfit(args));
    }
    edit!(ctx, key, options.make, |editing: &mut Editing<'_>| {
        let stream = editing.stream();
        let last_id = if args.at(4) == b"$" { stream.log().last_id() } else { id(args.at(4))? };
        if !stream.create_group(args.at(3), Group::new(last_id, options.entries_read)) {
            return Err(CommandError::GROUP_BUSY);
        }
        editing.changed(1);
        Ok(())
    })?;
    ctx.event(Event::STREAM, "xgroup-create", key);
    ctx.out.ok();
    Ok(Outcome::Done)
}

pub(super) fn set_id(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let options = options(ctx, args, false)?;
    with_group(ctx, args, |editing| {
        if args.len() != 5 && args.len() != 7 {
            return Err(misfit(args));
        }
        let (log, mut group) = editing.stream().group_mut(args.at(3)).expect("it was looked up");
        group.last_id = last_id(log, args.at(4))?;
        group.entries_read = options.entries_read;
        drop(group);
        editing.changed(1);
        Ok(())
    })?;
    ctx.event(Event::STREAM, "xgroup-setid", args.at(2));
    ctx.out.ok();
    Ok(Outcome::Done)
}

/// `$` is the stream's last id; `-` and `+` are ids here.
fn last_id(log: &Log, arg: &[u8]) -> Result<StreamId, CommandError> {
    if arg == b"$" { Ok(log.last_id()) } else { StreamId::parse_end(arg, 0).ok_or(CommandError::STREAM_ID) }
}

pub(super) fn destroy(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let key = args.at(2);
    let destroyed = edit!(ctx, key, |editing: &mut Editing<'_>| {
        let group = editing.stream().remove_group(args.at(3));
        let destroyed = group.is_some();
        super::changed(editing, destroyed.into());
        if let Some(group) = group {
            editing.discard(Large::Stream(group));
        }
        Ok::<_, CommandError>(destroyed)
    })?;
    let destroyed = destroyed.ok_or(CommandError::GROUP_WITHOUT_KEY)?;
    if destroyed {
        ctx.event(Event::STREAM, "xgroup-destroy", key);
    }
    ctx.out.int(destroyed.into());
    Ok(Outcome::Done)
}

pub(super) fn create_consumer(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let now_ms = ctx.written_ms();
    let created = with_group(ctx, args, |editing| {
        let (_, mut group) = editing.stream().group_mut(args.at(3)).expect("it was looked up");
        let created = group.create_consumer(args.at(4), now_ms).is_some();
        drop(group);
        super::changed(editing, created.into());
        Ok(created)
    })?;
    if created {
        ctx.event(Event::STREAM, "xgroup-createconsumer", args.at(2));
    }
    ctx.out.int(created.into());
    Ok(Outcome::Done)
}

pub(super) fn delete_consumer(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let deleted = with_group(ctx, args, |editing| {
        let (_, mut group) = editing.stream().group_mut(args.at(3)).expect("it was looked up");
        let deleted = group.remove_consumer(args.at(4));
        drop(group);
        super::changed(editing, deleted.is_some().into());
        Ok(deleted)
    })?;
    if deleted.is_some() {
        ctx.event(Event::STREAM, "xgroup-delconsumer", args.at(2));
    }
    ctx.out.int(deleted.unwrap_or(0) as i64);
    Ok(Outcome::Done)
}

/// Changes a stream that has the group named by argument 3. Errors: it is not there, or has none.
fn with_group<R>(
    ctx: &mut Ctx<'_>,
    args: Args<'_>,
    change: impl FnOnce(&mut Editing<'_>) -> Result<R, CommandError>,
) -> Result<R, CommandError> {
    let key = args.at(2);
    let changed = edit!(ctx, key, |editing: &mut Editing<'_>| {
        let stream: &Stream = editing.stream();
        if stream.group(args.at(3)).is_none() {
            return Err(CommandError::no_group(args.at(3), key));
        }
        change(editing)
    })?;
    changed.ok_or(CommandError::GROUP_WITHOUT_KEY)
}

#[cfg(test)]
mod tests {
    use crate::testing::{World, check, check_effects, check_events};

    const GROUP: [&str; 2] = ["XADD s 1 f v", "XGROUP CREATE s g $"];

    #[track_caller]
    fn check_after(command: &str, expected: &str) {
        check(&[&GROUP[..], &[command]].concat(), expected);
    }

    #[test]
    fn groups_are_made_and_go() {
        check_after("XGROUP CREATE s h 0", "+OK");
        check_after("XGROUP CREATE s g 0", "-BUSYGROUP Consumer Group name already exists");
        check_after("XGROUP CREATE s h x", "-ERR Invalid stream ID specified as stream command argument");
        check_after("XGROUP CREATE s h -", "-ERR Invalid stream ID specified as stream command argument");
        check_after("XGROUP DESTROY s g", ":1");
        check_after("XGROUP DESTROY s h", ":0");
        check(&["XGROUP CREATE s g $ MKSTREAM", "TYPE s"], "+stream");
        check(&["XGROUP CREATE s g x MKSTREAM", "EXISTS s"], ":0");
    }

    #[test]
    fn consumers_are_made_and_go() {
        check_after("XGROUP CREATECONSUMER s g c", ":1");
        check_after("XGROUP DELCONSUMER s g c", ":0");
        let read = [&GROUP[..], &["XADD s 2 f v", "XREADGROUP GROUP g c STREAMS s >"]].concat();
        check(&[&read[..], &["XGROUP CREATECONSUMER s g c"]].concat(), ":0");
        check(&[&read[..], &["XGROUP DELCONSUMER s g c"]].concat(), ":1");
        check(&[&read[..], &["XGROUP DELCONSUMER s g c", "XPENDING s g"]].concat(), "*4 :0 $-1 $-1 *-1");
    }

    /// A group of two consumers, to whom each second of `count` entries was delivered.
    fn delivered(count: usize) -> World {
        let mut world = World::new(1);
        world.run("XGROUP CREATE s g $ MKSTREAM");
        for number in 1..=count {
            world.run(&format!("XADD s {number} f v"));
            let consumer = if number % 2 == 0 { "even" } else { "odd" };
            world.run(&format!("XREADGROUP GROUP g {consumer} COUNT 1 STREAMS s >"));
        }
        world
    }

    #[test]
    fn what_a_large_group_had_is_freed_later() {
        let mut world = delivered(2000);
        let before = world.cores[0].keyspace.used_bytes();
        world.check(&["XGROUP DESTROY s g"], ":1");
        world.check(&["XPENDING s g"], "-NOGROUP No such key 's' or consumer group 'g'");
        let keyspace = &mut world.cores[0].keyspace;
        let waiting = keyspace.unreclaimed_bytes();
        assert!(waiting > 200_000 && keyspace.used_bytes() + 200_000 < before, "{waiting} bytes");
        let mut slices = 0;
        while keyspace.reclaim(&mut || {
            slices += 1;
            slices % 2 == 1
        }) {}
        assert!(slices > 40, "{slices} slices");
        keyspace.audit();
    }

    #[test]
    fn a_short_stream_whose_groups_have_much_is_freed_later() {
        for removal in ["DEL s", "SET s v", "FLUSHALL", "RENAME other s", "PEXPIRE s -1"] {
            let mut world = delivered(500);
            world.check(&["SET other v", "XTRIM s MAXLEN 0"], ":500");
            world.run(removal);
            let keyspace = &mut world.cores[0].keyspace;
            assert!(keyspace.unreclaimed_bytes() > 25_000, "{removal}");
            while keyspace.reclaim(&mut || true) {}
            keyspace.audit();
        }
    }

    #[test]
    fn what_a_consumer_had_is_gone_at_once_and_freed_later() {
        let mut world = delivered(2000);
        let before = world.cores[0].keyspace.used_bytes();
        world.check(&["XGROUP DELCONSUMER s g even"], ":1000");
        world.check(&["XPENDING s g"], "*4 :1000 $3 1-0 $6 1999-0 *1 *2 $3 odd $4 1000");
        world.check(
            &["XPENDING s g 1 5 10"],
            "*3 *4 $3 1-0 $3 odd :0 :1 *4 $3 3-0 $3 odd :0 :1 *4 $3 5-0 $3 odd :0 :1",
        );
        world.check(&["XACK s g 2 4 6"], ":0");
        world.check(&["XGROUP CREATECONSUMER s g even", "XPENDING s g - + 10 even"], "*0");
        world.check(&["XCLAIM s g even 0 8 JUSTID"], "*0");
        world.check(&["XCLAIM s g even 0 8 FORCE JUSTID"], "*1 $3 8-0");
        world.check(&["XPENDING s g - + 10 even"], "*1 *4 $3 8-0 $4 even :0 :1");
        (0..50).for_each(|_| drop(world.run("XACK s g 2")));
        world.check(&["XACK s g 8", "XPENDING s g"], "*4 :1000 $3 1-0 $6 1999-0 *1 *2 $3 odd $4 1000");
        let keyspace = &world.cores[0].keyspace;
        assert!(keyspace.used_bytes() + 1000 * 100 < before, "{} of {before}", keyspace.used_bytes());
        keyspace.audit();
    }

    #[test]
    fn missing_keys_groups_and_wrong_options() {
        let missing = "-ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use \
                       the MKSTREAM option to create an empty stream automatically.";
        check(&["XGROUP CREATE s g $"], missing);
        check(&["XGROUP DESTROY s g"], missing);
        check(&["XGROUP SETID s g 0"], missing);
        check_after("XGROUP SETID s h 0", "-NOGROUP No such consumer group 'h' for key name 's'");
        check_after("XGROUP CREATECONSUMER s h c", "-NOGROUP No such consumer group 'h' for key name 's'");
        let options = "-ERR unknown subcommand or wrong number of arguments for 'SETID'. Try XGROUP HELP.";
        check_after("XGROUP SETID s g 0 MKSTREAM", options);
        check_after("XGROUP SETID s g 0 ENTRIESREAD 1 ENTRIESREAD 2", options);
        check_after("XGROUP SETID s g 0 ENTRIESREAD -2", "-ERR value for ENTRIESREAD must be positive or -1");
        check_after("XGROUP SETID s g +", "+OK");
        check(
            &["SET s v", "XGROUP CREATE s g $"],
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
    }

    #[test]
    fn effects_and_events() {
        check_effects(&["XGROUP CREATE s g $ MKSTREAM"], "XGROUP CREATE s g $ MKSTREAM");
        check_effects(&[&GROUP[..], &["XGROUP DESTROY s h"]].concat(), "");
        check_events(&["XGROUP CREATE s g $ MKSTREAM"], "xgroup-create:s");
        check_events(&[&GROUP[..], &["XGROUP SETID s g 0"]].concat(), "xgroup-setid:s");
        check_events(&[&GROUP[..], &["XGROUP CREATECONSUMER s g c"]].concat(), "xgroup-createconsumer:s");
        check_events(&[&GROUP[..], &["XGROUP DESTROY s g"]].concat(), "xgroup-destroy:s");
    }
}
