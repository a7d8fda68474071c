//! Registers: the order of versions, as far as it can be told.
//!
//! An operation that read `v` and then wrote `w` says that `w` comes right after `v`. And each version is there at one
//! stretch: it was there when somebody who saw it was answered (at the latest: `known_by`), and still, or not
//! yet, when somebody who saw it was sent (at the earliest: `alive_at`). So if `v` is known by a time at which `w` is
//! alive, or yet to come, then `v` comes before `w`; and if that holds the other way round too, it is an anomaly.
//!
//! Of that order in time only pairs that do not follow from two others become edges: as many as there are writes under
//! way at once.

use super::anomaly::Anomaly;
use super::graph::{Graph, Why};
use super::history::{Fate, History, Value};
use super::index::{RegisterKey, find};

/// What was seen took effect, whatever its client knows.
pub(super) fn find_effective(register: &RegisterKey, effective: &mut [bool]) {
    let seen = register.reads.iter().filter_map(|read| find(&register.writes, read.1?));
    seen.filter(|write| write.fate != Fate::Failed).for_each(|write| effective[write.op] = true);
}

/// Edges between those who wrote and those who saw.
pub(super) fn add_edges(
    register: &RegisterKey,
    effective: &[bool],
    history: &History,
    graph: &mut Graph,
    anomalies: &mut Vec<Anomaly>,
) {
    let mut versions = Versions::of(register, effective, history, anomalies);
    for version in &versions.all {
        if let Some(writer) = version.writer {
            version.readers.iter().for_each(|&reader| graph.add(writer, reader, Why::Wr(register.key)));
        }
    }
    versions.find_successors(register, anomalies);
    let steps = match versions.contradiction() {
        None => versions.steps_in_time(),
        Some([one, other]) => {
            // Who saw nothing although there was something is on a cycle with who wrote that.
            if one != FIRST && other != FIRST {
                anomalies.push(versions.circle(register, one, other));
            }
            // Time tells nothing then, but that every version comes after none at all.
            (1..versions.all.len()).map(|version| [FIRST, version]).collect()
        }
    };
    versions.successors().chain(steps).for_each(|[from, to]| versions.add_step(register, from, to, graph));
}

/// What a register holds before the first write.
const FIRST: usize = 0;

/// All versions of a register.
struct Versions {
    all: Vec<Version>,
}

struct Version {
    value: Option<Value>,
    /// Nobody, of the first.
    writer: Option<usize>,
    readers: Vec<usize>,
    /// The version right after it.
    next: Option<usize>,
    known_by: Moment,
    alive_at: Moment,
}

/// When, and who says so. Times are shifted by one, so that 0 is before all.
#[derive(Clone, Copy)]
struct Moment {
    at: u64,
    op: usize,
}

impl Versions {
    fn of(
        register: &RegisterKey,
        effective: &[bool],
        history: &History,
        anomalies: &mut Vec<Anomaly>,
    ) -> Self {
        let first = Version { known_by: Moment { at: 0, op: 0 }, ..Version::of(None, None) };
        let mut versions = Self { all: vec![first] };
        let mut places = vec![None; register.writes.len()];
        for (place, write) in places.iter_mut().zip(&register.writes) {
            if write.is_last && effective[write.op] && write.fate != Fate::Failed {
                *place = Some(versions.all.len());
                versions.all.push(Version::of(Some(write.value), Some(write.op)));
                versions.touch(versions.all.len() - 1, write.op, history);
            }
        }
        let key = register.key;
        for &(op, seen) in &register.reads {
            let Some(value) = seen else {
                versions.read(FIRST, op, history);
                continue;
            };
            match register.writes.binary_search_by_key(&value, |write| write.value) {
                Err(_) => anomalies.push(Anomaly::Invented { op, key, value }),
                Ok(at) => match (places[at], register.writes[at]) {
                    (Some(version), _) => versions.read(version, op, history),
                    (None, write) if write.fate == Fate::Failed => {
                        anomalies.push(Anomaly::AbortedRead { op, key, value, writer: write.op });
                    }
                    (None, write) => {
                        anomalies.push(Anomaly::IntermediateRead { op, key, value, writer: write.op });
                    }
                },
            }
        }
        versions
    }

    fn read(&mut self, version: usize, op: usize, history: &History) {
        self.all[version].readers.push(op);
        self.touch(version, op, history);
    }

    /// `op` saw or made this version.
    fn touch(&mut self, version: usize, op: usize, history: &History) {
        let (version, record) = (&mut self.all[version], &history.ops[op]);
        if record.invoked + 1 > version.alive_at.at {
            version.alive_at = Moment { at: record.invoked + 1, op };
        }
        let answered = record.returned.filter(|_| record.fate == Fate::Done);
        if let Some(at) = answered.filter(|at| at.saturating_add(1) < version.known_by.at) {
            version.known_by = Moment { at: at + 1, op };
        }
    }

    /// Who read a version before writing one says what comes right after it.
    fn find_successors(&mut self, register: &RegisterKey, anomalies: &mut Vec<Anomaly>) {
        for from in 0..self.all.len() {
            for at in 0..self.all[from].readers.len() {
                let op = self.all[from].readers[at];
                let Some(to) = self.written_by(register, op) else { continue };
                match self.all[from].next {
                    None => self.all[from].next = Some(to),
                    Some(other) => {
                        let first = self.all[other].writer.expect("it was written");
                        anomalies.push(Anomaly::LostUpdate { ops: [first, op], key: register.key });
                    }
                }
            }
        }
    }

    /// The version that `op` left.
    fn written_by(&self, register: &RegisterKey, op: usize) -> Option<usize> {
        // Writers of one register are few per operation, but operations are many: look them up by their number.
        let at = register.by_op.binary_search_by_key(&op, |one| one.0).ok()?;
        let value = register.by_op[at].1;
        // The first version has no value, and the others are in order.
        self.all[1..].binary_search_by_key(&Some(value), |version| version.value).ok().map(|at| at + 1)
    }

    fn successors(&self) -> impl Iterator<Item = [usize; 2]> + '_ {
        self.all.iter().enumerate().filter_map(|(from, version)| Some([from, version.next?]))
    }

    /// Two versions each of which was known when the other was alive.
    fn contradiction(&self) -> Option<[usize; 2]> {
        let timeline = Timeline::of(self);
        (0..self.all.len()).find_map(|version| {
            let [latest, _] = timeline.latest_known_before(self, version)?;
            let is_both = self.all[version].known_by.at < self.all[latest?].alive_at.at;
            is_both.then_some([latest?, version])
        })
    }

    /// Pairs of versions, the first before the second, that all others follow from.
    fn steps_in_time(&self) -> Vec<[usize; 2]> {
        let timeline = Timeline::of(self);
        let mut steps = Vec::new();
        for to in 0..self.all.len() {
            let Some([Some(latest), second]) = timeline.latest_known_before(self, to) else { continue };
            let (until, known) = (self.all[to].alive_at.at, |version: usize| self.all[version].known_by.at);
            // Whatever was known before the latest was alive comes before that one.
            let follows = |from: usize, other: Option<usize>| {
                other.is_some_and(|other| known(from) < self.all[other].alive_at.at)
            };
            if !follows(latest, second) {
                steps.push([latest, to]);
            }
            let start = timeline.known_before(self, self.all[latest].alive_at.at);
            let end = timeline.known_before(self, until);
            let between = timeline.sorted.get(start..end).unwrap_or_default().iter().copied();
            steps.extend(between.filter(|&from| from != latest && from != to).map(|from| [from, to]));
        }
        steps
    }

    /// `from` comes before `to`, so whoever saw or made `from` comes before whoever made `to`.
    fn add_step(&self, register: &RegisterKey, from: usize, to: usize, graph: &mut Graph) {
        let mut from = &self.all[from];
        // What comes after a version comes after its successor, or is it.
        if let Some(next) = from.next.filter(|&next| next != to) {
            from = &self.all[next];
        }
        let Some(to) = self.all[to].writer else { return };
        if let Some(writer) = from.writer {
            graph.add(writer, to, Why::Ww(register.key));
        }
        from.readers.iter().for_each(|&reader| graph.add(reader, to, Why::Rw(register.key)));
    }

    fn circle(&self, register: &RegisterKey, one: usize, other: usize) -> Anomaly {
        let step = |from: usize, to: usize| {
            let (from, to) = (&self.all[from], &self.all[to]);
            [(from.known_by.op, from.value), (to.alive_at.op, to.value)]
        };
        Anomaly::CyclicVersions { key: register.key, steps: vec![step(one, other), step(other, one)] }
    }
}

impl Version {
    fn of(value: Option<Value>, writer: Option<usize>) -> Self {
        let (known_by, alive_at) = (Moment { at: u64::MAX, op: 0 }, Moment { at: 0, op: 0 });
        Self { value, writer, readers: Vec::new(), next: None, known_by, alive_at }
    }
}

/// Versions in the order in which they were known.
struct Timeline {
    sorted: Vec<usize>,
    /// By length of a prefix of `sorted`: the three in it that were alive at the latest times, the latest first.
    latest: Vec<[Option<usize>; 3]>,
}

impl Timeline {
    fn of(versions: &Versions) -> Self {
        let mut sorted: Vec<usize> = (0..versions.all.len()).collect();
        sorted.sort_by_key(|&version| versions.all[version].known_by.at);
        let alive = |version: Option<usize>| version.map(|version| versions.all[version].alive_at.at);
        let mut latest = vec![[None; 3]];
        for &version in &sorted {
            let [first, second, third] = latest[latest.len() - 1];
            latest.push(if alive(Some(version)) > alive(first) {
                [Some(version), first, second]
            } else if alive(Some(version)) > alive(second) {
                [first, Some(version), second]
            } else if alive(Some(version)) > alive(third) {
                [first, second, Some(version)]
            } else {
                [first, second, third]
            });
        }
        Self { sorted, latest }
    }

    /// How many versions were known before `at`.
    fn known_before(&self, versions: &Versions, at: u64) -> usize {
        self.sorted.partition_point(|&version| versions.all[version].known_by.at < at)
    }

    /// Of the other versions that come before `version`, the two that were alive at the latest times.
    fn latest_known_before(&self, versions: &Versions, version: usize) -> Option<[Option<usize>; 2]> {
        let known = self.known_before(versions, versions.all[version].alive_at.at);
        let mut others = self.latest[known].iter().flatten().copied().filter(|&other| other != version);
        let first = others.next()?;
        Some([Some(first), others.next()])
    }
}
