//! CLIENT TRACKING, CACHING, GETREDIR and TRACKINGINFO.
//!
//! The client that REDIRECT names may be connected to any core: each says whether it is its own, and home takes it from
//! there. What clients are told, and when, is in [`crate::tracking`].

use super::either;
use crate::client::{ClientFlags, Tracking};
use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use crate::parts::Part;
use crate::tracking::update;
use pubsub::{Kind, Reader, Subscriber};
use stdx::{Args, ClientId, ShardId};

/// CLIENT TRACKING ON | OFF [options]: one core's part, the place of the client that REDIRECT names if it is here.
pub(super) fn tracking(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let options = Options::parse(args)?;
    let found = options.redirect.and_then(|id| {
        let mut clients = ctx.core.clients.iter();
        clients.find(|(_, client)| client.id == id).map(|(slot, _)| i64::from(slot.0))
    });
    ctx.out.int(found.unwrap_or(-1));
    Ok(Outcome::Done)
}

/// Switches tracking, when all cores have been asked.
pub(super) fn merge(ctx: &mut Ctx<'_>, args: Args<'_>, parts: &[&[u8]]) -> Result<(), CommandError> {
    let options = Options::parse(args)?;
    let redirect = match options.redirect {
        None => None,
        Some(id) => Some(find(id, parts).ok_or(CommandError::NO_SUCH_REDIRECT)?),
    };
    match either(args.at(2), "on", "off")? {
        true => switch_on(ctx, &options, redirect)?,
        false => switch_off(ctx),
    }
    ctx.out.ok();
    Ok(())
}

/// Where the client is that one of the cores has found.
fn find(id: ClientId, parts: &[&[u8]]) -> Option<Reader> {
    let mut places = parts.iter().map(|part| Part::new(part).int()).enumerate();
    let (home, slot) = places.find(|(_, slot)| *slot >= 0)?;
    Some(Reader { id, home: ShardId(home as u16), slot: slot as u32 })
}

fn switch_on(ctx: &mut Ctx<'_>, options: &Options<'_>, redirect: Option<Reader>) -> Result<(), CommandError> {
    let who = subscriber(ctx);
    let before = ctx.client().tracking.clone();
    options.check(before.as_deref())?;
    if options.bcast {
        let own = ctx.core.pubsub.names_of(Kind::Prefix, who);
        check_prefixes(&own, &options.prefixes)?;
        let all: [&[u8]; 1] = [b""];
        let prefixes = if options.prefixes.is_empty() { &all[..] } else { &options.prefixes[..] };
        for prefix in prefixes {
            ctx.core.pubsub.subscribe(Kind::Prefix, who, prefix);
        }
        update(ctx.core);
    }
    let Options { bcast, optin, optout, noloop, .. } = *options;
    let subscriptions = ctx.core.pubsub.subscriptions(who);
    let client = ctx.client();
    // Prefixes take memory as channels do.
    client.subscriptions = subscriptions;
    let caching = client.tracking.as_ref().is_some_and(|before| before.caching);
    client.tracking = Some(Box::new(Tracking { bcast, optin, optout, noloop, caching, redirect }));
    client.flags.set(ClientFlags::TRACKING, true);
    client.flags.set(ClientFlags::TRACKING_BROKEN, false);
    client.flags.set(ClientFlags::TRACKING_BCAST, bcast);
    Ok(())
}

/// Ends the tracking of the client. Keys that it has read stay remembered until they change, and then it is not told.
pub(crate) fn switch_off(ctx: &mut Ctx<'_>) {
    let who = subscriber(ctx);
    ctx.core.pubsub.leave_all(Kind::Prefix, who);
    update(ctx.core);
    let subscriptions = ctx.core.pubsub.subscriptions(who);
    let client = ctx.client();
    client.subscriptions = subscriptions;
    client.tracking = None;
    for flag in [ClientFlags::TRACKING, ClientFlags::TRACKING_BROKEN, ClientFlags::TRACKING_BCAST] {
        client.flags.set(flag, false);
    }
}

/// CLIENT CACHING YES | NO
pub(super) fn caching(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let tracking = ctx.client().tracking.as_mut().ok_or(CommandError::TRACKING_OFF)?;
    let is_allowed = match either(args.at(2), "yes", "no")? {
        true => tracking.optin.then_some(()).ok_or(CommandError::CACHING_WITHOUT_OPTIN),
        false => tracking.optout.then_some(()).ok_or(CommandError::CACHING_WITHOUT_OPTOUT),
    };
    is_allowed?;
    tracking.caching = true;
    ctx.out.ok();
    Ok(Outcome::Done)
}

/// CLIENT GETREDIR: the client that is told instead of the caller, 0 for the caller itself, -1 while tracking is off.
pub(super) fn get_redirection(ctx: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    let redirection = redirection(ctx.client().tracking.as_deref());
    ctx.out.int(redirection);
    Ok(Outcome::Done)
}

/// CLIENT TRACKINGINFO
pub(super) fn tracking_info(ctx: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    let who = subscriber(ctx);
    let mut prefixes = ctx.core.pubsub.names_of(Kind::Prefix, who);
    prefixes.sort_unstable();
    let client = ctx.client();
    let flags = flags(client.tracking.as_deref(), client.flags.has(ClientFlags::TRACKING_BROKEN));
    let redirection = redirection(client.tracking.as_deref());
    ctx.out.map(3);
    ctx.out.bulk(b"flags");
    ctx.out.set(flags.len());
    flags.iter().for_each(|flag| ctx.out.bulk(flag.as_bytes()));
    ctx.out.bulk(b"redirect");
    ctx.out.int(redirection);
    ctx.out.bulk(b"prefixes");
    ctx.out.array(prefixes.len());
    prefixes.iter().for_each(|prefix| ctx.out.bulk(prefix));
    Ok(Outcome::Done)
}

/// As CLIENT GETREDIR and CLIENT LIST say it.
pub(super) fn redirection(tracking: Option<&Tracking>) -> i64 {
    tracking.map_or(-1, |tracking| tracking.redirect.map_or(0, |redirect| redirect.id.0 as i64))
}

fn flags(tracking: Option<&Tracking>, is_broken: bool) -> Vec<&'static str> {
    let Some(tracking) = tracking else { return vec!["off"] };
    let all = [
        (true, "on"),
        (tracking.bcast, "bcast"),
        (tracking.optin, "optin"),
        (tracking.optin && tracking.caching, "caching-yes"),
        (tracking.optout, "optout"),
        (tracking.optout && tracking.caching, "caching-no"),
        (tracking.noloop, "noloop"),
        (is_broken, "broken_redirect"),
    ];
    all.into_iter().filter(|(is_set, _)| *is_set).map(|(_, name)| name).collect()
}

fn subscriber(ctx: &Ctx<'_>) -> Subscriber {
    Subscriber(ctx.caller.slot.expect("a client tracks where it is connected").0)
}

/// CLIENT TRACKING's arguments.
#[derive(Default)]
struct Options<'a> {
    redirect: Option<ClientId>,
    prefixes: Vec<&'a [u8]>,
    bcast: bool,
    optin: bool,
    optout: bool,
    noloop: bool,
}

impl<'a> Options<'a> {
    fn parse(args: Args<'a>) -> Result<Self, CommandError> {
        let mut options = Self::default();
        let mut rest = args.from(3);
        while let Some(word) = rest.get(0) {
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            let value = rest.get(1);
            let mut taken = 1;
            match value {
                Some(id) if is("redirect") => {
                    let id = crate::ctx::parse_int(id).ok_or(CommandError::NotInteger)?;
                    if options.redirect.is_some() {
                        return Err(CommandError::SECOND_REDIRECT);
                    }
                    options.redirect = Some(ClientId(id as u64)).filter(|id| id.0 != 0);
                    if id == 0 {
                        return Err(CommandError::NO_SUCH_REDIRECT);
                    }
                    taken = 2;
                }
                Some(prefix) if is("prefix") => {
                    options.prefixes.push(prefix);
                    taken = 2;
                }
                _ if is("bcast") => options.bcast = true,
                _ if is("optin") => options.optin = true,
                _ if is("optout") => options.optout = true,
                _ if is("noloop") => options.noloop = true,
                _ => return Err(CommandError::Syntax),
            }
            rest = rest.from(taken);
        }
        Ok(options)
    }

    /// Whether they go together, and with what was chosen `before`.
    fn check(&self, before: Option<&Tracking>) -> Result<(), CommandError> {
        if !self.bcast && !self.prefixes.is_empty() {
            return Err(CommandError::PREFIX_WITHOUT_BCAST);
        }
        if before.is_some_and(|before| before.bcast != self.bcast) {
            return Err(CommandError::BCAST_SWITCHED);
        }
        if self.bcast && (self.optin || self.optout) {
            return Err(CommandError::OPT_WITH_BCAST);
        }
        if self.optin && self.optout {
            return Err(CommandError::OPTIN_AND_OPTOUT);
        }
        if before.is_some_and(|before| (self.optin && before.optout) || (self.optout && before.optin)) {
            return Err(CommandError::OPT_SWITCHED);
        }
        Ok(())
    }
}

/// A client's prefixes must not overlap, or it would be told twice of one key.
fn check_prefixes(own: &[Box<[u8]>], given: &[&[u8]]) -> Result<(), CommandError> {
    let overlap = |one: &[u8], other: &[u8]| one.starts_with(other) || other.starts_with(one);
    for (index, prefix) in given.iter().enumerate() {
        if let Some(other) = own.iter().find(|other| overlap(prefix, other)) {
            return Err(CommandError::prefix_overlap(prefix, "an existing", other));
        }
        if let Some(other) = given[index + 1..].iter().find(|other| overlap(prefix, other)) {
            return Err(CommandError::prefix_overlap(prefix, "another provided", other));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::{World, check};

    #[test]
    fn prefixes_count_as_memory_of_their_client() {
        let mut world = World::new(1);
        world.run("HELLO 3");
        let before = world.client().memory();
        for number in 0..1000 {
            world.check(&[&format!("CLIENT TRACKING ON BCAST PREFIX prefix:{number:03}")], "+OK");
        }
        let more = world.client().memory() - before;
        assert!((10_000..200_000).contains(&more), "{more}");
        world.check(&["CLIENT TRACKING OFF"], "+OK");
        assert_eq!(world.client().memory(), before);
    }

    #[test]
    fn tracking_is_off_and_says_so() {
        check(&["CLIENT TRACKING OFF"], "+OK");
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

    #[test]
    fn modes_are_shown() {
        let info = |flags: &str, rest: &str| format!("*6 $5 flags {flags} $8 redirect {rest}");
        let bcast = ["CLIENT TRACKING ON BCAST NOLOOP PREFIX b PREFIX a", "CLIENT TRACKINGINFO"];
        check(&bcast, &info("*3 $2 on $5 bcast $6 noloop", ":0 $8 prefixes *2 $1 a $1 b"));
        let optin = ["CLIENT TRACKING ON OPTIN", "CLIENT CACHING YES", "CLIENT TRACKINGINFO"];
        check(&optin, &info("*3 $2 on $5 optin $11 caching-yes", ":0 $8 prefixes *0"));
        let optout = ["CLIENT TRACKING ON OPTOUT", "CLIENT CACHING NO", "PING", "CLIENT TRACKINGINFO"];
        check(&optout, &info("*2 $2 on $6 optout", ":0 $8 prefixes *0"));
        let off = ["CLIENT TRACKING ON BCAST", "CLIENT TRACKING OFF", "CLIENT TRACKINGINFO"];
        check(&off, &info("*1 $3 off", ":-1 $8 prefixes *0"));
        check(&["CLIENT TRACKING ON BCAST", "RESET", "CLIENT GETREDIR"], ":-1");
    }

    #[test]
    fn another_client_may_be_told_instead() {
        let mut world = World::new(2);
        world.connect(1);
        world.check(&["CLIENT TRACKING ON REDIRECT 2"], "+OK");
        world.check(&["CLIENT GETREDIR"], ":2");
        let redirect = world.client().tracking.as_ref().and_then(|tracking| tracking.redirect).expect("set");
        assert_eq!((redirect.home.0, redirect.slot), (1, 0));
        let line = world.run("CLIENT INFO");
        assert!(line.contains("flags=t ") && line.contains(" redir=2 "), "{line}");
        world.check(
            &["CLIENT TRACKING ON REDIRECT 9"],
            "-ERR The client ID you want redirect to does not exist",
        );
        world.check(
            &["CLIENT TRACKING ON REDIRECT 1 REDIRECT 2"],
            "-ERR A client can only redirect to a single other client",
        );
        world.check(&["CLIENT TRACKING ON REDIRECT x"], "-ERR value is not an integer or out of range");
    }

    #[test]
    fn options_that_do_not_go_together_are_refused() {
        check(&["CLIENT TRACKING ON PREFIX a"], "-ERR PREFIX option requires BCAST mode to be enabled");
        check(&["CLIENT TRACKING ON BCAST OPTIN"], "-ERR OPTIN and OPTOUT are not compatible with BCAST");
        check(&["CLIENT TRACKING ON OPTIN OPTOUT"], "-ERR You can't specify both OPTIN mode and OPTOUT mode");
        let switched = "-ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then \
                        re-enabling it with a different mode.";
        check(&["CLIENT TRACKING ON", "CLIENT TRACKING ON BCAST"], switched);
        let switched = "-ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then \
                        re-enabling it with a different mode.";
        check(&["CLIENT TRACKING ON OPTIN", "CLIENT TRACKING ON OPTOUT"], switched);
        let overlap = |prefix, with| {
            format!(
                "-ERR Prefix '{prefix}' overlaps with {with}. Prefixes for a single client must not overlap."
            )
        };
        let own = ["CLIENT TRACKING ON BCAST PREFIX ab", "CLIENT TRACKING ON BCAST PREFIX a"];
        check(&own, &overlap("a", "an existing prefix 'ab'"));
        let given = ["CLIENT TRACKING ON BCAST PREFIX x PREFIX a PREFIX ab"];
        check(&given, &overlap("a", "another provided prefix 'ab'"));
        let optin = "-ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.";
        check(&["CLIENT TRACKING ON", "CLIENT CACHING YES"], optin);
        let optout = "-ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.";
        check(&["CLIENT TRACKING ON OPTIN", "CLIENT CACHING NO"], optout);
        check(&["CLIENT TRACKING ON OPTIN", "CLIENT CACHING x"], "-ERR syntax error");
    }
}
