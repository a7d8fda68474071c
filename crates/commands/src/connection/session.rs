//! PING, ECHO, SELECT, QUIT and RESET.

use super::auth;
use crate::client::ClientFlags;
use crate::core::Core;
use crate::ctx::{Ctx, Outcome, parse_int};
use crate::error::CommandError;
use crate::transaction;
use resp::Proto;
use stdx::{Args, DbIndex};

/// PING [message]
pub(super) fn ping(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let is_subscriber = ctx.caller.slot.is_some() && ctx.client().is_resp2_subscriber();
    match args.len() {
        1 | 2 if is_subscriber => {
            ctx.out.array(2);
            ctx.out.bulk(b"pong");
            ctx.out.bulk(args.get(1).unwrap_or_default());
        }
        1 => ctx.out.simple("PONG"),
        2 => ctx.out.bulk(args.at(1)),
        _ => return Err(CommandError::Arity("ping".into())),
    }
    Ok(Outcome::Done)
}

/// ECHO message
pub(super) fn echo(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    ctx.out.bulk(args.at(1));
    Ok(Outcome::Done)
}

/// SELECT index
pub(super) fn select(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let db = database(ctx.core, args.at(1))?;
    ctx.client().db = db;
    ctx.out.ok();
    Ok(Outcome::Done)
}

/// The database that SELECT names.
pub(crate) fn database(core: &Core, index: &[u8]) -> Result<DbIndex, CommandError> {
    let index =
        parse_int(index).and_then(|index| i32::try_from(index).ok()).ok_or(CommandError::NotInteger)?;
    let known = u16::try_from(index).ok().filter(|index| *index < core.keyspace.databases());
    known.map(DbIndex).ok_or(CommandError::DbIndex)
}

/// QUIT
pub(super) fn quit(ctx: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    ctx.client().flags.set(ClientFlags::CLOSE_AFTER_REPLY, true);
    ctx.out.ok();
    Ok(Outcome::Done)
}

/// RESET: all that the client chose is forgotten, but for what it said of its library.
pub(super) fn reset(ctx: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    let authenticated = !auth::needs_password(ctx);
    crate::pubsub::unsubscribe_from_all(ctx);
    let slot = ctx.client_slot();
    transaction::end(ctx.core, slot);
    super::client::tracking::switch_off(ctx);
    let client = ctx.client();
    client.db = DbIndex(0);
    client.proto = Proto::Resp2;
    client.authenticated = authenticated;
    client.name.clear();
    for flag in CHOSEN {
        client.flags.set(flag, false);
    }
    ctx.out.simple("RESET");
    Ok(Outcome::Done)
}

/// What a client sets about itself and RESET takes back.
const CHOSEN: [ClientFlags; 5] = [
    ClientFlags::REPLY_OFF,
    ClientFlags::REPLY_SKIP_NEXT,
    ClientFlags::NO_TOUCH,
    ClientFlags::NO_EVICT,
    ClientFlags::MONITOR,
];

#[cfg(test)]
mod tests {
    use crate::client::ClientFlags;
    use crate::testing::{World, check};

    #[test]
    fn ping_and_echo_answer() {
        check(&["PING"], "+PONG");
        check(&["PING hello"], "$5 hello");
        check(&["PING a b"], "-ERR wrong number of arguments for 'ping' command");
        check(&["ECHO 'a b'"], "$3 a b");
    }

    #[test]
    fn select_knows_its_databases() {
        let mut world = World::new(1);
        world.check(&["SELECT 15"], "+OK");
        assert_eq!(world.client().db.0, 15);
        world.check(&["SELECT 16"], "-ERR DB index is out of range");
        world.check(&["SELECT -1"], "-ERR DB index is out of range");
        world.check(&["SELECT 65536"], "-ERR DB index is out of range");
        world.check(&["SELECT a"], "-ERR value is not an integer or out of range");
        world.check(&["SELECT 3000000000"], "-ERR value is not an integer or out of range");
        assert_eq!(world.client().db.0, 15);
    }

    #[test]
    fn quit_closes_after_its_reply() {
        let mut world = World::new(1);
        world.check(&["QUIT"], "+OK");
        assert!(world.client().flags.has(ClientFlags::CLOSE_AFTER_REPLY));
    }

    #[test]
    fn reset_forgets_what_the_client_chose() {
        let mut world = World::new(1);
        let chosen =
            ["SELECT 3", "CLIENT SETNAME me", "CLIENT NO-TOUCH ON", "CLIENT SETINFO LIB-NAME x", "HELLO 3"];
        world.check(&[&chosen[..], &["RESET"]].concat(), "+RESET");
        let client = world.client();
        assert_eq!((client.db.0, client.name.as_str(), client.lib_name.as_str()), (0, "", "x"));
        assert_eq!((client.proto, client.flags), (resp::Proto::Resp2, ClientFlags::LOCAL));
    }
}
