//! A connection of a core with itself, through which what the flows say is run: with the places behind it, however often that takes.

use crate::follow::{Channel, NO_DESCRIPTORS, RETRY, Said, Unit, is_passing, until_gone};
use crate::node::Node;
use replication::flow::place::{FlowLog, FlowPlace};
use std::rc::Rc;

/// Why nothing more is run.
pub(super) enum Setback {
    /// Nobody wants it any more, or the server ends.
    Over,
    /// It cannot be; nothing of it was.
    Failed(String),
    /// Only a part of it could be: the data is not the master's.
    Astray(String),
}

/// Whether something is to be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Yes,
    /// If it can be now.
    AtOnce,
    No,
}

/// The connection, made when it is needed.
pub(super) struct Line {
    node: Rc<Node>,
    channel: Option<Channel>,
}

impl Line {
    pub(super) fn new(node: &Rc<Node>) -> Self {
        Self { node: Rc::clone(node), channel: None }
    }

    /// Has it run. If the connection is lost the place, which is said in it, tells whether it ran.
    pub(super) async fn run(
        &mut self,
        unit: &Unit,
        (flow, log, place): (u16, FlowLog, FlowPlace),
        wanted: impl Fn() -> Wanted,
    ) -> Result<(), Setback> {
        loop {
            if wanted() == Wanted::No || self.node.stopping.get() {
                return Err(Setback::Over);
            }
            if self.channel.is_none() {
                self.channel = Channel::connect(&self.node);
            }
            let said = match &mut self.channel {
                Some(channel) => channel.run(unit).await,
                None => Ok(Said::Refused(NO_DESCRIPTORS.to_owned())),
            };
            match said {
                Ok(Said::Done) => return Ok(()),
                Ok(Said::Misran(why)) => return Err(Setback::Astray(why)),
                Ok(Said::Refused(why)) if !is_passing(&why) => return Err(Setback::Failed(why)),
                Ok(Said::Refused(_)) if wanted() == Wanted::AtOnce => return Err(Setback::Over),
                Ok(Said::Refused(_)) => reactor::timer::sleep(RETRY).await,
                Err(error) => {
                    tracing::warn!(%error, "the connection through which a master's commands go was lost");
                    let lost = self.channel.take().expect("it was lost").id();
                    until_gone(&self.node, lost).await;
                    if self.node.state.borrow().core.shared.following.flow(flow) == Some((log, place)) {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// The data is no longer that of the master: the place of one flow, of so many, that is missing says so of all.
    pub(super) async fn forget(&mut self, flow: u16, flows: u16) {
        if let Some(channel) = &mut self.channel
            && let Ok(Said::Done) = channel.forget(std::iter::once(flow), flows).await
        {
            return;
        }
        // A start would find the place, and the data would be as it is now.
        self.node.state.borrow().core.shared.following.set_flow(flow, flows, None);
    }
}
