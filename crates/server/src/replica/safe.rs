//! How much of what came from the master is on this node's disk: what WAITAOF asks there.
//!
//! What was applied is in the logs of all cores, and survives a loss of power when a cut behind it is on the disk in all of them. So it is
//! noted how far that was, with the next cut, and known when the cut is there; then the next is noted.

use commands::log::{LogFigures, LogGauges};
use replication::flow::place::Place;

/// See the module's comment.
#[derive(Debug, Default)]
pub(super) struct Safe {
    known: Option<Place>,
    /// What is on the disk when this cut is.
    next: Option<(Place, u64)>,
}

impl Safe {
    /// What is on the disk, where all up to `applied` was applied before this; `None` if that is not known, or there is no log.
    pub(super) fn look(&mut self, figures: &LogFigures, log: &LogGauges, applied: Place) -> Option<Place> {
        if !figures.is_on || !log.is_begun() {
            *self = Self::default();
        } else if figures.is_always {
            // Nothing is known to have run that is not on the disk.
            *self = Self { known: Some(applied), next: None };
        } else {
            self.take_next(log);
            if self.next.is_none() && self.known.as_ref() != Some(&applied) {
                self.next = Some((applied, log.cut_needed()));
                self.take_next(log);
            }
        }
        self.known.clone()
    }

    fn take_next(&mut self, log: &LogGauges) {
        if let Some((place, _)) = self.next.take_if(|(_, cut)| log.is_durable(*cut)) {
            self.known = Some(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use replication::{Position, ReplId, StreamPosition};
    use stdx::{DbIndex, ShardId};

    fn at(offset: u64) -> Place {
        let replid = ReplId::parse(&[b'a'; 40]).unwrap();
        Place::Stream(StreamPosition { at: Position { replid, offset }, db: DbIndex(0) })
    }

    fn bring_to_disk(log: &LogGauges, cut: u64) {
        for shard in [ShardId(0), ShardId(1)] {
            log.note_cut(shard, cut, 0);
            log.note_synced(shard, cut);
        }
    }

    #[test]
    fn what_was_applied_is_safe_when_a_cut_behind_it_is() {
        let (log, figures) = (LogGauges::new(2), LogFigures { is_on: true, ..LogFigures::default() });
        let mut safe = Safe::default();
        assert_eq!(safe.look(&figures, &log, at(5)), None, "the log counts not yet");
        log.set_begun(true);
        assert_eq!(safe.look(&figures, &log, at(5)), Some(at(5)), "nothing was written since");
        log.note_news(ShardId(1));
        assert_eq!(safe.look(&figures, &log, at(9)), Some(at(5)));
        assert_eq!(safe.look(&figures, &log, at(12)), Some(at(5)));
        bring_to_disk(&log, 1);
        log.note_news(ShardId(0));
        assert_eq!(safe.look(&figures, &log, at(12)), Some(at(9)), "12 may have come behind the cut");
        bring_to_disk(&log, 2);
        assert_eq!(safe.look(&figures, &log, at(12)), Some(at(12)));
    }

    #[test]
    fn under_always_all_is_and_without_a_log_nothing() {
        let log = LogGauges::new(2);
        log.set_begun(true);
        log.note_news(ShardId(0));
        let mut safe = Safe::default();
        let always = LogFigures { is_on: true, is_always: true, ..LogFigures::default() };
        assert_eq!(safe.look(&always, &log, at(9)), Some(at(9)));
        assert_eq!(safe.look(&LogFigures::default(), &log, at(9)), None);
    }
}
