//! How many commands of one connection may be on their way to other cores at a time.
//!
//! Replies are made whether or not they are small, so a connection begins with few, and doubles them with each round
//! of answers that was small and quick; a round that was large or took long makes them fewer. So a long pipeline of small
//! commands soon runs at full width, and one of large values or slow commands does not fill the memory, nor the other
//! core's time, all at once.

/// One connection's window.
#[derive(Debug)]
pub(crate) struct Window {
    commands: usize,
    /// Bytes that the answers of this round have brought.
    bytes: usize,
    /// How long its commands took where they ran, as far as that was long.
    nanos: u64,
}

impl Default for Window {
    fn default() -> Self {
        Self { commands: COMMANDS_FIRST, bytes: 0, nanos: 0 }
    }
}

impl Window {
    /// Whether another command may go while so many are unanswered.
    #[inline]
    pub(crate) fn has_room(&self, unanswered: usize) -> bool {
        unanswered < self.commands
    }

    /// An answer of so many bytes has come, and so many are still to come.
    #[inline]
    pub(crate) fn answered(&mut self, bytes: usize, unanswered: usize) {
        self.bytes += bytes;
        if unanswered == 0 {
            self.end_round();
        }
    }

    /// Commands of this round took so many nanoseconds on another core.
    pub(crate) fn took(&mut self, nanos: u64) {
        self.nanos += nanos;
    }

    fn end_round(&mut self) {
        let (bytes, nanos) = (std::mem::take(&mut self.bytes) as u64, std::mem::take(&mut self.nanos));
        let fitting = |had: u64, fits: u64| u128::from(fits) * self.commands as u128 / u128::from(had);
        self.commands = if bytes > ROUND_BYTES || nanos > ROUND_NANOS {
            let fitting = fitting(bytes.max(1), ROUND_BYTES).min(fitting(nanos.max(1), ROUND_NANOS));
            fitting.clamp(COMMANDS_MIN as u128, COMMANDS_MAX as u128) as usize
        } else {
            (self.commands * 2).min(COMMANDS_MAX)
        };
    }
}

const COMMANDS_FIRST: usize = 64;
const COMMANDS_MIN: usize = 2;
const COMMANDS_MAX: usize = 4096;
/// What a round of answers should bring at most, in bytes.
const ROUND_BYTES: u64 = 1 << 20;
/// What its commands should take at most, in nanoseconds.
const ROUND_NANOS: u64 = 4 * crate::dispatch::TURN_NANOS;

#[cfg(test)]
mod tests {
    use super::*;

    /// The window after rounds of full width with answers of so many bytes each, which took so long.
    fn after_slow(rounds: usize, answer_bytes: usize, command_nanos: u64) -> usize {
        let mut window = Window::default();
        for _ in 0..rounds {
            let commands = (0..).take_while(|&unanswered| window.has_room(unanswered)).count();
            window.took(commands as u64 * command_nanos);
            (0..commands).rev().for_each(|left| window.answered(answer_bytes, left));
        }
        (0..).take_while(|&unanswered| window.has_room(unanswered)).count()
    }

    fn after(rounds: usize, answer_bytes: usize) -> usize {
        after_slow(rounds, answer_bytes, 0)
    }

    #[test]
    fn slow_commands_close_the_window() {
        assert_eq!(after_slow(100, 5, 300), 4096);
        assert_eq!(after_slow(1, 5, 10_000_000), 2);
        assert_eq!(after_slow(2, 1 << 20, 10_000_000), 2);
        let commands = after_slow(50, 5, 100_000);
        assert!((20..=80).contains(&commands), "{commands} commands of 0.1 ms are about a round of 4 ms");
    }

    #[test]
    fn small_answers_open_the_window_and_large_ones_close_it() {
        assert_eq!(after(0, 0), 64);
        assert_eq!(after(1, 5), 128);
        assert_eq!(after(100, 5), 4096);
        assert_eq!(after(1, 1 << 20), 2);
        assert!(
            (32..=128).contains(&after(50, 16 << 10)),
            "a round of 16 KiB answers stays about a megabyte"
        );
    }
}
