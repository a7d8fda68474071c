//! CLIENT KILL, in both its forms. Each core closes its own; home adds up.

use super::{Kind, either};
use crate::client::{Client, ClientFlags, ClientSlot};
use crate::core::Action;
use crate::ctx::{Ctx, Outcome, parse_int};
use crate::error::CommandError;
use crate::parts::Part;
use stdx::{Args, ClientId};

/// CLIENT KILL ip:port | filter value...: one core's part, how many of its clients it closes.
pub(super) fn kill(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let filter = Filter::parse(args)?;
    let caller = ctx.caller.id;
    let matches: Vec<(ClientSlot, ClientId)> = ctx
        .core
        .clients
        .iter()
        // One that is ending already is not killed, and counted, again.
        .filter(|(_, client)| !client.flags.has(ClientFlags::CLOSE_NOW) && filter.has(client, caller))
        .map(|(slot, client)| (slot, client.id))
        .collect();
    for (slot, id) in &matches {
        if *id == caller {
            ctx.client().flags.set(ClientFlags::CLOSE_AFTER_REPLY, true);
        } else {
            if let Some(client) = ctx.core.clients.get_mut(*slot) {
                client.flags.set(ClientFlags::CLOSE_NOW, true);
            }
            ctx.core.actions.push(Action::Close(*slot));
        }
    }
    ctx.out.int(matches.len() as i64);
    Ok(Outcome::Done)
}

/// Answers how many were closed; the old form, which names one, answers OK or that there is none.
pub(super) fn merge(ctx: &mut Ctx<'_>, args: Args<'_>, parts: &[&[u8]]) -> Result<(), CommandError> {
    let closed: i64 = parts.iter().map(|part| Part::new(part).int()).sum();
    match args.len() {
        3 if closed == 0 => return Err(CommandError::NO_SUCH_CLIENT),
        3 => ctx.out.ok(),
        _ => ctx.out.int(closed),
    }
    Ok(())
}

/// Which clients are to be closed: those that match all that is set.
#[derive(Default)]
struct Filter<'a> {
    id: Option<u64>,
    addr: Option<&'a [u8]>,
    laddr: Option<&'a [u8]>,
    kind: Option<Kind>,
    skip_caller: bool,
}

impl<'a> Filter<'a> {
    fn parse(args: Args<'a>) -> Result<Self, CommandError> {
        if args.len() == 3 {
            return Ok(Self { addr: Some(args.at(2)), ..Self::default() });
        }
        let mut filter = Self { skip_caller: true, ..Self::default() };
        let mut rest = args.from(2);
        while let Some(option) = rest.get(0) {
            let value = rest.get(1).ok_or(CommandError::Syntax)?;
            filter.set(option, value)?;
            rest = rest.from(2);
        }
        Ok(filter)
    }

    fn set(&mut self, option: &[u8], value: &'a [u8]) -> Result<(), CommandError> {
        match option.to_ascii_uppercase().as_slice() {
            b"ID" => self.id = Some(positive(value).ok_or(CommandError::CLIENT_ID_NOT_POSITIVE)?),
            b"ADDR" => self.addr = Some(value),
            b"LADDR" => self.laddr = Some(value),
            b"TYPE" => self.kind = Some(Kind::parse(value)?),
            b"USER" if value == crate::connection::DEFAULT_USER.as_bytes() => {}
            b"USER" => return Err(CommandError::no_such_user(value)),
            b"SKIPME" => self.skip_caller = either(value, "yes", "no")?,
            _ => return Err(CommandError::Syntax),
        }
        Ok(())
    }

    fn has(&self, client: &Client, caller: ClientId) -> bool {
        self.id.is_none_or(|id| client.id.0 == id)
            && self.addr.is_none_or(|addr| client.addr.as_bytes() == addr)
            && self.laddr.is_none_or(|laddr| client.laddr.as_bytes() == laddr)
            && self.kind.is_none_or(|kind| kind == Kind::of(client))
            && !(self.skip_caller && client.id == caller)
            && !client.flags.is_own()
    }
}

fn positive(value: &[u8]) -> Option<u64> {
    parse_int(value).filter(|number| *number > 0).map(|number| number as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{World, check};

    #[test]
    fn a_client_is_killed_once() {
        let mut world = World::new(1);
        world.connect(0);
        world.check(&["CLIENT KILL TYPE normal"], ":1");
        world.check(&["CLIENT KILL TYPE normal"], ":0");
    }

    /// Runs `line` in a world of two cores with clients 1 (the caller) and 2 on the first and 3 on the second, and
    /// says which are closed.
    #[track_caller]
    fn check_kill(line: &str, reply: &str, closed: &[u64]) {
        let mut world = World::new(2);
        world.connect(0);
        world.connect(1);
        world.check(&[line], reply);
        let mut gone = Vec::new();
        for core in &world.cores {
            for action in &core.actions {
                let Action::Close(slot) = action else { panic!("{action:?}") };
                gone.push(core.clients.get(*slot).expect("is there").id.0);
            }
        }
        if world.client().flags.has(ClientFlags::CLOSE_AFTER_REPLY) {
            gone.push(1);
        }
        assert_eq!(gone, closed, "{line}");
    }

    #[test]
    fn the_old_form_names_an_address() {
        check_kill("CLIENT KILL 127.0.0.1:50003", "+OK", &[3]);
        check_kill("CLIENT KILL 127.0.0.1:50001", "+OK", &[1]);
        check_kill("CLIENT KILL 127.0.0.1:1", "-ERR No such client", &[]);
    }

    #[test]
    fn filters_must_all_match_and_spare_the_caller_by_default() {
        check_kill("CLIENT KILL ID 2", ":1", &[2]);
        check_kill("CLIENT KILL ID 1", ":0", &[]);
        check_kill("CLIENT KILL ID 1 SKIPME no", ":1", &[1]);
        check_kill("CLIENT KILL TYPE normal", ":2", &[2, 3]);
        check_kill("CLIENT KILL LADDR 127.0.0.1:7000 SKIPME NO", ":3", &[2, 3, 1]);
        check_kill("CLIENT KILL ADDR 127.0.0.1:50003 ID 2", ":0", &[]);
        check_kill("CLIENT KILL USER default ADDR 127.0.0.1:50003", ":1", &[3]);
        check_kill("CLIENT KILL TYPE pubsub SKIPME no", ":0", &[]);
    }

    #[test]
    fn wrong_filters_are_refused() {
        check(&["CLIENT KILL"], "-ERR wrong number of arguments for 'client|kill' command");
        for id in ["a", "0", "-1"] {
            check(&[&format!("CLIENT KILL ID {id}")], "-ERR client-id should be greater than 0");
        }
        check(&["CLIENT KILL TYPE foo"], "-ERR Unknown client type 'foo'");
        check(&["CLIENT KILL USER foo"], "-ERR No such user 'foo'");
        for wrong in ["CLIENT KILL FOO 1", "CLIENT KILL SKIPME foo", "CLIENT KILL ID 1 SKIPME"] {
            check(&[wrong], "-ERR syntax error");
        }
    }
}
