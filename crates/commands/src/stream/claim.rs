//! XCLAIM and XAUTOCLAIM: pending entries change hands.

use super::journal::GroupJournal;
use super::{changed, edit, id, is, range_start, reply};
use crate::ctx::{Ctx, Outcome, parse_int};
use crate::effects::Event;
use crate::error::CommandError;
use datatypes::StreamId;
use datatypes::stream::{ConsumerId, Group, Log, Pending};
use keyspace::Editing;
use resp::Reply;
use stdx::Args;

/// XCLAIM's arguments after the group was found.
struct Claim<'a> {
    idle_min: i64,
    ids: Args<'a>,
    /// When the entries count as delivered; -1 for now.
    time: i64,
    retry_count: i64,
    force: bool,
    just_id: bool,
    last_id: StreamId,
}

impl<'a> Claim<'a> {
    fn parse(args: Args<'a>, now_ms: i64) -> Result<Self, CommandError> {
        let int = |at: usize, what: &str| {
            parse_int(args.at(at)).ok_or_else(|| CommandError::claim_argument(what, "XCLAIM"))
        };
        let idle_min = int(4, "min-idle-time")?;
        let ids = args.from(5).iter().take_while(|arg| id(arg).is_ok()).count();
        let mut claim = Self {
            idle_min,
            ids: args.part(5, ids),
            time: -1,
            retry_count: -1,
            force: false,
            just_id: false,
            last_id: StreamId::MIN,
        };
        let mut at = 5 + ids;
        while at < args.len() {
            let (word, more) = (args.at(at), at + 1 < args.len());
            at += 1;
            if is(word, "FORCE") {
                claim.force = true;
            } else if is(word, "JUSTID") {
                claim.just_id = true;
            } else if is(word, "IDLE") && more {
                claim.time = now_ms.wrapping_sub(int(at, "IDLE option")?);
                at += 1;
            } else if is(word, "TIME") && more {
                claim.time = int(at, "TIME option")?;
                at += 1;
            } else if is(word, "RETRYCOUNT") && more {
                claim.retry_count = int(at, "RETRYCOUNT option")?;
                at += 1;
            } else if is(word, "LASTID") && more {
                claim.last_id = id(args.at(at))?;
                at += 1;
            } else {
                return Err(CommandError::claim_option(word));
            }
        }
        if claim.time < 0 || claim.time > now_ms {
            claim.time = now_ms;
        }
        Ok(claim)
    }
}

pub(super) fn xclaim(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let (db, now_ms, key) = (ctx.caller.db, ctx.written_ms(), args.at(1));
    let missing = || CommandError::no_key_or_group(key, args.at(2), "");
    let created = edit!(ctx, key, |editing: &mut Editing<'_>| {
        let (log, mut group) = editing.stream().group_mut(args.at(2)).ok_or_else(missing)?;
        let claim = Claim::parse(args, now_ms)?;
        let mut moved = claim.last_id > group.last_id;
        if moved {
            group.last_id = claim.last_id;
        }
        let journal = GroupJournal { effects: &mut ctx.core.effects, db, key, group: args.at(2) };
        let mut claiming = Claiming::begin(log, &mut group, journal, args.at(3), now_ms);
        let (at, mut len) = (ctx.out.deferred(), 0);
        for arg in claim.ids.iter() {
            match claiming.claim(&mut ctx.out, &claim, id(arg)?) {
                Claimed::No => {}
                Claimed::Gone => moved = false,
                Claimed::Yes => {
                    moved = false;
                    len += 1;
                }
            }
        }
        ctx.out.close_array(at, len);
        if moved {
            claiming.journal.moved(claiming.group);
            claiming.changes += 1;
        }
        let (created, changes) = (claiming.created, claiming.changes);
        drop(group);
        changed(editing, changes);
        Ok::<_, CommandError>(created)
    })?;
    told(ctx, key, created).ok_or_else(missing)
}

/// Tells what there is to tell of the key besides its journal: that its consumer was `created`, or that it was missed.
fn told(ctx: &mut Ctx<'_>, key: &[u8], created: Option<bool>) -> Option<Outcome> {
    match created {
        None => super::missed(ctx, key),
        Some(true) => ctx.event(Event::STREAM, "xgroup-createconsumer", key),
        Some(false) => {}
    }
    created.map(|_| Outcome::Done)
}

/// What became of one id.
enum Claimed {
    /// It is not pending, or not idle for long enough.
    No,
    /// Its entry is not in the stream: it is not pending any more.
    Gone,
    /// It is the consumer's.
    Yes,
}

/// A consumer that takes over entries.
struct Claiming<'a> {
    log: &'a Log,
    group: &'a mut Group,
    journal: GroupJournal<'a>,
    consumer: ConsumerId,
    created: bool,
    now_ms: i64,
    changes: u64,
}

impl<'a> Claiming<'a> {
    /// Makes the consumer if need be.
    fn begin(
        log: &'a Log,
        group: &'a mut Group,
        mut journal: GroupJournal<'a>,
        name: &[u8],
        now_ms: i64,
    ) -> Self {
        let created = group.create_consumer(name, now_ms);
        if created.is_some() {
            journal.created(name);
        }
        let consumer = created.or_else(|| group.find_consumer(name)).expect("there or made");
        group.consumer_mut(consumer).seen_ms = now_ms;
        let created = created.is_some();
        Self { log, group, journal, consumer, created, now_ms, changes: created.into() }
    }

    fn claim(&mut self, out: &mut Reply<'_>, claim: &Claim<'_>, id: StreamId) -> Claimed {
        let before = self.group.pending(id).copied();
        if !self.log.contains(id) {
            return self.gone(id, before);
        }
        let before = match before {
            Some(before) if claim.idle_min <= 0 || self.idle(&before) >= claim.idle_min => before,
            None if claim.force => {
                Pending { consumer: self.consumer, delivered_ms: self.now_ms, deliveries: 1 }
            }
            _ => return Claimed::No,
        };
        let deliveries = match u64::try_from(claim.retry_count) {
            Ok(count) => count,
            Err(_) => before.deliveries.wrapping_add(u64::from(!claim.just_id)),
        };
        let pending = Pending { consumer: self.consumer, delivered_ms: claim.time, deliveries };
        self.take(out, id, pending, claim.just_id);
        Claimed::Yes
    }

    /// Milliseconds since an entry was delivered.
    fn idle(&self, pending: &Pending) -> i64 {
        self.now_ms.wrapping_sub(pending.delivered_ms)
    }

    fn take(&mut self, out: &mut Reply<'_>, id: StreamId, pending: Pending, just_id: bool) {
        self.group.assign(id, pending);
        if just_id {
            reply::id(out, id);
        } else {
            reply::entry_of(out, self.log, id);
        }
        self.group.consumer_mut(self.consumer).active_ms = Some(self.now_ms);
        self.journal.claimed(self.group, id, &pending);
        self.changes += 1;
    }

    fn gone(&mut self, id: StreamId, before: Option<Pending>) -> Claimed {
        let Some(before) = before else { return Claimed::No };
        self.journal.claimed(self.group, id, &before);
        self.group.acknowledge(id);
        self.changes += 1;
        Claimed::Gone
    }
}

/// XAUTOCLAIM's arguments.
struct Walk {
    idle_min: i64,
    start: StreamId,
    count: u64,
    just_id: bool,
}

impl Walk {
    fn parse(args: Args<'_>) -> Result<Self, CommandError> {
        let idle_min = parse_int(args.at(4))
            .ok_or_else(|| CommandError::claim_argument("min-idle-time", "XAUTOCLAIM"))?;
        let mut walk = Self { idle_min, start: range_start(args.at(5))?, count: 100, just_id: false };
        let mut at = 6;
        while at < args.len() {
            if is(args.at(at), "COUNT") && at + 1 < args.len() {
                let count = parse_int(args.at(at + 1)).filter(|count| (1..=COUNT_MAX).contains(count));
                walk.count = count.ok_or(CommandError::COUNT_BELOW_1)? as u64;
                at += 1;
            } else if is(args.at(at), "JUSTID") {
                walk.just_id = true;
            } else {
                return Err(CommandError::Syntax);
            }
            at += 1;
        }
        Ok(walk)
    }
}

pub(super) fn xautoclaim(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let (db, now_ms, key) = (ctx.caller.db, ctx.written_ms(), args.at(1));
    let walk = Walk::parse(args).inspect_err(|_| super::missed(ctx, key))?;
    let missing = || CommandError::no_key_or_group(key, args.at(2), "");
    let created = edit!(ctx, key, |editing: &mut Editing<'_>| {
        let (log, mut group) = editing.stream().group_mut(args.at(2)).ok_or_else(missing)?;
        let journal = GroupJournal { effects: &mut ctx.core.effects, db, key, group: args.at(2) };
        let mut claiming = Claiming::begin(log, &mut group, journal, args.at(3), now_ms);
        claiming.walk(&mut ctx.out, &walk);
        let (created, changes) = (claiming.created, claiming.changes);
        drop(group);
        changed(editing, changes);
        Ok::<_, CommandError>(created)
    })?;
    told(ctx, key, created).ok_or_else(missing)
}

impl Claiming<'_> {
    /// Takes over what is idle for long enough, and answers where to go on, what was taken, and what was gone.
    fn walk(&mut self, out: &mut Reply<'_>, walk: &Walk) {
        let (mut taken, mut len, mut gone) = (Vec::new(), 0, Vec::new());
        let mut taken_out = Reply::new(&mut taken, out.proto());
        let (mut next, mut count) = (Some(walk.start), walk.count);
        for _ in 0..walk.count * ATTEMPTS {
            let pending = if count > 0 { self.pending_from(next) } else { None };
            let Some((id, before)) = pending else { break };
            next = id.next();
            if !self.log.contains(id) {
                self.gone(id, Some(before));
                gone.push(id);
                count -= 1;
            } else if walk.idle_min <= 0 || self.idle(&before) >= walk.idle_min {
                let deliveries = before.deliveries.wrapping_add(u64::from(!walk.just_id));
                let pending = Pending { consumer: self.consumer, delivered_ms: self.now_ms, deliveries };
                self.take(&mut taken_out, id, pending, walk.just_id);
                len += 1;
                count -= 1;
            }
        }
        out.array(3);
        reply::id(out, self.pending_from(next).map_or(StreamId::MIN, |(id, _)| id));
        out.array(len);
        out.raw(&taken);
        out.array(gone.len());
        gone.into_iter().for_each(|id| reply::id(out, id));
    }

    fn pending_from(&self, start: Option<StreamId>) -> Option<(StreamId, Pending)> {
        self.group.pending_from(start?).next().map(|(id, pending)| (id, *pending))
    }
}

/// Pending entries that XAUTOCLAIM looks at for each one that it may answer.
const ATTEMPTS: u64 = 10;
/// The largest COUNT of XAUTOCLAIM: Redis makes room for as many ids.
const COUNT_MAX: i64 = i64::MAX / 16;

#[cfg(test)]
mod tests {
    use crate::testing::{World, check, check_effects};

    const READ: [&str; 4] =
        ["XADD s 1 f v", "XADD s 2 f v", "XGROUP CREATE s g 0", "XREADGROUP GROUP g c STREAMS s >"];

    #[track_caller]
    fn check_after(commands: &[&str], expected: &str) {
        let mut world = World::new(1);
        READ.iter().for_each(|command| drop(world.run(command)));
        world.wait_ms(50);
        world.check(commands, expected);
    }

    /// A replay runs commands at a time before all others, so that no key expires but as the journal says.
    #[test]
    fn a_replay_keeps_the_times_of_deliveries() {
        const TO_BEFORE_ALL_TIMES: i64 = 1_800_000_000_000;
        let mut world = World::new(1);
        READ.iter().for_each(|command| drop(world.run(command)));
        world.cores[0].clock_us = 1_700_000_000_050_000;
        world.wait_ms(50 - TO_BEFORE_ALL_TIMES);
        world.run("XCLAIM s g d 0 1 TIME 1700000000020 RETRYCOUNT 3 FORCE JUSTID LASTID 2");
        world.run("XCLAIM s g d 0 2 TIME 1700000000060 RETRYCOUNT 4 FORCE JUSTID LASTID 2");
        world.run("XGROUP CREATECONSUMER s g e");
        world.wait_ms(TO_BEFORE_ALL_TIMES);
        world.check(&["XPENDING s g 1 1 9"], "*1 *4 $3 1-0 $1 d :30 :3");
        // The clock was set back meanwhile.
        world.check(&["XPENDING s g 2 2 9"], "*1 *4 $3 2-0 $1 d :0 :4");
        let consumers = world.run("XINFO CONSUMERS s g");
        assert_eq!(consumers.matches("idle :0 ").count(), 2, "d and e were there a moment ago: {consumers}");
    }

    #[test]
    fn entries_change_hands() {
        check_after(&["XCLAIM s g d 0 1 JUSTID"], "*1 $3 1-0");
        check_after(&["XCLAIM s g d 0 1"], "*1 *2 $3 1-0 *2 $1 f $1 v");
        check_after(&["XCLAIM s g d 51 1"], "*0");
        check_after(&["XCLAIM s g d 0 7"], "*0");
        check_after(&["XCLAIM s g d 0 1", "XPENDING s g - + 9 d"], "*1 *4 $3 1-0 $1 d :0 :2");
        check_after(&["XCLAIM s g d 0 1 JUSTID", "XPENDING s g - + 9 d"], "*1 *4 $3 1-0 $1 d :0 :1");
        let all = "XCLAIM s g d 0 1 IDLE 40 RETRYCOUNT 7 FORCE JUSTID LASTID 9";
        check_after(&[all, "XPENDING s g - + 9 d"], "*1 *4 $3 1-0 $1 d :40 :7");
        check_after(
            &["XCLAIM s g d 0 1 TIME 1700000000000", "XPENDING s g - + 9 d"],
            "*1 *4 $3 1-0 $1 d :50 :2",
        );
        check_after(&["XACK s g 1", "XCLAIM s g d 0 1"], "*0");
        check_after(&["XACK s g 1", "XCLAIM s g d 0 1 FORCE JUSTID"], "*1 $3 1-0");
    }

    #[test]
    fn what_was_deleted_is_no_longer_pending() {
        check_after(&["XDEL s 1", "XCLAIM s g d 0 1 2 JUSTID"], "*1 $3 2-0");
        check_after(&["XDEL s 1", "XCLAIM s g d 0 1", "XPENDING s g"], "*4 :1 $3 2-0 $3 2-0 *1 *2 $1 c $1 1");
        check_after(&["XDEL s 1", "XAUTOCLAIM s g d 0 - COUNT 1"], "*3 $3 2-0 *0 *1 $3 1-0");
    }

    #[test]
    fn a_walk_says_where_to_go_on() {
        check_after(&["XAUTOCLAIM s g d 0 - COUNT 1 JUSTID"], "*3 $3 2-0 *1 $3 1-0 *0");
        check_after(&["XAUTOCLAIM s g d 0 2"], "*3 $3 0-0 *1 *2 $3 2-0 *2 $1 f $1 v *0");
        check_after(&["XAUTOCLAIM s g d 51 -"], "*3 $3 0-0 *0 *0");
    }

    #[test]
    fn what_is_wrong_is_told_in_order() {
        check(&["XCLAIM s g c x 1"], "-NOGROUP No such key 's' or consumer group 'g'");
        check(&["XAUTOCLAIM s g c x -"], "-ERR Invalid min-idle-time argument for XAUTOCLAIM");
        check(&["XAUTOCLAIM s g c 0 - COUNT 0"], "-ERR COUNT must be > 0");
        check(&["XAUTOCLAIM s g c 0 - FOO"], "-ERR syntax error");
        check_after(&["XCLAIM s g c x 1"], "-ERR Invalid min-idle-time argument for XCLAIM");
        check_after(&["XCLAIM s g c 0 1 FOO"], "-ERR Unrecognized XCLAIM option 'FOO'");
        check_after(&["XCLAIM s g c 0 1 TIME x"], "-ERR Invalid TIME option argument for XCLAIM");
        check_after(&["XCLAIM s g c 0 1 IDLE"], "-ERR Unrecognized XCLAIM option 'IDLE'");
    }

    #[test]
    fn effects_are_absolute() {
        check_effects(
            &[&READ[..], &["XCLAIM s g d 0 1 IDLE 5"]].concat(),
            "XGROUP CREATECONSUMER s g d | \
             XCLAIM s g d 0 1-0 TIME 1699999999995 RETRYCOUNT 2 FORCE JUSTID LASTID 2-0",
        );
        check_effects(
            &[&READ[..], &["XCLAIM s g c 0 9 LASTID 7"]].concat(),
            "XGROUP SETID s g 7-0 ENTRIESREAD 2",
        );
        check_effects(
            &[&READ[..], &["XAUTOCLAIM s g c 0 2 JUSTID"]].concat(),
            "XCLAIM s g c 0 2-0 TIME 1700000000000 RETRYCOUNT 1 FORCE JUSTID LASTID 2-0",
        );
    }
}
