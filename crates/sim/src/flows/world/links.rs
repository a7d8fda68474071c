//! What is between the master and the replica: connections that are made, fail, come twice, and what is heard on them.

use replication::Attempt;
use replication::flow::hello::Join;

use crate::flows::inbound::{Inbound, Trouble};
use crate::flows::world::{Connection, World};
use crate::pair::net::{Heard, LinkId};
use crate::pair::process::Stop;

impl World {
    pub(super) fn flow_links(&self) -> Vec<LinkId> {
        let open = self.node.as_ref().and_then(|node| node.session.as_ref());
        open.map(|open| open.flows.iter().map(|flow| flow.link).collect()).unwrap_or_default()
    }

    fn flow(&mut self, id: LinkId) -> Option<&mut Inbound> {
        let open = self.node.as_mut().and_then(|node| node.session.as_mut());
        open.and_then(|open| open.flows.iter_mut().find(|flow| flow.link == id))
    }

    /// Connections that are being made stand, or cannot be made.
    pub(super) fn connect(&mut self) -> Result<(), Stop> {
        let refuses = self.is_rough && self.has_bad_luck(12);
        let now_ms = self.now_ms;
        if let Some(Connection { link, attempt, is_up: is_up @ false }) = &mut self.link {
            let (link, attempt) = (*link, *attempt);
            *is_up = true;
            if !self.net.accept(link, refuses) {
                return self.lose(attempt, "refused");
            }
            self.master.accept(link, now_ms);
            let wanted = self.node().flows_wanted();
            self.node().role.want_flows(Some(wanted));
            self.node().role.connected(attempt, now_ms);
            return self.settle();
        }
        let most = if self.is_rough { 1 } else { usize::MAX };
        let Some(open) = self.node.as_mut().and_then(|node| node.session.as_mut()) else { return Ok(()) };
        for flow in open.flows.iter_mut().filter(|flow| !flow.is_up).take(most) {
            flow.is_up = true;
            if self.net.accept(flow.link, refuses) {
                self.master.accept(flow.link, now_ms);
            } else {
                flow.end(Trouble::Lost("refused".to_owned()));
            }
        }
        Ok(())
    }

    fn lose(&mut self, attempt: Attempt, why: &str) -> Result<(), Stop> {
        self.link = None;
        self.act(|node, around| {
            node.lost(attempt, why, around);
            Ok(())
        })?;
        self.settle()
    }

    /// Something of an earlier session, or of this one, comes on a connection of its own.
    pub(super) fn come_twice(&mut self) {
        let Some((session, flows)) = self.master.some_session() else { return };
        let flow = self.rng.below(flows.into()) as u16;
        let link = self.net.open();
        let mut bytes = Vec::new();
        Join { session, flow }.encode(&mut bytes);
        self.master.accept(link, self.now_ms);
        self.net.say_to_master(link, &bytes);
        self.net.replica_closes(link);
        self.report.twice += 1;
    }

    /// Says whether there was something to be heard; so do those below.
    pub(super) fn master_hears(&mut self, id: LinkId) -> bool {
        let goes_on = match self.net.master_hears(id, &mut self.rng) {
            Heard::Nothing => return false,
            Heard::Bytes(bytes) => self.master.receive(id, &bytes, self.now_ms, &mut self.net),
            Heard::End => false,
        };
        if !goes_on {
            self.master.lost(id);
            self.net.master_closes(id);
        }
        true
    }

    pub(super) fn replica_hears(&mut self, id: LinkId) -> Result<bool, Stop> {
        if self.flow(id).is_some() {
            return self.flow_hears(id);
        }
        let Some(Connection { link, attempt, is_up: true }) = &self.link else { return Ok(false) };
        let attempt = *attempt;
        if *link != id {
            return Ok(false);
        }
        let mut bytes = match self.net.replica_hears(id, &mut self.rng) {
            Heard::Nothing => return Ok(false),
            Heard::Bytes(bytes) => bytes,
            Heard::End => {
                self.net.replica_closes(id);
                self.lose(attempt, "closed")?;
                return Ok(true);
            }
        };
        while !bytes.is_empty() {
            let now_ms = self.now_ms;
            let used = self.node().receive(attempt, &bytes, now_ms);
            bytes.drain(..used);
            self.settle()?;
            if self.link.as_ref().is_none_or(|own| own.link != id) {
                break;
            }
            if used == 0 && !self.node().role.reads() {
                self.net.not_taken(id, bytes);
                break;
            }
        }
        Ok(true)
    }

    fn flow_hears(&mut self, id: LinkId) -> Result<bool, Stop> {
        let is_read = self.flow(id).is_some_and(|flow| flow.is_up && !flow.inflow.has_read_all());
        if !is_read {
            return Ok(false);
        }
        let heard = self.net.replica_hears(id, &mut self.rng);
        let now_ms = self.now_ms;
        let flow = self.flow(id).expect("it reads");
        match heard {
            Heard::Nothing => return Ok(false),
            Heard::Bytes(bytes) => flow.hear(&bytes, now_ms)?,
            Heard::End => flow.end(Trouble::Lost("closed".to_owned())),
        }
        Ok(true)
    }

    /// A connection fails, wherever its bytes are: both ends notice, or one alone.
    pub(super) fn break_link(&mut self, id: LinkId) -> Result<(), Stop> {
        self.net.lose(id);
        let one_alone = self.rng.one_in(3);
        if !one_alone {
            self.master.lost(id);
            self.net.master_closes(id);
        }
        if let Some(flow) = self.flow(id).filter(|flow| flow.is_up) {
            flow.end(Trouble::Lost("reset".to_owned()));
        }
        let own = self.link.as_ref().filter(|own| own.link == id && own.is_up);
        if let Some(attempt) = own.map(|own| own.attempt) {
            self.net.replica_closes(id);
            self.lose(attempt, "reset")?;
        }
        Ok(())
    }
}
