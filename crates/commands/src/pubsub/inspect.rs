//! PUBSUB. Every core has the directory of all of them, so the client's own core answers.

use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use pubsub::Kind;
use stdx::{Args, glob};

/// PUBSUB CHANNELS [pattern]
pub(super) fn channels(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    list(ctx, args, Kind::Channel)
}

/// PUBSUB SHARDCHANNELS [pattern]
pub(super) fn shard_channels(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    list(ctx, args, Kind::Shard)
}

/// PUBSUB NUMSUB [channel [channel ...]]
pub(super) fn num_sub(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    count(ctx, args, Kind::Channel)
}

/// PUBSUB SHARDNUMSUB [shardchannel [shardchannel ...]]
pub(super) fn shard_num_sub(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    count(ctx, args, Kind::Shard)
}

/// PUBSUB NUMPAT: how many different patterns.
pub(super) fn num_pat(ctx: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    ctx.out.int(ctx.core.pubsub.names(Kind::Pattern) as i64);
    Ok(Outcome::Done)
}

fn list(ctx: &mut Ctx<'_>, args: Args<'_>, kind: Kind) -> Result<Outcome, CommandError> {
    if args.len() > 3 {
        return Err(CommandError::subcommand("PUBSUB", args.at(1)));
    }
    let is_wanted = |name: &[u8]| args.get(2).is_none_or(|pattern| glob::matches(pattern, name, false));
    let at = ctx.out.deferred();
    let mut len = 0;
    for name in ctx.core.pubsub.channels(kind).filter(|name| is_wanted(name)) {
        ctx.out.bulk(name);
        len += 1;
    }
    ctx.out.close_array(at, len);
    Ok(Outcome::Done)
}

fn count(ctx: &mut Ctx<'_>, args: Args<'_>, kind: Kind) -> Result<Outcome, CommandError> {
    let names = args.from(2);
    ctx.out.array(names.len() * 2);
    for name in names.iter() {
        ctx.out.bulk(name);
        ctx.out.int(ctx.core.pubsub.subscribers(kind, name) as i64);
    }
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn channels_are_listed_and_counted() {
        check(&["PUBSUB CHANNELS"], "*0");
        check(&["SUBSCRIBE a", "PUBSUB CHANNELS"], "*1 $1 a");
        check(&["SUBSCRIBE a b", "PUBSUB CHANNELS b*"], "*1 $1 b");
        check(&["SSUBSCRIBE a", "PUBSUB CHANNELS"], "*0");
        check(&["SSUBSCRIBE a", "PUBSUB SHARDCHANNELS"], "*1 $1 a");
        check(&["SUBSCRIBE a", "PUBSUB NUMSUB a b"], "*4 $1 a :1 $1 b :0");
        check(&["SUBSCRIBE a", "PUBSUB SHARDNUMSUB a"], "*2 $1 a :0");
        check(&["PUBSUB NUMSUB"], "*0");
        check(&["PSUBSCRIBE a b", "PSUBSCRIBE a", "PUBSUB NUMPAT"], ":2");
    }

    #[test]
    fn wrong_forms_are_refused() {
        check(
            &["PUBSUB CHANNELS a b"],
            "-ERR unknown subcommand or wrong number of arguments for 'CHANNELS'. Try PUBSUB HELP.",
        );
        check(&["PUBSUB NUMPAT a"], "-ERR wrong number of arguments for 'pubsub|numpat' command");
        check(&["PUBSUB foo"], "-ERR unknown subcommand 'foo'. Try PUBSUB HELP.");
    }
}
