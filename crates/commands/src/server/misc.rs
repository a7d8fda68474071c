//! TIME, ROLE, WAIT, MODULE LIST.

use crate::ctx::{Ctx, Outcome, parse_int};
use crate::error::CommandError;
use stdx::Args;

/// TIME: seconds and microseconds.
pub(super) fn time(ctx: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    let micros = ctx.core.clock_us.max(ctx.now.0 * 1000);
    ctx.out.array(2);
    ctx.out.bulk_int(micros / 1_000_000);
    ctx.out.bulk_int(micros % 1_000_000);
    Ok(Outcome::Done)
}

/// ROLE: a master without replicas.
pub(super) fn role(ctx: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    ctx.out.array(3);
    ctx.out.bulk(b"master");
    ctx.out.int(0);
    ctx.out.array(0);
    Ok(Outcome::Done)
}

/// WAIT numreplicas timeout: there are no replicas, so none has the writes, and waiting would not change it.
pub(super) fn wait(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    ctx.int(args, 1)?;
    let timeout_ms = parse_int(args.at(2)).ok_or(CommandError::TIMEOUT_NOT_INTEGER)?;
    if timeout_ms < 0 {
        return Err(CommandError::TIMEOUT_NEGATIVE);
    }
    ctx.out.int(0);
    Ok(Outcome::Done)
}

/// MODULE LIST: none.
pub(super) fn module_list(ctx: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    ctx.out.array(0);
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use crate::testing::{World, check};

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
        check(&["WAIT 1 1000"], ":0");
        check(&["WAIT a 1"], "-ERR value is not an integer or out of range");
        check(&["WAIT 1 a"], "-ERR timeout is not an integer or out of range");
        check(&["WAIT 1 -1"], "-ERR timeout is negative");
        check(&["MODULE LIST"], "*0");
    }
}
