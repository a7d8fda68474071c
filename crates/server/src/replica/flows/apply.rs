//! The task that applies one flow: takes what has come, runs plain records with the place behind them, and lends core 0 what is to be met
//! for, with all that comes behind it until that was run.

use super::line::{Line, Setback, Wanted};
use super::{Flow, Message, Trouble};
use crate::follow::Unit;
use crate::node::Node;
use aof::Lsn;
use commands::following::flow_words;
use replication::flow::come::Came;
use replication::flow::inflow::Next;
use replication::flow::place::FlowPlace;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

/// Applies a flow until nobody wants it any more.
pub(super) async fn apply(node: Rc<Node>, flow: Rc<Flow>) {
    let databases = node.state.borrow().core.keyspace.databases();
    let line = Line::new(&node);
    let mut task = Applying { node, flow, line };
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
            task.line.forget(task.flow.index, task.flow.order.session.flows).await;
            task.flow.fail(&task.node, Trouble::Stream(why));
        }
    }
    // Whoever drains waits for nothing more from here.
    task.flow.rest(&task.node);
}

struct Applying {
    node: Rc<Node>,
    flow: Rc<Flow>,
    line: Line,
}

impl Applying {
    async fn step(&mut self, databases: u16) -> Result<(), Setback> {
        match self.next(databases).await? {
            Came::Plain { load, end } => self.run(load, end).await?,
            Came::Pieces { from, pieces } => {
                let attempt = self.flow.order.attempt;
                self.flow.tell(&self.node, Message::Lent(attempt, self.flow.index, from, pieces));
                // There may be as much again.
                reactor::task::yield_now().await;
            }
            Came::Nothing => unreachable!("it waits for more"),
        }
        Ok(())
    }

    /// Waits until there is something to be done.
    async fn next(&mut self, databases: u16) -> Result<Came<Unit>, Setback> {
        let (node, flow) = (&self.node, &self.flow);
        poll_fn(|cx| {
            let next = {
                let inner = &mut *flow.inner.borrow_mut();
                if inner.is_over || node.poll_stopping(cx).is_ready() {
                    return Poll::Ready(Err(Setback::Over));
                }
                let next = inner.inflow.next(&mut inner.reader.loading(databases, node.router));
                inner.apply = Some(cx.waker().clone());
                if inner.inflow.has_word() {
                    inner.wake_wire();
                }
                next
            };
            match next {
                Ok(Next::Came(came)) => return Poll::Ready(Ok(came)),
                Ok(Next::Rests) => flow.rest(node),
                Ok(Next::Nothing) => {}
                Err(why) => return Poll::Ready(Err(Setback::Failed(why))),
            }
            Poll::Pending
        })
        .await
    }

    /// Runs plain records, with the place behind them.
    async fn run(&mut self, mut unit: Unit, end: Lsn) -> Result<(), Setback> {
        let (index, flows) = (self.flow.index, self.flow.order.session.flows);
        let (log, place) = self.flow.inner.borrow().inflow.reached().expect("it goes on from somewhere");
        let place = FlowPlace { lsn: end, ..place };
        if !unit.is_empty() {
            unit.close(&[flow_words(index, flows, Some((log, place)))]);
            let flow = &self.flow;
            let wanted = || match &*flow.inner.borrow() {
                inner if inner.is_over => Wanted::No,
                inner if inner.inflow.is_draining() => Wanted::AtOnce,
                _ => Wanted::Yes,
            };
            self.line.run(&unit, (index, log, place), wanted).await?;
        }
        // Where there was nothing to run, what is on the disk is as right as this.
        self.node.state.borrow().core.shared.following.set_flow(index, flows, Some((log, place)));
        self.flow.inner.borrow_mut().reach(log, place);
        Ok(())
    }
}
