//! The latency monitor: spikes of named events (`command`, `expire-cycle`...), as the LATENCY commands show them.

use std::collections::BTreeMap;

/// How many samples an event keeps.
pub const SAMPLES_MAX: usize = 160;

/// The events of one core.
#[derive(Clone, Debug, Default)]
pub struct LatencyMonitor {
    events: BTreeMap<String, Event>,
}

/// One event's spikes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    samples: Vec<Sample>,
    max_ms: u64,
}

/// The worst spike of an event within one second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The second, since the Unix epoch.
    pub time_s: i64,
    /// How long it took.
    pub ms: u64,
}

impl LatencyMonitor {
    /// Notes that `event` took `ms`. The caller compares with latency-monitor-threshold first.
    #[cold]
    pub fn add(&mut self, event: &str, time_s: i64, ms: u64) {
        if !self.events.contains_key(event) {
            self.events.insert(event.to_owned(), Event::default());
        }
        self.events.get_mut(event).expect("was just inserted").add(Sample { time_s, ms });
    }

    /// One event.
    pub fn get(&self, event: &str) -> Option<&Event> {
        self.events.get(event)
    }

    /// All events by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Event)> {
        self.events.iter().map(|(name, event)| (name.as_str(), event))
    }

    /// Forgets one event; says whether it was there.
    pub fn remove(&mut self, event: &str) -> bool {
        self.events.remove(event).is_some()
    }

    /// Forgets all events and says how many there were.
    pub fn clear(&mut self) -> usize {
        std::mem::take(&mut self.events).len()
    }

    /// Adds what another core saw of `event`.
    pub fn merge(&mut self, event: &str, other: &Event) {
        self.events.entry(event.to_owned()).or_default().merge(other);
    }
}

impl Event {
    /// An event with these samples, in order of time, and this worst spike.
    pub fn new(samples: Vec<Sample>, max_ms: u64) -> Self {
        Self { samples, max_ms }
    }

    /// Its samples, oldest first, one per second at most.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// Its latest sample.
    pub fn latest(&self) -> Option<Sample> {
        self.samples.last().copied()
    }

    /// The worst spike since it was first seen, in ms.
    pub fn max_ms(&self) -> u64 {
        self.max_ms
    }

    fn add(&mut self, sample: Sample) {
        self.max_ms = self.max_ms.max(sample.ms);
        match self.samples.last_mut() {
            Some(last) if last.time_s == sample.time_s => last.ms = last.ms.max(sample.ms),
            _ => {
                if self.samples.len() == SAMPLES_MAX {
                    self.samples.remove(0);
                }
                self.samples.push(sample);
            }
        }
    }

    fn merge(&mut self, other: &Event) {
        let mut all: Vec<Sample> = self.samples.iter().chain(&other.samples).copied().collect();
        all.sort_by_key(|sample| sample.time_s);
        let max_ms = self.max_ms.max(other.max_ms);
        *self = Self::default();
        all.into_iter().for_each(|sample| self.add(sample));
        self.max_ms = max_ms;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(event: &Event) -> Vec<(i64, u64)> {
        event.samples().iter().map(|sample| (sample.time_s, sample.ms)).collect()
    }

    #[test]
    fn a_second_keeps_its_worst_spike() {
        let mut monitor = LatencyMonitor::default();
        [(1, 10), (1, 30), (1, 20), (2, 5)].into_iter().for_each(|(at, ms)| monitor.add("command", at, ms));
        let event = monitor.get("command").expect("seen");
        assert_eq!(pairs(event), [(1, 30), (2, 5)]);
        assert_eq!((event.max_ms(), event.latest()), (30, Some(Sample { time_s: 2, ms: 5 })));
    }

    #[test]
    fn an_event_keeps_its_last_samples_and_its_worst_one() {
        let mut monitor = LatencyMonitor::default();
        monitor.add("fork", 0, 900);
        (1..=SAMPLES_MAX as i64).for_each(|at| monitor.add("fork", at, 1));
        let event = monitor.get("fork").expect("seen");
        assert_eq!((event.samples().len(), event.samples()[0].time_s, event.max_ms()), (SAMPLES_MAX, 1, 900));
    }

    #[test]
    fn events_of_two_cores_merge_by_second() {
        let (mut here, mut there) = (LatencyMonitor::default(), LatencyMonitor::default());
        [(1, 10), (3, 7)].into_iter().for_each(|(at, ms)| here.add("command", at, ms));
        [(1, 20), (2, 5)].into_iter().for_each(|(at, ms)| there.add("command", at, ms));
        here.merge("command", there.get("command").expect("seen"));
        let event = here.get("command").expect("seen");
        assert_eq!(pairs(event), [(1, 20), (2, 5), (3, 7)]);
        assert_eq!(event.max_ms(), 20);
    }
}
