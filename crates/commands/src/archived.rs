//! How far the log is archived, for INFO.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard};
use stdx::UnixMs;

/// Written by the thread that archives, read by INFO.
#[derive(Debug, Default)]
pub struct Archived {
    is_on: AtomicBool,
    state: Mutex<ArchiveView>,
}

/// What INFO tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArchiveView {
    /// The time of the newest cut that is archived; 0 before the first.
    pub newest: UnixMs,
    /// Bytes of the log that are known not to be archived.
    pub owed_bytes: u64,
    /// Attempts that failed since the last that did not.
    pub failures: u64,
    /// Why the last of them did; kept when all is well again.
    pub error: String,
}

impl Archived {
    /// The log is archived from now on.
    pub fn begin(&self) {
        self.is_on.store(true, Relaxed);
    }

    /// So many bytes are to be archived.
    pub fn owes(&self, bytes: u64) {
        self.state().owed_bytes = bytes;
    }

    /// All was archived, up to a cut of this time if there was a new one. Returns after how many failures.
    pub fn ok(&self, newest: Option<UnixMs>) -> u64 {
        let mut state = self.state();
        state.owed_bytes = 0;
        state.newest = newest.unwrap_or(state.newest);
        std::mem::take(&mut state.failures)
    }

    /// It failed. Returns how often in a row.
    pub fn failed(&self, error: String) -> u64 {
        let mut state = self.state();
        state.error = error;
        state.failures += 1;
        state.failures
    }

    /// What there is to tell, if the log is archived.
    pub fn view(&self) -> Option<ArchiveView> {
        self.is_on.load(Relaxed).then(|| self.state().clone())
    }

    fn state(&self) -> MutexGuard<'_, ArchiveView> {
        self.state.lock().expect("nobody panics with it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_counted_until_all_is_well() {
        let archived = Archived::default();
        assert_eq!(archived.view(), None);
        archived.begin();
        archived.owes(10);
        assert_eq!((archived.failed("a".to_owned()), archived.failed("b".to_owned())), (1, 2));
        assert_eq!((archived.ok(Some(UnixMs(5))), archived.ok(None)), (2, 0));
        let want = ArchiveView { newest: UnixMs(5), owed_bytes: 0, failures: 0, error: "b".to_owned() };
        assert_eq!(archived.view(), Some(want));
    }
}
