//! The two clocks: wall time for expiries, and a cheap tick count for how long commands take.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use stdx::UnixMs;

/// The wall clock, in microseconds since the Unix epoch.
pub(crate) fn unix_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    since.as_micros() as i64
}

/// The wall clock, in milliseconds.
pub(crate) fn unix_ms() -> UnixMs {
    UnixMs(unix_us() / 1000)
}

/// Nanoseconds since some moment, for measuring how long work takes: as good as the first calibration was.
pub(crate) fn nanos() -> u64 {
    static TICKS: LazyLock<Ticks> = LazyLock::new(Ticks::calibrate);
    TICKS.nanos(TICKS.origin, TICKS.now())
}

/// Turns ticks into nanoseconds, and into wall time. Where the processor has an invariant time stamp counter a tick is one of its
/// cycles (reading it costs a third of what the clock does); elsewhere it is a nanosecond.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticks {
    origin: u64,
    started: Instant,
    /// Nanoseconds per tick, times 2^24.
    scale: u64,
    counter: bool,
    /// The wall clock at some tick: read anew in every round of periodic work, so that steps of the clock are followed.
    wall: (u64, i64),
    /// What the wall clock was last taken to be, in microseconds: it does not go back to before that, unless it was set back.
    floor: i64,
}

/// All clocks, read at one tick.
#[derive(Clone, Copy, Debug)]
struct Reading {
    tick: u64,
    unix_us: i64,
    /// Since [`Ticks::started`].
    nanos: u64,
}

impl Ticks {
    /// Calibrates against the clock for `CALIBRATION`.
    pub(crate) fn calibrate() -> Self {
        let counter = invariant_counter();
        let started = Instant::now();
        let mut ticks = Self { origin: 0, started, scale: 1 << SCALE_BITS, counter, wall: (0, 0), floor: 0 };
        let first = ticks.read();
        ticks.origin = first.tick;
        ticks.started += Duration::from_nanos(first.nanos);
        if counter {
            while ticks.started.elapsed() < CALIBRATION {
                std::hint::spin_loop();
            }
        }
        ticks.refine();
        ticks
    }

    /// Calibrates anew over all the time since the start; the longer that is, the finer. Reads the wall clock.
    pub(crate) fn refine(&mut self) {
        self.follow(self.read());
    }

    /// Goes on from this reading.
    fn follow(&mut self, read: Reading) {
        let was_taken_for = self.unix_us_at(read.tick);
        // What one command has found to be over is not to be there for the next.
        let was_set_back = was_taken_for - read.unix_us > SET_BACK_US;
        self.floor = if was_set_back { read.unix_us } else { was_taken_for };
        self.wall = (read.tick, read.unix_us);
        if self.counter {
            let ticks = u128::from((read.tick - self.origin).max(1));
            self.scale = ((u128::from(read.nanos) << SCALE_BITS) / ticks) as u64;
        }
    }

    /// Reads the clocks between two readings of the counter, and again when these are far apart: then this thread was stopped
    /// in between, and who knows where.
    fn read(&self) -> Reading {
        let mut best: Option<(u64, Reading)> = None;
        for _ in 0..READINGS_MAX {
            let before = self.now();
            let (unix_us, nanos) = (unix_us(), self.started.elapsed().as_nanos() as u64);
            let took = self.now() - before;
            if best.is_none_or(|(least, _)| took < least) {
                best = Some((took, Reading { tick: before + took / 2, unix_us, nanos }));
            }
            if took < READING_TICKS {
                break;
            }
        }
        best.expect("it was read once at least").1
    }

    /// The count now.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        if self.counter { read_counter() } else { self.started.elapsed().as_nanos() as u64 }
    }

    /// The wall clock in microseconds, without asking the kernel's: as good as it was when last refined.
    #[inline]
    pub(crate) fn unix_us(&self) -> i64 {
        self.unix_us_at(self.now())
    }

    #[inline]
    fn unix_us_at(&self, tick: u64) -> i64 {
        let (at, us) = self.wall;
        (us + (self.nanos(at, tick) / 1000) as i64).max(self.floor)
    }

    /// The same in milliseconds.
    #[inline]
    pub(crate) fn unix_ms(&self) -> UnixMs {
        UnixMs(self.unix_us() / 1000)
    }

    /// Nanoseconds between two counts; 0 when the second is not later.
    #[inline]
    pub(crate) fn nanos(&self, from: u64, to: u64) -> u64 {
        ((u128::from(to.saturating_sub(from)) * u128::from(self.scale)) >> SCALE_BITS) as u64
    }
}

/// The beginning of this minute, moved back to before 1970, so that the time of no key has come; by whole turns of the clocks that
/// remember when a key was last used, so that these are right. What was journalled is run again at such a time: whatever
/// expired is in the journal.
pub(crate) fn before_all_times(now: UnixMs) -> UnixMs {
    let in_turn = now.0.rem_euclid(RECENCY_TURNS_MS);
    UnixMs(in_turn - in_turn % MINUTE_MS - RECENCY_TURNS_MS)
}

/// The clock of LRU counts 2^24 seconds, that of LFU 2^16 minutes: both turn around in 2^24 * 15 seconds.
const RECENCY_TURNS_MS: i64 = (1 << 24) * 15 * 1000;
const MINUTE_MS: i64 = 60_000;
const _: () = assert!(RECENCY_TURNS_MS % ((1 << 16) * MINUTE_MS) == 0);

const SCALE_BITS: u32 = 24;
const CALIBRATION: Duration = Duration::from_millis(2);
/// Three clocks are read in fewer ticks than this, unless the thread was stopped meanwhile: some microseconds.
const READING_TICKS: u64 = 10_000;
const READINGS_MAX: u32 = 8;
/// A clock that is behind by more than this was set back.
const SET_BACK_US: i64 = 1_000_000;

#[cfg(target_arch = "x86_64")]
#[inline]
fn read_counter() -> u64 {
    // SAFETY: every x86_64 processor has RDTSC; it touches no memory.
    unsafe { core::arch::x86_64::_rdtsc() }
}

#[cfg(target_arch = "x86_64")]
fn invariant_counter() -> bool {
    // CPUID leaf 0x8000_0007, EDX bit 8: the counter runs at one rate in all power states.
    let highest = core::arch::x86_64::__cpuid(0x8000_0000).eax;
    highest >= 0x8000_0007 && core::arch::x86_64::__cpuid(0x8000_0007).edx & (1 << 8) != 0
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn read_counter() -> u64 {
    0
}

#[cfg(not(target_arch = "x86_64"))]
fn invariant_counter() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn before_all_times_the_clocks_of_use_tell_the_same() {
        for now in [UnixMs(1_790_000_123_456), UnixMs(0), UnixMs(3_900_000_000_000)] {
            let then = before_all_times(now);
            assert!(then.0 < 0 && then.0 % MINUTE_MS == 0, "{then:?}");
            // As the keyspace counts them.
            let seconds = |time: i64| (time / 1000) as u32 & ((1 << 24) - 1);
            let minute = now.0 - now.0 % MINUTE_MS;
            assert_eq!(seconds(then.0), seconds(minute));
            assert_eq!((then.0 / MINUTE_MS) as u16, (minute / MINUTE_MS) as u16);
        }
    }

    #[test]
    fn ticks_tell_the_wall_clock() {
        let ticks = Ticks::calibrate();
        let (kernel, ours) = (unix_us(), ticks.unix_us());
        assert!((kernel - ours).abs() < 50_000, "the kernel says {kernel}, ticks say {ours}");
    }

    #[test]
    fn the_wall_clock_does_not_go_back_unless_it_was_set_back() {
        let mut ticks = Ticks::calibrate();
        let read = ticks.read();
        let at = |ticks: &Ticks, us: u64| read.tick + (us << SCALE_BITS) * 1000 / ticks.scale;
        let mut follow = |after_us: u64, ahead_us: i64| {
            let unix_us = read.unix_us + after_us as i64 + ahead_us;
            let tick = at(&ticks, after_us);
            // The scale stays as it is.
            let nanos = ticks.nanos(ticks.origin, tick);
            ticks.follow(Reading { tick, unix_us, nanos });
            ticks
        };
        let wrong_by = |ticks: &Ticks, after_us: u64| {
            ticks.unix_us_at(at(ticks, after_us)) - read.unix_us - after_us as i64
        };
        // The thread was stopped between two readings.
        let ahead = follow(1_000, 30_000);
        assert!((wrong_by(&ahead, 1_000) - 30_000).abs() < 10);
        let mended = follow(100_000, 0);
        for after_us in (100_000..200_000).step_by(1000) {
            let (before, now) = (wrong_by(&mended, after_us), wrong_by(&mended, after_us + 1000));
            assert!(
                now <= before.max(10) && now >= before - 1010,
                "it stands until the time has come, {before}, {now}"
            );
        }
        assert!(wrong_by(&mended, 140_000).abs() < 10);
        let set_back = follow(200_000, -3_600_000_000);
        assert!((wrong_by(&set_back, 200_000) + 3_600_000_000).abs() < 10);
    }

    #[test]
    fn ticks_measure_time_like_the_clock() {
        let ticks = Ticks::calibrate();
        let (clock, from) = (Instant::now(), ticks.now());
        while clock.elapsed() < Duration::from_millis(20) {
            std::hint::spin_loop();
        }
        let (clock, nanos) = (clock.elapsed().as_nanos() as f64, ticks.nanos(from, ticks.now()) as f64);
        assert!((nanos / clock - 1.0).abs() < 0.1, "{nanos} ns by ticks, {clock} ns by the clock");
    }
}
