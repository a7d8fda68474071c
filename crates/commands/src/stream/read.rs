//! XREAD and XREADGROUP.

use super::journal::GroupJournal;
use super::{find, id, is, reply};
use crate::ctx::{Ctx, Outcome};
use crate::effects::Event;
use crate::error::CommandError;
use crate::parking::{Parking, Wanted, until_ms};
use datatypes::StreamId;
use datatypes::stream::{ConsumerId, Group, IdText, Log, Pending};
use keyspace::Editing;
use resp::{Proto, Reply};
use std::ops::Range;
use stdx::args::OwnedArgs;
use stdx::{Args, UnixMs};

/// What a read asks for.
struct Request<'a> {
    count: Option<u64>,
    noack: bool,
    /// BLOCK: until when it may wait.
    block: Option<Option<UnixMs>>,
    /// The group and the consumer.
    group: Option<(&'a [u8], &'a [u8])>,
    /// The position of the first key.
    first_key: usize,
    keys: Args<'a>,
    ids: Args<'a>,
}

/// Positions of the keys: the first half of what follows the word STREAMS, which may be a group's or a stream's name too.
pub(super) fn keys(args: Args<'_>, positions: &mut Vec<u32>) {
    let (at, _) = skim(args);
    let rest = args.len() - at;
    if rest.is_multiple_of(2) {
        positions.extend((at..at + rest / 2).map(|at| at as u32));
    }
}

/// Whether the option BLOCK is there.
pub(crate) fn blocks(args: Args<'_>) -> bool {
    skim(args).1
}

/// What XREADGROUP with BLOCK takes entries from: the group, and the positions of the streams. `None` if it is wrong.
pub(crate) fn takes_from(args: Args<'_>) -> Option<(&[u8], Range<usize>)> {
    let (first, blocks) = skim(args);
    let at = (1..first).find(|&at| is(args.at(at), "GROUP"))?;
    let group = args.get(at + 1).filter(|_| blocks)?;
    Some((group, first..first + (args.len() - first) / 2))
}

/// Where the keys begin, at the end where they do not; and whether the option BLOCK comes before.
fn skim(args: Args<'_>) -> (usize, bool) {
    let (mut at, mut blocks) = (1, false);
    while let Some(word) = args.get(at) {
        at += 1;
        if is(word, "STREAMS") {
            return (at.min(args.len()), blocks);
        } else if is(word, "BLOCK") || is(word, "COUNT") {
            blocks |= is(word, "BLOCK");
            at += 1;
        } else if is(word, "GROUP") {
            at += 2;
        } else if !is(word, "NOACK") {
            break;
        }
    }
    (args.len(), blocks)
}

pub(super) fn xread(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let request = parse(ctx, args, false)?;
    for (key, after) in request.keys.iter().zip(request.ids.iter()) {
        let access = ctx.read_access();
        find(ctx, key, access)?;
        match after {
            b"$" => {}
            b">" => return Err(CommandError::READ_NEW),
            _ => drop(id(after)?),
        }
    }
    let mut replies = Replies::open(&mut ctx.out);
    for (key, after) in request.keys.iter().zip(request.ids.iter()) {
        // Counted a second time, as in Redis.
        let (place, access) = (ctx.key(key), ctx.read_access());
        let entry = ctx.core.keyspace.find(ctx.caller.db, place, ctx.now, access);
        let Some(stream) = entry.and_then(|entry| entry.stream()) else { continue };
        let log = stream.log();
        let after = if after == b"$" { log.last_id() } else { id(after)? };
        if log.last_entry_id().is_none_or(|last| last <= after) {
            continue;
        }
        replies.begin(&mut ctx.out, key);
        let start = after.next().expect("an id below another");
        reply::entries(&mut ctx.out, log.range(start, StreamId::MAX), request.count);
    }
    let parks = replies.close(ctx, &request);
    Ok(parks.map_or(Outcome::Done, |parking| {
        let args = Some(with_last_ids(ctx, args, &request));
        ctx.park(Parking { wanted: Wanted::Stream, args, ..parking })
    }))
}

/// The command with ids for `$`: entries that come later are new, although they will be the last ones then.
fn with_last_ids(ctx: &mut Ctx<'_>, args: Args<'_>, request: &Request<'_>) -> OwnedArgs {
    let mut known = OwnedArgs::default();
    (0..args.len() - request.ids.len()).for_each(|at| known.push(args.at(at)));
    for (key, after) in request.keys.iter().zip(request.ids.iter()) {
        if after != b"$" {
            known.push(after);
            continue;
        }
        let place = ctx.key(key);
        let entry = ctx.core.keyspace.find(ctx.caller.db, place, ctx.now, keyspace::Access::Peek);
        let last =
            entry.and_then(|entry| entry.stream()).map_or(StreamId::MIN, |stream| stream.log().last_id());
        known.push(last.text(&mut IdText::default()));
    }
    known
}

pub(super) fn xreadgroup(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let request = parse(ctx, args, true)?;
    let (group, _) = request.group.ok_or(CommandError::READ_GROUP_MISSING)?;
    for (key, after) in request.keys.iter().zip(request.ids.iter()) {
        let access = ctx.read_access();
        if find(ctx, key, access)?.is_none_or(|stream| stream.group(group).is_none()) {
            return Err(CommandError::no_key_or_group(key, group, " in XREADGROUP with GROUP option"));
        }
        match after {
            b"$" => return Err(CommandError::READ_LAST),
            b">" => {}
            _ => drop(id(after)?),
        }
    }
    let mut replies = Replies::open(&mut ctx.out);
    for (key, after) in request.keys.iter().zip(request.ids.iter()) {
        // The greatest id there is means the same as `>`.
        let after = if after == b">" { StreamId::MAX } else { id(after)? };
        let history = (after != StreamId::MAX).then(|| after.next().expect("an id below another"));
        read_one(ctx, &request, key, history, &mut replies)?;
    }
    let parks = replies.close(ctx, &request);
    Ok(parks.map_or(Outcome::Done, |parking| {
        ctx.park(Parking { wanted: Wanted::Group(group.into()), ..parking })
    }))
}

/// Reads one stream for a consumer: its pending entries from `history` on, or what nobody got yet.
fn read_one(
    ctx: &mut Ctx<'_>,
    request: &Request<'_>,
    key: &[u8],
    history: Option<StreamId>,
    replies: &mut Replies,
) -> Result<(), CommandError> {
    let (now_ms, db) = (ctx.written_ms(), ctx.caller.db);
    let is_reserved = ctx.core.is_reserved(key);
    let (group_name, consumer_name) = request.group.expect("it was looked up");
    let created = super::edit!(ctx, key, |editing: &mut Editing<'_>| {
        let stream = editing.stream();
        let (log, mut group) = stream.group_mut(group_name).expect("it was looked up");
        let mut journal = GroupJournal { effects: &mut ctx.core.effects, db, key, group: group_name };
        let created = group.create_consumer(consumer_name, now_ms);
        if created.is_some() {
            journal.created(consumer_name);
        }
        let consumer = created.or_else(|| group.find_consumer(consumer_name)).expect("there or made");
        group.consumer_mut(consumer).seen_ms = now_ms;
        let behind = || log.last_entry_id().is_some_and(|last| last > group.last_id);
        let serves = history.is_some() || (behind() && !is_reserved);
        if serves {
            replies.begin(&mut ctx.out, key);
            let mut delivery =
                Delivery { log, group: &mut group, consumer, now_ms, count: request.count, journal };
            match history {
                Some(start) => delivery.again(&mut ctx.out, start),
                None => delivery.first_time(&mut ctx.out, request.noack),
            }
        }
        drop(group);
        super::changed(editing, u64::from(created.is_some()) + u64::from(serves));
        Ok::<_, CommandError>(created.is_some())
    })?;
    if created == Some(true) {
        ctx.event(Event::STREAM, "xgroup-createconsumer", key);
    }
    Ok(())
}

/// Entries on their way to a consumer.
struct Delivery<'a> {
    log: &'a Log,
    group: &'a mut Group,
    consumer: ConsumerId,
    now_ms: i64,
    count: Option<u64>,
    journal: GroupJournal<'a>,
}

impl Delivery<'_> {
    /// Answers entries that the group has not delivered to anybody.
    fn first_time(&mut self, out: &mut Reply<'_>, noack: bool) {
        let start = self.group.last_id.next().expect("an id below another");
        let (at, mut len) = (out.deferred(), 0);
        for entry in self.log.range(start, StreamId::MAX) {
            self.group.advance(self.log, entry.id);
            reply::entry(out, &entry);
            if !noack {
                let pending = Pending { consumer: self.consumer, delivered_ms: self.now_ms, deliveries: 1 };
                self.group.assign(entry.id, pending);
                self.group.consumer_mut(self.consumer).active_ms = Some(self.now_ms);
                self.journal.claimed(self.group, entry.id, &pending);
            }
            len += 1;
            if self.count == Some(len as u64) {
                break;
            }
        }
        out.close_array(at, len);
        if len > 0 {
            self.journal.moved(self.group);
        }
    }

    /// Answers entries that are pending for the consumer, those that were deleted meanwhile without their fields.
    fn again(&mut self, out: &mut Reply<'_>, start: StreamId) {
        let (at, mut len, mut next) = (out.deferred(), 0, Some(start));
        while self.count.is_none_or(|count| (len as u64) < count) {
            let pending = next.and_then(|next| self.group.consumer(self.consumer).pending(next).next());
            let Some(id) = pending else { break };
            if reply::entry_of(out, self.log, id) {
                let pending = self.group.pending_mut(id).expect("what a consumer has, its group has");
                pending.delivered_ms = self.now_ms;
                pending.deliveries = pending.deliveries.wrapping_add(1);
                let pending = *pending;
                self.journal.claimed(self.group, id, &pending);
            } else {
                out.array(2);
                reply::id(out, id);
                out.null_array();
            }
            len += 1;
            next = id.next();
        }
        out.close_array(at, len);
    }
}

/// The reply: a map of streams, which is only opened when there is anything to say.
struct Replies {
    start: usize,
    at: Option<resp::Deferred>,
    streams: usize,
}

impl Replies {
    fn open(out: &mut Reply<'_>) -> Self {
        let start = out.written().len();
        Self { start, at: Some(out.deferred()), streams: 0 }
    }

    fn begin(&mut self, out: &mut Reply<'_>, key: &[u8]) {
        self.streams += 1;
        if out.proto() == Proto::Resp2 {
            out.array(2);
        }
        out.bulk(key);
    }

    /// Writes nil if there was nothing, or nothing at all if the client may wait for more: then the wait is returned, but
    /// for what it is for.
    fn close(mut self, ctx: &mut Ctx<'_>, request: &Request<'_>) -> Option<Parking> {
        let (at, out) = (self.at.take().expect("closed once"), &mut ctx.out);
        if self.streams == 0 {
            out.truncate(self.start);
            if let Some(until) = request.block.filter(|_| ctx.may_park) {
                let keys = request.first_key..request.first_key + request.keys.len();
                return Some(Parking { until, keys, wanted: Wanted::Stream, args: None });
            }
            out.null_array();
        } else if out.proto() == Proto::Resp2 {
            out.close_array(at, self.streams);
        } else {
            out.close_map(at, self.streams);
        }
        None
    }
}

fn parse<'a>(ctx: &Ctx<'_>, args: Args<'a>, of_group: bool) -> Result<Request<'a>, CommandError> {
    let mut request = Request {
        count: None,
        noack: false,
        block: None,
        first_key: 0,
        group: None,
        keys: args.from(args.len()),
        ids: args.from(args.len()),
    };
    let mut at = 1;
    while at < args.len() {
        let (word, more) = (args.at(at), args.len() - at - 1);
        if is(word, "BLOCK") && more > 0 {
            request.block = Some(until_ms(args.at(at + 1), ctx.now)?);
            at += 1;
        } else if is(word, "COUNT") && more > 0 {
            request.count = u64::try_from(ctx.int(args, at + 1)?).ok().filter(|&count| count > 0);
            at += 1;
        } else if is(word, "STREAMS") && more > 0 {
            if !more.is_multiple_of(2) {
                let (name, symbol) = if of_group { ("xreadgroup", '>') } else { ("xread", '$') };
                return Err(CommandError::unbalanced_streams(name, symbol));
            }
            request.first_key = at + 1;
            request.keys = args.part(at + 1, more / 2);
            request.ids = args.from(at + 1 + more / 2);
            break;
        } else if is(word, "GROUP") && more >= 2 {
            if !of_group {
                return Err(CommandError::READ_GROUP);
            }
            request.group = Some((args.at(at + 1), args.at(at + 2)));
            at += 2;
        } else if is(word, "NOACK") {
            if !of_group {
                return Err(CommandError::READ_NOACK);
            }
            request.noack = true;
        } else {
            return Err(CommandError::Syntax);
        }
        at += 1;
    }
    if request.ids.len() == 0 { Err(CommandError::Syntax) } else { Ok(request) }
}

#[cfg(test)]
mod tests {
    use crate::testing::{World, check, check_effects};
    use resp::Proto;
    use stdx::args::OwnedArgs;

    const TWO: [&str; 3] = ["XADD s 1 f v", "XADD s 2 f v", "XGROUP CREATE s g 0"];
    const ONE_AND_TWO: &str = "*1 *2 $1 s *2 *2 $3 1-0 *2 $1 f $1 v *2 $3 2-0 *2 $1 f $1 v";

    #[track_caller]
    fn check_after(commands: &[&str], expected: &str) {
        check(&[&TWO[..], commands].concat(), expected);
    }

    #[test]
    fn streams_are_read_from_ids_on() {
        check_after(&["XREAD STREAMS s 0"], ONE_AND_TWO);
        check_after(&["XREAD COUNT 1 STREAMS s 1"], "*1 *2 $1 s *1 *2 $3 2-0 *2 $1 f $1 v");
        check_after(&["XREAD STREAMS s t 2 0"], "*-1");
        check_after(&["XREAD STREAMS s $"], "*-1");
        check_after(&["XREAD COUNT 0 STREAMS s 0"], ONE_AND_TWO);
        check_after(&["XADD t 1 f v", "XREAD COUNT 1 STREAMS s t 1 0"], BOTH);
        let mut world = World::new(1);
        world.client().proto = Proto::Resp3;
        world.check(&["XADD s 1 f v", "XREAD STREAMS s 0"], "%1 $1 s *1 *2 $3 1-0 *2 $1 f $1 v");
        world.check(&["XREAD STREAMS s 1"], "_");
    }

    const BOTH: &str = "*2 *2 $1 s *1 *2 $3 2-0 *2 $1 f $1 v *2 $1 t *1 *2 $3 1-0 *2 $1 f $1 v";

    #[test]
    fn what_is_wrong_is_told_in_order() {
        check(&["XREAD COUNT x STREAMS s 0"], "-ERR value is not an integer or out of range");
        check(
            &["XREAD STREAMS s t 0"],
            "-ERR Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be specified.",
        );
        check(&["XREAD COUNT 1 NONSENSE"], "-ERR syntax error");
        check(&["XREAD COUNT 1 COUNT 2"], "-ERR syntax error");
        check(&["XREAD GROUP g c STREAMS s 0"], READ_GROUP);
        check(&["XREAD STREAMS s x"], "-ERR Invalid stream ID specified as stream command argument");
        check(&["XREAD BLOCK x STREAMS s 0"], "-ERR timeout is not an integer or out of range");
        check(&["XREAD BLOCK -1 STREAMS s 0"], "-ERR timeout is negative");
        check(&["XREADGROUP NOACK COUNT 1 STREAMS s t 0 0"], "-ERR Missing GROUP option for XREADGROUP");
        check(
            &["XREADGROUP GROUP g c STREAMS s >"],
            "-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option",
        );
        check(
            &["SET s v", "XREAD STREAMS s 0"],
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
    }

    const READ_GROUP: &str =
        "-ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.";

    #[test]
    fn a_read_may_wait_for_entries() {
        check_after(&["XREAD BLOCK 0 STREAMS s 0"], ONE_AND_TWO);
        check_after(
            &["XREAD COUNT 1 BLOCK 5 STREAMS s t $ 7"],
            &waits("6..8", "Some(UnixMs(1700000000005))", "Stream"),
        );
        check_after(&["XREADGROUP GROUP g c BLOCK 0 STREAMS s 0"], "*1 *2 $1 s *0");
        check_after(
            &["XREADGROUP GROUP g c STREAMS s >", "XREADGROUP GROUP g c BLOCK 0 STREAMS s >"],
            &waits("7..8", "None", "Group([103])"),
        );
        let mut world = World::new(1);
        world.run("XADD s 1-7 f v");
        world.run("XREAD BLOCK 0 STREAMS s t u $ $ 3");
        let parking = world.parking.take().expect("it waits");
        let args: Vec<_> =
            parking.args.as_ref().expect("known ids").as_args().iter().map(<[u8]>::to_vec).collect();
        assert_eq!(args.join(&b' '), b"XREAD BLOCK 0 STREAMS s t u 1-7 0-0 3");
    }

    fn waits(keys: &str, until: &str, wanted: &str) -> String {
        format!("(waits for {keys} until {until}: {wanted})")
    }

    #[test]
    fn a_group_delivers_each_entry_once() {
        check_after(&["XREADGROUP GROUP g c STREAMS s >"], ONE_AND_TWO);
        check_after(&["XREADGROUP GROUP g c STREAMS s >", "XREADGROUP GROUP g d STREAMS s >"], "*-1");
        check_after(&["XREADGROUP GROUP g c STREAMS s >", "XREADGROUP GROUP g c STREAMS s 0"], ONE_AND_TWO);
        check_after(&["XREADGROUP GROUP g c STREAMS s 0"], "*1 *2 $1 s *0");
        check_after(
            &["XREADGROUP GROUP g c NOACK STREAMS s >", "XREADGROUP GROUP g c STREAMS s 0"],
            "*1 *2 $1 s *0",
        );
        check_after(
            &["XREADGROUP GROUP g c STREAMS s >", "XDEL s 1", "XREADGROUP GROUP g c COUNT 1 STREAMS s 0"],
            "*1 *2 $1 s *1 *2 $3 1-0 *-1",
        );
    }

    #[test]
    fn deliveries_are_journalled_as_who_has_what() {
        check_effects(
            &[&TWO[..], &["XREADGROUP GROUP g c COUNT 1 STREAMS s >"]].concat(),
            "XGROUP CREATECONSUMER s g c | \
             XCLAIM s g c 0 1-0 TIME 1700000000000 RETRYCOUNT 1 FORCE JUSTID LASTID 1-0 | \
             XGROUP SETID s g 1-0 ENTRIESREAD 1",
        );
        check_effects(
            &[&TWO[..], &["XREADGROUP GROUP g c NOACK STREAMS s >"]].concat(),
            "XGROUP CREATECONSUMER s g c | XGROUP SETID s g 2-0 ENTRIESREAD 2",
        );
        check_effects(
            &[&TWO[..], &["XREADGROUP GROUP g c COUNT 1 STREAMS s >", "XREADGROUP GROUP g c STREAMS s 0"]]
                .concat(),
            "XCLAIM s g c 0 1-0 TIME 1700000000000 RETRYCOUNT 2 FORCE JUSTID LASTID 1-0",
        );
    }

    #[test]
    fn keys_stand_after_the_word_that_is_the_option() {
        let check = |line: &str, expected: &[u32]| {
            let mut positions = Vec::new();
            let args = OwnedArgs::new(&line.split(' ').collect::<Vec<_>>());
            super::keys(args.as_args(), &mut positions);
            assert_eq!(positions, expected, "{line}");
        };
        check("XREAD COUNT 2 streams a b 0 0", &[4, 5]);
        check("XREADGROUP COUNT 2 GROUP streams c NOACK STREAMS streams >", &[8]);
        check("XREAD STREAMS a b 0", &[]);
        check("XREAD STREAMS", &[]);
        check("XREAD FOO STREAMS a 0", &[]);
    }
}
