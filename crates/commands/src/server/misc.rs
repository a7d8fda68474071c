//! TIME, WAIT, WAITAOF, MODULE LIST.

use crate::ctx::{Ctx, Outcome, parse_int};
use crate::error::CommandError;
use crate::log::LogWait;
use crate::masters::{OnDisks, ReplicaWait};
use crate::parking;
use resp::Reply;
use stdx::Args;

/// TIME: seconds and microseconds.
pub(super) fn time(ctx: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    let micros = ctx.core.clock_us.max(ctx.now.0 * 1000);
    ctx.out.array(2);
    ctx.out.bulk_int(micros / 1_000_000);
    ctx.out.bulk_int(micros % 1_000_000);
    Ok(Outcome::Done)
}

/// WAIT numreplicas timeout: waits until so many replicas have acknowledged what was written so far. Core 0 knows when.
pub(super) fn wait(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    if ctx.core.shared.replica.is_replica() {
        return Err(CommandError::WAIT_AT_REPLICA);
    }
    let replicas = ctx.int(args, 1)?;
    let until = parking::until_ms(args.at(2), ctx.now)?;
    let level = {
        let known = ctx.core.shared.masters.known();
        let is_waited_for = replicas > 0 || !known.followers.is_empty();
        (!ctx.may_park || !is_waited_for).then(|| known.level())
    };
    match level {
        Some(level) => ctx.out.int(level as i64),
        None => {
            let replicas = usize::try_from(replicas).unwrap_or(0);
            ctx.core.waits_for_replicas = Some(ReplicaWait { replicas, until, disks: None });
        }
    }
    Ok(Outcome::Done)
}

/// WAITAOF numlocal numreplicas timeout: waits until this server's log has on the disk what was written so far, and so many replicas have
/// it on theirs. Core 0 knows of these.
pub(super) fn wait_aof(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let local = ctx.int(args, 1)?;
    if !(0..=1).contains(&local) {
        return Err(CommandError::NOT_ZERO_OR_ONE);
    }
    let replicas = parse_int(args.at(2)).and_then(|replicas| usize::try_from(replicas).ok());
    let replicas = replicas.ok_or(CommandError::NOT_POSITIVE)?;
    let until = parking::until_ms(args.at(3), ctx.now)?;
    if ctx.core.shared.replica.is_replica() {
        return Err(CommandError::WAITAOF_AT_REPLICA);
    }
    if local == 1 && !ctx.core.log.is_on {
        return Err(CommandError::NO_LOG_TO_WAIT_FOR);
    }
    let log = &ctx.core.shared.log;
    if ctx.core.effects.has_draft() {
        // Of this turn, and on its way into the log.
        log.note_news(ctx.core.id);
    }
    // Under `always` what was answered is on the disk, and so is this answer's past when it leaves.
    let cut = if ctx.core.log.is_always { 0 } else { log.cut_needed() };
    let (level, is_followed) = {
        let known = ctx.core.shared.masters.known();
        (known.level_on_disks(), !known.followers.is_empty())
    };
    if ctx.may_park && (replicas > 0 || is_followed) {
        let disks = Some(OnDisks { cut, is_awaited: local == 1 });
        ctx.core.waits_for_replicas = Some(ReplicaWait { replicas, until, disks });
    } else if local == 1 && ctx.may_park && log.wait_for(cut) {
        ctx.core.waits_for_log = Some(LogWait { cut, until });
    } else {
        waited(&mut ctx.out, ctx.core.log.is_on && log.is_durable(cut), level);
    }
    Ok(Outcome::Done)
}

/// The reply to WAITAOF: whether it is on this server's disk, and on those of how many replicas.
pub fn waited(out: &mut Reply<'_>, is_safe: bool, replicas: usize) {
    out.array(2);
    out.int(i64::from(is_safe));
    out.int(replicas as i64);
}

/// MODULE LIST: none.
pub(super) fn module_list(ctx: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    ctx.out.array(0);
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use crate::replica::tests::facts;
    use crate::testing::{World, check};
    use config::MasterAddress;
    use replication::role::LinkState;

    #[test]
    fn time_is_told_to_the_microsecond() {
        let mut world = World::new(1);
        world.check(&["TIME"], "*2 $10 1700000000 $1 0");
        world.cores[0].clock_us = 1_700_000_000_123_456;
        world.check(&["TIME"], "*2 $10 1700000000 $6 123456");
    }

    #[test]
    fn there_are_no_replicas_and_no_modules() {
        check(&["ROLE"], "*3 $6 master :0 *0");
        check(&["WAIT 0 1000"], ":0");
        check(&["EVAL \"return redis.call('WAIT', '1', '1000')\" 0"], ":0");
        check(&["WAIT a 1"], "-ERR value is not an integer or out of range");
        check(&["WAIT 1 a"], "-ERR timeout is not an integer or out of range");
        check(&["WAIT 1 -1"], "-ERR timeout is negative");
        check(&["WAIT 1 9223372036854775807"], "-ERR timeout is out of range");
        check(&["MODULE LIST"], "*0");
    }

    #[test]
    fn nobody_waits_at_a_replica() {
        let mut world = World::new(1);
        let master = MasterAddress { host: "10.0.0.1".to_owned(), port: 6379 };
        world.cores[0].shared.replica.tell(Some(master), facts(LinkState::Connected), 0);
        let refused = "cannot be used with replica instances. Please also note that";
        world.check(
            &["WAIT a b"],
            &format!("-ERR WAIT {refused} since Redis 4.0 if a replica is configured to be writable (which is not the default) writes to replicas are just local and are not propagated."),
        );
        world.check(
            &["WAITAOF 0 0 0"],
            &format!("-ERR WAITAOF {refused} writes to replicas are just local and are not propagated."),
        );
        world.check(&["WAITAOF 2 0 0"], "-ERR value is out of range, value must between 0 and 1");
    }

    #[test]
    fn the_log_is_waited_for() {
        check(&["WAITAOF 0 0 0"], "*2 :0 :0");
        let off = "-ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.";
        check(&["WAITAOF 1 0 0"], off);
        check(&["WAITAOF 2 0 0"], "-ERR value is out of range, value must between 0 and 1");
        check(&["WAITAOF x 0 0"], "-ERR value is not an integer or out of range");
        check(&["WAITAOF 1 -1 0"], "-ERR value is out of range, must be positive");
        check(&["WAITAOF 1 0 -1"], "-ERR timeout is negative");
        check(&["WAITAOF 1 0 x"], "-ERR timeout is not an integer or out of range");
        let mut world = World::new(1);
        world.cores[0].log.is_on = true;
        world.cores[0].shared.log.set_begun(true);
        world.check(&["WAITAOF 1 0 0"], "*2 :1 :0");
    }
}
