//! PUBLISH and SPUBLISH.

use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use stdx::Args;

/// PUBLISH channel message: how many receive it, on all cores.
pub(super) fn publish(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    super::publish_events(ctx.core);
    let receivers = ctx.core.pubsub.publish(false, args.at(1), args.at(2));
    ctx.core.effects.tell(args);
    ctx.out.int(receivers as i64);
    Ok(Outcome::Done)
}

/// SPUBLISH shardchannel message
pub(super) fn spublish(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    super::publish_events(ctx.core);
    let receivers = ctx.core.pubsub.publish(true, args.at(1), args.at(2));
    ctx.core.effects.tell(args);
    ctx.out.int(receivers as i64);
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use crate::testing::{World, check};

    #[test]
    fn replicas_are_told_while_there_are_some() {
        let mut world = World::new(1);
        world.check(&["PUBLISH a m"], ":0");
        world.cores[0].effects.tell_replicas(true);
        world.check(&["PUBLISH a m"], ":0");
        world.check(&["EVAL \"return redis.call('PUBLISH', 'b', 'm')\" 0"], ":0");
        let told = world.cores[0].effects.draft().take_told();
        let line = |channel: &str| format!("*3\r\n$7\r\nPUBLISH\r\n$1\r\n{channel}\r\n$1\r\nm\r\n");
        assert_eq!(String::from_utf8_lossy(&told), line("a") + &line("b"));
        assert!(!world.cores[0].effects.has_told());
    }

    #[test]
    fn receivers_are_counted_once_for_each_subscription() {
        check(&["PUBLISH a m"], ":0");
        check(&["SUBSCRIBE a", "PUBLISH a m"], ":1");
        check(&["SUBSCRIBE a", "PSUBSCRIBE a* *", "PUBLISH a m"], ":3");
        check(&["SUBSCRIBE a", "PSUBSCRIBE *", "SPUBLISH a m"], ":0");
        check(&["SSUBSCRIBE a", "SPUBLISH a m"], ":1");
    }

    #[test]
    fn what_nobody_receives_is_not_kept() {
        let mut world = World::new(1);
        world.run("PUBLISH a m");
        assert!(!world.cores[0].pubsub.has_published());
        for line in ["SUBSCRIBE a", "PUBLISH a m", "PUBLISH a n"] {
            world.run(line);
        }
        let payloads: Vec<_> =
            world.cores[0].pubsub.take_published().iter().map(|message| message.payload().to_vec()).collect();
        assert_eq!(payloads, [b"m", b"n"]);
    }
}
