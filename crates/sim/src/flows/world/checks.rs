//! What holds at all times, and at every start of the replica.

use aof::Lsn;
use replication::flow::place::FlowPlaces;

use crate::flows::past::{self, Name};
use crate::flows::world::World;
use crate::pair::process::Survives;
use crate::pair::violation::Violation;

impl World {
    /// What was promised is there.
    pub(super) fn check_promise(
        &self,
        found: Option<&FlowPlaces>,
        survives: Survives,
    ) -> Result<(), Violation> {
        let Some(promised) = &self.promised[survives as usize] else { return Ok(()) };
        let is_there = found.is_some_and(|found| {
            self.past.covers(found, promised)
                || self.pending.as_ref().is_some_and(|pending| self.past.covers(found, pending))
        });
        if is_there {
            return Ok(());
        }
        let found = found.map_or("nothing".to_owned(), ToString::to_string);
        Err(Violation::Lost { promised: promised.to_string(), found })
    }

    /// What the master was told, and so may have told a client that waits, is there.
    pub(super) fn check_told(&self, found: Option<&FlowPlaces>) -> Result<(), Violation> {
        if self.pending.is_some() {
            return Ok(());
        }
        for (name, lsns) in self.master.counted(None) {
            self.check_has(found, name, &lsns)?;
        }
        Ok(())
    }

    fn check_has(&self, found: Option<&FlowPlaces>, name: Name, lsns: &[Lsn]) -> Result<(), Violation> {
        if found.is_some_and(|found| self.past.covers_ends(found, name, lsns)) {
            return Ok(());
        }
        let found = found.map_or("nothing".to_owned(), ToString::to_string);
        Err(Violation::Counted(format!("{lsns:?} of {name:?}, where {found} is")))
    }

    /// What the master counts as run by the present session was run.
    pub(super) fn check_counted(&mut self) -> Result<(), Violation> {
        let Some(node) = &self.node else { return Ok(()) };
        let Some(open) = &node.session else { return Ok(()) };
        let at = node.shards.at();
        for (name, lsns) in self.master.counted(Some(open.id())) {
            self.check_has(at.as_ref(), name, &lsns)?;
        }
        Ok(())
    }

    pub(super) fn check_exact(&mut self) -> Result<(), Violation> {
        let shards = &self.node.as_ref().expect("the process runs").shards;
        let now = shards.at().map(|at| (shards.changes, at));
        if let Some((_, at)) = now.as_ref().filter(|_| now != self.exact) {
            self.past.check_exact(&shards.data, at)?;
        }
        self.exact = now;
        Ok(())
    }

    /// What is about to be replaced has no more than what takes its place, of the same master.
    pub(super) fn check_is_no_less(&self, at: &FlowPlaces) -> Result<(), Violation> {
        let had = self.node.as_ref().and_then(|node| node.shards.at());
        let Some(had) = had.filter(|had| !self.accepts_less && had.log.node == at.log.node) else {
            return Ok(());
        };
        // Of a generation that it has forgotten a master cannot tell whether it was its own.
        let is_known = !self.master.had_forgotten(past::name(&had), past::name(at));
        if is_known && !self.past.covers(at, &had) {
            return Err(Violation::Older { had: had.to_string(), has: at.to_string() });
        }
        Ok(())
    }
}
