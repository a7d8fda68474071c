//! Credit: how much may be on its way. Spent by who sends, returned by who has applied, never more than the window.

/// The sender's account.
#[derive(Clone, Debug)]
pub struct Sender {
    window: u64,
    out: u64,
}

/// The receiver's account.
#[derive(Clone, Debug)]
pub struct Receiver {
    window: u64,
    /// Arrived and not applied.
    held: u64,
    /// Applied and not returned.
    owed: u64,
}

/// The other side does not keep to it. The connection is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CreditError {
    /// More came than may be on its way.
    #[error("{out} bytes are on their way, and the window is {window}")]
    Overrun {
        /// Bytes.
        out: u64,
        /// At most.
        window: u64,
    },
    /// More was returned than was sent.
    #[error("{returned} bytes were returned of {out}")]
    Overpaid {
        /// Bytes.
        returned: u64,
        /// That were on their way.
        out: u64,
    },
}

impl Sender {
    /// All of the window is there to be spent.
    pub fn new(window: u64) -> Self {
        Self { window, out: 0 }
    }

    /// How many bytes may be sent now.
    pub fn may_send(&self) -> u64 {
        self.window - self.out
    }

    /// Bytes on their way, or not applied.
    pub fn out(&self) -> u64 {
        self.out
    }

    /// Bytes were sent. Panics above what may be sent.
    pub fn sent(&mut self, bytes: u64) {
        assert!(bytes <= self.may_send(), "sent {bytes} of {}", self.may_send());
        self.out += bytes;
    }

    /// Credit came back.
    pub fn returned(&mut self, bytes: u64) -> Result<(), CreditError> {
        self.out =
            self.out.checked_sub(bytes).ok_or(CreditError::Overpaid { returned: bytes, out: self.out })?;
        Ok(())
    }
}

impl Receiver {
    /// With the sender's window.
    pub fn new(window: u64) -> Self {
        Self { window, held: 0, owed: 0 }
    }

    /// Bytes came.
    pub fn arrived(&mut self, bytes: u64) -> Result<(), CreditError> {
        let out = self.held + self.owed + bytes;
        if out > self.window {
            return Err(CreditError::Overrun { out, window: self.window });
        }
        self.held += bytes;
        Ok(())
    }

    /// Bytes that came were applied. Says how many are to be returned now: small amounts are gathered, but for the last ones, so that
    /// a sender that waits for credit always gets some.
    #[must_use]
    pub fn applied(&mut self, bytes: u64) -> Option<u64> {
        assert!(bytes <= self.held, "applied {bytes} of {}", self.held);
        self.held -= bytes;
        self.owed += bytes;
        let is_due = self.owed >= self.window / 4 || self.held == 0 && self.owed > 0;
        is_due.then(|| std::mem::take(&mut self.owed))
    }

    /// Bytes that wait to be applied.
    pub fn held(&self) -> u64 {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use stdx::Rng;

    #[test]
    fn no_more_than_the_window_is_ever_under_way_and_it_never_stops() {
        for seed in 0..50 {
            let mut rng = Rng::new(seed);
            let window = 1 + rng.below(1000);
            let (mut sender, mut receiver) = (Sender::new(window), Receiver::new(window));
            let (mut there, mut back) = (VecDeque::new(), VecDeque::new());
            let mut done = 0;
            for _ in 0..5000 {
                match rng.below(4) {
                    0 if sender.may_send() > 0 => {
                        let bytes = 1 + rng.below(sender.may_send());
                        sender.sent(bytes);
                        there.push_back(bytes);
                    }
                    1 => {
                        if let Some(bytes) = there.pop_front() {
                            receiver.arrived(bytes).expect("within the window");
                        }
                    }
                    2 if receiver.held() > 0 => {
                        let bytes = 1 + rng.below(receiver.held());
                        done += bytes;
                        back.extend(receiver.applied(bytes));
                    }
                    _ => {
                        if let Some(bytes) = back.pop_front() {
                            sender.returned(bytes).expect("it was sent");
                        }
                    }
                }
                let nothing_moves = there.is_empty() && back.is_empty() && receiver.held() == 0;
                assert!(sender.may_send() > 0 || !nothing_moves, "stuck");
            }
            assert!(done > window, "{done}");
        }
    }

    #[test]
    fn hazard_20_a_replica_that_stalls_is_sent_no_more_than_the_window() {
        let (mut sender, mut receiver) = (Sender::new(1000), Receiver::new(1000));
        let mut sent = 0;
        for _ in 0..1_000_000 {
            let bytes = sender.may_send().min(7);
            sender.sent(bytes);
            sent += bytes;
        }
        assert_eq!((sent, sender.may_send()), (1000, 0));
        receiver.arrived(sent).expect("within the window");
        let back = receiver.applied(sent).expect("all of it");
        assert_eq!((sender.returned(back), sender.may_send()), (Ok(()), 1000));
    }

    #[test]
    fn who_cheats_is_found() {
        let mut receiver = Receiver::new(10);
        assert_eq!(receiver.arrived(10), Ok(()));
        assert_eq!(receiver.arrived(1), Err(CreditError::Overrun { out: 11, window: 10 }));
        let mut sender = Sender::new(10);
        sender.sent(4);
        assert_eq!(sender.returned(5), Err(CreditError::Overpaid { returned: 5, out: 4 }));
    }
}
