//! From which set the logs lead to the present.
//!
//! The present is the end of the newest generation, or a set that is newer than it. A set *misses nothing* when the logs lead from it
//! to the present, and every newer set is a place on that way: so what newer sets have is in the logs as well, and
//! they need not be read. The newest set that is whole and misses nothing is taken.

use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aof::ends::EndsError;
use aof::{Generation, Lsn};

use crate::disk::{Attempt, Disk};
use crate::generation::{Begin, BeginState};
use crate::identity::TakenBack;
use crate::layout;
use crate::manifest::{Manifest, Position};
use crate::recover::logs::{self, EndsFailure, Leg};
use crate::recover::plan::{Aside, Lost, Plan, Replay};
use crate::recover::survey::Survey;
use crate::recover::tail;
use crate::recover::{OnLoadFailure, Options};
use crate::refusal::Refusal;
use crate::sets::{self, SetState};
use crate::store::SetStore;
use stdx::{ShardId, UnixMs, utc};

/// Makes the plan.
pub(super) fn choose(disk: &dyn Disk, survey: &Survey, options: &Options) -> Result<Plan, Refusal> {
    let before = survey.identity.as_ref().and_then(|identity| identity.taken_back);
    let asked = options.until.map(|until| until.0);
    let (until_ms, note) = match (asked, before) {
        (_, Some(TakenBack { until_ms, is_done: false })) => {
            (Some(asked.map_or(until_ms, |asked| asked.min(until_ms))), Some(BEGUN))
        }
        (Some(asked), Some(TakenBack { until_ms, is_done: true })) if asked == until_ms => (None, Some(DONE)),
        (asked, _) => (asked, None),
    };
    let mut plan = match until_ms {
        Some(until_ms) => until(disk, survey, options, UnixMs(until_ms))?,
        None => newest(disk, survey, options)?,
    };
    plan.taken_back = match until_ms {
        Some(until_ms) => Some(TakenBack { until_ms, is_done: false }),
        None => before.filter(|_| asked.is_some()),
    };
    plan.notes.extend(note.map(str::to_owned));
    if until_ms.is_some()
        && let Err(missing) = survey.check_newest()
    {
        plan.notes.push(format!("what is recovered may be older than it could be: {}", missing.cause()));
    }
    Ok(plan)
}

fn newest(disk: &dyn Disk, survey: &Survey, options: &Options) -> Result<Plan, Refusal> {
    let mut failures: Vec<Refusal> = survey.check_newest().err().into_iter().collect();
    let mut passed = Vec::new();
    let candidates = if failures.is_empty() { starts(survey) } else { Vec::new() };
    for start in candidates {
        let start = match usable(start, options) {
            Ok(start) => start,
            Err(refusal) => {
                passed.push(refusal.cause());
                failures.push(refusal);
                continue;
            }
        };
        match whole(disk, survey, options, start, Mind::Strict) {
            Ok(mut plan) => {
                plan.notes
                    .extend(passed.into_iter().map(|cause| format!("{cause}; the log makes up for it")));
                plan.notes.extend(gone(survey));
                return Ok(plan);
            }
            Err(refusal) => failures.push(refusal),
        }
    }
    let mut failures = failures.into_iter();
    let first = failures.next().expect("a directory that is not empty has a set or a generation");
    let reason = Refusal::several(first, failures);
    if options.on_load_failure == OnLoadFailure::Previous && reason.is_load_failure() {
        return previous(disk, survey, options, reason);
    }
    Err(reason)
}

/// What is to be told if the set that was committed last is not there, and the log has what it had.
fn gone(survey: &Survey) -> Option<String> {
    let newest = survey.identity.as_ref()?.newest.set?.number;
    (!survey.has_set(newest)).then(|| {
        format!("snapshot set {newest}, which was written last, is not there; the log has what it had")
    })
}

/// What is to be told if sets elsewhere are another server's.
fn adopted(survey: &Survey, options: &Options) -> Option<String> {
    let adopted = survey.identity.as_ref().map_or_else(|| survey.elsewhere(), |identity| identity.adopted);
    let is_there = survey.sets.iter().any(|set| !set.is_own && set.is_data() && set.number <= adopted);
    (is_there && !options.take_over).then(|| {
        format!(
            "snapshot sets up to {adopted} in `snapshot-dir` were there before this data directory, and are kept for the server that \
             wrote them, which must not run any more; `snapshot-take-over yes` has this one remove them like its own"
        )
    })
}

/// Where recovery may begin: a set, or (`None`) nothing.
type Start<'a> = Option<Chosen<'a>>;

/// A set whose manifest is good, and where it is.
#[derive(Clone, Copy)]
struct Chosen<'a> {
    manifest: &'a Manifest,
    store: &'a Arc<dyn SetStore>,
}

impl Deref for Chosen<'_> {
    type Target = Manifest;

    fn deref(&self) -> &Manifest {
        self.manifest
    }
}

/// A set that may be one, or nothing, newest first.
enum Candidate<'a> {
    Set(Chosen<'a>),
    Unusable(&'a sets::Listed),
    Nothing,
}

fn starts(survey: &Survey) -> Vec<Candidate<'_>> {
    let sets = survey.sets.iter().rev().filter_map(|listed| match &listed.state {
        SetState::Set(manifest) => Some(Candidate::Set(Chosen { manifest, store: &listed.store })),
        SetState::Unfinished | SetState::Aside => None,
        SetState::Damaged(_) | SetState::Unreadable(_) => Some(Candidate::Unusable(listed)),
    });
    sets.chain([Candidate::Nothing]).collect()
}

/// The start, if the set can be read as far as can be told without reading it.
fn usable<'a>(candidate: Candidate<'a>, options: &Options) -> Result<Start<'a>, Refusal> {
    match candidate {
        Candidate::Nothing => Ok(None),
        Candidate::Set(set) => match options.distrusted.get(&set.number) {
            Some(fault) => Err(Refusal::set(set.number, fault.copy())),
            None => match sets::verify_shape(set.store.as_ref(), set.manifest) {
                Ok(()) => Ok(Some(set)),
                Err(fault) => Err(Refusal::set(set.number, fault)),
            },
        },
        Candidate::Unusable(listed) => Err(match &listed.state {
            SetState::Damaged(fault) => Refusal::manifest(listed.number, fault.clone()),
            SetState::Unreadable(error) => Refusal::disk(error.copy()),
            SetState::Set(_) | SetState::Unfinished | SetState::Aside => unreachable!("it is not usable"),
        }),
    }
}

/// What a plan that misses nothing may pass over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mind {
    /// Damaged manifests of sets that the logs have.
    Strict,
    /// Those that cannot be read for another reason too, and a torn tail, in which nothing is that was promised: the operator wants what
    /// can be had.
    Lenient,
}

/// The plan that begins at `start` and misses nothing.
fn whole(
    disk: &dyn Disk,
    survey: &Survey,
    options: &Options,
    start: Start<'_>,
    mind: Mind,
) -> Result<Plan, Refusal> {
    let legs = match survey.head() {
        None => Vec::new(),
        Some(head) => match &head.begin {
            BeginState::Begun(begin) => way(survey, start, begin)?,
            BeginState::Damaged(what) => {
                return Err(Refusal::BeginDamaged { generation: head.generation, what: what.clone() });
            }
            BeginState::Unreadable(error) => return Err(Refusal::disk(error.copy())),
            BeginState::Unbegun => unreachable!("the head has begun"),
        },
    };
    if let Some(manifest) = start {
        has_its_log(survey, &manifest)?;
    }
    let mut must = newer_sets(survey, start, &legs, mind)?;
    let mut plan = Plan::new(survey, start, options);
    let Some((last, earlier)) = legs.split_last() else { return Ok(plan) };
    for leg in earlier {
        plan.replays.push(replay_to_known_end(disk, survey, leg)?);
        match verify(disk, survey, options, leg) {
            Ok(()) => {}
            Err(EndsFailure::Refused(refusal) | EndsFailure::Damaged(refusal, _)) => return Err(refusal),
        }
    }
    let begin = begin_of(survey, last.generation)?;
    tail::must(disk, begin, &mut must)?;
    let (scanned, ends) = match logs::ends(disk, begin, last, &must, options, None) {
        Ok(found) => found,
        Err(EndsFailure::Refused(refusal) | EndsFailure::Damaged(refusal, _)) => return Err(refusal),
    };
    if let Some(log) = tail::cut_off(disk, begin, &scanned.summaries, options.boot)? {
        return Err(tail::missing(begin, log));
    }
    if options.refuse_torn_tail && mind == Mind::Strict {
        let torn = |end: &&aof::ends::End| end.dropped.is_some_and(|dropped| dropped.damage.is_some());
        if let Some(end) = ends.logs.iter().find(torn) {
            let (generation, shard, bytes) =
                (last.generation, end.shard, end.dropped.map_or(0, |dropped| dropped.bytes));
            return Err(Refusal::TornTail { generation, shard, end: end.end, bytes });
        }
    }
    let to = ends.logs.iter().map(|end| end.end).collect();
    plan.replays.push(replay(begin, last, &scanned, to));
    plan.ends = Some((ends.rule, ends.logs));
    Ok(plan)
}

/// The way from `start` to the end of `head`, walked back.
fn way(survey: &Survey, start: Start<'_>, head: &Begin) -> Result<Vec<Leg>, Refusal> {
    let mut legs = Vec::new();
    if start.is_some_and(|manifest| manifest.position.generation > head.generation) {
        return Ok(legs);
    }
    let (mut begin, mut ends) = (head, None::<Vec<Lsn>>);
    loop {
        let leg = |starts, cut, ends| Leg { generation: begin.generation, starts, cut, ends };
        if let Some(Manifest { position, .. }) = start.as_deref()
            && position.generation == begin.generation
            && !position.lsns.is_empty()
        {
            let is_on_it = ends.as_ref().is_none_or(|ends| reaches(ends, &position.lsns));
            if !is_on_it {
                return Err(hole(begin));
            }
            legs.push(leg(position.lsns.clone(), position.cut, ends));
            break;
        }
        legs.push(leg(Vec::new(), 0, ends));
        match &begin.past.log {
            None if begin.past.set == start.map(|manifest| manifest.number) => break,
            None => return Err(hole(begin)),
            Some(log) => {
                ends = Some(log.ends.clone());
                begin = earlier(survey, begin, log.generation)?;
            }
        }
    }
    legs.reverse();
    Ok(legs)
}

/// How the generation began that `begin` continues.
fn earlier<'a>(survey: &'a Survey, begin: &Begin, generation: Generation) -> Result<&'a Begin, Refusal> {
    let listed = survey.generations.iter().find(|one| one.generation == generation);
    match listed.map(|one| &one.begin) {
        Some(BeginState::Begun(earlier)) => Ok(earlier),
        Some(BeginState::Damaged(what)) => Err(Refusal::BeginDamaged { generation, what: what.clone() }),
        Some(BeginState::Unreadable(error)) => Err(Refusal::disk(error.copy())),
        Some(BeginState::Unbegun) | None => Err(hole(begin)),
    }
}

fn hole(begin: &Begin) -> Refusal {
    let what = match (&begin.past.log, begin.past.set) {
        (Some(log), _) => format!("generation {} of the log", log.generation),
        (None, Some(set)) => format!("snapshot set {set}"),
        (None, None) => "the empty dataset".to_owned(),
    };
    Refusal::Hole { generation: begin.generation, what }
}

/// Whether logs that end at `ends` have everything up to `lsns`.
fn reaches(ends: &[Lsn], lsns: &[Lsn]) -> bool {
    ends.len() == lsns.len() && lsns.iter().zip(ends).all(|(lsn, end)| lsn <= end)
}

/// That the generation in which a set was written is there, for what came after the set is in it. A set alone, without identity and
/// logs, is one that was restored from a backup.
fn has_its_log(survey: &Survey, manifest: &Manifest) -> Result<(), Refusal> {
    let Position { generation, lsns, .. } = &manifest.position;
    let is_restored = survey.identity.is_none() && survey.generations.is_empty();
    let is_there = survey.generations.iter().any(|one| one.generation >= *generation);
    if lsns.is_empty() || is_restored || is_there {
        return Ok(());
    }
    Err(Refusal::LogMissing { generation: *generation, shard: None, at: Lsn(0) })
}

/// That every set newer than `start` is a place on the way; by shard, how far the last leg must reach for it. Where a set whose manifest is
/// damaged has its place is not known; it counts like one that is missing.
fn newer_sets(survey: &Survey, start: Start<'_>, legs: &[Leg], mind: Mind) -> Result<Vec<Lsn>, Refusal> {
    let own = start.map_or(0, |manifest| manifest.number);
    let mut must: Vec<Lsn> = Vec::new();
    for listed in survey.sets.iter().filter(|set| set.number > own) {
        let manifest = match &listed.state {
            SetState::Set(manifest) => manifest,
            SetState::Unfinished | SetState::Aside => continue,
            SetState::Damaged(fault) => {
                let refusal = Refusal::manifest(listed.number, fault.clone());
                let is_damage = matches!(refusal, Refusal::ManifestDamaged { .. });
                if is_damage && survey.may_miss(listed.number) {
                    continue;
                }
                return Err(refusal);
            }
            SetState::Unreadable(_) if mind == Mind::Lenient && survey.may_miss(listed.number) => continue,
            SetState::Unreadable(error) => return Err(Refusal::disk(error.copy())),
        };
        let Position { generation, lsns, .. } = &manifest.position;
        let leg = legs.iter().find(|leg| leg.generation == *generation && !lsns.is_empty());
        let is_on_it = leg.is_some_and(|leg| leg.ends.as_ref().is_none_or(|ends| reaches(ends, lsns)));
        if !is_on_it {
            let what = format!("snapshot set {}", manifest.number);
            return Err(Refusal::Hole { generation: *generation, what });
        }
        if legs.last().is_some_and(|last| last.generation == *generation) {
            must.resize(must.len().max(lsns.len()), Lsn(0));
            must.iter_mut().zip(lsns).for_each(|(must, lsn)| *must = (*must).max(*lsn));
        }
    }
    Ok(must)
}

/// That the records of a leg are there up to its known end, if that is asked for.
fn verify(disk: &dyn Disk, survey: &Survey, options: &Options, leg: &Leg) -> Result<(), EndsFailure> {
    let Some(ends) = leg.ends.as_ref().filter(|_| options.verify_logs) else { return Ok(()) };
    let begin = begin_of(survey, leg.generation).map_err(EndsFailure::Refused)?;
    let scanned = logs::scan(disk, begin, leg, None, u64::MAX).map_err(EndsFailure::Refused)?;
    let short = scanned.summaries.iter().zip(ends).find(|(log, must)| log.end < **must);
    let Some((log, must)) = short else { return Ok(()) };
    let error = EndsError::Damaged { shard: log.log.shard, end: log.end, must: *must, damage: log.damage };
    let refusal = Refusal::ends(leg.generation, error);
    Err(EndsFailure::Damaged(refusal, Box::new(scanned)))
}

/// A leg whose end a later generation knows: that the files are there, as long as they must be. Their records are verified
/// by who replays them.
fn replay_to_known_end(disk: &dyn Disk, survey: &Survey, leg: &Leg) -> Result<Replay, Refusal> {
    let begin = begin_of(survey, leg.generation)?;
    let ends = leg.ends.clone().expect("a later generation says where it ends");
    if ends.len() != usize::from(begin.shards) {
        let what = format!("it has {} logs, and {} ends are known", begin.shards, ends.len());
        return Err(Refusal::BeginDamaged { generation: leg.generation, what });
    }
    let segments = crate::log::segments(disk, leg.generation)?;
    let entries = crate::disk::list_sorted(disk, &layout::generation(leg.generation))?;
    for shard in (0..begin.shards).map(ShardId) {
        let mut at = leg.start(shard);
        let own: Vec<_> = segments.iter().filter(|name| name.shard == shard).collect();
        for (index, name) in own.iter().enumerate() {
            let name_text = name.to_string();
            let size = entries.iter().find(|entry| entry.name == name_text).map_or(0, |entry| entry.bytes);
            let room = size.saturating_sub(aof::HEADER_LEN as u64);
            let next = own.get(index + 1).map(|next| next.base);
            let end = next.unwrap_or(Lsn(u64::MAX)).min(name.base.plus(room));
            if name.base <= at && end > at {
                at = end;
            }
        }
        if at < ends[shard.index()] {
            return Err(Refusal::LogMissing { generation: leg.generation, shard: Some(shard), at });
        }
    }
    Ok(Replay {
        generation: leg.generation,
        node: begin.node,
        boot: begin.boot,
        shards: begin.shards,
        starts: (0..begin.shards).map(|shard| leg.start(ShardId(shard))).collect(),
        synced: ends.clone(),
        ends,
        segments,
    })
}

fn replay(begin: &Begin, leg: &Leg, scanned: &logs::Scanned, ends: Vec<Lsn>) -> Replay {
    Replay {
        generation: leg.generation,
        node: begin.node,
        boot: begin.boot,
        shards: begin.shards,
        starts: (0..begin.shards).map(|shard| leg.start(ShardId(shard))).collect(),
        ends,
        synced: scanned.summaries.iter().map(|log| log.must).collect(),
        segments: scanned.segments.clone(),
    }
}

fn begin_of(survey: &Survey, generation: Generation) -> Result<&Begin, Refusal> {
    let missing = Refusal::LogMissing { generation, shard: None, at: Lsn(0) };
    survey.begin(generation).ok_or(missing)
}

/// A plan that misses nothing, if there is one to whoever passes over what cannot be read.
fn all_the_same(disk: &dyn Disk, survey: &Survey, options: &Options) -> Option<Plan> {
    survey.check_newest().ok()?;
    let usable = starts(survey).into_iter().filter_map(|start| usable(start, options).ok());
    let mut plans = usable.filter_map(|start| whole(disk, survey, options, start, Mind::Lenient).ok());
    let mut plan = plans.next()?;
    plan.notes.extend(gone(survey));
    Some(plan)
}

/// The newest data that can be had, when the newest there is cannot: the newest set that can be read, or nothing, and the
/// logs as far as they lead on from it.
fn previous(disk: &dyn Disk, survey: &Survey, options: &Options, reason: Refusal) -> Result<Plan, Refusal> {
    if let Some(mut plan) = all_the_same(disk, survey, options) {
        let cause = reason.cause();
        plan.notes.push(format!(
            "on-load-failure is 'previous', and nothing that was promised is lost by it: {cause}; the rest has it all"
        ));
        return Ok(plan);
    }
    let mut candidates = starts(survey).into_iter();
    let mut besides = Vec::new();
    let start = loop {
        match usable(candidates.next().expect("nothing is the last of them"), options) {
            Ok(start) => break start,
            Err(refusal) => besides.push(refusal),
        }
    };
    let mut plan = Plan::new(survey, start, options);
    // The longest way there is: to the newest generation that can be reached.
    let heads = survey.begins().rev();
    let legs = heads.filter_map(|head| way(survey, start, head).ok()).find(|legs| !legs.is_empty());
    for leg in legs.unwrap_or_default() {
        match &leg.ends {
            Some(_) => {
                let Ok(known) = replay_to_known_end(disk, survey, &leg) else { break };
                match verify(disk, survey, options, &leg) {
                    Ok(()) => plan.replays.push(known),
                    Err(EndsFailure::Damaged(_, scanned)) => {
                        plan.replays.push(Replay { ends: logs::common_cut(&scanned), ..known });
                        break;
                    }
                    Err(EndsFailure::Refused(_)) => break,
                }
            }
            None => {
                let begin = begin_of(survey, leg.generation)?;
                match logs::ends(disk, begin, &leg, &[], options, None) {
                    Ok((scanned, ends)) => {
                        let to = ends.logs.iter().map(|end| end.end).collect();
                        plan.replays.push(replay(begin, &leg, &scanned, to));
                        plan.ends = Some((ends.rule, ends.logs));
                    }
                    Err(EndsFailure::Damaged(_, scanned)) => {
                        plan.replays.push(replay(begin, &leg, &scanned, logs::common_cut(&scanned)));
                    }
                    Err(EndsFailure::Refused(_)) => break,
                }
            }
        }
    }
    if start.is_none() && plan.replays.is_empty() {
        // With nothing to fall back to the operator must say that nothing is what he wants.
        return Err(Refusal::NothingBefore(Box::new(Refusal::several(reason, besides))));
    }
    plan.set_aside(survey);
    plan.lost = Some(Lost { reason });
    Ok(plan)
}

/// The state of this time at the latest. A time behind everything that was written means everything, also what stands behind the
/// newest cut; but what can be had is taken even if it is not the newest.
fn until(disk: &dyn Disk, survey: &Survey, options: &Options, until: UnixMs) -> Result<Plan, Refusal> {
    if is_behind_all(disk, survey, options, until)?
        && let Ok(mut plan) = newest(disk, survey, options)
    {
        plan.notes.push(format!("nothing is newer than {}, so recover-until leaves nothing out", utc(until)));
        return Ok(plan);
    }
    at_time(disk, survey, options, until)
}

/// Whether it is known that all there is was written before `until`: records have no times, but the future holds none, and the file
/// system knows when files were written, as long as the kernel that did it runs on.
fn is_behind_all(
    disk: &dyn Disk,
    survey: &Survey,
    options: &Options,
    until: UnixMs,
) -> Result<bool, Refusal> {
    if options.now.is_some_and(|now| now <= until) {
        return Ok(true);
    }
    let has_later = survey.manifests().any(|manifest| manifest.cut_ms > until.0)
        || survey.begins().any(|begin| begin.made_ms > until.0);
    let Some(head) = survey.head() else { return Ok(!has_later) };
    let BeginState::Begun(begin) = &head.begin else { return Ok(false) };
    if has_later || begin.boot != options.boot {
        return Ok(false);
    }
    let end = SystemTime::UNIX_EPOCH + Duration::from_millis(until.0.try_into().unwrap_or(0));
    for name in crate::log::segments(disk, head.generation)? {
        let path = layout::segment(head.generation, name);
        let modified = disk.open(&path).and_then(|file| file.modified()).trying("look at", &path)?;
        if modified.is_none_or(|modified| modified + FILE_TIME_STEP > end) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The state at `until`: the newest set before it, and the logs up to the newest cut before it.
fn at_time(disk: &dyn Disk, survey: &Survey, options: &Options, until: UnixMs) -> Result<Plan, Refusal> {
    let first = survey.manifests().map(|manifest| UnixMs(manifest.cut_ms)).min();
    let is_before = |candidate: &Candidate<'_>| match candidate {
        Candidate::Set(set) => set.cut_ms <= until.0,
        Candidate::Nothing => true,
        Candidate::Unusable(_) => false,
    };
    let mut failure = None;
    for candidate in starts(survey).into_iter().filter(is_before) {
        let start = match usable(candidate, options) {
            Ok(start) => start,
            Err(refusal) => {
                failure.get_or_insert(refusal);
                continue;
            }
        };
        let heads = survey.begins().rev().filter(|begin| begin.made_ms <= until.0);
        let legs = heads.filter_map(|head| way(survey, start, head).ok()).next();
        let Some(legs) = legs.or(start.map(|_| Vec::new())) else { continue };
        return plan_to(disk, survey, options, start, legs, until);
    }
    Err(failure.unwrap_or(Refusal::TimeTooEarly { until, first }))
}

fn plan_to(
    disk: &dyn Disk,
    survey: &Survey,
    options: &Options,
    start: Start<'_>,
    mut legs: Vec<Leg>,
    until: UnixMs,
) -> Result<Plan, Refusal> {
    let mut plan = Plan::new(survey, start, options);
    if let Some(mut last) = legs.pop() {
        for leg in &legs {
            plan.replays.push(replay_to_known_end(disk, survey, leg)?);
        }
        let begin = begin_of(survey, last.generation)?;
        // Where a later generation says this one ended, if one continues it.
        let continued = survey.begins().filter_map(|later| later.past.log.as_ref());
        last.ends =
            continued.filter(|log| log.generation == last.generation).map(|log| log.ends.clone()).next();
        let (scanned, ends) = match logs::ends(disk, begin, &last, &[], options, Some(until)) {
            Ok(found) => found,
            Err(EndsFailure::Refused(refusal) | EndsFailure::Damaged(refusal, _)) => return Err(refusal),
        };
        let to = ends.logs.iter().map(|end| end.end).collect();
        plan.replays.push(replay(begin, &last, &scanned, to));
        plan.ends = Some((ends.rule, ends.logs));
    }
    plan.set_aside(survey);
    Ok(plan)
}

impl Plan {
    fn new(survey: &Survey, start: Start<'_>, options: &Options) -> Self {
        let mut plan = Self {
            set: start.map(|set| set.manifest.clone()),
            store: start.map(|set| Arc::clone(set.store)),
            replays: Vec::new(),
            node: survey.owner().expect("what there is was written by somebody"),
            ends: None,
            lost: None,
            notes: Vec::new(),
            taken_back: None,
            identity: survey.identity.clone(),
            aside: Aside::default(),
            numbered: survey.numbered(),
            elsewhere: survey.elsewhere(),
            takes_over: options.take_over,
            boot: options.boot,
        };
        if survey.identity.is_none() {
            plan.notes.push(format!(
                "there is no {}, so nobody can tell whether there was anything newer; it will be made for node {}",
                layout::IDENTITY,
                plan.node
            ));
        }
        plan.notes.extend(adopted(survey, options));
        // Newer sets cannot be read, and nothing in them is missed; or they are of a time after that which was asked for.
        let own = start.map_or(0, |manifest| manifest.number);
        for listed in survey.sets.iter().filter(|set| set.number > own) {
            if listed.is_data() {
                plan.notes.push(format!(
                    "snapshot set {} is not part of what was recovered, and goes into quarantine",
                    listed.number
                ));
                plan.aside.add(listed);
            }
        }
        plan
    }

    /// Everything that is not on the way goes aside, or the next start would find it newer than what was chosen here.
    fn set_aside(&mut self, survey: &Survey) {
        let used = |generation| self.replays.iter().any(|replay| replay.generation == generation);
        let first = self.replays.first().map(|replay| replay.generation);
        let unused =
            |generation: &Generation| !used(*generation) && first.is_none_or(|first| *generation > first);
        let numbers = survey.generations.iter().map(|one| one.generation);
        let base = self.set.as_ref().map_or(Generation(0), |set| set.position.generation);
        let aside: Vec<String> =
            numbers.filter(unused).filter(|number| *number >= base).map(layout::generation).collect();
        self.aside.paths.extend(aside);
    }
}

/// The kernel's clock for times of files goes in steps of its timer, at most this long.
const FILE_TIME_STEP: Duration = Duration::from_millis(10);

/// What an operator is told of a wish for an earlier time that was carried out.
const DONE: &str = "the data was taken back to the time of recover-until at an earlier start; what was written since is kept, and the \
     parameter has no effect any more";
/// And of one that was not, to the end.
const BEGUN: &str = "an earlier start had begun to take the data back to an earlier time, and was cut off; this one goes on with it";
