//! The task that applies one flow: takes what has come, has it run with the place behind it, and stands at what is of several flows.

use super::come::Next;
use super::{Decision, Flow, Message, Trouble};
use crate::follow::{Channel, NO_DESCRIPTORS, RETRY, Said, Unit, is_passing, until_gone};
use crate::node::Node;
use aof::Lsn;
use commands::following::{flow_words, words};
use replication::flow::place::{FlowLog, FlowPlace, FlowPlaces, Place};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

/// Why nothing more is applied.
enum Setback {
    /// Nobody wants it any more, or the server ends.
    Over,
    /// It cannot be; nothing of it was.
    Failed(String),
    /// Only a part of it could be: the data is not the master's.
    Astray(String),
}

/// Applies a flow until nobody wants it any more.
pub(super) async fn apply(node: Rc<Node>, flow: Rc<Flow>) {
    let databases = node.state.borrow().core.keyspace.databases();
    let mut task = Applying { node, flow, channel: None };
    let setback = loop {
        match task.step(databases).await {
            Ok(()) => {}
            Err(setback) => break setback,
        }
    };
    match setback {
        Setback::Over => {}
        Setback::Failed(why) => task.flow.fail(&task.node, Trouble::Stream(why)),
        Setback::Astray(why) => {
            task.forget().await;
            task.flow.fail(&task.node, Trouble::Stream(why));
        }
    }
    // Whoever drains waits for nothing more from here.
    task.rest();
}

struct Applying {
    node: Rc<Node>,
    flow: Rc<Flow>,
    channel: Option<Channel>,
}

impl Applying {
    async fn step(&mut self, databases: u16) -> Result<(), Setback> {
        match self.next(databases).await? {
            Next::Batch { unit, end, bytes } => {
                let (log, place) = self.reached();
                let place = FlowPlace { lsn: end, ..place };
                self.run(unit, &[(self.flow.index, log, place)]).await?;
                self.reach(log, place, bytes);
            }
            Next::Stand { head, unit, end, bytes } => {
                self.flow
                    .tell(&self.node, Message::Stands(self.flow.order.attempt, self.flow.index, end, head));
                self.stand(unit, end, bytes).await?;
            }
            Next::Nothing => {}
        }
        Ok(())
    }

    /// Waits until there is something to be run.
    async fn next(&mut self, databases: u16) -> Result<Next, Setback> {
        let (node, flow) = (&self.node, &self.flow);
        let mut has_rested = false;
        let next = poll_fn(|cx| {
            let inner = &mut *flow.inner.borrow_mut();
            if inner.is_over || node.poll_stopping(cx).is_ready() {
                return Poll::Ready(Err(Setback::Over));
            }
            match inner.come.as_mut().expect("it goes on from somewhere").next(databases) {
                Ok(Next::Nothing) => {}
                Ok(next) => return Poll::Ready(Ok(next)),
                Err(why) => return Poll::Ready(Err(Setback::Failed(why))),
            }
            if inner.is_draining && !has_rested {
                has_rested = true;
                return Poll::Ready(Ok(Next::Nothing));
            }
            // Of a record that is long, more may come.
            inner.return_held();
            inner.apply = Some(cx.waker().clone());
            Poll::Pending
        })
        .await?;
        if matches!(next, Next::Nothing) {
            // Nothing more comes.
            return Err(Setback::Over);
        }
        Ok(next)
    }

    /// Does what those decide who see all flows.
    async fn stand(&mut self, unit: Unit, end: Lsn, bytes: usize) -> Result<(), Setback> {
        let attempt = self.flow.order.attempt;
        let mut unit = Some(unit);
        let mut behind = None;
        loop {
            match self.decision().await? {
                Decision::Pass => break,
                Decision::Run(places) => {
                    let (log, _) = self.reached();
                    let places: Vec<_> = places.into_iter().map(|(flow, place)| (flow, log, place)).collect();
                    behind =
                        places.iter().find(|(flow, ..)| *flow == self.flow.index).map(|(.., place)| *place);
                    self.run(unit.take().expect("it is run once"), &places).await?;
                    self.flow.tell(&self.node, Message::Ran(attempt, self.flow.index));
                }
                Decision::Cross(places) => {
                    self.cross(&places).await?;
                    self.flow.tell(&self.node, Message::Crossed(attempt));
                }
            }
        }
        let (log, place) = self.reached();
        let place = behind.unwrap_or(FlowPlace { lsn: end, ..place });
        let told = self.node.state.borrow().core.shared.following.flow(self.flow.index);
        match told {
            // The border was crossed.
            Some((now, begin)) if now.generation != log.generation => {
                self.flow.inner.borrow_mut().come.as_mut().expect("it stood").crossed();
                self.reach(now, begin, 0);
            }
            _ => self.reach(log, place, bytes),
        }
        Ok(())
    }

    async fn decision(&self) -> Result<Decision, Setback> {
        poll_fn(|cx| {
            let inner = &mut *self.flow.inner.borrow_mut();
            if inner.is_over || self.node.poll_stopping(cx).is_ready() {
                return Poll::Ready(Err(Setback::Over));
            }
            if let Some(decision) = inner.decision.take() {
                return Poll::Ready(Ok(decision));
            }
            inner.apply = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    fn reached(&self) -> (FlowLog, FlowPlace) {
        self.flow.inner.borrow().reached.expect("it goes on from somewhere")
    }

    /// All up to here was run, so many bytes of what came.
    fn reach(&mut self, log: FlowLog, place: FlowPlace, bytes: usize) {
        // Where there was nothing to run, what is on the disk is as right as this.
        let shared = Arc::clone(&self.node.state.borrow().core.shared);
        shared.following.set_flow(self.flow.index, self.flow.order.session.flows, Some((log, place)));
        let inner = &mut *self.flow.inner.borrow_mut();
        inner.reached = Some((log, place));
        inner.is_news = true;
        if bytes > 0 {
            inner.come.as_mut().expect("it came").done(bytes);
            inner.return_credit(bytes);
        }
        inner.wake_wire();
    }

    /// All places are the beginning of the next generation, in one step.
    async fn cross(&mut self, places: &FlowPlaces) -> Result<(), Setback> {
        let mut unit = Unit::new(stdx::DbIndex(0));
        unit.select(stdx::DbIndex(0));
        unit.close(&words(&Place::Flows(places.clone())));
        let (log, place) = (places.log, places.flows[usize::from(self.flow.index)]);
        self.carry_out(&unit, (self.flow.index, log, place)).await
    }

    /// Has it run, with these places behind it.
    async fn run(&mut self, mut unit: Unit, places: &[(u16, FlowLog, FlowPlace)]) -> Result<(), Setback> {
        if unit.is_empty() && places.len() == 1 {
            return Ok(());
        }
        if unit.is_empty() {
            unit.select(stdx::DbIndex(0));
        }
        let flows = self.flow.order.session.flows;
        let words: Vec<_> =
            places.iter().map(|(flow, log, place)| flow_words(*flow, flows, Some((*log, *place)))).collect();
        unit.close(&words);
        let own = places.iter().find(|(flow, ..)| *flow == self.flow.index);
        self.carry_out(&unit, *own.expect("its own is among them")).await
    }

    /// Has it run, however often it takes. If the connection is lost the place tells whether it ran.
    async fn carry_out(
        &mut self,
        unit: &Unit,
        (flow, log, place): (u16, FlowLog, FlowPlace),
    ) -> Result<(), Setback> {
        loop {
            if self.flow.is_over() || self.node.stopping.get() {
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
                Ok(Said::Refused(_)) if self.flow.inner.borrow().is_draining => return Err(Setback::Over),
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

    /// The data is no longer that of the master: one place that is missing says so of all.
    async fn forget(&mut self) {
        let (flow, flows) = (self.flow.index, self.flow.order.session.flows);
        if let Some(channel) = &mut self.channel
            && let Ok(Said::Done) = channel.forget(std::iter::once(flow), flows).await
        {
            return;
        }
        // A start would find the place, and the data would be as it is now.
        self.node.state.borrow().core.shared.following.set_flow(flow, flows, None);
    }

    /// Nothing more is applied here.
    fn rest(&self) {
        self.flow.tell(&self.node, Message::Rests(self.flow.order.attempt, self.flow.index));
    }
}
