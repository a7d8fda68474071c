//! CLIENT TRACKING and what belongs to it. There is no tracking yet: it can be switched off, and asked about.

use super::either;
use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use stdx::Args;

/// CLIENT TRACKING ON | OFF [options]
pub(super) fn tracking(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    if either(args.at(2), "on", "off")? {
        return Err(CommandError::NO_TRACKING);
    }
    ctx.out.ok();
    Ok(Outcome::Done)
}

/// CLIENT CACHING YES | NO
pub(super) fn caching(_: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    Err(CommandError::TRACKING_OFF)
}

/// CLIENT GETREDIR: -1, tracking is off.
pub(super) fn get_redirection(ctx: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    ctx.out.int(-1);
    Ok(Outcome::Done)
}

/// CLIENT TRACKINGINFO
pub(super) fn tracking_info(ctx: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    ctx.out.map(3);
    ctx.out.bulk(b"flags");
    ctx.out.set(1);
    ctx.out.bulk(b"off");
    ctx.out.bulk(b"redirect");
    ctx.out.int(-1);
    ctx.out.bulk(b"prefixes");
    ctx.out.array(0);
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn tracking_is_off_and_says_so() {
        check(&["CLIENT TRACKING OFF"], "+OK");
        check(&["CLIENT TRACKING ON"], "-ERR client tracking is not part of this version of Lacewing");
        check(&["CLIENT TRACKING foo"], "-ERR syntax error");
        check(&["CLIENT GETREDIR"], ":-1");
        check(&["CLIENT TRACKINGINFO"], "*6 $5 flags *1 $3 off $8 redirect :-1 $8 prefixes *0");
        check(&["HELLO 3", "CLIENT TRACKINGINFO"], "%3 $5 flags ~1 $3 off $8 redirect :-1 $8 prefixes *0");
        check(
            &["CLIENT CACHING YES"],
            "-ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode \
             enabled",
        );
    }
}
