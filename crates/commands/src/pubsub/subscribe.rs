//! SUBSCRIBE, UNSUBSCRIBE, and their kin for patterns and shard channels. Each name is confirmed by a push message.

use crate::client::ClientFlags;
use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use pubsub::{Kind, Subscriber};
use stdx::Args;

/// SUBSCRIBE channel [channel ...]
pub(super) fn subscribe(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    join(ctx, args, Kind::Channel, "subscribe")
}

/// PSUBSCRIBE pattern [pattern ...]
pub(super) fn psubscribe(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    join(ctx, args, Kind::Pattern, "psubscribe")
}

/// SSUBSCRIBE shardchannel [shardchannel ...]
pub(super) fn ssubscribe(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    // Not inside MULTI, where the other two are for the sake of old clients.
    if !ctx.may_park {
        return Err(CommandError::SSUBSCRIBE_DENIED);
    }
    join(ctx, args, Kind::Shard, "ssubscribe")
}

/// UNSUBSCRIBE [channel [channel ...]]
pub(super) fn unsubscribe(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    leave(ctx, args, Kind::Channel, "unsubscribe")
}

/// PUNSUBSCRIBE [pattern [pattern ...]]
pub(super) fn punsubscribe(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    leave(ctx, args, Kind::Pattern, "punsubscribe")
}

/// SUNSUBSCRIBE [shardchannel [shardchannel ...]]
pub(super) fn sunsubscribe(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    leave(ctx, args, Kind::Shard, "sunsubscribe")
}

/// Ends all subscriptions of the client, without a word (RESET).
pub(crate) fn unsubscribe_from_all(ctx: &mut Ctx<'_>) {
    let who = subscriber(ctx);
    ctx.core.pubsub.leave(who);
    note(ctx, who);
}

fn join(ctx: &mut Ctx<'_>, args: Args<'_>, kind: Kind, word: &str) -> Result<Outcome, CommandError> {
    let who = subscriber(ctx);
    for name in args.from(1).iter() {
        ctx.core.pubsub.subscribe(kind, who, name);
        confirm(ctx, who, kind, word, Some(name));
    }
    note(ctx, who);
    Ok(Outcome::Done)
}

fn leave(ctx: &mut Ctx<'_>, args: Args<'_>, kind: Kind, word: &str) -> Result<Outcome, CommandError> {
    let who = subscriber(ctx);
    if args.len() > 1 {
        for name in args.from(1).iter() {
            ctx.core.pubsub.unsubscribe(kind, who, name);
            confirm(ctx, who, kind, word, Some(name));
        }
    } else {
        let names = ctx.core.pubsub.names_of(kind, who);
        for name in &names {
            ctx.core.pubsub.unsubscribe(kind, who, name);
            confirm(ctx, who, kind, word, Some(name));
        }
        if names.is_empty() {
            confirm(ctx, who, kind, word, None);
        }
    }
    note(ctx, who);
    Ok(Outcome::Done)
}

fn confirm(ctx: &mut Ctx<'_>, who: Subscriber, kind: Kind, word: &str, name: Option<&[u8]>) {
    let count = ctx.core.pubsub.subscriptions(who).told(kind);
    ctx.out.push(3);
    ctx.out.bulk(word.as_bytes());
    match name {
        Some(name) => ctx.out.bulk(name),
        None => ctx.out.null(),
    }
    ctx.out.int(count.into());
}

fn subscriber(ctx: &Ctx<'_>) -> Subscriber {
    Subscriber(ctx.caller.slot.expect("a client subscribes where it is connected").0)
}

/// Writes down what CLIENT LIST shows, and whether the client is a subscriber.
fn note(ctx: &mut Ctx<'_>, who: Subscriber) {
    let subscriptions = ctx.core.pubsub.subscriptions(who);
    let client = ctx.client();
    client.subscriptions = subscriptions;
    client.flags.set(ClientFlags::PUBSUB, !subscriptions.is_empty());
}

#[cfg(test)]
mod tests {
    use crate::testing::{World, check};

    #[test]
    fn each_name_is_confirmed_with_the_count_so_far() {
        let confirmed = "*3 $9 subscribe $1 a :1 *3 $9 subscribe $1 b :2 *3 $9 subscribe $1 a :2";
        check(&["SUBSCRIBE a b a"], confirmed);
        check(&["SUBSCRIBE a", "PSUBSCRIBE x*"], "*3 $10 psubscribe $2 x* :2");
        check(&["SUBSCRIBE a", "SSUBSCRIBE a"], "*3 $10 ssubscribe $1 a :1");
        check(&["HELLO 3", "SUBSCRIBE a"], ">3 $9 subscribe $1 a :1");
    }

    #[test]
    fn names_to_leave_are_given_or_all() {
        let all = "*3 $11 unsubscribe $1 b :2 *3 $11 unsubscribe $1 a :1";
        check(&["PSUBSCRIBE p", "SUBSCRIBE b a", "UNSUBSCRIBE"], all);
        check(&["SUBSCRIBE a", "UNSUBSCRIBE b a"], "*3 $11 unsubscribe $1 b :1 *3 $11 unsubscribe $1 a :0");
        check(&["PSUBSCRIBE p*", "PUNSUBSCRIBE"], "*3 $12 punsubscribe $2 p* :0");
        check(&["SSUBSCRIBE s", "SUBSCRIBE a", "SUNSUBSCRIBE s"], "*3 $12 sunsubscribe $1 s :0");
    }

    #[test]
    fn leaving_nothing_is_confirmed_too() {
        check(&["UNSUBSCRIBE"], "*3 $11 unsubscribe $-1 :0");
        check(&["PSUBSCRIBE p", "UNSUBSCRIBE"], "*3 $11 unsubscribe $-1 :1");
        check(&["HELLO 3", "PUNSUBSCRIBE"], ">3 $12 punsubscribe _ :0");
        check(&["PSUBSCRIBE p", "SUNSUBSCRIBE"], "*3 $12 sunsubscribe $-1 :0");
    }

    #[test]
    fn a_subscriber_is_shown_as_one() {
        let mut world = World::new(1);
        for line in ["SUBSCRIBE a b", "PSUBSCRIBE c", "SSUBSCRIBE d"] {
            world.run(line);
        }
        let line = world.run("CLIENT LIST TYPE pubsub");
        assert!(line.contains("flags=P ") && line.contains(" sub=2 psub=1 ssub=1 "), "{line}");
        assert_eq!(world.run("CLIENT LIST TYPE normal"), "$0 ");
        let before = world.client().memory();
        world.run("PUNSUBSCRIBE");
        assert!(world.client().memory() < before);
        for line in ["UNSUBSCRIBE a b", "SUNSUBSCRIBE"] {
            assert!(world.client().flags.has(crate::ClientFlags::PUBSUB));
            world.run(line);
        }
        assert!(!world.client().flags.has(crate::ClientFlags::PUBSUB));
    }

    #[test]
    fn a_subscriber_of_resp2_has_another_ping() {
        check(&["SUBSCRIBE a", "PING"], "*2 $4 pong $0 ");
        check(&["SUBSCRIBE a", "PING hi"], "*2 $4 pong $2 hi");
        check(&["SUBSCRIBE a", "UNSUBSCRIBE", "PING"], "+PONG");
        check(&["HELLO 3", "SUBSCRIBE a", "PING"], "+PONG");
    }

    #[test]
    fn reset_ends_all_subscriptions() {
        let mut world = World::new(1);
        world.check(&["SUBSCRIBE a", "PSUBSCRIBE p", "SSUBSCRIBE s", "RESET"], "+RESET");
        assert!(world.client().subscriptions.is_empty());
        world.check(&["PUBSUB NUMPAT"], ":0");
        world.check(&["PING"], "+PONG");
    }
}
