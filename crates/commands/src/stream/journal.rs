//! What is journalled for commands that deliver entries: who has what, with times and counts as they are now.

use crate::effects::Effects;
use datatypes::StreamId;
use datatypes::stream::{Group, IdText, Pending};
use stdx::DbIndex;

/// Effects on one group of one stream.
pub(super) struct GroupJournal<'a> {
    pub(super) effects: &'a mut Effects,
    pub(super) db: DbIndex,
    pub(super) key: &'a [u8],
    pub(super) group: &'a [u8],
}

impl GroupJournal<'_> {
    /// A consumer was made.
    pub(super) fn created(&mut self, consumer: &[u8]) {
        if self.effects.journals() {
            let words = [&b"XGROUP"[..], b"CREATECONSUMER", self.key, self.group, consumer];
            self.effects.push(self.db, words.into_iter());
        }
    }

    /// An entry is pending, or, where it is no longer in the stream, is not any more.
    pub(super) fn claimed(&mut self, group: &Group, id: StreamId, pending: &Pending) {
        if !self.effects.journals() {
            return;
        }
        let consumer = group.consumer(pending.consumer).name();
        let (mut entry, mut last) = (IdText::default(), IdText::default());
        let (mut time, mut count) = (itoa::Buffer::new(), itoa::Buffer::new());
        self.effects.push(
            self.db,
            [
                &b"XCLAIM"[..],
                self.key,
                self.group,
                consumer,
                b"0",
                id.text(&mut entry),
                b"TIME",
                time.format(pending.delivered_ms).as_bytes(),
                b"RETRYCOUNT",
                count.format(pending.deliveries as i64).as_bytes(),
                b"FORCE",
                b"JUSTID",
                b"LASTID",
                group.last_id.text(&mut last),
            ]
            .into_iter(),
        );
    }

    /// The group has delivered more.
    pub(super) fn moved(&mut self, group: &Group) {
        if !self.effects.journals() {
            return;
        }
        let mut last = IdText::default();
        let mut read = itoa::Buffer::new();
        self.effects.push(
            self.db,
            [
                &b"XGROUP"[..],
                b"SETID",
                self.key,
                self.group,
                group.last_id.text(&mut last),
                b"ENTRIESREAD",
                read.format(group.entries_read.unwrap_or(-1)).as_bytes(),
            ]
            .into_iter(),
        );
    }
}
