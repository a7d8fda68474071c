//! CLIENT REPLY, NO-EVICT, NO-TOUCH, PAUSE, UNPAUSE and UNBLOCK.

use super::either;
use crate::client::{Client, ClientFlags};
use crate::core::Action;
use crate::ctx::{Ctx, Outcome, parse_int};
use crate::error::CommandError;
use stdx::{Args, UnixMs};

/// CLIENT REPLY ON | OFF | SKIP: only ON answers.
pub(super) fn reply(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let flags = &mut ctx.client().flags;
    match args.at(2).to_ascii_uppercase().as_slice() {
        b"ON" => {
            flags.set(ClientFlags::REPLY_OFF, false);
            flags.set(ClientFlags::REPLY_SKIP, false);
            ctx.out.ok();
        }
        b"OFF" => flags.set(ClientFlags::REPLY_OFF, true),
        b"SKIP" if flags.has(ClientFlags::REPLY_OFF) => {}
        b"SKIP" => flags.set(ClientFlags::REPLY_SKIP_NEXT, true),
        _ => return Err(CommandError::Syntax),
    }
    Ok(Outcome::Done)
}

/// CLIENT NO-EVICT ON | OFF
pub(super) fn no_evict(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    switch(ctx, args, ClientFlags::NO_EVICT)
}

/// CLIENT NO-TOUCH ON | OFF
pub(super) fn no_touch(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    switch(ctx, args, ClientFlags::NO_TOUCH)
}

fn switch(ctx: &mut Ctx<'_>, args: Args<'_>, flag: ClientFlags) -> Result<Outcome, CommandError> {
    let on = either(args.at(2), "on", "off")?;
    ctx.client().flags.set(flag, on);
    ctx.out.ok();
    Ok(Outcome::Done)
}

/// CLIENT PAUSE timeout [WRITE | ALL]: every core holds back its own clients.
pub(super) fn pause(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let writes_only = match args.get(3) {
        None => false,
        Some(_) if args.len() > 4 => return Err(CommandError::Syntax),
        Some(mode) => either(mode, "write", "all").map_err(|_| CommandError::PAUSE_MODE)?,
    };
    let timeout_ms = parse_int(args.at(2)).ok_or(CommandError::TIMEOUT_NOT_INTEGER)?;
    if timeout_ms < 0 {
        return Err(CommandError::TIMEOUT_NEGATIVE);
    }
    let until = UnixMs(ctx.now.0.saturating_add(timeout_ms));
    ctx.core.actions.push(Action::Pause { until, writes_only });
    ctx.out.ok();
    Ok(Outcome::Done)
}

/// CLIENT UNPAUSE
pub(super) fn unpause(ctx: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    ctx.core.actions.push(Action::Unpause);
    ctx.out.ok();
    Ok(Outcome::Done)
}

/// CLIENT UNBLOCK client-id [TIMEOUT | ERROR]: one core's part, whether it wakes a client of its own.
pub(super) fn unblock(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let error = match args.get(3) {
        None => false,
        Some(_) if args.len() > 4 => return Err(CommandError::Syntax),
        Some(reason) => !either(reason, "timeout", "error").map_err(|_| CommandError::UNBLOCK_REASON)?,
    };
    let id = ctx.int(args, 2)?;
    let is_meant = |client: &Client| client.id.0 as i64 == id && client.flags.has(ClientFlags::WAITING);
    let found = ctx.core.clients.iter().find(|(_, client)| is_meant(client)).map(|(slot, _)| slot);
    if let Some(client) = found {
        ctx.core.actions.push(Action::Unblock { client, error });
    }
    ctx.out.int(found.is_some().into());
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{START, World, check};

    #[test]
    fn only_reply_on_answers() {
        let mut world = World::new(1);
        world.check(&["CLIENT REPLY SKIP"], "");
        assert!(world.client().flags.has(ClientFlags::REPLY_SKIP_NEXT));
        world.check(&["CLIENT REPLY OFF"], "");
        assert!(world.client().flags.has(ClientFlags::REPLY_OFF));
        world.check(&["CLIENT REPLY ON"], "+OK");
        assert!(!world.client().flags.has(ClientFlags::REPLY_OFF));
        world.check(&["CLIENT REPLY foo"], "-ERR syntax error");
    }

    #[test]
    fn skip_mutes_the_next_command_only() {
        let mut world = World::new(1);
        let mut run = |line: &str| {
            world.run(line);
            world.client().takes_reply()
        };
        assert!(run("PING"));
        run("CLIENT REPLY SKIP");
        assert!(!run("PING"));
        assert!(run("PING"));
        run("CLIENT REPLY OFF");
        assert!(!run("PING") && !run("CLIENT REPLY SKIP"));
        assert!(run("CLIENT REPLY ON") && run("PING"));
    }

    #[test]
    fn switches_are_on_or_off() {
        let mut world = World::new(1);
        world.check(&["CLIENT NO-EVICT on", "CLIENT NO-TOUCH ON"], "+OK");
        assert!(
            world.client().flags.has(ClientFlags::NO_EVICT)
                && world.client().flags.has(ClientFlags::NO_TOUCH)
        );
        world.check(&["CLIENT NO-EVICT off", "CLIENT NO-TOUCH off"], "+OK");
        assert_eq!(world.client().flags, ClientFlags::LOCAL);
        world.check(&["CLIENT NO-EVICT maybe"], "-ERR syntax error");
    }

    #[test]
    fn pause_and_unpause_reach_every_core() {
        for (line, writes_only) in [("CLIENT PAUSE 100", false), ("CLIENT PAUSE 100 write", true)] {
            let mut world = World::new(2);
            world.check(&[line, "CLIENT UNPAUSE"], "+OK");
            let want = [Action::Pause { until: UnixMs(START.0 + 100), writes_only }, Action::Unpause];
            assert!(world.cores.iter().all(|core| core.actions == want), "{line}");
        }
    }

    #[test]
    fn wrong_pauses_and_unblocks_are_refused() {
        check(&["CLIENT PAUSE a"], "-ERR timeout is not an integer or out of range");
        check(&["CLIENT PAUSE -1"], "-ERR timeout is negative");
        check(&["CLIENT PAUSE 1 foo"], "-ERR CLIENT PAUSE mode must be WRITE or ALL");
        check(&["CLIENT PAUSE 9223372036854775807"], "+OK");
        check(&["CLIENT UNBLOCK 4"], ":0");
        check(&["CLIENT UNBLOCK a"], "-ERR value is not an integer or out of range");
        check(&["CLIENT UNBLOCK 4 foo"], "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
    }

    #[test]
    fn whoever_waits_can_be_woken() {
        let mut world = World::new(2);
        let slots = [world.connect(1), world.connect(1)];
        let flags = &mut world.cores[1].clients.get_mut(slots[1]).expect("is there").flags;
        flags.set(ClientFlags::WAITING, true);
        world.check(&["CLIENT UNBLOCK 2"], ":0");
        world.check(&["CLIENT UNBLOCK 3", "CLIENT UNBLOCK 3 error"], ":1");
        let want = [false, true].map(|error| Action::Unblock { client: slots[1], error });
        assert_eq!(world.cores[1].actions, want);
    }
}
