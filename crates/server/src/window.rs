//! How many commands of one connection may be on their way to other cores at a time.
//!
//! Replies are made whether or not they are small, so a connection begins with few, and doubles them with each round
//! of answers that was small; a round that was large makes them fewer. So a long pipeline of small commands soon runs
//! at full width, and one of large values does not fill the memory, nor the other core's time, all at once.

/// One connection's window.
#[derive(Debug)]
pub(crate) struct Window {
    commands: usize,
    /// Bytes that the answers of this round have brought.
    bytes: usize,
}

impl Default for Window {
    fn default() -> Self {
        Self { commands: COMMANDS_FIRST, bytes: 0 }
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

    fn end_round(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        self.commands = if bytes > ROUND_BYTES {
            let fitting = (self.commands as u128 * ROUND_BYTES as u128 / bytes as u128) as usize;
            fitting.max(COMMANDS_MIN)
        } else {
            (self.commands * 2).min(COMMANDS_MAX)
        };
    }
}

const COMMANDS_FIRST: usize = 64;
const COMMANDS_MIN: usize = 2;
const COMMANDS_MAX: usize = 4096;
/// What a round of answers should bring at most, in bytes.
const ROUND_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    /// The window after rounds of full width with answers of so many bytes each.
    fn after(rounds: usize, answer_bytes: usize) -> usize {
        let mut window = Window::default();
        for _ in 0..rounds {
            let commands = (0..).take_while(|&unanswered| window.has_room(unanswered)).count();
            (0..commands).rev().for_each(|left| window.answered(answer_bytes, left));
        }
        (0..).take_while(|&unanswered| window.has_room(unanswered)).count()
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
