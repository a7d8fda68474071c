//! What begins flows between two Lacewings: `LACEWING.SYNC` and `LACEWING.FLOW`, whose words are [`replication::flow::hello`]'s. No client
//! knows them: whoever has not said that it is a Lacewing is told that there is no such command.

use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use crate::masters::Wants;
use crate::row::{Command, Flags};
use crate::server::replication::{follow, has_data, is_not_failing_over};
use crate::table;
use replication::flow::hello::{Join, Sync};
use stdx::Args;

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "lacewing.sync",
        arity: -1,
        flags: FLAGS,
        handler: sync,
        summary: "Begins a session of flows.",
        is_internal: true,
        ..Command::EMPTY
    },
    Command {
        name: "lacewing.flow",
        arity: -1,
        flags: FLAGS,
        handler: flow,
        summary: "Begins a flow.",
        is_internal: true,
        ..Command::EMPTY
    },
];

const FLAGS: Flags =
    Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::NO_ASYNC_LOADING).or(Flags::NO_MULTI).or(Flags::HIDDEN);

/// The connection is the link of a session from now on.
fn sync(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let is_lacewing = ctx.client().replica.as_ref().is_some_and(|follower| follower.lacewing.is_some());
    if !is_lacewing {
        return Err(table::hidden(args).error());
    }
    let words: Vec<&[u8]> = args.from(1).iter().collect();
    let sync = Sync::parse(&words).ok_or(CommandError::Syntax)?;
    is_not_failing_over(ctx)?;
    has_data(ctx)?;
    if let Some(why) = why_none(ctx) {
        return Err(CommandError::Text(format!("NOFLOWS {why}").into_bytes().into()));
    }
    follow(ctx, Wants::Session(sync), false);
    Ok(Outcome::Done)
}

/// The connection is that of one flow from now on.
fn flow(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let words: Vec<&[u8]> = args.from(1).iter().collect();
    let join = Join::parse(&words).ok_or_else(|| table::hidden(args).error())?;
    follow(ctx, Wants::Flow(join), false);
    Ok(Outcome::Done)
}

/// Why this node sends no flows, if it does not.
pub(crate) fn why_none(ctx: &Ctx<'_>) -> Option<&'static str> {
    if !ctx.core.config.repl_flows {
        return Some("repl-flows is off");
    }
    let has_log = ctx.core.log.is_on && ctx.core.shared.log.is_begun();
    (!has_log).then_some("there is no log that they could be made of")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::World;

    const ID: &str = "REPLCONF lacewing-id aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn with_log() -> World {
        let mut world = World::new(1);
        world.cores[0].config.repl_flows = true;
        world.cores[0].log.is_on = true;
        world.cores[0].shared.log.set_begun(true);
        world
    }

    #[test]
    fn who_is_no_lacewing_does_not_know_them() {
        let mut world = with_log();
        let unknown = |line: &str| {
            let (name, args) = line.split_once(' ').unwrap_or((line, ""));
            let args: String = args.split_whitespace().map(|arg| format!("'{arg}' ")).collect();
            format!("-ERR unknown command '{name}', with args beginning with: {args}")
        };
        for line in ["LACEWING.SYNC ? 0 0 ? 0", "LACEWING.FLOW abc 1", "LACEWING.FLOW"] {
            world.check(&[line], &unknown(line));
        }
        assert!(world.cores[0].asks_to_follow.is_none());
    }

    #[test]
    fn a_session_needs_a_log() {
        let mut world = World::new(1);
        world.cores[0].config.repl_flows = true;
        world.run(ID);
        world.check(&["REPLCONF capa lacewing-flows"], "+OK");
        let none = "-NOFLOWS there is no log that they could be made of";
        world.check(&["LACEWING.SYNC ? 0 0 ? 0"], none);
        let mut world = with_log();
        world.cores[0].config.repl_flows = false;
        world.run(ID);
        world.check(&["LACEWING.SYNC ? 0 0 ? 0"], "-NOFLOWS repl-flows is off");
    }

    #[test]
    fn a_session_and_a_flow_are_asked_for() {
        let mut world = with_log();
        world.check(&["REPLCONF capa eof capa lacewing-flows"], "+OK lacewing-flows");
        world.run(ID);
        world.check(&["LACEWING.SYNC ? 0 0"], "-ERR syntax error");
        world.check(&["LACEWING.SYNC ? 0 0 ? 0"], "");
        let asked = world.cores[0].asks_to_follow.take().expect("it has asked");
        assert_eq!(asked.wants, Wants::Session(Sync { stands: None, offset: 0 }));
        world.check(&["LACEWING.FLOW 0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a 3"], "");
        let asked = world.cores[0].asks_to_follow.take().expect("it has asked");
        assert!(matches!(asked.wants, Wants::Flow(Join { flow: 3, .. })));
    }
}
