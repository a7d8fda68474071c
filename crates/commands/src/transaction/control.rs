//! MULTI, DISCARD, and what EXEC answers when it runs nothing.

use super::watch::unwatch_all;
use crate::client::{ClientFlags, ClientSlot};
use crate::core::Core;
use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use stdx::Args;

/// MULTI
pub(super) fn multi(ctx: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    let client = ctx.client();
    if client.flags.has(ClientFlags::MULTI) {
        return Err(CommandError::MULTI_NESTED);
    }
    client.flags.set(ClientFlags::MULTI, true);
    client.transaction.get_or_insert_default();
    ctx.out.ok();
    Ok(Outcome::Done)
}

/// DISCARD
pub(super) fn discard(ctx: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    if !ctx.client().flags.has(ClientFlags::MULTI) {
        return Err(CommandError::DISCARD_WITHOUT_MULTI);
    }
    let slot = ctx.client_slot();
    end(ctx.core, slot);
    ctx.out.ok();
    Ok(Outcome::Done)
}

/// EXEC of a client for which [`is_aborted`] says so.
pub(super) fn exec(ctx: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    let flags = ctx.client().flags;
    if !flags.has(ClientFlags::MULTI) {
        return Err(CommandError::EXEC_WITHOUT_MULTI);
    }
    let slot = ctx.client_slot();
    end(ctx.core, slot);
    Err(CommandError::EXEC_ABORTED)
}

/// Whether EXEC runs nothing for this client, whatever its keys are: then its handler answers.
#[inline]
pub fn is_aborted(flags: ClientFlags) -> bool {
    !flags.has(ClientFlags::MULTI) || flags.has(ClientFlags::DIRTY_EXEC)
}

/// Ends a client's transaction: its queue, its watches and what was held against it are forgotten.
pub fn end(core: &mut Core, client: ClientSlot) {
    unwatch_all(core, client);
    let Some(client) = core.clients.get_mut(client) else { return };
    client.flags.set(ClientFlags::MULTI, false);
    client.flags.set(ClientFlags::DIRTY_EXEC, false);
    if let Some(transaction) = &mut client.transaction {
        transaction.queue.clear();
    }
}

#[cfg(test)]
mod tests {
    use crate::client::ClientFlags;
    use crate::testing::{World, check};

    #[test]
    fn out_of_place() {
        check(&["DISCARD"], "-ERR DISCARD without MULTI");
        check(&["EXEC"], "-ERR EXEC without MULTI");
        check(&["MULTI", "MULTI"], "-ERR MULTI calls can not be nested");
        check(&["MULTI a"], "-ERR wrong number of arguments for 'multi' command");
        check(&["UNWATCH"], "+OK");
    }

    #[test]
    fn what_went_wrong_while_queueing_ends_it() {
        let mut world = World::new(1);
        world.check(&["MULTI"], "+OK");
        world.client().flags.set(ClientFlags::DIRTY_EXEC, true);
        world.check(&["EXEC"], "-EXECABORT Transaction discarded because of previous errors.");
        world.check(&["EXEC"], "-ERR EXEC without MULTI");
    }

    #[test]
    fn discard_and_reset_forget_it_all() {
        for (command, reply) in [("DISCARD", "+OK"), ("RESET", "+RESET")] {
            let mut world = World::new(1);
            world.check(&["MULTI", command], reply);
            world.check(&["EXEC"], "-ERR EXEC without MULTI");
        }
    }
}
