//! A full sync: from its payload, which is staged, read to its end and judged, to the dataset that is replaced, or is not.

use super::{History, Known, Output, Reason, Report, ResyncGrant, Role, State, WORD_EACH_MS};
use crate::ids::{Attempt, ReplId};
use crate::role::reason::During;

impl Role {
    /// So many bytes of the payload have come in flows. `is_whole`: all of them, and each file was made safe and is one.
    pub fn gathered(&mut self, attempt: Attempt, bytes: u64, is_whole: bool, now_ms: u64) {
        if !self.is_now(attempt) {
            return;
        }
        let State::Gathering { from, received, .. } = &mut self.state else { return };
        let from = *from;
        if bytes > *received {
            *received = bytes;
            self.last_io_ms = now_ms;
        }
        if is_whole {
            self.facts.received = bytes;
            self.state = State::Verifying { from };
            self.next_word_ms = now_ms + WORD_EACH_MS;
            self.outputs.push_back(Output::Verify { attempt });
        }
    }

    /// The payload has come to its end.
    pub(super) fn whole(&mut self, now_ms: u64) {
        let State::Receiving { from, payload } = &self.state else { unreachable!("it was received") };
        self.facts.received = payload.received();
        self.state = State::Verifying { from: *from };
        self.next_word_ms = now_ms + WORD_EACH_MS;
        self.outputs.push_back(Output::Verify { attempt: self.attempt });
    }

    /// What is staged cannot be kept; nothing of it is left, or it is in nobody's way.
    pub fn staging_failed(&mut self, attempt: Attempt, why: &str, now_ms: u64) {
        if self.is_now(attempt) && self.is_staging() {
            self.fail(Reason::Staging(why.to_owned()), now_ms);
        }
    }

    fn is_staging(&self) -> bool {
        matches!(self.state, State::Receiving { .. } | State::Gathering { .. } | State::Verifying { .. })
    }

    /// The payload does not hold what it should.
    pub fn rejected(&mut self, attempt: Attempt, why: &str, now_ms: u64) {
        if self.is_now(attempt) && self.is_staging() {
            self.fail(Reason::Rejected(why.to_owned()), now_ms);
        }
    }

    /// What is staged was made safe and read to its last byte, and is a dataset.
    pub fn verified(&mut self, attempt: Attempt, report: Report, now_ms: u64) {
        if !self.is_now(attempt) {
            return;
        }
        let State::Verifying { from } = self.state else { return };
        if !self.options.accepts_less
            && let Err(reason) = report.judge(self.known(from.replid))
        {
            if matches!(reason, Reason::Empty { .. }) {
                self.began_empty = Some(from.replid);
            }
            return self.fail(reason, now_ms);
        }
        self.state = State::Replacing { from };
        self.has_staged = false;
        self.outputs.push_back(Output::Replace(ResyncGrant::new(self.attempt, from, report.keys)));
    }

    fn known(&self, theirs: ReplId) -> Known {
        let History { current, second } = self.history;
        let is_ours = [current, second].into_iter().flatten().any(|ours| ours.replid == theirs);
        match () {
            () if self.began_empty == Some(theirs) => Known::BeganEmpty,
            () if self.has_masters_data && !is_ours => Known::Replaces,
            () => Known::Nothing,
        }
    }

    /// The dataset was replaced, in memory and on disk. This is what follows a grant, unless it was [`Role::not_replaced`].
    pub fn replaced(&mut self, attempt: Attempt, now_ms: u64) {
        let State::Replacing { from } = self.state else { panic!("nothing was to be replaced") };
        assert_eq!(attempt, self.attempt, "a grant is of the attempt that is under way");
        self.history = History { current: Some(from), second: None };
        self.read = from.offset;
        self.is_torn = false;
        if self.wish.is_some() {
            self.facts.down_since_ms = Some(now_ms);
            self.abandon();
            self.grant_wish(now_ms);
        } else if self.has_link {
            self.follow(false, false, now_ms);
        } else {
            let why = "it ended while the data was loaded".to_owned();
            self.facts.failed(Reason::Lost { during: During::Loading, why }, now_ms);
            self.wait(now_ms);
        }
    }

    /// The dataset was not replaced, and the old one is as it was, in memory and on disk.
    pub fn not_replaced(&mut self, attempt: Attempt, why: &str, now_ms: u64) {
        let State::Replacing { from } = self.state else { panic!("nothing was to be replaced") };
        assert_eq!(attempt, self.attempt, "a grant is of the attempt that is under way");
        // What was staged is no longer wanted, and the attempt is over as if there had been no grant.
        self.state = State::Verifying { from };
        self.has_staged = true;
        self.fail(Reason::Replacing(why.to_owned()), now_ms);
    }
}
